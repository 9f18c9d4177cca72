"""A network in memory: lines between the gateway's real connections and simulated peers, delivered in random pieces.

A line is what Twisted's TCP transport is to a `hoopproxy.connection.Connection`: it is written to, it pauses a producer
that is too fast, it may be paused, closed at leisure or cut. Which line moves next is the network's dice. Knows no
protocol.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hoopproxy.connection import Connection
from hoopproxy.model import Endpoint
from hoopproxy.testing.simulation.trace import Trace

FULL_BYTES = 8192
"""So much may wait for the peer before the gateway is told to stop: a small socket buffer."""

CUTS: tuple[Callable[[Random, int], int], ...] = (
    lambda dice, count: count,
    lambda dice, count: dice.randint(1, 3000),
    lambda dice, count: dice.randint(1, 9) if dice.random() < 0.5 else dice.randint(1, 1000),
)
"""How a line cuts what it carries. Each line keeps to one of these."""


class Far(Protocol):
    """Who is at the other end of a line."""

    def received(self, data: bytes) -> None:
        """The gateway sent this."""

    def ended(self) -> None:
        """The gateway will send no more, or the line is cut. Once."""


class Line:
    """One TCP connection. The gateway's half is used through Twisted's names, the far half through ours."""

    def __init__(self, network: "Network", name: str, near: Connection, far: Far, peer: Endpoint) -> None:
        self.name, self._network, self._near, self._far, self._peer = name, network, near, far, peer
        self._cut = network.dice.choice(CUTS)
        self._to_far, self._to_near = bytearray(), bytearray()
        self._producer: Any = None
        self._is_paused = self._is_closing = self._is_aborted = self._is_over = False
        self._far_left = self._far_told = False
        self._asleep: IDelayedCall | None = None
        self.is_listed = False
        self.waiting_bytes_max = 0
        """The most that the gateway ever had waiting for this peer."""
        self.taken_bytes = 0
        """How much the gateway has taken from this peer; `taken` is called whenever that grows."""
        self.taken: Callable[[], None] = lambda: None

    # The gateway's half ---------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """More for the peer."""
        if self._is_over or self._is_closing or self._is_aborted:
            return
        self._to_far += data
        self.waiting_bytes_max = max(self.waiting_bytes_max, len(self._to_far))
        if len(self._to_far) > FULL_BYTES and self._producer is not None:
            self._producer.pauseProducing()
        self._network.stir(self)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Who is told when it is too fast."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Nobody is, any more."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Deliver nothing."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """Deliver again."""
        self._is_paused = False
        self._network.stir(self)

    def loseConnection(self) -> None:
        """Close once all is delivered."""
        self._is_closing = True
        self._network.stir(self)

    def abortConnection(self) -> None:
        """Close now; as with Twisted, its owner hears of it a moment later."""
        self._is_aborted = True
        self._network.clock.callLater(0, self._lose, ConnectionAborted())

    def getPeer(self) -> IPv4Address:
        """The far end."""
        return IPv4Address("TCP", str(self._peer.address), self._peer.port)

    # The far half ---------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """More for the gateway."""
        if not self._far_left:
            self._to_near += data
            self._network.stir(self)

    def leave(self) -> None:
        """End of stream, once all is delivered. What the gateway sends is still received."""
        self._far_left = True
        self._network.stir(self)

    def reset(self) -> None:
        """Cut the line, here and now."""
        self._network.trace.note(self.name, "reset")
        self._far_left = self._far_told = True
        self._lose(ConnectionLost())

    def sleep(self, duration_s: float) -> None:
        """Take nothing from the gateway for a while."""
        if self._asleep is not None and self._asleep.active():
            self._asleep.reset(duration_s)
        else:
            self._asleep = self._network.clock.callLater(duration_s, self._network.stir, self)

    @property
    def is_over(self) -> bool:
        """Whether there is no connection any more."""
        return self._is_over

    # What the network calls -----------------------------------------------------------------------------------------

    def moves(self) -> list[Callable[[], None]]:
        """What could happen next."""
        if self._is_over or self._is_aborted:
            return []
        could: list[Callable[[], None]] = []
        if self._to_far:
            if self._asleep is None or not self._asleep.active():
                could.append(self._carry_to_far)
        elif self._is_closing:
            could.append(self._close)
        if not self._is_paused and not self._is_closing:
            if self._to_near:
                could.append(self._carry_to_near)
            elif self._far_left and not self._far_told:
                could.append(self._tell_far_left)
        return could

    def _carry_to_far(self) -> None:
        piece = self._piece(self._to_far, FULL_BYTES)
        self._network.trace.note(self.name, f"<- {len(piece)}")
        if len(self._to_far) <= FULL_BYTES // 2 and self._producer is not None:
            self._producer.resumeProducing()
        self._far.received(piece)

    def _carry_to_near(self) -> None:
        piece = self._piece(self._to_near, self._network.read_bytes_max)
        self.taken_bytes += len(piece)
        self._network.trace.note(self.name, f"-> {len(piece)}")
        self._near.dataReceived(piece)
        self.taken()

    def _piece(self, waiting: bytearray, bytes_max: int) -> bytes:
        count = min(self._cut(self._network.dice, len(waiting)), len(waiting), bytes_max)
        piece = bytes(waiting[:count])
        del waiting[:count]
        return piece

    def _tell_far_left(self) -> None:
        self._far_told = True
        self._network.trace.note(self.name, "-> end")
        self._near.readConnectionLost()

    def _close(self) -> None:
        self._lose(ConnectionDone())

    def _lose(self, why: Exception) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._asleep is not None and self._asleep.active():
            self._asleep.cancel()
        self._network.trace.note(self.name, f"over: {type(why).__name__}")
        self._near.connectionLost(Failure(why))  # type: ignore[no-untyped-call] # Twisted's is not annotated
        self._far.ended()


class Network:
    """All lines. The gateway reads at most `read_bytes_max` at once, as from a socket."""

    def __init__(self, clock: Clock, dice: Random, trace: Trace, read_bytes_max: int) -> None:
        self.clock, self.dice, self.trace, self.read_bytes_max = clock, dice, trace, read_bytes_max
        self._stirring: list[Line] = []

    def connect(self, name: str, near: Connection, far: Far, peer: Endpoint) -> Line:
        """A line that is up; the gateway's side is told."""
        line = Line(self, name, near, far, peer)
        near.makeConnection(line)  # type: ignore[no-untyped-call] # Twisted's is not annotated
        return line

    def stir(self, line: Line) -> None:
        """Something may be able to move on it."""
        if not line.is_listed:
            line.is_listed = True
            self._stirring.append(line)

    def step(self) -> bool:
        """One delivery on one line, chosen at random; False when only time can bring something."""
        while self._stirring:
            at = self.dice.randrange(len(self._stirring))
            line = self._stirring[at]
            could = line.moves()
            if could:
                self.dice.choice(could)()
                return True
            self._stirring[at] = self._stirring[-1]
            self._stirring.pop()
            line.is_listed = False
        return False
