"""What of a portion of JSON is shown: masked values and names spelled anew, all else byte for byte as it was.

Knows what is done to which column, and neither who wants it nor where the text comes from.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from hoopproxy.events import Constant, Null
from hoopproxy.wire.cells import Cells
from hoopproxy.wire.http import json_grammar
from hoopproxy.wire.http.json_columns import BOOLEAN, NUMBER, STRING, Columns
from hoopproxy.wire.http.json_text import Cell, Name, Portion, quoted, unquoted
from hoopproxy.wire.http.protection import Protection

KNOWN_CHARACTERS_MAX = 64

MASKED_NAME = "***"
"""Of a member whose own name may not be seen and whose mask gives none."""

_TRUE = frozenset((b"t", b"true"))


class Masks:
    """Of the JSON of one endpoint. `text_bytes_max` is how long a value may be."""

    def __init__(self, protection: Protection, text_bytes_max: int) -> None:
        self.protection = protection
        self.columns = Columns(protection)
        self._text_bytes_max = text_bytes_max
        self._cells: dict[int, Cells] = {}

    def show(self, portion: Portion) -> tuple[str, int]:
        """Its text, and how much in it is not what it was. @raise AddonFailure."""
        masked, text = self.columns.operations, portion.text
        parts = self._values(text, portion.cells(masked)) if masked else []
        parts += [(name.start, name.end, new) for name in portion.names if (new := self._name(name))]
        if not parts:
            return text, 0
        parts.sort()
        pieces, at = list[str](), 0
        for start, end, new in parts:
            pieces += (text[at:start], new)
            at = end
        return "".join(pieces) + text[at:], len(parts)

    def text(self, text: str, column: int) -> tuple[str, int]:
        """A whole text that is no JSON, in a column of its own. @raise AddonFailure."""
        if column not in self.columns.operations:
            return text, 0
        (shown,) = self._mask(column, [text.encode()])
        new = "" if shown is None else shown.decode("utf-8", "replace")
        return new, int(new != text)

    def _values(self, text: str, cells: Sequence[Cell]) -> list[tuple[int, int, str]]:
        """Where values stand that are shown otherwise, and how."""
        columns: dict[int, list[Cell]] = {}
        for cell in cells:
            columns.setdefault(cell[0], []).append(cell)
        parts: list[tuple[int, int, str]] = []
        for column, there in columns.items():
            operation, kind = self.columns.operations[column], self.columns.kinds[column]
            if isinstance(operation, Null | Constant):
                new = _spelled(kind, None if isinstance(operation, Null) else operation.value)
                parts += [(start, end, new) for _, start, end in there if text[start:end] != new]
                continue
            before = [_cell(kind, text[start:end]) for _, start, end in there]
            for (_, start, end), was, now in zip(there, before, self._mask(column, before), strict=True):
                if now != was:
                    parts.append((start, end, _spelled(kind, now)))
        return parts

    def _name(self, name: Name) -> str:
        """The new text of a member's name; "" when it is shown as it is. It is judged once for its place."""
        place = name.place
        if not place.is_named and not place.instead:
            if place.key in self.columns.operations:
                (shown,) = self._mask(place.key, [place.name.encode()])
                new = MASKED_NAME if shown is None else shown.decode("utf-8", "replace")
            else:
                new = place.name
            place.is_named = new == place.name
            place.instead = "" if place.is_named else new or MASKED_NAME
        if place.is_named:
            return ""
        instead = name.within.instead(place.instead)
        return _quoted_name(instead) if len(instead) <= KNOWN_CHARACTERS_MAX else quoted(instead)

    def _mask(self, column: int, cells: Sequence[bytes]) -> list[bytes | None]:
        if column not in self._cells:
            self._cells[column] = Cells(self.columns.operations[column], self._text_bytes_max)
        return self._cells[column].mask(cells)


_quoted_name = lru_cache(1024)(quoted)  # of all sessions: no long ones, or they would add up


def _cell(kind: int, text: str) -> bytes:
    """A value as maskers see it: as PostgreSQL writes one of that type in text."""
    if kind == STRING:
        return text[1:-1].encode() if "\\" not in text else unquoted(text).encode()
    return text[:1].encode() if kind == BOOLEAN else text.encode()


def _spelled(kind: int, cell: bytes | None) -> str:
    """A masked cell in JSON, of the kind that it was, since clients count on it; or null."""
    if cell is None:
        return "null"
    if kind == NUMBER:
        text = cell.decode("ascii", "replace")
        return text if re.fullmatch(json_grammar.NUMBER, text) else "0"
    if kind == BOOLEAN:
        return "true" if cell in _TRUE else "false"
    return quoted(cell.decode("utf-8", "replace"))
