"""A PostgreSQL client that costs little: it drains answers without looking at rows, which leaves a CPU to the proxy.

Knows no proxy. An answer is read into one buffer and counted; only its last bytes are looked at.
"""

import re
import secrets
import ssl
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hoopproxy.proofs import Secret
from hoopproxy.testing.bare_client import BareClient, Refused, fields, message, query, startup
from hoopproxy.wire.postgres.scram import PLAIN, Scram

READ_BYTES = 1 << 18
TAIL_BYTES = 512
WAIT_S_MAX = 300.0

_END = re.compile(rb"Z\0\0\0\x05[ITE]$")
_TAG = re.compile(rb"C\0\0\0.([A-Z]+(?: \d+)*)\0Z\0\0\0\x05[ITE]$", re.DOTALL)


class ClientError(Exception):
    """The other side said no, or left in the middle of an answer; the text is the end of what it said."""


@dataclass(frozen=True, slots=True)
class Door:
    """A way into a database on 127.0.0.1: where to connect, as whom, and how. `ca` None means without TLS."""

    port: int
    user: str
    password: str
    database: str
    ca: Path | None

    def environment(self) -> dict[str, str]:
        """The same for programs that use libpq (PostgreSQL manual, 34.15)."""
        tls = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.ca)} if self.ca else {"PGSSLMODE": "disable"}
        return tls | {
            "PGHOST": "localhost",
            "PGHOSTADDR": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
            "PGGSSENCMODE": "disable",
        }


@dataclass(frozen=True, slots=True)
class Drained:
    """What an answer was: its bytes on the wire, and the tag of its last statement, as in `SELECT 1`."""

    size: int
    tag: str


class Client(BareClient):
    """One connection, logged in when made. @raise ClientError, OSError: in every method."""

    def __init__(self, door: Door) -> None:
        super().__init__(("127.0.0.1", door.port), wait_s_max=WAIT_S_MAX)
        self._buffer = memoryview(bytearray(READ_BYTES))
        try:
            if door.ca is not None:
                self.start_tls(_trusting(door.ca))
            self._enter(door)
        except Refused as why:
            self.close()
            raise ClientError(str(why)) from why
        except BaseException:
            self.close()
            raise

    def leave(self) -> None:
        """Say goodbye, then close."""
        self.send(message(b"X"))
        self.close()

    def drain(self, question: bytes) -> Drained:
        """Send what was made by `query`, and read its whole answer."""
        self.socket.sendall(question)
        return self._drain()

    def copy_in(self, statement: str, pieces: Iterable[bytes]) -> Drained:
        """COPY … FROM STDIN; `pieces` are whole CopyData messages, one or more in each."""
        self.send(query(statement))
        errors = self.answer().errors  # up to the invitation
        if errors:
            raise ClientError(errors[0]["M"])
        for piece in pieces:
            self.socket.sendall(piece)
        self.socket.sendall(message(b"c"))
        return self._drain()

    def _drain(self) -> Drained:
        size, tail = 0, b""
        while not _END.search(tail):
            count = self.socket.recv_into(self._buffer)
            if not count:
                raise ClientError(f"The connection ended after {size} bytes of an answer.")
            size += count
            end = bytes(self._buffer[max(0, count - TAIL_BYTES) : count])
            tail = (tail + end)[-TAIL_BYTES:]
        tag = _TAG.search(tail)
        if tag is None:
            raise ClientError(tail.decode(errors="replace"))
        return Drained(size, tag[1].decode())

    def _enter(self, door: Door) -> None:
        """Log in with a password in the clear or by SCRAM, whichever the server asks for."""
        self.send(startup({"user": door.user, "database": door.database}))
        scram = Scram(Secret(door.password), secrets.token_urlsafe(18), PLAIN)
        for kind, body in self._messages():
            if kind == b"E":
                raise Refused(fields(body)["M"])
            if kind == b"Z":
                return
            if kind == b"R":
                self.send(_proof(body, scram, door.password))


@cache
def _trusting(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


@contextmanager
def crowd(door: Door, count: int) -> Iterator[None]:
    """So many connections, each of which has asked once and now is idle. @raise ClientError, OSError"""
    with ExitStack() as exits:
        for _ in range(count):
            exits.enter_context(Client(door)).drain(query("SELECT 1"))
        yield


def _proof(body: bytes, scram: Scram, password: str) -> bytes:
    """What answers an authentication request (PostgreSQL manual, 53.7: AuthenticationOk to AuthenticationSASLFinal)."""
    (code,) = struct.unpack_from("!i", body)
    match code:
        case 3:
            return message(b"p", password.encode() + b"\0")
        case 10:
            first = scram.first()
            return message(b"p", PLAIN.encode() + b"\0" + struct.pack("!i", len(first)) + first)
        case 11:
            return message(b"p", scram.reply(body[4:]))
        case 12:
            scram.check(body[4:])
    return b""
