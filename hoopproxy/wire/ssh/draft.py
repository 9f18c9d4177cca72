"""A step in the making: what one `feed` or `resume` collects before it is handed out.

Knows no message. What passes unchanged is noted as runs of what came, and copied once, when the step is finished; a
step that changes nothing hands on the very bytes that it was given.
"""

import sys

from hoopproxy.events import Ask, Record, Step, Streamed
from hoopproxy.model import Side
from hoopproxy.wire.ssh.packets import LENGTH_BYTES, framed

STREAMS = ("stdout", "stderr")
"""What the codes of output are called in records."""


class Outlet:
    """What goes to one end, in order."""

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = []
        self._data = b""
        self._start = self._end = 0

    def pass_on(self, data: bytes, start: int, end: int) -> None:
        """The payload at `start`..`end` of `data`, with the frame before it, as it came."""
        if data is self._data and start - LENGTH_BYTES == self._end:
            self._end = end
        else:
            self._cut()
            self._data, self._start, self._end = data, start - LENGTH_BYTES, end

    def say(self, payload: bytes) -> None:
        """A payload of the gateway's own."""
        self._cut()
        self._parts.append(framed(payload))

    def taken(self) -> bytes:
        """All of it, as bytes."""
        if not self._parts and self._end - self._start == len(self._data):
            return self._data
        self._cut()
        return b"".join(self._parts)

    def _cut(self) -> None:
        if self._end > self._start:
            self._parts.append(memoryview(self._data)[self._start : self._end])
        self._data, self._start, self._end = b"", 0, 0


class Draft:
    """Collects what goes to both ends, and records, in order; of `messages_max` messages at most. `is_full`: of all."""

    def __init__(self, messages_max: int = sys.maxsize) -> None:
        self.client, self.server = Outlet(), Outlet()
        self.is_full = False
        self._messages_left = messages_max
        self._records: list[Record] = []
        self._stream: tuple[int, str] = (0, "")
        self._streamed: list[bytes | memoryview] = []

    def takes_one(self) -> bool:
        """Whether another message fits in; to be asked before each."""
        self.is_full = not self._messages_left
        self._messages_left -= 1
        return not self.is_full

    def note(self, record: Record) -> None:
        """Another record."""
        self._end_stream()
        self._records.append(record)

    def stream(self, number: int, name: str, raw: bytes | memoryview) -> None:
        """Bytes of a running statement; one record for all that follow each other."""
        if self._stream != (number, name):
            self._end_stream()
            self._stream = number, name
        self._streamed.append(raw)

    def _end_stream(self) -> None:
        if self._streamed:
            number, name = self._stream
            self._records.append(Streamed(number, name, b"".join(self._streamed)))
            self._streamed.clear()

    def step(self, ask: Ask | None, pause: frozenset[Side], ended: bool, is_idle: bool, hold_s: float) -> Step:
        """The finished step."""
        self._end_stream()
        return Step(
            to_client=self.client.taken(),
            to_server=self.server.taken(),
            records=tuple(self._records),
            ask=ask,
            more=self.is_full,
            pause=pause,
            ended=ended,
            is_idle=is_idle,
            hold_s=hold_s,
        )
