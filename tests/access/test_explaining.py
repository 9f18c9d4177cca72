"""Why somebody may or may not: the explanation says what admission would do, and names every rule on the way."""

from dataclasses import replace
from datetime import time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.access.binding import Binding
from hoopproxy.access.explaining import NO, NOTE, YES, Guard, Question, explain
from hoopproxy.access.hours import Hours, Span
from hoopproxy.access.policy import GrantRule, MaskRule, Policy, Role
from hoopproxy.access.request import ApprovalRule
from hoopproxy.access.request_rule import RequestRule
from hoopproxy.masks import Redact
from hoopproxy.model import SubjectKind, Target

NOON_S = 1795604400.0  # of a Wednesday, in Berlin
LEDGER = Target("ledger", "postgres", "db", 5432, "EU", "DE", None, {"reader": "r", "app": "a"})
NIGHT = Hours((Span(frozenset(range(7)), time(22), time(6)),), ZoneInfo("Europe/Berlin"))
RULE = GrantRule(
    "read", frozenset({"analyst"}), frozenset({"ledger"}), frozenset({"reader"}), "EU", ("EU",), {}, 3600.0
)
REQUEST = RequestRule(
    "repair",
    frozenset({"analyst"}),
    frozenset({"ledger"}),
    frozenset({"app"}),
    "EU",
    ("EU",),
    {},
    3600.0,
    900.0,
    ApprovalRule(frozenset({"lead"}), 1),
)
POLICY = Policy(
    "r",
    (Role("analyst", frozenset({"eng"})), Role("dpo", frozenset({"legal"}))),
    (RULE,),
    (MaskRule("ledger", frozenset(), "public.t.a", Redact(), ()),),
    requests=(REQUEST,),
)
EU = frozenset({"EU"})
HERE = dict.fromkeys(SubjectKind, EU)


def asked(policy: Policy = POLICY, guards: tuple[Guard, ...] = (), **keys: object) -> dict[str, str]:
    """Each rule with its outcome."""
    question = replace(Question(frozenset({"eng"}), LEDGER, "", HERE, NOON_S), **keys)  # type: ignore[arg-type] # any field
    return {step.rule: step.outcome for step in explain(policy, question, guards).steps}


def test_every_rule_is_named_in_its_order() -> None:
    rules = Binding(roles=frozenset({"analyst"})), Binding(targets=frozenset({"other"}))
    found = asked(guards=(Guard("kinds", "statement-kinds", rules),), groups=frozenset({"eng", "x"}))
    assert list(found.items()) == [
        ("role analyst", YES),
        ("role dpo", NO),
        ("grant read", YES),
        ("request repair", NOTE),
        ("mask public.t.a", NOTE),
        ("guard kinds", NOTE),
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"roles": frozenset({"dpo"})}, "it is for dpo"),
        ({"targets": frozenset({"crm"})}, "it is for the targets crm"),
        ({"accounts": frozenset({"root"})}, "it is for the accounts root"),
        ({"client_zones": ("CH", "US")}, "the client must lie in CH or US"),
        ({"zone": "CH"}, "the gateway must lie in CH"),
        ({"hours": NIGHT}, "it holds mon,tue,wed,thu,fri,sat,sun 22:00-06:00 (Europe/Berlin), and not on"),
    ],
)
def test_a_grant_that_is_refused_says_by_what(change: dict[str, object], why: str) -> None:
    policy = replace(POLICY, grants=(replace(RULE, **change),))  # type: ignore[arg-type] # any of its fields
    places = {SubjectKind.GATEWAY: EU, SubjectKind.CLIENT: EU}
    found = explain(policy, Question(frozenset({"eng"}), LEDGER, "", places, NOON_S))
    (step,) = (each for each in found.steps if each.rule == "grant read")
    assert (step.outcome, step.why[: len(why)], found.is_allowed, found.grant) == (NO, why, False, "")


def test_the_first_grant_that_fits_counts_and_the_account_that_it_has() -> None:
    more = replace(POLICY, grants=(replace(RULE, name="night", hours=NIGHT), RULE, replace(RULE, name="again")))
    found = explain(more, Question(frozenset({"eng"}), LEDGER, "", HERE, NOON_S))
    assert (found.grant, found.account, found.not_after_s) == ("read", "reader", NOON_S + 3600)
    assert asked(more)["grant again"] == NOTE


def test_what_is_not_granted_may_be_asked_for() -> None:
    found = explain(POLICY, Question(frozenset({"eng"}), LEDGER, "app", HERE, NOON_S))
    assert (found.is_allowed, found.requests) == (False, ("repair",))
    assert not explain(POLICY, Question(frozenset({"legal"}), LEDGER, "app", HERE, NOON_S)).requests
    assert not explain(POLICY, Question(frozenset({"eng"}), None, "app", HERE, NOON_S)).requests


NAMES = st.frozensets(st.sampled_from(["a", "b", "c"]))
SOME = st.frozensets(st.sampled_from(["a", "b", "c"]), min_size=1)
GRANTS = st.builds(
    lambda name, roles, accounts, zones, hours: GrantRule(
        name, roles, frozenset({"ledger"}), accounts, "EU", tuple(zones), {}, 3600.0, hours=hours
    ),
    st.sampled_from("ghij"),
    SOME,
    st.frozensets(st.sampled_from(["reader", "app", "root"]), min_size=1),
    st.frozensets(st.sampled_from(["EU", "CH"]), min_size=1),
    st.sampled_from([None, NIGHT]),
)


@given(
    st.lists(GRANTS, max_size=4, unique_by=lambda rule: rule.name),
    NAMES,
    st.sampled_from(["", "reader", "app", "root"]),
    st.frozensets(st.sampled_from(["EU", "CH"])),
    st.sampled_from([NOON_S, NOON_S + 43200]),
)
def test_it_says_what_admission_does(
    grants: list[GrantRule], groups: frozenset[str], account: str, zones: frozenset[str], at_s: float
) -> None:
    """As `Admission.authorize` has it: grants in force that have the account, which follows from the first of them if
    none was named; then the first whose zones hold the client."""
    policy = Policy("r", tuple(Role(name, frozenset({name})) for name in "abc"), tuple(grants), ())
    places = {**HERE, SubjectKind.CLIENT: zones}
    found = explain(policy, Question(groups, LEDGER, account, places, at_s))
    wanted = {account} if account else set(LEDGER.accounts)
    fitting = [
        each for each in policy.grants_for(groups, "ledger", at_s) if wanted & each.accounts & LEDGER.accounts.keys()
    ]
    chosen = account or next((each for each in LEDGER.accounts if fitting and each in fitting[0].accounts), "")
    let_in = [each for each in fitting if chosen in each.accounts and set(each.client_zones) & zones]
    assert found.grant == (let_in[0].grant_id.removeprefix("policy:") if let_in else "")
    assert found.account == (chosen if let_in else "")
    assert found.not_after_s == (let_in[0].not_after_s if let_in else 0.0)
