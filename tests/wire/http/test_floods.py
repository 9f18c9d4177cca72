"""What costs its sender little must not cost the gateway much.

Nothing here looks at a clock: what is asked for takes moments, or else longer than any test may.
"""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hoopproxy_plugins.mask_pan import mask_pans

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Call, Plan
from hoopproxy.masking import fields as masking_fields
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http import fields, json_masks
from hoopproxy.wire.http.client_half import Http2ClientHalf
from hoopproxy.wire.http.codings import Decoder
from hoopproxy.wire.http.first import FirstRequest
from hoopproxy.wire.http.halves import CLIENT_PREFACE
from hoopproxy.wire.http.messages import Headers
from hoopproxy.wire.http.spdy import DICTIONARY, SpdyReader
from hoopproxy.wire.lines import LINE_BYTES_MAX, Lines, cutter_of, shape_of

from .h2_ends import GET, H2Client, H2Target
from .plainly import MASKED_PAN, PAN, Scene, cards, cuts, rule
from .rig import FakeReading, Rig, Upper

HEAD = 60_000
"""As long as a field may be."""

PING = bytes((0, 0, 8, 6, 0, 0, 0, 0, 0)) + bytes(8)
UNKNOWN = bytes((0, 64, 0, 99, 0, 0, 0, 0, 0)) + bytes(1 << 14)


@pytest.mark.parametrize(
    ("begins", "more"),
    [(CLIENT_PREFACE, PING * 1000), (CLIENT_PREFACE, UNKNOWN), (b"", b"\r\n" * 8000)],
    ids=["pings", "unknown frames", "empty lines"],
)
def test_nobody_is_listened_to_who_asks_for_nothing(begins: bytes, more: bytes) -> None:
    """All that stands before a first request is kept, for it is read again."""
    first, limits = FirstRequest(Limits(), is_h2=bool(begins)), Limits()
    said = begins + more * (3 * limits.head_bytes_max // len(more))
    assert first.feed(said[: limits.head_bytes_max]) is None
    with pytest.raises(ProtocolViolation):
        first.feed(said[limits.head_bytes_max :])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Link", "<" * HEAD),
        ("Link", "<a" * (HEAD // 2)),
        ("Set-Cookie", f"a{' ' * HEAD}b"),
        ("Set-Cookie", f"a{' ;' * (HEAD // 2)}b"),
        ("Location", f"/a{' ' * HEAD}b"),
        ("Location", "\t" * HEAD + "x"),
        ("Refresh", " " * HEAD + "b"),
        ("Refresh", "0;url=" + " '" * (HEAD // 2)),
    ],
)
def test_a_field_is_read_once(name: str, value: str) -> None:
    assert fields.incoming(Headers(((name, value),)), Scene().reading.names, upgraded=False).fields


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)],
    ids=["gzip", "zstd"],
)
def test_many_small_frames_behind_a_large_one_are_added_to_it_and_no_more(
    coding: str, packed: Callable[[bytes], bytes]
) -> None:
    large, small = packed(bytes(16_000_000)), packed(b"x")
    count = (32_768 - len(large)) // len(small)
    assert len(Decoder((coding,), 1 << 24).feed(large + small * count)) == 16_000_000 + count


@pytest.mark.parametrize(
    ("around", "media_type"),
    [(b'{"x":"%b"}', "application/json"), (b'data: {"x":"%b"}\n\n', "text/event-stream")],
    ids=["document", "event"],
)
def test_a_long_text_in_many_pieces_is_not_read_again_with_each(around: bytes, media_type: str) -> None:
    body = around % (b"y" * (5 << 20))
    assert Scene(rule("$.a")).masked(cuts(body, 1000), media_type) == body


def test_members_that_are_never_alike_for_long_are_not_compiled_one_after_the_other() -> None:
    lists = ",".join(
        f'"k{i}":[{",".join(["{" + chr(34) + "a" + chr(34) + ":1," + chr(34) + "b" + chr(34) + ":2}"] * 10)}]'
        for i in range(600)
    )
    scene = Scene(rule("$.zz"))
    body = f"{{{lists}}}".encode()
    assert scene.masked(cuts(body, 32_768)) == body
    assert scene.reading._masks_of(scene.request()).columns.runs_left == 0


def test_rules_for_any_depth_are_compared_in_one_pass() -> None:
    place = "* $" + ".a" * 20_000
    assert masking_fields.covers("* $..a..a..a", place)
    assert not masking_fields.covers("* $..a..a..b", place)


