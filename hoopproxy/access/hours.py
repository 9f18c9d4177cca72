"""Weekly hours: when in the week a right holds, by the clock on a wall somewhere.

Knows neither whose right it is nor what time it is now.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` on each of `days` (0 is Monday) until `end`, which is the next day's where it is not later."""

    days: frozenset[int]
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Hours:
    """All spans of a week in one time zone. Where clocks are put forward, a time that is not there is an hour later;
    where they are put back, one that is there twice is the first (PEP 495, `fold` 0)."""

    spans: tuple[Span, ...]
    zone: ZoneInfo

    def closes_s(self, at_s: float) -> float | None:
        """Until when it is open that is open at `at_s` (both POSIX time); None: it is closed then.

        Spans that touch are one. Hours that never close are said to close a week later; ask again then.
        """
        end_s, latest_s = at_s, at_s + 7 * _DAY.total_seconds()
        while end_s < latest_s:
            ends_s = [until_s for since_s, until_s in self._around(end_s) if since_s <= end_s < until_s]
            if not ends_s:
                break
            end_s = max(ends_s)
        return min(end_s, latest_s) if end_s > at_s else None

    def _around(self, at_s: float) -> list[tuple[float, float]]:
        """The openings that begin on that day or on the one before."""
        today = datetime.fromtimestamp(at_s, self.zone).date()
        return [
            (
                datetime.combine(day, span.start, self.zone).timestamp(),
                datetime.combine(day + _DAY * (span.end <= span.start), span.end, self.zone).timestamp(),
            )
            for span in self.spans
            for day in (today - _DAY, today)
            if day.weekday() in span.days
        ]
