"""A house in memory whose clients speak HTTP/1.1 as text, to a scripted target: lanes and frames, and no socket.

Time is a `task.Clock`. TLS and first requests are left out: a client is one whose credentials were read.
"""

import json
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from hoopproxy.assembly import assembled
from hoopproxy.masks import NO_CATALOG
from hoopproxy.model import Arrival, Credentials, Endpoint, Side, Target, UpstreamTls
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IFrontend, IPeer
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.session import run
from hoopproxy.settings import Limits
from hoopproxy.testing import healthy
from hoopproxy.testing.assembly import in_germany
from hoopproxy.testing.house import POLICY, START_S, MemoryFrontend, MemoryResolver, _Pipe
from hoopproxy.wire.http.lanes import Frame, Frames, Kind, framed
from hoopproxy.wire.http.machine import HttpWires
from hoopproxy.wire.http.messages import AUTHORITY, FORM, PREFIX, SCHEME, VERSION, HttpGreeting

from .ssh_scene import Dialer, Visit

CRM = Target(
    name="crm",
    protocol="http",
    host="crm.example",
    port=443,
    zone="EU",
    country="DE",
    tls=UpstreamTls("crm.example", None),
    accounts={"agent": "crm-agent"},
)
HOST = "crm.gw.example"
PARAMETERS = {AUTHORITY: HOST, SCHEME: "https", FORM: "origin", PREFIX: "", VERSION: "http/1.1"}


def get(path: str, **headers: str) -> bytes:
    """A request without a body."""
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer token\r\n{fields}\r\n".encode()


def answer(body: str = "hello", status: str = "200 OK") -> bytes:
    """A whole response."""
    return f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def frames_of(data: bytes) -> list[Frame]:
    """What was framed."""
    frames = Frames(Side.SERVER)
    frames.append(data)
    return list(iter(frames.next, None))


@implementer(IFrontend)
class HttpClient(MemoryFrontend):
    """An HTTP client: `says` sends bytes, `heard` are those that it got."""

    def says(self, data: bytes) -> None:
        self.give(framed(Frame(Kind.DATA, 0, data)))

    @property
    def heard(self) -> bytes:
        return b"".join(frame.payload for frame in frames_of(bytes(self.sent)) if frame.kind is Kind.DATA)

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        super().refuse(session_id, why, words)
        self.sent += words


@implementer(IPeer)
class Crm(_Pipe):
    """A target that answers each request with `answers`, or waits for the test to."""

    side = Side.SERVER
    catalog = NO_CATALOG

    def __init__(self) -> None:
        super().__init__()
        self.greeting = HttpGreeting("", TargetSecret("agent", Secret("s3cret")))
        self.answers: bytes | None = answer()
        self._frames = Frames(Side.SERVER)

    @property
    def heard(self) -> bytes:
        return b"".join(frame.payload for frame in frames_of(bytes(self.sent)) if frame.kind is Kind.DATA)

    async def write(self, data: bytes) -> None:
        await super().write(data)
        self._frames.append(data)
        for frame in iter(self._frames.next, None):
            if frame.kind is Kind.DATA and frame.payload.endswith(b"\r\n\r\n") and self.answers:
                self.says(self.answers)

    def says(self, data: bytes, lane: int = 0) -> None:
        self.give(framed(Frame(Kind.DATA, lane, data)))

    async def interrupt(self) -> None:
        """Nothing."""


@dataclass
class Scene:
    """The house. Replace any addon, then let a client `connect`."""

    addons: healthy.Addons = field(default_factory=lambda: furnished())
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=Clock)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock.rightNow = START_S
        self.scheduler = TwistedScheduler(self.clock)
        self.crms = Dialer(Crm)
        resolver = MemoryResolver({"crm.example": (ip_address("203.0.113.7"),)})
        around = replace(
            in_germany(POLICY, self.limits, self.scheduler, resolver, self.crms, self._new_id, self._tell),
            dialers={"http": self.crms},
            wires={"http": HttpWires(self.limits)},
        )
        self.gateway = assembled(self.addons, around)
        self._ids = self._connections = 0

    def _new_id(self) -> str:
        self._ids += 1
        return f"s{self._ids}"

    def _tell(self, event: str, **fields: Any) -> None:
        self.told.append((event, fields))

    def connect(self, *says: bytes, client: str = "198.51.100.9") -> "Talk":
        """A client whose first request was read; it runs until the house waits for something."""
        self._connections += 1
        there = Endpoint(ip_address(client), 40000 + self._connections)
        arrival = Arrival(f"c{self._connections}", "web", "http", there, self.clock.seconds())
        credentials = Credentials("crm", "", "", Secret("token"), parameters=PARAMETERS)
        frontend = HttpClient(arrival, credentials)
        for data in says:
            frontend.says(data)
        return Talk(self, frontend, Visit(frontend, Deferred.fromCoroutine(run(frontend, self.gateway))))

    def entries(self, kind: str = "") -> list[dict[str, Any]]:
        """The log, or those of one kind."""
        log: Any = self.addons.evidence
        return [entry for entry in map(json.loads, log.leaves) if not kind or entry["kind"] == kind]


@dataclass
class Talk:
    """One client, its target, and what comes of them."""

    scene: Scene
    client: HttpClient
    visit: Visit

    def __post_init__(self) -> None:
        self._number = len(self.scene.crms.peers)

    @property
    def crm(self) -> Crm:
        peer: Any = self.scene.crms.peers[self._number - 1]
        return peer


def furnished() -> healthy.Addons:
    """Healthy addons, and nothing that is masked."""
    addons = healthy.addons(CRM, "")
    addons.maskers = []
    return addons
