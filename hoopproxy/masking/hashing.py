"""Keyed hashes of cells: HMAC-SHA256 (RFC 2104) of a value's text, in a form that the column's type takes.

The same value gives the same hash in both formats and in every type of the same kind. Knows no column.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from struct import pack

from hoopproxy.masking.types import BPCHAR, BYTEA, INTEGERS, TEXTS, UUID, Kind

HASHED = TEXTS | {BYTEA, UUID} | INTEGERS.keys()
"""Types that have hashes."""

_ESCAPED = re.compile(rb"\\(\\|[0-3][0-7]{2})")


def hashing(key: bytes, kind: Kind) -> Callable[[bytes], bytes] | None:
    """A function from a cell of `kind` to its hash in the same format; None where no hash is valid.

    It raises ValueError for a cell that is none of the kind.
    """
    if kind.oid in TEXTS:
        # char(n) comes with its padding, which is no part of the value
        padding = b" " if kind.oid == BPCHAR else b""
        return lambda cell: kind.fit(_digest(key, cell.rstrip(padding)).hex().encode())
    if kind.oid == BYTEA:
        return lambda cell: _digest(key, cell) if kind.binary else b"\\x" + _digest(key, _bytea(cell)).hex().encode()
    if kind.oid == UUID:
        return lambda cell: _uuid(key, cell, kind.binary)
    if kind.oid in INTEGERS:
        return lambda cell: _integer(key, cell, INTEGERS[kind.oid], kind.binary)
    return None


def _digest(key: bytes, value: bytes) -> bytes:
    return hmac.digest(key, value, hashlib.sha256)


def _bytea(cell: bytes) -> bytes:
    """The bytes that a bytea's text stands for, in either `bytea_output`."""
    if cell.startswith(b"\\x"):
        return bytes.fromhex(cell[2:].decode("ascii"))
    return _ESCAPED.sub(lambda found: b"\\" if found[1] == b"\\" else bytes((int(found[1], 8),)), cell)


def _uuid(key: bytes, cell: bytes, binary: bool) -> bytes:
    value = cell if binary else bytes.fromhex(cell.decode("ascii").replace("-", ""))
    if len(value) != 16:
        raise ValueError("a uuid of another length than 16 bytes")
    made = bytearray(_digest(key, _dashed(value))[:16])
    made[6] = made[6] & 0x0F | 0x80  # version 8, the free one (RFC 9562 §5.8)
    made[8] = made[8] & 0x3F | 0x80
    return bytes(made) if binary else _dashed(bytes(made))


def _dashed(value: bytes) -> bytes:
    digits = value.hex().encode()
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _integer(key: bytes, cell: bytes, width: int, binary: bool) -> bytes:
    """A number that is not negative, of the column's width."""
    if binary and len(cell) != width:
        raise ValueError("an integer of another width than its type")
    value = int.from_bytes(cell, signed=True) if binary else int(cell)
    made = int.from_bytes(_digest(key, str(value).encode())[:8]) >> 64 - width * 8 + 1
    return pack("!q", made)[8 - width :] if binary else str(made).encode()
