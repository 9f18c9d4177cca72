"""Harness: a balancer, or whoever speaks from its address, before anything else: its PROXY header."""

import struct
from ipaddress import IPv6Address, ip_address
from typing import Any

from twisted.protocols.haproxy._exceptions import InvalidProxyHeader
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser

from fuzz.choices import Choices, damaged
from fuzz.endings import Ending, ending
from hoopproxy.errors import SessionError
from hoopproxy.wire.proxy_header import HEADER_BYTES_MAX, Header, read_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PLACES = (b"192.0.2.1", b"2001:db8::1", b"::ffff:192.0.2.1", b"127.1", b"01.2.3.4", b"", b"::", b"1.2.3.4%eth0")
PORTS = (b"5432", b"0", b"65535", b"65536", b"00022", b"-1", b"", b"99999")
WORDS = (b"TCP4", b"TCP6", b"UNKNOWN", b"UDP4", b"tcp4", b"")


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    said = choices.call(_v1, _v1, _v2, _v2, _v2, lambda choices: choices.some(200))
    said = (damaged(choices, said) if choices.byte() & 3 == 3 else said) + choices.some(20)
    found = _read(said)
    if isinstance(found, tuple) and isinstance(found[0], Header):
        header, length = found
        assert 0 < length <= min(HEADER_BYTES_MAX, len(said))
        assert _read(said[:length]) == found and _read(said + b"more") == found
        _as_twisted(said[:length], header)
    steps = {0, 1, 5, 6, 11, 12, 15, 16, len(said) // 2, max(len(said) - 1, 0), choices.byte()}
    for size in steps:
        before = _read(said[:size])
        if found is None:
            assert before is None
        elif before is not None and isinstance(before[0], Header):
            assert before == found
        elif before is not None:
            assert not isinstance(found[0], Header), "what was refused by its beginning is taken as a whole"


def _v1(choices: Choices) -> bytes:
    places = [choices.pick(PLACES) for _ in range(2)]
    if choices.byte() & 3:
        places[1] = places[0]
    parts = [b"PROXY", choices.pick(WORDS), *places, choices.pick(PORTS), choices.pick(PORTS)]
    return choices.pick((b" ", b" ", b" ", b"  ", b"\t")).join(parts) + choices.pick((b"\r\n", b"\r\n", b"\n", b"\r"))


def _v2(choices: Choices) -> bytes:
    command, family = (
        choices.pick((0x21, 0x21, 0x20, 0x22, 0x11)),
        choices.pick((0x11, 0x21, 0x11, 0x21, 0, 0x31, 0x12)),
    )
    size = {1: 12, 2: 36, 3: 216}.get(family >> 4, 0)
    body = (choices.some(36) * 36)[:size].ljust(size, b"\0")
    for _ in range(choices.below(3)):
        value = choices.some(40)
        body += struct.pack("!BH", choices.byte(), len(value)) + value
    length = choices.number() & 0xFFFF if choices.byte() & 15 == 15 else len(body)
    return SIGNATURE + struct.pack("!BBH", command, family, length) + body


def _read(said: bytes) -> tuple[Header, int] | Ending | None:
    try:
        return read_header(said)
    except SessionError as why:
        return ending(why)


def _as_twisted(said: bytes, header: Header) -> None:
    """Where Twisted takes it, too, it is from the same place. It takes more, and is no judge of what may be taken."""
    parser: Any = V2Parser if said.startswith(SIGNATURE) else V1Parser
    try:
        source = parser.parse(said if parser is V2Parser else said.removesuffix(b"\r\n")).source
    except (InvalidProxyHeader, ValueError):
        return
    if source is None or header.client is None:
        assert source is None and header.client is None
        return
    address = ip_address(source.host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    assert (header.client.address, header.client.port) == (address, source.port)
