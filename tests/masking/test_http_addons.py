"""The two addons for HTTP: which fields are masked in a session, and which requests may leave."""

from collections.abc import Coroutine
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from pydantic import ValidationError
from twisted.internet.task import Clock
from zope.interface.verify import verifyClass, verifyObject

from hoopproxy.access.policy import FieldRule, Policy, RegulatedRule, Reveal, Role
from hoopproxy.addons import request_rules
from hoopproxy.addons.field_masks import FieldMasks
from hoopproxy.addons.request_rules import RequestRules
from hoopproxy.events import Action, Field, Format, Plan, Shape, Statement
from hoopproxy.interfaces import IAddonFactory, IMasker, IStatementGuard
from hoopproxy.masking import plans
from hoopproxy.masks import NO_CATALOG, Nullify, PerCell, Redact
from hoopproxy.model import (
    Allow,
    Arrival,
    Endpoint,
    Grant,
    Identity,
    Measurements,
    Passage,
    Pending,
    Permit,
    Refuse,
    Seal,
    Target,
)
from hoopproxy.relay.approvals import Approvals
from hoopproxy.requests import HttpRequest
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits

HERE = ip_address("127.0.0.1")
CRM = Target("crm", "http", "h", 443, "EU", "DE", None, {"app": ""})
LEDGER = replace(CRM, name="ledger", protocol="postgres")
CUSTOMER = "/v1/customers/{id}"
EUROPEANS = (Reveal(frozenset({"analyst"}), frozenset({"EU"})),)


