"""An HTTP listener that runs on both loopbacks, its authority, and clients that say what they are told to."""

import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

from hoopproxy.errors import LimitReached, SessionError
from hoopproxy.hands import in_thread
from hoopproxy.listen.http import HttpListener
from hoopproxy.listen.kubernetes import KubernetesListener
from hoopproxy.listen.server import Server
from hoopproxy.model import Credentials, Side
from hoopproxy.rooms import IFrontend, IListener
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, ListenerSettings, Plaintext
from hoopproxy.wire.http.halves import ClientHalf, client_half
from hoopproxy.wire.http.lanes import Frame, Frames, Kind, framed
from hoopproxy.wire.http.messages import Headers, HttpGreeting, RequestHead, ResponseHead
from hoopproxy.wire.http.parts import Data, End, Head

LIMITS = Limits(drain_s_max=2.0)
DOMAIN = "gw.example.com"
BARE = ListenerSettings(
    "web", "http", (ip_address("127.0.0.1"), ip_address("::1")), 0, domain=DOMAIN, plaintext=Plaintext.LOOPBACK
)


def peer(alpn: str = "h2") -> Any:
    """A target of which the greeting alone is looked at."""
    return SimpleNamespace(greeting=HttpGreeting(alpn, None))


def passage(*, is_tls: bool = True) -> Any:
    """Of one it is the target's TLS that matters, and the permit's session."""
    return SimpleNamespace(permit=SimpleNamespace(target=SimpleNamespace(tls=is_tls or None), session_id="s1"))


@dataclass
class Desk:
    """What came in, and how it went. `serve` stands in the place of `session.run`."""

    alpn: str = "h2"
    is_target_tls: bool = True
    refusal: SessionError | None = None
    ports: dict[str, int] = field(default_factory=dict)
    credentials: list[Credentials | None] = field(default_factory=list)
    heads: list[RequestHead] = field(default_factory=list)
    failures: list[SessionError] = field(default_factory=list)
    limit_s: float = 10.0
    scheduler: Any = None

    @property
    def port(self) -> int:
        return self.ports["127.0.0.1"]

    @property
    def shown(self) -> Credentials:
        """Those of the only one who showed any."""
        (found,) = [each for each in self.credentials if each is not None]
        return found

    async def failure(self) -> SessionError:
        """Why somebody failed whose client may have left before we noticed."""
        while not self.failures:
            await self.scheduler.sleep(0)
        (why,) = self.failures
        return why

    async def serve(self, frontend: IFrontend) -> None:
        try:
            self.credentials.append(await self._handshake(frontend))
            if self.credentials[-1] is None:
                return
            if self.refusal is not None:
                raise self.refusal
            await frontend.welcome(passage(is_tls=self.is_target_tls), peer(self.alpn))
            await self._talk(frontend)
        except SessionError as why:
            self.failures.append(why)
            frontend.refuse("s1", why)
        finally:
            frontend.close()

    async def _handshake(self, frontend: IFrontend) -> Credentials | None:
        try:
            credentials: Credentials | None = await self.scheduler.within(self.limit_s, frontend.credentials())
        except TimeoutError as why:
            raise LimitReached("Your client was too slow.", limit=f"limits.{frontend.handshake_limit}") from why
        return credentials

    async def _talk(self, frontend: IFrontend) -> None:
        """As a machine does: answers each request with what its client showed."""
        frames = Frames(Side.CLIENT)
        half: ClientHalf | None = None
        while data := await frontend.read():
            frames.append(data)
            for frame in iter(frames.next, None):
                assert (frame.lane, frame.kind) == (0, Kind.DATA)
                half = half or client_half(LIMITS, is_h2=frame.payload.startswith(b"PRI * HTTP/2.0"), scheme="")
                half.receive(frame.payload)
            assert half is not None
            self._answer(half)
            if out := half.taken():
                await frontend.write(framed(Frame(Kind.DATA, 0, out)))
            if half.is_over:
                await frontend.write(framed(Frame(Kind.CLOSED, 0)))

    def _answer(self, half: ClientHalf) -> None:
        while half.parts:
            part = half.parts.popleft()
            if isinstance(part, Head):
                self.heads.append(part.message)
            elif isinstance(part, Data):
                half.all_taken_but(part.stream, 0)
            elif isinstance(part, End):
                half.send(Head(part.stream, ResponseHead(200, "", "", Headers((("content-length", "3"),)))))
                half.send(Data(part.stream, b"ok\n"))
                half.send(End(part.stream))

    # Clients ----------------------------------------------------------------------------------------------------------

    async def curl(self, url: str, *words: str, host: str = f"crm.{DOMAIN}") -> subprocess.CompletedProcess[str]:
        """curl's answer, and on stderr what it went through; `{port}` stands for ours."""
        resolved = f"{host}:{self.port}:127.0.0.1"
        given = [word.replace("{port}", str(self.port)) for word in (url, *words)]
        command = ["curl", "-sSv", "--max-time", "20", "--resolve", resolved, *given]
        return await in_thread(
            "client", subprocess.run, command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
        )

    async def raw(self, sent: bytes, *, end: bool = True) -> bytes:
        """What comes back for these bytes in the clear."""
        return await in_thread("client", _talk, ("127.0.0.1", self.port), sent, end)


def _talk(address: tuple[str, int], sent: bytes, end: bool) -> bytes:
    heard = b""
    with socket.create_connection(address, 20) as client:
        client.sendall(sent)
        if end:
            client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while data := client.recv(65_536):
                heard += data
    return heard


def error(response: bytes) -> tuple[int, str]:
    """Status and sentence of a refusal."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head and b"cache-control: no-store" in head
    return int(head.split()[1]), json.loads(body)["error"]


def trusting(*files: str) -> ssl.SSLContext:
    """A client's TLS that trusts these authorities and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for file in files:
        context.load_verify_locations(file)
    return context


@asynccontextmanager
async def running(reactor: Any, settings: ListenerSettings, **more: Any) -> AsyncIterator[Desk]:
    """A listener that runs."""
    scheduler = TwistedScheduler(reactor)
    desk = Desk(scheduler=scheduler, **more)
    kind: Callable[..., IListener] = KubernetesListener if settings.protocol == "kubernetes" else HttpListener
    server = Server(reactor, kind(settings, LIMITS, scheduler), LIMITS, scheduler, desk.serve)
    server.privilegedStartService()
    desk.ports = {str(endpoint.address): endpoint.port for endpoint in server.endpoints}
    try:
        yield desk
    finally:
        await server.stopService()
