"""The row kernel: what it makes of rows, that it understands all or passes none, and that compiled it does the same."""

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.kernel import run
from hoopproxy.errors import AddonFailure, ProtocolViolation, SessionError
from hoopproxy.events import Call, Constant, Keep, KeepEnds, Null, Operation
from hoopproxy.wire import kernel
from hoopproxy.wire.postgres.framing import message
from hoopproxy.wire.postgres.messages import data_row, read_data_row

INTERPRETED = kernel.interpreted()
ROW_BYTES_MAX = 5000
CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|.", re.DOTALL)


def reverse(cell: bytes) -> bytes | None:
    """Some function of a masker: longer, shorter or NULL, as the cell has it."""
    if cell.startswith(b"bad"):
        raise ValueError(cell)
    return None if len(cell) % 5 == 4 else cell[::-1] * (len(cell) % 3)


CELLS = st.one_of(
    st.none(),
    st.binary(max_size=12),
    st.text(max_size=12).map(str.encode),
    st.sampled_from([b"4111111111111111", "Ünïcødé 😀".encode(), b"bad", b"a" * 400]),
)
OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.just(Keep()),
    st.just(Null()),
    st.builds(Constant, st.binary(max_size=40)),
    st.builds(KeepEnds, st.integers(0, 5), st.integers(0, 5)),
    st.just(Call(reverse, "reverser")),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Operation], list[list[bytes | None]]]:
    operations = draw(st.lists(OPERATIONS, max_size=6))
    row = st.lists(CELLS, min_size=len(operations), max_size=len(operations))
    return operations, draw(st.lists(row, max_size=6))


def expected(operation: Operation, cell: bytes | None) -> bytes | None:
    """The plainest way to say what a mask does."""
    if cell is None:
        return None
    match operation:
        case Keep():
            return cell
        case Null():
            return None
        case Constant(value):
            return value
        case Call(function):
            return function(cell)
        case KeepEnds(first, last):
            shown = CHARACTER.findall(cell)
            hidden = len(shown) - first - last
            if hidden <= 0:
                return b"*" * len(shown)
            return b"".join(shown[:first]) + b"*" * hidden + b"".join(shown[len(shown) - last :])


def outcome(module: Any, operations: list[Operation] | None, data: bytes, marked: int) -> Any:
    buffer = bytearray(data)
    try:
        cut = module.Cutter(operations, ROW_BYTES_MAX).cut(buffer, marked)
    except SessionError as why:
        return type(why), why.sentence, why.detail
    assert bytes(buffer) == data
    return tuple(cut)


def test_it_is_compiled() -> None:
    assert kernel.COMPILED, "run `make build`"
    assert INTERPRETED.SOURCE_SHA256 == ""


@pytest.mark.parametrize("module", [kernel, INTERPRETED], ids=["compiled", "interpreted"])
@given(table=tables(), marked=st.integers(0, 7))
@settings(max_examples=80, deadline=None)
def test_each_cell_becomes_what_its_mask_says(
    module: Any, table: tuple[list[Operation], list[list[bytes | None]]], marked: int
) -> None:
    operations, rows = table
    try:
        wanted = [data_row([expected(*pair) for pair in zip(operations, row, strict=True)]) for row in rows]
    except ValueError:
        with pytest.raises(AddonFailure, match="reverser"):
            module.Cutter(operations, ROW_BYTES_MAX).cut(bytearray(b"".join(map(data_row, rows))), marked)
        return
    rest = message(b"C", b"SELECT\0")
    data = b"".join(map(data_row, rows))
    cut = module.Cutter(operations, ROW_BYTES_MAX).cut(bytearray(data + rest), marked)
    assert cut.output == b"".join(wanted)
    assert (cut.bytes_used, cut.rows) == (len(data), len(rows))
    assert cut.output[: cut.marked] == b"".join(wanted[:marked])
    masks = [
        cell is not None and not isinstance(operation, Keep)
        for row in rows
        for operation, cell in zip(operations, row, strict=True)
    ]
    assert cut.cells_masked == sum(masks)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[list[Operation] | None, bytes]:
    operations, rows = draw(tables())
    data = bytearray(b"".join(map(data_row, rows)))
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.sampled_from(["set", "drop", "insert", "end"])):
            case "set" if data:
                data[draw(st.integers(0, len(data) - 1))] = draw(st.sampled_from([0, 1, 2, 5, 7, 68, 127, 128, 255]))
            case "drop" if data:
                del data[draw(st.integers(0, len(data) - 1))]
            case "insert":
                data.insert(draw(st.integers(0, len(data))), draw(st.integers(0, 255)))
            case "end":
                del data[draw(st.integers(0, len(data))) :]
    return draw(st.sampled_from([operations, operations, operations, None, [*operations, Keep()]])), bytes(data)


