"""Where a session's names lead: its search path and its own temporary relations, as far as its statements tell.

Followed hopefully: whether a statement succeeds isn't known here, nor what dynamic SQL does. A mistake costs a refusal
by the server (42501) or a masked read, never a leak, as the login has no right to what is protected. Knows no tree
(`moves` reads those) and no twin.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from hoopproxy.masks import Named, Shadow

SAVEPOINTS_MAX = 64
"""More are forgotten, the oldest first: ROLLBACK TO one of them undoes no SET here."""

TEMPORARY = "pg_temp"


@dataclass(frozen=True)
class Sight:
    """What decides which relation a name means.

    `path` is search_path; schemas that are missing don't matter. `temporary` are names of temporary relations.
    `plain_strings` is standard_conforming_strings: how texts themselves are read.
    """

    path: tuple[str, ...] = ()
    temporary: frozenset[str] = frozenset()
    plain_strings: bool = True

    @cached_property
    def _relations_path(self) -> tuple[str, ...]:
        """Where relations are looked for, in order (manual, "The Schema Search Path" and `search_path`)."""
        return (*(() if TEMPORARY in self.path else (TEMPORARY,)), *self._functions_path)

    @cached_property
    def _functions_path(self) -> tuple[str, ...]:
        return (*(() if "pg_catalog" in self.path else ("pg_catalog",)), *self.path)

    def relation(self, name: str, bearers: Mapping[str, frozenset[str]]) -> Named | None:
        """The relation that a bare name means, of those that `bearers` knows; None: a temporary one, or none."""
        if schemas := bearers.get(name):
            for schema in self._relations_path:
                if schema == TEMPORARY and name in self.temporary:
                    return None
                if schema in schemas:
                    return schema, name
        return None

    def function(self, name: str, bearers: Mapping[str, frozenset[str]]) -> Named | None:
        """The function that a bare name means; never a temporary one. Overloads are one: the first schema wins."""
        schemas = bearers.get(name, ())
        return next(((schema, name) for schema in self._functions_path if schema in schemas), None)


class Settings(NamedTuple):
    """The two settings that matter here."""

    path: tuple[str, ...]
    plain_strings: bool = True


@dataclass(frozen=True, slots=True)
class Places:
    """A session's sight, and what would bring back an earlier one.

    `fresh` is the path of a new session, `kept` what COMMIT leaves of the settings, `passing` are the temporary
    relations that it drops. `marks` are BEGIN (under "") and the savepoints after it, each with what it found.
    """

    sight: Sight
    fresh: tuple[str, ...]
    kept: Settings
    passing: frozenset[str] = frozenset()
    marks: tuple[tuple[str, "Places"], ...] = ()

    @classmethod
    def along(cls, path: tuple[str, ...]) -> "Places":
        """A new session's, whose search path is `path`."""
        return cls(Sight(path), path, Settings(path))

    @classmethod
    def of(cls, shadow: Shadow) -> "Places":
        """Those of a new session that sees `shadow`."""
        return cls.along(shadow.path)

    # Settings --------------------------------------------------------------------------------------------------------

    def set(self, path: tuple[str, ...] | None, plain_strings: bool | None, is_local: bool = False) -> "Places":
        """After SET: what is None stays. SET LOCAL outside of a transaction does nothing."""
        if is_local and not self.marks:
            return self
        sight, kept = self.sight, self.kept
        if path is not None:
            sight, kept = replace(sight, path=path), kept._replace(path=path)
        if plain_strings is not None:
            sight, kept = replace(sight, plain_strings=plain_strings), kept._replace(plain_strings=plain_strings)
        return replace(self, sight=sight, kept=self.kept if is_local else kept)

    # Transactions ----------------------------------------------------------------------------------------------------

    def begun(self) -> "Places":
        """After BEGIN, which within a transaction does nothing."""
        return self if self.marks else replace(self, marks=(("", self),))

    def committed(self) -> "Places":
        """After COMMIT: SET LOCAL has an end, as have temporary relations made ON COMMIT DROP."""
        sight = Sight(self.kept.path, self.sight.temporary - self.passing, self.kept.plain_strings)
        return Places(self.sight if sight == self.sight else sight, self.fresh, self.kept)

    def rolled_back(self) -> "Places":
        """After ROLLBACK."""
        return self.marks[0][1] if self.marks else self

    def marked(self, savepoint: str) -> "Places":
        """After SAVEPOINT."""
        if not self.marks:
            return self
        begin, *others = (*self.marks, (savepoint, replace(self, marks=())))
        return replace(self, marks=(begin, *others[-SAVEPOINTS_MAX:]))

    def rolled_back_to(self, savepoint: str) -> "Places":
        """After ROLLBACK TO, which keeps the savepoint."""
        if not (depth := self._depth(savepoint)):
            return self
        return replace(self.marks[depth][1], marks=self.marks[: depth + 1])

    def released(self, savepoint: str) -> "Places":
        """After RELEASE."""
        depth = self._depth(savepoint)
        return replace(self, marks=self.marks[:depth]) if depth else self

    def _depth(self, savepoint: str) -> int:
        return next((n for n in range(len(self.marks) - 1, 0, -1) if self.marks[n][0] == savepoint), 0)

    # Temporary relations ---------------------------------------------------------------------------------------------

    def made(self, name: str, is_passing: bool) -> "Places":
        """After CREATE TEMPORARY; `is_passing`: ON COMMIT DROP, which outside of a transaction is at once."""
        if is_passing and not self.marks:
            return self
        passing = self.passing | {name} if is_passing else self.passing
        return self._holding(self.sight.temporary | {name}, passing)

    def dropped(self, name: str) -> "Places":
        """After DROP of what may be temporary."""
        return self._holding(self.sight.temporary - {name}, self.passing - {name})

    def emptied(self) -> "Places":
        """After DISCARD TEMPORARY."""
        return self._holding(frozenset(), frozenset())

    def _holding(self, temporary: frozenset[str], passing: frozenset[str]) -> "Places":
        if temporary == self.sight.temporary and passing == self.passing:
            return self
        return replace(self, sight=replace(self.sight, temporary=temporary), passing=passing)
