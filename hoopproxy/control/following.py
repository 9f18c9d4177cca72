"""Events on their way to those who follow them: nobody who tells them ever waits.

Knows neither what happens nor who may follow.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from hoopproxy.control.lines import line

EVENTS_WAITING_MAX = 1000
"""Events kept for a follower that is slower than the gateway; with more it is let go, and told so."""

EVENTS_WAITING_BYTES_MAX = 1 << 23
"""The same, by size: what a session shows comes in events of up to some 1.4 MiB."""

type Event = Mapping[str, Any]
type Stream = Callable[[Mapping[str, Any], "Listener"], object]
"""Called with the request's arguments, begins to tell a listener events; answers a function that ends this, or a
coroutine or Deferred of it. Says no as a command does."""


class Listener(Protocol):
    """Who is told events."""

    def tell(self, event: Event, /) -> None:
        """One more. Returns at once, and raises nothing."""

    def end(self) -> None:
        """There will be no more."""


class Feed:
    """Tells events to all who listen: the gateway calls `tell`, `subscribe` is a stream."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def tell(self, event: Event) -> None:
        """To everybody who listens now."""
        for listener in tuple(self._listeners):
            listener.tell(event)

    def subscribe(self, _: Mapping[str, Any], listener: Listener) -> Callable[[], None]:
        """Tell `listener`, until the answered function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


@implementer(IPushProducer)
class Following:
    """The `Listener` behind one connection. What it does not take at once is kept up to a limit; then `too_slow` is
    called. `leave` is called when there is no more."""

    def __init__(self, transport: Any, too_slow: Callable[[], None], leave: Callable[[], None]) -> None:
        self._transport, self._too_slow, self._leave = transport, too_slow, leave
        self._has_begun = self._has_ended = False
        self._is_full = True  # what is told before the answer is waits for it
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0

    def begin(self) -> None:
        """The request is answered: events may go out."""
        self._has_begun = True
        self._transport.registerProducer(self, True)
        self.resumeProducing()
        if self._has_ended:
            self.end()

    def tell(self, event: Event, /) -> None:
        """As a `Listener`."""
        told = line({"event": event})
        if self._has_ended:
            return
        if not self._is_full:
            self._transport.write(told)
        elif len(self._waiting) < EVENTS_WAITING_MAX and self._waiting_bytes + len(told) <= EVENTS_WAITING_BYTES_MAX:
            self._waiting.append(told)
            self._waiting_bytes += len(told)
        else:
            self._has_ended = True
            self._flush()
            self._too_slow()

    def end(self) -> None:
        """As a `Listener`."""
        self._has_ended = True
        if self._has_begun:
            self._flush()
            self._leave()

    def _flush(self) -> None:
        self._transport.writeSequence(self._waiting)
        self.stopProducing()

    def pauseProducing(self) -> None:
        self._is_full = True

    def resumeProducing(self) -> None:
        self._is_full = False
        while self._waiting and not self._is_full:
            told = self._waiting.popleft()
            self._waiting_bytes -= len(told)
            self._transport.write(told)

    def stopProducing(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
