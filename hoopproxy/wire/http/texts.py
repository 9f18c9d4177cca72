"""A text, masked line by line: plain text, HTML, XML, CSV and whatever else is no JSON.

A line waits for its end, so that a number that is cut over packets is whole when it is judged. Knows no markup.
"""

import re

from hoopproxy.events import Plan
from hoopproxy.wire.http.codings import Decoder
from hoopproxy.wire.http.reading import Shown
from hoopproxy.wire.http.unreadable import Unreadable, refused
from hoopproxy.wire.lines import LINE_BYTES_MAX, Lines, cutter_of, shape_of

SHAPE = shape_of("text")
"""What maskers are asked about: one column of text, without origin."""

_WIDE = re.compile(rb"\xff\xfe|\xfe\xff|.{0,3}\x00", re.DOTALL)
"""How UTF-16 and UTF-32 begin, in which no masker finds a word."""

_WIDE_BYTES = 4


class TextPlan:
    """What maskers answered for `SHAPE`, once for all texts of a connection."""

    answer: Plan | None = None


class Text:
    """A body."""

    is_whole = False

    def __init__(self, plan: TextPlan, decoder: Decoder) -> None:
        self._plan, self._decoder = plan, decoder
        self._lines: Lines | None = None
        self._waiting = bytearray()
        self._is_last = False

    @property
    def held_bytes(self) -> int:
        """See `reading.Body`."""
        return len(self._lines.held) if self._lines else len(self._waiting)

    def feed(self, data: bytes) -> Shown:
        """See `reading.Body`."""
        try:
            self._waiting += self._decoder.feed(data)
        except Unreadable as why:
            return refused(why)
        return self._go_on()

    def end(self) -> Shown:
        """See `reading.Body`."""
        self._is_last = True
        try:
            self._decoder.end()
        except Unreadable as why:
            return refused(why)
        return self._go_on()

    def resume(self, plan: Plan) -> Shown:
        """See `reading.Body`."""
        self._plan.answer = plan
        return self._go_on()

    def _go_on(self) -> Shown:
        if self._lines is None:
            if len(self._waiting) < _WIDE_BYTES and not self._is_last:
                return Shown()
            if _WIDE.match(self._waiting):
                return refused(Unreadable("it is text in UTF-16 or UTF-32, in which nothing can be found"))
            plan = self._plan.answer
            if plan is None:
                return Shown(ask=SHAPE)
            if plan.refusal:
                return Shown(refusal=plan.refusal)
            self._lines = Lines(cutter_of(plan))
        lines, changed = self._lines.count, self._lines.changed
        shown = bytearray()
        for at in range(0, len(self._waiting), LINE_BYTES_MAX):
            shown += self._lines.feed(bytes(self._waiting[at : at + LINE_BYTES_MAX]))
        self._waiting.clear()
        if self._is_last:
            shown += self._lines.finish()
        return Shown(bytes(shown), row_count=self._lines.count - lines, cells_masked=self._lines.changed - changed)
