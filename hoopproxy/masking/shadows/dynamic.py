"""SQL that a statement puts together and has run: `'SELECT … ' || 'FROM t WHERE id = ' || id`, `format('…', …)`.

What its constants say is read as one text, with stand-ins for what is only known when it runs; what changes there goes
back to the constants that it came from. Knows no names, and not what changes.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hoopproxy.events import Edit
from hoopproxy.masking.calls import constant
from hoopproxy.masking.shadows.quoting import quoted
from hoopproxy.masking.shadows.sites import Said
from hoopproxy.masking.syntax import Node, strings

_FILLED = re.compile(r"%(?:(?P<number>\d+)\$)?(?P<width>-?\d*)(?P<kind>[sIL%])")
"""What format() fills in (manual, "String Functions and Operators")."""

_NAME, _TEXT = "x", "'x'"
"""What stands in for a value that is not known."""

_QUOTING = frozenset({"quote_literal", "quote_nullable"})


@dataclass(frozen=True, slots=True)
class _Constant:
    """A constant of a statement: where it stands, and what it says."""

    at: int
    says: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the text: that of `source` from `start`, or what stands in for a value. `names`: a constant whose name
    stands there, quoted."""

    text: str
    source: _Constant | None = None
    start: int = 0
    is_template: bool = False
    names: _Constant | None = None


def reading(node: Node) -> str:
    """The text that an expression makes, as far as it is known; "" if nothing is."""
    pieces = _pieces(node)
    return "".join(piece.text for piece in pieces) if any(piece.source for piece in pieces) else ""


def said(node: Node, changed: Callable[[str], tuple[Edit, ...]]) -> Iterator[Said]:
    """The constants of an expression that changes, `changed` telling what in the text that it makes; none if that can't
    be done in constants alone."""
    pieces = _pieces(node)
    if not any(piece.source for piece in pieces):
        return
    text = "".join(piece.text for piece in pieces)
    found: defaultdict[_Constant, list[Edit]] = defaultdict(list)
    for edit in changed(text):
        for constant_, inner in _placed(pieces, _least(text, edit)):
            if constant_ is None:
                return
            found[constant_].append(inner)
    for each, edits in found.items():
        yield Said(each.at, each.says, tuple(edits))


# From an expression to pieces -----------------------------------------------------------------------------------------


def _pieces(node: Node) -> list[_Piece]:
    found: list[_Piece] = []
    todo = [node]
    while todo:
        each = todo.pop()
        while (kind := next(iter(each), "")) in ("NamedArgExpr", "TypeCast"):
            each = each[kind]["arg"]
        inside = each.get(kind, {})
        if said_here := _constant(each):
            found.append(_Piece(said_here.says, said_here))
        elif kind == "A_Expr" and "lexpr" in inside and strings(inside["name"])[-1:] == ["||"]:
            todo += inside["rexpr"], inside["lexpr"]
        elif kind == "FuncCall" and strings(inside["funcname"])[-1] == "format":
            found += _formatted(inside.get("args", []))
        else:
            name = strings(inside["funcname"])[-1] if kind == "FuncCall" else ""
            found.append(_Piece(_TEXT if name in _QUOTING else _NAME))
    return found


def _formatted(arguments: list[Node]) -> Iterator[_Piece]:
    """What format() makes of its template, if that is one of constants."""
    template, values = _pieces(arguments[0]) if arguments else [], [_constant(each) for each in arguments[1:]]
    number = 0
    for piece in template:
        if piece.source is None:
            yield piece
            continue
        at = 0
        for hole in _FILLED.finditer(piece.text):
            yield _Piece(piece.text[at : hole.start()], piece.source, at, is_template=True)
            at = hole.end()
            if hole["kind"] == "%":
                yield _Piece("%")
            else:
                number = int(hole["number"] or number + 1)
                value = values[number - 1] if 0 < number <= len(values) else None
                yield _filled(hole["kind"], value)
        yield _Piece(piece.text[at:], piece.source, at, is_template=True)


def _filled(kind: str, value: _Constant | None) -> _Piece:
    if value is None:
        return _Piece(_TEXT if kind == "L" else _NAME)
    if kind == "I":
        return _Piece(quoted(value.says), names=value)
    return _Piece(value.says if kind == "s" else "'" + value.says.replace("'", "''") + "'")


def _constant(node: Node) -> _Constant | None:
    text = constant(node)
    return None if text is None else _Constant(node["A_Const"].get("location", 0), text)


# And back -------------------------------------------------------------------------------------------------------------


def _least(text: str, edit: Edit) -> Edit:
    """The same change without the name at its end, if that stays: a twin has its original's, which may be filled in."""
    removed, put = text[edit.at : edit.at + edit.removed], edit.put
    _, dot, name = put.rpartition(".")
    if name and removed.endswith(name):
        ending = f"{dot}{name}" if dot and removed.endswith(f"{dot}{name}") else name
        removed, put = removed.removesuffix(ending), put.removesuffix(ending)
    return Edit(edit.at, len(removed), put)


def _is_name(put: str) -> bool:
    return put[:1] + put[-1:] == '""' and '"' not in put[1:-1]


def _placed(pieces: list[_Piece], edit: Edit) -> Iterator[tuple[_Constant | None, Edit]]:
    """The change by constants; None where it would have to change a value that is filled in."""
    begin, end, put = edit.at, edit.at + edit.removed, edit.put
    at = 0
    for piece in pieces:
        first, last = max(begin, at), min(end, at + len(piece.text))
        if first < last or (put and begin == end and at <= begin <= at + len(piece.text) and piece.source):
            if piece.names and (begin, end) == (at, at + len(piece.text)) and _is_name(put):
                yield piece.names, Edit(0, len(piece.names.says), put[1:-1])
                return
            if piece.source is None or ("%" in put and piece.is_template):
                yield None, edit
                return
            yield piece.source, Edit(piece.start + first - at, max(last - first, 0), put)
            put = ""
        at += len(piece.text)
    if put:
        yield None, edit
