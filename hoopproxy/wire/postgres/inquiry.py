"""A question of the gateway's own: one simple query, and its whole answer as texts (chapter "Message Flow").

Pure: makes the query and reads what comes. Knows no connection and nothing of what is asked.
"""

from hoopproxy.errors import ProtocolViolation, SqlFailed
from hoopproxy.model import Side
from hoopproxy.rooms import Rows
from hoopproxy.wire.postgres.framing import Message, Splitter
from hoopproxy.wire.postgres.messages import read_data_row, read_fields
from hoopproxy.wire.postgres.requests import query

MESSAGE_CHARS_MAX = 500
"""Of a server's words about an error: as much of them as the operator's log needs."""


class Inquiry:
    """`query`, then `feed` until it answers, then `rest`. The answer may have up to `bytes_max` bytes in all.

    An error is raised once the server is ready again, so that the connection can be asked the next question.
    """

    def __init__(self, text: str, bytes_max: int) -> None:
        self._text, self._bytes_max = text, bytes_max
        self._bytes = 0
        self._splitter = Splitter(Side.SERVER)
        self._results: list[Rows] = []
        self._rows: list[tuple[str | None, ...]] = []
        self._failure: SqlFailed | None = None

    def query(self) -> bytes:
        """What to send."""
        return query(self._text)

    def feed(self, data: bytes) -> tuple[Rows, ...] | None:
        """The rows of each statement, once they are whole. @raise SqlFailed, ProtocolViolation, LimitReached"""
        if not data:
            raise _odd("end of stream")
        self._bytes += len(data)
        if self._bytes > self._bytes_max:
            raise _odd(f"its answer is longer than {self._bytes_max} bytes")
        self._splitter.append(data)
        while received := self._splitter.next(self._bytes_max, "an answer to the gateway"):
            if received.kind == b"Z":
                if self._failure is not None:
                    raise self._failure
                return tuple(self._results)
            self._take(received)
        return None

    @property
    def rest(self) -> bytes:
        """What the server sent behind its answer."""
        return bytes(self._splitter.buffer)

    def _take(self, received: Message) -> None:
        match received.kind:
            case b"D":
                self._rows.append(tuple(map(_text, read_data_row(received.body))))
            case b"C" | b"I":
                self._results.append(tuple(self._rows))
                self._rows = []
            case b"E":
                fields = read_fields(received.body)
                message = fields.get("M", "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                self._failure = SqlFailed(fields.get("C", "")[:5], message[:MESSAGE_CHARS_MAX])
            case b"T" | b"N" | b"S" | b"A":
                pass
            case _:
                raise _odd(f"message {received.kind!r}")


def _text(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode("utf-8", "surrogateescape")


def _odd(detail: str) -> ProtocolViolation:
    return ProtocolViolation(
        "server",
        "The target did not answer a question of the gateway's as a PostgreSQL server does; tell the operator of the "
        "gateway.",
        detail=detail,
    )