def answered(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    return ended.value.value


def passage(*roles: str, zones: frozenset[str] = frozenset({"EU"}), target: Target = CRM) -> Passage:
    permit = Permit(
        session_id="s",
        arrival=Arrival("c", "web", "http", Endpoint(HERE, 1), 0.0),
        identity=Identity("i", "s", "Ada", frozenset(), 9e9, "test"),
        roles=frozenset(roles),
        target=target,
        account="app",
        database="",
        parameters={},
        grant=Grant("g", frozenset(roles), target.name, frozenset({"app"}), "EU", ("EU",), {}, 9e9),
        addresses=(HERE,),
        client_zones=zones,
        verdicts=(),
        not_after_s=9e9,
        seal=Seal(),
    )
    return Passage(permit, Endpoint(HERE, 443), Measurements(Endpoint(HERE, 443), ""), (), Seal())


SUPPORT = passage("support")


def test_they_are_what_they_say() -> None:
    for factory, interface in ((FieldMasks, IMasker), (RequestRules, IStatementGuard)):
        assert verifyObject(IAddonFactory, factory)
        assert verifyClass(interface, factory)


# field-masks ----------------------------------------------------------------------------------------------------------

MASKS = FieldMasks(
    "fields",
    Policy(
        "0" * 64,
        (),
        (),
        (),
        (
            FieldRule("crm", CUSTOMER, "$.cards[*].number", Nullify(), EUROPEANS),
            FieldRule("crm", "", "$..number", Redact(), ()),
            FieldRule("hr", "", "$.salary", Redact(), ()),
        ),
        (RegulatedRule("crm", "/v1/patients", ("$.id", "$.cards[*].number"), EUROPEANS),),
    ),
)


def shape(*paths: str) -> Shape:
    return Shape(tuple(Field("x", path, 0, 0, 25, -1, Format.TEXT) for path in paths))


def test_the_mask_set_follows_from_role_and_client_zone() -> None:
    everything = {f"{CUSTOMER} $.cards[*].number", "* $..number", "/v1/patients *"}
    assert answered(MASKS.protects(passage("support").permit)) == everything
    assert answered(MASKS.protects(passage("analyst", zones=frozenset({"US"})).permit)) == everything
    assert answered(MASKS.protects(passage("analyst").permit)) == {"* $..number"}
    assert answered(MASKS.protects(passage("support", target=LEDGER).permit)) == frozenset()


def test_fields_are_masked_by_place_and_the_first_rule_counts() -> None:
    fields = shape(
        f"{CUSTOMER} $.cards[*].number",
        f"{CUSTOMER} $.number",
        "* $.a.number.b",
        f"{CUSTOMER} $.name",
        "",
        "public.customers.number",
    )
    assert answered(MASKS.plan(passage("support"), fields)) == {0: Nullify(), 1: Redact(), 2: Redact()}
    assert answered(MASKS.plan(passage("analyst"), fields)) == {0: Redact(), 1: Redact(), 2: Redact()}


def test_what_a_list_leaves_out_is_redacted_names_and_all() -> None:
    fields = shape(
        *(f"/v1/patients {path}" for path in ("$.id", "$.id~", "$.cards~", "$.x", "$.x~", "$.cards[*].number"))
    )
    assert answered(MASKS.plan(passage("support"), fields)) == {3: Redact(), 4: Redact(), 5: Redact()}
    assert answered(MASKS.plan(passage("analyst"), fields)) == {5: Redact()}


def compiled(protected: frozenset[str], *answers: Any) -> Plan:
    fields = shape(f"{CUSTOMER} $.a")
    return plans.compile(fields, [(f"m{index}", each) for index, each in enumerate(answers)], NO_CATALOG, protected)


def test_a_mask_that_knows_the_place_goes_before_one_that_knows_looks() -> None:
    looks = {0: PerCell(bytes.upper, "looks")}
    for protected in ({f"{CUSTOMER} $.a"}, {"* $"}, {f"{CUSTOMER} *"}, {"* $..a"}):
        known = compiled(frozenset({"*", *protected}), looks, {0: Nullify()})
        assert known == compiled(frozenset(protected), {0: Nullify()})
    assert compiled(frozenset({"*", "/other $.a"}), looks, {0: Nullify()}) == compiled(frozenset({"*"}), looks)


def test_a_place_that_nobody_masks_is_not_shown() -> None:
    assert "* $.a" in compiled(frozenset({"*", "* $.a"})).refusal
    assert not compiled(frozenset({"* $.a"}), {0: Redact()}).refusal
    assert not compiled(frozenset({f"{CUSTOMER} *"})).refusal  # it is on the list


# request-rules --------------------------------------------------------------------------------------------------------


class Gateway:
    """The part of ISetting that the addon asks."""

    targets = {"crm": CRM, "ledger": LEDGER}  # noqa: RUF012
    policy = Policy("r", (Role("lead", frozenset()),), (), ())


def rules(*tables: dict[str, Any], **keys: Any) -> RequestRules:
    settings = request_rules.Settings.model_validate({"rule": tables, **keys})
    return RequestRules.build("requests", settings, Gateway())  # type: ignore[arg-type] # a part


def call(method: str, path: str, *headers: tuple[str, str]) -> Statement:
    request = HttpRequest(method, "crm.gw", path, "", "HTTP/1.1", "", headers)
    return Statement(1, Action.CALL, f"{method} {path}", http=request)


def verdicts(guard: RequestRules, *requests: str, of: Passage = SUPPORT) -> list[bool]:
    said = [answered(guard.examine(of, call(*request.split(" ")))) for request in requests]
    assert all(isinstance(each, Allow | Refuse) for each in said)
    return [isinstance(each, Allow) for each in said]


def test_the_first_rule_that_fits_decides() -> None:
    guard = rules({"allow": ["GET /admin/health"]}, {"deny": ["* /admin/**", "DELETE /**"]}, {"allow": ["* /**"]})
    assert verdicts(guard, "GET /admin/health", "POST /admin/health", "GET /admin/users", "GET /admin") == [
        True,
        False,
        False,
        False,
    ]
    assert verdicts(guard, "DELETE /x", "GET /x", "PUT /administrators") == [False, True, True]


def test_without_a_rule_the_default_decides() -> None:
    guard = rules({"allow": ["GET /v1/customers/{id}", "PUT,PATCH /v1/*/notes"]}, default="deny")
    assert verdicts(guard, "GET /v1/customers/7", "HEAD /v1/customers/7", "PATCH /v1/x/notes") == [True] * 3
    assert (
        verdicts(guard, "POST /v1/customers/7", "GET /v1/customers/7/x", "OPTIONS *", "PUT /v1/x/y/notes")
        == [False] * 4
    )
    assert verdicts(rules(default="deny"), "GET /") == [False]
    assert verdicts(rules(), "GET /") == [True]


def test_people_decide_about_each_spelling_of_a_request() -> None:
    guard = rules({"approve": ["DELETE /v1/**"], "approvers": {"roles": ["lead"]}}, {"allow": ["* /**"]})
    approvals = guard.approvals = Approvals(TwistedScheduler(Clock()), Limits(), iter("abcdefgh").__next__)
    for number, path in enumerate(("/v1/x", "/V1/x", "/v1/x/"), 1):
        asked = replace(call("DELETE", path), number=number)
        answer = answered(guard.examine(SUPPORT, asked))
        assert isinstance(answer, Pending) and f"On crm, DELETE {path} needs an approval." in answer.request
    assert [each.rule.roles for each in approvals.waiting()] == [frozenset({"lead"})] * 3
    assert verdicts(guard, "GET /v1/x", "DELETE /v2") == [True, True]
    with pytest.raises(ValueError, match="approvers belong to approve"):
        rules({"deny": ["* /x"], "approvers": {"roles": ["lead"]}})


def test_a_deny_holds_for_each_spelling_and_an_allow_for_one() -> None:
    deny, allow = rules({"deny": ["* /admin"]}), rules({"allow": ["* /admin"]}, default="deny")
    assert verdicts(deny, "GET /Admin", "GET /admin/", "GET /ADMIN/", "GET /admins") == [False, False, False, True]
    assert verdicts(allow, "GET /Admin", "GET /admin/", "GET /admin") == [False, False, True]


def test_a_deny_holds_for_a_format_that_frameworks_take_off() -> None:
    deny = rules({"deny": ["* /admin/users", "DELETE /v1/{id}"]})
    assert verdicts(deny, "GET /admin/users.json", "GET /admin/users.", "GET /admin/users%20", "DELETE /v1/7.xml") == (
        [False] * 4
    )
    assert verdicts(rules({"allow": ["* /admin"]}, default="deny"), "GET /admin.json") == [False]


@pytest.mark.parametrize("path", ["/a-*-*", "/{a}.{b}", "/**/x", "/a**", "/{a*}/b", "/x/{a", "/*{a}"])
def test_a_path_is_compared_in_one_pass(path: str) -> None:
    """What varies twice in a segment, or anywhere before the end, could be compared in very many ways."""
    with pytest.raises(ValidationError, match="between two slashes"):
        rules({"deny": [f"GET {path}"]})
    rules({"deny": ["GET /a-*-x/{id}.json/*/**", "GET /x/{rest*}", "GET /"]})


def test_a_path_that_could_be_another_is_refused_where_a_rule_binds() -> None:
    for path in ("//admin", "/x%2Fadmin", "/x;/admin", "/%2561dmin"):
        assert verdicts(rules({"deny": ["* /admin"]}), f"GET {path}") == [False]
        assert verdicts(rules({"deny": ["* /admin"], "targets": ["crm"], "roles": ["x"]}), f"GET {path}") == [True]


def test_a_rule_binds_by_target_and_role() -> None:
    guard = rules(
        {
            "deny": ["DELETE /**"],
            "targets": ["crm"],
            "except_roles": ["dba"],
            "sentence": "No {method} {path}: {target}.",
        },
        {"deny": ["PUT /**"], "roles": ["support"]},
    )
    said = answered(guard.examine(passage("support"), call("DELETE", "/x")))
    assert said == Refuse("No DELETE /x: crm.")
    assert verdicts(guard, "DELETE /x", "PUT /x", of=passage("dba")) == [True, True]
    assert verdicts(guard, "DELETE /x", "PUT /x", of=passage("support", target=replace(CRM, name="hr"))) == [
        True,
        False,
    ]


def test_a_rule_may_look_at_fields() -> None:
    deny = rules({"deny": ["* /**"], "headers": {"User-Agent": "curl/*"}})
    allow = rules({"allow": ["* /**"], "headers": {"X-Reason": "?*"}}, default="deny")
    asked: list[tuple[RequestRules, tuple[tuple[str, str], ...], bool]] = [
        (deny, (("user-agent", "curl/8"),), False),
        (deny, (("user-agent", "x"), ("User-Agent", "curl/8")), False),
        (deny, (("user-agent", "Mozilla"),), True),
        (deny, (), True),
        (allow, (("x-reason", "INC-1"),), True),
        (allow, (("x-reason", "INC-1"), ("x-reason", "")), False),
        (allow, (("x-reason", "INC-1"), ("X_Reason", "")), False),  # to CGI, WSGI and PHP it is the same field
        (allow, (), False),
    ]
    for guard, headers, allowed in asked:
        said = answered(guard.examine(passage("support"), call("GET", "/x", *headers)))
        assert isinstance(said, Allow) is allowed, headers


def test_other_statements_pass() -> None:
    guard = rules(default="deny")
    assert answered(guard.examine(passage("support"), Statement(1, Action.QUERY, "SELECT 1"))) == Allow()


def test_its_settings_name_what_is_wrong() -> None:
    for table, said in (
        ({}, "exactly one of allow, deny and approve"),
        ({"allow": ["GET /"], "deny": ["GET /"]}, "exactly one of allow, deny and approve"),
        ({"allow": ["get /"]}, "'get /' is no request"),
        ({"allow": ["GET v1"]}, "no request"),
        ({"deny": ["* /"], "sentence": "{who}"}, "no other braces"),
        ({"deny": ["* /"], "target": "crm"}, "target"),
    ):
        with pytest.raises(ValidationError, match=said):
            rules(table)
    with pytest.raises(ValueError, match=r"'hr', which targets\.toml does not"):
        rules({"deny": ["* /"], "targets": ["hr"]})
    with pytest.raises(ValueError, match="'ledger', which speaks postgres"):
        rules({"deny": ["* /"], "targets": ["ledger"]})
