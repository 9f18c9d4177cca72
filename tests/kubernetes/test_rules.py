"""Which requests to a cluster the rules let through."""

from typing import Any, ClassVar

import pytest
from pydantic import ValidationError
from twisted.internet.task import Clock
from zope.interface.verify import verifyClass, verifyObject

from hoopproxy.access.request import ApprovalRule
from hoopproxy.addons.kubernetes_rules import KubernetesRules, Rule, Settings
from hoopproxy.events import Action, Statement
from hoopproxy.interfaces import IAddonFactory, IStatementGuard
from hoopproxy.model import Allow, Pending, Refuse
from hoopproxy.relay.approvals import Approvals
from hoopproxy.requests import HttpRequest
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.house import LEDGER
from hoopproxy.wire.http.resources import read

from ..wire.http.clusters import TARGET, answered, passage


def statement(method: str, target: str) -> Statement:
    path, _, query = target.partition("?")
    http = HttpRequest(method, "gw", path, query, "HTTP/1.1")
    return Statement(1, Action.CALL, f"{method} {target}", http=http, kubernetes=read(method, path, query))


def answer(settings: dict[str, Any], method: str, target: str, *roles: str) -> Any:
    guard = KubernetesRules("rules", Settings.model_validate(settings))
    return answered(guard.examine(passage(*roles or ("dev",)), statement(method, target)))


def passes(settings: dict[str, Any], method: str, target: str, *roles: str) -> bool:
    said = answer(settings, method, target, *roles)
    assert isinstance(said, Allow | Refuse)
    return isinstance(said, Allow)


def allow(**keys: Any) -> dict[str, Any]:
    return {"rule": [{"decision": "allow", **keys}]}


def deny(**keys: Any) -> dict[str, Any]:
    return {"default": "allow", "rule": [{"decision": "deny", **keys}]}


PODS, POD = "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/pods/web"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/d"


def test_it_is_an_addon() -> None:
    assert verifyObject(IAddonFactory, KubernetesRules) and verifyClass(IStatementGuard, KubernetesRules)


def test_without_a_rule_only_discovery_passes() -> None:
    assert not passes({}, "GET", POD)
    assert not passes({}, "GET", "/metrics")
    assert not passes({}, "POST", "/api")
    for path in (
        "/api",
        "/api/",
        "/apis",
        "/apis/apps/v1",
        "/api/v1",
        "/openapi/v3/apis/apps/v1",
        "/version",
        "/readyz",
    ):
        assert passes({}, "GET", path), path


def test_other_protocols_are_other_guards_business() -> None:
    guard = KubernetesRules("rules", Settings())
    query = Statement(1, Action.QUERY, "SELECT 1")
    assert isinstance(answered(guard.examine(passage("dev", target=LEDGER), query)), Allow)


@pytest.mark.parametrize(
    ("keys", "method", "target", "fits"),
    [
        ({}, "DELETE", POD, True),
        ({"verbs": ["get"]}, "GET", POD, True),
        ({"verbs": ["get"]}, "GET", PODS, False),
        ({"verbs": ["list", "watch"]}, "GET", f"{PODS}?watch=1", True),
        ({"verbs": ["*"]}, "DELETE", PODS, True),
        ({"resources": ["pods"]}, "GET", POD, True),
        ({"resources": ["pods"]}, "GET", f"{POD}/log", False),
        ({"resources": ["pods/log"]}, "GET", f"{POD}/log", True),
        ({"resources": ["pods/*"]}, "GET", f"{POD}/exec", True),
        ({"resources": ["*/exec"]}, "POST", f"{POD}/exec", True),
        ({"resources": ["*"]}, "GET", f"{DEPLOYMENT}/scale", True),
        ({"resources": ["deployments"]}, "GET", DEPLOYMENT, False),
        ({"resources": ["apps/deployments"]}, "GET", DEPLOYMENT, True),
        ({"resources": ["*"]}, "GET", "/metrics", False),
        ({"paths": ["/metrics"]}, "GET", "/metrics", True),
        ({"paths": ["/metrics"]}, "GET", "/metrics/slis", False),
        ({"paths": ["/metrics*"]}, "GET", POD, False),
        ({"paths": ["/metrics"], "resources": ["pods"]}, "GET", POD, True),
        ({"paths": ["/metrics"], "resources": ["pods"]}, "GET", "/metrics", False),
        ({"namespaces": ["default"]}, "GET", POD, True),
        ({"namespaces": ["team-*"]}, "GET", POD, False),
        ({"namespaces": ["prod"]}, "GET", "/api/v1/namespaces/prod", True),
        ({"namespaces": ["default"]}, "GET", "/api/v1/nodes/n", False),
        ({"names": ["web*"]}, "GET", POD, True),
        ({"names": ["db"]}, "GET", POD, False),
        ({"targets": ["prod"]}, "GET", POD, True),
        ({"targets": ["test"]}, "GET", POD, False),
        ({"roles": ["dev", "ops"]}, "GET", POD, True),
        ({"roles": ["ops"]}, "GET", POD, False),
        ({"except_roles": ["dev"]}, "GET", POD, False),
    ],
)
def test_a_rule_fits_by_all_that_it_names(keys: dict[str, Any], method: str, target: str, fits: bool) -> None:
    assert passes(allow(**keys), method, target) is fits
    assert passes(deny(**keys), method, target) is not fits


