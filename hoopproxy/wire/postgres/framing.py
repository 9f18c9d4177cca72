"""How PostgreSQL protocol 3 messages lie in a byte stream, and how their bodies are read front to back.

Knows no kind of message (see `messages`, `requests`). Texts are UTF-8 with surrogate escapes, so that bytes of any
encoding come out as they went in.
"""

import struct
from dataclasses import dataclass

from hoopproxy.errors import LimitReached, ProtocolViolation
from hoopproxy.events import Format
from hoopproxy.model import Side

HEADER_BYTES = 5
"""One byte for the kind, four for the length, which counts itself but not the kind."""

MESSAGE_BYTES_MAX = 0x3FFFFFFE
"""The longest message of PostgreSQL, without its kind: what it can hold in memory at once (PQ_LARGE_MESSAGE_LIMIT)."""

FORMATS = (Format.TEXT, Format.BINARY)
"""Format codes are indices of this."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `kind` is its first byte, `body` what follows the length."""

    kind: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """As on the wire."""
        return message(self.kind, self.body)


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message as on the wire."""
    return kind + struct.pack("!i", len(body) + 4) + body


def taken(buffer: bytearray, count: int) -> bytes:
    """The first `count` bytes, or as many as there are. The buffer drops them, which is cheap for a bytearray."""
    front = bytes(buffer[:count])
    del buffer[:count]
    return front


class Splitter:
    """Cuts what `side` sends into messages. Wanted: O(n) however they arrive.

    `buffer` is what was not taken yet; the row kernel reads it in place.
    """

    def __init__(self, side: Side) -> None:
        self._side = side
        self.buffer = bytearray()

    def append(self, data: bytes) -> None:
        """Take what arrived."""
        self.buffer += data

    def head(self) -> tuple[bytes, int] | None:
        """Kind and whole length in bytes of the message at the front; None while its header isn't whole.

        @raise ProtocolViolation: a length that no message has.
        """
        if len(self.buffer) < HEADER_BYTES:
            return None
        length = int.from_bytes(self.buffer[1:HEADER_BYTES], "big", signed=True)
        if not 4 <= length <= MESSAGE_BYTES_MAX:
            raise ProtocolViolation(self._side.value, "A message came with an impossible length.", detail=f"{length}")
        return bytes(self.buffer[:1]), length + 1

    def next(self, bytes_max: int, limit: str) -> Message | None:
        """The next message when it is whole. @raise LimitReached (naming `limit`), ProtocolViolation."""
        head = self.head()
        if head is None:
            return None
        kind, total = head
        if total > bytes_max:
            raise LimitReached(
                f"A message of {total} bytes was sent; the gateway passes at most {bytes_max} ({limit}).", limit=limit
            )
        if len(self.buffer) < total:
            return None
        return Message(kind, self.take(total)[HEADER_BYTES:])

    def take(self, count: int) -> bytes:
        """The first `count` bytes, or as many as there are."""
        return taken(self.buffer, count)


class Reader:
    """Reads a message's body from front to back. Everything raises ProtocolViolation when the body doesn't hold it.

    `at` is how many bytes were read.
    """

    def __init__(self, side: Side, body: bytes) -> None:
        self._side, self._body, self.at = side, body, 0

    def string(self) -> str:
        """A text that ends with a zero byte."""
        return self.raw_string().decode("utf-8", "surrogateescape")

    def raw_string(self) -> bytes:
        """The bytes of such a text."""
        end = self._body.find(b"\0", self.at)
        if end < 0:
            raise self.broken("a text without its end")
        text, self.at = self._body[self.at : end], end + 1
        return text

    def numbers(self, format: str) -> tuple[int, ...]:
        """Fixed-width numbers, in `struct`'s letters without the byte order."""
        size = struct.calcsize("!" + format)
        numbers = struct.unpack("!" + format, self.take(size))
        return numbers

    def count(self) -> int:
        """A 16-bit count of what follows. Unsigned: a Bind may carry 65535 parameters."""
        return self.numbers("H")[0]

    def take(self, count: int) -> bytes:
        """So many bytes."""
        end = self.at + count
        if count < 0 or end > len(self._body):
            raise self.broken("fewer bytes than it announces")
        taken, self.at = self._body[self.at : end], end
        return taken

    def value(self) -> bytes | None:
        """A cell or parameter: length and bytes; −1 is NULL."""
        length = self.numbers("i")[0]
        return None if length == -1 else self.take(length)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._body) - self.at)

    def end(self) -> None:
        """Nothing may be left."""
        if self.at != len(self._body):
            raise self.broken("more bytes than it announces")

    def format(self) -> Format:
        """A 16-bit format code."""
        code = self.numbers("h")[0]
        if code not in (0, 1):
            raise self.broken("an unknown format code")
        return FORMATS[code]

    def broken(self, what: str) -> ProtocolViolation:
        """The error to raise."""
        return ProtocolViolation(
            self._side.value, f"A message of the {self._side.value} is malformed: it holds {what}."
        )


def string(text: str) -> bytes:
    """A text as on the wire, with its zero byte."""
    return text.encode("utf-8", "surrogateescape") + b"\0"


def value(cell: bytes | None) -> bytes:
    """A cell or parameter as on the wire."""
    return b"\xff\xff\xff\xff" if cell is None else struct.pack("!i", len(cell)) + cell
