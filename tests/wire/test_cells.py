"""Single cells are masked as the row kernel masks those of rows."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.errors import AddonFailure
from hoopproxy.events import Call, Constant, Keep, KeepEnds, Null, Operation
from hoopproxy.wire.cells import Cells
from hoopproxy.wire.kernel import Cutter

OPERATIONS: Sequence[Operation] = (
    Keep(),
    Null(),
    Constant(b"***"),
    KeepEnds(1, 2),
    Call(bytes.upper, "mine"),
    Call(lambda cell: None if b"0" in cell else cell * 2, "mine"),
)


def by_rows(operation: Operation, cells: Sequence[bytes]) -> list[bytes | None]:
    """One row for each, as it would come from a database."""
    cutter, masked = Cutter((operation,), 1 << 20), list[bytes | None]()
    for cell in cells:
        row = bytearray(b"D" + (len(cell) + 10).to_bytes(4) + b"\0\1" + len(cell).to_bytes(4) + cell)
        output = cutter.cut(row, 0).output
        is_null = output[7:11] == b"\xff" * 4
        masked.append(None if is_null else output[11:])
    return masked


@given(some.sampled_from(OPERATIONS), some.lists(some.binary(max_size=20), max_size=5))
def test_each_mask_does_what_the_kernel_does(operation: Operation, cells: list[bytes]) -> None:
    assert Cells(operation, 100).mask(cells) == by_rows(operation, cells)


@pytest.mark.parametrize("function", [lambda cell: 1 // 0, lambda cell: "text", bytes.decode])
def test_a_function_that_fails_is_blamed_as_the_kernel_blames_it(function: object) -> None:
    call = Call(function, "mine")  # type: ignore[arg-type] # that is the test
    told = []
    for mask in (Cells(call, 100).mask, lambda cells: by_rows(call, cells)):
        with pytest.raises(AddonFailure) as failed:
            mask([b"s\xffcret"])
        told.append((failed.value.addon, failed.value.detail))
    assert told[0] == told[1] and "cret" not in told[0][1]
