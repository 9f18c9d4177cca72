"""Whether a client holds the private half of the key that it shows: the signatures of RFC 4252 §7, and security keys'.

Says nothing of who that is. Knows no session and no state.
"""

import hashlib
import struct

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from twisted.conch.ssh.keys import BadKeyError, Key

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.ssh.algorithms import USER_SIGNATURES, key_format
from hoopproxy.wire.ssh.messages import Reader, string
from hoopproxy.wire.ssh.userauth import reading

RSA_BITS_MIN = 2048

KEY_BYTES_MAX = 4096
"""Of a key as it goes over the wire: RSA of 16384 bits is half of it, and strangers' longer ones are work for
nothing."""

PRESENCE = 0x01
"""Of a security key's flags: somebody touched it (OpenSSH's PROTOCOL.u2f)."""


def sound_key(algorithm: bytes, blob: bytes) -> Key | None:
    """The key, if it is of a kind that `algorithm` signs with and strong enough; None if not."""
    kind = key_format(algorithm)
    if algorithm not in USER_SIGNATURES or not blob.startswith(string(kind)) or len(blob) > KEY_BYTES_MAX:
        return None
    try:
        key = Key.fromString(blob, type="blob")  # type: ignore[no-untyped-call] # conch's is not annotated
        is_weak = kind == b"ssh-rsa" and key.size() < RSA_BITS_MIN
    except (BadKeyError, ValueError, TypeError, UnsupportedAlgorithm, struct.error):
        return None
    return None if is_weak or key.blob() != blob else key


def has_signed(key: Key, algorithm: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether `signature` is that key's, made with `algorithm`, over `signed`."""
    try:
        reader = reading(Side.CLIENT, b"\0" + signature)
        if reader.string() != algorithm:
            return False
        bare = string(reader.string())
        if algorithm.startswith(b"sk-"):
            signed = _touched(key, reader, signed)
        reader.end()
        return bool(key.verify(string(algorithm) + bare, signed))  # type: ignore[no-untyped-call] # as above
    except (ProtocolViolation, InvalidSignature, ValueError, struct.error):
        return False


def _touched(key: Key, reader: Reader, signed: bytes) -> bytes:
    """What a security key signs for `signed`. @raise ValueError: nobody was there."""
    flags, counter = reader.take(1), reader.take(4)
    if not flags[0] & PRESENCE:
        raise ValueError("nobody touched it")
    return hashlib.sha256(key.application).digest() + flags + counter + hashlib.sha256(signed).digest()
