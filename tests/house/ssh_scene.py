"""A house in memory whose clients speak SSH, payload by payload, to a scripted sshd, and through it to a TCP server.

Time is a `task.Clock`. Transports and logins are left out: a client is one that has agreed on keys.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from hoopproxy.assembly import assembled
from hoopproxy.interfaces import IRouter
from hoopproxy.listen.ssh_channel import Children
from hoopproxy.masks import Catalog
from hoopproxy.model import Arrival, Credentials, Endpoint, Identity, Passage, Side, Target
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IFrontend, IPeer
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.session import run
from hoopproxy.settings import Limits
from hoopproxy.testing import healthy
from hoopproxy.testing.assembly import in_germany
from hoopproxy.testing.house import POLICY, START_S, MemoryDialer, MemoryFrontend, MemoryResolver, _Pipe
from hoopproxy.testing.ssh_speaker import execute, open_forward, open_session
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.channels import OWN_NUMBERS_FROM
from hoopproxy.wire.ssh.machine import SshWires
from hoopproxy.wire.ssh.packets import Splitter, framed
from hoopproxy.wire.tcp import TcpWires

SHELL = Target(
    name="shell",
    protocol="ssh",
    host="shell.example",
    port=22,
    zone="EU",
    country="DE",
    tls=None,
    accounts={"app": "shell-app"},
    environment=("LANG",),
)
CACHE = replace(SHELL, name="cache", protocol="tcp", host="cache.example", port=6379, accounts={"any": ""})
ADDRESSES = {"shell.example": "203.0.113.7", "cache.example": "203.0.113.8"}


@implementer(IRouter)
class Two:
    """Knows the sshd, and the cache by the ways in which it may be named."""

    name = "targets"
    known: ClassVar[dict[str, Target]] = {"shell": SHELL, "cache:6379": CACHE, "cache.example:6379": CACHE}

    async def route(self, identity: Identity, target_name: str) -> Target | None:
        return self.known.get(target_name)


def payloads(data: bytes) -> list[bytes]:
    """What was framed."""
    splitter = Splitter(Side.SERVER)
    splitter.append(data)
    found = list(iter(splitter.next, None))
    assert not splitter.is_amid
    return found


@implementer(IFrontend)
class SshClient(MemoryFrontend):
    """An SSH client: `says` sends payloads, `heard` are those that it got. What it forwards is `adopted`."""

    def __init__(self, arrival: Arrival, credentials: Credentials, scene: "Scene") -> None:
        super().__init__(arrival, credentials)
        self._scene = scene
        self.children: Children | None = None
        self.has_forwarded = False
        self.adopted: list[Visit] = []

    @property
    def heard(self) -> list[bytes]:
        return payloads(bytes(self.sent))

    def heard_of(self, *kinds: int) -> list[bytes]:
        return [payload for payload in self.heard if payload[0] in kinds]

    def says(self, *sent: bytes) -> None:
        """What is a child's goes there, the rest to who reads."""
        for payload in sent:
            number = int.from_bytes(payload[1:5])
            is_on_channel = messages.CHANNEL_OPEN_CONFIRMATION <= payload[0] <= messages.CHANNEL_FAILURE
            if is_on_channel and number >= OWN_NUMBERS_FROM:
                assert self.children is not None and self.children.take(payload)
            else:
                self.give(framed(payload))

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        await super().welcome(passage, peer)
        scene = self._scene
        self.children = Children(
            super().write, self.arrival, passage.permit, self._adopt, scene.limits, scene.scheduler
        )

    async def write(self, data: bytes) -> None:
        for payload in payloads(data):
            if payload[0] == messages.CHANNEL_OPEN:
                assert self.children is not None
                self.children.open(payload)
            else:
                await super().write(framed(payload))

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        super().refuse(session_id, why, words)
        self.sent += words

    def close(self) -> None:
        if self.children is not None:
            self.children.close()
        super().close()

    def _adopt(self, frontend: IFrontend) -> None:
        self.has_forwarded = True
        self.adopted.append(Visit(frontend, Deferred.fromCoroutine(run(frontend, self._scene.gateway))))


