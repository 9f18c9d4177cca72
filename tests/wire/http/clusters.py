"""A session with a cluster, as its reading and the addons that judge it are given one."""

from collections.abc import Coroutine, Mapping
from ipaddress import ip_address
from typing import Any

from hoopproxy.model import (
    NOTHING,
    Arrival,
    Endpoint,
    Grant,
    Identity,
    Measurements,
    Passage,
    Permit,
    Seal,
    Target,
    UpstreamTls,
)
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.targets import KubernetesTarget
from hoopproxy.wire.http.messages import AUTHORITY, FORM, PREFIX, SCHEME, Headers, HttpGreeting, RequestHead

HERE = ip_address("127.0.0.1")
CLUSTER = KubernetesTarget("name", ("*@example.com",), frozenset({"analysts", "system:masters", "ops"}))
TARGET = Target(
    "prod",
    "kubernetes",
    "api.example",
    6443,
    "EU",
    "DE",
    UpstreamTls("api.example", None),
    {"people": "x"},
    kubernetes=CLUSTER,
)
GREETING = HttpGreeting("", TargetSecret("gateway", Secret("gateway-token")))
PARAMETERS = {AUTHORITY: "gw:6443", SCHEME: "https", FORM: "origin", PREFIX: "/clusters/prod"}


def passage(
    *roles: str,
    name: str = "ada@example.com",
    groups: frozenset[str] = frozenset({"analysts", "people"}),
    target: Target = TARGET,
    zones: frozenset[str] = frozenset({"EU"}),
    parameters: Mapping[str, str] = NOTHING,
) -> Passage:
    """Through which somebody with these roles and groups reaches it."""
    grant = Grant("g", frozenset(roles), target.name, frozenset({"people"}), "EU", ("EU",), {}, 9e9)
    permit = Permit(
        session_id="s1",
        arrival=Arrival("c", "clusters", "kubernetes", Endpoint(HERE, 1), 0.0),
        identity=Identity("i", "ada-subject", name, groups, 9e9, "test"),
        roles=frozenset(roles),
        target=target,
        account="people",
        database="",
        parameters=PARAMETERS | dict(parameters),
        grant=grant,
        addresses=(HERE,),
        client_zones=zones,
        verdicts=(),
        not_after_s=9e9,
        seal=Seal(),
    )
    return Passage(permit, Endpoint(HERE, 6443), Measurements(Endpoint(HERE, 6443), ""), (), Seal())


def request(method: str, target: str, *fields: tuple[str, str]) -> RequestHead:
    """A client's, with its token."""
    headers = Headers((("authorization", "Bearer user-token"), *fields))
    return RequestHead(method, "", "gw:6443", f"/clusters/prod{target}", "HTTP/1.1", headers, method == "GET")


def answered(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")
