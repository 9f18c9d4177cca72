"""PROXY headers: read to the byte from any cut, refused as soon as they can't be one, equal to what Twisted reads."""

import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Endpoint
from hoopproxy.wire.proxy_header import HEADER_BYTES_MAX, V1_BYTES_MAX, Header, read_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6 = 0x11, 0x21

ports = st.integers(0, 65535)
v4, v6 = st.ip_addresses(v=4), st.ip_addresses(v=6)
tlvs = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=4)
behind = st.binary(max_size=200)


def v2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


def addresses(source: Any, port: int) -> bytes:
    other = IPv4Address("192.0.2.1") if source.version == 4 else IPv6Address("2001:db8::1")
    return bytes(source.packed + other.packed + struct.pack("!HH", port, 5432))


def written(each: list[tuple[int, bytes]]) -> bytes:
    return b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in each)


@st.composite
def lines(draw: Any) -> tuple[bytes, Endpoint]:
    source, port = draw(st.one_of(v4, v6)), draw(ports)
    family, other = (4, "192.0.2.1") if source.version == 4 else (6, "2001:db8::1")
    shown = draw(st.sampled_from([str(source), source.exploded, str(source).upper()]))
    return f"PROXY TCP{family} {shown} {other} {port} 5432\r\n".encode(), Endpoint(_unwrapped(source), port)


@st.composite
def blocks(draw: Any) -> tuple[bytes, Endpoint]:
    source, port = draw(st.one_of(v4, v6)), draw(ports)
    body = addresses(source, port) + written(draw(tlvs))
    return v2(PROXY, TCP4 if source.version == 4 else TCP6, body), Endpoint(_unwrapped(source), port)


def _unwrapped(address: Any) -> Any:
    return (address.version == 6 and address.ipv4_mapped) or address


@given(st.one_of(lines(), blocks()), behind)
def test_it_is_read_once_it_is_whole_and_to_its_last_byte(sent: tuple[bytes, Endpoint], behind: bytes) -> None:
    header, client = sent
    for cut in range(len(header)):
        assert read_header(header[:cut]) is None
    assert read_header(header + behind) == (Header(client), len(header))


@given(lines())
def test_version_1_says_what_twisted_says(sent: tuple[bytes, Endpoint]) -> None:
    header, client = sent
    source: Any = V1Parser.parse(header[:-2]).source
    assert Endpoint(_unwrapped(ip_address(source.host)), source.port) == client


@given(blocks())
def test_version_2_says_what_twisted_says(sent: tuple[bytes, Endpoint]) -> None:
    header, client = sent
    source: Any = V2Parser.parse(header).source
    assert (
        Endpoint(
            _unwrapped(ip_address(source.host.decode() if isinstance(source.host, bytes) else source.host)), source.port
        )
        == client
    )


@given(st.integers(0, 255), st.binary(max_size=300), behind)
def test_local_names_nobody_whatever_else_it_says(family: int, body: bytes, behind: bytes) -> None:
    header = v2(LOCAL, family, body)
    assert read_header(header + behind) == (Header(None), len(header))


@given(st.binary(max_size=300))
def test_anything_else_is_refused_or_waited_for_and_never_read(data: bytes) -> None:
    for begun in (data, b"PROXY " + data, SIGNATURE + data):
        with suppress(ProtocolViolation):
            found = read_header(begun)
            is_whole = begun.startswith((b"PROXY ", SIGNATURE))
            assert is_whole or (found is None and (SIGNATURE.startswith(begun) or b"PROXY ".startswith(begun)))


