"""The keys that recordings are sealed to: X25519, in PEM; a gateway holds the public halves alone.

Wraps a recording's fresh keys by HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
Knows no file and no recording.
"""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

SUITE = "DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class KeyUnfit(ValueError):
    """A key file does not hold what is wanted, or a key opens nothing here. The text is one full sentence."""


def public_key(pem: bytes, where: str) -> X25519PublicKey:
    """The key of a `.pub` file (SubjectPublicKeyInfo, RFC 8410). @raise KeyUnfit, naming `where`."""
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as why:
        raise KeyUnfit(f"{where} holds no public key in PEM; `hoopproxy evidence keygen` makes a pair.") from why
    if not isinstance(key, X25519PublicKey):
        raise KeyUnfit(f"{where} holds a key of another kind; wanted is X25519.")
    return key


def private_key(pem: bytes, where: str) -> X25519PrivateKey:
    """The key of a `.key` file (PKCS #8, RFC 8410). @raise KeyUnfit, naming `where`."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as why:
        raise KeyUnfit(f"{where} holds no private key in PEM without a passphrase.") from why
    if not isinstance(key, X25519PrivateKey):
        raise KeyUnfit(f"{where} holds a key of another kind; wanted is X25519.")
    return key


def new_pair() -> tuple[bytes, bytes]:
    """A new key as (private PEM, public PEM)."""
    key = X25519PrivateKey.generate()
    return (
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def key_id(key: X25519PublicKey) -> str:
    """What a recording calls a key: the first 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def wrapped(key: bytes, reader: X25519PublicKey, info: bytes) -> bytes:
    """`key` for the holder of `reader`'s private half: the encapsulated key, then the ciphertext."""
    return _SUITE.encrypt(key, reader, info)


def unwrapped(wrap: bytes, reader: X25519PrivateKey, info: bytes) -> bytes:
    """The key again. @raise KeyUnfit: it was wrapped for somebody else, or changed."""
    try:
        return _SUITE.decrypt(wrap, reader, info)
    except (InvalidTag, ValueError) as why:
        raise KeyUnfit("This key does not open this recording, or the recording's header was changed.") from why
