"""TLS within a stream that is somebody's already: what a client says behind a CONNECT, in the clear or in TLS itself.

Pulled like the connection beneath, whose back-pressure it has. Knows no HTTP.
"""

from contextlib import suppress

from OpenSSL import SSL

from hoopproxy.connection import Connection
from hoopproxy.errors import ProtocolViolation
from hoopproxy.halves import said
from hoopproxy.listen.tls import server_name

RECORD_TYPE_HANDSHAKE = 22
"""What a TLS client's first byte is (RFC 8446 §5.1)."""

_READ_BYTES, _WRITE_BYTES = 32_768, 65_536


class Tunnel:
    """One client's stream in TLS; `shake` first.

    `tls` is a connection over memory in the accepting state. `alpn` and `server_name` are known after the handshake.
    """

    def __init__(self, beneath: Connection, tls: SSL.Connection) -> None:
        self._beneath, self._tls = beneath, tls
        self.alpn = b""
        self.server_name = ""

    async def shake(self) -> None:
        """Returns when the handshake is complete. @raise ProtocolViolation"""
        while True:
            try:
                self._tls.do_handshake()
                break
            except SSL.WantReadError:
                self._flush()
            except SSL.Error as why:
                self._flush()
                raise _unshaken(said(why)) from why
            if not await self._more():
                raise _unshaken("the client closed the connection amid it")
        self._flush()
        self.alpn, self.server_name = self._tls.get_alpn_proto_negotiated(), server_name(self._tls)

    async def read(self) -> bytes:
        """At least one byte, or b"" at the client's end of stream. A read that is cancelled has taken nothing."""
        while True:
            try:
                return self._tls.recv(_READ_BYTES)
            except SSL.WantReadError:
                self._flush()  # an answer to the client's change of keys, say
                if not await self._more():
                    return b""
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as why:
                raise ProtocolViolation(
                    "client", "Your client broke off its TLS; connect again.", detail=f"TLS in a tunnel: {said(why)}"
                ) from why

    async def write(self, data: bytes) -> None:
        """Returns when there is room for more."""
        self.send(data)
        await self._beneath.write(b"")

    def send(self, data: bytes) -> None:
        """Without waiting for room."""
        for start in range(0, len(data), _WRITE_BYTES):
            with suppress(SSL.Error):  # the client is gone; `read` says so
                self._tls.sendall(data[start : start + _WRITE_BYTES])
            self._flush()

    async def end(self) -> None:
        """Nothing more will be written."""
        self._say_farewell()
        await self._beneath.end()

    def close(self, linger_bytes_max: float) -> None:
        """As `Connection.close`."""
        self._say_farewell()
        self._beneath.close(linger_bytes_max)

    def _say_farewell(self) -> None:
        with suppress(SSL.Error):  # amid a handshake there is nobody to take leave of
            self._tls.shutdown()
        self._flush()

    async def _more(self) -> bool:
        data = await self._beneath.read()
        if data:
            self._tls.bio_write(data)
        return bool(data)

    def _flush(self) -> None:
        with suppress(SSL.WantReadError):
            while data := self._tls.bio_read(_WRITE_BYTES):
                self._beneath.send(data)


def _unshaken(detail: str) -> ProtocolViolation:
    return ProtocolViolation(
        "client",
        "The TLS handshake failed; check that your client speaks TLS 1.2 or later and trusts the gateway's authority.",
        detail=f"TLS in a tunnel: {detail}",
    )
