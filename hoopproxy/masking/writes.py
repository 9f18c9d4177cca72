"""What INSERT, UPDATE, DELETE and MERGE may do in a masked session.

They may not take a protected column's value anywhere, nor write to one: a duplicate key would tell whether a value
exists. A row that breaks a constraint is printed whole in the error's DETAIL, so all this holds only because
`wire.postgres.complaints` withholds that. Knows no expression of its own; `Lineage` judges those.
"""

from typing import TYPE_CHECKING

from hoopproxy.masking.calls import Unprovable
from hoopproxy.masking.names import Columns
from hoopproxy.masking.scope import Item, Scope, carried
from hoopproxy.masking.syntax import Node, fold

if TYPE_CHECKING:
    from hoopproxy.masking.lineage import Lineage


def write(lineage: "Lineage", kind: str, node: Node, scope: Scope) -> Columns:
    """The protected columns that the statement's RETURNING shows. `kind` is `InsertStmt` and the like.

    @raise Unprovable
    """
    scope = lineage.inside_with(node, scope)
    target = lineage.relation(node["relation"], Scope())
    others: tuple[Item, ...] = ()
    match kind:
        case "InsertStmt":
            _insert(lineage, node, target, scope)
        case "UpdateStmt":
            others = lineage.items(node.get("fromClause", []), scope)
            _assign(lineage, node["targetList"], target, Scope((target, *others), outer=scope))
        case "DeleteStmt":
            others = lineage.items(node.get("usingClause", []), scope)
        case "MergeStmt":
            others = lineage.item(node["sourceRelation"], scope, ())
            _merge(lineage, node, target, Scope((target, *others), outer=scope))
    lineage.expression(node.get("whereClause"), Scope((target, *others), outer=scope), "a WHERE condition")
    returning = node.get("returningClause", {})
    # Since PostgreSQL 18 RETURNING knows the row before and after, under these names or others.
    rows = ["old", "new", *(fold(option["ReturningOption"]["value"]) for option in returning.get("options", []))]
    versions = tuple(Item(name, target.columns, plain=False) for name in rows)
    inner = Scope((target, *others), outer=Scope(versions, outer=scope))
    return carried(lineage.outputs(returning.get("exprs", []), inner))


def _insert(lineage: "Lineage", node: Node, target: Item, scope: Scope) -> None:
    columns = node.get("cols", [])
    if "selectStmt" in node:
        _written(columns, target, complete=not columns)
        lineage.consumed(node["selectStmt"], scope, "an INSERT")
    lineage.expression(columns, scope, "an INSERT")  # subscripts
    conflict = node.get("onConflictClause", {})
    rows = Scope((target, Item("excluded", target.columns)), outer=scope)
    arbiter = conflict.get("infer", {})
    for element in arbiter.get("indexElems", []):
        _unused([element["IndexElem"].get("name", "")], target, "an ON CONFLICT")
    lineage.expression(arbiter, rows, "an ON CONFLICT")
    if conflict.get("action") == "ONCONFLICT_UPDATE":
        _assign(lineage, conflict["targetList"], target, rows)
        lineage.expression(conflict.get("whereClause"), rows, "an ON CONFLICT")


def _merge(lineage: "Lineage", node: Node, target: Item, rows: Scope) -> None:
    lineage.expression(node["joinCondition"], rows, "a MERGE condition")
    for clause in (each["MergeWhenClause"] for each in node["mergeWhenClauses"]):
        lineage.expression(clause.get("condition"), rows, "a MERGE condition")
        targets, values = clause.get("targetList", []), clause.get("values")
        if clause["commandType"] == "CMD_INSERT":
            _written(targets, target, complete=bool(values) and not targets)
        _assign(lineage, targets, target, rows)
        lineage.expression(values, rows, "a MERGE")


def _assign(lineage: "Lineage", targets: list[Node], target: Item, rows: Scope) -> None:
    _written(targets, target)
    lineage.expression(targets, rows, "a SET")


def _written(targets: list[Node], target: Item, complete: bool = False) -> None:
    """The columns that a statement gives values to; `complete`: all of the table's, as it names none."""
    if complete:
        for path in target.columns.values():
            raise Unprovable(
                f"This session sees {path} masked and can't write it: name the columns that you write, without it."
            )
    _unused([each["ResTarget"]["name"] for each in targets], target, "an assignment")


def _unused(names: list[str], target: Item, place: str) -> None:
    for name in names:
        if fold(name) in target.columns:
            path = target.columns[fold(name)]
            raise Unprovable(f"This session sees {path} masked and can't write it: leave it out of {place}.")
