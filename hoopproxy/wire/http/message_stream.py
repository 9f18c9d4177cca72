"""A body that is a stream of messages, each shown as soon as it is whole and masked.

Knows no message's meaning and no framing but lines.
"""

import re
from codecs import getincrementaldecoder
from dataclasses import replace
from typing import Protocol

from hoopproxy.events import Plan
from hoopproxy.wire.http.codings import Decoder
from hoopproxy.wire.http.message_masks import Messages
from hoopproxy.wire.http.reading import Shown
from hoopproxy.wire.http.unreadable import Unreadable, refused

END_CHARACTERS_MAX = 4
"""Of what ends a piece."""


class Framing(Protocol):
    """How messages stand in a text."""

    end: re.Pattern[str]
    """What ends a piece in which there may be a message."""

    def message(self, piece: str) -> str | None:
        """The message in it; None: there is none, and it is shown as `framed` has it."""

    def framed(self, piece: str, message: str | None) -> str:
        """The piece with another message in place of its own."""


class JsonLines:
    """A JSON text on each line (NDJSON, JSON Lines); empty lines mean nothing."""

    end = re.compile(r"\n")

    def message(self, piece: str) -> str | None:
        """The line, if it is not empty."""
        return piece if piece.strip(" \t\r\n") else None

    def framed(self, piece: str, message: str | None) -> str:
        """The line end belongs to the message, where it is white space."""
        return piece if message is None else message


class MessageStream:
    """A body, in pieces of up to `bytes_max`."""

    is_whole = False

    def __init__(self, framing: Framing, messages: Messages, decoder: Decoder, bytes_max: int) -> None:
        self._framing, self._messages, self._decoder, self._bytes_max = framing, messages, decoder, bytes_max
        self._utf8 = getincrementaldecoder("utf-8")()
        self._text, self._piece = "", ""
        self._unread: list[str] = []  # behind the text; in it, and in `_tail` before it, nothing ends
        self._unread_size, self._tail = 0, ""
        self._at = self._searched = 0
        self._is_last = False

    @property
    def held_bytes(self) -> int:
        """See `reading.Body`."""
        return len(self._text) + self._unread_size

    def feed(self, data: bytes) -> Shown:
        """See `reading.Body`."""
        return self._read(data)

    def end(self) -> Shown:
        """See `reading.Body`."""
        self._is_last = True
        return self._read(b"")

    def resume(self, plan: Plan) -> Shown:
        """See `reading.Body`."""
        return self._go_on(self._messages.resume(plan))

    def _read(self, data: bytes) -> Shown:
        try:
            decoded = self._decoder.feed(data) if data else b""
            if self._is_last:
                self._decoder.end()
            more = self._utf8.decode(decoded, self._is_last)
        except UnicodeDecodeError:
            return refused(Unreadable("it is not UTF-8"))
        except Unreadable as why:
            return refused(why)
        self._unread.append(more)
        self._unread_size += len(more)
        self._tail += more
        if self._is_last or self._framing.end.search(self._tail):
            self._text = "".join((self._text, *self._unread))
            self._unread, self._unread_size = [], 0
            return self._go_on(None)
        self._tail = self._tail[-END_CHARACTERS_MAX + 1 :]
        return self._bounded(Shown())

    def _go_on(self, shown: Shown | None) -> Shown:
        """Show all that is whole; `shown` is what became of the message of the piece in hand."""
        output, values, changed = bytearray(), 0, 0
        while True:
            if shown is not None:
                if shown.ask or shown.refusal:
                    return Shown(bytes(output), shown.ask, shown.refusal, values, changed)
                output += self._framing.framed(self._piece, shown.data.decode()).encode()
                values += shown.row_count
                changed += shown.cells_masked
                shown = None
            piece = self._next()
            if piece is None:
                break
            message = self._framing.message(piece)
            if message is None:
                output += self._framing.framed(piece, None).encode()
            else:
                self._piece, shown = piece, self._messages.mask(message.encode(), True)
        return self._bounded(Shown(bytes(output), row_count=values, cells_masked=changed))

    def _bounded(self, shown: Shown) -> Shown:
        """The same, unless what has not ended yet is too long."""
        if self.held_bytes <= self._bytes_max:
            return shown
        why = Unreadable(f"one of its messages is longer than {self._bytes_max} characters (limits.document_bytes_max)")
        return replace(shown, refusal=why.sentence)

    def _next(self) -> str | None:
        """The next piece that is whole; at the end also one that is not."""
        start, size = self._at, len(self._text)
        found = self._framing.end.search(self._text, self._searched)
        if found is None and not (self._is_last and start < size):
            self._text, self._at = self._text[start:], 0
            # What ends a piece may lie half in this text.
            self._tail = self._text[-END_CHARACTERS_MAX + 1 :]
            self._searched = max(size - start - END_CHARACTERS_MAX + 1, 0)
            return None
        self._at = self._searched = found.end() if found else size
        return self._text[start : self._at]
