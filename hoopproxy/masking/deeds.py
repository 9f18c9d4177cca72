"""What a statement does, in the words that rules speak of: `ddl`, `delete-without-where`, the functions it calls.

A deed counts wherever it stands: in a WITH, behind EXPLAIN or PREPARE, in the body of a function that is made. Knows
names alone, as the statement has them, and no rule.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hoopproxy.masking.bodies import bodies
from hoopproxy.masking.calls import constant
from hoopproxy.masking.kinds import kinds
from hoopproxy.masking.sources import ENCODINGS
from hoopproxy.masking.syntax import Node, Unreadable, fold, nodes, opened, statements, strings
from hoopproxy.masking.unbounded import is_unbounded
from hoopproxy.masks import Named

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "ddl": "DDL",
        "delete-without-where": "DELETE without WHERE",
        "update-without-where": "UPDATE without WHERE",
        "truncate": "TRUNCATE",
        "copy-program": "COPY with a PROGRAM",
        "copy-file": "COPY with a file of the server",
        "dblink": "dblink",
        "file-functions": "reading or writing the server's files",
        "large-objects": "using large objects",
        "set-role": "becoming another role",
        "sql-from-text": "SQL in a text",
        "unbounded-select": "SELECT without LIMIT",
    }
)
"""Each word that a rule may match, and what people are told of it."""

_FUNCTIONS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "dblink": re.compile(r"dblink\w*"),
        "file-functions": re.compile(
            r"pg_(read|ls|file)_\w+|pg_stat_file|pg_logdir_ls|lo_(im|ex)port|pg_hba_file_rules|pg_ident_file_mappings"
            r"|pg_show_all_file_settings"
        ),
        "large-objects": re.compile(r"lo_\w+|loread|lowrite"),
        "sql-from-text": re.compile(
            r"(query|table|schema|database|cursor)_to_xml\w*|ts_stat|ts_rewrite|crosstab\w*|connectby|xpath_table"
        ),
    }
)
_RELATIONS: Mapping[str, str] = MappingProxyType(
    {
        "pg_hba_file_rules": "file-functions",
        "pg_ident_file_mappings": "file-functions",
        "pg_file_settings": "file-functions",
        "pg_largeobject": "large-objects",
        "pg_largeobject_metadata": "large-objects",
    }
)
"""Views and tables that show what such functions do."""

_DDL = frozenset(("CREATE", "ALTER", "DROP", "GRANT", "COMMENT", "REASSIGN", "REFRESH"))
"""As `log_statement = ddl` has it (`GetCommandLogLevel` in PostgreSQL's source)."""

_ROLES = frozenset(("role", "session_authorization"))

UNREADABLE = (
    "The gateway can't read this statement, or a body in it, so it can't check it against the rules of {target}."
)
"""What guards tell where one of their rules could have refused it."""

MISREAD = (
    "This setting can't be changed on {target}: the gateway and the server must read a statement alike, so that rules "
    "can hold."
)
"""And what they tell of a statement that `misreads`."""

_DEPTH_MAX = 4
"""Bodies within bodies."""

TRANSACTION_CHARACTERS_MAX = 256
"""Of a text that does nothing but begin and end transactions."""


@dataclass(frozen=True, slots=True)
class Deeds:
    """What one statement does. Names are folded, a schema is "" where none is written; a table named `*` is any of its
    schema. `fields` are names behind a dot, which may be functions, too (`c.label` calls `label(c)`).

    `is_opaque`: its rows are those of a query that stands elsewhere (FETCH, EXECUTE). `is_kept`: it may be run again by
    another (PREPARE). `misreads`: the server would read what follows in another way than the gateway. `locks_or_fills`:
    it locks rows against others (FOR UPDATE) or brings some in (COPY FROM), for which one must be allowed to write.
    """

    words: frozenset[str]
    kinds: frozenset[str]
    functions: frozenset[Named]
    fields: frozenset[str]
    tables: frozenset[Named]
    is_opaque: bool = False
    is_kept: bool = False
    misreads: bool = False
    locks_or_fills: bool = False


def deeds(text: str) -> tuple[Deeds, ...]:
    """Of each statement of a text, in order. @raise Unreadable: one of them, or a body in it, can't be read."""
    return tuple(_of(statement) for statement in statements(text))


def ends_transaction(text: str) -> bool:
    """Whether a text does nothing but begin and end transactions, and so shows nothing."""
    if len(text) > TRANSACTION_CHARACTERS_MAX:
        return False
    try:
        return all(each.kinds == {"TRANSACTION"} for each in deeds(text))
    except Unreadable:
        return False


def _of(statement: Node) -> Deeds:
    found = _Found()
    try:
        found.take(statement, 0)
        kind, _ = opened(statement)
        if is_unbounded(statement):
            found.words.add("unbounded-select")
    except RecursionError as why:
        raise Unreadable("too deep") from why
    return Deeds(
        frozenset(found.words),
        frozenset(found.kinds),
        frozenset(found.functions),
        frozenset(found.fields),
        frozenset(found.tables),
        is_opaque=kind in ("FetchStmt", "ExecuteStmt"),
        is_kept=kind == "PrepareStmt",
        misreads=found.misreads,
        locks_or_fills=found.locks_or_fills,
    )


class _Found:
    def __init__(self) -> None:
        self.words, self.kinds, self.fields = set[str](), set[str](), set[str]()
        self.functions, self.tables = set[Named](), set[Named]()
        self.misreads = self.locks_or_fills = False

    def take(self, statement: Node, depth: int) -> None:
        if depth > _DEPTH_MAX:
            raise Unreadable("bodies within bodies within bodies")
        done = frozenset(kinds(statement))
        self.kinds |= done
        if done & _DDL:
            self.words.add("ddl")
        for kind, inside in nodes(statement):
            if isinstance(inside, dict):
                self._node(kind, inside)
        for body in bodies(statement):
            self.functions |= body.calls
            self.tables |= body.names
            for each in body.statements:
                self.take(each, depth + 1)
        self._names()

    def _names(self) -> None:
        for _, name in self.functions:
            self.words |= {word for word, pattern in _FUNCTIONS.items() if pattern.fullmatch(name)}
        for schema, name in self.tables:
            if name in _RELATIONS and schema in ("", "pg_catalog"):
                self.words.add(_RELATIONS[name])

    def _node(self, kind: str, inside: Node) -> None:
        if "relname" in inside:
            self.tables.add((fold(inside.get("schemaname", "")), fold(inside["relname"])))
        match kind:
            case "FuncCall" | "funccall":
                self._call(inside)
            case "ColumnRef":
                self.fields |= {fold(name) for name in strings(inside["fields"])[1:]}
            case "A_Indirection":
                self.fields |= {fold(name) for name in strings(inside["indirection"])}
            case "VariableSetStmt" | "setstmt":
                values = [constant(value) for value in inside.get("args", [])]
                self._setting(inside.get("name", ""), values if inside["kind"] == "VAR_SET_VALUE" else [])
            case "SelectStmt" if "intoClause" in inside:
                self.words.add("ddl")
            case "TruncateStmt":
                self.words.add("truncate")
            case "CopyStmt" if "filename" in inside or inside.get("is_program"):
                self.words.add("copy-program" if inside.get("is_program") else "copy-file")
            case "DeleteStmt" if not _is_condition(inside.get("whereClause")):
                self.words.add("delete-without-where")
            case "UpdateStmt":
                self._update(inside)
            case "MergeStmt" if not _is_condition(inside.get("joinCondition")):
                self._merge(inside)
            case "DropStmt" | "CommentStmt" | "SecLabelStmt":
                self._objects(inside)
        if kind == "LockingClause" or (kind == "CopyStmt" and inside.get("is_from")):
            self.locks_or_fills = True
        if "OBJECT_LARGEOBJECT" in (inside.get("objtype"), inside.get("objectType")):
            self.words.add("large-objects")

    def _call(self, call: Node) -> None:
        *schemas, name = strings(call["funcname"])
        self.functions.add((fold(schemas[-1]) if schemas else "", fold(name)))
        if fold(name) == "set_config":
            values = [constant(argument) for argument in call.get("args", [])[:2]]
            self._setting(values[0] if values else None, values[1:])

    def _setting(self, name: str | None, values: Sequence[str | None]) -> None:
        """A setting's new value; a name or value that is no plain text may be any."""
        folded = None if name is None else name.lower()
        if folded is None or folded in _ROLES:
            self.words.add("set-role")
        if folded is None or not all(_reads_alike(folded, value) for value in values):
            self.misreads = True
        if folded == "search_path":
            self.tables |= {(fold(part.strip(' "')), "*") for each in values if each for part in each.split(",")}

    def _update(self, inside: Node) -> None:
        if not _is_condition(inside.get("whereClause")):
            self.words.add("update-without-where")
        if (
            fold(inside["relation"]["relname"]) == "pg_settings"
        ):  # its rule sets what it is told (manual, "pg_settings")
            self._setting(None, ())

    def _merge(self, inside: Node) -> None:
        done = {each["MergeWhenClause"]["commandType"] for each in inside["mergeWhenClauses"]}
        if "CMD_DELETE" in done:
            self.words.add("delete-without-where")
        if "CMD_UPDATE" in done:
            self.words.add("update-without-where")

    def _objects(self, inside: Node) -> None:
        """Names of tables that are no RangeVars, among names of other things."""
        for each in (*inside.get("objects", ()), inside.get("object", {})):
            if parts := strings(each.get("List", {}).get("items", [])):
                self.tables.add((fold(parts[-2]) if len(parts) > 1 else "", fold(parts[-1])))


def _is_condition(clause: Node | None) -> bool:
    """Whether a condition is one: `true` and `1 = 1`, which name no column, are none."""
    return clause is not None and any(kind in ("ColumnRef", "CurrentOfExpr", "SubLink") for kind, _ in nodes(clause))


def _reads_alike(setting: str, value: str | None) -> bool:
    """Whether the server goes on to read texts as the gateway does, when this is set to that."""
    match setting:
        case "standard_conforming_strings":
            return (value or "").lower() in ("on", "true", "yes", "1")
        case "backslash_quote":
            return False
        case "client_encoding":
            return value is not None and bool(ENCODINGS.fullmatch(re.sub(r"[^a-z0-9]", "", value.lower())))
        case _:
            return True
