"""Messages that go by in pieces, as nobody can hold them whole: COPY data, long rows, long Binds, and what is dropped.

Each takes from the front of a buffer what is its own and answers what goes on; `is_over` tells when all of it went by.
Knows no order of messages.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from hoopproxy.errors import LimitReached, ProtocolViolation
from hoopproxy.events import Keep, Omitted, Operation
from hoopproxy.model import Side
from hoopproxy.wire.kernel import Cutter
from hoopproxy.wire.postgres.framing import HEADER_BYTES, Reader, message, taken
from hoopproxy.wire.postgres.requests import Bind, BindHead

ROW_HEAD_BYTES = HEADER_BYTES + 2
"""A DataRow up to its first cell."""

BIND_HEAD_BYTES_MAX = 160_000
"""What holds a Bind up to its first value: two names of 10,000 bytes, 65,535 format codes, two counts."""

BIND_TAIL_BYTES_MAX = 2 + 2 * 65_535
"""A Bind behind its last value: a format code for each column."""

VALUE_KEPT_BYTES_MAX = 65_536
"""A longer value of a long Bind is not kept: what stands for it is its length and its SHA-256."""


VALUES_KEPT_BYTES_MAX = 1 << 20
"""What is kept of a long Bind in all."""


class Passing(Protocol):
    """A message that goes by."""

    is_over: bool

    def feed(self, buffer: bytearray) -> bytes:
        """What goes on of what is there; it is taken from `buffer`. @raise ProtocolViolation, LimitReached."""


class Through:
    """So many bytes, as they are; or away, when they are not `kept`."""

    def __init__(self, count: int, *, kept: bool = True) -> None:
        self._left, self._kept = count, kept
        self.is_over = False

    def feed(self, buffer: bytearray) -> bytes:
        piece = taken(buffer, self._left)
        self._left -= len(piece)
        self.is_over = not self._left
        return piece if self._kept else b""


class LongRow:
    """A DataRow of `total` bytes: up to its last masked cell it is held and cut as any row, the rest goes by.

    So a masked cell must lie before the long ones, as the new length of the row goes first. `operations` None: nobody
    knows its columns, and nothing is masked. `cells_masked` counts.
    """

    def __init__(self, total: int, operations: Sequence[Operation] | None, held_bytes_max: int) -> None:
        self._left, self._operations, self._held_bytes_max = total, operations, held_bytes_max
        masked = [number for number, each in enumerate(operations or (), 1) if not isinstance(each, Keep)]
        self._held_cells = max(masked, default=0)
        self._cells: _Cells | None = None
        self.cells_masked = 0
        self.is_over = False

    def feed(self, buffer: bytearray) -> bytes:
        head = b""
        if self._cells is None:
            head = self._head(buffer)
            if self._cells is None:
                return b""
        piece = taken(buffer, self._left)
        self._left -= len(piece)
        self._cells.walk(piece)
        self.is_over = not self._left
        if self.is_over:
            self._cells.end()
        return head + piece

    def _head(self, buffer: bytearray) -> bytes:
        """The row's beginning as the client sees it, once all of it that is masked is there."""
        if len(buffer) < ROW_HEAD_BYTES:
            return b""
        (count,) = struct.unpack_from("!H", buffer, HEADER_BYTES)
        if self._operations is not None and count != len(self._operations):
            raise _broken("has another number of columns than its description")
        end = self._end_of_held(buffer)
        if end is None:
            return b""
        held = message(b"D", struct.pack("!H", self._held_cells) + buffer[ROW_HEAD_BYTES:end])
        cut = Cutter((self._operations or ())[: self._held_cells], len(held)).cut(bytearray(held), 0)
        self.cells_masked = cut.cells_masked
        self._cells = _Cells(count - self._held_cells)
        self._left -= end
        del buffer[:end]
        masked = cut.output[ROW_HEAD_BYTES:]
        return b"D" + struct.pack("!iH", 6 + len(masked) + self._left, count) + masked

    def _end_of_held(self, buffer: bytearray) -> int | None:
        """Where the last masked cell ends; None while it is not there."""
        at = ROW_HEAD_BYTES
        for _ in range(self._held_cells):
            if len(buffer) < at + 4:
                return None
            (length,) = struct.unpack_from("!i", buffer, at)
            at += 4 + max(length, 0)
            if length < -1 or at > self._left:
                raise _broken("ends inside a cell")
            if at > self._held_bytes_max:
                raise LimitReached(
                    f"The target sent a row of {self._left} bytes with a masked value behind its long ones; the "
                    f"gateway can hold at most {self._held_bytes_max}. Select the masked columns first, or apart.",
                    limit="limits.row_bytes_max",
                )
        return at if len(buffer) >= at else None


