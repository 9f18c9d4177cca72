"""What happens to each column of one result: the maskers' wishes as operations on cells, or a refusal.

Pure, and on the safe side: a protected column without a mask is a reason to refuse the result, never to show it. Knows
no policy and no wire.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from hoopproxy.events import Call, Constant, Field, Keep, KeepEnds, Null, Operation, Plan, Shape
from hoopproxy.masking.document_cells import documents
from hoopproxy.masking.fields import covers
from hoopproxy.masking.hashing import hashing
from hoopproxy.masking.numbers import generalising
from hoopproxy.masking.times import truncating
from hoopproxy.masking.tokens import tokenising
from hoopproxy.masking.types import BPCHAR, TEXT_FORMS, TEXTS, Kind
from hoopproxy.masks import (
    Catalog,
    Generalise,
    JsonPaths,
    KeyedHash,
    Mask,
    Nullify,
    Partial,
    PerCell,
    Token,
    Truncate,
)

_MASKS = get_args(Mask.__value__)

ANY = "*"
"""In `protected`: values are judged by content, whatever their origin."""


def compile(
    shape: Shape, answers: Sequence[tuple[str, Mapping[int, Mask]]], catalog: Catalog, protected: frozenset[str]
) -> Plan:
    """The plan of `shape`, from each masker's name and answer in the order of configuration.

    The first masker to name a field wins; but on a protected field a mask that knows its column goes before a
    `PerCell`, which may know only what a value looks like. `protected` are the paths masked in this session.

    @raise ValueError: an answer names no field of the shape, or holds no mask: its masker is broken.
    """
    for addon, masks in answers:
        for index, mask in masks.items():
            if type(index) is not int or not 0 <= index < len(shape.fields):
                raise ValueError(f"{addon!r} names the field {index!r} of {len(shape.fields)}")
            if not isinstance(mask, _MASKS):
                raise ValueError(f"{addon!r} answers {type(mask).__name__} for field {index}, which is no mask")
    operations: list[Operation] = []
    for index, each in enumerate(shape.fields):
        path = _path(each, catalog, protected)
        wished = [(addon, masks[index]) for addon, masks in answers if index in masks]
        if path:
            wished.sort(key=lambda wish: isinstance(wish[1], PerCell))
        refusal = _refusal(each, path, bool(wished), catalog, protected)
        if refusal:
            return Plan(shape, (Null(),) * len(shape.fields), refusal)
        operations.append(operation(each, *wished[0]) if wished else Keep())
    return Plan(shape, tuple(operations))


def operation(field: Field, addon: str, mask: Mask) -> Operation:
    """What `mask` means for cells of the field's type and format; NULL where it has no valid form."""
    kind = Kind(field.type_oid, field.type_modifier, field.format)
    match mask:
        case Nullify():
            return Null()
        case Partial(first, last) if kind.oid == BPCHAR:
            return Call(lambda cell: _padded_ends(cell, first, last), addon)
        case Partial(first, last) if kind.oid in TEXTS:
            return KeepEnds(first, last)
        case KeyedHash(key):
            hashed = hashing(key, kind)
            return Null() if hashed is None else Call(hashed, addon)
        case PerCell(function, named, reads_binary):
            readable = reads_binary or not kind.binary or kind.oid in TEXT_FORMS
            return Call(function, named) if readable else Null()
    made = _made(mask, kind)
    if made is not None:
        return Call(made, addon)
    constant = kind.constant()
    return Null() if constant is None else Constant(constant)


def _made(mask: Mask, kind: Kind) -> Callable[[bytes], bytes] | None:
    """What makes another value of the type of each; None where the mask has no meaning for it."""
    match mask:
        case Truncate(unit):
            return truncating(unit, kind)
        case Generalise(step):
            return generalising(step, kind)
        case Token(key):
            return tokenising(key, kind)
        case JsonPaths():
            return documents(mask, kind)
        case _:
            return None


def keep_ends(text: str, first: int, last: int) -> str:
    """`text` with `*` for what lies between its first and last characters; too short a text is all `*`."""
    between = len(text) - first - last
    return "*" * len(text) if between <= 0 else text[:first] + "*" * between + text[first + between :]


def _padded_ends(cell: bytes, first: int, last: int) -> bytes:
    """The ends of a `char(n)` are those of its value, not of its padding."""
    value = cell.rstrip(b" ")
    masked = keep_ends(value.decode("utf-8", "replace"), first, last)
    return masked.encode() + cell[len(value) :]


def _path(field: Field, catalog: Catalog, protected: frozenset[str]) -> str:
    """The protected path that a field comes from, by its origin or by the name that the machine gave it; or ""."""
    relation = catalog.protected.get(field.table_oid)
    path = relation.columns.get(field.column_number, "") if relation else ""
    if path or field.path in protected:
        return path or field.path
    if field.table_oid or not field.path:
        return ""
    # A place in a document, which rules name by patterns: one that protects it by itself goes before a list.
    found = sorted((_is_list(rule), rule) for rule in protected if covers(rule, field.path))
    return found[0][1] if found else ""


def _is_list(path: str) -> bool:
    """Whether it protects all that a list leaves out, so that a field may have no mask."""
    return path.endswith(" *")


def _refusal(field: Field, path: str, masked: bool, catalog: Catalog, protected: frozenset[str]) -> str:
    """Why no row with this field may pass; "" when it may."""
    if path and not masked and not field.table_oid and not _is_list(path):
        return f"The gateway has no mask for {path}, so it shows nothing of this result: tell its operator."
    if not field.table_oid or not (catalog.protected or protected - {ANY}):
        return ""
    if field.table_oid in catalog.tainted:
        view = catalog.tainted[field.table_oid]
        return (
            f"{view.schema}.{view.name} can't be used in this session, because it reads masked columns and its result "
            "would not be masked: select from the tables below it."
        )
    if field.table_oid not in catalog.known:
        return (
            f"The column {field.name} comes from a table or view that is newer than this session, so it can't be "
            "masked: connect again."
        )
    relation = catalog.protected.get(field.table_oid)
    if relation is not None and field.column_number <= 0:
        return (
            f"The column {field.name} is no plain column of {relation.schema}.{relation.name}, which this session sees "
            "masked: name the columns that you need."
        )
    if path and not masked:
        return f"The gateway has no mask for {path}, so it shows no row of this result: tell its operator."
    return ""
