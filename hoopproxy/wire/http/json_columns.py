"""The columns of JSON documents: which places they have, with values of which kind, and what is done to each.

A path is what maskers know a place by: `$.cards[*].number`, `$["odd name"]`, and `$.cards~` for the name `cards`
itself. Knows no text; all documents of one endpoint on one connection share their columns.
"""

import json
import re

from hoopproxy.events import Field, Format, Keep, Operation, Plan, Shape
from hoopproxy.wire.http.json_runs import Run
from hoopproxy.wire.http.protection import Protection
from hoopproxy.wire.http.unreadable import Unreadable

STRING, NUMBER, BOOLEAN = 25, 1700, 16
"""The kinds of value, as PostgreSQL's pg_type.dat numbers text, numeric and bool: maskers know these."""

PATHS_CHARACTERS_MAX = 1 << 22
"""How long all paths together may be. Half of it is for one document: some 20 000 ordinary ones."""

RUNS_MAX = 256
"""So many runs of members are compiled, each in about a millisecond: more have only those who make them up."""

_PLACE_CHARACTERS = 64
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_KINDS = {'"': STRING, "t": BOOLEAN, "f": BOOLEAN} | dict.fromkeys("-0123456789", NUMBER)
"""By the first character of a value."""

NONE = -1
"""The number of no column: `null` has none, as NULL stays NULL under each mask."""


class Place:
    """Where values stand in a document. `columns` are numbers by a value's first character, `key` is that of its name;
    `is_named`: the name is shown as it is. Otherwise `instead` is what is shown, once that is known."""

    __slots__ = ("columns", "elements", "instead", "is_named", "key", "members", "name", "path", "runs")

    def __init__(self, path: str, name: str, key: int = NONE) -> None:
        self.path, self.name, self.key = path, name, key
        self.members: dict[str, Place] = {}
        self.elements: Place | None = None
        self.columns: dict[str, int] = {"n": NONE}
        self.runs: dict[int, Run] = {}  # by how many members stand before
        self.is_named = key == NONE
        self.instead = ""


class Columns:
    """All columns so far, by their numbers: of which kind they are, and what is done to those that are not kept."""

    def __init__(self, protection: Protection) -> None:
        self.root = Place("$", "$")
        self.operations: dict[int, Operation] = {}
        self.kinds: list[int] = []
        self.runs_left = RUNS_MAX
        self._protection = protection
        self._characters = 0
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._unplanned: dict[int, Field] = {}
        # Names are judged by what they look like, all together; where only what is listed may be seen, one by one.
        self._keys = self._add("key", "", STRING) if protection.by_content and not protection.is_listed else NONE

    @property
    def is_worn(self) -> bool:
        """Whether the next document should have new ones."""
        return self._characters > PATHS_CHARACTERS_MAX // 2

    def member(self, parent: Place, name: str) -> Place:
        """The place of a member. @raise Unreadable: there are too many."""
        step = f".{name}" if _PLAIN_NAME.fullmatch(name) else f"[{json.dumps(name, ensure_ascii=False)}]"
        path = self._counted(parent.path + step)
        key = self._add(name, f"{path}~", STRING) if self._protection.is_listed else self._keys
        place = parent.members[name] = Place(path, name, key)
        return place

    def elements(self, parent: Place) -> Place:
        """The place of an array's elements. @raise Unreadable."""
        place = parent.elements = Place(self._counted(f"{parent.path}[*]"), parent.name)
        return place

    def column(self, place: Place, first: str) -> int:
        """The number of the column for values there that begin with `first`."""
        kind = _KINDS[first]
        number = self._add(place.name, place.path, kind)
        place.columns |= {each: number for each, of in _KINDS.items() if of == kind}
        return number

    def text(self) -> int:
        """The number of the column for a whole text that is no JSON."""
        return self._add("text", "$" if self._protection.by_path else "", STRING)

    @property
    def unplanned(self) -> Shape | None:
        """The columns that maskers are to be asked about before more is shown."""
        return Shape(tuple(self._unplanned.values())) if self._unplanned else None

    def learn(self, plan: Plan) -> None:
        """Their answer."""
        for field, operation in zip(plan.shape.fields, plan.operations, strict=True):
            number = self._numbers[field.name, field.path, field.type_oid]
            self._unplanned.pop(number, None)
            if not isinstance(operation, Keep):
                self.operations[number] = operation

    def _add(self, name: str, path: str, kind: int) -> int:
        path = path and self._protection.of_field(path)
        number = self._numbers.setdefault((name, path, kind), len(self.kinds))
        if number == len(self.kinds):
            self.kinds.append(kind)
            self._unplanned[number] = Field(name, path, 0, 0, kind, -1, Format.TEXT)
        return number

    def _counted(self, path: str) -> str:
        self._characters += len(path) + _PLACE_CHARACTERS
        if self._characters > PATHS_CHARACTERS_MAX:
            raise Unreadable("it has too many different members")
        return path
