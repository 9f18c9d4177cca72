"""Whether the protected columns that a query reads reach its result unchanged, or not at all.

PostgreSQL names the table and column that a result's column comes from only where nothing was computed (RowDescription;
`markTargetListOrigin` in its source follows subqueries, CTEs, joins and RETURNING). So a protected column may be a bare
output on the whole way to the outermost result, where it is masked by that origin; anywhere else it would be evaluated
unmasked, and an error, a row count or the time taken would tell its value. What is not understood is refused.
Knows neither types nor masks.
"""

from hoopproxy.masking import sources, writes
from hoopproxy.masking.calls import Calls, Unprovable
from hoopproxy.masking.names import NONE, Columns
from hoopproxy.masking.scope import Cte, Item, Scope, carried
from hoopproxy.masking.syntax import Node, fold, opened, strings

type Outputs = tuple[Item, ...]
"""A result's columns in order: each one's name ("*" for a star) and the protected columns that it shows."""

CLAUSES = {
    "whereClause": "a WHERE condition",
    "havingClause": "a HAVING condition",
    "windowClause": "a window",
    "limitCount": "a LIMIT",
    "limitOffset": "an OFFSET",
}


class Lineage:
    """Judges the queries of one catalog's sessions. Every method raises `Unprovable`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._names = calls.names

    # Queries --------------------------------------------------------------------------------------------------------

    def query(self, node: Node, scope: Scope) -> Columns:
        """The protected columns among the outputs of a SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE."""
        kind, inside = opened(node)
        match kind:
            case "SelectStmt":
                return self.select(inside, scope)
            case "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt":
                return writes.write(self, kind, inside, scope)
            case _:
                raise Unprovable("This kind of statement can't be used inside another one in a masked session.")

    def consumed(self, node: Node, scope: Scope, place: str) -> None:
        """A query whose result is used by something else than the client."""
        refuse(self.query(node, scope), place)

    def select(self, select: Node, scope: Scope) -> Columns:
        """The inside of a SelectStmt."""
        scope = self.inside_with(select, scope)
        if "intoClause" in select:
            raise Unprovable("SELECT INTO can't be used in a masked session, because the copy would not be masked.")
        while select.get("op", "SETOP_NONE") != "SETOP_NONE":  # a loop, as chains of UNION get long
            self._part(select["rarg"], scope)
            self._trailing(select, scope, ())
            select = select["larg"]
            if select.get("op", "SETOP_NONE") == "SETOP_NONE":
                self._part(select, scope)
                return NONE
            scope = self.inside_with(select, scope)
        self.expression(select.get("valuesLists"), scope, "VALUES")
        inner = Scope(self.items(select.get("fromClause", []), scope), outer=scope)
        outputs = self.outputs(select.get("targetList", []), inner)
        if select.get("distinctClause") == [{}]:
            refuse(carried(outputs), "a SELECT DISTINCT")
        self._trailing(select, inner, outputs)
        return carried(outputs)

    def _part(self, select: Node, scope: Scope) -> None:
        refuse(self.select(select, scope), "a UNION, INTERSECT or EXCEPT", "run its parts one by one")

    def _trailing(self, select: Node, scope: Scope, outputs: Outputs) -> None:
        for clause, place in CLAUSES.items():
            self.expression(select.get(clause), scope, place)
        for clause, place in (
            ("groupClause", "a GROUP BY"),
            ("sortClause", "an ORDER BY"),
            ("distinctClause", "a DISTINCT ON"),
        ):
            self._ordering(select.get(clause, []), scope, outputs, place)

    def _ordering(self, keys: list[Node], scope: Scope, outputs: Outputs, place: str) -> None:
        """Keys of ORDER BY and its like may be the position or the name of an output."""
        todo = [key for key in keys if key]
        while todo:
            key = todo.pop()
            kind, inside = opened(key)
            match kind:
                case "SortBy":
                    self._calls.operator(inside.get("useOp", []))
                    todo.append(inside["node"])
                case "GroupingSet":
                    todo.extend(inside.get("content", []))
                case "A_Const":
                    position = inside.get("ival", {}).get("ival", 0)
                    # Nobody here knows how many columns a star stands for.
                    starred = any(output.name == "*" for output in outputs[:position])
                    refuse(carried(outputs if starred else outputs[position - 1 : position]), place, "name the column")
                case "ColumnRef":
                    name = fold(".".join(strings(inside["fields"])))
                    refuse(carried([output for output in outputs if output.name == name]), place)
                    self.expression(key, scope, place)
                case _:
                    self.expression(key, scope, place)

    def inside_with(self, query: Node, scope: Scope) -> Scope:
        """The scope inside a query's WITH clause, all of its queries judged."""
        clause = query.get("withClause", {})
        queries = {fold(cte["CommonTableExpr"]["ctename"]): cte["CommonTableExpr"] for cte in clause.get("ctes", [])}
        if clause.get("recursive"):
            ctes: dict[str, Cte] = {}
            scope = Scope(ctes=ctes, outer=scope)
            ctes.update((name, Cte(node, scope)) for name, node in queries.items())
            for cte in ctes.values():
                self._cte(cte)
        else:
            for name, node in queries.items():
                cte = Cte(node, scope)
                self._cte(cte)
                scope = Scope(ctes={name: cte}, outer=scope)
        return scope

    def _cte(self, cte: Cte) -> Columns:
        if cte.outputs is None:
            if cte.busy:  # it refers to itself, so it is a UNION, which passes on no protected column
                return NONE
            cte.busy = True
            cte.outputs = self.query(cte.node["ctequery"], cte.scope)
            if any(key in cte.node for key in ("aliascolnames", "search_clause", "cycle_clause")):
                refuse(cte.outputs, "a WITH query that names its columns", "name them inside of it by AS")
        return cte.outputs

    def outputs(self, targets: list[Node], scope: Scope) -> Outputs:
        """The elements of a SELECT list or of RETURNING, in order."""
        return tuple(self._output(target["ResTarget"], scope) for target in targets)

    def _output(self, target: Node, scope: Scope) -> Item:
        name = fold(target.get("name", ""))
        kind, value = opened(target["val"])
        if kind != "ColumnRef":
            self.expression(target["val"], scope, "an expression")
            return Item(name, NONE)
        columns = self._columns(value, scope, "the result", output=True)
        if "A_Star" in value["fields"][-1]:
            return Item("*", columns)
        name = name or fold(strings(value["fields"])[-1])
        return Item(name, {name: next(iter(columns.values()))} if columns else NONE)

    # FROM -----------------------------------------------------------------------------------------------------------

    def items(self, nodes: list[Node], scope: Scope) -> tuple[Item, ...]:
        items: tuple[Item, ...] = ()
        for node in nodes:
            items += self.item(node, scope, items)
        return items

    def item(self, node: Node, scope: Scope, left: tuple[Item, ...]) -> tuple[Item, ...]:
        """What one element of FROM offers; `left` is what LATERAL in it may refer to."""
        kind, inside = opened(node)
        match kind:
            case "RangeVar":
                return (self.relation(inside, scope),)
            case "RangeSubselect":
                around = Scope(left, outer=scope) if inside.get("lateral") else scope
                return (aliased(inside, self.query(inside["subquery"], around)),)
            case "RangeFunction" | "RangeTableFunc" | "JsonTable":
                self.expression(inside, Scope(left, outer=scope), "a function's argument")
                return (aliased(inside, NONE),)
            case "RangeTableSample":
                if strings(inside["method"])[-1] not in ("system", "bernoulli"):
                    raise Unprovable("In a masked session TABLESAMPLE takes SYSTEM or BERNOULLI alone.")
                self.expression([inside.get("args"), inside.get("repeatable")], scope, "a TABLESAMPLE")
                return self.item(inside["relation"], scope, left)
            case "JoinExpr":
                return self._join(inside, scope, left)
            case _:
                raise Unprovable("This kind of FROM can't be used in a session with masked columns.")

    def _join(self, join: Node, scope: Scope, left: tuple[Item, ...]) -> tuple[Item, ...]:
        ours = self.item(join["larg"], scope, left)
        sides = ours + self.item(join["rarg"], scope, left + ours)
        columns = carried(sides)
        if join.get("isNatural"):
            refuse(columns, "a NATURAL JOIN", "say by ON what joins")
        for name in strings(join.get("usingClause", [])):
            refuse({name: columns[fold(name)]} if fold(name) in columns else NONE, "a JOIN")
        self.expression(join.get("quals"), Scope(sides, outer=scope), "a JOIN condition")
        if "join_using_alias" in join:  # offers the columns of USING, and those are not protected
            sides += (Item(fold(join["join_using_alias"]["aliasname"]), NONE),)
        return (*sides, aliased(join, columns)) if "alias" in join else sides

    def relation(self, node: Node, scope: Scope) -> Item:
        """The inside of a RangeVar."""
        schema, name = node.get("schemaname", ""), node["relname"]
        if fold(name) in sources.RELATIONS or fold(schema).startswith(sources.SCHEMAS):
            raise Unprovable(
                f"{name} can't be read in a session with masked columns, because it holds columns' values or other "
                "people's statements."
            )
        tainted = self._names.taint(schema, name)
        if tainted:
            raise Unprovable(
                f"{tainted} can't be used in this session, because it reads masked columns and its result would not "
                "be masked: select from the tables below it."
            )
        columns = self._names.columns(schema, name)
        cte = None if schema else scope.cte(fold(name))
        if cte is not None:
            columns = {**columns, **self._cte(cte)}
        return aliased(node, columns, name)

    # Expressions ----------------------------------------------------------------------------------------------------

    def expression(self, tree: object, scope: Scope, place: str) -> None:
        """Anything that is evaluated: no protected column, no row that holds one, and no call that can't be proved."""
        todo = [tree]
        while todo:
            inside = todo.pop()
            if isinstance(inside, list):
                todo.extend(inside)
            for kind, value in inside.items() if isinstance(inside, dict) else ():
                match kind:
                    case "ColumnRef":
                        refuse(self._columns(value, scope, place), place)
                        continue
                    case "SubLink" if value["subLinkType"] == "EXISTS_SUBLINK":
                        self.query(value["subselect"], scope)  # only whether there is a row counts
                        continue
                    case "SubLink":
                        self.consumed(value["subselect"], scope, place)
                        self._calls.operator(value.get("operName", []))
                        todo.append(value.get("testexpr"))
                        continue
                    case "SelectStmt":
                        self.consumed({kind: value}, scope, place)
                        continue
                    case "TypeName" | "typeName":
                        continue  # names and constants
                    case "FuncCall":
                        self._calls.function(value)
                    case "A_Expr":
                        self._calls.operator(value.get("name", []))
                    case "SortBy":
                        self._calls.operator(value.get("useOp", []))
                    case _ if kind.endswith("Stmt"):
                        raise Unprovable("A statement inside an expression can't be used in a masked session.")
                todo.append(value)

    def _columns(self, reference: Node, scope: Scope, place: str, output: bool = False) -> Columns:
        """The protected columns that a ColumnRef may mean. A whole row that holds one is refused right here."""
        *around, last = reference["fields"]
        qualifier = fold(strings(around)[-1]) if around else ""
        items = scope.named(qualifier) if qualifier else list(scope.items if "A_Star" in last else scope.reach())
        found: Columns
        if "A_Star" in last:
            found = carried(items)
        else:
            column = fold(strings([last])[0])
            everything = carried([item for item in items if item.plain or qualifier])
            found = {column: everything[column]} if column in everything else NONE
            if not found:
                self._no_row(items, qualifier, column, place)
        if output and qualifier and not all(item.plain for item in items):
            refuse(found, "the OLD or NEW row of RETURNING", "name the column alone")
        return found

    def _no_row(self, items: list[Item], qualifier: str, column: str, place: str) -> None:
        """A name that is no protected column may still stand for a row, or for a function of one (`c.to_jsonb`)."""
        if not qualifier:
            rows = [item for item in items if item.name == column]
        elif self._calls.unproved(column):
            raise Unprovable(
                f"{qualifier}.{column} can't be used in this session, because there is a function {column} and what "
                f"it reads can't be proved: write {column} alone if you mean a column."
            )
        else:
            rows = items if column in sources.ROW_FUNCTIONS else []
        for path in carried(rows).values():
            raise Unprovable(
                f"This session sees {path} masked, so a whole row that holds it can't be used in {place}: name the "
                "columns that you need."
            )


def refuse(columns: Columns, place: str, instead: str = "select it as a plain column, or leave it out") -> None:
    """Nothing when `columns` is empty. @raise Unprovable: they can't be used in `place`."""
    for path in columns.values():
        raise Unprovable(f"This session sees {path} masked, so it can't be used in {place}: {instead}.")


def aliased(node: Node, columns: Columns, name: str = "") -> Item:
    """An element of FROM under its alias. @raise Unprovable: the alias renames columns of which some are protected."""
    alias = node.get("alias", {})
    if "colnames" in alias:
        refuse(columns, "an alias that renames columns", "rename them in the SELECT list by AS")
    return Item(fold(alias.get("aliasname", name)), columns)
