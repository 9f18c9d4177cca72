"""What is done to the cells of one field, by its type and format: where something is looked for, and what stays valid.

Every function here takes any bytes. What can't be read as its type becomes what tells nothing, as it is nobody's to
show. Knows neither rules nor people.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hoopproxy.masking.content.budget import ELEMENT, SEARCH, Budget, TooDear
from hoopproxy.masking.content.detector import Detector, Found
from hoopproxy.masking.content.json_cells import mask_json
from hoopproxy.masking.content.marks import Style, ends, label, stars, stars_by_byte
from hoopproxy.masking.content.readings import ELEMENTS, NUMBERS, READABLE, array, elements, reading
from hoopproxy.masking.types import BPCHAR, FLOAT4, INT2, INT4, JSON, JSONB, TEXTS, XML, Kind

type Mark = Callable[[Found, bytes], bytes]
type Masked = Callable[[bytes], bytes | None]
type _Within = Callable[[bytes, Budget], bytes | None]

_JSONB_VERSION = b"\x01"

_OWN_TYPES_MIN = 16384
"""From here on OIDs are each database's own (FirstNormalObjectId): enums, composites, types of extensions."""

# unknown, refcursor, record, cstring, record[], tsvector, tsquery, jsonpath
_OPAQUE = frozenset({705, 1790, 2249, 2275, 2287, 3614, 3615, 4072})

_WIDE_NUMBERS = NUMBERS - {INT2, INT4, FLOAT4}
"""Those that hold a card number; in the narrow ones only a number whose column has its name can be meant."""


class _Whole(Exception):
    """Something was found that hides all of the value."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is looked for in a field, and how each entity is masked. `named` need no words near them."""

    detector: Detector
    styles: Mapping[str, Style]
    named: frozenset[str]

    def cells(self, kind: Kind) -> Masked | None:
        """What becomes of the field's non-NULL cells; None: nothing is looked for in values of this type.

        What takes more work than a call may do becomes the type's constant: it may hold anything.
        """
        mask, constant = self._cells(kind), kind.constant()
        if mask is None:
            return None

        def masked(cell: bytes) -> bytes | None:
            try:
                return mask(cell, Budget())
            except TooDear:
                return constant

        return masked

    def _cells(self, kind: Kind) -> _Within | None:
        oid, constant = kind.oid, kind.constant()
        if oid in TEXTS or oid == XML:
            mark = _form if oid == BPCHAR else label
            return _or(constant, self._text, mark)
        if oid in (JSON, JSONB):
            return _or(constant, self._json, oid == JSONB and kind.binary)
        if oid in READABLE and (oid in _WIDE_NUMBERS or oid not in NUMBERS or self.named):
            return _or(constant, self._value, reading(oid, binary=kind.binary))
        if oid in ELEMENTS:
            inner = Kind(ELEMENTS[oid], -1, kind.format)
            if kind.binary:
                return self._array(inner, constant)
            mark = _form if inner.oid in TEXTS else _hide
            return _or(constant, self._text, mark)
        if oid >= _OWN_TYPES_MIN or oid in _OPAQUE:
            return _or(None, self._text, _same_size)
        return None

    def _text(self, text: bytes, budget: Budget, mark: Mark, named: frozenset[str] | None = None) -> bytes:
        found = self.detector.find(text, self.named if named is None else named, budget)
        if not found:
            return text
        budget.spend(SEARCH * len(found))
        parts: list[bytes] = []
        done = 0
        for each in found:
            parts += text[done : each.start], self._marked(each, text[each.start : each.end], mark)
            done = each.end
        parts.append(text[done:])
        return b"".join(parts)

    def _marked(self, found: Found, value: bytes, mark: Mark) -> bytes:
        match self.styles[found.entity.name]:
            case Style.WHOLE:
                raise _Whole
            case Style.PARTIAL if mark is not _hide:
                return ends(found, value, by_byte=mark is _same_size)
            case _:
                return mark(found, value)

    def _json(self, cell: bytes, budget: Budget, has_version: bool) -> bytes:
        head, body = cell[: int(has_version)], cell[int(has_version) :]
        if head != _JSONB_VERSION[: int(has_version)]:
            raise ValueError("no version of jsonb that is known")
        budget.walk(len(body))
        if b"\\" not in body and not self.detector.may_hold(body):
            return cell

        def mask(value: bytes, names: bytes) -> bytes:
            return self._text(value, budget, label, self.named | self.detector.named(names))

        return head + mask_json(body, mask, lambda: budget.spend(ELEMENT))

    def _value(self, cell: bytes, budget: Budget, read: Callable[[bytes], bytes]) -> bytes:
        text = read(cell)
        if any(each.start == 0 and each.end == len(text) for each in self.detector.find(text, self.named, budget)):
            raise _Whole
        return cell

    def _array(self, inner: Kind, constant: bytes | None) -> _Within:
        mask = self._cells(inner)
        if mask is None:
            return lambda cell, budget: cell
        may_change = inner.oid in TEXTS or inner.oid in (JSON, JSONB, XML)

        def masked(cell: bytes, budget: Budget) -> bytes | None:
            was: list[bytes | None] = []
            now: list[bytes | None] = []
            try:
                head, parts = elements(cell)
                for each in parts:
                    budget.spend(ELEMENT)
                    was.append(each)
                    now.append(each if each is None else mask(each, budget))
            except ValueError:
                return constant
            if now == was:
                return cell
            return array(head, now) if may_change else constant

        return masked


def _or(constant: bytes | None, mask: Callable[..., bytes], how: object) -> _Within:
    """What `mask` makes of a cell, given `how`; `constant` where that is nothing that may be seen."""

    def within(cell: bytes, budget: Budget) -> bytes | None:
        try:
            return mask(cell, budget, how)
        except (_Whole, ValueError):
            return constant

    return within


def _form(found: Found, value: bytes) -> bytes:
    return stars(value)


def _same_size(found: Found, value: bytes) -> bytes:
    return stars_by_byte(value)


def _hide(found: Found, value: bytes) -> bytes:
    raise _Whole
