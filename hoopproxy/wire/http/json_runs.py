"""Members that follow each other as they did in the object before: read by one match instead of one for each.

Most JSON is a list of objects that look alike. Knows the grammar, and nothing of what is masked.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from hoopproxy.wire.http.json_grammar import FORMS, NULL, SPACE

MEMBERS_MIN = 2
MEMBERS_MAX = 64

ALIKE_MIN = 8
"""So often in a row the same members must have come one by one: to compile a run costs as much as to read some 500."""

MISSES_MAX = 16
"""So many more objects may look different than alike, until a run is given up for good."""


class Named(Protocol):
    """A member's place."""

    @property
    def is_named(self) -> bool:
        """Whether its name is shown as it is."""


class Alone(NamedTuple):
    """A member that came by itself: its name as it was spelled and as it is, its place, the number of its value's
    column, and the value's first character."""

    spelled: str
    name: str
    place: Named
    column: int
    first: str


class Run:
    """What follows a position in the objects of one place: scalars, each null or of one kind. `columns` are theirs."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.columns: Sequence[int] = ()
        self._pattern: re.Pattern[str] | None = None
        self._spelled: list[str] = []
        self._forms: list[str] = []
        self._alike = self._missed = 0

    def match(self, text: str, at: int) -> re.Match[str] | None:
        """The whole run, with what ends its last value; a group for each value."""
        if self._pattern is None:
            return None
        found = self._pattern.match(text, at)
        self._missed = max(self._missed + (-1 if found else 1), 0)
        if self._missed > MISSES_MAX:
            self._pattern = None
        return found

    @property
    def is_learning(self) -> bool:
        """Whether it wants to know what comes one by one."""
        return self._pattern is None and self._missed <= MISSES_MAX

    def learn(self, members: Sequence[Alone]) -> bool:
        """These came one by one, while it was learning. Whether they are known as a run now."""
        if not MEMBERS_MIN <= len(members) <= MEMBERS_MAX:
            return False
        spelled, forms = [each.spelled for each in members], [FORMS[each.first] for each in members]
        is_alike = spelled == self._spelled and all(
            was == now or NULL in (was, now) for was, now in zip(self._forms, forms, strict=True)
        )
        if not (is_alike and all(each.place.is_named for each in members)):
            self._spelled, self._forms, self._alike = spelled, forms, 0
            return False
        self._forms = [now if was == NULL else was for was, now in zip(self._forms, forms, strict=True)]
        self._alike += 1
        # The kinds of all values must be known, but for those that have always been null.
        if self._alike >= ALIKE_MIN and forms == self._forms:
            self.names = frozenset(each.name for each in members)
            self.columns = [each.column for each in members]
            one = (
                f"{SPACE}{re.escape(name)}{SPACE}:{SPACE}({form}|{NULL}){SPACE}"
                for name, form in zip(spelled, forms, strict=True)
            )
            self._pattern = re.compile(f"{','.join(one)}[,}}]")
        return self._pattern is not None
