"""The two sides of HTTP connections, by version. Knows no lane, no guard and no policy."""

from hoopproxy.settings import Limits
from hoopproxy.wire.http.client_half import ClientHalf, Http1ClientHalf, Http2ClientHalf
from hoopproxy.wire.http.server_half import Http1ServerHalf, Http2ServerHalf, ServerHalf

CLIENT_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What every HTTP/2 client says first, and no other (RFC 9113 §3.4)."""

SERVER_PREFACE = Http2ClientHalf(Limits()).taken()
"""What is said to every HTTP/2 client first (RFC 9113 §3.4): it depends on nothing."""


def client_half(limits: Limits, *, is_h2: bool, scheme: str) -> ClientHalf:
    """For a client that was sent `SERVER_PREFACE` already if it speaks HTTP/2; `scheme` is that of requests which name
    none."""
    return Http2ClientHalf(limits, is_greeted=True) if is_h2 else Http1ClientHalf(limits, scheme)


def server_half(limits: Limits, alpn: str) -> ServerHalf:
    """For a target with which ALPN agreed on that."""
    return Http2ServerHalf(limits) if alpn == "h2" else Http1ServerHalf(limits)
