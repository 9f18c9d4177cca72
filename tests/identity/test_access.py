"""The two addons that answer from the files of configuration, and roles and grants as they come out of them."""

from dataclasses import replace
from types import MappingProxyType

from hoopproxy.access.policy import GrantRule, Policy, Role
from hoopproxy.addons import policy_grants, targets_file
from hoopproxy.model import Assurance, Identity, SubjectKind, Target, UpstreamTls
from hoopproxy.targets import PodTarget

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


def test_a_target_over_http_is_routed_by_its_name_or_its_host_with_its_port(place: Place) -> None:
    crm = replace(LEDGER, name="crm", protocol="http", host="crm.example", port=443)
    cluster = replace(LEDGER, name="prod", protocol="kubernetes", host="2001:db8::7", port=6443)
    raw = replace(crm, name="raw", protocol="tcp")
    near = replace(crm, name="near", host="10.0.0.7", port=80)
    targets = {target.name: target for target in (raw, LEDGER, crm, cluster, near)}
    router = targets_file.TargetsFile.build(
        "targets", targets_file.Settings(), replace(place.setting, targets=MappingProxyType(targets))
    )
    found = {
        "crm.example:443": crm,  # though raw TCP has the place, too: it has a second name
        "raw:443": raw,
        "CRM.example:443": crm,
        "[2001:db8::7]:6443": cluster,
        "[2001:DB8:0::7]:6443": cluster,
        "10.0.0.7:80": near,
        "[::ffff:10.0.0.7]:80": near,
    }
    unknown = ["crm:443", "crm.example:80", "crm.example", "db:5432"]
    # Whoever asks a forward proxy for these asks for names that no target has.
    unknown += ["localhost:80", "127.0.0.1:80", "127.1:80", "2130706433:80", "0x7f000001:80", "0177.0.0.1:80", "0:80"]
    unknown += ["[::1]:80", "[::ffff:127.0.0.1]:80", "[::]:80", "169.254.169.254:80", "[::ffff:169.254.169.254]:80"]
    unknown += ["[64:ff9b::a9fe:a9fe]:80", "2852039166:80", "metadata.google.internal:80", "[fd00:ec2::254]:80"]
    unknown += ["10.0.7:80", "167772167:80", "①②⑦.⓪.⓪.①:80", "010.0.0.7:80"]
    assert {name: run(router.route(ADA, name)) for name in [*found, *unknown]} == found | dict.fromkeys(unknown)


def test_a_port_of_a_pod_is_routed_to_the_target_whose_pattern_it_fits_and_to_that_pod_alone(place: Place) -> None:
    cluster = replace(LEDGER, name="prod", protocol="kubernetes")
    web = replace(cluster, name="web", protocol="pod", pod=PodTarget("prod", "shop", "web-*", 5432))
    rest = replace(web, name="rest", pod=PodTarget("prod", "shop", "*", 5432))
    other = replace(web, name="other", pod=PodTarget("prod", "shop", "web-*", 80))
    router = targets_file.TargetsFile.build(
        "targets",
        targets_file.Settings(),
        replace(place.setting, targets=MappingProxyType({each.name: each for each in (cluster, web, rest, other)})),
    )
    found = run(router.route(ADA, "prod:shop/web-0:5432"))
    assert found == replace(web, pod=PodTarget("prod", "shop", "web-0", 5432), databases=("web-0",))
    names = ["prod:shop/api:5432", "prod:shop/web-0.x:80", "prod:shop/web-0:81", "prod:shop/web-0:05432"]
    names += ["prod:other/web-0:5432", "test:shop/web-0:5432", "prod:shop/web-0", "prod:shop/we/b-0:5432"]
    names += ["prod:shop/web-*:5432", "prod:shop/web-0?x:5432", "prod:shop/web-..:5432", "prod:shop/Web-0:5432"]
    targets = [run(router.route(ADA, name)) for name in names]
    assert [target and target.name for target in targets] == ["rest", "other", *[None] * 10]


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
