"""A small Kubernetes API server: objects in memory, watches, logs, and commands that run on this machine as in a pod.

For tests and demonstrations: whoever knows its token and speaks for somebody may do everything, and it listens on
127.0.0.1 alone. Real kubectl takes it for one. Knows no gateway.
"""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import orjson

from hoopproxy.requests import KubernetesRequest
from hoopproxy.testing.http_serving import Arrived, Exchange, HttpServer
from hoopproxy.testing.kubernetes_objects import KINDS, Absent, Kind, Object, Objects, Present, as_table
from hoopproxy.testing.kubernetes_pods import PodProcess, Socket, chosen
from hoopproxy.wire.http.pod_channels import V4, V5
from hoopproxy.wire.http.resources import Unreadable, first_values, is_true, parameters, read
from hoopproxy.wire.http.statuses import failure

JSON = ("content-type", "application/json")

POD: Object = {
    "metadata": {"name": "web"},
    "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    "status": {"phase": "Running", "containerStatuses": [{"name": "app", "ready": True, "restartCount": 0}]},
}
"""The one that is there from the start."""

FOLLOWING = ("tail", "-n", "+1", "-F")
"""What shows a log as it grows."""


class Refused(Exception):
    """An answer that says no."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class ApiServer:
    """A running one; a context manager. `host`, `port` and `token` are what its clients need.

    The pod `web` in the namespace `default` logs what stands in `log_file`, and in it commands run with `environment`.
    `versions` are the protocols that it speaks with pods. `more` are other things that pods do: a subresource, and what
    answers it.
    """

    def __init__(
        self,
        certificate: tuple[Path, Path],
        log_file: Path,
        *,
        versions: Sequence[str] = (V5, V4),
        alpn: tuple[str, ...] = ("h2", "http/1.1"),
        environment: Mapping[str, str] | None = None,
        more: Mapping[str, Callable[[Exchange, KubernetesRequest], Awaitable[None]]] | None = None,
        port: int = 0,
    ) -> None:
        self.token = secrets.token_urlsafe(24)
        self.log_file = log_file
        log_file.touch()
        self._objects = Objects()
        self._objects.create(
            KINDS["", "namespaces"], "", {"metadata": {"name": "default"}, "status": {"phase": "Active"}}
        )
        self._objects.create(KINDS["", "pods"], "default", POD)
        self._versions, self._environment, self._more = versions, environment, more or {}
        self._server = HttpServer(self._answer, certificate, alpn, port)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        self._server.__exit__(*why)

    @property
    def arrived(self) -> list[Arrived]:
        """The heads of all requests so far."""
        return self._server.arrived

    @property
    def host(self) -> str:
        """Where it listens."""
        return self._server.host

    @property
    def port(self) -> int:
        """And on which port."""
        return self._server.port

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._judged(exchange)
        except Refused as why:
            await _say(exchange, why.code, failure(why.code, str(why)))
        except Unreadable as why:
            await _say(exchange, 400, failure(400, str(why)))
        except Absent as why:
            await _say(exchange, 404, failure(404, why.args[0]))
        except Present as why:
            await _say(exchange, 409, failure(409, str(why)))

    async def _judged(self, exchange: Exchange) -> None:
        arrived = exchange.arrived
        if arrived.get("authorization") != f"Bearer {self.token}":
            raise Refused(401, "Unauthorized")
        if not arrived.get("impersonate-user"):
            raise Refused(403, "who speaks for nobody may do nothing")
        asked = read(arrived.method, arrived.path, arrived.target.partition("?")[2])
        kind = KINDS.get((asked.group, asked.resource))
        if asked.resource == "selfsubjectreviews":
            await _say(exchange, 201, orjson.dumps(_who(arrived)))
        elif kind is None:
            await _say(exchange, 200, orjson.dumps(_discovered(arrived.path.strip("/"))))
        elif kind.resource == "pods" and asked.subresource:
            self._objects.find(kind, asked.namespace, asked.name)
            await self._in_pod(exchange, asked)
        else:
            await self._of_objects(exchange, asked, kind)

    # Objects --------------------------------------------------------------------------------------------------------

    async def _of_objects(self, exchange: Exchange, asked: KubernetesRequest, kind: Kind) -> None:
        where = kind, "" if not kind.is_namespaced else asked.namespace
        match asked.verb:
            case "get":
                found = self._objects.find(*where, asked.name)
                await self._show(exchange, found, kind, [found])
            case "list":
                listed = self._objects.select(*where, asked.name)
                whole = {
                    "kind": f"{kind.kind}List",
                    "apiVersion": kind.version,
                    "metadata": {"resourceVersion": str(self._objects.version)},
                    "items": listed,
                }
                await self._show(exchange, whole, kind, listed)
            case "watch":
                await self._watch(exchange, asked, where)
            case "create":
                given = await _given(exchange)
                await _say(exchange, 201, orjson.dumps(self._objects.create(*where, given)))
            case "update":
                given = await _given(exchange)
                await _say(exchange, 200, orjson.dumps(self._objects.replace(*where, asked.name, given)))
            case "patch":
                await self._patch(exchange, asked, where)
            case "delete":
                await _given(exchange)
                await _say(exchange, 200, orjson.dumps(self._objects.delete(*where, asked.name)))
            case _:
                raise Refused(405, f"the server does not allow {asked.verb}")

    async def _patch(self, exchange: Exchange, asked: KubernetesRequest, where: tuple[Kind, str]) -> None:
        patch = await _given(exchange)
        try:
            await _say(exchange, 200, orjson.dumps(self._objects.merge(*where, asked.name, patch)))
        except Absent:
            if "apply-patch" not in (exchange.arrived.get("content-type") or ""):
                raise
            await _say(exchange, 201, orjson.dumps(self._objects.create(*where, patch)))

    async def _watch(self, exchange: Exchange, asked: KubernetesRequest, where: tuple[Kind, str]) -> None:
        query = first_values(exchange.arrived.target.partition("?")[2])
        since = query.get("resourceVersion", "")
        await exchange.begin(200, JSON)
        async for what, one in self._objects.watch(*where, asked.name, int(since) if since else None):
            shown = self._shown(exchange, one, where[0], [one])
            await exchange.send(orjson.dumps({"type": what, "object": shown}, option=orjson.OPT_APPEND_NEWLINE))

    async def _show(self, exchange: Exchange, whole: Object, kind: Kind, objects: list[Object]) -> None:
        await _say(exchange, 200, orjson.dumps(self._shown(exchange, whole, kind, objects)))

    def _shown(self, exchange: Exchange, whole: Object, kind: Kind, objects: list[Object]) -> Object:
        if "as=Table" not in (exchange.arrived.get("accept") or ""):
            return whole
        include = first_values(exchange.arrived.target.partition("?")[2]).get("includeObject", "Metadata")
        return as_table(kind, objects, self._objects.version, include)

    # Pods -----------------------------------------------------------------------------------------------------------

    async def _in_pod(self, exchange: Exchange, asked: KubernetesRequest) -> None:
        query = exchange.arrived.target.partition("?")[2]
        first = first_values(query)
        if asked.subresource in self._more:
            await self._more[asked.subresource](exchange, asked)
        elif asked.subresource == "log":
            await self._log(exchange, is_followed=is_true(first, "follow"))
        elif asked.subresource in ("exec", "attach"):
            command = [value for name, value in parameters(query) if name == "command"] or ["cat"]
            protocol = chosen(exchange, self._versions)
            if not protocol:
                raise Refused(403, "only WebSockets are spoken here, by " + " or ".join(self._versions))
            socket = await Socket.accept(exchange, protocol)
            await PodProcess(socket, protocol, self._environment).run(command, tty=is_true(first, "tty"))
        else:
            raise Refused(404, "the server could not find the requested resource")

    async def _log(self, exchange: Exchange, *, is_followed: bool) -> None:
        if not is_followed:
            await _say(exchange, 200, self.log_file.read_bytes(), "text/plain")
            return
        await exchange.begin(200, ("content-type", "text/plain"))
        following = await asyncio.create_subprocess_exec(*FOLLOWING, self.log_file, stdout=asyncio.subprocess.PIPE)
        assert following.stdout is not None
        try:
            while data := await following.stdout.read(1 << 16):
                await exchange.send(data)
        finally:
            following.kill()
            await following.wait()


async def _given(exchange: Exchange) -> Object:
    body = bytearray()
    while data := await exchange.read():
        body += data
    try:
        given: Object = orjson.loads(body or b"{}")
    except ValueError:
        raise Refused(415, "the body of the request was in an unknown format - accepted media types: JSON") from None
    for name, text in given.pop("stringData", {}).items():
        given.setdefault("data", {})[name] = b64encode(text.encode()).decode()
    return given


async def _say(exchange: Exchange, code: int, body: bytes, content_type: str = "application/json") -> None:
    await exchange.begin(code, ("content-type", content_type), ("content-length", str(len(body))))
    await exchange.send(body)
    await exchange.end()


def _who(arrived: Arrived) -> Object:
    """Whom it takes its client for (`kubectl auth whoami`)."""
    groups = [value for name, value in arrived.fields if name == "impersonate-group"]
    user = {"username": arrived.get("impersonate-user"), "groups": [*groups, "system:authenticated"]}
    return {
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": None},
        "status": {"userInfo": user},
    }


def _discovered(path: str) -> Any:
    """What there is. @raise Refused"""
    groups = sorted({group for group, _ in KINDS} - {""} | {"authentication.k8s.io"})
    match path.split("/"):
        case ["version"]:
            return {"major": "1", "minor": "32", "gitVersion": "v1.32.0", "platform": "linux/amd64"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(map(_group, groups))}
        case ["api", "v1"]:
            return _resources("")
        case ["apis", group, "v1"] if group in groups:
            return _resources(group)
    raise Refused(404, "the server could not find the requested resource")


def _group(name: str) -> Object:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> Object:
    listed = [kind.discovered for kind in KINDS.values() if kind.group == group]
    if group == "authentication.k8s.io":
        listed = [{"name": "selfsubjectreviews", "namespaced": False, "kind": "SelfSubjectReview", "verbs": ["create"]}]
    return {"kind": "APIResourceList", "groupVersion": f"{group}/v1" if group else "v1", "resources": listed}
