"""A grant that has hours: whom it lets in when, and until when they may stay."""

from dataclasses import replace
from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from hoopproxy.access.hours import Hours, Span
from hoopproxy.access.policy import GrantRule, Policy

BERLIN = ZoneInfo("Europe/Berlin")
WORK = Hours((Span(frozenset(range(5)), time(8), time(18)),), BERLIN)
RULE = GrantRule("work", frozenset({"a"}), frozenset({"t"}), frozenset({"x"}), "EU", ("EU",), {}, 3600.0, hours=WORK)
ALWAYS = replace(RULE, name="always", hours=None)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2026-11-25T08:00", "2026-11-25T09:00"),
        ("2026-11-25T17:30", "2026-11-25T18:00"),
        ("2026-11-25T18:00", None),
        ("2026-11-28T12:00", None),
    ],
)
def test_it_holds_in_its_hours_and_ends_when_they_close(moment: str, until: str | None) -> None:
    grants = Policy("r", (), (RULE, ALWAYS), ()).grants_for(frozenset({"a"}), "t", at(moment))
    ends = {each.grant_id: each.not_after_s for each in grants}
    assert ends.pop("policy:always") == at(moment) + 3600
    assert ends == ({"policy:work": at(until)} if until else {})
