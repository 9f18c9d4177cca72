"""What a cluster is asked, in whose name, and what of its answers a client gets."""

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from hoopproxy.events import Action, Statement
from hoopproxy.settings import Limits
from hoopproxy.targets import KubernetesTarget
from hoopproxy.wire.http.kubernetes import KubernetesReading
from hoopproxy.wire.http.messages import Answer, Headers, RequestHead, ResponseHead
from hoopproxy.wire.http.pod_channels import V4, V5
from hoopproxy.wire.http.port_forward import PortForward
from hoopproxy.wire.http.resource_masks import SECRETS_MASKED, SECRETS_SHOWN, ResourceProtection
from hoopproxy.wire.http.websocket import Sockets

from .clusters import GREETING, TARGET, passage, request

UPGRADE = (
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
)
EXEC = "/api/v1/namespaces/default/pods/web/exec?command=psql&command=-c&command=SELECT+1&stdin=true&tty=true"


def reading(*protected: str, **changes: object) -> KubernetesReading:
    return KubernetesReading(passage(**changes), GREETING, frozenset(protected), Limits())  # type: ignore[arg-type] # checked by passage itself


def asked(said: Statement | Answer) -> Statement:
    assert isinstance(said, Statement), said
    return said


def refused(said: object) -> tuple[int, str]:
    assert isinstance(said, Answer)
    status = json.loads(said.body)
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", said.status)
    assert status["message"].endswith(" (session s1)")
    return said.status, status["message"].removesuffix(" (session s1)")


def sent(head: RequestHead, **changes: object) -> RequestHead:
    machine = reading(**changes)
    asked(machine.ask(1, head))
    return machine.outgoing(head)


def exec_of(*protocols: str, subresource: str = "exec") -> RequestHead:
    offers = tuple(("sec-websocket-protocol", each) for each in protocols)
    return request("GET", EXEC.replace("exec", subresource), *UPGRADE, *offers)


def response(status: int, *fields: tuple[str, str]) -> ResponseHead:
    return ResponseHead(status, "", "HTTP/1.1", Headers(fields))


# What is asked -------------------------------------------------------------------------------------------------------


def test_a_request_is_judged_by_what_it_means() -> None:
    statement = asked(reading().ask(3, request("GET", "/apis/apps/v1/namespaces/a/deployments/d?pretty=1")))
    assert (statement.number, statement.action) == (3, Action.CALL)
    assert statement.text == "GET /apis/apps/v1/namespaces/a/deployments/d?pretty=1"
    assert statement.outline == "get apps/deployments in a"
    assert statement.kubernetes is not None and statement.kubernetes.resource == "deployments"
    assert statement.http is not None
    assert (statement.http.path, statement.http.endpoint) == (
        "/apis/apps/v1/namespaces/a/deployments/d",
        "apps/deployments",
    )
    assert "authorization" not in {name for name, _ in statement.http.headers}


def test_what_runs_in_a_pod_is_a_run() -> None:
    statement = asked(reading().ask(1, exec_of(V5)))
    assert statement.action is Action.RUN
    assert statement.outline == "exec default/web -- psql"
    assert statement.kubernetes is not None and statement.kubernetes.verb == "create"


def test_a_path_that_could_mean_two_things_is_refused() -> None:
    assert refused(reading().ask(1, request("GET", "/api/v1/namespaces/a%2Fsecrets")))[0] == 400
    assert refused(reading().ask(1, request("GET", "/api/v1/pods?watch=1;x")))[0] == 400
    assert refused(reading().ask(1, request("OPTIONS", "/api/v1/pods")))[0] == 400


def test_another_cluster_is_another_connection_s() -> None:
    other = replace(request("GET", "/api"), target="/clusters/test/api")
    assert refused(reading().ask(1, other))[0] == 421


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/nodes/n/proxy/exec",
        "/api/v1/namespaces/a/services/s/proxy/admin",
        "/api/v1/namespaces/a/pods/p/proxy",
        "/api/v1/proxy/namespaces/a/pods/p",
        "/api/v1/namespaces/a/serviceaccounts/s/token",
        "/api/v1/namespaces/a/pods/p/frobnicate",
        "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/v/console",
        "/apis/evil.example/v1/namespaces/a/pods/p/exec",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_leads_past_the_gateway_is_refused(method: str, target: str) -> None:
    code, sentence = refused(reading().ask(1, request(method, target)))
    assert code == 403 and sentence.endswith(".")


@pytest.mark.parametrize("subresource", ["status", "scale", "log", "eviction", "binding", "ephemeralcontainers"])
def test_other_subresources_pass(subresource: str) -> None:
    asked(reading().ask(1, request("GET", f"/api/v1/namespaces/a/pods/p/{subresource}")))


# In whose name -------------------------------------------------------------------------------------------------------


