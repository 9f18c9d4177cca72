"""The kinds of clients that PostgreSQL, SSH and raw TCP have, each amid something."""

import asyncio
import ssl
from contextlib import suppress

import asyncssh

from hoopproxy.testing.bare_client import SSL_REQUEST, fields, message, query, startup
from hoopproxy.testing.ssh_stand import LISTENER as SSH
from hoopproxy.testing.stand import ACCOUNT

from .guests import REASON, Deaf, Gone, Guest, StreamGuest
from .mixed import BUSY_S, PIECE_S

LITTLE_BYTES = 4096
"""What the kernel keeps for who does not read."""


class Postgres(StreamGuest):
    """One that is logged in and idle."""

    kind, target, hears = "postgres idle", "ledger", "57P01"
    statement = ""
    receive_bytes = 0

    async def enter(self) -> None:
        await self.connect("front", receive_bytes=self.receive_bytes)
        self.writer.write(SSL_REQUEST)
        assert await self.reader.readexactly(1) == b"S"
        await self.writer.start_tls(ssl.create_default_context(cafile=self.stand.ca_file), server_hostname="localhost")
        settings = {"user": ACCOUNT, "database": self.target, "application_name": self.source}
        self.writer.write(startup(settings) + message(b"p", self.stand.tokens["ada"].encode() + b"\0"))
        await self.said(b"Z")
        if self.statement:
            self.writer.write(query(self.statement))
        await self.begin()

    async def begin(self) -> None:
        """Amid what?"""

    async def said(self, kind: bytes) -> None:
        """Up to such a message. @raise AssertionError: an error came instead."""
        while True:
            head = await self.reader.readexactly(5)
            body = await self.reader.readexactly(int.from_bytes(head[1:]) - 4)
            assert head[:1] != b"E", fields(body)
            if head[:1] == kind:
                return


class PostgresQuery(Postgres):
    """One that waits for an answer."""

    kind, statement = "postgres long query", "SELECT pg_sleep(600)"


class PostgresCopyOut(Postgres):
    """One that is sent rows, a few at a time."""

    kind = "postgres COPY TO STDOUT"
    statement = f"COPY (SELECT repeat('x', 4000), pg_sleep({PIECE_S}) FROM generate_series(1, 6000)) TO STDOUT"

    async def begin(self) -> None:
        await self.said(b"d")


class PostgresCopyIn(Postgres):
    """One that sends rows without end."""

    kind = "postgres COPY FROM STDIN"
    statement = "COPY sink FROM STDIN"
    line = b"1\tsomebody\n"

    async def begin(self) -> None:
        await self.said(b"G")
        self.repeats(lambda: message(b"d", self.line * 500), BUSY_S)


class PostgresDeaf(Deaf, Postgres):
    """One that takes no more of many rows."""

    kind, hears = "postgres stopped reading", ""
    receive_bytes = LITTLE_BYTES
    statement = "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"

    async def begin(self) -> None:
        await self.said(b"D")


class PostgresAmid(PostgresDeaf):
    """One that takes no more of one row."""

    kind = "postgres stopped reading amid a row"
    statement = "SELECT repeat('x', 100000000)"

    async def begin(self) -> None:
        await self.said(b"T")


class PostgresGone(Gone, Postgres):
    """One whose machine lost its power while its query ran."""

    kind, hears = "postgres gone without FIN", ""
    statement = "SELECT pg_sleep(600)"

    async def begin(self) -> None:
        await self.vanish()


class Ssh(Guest):
    """One that runs a command."""

    kind, target, hears = "ssh command", "shell", REASON
    connection: asyncssh.SSHClientConnection

    async def enter(self) -> None:
        self.connection = await asyncssh.connect(
            sock=self.socket(SSH),
            known_hosts=None,
            username=self.target,
            client_keys=[str(self.stand.ssh.key_file("ada"))],
            client_factory=lambda: _Ear(self),
            agent_path=None,
            config=None,
        )
        await self.begin()

    async def begin(self) -> None:
        """Amid what?"""
        self.process = await self.connection.create_process("echo begun; exec sleep 600", encoding=None)
        assert await self.process.stdout.readline()

    async def stay(self) -> None:
        await self.connection.wait_closed()

    async def leave(self) -> None:
        await super().leave()
        self.connection.abort()

    def chore(self, work: "asyncio._CoroutineLike[None]") -> None:
        """Goes on as long as it can."""

        async def on_and_on() -> None:
            with suppress(asyncssh.Error, OSError):
                await work

        self._chores.append(asyncio.create_task(on_and_on()))


