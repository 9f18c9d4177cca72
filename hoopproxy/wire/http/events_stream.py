"""Server-sent events as a framing of messages (HTML, §9.2.6 "Interpreting an event stream").

An event's `data` lines are its message; the client sees its `id`, `event` and `retry` as they are. Knows no message.
"""

import re

_LINE_END = re.compile(r"\r\n|[\r\n]")
_FIELDS = frozenset(("data", "id", "event", "retry"))


class Events:
    """Lines that clients do not read are not shown, for who looks at the stream itself would; `is_strict`: comments
    neither."""

    # Behind a carriage return that came last, a line feed may follow that belongs to it.
    end = re.compile(r"(?>\r\n|[\r\n])(?>\r\n|\n|\r(?!\Z))")

    def __init__(self, *, is_strict: bool) -> None:
        self._kept = _FIELDS if is_strict else _FIELDS | {""}

    def message(self, piece: str) -> str | None:
        """The data, its lines joined; None for none."""
        lines = [line for line in _LINE_END.split(piece) if _name(line) == "data"]
        return "\n".join(map(_value, lines)) if lines else None

    def framed(self, piece: str, message: str | None) -> str:
        """The event with other data, where the first line of its own was."""
        before = _LINE_END.split(piece)
        if message in (None, self.message(piece)) and all(not line or _name(line) in self._kept for line in before):
            return piece
        lines, data = [], None if message is None else [f"data: {line}" for line in _LINE_END.split(message)]
        for line in before:
            if data is not None and _name(line) == "data":
                lines += data
                data = []
            elif not line or _name(line) in self._kept:
                lines.append(line)
        return "\n".join(lines)


def _name(line: str) -> str:
    """A field's name; "" for a comment. A byte order mark may stand before the first."""
    return line.removeprefix("\ufeff").partition(":")[0]


def _value(line: str) -> str:
    return line.partition(":")[2].removeprefix(" ")
