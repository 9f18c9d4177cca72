"""Sees what crosses the gateway's walls while a simulation runs, and objects at once to what must never happen.

Stands between `session.run` and both ends. What can only be judged when all is over it keeps for `checks`. Knows the
disk's durable bytes; knows no addon.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

import orjson
from zope.interface import implementer

from hoopproxy.errors import SessionError
from hoopproxy.model import Arrival, Credentials, Passage, Permit, Side
from hoopproxy.rooms import IFrontend, IPeer, ISignal
from hoopproxy.testing.simulation.disk import SimulatedDisk
from hoopproxy.testing.simulation.network import Line

LATE_S = 1.0
"""A session whose right has ended passes nothing after this (reference: both sides are no longer read within 1 s)."""


@dataclass(slots=True)
class Writes:
    """One direction of one session: the bytes written, and after each write how many there were, when, and how many
    bytes of the session's recording were durable."""

    data: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    durable: list[int] = field(default_factory=list)

    def durable_at(self, end: int) -> int:
        """How much was durable when the byte before `end` was written."""
        return self.durable[bisect_left(self.ends, end)]


@dataclass(slots=True)
class Seen:
    """What was seen of one connection. `over_s` None: it is not over. `crash`: it ended by a mistake of ours."""

    arrival: Arrival
    session_id: str = ""
    passage: Passage | None = None
    protected: frozenset[str] = frozenset()
    refusals: list[SessionError] = field(default_factory=list)
    informed: list[str] = field(default_factory=list)
    shown: Writes = field(default_factory=Writes)
    asked: Writes = field(default_factory=Writes)
    interrupts: int = 0
    held_bytes_max: int = 0
    """Where nothing is masked, what came in and did not go out: the most that was held of the target's bytes."""
    is_closed: bool = False
    revoked_s: float | None = None
    over_s: float | None = None
    was_cut_off: bool = False
    is_struck: bool = False
    """Its target had something happen to it."""
    crash: Any = None

    @property
    def recording(self) -> str:
        """The name of its recording."""
        return f"{self.session_id}/{self.arrival.connection_id}.hprec"