@implementer(IPeer)
class Sshd(_Pipe):
    """Opens every channel and lets every request succeed; a command says `hello` and goes on until the test ends it."""

    side = Side.SERVER
    greeting = None
    catalog = Catalog({}, {}, frozenset(), frozenset())

    def __init__(self) -> None:
        super().__init__()
        self.interrupted = False
        self.heard: list[bytes] = []
        self.channels: dict[int, bytes] = {}

    async def write(self, data: bytes) -> None:
        await super().write(data)
        for payload in payloads(data):
            self.heard.append(payload)
            match payload[0]:
                case messages.CHANNEL_OPEN:
                    at = 5 + int.from_bytes(payload[1:5])
                    theirs, ours = payload[at : at + 4], len(self.channels)
                    self.channels[ours] = theirs
                    numbers = theirs + struct.pack("!III", ours, 1 << 20, 1 << 15)
                    self.says(bytes((messages.CHANNEL_OPEN_CONFIRMATION,)) + numbers)
                case messages.CHANNEL_REQUEST:
                    channel = self.channels[int.from_bytes(payload[1:5])]
                    if payload[9 + int.from_bytes(payload[5:9])]:
                        self.says(bytes((messages.CHANNEL_SUCCESS,)) + channel)
                    if b"exec" in payload:
                        self.says(messages.output(int.from_bytes(channel), 0, b"hello\n"))
                case messages.GLOBAL_REQUEST:
                    self.says(bytes((messages.REQUEST_FAILURE,)))

    def says(self, payload: bytes) -> None:
        self.give(framed(payload))

    async def interrupt(self) -> None:
        self.interrupted = True


@implementer(IPeer)
class RawServer(_Pipe):
    """Says what the test gives it."""

    side = Side.SERVER
    greeting = None
    catalog = Catalog({}, {}, frozenset(), frozenset())

    async def interrupt(self) -> None: ...


class Dialer(MemoryDialer):
    """Leads to targets that `make` makes."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self._make = make

    async def login(
        self,
        reached: Any,
        passage: Passage,
        secret: TargetSecret,
        protected: frozenset[str],
        known: Catalog | None = None,
    ) -> IPeer:
        self.logins.append((passage, secret))
        self.peers.append(self._make())
        return self.peers[-1]


_SERVED: "list[Deferred[None]]" = []


def cut_off() -> None:
    """End all connections that are still served, as a gateway that stops."""
    while _SERVED:
        _SERVED.pop().cancel()


@dataclass
class Visit:
    """One connection that is served, until it leaves or `cut_off` is called."""

    frontend: Any
    done: "Deferred[None]"
    over: bool = False
    failure: Any = None

    def __post_init__(self) -> None:
        self.done.addCallbacks(self._ended, self._failed)
        _SERVED.append(self.done)

    def _ended(self, _: None) -> None:
        self.over = True

    def _failed(self, failure: Any) -> None:
        self.over, self.failure = True, failure


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
        self.sshds, self.caches = Dialer(Sshd), Dialer(RawServer)
        self.resolver = MemoryResolver({name: (ip_address(literal),) for name, literal in ADDRESSES.items()})
        ends = self.scheduler, self.resolver, self.sshds
        around = replace(
            in_germany(POLICY, self.limits, *ends, self._new_id, self._tell),
            dialers={"ssh": self.sshds, "tcp": self.caches},
            wires={"ssh": SshWires(self.limits), "tcp": TcpWires(self.limits)},
        )
        self.gateway = assembled(self.addons, around)
        self._ids = 0

    def _new_id(self) -> str:
        self._ids += 1
        return f"s{self._ids}"

    def _tell(self, event: str, **fields: Any) -> None:
        self.told.append((event, fields))

    def connect(self, target: str = "shell") -> "Talk":
        """A client that has agreed on keys and shows a token; it runs until the house waits for something."""
        client = Endpoint(ip_address("198.51.100.9"), 40000)
        arrival = Arrival(f"c{self._ids}", "ssh", "ssh", client, self.clock.seconds())
        frontend = SshClient(arrival, Credentials(target, "", "", Secret("token")), self)
        return Talk(self, frontend, Visit(frontend, Deferred.fromCoroutine(run(frontend, self.gateway))))

    def entries(self, kind: str = "") -> list[dict[str, Any]]:
        """The log, or those of one kind."""
        log: Any = self.addons.evidence
        return [entry for entry in map(json.loads, log.leaves) if not kind or entry["kind"] == kind]


@dataclass
class Talk:
    """One client, its server, and what to do with them."""

    scene: Scene
    client: SshClient
    visit: Visit

    @property
    def sshd(self) -> Sshd:
        peer: Any = self.scene.sshds.peers[-1]
        return peer

    @property
    def cache(self) -> RawServer:
        peer: Any = self.scene.caches.peers[-1]
        return peer

    def runs(self, command: str = "sleep 9999") -> None:
        """In a session channel, number 0 on both sides."""
        self.client.says(open_session(0), execute(0, command))

    def forwards(self, host: str = "cache.example", port: int = 6379, number: int = 7) -> Visit:
        """A channel to there, and the session that it became."""
        before = len(self.client.adopted)
        self.client.says(open_forward(number, host, port))
        assert len(self.client.adopted) == before + 1
        return self.client.adopted[-1]


def furnished() -> healthy.Addons:
    """Healthy addons, and a router that knows both targets."""
    addons = healthy.addons(SHELL, "")
    addons.router = Two()
    addons.maskers = []
    return addons