def test_what_documents_are_made_of_is_not_remembered_for_ever() -> None:
    """Names are as long as who writes a document wants them, and what is remembered is of all sessions."""
    long = f'{{"{PAN}{"x" * 1_000_000}":1}}'.encode()
    before = masking_fields._known_place.cache_info().currsize, json_masks._quoted_name.cache_info().currsize
    Scene(rule("$.zz"), maskers=[cards()]).masked(cuts(long, 32_768))
    assert before == (masking_fields._known_place.cache_info().currsize, json_masks._quoted_name.cache_info().currsize)


def test_few_bytes_of_spdy_do_not_stand_for_many_headers() -> None:
    pairs = 2000
    plain = pairs.to_bytes(4) + b"".join(b"\0\0\0\2" + number.to_bytes(2) + bytes(4) for number in range(pairs))
    deflater = zlib.compressobj(9, zdict=DICTIONARY)
    reader = SpdyReader(Side.CLIENT)
    block = deflater.compress(plain) + deflater.flush(zlib.Z_SYNC_FLUSH)
    reader.append(b"\x80\x03\0\x08" + (4 + len(block)).to_bytes(4) + b"\0\0\0\1" + block)
    with pytest.raises(ProtocolViolation):
        reader.next()


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join(code.to_bytes(2) + value.to_bytes(4) for code, value in pairs)
    return len(payload).to_bytes(3) + b"\4\0\0\0\0\0" + payload


def flow(rig: Rig) -> Any:
    """The client's connection, as h2 has it."""
    assert rig.wire._ends is not None
    half = rig.wire._ends.client
    assert isinstance(half, Http2ClientHalf)
    return half._layer.h2_conn


def test_settings_that_mean_nothing_are_not_kept() -> None:
    rig = Rig()
    H2Client(rig)
    rig.client(settings(*((code, 1) for code in range(100, 2800))))
    assert not any(code >= 100 for code in flow(rig).remote_settings)


def test_nor_is_a_table_of_headers_as_large_as_a_client_would_have_it() -> None:
    rig = Rig()
    client = H2Client(rig)
    for size in (2**32 - 1, *range(100, 4000), 2**31):
        rig.client(settings((1, size)))
    assert flow(rig).encoder.table_size_changes == [100, 4096]
    client.hear()
    client.h2.decoder.max_allowed_table_size = 2**31
    for number in range(300):
        stream = client.ask(GET)
        rig.target(b"HTTP/1.1 200 OK\r\nX-Id: %d\r\nContent-Length: 2\r\n\r\nhi" % number)
        client.hear()
        assert client.head(stream)["x-id"] == str(number) and client.body(stream) == b"hi"
    assert flow(rig).encoder.header_table._current_size <= 4096


def test_a_frame_that_will_be_too_long_is_not_waited_for() -> None:
    rig = Rig()
    H2Client(rig)
    with pytest.raises(ProtocolViolation):
        rig.client((1 << 20).to_bytes(3) + bytes(6))


def test_blanks_do_not_part_a_number() -> None:
    lines = Lines(cutter_of(cards_plan()))
    text = b" " * (LINE_BYTES_MAX - 8) + PAN.encode() + b" and more\n"
    assert lines.feed(text[:-1]) + lines.feed(text[-1:]) == text.replace(PAN.encode(), MASKED_PAN.encode())


def cards_plan() -> Plan:
    return Plan(shape_of("text"), (Call(mask_pans, "cards"),))


def test_a_client_of_http_2_has_no_hundred_documents_read_at_once() -> None:
    limits = Limits(document_bytes_max=10_000)
    bodies = [Upper(is_whole=True, asks=False) for _ in range(30)]
    waiting = iter(bodies)
    rig = Rig(alpn="h2", limits=limits, reading=FakeReading(body_of=lambda request, response: next(waiting)))
    target, client = H2Target(rig), H2Client(rig)
    streams = [client.ask(GET) for _ in bodies]
    for stream, _ in target.requests():
        target.answer(stream, b"x" * 1000, ends=False)
    assert not client.events or not any(client.ended(stream) for stream in streams[:20])
    client.hear()
    withheld = [stream for stream in streams if client.ended(stream)]
    assert len(withheld) == 10 and all(client.head(stream)[":status"] == "502" for stream in withheld)
    assert b"ask for less at once" in client.body(withheld[0])
    for stream, _ in target.requests():
        if not target.reset(stream):
            target.h2.end_stream(stream)
    target.flush()
    client.hear()
    assert [client.body(stream) for stream in streams if stream not in withheld] == [b"X" * 1000] * 20
