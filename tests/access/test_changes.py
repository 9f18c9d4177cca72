"""What another policy lets people do, in words, and which live sessions can't go on under it."""

from dataclasses import replace
from datetime import time
from zoneinfo import ZoneInfo

import pytest

from hoopproxy.access.changes import changes, ends, is_fewer
from hoopproxy.access.hours import Hours, Span
from hoopproxy.access.in_force import InForce
from hoopproxy.access.people import People
from hoopproxy.access.policy import FieldRule, GrantRule, MaskRule, Policy, RegulatedRule, Reveal, Role
from hoopproxy.access.request import ApprovalRule
from hoopproxy.access.request_rule import RequestRule
from hoopproxy.masks import Nullify, Redact
from hoopproxy.model import Assurance, Grant, Permit, SubjectKind
from hoopproxy.testing.conformance import a_passage

NOW_S = 1_800_000_000.0
WORK = Hours((Span(frozenset(range(5)), time(8), time(18)),), ZoneInfo("Europe/Berlin"))
ALWAYS = Hours((Span(frozenset(range(7)), time(0), time(0)),), ZoneInfo("UTC"))
GRANT = GrantRule(
    "read",
    frozenset({"analyst", "dpo"}),
    frozenset({"ledger", "crm"}),
    frozenset({"reader", "app"}),
    "EU",
    ("EU", "CH"),
    {SubjectKind.CLIENT: Assurance.CORROBORATED},
    3600.0,
    frozenset({"public.t.a"}),
    None,
    frozenset({"read", "write"}),
)
REVEAL = (Reveal(frozenset({"dpo"}), frozenset({"EU"})),)
MASK = MaskRule("ledger", frozenset(), "public.t.b", Redact(), REVEAL)
FIELD = FieldRule("crm", "/x", "$.a", Redact(), REVEAL)
POLICY = Policy(
    "r",
    (Role("analyst", frozenset({"eng"})), Role("dpo", frozenset({"legal"}))),
    (GRANT, replace(GRANT, name="other")),
    (MASK,),
    (FIELD,),
)


def with_grant(**keys: object) -> Policy:
    return replace(POLICY, grants=(replace(GRANT, **keys), *POLICY.grants[1:]))  # type: ignore[arg-type] # any of its fields


def permit(**keys: object) -> Permit:
    """A session of an analyst's, on `ledger` by the grant `read`."""
    made = a_passage().permit
    grant = Grant(
        "policy:read",
        frozenset({"analyst"}),
        "ledger",
        GRANT.accounts,
        "EU",
        GRANT.client_zones,
        GRANT.assurance_min,
        NOW_S + 3000,
        GRANT.reveals,
        GRANT.actions,
    )
    found = {
        "identity": replace(made.identity, groups=frozenset({"eng"})),
        "roles": frozenset({"analyst"}),
        "target": replace(made.target, name="ledger"),
        "account": "reader",
        "database": "",
        "grant": grant,
        "client_zones": frozenset({"EU"}),
        "verdicts": (),
        "not_after_s": NOW_S + 3000,
    }
    return replace(made, **found | keys)  # type: ignore[arg-type] # any of its fields


@pytest.mark.parametrize(
    ("keys", "effect", "details"),
    [
        ({"roles": frozenset({"analyst"})}, "narrower", ("roles without dpo",)),
        ({"accounts": frozenset({"reader", "app", "root"})}, "wider", ("accounts with root",)),
        ({"targets": frozenset({"ledger", "hr"})}, "changed", ("targets without crm", "targets with hr")),
        ({"client_zones": ("EU",)}, "narrower", ("client_zones without CH",)),
        ({"zone": "DE"}, "changed", ("zone EU → DE",)),
        ({"duration_s_max": 60.0}, "narrower", ("duration_s_max 3600 → 60",)),
        ({"duration_s_max": 7200.0}, "wider", ("duration_s_max 3600 → 7200",)),
        ({"assurance_min": {}}, "wider", ("assurance_min.client corroborated → declared",)),
        ({"actions": frozenset()}, "wider", ("actions read, write → all",)),
        ({"actions": frozenset({"read"})}, "narrower", ("actions read, write → read",)),
        ({"actions": frozenset({"ddl"})}, "changed", ("actions read, write → ddl",)),
        ({"reveals": frozenset()}, "narrower", ("reveals without public.t.a",)),
        ({"hours": WORK}, "narrower", ("hours always → mon,tue,wed,thu,fri 08:00-18:00 (Europe/Berlin)",)),
        (
            {"roles": frozenset({"dpo"}), "duration_s_max": 7200.0},
            "changed",
            ("roles without analyst", "duration_s_max 3600 → 7200"),
        ),
    ],
)
def test_a_grant_that_was_rewritten_is_wider_narrower_or_neither(
    keys: dict[str, object], effect: str, details: tuple[str, ...]
) -> None:
    (change,) = changes(POLICY, with_grant(**keys))
    assert (change.rule, change.name, change.effect, change.details) == ("grant", "read", effect, details)
    assert change.who == ("analyst", "dpo")