class _Cells:
    """Walks over cells that go by and sees that they are as many, and as long, as the row says."""

    def __init__(self, count: int) -> None:
        self._count, self._left = count, 0
        self._length = bytearray()

    def walk(self, piece: bytes) -> None:
        at = 0
        while at < len(piece):
            if self._left:
                step = min(self._left, len(piece) - at)
                self._left -= step
                at += step
                continue
            missing = 4 - len(self._length)
            self._length += piece[at : at + missing]
            at += missing
            if len(self._length) == 4:
                length = int.from_bytes(self._length, "big", signed=True)
                self._length.clear()
                self._count -= 1
                if self._count < 0 or length < -1:
                    raise _broken("holds something else than its cells")
                self._left = max(length, 0)

    def end(self) -> None:
        if self._count or self._left or self._length:
            raise _broken("ends inside its cells")


class LongBind:
    """A Bind of `total` bytes, whose head takes the first `head_bytes`. `bind` is complete when all of it went by.

    Its short values are kept, as far as all of them together have room; the others are `Omitted`.
    """

    def __init__(self, total: int, head: BindHead, head_bytes: int) -> None:
        self.bind = Bind(head.portal, head.statement)
        self.is_over = False
        self._head, self._left, self._unread = head, total, head_bytes
        self._kept_left = VALUES_KEPT_BYTES_MAX
        self._values: list[bytes | Omitted | None] = []
        self._digest: Any = None
        self._long_bytes = self._long_left = 0

    def feed(self, buffer: bytearray) -> bytes:
        pieces = []
        while not self.is_over and (piece := self._next(buffer)):
            pieces.append(piece)
            self._left -= len(piece)
        return b"".join(pieces)

    def _next(self, buffer: bytearray) -> bytes:
        """The next part of it: its head, one value, a piece of a long one, or its end."""
        if self._unread:
            piece, self._unread = taken(buffer, self._unread), 0
        elif self._long_left:
            piece = taken(buffer, self._long_left)
            self._long(piece)
        elif len(self._values) == self._head.count:
            if not 2 <= self._left <= BIND_TAIL_BYTES_MAX:
                raise _malformed("more bytes or fewer than it announces")
            piece = taken(buffer, self._left) if len(buffer) >= self._left else b""
            if piece:
                self._end(piece)
        else:
            piece = self._value(buffer)
        return piece

    def _value(self, buffer: bytearray) -> bytes:
        """A value; of a long one its length alone."""
        if self._left < 4:
            raise _malformed("fewer bytes than it announces")
        if len(buffer) < 4:
            return b""
        (length,) = struct.unpack_from("!i", buffer)
        size = max(length, 0)
        if length < -1 or 4 + size > self._left:
            raise _malformed("fewer bytes than it announces")
        if size > min(VALUE_KEPT_BYTES_MAX, self._kept_left):
            self._digest, self._long_bytes, self._long_left = hashlib.sha256(), size, size
            return taken(buffer, 4)
        if len(buffer) < 4 + size:
            return b""
        piece = taken(buffer, 4 + size)
        self._kept_left -= size
        self._values.append(None if length == -1 else piece[4:])
        return piece

    def _long(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._long_left -= len(piece)
        if not self._long_left:
            self._values.append(Omitted(self._long_bytes, self._digest.hexdigest()))

    def _end(self, piece: bytes) -> None:
        reader = Reader(Side.CLIENT, piece)
        formats = tuple(reader.format() for _ in range(reader.count()))
        reader.end()
        self.bind = replace(self.bind, parameters=self._head.parameters(self._values), result_formats=formats)
        self.is_over = True


def _malformed(what: str) -> ProtocolViolation:
    return ProtocolViolation("client", f"A message of the client is malformed: it holds {what}.")


def _broken(what: str) -> ProtocolViolation:
    sentence = "The target sent a row that the gateway can't read; its rest was not passed on."
    return ProtocolViolation("server", sentence, detail=f"the row {what}")
