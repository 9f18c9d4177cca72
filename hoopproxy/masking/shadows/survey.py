"""Finds in one statement's tree what is to be replaced: names of protected relations and functions where it reads or
calls them, with the scoping of CTEs as PostgreSQL has it.

Names that DDL and introspection only mention (`'public.customers'::regclass`) stay: tools see the real tables. Knows
no text: places are the parser's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from hoopproxy.errors import Refused
from hoopproxy.events import Edit
from hoopproxy.masking.shadows.dynamic import said
from hoopproxy.masking.shadows.grouping import completed
from hoopproxy.masking.shadows.moves import under
from hoopproxy.masking.shadows.places import Sight
from hoopproxy.masking.shadows.quoting import dotted
from hoopproxy.masking.shadows.sites import Copied, Renamed, Said, Sampled, Site
from hoopproxy.masking.shadows.spelling import listed
from hoopproxy.masking.shadows.targets import changes, takes_twin
from hoopproxy.masking.syntax import Node, opened, strings
from hoopproxy.masks import Named, Shadow, Shadowed

type Inner = Callable[[str], tuple[Edit, ...]]
"""The changes to SQL that stands in a constant, or in the text of one that names a table."""

type Bodies = Callable[[str, str, Sight], tuple[Edit, ...]]
"""The changes to a function's body in a language."""

_READING = frozenset(
    """
    SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt ExplainStmt PrepareStmt ExecuteStmt DeclareCursorStmt CopyStmt
    CreateTableAsStmt ViewStmt LockStmt CallStmt DoStmt CreateFunctionStmt PLAssignStmt
    """.split()
)
"""The statements that read. All others are left alone: the server decides."""

_RUN_A_QUERY = frozenset(
    """
    query_to_xml query_to_xmlschema query_to_xml_and_xmlschema ts_stat ts_rewrite crosstab crosstab2 crosstab3 crosstab4
    """.split()
)
"""Functions of PostgreSQL and its extensions that run a text as a query of this session."""

_READ_A_TABLE = frozenset({"table_to_xml", "table_to_xmlschema", "table_to_xml_and_xmlschema"})
"""Those that read a table that a text names."""


