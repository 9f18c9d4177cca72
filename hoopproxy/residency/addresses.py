"""Addresses in the one form in which they are judged, hosts that are written plainly, and what no gateway may dial.

Pure: resolves nothing and knows no zone. What `canonical` answers is what must be judged *and* dialled; a literal that
is judged in one form and dialled in another is a way around every rule here.
"""

import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hoopproxy.model import Endpoint, IPAddress

HOST_CHARACTERS_MAX = 253

_EMBEDDING_LAST_32_BITS = (
    ip_network("::/96"),  # IPv4-compatible, RFC 4291 §2.5.5.1
    ip_network("64:ff9b::/96"),  # NAT64, RFC 6052 §2.1
    ip_network("64:ff9b:1::/48"),  # NAT64 for local use, RFC 8215
)
_NOT_EMBEDDING = frozenset({IPv6Address("::"), IPv6Address("::1")})

_METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # most clouds
            "169.254.170.2",  # AWS, credentials of containers
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google
            "168.63.129.16",  # Azure's wire server
            "100.100.100.200",  # Alibaba
        ),
    )
)
_THIS_NETWORK = ip_network("0.0.0.0/8")  # RFC 791 §3.2; Linux connects 0.0.0.0 to itself
_BROADCAST = IPv4Address("255.255.255.255")
_SITE_LOCAL = ip_network("fec0::/10")  # given up by RFC 3879

_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def canonical(address: IPAddress) -> IPAddress:
    """The address that packets end at: without a scope id, and as IPv4 where the IPv6 form only carries that.

    Unwraps IPv4-mapped, IPv4-compatible, NAT64 (well-known and for local use), 6to4 and Teredo (the client's address).
    A NAT64 prefix for local use is read as one of 96 bits; other lengths leave an address that leads nowhere.
    """
    if isinstance(address, IPv4Address):
        return address
    bare = IPv6Address(int(address))
    if bare.ipv4_mapped is not None:
        return bare.ipv4_mapped
    if bare.sixtofour is not None:
        return bare.sixtofour
    if bare.teredo is not None:
        return bare.teredo[1]
    if bare not in _NOT_EMBEDDING and any(bare in network for network in _EMBEDDING_LAST_32_BITS):
        return IPv4Address(int(bare) & 0xFFFFFFFF)
    return bare


def parse_host(text: str) -> IPAddress | str:
    """A canonical address, or a host name in lower case.

    Takes a plain IP literal, or a name of letters, digits and hyphens (RFC 1123 §2.1; RFC 5890 A-labels, no others).
    `getaddrinfo` takes far more (`127.1`, `2130706433`, `0x7f000001`, `①②⑦.⓪.⓪.①`), and what one reader takes for a
    name another takes for an address.

    @raise ValueError: it is neither; the text is one sentence.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _name(text)
    if "%" in text:
        raise ValueError(f"{_shown(text)} has a scope; wanted is an address without one.")
    return canonical(address)


def _name(text: str) -> str:
    name = text.lower() if text.isascii() else text
    if len(text) > HOST_CHARACTERS_MAX:
        raise ValueError(f"{_shown(text)} is no host: it is longer than {HOST_CHARACTERS_MAX} characters.")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{_shown(text)} is no host; wanted is an IP address, or a name of labels of up to 63 letters, digits and "
            "inner hyphens, with dots between them."
        )
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise ValueError(f"{_shown(text)} is no host: its last label is a number, but it is no plain IP address.")
    return name


def forbidden(
    address: IPAddress, *, allow_loopback: bool, own: frozenset[Endpoint] = frozenset(), port: int | None = None
) -> str | None:
    """Why no gateway may dial this address, in a few words; None when it may.

    `own` are the gateway's listeners; one on an unspecified address counts for all of loopback. `port` None stands for
    any port.
    """
    bare = canonical(address)
    if bare in _METADATA:
        return "a cloud metadata service"
    if bare.is_link_local:
        return "link-local"
    if bare.is_unspecified or bare in _THIS_NETWORK:
        return "unspecified"
    if bare.is_multicast:
        return "multicast"
    if bare == _BROADCAST:
        return "broadcast"
    if bare.is_loopback and not allow_loopback:
        return "loopback"
    if not bare.is_loopback and (bare.is_reserved or bare in _SITE_LOCAL):
        return "reserved"
    if any(port in (None, listener.port) and _answers(listener, bare) for listener in own):
        return "the gateway's own listener"
    return None


def _answers(listener: Endpoint, address: IPAddress) -> bool:
    at = canonical(listener.address)
    # An unspecified address also takes IPv4 when it is `::`.
    return at == address or (at.is_unspecified and address.is_loopback)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
