# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The row kernel: cuts the cells of DataRow messages as a plan says; passes nothing that it doesn't understand.

One file in Cython's pure Python mode: compiled at install it is the data plane, interpreted it is the reference and the
fallback; `tests/wire/test_kernel.py` proves both equal. Knows no other message, no I/O and no policy.

Measured: plain `int` buys nothing over `Py_ssize_t` and `uchar[::1]`, and slices of memoryviews in the row loop cost
five times what copying byte by byte does, which gcc turns into memcpy.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return"
# To mypy everything of `cython` is Any.

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import cython
from cython import Py_ssize_t, longlong, uchar

from hoopproxy.errors import AddonFailure, ProtocolViolation
from hoopproxy.events import Call, Constant, Keep, KeepEnds, Null, Operation

SOURCE_SHA256 = ""
"""SHA-256 of this file as it was when it was compiled; the build fills it in, the loader compares."""

_KEEP = cython.declare(cython.int, 0)
_NULL = cython.declare(cython.int, 1)
_CONSTANT = cython.declare(cython.int, 2)
_KEEP_ENDS = cython.declare(cython.int, 3)
_CALL = cython.declare(cython.int, 4)


class Cut(NamedTuple):
    """What one run became. `marked` is where, in `output`, the rows that a recorder wants end."""

    output: bytes
    bytes_used: int
    rows: int
    cells_masked: int
    marked: int


