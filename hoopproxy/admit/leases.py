"""The live sessions: who holds which passage, and the one way to end them from outside.

A session is not a connection: all connections of one (identity, target, account, client address) share a session id
and a lease, and end together. Knows no socket and no clock of its own.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hoopproxy.errors import Revoked
from hoopproxy.model import Identity, IPAddress, Passage, Tally
from hoopproxy.rooms import IScheduler, ISignal

ENDED_MAX = 10_000
"""How many ended session ids are remembered, for connections that were on their way in: far more than can be."""

STOPPING = "The gateway is stopping; connect again in a moment."

ENTERING_S_MAX = 60.0
"""How long a session id waits for its first connection to come through: longer than any dial that succeeds."""

type SessionKey = tuple[str, str, str, str, IPAddress]


@dataclass(frozen=True, slots=True)
class Held:
    """One live connection of a session."""

    passage: Passage
    since_s: float
    tally: Callable[[], Tally]


@dataclass(slots=True)
class Lease:
    """What keeps a session alive. `ended` is set, with the reason, when the right behind it is gone."""

    session_id: str
    ended: ISignal
    held: dict[str, Held] = field(default_factory=dict)


class Leases:
    """All leases of this gateway, by session id: what is listed and ended is what is held, without exception.

    `stopping` is set, to a sentence, when nobody may come in any more, and who is in should leave.
    """

    def __init__(self, scheduler: IScheduler) -> None:
        self.stopping: ISignal = scheduler.signal()
        self._scheduler = scheduler
        self._is_stopping = False
        self._leases: dict[str, Lease] = {}
        self._ids: dict[SessionKey, tuple[str, float]] = {}
        self._ended: deque[str] = deque(maxlen=ENDED_MAX)

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
    def hold(self, passage: Passage, tally: Callable[[], Tally]) -> Iterator[Lease]:
        """Keep one connection's part in its session's lease. The last one to leave closes the session.

        @raise Revoked: the session was ended while this connection was still on its way in, or the gateway stops.
        """
        permit = passage.permit
        if self._is_stopping:
            raise Revoked(STOPPING)
        if permit.session_id in self._ended:
            raise Revoked("This session was ended while you were connecting; connect again.")
        lease = self._leases.get(permit.session_id)
        if lease is None:
            lease = self._leases[permit.session_id] = Lease(permit.session_id, self._scheduler.signal())
        connection_id = permit.arrival.connection_id
        lease.held[connection_id] = Held(passage, self._scheduler.now_s(), tally)
        try:
            yield lease
        finally:
            del lease.held[connection_id]
            if not lease.held and self._leases.get(lease.session_id) is lease:
                self._forget(lease)

    def live(self) -> tuple[Lease, ...]:
        """All live sessions."""
        return tuple(self._leases.values())

    def has_children(self, session_id: str) -> bool:
        """Whether other live sessions come through this one."""
        return any(
            held.passage.permit.arrival.parent == session_id
            for lease in self._leases.values()
            for held in lease.held.values()
        )

    def end(self, session_id: str, why: Revoked) -> bool:
        """End one session: every connection of it. False when there is none of that id."""
        lease = self._leases.get(session_id)
        if lease is None:
            return False
        self._ended.append(session_id)
        self._forget(lease)
        lease.ended.set(why)
        return True

    def stop(self) -> None:
        """The gateway stops."""
        self._is_stopping = True
        self.stopping.set(STOPPING)

    def _forget(self, lease: Lease) -> None:
        """What comes now is another session."""
        del self._leases[lease.session_id]
        self._ids = {key: entered for key, entered in self._ids.items() if entered[0] != lease.session_id}
