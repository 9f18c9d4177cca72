"""Whether a statement may be sent in a session that masks by origin.

An allow-list of kinds: what is not in `_JUDGES` is refused, and so is what can't be read. Knows no type, no mask and no
session.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hoopproxy.masking.calls import Calls, Unprovable, constant
from hoopproxy.masking.kinds import KINDS
from hoopproxy.masking.lineage import Lineage, refuse
from hoopproxy.masking.names import Names
from hoopproxy.masking.scope import Scope
from hoopproxy.masking.syntax import Node, Unreadable, fold, opened, statements, strings


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator decides. `safe_functions` are folded names of functions outside pg_catalog of which the operator
    says that they read nothing protected."""

    safe_functions: frozenset[str] = frozenset()
    statement_bytes_max: int = 262144


@dataclass(frozen=True, slots=True)
class Allowed:
    """Every protected column that the statement shows comes with its origin, or it shows none."""


@dataclass(frozen=True, slots=True)
class Denied:
    """It can't be proved. `sentence` is for the client; `detail` is for the operator."""

    sentence: str
    detail: str = ""


def judge(text: str, names: Names, rules: Rules) -> Allowed | Denied:
    """Judge every statement of `text` against the names of one catalog."""
    if len(text) > rules.statement_bytes_max or len(text.encode("utf-8", "replace")) > rules.statement_bytes_max:
        return Denied(
            f"A statement of more than {rules.statement_bytes_max} bytes can't be checked for masked columns: send it "
            "in parts, or the rows by COPY FROM STDIN."
        )
    try:
        judging = _Judge(names, rules)
        for statement in statements(text):
            judging.statement(statement)
    except Unprovable as why:
        return Denied(why.sentence)
    except Unreadable as why:
        return Denied("The gateway can't read this statement, so it can't keep columns masked in it.", str(why))
    except RecursionError:
        return Denied("This statement is nested too deeply to be checked for masked columns.")
    return Allowed()


class _Judge:
    def __init__(self, names: Names, rules: Rules) -> None:
        self.calls = Calls(names, rules.safe_functions)
        self.lineage = Lineage(self.calls)

    def statement(self, node: Node) -> None:
        kind, inside = opened(node)
        if kind not in _JUDGES:
            raise Unprovable(
                f"{KINDS.get(kind, 'This')} statements can't be used in a session with masked columns, because what "
                "they read or leave behind would not be masked."
            )
        _JUDGES[kind](self, node, inside)


def _query(judge: _Judge, node: Node, inside: Node) -> None:
    judge.lineage.query(node, Scope())


def _inner(judge: _Judge, node: Node, inside: Node) -> None:
    judge.lineage.query(inside["query"], Scope())


def _explain(judge: _Judge, node: Node, inside: Node) -> None:
    # A plan shows names and estimates of what is evaluated; the width of a masked column would tell its length.
    judge.lineage.consumed(inside["query"], Scope(), "an EXPLAIN")


def _execute(judge: _Judge, node: Node, inside: Node) -> None:
    judge.lineage.expression(inside.get("params"), Scope(), "an EXECUTE")


def _copy(judge: _Judge, node: Node, inside: Node) -> None:
    if inside.get("is_program") or "filename" in inside:
        raise Unprovable("In a session with masked columns COPY goes to STDOUT and from STDIN alone.")
    if "query" in inside:
        judge.lineage.consumed(inside["query"], Scope(), "a COPY")
        return
    relation = judge.lineage.relation(inside["relation"], Scope())
    listed = [fold(name) for name in strings(inside.get("attlist", []))]
    # COPY has no column's origin on the wire (protocol, CopyOutResponse), and FROM may break a unique key.
    refuse(
        {name: path for name, path in relation.columns.items() if not listed or name in listed},
        "a COPY",
        "list the columns that you need, without it",
    )
    judge.lineage.expression(inside.get("whereClause"), Scope((relation,)), "a WHERE condition")


def _set(judge: _Judge, node: Node, inside: Node) -> None:
    if "name" in inside:
        given = inside["kind"] == "VAR_SET_VALUE"
        values = [constant(argument) or "?" for argument in inside.get("args", [])]
        judge.calls.setting(inside["name"], ",".join(values) if given else None)


def _free(judge: _Judge, node: Node, inside: Node) -> None:
    """Reads no column: transactions, cursors already judged, SHOW, locks, and LISTEN, as the payloads of notifications
    are withheld (`wire.postgres.complaints`)."""


_JUDGES: Mapping[str, Callable[[_Judge, Node, Node], None]] = {
    "SelectStmt": _query,
    "InsertStmt": _query,
    "UpdateStmt": _query,
    "DeleteStmt": _query,
    "MergeStmt": _query,
    "PrepareStmt": _inner,
    "DeclareCursorStmt": _inner,
    "ExplainStmt": _explain,
    "ExecuteStmt": _execute,
    "CopyStmt": _copy,
    "VariableSetStmt": _set,
    "ListenStmt": _free,
    "TransactionStmt": _free,
    "ConstraintsSetStmt": _free,
    "VariableShowStmt": _free,
    "DeallocateStmt": _free,
    "FetchStmt": _free,
    "ClosePortalStmt": _free,
    "UnlistenStmt": _free,
    "NotifyStmt": _free,
    "DiscardStmt": _free,
    "LockStmt": _free,
}
"""Every statement node that a masked session may send, and how it is judged."""
