"""One HTTP connection as a machine without I/O: a client's requests, and the lanes on which a target answers them.

Knows neither sockets nor addons, and no meaning of a request: that is a `Reading`'s. `exchange` knows the order in
which one request is asked about, sent and answered, `pool` which lane serves it, and `halves` the versions of HTTP.
"""

from collections import deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import ClassVar

from zope.interface import implementer

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Reply, Step
from hoopproxy.model import Passage, Side
from hoopproxy.rooms import IPeer, IWire, IWireFactory
from hoopproxy.settings import Limits
from hoopproxy.wire.http.client_half import ClientHalf
from hoopproxy.wire.http.draft import Draft
from hoopproxy.wire.http.exchange import Ends, Exchange, Question
from hoopproxy.wire.http.first import MALFORMED
from hoopproxy.wire.http.halves import CLIENT_PREFACE, client_half
from hoopproxy.wire.http.lanes import Frame, Frames, Kind, framed
from hoopproxy.wire.http.messages import SCHEME
from hoopproxy.wire.http.parsers import STREAM_WINDOW_BYTES
from hoopproxy.wire.http.parts import Data, FromClient, Head, Malformed
from hoopproxy.wire.http.plain import PlainReading
from hoopproxy.wire.http.pool import Pool
from hoopproxy.wire.http.reading import Reading

PIECE_BYTES_MAX = 1 << 15
"""What is parsed at once, so that others get their turn."""

MOVES_MAX = 64
"""Pieces parsed and parts followed in one step, for the same reason."""

DOCUMENTS_MAX = 2
"""So many answers of the full size (`limits.document_bytes_max`) are read at once, or more that are smaller: an HTTP/2
client may ask for a hundred."""

UNTAKEN_BYTES_MAX = 1 << 20
"""While a client leaves so much of its answers, no more of its requests are sent on."""

_NOBODY: frozenset[Side] = frozenset()
_CLIENT = frozenset((Side.CLIENT,))


