"""Frames of lanes: what was framed comes out again, however it was cut, and nothing else does."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.wire.http.lanes import HEAD_BYTES, PAYLOAD_BYTES_MAX, Frame, Frames, Kind, framed

LANES = st.integers(0, 2**32 - 1)
FRAMES = st.builds(
    Frame, st.sampled_from([kind for kind in Kind if kind is not Kind.DATA]), LANES, st.binary(max_size=99)
)
DATA = st.builds(Frame, st.just(Kind.DATA), LANES, st.binary(min_size=1, max_size=99))


def read(*pieces: bytes, side: Side = Side.CLIENT) -> list[Frame]:
    frames, found = Frames(side), list[Frame]()
    for piece in pieces:
        frames.append(piece)
        found += iter(frames.next, None)
    assert not frames.is_amid
    return found


@given(st.lists(FRAMES | DATA), st.lists(st.integers(0, 999)))
def test_however_it_is_cut_it_is_the_same(wanted: list[Frame], cuts: list[int]) -> None:
    whole = b"".join(map(framed, wanted))
    edges = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    assert read(*(whole[start:end] for start, end in itertools.pairwise(edges))) == wanted


def test_long_data_goes_in_several_frames_and_none_in_none() -> None:
    long = bytes(range(256)) * (PAYLOAD_BYTES_MAX // 100)
    pieces = read(framed(Frame(Kind.DATA, 7, long)))
    assert b"".join(piece.payload for piece in pieces) == long and {piece.lane for piece in pieces} == {7}
    assert max(len(piece.payload) for piece in pieces) == PAYLOAD_BYTES_MAX and len(pieces) == 3
    assert framed(Frame(Kind.DATA, 7)) == b""


def test_a_part_is_no_frame_yet() -> None:
    frames = Frames(Side.SERVER)
    frames.append(framed(Frame(Kind.REFUSED, 1, b"no"))[:-1])
    assert frames.next() is None and frames.is_amid


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    "head",
    [bytes(HEAD_BYTES), b"\xff" + bytes(HEAD_BYTES - 1), b"\x04" + bytes(4) + (PAYLOAD_BYTES_MAX + 1).to_bytes(4)],
)
def test_what_is_no_frame_ends_it_before_a_byte_more_is_waited_for(side: Side, head: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        read(head, side=side)
    assert caught.value.side == side.value


def test_nobody_sees_a_payload_by_accident() -> None:
    assert "secret" not in repr(Frame(Kind.DATA, 0, b"secret"))