def test_what_is_added_or_removed_is_said_of_all_tables() -> None:
    more = replace(
        POLICY,
        roles=(Role("analyst", frozenset({"eng", "data"})), Role("guest", frozenset({"x"}))),
        grants=POLICY.grants[:1],
        masks=(replace(MASK, mask=Nullify()), replace(MASK, column="public.t.c")),
        fields=(replace(FIELD, reveal=()),),
        regulated=(RegulatedRule("crm", "/y", ("$.id",), ()),),
    )
    assert [(each.rule, each.name, each.effect) for each in changes(POLICY, more)] == [
        ("role", "analyst", "wider"),
        ("role", "dpo", "removed"),
        ("role", "guest", "added"),
        ("grant", "other", "removed"),
        ("mask", "crm /x $.a", "narrower"),
        ("mask", "crm /y", "added"),
        ("mask", "ledger public.t.b", "changed"),
        ("mask", "ledger public.t.c", "added"),
    ]
    assert not changes(POLICY, POLICY)


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
    ApprovalRule(frozenset({"lead"}), 2),
)


@pytest.mark.parametrize(
    ("keys", "effect", "details"),
    [
        ({"approval": ApprovalRule(frozenset({"lead"}), 1)}, "wider", "approvers.votes_min 2 → 1"),
        ({"approval": ApprovalRule(frozenset({"lead", "x"}), 2)}, "wider", "approvers.roles with x"),
        ({"approval": ApprovalRule(frozenset({"lead"}), 2, False)}, "changed", "approvers have another veto"),
        ({"duration_s_max": 60.0}, "narrower", "duration_s_max 3600 → 60"),
        ({"rows_max": 10}, "changed", "rows_max None → 10"),
    ],
)
def test_what_may_be_asked_for_is_compared_too(keys: dict[str, object], effect: str, details: str) -> None:
    old = replace(POLICY, requests=(REQUEST,))
    new = replace(POLICY, requests=(replace(REQUEST, **keys),))  # type: ignore[arg-type] # any of its fields
    (change,) = changes(old, new)
    assert (change.rule, change.effect, change.who) == ("request", effect, ("analyst",))
    assert change.details[0].startswith(details)


def test_who_is_one_person_no_more_is_said() -> None:
    """He could approve what he asks for."""
    ada, root, eve = ("https://id", "ada"), ("known:keys", "root"), ("https://id", "eve")
    old = replace(POLICY, people=People([frozenset({ada, root}), frozenset({root, eve})]))
    new = replace(POLICY, people=People([frozenset({ada, root})]))
    assert [(each.rule, each.name, each.effect, each.details) for each in changes(old, new)] == [
        ("link", "https://id ada", "wider", ("without https://id eve",))
    ]
    assert [each.effect for each in changes(old, POLICY)] == ["removed"]
    assert not changes(old, old)


