"""A function of PL/pgSQL with other types in its declarations, for a parser that knows those of two schemas alone.

libpg_query does not read `r app.person;` at all, and takes `r person%ROWTYPE` for a value that has no fields, and
`m mood;` for a row. What stands in for a type changes no statement. Knows no statement of PL/pgSQL.
"""

import re
from collections.abc import Iterator

from hoopproxy.masking.shadows.quoting import dotted
from hoopproxy.masking.syntax import Node, Unreadable, statements, strings

VALUE, ROW = "pg_catalog.text", "public.a_row"
"""Types to stand in: one without fields, and one that the parser takes for a record's, as it does not know it."""

_TOKEN = re.compile(
    r"""
    (?:\s+|--[^\n]*|/\*.*?\*/)+
    | (?P<text>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<word>"(?:[^"]|"")*"|[^\W\d][\w$]*)
    | (?P<other>.)
    """,
    re.X | re.S,
)
_KNOWN = (["pg_catalog"], ["public"])
_NO_TYPES = frozenset({"alias", "cursor", "no", "scroll", "record", "refcursor"})
_BEHIND = frozenset({":", "=", "default", "not", "collate"})
"""What may follow a type."""

type _Tokens = list[re.Match[str]]


def simpler(source: str, stand_in: str) -> str:
    """A CREATE FUNCTION or DO that says the same with `stand_in` for the types that the parser does not know.

    @raise Unreadable: it is neither.
    """
    made: Node = next(iter(statements(source)), {})
    tag = "$plain$"
    inside: Node = made.get("CreateFunctionStmt") or made.get("DoStmt") or {}
    options = {
        each["DefElem"]["defname"]: each["DefElem"] for each in inside.get("options") or inside.get("args") or ()
    }
    said: Node = options.get("as", {}).get("arg", {})
    texts: list[Node] = said["List"]["items"] if "List" in said else [said]
    body = next(iter(strings(texts)), None)
    if body is None or tag in body:
        raise Unreadable("it is no function, or one that is written in an odd way")
    body = f"{tag}{_declared(body, stand_in)}{tag}"
    if "DoStmt" in made:
        return f"DO {body}"
    parameters = [each["FunctionParameter"] for each in inside.get("parameters", ())]
    listed = ", ".join(_parameter(each, stand_in) for each in parameters if each["mode"] != "FUNC_PARAM_TABLE")
    columns = ", ".join(_parameter(each, stand_in) for each in parameters if each["mode"] == "FUNC_PARAM_TABLE")
    kind, returns = ("PROCEDURE", "") if inside.get("is_procedure") else ("FUNCTION", "")
    if columns:
        returns = f" RETURNS TABLE ({columns})"
    elif "returnType" in inside and kind == "FUNCTION":
        returns = f" RETURNS {_type(inside['returnType'], stand_in)}"
    return f"CREATE {kind} f({listed}){returns} LANGUAGE plpgsql AS {body}"


_MODES = {"FUNC_PARAM_OUT": "OUT ", "FUNC_PARAM_INOUT": "INOUT "}  # a body sees no other


def _parameter(inside: Node, stand_in: str) -> str:
    name = dotted(inside["name"]) + " " if inside.get("name") else ""
    return f"{_MODES.get(inside['mode'], '')}{name}{_type(inside['argType'], stand_in)}"


def _type(inside: Node, stand_in: str) -> str:
    names = strings(inside["names"])
    known = dotted(*names) if len(names) == 1 or names[:-1] in _KNOWN else stand_in
    return ("SETOF " if inside.get("setof") else "") + known + "[]" * len(inside.get("arrayBounds", ()))


# Declarations in a body -----------------------------------------------------------------------------------------------


def _declared(body: str, stand_in: str) -> str:
    pieces: list[str] = []
    at = 0
    for declaration in _declarations(body):
        for start, end in _unknown(declaration, stand_in):
            pieces += body[at:start], f" {stand_in} "
            at = end
    return "".join((*pieces, body[at:]))


def _declarations(body: str) -> Iterator[_Tokens]:
    """The tokens of each declaration."""
    found: _Tokens | None = None
    for token in _TOKEN.finditer(body):
        if token.lastgroup is None:
            continue
        word = token[0].lower()
        if word == "declare":
            found = []
        elif found is not None and word == "begin" and not found:
            found = None
        elif found is not None and word == ";":
            yield found
            found = []
        elif found is not None:
            found.append(token)


def _unknown(tokens: _Tokens, stand_in: str) -> Iterator[tuple[int, int]]:
    """Where a declaration has a type that the parser does not know."""
    words = [token[0].lower() for token in tokens]
    begin = 2 if words[1:2] == ["constant"] else 1
    if len(words) <= begin or words[begin] in _NO_TYPES:
        return
    end = begin + 1
    while words[end : end + 1] == ["."]:
        end += 2
    behind = words[end] if end < len(words) else ":"
    if behind == "%":
        if stand_in == ROW and words[end + 1 : end + 2] == ["rowtype"]:
            yield tokens[begin].start(), tokens[end + 1].end()
    elif behind in _BEHIND if stand_in == VALUE else end > begin + 1 and [words[begin].strip('"')] not in _KNOWN:
        yield tokens[begin].start(), tokens[end - 1].end()
