"""Harness: a client that spells paths, queries and fields oddly, before rules that go by what they mean.

Beside the gateway's reading of a path stand those that servers have: whatever they take it for, the rules have seen.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from fuzz.choices import Choices
from fuzz.http_says import SECRET, TOKEN, fields_of
from hoopproxy.events import Statement
from hoopproxy.requests import KubernetesRequest
from hoopproxy.settings import Limits
from hoopproxy.wire.http.endpoints import Ambiguous, Endpoints, fits, plain
from hoopproxy.wire.http.fields import folded
from hoopproxy.wire.http.impersonation import is_claim
from hoopproxy.wire.http.kubernetes import KubernetesReading
from hoopproxy.wire.http.messages import Answer, Headers, RequestHead, ResponseHead
from hoopproxy.wire.http.resource_masks import SECRETS_MASKED
from tests.wire.http.clusters import GREETING, passage

ENDPOINTS = Endpoints(("/v1/customers/{id}", "/v1/customers", "/admin/{path*}"))
DENIED = fits("/admin/**", loosely=True)
TOKENS = ("authorization", f"Bearer {TOKEN}")

PIECES = (
    *r"/ / / v1 customers admin Admin 17 . .. %2e %2E%2e %2f %5c \ ; ;a=b".split(),
    *("%00", "%0a", "%20", " "),
    *"%25 %252e %61dmin # %23 %3f * ~ é %c3%a9 %ff % %zz".split(),
    *"/../admin /..;/admin /%2e%2e/admin/x /%2561dmin/x /admin%3fx /admin%23x /admin;x/y //admin/x".split(),
)
WORDS = (
    *"api apis v1 v1 apps namespaces default secrets secrets pods web exec log proxy".split(),
    *"watch status finalize portforward attach token Secrets".split(),
    *("sec rets", ""),
    *".. %73ecrets a%2fb serviceaccounts deployments scale eviction other nodes x:8080 binding".split(),
)
QUERIES = (
    *("", ""),
    *"watch=1 watch=true&watch=0 watch fieldSelector=metadata.name=db fieldSelector=metadata.name!=db".split(),
    *"command=sh&tty=1 a;b a=%zz fieldSelector=metadata.name%3Ddb,metadata.name=x pretty=1 %77atch=1 a=\x7f".split(),
)
FIELDS = (
    *fields_of(
        "Impersonate-User: root | impersonate-group: system:masters | Impersonate_User: root | X-Remote-User: root"
    ),
    *fields_of("Impersonate-Extra-x: y | IMPERSONATE-UID: 0 | Connection: impersonate-user | Connection: upgrade"),
    *fields_of("Upgrade: websocket | Upgrade: SPDY/3.1 | Sec-WebSocket-Protocol: v4.channel.k8s.io"),
    ("Sec-WebSocket-Protocol", f"base64url.bearer.authorization.k8s.io.{TOKEN}, v5.channel.k8s.io"),
    *fields_of("Accept: application/vnd.kubernetes.protobuf | Accept: application/json;as=Table;v=v1,application/json"),
    *fields_of(
        f"Proxy-Authorization: {TOKEN} | Content-Type: application/json-patch+json | Cookie: a=b | Authorization: x"
    ),
)
METHODS = ("GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "QUERY")


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    if choices.byte() & 1:
        _spelled(choices)
    else:
        _asked(choices)


# Any path -------------------------------------------------------------------------------------------------------------


def _spelled(choices: Choices) -> None:
    raw = "".join(choices.pick(PIECES) for _ in range(1 + choices.below(9)))
    raw = raw if raw.startswith("/") else f"/{raw}"
    try:
        path = ENDPOINTS.settled(raw)
    except Ambiguous:
        return
    assert ENDPOINTS.settled(path) == path == plain(path)
    denied = bool(DENIED(path))
    assert denied == (ENDPOINTS.of(path) == "/admin/{path*}")
    for seen in _readings(path):
        assert denied or not _is_admin(seen), f"a server takes {path} for {seen}"


def _readings(path: str) -> Iterator[str]:
    """What servers may make of it: they decode once or twice, merge slashes, take dots and parameters out."""
    for decoded in (path, unquote(path), unquote(unquote(path))):
        yield decoded
        merged = re.sub(r"/+", "/", decoded.replace("\\", "/"))
        yield merged
        yield _without_dots(merged)
        yield _without_dots(re.sub(r";[^/]*", "", merged))
        yield decoded.partition("?")[0].partition("#")[0].partition("\0")[0]


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept).removeprefix("/")


def _is_admin(path: str) -> bool:
    return path.lower().rstrip("/ .") == "/admin" or path.lower().startswith("/admin/")


# A cluster's ----------------------------------------------------------------------------------------------------------


def _asked(choices: Choices) -> None:
    begins = choices.pick(("", "/api/v1", "/api/v1", "/apis/apps/v1", "/api/v1/namespaces/default", "/api/v1/watch"))
    path = begins + "/" + "/".join(choices.pick(WORDS) for _ in range(1 + choices.below(5)))
    path += "/" * (choices.byte() & 1)
    query = choices.pick(QUERIES)
    fields = [choices.pick(FIELDS) for _ in range(choices.below(5))]
    method = choices.pick(METHODS)
    target = f"/clusters/prod{path}" + (f"?{query}" if query else "")
    request = RequestHead(method, "", "gw:6443", target, "HTTP/1.1", Headers((TOKENS, *fields)), method != "POST")
    reading = KubernetesReading(passage(), GREETING, SECRETS_MASKED, Limits())
    asked = reading.ask(1, request)
    if isinstance(asked, Answer):
        assert 400 <= asked.status < 500
        return
    assert isinstance(asked, Statement) and asked.kubernetes is not None and asked.http is not None
    _meant(asked.kubernetes, asked.http.path)
    made = reading.upgraded_here(1, request)
    if made is None:
        _sent(reading, request)


def _meant(asked: KubernetesRequest, path: str) -> None:
    """Nothing on the way to a Secret is anything else to the rules."""
    words = [unquote(each) for each in path.split("/") if each]
    assert asked.subresource != "token" and "proxy" not in (asked.verb, asked.subresource)
    if words[:1] == ["api"] and "secrets" in words[2:]:
        rest = words[2:]
        rest = rest[1:] if rest[0] == "watch" else rest
        rest = rest[2:] if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize") else rest
        assert (rest[0] == "secrets") == (asked.resource == "secrets" and not asked.group)


def _sent(reading: KubernetesReading, request: RequestHead) -> None:
    sent = reading.outgoing(request)
    named = [(folded(name), value) for name, value in sent.headers.fields]
    assert [value for name, value in named if is_claim(name)] == ["ada@example.com", "analysts"]
    assert [value for name, value in named if name == "authorization"] == ["Bearer gateway-token"]
    assert TOKEN not in repr(sent.headers.fields) and "/clusters/" not in sent.target[:10]
    masked = reading.protection(reading.endpoint(request)).by_path
    assert not masked or "protobuf" not in (sent.headers.get("accept") or "")
    for status in (200, 101, 302):
        told = reading.incoming(request, ResponseHead(status, "", "HTTP/1.1", Headers((("Content-Type", "x/y"),))))
        assert SECRET not in repr(told) and (status == 200 or isinstance(told, Answer) or told.status != 302)
        assert not masked or isinstance(told, Answer), "a Secret that can't be read was shown"
