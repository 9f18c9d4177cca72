"""How one socket is read and written: in pieces that are worth waking up for, and only while there is room.

Knows no protocol, and not whose socket it is.
"""

import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

STREAM_BYTES = 131_072
"""So much without a word of ours in between, and it is a stream: short answers are never waited for."""

STREAM_TICK_S = 0.002

LULL_S = 0.1
"""A peer that has sent nothing for so long waits for us: its next write takes less, and nobody notices more."""

LULL_S_MAX = 0.25
"""So long a lull is waited for of a peer that is dismissed."""

TARGET_S_MAX = 0.5
"""So long a target may take that is dismissed: amid an answer of some size it looks at nothing else before its end."""

LINGER_S_MAX = 2.0
"""How long a peer that sends on and on has to take our last words, once no more of it is read."""


def stop(call: IDelayedCall | None) -> None:
    """What was to be called later is not to be."""
    if call is not None and call.active():
        call.cancel()


def put(tcp: Any, data: bytes, later: Callable[[bytes], object]) -> None:
    """Give it to the kernel, and what that doesn't take to `later`. `tcp` is a transport of Twisted's over a socket.

    Twisted would ask the poller for room first, which costs a turn of the loop and four calls of the kernel. What waits
    in its buffers goes first.
    """
    view = memoryview(data)
    if not (tcp.disconnecting or tcp._aborting or tcp.dataBuffer or tcp._tempDataBuffer):
        while view and isinstance(count := tcp.writeSomeData(view), int) and count:
            view = view[count:]
    if view:  # whatever is wrong shows again where Twisted can deal with it
        later(bytes(view))


class Stream:
    """Reads a peer that sends without end in large pieces.

    PostgreSQL sends 8 KiB at a time, and to be woken for each costs more than all that is done with it. While much
    comes the socket wakes us for `bytes_wanted` at once (SO_RCVLOWAT, socket(7)); once nothing has come within
    `STREAM_TICK_S`, for anything again.
    """

    def __init__(self, bytes_wanted: int, reactor: IReactorTime) -> None:
        self.socket: socket.socket | None = None
        self._bytes_wanted, self._reactor = bytes_wanted, reactor
        self._bytes = 0
        self._has_come = False
        self._tick: IDelayedCall | None = None

    def came(self, count: int) -> None:
        """So many bytes were read."""
        self._bytes += count
        self._has_come = True
        if self._tick is None and self._bytes > STREAM_BYTES and self.socket is not None:
            self._wake_at(self._bytes_wanted)
            self._tick = self._reactor.callLater(STREAM_TICK_S, self._look)

    def end(self) -> None:
        """What comes from here on answers something else."""
        self._bytes = 0
        if self._tick is not None:
            self._tick.cancel()
            self._leave()

    def _look(self) -> None:
        if self._has_come:
            self._has_come = False
            self._tick = self._reactor.callLater(STREAM_TICK_S, self._look)
        else:
            self._leave()

    def _leave(self) -> None:
        self._bytes, self._tick = 0, None
        self._wake_at(1)

    def _wake_at(self, bytes_min: int) -> None:
        assert self.socket is not None
        with contextlib.suppress(OSError):  # the socket is gone
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, bytes_min)


@implementer(IPushProducer)
class Room:
    """Whether the transport takes more: what Twisted tells a producer, as something to await."""

    def __init__(self) -> None:
        self._is_full = False
        self._waiting: deque[Deferred[None]] = deque()

    async def wait(self) -> None:
        """Returns when there is room for more."""
        if self._is_full:
            room: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(room)
            await room

    def open(self) -> None:
        """There is room, or will never be."""
        self._is_full = False
        while self._waiting and not self._is_full:  # one that is woken may fill it again
            self._waiting.popleft().callback(None)

    def pauseProducing(self) -> None:
        self._is_full = True

    def resumeProducing(self) -> None:
        self.open()

    def stopProducing(self) -> None:
        """`connectionLost` follows, and only then is it known to all: who writes in a loop would spin until it."""