@pytest.mark.parametrize(
    ("keys", "method", "target"),
    [
        ({"names": ["web"]}, "GET", PODS),
        ({"names": ["web"]}, "GET", f"{PODS}?watch=1"),
        ({"names": ["web"]}, "POST", PODS),
        ({"names": ["web"]}, "DELETE", PODS),
        ({"namespaces": ["default"]}, "GET", "/api/v1/pods"),
    ],
)
def test_what_names_nothing_may_be_about_anything(keys: dict[str, Any], method: str, target: str) -> None:
    assert not passes(allow(**keys), method, target)
    assert not passes(deny(**keys), method, target)


def test_a_selected_name_is_a_name() -> None:
    assert passes(allow(names=["web"]), "GET", f"{PODS}?fieldSelector=metadata.name%3Dweb")
    assert passes(deny(names=["db"]), "GET", f"{PODS}?fieldSelector=metadata.name%3Dweb")


def test_to_enter_a_pod_is_no_get() -> None:
    assert not passes(allow(verbs=["get"]), "GET", f"{POD}/exec?command=sh")
    assert not passes(deny(verbs=["create"]), "GET", f"{POD}/attach")


def test_the_first_rule_that_fits_decides() -> None:
    rules = {
        "rule": [
            {"decision": "allow", "roles": ["ops"]},
            {
                "decision": "deny",
                "resources": ["pods/exec"],
                "sentence": "No {verb} of {resource} in {namespace} of {target} ({name}).",
            },
            {"decision": "allow", "resources": ["pods*"]},
        ]
    }
    assert passes(rules, "GET", f"{POD}/exec", "ops")
    assert answer(rules, "GET", f"{POD}/exec") == Refuse("No create of pods/exec in default of prod (web).")
    assert passes(rules, "GET", f"{POD}/log")
    assert answer(rules, "DELETE", DEPLOYMENT) == Refuse(
        "delete apps/deployments is not allowed on prod: ask its owner."
    )
    assert answer(rules, "GET", "/metrics") == Refuse("get /metrics is not allowed on prod: ask its owner.")


def test_people_decide_about_a_verb() -> None:
    rules = {
        "default": "allow",
        "rule": [{"decision": "approve", "verbs": ["delete"], "approvers": {"roles": ["lead"], "votes_min": 2}}],
    }
    guard = KubernetesRules("rules", Settings.model_validate(rules))
    approvals = guard.approvals = Approvals(TwistedScheduler(Clock()), Limits(), lambda: "a" * 8)
    asked = answered(guard.examine(passage("dev"), statement("DELETE", DEPLOYMENT)))
    assert isinstance(asked, Pending)
    assert asked.request.startswith("On prod, delete apps/deployments needs an approval. It waits for 2 people who")
    (waiting,) = approvals.waiting()
    assert waiting.rule == ApprovalRule(frozenset({"lead"}), 2)
    assert answered(guard.examine(passage("dev"), statement("GET", DEPLOYMENT))) == Allow()


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"decision": "deny", "approvers": {"roles": ["lead"]}},
        {"decision": "maybe"},
        {"decision": "deny", "verbs": ["look"]},
        {"decision": "deny", "paths": ["metrics"]},
        {"decision": "deny", "sentence": "No {person}."},
        {"decision": "deny", "speed": 9},
    ],
)
def test_a_rule_that_makes_no_sense_stops_the_start(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate(rule)


@pytest.mark.parametrize(("target", "why"), [("nowhere", "does not"), ("ledger", "no Kubernetes cluster")])
def test_a_rule_names_clusters_that_there_are(target: str, why: str) -> None:
    class Setting:
        targets: ClassVar = {"prod": TARGET, "ledger": LEDGER}

    settings = Settings.model_validate(allow(targets=[target]))
    with pytest.raises(ValueError, match=why):
        KubernetesRules.build("rules", settings, Setting())  # type: ignore[arg-type] # it is asked for nothing else
