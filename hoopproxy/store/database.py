"""The database behind the store: SQLite in a file, or PostgreSQL; opened, brought up to date, and asked in threads.

Knows tables and no history.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hoopproxy.errors import ConfigError
from hoopproxy.hands import THREADS_MAX
from hoopproxy.settings import StoreSettings

MIGRATIONS = Path(__file__).parent / "migrations"

BUSY_S_MAX = 5.0
"""How long somebody else may hold what we need."""

CONNECTIONS_MAX = THREADS_MAX
"""One for each thread that asks; who listens has one more."""

LOCK = 0x686F6F70
"""The advisory lock under which gateways write, one after the other: then positions are in the order of commits, and
who reads behind one misses none."""

CHANNEL = "hoopproxy"


def store_url(settings: StoreSettings) -> URL:
    """Where the store is. @raise ConfigError: the file that should say so does not."""
    return postgres(settings.url_file) if settings.url_file else sqlite(settings.path)


def sqlite(path: Path) -> URL:
    """The database in a file."""
    return URL.create("sqlite", database=str(path))


def postgres(path: Path) -> URL:
    """The PostgreSQL whose URL stands in a file of the gateway's own. @raise ConfigError: it is none."""
    wanted = "wanted is a line such as postgresql://hoopproxy:PASSWORD@db.example.com/hoopproxy?sslmode=verify-full"
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError((f"store.url_file: {path} may be read by others (chmod 0600 {path}).",))
        url = make_url(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError, ArgumentError) as why:
        raise ConfigError((f"store.url_file: {path} can't be read as a URL; {wanted}.",)) from why
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError((f"store.url_file: {path} names no PostgreSQL; {wanted}.",))
    return url.set(drivername="postgresql+psycopg")


class Database:
    """One database. All methods block: they are for threads."""

    def __init__(self, url: URL) -> None:
        self.is_postgres = url.get_backend_name() == "postgresql"
        self._engine = _engine(url)

    def upgrade(self) -> None:
        """Bring the tables to what this version of the project knows. Gateways that start at once wait for each other.

        @raise Exception: whatever SQLAlchemy or Alembic says; nothing was changed then.
        """
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writes beside; it is durable when the block is left without an exception."""
        with self._engine.execution_options(is_writing=True).begin() as connection:
            if self.is_postgres:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read from."""
        with self._engine.connect() as connection:
            yield connection

    def notices(self, until: Callable[[], bool], told: Callable[[], None]) -> None:
        """Call `told` whenever another gateway has written, until `until` says so or the connection breaks.

        PostgreSQL alone (LISTEN, manual page sql-listen). @raise Exception: the connection broke.
        """
        with self._engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            connection.detach()
            raw.autocommit = True
            raw.execute(f"LISTEN {CHANNEL}")
            told()  # what was written before is news, too
            while not until():
                for _ in raw.notifies(timeout=1.0, stop_after=1):
                    told()

    def close(self) -> None:
        """Close all connections that nobody uses."""
        self._engine.dispose()


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        options = {"connect_timeout": int(BUSY_S_MAX), "options": f"-c statement_timeout={int(BUSY_S_MAX * 1000)}"}
        return create_engine(
            url,
            pool_size=CONNECTIONS_MAX + 1,
            max_overflow=0,
            pool_timeout=BUSY_S_MAX,
            connect_args={"application_name": "hoopproxy", **options},
        )
    engine = create_engine(url, pool_size=CONNECTIONS_MAX, max_overflow=0, connect_args={"timeout": BUSY_S_MAX})
    path = url.database

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say
        cursor = connection.cursor()
        # WAL survives `kill -9`, and with FULL each commit a power cut (sqlite.org/pragma.html#pragma_synchronous).
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()
        if path:
            os.chmod(path, 0o600)

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # Who writes waits at the beginning: for a lock taken later nobody could (sqlite.org/lang_transaction.html).
        writes = connection.get_execution_options().get("is_writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
