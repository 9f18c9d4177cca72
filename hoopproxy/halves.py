"""TLS whose two directions end one by one, and how much of a stream its peer has not taken yet.

Twisted's TLS ends whole as soon as one side has said that it is done, as TLS 1.2 wants it (RFC 5246 §7.2.1); since TLS
1.3 each direction ends by itself (RFC 8446 §6.1). Knows no protocol, and not whose connection it is.
"""

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IPullProducer,
)
from zope.interface import alsoProvides, implementer

from hoopproxy.sockets import unconfirmed_bytes


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class HalfByHalf:
    """`options` for a TLS handshake, for a connection that outlives its peer's close_notify: `ended` is called then,
    and told whether ours was sent before."""

    def __init__(self, options: Any, ended: Callable[[bool], None]) -> None:
        self._options, self._ended = options, ended

    def clientConnectionForTLS(self, tls_protocol: Any) -> Any:
        return _Halves(self._options.clientConnectionForTLS(tls_protocol), self._ended)

    def serverConnectionForTLS(self, tls_protocol: Any) -> Any:
        return _Halves(self._options.serverConnectionForTLS(tls_protocol), self._ended)


class _Halves:
    """pyOpenSSL's connection as Twisted uses it, but the peer's close_notify looks as if no more had come.

    Even with ours sent: Twisted would end TCP at once, and trip over that where our half of it had ended before.
    """

    def __init__(self, tls: SSL.Connection, ended: Callable[[bool], None]) -> None:
        self._tls, self._ended, self._is_told = tls, ended, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tls, name)

    def recv(self, bytes_max: int) -> bytes:
        try:
            return self._tls.recv(bytes_max)
        except SSL.ZeroReturnError:
            if not self._is_told:
                self._is_told = True
                self._ended(bool(self._tls.get_shutdown() & SSL.SENT_SHUTDOWN))
            raise SSL.WantReadError from None


def tell_halves(tls_protocol: Any, read_lost: Callable[[], None], write_lost: Callable[[], None]) -> None:
    """Have these called when one direction of the TCP under TLS ends; else Twisted ends both."""
    tls_protocol.readConnectionLost, tls_protocol.writeConnectionLost = read_lost, write_lost
    alsoProvides(tls_protocol, IHalfCloseableProtocol)


def said(why: BaseException | None) -> str:
    """Why a connection or a handshake ended, as OpenSSL or Twisted has it, for the operator."""
    if isinstance(why, SSL.Error) and why.args and isinstance(why.args[0], list):
        return "OpenSSL: " + "; ".join(reason for _, _, reason in why.args[0])
    return f"{type(why).__name__}: {why}".rstrip(". ")


@implementer(IPullProducer)
class Taken:
    """Whether the peer has confirmed all that was written, to which nothing is added any more.

    `handle` is the socket of `tcp`, Twisted's transport, which has sent all of it already if it `has_ended`.
    """

    def __init__(self, tcp: Any, handle: Any, *, is_tls: bool, has_ended: bool) -> None:
        self._handle, self._is_sent = handle, has_ended
        self._is_asked = False
        if not has_ended:
            beneath = tcp.protocol.transport if is_tls else tcp
            beneath.registerProducer(self, False)  # asks at once, and again when nothing is left to be sent
            beneath.startWriting()

    def __bool__(self) -> bool:
        return self._is_sent and not unconfirmed_bytes(self._handle)

    def resumeProducing(self) -> None:
        self._is_asked, self._is_sent = True, self._is_asked

    def stopProducing(self) -> None:
        """The transport is gone."""
