"""The files of a gateway's own certificate authority: made once, and never replaced. Mints no certificates."""

import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_ALL_ADDRESSES = ("0.0.0.0/0", "::/0")


def make_authority(
    certificate_file: Path,
    key_file: Path,
    passphrase_file: Path,
    name: str,
    days: int,
    permitted: Sequence[str] = (),
    *,
    constraints: x509.NameConstraints | None = None,
) -> x509.Certificate:
    """Make a root with a P-256 key, and its three files, readable by their owner alone.

    The key is encrypted (PKCS#8) with a passphrase of 256 random bits. With `permitted` domains it can vouch for hosts
    in these alone, and for no address; with `constraints` (RFC 5280 §4.2.1.10), for whatever these allow.

    @raise FileExistsError: nothing is replaced, and nothing was made. @raise OSError.
    """
    files = (passphrase_file, key_file, certificate_file)
    for file in files:
        if os.path.lexists(file):
            raise FileExistsError(0, "", str(file))
    key, passphrase = ec.generate_private_key(ec.SECP256R1()), secrets.token_urlsafe(32).encode()
    certificate = _certificate(key, name, days, constraints or _hosts_within(permitted))
    contents = (
        passphrase + b"\n",
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)),
        certificate.public_bytes(Encoding.PEM),
    )
    for file, content in zip(files, contents, strict=True):
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(content)
    return certificate


def _hosts_within(domains: Sequence[str]) -> x509.NameConstraints | None:
    if not domains:
        return None
    return x509.NameConstraints(
        [x509.DNSName(domain) for domain in domains], [x509.IPAddress(ip_network(each)) for each in _ALL_ADDRESSES]
    )


def _certificate(
    key: ec.EllipticCurvePrivateKey, name: str, days: int, constraints: x509.NameConstraints | None
) -> x509.Certificate:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(key, SHA256())
