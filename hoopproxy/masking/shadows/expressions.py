"""The expression of one column of a twin: what a mask leaves of the original, computed by the server itself.

Every expression is exactly of the column's type, modifier and collation, is NULL where the value is NULL, and calls
only what can't fail for any value: an error would print it. Results are those of `masking.plans`, which does the same
on the wire. Names are all qualified. Knows no policy, and of keys nothing.
"""

from hoopproxy.events import Format
from hoopproxy.masking import numbers, times
from hoopproxy.masking.hashing import HASHED
from hoopproxy.masking.shadows.document_expressions import document, text_document
from hoopproxy.masking.shadows.inventory import Column
from hoopproxy.masking.shadows.quoting import dotted, literal
from hoopproxy.masking.types import DATE, FLOATS, INTEGERS, JSON, JSONB, MONEY, NAME, NUMERIC, TEXTS, TIMESTAMPTZ, Kind
from hoopproxy.masks import ColumnMask, Generalise, JsonPaths, KeyedHash, Nullify, Partial, Token, Truncate

_OWN_COLLATIONS = dict.fromkeys(TEXTS, 'pg_catalog."default"') | {NAME: 'pg_catalog."C"'}
"""Of types that have one; said where the column's is no other, since what is computed may bring another along."""

_INTEGER_NAMES = {2: "int2", 4: "int4", 8: "int8"}


def expression(column: Column, mask: ColumnMask, row: str, keyed: str = "") -> str:
    """What the twin shows in place of `column`, of the original that its query calls `row`.

    `keyed` is what the mask makes of the value where that needs a key (`keyed.Keys.of`); without it the column is
    redacted. What has no constant (domains, whose CHECKs might not take it, enums, composites, extensions' types) is
    NULL.
    """
    value = dotted(row, column.name)
    if column.is_domain:
        return f"(SELECT {value} WHERE false)"  # NULL without a cast to the domain, which may forbid it
    masked = _masked(column, mask, value, keyed)
    shown = "NULL" if masked is None else f"CASE WHEN {value} IS NULL THEN NULL ELSE {masked} END"
    collation = column.collation or _OWN_COLLATIONS.get(column.base_oid, "")
    return f"CAST({shown} AS {column.type_sql})" + (f" COLLATE {collation}" if collation else "")


def _masked(column: Column, mask: ColumnMask, value: str, keyed: str) -> str | None:
    """For a value that is not NULL, of the column's type or one that casts to it without fail; None: only NULL."""
    oid = column.base_oid
    kind = Kind(oid, column.type_modifier, Format.TEXT)
    match mask:
        case Nullify():
            return None
        case KeyedHash() if oid not in HASHED:
            return None
        case KeyedHash() | Token() if keyed:
            return keyed
        case Partial(first, last) if oid in TEXTS:
            return _ends(f"CAST({value} AS pg_catalog.text)", first, last)
        case Truncate(unit) if oid in times.TYPES:
            return _truncated(oid, value, unit, _constant(column, kind) or "NULL")
        case Generalise(step) if numbers.generalises(kind, step):
            return _generalised(oid, value, step)
        case JsonPaths() if oid == JSONB:
            return document(value, mask)
        case JsonPaths() if oid == JSON:
            return text_document(value, mask)
        case _:
            return _constant(column, kind)


def _constant(column: Column, kind: Kind) -> str | None:
    constant = kind.constant()
    if constant is None:
        return None
    # The sign of money, and where its point stands, is the server's; to read a bare zero needs neither.
    text = "0" if kind.oid == MONEY else constant.decode()
    return f"CAST({literal(text)} AS {column.type_sql})"


def _ends(text: str, first: int, last: int) -> str:
    length = f"pg_catalog.length({text})"
    hidden = f"pg_catalog.repeat('*', {length} OPERATOR(pg_catalog.-) {first + last})"
    return (
        f"CASE WHEN {length} OPERATOR(pg_catalog.>) {first + last}"
        f" THEN pg_catalog.left({text}, {first}) OPERATOR(pg_catalog.||) {hidden}"
        f" OPERATOR(pg_catalog.||) pg_catalog.right({text}, {last})"
        f" ELSE pg_catalog.repeat('*', {length}) END"
    )


def _truncated(oid: int, value: str, unit: str, constant: str) -> str:
    """By the calendar of UTC: one that the session may choose would move the borders, and so tell the moment."""
    utc = "CAST('00:00' AS pg_catalog.interval)"
    if oid == DATE:
        moment, back = f"CAST({value} AS pg_catalog.timestamp)", "CAST({} AS pg_catalog.date)"
    elif oid == TIMESTAMPTZ:
        moment, back = f"pg_catalog.timezone({utc}, {value})", f"pg_catalog.timezone({utc}, {{}})"
    else:
        moment, back = value, "{}"
    ends = [
        f"{value} OPERATOR(pg_catalog.{operator}) CAST({literal(end)} AS {times.TYPES[oid]})"
        for operator, end in (("<", times.FIRST), (">", times.LAST))[: 2 if oid == DATE else 1]
    ]
    return (
        f"CASE WHEN pg_catalog.isfinite({value}) AND ({' OR '.join(ends)}) THEN {constant}"
        f" ELSE {back.format(f'pg_catalog.date_trunc({literal(unit)}, {moment})')} END"
    )


def _generalised(oid: int, value: str, step: int) -> str:
    if oid in FLOATS:
        wide = f"CAST({value} AS pg_catalog.float8)"
        size = f"pg_catalog.abs({wide})"
        by = f"CAST({literal(str(step))} AS pg_catalog.float8)"
        most = f"CAST({literal(numbers.FLOAT_MAX)} AS pg_catalog.float8)"
        return (
            f"CASE WHEN {size} OPERATOR(pg_catalog.<) {by} THEN CAST('0' AS pg_catalog.float8)"
            f" WHEN {size} OPERATOR(pg_catalog.>) {most} THEN CAST('NaN' AS pg_catalog.float8)"
            f" ELSE pg_catalog.trunc({wide} OPERATOR(pg_catalog./) {by}) OPERATOR(pg_catalog.*) {by} END"
        )
    name = "numeric" if oid == NUMERIC else _INTEGER_NAMES[INTEGERS[oid]]
    by = f"CAST({literal(str(step))} AS pg_catalog.{name})"
    return f"({value} OPERATOR(pg_catalog.-) ({value} OPERATOR(pg_catalog.%) {by}))"
