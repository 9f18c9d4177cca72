"""One stream of output, masked line by line: a number that is cut over packets is whole again when it is judged.

Knows neither channels nor windows. A line ends at \\n or \\r; each is to the plan what a cell is, without its end, and
an empty one has nothing to mask.
"""

import re

from hoopproxy.events import Field, Format, Plan, Shape
from hoopproxy.wire.cells import Cells

LINE_BYTES_MAX = 65_536
"""What is held of a line that has no end. A longer one is cut where no number or word is, if there is such a place."""

HOLD_S = 0.25
TERMINAL_HOLD_S = 0.03
"""After a pause so long an unfinished line is shown: one that a person does not notice between a key and its echo."""

_CHUNK_BYTES_MAX = 1 << 20
"""What comes at once is never more (`limits.chunk_bytes_max`), and may end a line."""

_TEXT_OID = 25  # pg_type.dat

_ENDS = re.compile(rb"([\r\n]+)")
_CUTS = tuple(re.compile(rb"(?s).*%b" % cut) for cut in (rb"[^0-9A-Za-z\x80-\xff -]", rb"[^0-9 -]", rb"[ -]{2}"))
"""Where a line that is too long is cut, the best place first: behind what is in no word, behind what is in no number,
and behind two blanks, as no number has two between its digits."""


def shape_of(stream: str) -> Shape:
    """What maskers are asked about: one column of text, without origin."""
    return Shape((Field(stream, "", 0, 0, _TEXT_OID, -1, Format.TEXT),))


def cutter_of(plan: Plan) -> Cells:
    """What a mask does to a cell it does to a line."""
    (operation,) = plan.operations
    return Cells(operation, LINE_BYTES_MAX + _CHUNK_BYTES_MAX)


class Lines:
    """What came of a stream and was not given yet is `held`; of `count` lines, `changed` are not what they were."""

    def __init__(self, cutter: Cells) -> None:
        self._cutter = cutter
        self.held = bytearray()
        self.count = self.changed = 0

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
        places = [index for index in range(0, len(parts), 2) if parts[index]]
        shown = self._cutter.mask([parts[index] for index in places])
        for index, line in zip(places, shown, strict=True):
            self.changed += line != parts[index]
            parts[index] = line or b""  # a NULL has no bytes
        self.count += len(places)
        return b"".join(parts)
