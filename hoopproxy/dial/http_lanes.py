"""The lanes of one HTTP session towards its target: each a connection of its own, all of them read and written as one.

A lane is read while nobody has paused it and what it brought last is taken; so no more than a chunk of each lies here.
Knows neither HTTP nor how a target is dialled.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.errors import SessionError
from hoopproxy.flow import Room
from hoopproxy.masks import NO_CATALOG
from hoopproxy.model import Passage, Side
from hoopproxy.rooms import IPeer, IScheduler, ISignal
from hoopproxy.settings import Limits
from hoopproxy.wire.http.lanes import Frame, Frames, Kind, framed
from hoopproxy.wire.http.messages import HttpGreeting

log = structlog.get_logger()

BROKEN_OFF = "The target's connection broke off; what it sent may not be whole."

type Redial = Callable[[Passage, tuple[str, ...]], Awaitable[Connection]]
"""Makes one more connection to where a passage leads, with these offers for ALPN. @raise SessionError"""


class _Lane:
    """One connection, and whether it is read: not while the relay wants no more of it, or has a chunk still to take."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.connection: Connection | None = None
        self.dialling: Deferred[None] | None = None
        self.unwanted, self.untaken = Room(), Room()
        self.is_gone = False

    @property
    def made(self) -> Connection:
        """Its connection. @raise AssertionError: it has not been said to be open."""
        assert self.connection is not None, f"lane {self.number} is not open yet"
        return self.connection