class Witness:
    """Of one simulation. `objections` are full sentences."""

    def __init__(self, disk: SimulatedDisk, now_s: Any) -> None:
        self.objections: list[str] = []
        self.connections: dict[str, Seen] = {}
        self.lines: list[Line] = []
        self.is_over = False
        """Set once all sessions are: from then on not even a cancel key may have an effect."""
        self._disk, self._now_s = disk, now_s
        self._noted: set[tuple[str, str]] = set()
        self._read = 0

    def object(self, sentence: str) -> None:
        """Something happened that never may."""
        self.objections.append(sentence)

    def arrives(self, arrival: Arrival) -> Seen:
        """A client."""
        seen = self.connections[arrival.connection_id] = Seen(arrival)
        return seen

    # Before the target ----------------------------------------------------------------------------------------------

    def reaches(self, permit: Permit) -> None:
        """A target is dialled."""
        seen = self.connections[permit.arrival.connection_id]
        seen.session_id = permit.session_id
        self._require("permitted", permit.arrival, "was dialled for")

    def reveals(self, passage: Passage) -> None:
        """A secret is asked for."""
        self._require("confirmed", passage.permit.arrival, "had its secret read for")

    def logs_in(self, passage: Passage, protected: frozenset[str]) -> None:
        """A secret is shown."""
        seen = self.connections[passage.permit.arrival.connection_id]
        seen.passage, seen.protected = passage, protected
        self._require("confirmed", passage.permit.arrival, "was shown a secret for")

    def protected(self, passage: Passage) -> frozenset[str]:
        """The protected paths of a session."""
        return self.connections[passage.permit.arrival.connection_id].protected

    def follows(self, entry: dict[str, Any]) -> None:
        """The ledger says that an entry is durable."""
        if entry["index"] >= len(self._disk.leaves):
            self.object(f"Entry {entry['index']} ({entry['kind']}) was called durable before it was.")

    # While bytes pass -----------------------------------------------------------------------------------------------

    def shows(self, seen: Seen, data: bytes) -> None:
        """The relay writes to the client."""
        self._passes(seen, seen.shown, data)

    def holds(self, seen: Seen, taken_bytes: int) -> None:
        """The gateway has taken so much from the target."""
        if not seen.protected and not seen.is_closed:
            seen.held_bytes_max = max(seen.held_bytes_max, taken_bytes - len(seen.shown.data))

    def asks(self, passage: Passage, data: bytes) -> None:
        """The relay writes to the target."""
        seen = self.connections[passage.permit.arrival.connection_id]
        self._passes(seen, seen.asked, data)

    def interrupts(self, passage: Passage) -> None:
        """A target is asked to stop what it does."""
        seen = self.connections[passage.permit.arrival.connection_id]
        seen.interrupts += 1
        if self.is_over:
            self.object(f"{seen.arrival.connection_id}: its cancel key still had an effect after its end.")

    def revoked(self, session_id: str) -> None:
        """The right behind a session ended, now."""
        for seen in self.connections.values():
            if seen.session_id == session_id and seen.over_s is None and seen.revoked_s is None:
                seen.revoked_s = self._now_s()

    def _passes(self, seen: Seen, writes: Writes, data: bytes) -> None:
        now_s, passage = self._now_s(), seen.passage
        writes.data += data
        writes.ends.append(len(writes.data))
        writes.at_s.append(now_s)
        writes.durable.append(self._disk.durable.get(seen.recording, 0))
        not_after_s = passage.permit.not_after_s if passage else now_s
        if now_s > LATE_S + min(not_after_s, not_after_s if seen.revoked_s is None else seen.revoked_s):
            self.object(f"{seen.arrival.connection_id}: bytes passed after the session's right had ended.")

    def _require(self, kind: str, arrival: Arrival, what: str) -> None:
        for leaf in self._disk.leaves[self._read :]:
            entry = orjson.loads(leaf)
            self._noted.add((entry["kind"], entry.get("connection_id", "")))
        self._read = len(self._disk.leaves)
        if (kind, arrival.connection_id) not in self._noted:
            self.object(f"A target {what} {arrival.connection_id} without a durable {kind!r} entry.")


@implementer(IFrontend)
class Watched:
    """A real frontend, seen by the witness."""

    side = Side.CLIENT

    def __init__(self, frontend: IFrontend, witness: Witness) -> None:
        self.arrival: Arrival = frontend.arrival
        self.handshake_limit: str = frontend.handshake_limit
        self.seen = witness.arrives(self.arrival)
        self.lost: ISignal = frontend.lost
        self._frontend, self._witness = frontend, witness

    async def credentials(self) -> Credentials | None:
        found: Credentials | None = await self._frontend.credentials()
        return found

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        await self._frontend.welcome(passage, peer)

    def again(self, why: Exception) -> bool:
        may: bool = self._frontend.again(why)
        return may

    def inform(self, sentence: str, words: bytes = b"") -> None:
        self.seen.informed.append(sentence)
        self._frontend.inform(sentence, words)

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        if isinstance(why, SessionError):
            self.seen.refusals.append(why)
        self._frontend.refuse(session_id, why, words)

    async def read(self) -> bytes:
        data: bytes = await self._frontend.read()
        return data

    async def write(self, data: bytes) -> None:
        self._witness.shows(self.seen, data)
        await self._frontend.write(data)

    async def end(self) -> None:
        await self._frontend.end()

    def close(self) -> None:
        self.seen.is_closed = True
        self._frontend.close()

    def dismiss(self) -> None:
        self.seen.is_closed = True
        self._frontend.dismiss()

    def abort(self) -> None:
        self._frontend.abort()
