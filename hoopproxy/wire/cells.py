"""Single cells: what a mask does to a column of a result it does to values that come in no rows.

By the row kernel, but for functions of maskers: to make rows of cells for it costs twice what calling them does. Knows
neither where cells come from nor what is done to them.
"""

from collections.abc import Sequence
from struct import Struct

from hoopproxy.errors import AddonFailure
from hoopproxy.events import Call, Operation
from hoopproxy.wire.kernel import Cutter

_HEAD = Struct("!cIHi")
"""Of a DataRow of one cell: its kind, its length without that, how many cells, and the cell's length, -1 for NULL."""

_LENGTH = Struct("!i")


class Cells:
    """One column, of cells that are up to `cell_bytes_max` long."""

    def __init__(self, operation: Operation, cell_bytes_max: int) -> None:
        self._call = operation if isinstance(operation, Call) else None
        self._cutter = Cutter((operation,), cell_bytes_max + _HEAD.size)

    def mask(self, cells: Sequence[bytes]) -> list[bytes | None]:
        """What becomes of each; None is NULL. @raise AddonFailure."""
        if self._call is not None:
            return [_called(self._call, cell) for cell in cells]
        pack, at_length = _HEAD.pack, _HEAD.size - 4
        rows = bytearray().join(
            part for cell in cells for part in (pack(b"D", len(cell) + _HEAD.size - 1, 1, len(cell)), cell)
        )
        cut = self._cutter.cut(rows, 0)
        assert cut.bytes_used == len(rows)
        output, at, masked = cut.output, 0, list[bytes | None]()
        for _ in cells:
            (length,) = _LENGTH.unpack_from(output, at + at_length)
            at += _HEAD.size
            masked.append(None if length < 0 else output[at : at + length])
            at += max(length, 0)
        return masked


def _called(call: Call, cell: bytes) -> bytes | None:
    """As the kernel does it: an error's text may quote the cell, so only its type is told."""
    try:
        answer: object = call.function(cell)
    except Exception as why:  # noqa: BLE001 # it raises anew, without the text
        raise AddonFailure(call.addon, "mask", f"raised {type(why).__name__}") from None
    if answer is None or isinstance(answer, bytes):
        return answer
    raise AddonFailure(call.addon, "mask", f"answered {type(answer).__name__}, wanted is bytes or None")