@implementer(IPeer)
class HttpPeer:
    """A target that was reached, over one connection and as many more as are asked for. What passes are frames.

    A lane that can't be opened is answered with a sentence for the client; the detail is for the operator's log.
    """

    side = Side.SERVER
    catalog = NO_CATALOG

    def __init__(
        self,
        connection: Connection,
        greeting: HttpGreeting,
        passage: Passage,
        redial: Redial,
        limits: Limits,
        scheduler: IScheduler,
    ) -> None:
        self.greeting = greeting
        self.lost: ISignal = scheduler.signal()
        self._passage, self._redial, self._limits = passage, redial, limits
        self._said = Frames(Side.SERVER)
        self._lanes: dict[int, _Lane] = {}
        self._last_number = -1
        self._brought: deque[tuple[_Lane, bytes]] = deque()
        self._reading: Deferred[None] | None = None
        self._leaving: deque[Connection] = deque()
        self._is_over = False
        lane = self._new(0)
        lane.connection = connection
        self._running(self._carry(lane))

    async def read(self) -> bytes:
        """Frames, in the order in which lanes brought them; b"" once it was closed."""
        while not self._brought:
            if self._is_over:
                return b""
            assert self._reading is None, "one reader at a time"
            self._reading = Deferred(self._forget_reader)
            await self._reading
        given, bytes_count = list[bytes](), 0
        while self._brought and bytes_count < self._limits.chunk_bytes_max:
            lane, data = self._brought.popleft()
            given.append(data)
            bytes_count += len(data)
            lane.untaken.open()  # it may bring more at once
        return b"".join(given)

    async def write(self, data: bytes) -> None:
        """Returns when there is room in every lane that was written to; what is for one never waits for another."""
        if self._is_over:
            return
        written, ended = set[_Lane](), list[Deferred[None]]()
        self._said.append(data)
        while (frame := self._said.next()) is not None:
            if frame.kind is Kind.OPEN:
                self._open(frame)
                continue
            lane = self._lanes.get(frame.lane)
            if lane is None:  # what was said before it was heard that the lane is gone
                assert frame.lane <= self._last_number, f"{frame} is about a lane that never was"
                continue
            match frame.kind:
                case Kind.DATA:
                    lane.made.send(frame.payload)
                    written.add(lane)
                case Kind.ENDED:
                    ended.append(Deferred.fromCoroutine(lane.made.end()))
                case Kind.CLOSED:
                    self._leave(lane)
                case Kind.PAUSE:
                    lane.unwanted.pauseProducing()
                case Kind.RESUME:
                    lane.unwanted.open()
                case _:
                    raise AssertionError(f"{frame} goes inwards alone")
        for lane in written:
            if not lane.is_gone:
                await lane.made.write(b"")
        for end in ended:
            await end

    async def end(self) -> None:
        """Nothing: a lane ends by its frames."""

    async def interrupt(self) -> None:
        """Nothing: what a request began ends with its lane."""

    def close(self) -> None:
        for lane in tuple(self._lanes.values()):
            self._leave(lane)
        self._finish()

    def dismiss(self) -> None:
        self.close()
        for connection in self._leaving:
            connection.dismiss()

    def abort(self) -> None:
        self.close()
        while self._leaving:
            self._leaving.popleft().abort()

    # Lanes ------------------------------------------------------------------------------------------------------------

    def _new(self, number: int) -> _Lane:
        assert number > self._last_number, f"lane {number} was opened before"
        self._last_number = number
        lane = self._lanes[number] = _Lane(number)
        return lane

    def _open(self, frame: Frame) -> None:
        lane, target = self._new(frame.lane), self._passage.permit.target.name
        if len(self._lanes) > self._limits.lanes_max:
            self._bring_last(
                lane,
                Kind.REFUSED,
                f"Your connection has as many connections to target '{target}' as it may; ask for less at once.",
            )
            return
        offers = tuple(frame.payload.decode("ascii").split(",")) if frame.payload else ()
        lane.dialling = self._running(self._dial(lane, offers))

    async def _dial(self, lane: _Lane, offers: tuple[str, ...]) -> None:
        try:
            lane.connection = await self._redial(self._passage, offers)
        except SessionError as why:
            log.warning(
                "lane-refused", session=self._passage.session_id, lane=lane.number, code=why.code, detail=why.detail
            )
            self._bring_last(lane, Kind.REFUSED, why.sentence)
            return
        self._bring(lane, Kind.OPENED, (lane.connection.alpn or b""))
        await self._carry(lane)

    async def _carry(self, lane: _Lane) -> None:
        """What the target sends in a lane, chunk by chunk, until one of both has enough."""
        connection = lane.made
        while data := await connection.read():
            lane.untaken.pauseProducing()
            self._bring(lane, Kind.DATA, data)
            await lane.untaken.wait()
            await lane.unwanted.wait()
        if not (lane.is_gone or connection.is_broken):
            self._bring(lane, Kind.ENDED)
            await connection.lost.wait()
        if not lane.is_gone:
            self._bring_last(lane, Kind.CLOSED, BROKEN_OFF if connection.is_broken else "")

    def _bring(self, lane: _Lane, kind: Kind, payload: bytes = b"") -> None:
        self._brought.append((lane, framed(Frame(kind, lane.number, payload))))
        if self._reading is not None:
            reading, self._reading = self._reading, None
            reading.callback(None)

    def _bring_last(self, lane: _Lane, kind: Kind, sentence: str) -> None:
        del self._lanes[lane.number]
        lane.is_gone = True
        self._bring(lane, kind, sentence.encode())

    def _leave(self, lane: _Lane) -> None:
        """Have it flushed and ended, and what it brings from here on forgotten. A target that goes on sending is soon
        cut off; so is the first of too many that take their time to go."""
        del self._lanes[lane.number]
        lane.is_gone = True
        self._brought = deque(each for each in self._brought if each[0] is not lane)
        if lane.connection is None:
            assert lane.dialling is not None
            lane.dialling.cancel()
            return
        lane.connection.close(linger_bytes_max=0)
        if len(self._leaving) == self._limits.lanes_max:
            self._leaving.popleft().abort()
        self._leaving.append(lane.connection)
        lane.untaken.open()
        lane.unwanted.open()

    def _finish(self) -> None:
        self._is_over = True
        self.lost.set()
        if self._reading is not None:
            reading, self._reading = self._reading, None
            reading.callback(None)

    def _forget_reader(self, _: Deferred[None]) -> None:
        self._reading = None

    def _running(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(work).addErrback(self._crashed)

    def _crashed(self, failure: Failure) -> None:
        """A bug, unless it was cancelled: it ends this session alone."""
        if not isinstance(failure.value, CancelledError):
            log.error("lane-crashed", session=self._passage.session_id, exc_info=failure.value)
            self.abort()
