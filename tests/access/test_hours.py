"""Weekly hours, among them nights and the days on which clocks are changed."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hoopproxy.access.hours import Hours, Span

BERLIN = ZoneInfo("Europe/Berlin")
WORK = Hours((Span(frozenset(range(5)), time(8), time(18)),), BERLIN)
NIGHT = Hours((Span(frozenset({5}), time(22), time(6)),), BERLIN)
ALWAYS = Hours((Span(frozenset(range(7)), time(0), time(0)),), BERLIN)

TIMES = st.times(timezones=st.none()).map(lambda each: each.replace(microsecond=0, fold=0))
SPANS = st.builds(Span, st.frozensets(st.integers(0, 6), min_size=1), TIMES, TIMES)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("hours", "moment", "closes"),
    [
        (WORK, "2026-11-25T08:00", "2026-11-25T18:00"),
        (WORK, "2026-11-25T17:59:59", "2026-11-25T18:00"),
        (WORK, "2026-11-25T18:00", None),
        (WORK, "2026-11-28T12:00", None),
        (NIGHT, "2026-11-28T23:00", "2026-11-29T06:00"),
        (NIGHT, "2026-11-29T05:00", "2026-11-29T06:00"),
        (NIGHT, "2026-11-29T22:30", None),
        (NIGHT, "2026-03-29T03:30", "2026-03-29T06:00"),  # clocks went from two to three
        (NIGHT, "2026-10-25T02:30", "2026-10-25T06:00"),  # and from three to two
        (ALWAYS, "2026-11-25T12:00", "2026-12-02T12:00"),
    ],
)
def test_when_it_closes(hours: Hours, moment: str, closes: str | None) -> None:
    assert hours.closes_s(at(moment)) == (closes and at(closes))


@given(st.lists(SPANS, min_size=1, max_size=3).map(tuple), st.integers(1_700_000_000, 1_900_000_000))
def test_it_is_open_until_it_closes_and_not_after(spans: tuple[Span, ...], moment: int) -> None:
    hours = Hours(spans, BERLIN)
    closes_s = hours.closes_s(moment)
    if closes_s is None:
        before, local = (datetime.fromtimestamp(each, BERLIN) for each in (moment - 3600, moment))
        assume(before.utcoffset() == local.utcoffset())  # a wall's clock tells no more in the hour after it was changed
        assert not any(span.start <= local.time() < span.end and local.weekday() in span.days for span in spans)
    else:
        assert moment < closes_s <= moment + 7 * 86400
        assert hours.closes_s(closes_s - 1) == closes_s or closes_s == moment + 7 * 86400
        assert closes_s == moment + 7 * 86400 or hours.closes_s(closes_s) is None
