"""Certificates with names of kinds that hardly anybody has: they are nobody's, and break nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from hoopproxy.addons.known_identities import _names
from hoopproxy.listen.tls import _is_clients

ODD = {
    "an X.400 address": "3005a303020100",
    "an EDI party": "3006a504a1020c00",
    "a name that is no text": "30038201ff",
    "no names": "ff",
}


@pytest.mark.parametrize("names", ODD.values(), ids=ODD)
def test_odd_names_are_nobody_s(names: str) -> None:
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    alternative = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex(names))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    assert _names(certificate) == set()
    assert not _is_clients(certificate)