@cython.cclass
class Cutter:
    """One plan, ready to run. `operations` None: the columns are unknown; rows are only counted.

    A row over `row_bytes_max` is left alone: it goes by in pieces (`wire.postgres.pieces.LongRow`).
    """

    _columns: Py_ssize_t
    _masks: cython.bint
    _row_bytes_max: Py_ssize_t
    _growth: Py_ssize_t
    _codes: uchar[::1]
    _left: longlong[::1]
    _right: longlong[::1]
    _constants: uchar[::1]
    _calls: list[Call]

    def __init__(self, operations: Sequence[Operation] | None, row_bytes_max: int) -> None:
        codes, left, right, constants = bytearray(), array("q"), array("q"), bytearray()
        calls: list[Call] = []
        for operation in operations or ():
            first, last = 0, 0
            if isinstance(operation, Keep):
                code = _KEEP
            elif isinstance(operation, Null):
                code = _NULL
            elif isinstance(operation, Constant):
                code, first, last = _CONSTANT, len(constants), len(operation.value)
                constants += operation.value
            elif isinstance(operation, KeepEnds) and operation.first >= 0 and operation.last >= 0:
                code = _KEEP_ENDS
                first, last = min(operation.first, row_bytes_max), min(operation.last, row_bytes_max)
            elif isinstance(operation, Call):
                code, first = _CALL, len(calls)
                calls.append(operation)
            else:
                raise ValueError(f"the row kernel knows no operation {operation!r}")
            codes.append(code)
            left.append(first)
            right.append(last)
        self._columns = -1 if operations is None else len(operations)
        self._masks, self._growth, self._row_bytes_max = any(codes), len(constants), row_bytes_max
        self._codes, self._constants, self._left, self._right = codes, constants, left, right
        self._calls = calls

    def cut(self, data: bytearray, rows_marked: Py_ssize_t) -> Cut:
        """Walk the DataRow messages at the front of `data`; stop at the first that is another, not whole or too long.

        @raise ProtocolViolation: a row that does not hold what its plan or its own lengths say.
        @raise AddonFailure: a Call raised or answered the wrong type.
        """
        cython.declare(at=Py_ssize_t, total=Py_ssize_t, rows=Py_ssize_t, marked=Py_ssize_t, size=Py_ssize_t)
        cython.declare(source=uchar[::1])
        source, size = data, len(data)
        if self._masks:
            return self._mask(source, size, rows_marked)
        at = rows = marked = 0
        while (total := self._whole(source, at, size)) > 0:
            at += total
            rows += 1
            if rows <= rows_marked:
                marked = at
        return Cut(bytes(memoryview(data)[:at]), at, rows, 0, marked)

    @cython.cfunc
    @cython.exceptval(-1)
    def _whole(self, source: uchar[::1], at: Py_ssize_t, size: Py_ssize_t) -> Py_ssize_t:
        """The length of the DataRow at `at`, its column count compared; 0: there is none, or not all of it."""
        total: Py_ssize_t
        if size - at < 5 or source[at] != 68:
            return 0
        total = _int32(source, at + 1) + 1
        if total < 7:
            raise _broken("is shorter than any row")
        if size - at < total or total > self._row_bytes_max:
            return 0
        if self._columns >= 0 and (source[at + 5] << 8 | source[at + 6]) != self._columns:
            raise _broken("has another number of columns than its description")
        return total

    @cython.cfunc
    def _mask(self, source: uchar[::1], size: Py_ssize_t, rows_marked: Py_ssize_t) -> Cut:
        """The walk that masks. Without a Call, a row grows by no more than all constants together."""
        cython.declare(at=Py_ssize_t, to=Py_ssize_t, begin=Py_ssize_t, stop=Py_ssize_t, kept=Py_ssize_t)
        cython.declare(total=Py_ssize_t, room=Py_ssize_t, length=Py_ssize_t, written=Py_ssize_t, column=Py_ssize_t)
        cython.declare(rows=Py_ssize_t, masked=Py_ssize_t, marked=Py_ssize_t, code=cython.int, target=uchar[::1])
        at = to = rows = masked = marked = 0
        room = size + self._growth
        output = bytearray(room)
        target = output
        while (total := self._whole(source, at, size)) > 0:
            if to + total + self._growth > room:
                room = 2 * room + total + self._growth
                target = output = output[:to] + bytearray(room - to)
            begin, kept, stop = to, at, at + total
            at += 7
            for column in range(self._columns):
                length = _int32(source, at) if stop - at >= 4 else -2
                at += 4
                if length < -1 or length > stop - at:
                    raise _broken("ends inside a cell")
                code = self._codes[column]
                if length == -1 or code == _KEEP:
                    at += length if length > 0 else 0
                    continue
                _copy(target, to, source, kept, at - 4 - kept)
                to += at - 4 - kept
                written = -1
                if code == _CONSTANT:
                    written = self._right[column]
                    _copy(target, to + 4, self._constants, self._left[column], written)
                elif code == _KEEP_ENDS:
                    written = _keep_ends(
                        target, to + 4, source, at, at + length, self._left[column], self._right[column]
                    )
                elif code == _CALL:
                    answer = _called(self._calls[self._left[column]], bytes(source[at : at + length]))
                    if answer is not None:
                        written = len(answer)
                        if to + written + stop - at + 4 + self._growth > room:
                            room = 2 * room + written + total + self._growth
                            target = output = output[:to] + bytearray(room - to)
                        _copy(target, to + 4, bytearray(answer), 0, written)
                _put_int32(target, to, written)
                to += 4 if written < 0 else 4 + written
                at += length
                kept = at
                masked += 1
            if at != stop:
                raise _broken("holds more than its cells")
            _copy(target, to, source, kept, stop - kept)
            to += stop - kept
            _put_int32(target, begin + 1, to - begin - 1)
            rows += 1
            if rows <= rows_marked:
                marked = to
        return Cut(bytes(memoryview(output)[:to]), at, rows, masked, marked)