@implementer(IWire)
class HttpWire:
    """A machine in the state right after `welcome`. Its input on both sides are frames: see `lanes`.

    Requests are asked about one after the other, in the order in which they came, as are the shapes of answers; between
    both, nothing waits. `_questions` are those of which an answer is awaited, by the side whose step asked.
    """

    def __init__(self, reading: Reading, limits: Limits, alpn: str, scheme: str) -> None:
        self._reading, self._limits, self._scheme = reading, limits, scheme
        self._pool: Pool[Exchange] = Pool(limits, alpn)
        self._draft = Draft()
        self._ends: Ends | None = None  # until the client's version is known
        self._opening = b""
        self._exchanges: dict[int, Exchange] = {}  # by the client's stream
        self._number = 1  # of the next statement
        self._frames = {side: Frames(side) for side in Side}
        self._intake: dict[Side, deque[Frame]] = {side: deque() for side in Side}
        self._questions: dict[Side, tuple[Side, Question]] = {}  # whose step asked: of whose parts it arose
        self._blocked: set[Side] = set()  # nothing that these sent is looked at
        self._unfinished: set[Side] = set()
        self._violation: ProtocolViolation | None = None
        self._ended = False

    # IWire ------------------------------------------------------------------------------------------------------------

    def feed(self, side: Side, data: bytes) -> Step:
        self._may_go_on(side, asked=False, unfinished=False)
        if data:
            frames = self._frames[side]
            frames.append(data)
            while (frame := frames.next()) is not None:
                self._intake[side].append(frame)
        else:
            self._intake[side].append(Frame(Kind.ENDED, 0))
            self._ended = side is Side.SERVER
        return self._step(side, side, None)

    def resume(self, side: Side, reply: Reply | None) -> Step:
        self._may_go_on(side, asked=reply is not None, unfinished=reply is None)
        if reply is None:
            return self._step(side, side, None)
        origin, question = self._questions.pop(side)
        self._blocked.discard(origin)
        return self._step(side, origin, question.answer(reply))

    def release(self, side: Side) -> Step:
        self._may_go_on(side, asked=False, unfinished=False)
        for exchange in self._open():
            if exchange.hold_s:
                return self._step(side, side, exchange.release())
        return self._step(side, side, None)

    def words(self, sentence: str) -> bytes:
        """503 for each request that has no answer yet; worked out on a copy, for it may be that nobody is shown it."""
        if self._ends is None or self._violation is not None:
            return b""
        client = deepcopy(self._ends.client)
        for exchange in self._exchanges.values():
            if exchange.upgraded is not None:
                client.send(Data(exchange.stream, exchange.upgraded.farewell(sentence)))
            elif not exchange.is_begun:
                client.refuse(exchange.stream, self._reading.says(503, sentence).to(exchange.request.method))
        client.leave()
        return framed(Frame(Kind.DATA, 0, client.taken()))

    def _may_go_on(self, side: Side, *, asked: bool, unfinished: bool) -> None:
        """@raise AssertionError: whoever drives the machine does it wrongly. @raise ProtocolViolation: it is dead."""
        if self._violation is not None:
            raise self._violation
        if (side in self._questions) is not asked or (side in self._unfinished) is not unfinished:
            raise AssertionError(f"the {side.value}'s last step was not finished, or was not one to go on with")

    # One move after the other -----------------------------------------------------------------------------------------

    def _step(self, side: Side, origin: Side, question: Question | None) -> Step:
        """As many moves as one step may be, or up to the next question."""
        self._unfinished.discard(side)
        for _ in range(MOVES_MAX):
            self._seat()
            if question is not None or self._violation is not None or (move := self._next()) is None:
                break
            origin, follow = move
            question = follow()
        else:
            self._unfinished.add(side)
        if question is not None:
            self._questions[side] = origin, question
            self._blocked.add(origin)
            self._unfinished.discard(side)
        elif self._violation is not None:
            self._unfinished.add(side)  # it is raised when what was said of it is on the way
        return self._finished(side)

    def _next(self) -> tuple[Side, Callable[[], Question | None]] | None:
        """What can be done next, and whose doing it is."""
        client, server = self._intake[Side.CLIENT], self._intake[Side.SERVER]
        if Side.CLIENT not in self._blocked:
            if self._ends is not None and self._ends.client.parts:
                return Side.CLIENT, partial(self._from_client, self._ends, self._ends.client.parts.popleft())
            if client:
                return Side.CLIENT, partial(self._read, _piece(client))
        if Side.SERVER not in self._blocked:
            if (spoken := self._pool.speaking()) is not None:
                exchange, part = spoken
                return Side.SERVER, partial(exchange.from_server, part)
            if server:
                return Side.SERVER, partial(self._pool.take, _piece(server))
        return None

    def _read(self, frame: Frame) -> Question | None:
        """The client's side."""
        if frame.lane:
            upgraded = (each for each in self._exchanges.values() if each.upgraded is not None)
            return next((exchange.take(frame) for exchange in upgraded), None)
        if self._ends is None:
            self._opening += frame.payload
            self._recognise(is_all=frame.kind is not Kind.DATA)
        else:
            self._ends.client.receive(frame.payload if frame.kind is Kind.DATA else b"")
        return None

    def _recognise(self, *, is_all: bool) -> None:
        """The client's version, by its first bytes (RFC 9113 §3.4)."""
        first = self._opening[: len(CLIENT_PREFACE)]
        if is_all:
            self._ended = True
        elif first == CLIENT_PREFACE or not CLIENT_PREFACE.startswith(first):
            client = client_half(self._limits, is_h2=first == CLIENT_PREFACE, scheme=self._scheme)
            self._ends = Ends(self._reading, client, self._pool, self._draft)
            client.receive(self._opening)
            self._opening = b""

    def _from_client(self, ends: Ends, part: FromClient) -> Question | None:
        match part:
            case Head(stream, request):
                exchange = self._exchanges[stream] = Exchange(ends, self._number, stream, request)
                question = exchange.begin()
                self._number += question is not None
                return question
            case Malformed(stream, why):
                self._refuse(ends, stream, why)
            case _ if (known := self._exchanges.get(part.stream)) is not None and not known.is_over:
                return known.from_client(part)
        return None

    def _refuse(self, ends: Ends, stream: int, why: str) -> None:
        is_cut = self._is_amid()
        for exchange in self._open():
            exchange.abandon()
        if stream and not is_cut:
            ends.client.refuse(stream, self._reading.says(400, MALFORMED))
        ends.client.leave()
        self._violation = ProtocolViolation(Side.CLIENT.value, MALFORMED, detail=f"a request was refused: {why}")

    def _seat(self) -> None:
        if self._ends is not None and self._ends.client.buffered_bytes < UNTAKEN_BYTES_MAX:
            self._pool.seat()

    def _open(self) -> list[Exchange]:
        return [exchange for exchange in self._exchanges.values() if not exchange.is_over]

    def _is_idle(self) -> bool:
        """Whether the client waits for no answer, nor for the rest of one that it left here for want of credit."""
        is_taken = self._ends is None or not self._ends.client.buffered_bytes
        return is_taken and all(exchange.upgraded is not None for exchange in self._exchanges.values())

    # The end of a step ------------------------------------------------------------------------------------------------

    def _finished(self, side: Side) -> Step:
        self._exchanges = {exchange.stream: exchange for exchange in self._open()}
        client = None if self._ends is None else self._ends.client
        if client is not None and client.is_over and not client.parts:
            self._ended = True
            for exchange in self._open():
                exchange.abandon()
        self._relieve()
        pauses = client is not None and self._balance(client)
        to_server = self._pool.taken()
        records, children = self._draft.taken()
        said = b"" if client is None else framed(Frame(Kind.DATA, 0, client.taken()))
        asked = self._questions.get(side)
        return Step(
            to_client=said + children,
            to_server=to_server,
            records=records,
            ask=None if asked is None else asked[1].ask,
            more=side in self._unfinished,
            pause=self._paused(_CLIENT if pauses else _NOBODY),
            ended=self._ended and self._violation is None,
            is_amid=self._violation is not None or self._is_amid(),
            is_idle=self._is_idle(),
            hold_s=self._hold_s() if side is Side.SERVER else 0.0,
            is_heading=bool(self._opening) if client is None else client.is_heading,
        )

    def _relieve(self) -> None:
        """Give up the largest answer in hand where all of them are too large."""
        held = {each: count for each in self._open() if (count := each.held_bytes)}
        if sum(held.values()) > DOCUMENTS_MAX * self._limits.document_bytes_max:
            max(held, key=lambda each: held[each]).withhold()

    def _balance(self, client: ClientHalf) -> bool:
        """Let each end send what the other has room for; whether all of the client must wait."""
        pauses = client.is_full
        for exchange in self._open():
            unsent = exchange.unsent_bytes()
            client.all_taken_but(exchange.stream, unsent)
            pauses = pauses or unsent > STREAM_WINDOW_BYTES
            if (lane := exchange.lane) is not None:
                untaken = client.buffered(exchange.stream)
                lane.open_half.all_taken_but(exchange.number, untaken)
                if lane.is_http1:
                    self._pool.pause(lane, untaken > STREAM_WINDOW_BYTES >> lane.is_paused)
        return pauses

    def _hold_s(self) -> float:
        """How long what is held back of an upgraded connection may be: there is one at most."""
        return max((exchange.hold_s for exchange in self._open()), default=0.0)

    def _paused(self, full: frozenset[Side]) -> frozenset[Side]:
        """Those of whom no more fits in, or of whose parts the other side's step has asked; but nobody who is to go on
        with a step of its own, which is not read anyway."""
        return frozenset((full | self._blocked) - self._questions.keys() - self._unfinished)

    def _is_amid(self) -> bool:
        """Whether something of the gateway's own would land inside a response."""
        is_http1 = self._ends is not None and self._ends.client.version == "HTTP/1.1"
        return is_http1 and any(each.is_begun and each.upgraded is None for each in self._open())


def _piece(frames: deque[Frame]) -> Frame:
    """The first of them, or as much as is parsed at once."""
    frame = frames.popleft()
    if len(frame.payload) > PIECE_BYTES_MAX:
        frames.appendleft(replace(frame, payload=frame.payload[PIECE_BYTES_MAX:]))
        return replace(frame, payload=frame.payload[:PIECE_BYTES_MAX])
    return frame


@implementer(IWireFactory)
class HttpWires:
    """Makes machines; those of a protocol over HTTP differ in their reading."""

    treatment = "parsed, masked"
    reading: ClassVar[type[PlainReading]] = PlainReading
    """What it makes of messages."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def wire(self, passage: Passage, peer: IPeer, protected: frozenset[str], rows_recorded_max: int) -> IWire:
        """See `IWireFactory`. How many rows a recording keeps does not matter: bodies are kept by their length."""
        reading = self.reading(passage, peer.greeting, protected, self._limits)
        return HttpWire(reading, self._limits, peer.greeting.alpn, passage.permit.parameters.get(SCHEME, "https"))
