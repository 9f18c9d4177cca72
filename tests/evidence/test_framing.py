"""Framing: what was synced is found again, what was torn is told from what was changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.evidence.framing import HEADER_BYTES, FramesBroken, framed, frames, residue

LEAVES = st.lists(st.binary(min_size=1, max_size=40).filter(lambda leaf: b"\n" not in leaf), min_size=1, max_size=4)
WRITES = st.lists(LEAVES, min_size=1, max_size=5)


def segment(writes: list[list[bytes]]) -> bytes:
    data, first = b"", 0
    for leaves in writes:
        data += framed(first, leaves)
        first += len(leaves)
    return data


@given(WRITES, st.integers(0, 300))
def test_all_leaves_come_back_from_a_preallocated_segment(writes: list[list[bytes]], zeros: int) -> None:
    data = segment(writes)
    found = list(frames(data + bytes(zeros)))
    assert [list(frame.leaves) for frame in found] == writes
    assert [frame.first for frame in found] == [sum(map(len, writes[:n])) for n in range(len(writes))]
    assert found[-1].end == len(data)
    assert residue(data + bytes(zeros), len(data)) == 0


@given(WRITES, st.data())
def test_a_torn_last_write_is_dropped_whole_and_nothing_else(writes: list[list[bytes]], data: st.DataObject) -> None:
    """Torn anyhow: any bytes of it may be missing, as sectors reach the disk in no order."""
    whole = segment(writes)
    start = len(segment(writes[:-1]))
    holes = data.draw(st.sets(st.integers(start, len(whole) - 1), min_size=1))
    torn = bytes(0 if place in holes else byte for place, byte in enumerate(whole)) + bytes(64)
    found = [list(frame.leaves) for frame in frames(torn)]
    assert found == (writes if torn == whole + bytes(64) else writes[:-1])


@given(st.lists(LEAVES, min_size=2, max_size=5), st.data())
def test_a_change_before_the_last_write_is_no_torn_tail(writes: list[list[bytes]], data: st.DataObject) -> None:
    whole = segment(writes)
    place = data.draw(st.integers(0, len(segment(writes[:-1])) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    with pytest.raises(FramesBroken) as why:
        list(frames(whole[:place] + bytes((byte,)) + whole[place + 1 :]))
    assert why.value.offset <= place


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_a_crash(data: bytes) -> None:
    assert list(frames(data)) == []


def test_a_length_that_lies_is_no_frame() -> None:
    whole = framed(0, [b"leaf"])
    assert list(frames(whole[:4] + b"\xff\xff\xff\xff" + whole[8:])) == []
    assert list(frames(whole[: HEADER_BYTES - 1])) == []
