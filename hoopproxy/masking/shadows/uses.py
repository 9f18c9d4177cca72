"""What a text of SQL reads and calls, by the names that stand in it.

On the safe side: a name without its schema is everything of that name unless the search path is fixed, an alias is one
anywhere in the text, and a column counts for every relation that has one of that name. Knows nothing of what is
protected, so that one reading serves all mask sets.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hoopproxy.masking import sources
from hoopproxy.masking.shadows.inventory import Inventory
from hoopproxy.masking.syntax import Node, fold, strings

SYSTEM_COLUMNS = frozenset({"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"})
"""Every table has these, and no view does (manual, "System Columns")."""

CATALOG = frozenset({"pg_catalog", "information_schema"})

# What PostgreSQL may call without that it is written: BETWEEN, IN, CASE, DISTINCT, ORDER BY.
_UNWRITTEN = frozenset({"=", "<>", "<", ">", "<=", ">=", "~~"})

_READING = frozenset({"SelectStmt", "ReturnStmt"})
_WRITING = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CallStmt"})
_TELLING = frozenset({"pg_notify", "pg_logical_emit_message", "set_config"})
_COUNTING = frozenset({"nextval", "currval", "lastval", "setval", "pg_sequence_last_value", "pg_get_sequence_data"})
_ROWS = frozenset({"new", "old"})
_KEPT_OUT = frozenset({"LockingClause"})
"""Names in it are aliases."""


@dataclass(frozen=True, slots=True)
class Uses:
    """What one text uses. `columns` maps relations to the columns that it names, None for whole rows; `functions` are
    all that it may call by name, `operators` the names of operators, `row_types` the relations that it names as types.

    `row` are the columns of a trigger's NEW and OLD, None: whole. `is_loose`: a caller's temporary relation or type may
    stand for something in it, as these come first in a search path that does not say otherwise. `is_written`: it
    changes rows; `is_telling`: it tells others or the session something; `is_counting`: it asks a sequence, which a
    text may name. `problem` says why it can't be read, or "".
    """

    columns: Mapping[int, frozenset[str] | None] = field(default_factory=dict)
    functions: frozenset[int] = frozenset()
    operators: frozenset[str] = frozenset()
    row_types: frozenset[int] = frozenset()
    row: frozenset[str] | None = frozenset()
    is_loose: bool = False
    is_written: bool = False
    is_telling: bool = False
    is_counting: bool = False
    problem: str = ""


class Names:
    """The names of one inventory: every schema that has a relation or functions of a folded name."""

    def __init__(self, inventory: Inventory) -> None:
        self.relations: dict[str, dict[str, int]] = defaultdict(dict)
        self.functions: dict[str, dict[str, list[int]]] = defaultdict(dict)
        self.columns: dict[int, frozenset[str]] = {}
        for relation in inventory.relations.values():
            self.relations[fold(relation.name)][fold(relation.schema)] = relation.oid
            self.columns[relation.oid] = frozenset(fold(column.name) for column in relation.columns)
        for function in inventory.functions.values():
            self.functions[fold(function.name)].setdefault(fold(function.schema), []).append(function.oid)

    def relation(self, schema: str, name: str, path: tuple[str, ...] | None) -> frozenset[int]:
        """The OIDs that a name may stand for. `path` None: any schema."""
        bearers = self.relations.get(fold(name), {})
        if schema:
            return frozenset(oid for bearer, oid in bearers.items() if bearer == fold(schema))
        if path is None:
            return frozenset(bearers.values())
        return frozenset(next(([bearers[each]] for each in map(fold, path) if each in bearers), []))

    def function(self, schema: str, name: str, path: tuple[str, ...] | None) -> frozenset[int]:
        """The OIDs of all functions that a call may mean: which overload it is depends on types."""
        bearers = self.functions.get(fold(name), {})
        wanted = {fold(schema)} if schema else bearers.keys() if path is None else {*map(fold, path)}
        return frozenset(oid for bearer, oids in bearers.items() if bearer in wanted for oid in oids)


def uses(trees: Iterable[Any], names: Names, path: tuple[str, ...] | None = None) -> Uses:
    """What these trees of the parser use together. `path` is the search path that they will be read with: () where
    all names but those of pg_catalog are qualified, None where the caller of a function chooses it."""
    walk = _Walk(names, path)
    for tree in trees:
        walk.gather(tree)
    return walk.answer()


class _Walk:
    """First gathers what the text names, then says which relations' columns these names may be."""

    def __init__(self, names: Names, path: tuple[str, ...] | None) -> None:
        self._names, self._path = names, path
        # The manual's "Writing SECURITY DEFINER Functions Safely": pg_temp has to come last.
        self._is_guarded = path == () or (path is not None and path[-1] == "pg_temp")
        self._aliases: dict[str, set[int]] = defaultdict(set)
        self._relations: dict[int, set[str]] = {}
        self._missing: set[str] = set()
        self._ctes: set[str] = set()
        self._joins: set[str] = set()
        self._references: list[tuple[str, str]] = []
        self._whole: set[int] = set()
        self._is_whole = False
        self._functions: set[int] = set()
        self._operators: set[str] = set()
        self._row_types: set[int] = set()
        self._row: set[str] = set()
        self._is_loose = self._is_written = self._is_telling = self._is_counting = False
        self._problem = ""

    def gather(self, tree: Any) -> None:
        todo = [tree]
        while todo:
            inside = todo.pop()
            if isinstance(inside, list):
                todo.extend(inside)
            elif isinstance(inside, dict):
                self._node(inside)
                todo.extend(value for key, value in inside.items() if key not in _KEPT_OUT)

    def answer(self) -> Uses:
        for qualifier, column in self._references:
            self._reference(qualifier, column)
        whole = self._relations.keys() if self._is_whole else self._whole
        return Uses(
            columns={oid: None if oid in whole else frozenset(used) for oid, used in self._relations.items()},
            functions=frozenset(self._functions),
            operators=frozenset(self._operators | _UNWRITTEN),
            row_types=frozenset(self._row_types),
            row=None if "*" in self._row else frozenset(self._row),
            is_telling=self._is_telling,
            is_counting=self._is_counting,
            is_loose=self._is_loose or bool(self._missing - self._ctes),
            is_written=self._is_written,
            problem=self._problem,
        )

    # Gathering: a field of one fixed kind holds a node's inside without the name of its kind, so forms tell them apart.

    def _node(self, node: Node) -> None:
        if "relname" in node:
            self._relation(node)
        elif "names" in node and "typemod" in node:
            self._type(strings(node["names"]))
        for kind, value in node.items():
            match kind:
                case "ColumnRef":
                    self._column(value["fields"])
                case "FuncCall":
                    self._call(strings(value["funcname"]))
                case "A_Expr":
                    self._operator(strings(value["name"]))
                case "SubLink":
                    self._operator(strings(value.get("operName", [])))
                case "SortBy":
                    self._operator(strings(value.get("useOp", [])))
                case "CommonTableExpr":
                    self._ctes.add(fold(value["ctename"]))
                case "JoinExpr":
                    self._join(value)
                case "intoClause":
                    self._problem = "it makes a table"
                case _ if kind in _WRITING:
                    self._is_written = True
                case _ if kind.endswith("Stmt") and kind[0].isupper() and kind not in _READING:
                    self._problem = "it does more than to read and change rows"

    def _relation(self, node: Node) -> None:
        schema, name = node.get("schemaname", ""), node["relname"]
        if fold(name) in sources.RELATIONS or fold(schema).startswith(sources.SCHEMAS):
            self._problem = f"it reads {name}, where columns' values or other people's statements stand"
        found = self._names.relation(schema, name, self._path)
        if not schema:
            self._is_loose |= not self._is_guarded
            if self._path and not found:
                self._missing.add(fold(name))
        elif not found and fold(schema) not in CATALOG:
            self._problem = f"it reads {schema}.{name}, which nobody knows"
        alias = node.get("alias", {})
        for oid in found:
            self._relations.setdefault(oid, set())
            self._aliases[fold(alias.get("aliasname", name))].add(oid)
            if "colnames" in alias:
                self._whole.add(oid)

    def _type(self, names: list[str]) -> None:
        *schemas, name = names or [""]
        self._is_loose |= not schemas and not self._is_guarded
        self._row_types |= self._names.relation(schemas[-1] if schemas else "", name, self._path)

    def _column(self, fields: list[Node]) -> None:
        *around, last = fields
        qualifier = fold(strings(around)[-1]) if around else ""
        self._references.append((qualifier, "*" if "A_Star" in last else fold(strings([last])[0])))

    def _call(self, parts: list[str]) -> None:
        *schemas, name = parts
        schema = schemas[-1] if schemas else ""
        if does := sources.function_does(fold(name)):
            self._problem = f"it calls {name}, which {does}"
        self._is_telling |= fold(name) in _TELLING
        self._is_counting |= fold(name) in _COUNTING
        found = self._names.function(schema, name, self._path)
        if not found and schema and fold(schema) not in CATALOG:
            self._problem = f"it calls {schema}.{name}, which nobody knows"
        self._functions |= found

    def _operator(self, parts: list[str]) -> None:
        if parts:
            self._operators.add(parts[-1])

    def _join(self, join: Node) -> None:
        if join.get("isNatural"):
            self._is_whole = True
        self._references.extend(("", fold(name)) for name in strings(join.get("usingClause", [])))
        for alias in (join.get("alias", {}), join.get("join_using_alias", {})):
            if alias:
                self._joins.add(fold(alias["aliasname"]))
            if "colnames" in alias:
                self._is_whole = True

    # References ------------------------------------------------------------------------------------------------------

    def _reference(self, qualifier: str, column: str) -> None:
        if qualifier in _ROWS or (not qualifier and column in _ROWS):
            self._row.add(column if qualifier else "*")
        if qualifier in self._joins:
            qualifier = ""
        if column == "*":
            if qualifier:
                self._whole |= self._aliases.get(qualifier, set())
            else:
                self._is_whole = True
            return
        among = self._aliases.get(qualifier, set()) if qualifier else self._relations.keys()
        for oid in among:
            if column in self._names.columns[oid] or column in SYSTEM_COLUMNS:
                self._relations[oid].add(column)
            elif qualifier:
                self._whole.add(oid)  # `c.to_jsonb` is `to_jsonb(c)`
        if not qualifier:
            # An alias alone is the whole row, where no column has its name.
            self._whole |= {oid for oid in self._aliases.get(column, ()) if column not in self._names.columns[oid]}
