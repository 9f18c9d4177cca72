"""One relayed PostgreSQL connection as a machine without I/O: the two directions, joined by what is pending.

Knows neither sockets nor addons. `client_half` and `server_half` hold the rules of each direction.
"""

import sys

from zope.interface import implementer

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Reply, Step
from hoopproxy.model import Passage, Side
from hoopproxy.rooms import IPeer, IWire, IWireFactory
from hoopproxy.settings import Limits
from hoopproxy.wire.direction import Direction
from hoopproxy.wire.postgres.client_half import ClientHalf
from hoopproxy.wire.postgres.draft import Draft
from hoopproxy.wire.postgres.pending import Queue
from hoopproxy.wire.postgres.requests import TERMINATE
from hoopproxy.wire.postgres.server_half import ServerHalf
from hoopproxy.wire.postgres.statements import Book
from hoopproxy.wire.postgres.terms import Terms

_NOBODY: frozenset[Side] = frozenset()
_CLIENT = frozenset((Side.CLIENT,))

STEP_MESSAGES_MAX = 256
"""Messages of one step where others wait for their turn: some milliseconds of the tiniest ones."""


@implementer(IWire)
class PostgresWire:
    """A machine in the state right after `welcome`: the client was told ReadyForQuery.

    It pauses the client while `limits.pending_statements_max` requests are unanswered, and after Terminate until the
    server closes. It has ended when the server left, or the client did with nothing left to answer. No step goes
    through more than `messages_max` messages.
    """

    def __init__(self, terms: Terms, messages_max: int = sys.maxsize) -> None:
        self._limits, self._messages_max = terms.limits, messages_max
        self._queue = Queue()
        book = Book()
        self._client = ClientHalf(terms, book, self._queue)
        self._server = ServerHalf(terms, book, self._queue, self._client.interject)
        self._from_client: Direction[ClientHalf | ServerHalf] = Direction(Side.CLIENT, self._client)
        self._from_server: Direction[ClientHalf | ServerHalf] = Direction(Side.SERVER, self._server)
        self._full = self._ended = self._broken = False

    def feed(self, side: Side, data: bytes) -> Step:
        direction = self._from(side)
        direction.may_be_fed()
        if not data:
            return self._left(side)
        direction.half.append(data)
        return self._run(side, direction, None)

    def resume(self, side: Side, reply: Reply | None) -> Step:
        direction = self._from(side)
        direction.may_resume(reply)
        return self._run(side, direction, reply)

    def release(self, side: Side) -> Step:
        raise AssertionError("nothing is held back for a time")

    def words(self, sentence: str) -> bytes:
        return b""

    def _from(self, side: Side) -> Direction[ClientHalf | ServerHalf]:
        return self._from_client if side is Side.CLIENT else self._from_server

    def _run(self, side: Side, direction: Direction[ClientHalf | ServerHalf], reply: Reply | None) -> Step:
        if self._broken:
            raise ProtocolViolation(side.value, "This connection was broken off before.")
        if self._ended:
            return Step(ended=True)
        self._broken = True  # unless this returns
        half, draft = direction.half, Draft(self._messages_max)
        if reply is not None:
            half.answer(reply, draft)
        ask = half.run(draft)
        direction.is_asking, direction.is_unfinished = ask is not None, draft.is_full
        full = self._queue.is_full(self._limits) and not self._client.is_amid
        if full and not self._full:
            self._client.flush(draft)
        self._full = full
        self._ended = self._client.left and not self._queue
        self._broken = False
        pause = _CLIENT if full or self._client.left else _NOBODY
        interrupts = ask is None and not draft.is_full and self._server.wants_to_stop()
        is_idle = self._is_idle()
        is_at_rest = is_idle and not self._queue
        return draft.step(ask, pause, self._ended, self._server.is_amid, is_idle, is_at_rest, interrupts)

    def _is_idle(self) -> bool:
        """A client that owes COPY data owes the next move, too."""
        is_answered = self._queue.copying or not self._queue
        return is_answered and not (self._from_client.is_busy or self._from_server.is_busy)

    def _left(self, side: Side) -> Step:
        """End of stream. A client that stops sending has said goodbye, and hears what it asked for before, as from
        PostgreSQL; unless it stopped inside a message or owes COPY data, which nobody sends any more."""
        is_amid = self._client.is_amid or self._queue.copying
        is_news = side is Side.CLIENT and not (self._client.left or self._ended or self._client.is_amid)
        self._client.left |= side is Side.CLIENT
        self._ended |= side is Side.SERVER or is_amid or not self._queue
        return Step(to_server=TERMINATE if is_news else b"", pause=_CLIENT, ended=self._ended)


@implementer(IWireFactory)
class PostgresWires:
    """Makes machines."""

    treatment = "parsed, masked"

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def wire(self, passage: Passage, peer: IPeer, protected: frozenset[str], rows_recorded_max: int) -> IWire:
        terms = Terms(peer.catalog, protected, rows_recorded_max, self._limits)
        return PostgresWire(terms, STEP_MESSAGES_MAX)