A, B = b"192.0.2.7", b"192.0.2.1"


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY UNKNOWN",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535",
        b"PROXY TCP4",
        b"PROXY TCP4 ",
        b"PROXY TCP5 %b %b 1 2" % (A, B),
        b"PROXY UDP4 %b %b 1 2" % (A, B),
        b"PROXY tcp4 %b %b 1 2" % (A, B),
        b"PROXY  TCP4 %b %b 1 2" % (A, B),
        b"PROXY TCP4  %b %b 1 2" % (A, B),
        b"PROXY TCP4 %b %b 1 2 " % (A, B),
        b"PROXY TCP4 %b %b 1 2 3" % (A, B),
        b"PROXY TCP4 %b %b 1" % (A, B),
        b"PROXY TCP4 %b %b 01 2" % (A, B),
        b"PROXY TCP4 %b %b +1 2" % (A, B),
        b"PROXY TCP4 %b %b -1 2" % (A, B),
        b"PROXY TCP4 %b %b 1_0 2" % (A, B),
        b"PROXY TCP4 %b %b 65536 2" % (A, B),
        b"PROXY TCP4 %b %b 1 65536" % (A, B),
        b"PROXY TCP4 192.0.2.07 %b 1 2" % B,
        b"PROXY TCP4 192.0.2 %b 1 2" % B,
        b"PROXY TCP4 localhost %b 1 2" % B,
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2",
        b"PROXY TCP6 %b %b 1 2" % (A, B),
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2",
        b"PROXY TCP6 [2001:db8::7] 2001:db8::1 1 2",
        b"PROXY TCP4 %b not-an-address 1 2" % A,
        b"PROXY TCP4 %b %b 1 2\n" % (A, B),
        b"PROXY TCP4 %b %b 1 2\0" % (A, B),
        "PROXY TCP4 ١٩٢.0.2.7 192.0.2.1 1 2".encode(),
    ],
)
def test_a_line_that_is_not_to_the_letter_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        read_header(line + b"\r\n" + b"x" * 200)


def test_a_line_without_an_end_is_waited_for_no_longer_than_a_line_may_be() -> None:
    begun = b"PROXY TCP6 " + b"f" * 200
    assert read_header(begun[: V1_BYTES_MAX - 1]) is None
    with pytest.raises(ProtocolViolation, match="no end"):
        read_header(begun[:V1_BYTES_MAX])


FOUR = addresses(IPv4Address("192.0.2.7"), 40000)
SIX = addresses(IPv6Address("2001:db8::7"), 40000)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (v2(0x11, TCP4, FOUR), "version"),
        (v2(0x31, TCP4, FOUR), "version"),
        (v2(0x22, TCP4, FOUR), "command"),
        (v2(PROXY, 0x00, b""), "names no client"),
        (v2(PROXY, 0x00, FOUR), "names no client"),
        (v2(PROXY, 0x12, FOUR), "names no client"),
        (v2(PROXY, 0x10, FOUR), "names no client"),
        (v2(PROXY, 0x22, SIX), "names no client"),
        (v2(PROXY, 0x31, bytes(216)), "names no client"),
        (v2(PROXY, 0x41, FOUR), "names no client"),
        (v2(PROXY, TCP4, FOUR[:-1]), "malformed"),
        (v2(PROXY, TCP4, b""), "malformed"),
        (v2(PROXY, TCP6, FOUR), "malformed"),
        (v2(PROXY, TCP4, FOUR + b"\4"), "malformed"),
        (v2(PROXY, TCP4, FOUR + b"\4\0"), "malformed"),
        (v2(PROXY, TCP4, FOUR + b"\4\0\2x"), "malformed"),
        (v2(PROXY, TCP4, SIX), "malformed"),
        (v2(PROXY, TCP4, b"", length=HEADER_BYTES_MAX - 15), "bytes"),
        (v2(LOCAL, 0, b"", length=0xFFFF), "bytes"),
    ],
)
def test_a_block_that_does_not_fit_is_refused(header: bytes, why: str) -> None:
    with pytest.raises(ProtocolViolation, match=why):
        read_header(header + b"\0" * 64)


def test_the_longest_block_is_read() -> None:
    spare = HEADER_BYTES_MAX - 16 - len(FOUR) - 3
    header = v2(PROXY, TCP4, FOUR + written([(0x04, bytes(spare))]))
    assert read_header(header) == (Header(Endpoint(ip_address("192.0.2.7"), 40000)), HEADER_BYTES_MAX)


@pytest.mark.parametrize(
    "first", [b"\x16\x03\x01\x02\0\x01", b"\0\0\0\x08\x04\xd2\x16\x2f", b"*1\r\n$4\r\nPING\r\n", b"proxy "]
)
def test_what_is_no_header_is_refused_at_its_first_byte(first: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="does not begin") as caught:
        read_header(first)
    assert repr(first[:6])[2:-1] in caught.value.detail
    with pytest.raises(ProtocolViolation):
        read_header(first[:1])


def test_nothing_is_waited_for() -> None:
    assert read_header(b"") is None
