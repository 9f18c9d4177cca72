"""How names and texts are spelled at a place that the parser told: where they end, and what they say.

No lexer of whole statements: it reads on from where the parser found something, and the caller compares what is read
with the parser's tree. Rules are those of the manual's chapter "Lexical Structure". Knows no statement.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hoopproxy.masking.syntax import NAME_BYTES_MAX

_BLANK = re.compile(r"(?:[ \t\n\r\f\v]+|--[^\n\r]*)+")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_NAME = re.compile(
    r"""(?P<plain>[A-Za-z_\x80-\U0010ffff][A-Za-z_0-9$\x80-\U0010ffff]*)
    | "(?P<quoted>(?:[^"]|"")+)" """,
    re.X,
)
_UNICODE_NAME = re.compile(r"""[uU]&"(?:[^"]|"")+"(?:[ \t\n\r\f\v]*[uU][eE][sS][cC][aA][pP][eE][ \t\n\r\f\v]*'.')?""")
_DOLLAR = re.compile(r"\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z_0-9\x80-\U0010ffff]*)?\$")
_QUOTED = re.compile(r"(?P<escape>[eE]?)'(?P<inside>(?:[^']|'')*)'(?!')")

_ASCII_LOWER = {ord(letter): ord(letter) + 32 for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


class Astray(Exception):
    """What stands there is not what the parser read: this text is left as it is."""


@dataclass(frozen=True, slots=True)
class Part:
    """One name of a dotted one: the characters from `start` to `end`."""

    start: int
    end: int


def past_blank(text: str, at: int) -> int:
    """Behind blanks and comments; comments nest."""
    while True:
        if blank := _BLANK.match(text, at):
            at = blank.end()
        elif text.startswith("/*", at):
            at = _past_comment(text, at)
        else:
            return at


def _past_comment(text: str, at: int) -> int:
    depth = 0
    while edge := _COMMENT_EDGE.search(text, at):
        at = edge.end()
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return at
    raise Astray


def word(text: str, at: int, *expected: str) -> int:
    """Behind one of these characters or keywords, which must stand at `at`, after blanks. @raise Astray"""
    at = past_blank(text, at)
    for each in expected:
        if text[at : at + len(each)].lower() == each:
            return at + len(each)
    raise Astray


def part(text: str, at: int, expected: str) -> Part:
    """The name at `at`, after blanks, which the parser read as `expected`. @raise Astray"""
    at = past_blank(text, at)
    if odd := _UNICODE_NAME.match(text, at):
        return Part(at, odd.end())
    if not (found := _NAME.match(text, at)):
        raise Astray
    plain, quoted = found.groups()
    if cut(plain.translate(_ASCII_LOWER) if plain else quoted.replace('""', '"')) != expected:
        raise Astray
    return Part(at, found.end())


def parts(text: str, at: int, names: Sequence[str]) -> list[Part]:
    """The parts of the dotted name at `at`, one for each of `names`. @raise Astray"""
    found = [part(text, at, names[0])]
    for name in names[1:]:
        found.append(part(text, word(text, found[-1].end, "."), name))
    return found


def listed(text: str, between: str = ",") -> tuple[str, ...]:
    """The names of a list as settings hold one (`app, "$user"`), or of a dotted name; () for what is none."""
    names, at = [], past_blank(text, 0)
    while found := _NAME.match(text, at):
        plain, quoted = found.groups()
        names.append(cut(plain.translate(_ASCII_LOWER) if plain else quoted.replace('""', '"')))
        at = past_blank(text, found.end())
        if not text.startswith(between, at):
            break
        at = past_blank(text, at + 1)
    return tuple(names) if at == len(text) else ()


def cut(name: str) -> str:
    """A name as long as PostgreSQL keeps it."""
    if len(name) * 4 <= NAME_BYTES_MAX:
        return name
    return name.encode()[:NAME_BYTES_MAX].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant whose inside can be changed in place: `text` is what it says, `places` where each of its characters
    stands, one more for the end. `is_quoted`: an apostrophe in it is written twice."""

    text: str
    places: Sequence[int]
    is_quoted: bool

    def written(self, put: str) -> str:
        """`put` as it must be written within. @raise Astray: it can't."""
        if ("\\" if self.is_quoted else "$") in put:
            raise Astray  # it might escape something, or end the constant
        return put.replace("'", "''") if self.is_quoted else put


def literal(text: str, at: int, expected: str) -> Literal:
    """The constant at `at`, after blanks, which says `expected`.

    @raise Astray: it has escapes, goes on behind a line's end or is written in another way that isn't handled.
    """
    at = past_blank(text, at)
    if tag := _DOLLAR.match(text, at):
        start, end = tag.end(), text.find(tag[0], tag.end())
        found = Literal(text[start:end], range(start, end + 1), is_quoted=False)
    elif (quoted := _QUOTED.match(text, at)) and not (quoted["escape"] and "\\" in quoted["inside"]):
        found = _unquoted(quoted["inside"], quoted.start("inside"))
    else:
        raise Astray
    if found.text != expected:
        raise Astray
    return found


def _unquoted(inside: str, start: int) -> Literal:
    places, at = [], 0
    while at < len(inside):
        places.append(start + at)
        at += 2 if inside[at] == "'" else 1
    return Literal(inside.replace("''", "'"), [*places, start + at], is_quoted=True)
