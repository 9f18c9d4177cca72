"""Which mask sets can occur: every session's is among those that are installed, and nothing is installed for nobody."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.access.mask_sets import TooManySets, databases_of, set_for, sets_of
from hoopproxy.access.policy import GrantRule, MaskRule, Policy, Reveal
from hoopproxy.masks import ColumnMask, Nullify, Partial, Redact
from hoopproxy.model import Target

TARGET = Target("ledger", "postgres", "db", 5432, "EU", "DE", None, {"reader": "c"}, databases=("ledger", "archive"))
COLUMNS = ("public.customers.ssn", "public.customers.card", "public.payments.iban")
ROLES, ZONES = ("analyst", "fraud", "admin"), ("EU", "EEA", "US")
MASKS: tuple[ColumnMask, ...] = (Redact(), Nullify(), Partial(0, 4))
COUNTRIES: Mapping[str, frozenset[str]] = {
    "DE": frozenset({"EU", "EEA"}),
    "NO": frozenset({"EEA"}),
    "US": frozenset({"US"}),
}


def some[T](items: tuple[T, ...]) -> st.SearchStrategy[frozenset[T]]:
    return st.frozensets(st.sampled_from(items))


reveals = st.builds(Reveal, some(ROLES), some(ZONES))
rules = st.builds(
    MaskRule,
    target=st.sampled_from(["ledger", "ledger", "ledger", "other"]),
    databases=some(("ledger", "archive")),
    column=st.sampled_from(COLUMNS),
    mask=st.sampled_from(MASKS),
    reveal=st.lists(reveals, max_size=2).map(tuple),
)


def grant(reveals: frozenset[str], targets: tuple[str, ...] = ("ledger",)) -> GrantRule:
    return GrantRule("g", frozenset(ROLES), frozenset(targets), frozenset({"reader"}), "EU", ("EU",), {}, 60.0, reveals)


policies = st.builds(
    Policy,
    revision=st.just("r"),
    roles=st.just(()),
    grants=st.lists(some(COLUMNS).map(grant), max_size=3).map(tuple),
    masks=st.lists(rules, max_size=4).map(tuple),
)


@given(policies, some(ROLES), st.lists(st.sampled_from(sorted(COUNTRIES)), max_size=2), st.data())
def test_whatever_a_session_needs_is_installed(
    policy: Policy, roles: frozenset[str], countries: list[str], data: st.DataObject
) -> None:
    """A client may be in any of several countries: then it lies in the zones that they share."""
    places = [COUNTRIES[country] for country in countries]
    zones = frozenset.intersection(*places) if places else frozenset[str]()
    revealed = data.draw(st.sampled_from([frozenset[str](), *(each.reveals for each in policy.grants)]))
    hiding = policy.masks_for("ledger", "ledger", roles | {"bystander"}, zones, revealed)
    wanted = set_for(hiding, "ledger", "reader")
    every = sets_of(policy, COUNTRIES.values(), TARGET, "ledger", ["reader", "writer"])
    assert wanted is None or wanted in every
    assert {each.role for each in every} <= {"reader", "writer"}
    assert all(each.masks and each.database == "ledger" for each in every)
    assert len({each.name for each in every}) == len(every)


def test_of_two_rules_for_a_column_the_first_counts() -> None:
    first, second = (MaskRule("ledger", frozenset(), COLUMNS[0], mask, ()) for mask in (Redact(), Nullify()))
    made = set_for([first, second], "ledger", "reader")
    assert made is not None
    assert made.masks == {COLUMNS[0]: Redact()}
    assert set_for([], "ledger", "reader") is None


def test_who_sees_everything_needs_nothing() -> None:
    everybody = Reveal(frozenset({"admin"}), frozenset({"EU"}))
    policy = Policy("r", (), (), (MaskRule("ledger", frozenset(), COLUMNS[0], Redact(), (everybody,)),))
    (only,) = sets_of(policy, COUNTRIES.values(), TARGET, "ledger", ["reader"])
    assert only.masks == {COLUMNS[0]: Redact()}


def test_what_can_be_combined_without_end_is_said_in_a_sentence() -> None:
    many = tuple(
        MaskRule("ledger", frozenset(), COLUMNS[0], Redact(), (Reveal(frozenset({f"r{n}"}), frozenset({"EU"})),))
        for n in range(13)
    )
    with pytest.raises(TooManySets, match="can be combined in 16384 ways by 13 roles, 2 kinds of place and 1 kinds of"):
        sets_of(Policy("r", (), (), many), COUNTRIES.values(), TARGET, "ledger", ["reader"])


def test_databases_in_which_something_is_masked() -> None:
    one = MaskRule("ledger", frozenset({"archive"}), COLUMNS[0], Redact(), ())
    assert databases_of(Policy("r", (), (), (one,)), TARGET) == ("archive",)
    assert databases_of(Policy("r", (), (), ()), TARGET) == ()
