"""GROUP BY over a primary key, as it has to be written over a view, which has none.

PostgreSQL lets a query that groups by a table's primary key use all columns of that table (manual, "GROUP BY Clause").
Over a twin the columns that are used have to be named there, which changes no group: where the key is shown as it is,
they follow from it. Where that isn't clear nothing is named, and the server decides. Knows no schema.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any

from hoopproxy.masking.shadows.quoting import dotted
from hoopproxy.masking.shadows.sites import Put
from hoopproxy.masking.syntax import Node, opened
from hoopproxy.masking.unbounded import is_aggregate
from hoopproxy.masks import Shadowed

type Twin = Callable[[Node], Shadowed | None]
"""The twin of a relation of a FROM."""

type _Name = tuple[str, ...]
"""A column by what stands before its last dot, if anything does, and its name."""

_STAR = "*"


def completed(select: Node, twin: Twin) -> Iterator[Put]:
    """What is to be named in the GROUP BY of a query besides what is."""
    clause = select.get("groupClause", ())
    sources = [each for each in _sources(select.get("fromClause", ()), twin) if each[1].primary_key] if clause else []
    if not sources or any("GroupingSet" in each for each in clause):
        return
    values = [each["ResTarget"]["val"] for each in select.get("targetList", ())]
    shown = list(takewhile(lambda value: not _is_star(value), values))
    groups = [_meant(each, shown) for each in clause]
    grouped = {name for _, name in groups if name}
    sources = [(alias, known) for alias, known in sources if _has_key(alias, known, grouped)]
    if not sources:
        return
    used = set(_used([select.get(clause) for clause in _CLAUSES]))
    missing: dict[str, None] = {}
    for alias, known in sources:
        is_all = _is_among(alias, _STAR, used)
        for column in known.columns:
            if (is_all or _is_among(alias, column, used)) and not _is_among(alias, column, grouped):
                missing[dotted(alias, column)] = None
        if (alias,) in used and (alias,) not in grouped and alias not in known.columns:
            missing[f"{dotted(alias)}.*"] = None
    if missing:
        at = next(where for where, name in groups if name)
        yield Put(at, "".join(f"{each}, " for each in missing))


_CLAUSES = ("targetList", "havingClause", "sortClause", "distinctClause", "windowClause")


def _is_among(alias: str, column: str, names: set[_Name]) -> bool:
    # A bare name that a source has can be no other's: it would be ambiguous, or the two be joined by it.
    return (alias, column) in names or (column,) in names


def _has_key(alias: str, known: Shadowed, grouped: set[_Name]) -> bool:
    return all(_is_among(alias, each, grouped) for each in known.primary_key)


def _meant(group: Node, shown: Sequence[Node]) -> tuple[int, _Name]:
    """Where an item of GROUP BY stands, and the column that it is; a number means one of the values that are shown."""
    kind, inside = opened(group)
    name: _Name = ()
    if kind == "ColumnRef":
        name = _name(inside)
    elif kind == "A_Const" and 0 < (number := inside.get("ival", {}).get("ival", 0)) <= len(shown):
        name = _name(shown[number - 1].get("ColumnRef", {}))
    return inside.get("location", 0), name


def _sources(items: Sequence[Node], twin: Twin) -> Iterator[tuple[str, Shadowed]]:
    """The twins of a FROM, those in joins included, by the name that the query has for each."""
    found: list[tuple[str, Node]] = []
    todo = [*reversed(items)]
    while todo:
        kind, inside = opened(todo.pop())
        if kind == "RangeVar":
            alias = inside.get("alias", {})
            found.append((alias.get("aliasname", inside["relname"]), {} if "colnames" in alias else inside))
        elif kind == "JoinExpr" and "alias" not in inside:  # else its names are hidden
            todo += inside["rarg"], inside["larg"]
    counted = Counter(alias for alias, _ in found)
    for alias, relation in found:
        if relation and counted[alias] == 1 and (known := twin(relation)):
            yield alias, known


def _used(clauses: Any) -> Iterator[_Name]:
    """What stands ungrouped, as far as a name tells whose it is and what is an aggregate: columns, a star for all of a
    relation's, and a relation's name alone for its row as one value."""
    todo: list[tuple[Any, bool]] = [(clauses, False)]
    while todo:
        inside, is_inner = todo.pop()
        if isinstance(inside, list):
            todo.extend((each, is_inner) for each in inside)
        elif isinstance(inside, dict):
            for kind, value in inside.items():
                if kind in ("ResTarget", "RowExpr"):  # where a star is spread out
                    items = [value.get("val", {})] if kind == "ResTarget" else value.get("args", [])
                    stars = [_name(each["ColumnRef"]) for each in items if _is_star(each)]
                    yield from (star for star in stars if len(star) > 1 or not is_inner)
                    todo.extend((each, is_inner) for each in items if not _is_star(each))
                elif kind == "ColumnRef":
                    name = _name(value)
                    if len(name) > 1 or not is_inner:
                        yield name[:-1] if name[-1] == _STAR else name
                elif is_inner or not _aggregates(kind, value):
                    todo.append((value, is_inner or kind == "SubLink"))


def _aggregates(kind: str, inside: Any) -> bool:
    """Whether a node is an aggregate, which takes its columns as they are in the rows of a group."""
    return is_aggregate(inside) if kind == "FuncCall" else kind in ("JsonArrayAgg", "JsonObjectAgg")


def _is_star(node: Node) -> bool:
    return _name(node.get("ColumnRef", {}))[-1:] == (_STAR,)


def _name(column: Node) -> _Name:
    """The last two parts of a ColumnRef's name; () for none."""
    return tuple(_STAR if "A_Star" in each else each["String"].get("sval", "") for each in column.get("fields", []))[
        -2:
    ]
