"""A PostgreSQL client that says what it is told to: bytes out, answers counted and not kept, however large.

For load and for what no honest client sends. Knows no gateway and no SQL; its only login is a password in the clear.
"""

import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from zlib import crc32

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PROTOCOL_3_0 = 3 << 16
SEND_BYTES = 1 << 20
RECEIVE_BYTES = 1 << 18

_DATA_ROW, _COPY_DATA, _READY, _ERROR, _COPY_IN = b"DdZEG"


class Refused(Exception):
    """The server ended the login; the text is what it said."""


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message as on the wire (PostgreSQL manual, "Message Formats")."""
    return kind + struct.pack("!i", len(body) + 4) + body


def query(statement: str) -> bytes:
    """A simple query."""
    return message(b"Q", statement.encode() + b"\0")


def startup(parameters: Mapping[str, str], version: int = PROTOCOL_3_0) -> bytes:
    """A client's first packet."""
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, version) + body


@dataclass(slots=True)
class Answer:
    """What a server said up to ReadyForQuery, or up to the invitation to send COPY data.

    Of rows and COPY data only the messages, their bytes and their CRC-32 are kept; `said` holds all other messages.
    """

    rows: int = 0
    row_bytes: int = 0
    crc32: int = 0
    said: list[tuple[bytes, bytes]] = field(default_factory=list)
    is_whole: bool = False
    rest: bytes = b""
    """What arrived after its end, or of a message that is not yet whole."""
    _missing: int = 0

    @property
    def errors(self) -> list[dict[str, str]]:
        """Each ErrorResponse, its fields by their letter."""
        return [fields(body) for kind, body in self.said if kind == b"E"]

    @property
    def tags(self) -> list[str]:
        """What each CommandComplete said."""
        return [body[:-1].decode() for kind, body in self.said if kind == b"C"]

    def take(self, data: bytes) -> bool:
        """Go through what arrived; whether the answer is complete."""
        data, self.rest = self.rest + data, b""
        at = begin = 0
        if self._missing:
            at = min(self._missing, len(data))
            self._missing -= at
        while len(data) - at >= 5 and not self.is_whole and not self._missing:
            kind, end = data[at], at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if kind in (_DATA_ROW, _COPY_DATA):
                self.rows += 1
                at, self._missing = min(end, len(data)), max(0, end - len(data))
                continue
            if end > len(data):
                break
            self._count(data[begin:at])
            self.said.append((data[at : at + 1], data[at + 5 : end]))
            self.is_whole = kind in (_READY, _COPY_IN)
            at = begin = end
        self._count(data[begin:at])
        self.rest = data[at:]
        return self.is_whole

    def _count(self, rows: bytes) -> None:
        self.row_bytes += len(rows)
        self.crc32 = crc32(rows, self.crc32)


def fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse by their letter: "S" severity, "C" SQLSTATE, "M" sentence."""
    return {text[:1].decode(): text[1:].decode(errors="replace") for text in body.split(b"\0") if text}


class BareClient:
    """One connection to `(host, port)`, or to a Unix socket's path; a context manager.

    `source` is the address it comes from; `receive_bytes` the size of the kernel's receive buffer, for slow readers.
    Every wait is bounded by `wait_s_max`. `key` is what BackendKeyData said.
    """

    def __init__(
        self, server: tuple[str, int] | str, *, source: str = "", receive_bytes: int = 0, wait_s_max: float = 60.0
    ) -> None:
        self.socket = socket.socket(socket.AF_UNIX if isinstance(server, str) else socket.AF_INET)
        self.key = b""
        self._rest = b""
        try:
            self.socket.settimeout(wait_s_max)
            if receive_bytes:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(server)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """So that selectors take it."""
        return self.socket.fileno()

    def close(self) -> None:
        """Leave without a goodbye."""
        self.socket.close()

    def reset(self) -> None:
        """Leave as a crashed machine does: with a RST in the place of an orderly end (SO_LINGER of 0 s)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def half_close(self) -> None:
        """Say no more, and go on listening. In TLS without its goodbye (close_notify)."""
        with suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_WR)  # an SSLSocket's own would forget its keys

    def start_tls(self, context: ssl.SSLContext, name: str = "localhost") -> None:
        """Ask for TLS and shake hands. @raise Refused: the server has none."""
        self.send(SSL_REQUEST)
        if self.socket.recv(1) != b"S":
            raise Refused("the server has no TLS")
        self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def log_in(self, user: str, database: str, password: str = "", **settings: str) -> None:
        """Up to the first ReadyForQuery. @raise Refused"""
        self.send(startup({"user": user, "database": database} | settings))
        for kind, body in self._messages():
            if kind == b"E":
                raise Refused(fields(body)["M"])
            if kind == b"K":
                self.key = body
            if kind == b"R" and body == struct.pack("!i", 3):
                self.send(message(b"p", password.encode() + b"\0"))
            if kind == b"Z":
                return

    def send(self, data: bytes | memoryview) -> None:
        """All of it, however large. @raise OSError"""
        view = memoryview(data)
        for at in range(0, len(view), SEND_BYTES):  # OpenSSL takes no 2 GiB at once
            self.socket.sendall(view[at : at + SEND_BYTES])

    def ask(self, statement: str) -> Answer:
        """A simple query and its answer."""
        self.send(query(statement))
        return self.answer()

    def answer(self) -> Answer:
        """The next answer; of one that the server broke off, what there was."""
        answer = Answer()
        is_whole = answer.take(self._rest)
        while not is_whole and (data := self.socket.recv(RECEIVE_BYTES)):
            is_whole = answer.take(data)
        self._rest = answer.rest
        return answer

    def rest(self) -> bytes:
        """All that is still to come, until the server ends the connection, in whatever way."""
        received, self._rest = [self._rest], b""
        with suppress(ConnectionError, ssl.SSLError):
            while data := self.socket.recv(RECEIVE_BYTES):
                received.append(data)
        return b"".join(received)

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            while len(self._rest) < 5 or len(self._rest) < self._total():
                data = self.socket.recv(RECEIVE_BYTES)
                if not data:
                    raise Refused("the server closed the connection")
                self._rest += data
            total = self._total()
            kind, body, self._rest = self._rest[:1], self._rest[5:total], self._rest[total:]
            yield kind, body

    def _total(self) -> int:
        return 1 + int.from_bytes(self._rest[1:5], "big")
