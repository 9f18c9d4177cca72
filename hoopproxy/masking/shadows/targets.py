"""Whether what a statement changes can be its twin, so that RETURNING shows masks.

Masks are shown, never acted on: a statement whose WHERE or SET reads a protected column of its target keeps the real
one, and the server says no (42501). Through the twin, `DELETE … WHERE email <> 'x'` would empty the table, and
`SET name = email` would keep the mask for good. Knows no schema.
"""

from collections.abc import Iterator
from typing import Any

from hoopproxy.masking.syntax import Node, nodes, strings
from hoopproxy.masks import Shadowed

_VERSIONS = frozenset({"old", "new"})
"""Since PostgreSQL 18 RETURNING knows the row before and after by these names."""


def takes_twin(kind: str, inside: Node, twin: Shadowed) -> bool:
    """Whether the target of this INSERT, UPDATE or DELETE is to be `twin`."""
    relation = inside["relation"]
    returning = inside.get("returningClause", {})
    if not twin.is_held or not returning or kind == "MergeStmt" or not relation.get("inh"):
        return False
    name = relation.get("alias", {}).get("aliasname", relation["relname"])
    versions = {option["ReturningOption"]["value"] for option in returning.get("options", [])}
    rows = {name, *_VERSIONS, *versions}
    return (
        _shows(returning, rows, twin.protected)
        and not _reads(_acting(inside), {name, "excluded"}, twin.protected)
        and not _assigned(inside, twin) & twin.protected
        and "conname" not in inside.get("onConflictClause", {}).get("infer", {})  # a view has no constraints
        and "CurrentOfExpr" not in inside.get("whereClause", {})  # nor cursors
    )


def changes(kind: str, inside: Node) -> frozenset[str]:
    """What an INSERT, UPDATE, DELETE or MERGE does to rows of its target."""
    if kind == "MergeStmt":
        clauses = (each["MergeWhenClause"] for each in inside.get("mergeWhenClauses", ()))
        return frozenset(each["commandType"].removeprefix("CMD_") for each in clauses)
    is_upsert = inside.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE"
    return frozenset({kind.removesuffix("Stmt").upper(), *(("UPDATE",) if is_upsert else ())})


def _acting(inside: Node) -> list[Any]:
    """What decides on rows and values."""
    conflict = inside.get("onConflictClause", {})
    parts = (inside.get("whereClause"), inside.get("targetList"), conflict)
    return [part for part in parts if part]


def _assigned(inside: Node, twin: Shadowed) -> frozenset[str]:
    """The columns that are given a value; of an INSERT without names those that it has values for."""
    conflict = inside.get("onConflictClause", {})
    named = (*inside.get("cols", []), *inside.get("targetList", []), *conflict.get("targetList", []))
    assigned = frozenset(each["ResTarget"]["name"] for each in named)
    if "selectStmt" in inside and "cols" not in inside:
        rows = inside["selectStmt"]["SelectStmt"].get("valuesLists", [])
        given = len(rows[0]["List"]["items"]) if rows else len(twin.columns)
        assigned |= frozenset(twin.columns[:given])
    return assigned


def _shows(tree: Any, rows: set[str], protected: frozenset[str]) -> bool:
    return any(names[-1] in ("*", *protected) or names[-1] in rows for names in _columns(tree))


def _reads(tree: Any, rows: set[str], protected: frozenset[str]) -> bool:
    """Whether a protected column of the target may be read; a `*` of something else is none."""
    return any(
        names[-1] in protected or names[-1] in rows or (names[-1] == "*" and names[-2:-1] and names[-2] in rows)
        for names in _columns(tree)
    )


def _columns(tree: Any) -> Iterator[list[str]]:
    """The names of columns below `tree`, part by part; `*` for all."""
    for kind, inside in nodes(tree):
        if kind == "ColumnRef":
            fields = inside["fields"]
            yield [*strings(fields), *(["*"] if "A_Star" in fields[-1] else [])]
