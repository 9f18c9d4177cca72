"""SPDY frames: what is written is read again however it is cut, and what is not SPDY goes no further."""

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.wire.http.spdy import (
    CONTROL_BYTES_MAX,
    DICTIONARY,
    HEADERS_BYTES_MAX,
    Data,
    Ping,
    Reset,
    SpdyFrame,
    SpdyReader,
    SpdyWriter,
    Syn,
    SynReply,
)

numbers = st.integers(1, (1 << 31) - 1)
texts = st.text(st.characters(max_codepoint=255), max_size=40)
headers = st.dictionaries(texts, texts, max_size=6)
frames = st.one_of(
    st.builds(Syn, numbers, headers, st.booleans()),
    st.builds(SynReply, numbers, headers, st.booleans()),
    st.builds(Reset, numbers, numbers),
    st.builds(Ping, numbers),
    st.builds(Data, numbers, st.binary(min_size=1, max_size=500), st.booleans()),
    st.builds(Data, numbers, st.just(b""), st.just(True)),
)


def control(kind: int, payload: bytes, flags: int = 0, version: int = 3) -> bytes:
    return (0x8000 | version).to_bytes(2) + kind.to_bytes(2) + bytes((flags,)) + len(payload).to_bytes(3) + payload


def block(plain: bytes) -> bytes:
    deflater = zlib.compressobj(zdict=DICTIONARY)
    return deflater.compress(plain) + deflater.flush(zlib.Z_SYNC_FLUSH)


def text(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def syn(plain: bytes) -> bytes:
    return control(1, (1).to_bytes(4) + bytes(6) + block(plain))


def read(*pieces: bytes) -> list[SpdyFrame]:
    reader, found = SpdyReader(Side.CLIENT), []
    for piece in pieces:
        reader.append(piece)
        while (frame := reader.next()) is not None:
            found.append(frame)
    return found


def joined(found: list[SpdyFrame]) -> list[SpdyFrame]:
    """Pieces of one data frame as one: a piece that is not the last is followed by more of the same."""
    whole: list[SpdyFrame] = []
    for frame in found:
        match whole[-1:], frame:
            case [Data(stream, data, is_last=False)], Data(again, more, is_last) if stream == again:
                whole[-1] = Data(stream, data + more, is_last)
            case _:
                whole.append(frame)
    return whole


@given(st.lists(frames, max_size=8), st.data())
def test_what_is_written_is_read_again_however_it_is_cut(sent: list[SpdyFrame], data: st.DataObject) -> None:
    writer = SpdyWriter()
    raw = b"".join(map(writer.bytes_of, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert joined(read(*pieces)) == joined(sent)


@given(st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(raw: bytes) -> None:
    with suppress(ProtocolViolation):
        read(raw)


def test_the_dictionary_is_the_one_of_the_draft() -> None:
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2, "as it stands in the head of each SPDY/3 compression"


def test_headers_are_compressed_with_all_that_was_said_before() -> None:
    writer = SpdyWriter()
    first, again = (writer.bytes_of(Syn(number, {"streamtype": "data", "port": "5432"})) for number in (1, 3))
    assert len(again) < len(first)
    assert [frame.headers for frame in read(first + again) if isinstance(frame, Syn)] == [
        {"streamtype": "data", "port": "5432"}
    ] * 2


def test_headers_of_frames_that_mean_nothing_are_read_all_the_same() -> None:
    writer = SpdyWriter()
    first, second, third = (writer.bytes_of(Syn(number, {"port": "80", "n": str(number)})) for number in (1, 3, 5))
    passed_over = control(8, (1).to_bytes(4) + second[18:])  # the same block in HEADERS
    assert read(first, passed_over, third) == [
        Syn(1, {"port": "80", "n": "1"}),
        Syn(5, {"port": "80", "n": "5"}),
    ]
    assert read(control(8, (1).to_bytes(4) + block((0).to_bytes(4)), flags=1)) == [Data(1, b"", is_last=True)]


@pytest.mark.parametrize(
    "raw",
    [control(4, bytes(12)), control(7, bytes(8)), control(9, bytes(8)), control(5, b""), control(99, b"x")],
    ids=["SETTINGS", "GOAWAY", "WINDOW_UPDATE", "NOOP", "unknown"],
)
def test_what_no_stream_waits_for_is_passed_over(raw: bytes) -> None:
    assert read(raw + control(6, (7).to_bytes(4))) == [Ping(7)]


def test_data_go_by_in_pieces_and_only_the_last_one_is_the_last() -> None:
    head = (5).to_bytes(4) + b"\x01" + (6).to_bytes(3)
    assert read(head, b"ab", b"cdef") == [Data(5, b"ab"), Data(5, b"cdef", is_last=True)]
    assert read((5).to_bytes(4) + b"\x00" + (0).to_bytes(3)) == []
    assert read((5).to_bytes(4) + b"\x01" + (0).to_bytes(3)) == [Data(5, b"", is_last=True)]


@pytest.mark.parametrize(
    "raw",
    [
        control(6, (7).to_bytes(4), version=2),
        control(6, b"abc"),
        control(1, bytes(9)),
        (0x80030001).to_bytes(4) + (CONTROL_BYTES_MAX + 1).to_bytes(4),
        bytes(8),
        control(1, (1).to_bytes(4) + bytes(6) + b"no zlib"),
        control(1, (1).to_bytes(4) + bytes(6) + zlib.compress(b"\0\0\0\0")),
        syn(b"\0\0\0\1" + text(b"name")),
        syn(b"\xff\xff\xff\xff"),
        syn(b"\0\0\0\0late"),
        syn(b"\0\0\0\2" + (text(b"port") + text(b"80")) * 2),
        syn(b"\0\0\0\1" + text(b"name") + text(bytes(HEADERS_BYTES_MAX))),
    ],
    ids=(
        "version-2|ping-short|syn-short|control-long|stream-0|no-zlib|no-dictionary|early|countless|late|twice|bomb"
    ).split("|"),
)
def test_what_is_no_spdy_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        read(raw)


def test_an_end_of_the_compression_is_refused() -> None:
    deflater = zlib.compressobj(zdict=DICTIONARY)
    whole = deflater.compress(b"\0\0\0\0") + deflater.flush()
    with pytest.raises(ProtocolViolation):
        read(control(1, (1).to_bytes(4) + bytes(6) + whole))