LESS = "the grant that it came in by allows less"


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({}, ""),
        ({"roles": frozenset({"analyst"})}, ""),
        ({"roles": frozenset({"dpo"})}, LESS),
        ({"targets": frozenset({"ledger"})}, ""),
        ({"targets": frozenset({"crm"})}, LESS),
        ({"accounts": frozenset({"reader"})}, ""),
        ({"accounts": frozenset({"app"})}, LESS),
        ({"zone": "DE"}, LESS),
        ({"client_zones": ("EU",)}, ""),
        ({"client_zones": ("CH",)}, LESS),
        ({"duration_s_max": 3599.0}, LESS),
        ({"duration_s_max": 9999.0}, ""),
        ({"hours": ALWAYS}, ""),
        ({"hours": replace(ALWAYS, spans=(Span(frozenset({0}), time(0), time(0)),))}, LESS),
        ({"actions": frozenset({"read"})}, LESS),
        ({"actions": frozenset()}, ""),
        ({"reveals": frozenset()}, LESS),
        ({"name": "renamed"}, "the grant that it came in by is gone"),
    ],
)
def test_a_session_ends_when_its_grant_has_less_for_it_and_for_nothing_else(keys: dict[str, object], why: str) -> None:
    assert ends(permit(), POLICY, with_grant(**keys), NOW_S) == why


def test_a_session_ends_when_a_role_of_its_own_is_lost_and_lives_on_when_one_comes() -> None:
    lost = replace(POLICY, roles=(Role("analyst", frozenset({"data"})),))
    assert ends(permit(), POLICY, lost, NOW_S) == "your groups no longer give you the role analyst"
    more = replace(POLICY, roles=(*POLICY.roles, Role("new", frozenset({"eng"}))))
    assert ends(permit(), POLICY, more, NOW_S) == ""


@pytest.mark.parametrize(
    ("masks", "ended"),
    [
        ((), True),
        ((MASK, replace(MASK, target="hr")), False),
        ((MASK, replace(MASK, column="public.t.c")), True),
        ((replace(MASK, mask=Nullify()),), True),
        ((replace(MASK, reveal=()),), False),
        ((replace(MASK, databases=frozenset({"ledger"})),), False),
        ((MASK, replace(MASK, target="hr", databases=frozenset({"other"}))), False),
        ((MASK, replace(MASK, column="public.t.a")), False),
    ],
)
def test_a_session_ends_when_it_does_not_see_the_same(masks: tuple[MaskRule, ...], ended: bool) -> None:
    """`public.t.a` is revealed by its grant, and `public.t.b` by none of its roles."""
    why = ends(permit(), POLICY, replace(POLICY, masks=masks), NOW_S)
    assert why == ("other things are hidden from you" if ended else "")


def test_what_is_hidden_in_another_database_is_nobodys_matter() -> None:
    other = replace(POLICY, masks=(MASK, replace(MASK, column="public.t.c", databases=frozenset({"other"}))))
    assert ends(permit(database="ledger"), POLICY, other, NOW_S) == ""
    assert ends(permit(database="other"), POLICY, other, NOW_S) == "other things are hidden from you"
    assert ends(permit(database=""), POLICY, other, NOW_S) == "other things are hidden from you"


def test_a_grant_that_is_not_the_policys_own_is_its_sources_matter() -> None:
    asked = permit(grant=replace(permit().grant, grant_id="request:1"))
    assert ends(asked, POLICY, replace(POLICY, grants=()), NOW_S) == ""


def test_fewer_actions() -> None:
    read, both, all_ = frozenset({"read"}), frozenset({"read", "write"}), frozenset[str]()
    assert [is_fewer(*pair) for pair in ((read, both), (both, read), (read, all_), (all_, read), (read, read))] == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_whoever_holds_the_policy_in_force_or_one_of_its_questions_follows_it() -> None:
    policy = InForce(POLICY)
    roles_of, identity = policy.roles_of, permit().identity
    assert (roles_of(identity), policy.roles, policy.number) == (frozenset({"analyst"}), POLICY.roles, 0)
    assert policy.grants_for(frozenset({"dpo"}), "ledger", NOW_S)
    assert policy.masks_for("ledger", "", frozenset(), frozenset())
    policy.change(Policy("s", (), (), (), number=2))
    assert (roles_of(identity), policy.roles, policy.number) == (frozenset(), (), 2)
    assert not policy.grants_for(frozenset({"dpo"}), "ledger", NOW_S)
    assert not policy.masks_for("ledger", "", frozenset(), frozenset())
    assert policy.fields_for("crm", frozenset(), frozenset()) == ((), ())
