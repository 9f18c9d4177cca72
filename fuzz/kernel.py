"""Harness: the row kernel on rows of any kind, cut anywhere; compiled, it does what it does interpreted."""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from fuzz.choices import Choices, damaged
from fuzz.endings import Ending, ending
from fuzz.kernels import COMPILED, INTERPRETED
from hoopproxy.errors import SessionError
from hoopproxy.events import Call, Constant, Keep, KeepEnds, Null, Operation
from hoopproxy.wire.postgres.framing import message
from hoopproxy.wire.postgres.messages import data_row

ROW_BYTES_MAX = 500
ROWS_MAX = 30


def masker(cell: bytes) -> bytes | None:
    """A function whose answer may be longer, shorter, NULL, no text, or none."""
    match len(cell) % 7:
        case 3:
            return None
        case 4:
            raise ValueError(cell)
        case 5:
            return len(cell)  # type: ignore[return-value] # maskers are written by others
        case rest:
            return cell * rest


class Walked(NamedTuple):
    """What became of a stream: of each run the output and the counts, how it broke off, and what was left."""

    outputs: list[bytes]
    counts: list[tuple[int, ...]]
    broke: Ending | None
    left: bytes


OPERATIONS: tuple[Callable[[Choices], Operation], ...] = (
    lambda some: Keep(),
    lambda some: Keep(),
    lambda some: Null(),
    lambda some: Constant(some.some(20)),
    lambda some: KeepEnds(some.below(5), some.pick((0, 1, 2, 4, 1000))),
    lambda some: Call(masker, "masker"),
)


def run(data: bytes) -> Walked:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    operations = [choices.call(*OPERATIONS) for _ in range(choices.below(6))]
    marked, sizes = choices.below(6), [choices.byte() for _ in range(3)]
    stream = b"".join(_said(choices, len(operations)) for _ in range(choices.below(ROWS_MAX)))
    plan = None if choices.byte() & 7 == 7 else operations
    compiled, interpreted = (_walked(module, plan, stream, marked, sizes) for module in (COMPILED, INTERPRETED))
    assert compiled == interpreted, (compiled, interpreted)
    growth = 4 + sum(len(each.value) for each in operations if isinstance(each, Constant))
    if not any(isinstance(each, Call) for each in operations):
        assert sum(map(len, compiled.outputs)) <= len(stream) * (1 + growth)
    return compiled


def _walked(module: Any, plan: list[Operation] | None, stream: bytes, marked: int, sizes: list[int]) -> Walked:
    """A stream that comes in pieces, as a relay has it walked."""
    cutter = module.Cutter(plan, ROW_BYTES_MAX)
    buffer, at, walked = bytearray(), 0, Walked([], [], None, b"")
    for turn in range(len(stream) + 1):
        size = sizes[turn % len(sizes)] or len(stream)
        buffer += stream[at : at + size]
        at += size
        try:
            cut = cutter.cut(buffer, marked)
        except SessionError as why:
            return walked._replace(broke=ending(why), left=bytes(buffer))
        walked.outputs.append(cut.output)
        walked.counts.append((cut.bytes_used, cut.rows, cut.cells_masked, cut.marked))
        del buffer[: cut.bytes_used]
        if at >= len(stream):
            break
    return walked._replace(left=bytes(buffer))


def _said(choices: Choices, columns: int) -> bytes:
    match choices.byte() & 31:
        case 0:
            return b"D" + struct.pack("!I", choices.number()) + choices.some(20)
        case 1:
            return message(b"D", choices.some(40))
        case 2:
            return message(choices.pick((b"C", b"d", b"\0")), choices.some(8))
        case 3:
            row = data_row([_cell(choices) for _ in range(columns)])
            return row[:5] + damaged(choices, row[5:])
        case 4:
            return damaged(choices, data_row([_cell(choices) for _ in range(columns)]))
        case _:
            return data_row([_cell(choices) for _ in range(columns)])


def _cell(choices: Choices) -> bytes | None:
    made: bytes | None = choices.call(
        lambda some: None,
        lambda some: some.some(12),
        lambda some: some.pick((b"", "Ünïcødé 😀".encode(), b"4111111111111111", b"\xf0\x9f\x98", b"a" * 200)),
    )
    return made
