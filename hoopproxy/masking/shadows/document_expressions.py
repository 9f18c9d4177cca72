"""What is shown of a JSON document, as an expression in SQL that no document can make fail.

Of a document under a list of what is shown, what is not on it is left out: the names of members can be data, too. Under
a list of what is hidden, hidden values become a constant of their kind. One that is nested so deep that the server
could hardly take it in (above 10,000 levels) may end in the server's own "stack depth limit exceeded", which tells no
value. Knows neither columns nor policy.
"""

import json

from hoopproxy.masking.documents import (
    BLANKS,
    BYTES_MAX,
    ESCAPED_BACKSLASH,
    NO_ESCAPE,
    PAIR,
    STRING,
    UNFIT_ESCAPE,
    UNFIT_NUMBER,
    Branch,
    branch,
)
from hoopproxy.masking.shadows.quoting import literal
from hoopproxy.masks import JsonPaths

_BLANKS = json.dumps({kind: json.loads(value) for kind, value in BLANKS.items()})
_EMPTY = "CAST('{}' AS pg_catalog.jsonb)"
_NO_ELEMENT = "CAST('[]' AS pg_catalog.jsonb)"


def document(value: str, mask: JsonPaths) -> str:
    """Of `value`, which is SQL for a jsonb, what the mask leaves: a jsonb, NULL for NULL alone."""
    return _shown(value, branch(mask.paths), mask.is_hidden, 0)


def text_document(value: str, mask: JsonPaths) -> str:
    """The same for a json, whose text may hold what no jsonb takes (escapes that are no character, numbers out of
    range): such a document is redacted whole. It is read once, whatever the number of paths."""
    text = f"CAST({value} AS pg_catalog.text)"
    inner = f"(SELECT {document('d.doc', mask)} FROM (SELECT CAST({value} AS pg_catalog.jsonb) AS doc OFFSET 0) AS d)"
    blank = f"CAST({literal(BLANKS['string'])} AS pg_catalog.jsonb)"
    return (
        f"CASE WHEN pg_catalog.octet_length({text}) OPERATOR(pg_catalog.>) {BYTES_MAX} THEN {blank}"
        f" WHEN {_is_unfit(text)} THEN {blank} ELSE {inner} END"
    )


def _is_unfit(text: str) -> str:
    bare = f"pg_catalog.replace({text}, {literal(ESCAPED_BACKSLASH)}, {literal(NO_ESCAPE)})"
    single = f"pg_catalog.regexp_replace({bare}, {literal(PAIR)}, {literal(NO_ESCAPE)}, 'g')"
    no_string = f"pg_catalog.regexp_replace({bare}, {literal(STRING)}, {literal(NO_ESCAPE)}, 'g')"
    # Other encodings do not have every character that an escape may name.
    elsewhere = (
        f"pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) 'UTF8'"
        f" AND {bare} OPERATOR(pg_catalog.~) {literal(r'\\u')}"
    )
    return (
        f"({single} OPERATOR(pg_catalog.~) {literal(UNFIT_ESCAPE)}"
        f" OR {no_string} OPERATOR(pg_catalog.~) {literal(UNFIT_NUMBER)} OR {elsewhere})"
    )


def _blank(value: str) -> str:
    return f"(CAST({literal(_BLANKS)} AS pg_catalog.jsonb) OPERATOR(pg_catalog.->) pg_catalog.jsonb_typeof({value}))"


def _is(value: str, kind: str) -> str:
    return f"pg_catalog.jsonb_typeof({value}) OPERATOR(pg_catalog.=) '{kind}'"


def _shown(value: str, below: Branch, hides: bool, depth: int) -> str:
    if below.is_whole:
        return _blank(value) if hides else value
    elements = ""
    if below.others:
        element = f"e{depth}"
        each = _shown(f"{element}.value", below.others, hides, depth + 1)
        elements = (
            f" WHEN {_is(value, 'array')} THEN (SELECT COALESCE(pg_catalog.jsonb_agg({each} ORDER BY {element}.place),"
            f" {_NO_ELEMENT}) FROM pg_catalog.jsonb_array_elements({value})"
            f" WITH ORDINALITY AS {element}(value, place))"
        )
        members = _all_members(value, below, hides, depth)
    else:
        members = _named_members(value, below, hides, depth)
    rest = value if hides else _blank(value)
    return f"CASE WHEN {_is(value, 'object')} THEN {members}{elements} ELSE {rest} END"


def _named_members(value: str, below: Branch, hides: bool, depth: int) -> str:
    parts = [value if hides else _EMPTY]
    for name, within in below.members.items():
        key = literal(name)
        member = _shown(f"({value} OPERATOR(pg_catalog.->) {key})", within, hides, depth)
        parts.append(
            f"CASE WHEN pg_catalog.jsonb_exists({value}, {key})"
            f" THEN pg_catalog.jsonb_build_object({key}, {member}) ELSE {_EMPTY} END"
        )
    return f"({' OPERATOR(pg_catalog.||) '.join(parts)})"


def _all_members(value: str, below: Branch, hides: bool, depth: int) -> str:
    assert below.others is not None
    member = f"m{depth}"
    ways = "".join(
        f" WHEN {member}.key OPERATOR(pg_catalog.=) {literal(name)}"
        f" THEN {_shown(f'{member}.value', within, hides, depth + 1)}"
        for name, within in below.members.items()
    )
    rest = _shown(f"{member}.value", below.others, hides, depth + 1)
    each = f"CASE{ways} ELSE {rest} END" if ways else rest
    return (
        f"(SELECT COALESCE(pg_catalog.jsonb_object_agg({member}.key, {each}), {_EMPTY})"
        f" FROM pg_catalog.jsonb_each({value}) AS {member}(key, value))"
    )
