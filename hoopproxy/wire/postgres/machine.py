"""One relayed PostgreSQL connection as a machine without I/O: the two directions, joined by what is pending.

Knows neither sockets nor addons. `client_half` and `server_half` hold the rules of each direction.
"""

from zope.interface import implementer

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Reply, Step
from hoopproxy.interfaces import IPeer, IWire, IWireFactory
from hoopproxy.model import Passage, Side
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres.client_half import ClientHalf
from hoopproxy.wire.postgres.draft import Draft
from hoopproxy.wire.postgres.pending import Queue
from hoopproxy.wire.postgres.requests import TERMINATE
from hoopproxy.wire.postgres.server_half import ServerHalf
from hoopproxy.wire.postgres.statements import Book
from hoopproxy.wire.postgres.terms import Terms

_NOBODY: frozenset[Side] = frozenset()
_CLIENT = frozenset((Side.CLIENT,))


@implementer(IWire)
class PostgresWire:
    """A machine in the state right after `welcome`: the client was told ReadyForQuery.

    It pauses the client while `limits.pending_statements_max` requests are unanswered, and after Terminate until the
    server closes. It has ended when the server left, or the client did with nothing left to answer.
    """

    def __init__(self, terms: Terms) -> None:
        self._limits = terms.limits
        self._queue = Queue()
        book = Book()
        self._client = ClientHalf(terms, book, self._queue)
        self._server = ServerHalf(terms, book, self._queue)
        self._asking: dict[Side, bool] = {Side.CLIENT: False, Side.SERVER: False}
        self._full = self._ended = self._broken = False

    def feed(self, side: Side, data: bytes) -> Step:
        if self._asking[side]:
            raise AssertionError(f"the {side.value} was read before its question was answered")
        if not data:
            return self._left(side)
        self._half(side).append(data)
        return self._run(side, None)

    def resume(self, side: Side, reply: Reply) -> Step:
        if not self._asking[side]:
            raise AssertionError(f"nothing was asked about the {side.value}")
        return self._run(side, reply)

    def _half(self, side: Side) -> ClientHalf | ServerHalf:
        return self._client if side is Side.CLIENT else self._server

    def _run(self, side: Side, reply: Reply | None) -> Step:
        if self._broken:
            raise ProtocolViolation(side.value, "This connection was broken off before.")
        if self._ended:
            return Step(ended=True)
        self._broken = True  # unless this returns
        half, draft = self._half(side), Draft()
        if reply is not None:
            half.answer(reply, draft)
        ask = half.run(draft)
        self._asking[side] = ask is not None
        full = self._queue.is_full(self._limits)
        if full and not self._full:
            self._client.flush(draft)
        self._full = full
        self._ended = self._client.left and not self._queue
        self._broken = False
        pause = _CLIENT if full or self._client.left else _NOBODY
        return draft.step(ask, pause, self._ended, self._server.is_amid)

    def _left(self, side: Side) -> Step:
        """End of stream. A client that just leaves is taken to have said so."""
        farewell = TERMINATE if side is Side.CLIENT and not (self._client.left or self._ended) else b""
        self._ended = True
        return Step(to_server=farewell, ended=True)


@implementer(IWireFactory)
class PostgresWires:
    """Makes machines."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def wire(self, passage: Passage, peer: IPeer, protected: frozenset[str], rows_recorded_max: int) -> IWire:
        return PostgresWire(Terms(peer.catalog, protected, rows_recorded_max, self._limits))
