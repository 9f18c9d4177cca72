"""A step in the making: what one `feed` or `resume` of the machine collects before it is handed out.

Knows neither requests nor lanes.
"""

from hoopproxy.events import Record, Streamed
from hoopproxy.wire.http.lanes import Frame, framed


class Draft:
    """Records, in order, and frames for the client's other lanes."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._children: list[bytes] = []
        self._stream: tuple[int, str] = (0, "")
        self._streamed: list[bytes] = []

    def note(self, record: Record) -> None:
        """Another record."""
        self._end_stream()
        self._records.append(record)

    def stream(self, number: int, name: str, raw: bytes) -> None:
        """Bytes of a running statement; one record for all that follow each other."""
        if self._stream != (number, name):
            self._end_stream()
            self._stream = number, name
        self._streamed.append(raw)

    def child(self, frame: Frame) -> None:
        """A frame of one of the client's other lanes."""
        self._children.append(framed(frame))

    def _end_stream(self) -> None:
        if self._streamed:
            number, name = self._stream
            self._records.append(Streamed(number, name, b"".join(self._streamed)))
            self._streamed.clear()

    def taken(self) -> tuple[tuple[Record, ...], bytes]:
        """All of it, once."""
        self._end_stream()
        records, children = tuple(self._records), b"".join(self._children)
        self._records.clear()
        self._children.clear()
        return records, children
