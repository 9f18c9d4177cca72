"""So many times in any span of time, each for themselves."""

import pytest

from hoopproxy.access import allowance
from hoopproxy.access.allowance import Allowance


def test_so_many_times_in_any_minute_each_for_themselves() -> None:
    each = Allowance()
    assert [each.take("ada", 2, at_s) for at_s in (0, 30, 59.9, 60, 61, 90)] == [True, True, False, True, False, True]
    assert each.take("bob", 2, 61)


def test_the_span_may_be_another() -> None:
    each = Allowance(900)
    assert [each.take("ada", 1, at_s) for at_s in (0, 60, 899, 900)] == [True, False, False, True]


def test_what_is_given_back_does_not_count() -> None:
    each = Allowance()
    for _ in range(3):
        assert each.take("ada", 1, 0)
        each.give_back("ada")
    assert each.take("ada", 1, 0) and not each.take("ada", 1, 0)
    each.give_back("nobody")


def test_beyond_its_bound_nobody_new_is_counted_until_others_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "KNOWN_MAX", 2)
    each = Allowance()
    assert each.take("ada", 5, 0) and each.take("bob", 5, 1)
    assert not each.take("cy", 5, 2) and each.take("ada", 5, 2)
    assert each.take("cy", 5, 61)