def test_a_request_goes_out_in_its_person_s_name_and_with_the_gateway_s_token() -> None:
    head = sent(request("GET", "/api/v1/pods?limit=5", ("accept", "application/json")))
    assert head.target == "/api/v1/pods?limit=5"
    assert (head.authority, head.scheme) == ("api.example:6443", "https")
    fields = [(name.lower(), value) for name, value in head.headers.fields]
    assert ("authorization", "Bearer gateway-token") in fields
    assert [each for each in fields if each[0].startswith("impersonate")] == [
        ("impersonate-user", "ada@example.com"),
        ("impersonate-group", "analysts"),
    ]
    assert "user-token" not in str(fields)


@pytest.mark.parametrize(
    "fields",
    [
        (("Impersonate-User", "root"), ("Impersonate-Group", "system:masters")),
        (("impersonate-uid", "0"), ("Impersonate-Extra-scopes", "all")),
        (("Connection", "Impersonate-User, Impersonate-Group, Authorization"),),
        (("connection", "impersonate-user"), ("impersonate-user", "root")),
        (("impersonate_user", "root"),),
        (("X-Remote-User", "root"), ("x-remote-group", "system:masters"), ("X-Remote-Extra-Foo", "1")),
        (("X-Forwarded-User", "root"), ("cookie", "a=b")),
    ],
)
def test_what_the_client_claims_changes_nothing(fields: tuple[tuple[str, str], ...]) -> None:
    wanted = sent(request("GET", "/api")).headers
    got = sent(request("GET", "/api", *fields)).headers
    claims = [each for each in got.fields if not each[0].lower() == "cookie"]
    assert claims == list(wanted.fields)


@pytest.mark.parametrize(
    "name",
    ["eve@elsewhere.com", "system:admin@example.com", "a\r\nb@example.com", " a@example.com", "@example.com\x85"],
)
def test_who_may_not_come_is_told_at_each_request(name: str) -> None:
    machine = reading(name=name)
    for number in (1, 2):
        code, sentence = refused(machine.ask(number, request("GET", "/api/v1/pods")))
        assert code == 403 and "not among the users" in sentence


def test_who_only_asks_what_there_is_is_told_in_plain_text() -> None:
    said = reading(name="eve").ask(1, request("GET", "/apis"))
    assert isinstance(said, Answer)
    assert said.headers.get("content-type") == "text/plain; charset=utf-8"
    assert said.body.decode().startswith("You are not among the users")


def test_the_subject_may_be_the_user() -> None:
    cluster = KubernetesTarget("subject", ("ada-*",), frozenset())
    head = sent(request("GET", "/api"), target=replace(TARGET, kubernetes=cluster))
    assert list(head.headers.all("impersonate-user")) == ["ada-subject"]
    assert list(head.headers.all("impersonate-group")) == []


def test_groups_are_those_of_the_cluster_and_never_privileged() -> None:
    groups = frozenset({"ops", "analysts", "system:masters", "other"})
    head = sent(request("GET", "/api"), groups=groups)
    assert list(head.headers.all("impersonate-group")) == ["analysts", "ops"]


def test_names_of_any_script_arrive() -> None:
    head = sent(request("GET", "/api"), name="jürgen@example.com")
    user = head.headers.get("impersonate-user")
    assert user is not None and user.encode("latin-1").decode() == "jürgen@example.com"


# What comes back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_cluster_leads_nobody_elsewhere(status: int) -> None:
    for head in (request("GET", "/api"), exec_of(V5)):
        assert refused(reading().incoming(head, response(status, ("location", "/api"))))[0] == 502


def test_what_has_not_changed_is_told() -> None:
    shown = reading().incoming(request("GET", "/openapi/v3"), response(304))
    assert isinstance(shown, ResponseHead) and shown.status == 304


@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_upgrade_is_made_or_refused(status: int) -> None:
    """CVE-2020-8559: whatever else would be shown as the answer of the pod."""
    assert refused(reading().incoming(exec_of(V5), response(status)))[0] == 502


def test_a_refused_upgrade_is_shown() -> None:
    shown = reading().incoming(exec_of(V5), response(403, ("content-type", "application/json")))
    assert isinstance(shown, ResponseHead) and shown.status == 403


def test_nobody_is_asked_for_the_gateway_s_credential() -> None:
    assert refused(reading().incoming(request("GET", "/api"), response(401, ("www-authenticate", "Bearer"))))[0] == 502


# Pods ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offers", "upstream", "chosen", "shown"),
    [
        ((V5,), [V5, V4], V5, V5),
        ((V5,), [V5, V4], V4, V5),
        ((f"{V5}, {V4}", "channel.k8s.io"), [V5, V4], V4, V5),
        ((V4, "base64url.bearer.authorization.k8s.io.dXNlci10b2tlbg"), [V4], V4, V4),
    ],
)
def test_the_newest_version_that_both_speak_is_spoken(
    offers: tuple[str, ...], upstream: list[str], chosen: str, shown: str
) -> None:
    machine, head = reading(), exec_of(*offers)
    asked(machine.ask(1, head))
    out = machine.outgoing(head)
    assert out.wants_upgrade
    assert [each.strip() for each in (out.headers.get("sec-websocket-protocol") or "").split(",")] == upstream
    answer = machine.incoming(head, response(101, *UPGRADE[:2], ("sec-websocket-protocol", chosen)))
    assert isinstance(answer, ResponseHead) and answer.headers.get("sec-websocket-protocol") == shown
    assert isinstance(machine.upgraded(1, head, answer), Sockets)


