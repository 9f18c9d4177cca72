"""One stream of output, masked line by line: a number that is cut over packets is whole again when it is judged.

Knows neither channels nor windows. A line ends at \\n or \\r; each is to the plan what a cell is, without its end, and
an empty one has nothing to mask.
"""

import re

from hoopproxy.events import Field, Format, Plan, Shape
from hoopproxy.wire.kernel import Cutter

LINE_BYTES_MAX = 65_536
"""What is held of a line that has no end. A longer one is cut where no number or word is, if there is such a place."""

_BATCH_BYTES_MAX = 1 << 20
_TEXT_OID = 25  # pg_type.dat

_ENDS = re.compile(rb"([\r\n]+)")
_CUTS = tuple(re.compile(rb"(?s).*[^%b]" % kept) for kept in (rb"0-9A-Za-z\x80-\xff -", rb"0-9 -"))

_CELL_AT = 11
"""A DataRow of one cell: its kind, its length, how many cells, the cell's length."""


def shape_of(stream: str) -> Shape:
    """What maskers are asked about: one column of text, without origin."""
    return Shape((Field(stream, "", 0, 0, _TEXT_OID, -1, Format.TEXT),))


def cutter_of(plan: Plan) -> Cutter:
    """The row kernel, ready for lines: what a mask does to a cell it does to a line."""
    return Cutter(plan.operations, _BATCH_BYTES_MAX)


class Lines:
    """What came of a stream and was not given yet is `held`."""

    def __init__(self, cutter: Cutter) -> None:
        self._cutter = cutter
        self.held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """The lines that are complete with these bytes, masked. @raise AddonFailure."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        given = b""
        if end:
            self.held += memoryview(data)[:end]
            given = self.finish()
        self.held += memoryview(data)[end:]
        while len(self.held) > LINE_BYTES_MAX:
            given += self._masked(self._front())
        return given

    def finish(self) -> bytes:
        """What is held, masked as it is: the stream paused or ended. @raise AddonFailure."""
        held = bytes(self.held)
        self.held.clear()
        return self._masked(held)

    def _front(self) -> bytes:
        """The first part of a line that is too long."""
        front = self.held[:LINE_BYTES_MAX]
        for cut in _CUTS:
            if found := cut.match(front):
                front = front[: found.end()]
                break
        del self.held[: len(front)]
        return bytes(front)

    def _masked(self, text: bytes) -> bytes:
        """Each line on its own; the ends between them as they are."""
        parts = _ENDS.split(text)
        rows = bytearray()
        for line in parts[::2]:
            if line:
                size = len(line)
                rows += b"D%b\0\1%b%b" % ((size + _CELL_AT - 1).to_bytes(4), size.to_bytes(4), line)
        cut = self._cutter.cut(rows, 0)
        assert cut.bytes_used == len(rows)
        at = 0
        for index, line in enumerate(parts):
            if line and not index % 2:
                total = 1 + int.from_bytes(cut.output[at + 1 : at + 5])
                parts[index] = cut.output[at + _CELL_AT : at + total]  # a NULL has no bytes
                at += total
        return b"".join(parts)