class _Ear(asyncssh.SSHClient):
    """Hears when the connection ends, and why."""

    def __init__(self, guest: Ssh) -> None:
        self._guest = guest

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._guest.notes(str(exc).encode())
        self._guest.ends()


class SshShell(Ssh):
    """One that sits in a terminal."""

    kind = "ssh shell"

    async def begin(self) -> None:
        self.process = await self.connection.create_process(term_type="xterm", encoding=None)
        self.process.stdin.write(b"echo be''gun\n")
        while b"begun" not in await self.process.stdout.readline():
            pass


class SftpGet(Ssh):
    """One that fetches a file."""

    kind = "sftp get"

    async def begin(self) -> None:
        sftp = await self.connection.start_sftp_client()
        file = await sftp.open("sparse", "rb")
        assert await file.read(8192)

        async def fetch() -> None:
            while await file.read(8192):
                await asyncio.sleep(PIECE_S)

        self.chore(fetch())


class SftpPut(Ssh):
    """One that brings a file."""

    kind = "sftp put"

    async def begin(self) -> None:
        sftp = await self.connection.start_sftp_client()
        file = await sftp.open(f"from-{self.source}", "wb")
        await file.write(b"begun")

        async def bring() -> None:
            while True:
                await file.write(bytes(8192))
                await asyncio.sleep(PIECE_S)

        self.chore(bring())


class Scp(Ssh):
    """One that fetches a file as scp did."""

    kind = "scp"

    async def begin(self) -> None:
        self.process = await self.connection.create_process(f"scp -f {self.stand.sshd.home}/sparse", encoding=None)
        self.process.stdin.write(b"\0")
        assert (await self.process.stdout.readline()).startswith(b"C")
        self.process.stdin.write(b"\0")

        async def fetch() -> None:
            while await self.process.stdout.read(8192):
                await asyncio.sleep(PIECE_S)

        self.chore(fetch())


class SshForward(Ssh):
    """One that reaches raw TCP through its session, which is ended with it."""

    kind = "ssh port forward"

    async def begin(self) -> None:
        reader, writer = await self.connection.open_connection(self.stand.raw.host, self.stand.raw.port)
        writer.write(b"echo\nbegun\n")
        assert await reader.readline() == b"begun\n"
        self.forwarded = reader


class SshForwarded(SshForward):
    """The forwarded part of it, which alone is ended."""

    kind, hears = "ssh forwarded session", ""

    def __init__(self, *where: object) -> None:
        super().__init__(*where)  # type: ignore[arg-type] # as above
        self.session = self.source, "raw"

    async def stay(self) -> None:
        with suppress(asyncssh.Error, OSError):
            await self.forwarded.read()
        self.ends()
        self.connection.abort()  # the session around it is alive


class Raw(StreamGuest):
    """One of raw TCP that is idle."""

    kind, target = "tcp idle", "raw"
    receive_bytes = 0
    asks = b"echo\nbegun\n"

    async def enter(self) -> None:
        await self.connect("raw", receive_bytes=self.receive_bytes)
        self.writer.write(self.asks)
        assert await self.reader.readexactly(6)


class RawBusy(Raw):
    """One that sends on and on, and hears it again."""

    kind = "tcp busy"

    async def enter(self) -> None:
        await super().enter()
        self.repeats(lambda: bytes(8192), BUSY_S)


class RawDeaf(Deaf, Raw):
    """One that takes no more."""

    kind = "tcp stopped reading"
    receive_bytes = LITTLE_BYTES
    asks = b"down 1000000000000\n"
