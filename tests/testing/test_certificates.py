import hashlib
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from hoopproxy.testing.certificates import Authority, Leaf


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def verify(authority: Authority, leaf: Leaf, name: str) -> None:
    store = Store([certificate(authority.ca_file)])
    PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name)).verify(
        certificate(leaf.certificate_file), []
    )


def test_a_leaf_verifies_for_its_own_names_under_its_own_authority_alone(tmp_path: Path, authority: Authority) -> None:
    leaf = authority.issue("names", dns=["db.example"], ips=["127.0.0.1"])
    verify(authority, leaf, "db.example")
    with pytest.raises(VerificationError):
        verify(authority, leaf, "other.example")
    with pytest.raises(VerificationError):
        verify(Authority(tmp_path, "test-ca"), leaf, "db.example")


def test_an_expired_leaf_is_expired_and_nothing_else_is_wrong_with_it(authority: Authority) -> None:
    expired = certificate(authority.issue("expired", dns=["db.example"], expired=True).certificate_file)
    assert expired.not_valid_before_utc < expired.not_valid_after_utc < datetime.now(UTC)
    expired.verify_directly_issued_by(certificate(authority.ca_file))


def test_the_pin_is_the_digest_of_the_key_that_lies_in_a_private_file(authority: Authority) -> None:
    leaf = authority.issue("pinned", dns=["db.example"])
    key = load_pem_private_key(leaf.key_file.read_bytes(), None)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert leaf.spki_pin == f"sha256:{hashlib.sha256(spki).hexdigest()}"
    assert stat.S_IMODE(leaf.key_file.stat().st_mode) == 0o600
    assert certificate(leaf.certificate_file).public_key() == key.public_key()