@given(damaged(), st.integers(0, 4))
@settings(max_examples=400, deadline=None)
def test_compiled_and_interpreted_are_equal_on_whatever_comes(
    case: tuple[list[Operation] | None, bytes], marked: int
) -> None:
    operations, data = case
    compiled, interpreted = (outcome(module, operations, data, marked) for module in (kernel, INTERPRETED))
    assert compiled == interpreted


STREAMS, BLOCK = 10_000, 1_000


@pytest.mark.parametrize("first", range(0, STREAMS, BLOCK))
def test_they_are_equal_on_ten_thousand_streams_however_these_are_cut(first: int) -> None:
    """Rows of any cells under any plan, short and malformed ones among them; each is one seed."""
    rows = broken = 0
    for seed in range(first, first + BLOCK):
        try:
            walked = run(Random(seed).randbytes(40 + seed % 400))
        except BaseException as why:
            why.add_note(f"seed {seed}: fuzz.kernel.run(Random({seed}).randbytes({40 + seed % 400}))")
            raise
        rows += sum(count for _, count, _, _ in walked.counts)
        broken += walked.broke is not None
    assert rows > BLOCK and BLOCK / 4 < broken < BLOCK * 3 / 4, (rows, broken)


@given(table=tables(), at=st.integers(0, 2000))
@settings(max_examples=60, deadline=None)
def test_a_run_may_be_cut_anywhere(table: tuple[list[Operation], list[list[bytes | None]]], at: int) -> None:
    operations, rows = table
    operations = [Keep() if isinstance(operation, Call) else operation for operation in operations]
    data = b"".join(map(data_row, rows))
    at = min(at, len(data))
    cutter = kernel.Cutter(operations, ROW_BYTES_MAX)
    first = cutter.cut(bytearray(data[:at]), 0)
    second = cutter.cut(bytearray(data[first.bytes_used :]), 0)
    assert first.output + second.output == cutter.cut(bytearray(data), 0).output
    assert first.rows + second.rows == len(rows)


ROW = data_row([b"1", b"canary"])


@pytest.mark.parametrize("module", [kernel, INTERPRETED], ids=["compiled", "interpreted"])
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(data_row([b"1"]), id="a column too few"),
        pytest.param(data_row([b"1", b"canary", b"3"]), id="a column too many"),
        pytest.param(message(b"D", b""), id="no columns at all"),
        pytest.param(message(b"D", b"\0"), id="half a column count"),
        pytest.param(b"D\0\0\0\3", id="a length that is none"),
        pytest.param(b"D\xff\xff\xff\xff", id="a negative length"),
        pytest.param(message(b"D", ROW[5:-1]), id="a cell that ends early"),
        pytest.param(message(b"D", ROW[5:] + b"x"), id="more than its cells"),
        pytest.param(message(b"D", b"\0\2\0\0\0\1\x31"), id="a cell missing"),
        pytest.param(message(b"D", b"\0\2\xff\xff\xff\xfe\0\0\0\0"), id="a length of minus two"),
        pytest.param(message(b"D", b"\0\2\x7f\xff\xff\xff\0\0\0\0"), id="a cell longer than everything"),
    ],
)
def test_a_row_that_it_does_not_understand_raises(module: Any, row: bytes) -> None:
    cutter = module.Cutter([Keep(), Constant(b"*")], ROW_BYTES_MAX)
    with pytest.raises(ProtocolViolation) as caught:
        cutter.cut(bytearray(ROW + row), 0)
    assert "canary" not in caught.value.sentence + caught.value.detail
    assert read_data_row(cutter.cut(bytearray(ROW), 0).output[5:]) == (b"1", b"*")


@pytest.mark.parametrize("operations", [None, [Keep(), Keep()], [Null(), Null()]])
def test_a_row_over_the_limit_is_left_alone(operations: list[Operation] | None) -> None:
    row = data_row([b"1", b"2" * 100])
    for buffer in (bytearray(row[:20]), bytearray(row)):
        assert kernel.Cutter(operations, 100).cut(buffer, 0) == kernel.Cut(b"", 0, 0, 0, 0)


@pytest.mark.parametrize("module", [kernel, INTERPRETED], ids=["compiled", "interpreted"])
@pytest.mark.parametrize(
    ("function", "detail"),
    [(lambda cell: 1 / 0, "raised ZeroDivisionError"), (lambda cell: "text", "answered str, wanted is bytes or None")],
)
def test_a_maskers_function_that_fails_is_blamed_and_quotes_nothing(module: Any, function: Any, detail: str) -> None:
    with pytest.raises(AddonFailure) as caught:
        module.Cutter([Keep(), Call(function, "mine")], ROW_BYTES_MAX).cut(bytearray(ROW), 0)
    assert caught.value.addon == "mine" and detail in caught.value.detail
    assert "canary" not in caught.value.detail + caught.value.sentence
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_an_operation_that_it_does_not_know_raises() -> None:
    with pytest.raises(ValueError, match="knows no operation"):
        kernel.Cutter([KeepEnds(-1, 2)], ROW_BYTES_MAX)
