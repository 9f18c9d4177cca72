"""A catalog as a statement's names meet it: what a relation's or function's name may stand for.

On the safe side: without a schema a name stands for every relation of that name, whatever the search path. Knows no
statement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hoopproxy.masking.syntax import fold
from hoopproxy.masks import Catalog, Relation

type Columns = Mapping[str, str]
"""Protected columns: folded name to the path of the rule."""

NONE: Columns = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one catalog, folded. `relations` and `tainted` map a name to the relations that bear it."""

    relations: Mapping[str, tuple[Relation, ...]]
    tainted: Mapping[str, tuple[Relation, ...]]
    functions: frozenset[str]

    @classmethod
    def of(cls, catalog: Catalog) -> "Names":
        """The names of `catalog`."""
        return cls(
            _by_name(catalog.protected), _by_name(catalog.tainted), frozenset(fold(name) for name in catalog.functions)
        )

    def columns(self, schema: str, name: str) -> Columns:
        """The protected columns of what `schema.name` (`schema` "": unqualified) may be; empty for others."""
        found: dict[str, str] = {}
        for relation in _borne(self.relations, schema, name):
            for path in relation.columns.values():
                # The column's name is what follows `schema.table.`; with dots in quoted names that has several
                # readings, and each of them counts.
                parts = path.split(".")
                for start in range(1, len(parts)):
                    found.setdefault(fold(".".join(parts[start:])), path)
        return found or NONE

    def taint(self, schema: str, name: str) -> str:
        """The tainted relation that `schema.name` may be, as `schema.name`; "" for others."""
        return next((f"{each.schema}.{each.name}" for each in _borne(self.tainted, schema, name)), "")


def _by_name(relations: Mapping[int, Relation]) -> Mapping[str, tuple[Relation, ...]]:
    found: dict[str, tuple[Relation, ...]] = {}
    for relation in relations.values():
        name = fold(relation.name)
        found[name] = (*found.get(name, ()), relation)
    return found


def _borne(relations: Mapping[str, tuple[Relation, ...]], schema: str, name: str) -> list[Relation]:
    return [each for each in relations.get(fold(name), ()) if not schema or fold(schema) == fold(each.schema)]
