"""TLS as a stream wants it: all records that came are one read, and what is written goes out in one piece.

Twisted hands records on one by one, and PostgreSQL makes them of 8 KiB. Knows no protocol, and not whose connection it
is.
"""

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from zope.interface import implementer

RECORD_BYTES_MAX = 16_384
"""What a record may carry (RFC 8446 §5.1)."""

GROWTH_BYTES_MAX = 256
"""What it may be longer than that (§5.2)."""

_KEPT_BYTES = 4096
"""Of a handshake's end or a change of keys something may wait before what is written."""


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class Records:
    """`options` for one TLS handshake; after it, what seals."""

    def __init__(self, options: Any) -> None:
        self._options = options
        self._tls: Any = None

    def clientConnectionForTLS(self, tls_protocol: Any) -> Any:
        return self._gathering(self._options.clientConnectionForTLS(tls_protocol))

    def serverConnectionForTLS(self, tls_protocol: Any) -> Any:
        return self._gathering(self._options.serverConnectionForTLS(tls_protocol))

    def sealed(self, data: bytes) -> bytes:
        """What goes out for it after the handshake; b"" behind the stream's end, which whoever reads hears of."""
        count = len(data) // RECORD_BYTES_MAX + 1
        try:
            self._tls.sendall(data)
            piece: bytes = self._tls.bio_read(len(data) + count * GROWTH_BYTES_MAX + _KEPT_BYTES)
        except SSL.Error:
            return b""
        return piece

    def _gathering(self, tls: Any) -> Any:
        self._tls = tls
        return _Gathering(tls)


class _Gathering:
    """pyOpenSSL's connection as Twisted uses it, but whoever receives gets all that is there."""

    def __init__(self, tls: Any) -> None:
        self._tls = tls
        self._why: SSL.Error | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tls, name)

    def recv(self, bytes_max: int) -> bytes:
        why, self._why = self._why, None
        if why is not None:
            raise why
        pieces: list[bytes] = []
        try:
            while True:
                pieces.append(self._tls.recv(bytes_max))
        except SSL.Error as end:  # no more for now, or for ever: Twisted asks again at once
            if not pieces:
                raise
            self._why = end.with_traceback(None)
        return b"".join(pieces)
