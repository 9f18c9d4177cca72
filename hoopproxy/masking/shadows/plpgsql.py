"""A function of PL/pgSQL as its own parser reads it (libpg_query): the SQL in it, and the kinds of statements around.

Knows nothing of what these do. The tree has no places in the text.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
from postgast.errors import PgQueryError, check_error
from postgast.native import lib

from hoopproxy.masking.shadows import declarations
from hoopproxy.masking.syntax import Unreadable, nodes

_PROMISES = re.compile(rb"(?:,\{\}\})+")
"""libpg_query writes TG_OP and its like, which each trigger function has behind NEW and OLD, with a brace too many."""

_UNKNOWN = ("LookupExplicitNamespace", "is not a known variable", "record variable cannot be part of")
"""What libpg_query says where a type is one of another schema, a row of a table, or no row as it thought."""

_ASSIGNED = re.compile(r":?=")


def tree(definition: str) -> Any:
    """What CREATE FUNCTION … LANGUAGE plpgsql makes. @raise Unreadable"""
    try:
        return _tree(definition)
    except Unreadable as why:
        if not any(each in str(why) for each in _UNKNOWN):
            raise
        for stand_in in (declarations.VALUE, declarations.ROW):
            with suppress(Unreadable):
                return _tree(declarations.simpler(definition, stand_in))
        raise


def _tree(definition: str) -> Any:
    result = lib.pg_query_parse_plpgsql(definition.encode())
    try:
        check_error(result)
        written: bytes = result.plpgsql_funcs
    except PgQueryError as why:
        raise Unreadable(why.message) from why
    finally:
        lib.pg_query_free_plpgsql_parse_result(result)
    try:
        if b'"datums":[{"PLpgSQL_rec":{"refname":"new"' in written[:100]:
            written = _PROMISES.sub(lambda found: b",{}" * (len(found[0]) // 4), written, count=1)
        return orjson.loads(written)
    except orjson.JSONDecodeError as why:
        raise Unreadable(f"the tree: {why.msg}") from why


def statements_in(parsed: Any, kinds: set[str]) -> Iterator[str]:
    """Every piece of SQL in a tree, as a statement of its own; `kinds` gets the names of all nodes and fields."""
    todo = [parsed]
    while todo:
        inside = todo.pop()
        if isinstance(inside, list):
            todo.extend(inside)
        elif isinstance(inside, dict):
            kinds.update(inside)
            expression = inside.get("PLpgSQL_expr")
            if expression is not None:
                yield _statement(expression["query"], expression.get("parseMode", 0))
            todo.extend(value for key, value in inside.items() if key != "PLpgSQL_expr")


def run_in(parsed: Any) -> frozenset[str]:
    """The expressions whose text EXECUTE runs: some of those of a tree."""
    found = list(nodes(parsed))
    run = [inside["query"] for kind, inside in found if kind in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors")]
    run += [inside for kind, inside in found if kind == "dynquery"]
    return frozenset(each["PLpgSQL_expr"]["query"] for each in run)


def _statement(text: str, mode: int) -> str:
    """`mode` is RawParseMode (parser.h): 0 a statement, 2 an expression, 3 and above an assignment."""
    if mode == 0:
        return text
    if mode > 2 and (found := _ASSIGNED.search(text)):
        return f"SELECT {text[found.end() :]}"
    return f"SELECT {text}"
