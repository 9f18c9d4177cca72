"""The whole house in memory: `session.run` with real admission, relay and PostgreSQL machine, and no socket.

For plugin authors and for this project's own tests: put addons in, run a script of queries, look at what each end saw.
Time is a `task.Clock`; the target is a scripted PostgreSQL that answers each query with one canned result.
"""

import struct
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from hoopproxy.access.policy import Policy, Role
from hoopproxy.assembly import assembled
from hoopproxy.errors import SessionError
from hoopproxy.masks import Catalog, Relation
from hoopproxy.model import (
    Arrival,
    Credentials,
    Endpoint,
    IPAddress,
    Measurements,
    Passage,
    Permit,
    Side,
    Target,
    UpstreamTls,
)
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IDialer, IFrontend, IPeer, IReached, IResolver
from hoopproxy.scheduler import Signal, TwistedScheduler
from hoopproxy.session import run
from hoopproxy.settings import Limits
from hoopproxy.testing import healthy
from hoopproxy.testing.assembly import in_germany

CANARY = b"canary-4111111111111111"
"""The protected value that the scripted target answers with: no client may ever see it."""

PROTECTED = "public.customers.card"
TABLE_OID, KNOWN_OID = 16401, 16402
START_S = 1_800_000_000.0


def message(kind: bytes, body: bytes) -> bytes:
    """One PostgreSQL message (protocol chapter "Message Formats")."""
    return kind + struct.pack("!i", len(body) + 4) + body


def query(text: str) -> bytes:
    """A simple query."""
    return message(b"Q", text.encode() + b"\0")


def prepared(text: str) -> bytes:
    """The same by the extended protocol: the unnamed statement is parsed, bound and executed."""
    portal, no_formats = b"\0", struct.pack("!hhh", 0, 0, 0)
    return b"".join(
        (
            message(b"P", b"\0" + text.encode() + b"\0" + struct.pack("!h", 0)),
            message(b"B", portal + b"\0" + no_formats),
            message(b"E", portal + struct.pack("!i", 0)),
            message(b"S", b""),
        )
    )


def canned_result() -> bytes:
    """What the target answers to any query: one row, its id and its card number."""
    return b"".join(_answers().values())


def _answers() -> dict[bytes, bytes]:
    """The messages of the one result."""
    columns = b"".join(
        name + b"\0" + struct.pack("!ihihih", TABLE_OID, number, oid, size, -1, 0)
        for name, number, oid, size in ((b"id", 1, 23, 4), (b"card", 2, 25, -1))
    )
    cells = b"".join(struct.pack("!i", len(cell)) + cell for cell in (b"1", CANARY))
    return {
        b"T": message(b"T", struct.pack("!h", 2) + columns),
        b"D": message(b"D", struct.pack("!h", 2) + cells),
        b"C": message(b"C", b"SELECT 1\0"),
        b"Z": message(b"Z", b"I"),
    }


