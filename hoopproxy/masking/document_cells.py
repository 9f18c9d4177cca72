"""JSON cells of which a mask leaves some places: the same as the database's own expression makes of them.

A cell is read once, and what is left of it written anew, as PostgreSQL writes a jsonb: nobody can read it in another
way. What can't be read is redacted whole. Knows no column.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

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
from hoopproxy.masking.types import JSON, JSONB, Kind
from hoopproxy.masks import JsonPaths

_VERSION = b"\x01"
"""What a binary jsonb begins with."""

_PAIR, _UNFIT_ESCAPE, _UNFIT_NUMBER = map(re.compile, (PAIR, UNFIT_ESCAPE, UNFIT_NUMBER))
_STRING = re.compile(STRING, re.DOTALL)


class _Number(str):
    """A number as it was spelled."""

    __slots__ = ()


def documents(mask: JsonPaths, kind: Kind) -> Callable[[bytes], bytes] | None:
    """A function from a cell of `kind` to what the mask leaves of it; None for other types than json and jsonb."""
    if kind.oid not in (JSON, JSONB):
        return None
    head = _VERSION if kind.oid == JSONB and kind.binary else b""
    check = _check if kind.oid == JSON else None
    below = branch(mask.paths)
    return lambda cell: head + _left(cell, head, check, below, mask.is_hidden)


def _left(cell: bytes, head: bytes, check: Callable[[str], None] | None, below: Branch, hides: bool) -> bytes:
    try:
        if len(cell) > BYTES_MAX or not cell.startswith(head):
            raise ValueError("no document that is read")
        text = cell[len(head) :].decode()
        if check is not None:
            check(text)
        return _written(_shown(_DECODER.decode(text), below, hides)).encode()
    except (ValueError, RecursionError):  # UnicodeError and JSONDecodeError are among the first
        return BLANKS["string"].encode()


def _check(text: str) -> None:
    """@raise ValueError: PostgreSQL could not make a jsonb of it."""
    if "\\" in text:
        bare = text.replace(ESCAPED_BACKSLASH, NO_ESCAPE)
        if _UNFIT_ESCAPE.search(_PAIR.sub(NO_ESCAPE, bare)):
            raise ValueError("an escape that is no character")
    else:
        bare = text
    if _UNFIT_NUMBER.search(_STRING.sub(NO_ESCAPE, bare)):
        raise ValueError("a number that is out of range")


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


# The last of members with one name counts, as for a jsonb. Numbers keep their digits.
_DECODER = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_refuse)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case _Number():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


_BLANK = {kind: _Number(value) if kind == "number" else json.loads(value) for kind, value in BLANKS.items()}


def _shown(value: Any, below: Branch, hides: bool) -> Any:
    if below.is_whole:
        return _BLANK[_kind(value)] if hides else value
    if isinstance(value, dict):
        return {
            name: member if way is None else _shown(member, way, hides)
            for name, member in value.items()
            if (way := below.members.get(name, below.others)) is not None or hides
        }
    if isinstance(value, list) and below.others is not None:
        return [_shown(each, below.others, hides) for each in value]
    return value if hides else _BLANK[_kind(value)]


def _written(value: Any) -> str:
    """As jsonb_out writes it: members in the order of their names' lengths, and of their bytes."""
    match value:
        case dict():
            members = sorted((len(key := name.encode()), key, name) for name in value)
            return "{" + ", ".join(f"{_quoted(name)}: {_written(value[name])}" for _, _, name in members) + "}"
        case list():
            return "[" + ", ".join(map(_written, value)) + "]"
        case _Number():
            return _spelled(value)
        case str():
            return _quoted(value)
        case _:
            return json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _spelled(number: _Number) -> str:
    """As numeric_out writes it: no exponent, all places, and no negative zero."""
    if number.isdecimal():
        return number
    written = f"{Decimal(number):f}"
    return written.removeprefix("-") if not Decimal(number) else written
