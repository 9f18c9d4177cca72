"""Dates and times cut down to the beginning of their year or month, as PostgreSQL writes them in text and in binary.

By the calendar of UTC, whatever the session's time zone: one that it may choose would move the borders, and so tell the
moment. Infinite ones stay. Texts are read in ISO's form alone: others can be read in two ways. Knows no column.
"""

import re
from collections.abc import Callable
from datetime import date
from struct import Struct

from hoopproxy.masking.types import DATE, TIMESTAMP, TIMESTAMPTZ, Kind

TYPES = {DATE: "pg_catalog.date", TIMESTAMP: "pg_catalog.timestamp", TIMESTAMPTZ: "pg_catalog.timestamptz"}
"""Types that have years, and their names."""

FIRST, LAST = "4713-01-01 00:00:00 BC", "294276-12-31 00:00:00"
"""In the year before, none of the types has a beginning; after the last day, dates go on, but times do not. What lies
without is redacted."""

_INFINITE = frozenset((b"infinity", b"-infinity"))

_ISO = re.compile(
    rb"(\d{4,7})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.\d{1,6})?(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?)?( BC)?"
)

_DAY_S = 86400
_CYCLE_DAYS, _CYCLE_YEARS = 146097, 400
"""After which the Gregorian calendar repeats."""

_EPOCH = date(2000, 1, 1).toordinal()
"""PostgreSQL counts from there (datatype/timestamp.h), `toordinal` from the year 1."""


def truncating(unit: str, kind: Kind) -> Callable[[bytes], bytes] | None:
    """A function from a cell of `kind` to the beginning of its "year" or "month" in the same format, or to the constant
    of the type where it has none; None for other types. It raises ValueError for a cell that is none of the kind."""
    constant = kind.constant()
    if kind.oid not in TYPES or constant is None:
        return None
    if kind.binary:
        return lambda cell: _binary(cell, unit, kind.oid, constant)
    return lambda cell: _text(cell, unit, kind.oid, constant)


def _text(cell: bytes, unit: str, oid: int, constant: bytes) -> bytes:
    if cell in _INFINITE:
        return cell
    found = _ISO.fullmatch(cell)
    if not found or (found[4] is None) != (oid == DATE) or (found[7] is None) != (oid != TIMESTAMPTZ):
        return constant  # another DateStyle
    number = [int(each or 0) for each in found.group(1, 2, 3, 4, 5, 6, 8, 9, 10)]
    year = 1 - number[0] if found[11] else number[0]
    days = _day(year, number[1], number[2])
    ahead_s = (number[6] * 60 + number[7]) * 60 + number[8]
    seconds = (number[3] * 60 + number[4]) * 60 + number[5] - (ahead_s if found[7] == b"+" else -ahead_s)
    start = _start(days + seconds // _DAY_S, unit)
    if start is None:
        return constant
    year, month = start
    day = f"{year if year > 0 else 1 - year:04}-{month:02}-01"
    rest = {DATE: "", TIMESTAMP: " 00:00:00", TIMESTAMPTZ: " 00:00:00+00"}[oid]
    return f"{day}{rest}{'' if year > 0 else ' BC'}".encode()


def _binary(cell: bytes, unit: str, oid: int, constant: bytes) -> bytes:
    layout, per_day = (Struct("!i"), 1) if oid == DATE else (Struct("!q"), _DAY_S * 1_000_000)
    if len(cell) != layout.size:
        raise ValueError("a time of another width than its type")
    (value,) = layout.unpack(cell)
    edge = 1 << layout.size * 8 - 1
    if value in (-edge, edge - 1):
        return cell
    start = _start(value // per_day + _EPOCH, unit)
    return constant if start is None else layout.pack((_day(*start, 1) - _EPOCH) * per_day)


def _start(day: int, unit: str) -> tuple[int, int] | None:
    """The year and month that begin what a day is in; None outside FIRST and LAST."""
    if not _FIRST_DAY <= day <= _LAST_DAY:
        return None
    cycles, rest = divmod(day - 1, _CYCLE_DAYS)
    within = date.fromordinal(rest + 1)
    return within.year + cycles * _CYCLE_YEARS, within.month if unit == "month" else 1


def _day(year: int, month: int, day: int) -> int:
    """Days since 31 December of the year 0, which is 1 BC. @raise ValueError: there is no such day."""
    cycles, rest = divmod(year - 1, _CYCLE_YEARS)
    return date(rest + 1, month, day).toordinal() + cycles * _CYCLE_DAYS


_FIRST_DAY, _LAST_DAY = _day(-4712, 1, 1), _day(294276, 12, 31)
