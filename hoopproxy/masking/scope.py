"""What a name in a query may refer to: the items of FROM and the CTEs, level by level outwards.

On the safe side where PostgreSQL's rules are finer: an inner name does not hide an outer one. Knows no statement.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hoopproxy.masking.names import NONE, Columns
from hoopproxy.masking.syntax import Node


@dataclass(frozen=True, slots=True)
class Item:
    """Something that FROM offers under a folded name, with the protected columns that it carries.

    `plain` False: its columns need its name before them, and PostgreSQL may not tell their origin (OLD, NEW).
    """

    name: str
    columns: Columns
    plain: bool = True


@dataclass(slots=True)
class Cte:
    """One WITH query. `outputs` is None until it was judged; `busy` while it is, as it may refer to itself."""

    node: Node
    scope: "Scope"
    outputs: Columns | None = None
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """One level: its items, its CTEs by folded name, and the level around it."""

    items: tuple[Item, ...] = ()
    ctes: Mapping[str, Cte] = field(default_factory=dict)
    outer: "Scope | None" = None

    def reach(self) -> Iterator[Item]:
        """The items of this level and of those around it."""
        for level in self._levels():
            yield from level.items

    def named(self, name: str) -> list[Item]:
        """All items within reach that bear a folded name."""
        return [item for item in self.reach() if item.name == name]

    def cte(self, name: str) -> Cte | None:
        """The nearest CTE of a folded name."""
        return next((level.ctes[name] for level in self._levels() if name in level.ctes), None)

    def _levels(self) -> Iterator["Scope"]:
        level: Scope | None = self
        while level is not None:
            yield level
            level = level.outer


def carried(items: tuple[Item, ...] | list[Item]) -> Columns:
    """All protected columns of these items."""
    found: dict[str, str] = {}
    for item in items:
        for name, path in item.columns.items():
            found.setdefault(name, path)
    return found or NONE
