"""The PROXY header by which a load balancer says for whom it connects, versions 1 and 2 (haproxy's proxy-protocol.txt).

Strict: what is not a whole, well-formed header of a TCP connection is none. Knows no socket, and not who may send one.
"""

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Endpoint, IPAddress

HEADER_BYTES_MAX = 4096
"""Of version 2; the same as nginx takes. Addresses and what balancers usually add (an authority, a TLS version, a VPC's
id) are under 300; a client's certificate, which haproxy can add, is longer."""

V1_BYTES_MAX = 107
"""§2.1: the longest line there can be, with its CR LF."""

_V1, _V2 = b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"
_FIXED_BYTES = 16
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES: dict[int, tuple[str, type[IPv4Address] | type[IPv6Address]]] = {
    0x11: ("!4s4sHH", IPv4Address),  # TCP over IPv4, §2.2
    0x21: ("!16s16sHH", IPv6Address),  # TCP over IPv6
}
_LINE = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n")


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says. `client` is None for a connection that the balancer makes on its own account (LOCAL)."""

    client: Endpoint | None


def read_header(data: bytes) -> tuple[Header, int] | None:
    """The header that `data`, a connection's first bytes, begins with, and its length; None: some of it is still to
    come.

    @raise ProtocolViolation: it begins with no header; or with one that names no client, since a client that comes from
        nowhere can be judged by no rule (UNKNOWN, AF_UNSPEC and AF_UNIX: §2 leaves the receiver free to refuse them).
    """
    if data.startswith(_V2):
        return _v2(data)
    if data.startswith(_V1):
        return _v1(data)
    if _V1.startswith(data) or _V2.startswith(data):
        return None
    raise _wrong("it does not begin with a PROXY header", data)


def _v1(data: bytes) -> tuple[Header, int] | None:
    length = data.find(b"\r\n", 0, V1_BYTES_MAX) + 2
    if length < 2:
        if len(data) >= V1_BYTES_MAX:
            raise _wrong("its header of version 1 has no end", data)
        return None
    line = data[:length]
    if line.startswith(b"PROXY UNKNOWN"):
        raise _wrong("its header does not say for whom it connects", line)
    if found := _LINE.fullmatch(line):
        kind = IPv6Address if found[1] == b"6" else IPv4Address
        try:
            client, _ = (_endpoint(kind(found[each].decode()), int(found[each + 2])) for each in (2, 3))
        except ValueError:  # no such address, or no such port
            pass
        else:
            return Header(client), length
    raise _wrong("its header of version 1 is malformed", line)


def _v2(data: bytes) -> tuple[Header, int] | None:
    if len(data) < _FIXED_BYTES:
        return None
    command, family, bytes_count = struct.unpack_from("!BBH", data, len(_V2))
    length = _FIXED_BYTES + bytes_count
    if command not in (_LOCAL, _PROXY):
        raise _wrong("its header is of another version than 1 and 2, or has an unknown command", data[:_FIXED_BYTES])
    if length > HEADER_BYTES_MAX:
        raise _wrong(f"its header has {length} bytes, of which {HEADER_BYTES_MAX} are allowed", data[:_FIXED_BYTES])
    if command == _PROXY and family not in _ADDRESSES:
        raise _wrong("its header names no client that came over TCP", data[:_FIXED_BYTES])
    if len(data) < length:
        return None
    if command == _LOCAL:
        return Header(None), length  # whatever else it says is to be ignored
    form, kind = _ADDRESSES[family]
    first = _FIXED_BYTES + struct.calcsize(form)
    if first > length or not _are_tlvs(data[first:length]):
        raise _wrong("its header of version 2 is malformed", data[:length])
    source, _, port, _ = struct.unpack_from(form, data, _FIXED_BYTES)
    return Header(_endpoint(kind(source), port)), length


def _are_tlvs(data: bytes) -> bool:
    """Whether it is types, lengths and values to its very end; what they say is for others."""
    at = 0
    while at < len(data):
        if at + 3 > len(data):
            return False
        at += 3 + int.from_bytes(data[at + 1 : at + 3])
    return at == len(data)


def _endpoint(address: IPAddress, port: int) -> Endpoint:
    """IPv4 where IPv6 only wraps it (RFC 4291 §2.5.5.2), as for a socket's own peer. @raise ValueError: no port."""
    if port > 65535:
        raise ValueError(port)
    return Endpoint((isinstance(address, IPv6Address) and address.ipv4_mapped) or address, port)


def _wrong(what: str, data: bytes) -> ProtocolViolation:
    return ProtocolViolation(
        "client", f"A balancer's connection was ended because {what}.", detail=f"it begins {data[:60]!r}"
    )
