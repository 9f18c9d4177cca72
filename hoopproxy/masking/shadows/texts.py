"""What functions, views and rules read and call: the texts of an inventory, read once for all mask sets.

Knows nothing of what is protected, and judges nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hoopproxy.masking.shadows import dynamic, plpgsql
from hoopproxy.masking.shadows.inventory import Function, Inventory
from hoopproxy.masking.shadows.spelling import listed
from hoopproxy.masking.shadows.uses import Names, Uses, uses
from hoopproxy.masking.syntax import Node, Unreadable, statements

UNREADABLE = Uses(problem="the gateway can't read it")

TEXT_CHARACTERS_MAX = 1 << 20
"""Nobody writes a longer one by hand; reading it would hold up everything else."""

_DYNAMIC = frozenset({"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors", "dynquery"})
_TALKING = frozenset({"PLpgSQL_stmt_raise", "PLpgSQL_stmt_assert"})
_TRANSACTING = frozenset({"PLpgSQL_stmt_commit", "PLpgSQL_stmt_rollback"})


@dataclass(frozen=True, slots=True)
class Texts:
    """What each view (by its OID), each function and each table's rules (by the table's OID) use.

    `talking` are functions that may tell a client or the log what they see, `transacting` those that end transactions.
    """

    views: Mapping[int, Uses]
    functions: Mapping[int, Uses]
    rules: Mapping[int, Uses]
    names: Names
    talking: frozenset[int]
    transacting: frozenset[int]

    @classmethod
    def of(cls, inventory: Inventory) -> "Texts":
        """All that an inventory holds."""
        names = Names(inventory)
        relations = inventory.relations.values()
        functions = inventory.functions
        bodies = {oid: body for oid, each in functions.items() if (body := _Body.of(each)) is not None}
        return cls(
            views={each.oid: _uses(each.definition, names) for each in relations if each.kind in "vm"},
            functions={oid: body.uses(names, path_of(functions[oid])) for oid, body in bodies.items()},
            rules={
                each.oid: _uses(";".join(rules), names)
                for each in relations
                if (rules := [trigger.definition for trigger in each.triggers if not trigger.function])
            },
            names=names,
            talking=frozenset(oid for oid, body in bodies.items() if body.is_talking),
            transacting=frozenset(oid for oid, body in bodies.items() if body.is_transacting),
        )

    def called(self, used: Uses, inventory: Inventory) -> Iterator[int]:
        """The functions that may be called, by name, by operators, by casts that nobody wrote, or by views that are
        read, as these call with the rights of who reads them. Those of extensions are left out."""
        around, seen, todo = inventory.surroundings, set[int](), [used]
        yield from _own(around.implied, inventory)
        while todo:
            each = todo.pop()
            for oids in (each.functions, *(around.operators.get(name, ()) for name in each.operators)):
                yield from _own(oids, inventory)
            views = {oid for oid in each.columns if oid in self.views and inventory.relations[oid].kind == "v"} - seen
            todo += (self.views[oid] for oid in views)
            seen |= views


def _own(oids: Iterable[int], inventory: Inventory) -> Iterator[int]:
    for oid in oids:
        function = inventory.functions.get(oid)
        if function is not None and not function.extension:
            yield oid


def path_of(function: Function) -> tuple[str, ...] | None:
    """The search path that a function says itself; None where its caller chooses, or who the caller is."""
    for setting in function.settings:
        name, _, value = setting.partition("=")
        if name.lower() == "search_path":
            path = listed(value)
            return path if path and "$user" not in path else None
    return None


def read(text: str) -> tuple[Node, ...] | None:
    """The statements of a text; None: it can't be read."""
    try:
        return statements(text) if len(text) <= TEXT_CHARACTERS_MAX else None
    except Unreadable:
        return None


def _uses(text: str, names: Names) -> Uses:
    """Of a view or rule, whose names the catalog qualifies."""
    trees = read(text)
    if trees is None:
        return UNREADABLE
    return uses([_rule(tree["RuleStmt"]) if "RuleStmt" in tree else tree for tree in trees], names, ())


def _rule(inside: Node) -> list[Node]:
    """What a rule does; its own table is only where it hangs."""
    return [inside.get("whereClause", {}), *inside.get("actions", [])]


@dataclass(frozen=True, slots=True)
class _Body:
    """A function's text as trees, that of its header first. `is_fixed`: its names were resolved when it was made (BEGIN
    ATOMIC). The others as in `Texts`, `problem` as in `Uses`."""

    trees: tuple[Any, ...] = ()
    is_fixed: bool = False
    is_talking: bool = False
    is_transacting: bool = False
    problem: str = ""

    @classmethod
    def of(cls, function: Function) -> "_Body | None":
        """The body of a function; None for languages that nobody here reads."""
        if function.language not in ("sql", "plpgsql") or function.kind not in "fp":
            return None
        made = read(function.definition)
        inside = made[0].get("CreateFunctionStmt") if made and len(made) == 1 else None
        if inside is None:
            return cls(problem=UNREADABLE.problem)
        # Types and the defaults of arguments are its caller's; they count as well.
        header = {key: value for key, value in inside.items() if key in ("parameters", "returnType")}
        if function.language == "plpgsql":
            return _procedural(function.definition, header)
        if "sql_body" in inside:
            return cls((header, inside["sql_body"]), is_fixed=True)
        body = read(function.body)
        return cls(problem=UNREADABLE.problem) if body is None else cls((header, *body))

    def uses(self, names: Names, path: tuple[str, ...] | None) -> Uses:
        """What it uses, with the search path that it says itself."""
        header = uses(self.trees[:1], names, ())  # the catalog qualifies it
        body = uses(self.trees[1:], names, () if self.is_fixed else path)
        return replace(
            body,
            functions=header.functions | body.functions,
            row_types=header.row_types | body.row_types,
            problem=self.problem or header.problem or body.problem,
        )


def _run(trees: tuple[Node, ...] | None) -> tuple[Node, ...]:
    """The statements that an expression makes, as far as its constants tell."""
    if not trees or not (targets := trees[0].get("SelectStmt", {}).get("targetList")):
        return ()
    return read(dynamic.reading(targets[0]["ResTarget"]["val"])) or ()


def _procedural(definition: str, header: Node) -> _Body:
    try:
        function = plpgsql.tree(definition)
    except (Unreadable, UnicodeEncodeError):
        return _Body((header,), problem=UNREADABLE.problem)
    trees: list[Any] = [header]
    kinds: set[str] = set()
    problem = ""
    for text in plpgsql.statements_in(function, kinds):
        tree = read(text)
        if tree is None:
            problem = UNREADABLE.problem
        trees.extend(tree or ())
    if kinds & _DYNAMIC:
        # What its constants tell is no proof, but it shows what a clone would be for.
        for expression in plpgsql.run_in(function):
            trees += _run(read(f"SELECT {expression}"))
        problem = "it runs SQL that it puts together itself"
    return _Body(
        tuple(trees),
        is_talking=not kinds.isdisjoint(_TALKING),
        is_transacting=not kinds.isdisjoint(_TRANSACTING),
        problem=problem,
    )
