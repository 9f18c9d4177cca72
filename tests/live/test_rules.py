"""Rules on statements, through real clients: what is refused, warned of, bounded and approved, and how it goes on."""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from hoopproxy.cli.main import main
from hoopproxy.control.client import ControlClient
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.three_files import More

SQL = """
CREATE TABLE notes (id int PRIMARY KEY, note text);
INSERT INTO notes SELECT g FROM generate_series(1, 20) g;
CREATE VIEW numbers AS SELECT g FROM generate_series(1, 100) g;
CREATE VIEW endless AS SELECT a, repeat('x', 100) FROM generate_series(1, 100000) a, generate_series(1, 100000) b;
GRANT ALL ON notes TO reader;
"""
RULES = """
[addon.rules]
use = "statement-rules"

[[addon.rules.rule]]
effect = "deny"
match = ["truncate", "ddl", "copy-program", "set-role"]

[[addon.rules.rule]]
effect = "approve"
match = ["delete-without-where"]

[[addon.rules.rule]]
effect = "warn"
match = ["update-without-where"]
sentence = "Think of {what} on {target}."

[[addon.rules.rule]]
effect = "limit"
match = ["unbounded-select"]
rows_max = 50
"""
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    leaf = authority.issue("rules", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    directory = tmp_path_factory.mktemp("pg")
    with PostgresCluster(directory, version=max(installed()), certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def stand(cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    directory, more = tmp_path_factory.mktemp("stand"), More(main=RULES, guards=("rules",))
    with Stand(directory, cluster, authority, {"plain": SQL}, masks="", more=more) as running:
        yield running


@pytest.fixture
def dsn(stand: Stand) -> str:
    return stand.through("ada", "plain").dsn


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connected:
        yield connected


def ids(connection: psycopg.Connection) -> list[int]:
    """Those that a test has put in."""
    return [row[0] for row in connection.execute("SELECT id FROM notes WHERE id > 100 ORDER BY id LIMIT 99")]


def pipelined(connection: psycopg.Connection, *texts: str) -> None:
    with connection.pipeline():
        for text in texts:
            connection.execute(text)


# deny -----------------------------------------------------------------------------------------------------------------


def test_psql_goes_on_after_a_refusal_and_its_transaction_has_failed(stand: Stand) -> None:
    door = stand.through("ada", "plain")
    script = """\
TRUNCATE notes;
SELECT 'alive';
BEGIN;
TRUNCATE notes;
SELECT 'not run';
ROLLBACK;
INSERT INTO notes VALUES (101)\\; TRUNCATE notes;
SELECT count(*) FROM notes;
"""
    ran = subprocess.run(
        ["psql", "-XAtq", door.dsn], input=script, capture_output=True, text=True, timeout=60, env={"PATH": door.path}
    )
    assert ran.stdout.split() == ["alive", "20"]
    refused = "ERROR:  TRUNCATE is not allowed on plain: ask its owner, or send the statement another way."
    assert ran.stderr.splitlines() == [
        refused,
        refused,
        "ERROR:  current transaction is aborted, commands ignored until end of transaction block",
        refused,
    ]


@pytest.mark.parametrize("parameters", [None, (1,)])
def test_a_refusal_fails_the_transaction(connection: psycopg.Connection, parameters: tuple[int] | None) -> None:
    connection.execute("BEGIN")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SET ROLE postgres", prepare=parameters is not None)
    assert connection.info.transaction_status is TransactionStatus.INERROR
    connection.execute("ROLLBACK")
    assert connection.info.transaction_status is TransactionStatus.IDLE


def test_nothing_of_a_pipeline_is_done_whose_part_is_refused(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pipelined(connection, "INSERT INTO notes VALUES (101)", "TRUNCATE notes", "INSERT INTO notes VALUES (102)")
        assert connection.info.transaction_status is TransactionStatus.IDLE
        pipelined(connection, "INSERT INTO notes VALUES (103)")
        assert ids(connection) == [103]
        connection.execute("DELETE FROM notes WHERE id > 100")


def test_asyncpg_goes_on_after_a_refusal(dsn: str) -> None:
    async def session() -> None:
        connection = await asyncio_connection(dsn)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await inserted_and_truncated(connection)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("COPY notes TO PROGRAM 'cat'")
        assert await connection.fetchval("SELECT count(*) FROM notes WHERE id > $1", 100) == 0
        await connection.close()

    asyncio.run(session())


async def inserted_and_truncated(connection: "asyncpg.Connection[Any]") -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO notes VALUES ($1)", 101)
        await connection.execute("TRUNCATE notes")


async def asyncio_connection(dsn: str) -> "asyncpg.Connection[Any]":
    words = conninfo_to_dict(dsn)
    return await asyncpg.connect(
        host="localhost",
        port=int(str(words["port"])),
        user=str(words["user"]),
        password=str(words["password"]),
        database=str(words["dbname"]),
        ssl=ssl.create_default_context(cafile=str(words["sslrootcert"])),
    )


def test_pgjdbc_goes_on_after_refusals_and_bounds(dsn: str) -> None:
    words = conninfo_to_dict(dsn)
    secrets = (
        f"user={words['user']}&password={words['password']}&sslmode=verify-full&sslrootcert={words['sslrootcert']}"
    )
    url = f"jdbc:postgresql://localhost:{words['port']}/{words['dbname']}?{secrets}"
    command = [
        "java",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        "/usr/share/java/postgresql.jar",
        HERE / "perform/Rules.java",
        url,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.stdout.splitlines() == [
        "insert: 1",
        "denied: 42501",
        "failed: 25P02",
        "undone: 20",
        "several: 42501",
        "batch: 42501",
        "undone: 20",
        "bounded: 54000",
        "in portions: 54000",
        "alive: 20",
    ], ran.stderr


# warn -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prepare", [False, True])
def test_a_warning_comes_once_and_the_statement_runs(connection: psycopg.Connection, prepare: bool) -> None:
    told: list[str | None] = []
    connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
    assert connection.execute("UPDATE notes SET note = 'x'", prepare=prepare).rowcount == 20
    assert told == ["Think of UPDATE without WHERE on plain."]


# limit ----------------------------------------------------------------------------------------------------------------


def copied(connection: psycopg.Connection, text: str) -> list[object]:
    with connection.cursor().copy(text) as copy:  # type: ignore[arg-type] # psycopg wants a literal
        return list(copy)


type Read = Callable[[psycopg.Connection, str], object]
READS: dict[str, Read] = {
    "simple": lambda connection, view: connection.execute(f"SELECT * FROM {view}").fetchall(),
    "prepared": lambda connection, view: connection.execute(f"SELECT * FROM {view}", prepare=True).fetchall(),
    "binary": lambda connection, view: connection.execute(f"SELECT * FROM {view}", binary=True).fetchall(),
    "copy": lambda connection, view: copied(connection, f"COPY (SELECT * FROM {view}) TO STDOUT"),
    "fetch": lambda connection, view: connection.execute(
        f"BEGIN; DECLARE c CURSOR FOR SELECT * FROM {view}; FETCH ALL FROM c"
    ),
    "execute": lambda connection, view: connection.execute(f"PREPARE p AS SELECT * FROM {view}; EXECUTE p"),
}


ENDLESS = (("fetch", "endless"), ("execute", "endless"))
"""Of these the server sends the first row when it has all of them."""


@pytest.mark.parametrize(
    ("read", "view"), [(read, view) for read in READS for view in ("numbers", "endless") if (read, view) not in ENDLESS]
)
def test_a_bulk_read_ends_with_an_error_and_is_stopped(dsn: str, stand: Stand, read: str, view: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="after 50 rows"):
            READS[read](connection, view)
        connection.execute("ROLLBACK")
        assert connection.execute("SELECT 'alive'").fetchone() == ("alive",)
    still = "query LIKE '%endless%' AND state = 'active' AND pid <> pg_backend_pid()"
    assert stand.cluster.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {still}") == [(0,)]


@pytest.mark.parametrize("view", ["numbers", "endless"])
@pytest.mark.parametrize("prepare", [False, True])
def test_a_bound_fails_the_transaction_whether_the_server_was_stopped_or_done(
    dsn: str, view: str, prepare: bool
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO notes VALUES (101)")
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            connection.execute(f"SELECT * FROM {view}", prepare=prepare)
        assert connection.info.transaction_status is TransactionStatus.INERROR
        connection.execute("COMMIT")
        assert ids(connection) == []


@pytest.mark.parametrize("view", ["numbers", "endless"])
def test_nothing_of_a_pipeline_is_done_whose_part_is_cut_off(dsn: str, view: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        big = f"SELECT * FROM {view}"
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            pipelined(connection, "INSERT INTO notes VALUES (101)", big, "INSERT INTO notes VALUES (102)")
        assert ids(connection) == []


def test_what_is_short_enough_comes_whole(connection: psycopg.Connection) -> None:
    assert len(connection.execute("SELECT * FROM notes").fetchall()) == 20
    with connection.cursor().copy("COPY notes TO STDOUT (FORMAT binary)") as copied:
        assert len(list(copied.rows())) == 20
    with connection.transaction(), connection.cursor("c") as cursor:
        cursor.itersize = 7
        assert len(cursor.execute("SELECT * FROM notes").fetchall()) == 20


# approve --------------------------------------------------------------------------------------------------------------


class Waiting:
    """A DELETE of everything that waits in a thread, as soon as this is made."""

    def __init__(self, connection: psycopg.Connection, **how: Any) -> None:
        self.told: list[str] = []
        self.failed: psycopg.Error | None = None
        self._waits = threading.Event()
        connection.add_notice_handler(self._hear)
        self._thread = threading.Thread(target=self._run, args=(connection,), kwargs=how)
        self._thread.start()
        assert self._waits.wait(30)

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        self.told.append(notice.message_primary or "")
        self._waits.set()

    def _run(self, connection: psycopg.Connection, **how: Any) -> None:
        try:
            connection.execute("DELETE FROM notes", **how)
        except psycopg.Error as why:
            self.failed = why

    def over(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


def command(stand: Stand, *words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(main, ["approvals", *words, "--socket", str(stand.control_socket)])
    return ran.exit_code, ran.output


def request_of(stand: Stand) -> dict[str, Any]:
    (waiting,) = ControlClient(stand.control_socket).call("approvals")["approvals"]
    return dict(waiting)


@pytest.mark.parametrize("how", [{}, {"prepare": True}])
def test_an_approved_statement_runs_once(dsn: str, stand: Stand, how: dict[str, Any]) -> None:
    with psycopg.connect(dsn) as connection:
        waiting = Waiting(connection, **how)
        request = request_of(stand)
        assert request["identity"] == "Ada" and request["statement"] == "DELETE FROM notes"
        assert waiting.told == [
            "On plain, DELETE without WHERE needs an approval. It waits for an operator of the gateway to run: "
            f"hoopproxy approvals approve {request['approval_id']}. Cancel it if you do not want to wait."
        ]
        assert request["session_id"] in command(stand, "list")[1]
        assert command(stand, "approve", request["approval_id"]) == (
            0,
            f"Statement {request['approval_id']} was approved.\n",
        )
        waiting.over()
        assert waiting.failed is None
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
        again = Waiting(connection, **how)
        assert command(stand, "approve", request["approval_id"])[0] == 1
        assert command(stand, "deny", request_of(stand)["approval_id"], "--reason", "one is enough")[0] == 0
        again.over()
        assert "An operator denied this statement: one is enough." in str(again.failed)
        assert connection.info.transaction_status is TransactionStatus.INERROR
        connection.rollback()
    assert b'"approve"' in _log(stand) and b'"deny"' in _log(stand)


def _log(stand: Stand) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(stand.log_directory.iterdir()) if file.is_file())


def test_who_waits_may_give_up(dsn: str, stand: Stand) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        waiting = Waiting(connection)
        connection.cancel_safe(timeout=20)
        waiting.over()
        assert isinstance(waiting.failed, psycopg.errors.QueryCanceled)
        assert command(stand, "list") == (0, "Nothing waits.\n")
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (20,)


def test_what_needs_an_approval_cannot_be_kept_for_later(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="can't be prepared by PREPARE"):
        connection.execute("PREPARE p AS DELETE FROM notes")