_NAMES = frozenset({"funcname", "name"})
"""Fields with the names of functions and operators, which others have looked at or nobody needs to."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """What names mean at one level of a query, within `outer`.

    `items` are those of its FROM, `kept` is the table that it changes and that stays itself. `ctes` are the CTEs of its
    WITH by their number there, of which it may name the first `known`.
    """

    outer: "Scope | None" = None
    items: Sequence[Node] = ()
    kept: Named | None = None
    ctes: Mapping[str, int] = field(default_factory=dict)
    known: int = 0

    def has_cte(self, name: str) -> bool:
        """Whether a bare name means a CTE, of this level or one around it."""
        scope: Scope | None = self
        while scope is not None:
            if scope.ctes.get(name, scope.known) < scope.known:
                return True
            scope = scope.outer
        return False


class Survey:
    """The sites of statements, seen from one sight, in `sites`; calls of set_config in `settings`, as they stand."""

    def __init__(self, shadow: Shadow, sight: Sight, inner: Inner, body: Bodies) -> None:
        self._shadow, self._sight, self._inner, self._body = shadow, sight, inner, body
        self._todo: list[tuple[Node, Scope]] = []
        self._shown: dict[Scope, frozenset[Named]] = {}
        self.sites: list[Site] = []
        self.settings: list[Node] = []

    def statement(self, node: Node) -> None:
        """Look through one statement. @raise Refused: it needs what has no twin, or isn't the session's to do."""
        kind, _ = opened(node)
        if kind in _OWN:
            raise Refused(_OWN[kind], reason="statement")
        if kind in _READING:
            self._todo.append((node, Scope()))
        while self._todo:
            self._look(*self._todo.pop())
        self.settings.sort(key=lambda call: call.get("location", 0))

    def _look(self, node: Node, scope: Scope) -> None:
        """Look through what has one scope. Most of a statement's time is spent here, hence its plainness."""
        todo, visits = [node], _VISITS
        while todo:
            for key, value in todo.pop().items():
                kind = type(value)
                if kind is dict:
                    visit = visits.get(key)
                    if visit is None or visit(self, value, scope):
                        todo.append(value)
                elif kind is list and key not in _NAMES:
                    todo += value

    def run(self, node: Node) -> None:
        """An expression, as a query, of which PL/pgSQL's EXECUTE runs the text that it makes."""
        for target in node["SelectStmt"].get("targetList", ())[:1]:
            self.sites += said(target["ResTarget"]["val"], self._inner)

    def _later(self, inside: Node, scope: Scope, *done: str) -> None:
        """Look at the fields of a node in another scope, but for those that are done."""
        self._todo.append(({key: value for key, value in inside.items() if key not in done}, scope))

    # Queries ---------------------------------------------------------------------------------------------------------

    def _select(self, inside: Node, scope: Scope) -> None:
        scope = self._with(inside, scope)
        inner = Scope(scope, inside.get("fromClause", ()))
        if "larg" in inside:
            self._todo += ({"SelectStmt": inside["larg"]}, scope), ({"SelectStmt": inside["rarg"]}, scope)
            self._later(inside, inner, "larg", "rarg")
        else:
            self._todo.append((inside, inner))
        if "groupClause" in inside:
            self.sites += completed(inside, lambda relation: self._twin(self._named(relation, inner)))

    def _with(self, inside: Node, scope: Scope) -> Scope:
        """The scope of a statement behind its WITH: a query there knows those before it, or all if it is RECURSIVE."""
        if not (clause := inside.get("withClause")):
            return scope
        queries = [each["CommonTableExpr"] for each in clause["ctes"]]
        every = {query["ctename"]: number for number, query in enumerate(queries)}
        for number, query in enumerate(queries):
            known = len(queries) if clause.get("recursive") else number
            self._todo.append((query, Scope(scope, ctes=every, known=known)))
        return Scope(scope, ctes=every, known=len(queries))

    def _relation(self, inside: Node, scope: Scope) -> None:
        """A RangeVar that is read."""
        if (twin := self._twin(named := self._named(inside, scope))) and named:
            if twin.has_heirs and not inside.get("inh"):
                raise Refused(
                    f"This session sees {'.'.join(named)} with masked columns, and there ONLY can't leave out the "
                    "tables below it: leave out the word ONLY, or name one of those tables.",
                    reason="statement",
                )
            self._rename(inside, twin)

    def _sample(self, inside: Node, scope: Scope) -> None:
        """TABLESAMPLE, which a twin doesn't have: a share of its rows is taken another way, if it needs not be the same
        again (REPEATABLE)."""
        relation = inside["relation"].get("RangeVar")
        twin = self._twin(named := self._named(relation, scope)) if relation else None
        if not (twin and named):
            self._later(inside, scope)
            return
        method, percent = strings(inside["method"]), _percent(inside.get("args", []))
        if method not in (["system"], ["bernoulli"]) or "repeatable" in inside or not percent:
            raise Refused(
                f"This session sees {'.'.join(named)} with masked columns, and there TABLESAMPLE takes SYSTEM or "
                "BERNOULLI with a number alone: write WHERE random() < 0.01, for instance, in its place.",
                reason="statement",
            )
        names = tuple(relation[key] for key in ("schemaname", "relname") if relation.get(key))
        alias = relation.get("alias", {})
        columns = tuple(strings(alias.get("colnames", [])))
        where, place = relation["location"], (twin.schema, twin.name)
        self.sites.append(Sampled(where, names, place, method[0], percent, alias.get("aliasname", ""), columns))

    def _column(self, inside: Node, scope: Scope) -> None:
        """A ColumnRef: one with a schema in it follows its relation."""
        fields = inside["fields"]
        if len(fields) < 3:
            return
        names = strings(fields)[: len(fields) - 1]
        named: Named = (names[-2], names[-1])
        if (twin := self._shadow.relations.get(named)) and self._is_replaced(named, scope):
            where = inside.get("location", 0)
            self.sites.append(Renamed(where, tuple(names), (twin.schema, twin.name), len(names) - 2))

    def _is_replaced(self, named: Named, scope: Scope | None) -> bool:
        """Whether the nearest level that has this relation under its own name has the twin of it."""
        while scope is not None:
            if scope.kept == named:
                return False
            if scope not in self._shown:
                self._shown[scope] = frozenset(self._unaliased(scope))
            if named in self._shown[scope]:
                return True
            scope = scope.outer
        return False

    def _unaliased(self, scope: Scope) -> Iterator[Named]:
        """The relations that a level has under their own names."""
        todo = list(scope.items)
        while todo:
            kind, inside = opened(todo.pop())
            if kind == "JoinExpr":
                todo += inside["larg"], inside["rarg"]
            elif kind == "RangeVar" and "alias" not in inside and (named := self._named(inside, scope)):
                yield named

    def _assign(self, inside: Node, scope: Scope) -> None:
        """PL/pgSQL's `name := …`, whose value is a query without a kind."""
        self._later(inside, scope, "val")
        self._select(inside["val"], scope)

    # What is changed -------------------------------------------------------------------------------------------------

    def _change(self, kind: str, inside: Node, scope: Scope) -> None:
        scope = self._with(inside, scope)
        target = inside["relation"]
        named, kept = self._named(target, Scope()), None
        self._change_rows(named, changes(kind, inside))
        if twin := self._twin(named):
            if takes_twin(kind, inside, twin):
                self._rename(target, twin)
            elif "alias" not in target:
                kept = named
        source = [inside["sourceRelation"]] if "sourceRelation" in inside else []
        items = [*inside.get("fromClause", ()), *inside.get("usingClause", ()), *source]
        if named and not kept:
            items.append({"RangeVar": target})
        self._later(inside, Scope(scope, items, kept), "relation")

    def _change_rows(self, named: Named | None, verbs: frozenset[str]) -> None:
        """@raise Refused: of what it would set off it is not known what that tells."""
        if named and not self._shadow.silenced.get(named, frozenset()).isdisjoint(verbs):
            raise Refused(
                f"Rows of {'.'.join(named)} can't be changed so in this session, because a trigger or an expression of "
                "it would see them and may tell what is masked; ask the owner of the target, to whom `hoopproxy masks "
                "audit` says which one.",
                reason="statement",
            )

    # Utility statements ----------------------------------------------------------------------------------------------

    def _copy(self, inside: Node, scope: Scope) -> None:
        relation = inside.get("relation")
        if relation and inside.get("is_from"):
            self._change_rows(self._named(relation, Scope()), frozenset({"INSERT"}))
        if not relation:
            self._later(inside, scope)
        elif (twin := self._twin(named := self._named(relation, scope))) and named and not inside.get("is_from"):
            where = relation.get("location", 0)
            if twin.has_heirs:
                raise Refused(
                    f"This session sees {'.'.join(named)} with masked columns, and COPY of it alone would leave out "
                    "the tables below it: write COPY (SELECT * FROM …) TO in its place.",
                    reason="statement",
                )
            if any(each["DefElem"].get("location", 0) < where for each in inside.get("options", ())):
                return  # COPY BINARY t, as it was written before PostgreSQL 7.3
            shown = tuple(name for name in twin.columns if name not in twin.generated)
            listed = tuple(strings(inside.get("attlist", [])))
            self.sites.append(Copied(where, _written(relation), listed, (twin.schema, twin.name), shown))

    def _function(self, inside: Node, scope: Scope) -> None:
        """CREATE FUNCTION: the query in it, or the text of its body, which finds names as its own SET says."""
        options = {each["DefElem"]["defname"]: each["DefElem"] for each in inside.get("options", ())}
        self._later(inside, scope, "options")
        body = options.get("as", {}).get("arg", {}).get("List", {}).get("items", [])
        if len(body) == 1:  # two: a library's file and its symbol
            sets = [each["DefElem"]["arg"] for each in inside["options"] if each["DefElem"]["defname"] == "set"]
            with suppress(Refused):  # it is only named; the server decides when the function is called
                self._says(options["as"], strings(body)[0], _language(options, "sql"), under(sets, self._sight), "as")

    def _do(self, inside: Node, scope: Scope) -> None:
        options = {each["DefElem"]["defname"]: each["DefElem"] for each in inside["args"]}
        if "as" in options:
            text = strings([options["as"]["arg"]])[0]
            self._says(options["as"], text, _language(options, "plpgsql"), self._sight)

    def _says(self, option: Node, text: str, language: str, sight: Sight, after: str = "") -> None:
        if inner := self._body(text, language, sight):
            self.sites.append(Said(option.get("location", 0), text, inner, after))

    # Calls -----------------------------------------------------------------------------------------------------------

    def _call(self, inside: Node, scope: Scope) -> bool:
        *schemas, name = names = strings(inside["funcname"])
        if called := (schemas[-1], name) if schemas else self._sight.function(name, self._shadow.calls):
            if sentence := self._shadow.withheld.get(called):
                raise Refused(sentence, reason="statement")
            if twin := self._shadow.functions.get(called):
                kept = max(len(names) - 2, 0)
                self.sites.append(Renamed(inside.get("location", 0), tuple(names), twin, kept))
        if name in _RUN_A_QUERY:
            self._said(inside, self._inner)
        elif name in _READ_A_TABLE:
            self._said(inside, self._table)
        elif name == "set_config":
            self.settings.append(inside)
        return True

    def _said(self, inside: Node, changed: Inner) -> None:
        """Change what the texts among the arguments of a call say."""
        for argument in inside.get("args", ()):
            self.sites += said(argument, changed)

    def _table(self, text: str) -> tuple[Edit, ...]:
        """What changes in a text that names a table, as casts to regclass read it."""
        names = listed(text, ".")
        if not names:
            return ()
        named = (names[-2], names[-1]) if len(names) > 1 else self._sight.relation(names[-1], self._shadow.bearers)
        twin = self._twin(named)
        return (Edit(0, len(text), dotted(twin.schema, twin.name)),) if twin else ()

    # Names -----------------------------------------------------------------------------------------------------------

    def _named(self, relation: Node, scope: Scope) -> Named | None:
        """The relation that a RangeVar means, if it may be one of those that matter."""
        name = relation["relname"]
        if schema := relation.get("schemaname"):
            return schema, name
        if name not in self._shadow.bearers or scope.has_cte(name):
            return None
        return self._sight.relation(name, self._shadow.bearers)

    def _twin(self, named: Named | None) -> Shadowed | None:
        """@raise Refused: it is withheld."""
        if named is None:
            return None
        if sentence := self._shadow.withheld.get(named):
            raise Refused(sentence, reason="statement")
        return self._shadow.relations.get(named)

    def _rename(self, relation: Node, twin: Shadowed) -> None:
        kept = 1 if "catalogname" in relation else 0
        where = relation.get("location", 0)
        self.sites.append(Renamed(where, _written(relation), (twin.schema, twin.name), kept))


