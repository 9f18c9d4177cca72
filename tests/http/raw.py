"""A client that sends what it likes, byte for byte."""

import http.client
import socket
from contextlib import suppress
from io import BufferedReader
from typing import Self

from hoopproxy.testing.http_stand import CLEAR

from .conftest import HttpStand
from .ways import Got, got

S_MAX = 30


class _Heard(BufferedReader):
    """What comes, for one response after the other: the first may have been read together with a part of the next."""

    def makefile(self, *_: object) -> "_Heard":
        return self

    def close(self) -> None:
        """Each response closes what it was read from; the next one is still to come."""


class Raw:
    """A connection to the gateway's listener in the clear, or in TLS with `alpn`; a context manager."""

    def __init__(self, stand: HttpStand, target: str = "plain", *, source: str = "127.0.0.1") -> None:
        way = stand.reverse(target, listener=CLEAR)
        self.netloc, self.token = way.netloc, way.token
        self.socket = socket.create_connection(way.address, S_MAX, (source, 0))
        self._heard = _Heard(self.socket.makefile("rb", buffering=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self._heard.raw.close()
        self.socket.close()

    def head(self, line: str = "GET /customers/1 HTTP/1.1", *fields: str, host: str | None = None) -> bytes:
        """A request's head, with Host and credentials in front of the fields."""
        lines = [line, f"Host: {host or self.netloc}", f"Authorization: Bearer {self.token}", *fields, "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def say(self, data: bytes) -> None:
        """Send it; that nobody listens any more is no mistake."""
        with suppress(ConnectionError):
            self.socket.sendall(data)

    def hear(self, method: str = "GET") -> Got:
        """The next response. @raise ConnectionError, http.client.HTTPException: there is none."""
        answer = http.client.HTTPResponse(self._heard, method=method)  # type: ignore[arg-type] # it asks for no more
        with answer:
            answer.begin()
            return got(answer.status, answer.getheaders(), answer.read())

    def rest(self) -> bytes:
        """All that comes until the other side ends the connection, however it does."""
        pieces = []
        with suppress(ConnectionError):
            while data := self._heard.read1(1 << 16):
                pieces.append(data)
        return b"".join(pieces)
