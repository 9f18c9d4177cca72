"""Tokens: values whose digits are encrypted in their places, so that the form stays and equal values stay equal.

Of a text the ASCII digits become others, and all else stays. An integer keeps its sign and its number of digits:
numbers are encrypted until one is an integer of the type again (cycle walking), so that no two get the same token.
There is no tweak: a number has one token however it is written, and in every column under that key. Knows no column.
"""

import hmac
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

from hoopproxy.masking.ff1 import DIGITS_MIN, Ff1
from hoopproxy.masking.types import INT4, INT8, INTEGERS, TEXTS, Kind

DIGITS_MAX = 36
"""More are no number of anything, and in the database a half must fit into eight bytes."""

BYTES_MAX = 1 << 24
"""Longer texts are redacted: the database, too, would look for digits in no longer ones."""

TOKENISED = TEXTS | {INT4, INT8}
"""Types that have tokens: an int2 has too few digits."""

_DIGITS = re.compile(rb"[0-9]")


def cipher_key(key: bytes) -> bytes:
    """What AES-256 takes, from a secret of any length. No digest of the secret tells it."""
    return hmac.digest(key, b"hoopproxy FF1 radix 10", sha256)


def tokenising(key: bytes, kind: Kind) -> Callable[[bytes], bytes] | None:
    """A function from a cell of `kind` to its token in the same format, or to the constant of the type where it has
    none; None where no value has one. It raises ValueError for a cell that is none of the kind."""
    constant = kind.constant()
    if kind.oid not in TOKENISED or constant is None:
        return None
    ff1 = _ff1(cipher_key(key))
    if kind.oid in TEXTS:
        # char(n) is padded to n characters, not bytes; its value's form is kept, so its padding fits on.
        return lambda cell: _text(ff1, cell, constant)
    return lambda cell: _integer(ff1, cell, kind, constant)


@lru_cache(64)
def _ff1(key: bytes) -> Ff1:
    return Ff1(key)


def _text(ff1: Ff1, cell: bytes, constant: bytes) -> bytes:
    digits = b"".join(_DIGITS.findall(cell)).decode() if len(cell) <= BYTES_MAX else ""
    if not DIGITS_MIN <= len(digits) <= DIGITS_MAX:
        return constant
    token = iter(ff1.encrypt(digits).encode())
    return _DIGITS.sub(lambda _: bytes((next(token),)), cell)


def _integer(ff1: Ff1, cell: bytes, kind: Kind, constant: bytes) -> bytes:
    width = INTEGERS[kind.oid]
    if kind.binary and len(cell) != width:
        raise ValueError("an integer of another width than its type")
    value = int.from_bytes(cell, signed=True) if kind.binary else int(cell)
    most = (1 << width * 8 - 1) - (value >= 0)
    digits = str(abs(value))
    if len(digits) < DIGITS_MIN or abs(value) > most:
        return constant
    while True:
        digits = ff1.encrypt(digits)
        if digits[0] != "0" and int(digits) <= most:
            break
    token = int(digits) if value > 0 else -int(digits)
    return token.to_bytes(width, signed=True) if kind.binary else str(token).encode()
