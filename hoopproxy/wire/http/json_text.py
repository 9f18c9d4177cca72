"""One strict reading of JSON, as it comes, in which every part keeps its exact text (RFC 8259).

What two readers could read as two documents is refused: names that stand twice, lone surrogates, what is not in the
grammar. Numbers are never converted. Knows places, and nothing of what is masked there.

A grammar of regular expressions, with one match for each member or element, or for a run of them: the readers that are
faster (orjson, the standard library's) tell neither where a value stood nor how it was spelled, and see no name twice.
"""

import json
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from hoopproxy.wire.http.json_columns import Columns, Place
from hoopproxy.wire.http.json_grammar import SCALAR, SPACE, STRING
from hoopproxy.wire.http.json_runs import Alone, Run
from hoopproxy.wire.http.unreadable import Unreadable

DEPTH_MAX = 200

RUNS_MAX = 64
"""Behind more members of an object no run begins."""

# A value is followed by what ends it, so that no number is taken for whole before it is; a container begins.
_MEMBER = re.compile(rf"{SPACE}({STRING}){SPACE}:{SPACE}(?:({SCALAR}){SPACE}[,}}]|[\[{{])").match
_ELEMENT = re.compile(rf"{SPACE}(?:({SCALAR}){SPACE}[,\]]|[\[{{])").match
_DOCUMENT = re.compile(rf"{SPACE}(?:({SCALAR}){SPACE}\Z|[\[{{])").match
_MORE = {"{": re.compile(rf"{SPACE}[,}}]").match, "[": re.compile(rf"{SPACE}[,\]]").match}
_EMPTY = {"{": re.compile(rf"{SPACE}}}").match, "[": re.compile(rf"{SPACE}\]").match}
_REST = re.compile(SPACE).match


def unquoted(text: str) -> str:
    """What a string of JSON, in its quotes, says."""
    return str(json.loads(text)) if "\\" in text else text[1:-1]


def quoted(text: str) -> str:
    """A string of JSON that says it."""
    return json.dumps(text, ensure_ascii=False)


class Open:
    """An object or array that is open. `names` are the object's so far, and None in an array."""

    __slots__ = ("changed", "names", "place")

    def __init__(self, place: Place, opening: str) -> None:
        self.place = place
        self.names: set[str] | None = set() if opening == "{" else None
        self.changed = 0

    def instead(self, name: str) -> str:
        """`name` for a member whose own is not shown; told apart from others by its place alone."""
        assert self.names is not None
        new = name
        while new in self.names:
            self.changed += 1
            new = f"{name}~{self.changed}"
        self.names.add(new)
        return new


type Cell = tuple[int, int, int]
"""A column's number, and where in the text a value begins and ends."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What is whole of a text: its values, those that came in runs, and the names that are not shown as they are."""

    text: str = ""
    values: list[Cell] = field(default_factory=list)
    runs: list[tuple[Sequence[int], Sequence[tuple[int, int]]]] = field(default_factory=list)
    names: list["Name"] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values) + sum(len(columns) for columns, _ in self.runs)

    def cells(self, columns: Container[int]) -> list[Cell]:
        """The values in those columns, in whatever order."""
        text, cells = self.text, [cell for cell in self.values if cell[0] in columns]
        for run, spans in self.runs:
            for index, column in enumerate(run, 1):
                if column in columns and text[spans[index][0]] != "n":
                    cells.append((column, *spans[index]))
        return cells


class Name(NamedTuple):
    """Where in the text, in its quotes, the name of `place` stands, in which object."""

    place: Place
    start: int
    end: int
    within: "Open"


class _Next(Enum):
    """What may stand there."""

    FIRST = 0
    """A member or element, or the container's end."""
    ANOTHER = 1
    """A member or element, behind a comma."""
    MORE = 2
    """A comma, or the container's end."""