def _written(relation: Node) -> tuple[str, ...]:
    return tuple(relation[key] for key in ("catalogname", "schemaname", "relname") if key in relation)


def _language(options: Mapping[str, Node], default: str) -> str:
    return strings([options["language"]["arg"]])[0] if "language" in options else default


def _ignore(survey: Survey, inside: Node, scope: Scope) -> None:
    """Names in it are aliases or types, or others have looked at it."""


def _percent(arguments: list[Node]) -> str:
    """The one argument of TABLESAMPLE as it is written, if it is a number from 0 to 100; "" for all else."""
    value = arguments[0].get("A_Const", {}) if len(arguments) == 1 else {}
    if "fval" in value:
        written = str(value["fval"]["fval"])
    elif "ival" in value:
        written = str(value["ival"].get("ival", 0))
    else:
        return ""
    try:
        return written if 0 <= float(written) <= 100 else ""
    except ValueError:  # 0x1FFFFFFFF, say
        return ""


def _changing(kind: str) -> Callable[[Survey, Node, Scope], None]:
    return lambda survey, inside, scope: survey._change(kind, inside, scope)


_VISITS: Mapping[str, Callable[[Survey, Node, Scope], bool | None]] = {
    "SelectStmt": Survey._select,
    "RangeVar": Survey._relation,
    "RangeTableSample": Survey._sample,
    "ColumnRef": Survey._column,
    **dict.fromkeys(("A_Const", "LockingClause", "alias", "intoClause", "typeName", "withClause"), _ignore),
    "FuncCall": Survey._call,
    "funccall": Survey._call,
    "PLAssignStmt": Survey._assign,
    "CopyStmt": Survey._copy,
    "DoStmt": Survey._do,
    "CreateFunctionStmt": Survey._function,
    **{kind: _changing(kind) for kind in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")},
}

_OWN: Mapping[str, str] = dict.fromkeys(
    ("AlterRoleStmt", "AlterRoleSetStmt"),
    "In a session with masked columns ALTER ROLE can't be used, because the role that it has in the database is the "
    "gateway's: ask your administrator to change roles.",
)
"""What a session can't do as its role is not its own."""
