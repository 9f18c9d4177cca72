"""Harness: rows and Binds that are too long to be held: in pieces, they come to what they come to whole."""

from unittest.mock import patch

from fuzz.choices import Choices, damaged
from fuzz.endings import ending
from hoopproxy.errors import LimitReached, ProtocolViolation
from hoopproxy.events import Constant, Format, Keep, KeepEnds, Null, Omitted, Operation, Parameter
from hoopproxy.model import Side
from hoopproxy.wire.kernel import Cutter
from hoopproxy.wire.postgres import pieces
from hoopproxy.wire.postgres.framing import HEADER_BYTES, Reader
from hoopproxy.wire.postgres.messages import data_row
from hoopproxy.wire.postgres.pieces import LongBind, LongRow, Passing
from hoopproxy.wire.postgres.requests import Bind, BindHead

HELD_BYTES_MAX, KEPT_BYTES_MAX, ALL_KEPT_BYTES_MAX = 200, 30, 80
SIZES = (0, 1, 4, 29, 30, 31, 90, 250)


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    with (
        patch.object(pieces, "VALUE_KEPT_BYTES_MAX", KEPT_BYTES_MAX),
        patch.object(pieces, "VALUES_KEPT_BYTES_MAX", ALL_KEPT_BYTES_MAX),
    ):
        choices.call(_row, _bind)


def _spoiled(choices: Choices, message: bytes) -> bytes:
    """With a byte of its body changed, dropped or more; its length is true."""
    body = message[HEADER_BYTES:]
    for _ in range(choices.pick((0, 0, 0, 1, 2))):
        body = damaged(choices, body)
    return message[:1] + (len(body) + 4).to_bytes(4) + body


def _fed(
    choices: Choices, passing: Passing, message: bytes, head_bytes: int = 0
) -> tuple[bytes, ProtocolViolation | LimitReached | None]:
    """What went on, and how it broke off, when so many bytes were there before. What follows is left alone."""
    buffer, out = bytearray(message[:head_bytes]), b""
    try:
        for piece in choices.cuts(message[head_bytes:] + b"next"):
            buffer += piece
            if not passing.is_over:
                out += passing.feed(buffer)
    except (ProtocolViolation, LimitReached) as why:
        ending(why)
        return out, why
    assert passing.is_over and buffer == b"next"
    return out, None


def _row(choices: Choices) -> None:
    masks: tuple[Operation, ...] = (Keep(), Keep(), Null(), Constant(b"****"), KeepEnds(1, 1))
    plan = [choices.pick(masks) for _ in range(choices.below(5))]
    cells = [None if choices.byte() & 7 == 7 else bytes([choices.byte()]) * choices.pick(SIZES) for _ in plan]
    row = _spoiled(choices, data_row(cells))
    if len(row) < HEADER_BYTES + 2:
        return  # the kernel refuses these; they are never long
    known = choices.byte() & 7 != 7
    out, broke = _fed(choices, LongRow(len(row), plan if known else None, HELD_BYTES_MAX), row)
    try:
        whole = Cutter(plan if known else None, len(row)).cut(bytearray(row), 0).output
    except ProtocolViolation:
        assert broke is not None, "what the kernel doesn't understand went by"
        return
    if known and any(not isinstance(mask, Keep) for mask in plan):
        assert broke is None or isinstance(broke, LimitReached)
    # Where it masks nothing, the kernel does not look into rows: there a long one is held to more.
    assert whole.startswith(out) and (broke is not None or out == whole)


def _bind(choices: Choices) -> None:
    values = [
        None if choices.byte() & 7 == 7 else bytes([choices.byte()]) * choices.pick(SIZES)
        for _ in range(choices.below(6))
    ]
    formats = tuple(choices.pick(tuple(Format)) for _ in range(choices.below(4)))
    bind = Bind("p", "s", tuple(Parameter(value, choices.pick(tuple(Format))) for value in values), formats)
    said = _spoiled(choices, bind.encode())
    body = said[HEADER_BYTES:]
    reader = Reader(Side.CLIENT, body)
    try:
        head = BindHead.read(reader)
    except ProtocolViolation:
        return
    head_bytes = HEADER_BYTES + reader.at
    passing = LongBind(len(said), head, head_bytes)
    out, broke = _fed(choices, passing, said, head_bytes)
    try:
        whole = Bind.read(body)
    except ProtocolViolation:
        assert broke is not None, "what can't be read went by"
        return
    assert broke is None and out == said
    kept = [parameter.value for parameter in passing.bind.parameters if isinstance(parameter.value, bytes)]
    assert sum(map(len, kept)) <= ALL_KEPT_BYTES_MAX
    for mine, sent in zip(passing.bind.parameters, whole.parameters, strict=True):
        assert mine.format is sent.format
        if isinstance(mine.value, Omitted):
            assert isinstance(sent.value, bytes) and mine.value.bytes_count == len(sent.value)
        else:
            assert mine.value == sent.value
    assert passing.bind.result_formats == whole.result_formats
