"""Throw-away PostgreSQL clusters, real ones: made, started on a free port, always stopped; for demos and tests.

Knows nothing of the gateway, and is no way to run a database that anybody minds losing.
"""

import contextlib
import functools
import signal
import socket
import subprocess
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hoopproxy.testing.installations import Account, ClusterError, Copies, choose, installed

__all__ = ["ClusterError", "PostgresCluster", "installed"]

START_S_MAX = 60.0
STOP_S_MAX = 15.0
PORT_TRIES_MAX = 5
LOG_BYTES_SHOWN_MAX = 4000

HBA = """\
local all all trust
{kind} all all 127.0.0.1/32 scram-sha-256
{kind} all all ::1/128 scram-sha-256
"""

GUARD = """\
while read -r said; do server=$said; done
[ -z "$server" ] || { kill -INT "$server"; timeout 30 tail --pid="$server" -f /dev/null; }
rm -rf "$0"
"""
"""A process that hears over a pipe which server runs, and tidies when it closes: `kill -9` leaves us no time to."""

_copies = Copies()


class PostgresCluster:
    """One server with its data, listening on a free port of 127.0.0.1 and, where there is IPv6, of ::1.

    `directory` gets the log and the data; the data of an earlier cluster there is used again. When the account that
    the server runs as cannot reach `directory`, the data lies in a temporary folder that goes with this object.
    Over TCP every account needs its password (SCRAM), and TLS when there is a `certificate` (its file, its key's
    file; PEM). `admin_dsn` is the superuser's way in, over a Unix socket that only we can reach. Its settings say
    nothing of crashes unless `durable`. The server ends with `stop()`, this object or this process, however that ends.

    @raise ClusterError: no fitting PostgreSQL is installed.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        directory: Path,
        *,
        version: int | None = None,
        certificate: tuple[Path, Path] | None = None,
        settings: Mapping[str, str] | None = None,
        durable: bool = False,
    ) -> None:
        self.version, self._binaries = choose(version, tls=version is None or certificate is not None)
        self.port = 0
        self.log_file = directory.resolve() / "postgres.log"
        self._directory = directory.resolve()
        self._certificate = certificate
        self._settings = dict(settings or {})
        self._durable = durable
        self._account = Account.choose()
        self._private: Path | None = None
        self._tidy: Callable[[], object] | None = None
        self._end: Callable[[], object] | None = None

    @property
    def admin_dsn(self) -> str:
        """How libpq finds the superuser's socket (a conninfo string)."""
        return self._dsn("postgres")

    def url(self, database: str) -> str:
        """The same, to that database, as a URL (PostgreSQL manual, 34.1.1.2)."""
        return f"postgresql://postgres@/{database}?host={self._private}&port={self.port}"

    def _dsn(self, database: str) -> str:
        assert self._private is not None, "the cluster was never started"
        return make_conninfo(host=str(self._private), port=self.port, user="postgres", dbname=database)

    def start(self) -> None:
        """Make the cluster if there is none, and return when it answers.

        @raise ClusterError: it did not; the text holds the end of its log.
        """
        assert self._end is None, "the cluster is already started"
        if self._private is None:
            self._private = self._account.private_folder()
            self._guard = self._account.popen(
                ["sh", "-c", GUARD, str(self._private)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._tidy = weakref.finalize(self, _dismiss, self._guard)
        self._directory.mkdir(parents=True, exist_ok=True)
        # A mode of 0700 above, as in pytest's own temporary folders, keeps the server's account out.
        data = (self._directory if self._account.can("-x", self._directory) else self._private) / "data"
        self._binaries = _copies.readable(self._binaries, self._account)
        if not (data / "PG_VERSION").exists():
            self._initialise(data)
        self._write_access(data)
        for _ in range(PORT_TRIES_MAX):
            if self._launch(data):
                return
            self.stop()
            self.port = 0
        raise ClusterError(f"PostgreSQL found no free port in {PORT_TRIES_MAX} tries.{self._log_end(0)}")

    def stop(self) -> None:
        """End the server and wait for its end; its data stay for the next `start`. Harmless when it does not run."""
        if self._end is not None:
            self._end()
            self._end = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._tidy is not None:
            self._tidy()
            self._private = self._tidy = None

    def execute(
        self, statement: str, database: str = "postgres", parameters: Sequence[object] = ()
    ) -> list[tuple[Any, ...]] | None:
        """Run SQL as the superuser, committed at once: its rows, or None when it has none."""
        with psycopg.connect(self._dsn(database), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description is not None else None

    def comes(self, condition: str) -> bool:
        """Whether an SQL condition comes true within a minute. The server waits for it, so that nobody here has to."""
        self.execute(f"""
        DO $$ BEGIN
            FOR i IN 1..3000 LOOP
                PERFORM pg_stat_clear_snapshot();
                EXIT WHEN {condition};
                PERFORM pg_sleep(0.02);
            END LOOP;
        END $$""")
        return self.execute(f"SELECT {condition}") == [(True,)]

    def create_database(self, name: str) -> None:
        """Make an empty database."""
        with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _initialise(self, data: Path) -> None:
        data.mkdir(exist_ok=True)
        self._account.own(data, 0o700)
        command: list[str | Path] = [
            self._binaries / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        if not self._durable:
            command.append("--no-sync")
        start = self._log_size()
        with self.log_file.open("ab") as log:
            made = self._account.popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log).wait()
        if made != 0:
            raise ClusterError(f"initdb could not make a cluster in {data}.{self._log_end(start)}")

    def _write_access(self, data: Path) -> None:
        hba = HBA.format(kind="host" if self._certificate is None else "hostssl")
        files = {"pg_hba.conf": hba.encode()}
        if self._certificate is not None:
            for name, source in zip(("server.crt", "server.key"), self._certificate, strict=True):
                files[name] = source.read_bytes()
        for name, content in files.items():
            path = data / name
            path.touch(0o600)
            self._account.own(path, 0o600)
            path.write_bytes(content)

    def _command(self, data: Path) -> list[str | Path]:
        settings = {
            "listen_addresses": ",".join(_loopbacks()),
            "port": str(self.port),
            "unix_socket_directories": str(self._private),
            "password_encryption": "scram-sha-256",
            "ssl": "off" if self._certificate is None else "on",
            "timezone": "UTC",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        settings |= self._settings
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self._binaries / "postgres", "-D", data, *options]

    def _launch(self, data: Path) -> bool:
        """Whether the server runs and got its port; another process may have taken it meanwhile."""
        self.port = self.port or _free_port()
        start = self._log_size()
        with self.log_file.open("ab") as log:
            server = self._account.popen(self._command(data), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _tell(self._guard, server.pid)
        self._end = weakref.finalize(self, _end, server, self._guard)
        try:
            answers = self._answers(server)
        except BaseException:
            self.stop()
            raise
        if b"could not bind" in self._log_since(start):
            return False
        if not answers:
            self.stop()
            raise ClusterError(f"PostgreSQL {self.version} did not start in {data}.{self._log_end(start)}")
        return True

    def _answers(self, server: subprocess.Popen[bytes]) -> bool:
        """Wait until a connection is served (True), or the server ended or takes too long (False)."""
        give_up_s = time.monotonic() + START_S_MAX
        while time.monotonic() < give_up_s:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.admin_dsn, connect_timeout=5).close()
                return True
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.02)
                return False
        return False

    def _log_size(self) -> int:
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    def _log_since(self, start: int) -> bytes:
        with self.log_file.open("rb") as log:
            log.seek(start)
            return log.read()

    def _log_end(self, start: int) -> str:
        return f" Its log says:\n{self._log_since(start)[-LOG_BYTES_SHOWN_MAX:].decode(errors='replace')}"


def _tell(guard: subprocess.Popen[bytes], server: int | None) -> None:
    assert guard.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        guard.stdin.write(b"%d\n" % server if server is not None else b"\n")


def _end(server: subprocess.Popen[bytes], guard: subprocess.Popen[bytes]) -> None:
    # Fast, then immediate shutdown (PostgreSQL's documentation, "Shutting Down the Server").
    for way in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(way)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_S_MAX)
            break
    _tell(guard, None)


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    assert guard.stdin is not None
    guard.stdin.close()
    guard.wait()


@functools.cache
def _loopbacks() -> tuple[str, ...]:
    """The loopback addresses of this machine; a container may have no IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return ("127.0.0.1",)
    return ("127.0.0.1", "::1")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