@pytest.mark.parametrize("chosen", ["", "channel.k8s.io", "base64.channel.k8s.io", f"{V5}, {V4}"])
def test_a_protocol_that_nobody_offered_is_refused(chosen: str) -> None:
    answer = response(101, *UPGRADE[:2], ("sec-websocket-protocol", chosen))
    assert refused(reading().incoming(exec_of(V5), answer))[0] == 502


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (request("POST", EXEC), "kubectl 1.30"),
        (request("GET", "/api/v1/pods", ("connection", "Upgrade"), ("upgrade", "SPDY/3.1")), "kubectl 1.30"),
        (request("GET", "/api/v1/pods?watch=1", *UPGRADE), "only for exec"),
        (request("GET", "/api/v1/namespaces/a/pods/p/log", *UPGRADE), "only for exec"),
        (exec_of("channel.k8s.io"), "v5.channel.k8s.io"),
        (exec_of(), "v5.channel.k8s.io"),
    ],
)
def test_other_ways_into_a_pod_are_refused_with_a_way_out(head: RequestHead, sentence: str) -> None:
    code, said = refused(reading().ask(1, head))
    assert code == 403 and sentence in said


@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
def test_spdy_is_refused_behind_the_guards(subresource: str) -> None:
    """kubectl turns to it when a WebSocket was refused, and shows why this was."""
    spdy = (("connection", "Upgrade"), ("upgrade", "SPDY/3.1"))
    head = replace(request("POST", EXEC.replace("exec", subresource), *spdy), is_bodyless=True)
    machine = reading()
    assert asked(machine.ask(1, head)).action is Action.CALL
    assert "use kubectl 1.30" in refused(machine.upgraded_here(1, head))[1]
    assert refused(reading().ask(1, replace(head, is_bodyless=False)))[0] == 403
    assert refused(reading().ask(1, replace(head, version="HTTP/2.0")))[0] == 403


def test_a_port_forward_is_answered_here() -> None:
    target = "/api/v1/namespaces/default/pods/web/portforward"
    head = request("GET", target, *UPGRADE, ("sec-websocket-protocol", "SPDY/3.1+portforward.k8s.io"))
    machine = reading()
    asked(machine.ask(1, head))
    here = machine.upgraded_here(1, head)
    assert isinstance(here, tuple) and isinstance(here[1], PortForward)
    assert reading().upgraded_here(1, exec_of(V5)) is None


# Masks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_without_a_word_on_secrets_nobody_gets_at_one(method: str) -> None:
    code, sentence = refused(reading().ask(1, request(method, "/api/v1/namespaces/a/secrets/s")))
    assert code == 403 and "Secrets" in sentence
    asked(reading(*SECRETS_MASKED).ask(1, request(method, "/api/v1/namespaces/a/secrets/s")))
    asked(reading(*SECRETS_SHOWN).ask(1, request(method, "/api/v1/namespaces/a/secrets/s")))


TABLES = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)


@pytest.mark.parametrize(
    ("protected", "target", "accept", "wanted"),
    [
        (SECRETS_MASKED, "/api/v1/secrets", "application/vnd.kubernetes.protobuf", "application/json"),
        (SECRETS_MASKED, "/api/v1/secrets", TABLES, TABLES),
        (
            SECRETS_SHOWN,
            "/api/v1/secrets",
            "application/vnd.kubernetes.protobuf",
            "application/vnd.kubernetes.protobuf",
        ),
        (SECRETS_MASKED, "/api/v1/pods", "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"),
        ("*", "/api/v1/pods", "application/vnd.kubernetes.protobuf,application/json", "application/json"),
        (["pods $.spec.x"], "/api/v1/pods", TABLES, "application/json"),
        ("*", "/api/v1/namespaces/a/pods/p/log", "text/plain", "text/plain"),
    ],
)
def test_what_may_be_masked_is_asked_for_in_json(
    protected: Iterable[str], target: str, accept: str, wanted: str
) -> None:
    head = request("GET", target, ("accept", accept))
    out = reading(*protected).outgoing(head).headers.get("accept") or ""
    assert set(map(str.strip, out.split(","))) == set(wanted.split(","))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("$.data.x", "$.data.x"),
        ("$.items[*].data.x", "$.data.x"),
        ("$.object.data.x", "$.data.x"),
        ('$.object["data"]', '$["data"]'),
        ("$.rows[*].object.metadata.name", "$.metadata.name"),
        ("$.object.rows[*].object.metadata.name", "$.metadata.name"),
        ("$.items", "$.items"),
        ("$.objects.x", "$.objects.x"),
        ("$", "$"),
    ],
)
def test_a_place_is_the_object_s_own(path: str, place: str) -> None:
    protection = ResourceProtection.of(SECRETS_MASKED, "secrets")
    assert protection.of_field(path) == f"secrets {place}"
