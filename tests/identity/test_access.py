"""The two addons that answer from the files of configuration, and roles and grants as they come out of them."""

from dataclasses import replace
from types import MappingProxyType

from hoopproxy.access.policy import GrantRule, Policy, Role
from hoopproxy.addons import policy_grants, targets_file
from hoopproxy.model import Assurance, Identity, SubjectKind, Target, UpstreamTls

from .conftest import START_S, Place, run

LEDGER = Target("ledger", "postgres", "db", 5432, "EU", "DE", UpstreamTls("db", "ca.pem"), {"app": "ledger-app"})
ADA = Identity("https://id.example", "ada", "Ada", frozenset({"eng", "oncall"}), START_S + 600, "corp")
RULE = GrantRule(
    "analysts-read",
    frozenset({"analyst", "dpo"}),
    frozenset({"ledger"}),
    frozenset({"app"}),
    "EU",
    ("EU", "US"),
    {SubjectKind.DESTINATION: Assurance.CORROBORATED},
    3600.0,
)
POLICY = Policy(
    "r",
    (Role("analyst", frozenset({"eng"})), Role("dpo", frozenset({"legal"}))),
    (RULE, replace(RULE, name="other", targets=frozenset({"crm"}))),
    (),
)


def test_a_target_is_routed_by_its_name(place: Place) -> None:
    setting = replace(place.setting, targets=MappingProxyType({"ledger": LEDGER}))
    router = targets_file.TargetsFile.build("targets", targets_file.Settings(), setting)
    assert run(router.route(ADA, "ledger")) is LEDGER
    assert run(router.route(ADA, "Ledger")) is None


def test_a_target_for_raw_tcp_is_routed_by_its_name_or_host_with_its_port(place: Place) -> None:
    cache = replace(LEDGER, name="the_Cache", protocol="tcp", host="cache.example", port=6379)
    twin = replace(cache, name="twin")
    local = replace(cache, name="local", host="::1")
    targets = {target.name: target for target in (LEDGER, cache, twin, local)}
    router = targets_file.TargetsFile.build(
        "targets", targets_file.Settings(), replace(place.setting, targets=MappingProxyType(targets))
    )
    found = {
        "the_Cache": cache,
        "the_Cache:6379": cache,
        "cache.example:6379": cache,
        "CACHE.Example:6379": cache,
        "twin:6379": twin,
        "[::1]:6379": local,
        "[0:0:0:0:0:0:0:1]:6379": local,
    }
    unknown = ["the_Cache:6380", "the_cache:6379", "cache.example", "cache.example:06379", "db:5432", "ledger:5432"]
    assert {name: run(router.route(ADA, name)) for name in [*found, *unknown]} == found | dict.fromkeys(unknown)


def test_groups_make_roles_and_roles_make_grants(place: Place) -> None:
    setting = replace(place.setting, policy=POLICY)
    grants = policy_grants.PolicyGrants.build("standing", policy_grants.Settings(), setting)
    roles = POLICY.roles_of(ADA)
    assert roles == {"analyst"}
    (grant,) = run(grants.grants(ADA, roles, LEDGER, START_S))
    assert (grant.grant_id, grant.roles, grant.not_after_s) == ("policy:analysts-read", {"analyst"}, START_S + 3600)
    assert (grant.zone, grant.client_zones) == ("EU", ("EU", "US"))
    assert run(grants.grants(ADA, frozenset(), LEDGER, START_S)) == ()
    assert run(grants.grants(ADA, frozenset({"dpo"}), replace(LEDGER, name="hr"), START_S)) == ()
