"""The live sessions: who holds which passage, and the one way to end them from outside.

A session is not a connection: all connections of one (identity, target, account, client address) share a session id
and a lease, and end together. Knows no socket and no clock of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf

from hoopproxy.errors import Cause, Revoked
from hoopproxy.model import Identity, IPAddress, Passage, Permit, Proven, Tally
from hoopproxy.rooms import IScheduler, ISignal

STOPPING = "The gateway is stopping; connect again in a moment."

ENTERING_S_MAX = 60.0
"""How long a session id waits for its first connection to come through: longer than any dial that succeeds."""

type SessionKey = tuple[str, str, str, str, IPAddress]


@dataclass(frozen=True, slots=True)
class Held:
    """One live connection of a session. `protected` is what it does not see, None as long as that is being asked."""

    passage: Passage
    proven: Proven
    since_s: float
    tally: Callable[[], Tally]
    protected: frozenset[str] | None = None


@dataclass(slots=True)
class Lease:
    """What keeps a session alive. `ended` is set, with the reason, when the right behind it is gone.

    `checked_s` (monotonic) is when everything that it needs was last found in force, or when it began; `looked_s` when
    that was last tried, and no later than anybody of it was proven. `not_after_s` only ever shrinks: what re-checks
    found, besides what each permit says. `parents` are the sessions that connections of it came through.
    """

    session_id: str
    ended: ISignal
    checked_s: float
    looked_s: float = inf
    held: dict[str, Held] = field(default_factory=dict)
    not_after_s: float = inf
    parents: set[str] = field(default_factory=set)

    def protects(self, permit: Permit, protected: frozenset[str]) -> None:
        """What one of its connections does not see."""
        connection_id = permit.arrival.connection_id
        self.held[connection_id] = replace(self.held[connection_id], protected=protected)


@dataclass(slots=True)
class Entry:
    """Somebody with a permit who is on the way in. `ended` is why they need not arrive; None as long as they may.

    `until_s`, by the scheduler's monotonic clock, is when the right behind the permit ends: nobody sets that clock.
    """

    permit: Permit
    until_s: float
    ended: Revoked | None = None


class Leases:
    """All leases of this gateway, by session id: what is listed and ended is what is held, without exception.

    `stopping` is set, to a sentence, when nobody may come in any more, and who is in should leave. `still_may` is asked
    right before somebody comes in, with nothing awaited in between: "" for yes, or a full sentence that says why not.
    What may have changed since a grant was found (a revocation, say) belongs there; `end_where` ends who is in already.
    """

    def __init__(self, scheduler: IScheduler) -> None:
        self.still_may: Callable[[Permit], str] = lambda _: ""
        self.stopping: ISignal = scheduler.signal()
        self._scheduler = scheduler
        self._is_stopping = False
        self._leases: dict[str, Lease] = {}
        self._ids: dict[SessionKey, tuple[str, float]] = {}
        self._entering: dict[str, Entry] = {}

    def session_id(
        self, identity: Identity, target: str, account: str, client: IPAddress, new: Callable[[], str]
    ) -> str:
        """The id of the session that such a connection joins: a live one, or one that is just being entered.

        A pool opens its connections at once: those that come while the first is still dialling belong to it, too.
        """
        now_s = self._scheduler.monotonic_s()
        self._ids = {
            key: (session_id, until_s)
            for key, (session_id, until_s) in self._ids.items()
            if until_s > now_s or session_id in self._leases
        }
        key = (identity.issuer, identity.subject, target, account, client)
        session_id, _ = self._ids.get(key) or (new(), 0.0)
        self._ids[key] = session_id, now_s + ENTERING_S_MAX
        return session_id

    @contextmanager
    def entering(self, permit: Permit) -> Iterator[Entry]:
        """From a permit on: who is ended on the way in does not arrive."""
        connection_id = permit.arrival.connection_id
        until_s = self._scheduler.monotonic_s() + permit.not_after_s - self._scheduler.now_s()
        entry = self._entering[connection_id] = Entry(permit, until_s)
        try:
            yield entry
        finally:
            self._entering.pop(connection_id, None)

    @contextmanager
    def hold(self, passage: Passage, proven: Proven, tally: Callable[[], Tally]) -> Iterator[Lease]:
        """Keep one connection's part in its session's lease. The last one to leave closes the session.

        @raise Revoked: it was ended while it was still on its way in, or it may come in no more, or the gateway stops.
        """
        permit = passage.permit
        if self._is_stopping:
            raise Revoked(STOPPING, cause=Cause.STOPPING)
        entry = self._entering.pop(permit.arrival.connection_id, None)
        if entry is not None and entry.ended is not None:
            raise entry.ended
        if sentence := self.still_may(permit):
            raise Revoked(sentence, cause=Cause.GRANT_GONE)
        lease = self._leases.get(permit.session_id)
        if lease is None:
            lease = self._leases[permit.session_id] = Lease(
                permit.session_id, self._scheduler.signal(), self._scheduler.monotonic_s()
            )
        connection_id = permit.arrival.connection_id
        lease.held[connection_id] = Held(passage, proven, self._scheduler.now_s(), tally)
        lease.looked_s = min(lease.looked_s, proven.at_s)
        if permit.arrival.parent:
            lease.parents.add(permit.arrival.parent)
        try:
            yield lease
        finally:
            del lease.held[connection_id]
            if not lease.held and self._leases.get(lease.session_id) is lease:
                self._forget(lease)

    def live(self) -> tuple[Lease, ...]:
        """All live sessions."""
        return tuple(self._leases.values())

    def holds(self, lease: Lease) -> bool:
        """Whether it is alive."""
        return self._leases.get(lease.session_id) is lease

    def proven(self, permit: Permit) -> Proven:
        """Who opened a connection that is alive, and by what, as was last checked. @raise Revoked: it is not."""
        lease = self._leases.get(permit.session_id)
        held = lease.held.get(permit.arrival.connection_id) if lease else None
        if lease is None or held is None:
            raise Revoked("The session that this would have come through has ended; connect again.")
        return replace(held.proven, at_s=lease.looked_s)

    def has_children(self, session_id: str) -> bool:
        """Whether other live sessions come through this one."""
        return any(
            held.passage.permit.arrival.parent == session_id
            for lease in self._leases.values()
            for held in lease.held.values()
        )

    def end(self, session_id: str, why: Revoked) -> bool:
        """End one session: every connection of it. False when there is none of that id."""
        return self.end_where(lambda permit: permit.session_id == session_id, why) > 0

    def end_where(self, covers: Callable[[Permit], bool], why: Revoked) -> int:
        """End each session that has a connection, or that one is on its way into, whose permit is covered; how many.

        All connections of such a session end, those on their way in with the rest.
        """
        leases = [
            lease for lease in self._leases.values() if any(covers(held.passage.permit) for held in lease.held.values())
        ]
        ended = {lease.session_id for lease in leases}
        ended |= {entry.permit.session_id for entry in self._entering.values() if covers(entry.permit)}
        for entry in self._entering.values():
            if entry.permit.session_id in ended:
                entry.ended = entry.ended or why
        self._ids = {key: entered for key, entered in self._ids.items() if entered[0] not in ended}
        for lease in leases:
            del self._leases[lease.session_id]
        for lease in leases:
            lease.ended.set(why)
        return len(ended)

    def stop(self) -> None:
        """The gateway stops."""
        self._is_stopping = True
        self.stopping.set(STOPPING)

    def _forget(self, lease: Lease) -> None:
        """What comes now is another session."""
        del self._leases[lease.session_id]
        self._ids = {key: entered for key, entered in self._ids.items() if entered[0] != lease.session_id}
