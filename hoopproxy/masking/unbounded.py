"""Whether a query's rows are as many as a table has: nothing in it says how many it wants.

Judges by the form of the query alone: knows no table, no size and no rule.
"""

from collections.abc import Mapping
from types import MappingProxyType

from hoopproxy.masking.syntax import Node, fold, nodes, opened, strings

_NO_CTES: Mapping[str, bool] = MappingProxyType({})

_AGGREGATES = frozenset(
    """
    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every json_agg
    json_agg_strict json_object_agg json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict
    jsonb_agg jsonb_agg_strict jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique
    jsonb_object_agg_unique_strict max min mode percentile_cont percentile_disc range_agg range_intersect_agg regr_avgx
    regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp
    string_agg sum var_pop var_samp variance xmlagg
    """.split()
)
"""PostgreSQL's own (manual, "Aggregate Functions")."""

_CATALOGS = ("pg_catalog", "information_schema")


def is_unbounded(statement: Node) -> bool:
    """Whether a statement shows the rows of a query, or of a table, without a bound on their number."""
    kind, inside = opened(statement)
    match kind:
        case "SelectStmt":
            return _query(inside, _NO_CTES)
        case "DeclareCursorStmt" | "PrepareStmt":
            return is_unbounded(inside["query"])
        case "CopyStmt" if not inside.get("is_from"):
            return is_unbounded(inside["query"]) if "query" in inside else not _is_catalog(inside["relation"])
        case _:
            return False


def _query(query: Node, ctes: Mapping[str, bool]) -> bool:
    if "limitCount" in query and not query["limitCount"].get("A_Const", {}).get("isnull"):
        return False
    if "withClause" in query:
        ctes = {**ctes, **_ctes(query["withClause"], ctes)}
    if "larg" in query:
        return _query(query["larg"], ctes) or _query(query["rarg"], ctes)
    if "groupClause" not in query and any(_aggregates(target) for target in query.get("targetList", [])):
        return False
    return any(_source(source, ctes) for source in query.get("fromClause", []))


def _ctes(clause: Node, around: Mapping[str, bool]) -> dict[str, bool]:
    found = dict(around)
    for each in clause["ctes"]:
        kind, query = opened(each["CommonTableExpr"]["ctequery"])
        is_endless = bool(clause.get("recursive")) or kind != "SelectStmt" or _query(query, found)
        found[each["CommonTableExpr"]["ctename"]] = is_endless
    return found


def _source(node: Node, ctes: Mapping[str, bool]) -> bool:
    kind, inside = opened(node)
    match kind:
        case "RangeVar":
            if "schemaname" not in inside and inside["relname"] in ctes:
                return ctes[inside["relname"]]
            return not _is_catalog(inside)
        case "RangeSubselect":
            return _query(inside["subquery"]["SelectStmt"], ctes)
        case "JoinExpr":
            return _source(inside["larg"], ctes) or _source(inside["rarg"], ctes)
        case "RangeTableSample":
            return _source(inside["relation"], ctes)
        case _:
            return False


def _is_catalog(relation: Node) -> bool:
    """What tools read to know a database."""
    schema = fold(relation.get("schemaname", ""))
    return schema in _CATALOGS if schema else fold(relation["relname"]).startswith("pg_")


def _aggregates(target: Node) -> bool:
    return any(kind == "FuncCall" and is_aggregate(call) for kind, call in nodes(target))


def is_aggregate(call: Node) -> bool:
    """Whether a FuncCall is one of an aggregate: by its name, or by what only their calls have."""
    if "over" in call:
        return False
    said = call.keys() & {"agg_star", "agg_distinct", "agg_filter", "agg_order", "agg_within_group"}
    return bool(said) or fold(strings(call["funcname"])[-1]) in _AGGREGATES
