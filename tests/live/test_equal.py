"""psql and psycopg, direct and through the gateway, equal cell by cell on a target that nothing is masked in."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import tuple_row

from .conftest import Door, Stand

TYPES = {
    "bool": "true",
    "int2": "'-32768'",
    "int4": "2147483647",
    "int8": "'-9223372036854775808'",
    "float4": "1.5",
    "float8": "'NaN'",
    "numeric(20,4)": "'-12345678901234.5678'",
    "text": "E'a\\nb\\tö\\U0001F600'",
    "varchar(5)": "'abcde'",
    "char(8)": "'pad'",
    "bytea": r"'\x00ff0a'",
    "date": "'2026-02-28'",
    "time": "'23:59:59.999999'",
    "timetz": "'12:00:00+05:30'",
    "timestamp": "'1999-12-31 23:59:59.5'",
    "timestamptz": "'2026-11-25 10:00:00+01'",
    "interval": "'1 mon 2 days 03:04:05.6'",
    "uuid": "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'",
    "inet": "'2001:db8::1/64'",
    "cidr": "'10.0.0.0/8'",
    "macaddr": "'08:00:2b:01:02:03'",
    "json": """'{"a": [1, null, "x"]}'""",
    "jsonb": """'{"a": [1, null, "x"]}'""",
    "int4[]": "'{1,NULL,3}'",
    "text[]": """'{"a,b",c}'""",
    "int4range": "'[1,10)'",
    "bit(8)": "'10110000'",
    "varbit": "'101'",
    "point": "'(1,2)'",
    "xml": "'<a>1</a>'",
    "money": "'12.34'",
    "tsvector": "'a fat cat'",
    "oid": "16384",
}


def _everything() -> str:
    columns = ", ".join(f"{value}::{name} AS c{number}" for number, (name, value) in enumerate(TYPES.items()))
    nulls = ", ".join(f"NULL::{name}" for name in TYPES)
    return f"SELECT {columns} UNION ALL SELECT {nulls}"


def _raw(result: Any) -> list[list[bytes | None]]:
    """Cells as on the wire, formats and types included."""
    pg = result.pgresult
    columns = [(pg.fname(i), pg.ftype(i), pg.fmod(i), pg.fformat(i), pg.fsize(i)) for i in range(pg.nfields)]
    cells = [[pg.get_value(row, i) for i in range(pg.nfields)] for row in range(pg.ntuples)]
    return [columns, *cells]


def types(binary: bool) -> Callable[[psycopg.Connection], Iterator[Any]]:
    def script(connection: psycopg.Connection) -> Iterator[Any]:
        # xml and money have no binary output that a server of another locale must share; the rest has one.
        yield _raw(connection.execute(_everything(), binary=binary))
        yield _raw(connection.execute("SELECT %s::int8, %s::text", (7, "seven"), binary=binary, prepare=True))
        yield _raw(connection.execute("SELECT %s::int8, %s::text", (8, "eight"), binary=binary, prepare=True))

    return script


def cursors(connection: psycopg.Connection) -> Iterator[Any]:
    with connection.transaction(), connection.cursor("c1", row_factory=tuple_row) as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT g, md5(g::text) FROM generate_series(1, 40) g")
        yield cursor.fetchmany(3)
        yield list(cursor)
    with connection.transaction():
        connection.execute("DECLARE c2 SCROLL CURSOR FOR SELECT g FROM generate_series(1, 9) g")
        yield connection.execute("FETCH 4 FROM c2").fetchall()
        yield connection.execute("FETCH BACKWARD 2 FROM c2").fetchall()
        yield connection.execute("MOVE 3 FROM c2").statusmessage


def copies(connection: psycopg.Connection) -> Iterator[Any]:
    connection.execute("CREATE TEMP TABLE bulk (a int, b text)")
    with connection.cursor() as cursor:
        with cursor.copy("COPY bulk FROM STDIN") as copy:
            for number in range(5000):
                copy.write_row((number, f"row {number}\twith\\marks" if number % 3 else None))
        yield cursor.statusmessage
        for how in ("", "WITH (FORMAT csv)", "WITH (FORMAT binary)"):
            with cursor.copy(f"COPY bulk TO STDOUT {how}") as copy:
                yield b"".join(bytes(block) for block in copy)
        with pytest.raises(psycopg.errors.BadCopyFileFormat) as why, cursor.copy("COPY bulk FROM STDIN") as copy:
            copy.write(b"not\ta\tnumber\n")
        yield why.value.sqlstate
    connection.rollback()


def errors(connection: psycopg.Connection) -> Iterator[Any]:
    connection.execute("SELECT 1")
    for statement in ("SELECT 1/0", "SELECT 1", "SELEC"):
        with pytest.raises(psycopg.Error) as why:
            connection.execute(statement)
        diag = why.value.diag
        yield diag.sqlstate, diag.severity, diag.message_primary, diag.message_detail, diag.statement_position
        yield connection.info.transaction_status
    connection.rollback()
    yield connection.execute("SELECT 'on again'").fetchall()
    with pytest.raises(psycopg.errors.UniqueViolation) as why:
        connection.execute(
            "CREATE TEMP TABLE u (a int PRIMARY KEY); INSERT INTO u VALUES (1); INSERT INTO u VALUES (1)"
        )
    yield why.value.diag.message_detail
    connection.rollback()


def notices(connection: psycopg.Connection) -> Iterator[Any]:
    heard: list[tuple[str | None, str | None, str | None]] = []
    connection.add_notice_handler(lambda diag: heard.append((diag.severity, diag.sqlstate, diag.message_primary)))
    connection.execute("DO $$ BEGIN RAISE NOTICE 'hello %', 42; RAISE WARNING 'careful'; END $$")
    yield heard
    connection.execute("LISTEN channel")
    connection.execute("NOTIFY channel, 'payload'")
    connection.commit()
    yield [(note.channel, note.payload) for note in connection.notifies(timeout=10, stop_after=1)]
    connection.execute("SET application_name = 'other'")
    yield connection.info.parameter_status("application_name")
    connection.rollback()


def pipelines(connection: psycopg.Connection) -> Iterator[Any]:
    with connection.pipeline() as pipeline:
        made = [connection.execute("SELECT %s::int * 2", (number,)) for number in range(200)]
        pipeline.sync()
        yield [each.fetchone() for each in made]
    connection.rollback()
    with pytest.raises(psycopg.errors.DivisionByZero):
        _divide_in_pipeline(connection)
    connection.rollback()
    yield connection.execute("SELECT 'after'").fetchone()
    results = connection.execute("SELECT 1; SELECT 2, 'b'; CREATE TEMP TABLE m (); SELECT 3").statusmessage
    yield results
    connection.rollback()


def _divide_in_pipeline(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        for statement in ("SELECT 1", "SELECT 1/0", "SELECT 2"):
            connection.execute(statement)


SCRIPTS = {
    "types-text": types(False),
    "types-binary": types(True),
    "cursors": cursors,
    "copies": copies,
    "errors": errors,
    "notices": notices,
    "pipelines": pipelines,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_psycopg_sees_the_same(stand: Stand, name: str) -> None:
    def seen(door: Door) -> list[Any]:
        with psycopg.connect(door.dsn) as connection:
            return list(SCRIPTS[name](connection))

    assert seen(stand.through("ada", "plain")) == seen(stand.direct("plain"))


PSQL = r"""
\set VERBOSITY verbose
\pset null '(null)'
SELECT 1 AS one, NULL AS nothing, 'ö' AS letter;
\d+ customers
\dt
\df public.*
BEGIN;
SELECT 1/0;
SELECT 2;
ROLLBACK;
SELECT * FROM customers ORDER BY id;
\copy (SELECT id, name FROM customers ORDER BY id) TO STDOUT CSV HEADER
PREPARE p(int) AS SELECT name FROM customers WHERE id = $1;
EXECUTE p(2);
SELECT g FROM generate_series(1, 5) g \gset v_
SELECT id FROM customers ORDER BY id \g (format=unaligned)
\echo :ERROR :LAST_ERROR_SQLSTATE :ROW_COUNT
SELECT 1 \; SELECT 2;
"""


def test_psql_prints_the_same(stand: Stand) -> None:
    def printed(door: Door) -> tuple[str, str, int]:
        ran = subprocess.run(
            ["psql", "-X", door.dsn], input=PSQL, capture_output=True, text=True, timeout=60, env={"PATH": door.path}
        )
        return ran.stdout, ran.stderr, ran.returncode

    through, direct = printed(stand.through("ada", "plain")), printed(stand.direct("plain"))
    assert "division by zero" in direct[1]
    assert through == direct


@pytest.mark.parametrize("size_bytes", [1, 65_535, 65_536, 1_000_003, 10_000_000])
def test_values_of_every_size_pass_whole(stand: Stand, size_bytes: int) -> None:
    for door in (stand.direct("plain"), stand.through("ada", "plain")):
        with psycopg.connect(door.dsn) as connection:
            row = connection.execute(
                "SELECT repeat('x', %s), md5(%s::bytea)", (size_bytes, b"y" * size_bytes)
            ).fetchone()
            assert row is not None
            assert len(row[0]) == size_bytes
