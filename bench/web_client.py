"""A client of HTTP/1.1 that costs little: one connection that stays, and bytes that are counted. Knows no proxy."""

import socket
import ssl
from dataclasses import dataclass

from bench.client import ClientError

READ_BYTES = 1 << 18
WAIT_S_MAX = 300.0
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class WebDoor:
    """A way to the site: a port of 127.0.0.1, TLS if it is to be, by which host it is asked for, and what is shown."""

    port: int
    host: str
    tls: ssl.SSLContext | None = None
    token: str = ""

    def connect(self) -> "WebClient":
        """@raise OSError"""
        plain = socket.create_connection(("127.0.0.1", self.port), WAIT_S_MAX)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return WebClient(self, self.tls.wrap_socket(plain, server_hostname=self.host) if self.tls else plain)

    def get(self, path: str) -> int:
        """How many bytes are there. @raise ClientError, OSError"""
        with self.connect() as client:
            return client.get(path)


class WebClient:
    """One connection, which stays open; a context manager."""

    def __init__(self, door: WebDoor, server: socket.socket) -> None:
        self._socket = server
        shown = f"Authorization: Bearer {door.token}\r\n" if door.token else ""
        self._rest = f" HTTP/1.1\r\nHost: {door.host}:{door.port}\r\n{shown}\r\n"
        self._buffer = memoryview(bytearray(READ_BYTES))

    def __enter__(self) -> "WebClient":
        return self

    def __exit__(self, *why: object) -> None:
        self._socket.close()

    def get(self, path: str) -> int:
        """How many bytes are there. @raise ClientError: it was refused, or ended."""
        self._socket.sendall(f"GET {path}{self._rest}".encode())
        head = b""
        while HEAD_END not in head:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise ClientError("The server left.")
            head += data
        head, _, body = head.partition(HEAD_END)
        status, _, fields = head.lower().partition(b"\r\n")
        size = int(fields.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if b" 200" not in status:
            raise ClientError(f"{head!r} {body[:300]!r}")
        left = size - len(body)
        while left:
            count = self._socket.recv_into(self._buffer)
            if not count:
                raise ClientError("The server left.")
            left -= count
        return size
