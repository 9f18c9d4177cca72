"""What of a terminal's output may reach somebody else's terminal: text, colours, and where the cursor goes.

Pure. Whoever watches a session or plays its recording must not have their clipboard, title or keyboard at its mercy
(OSC 52, OSC 8, title reports, DECRQSS, sixel): all that is not on the lists here is shown, escaped. Knows no streams.
"""

import re

HELD_CHARS_MAX = 64
"""A longer control sequence is none that is let through."""

RESET = "\x1b[0m\x1b(B\x1b[4l\x1b[r\x1b[?7h\x1b[?25h\x1b[?1049l"
"""Undoes what was let through: colours, drawing, insertion, margins, no wrapping, no cursor, the other screen."""

_NUMBER = r"[0-9]{0,4}"
_NUMBERS = rf"{_NUMBER}(?:;{_NUMBER}){{0,7}}"

# ECMA-48 and xterm's ctlseqs: none of these makes a terminal answer, or remember anything but what it shows.
_HARMLESS = "|".join(
    (
        rf"\[(?:{_NUMBER}(?:[;:]{_NUMBER}){{0,31}})?m",  # SGR: colours
        rf"\[{_NUMBER}[@A-GILMPSTXZ`abde]",  # the cursor one way; insert, delete, erase, scroll, repeat
        rf"\[{_NUMBER};{_NUMBER}[Hfr]|\[{_NUMBER}[Hfr]",  # the cursor to a place; margins
        r"\[[012]?[JK]",  # erase; but not what was scrolled away (3J)
        r"\[[su]|[78DEM]",  # remember the cursor's place, and back; up and down a line
        r"\[4[hl]|\[\?(?:7|25|47|1047|1048|1049)[hl]",  # insert, wrap, the cursor's look, the other screen
        r"\([0B]",  # lines and corners, and letters again
    )
)

# They only change what a keyboard or a mouse says, or put a title away: to nobody who watches.
_IDLE = "|".join(
    (
        r"\[\?(?:1|12|66|100[0-6]|1015|1034|2004|2026)[hl]",
        r"\[>[0-9;]{0,8}m",
        rf"\[2[23];{_NUMBERS}t|\[2[23]t",
        r"[=>]",
    )
)

_SEQUENCE = re.compile(rf"\x1b(?:(?P<harmless>{_HARMLESS})|(?P<idle>{_IDLE}))")
_MAYBE = re.compile(r"\x1b(?:\[[ -?]*|\()?\Z")
"""What may become a sequence with the characters that follow."""

_PIECES = re.compile(r"(\x1b)|([\n\r\t\b]+)|(\a+)|([^\x00-\x1f\x7f]+)|(.)", re.DOTALL)


class Screen:
    """One terminal's output on its way to another; sequences may be cut anywhere."""

    def __init__(self) -> None:
        self._held = ""

    def shown(self, text: str) -> str:
        """What to write for more of the output."""
        text, self._held = self._held + text, ""
        if (maybe := _MAYBE.search(text)) is not None and len(maybe[0]) <= HELD_CHARS_MAX:
            text, self._held = text[: maybe.start()], maybe[0]
        return _shown(text)

    def end(self) -> str:
        """What to write when there is no more: a sequence that was begun, written out."""
        rest, self._held = self._held, ""
        return escaped(rest)


def escaped(text: str) -> str:
    """`text` with all that is no plain character written out, line ends and tabs included."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _written(ord(one)) for one in text)


def _written(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _shown(text: str) -> str:
    parts = []
    at = 0
    while at < len(text):
        piece = _PIECES.match(text, at)
        assert piece is not None  # the last of its branches takes anything
        at = piece.end()
        match piece.lastindex:
            case 1:
                sequence = _SEQUENCE.match(text, piece.start())
                if sequence is None:
                    parts.append(_written(0x1B))
                    continue
                at = sequence.end()
                if sequence["harmless"] is not None:
                    parts.append(sequence[0])
            case 2:
                parts.append(piece[0])
            case 4 | 5:
                parts.append(escaped(piece[0]))
    return "".join(parts)
