"""A session's values, full of personal data and secrets that must turn up nowhere in clear, and what drives tests."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from hoopproxy.asking import Asking
from hoopproxy.disk.segments import Segments
from hoopproxy.errors import EvidenceUnavailable
from hoopproxy.evidence import chain
from hoopproxy.evidence.entries import CLOSING, encoded
from hoopproxy.evidence.ledger import Ledger
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.interfaces import IEvidenceSink
from hoopproxy.model import (
    Arrival,
    Assurance,
    Decision,
    Endpoint,
    Finding,
    Grant,
    Identity,
    Measurements,
    Passage,
    Permit,
    Seal,
    SubjectKind,
    Support,
    Target,
    UpstreamTls,
    Verdict,
)
from hoopproxy.scheduler import TwistedScheduler

NOW_S = 1_800_000_000.25
PERSONAL = ("Ada Lovelace", "ada@corp.example", "198.51.100.9", "S3cret", "tell-nobody")


def verdict(subject: SubjectKind, name: str, decision: Decision = Decision.PERMIT, source: str = "file") -> Verdict:
    finding = Finding("geoip", Support.COUNTRY, "DE", Assurance.CORROBORATED, source, 3600.5, "tell-nobody")
    required, achieved = Assurance.DECLARED, Assurance.CORROBORATED
    code = "OK" if decision is Decision.PERMIT else "REFUTED"
    sentence = "Your address 198.51.100.9 is in Germany."
    return Verdict(subject, name, "EU", "2026-01-01", decision, code, required, achieved, "DE", (finding,), sentence)


@pytest.fixture
def arrival() -> Arrival:
    return Arrival("c1", "pg", "postgres", Endpoint(ip_address("198.51.100.9"), 40000), NOW_S)


@pytest.fixture
def identity() -> Identity:
    return Identity("https://idp.example", "ada@corp.example", "Ada Lovelace", frozenset({"x"}), NOW_S + 60, "oidc")


@pytest.fixture
def permit(arrival: Arrival, identity: Identity) -> Permit:
    address = ip_address("203.0.113.7")
    target = Target("ledger", "postgres", "db.example", 5432, "EU", "DE", UpstreamTls("db.example", None), {})
    grant = Grant("policy:read", frozenset({"analyst"}), "ledger", frozenset({"reader"}), "EU", ("EU",), {}, NOW_S + 9)
    destination = verdict(SubjectKind.DESTINATION, "ledger")
    return Permit(
        session_id="s1",
        arrival=arrival,
        identity=identity,
        roles=frozenset({"analyst"}),
        target=target,
        account="reader",
        database="books",
        parameters={"application_name": "tell-nobody"},
        grant=grant,
        addresses=(address,),
        client_zones=frozenset({"EU", "EEA"}),
        verdicts=(verdict(SubjectKind.CLIENT, "client"), destination, destination),
        not_after_s=NOW_S + 9,
        seal=Seal(),
    )


@pytest.fixture
def passage(permit: Permit) -> Passage:
    return passage_of(permit)


def passage_of(permit: Permit, session_id: str = "s1", connection_id: str = "c1") -> Passage:
    arrival = replace(permit.arrival, connection_id=connection_id)
    permit = replace(permit, session_id=session_id, arrival=arrival)
    peer = Endpoint(permit.addresses[0], 5432)
    measured = Measurements(peer, "ab" * 32, 900)
    return Passage(permit, peer, measured, (verdict(SubjectKind.DESTINATION, "ledger"),), Seal())


async def at_once(role: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """`hoopproxy.hands.in_thread` without a thread."""
    return function(*arguments)


@dataclass
class Threads:
    """`in_thread` by hand: work waits until the test runs it."""

    jobs: list[Deferred[None]] = field(default_factory=list)

    async def __call__(self, role: str, function: Callable[..., Any], *arguments: Any) -> Any:
        turn: Deferred[None] = Deferred()
        self.jobs.append(turn)
        await turn
        return function(*arguments)

    def run(self) -> None:
        """One job."""
        self.jobs.pop(0).callback(None)

    def run_all(self) -> None:
        while self.jobs:
            self.run()


@implementer(IEvidenceSink)
class MemorySink:
    """Keeps leaves in memory; `room` is how many more that let something in, and `hold` keeps it busy."""

    name = "log"

    def __init__(self, room: int = 1 << 30) -> None:
        self.leaves: list[bytes] = []
        self.calls: list[int] = []
        self.room = room
        self.hold: Deferred[None] | None = None

    @property
    def size(self) -> int:
        return len(self.leaves)

    @property
    def last(self) -> bytes:
        return self.leaves[-1] if self.leaves else b""

    async def append(self, leaves: Sequence[bytes]) -> int:
        self.calls.append(len(leaves))
        if self.hold is not None:
            hold, self.hold = self.hold, None
            await hold
        closing = all(any(f'"kind":"{kind}"'.encode() in leaf for kind in CLOSING) for leaf in leaves)
        if not closing and self.room < len(leaves):
            raise EvidenceUnavailable("Full.")
        self.leaves.extend(leaves)
        return len(self.leaves) - len(leaves)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.rightNow = NOW_S
    return clock


@pytest.fixture
def scheduler(clock: Clock) -> TwistedScheduler:
    return TwistedScheduler(clock)


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def pseudonyms() -> Pseudonyms:
    return Pseudonyms(b"k" * 32)


@pytest.fixture
def make_ledger(scheduler: TwistedScheduler, pseudonyms: Pseudonyms) -> Callable[[IEvidenceSink], Ledger]:
    return lambda sink: Ledger(sink, pseudonyms, scheduler, "gw-1", Asking(scheduler, 5.0))


@pytest.fixture
def ledger(make_ledger: Callable[[IEvidenceSink], Ledger], sink: MemorySink) -> Ledger:
    return make_ledger(sink)


def now(work: Awaitable[Any]) -> Any:
    """The result of work that has nothing to wait for."""
    deferred = later(work)
    assert deferred.called, "it waits"
    return done(deferred)


def later(work: Any) -> "Deferred[Any]":
    return Deferred.fromCoroutine(work)


def done(deferred: "Deferred[Any]") -> Any:
    """The result, or the exception raised, of what is over."""
    results: list[Any] = []
    failures: list[Any] = []
    deferred.addCallbacks(results.append, failures.append)
    if failures:
        raise failures[0].value
    assert results, "it waits still"
    return results[0]


def written(segments: Segments, count: int, kind: str = "ended", text: str = "") -> list[bytes]:
    """The next `count` leaves of a log."""
    leaves, head = [], segments.head
    for _ in range(count):
        leaves.append(encoded({"index": head.size, "kind": kind, "prev": head.sha256, "text": text}))
        head = chain.after(head, leaves[-1])
    return leaves