class _Pipe:
    """Bytes that one end gives and the other reads, one reader at a time."""

    def __init__(self) -> None:
        self._waiting: Deferred[bytes] | None = None
        self._ready: list[bytes] = []
        self.sent = bytearray()
        self.ended = self.closed = False
        self.lost = Signal()
        """Yours to set: when the other end is gone, and not only done with sending."""

    def give(self, data: bytes) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(data)
        else:
            self._ready.append(data)

    async def read(self) -> bytes:
        if self._ready:
            return self._ready.pop(0)
        self._waiting = Deferred()
        return await self._waiting

    async def write(self, data: bytes) -> None:
        self.sent += data

    async def end(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def dismiss(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


@implementer(IFrontend)
class MemoryFrontend(_Pipe):
    """A client: `give` it what the client sends; `sent` is what the client saw."""

    side = Side.CLIENT
    handshake_limit = "handshake_s_max"

    def __init__(self, arrival: Arrival, credentials: Credentials) -> None:
        super().__init__()
        self.arrival = arrival
        self._credentials = credentials
        self.welcomed = False
        self.refusals: list[SessionError] = []
        self.told: list[str] = []

    async def credentials(self) -> Credentials | None:
        return self._credentials

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        self.welcomed = True

    def again(self, why: Exception) -> bool:
        return False

    def inform(self, sentence: str, words: bytes = b"") -> None:
        self.told.append(sentence)

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        assert isinstance(why, SessionError)
        self.refusals.append(why)


@implementer(IReached)
class MemoryReached:
    """A target that was reached."""

    def __init__(self, peer: Endpoint) -> None:
        self.measurements = Measurements(peer, "00" * 32)
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


@implementer(IPeer)
class MemoryPeer(_Pipe):
    """A logged-in target. `answers`, by type of message: `answer` to simple queries, and canned ones to prepared."""

    side = Side.SERVER
    greeting = None

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        said = _answers()
        self.answers = {
            b"Q": answer,
            b"P": message(b"1", b""),
            b"B": message(b"2", b""),
            b"D": said[b"T"],
            b"E": said[b"D"] + said[b"C"],
            b"S": said[b"Z"],
        }
        self.interrupted = False
        customers = Relation(TABLE_OID, "public", "customers", {2: PROTECTED})
        self.catalog = Catalog({TABLE_OID: customers}, {}, frozenset({TABLE_OID, KNOWN_OID}), frozenset())

    async def write(self, data: bytes) -> None:
        await super().write(data)
        while self.answers and len(data) >= 5:
            length = max(5, 1 + struct.unpack_from("!i", data, 1)[0])
            if answer := self.answers.get(data[:1]):
                self.give(answer)
            data = data[length:]

    async def interrupt(self) -> None:
        self.interrupted = True


@implementer(IDialer)
class MemoryDialer:
    """Dials the scripted target; keeps what was asked of it."""

    def __init__(self) -> None:
        self.permits: list[Permit] = []
        self.logins: list[tuple[Passage, TargetSecret]] = []
        self.peers: list[MemoryPeer] = []

    def unfit(self, target: Target) -> str:
        return ""

    async def reach(self, permit: Permit) -> IReached:
        self.permits.append(permit)
        return MemoryReached(Endpoint(permit.addresses[0], permit.target.port))

    async def login(
        self,
        reached: IReached,
        passage: Passage,
        secret: TargetSecret,
        protected: frozenset[str],
        known: Catalog | None = None,
    ) -> IPeer:
        self.logins.append((passage, secret))
        self.peers.append(MemoryPeer(canned_result()))
        return self.peers[-1]


@implementer(IResolver)
class MemoryResolver:
    """Names to the addresses of `hosts`."""

    def __init__(self, hosts: dict[str, tuple[IPAddress, ...]]) -> None:
        self.hosts = hosts

    async def resolve(self, host: str) -> tuple[IPAddress, ...]:
        return self.hosts[host]


LEDGER = Target(
    name="ledger",
    protocol="postgres",
    host="db.example",
    port=5432,
    zone="EU",
    country="DE",
    tls=UpstreamTls("db.example", None),
    accounts={"reader": "ledger-reader"},
    databases=("ledger",),
)

POLICY = Policy("0" * 64, (Role("analyst", frozenset({"analysts"})),), (), ())


@dataclass
class House:
    """A gateway in memory. Replace any addon, then `connect` and `advance`."""

    addons: "healthy.Addons" = field(default_factory=lambda: healthy.addons(LEDGER, PROTECTED))
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=Clock)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock.rightNow = START_S
        self.scheduler = TwistedScheduler(self.clock)
        self.dialer = MemoryDialer()
        self.resolver = MemoryResolver({"db.example": (ip_address("203.0.113.7"),)})
        ends = self.scheduler, self.resolver, self.dialer
        self.gateway = assembled(self.addons, in_germany(POLICY, self.limits, *ends, self._new_id, self._tell))
        self.leases = self.gateway.leases
        self._connections = 0

    def _new_id(self) -> str:
        self._connections += 1
        return f"s{self._connections}"

    def _tell(self, event: str, **fields: Any) -> None:
        self.told.append((event, fields))

    def connect(
        self, *sends: bytes, client: str = "198.51.100.9", target: str = "ledger", account: str = "reader"
    ) -> "Visit":
        """A client that arrives, and then sends these pieces; runs until the house waits for something."""
        arrival = Arrival(
            f"c{self._connections}", "pg", "postgres", Endpoint(ip_address(client), 40000), self.clock.seconds()
        )
        frontend = MemoryFrontend(arrival, Credentials(target, account, "", Secret("token")))
        for data in sends:
            frontend.give(data)
        return Visit(frontend, Deferred.fromCoroutine(run(frontend, self.gateway)))

    def recheck(self) -> "Deferred[None]":
        """Have live sessions judged again from now on, as a running gateway does; cancel it to have them left alone."""

        async def running() -> None:
            with suppress(CancelledError):
                await self.gateway.rechecks.run()

        return Deferred.fromCoroutine(running())

    def advance(self, visit: "Visit", until_s: float = 3600.0) -> None:
        """Let time pass, a second at a time, until the visit is over or that much has passed."""
        for _ in range(int(until_s)):
            if visit.over:
                return
            self.clock.advance(1.0)

    def with_limits(self, **changes: float) -> "House":
        """The same house with other limits."""
        limits = replace(self.limits, **changes)  # type: ignore[arg-type] # names are checked by replace itself
        return House(self.addons, limits)


@dataclass
class Visit:
    """One client's connection."""

    frontend: MemoryFrontend
    done: "Deferred[None]"

    def __post_init__(self) -> None:
        self.over = False
        self.failure: Any = None
        self.done.addCallbacks(self._ended, self._failed)

    def _ended(self, _: None) -> None:
        self.over = True

    def _failed(self, failure: Any) -> None:
        self.over, self.failure = True, failure

    @property
    def seen(self) -> bytes:
        """All bytes that the client was sent."""
        return bytes(self.frontend.sent)
