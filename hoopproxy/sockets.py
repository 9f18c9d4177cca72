"""What the kernel is told of a TCP socket, and asked: keep-alives, the handshake's round trip, what is on its way.

Linux alone. Knows no connection.
"""

import fcntl
import socket
import struct
import termios
from ipaddress import IPv6Address, ip_address

from hoopproxy.model import IPAddress

TCP_INFO_BYTES = 104
TCP_INFO_RTT, TCP_INFO_TOTAL_RETRANS = 68, 100
"""Where `tcpi_rtt` (µs) and `tcpi_total_retrans` lie in `struct tcp_info` (linux/tcp.h); both are 32 bits."""

KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""A peer that vanished is noticed within two minutes, and NATs that forget idle flows after five stay awake."""


def literal(host: str) -> IPAddress:
    """A peer's address without a scope, and as IPv4 where IPv6 only wraps it (RFC 4291 §2.5.5.2)."""
    address = ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def pace_keepalives(handle: socket.socket) -> None:
    """Have them sent as `KEEPALIVE` says. @raise OSError: the peer is gone."""
    for option, value in KEEPALIVE:
        handle.setsockopt(socket.IPPROTO_TCP, option, value)


def handshake_rtt_us(handle: socket.socket) -> int | None:
    """The round trip of a TCP handshake that has just ended; None if it proves nothing. @raise OSError."""
    return rtt_us(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES))


def rtt_us(info: bytes) -> int | None:
    """The kernel's sample, taken before the peer could forge one; the time of a packet sent twice proves nothing."""
    (sample,) = struct.unpack_from("=I", info, TCP_INFO_RTT)
    (retransmitted,) = struct.unpack_from("=I", info, TCP_INFO_TOTAL_RETRANS)
    return sample if sample and not retransmitted else None


def unconfirmed_bytes(handle: socket.socket) -> int:
    """How much of what was written the peer's kernel has not confirmed (SIOCOUTQ, tcp(7)); 0 for a socket that is
    gone."""
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4)))
    except (OSError, ValueError):
        return 0
    return int(count)
