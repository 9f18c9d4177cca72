"""Weekly hours as policy.toml writes them: a time zone, and spans such as "mon-fri 08:00-18:00".

Knows no rule that has hours.
"""

import re
from datetime import time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field, PlainValidator

from hoopproxy.access.hours import DAYS, Hours, Span
from hoopproxy.config.sentences import Form
from hoopproxy.config.tables import Table

_DAY = "|".join(DAYS)
_DAYS = re.compile(rf"({_DAY})(?:-({_DAY}))?")
_SPAN = re.compile(r"(\S+) ([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


def span(text: Any) -> Span:
    """`mon-fri 08:00-18:00`, `sat,sun 22:00-06:00` (until the next morning). @raise ValueError: it is none."""
    if (found := _SPAN.fullmatch(str(text))) is None:
        raise ValueError(text)
    days, hour, minute, until_hour, until_minute = found.groups()
    named = frozenset(day for part in days.split(",") for day in _days(part))
    # 24:00 is the midnight at which the next day begins, and a Span that ends no later than it starts ends on that day.
    return Span(named, time(int(hour), int(minute)), time(int(until_hour or 0), int(until_minute or 0)))


def _days(part: str) -> list[int]:
    """The days of `mon`, or of `fri-mon`, which are four."""
    if (found := _DAYS.fullmatch(part)) is None:
        raise ValueError(part)
    first, last = (DAYS.index(day or found[1]) for day in found.groups())
    return [day % len(DAYS) for day in range(first, last + 1 + len(DAYS) * (last < first))]


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (LookupError, OSError) as why:  # what is no name may be a directory of the system's
        raise ValueError(name) from why


type Week = Annotated[
    Span, PlainValidator(Form('days and times such as "mon-fri 08:00-18:00" or "sat,sun 22:00-06:00"', span))
]
type TimeZone = Annotated[ZoneInfo, PlainValidator(Form('a time zone such as "Europe/Berlin" (IANA)', _zone))]


class HoursTable(Table):
    """`hours = {…}`."""

    zone: TimeZone
    open: tuple[Week, ...] = Field(min_length=1, max_length=100)

    def hours(self) -> Hours:
        """As the gateway reckons with them."""
        return Hours(self.open, self.zone)
