"""Numbers cut down to a multiple of a step, towards zero, as PostgreSQL writes them in text and in binary.

What is no number (NaN, the infinities) becomes NaN. Knows no column.
"""

import math
from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation
from struct import Struct, calcsize, pack, unpack

from hoopproxy.masking.types import FLOAT4, FLOATS, INTEGERS, NUMERIC, Kind, numeric_scale

FLOAT_MAX = "1e300"
"""Beyond it a multiple might be one that the type does not have: such a number becomes NaN, too."""

DIGITS_MAX, PLACES_MAX = 131072, 16383
"""Before and behind a numeric's point (manual, "Numeric Types"). Ten characters of JSON could say more."""

_EXACT = Context(prec=DIGITS_MAX + PLACES_MAX)

_NUMERIC = Struct("!HhHH")
"""Of a binary numeric: its groups of four digits, the weight of the first, its sign, and the places that it shows."""

_NAN, _INFINITE, _MINUS_INFINITE = 0xC000, 0xD000, 0xF000


def generalises(kind: Kind, step: int) -> bool:
    """Whether numbers of `kind` have multiples of `step`; without, zero is as good."""
    if kind.oid in INTEGERS:
        return step < 1 << INTEGERS[kind.oid] * 8 - 1
    if kind.oid == NUMERIC:
        return kind.modifier < 4 or numeric_scale(kind.modifier) >= 0  # numeric(3,-2) holds multiples of its own
    return kind.oid in FLOATS


def generalising(step: int, kind: Kind) -> Callable[[bytes], bytes] | None:
    """A function from a cell of `kind` to its multiple in the same format; None where there is none.

    It raises ValueError or ArithmeticError for a cell that is none of the kind.
    """
    if not generalises(kind, step):
        return None
    if kind.oid in INTEGERS:
        return lambda cell: _integer(cell, INTEGERS[kind.oid], kind.binary, step)
    if kind.oid == NUMERIC:
        numeric = _binary_numeric if kind.binary else _numeric
        return lambda cell: numeric(cell, step)
    layout = "!f" if kind.oid == FLOAT4 else "!d"
    return lambda cell: _float(cell, layout, kind.binary, float(step))


def _integer(cell: bytes, width: int, binary: bool, step: int) -> bytes:
    if binary and len(cell) != width:
        raise ValueError("an integer of another width than its type")
    value = int.from_bytes(cell, signed=True) if binary else int(cell)
    made = abs(value) // step * (step if value > 0 else -step)
    return made.to_bytes(width, signed=True) if binary else b"%d" % made


# Numerics ------------------------------------------------------------------------------------------------------------


def _numeric(cell: bytes, step: int) -> bytes:
    try:
        value = Decimal(cell.decode("ascii"))
    except InvalidOperation as why:
        raise ValueError("no number") from why
    places = value.as_tuple().exponent
    if not isinstance(places, int) or value.adjusted() >= DIGITS_MAX or places < -PLACES_MAX:
        return b"NaN"
    return f"{_cut(value, step):f}".encode()


def _cut(value: Decimal, step: int) -> Decimal:
    return _EXACT.subtract(value, _EXACT.remainder(value, Decimal(step)))


def _binary_numeric(cell: bytes, step: int) -> bytes:
    if len(cell) < _NUMERIC.size:
        raise ValueError("a numeric without a head")
    count, weight, sign, places = _NUMERIC.unpack_from(cell)
    if sign in (_NAN, _INFINITE, _MINUS_INFINITE):
        return _NUMERIC.pack(0, 0, _NAN, 0)
    if len(cell) != _NUMERIC.size + 2 * count:
        raise ValueError("a numeric of another length than it says")
    groups = unpack(f"!{count}H", cell[_NUMERIC.size :])[: weight + 1] if weight >= 0 else ()
    whole = "".join(f"{group:04}" for group in groups) + "0000" * (weight + 1 - len(groups))
    digits = f"{_cut(Decimal(whole or 0), step):f}"
    if digits == "0":
        return _NUMERIC.pack(0, 0, 0, places)
    digits = digits.zfill(-(-len(digits) // 4) * 4)
    made = [int(digits[at : at + 4]) for at in range(0, len(digits), 4)]
    weight = len(made) - 1
    while not made[-1]:
        made.pop()
    return _NUMERIC.pack(len(made), weight, sign, places) + pack(f"!{len(made)}H", *made)


# Floating point ------------------------------------------------------------------------------------------------------


def _float(cell: bytes, layout: str, binary: bool, step: float) -> bytes:
    if binary and len(cell) != calcsize(layout):
        raise ValueError("a float of another width than its type")
    value = unpack(layout, cell if binary else pack(layout, float(cell)))[0]
    if abs(value) < step:
        made = 0.0
    elif abs(value) <= float(FLOAT_MAX):
        made = math.trunc(value / step) * step
    else:
        made = math.nan
    return pack(layout, made) if binary else _written(made, layout).encode()


def _written(value: float, layout: str) -> str:
    """A whole number, or NaN, as float4out and float8out write it."""
    if math.isnan(value):
        return "NaN"
    if layout == "!f":
        value = unpack(layout, pack(layout, value))[0]
        written = next(text for places in range(9) if _single(text := f"{value:.{places}e}") == value)
        plain_max = 6
    else:
        written = f"{Decimal(repr(value)).normalize():e}"
        plain_max = 15
    digits, _, exponent = written.partition("e")
    if int(exponent) < plain_max:
        return str(int(value))
    return f"{digits}e+{int(exponent):02}"


def _single(text: str) -> float:
    """As a float4 reads it."""
    try:
        value: float = unpack("!f", pack("!f", float(text)))[0]
    except OverflowError:  # rounded up beyond the last one
        return math.inf
    return value
