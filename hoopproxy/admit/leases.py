"""The live sessions: who holds which passage, and the one way to end them from outside.

A session is not a connection: all connections of one (identity, target, account, client address) share a session id
and a lease, and end together. Knows no socket and no clock of its own.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hoopproxy.errors import Revoked
from hoopproxy.interfaces import IScheduler, ISignal
from hoopproxy.model import Identity, IPAddress, Passage, Tally

ENDED_MAX = 10_000
"""How many ended session ids are remembered, for connections that were on their way in: far more than can be."""

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
    """All leases of this gateway."""

    def __init__(self, scheduler: IScheduler) -> None:
        self._scheduler = scheduler
        self._by_key: dict[SessionKey, Lease] = {}
        self._ended: deque[str] = deque(maxlen=ENDED_MAX)

    def session_id(
        self, identity: Identity, target: str, account: str, client: IPAddress, new: Callable[[], str]
    ) -> str:
        """The id of the live session that such a connection joins, or a new one."""
        lease = self._by_key.get((identity.issuer, identity.subject, target, account, client))
        return lease.session_id if lease else new()

    @contextmanager
    def hold(self, passage: Passage, tally: Callable[[], Tally]) -> Iterator[Lease]:
        """Keep one connection's part in its session's lease. The last one to leave closes the session.

        @raise Revoked: the session was ended while this connection was still on its way in.
        """
        permit = passage.permit
        identity, client = permit.identity, permit.arrival.client.address
        key = (identity.issuer, identity.subject, permit.target.name, permit.account, client)
        if permit.session_id in self._ended:
            raise Revoked("This session was ended while you were connecting; connect again.")
        lease = self._by_key.get(key)
        if lease is None or lease.session_id != permit.session_id:
            lease = Lease(permit.session_id, self._scheduler.signal())
            self._by_key[key] = lease
        connection_id = permit.arrival.connection_id
        lease.held[connection_id] = Held(passage, self._scheduler.now_s(), tally)
        try:
            yield lease
        finally:
            del lease.held[connection_id]
            if not lease.held and self._by_key.get(key) is lease:
                del self._by_key[key]

    def live(self) -> tuple[Lease, ...]:
        """All live sessions."""
        return tuple(self._by_key.values())

    def end(self, session_id: str, why: Revoked) -> bool:
        """End one session: every connection of it. False when there is none of that id."""
        for key, lease in list(self._by_key.items()):
            if lease.session_id == session_id:
                del self._by_key[key]
                self._ended.append(session_id)
                lease.ended.set(why)
                return True
        return False

    def end_all(self, why: Revoked) -> None:
        """End all sessions, because the gateway stops."""
        for lease in self.live():
            self.end(lease.session_id, why)
