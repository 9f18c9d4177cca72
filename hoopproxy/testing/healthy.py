"""The smallest addon of each role that does its work: what a house in memory is furnished with.

Each is a real implementation of its interface over plain values; none reads a file or awaits anything.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zope.interface import implementer

from hoopproxy.events import Forward, Record, Shape, Statement
from hoopproxy.interfaces import (
    IAuthenticator,
    ICredentialSource,
    IEnforcement,
    IEvidenceSink,
    IGrantSource,
    IMasker,
    IRecorder,
    IRecording,
    IResidencyCheck,
    IRewriting,
    IRouter,
    IStatementGuard,
)
from hoopproxy.masks import Catalog, Entrance, Mask, Redact
from hoopproxy.model import (
    Allow,
    Answer,
    Arrival,
    Assurance,
    Credentials,
    Finding,
    Grant,
    Identity,
    Manifest,
    Passage,
    Pending,
    Permit,
    Place,
    Support,
    Tally,
    Target,
)
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IDesk

FAR_S = 4_000_000_000.0


@implementer(IAuthenticator)
class KnowsEverybody:
    """Everybody is Ada, an analyst."""

    name = "corp"

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        return Identity("https://idp.example", "ada", "Ada", frozenset({"analysts"}), FAR_S, "test")


@implementer(IRouter)
class OneTarget:
    """Knows one target."""

    name = "targets"

    def __init__(self, target: Target) -> None:
        self._target = target

    async def route(self, identity: Identity, target_name: str) -> Target | None:
        return self._target if target_name == self._target.name else None


@implementer(IGrantSource)
class GrantsAll:
    """Any role may, from the EU or Switzerland."""

    name = "standing"

    async def grants(
        self, identity: Identity, roles: frozenset[str], target: Target, at_s: float
    ) -> tuple[Grant, ...] | Pending:
        accounts = frozenset(target.accounts)
        return (Grant("g1", roles, target.name, accounts, target.zone, ("EU", "CH"), {}, at_s + 36000),)


@implementer(IResidencyCheck)
class SaysGermany:
    """Every place is in Germany."""

    name = "declared"

    async def examine(self, place: Place) -> Finding:
        return Finding("declared", Support.COUNTRY, "DE", Assurance.DECLARED, "test")


@implementer(ICredentialSource)
class OneSecret:
    """The same secret for every target."""

    name = "vault"

    async def secret(self, passage: Passage | None, credential: str) -> TargetSecret | None:
        return TargetSecret("reader", Secret("hunter2"))


@implementer(IStatementGuard)
class AllowsAll:
    """Every statement may leave."""

    name = "kinds"

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        return Allow()


@implementer(IMasker)
class RedactsOne:
    """Redacts one column."""

    name = "masks"

    def __init__(self, path: str) -> None:
        self._path = path

    async def protects(self, permit: Permit) -> frozenset[str]:
        return frozenset({self._path})

    async def plan(self, passage: Passage, shape: Shape) -> Mapping[int, Mask]:
        return {index: Redact() for index, field in enumerate(shape.fields) if field.path == self._path}


@implementer(IEnforcement)
class RewritesNothing:
    """Every statement goes as it came."""

    name = "enforcement"
    end_session: Any = None
    note: Any = None

    async def enter(self, passage: Passage, role: str, desk: Callable[[], Awaitable[IDesk]]) -> Entrance | None:
        return None

    def begin(self, passage: Passage, catalog: Catalog) -> IRewriting:
        return Unchanged()


@implementer(IRewriting)
class Unchanged:
    """Every statement goes as it came."""

    async def rewrite(self, statement: Statement) -> Forward:
        return Forward(statement.text)

    def ran(self, statement: Statement) -> None:
        pass

    def end(self) -> None:
        pass


@implementer(IRecording)
class MemoryRecording:
    """A recording in memory."""

    rows_max = 1000
    strict = False

    def __init__(self) -> None:
        self.events: list[Record] = []
        self.shown = hashlib.sha256()

    def record(self, at_s: float, events: Sequence[Record], shown: bytes) -> int:
        self.events.extend(events)
        self.shown.update(shown)
        return 1_000_000

    async def settle(self) -> None:
        return None

    async def close(self, tally: Tally, reason: str) -> Manifest:
        return Manifest("memory", 1, self.shown.hexdigest(), 0)


@implementer(IRecorder)
class MemoryRecorder:
    """Keeps recordings in memory."""

    name = "recorder"
    chunk_noted = None

    def __init__(self) -> None:
        self.recordings: list[MemoryRecording] = []

    async def open(self, passage: Passage) -> IRecording:
        self.recordings.append(MemoryRecording())
        return self.recordings[-1]


@implementer(IEvidenceSink)
class MemoryLog:
    """Keeps leaves in memory."""

    name = "log"

    def __init__(self) -> None:
        self.leaves: list[bytes] = []

    @property
    def size(self) -> int:
        return len(self.leaves)

    @property
    def last(self) -> bytes:
        return self.leaves[-1] if self.leaves else b""

    async def append(self, leaves: Sequence[bytes]) -> int:
        self.leaves.extend(leaves)
        return len(self.leaves) - len(leaves)


@dataclass
class Addons:
    """One addon of each role; all may be replaced."""

    authenticators: list[IAuthenticator]
    router: IRouter
    grants: list[IGrantSource]
    residency: list[IResidencyCheck]
    credentials: list[ICredentialSource]
    guards: list[IStatementGuard]
    maskers: list[IMasker]
    enforcement: IEnforcement
    recorder: IRecorder
    evidence: IEvidenceSink


def addons(target: Target, protected: str) -> Addons:
    """A healthy set."""
    return Addons(
        authenticators=[KnowsEverybody()],
        router=OneTarget(target),
        grants=[GrantsAll()],
        residency=[SaysGermany()],
        credentials=[OneSecret()],
        guards=[AllowsAll()],
        maskers=[RedactsOne(protected)],
        enforcement=RewritesNothing(),
        recorder=MemoryRecorder(),
        evidence=MemoryLog(),
    )