def run_of(kind: Py_ssize_t, data: bytearray) -> tuple[int, int]:
    """How many bytes the complete messages of `kind` at the front of `data` take, and how many they are.

    A length that no message has ends the run: whoever reads on finds it.
    """
    cython.declare(at=Py_ssize_t, total=Py_ssize_t, size=Py_ssize_t, count=Py_ssize_t, source=uchar[::1])
    source, size = data, len(data)
    at = count = 0
    while size - at >= 5 and source[at] == kind:
        total = _int32(source, at + 1) + 1
        if total < 5 or size - at < total:
            break
        at += total
        count += 1
    return at, count


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _int32(source: uchar[::1], at: Py_ssize_t) -> Py_ssize_t:
    number: longlong
    if not cython.compiled:
        return int.from_bytes(source[at : at + 4], "big", signed=True)
    number = source[at]
    number = (number << 24) | (source[at + 1] << 16) | (source[at + 2] << 8) | source[at + 3]
    return number - 4294967296 if number > 2147483647 else number


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _put_int32(target: uchar[::1], at: Py_ssize_t, number: Py_ssize_t) -> cython.void:
    target[at] = (number >> 24) & 255
    target[at + 1] = (number >> 16) & 255
    target[at + 2] = (number >> 8) & 255
    target[at + 3] = number & 255


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _copy(target: uchar[::1], to: Py_ssize_t, source: uchar[::1], at: Py_ssize_t, count: Py_ssize_t) -> cython.void:
    i: Py_ssize_t
    if cython.compiled:
        for i in range(count):
            target[to + i] = source[at + i]
    else:
        target[to : to + count] = source[at : at + count]


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _character(source: uchar[::1], at: Py_ssize_t, stop: Py_ssize_t) -> Py_ssize_t:
    """How many bytes the UTF-8 character at `at` has (RFC 3629 §3); bytes that are part of none count one by one."""
    lead: cython.int = source[at]
    count: Py_ssize_t = 1
    i: Py_ssize_t
    if 0xC2 <= lead <= 0xDF:
        count = 2
    elif 0xE0 <= lead <= 0xEF:
        count = 3
    elif 0xF0 <= lead <= 0xF4:
        count = 4
    if count > stop - at:
        return 1
    for i in range(1, count):
        if source[at + i] & 0xC0 != 0x80:
            return 1
    return count


@cython.cfunc
@cython.exceptval(check=False)
def _keep_ends(
    target: uchar[::1],
    to: Py_ssize_t,
    source: uchar[::1],
    at: Py_ssize_t,
    stop: Py_ssize_t,
    first: longlong,
    last: longlong,
) -> Py_ssize_t:
    """Write the masked text; answers its length in bytes, which is never more than the original's."""
    i: Py_ssize_t
    _i: Py_ssize_t
    head: Py_ssize_t = at
    tail: Py_ssize_t = stop
    seen: cython.uint = 0
    hidden: longlong = 0
    for i in range(at, stop):
        seen |= source[i]
    if seen < 128:  # ASCII: a byte is a character
        hidden = stop - at
        if hidden > first + last:
            head, tail, hidden = at + first, stop - last, hidden - first - last
    else:
        while head < stop:
            head += _character(source, head, stop)
            hidden += 1
        head = at
        if hidden > first + last:
            hidden -= first + last
            while first > 0:
                head, first = head + _character(source, head, stop), first - 1
            tail = head
            for _i in range(hidden):
                tail += _character(source, tail, stop)
    _copy(target, to, source, at, head - at)
    to += head - at
    for i in range(hidden):
        target[to + i] = 42
    _copy(target, to + hidden, source, tail, stop - tail)
    return head - at + hidden + stop - tail


@cython.cfunc
def _called(call: Call, cell: bytes) -> bytes | None:
    """What a masker's own function makes of a cell. Its error's text may quote the cell: only the type is told."""
    try:
        answer = call.function(cell)
    except Exception as why:  # noqa: BLE001 # it raises anew, without the text that may quote the cell
        raise AddonFailure(call.addon, "mask", f"raised {type(why).__name__}") from None
    if answer is None or isinstance(answer, bytes):
        return answer
    raise AddonFailure(call.addon, "mask", f"answered {type(answer).__name__}, wanted is bytes or None")


@cython.cfunc
def _broken(what: str) -> ProtocolViolation:
    sentence = "The target sent a row that the gateway can't read; it was not passed on."
    return ProtocolViolation("server", sentence, detail=f"the row {what}")