class Reader:
    """Reads one document into `columns`."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._waiting: list[str] = []
        self._size = self._enough = 0  # of what waits, and below which nothing is whole
        self._open: list[Open] = []
        self._next = _Next.FIRST
        self._has_begun = False

    def feed(self, text: str, *, is_last: bool = False) -> Portion:
        """More of it, and what is whole by now. @raise Unreadable."""
        self._waiting.append(text)
        self._size += len(text)
        if self._size < self._enough and not is_last:
            return Portion()  # a long string is not read again with each of its pieces
        portion = Portion("".join(self._waiting))
        end = self._read(portion, is_last)
        rest = portion.text[end:]
        if is_last and (rest or self._open or not self._has_begun):
            raise Unreadable("it is not JSON of which there is one reading alone (RFC 8259)")
        self._waiting, self._size, self._enough = [rest], len(rest), 0 if end else 2 * len(rest)
        return replace(portion, text=portion.text[:end])

    def _read(self, portion: Portion, is_last: bool) -> int:
        """How much could be read."""
        text, at = portion.text, 0
        if not self._has_begun:
            at = self._begin(portion, is_last)
        while self._open:
            container = self._open[-1]
            opening = "[" if container.names is None else "{"
            if self._next is _Next.FIRST and (found := _EMPTY[opening](text, at)):
                at = found.end()
                self._close()
            elif self._next is _Next.MORE:
                if not (found := _MORE[opening](text, at)):
                    return at
                at = found.end()
                self._after(text[at - 1])
            else:
                read = self._members if opening == "{" else self._elements
                end = read(container, portion, at)
                if end == at:
                    return at
                at = end
        if self._has_begun:
            found = _REST(text, at)
            assert found is not None  # it may be empty
            at = found.end()
            if at < len(text):
                raise Unreadable("something stands behind its end")
        return at

    def _begin(self, portion: Portion, is_last: bool) -> int:
        found = _DOCUMENT(portion.text)
        if not found or (found[1] and not is_last):
            return 0
        self._has_begun = True
        if found[1]:
            self._see(self._columns.root, portion, *found.span(1))
        else:
            self._enter(self._columns.root, portion.text[found.end() - 1])
        return found.end()

    def _members(self, container: Open, portion: Portion, at: int) -> int:
        """All members up to one that is a container or not whole."""
        text, names, place = portion.text, container.names, container.place
        assert names is not None
        ending, run = "", place.runs.get(len(names))
        if run is None and len(names) < RUNS_MAX:
            run = place.runs[len(names)] = Run()
        if run is not None and (alike := run.match(text, at)) and names.isdisjoint(run.names):
            names |= run.names
            portion.runs.append((run.columns, alike.regs))
            at, self._next = alike.end(), _Next.ANOTHER
            ending = text[at - 1]
        alone: list[Alone] | None = [] if run is not None and run.is_learning else None
        while ending != "}" and (found := _MEMBER(text, at)):
            spelled = found[1]
            name = spelled[1:-1] if "\\" not in spelled else unquoted(spelled)
            if name in names:
                raise Unreadable("one of its objects has two members of the same name")
            names.add(name)
            member = place.members.get(name) or self._columns.member(place, name)
            if not member.is_named:
                portion.names.append(Name(member, *found.span(1), container))
            at = found.end()
            ending = text[at - 1]
            start, end = found.span(2)
            if start < 0:
                self._enter(member, ending)
                break
            column = self._see(member, portion, start, end)
            if alone is not None:
                alone.append(Alone(spelled, name, member, column, text[start]))
            self._next = _Next.ANOTHER
        else:
            if ending == "}":
                self._close()
        if run is not None and alone and self._columns.runs_left:
            self._columns.runs_left -= run.learn(alone)
        return at

    def _elements(self, container: Open, portion: Portion, at: int) -> int:
        """All elements up to one that is a container or not whole."""
        text, ending = portion.text, ""
        place = container.place.elements or self._columns.elements(container.place)
        while ending != "]" and (found := _ELEMENT(text, at)):
            at = found.end()
            ending = text[at - 1]
            start, end = found.span(1)
            if start < 0:
                self._enter(place, ending)
                return at
            self._see(place, portion, start, end)
            self._next = _Next.ANOTHER
        if ending == "]":
            self._close()
        return at

    def _see(self, place: Place, portion: Portion, start: int, end: int) -> int:
        first = portion.text[start]
        column = place.columns.get(first)
        if column is None:
            column = self._columns.column(place, first)
        portion.values.append((column, start, end))
        return column

    def _enter(self, place: Place, opening: str) -> None:
        if len(self._open) == DEPTH_MAX:
            raise Unreadable(f"it is nested more than {DEPTH_MAX} deep")
        self._open.append(Open(place, opening))
        self._next = _Next.FIRST

    def _after(self, mark: str) -> None:
        if mark == ",":
            self._next = _Next.ANOTHER
        else:
            self._close()

    def _close(self) -> None:
        self._open.pop()
        self._next = _Next.MORE
