"""Values of types that are no text, as the text in which something can be found: 4539578763621486, 1985-07-30.

The binary forms are those of PostgreSQL's send functions. Knows neither entities nor masks.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from struct import Struct, unpack, unpack_from
from types import MappingProxyType

from hoopproxy.masking.types import (
    BPCHAR,
    DATE,
    FLOAT4,
    FLOAT8,
    FLOATS,
    INT2,
    INT4,
    INT8,
    INTEGERS,
    JSON,
    JSONB,
    NAME,
    NUMERIC,
    TEXT,
    TIMESTAMP,
    TIMESTAMPTZ,
    VARCHAR,
    XML,
)

CIDR, MACADDR, INET = 650, 829, 869

NUMBERS = FLOATS | INTEGERS.keys() | {NUMERIC}

ELEMENTS: Mapping[int, int] = MappingProxyType(
    {
        **{1009: TEXT, 1015: VARCHAR, 1014: BPCHAR, 1003: NAME, 199: JSON, 3807: JSONB, 143: XML},
        **{1005: INT2, 1007: INT4, 1016: INT8, 1231: NUMERIC, 1021: FLOAT4, 1022: FLOAT8},
        **{651: CIDR, 1041: INET, 1040: MACADDR, 1182: DATE, 1115: TIMESTAMP, 1185: TIMESTAMPTZ},
    }
)
"""Array types whose elements are looked into, to the type of these."""

_DIGITS_MAX = 40
"""Numbers with more digits hold nothing that is known here."""

_EPOCH = date(2000, 1, 1)
_DAY_US = 86_400_000_000
_LENGTH = Struct("!i")


def _number(text: bytes) -> bytes:
    """A whole number in digits alone; others as they are."""
    if text.isdigit():
        return text
    try:
        number = Decimal(text.decode("ascii", "replace"))
    except InvalidOperation:
        return text
    if not number.is_finite() or number.adjusted() > _DIGITS_MAX or number != number.to_integral_value():
        return text
    return b"%d" % abs(int(number))


def _numeric(cell: bytes) -> bytes:
    count, weight, sign, _ = unpack_from("!HhHH", cell)
    groups = unpack_from(f"!{count}H", cell, 8)
    if sign & 0xC000 == 0xC000 or not 0 <= weight <= _DIGITS_MAX // 4 or any(groups[weight + 1 :]):
        return b""
    whole = (*groups, *(0,) * (weight + 1 - count))[: weight + 1]
    return b"%d" % int("".join(f"{group:04}" for group in whole))


def _day(days: int) -> bytes:
    return str(_EPOCH + timedelta(days)).encode()


def _internet(cell: bytes) -> bytes:
    return str(ip_address(cell[4:])).encode()


_TEXTS: Mapping[int, Callable[[bytes], bytes]] = {
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys((CIDR, INET), lambda cell: cell.partition(b"/")[0]),
    **dict.fromkeys((DATE, MACADDR), bytes),
    **dict.fromkeys((TIMESTAMP, TIMESTAMPTZ), lambda cell: cell.partition(b" ")[0]),
}

_BINARIES: Mapping[int, Callable[[bytes], bytes]] = {
    INT2: lambda cell: b"%d" % abs(unpack("!h", cell)[0]),
    INT4: lambda cell: b"%d" % abs(unpack("!i", cell)[0]),
    INT8: lambda cell: b"%d" % abs(unpack("!q", cell)[0]),
    NUMERIC: _numeric,
    FLOAT4: lambda cell: _number(b"%r" % unpack("!f", cell)),
    FLOAT8: lambda cell: _number(b"%r" % unpack("!d", cell)),
    CIDR: _internet,
    INET: _internet,
    MACADDR: lambda cell: cell.hex(":").encode(),
    DATE: lambda cell: _day(unpack("!i", cell)[0]),
    TIMESTAMP: lambda cell: _day(unpack("!q", cell)[0] // _DAY_US),
    TIMESTAMPTZ: lambda cell: _day(unpack("!q", cell)[0] // _DAY_US),
}

READABLE = frozenset(_TEXTS)
"""Types that can be read as a text."""


def reading(oid: int, *, binary: bool) -> Callable[[bytes], bytes]:
    """From a cell of a readable type to its text; "" for what has none, such as infinity.

    The function's errors are those of bytes that are no cell of the type: `ValueError` alone.
    """
    read = (_BINARIES if binary else _TEXTS)[oid]

    def safely(cell: bytes) -> bytes:
        try:
            return read(cell)
        except OverflowError:  # a day that no calendar of ours has
            return b""
        except Exception as why:  # struct's error is no ValueError
            raise ValueError(f"a cell of type {oid} can't be read") from why

    return safely


def elements(cell: bytes) -> tuple[bytes, Iterator[bytes | None]]:
    """The head of an array in binary form, and its elements; None is NULL. @raise ValueError: it is no array."""
    if len(cell) < 12:
        raise ValueError("an array without a head")
    (dimensions,) = unpack_from("!I", cell)
    end = 12 + 8 * dimensions
    if dimensions > 6 or len(cell) < end:  # MAXDIM
        raise ValueError("an array with too many dimensions, or too few bytes")
    return cell[:end], _elements(cell, end)


def _elements(cell: bytes, at: int) -> Iterator[bytes | None]:
    while at < len(cell):
        if len(cell) - at < 4:
            raise ValueError("an array that ends within a length")
        (length,) = _LENGTH.unpack_from(cell, at)
        at += 4
        if length < -1 or length > len(cell) - at:
            raise ValueError("an array that ends within an element")
        yield None if length < 0 else cell[at : at + length]
        at += max(length, 0)


def array(head: bytes, parts: list[bytes | None]) -> bytes:
    """The binary form again."""
    return head + b"".join(_LENGTH.pack(-1) if each is None else _LENGTH.pack(len(each)) + each for each in parts)
