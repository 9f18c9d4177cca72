"""What of a hostile terminal's output reaches the terminal of somebody who watches."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.evidence.screen import RESET, Screen, escaped

HARMLESS = (
    "plain text, Grüße, 漢字, 🙂",
    "a line\r\nand\tanother\b\b",
    "\x1b[1;31mred\x1b[0m \x1b[38;5;208mindexed \x1b[38:2::1:2:3mtrue\x1b[m",
    "\x1b[H\x1b[2J\x1b[10;20Hat\x1b[K\x1b[3A\x1b[C\x1b[5G\x1b[7d\x1b[2;5f",
    "\x1b[3L\x1b[2M\x1b[4P\x1b[5@\x1b[6X\x1b[S\x1b[2T\x1b[9b",
    "\x1b[2;20r\x1b[r\x1b7\x1b8\x1b[s\x1b[u\x1bM\x1bD\x1bE",
    "\x1b[?25l\x1b[?25h\x1b[?7l\x1b[?1049h\x1b[?1049l\x1b[4h\x1b[4l",
    "\x1b(0lqqk\x1b(B",
)

IDLE = (
    "\x1b[?2004h",
    "\x1b[?1h\x1b=",
    "\x1b[?1l\x1b>",
    "\x1b[?1000h\x1b[?1006l\x1b[?1004h",
    "\x1b[>4;2m",
    "\x1b[22;0;0t\x1b[23;0;0t",
    "\x07",
)

ATTACKS = {
    "clipboard": "\x1b]52;c;cm0gLXJmIH4K\x07",
    "clipboard, ended otherwise": "\x1b]52;c;cm0gLXJmIH4K\x1b\\",
    "link": "\x1b]8;;http://evil.example/\x1b\\click\x1b]8;;\x1b\\",
    "title": "\x1b]0;rm -rf ~\x07",
    "icon and title by name": "\x1b]l;x\x1b\\",
    "title report": "\x1b[21t",
    "window report": "\x1b[18t",
    "window moved": "\x1b[3;0;0t",
    "window closed": "\x1b[2t",
    "device attributes": "\x1b[c",
    "device attributes 0": "\x1b[0c",
    "secondary device attributes": "\x1b[>c",
    "tertiary device attributes": "\x1b[=c",
    "cursor report": "\x1b[6n",
    "status report": "\x1b[5n",
    "extended cursor report": "\x1b[?6n",
    "terminal version": "\x1b[>q",
    "DECRQSS": '\x1bP$q"p\x1b\\',
    "termcap query": "\x1bP+q544e\x1b\\",
    "DECRQM": "\x1b[?1$p",
    "checksum of what is shown": "\x1b[1;1;1;1;1;1*y",
    "sixel": 'x\x1bPq"1;1;100;100#0;2;0;0;0#0~~@@vv@@~~@@~~$-\x1b\\',
    "graphics of kitty": "\x1b_Gf=24,s=10,v=20;AAAA\x1b\\",
    "file of iTerm": "\x1b]1337;File=name=eA==:AAAA\x07",
    "notification": "\x1b]777;notify;a;b\x07",
    "palette query": "\x1b]4;1;?\x07",
    "font query": "\x1b]50;?\x07",
    "answerback": "\x05",
    "reset": "\x1bc",
    "soft reset": "\x1b[!p",
    "scrollback wiped": "\x1b[3J",
    "macro": "\x1bP1;0;0!z414141\x1b\\",
    "user-defined keys": "\x1bP0;1|17/6c73\x1b\\",
    "media copy to a printer": "\x1b[5i",
    "screen's title": "\x1bkname\x1b\\",
    "private message": "\x1b^secret\x1b\\",
    "start of string": "\x1bXsecret\x1b\\",
    "keyboard of kitty": "\x1b[>1u",
    "keyboard query": "\x1b[?u",
    "keyboard locked": "\x1b[2h",
    "132 columns": "\x1b[?3h",
    "insane repetition": "\x1b[99999999b",
    "insane place": "\x1b[99999;99999H",
    "C1 as characters": "\x9b6n\x9d52;c;eA==\x9c\x90q\x9c",
    "shift out": "\x0e",
    "enquiry amid text": "a\x05b",
    "bidi override": "abc\u202etxt.exe\u202c",
    "bidi isolate": "\u2066x\u2069",
    "no width": "pass\u200bword\ufeff",
    "line separator": "a\u2028b",
    "tag characters": "\U000e0041\U000e0042",
    "delete": "\x7f",
    "zero": "\x00",
    "form feed": "\x0c",
    "escape in escape": "\x1b\x1b]52;c;eA==\x07",
    "escape cut short": "\x1b[12;\x1b]52;c;eA==\x07",
    "controls amid a sequence": "\x1b[6\x08n",
    "colours without end": "\x1b[" + "1;" * 40 + "1m",
}


def shown(*pieces: str) -> str:
    screen = Screen()
    return "".join(map(screen.shown, pieces)) + screen.end()


def is_safe(text: str) -> bool:
    """No control is left but those of layout, no escape but one of the lists, and nothing that is not visible."""
    allowed = re.sub(
        r"\x1b(?:\[[0-9;:]{0,160}m|\[[0-9]{0,4}(?:;[0-9]{0,4})?[@A-IL-MPSTXZ`abdefr]|\[[0-2]?[JK]|\[[su]|[78DEM]"
        r"|\[4[hl]|\[\?(?:7|25|47|104[789])[hl]|\([0B])",
        "",
        text,
    )
    return re.sub(r"[\n\r\t\b]", "", allowed).isprintable()


@pytest.mark.parametrize("text", HARMLESS)
def test_text_colours_and_cursor_go_through(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize("text", IDLE)
def test_what_is_for_a_keyboard_is_left_out(text: str) -> None:
    assert shown(f"a{text}b") == "ab"


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_shown_and_not_carried_out(name: str) -> None:
    attack = ATTACKS[name]
    out = shown(attack)
    assert is_safe(out), out
    assert "\\x" in out or "\\u" in out.lower(), out
    assert shown(*attack) == out


def test_attacks_are_told_by_their_bytes() -> None:
    assert shown(ATTACKS["clipboard, ended otherwise"]) == "\\x1b]52;c;cm0gLXJmIH4K\\x1b\\"
    assert shown(ATTACKS["bidi override"]) == "abc\\u202etxt.exe\\u202c"
    assert shown(ATTACKS["tag characters"]) == "\\U000e0041\\U000e0042"
    assert shown(ATTACKS["cursor report"]) == "\\x1b[6n"


def test_a_sequence_that_is_begun_is_held_until_it_is_whole_or_too_long() -> None:
    screen = Screen()
    assert screen.shown("a\x1b") == "a"
    assert screen.shown("[3") == ""
    assert screen.shown("1mred") == "\x1b[31mred"
    assert screen.shown("\x1b[" + "1" * 100) == "\\x1b[" + "1" * 100
    assert screen.shown("b\x1b[1") == "b"
    assert screen.end() == "\\x1b[1"
    assert screen.end() == ""


def test_the_last_word_undoes_what_was_let_through() -> None:
    assert shown(RESET) == RESET


def test_escaped_text_has_no_line_ends() -> None:
    assert escaped("a\r\n\x1b[1mb") == "a\\x0d\\x0a\\x1b[1mb"
    assert escaped("Grüße") == "Grüße"


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet=st.sampled_from("\x1b[]();?>=0123456789mHJKnctPq$\\\x07\x9b\u202eab\n\r"), max_size=9))
)
def test_whatever_comes_is_safe_however_it_is_cut(pieces: list[str]) -> None:
    out = shown(*pieces)
    assert is_safe(out)
    assert out == shown("".join(pieces))
