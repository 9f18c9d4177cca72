"""What one statement does to where names lead: a search path set, a transaction ended, a temporary table made.

Reads trees of the parser; `places` knows what follows. Knows no twin.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from hoopproxy.masking.calls import constant
from hoopproxy.masking.shadows.places import TEMPORARY, Places, Sight
from hoopproxy.masking.shadows.spelling import listed
from hoopproxy.masking.syntax import Node, opened, strings

type Move = Callable[[Places], Places]

_RELATIONS = frozenset(
    {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_SEQUENCE", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE", "OBJECT_INDEX"}
)
_FALSE = ("f", "n", "of", "0")
"""How a boolean setting's text begins when it is off."""


def moves(statement: Node, calls: list[Node], names: Collection[str]) -> tuple[Move, ...]:
    """What a statement does, in order. `calls` are its calls of set_config; `names` those of relations that matter."""
    kind, inside = opened(statement)
    reading = _READINGS.get(kind)
    return (*(reading(inside, names) if reading else ()), *(move for call in calls for move in _called(call)))


def under(settings: list[Node], sight: Sight) -> Sight:
    """The sight of a function's body, under the SET clauses of its definition."""
    places = replace(Places.along(sight.path), sight=sight)
    for setting in settings:
        for move in moves(setting, [], ()):
            places = move(places)
    return places.sight


# Settings ------------------------------------------------------------------------------------------------------------


def _set(inside: Node, names: Collection[str]) -> Iterator[Move]:
    name, kind, is_local = inside.get("name", ""), inside["kind"], inside.get("is_local", False)
    if kind == "VAR_RESET_ALL":
        yield _reset
    elif kind == "VAR_SET_VALUE":
        yield from _changed(name, tuple(constant(each) or _number(each) for each in inside["args"]), is_local)
    elif kind in ("VAR_SET_DEFAULT", "VAR_RESET"):
        yield from _changed(name, None, is_local)


def _number(node: Node) -> str:
    return str(node.get("A_Const", {}).get("ival", {}).get("ival", 0))


def _called(call: Node) -> Iterator[Move]:
    """A call of set_config; a value that is no constant is not known, and nothing changes for us."""
    name, value, is_local = (*call.get("args", []), {}, {}, {})[:3]
    setting, text = constant(name), constant(value)
    if setting is not None and text is not None:
        values = listed(text) if setting.lower() == "search_path" else (text,)
        yield from _changed(setting, values, bool(is_local.get("A_Const", {}).get("boolval", {}).get("boolval")))


def _changed(name: str, values: tuple[str, ...] | None, is_local: bool) -> Iterator[Move]:
    """One setting becomes `values`; None: what it was in the beginning."""
    if name.lower() == "search_path":
        yield lambda places: places.set(places.fresh if values is None else values, None, is_local)
    elif name.lower() == "standard_conforming_strings":
        is_on = values is None or not "".join(values).lower().startswith(_FALSE)
        yield lambda places: places.set(None, is_on, is_local)


def _reset(places: Places) -> Places:
    return places.set(places.fresh, True)


def _discard(inside: Node, names: Collection[str]) -> Iterator[Move]:
    if inside["target"] in ("DISCARD_ALL", "DISCARD_TEMP"):
        yield Places.emptied
    if inside["target"] == "DISCARD_ALL":
        yield _reset


# Transactions --------------------------------------------------------------------------------------------------------


def _transaction(inside: Node, names: Collection[str]) -> Iterator[Move]:
    savepoint = inside.get("savepoint_name", "")
    match inside["kind"].removeprefix("TRANS_STMT_"):
        case "BEGIN" | "START":
            yield Places.begun
        case "COMMIT" | "PREPARE":
            yield Places.committed
        case "ROLLBACK":
            yield Places.rolled_back
        case "SAVEPOINT":
            yield lambda places: places.marked(savepoint)
        case "RELEASE":
            yield lambda places: places.released(savepoint)
        case "ROLLBACK_TO":
            yield lambda places: places.rolled_back_to(savepoint)
    if inside.get("chain"):
        yield Places.begun


# Temporary relations -------------------------------------------------------------------------------------------------


def _create(inside: Node, names: Collection[str]) -> Iterator[Move]:
    return _made(inside["relation"], names, inside.get("oncommit", ""))


def _create_as(inside: Node, names: Collection[str]) -> Iterator[Move]:
    return _made(inside["into"]["rel"], names, inside["into"].get("onCommit", ""))


def _select(inside: Node, names: Collection[str]) -> Iterator[Move]:
    while "larg" in inside:
        inside = inside["larg"]
    if into := inside.get("intoClause"):
        yield from _made(into["rel"], names, into.get("onCommit", ""))


def _create_view(inside: Node, names: Collection[str]) -> Iterator[Move]:
    return _made(inside["view"], names)


def _create_sequence(inside: Node, names: Collection[str]) -> Iterator[Move]:
    return _made(inside["sequence"], names)


def _made(relation: Node, names: Collection[str], on_commit: str = "") -> Iterator[Move]:
    name, is_passing = relation["relname"], on_commit == "ONCOMMIT_DROP"
    if name in names and (relation["relpersistence"] == "t" or relation.get("schemaname") == TEMPORARY):
        yield lambda places: places.made(name, is_passing)


def _drop(inside: Node, names: Collection[str]) -> Iterator[Move]:
    if inside["removeType"] in _RELATIONS:
        for each in inside["objects"]:
            yield from _gone(strings(each["List"]["items"]), names)


def _rename(inside: Node, names: Collection[str]) -> Iterator[Move]:
    # A session with masks owns nothing but temporary relations, so that is what it renames.
    relation, name = inside.get("relation", {}), inside["newname"]
    if inside["renameType"] in _RELATIONS and relation.get("schemaname", TEMPORARY) == TEMPORARY:
        yield from _gone([relation["relname"]], names)
        if name in names:
            yield lambda places: places.made(name, False)


def _gone(path: list[str], names: Collection[str]) -> Iterator[Move]:
    *schemas, name = path
    if name in names and schemas in ([], [TEMPORARY]):
        yield lambda places: places.dropped(name)


_READINGS: Mapping[str, Callable[[Node, Collection[str]], Iterator[Move]]] = {
    "VariableSetStmt": _set,
    "DiscardStmt": _discard,
    "TransactionStmt": _transaction,
    "CreateStmt": _create,
    "CreateTableAsStmt": _create_as,
    "SelectStmt": _select,
    "ViewStmt": _create_view,
    "CreateSeqStmt": _create_sequence,
    "DropStmt": _drop,
    "RenameStmt": _rename,
}
