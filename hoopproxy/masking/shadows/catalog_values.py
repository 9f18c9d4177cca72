"""Values of protected columns that stand in the catalog itself, where everybody may read them.

Bounds, constraints, predicates and defaults are texts of the catalog; no right on a table hides them. Knows no grant.
"""

from collections.abc import Iterator

from hoopproxy.masking.shadows.inventory import Column, Inventory, Relation
from hoopproxy.masking.syntax import Node, Unreadable, fold, nodes, statements, strings

_TELLS_NOTHING = frozenset({"", "0", "1", "now", "{}", "[]"})


def shown(inventory: Inventory, relation: Relation, numbers: frozenset[int]) -> Iterator[tuple[str, str]]:
    """The names and sentences of findings; `numbers` are those of the protected columns."""
    name = f"{relation.schema}.{relation.name}"
    hidden = [column for column in relation.columns if column.number in numbers]
    for kind, text in relation.facts:
        told = next((column.name for column in hidden if _is_told(kind, text, column)), None)
        if told is not None:
            yield (
                f"{kind.replace(' ', '-')} {name}",
                f"A {kind} of {name} names values of the masked column {told}, and everybody may read those in the "
                f"catalog: {text}",
            )
    around = inventory.surroundings
    for column in hidden:
        if column.base_oid in around.enums:
            yield (
                f"enum {name}.{column.name}",
                f"The masked column {name}.{column.name} has an enum type, and everybody may read in the catalog "
                "which values there are, though not which row has which.",
            )
        if not column.is_generated and _has_constants(column.default):
            yield (
                f"default {name}.{column.name}",
                f"The default of the masked column {name}.{column.name} stands in the catalog, where everybody may "
                f"read it: {column.default}",
            )
        if column.has_first_value:
            yield (
                f"first-value {name}.{column.name}",
                f"The masked column {name}.{column.name} was added with a default, and what older rows have of it "
                "stands in the catalog (attmissingval), where everybody may read it: VACUUM FULL would mend that.",
            )
    for statistic in around.statistics:
        if statistic.relation == relation.oid and statistic.numbers & numbers:
            yield (
                f"statistics {statistic.name}",
                f"The extended statistics {statistic.name} hold values of masked columns of {name}; in clusters that "
                "were made before PostgreSQL 14.12, 15.7 and 16.3 everybody may read them (CVE-2024-4317): drop them, "
                "or apply that release's fix-CVE-2024-4317.sql.",
            )


def _is_told(kind: str, text: str, column: Column) -> bool:
    """Whether the text compares the column with a constant. A partition key does so in each bound below it."""
    trees = trees_of(kind, text)
    if trees is None:
        return column.name in text
    return is_named(trees, column.name) and (kind == "partition key" or bool(_told(trees)))


def trees_of(kind: str, text: str) -> tuple[Node, ...] | None:
    """A fact of that kind; None: it can't be read."""
    match kind:
        case "check":
            statement = f"ALTER TABLE t ADD {text}"
        case "index":
            statement = text
        case "partition key":
            statement = f"CREATE TABLE t () PARTITION BY {text}"
        case _:  # a bound names no column: its parent's key does
            return ()
    try:
        return statements(statement)
    except Unreadable:
        return None


def is_named(trees: tuple[Node, ...], name: str) -> bool:
    """Whether a column is named: as such, as an element of an index or partition key, or by the whole row."""
    for kind, inside in nodes(list(trees)):
        if kind == "ColumnRef":
            last = inside["fields"][-1]
            if "A_Star" in last or fold(strings([last])[0]) == fold(name):
                return True
        elif kind in ("IndexElem", "PartitionElem") and fold(inside.get("name", "")) == fold(name):
            return True
    return False


def _has_constants(expression: str) -> bool:
    """Whether an expression has a constant that tells something."""
    try:
        return bool(expression) and bool(_told(statements(f"SELECT {expression}")))
    except Unreadable:
        return True


def _told(trees: tuple[Node, ...]) -> set[str]:
    found = set()
    for kind, inside in nodes(list(trees)):
        if kind == "A_Const":
            for form in ("ival", "fval", "sval", "bsval"):
                if form in inside:
                    found.add(str(inside[form].get(form, "0" if form == "ival" else "")))
    return found - _TELLS_NOTHING
