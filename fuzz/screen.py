"""Harness: a hostile terminal's output on its way to the terminal of somebody who watches."""

import re

from fuzz.choices import Choices
from hoopproxy.evidence.screen import HELD_CHARS_MAX, RESET, Screen

PIECES = (
    "\x1b",
    "\x1b[",
    "\x1b]52;c;eA==\x07",
    "\x1b]0;title",
    "\x1bP$q",
    "\x1b\\",
    "\x9b6n",
    "\x1b[6n",
    "\x1b[2J",
    "\x1b[?1049h",
    "\x1b[?2004h",
    "\x1b[1;31m",
    "\x1b[38:2::1:2:3m",
    "\x1b(",
    "\x1b(0",
    "\x1b[22;0;0t",
    "\x1b[3;0;0t",
    "\x1b[>c",
    "\x1b[" + "0" * 63,
    "\x1b[" + "1;" * 40 + "m",
    "\x1b7",
    "\x1bc",
    ";",
    "5",
    "m",
    "n",
    "H",
    "?",
    "\x07",
    "\x00",
    "\r\n",
    "\b\t",
    "\x7f",
    "\u202e",
    "text",
    "🙂",
    "\ud800",
)

_ALLOWED = re.compile(
    "|".join(
        (
            r"\x1b\[[0-9;:]*m",
            r"\x1b\[[0-9]{0,4}[@A-MPSTXZ`abde]",
            r"\x1b\[[0-9]{0,4};[0-9]{0,4}[Hfr]",
            r"\x1b\[[0-9]{0,4}[Hfr]",
            r"\x1b\[[su]",
            r"\x1b[78DEM]",
            r"\x1b\[4[hl]",
            r"\x1b\[\?(?:7|25|47|1047|1048|1049)[hl]",
            r"\x1b\([0B]",
        )
    )
)
"""By another hand than the list that it checks, and wider in nothing that makes a terminal answer or remember."""

_ANSWERS = re.compile(r"\x1b\[[0-9;]*[cnqtxyi]|\x1b\[3J|\x1b[\]PX^_kcZ]")
"""What makes terminals speak, or keep something."""


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    size, text = 1 + choices.below(40), ""
    while choices.left:
        text += choices.pick(PIECES) if choices.byte() & 3 else choices.some(12).decode("latin-1")
    whole = _shown([text])
    assert whole == _shown([text[at : at + size] for at in range(0, len(text), size)])
    assert not _ANSWERS.search(whole)
    plain = _ALLOWED.sub("", whole)
    assert not [one for one in plain if not one.isprintable() and one not in "\n\r\t\b"], ascii(plain)
    assert _ALLOWED.sub("", RESET) == ""


def _shown(pieces: list[str]) -> str:
    screen, shown = Screen(), ""
    for piece in pieces:
        shown += screen.shown(piece)
        assert len(screen._held) <= HELD_CHARS_MAX
    return shown + screen.end()
