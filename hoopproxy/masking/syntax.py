"""A statement's text as PostgreSQL's own grammar reads it (libpg_query, through postgast).

Knows the tree's form and nothing of what it means. The tree is libpg_query's JSON: a node is a dict with one key, its
kind; a field of one fixed kind holds the node's inside without that key. Protobuf, postgast's own form, ends at 100
nested messages, which a chain of 35 `||` reaches; JSON carries more than 300.
"""

from collections.abc import Iterator
from ctypes import c_char_p, c_int
from typing import Any

import orjson
from postgast.errors import PgQueryError, check_error
from postgast.native import PgQueryParseResult, lib

type Node = dict[str, Any]

NAME_BYTES_MAX = 63  # NAMEDATALEN - 1: PostgreSQL cuts longer identifiers (manual, "Lexical Structure")


class Unreadable(ValueError):
    """The text is not PostgreSQL's SQL, or too deep for us. The message is the parser's, fit for the operator."""


PLAIN_STRINGS_OFF = 32
"""An option of `parsed`: backslashes are escapes in all strings (PG_QUERY_DISABLE_STANDARD_CONFORMING_STRINGS)."""

lib.pg_query_parse_opts.argtypes = [c_char_p, c_int]
lib.pg_query_parse_opts.restype = PgQueryParseResult


def statements(text: str, tree_bytes_max: int | None = None) -> tuple[Node, ...]:
    """Every statement of `text`, in order; () for nothing but blanks, comments and semicolons.

    @raise Unreadable
    """
    return tuple(raw["stmt"] for raw in parsed(text, 0, tree_bytes_max))


def parsed(text: str, options: int = 0, tree_bytes_max: int | None = None) -> list[Node]:
    """The statements of `text` (`stmt`), each with where it stands in its UTF-8 (`stmt_location`, `stmt_len`, not
    there: 0, to the end). `options` are libpg_query's: a grammar's number (1 to 5, as PL/pgSQL's trees name them), and
    PLAIN_STRINGS_OFF. A tree with more than `tree_bytes_max` bytes of JSON is not read: the parser works beside others,
    what reads its JSON holds them all up.

    @raise Unreadable
    """
    if "\0" in text:
        raise Unreadable("a NUL byte, where the parser would stop and the server might not")
    try:
        result = lib.pg_query_parse_opts(text.encode(), options)
    except UnicodeEncodeError as why:
        raise Unreadable("characters that are not Unicode") from why
    try:
        check_error(result)
        if tree_bytes_max is not None and len(result.parse_tree) > tree_bytes_max:
            raise Unreadable("more than the gateway reads at once")
        tree = orjson.loads(result.parse_tree)
    except PgQueryError as why:
        raise Unreadable(why.message) from why
    except orjson.JSONDecodeError as why:
        raise Unreadable(f"the tree: {why.msg}") from why
    finally:
        lib.pg_query_free_parse_result(result)
    found: list[Node] = tree["stmts"]
    return found


def opened(node: Node) -> tuple[str, Node]:
    """A node's kind and its inside."""
    ((kind, inside),) = node.items()
    return kind, inside


def strings(nodes: list[Node]) -> list[str]:
    """The texts of the String nodes among these (names of columns, parts of a qualified name)."""
    return [node["String"].get("sval", "") for node in nodes if "String" in node]


def fold(name: str) -> str:
    """A name for comparison, on the safe side: names that any server could take for the same come out equal.

    Servers in single-byte encodings fold `É` too, and cut a long name elsewhere than we do.
    """
    return name.encode("utf-8", "replace")[:NAME_BYTES_MAX].decode("utf-8", "ignore").lower()


def nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every (key, value) below `tree`, at any depth and in no particular order."""
    todo = [tree]
    while todo:
        inside = todo.pop()
        if isinstance(inside, dict):
            yield from inside.items()
            todo.extend(inside.values())
        elif isinstance(inside, list):
            todo.extend(inside)
