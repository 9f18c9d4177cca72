"""One message after the other, each masked as a whole: an event of a stream, a WebSocket message, a line of JSON.

What is JSON is masked as JSON. Where values are known by their place, what only looks like JSON is refused; other text
is one value. Knows no framing.
"""

import re

from hoopproxy.events import Plan
from hoopproxy.wire.http.json_masks import Masks
from hoopproxy.wire.http.json_text import Portion, Reader
from hoopproxy.wire.http.reading import Shown
from hoopproxy.wire.http.unreadable import Unreadable, refused

_JSON = re.compile(r"[ \t\n\r]*[{\[\"]")
_LOOKS_LIKE_JSON = re.compile(r"[ \t\n\r]*\[|.*\{", re.DOTALL)
_SENTINEL = re.compile(r"[ \t\n\r]*\[[A-Za-z]{1,20}\][ \t\n\r]*")
"""`[DONE]`: how streams of JSON say that they end, in a word that is none."""


class Messages:
    """Of one endpoint. `must_be_json`: any other text is refused."""

    def __init__(self, masks: Masks, *, must_be_json: bool = False) -> None:
        self._masks, self._must_be_json = masks, must_be_json
        self._portion = Portion()
        self._column: int | None = None

    def mask(self, data: bytes, is_text: bool) -> Shown:
        """What the client sees of a message, or a refusal, or an ask that is to be answered first."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            if is_text or self._masks.protection.by_path:
                return refused(Unreadable("one of its messages is not UTF-8"))
            return Shown(data)
        try:
            if not self._read(text, is_text):
                return Shown(data)
        except Unreadable as why:
            return refused(why)
        return self._go_on()

    def resume(self, plan: Plan) -> Shown:
        """The answer to the ask of the last `Shown`."""
        if plan.refusal:
            return Shown(refusal=plan.refusal)
        self._masks.columns.learn(plan)
        return self._go_on()

    def _read(self, text: str, is_text: bool) -> bool:
        """Take it apart; False: it passes as it is. @raise Unreadable."""
        self._column = None
        try:
            if not self._must_be_json and not _JSON.match(text):
                raise Unreadable("one of its messages is no JSON")
            self._portion = Reader(self._masks.columns).feed(text, is_last=True)
        except Unreadable:
            by_path = self._masks.protection.by_path
            looks_like_json = _LOOKS_LIKE_JSON.match(text) and not _SENTINEL.fullmatch(text)
            if self._must_be_json or (by_path and (looks_like_json or not is_text)):
                raise
            if not is_text:
                return False
            self._portion, self._column = Portion(text), self._masks.columns.text()
        return True

    def _go_on(self) -> Shown:
        if ask := self._masks.columns.unplanned:
            return Shown(ask=ask)
        if self._column is not None:
            text, changed = self._masks.text(self._portion.text, self._column)
            return Shown(text.encode(), row_count=1, cells_masked=changed)
        text, changed = self._masks.show(self._portion)
        return Shown(text.encode(), row_count=self._portion.size, cells_masked=changed)
