"""A JSON document, masked. It is read as it comes, and shown when all of it was readable.

Knows neither who masks what nor how the body was framed.
"""

from codecs import getincrementaldecoder

from hoopproxy.events import Plan
from hoopproxy.wire.http.codings import Decoder
from hoopproxy.wire.http.json_masks import Masks
from hoopproxy.wire.http.json_text import Portion, Reader
from hoopproxy.wire.http.reading import Shown
from hoopproxy.wire.http.unreadable import Unreadable, refused


class Document:
    """Of up to `bytes_max`, both as it comes and decoded."""

    is_whole = True

    def __init__(self, masks: Masks, decoder: Decoder, bytes_max: int) -> None:
        self._masks, self._decoder, self._bytes_max = masks, decoder, bytes_max
        self._reader = Reader(masks.columns)
        self._utf8 = getincrementaldecoder("utf-8")()
        self._portion = Portion()
        self._shown: list[bytes] = []
        self._bytes_fed = self._bytes_read = self._values = self._changed = 0
        self._is_last = False

    @property
    def held_bytes(self) -> int:
        """See `reading.Body`."""
        return self._bytes_read

    def feed(self, data: bytes) -> Shown:
        """See `reading.Body`."""
        self._bytes_fed += len(data)
        return self._read(data)

    def end(self) -> Shown:
        """See `reading.Body`."""
        self._is_last = True
        return self._read(b"")

    def resume(self, plan: Plan) -> Shown:
        """See `reading.Body`."""
        if plan.refusal:
            return Shown(refusal=plan.refusal)
        self._masks.columns.learn(plan)
        return self._go_on()

    def _read(self, data: bytes) -> Shown:
        try:
            decoded = self._decoder.feed(data) if data else b""
            if self._is_last:
                self._decoder.end()
            self._bytes_read += len(decoded)
            if max(self._bytes_fed, self._bytes_read) > self._bytes_max:
                raise Unreadable(
                    f"it is longer than the {self._bytes_max} bytes that can be masked as a whole "
                    "(limits.document_bytes_max)"
                )
            text = self._utf8.decode(decoded, self._is_last)
            self._portion = self._reader.feed(text, is_last=self._is_last)
        except UnicodeDecodeError:
            return refused(Unreadable("it is not UTF-8"))
        except Unreadable as why:
            return refused(why)
        return self._go_on()

    def _go_on(self) -> Shown:
        if ask := self._masks.columns.unplanned:
            return Shown(ask=ask)
        text, changed = self._masks.show(self._portion)
        self._shown.append(text.encode())
        self._values += self._portion.size
        self._changed += changed
        self._portion = Portion()
        if not self._is_last:
            return Shown()
        return Shown(b"".join(self._shown), row_count=self._values, cells_masked=self._changed)
