"""Masks in the database against real servers: no value makes one fail, types stay, and wire mode shows the same."""

from collections.abc import Iterator
from struct import pack
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest

from hoopproxy.events import Field, Format
from hoopproxy.masking import plans
from hoopproxy.masking.shadows.expressions import expression
from hoopproxy.masking.shadows.inventory import PUBLIC, Column, Inventory
from hoopproxy.masking.shadows.keyed import Keys, keys
from hoopproxy.masking.types import BPCHAR, FLOAT4, FLOATS
from hoopproxy.masks import (
    ColumnMask,
    Generalise,
    JsonPaths,
    KeyedHash,
    Nullify,
    Partial,
    Redact,
    Token,
    Truncate,
)
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.wire.cells import Cells
from tests.shadows import nasty
from tests.shadows.installed_stand import VERSIONS

HASH, TOKEN = KeyedHash(b"k" * 80), Token(b"t" * 32)

MASKS: tuple[ColumnMask, ...] = (
    *(Redact(), Nullify(), HASH, TOKEN, Truncate("year"), Truncate("month")),
    *(Partial(0, 4), Partial(2, 0), Partial(0, 0), Partial(1000, 1000)),
    *(Generalise(2), Generalise(1000), Generalise(7), Generalise(10**12), Generalise(10**18)),
    JsonPaths(("$.vip",)),
    JsonPaths(("$.phone", "$.medical.diagnosis"), is_hidden=True),
    JsonPaths(("$.cards[*].number", '$["odd name"]', r'$["qu\"ote"].*')),
    JsonPaths(("$.cards[*].number", "$.*.number"), is_hidden=True),
    JsonPaths(("$[*]",)),
    JsonPaths(("$.*.*", "$.vip"), is_hidden=True),
    JsonPaths(("$",), is_hidden=True),
)

OBJECTS = """
CREATE SCHEMA extra;
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION pgcrypto SCHEMA extra;
GRANT USAGE ON SCHEMA extra TO PUBLIC;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN email AS text CHECK (value LIKE '%@%');
CREATE DOMAIN stated AS text NOT NULL;
CREATE DOMAIN short AS varchar(3);
CREATE ROLE hp_000000000000 NOLOGIN;
CREATE SCHEMA hp_000000000000_k;
"""

COLUMN = """
SELECT attnum, attname, atttypid, atttypmod, format_type(atttypid, atttypmod),
    CASE typtype WHEN 'd' THEN typbasetype ELSE atttypid END, typtype = 'd',
    CASE WHEN attcollation = typcollation THEN ''
        ELSE (SELECT format('%%I.%%I', nspname, collname) FROM pg_collation c
            JOIN pg_namespace n ON n.oid = collnamespace WHERE c.oid = attcollation) END
FROM pg_attribute JOIN pg_type t ON t.oid = atttypid WHERE attrelid = %s::regclass AND attname = 'value'
"""


def _keys() -> Keys:
    """Of a set with both kinds of keys, as they are planned."""
    text = Column(1, "a", 25, -1, "text", 25)
    number = Column(2, "b", 25, -1, "text", 25)
    inventory = SimpleNamespace(
        relations={1: SimpleNamespace(schema="s", name="t", columns=(text, number))},
        functions={
            1: SimpleNamespace(
                schema="extra",
                name="encrypt",
                extension="pgcrypto",
                argument_types=(17, 17, 25),
                grantees=frozenset({PUBLIC}),
            )
        },
        schemas={"extra": SimpleNamespace(usage=frozenset({PUBLIC}))},
    )
    return keys(cast(Inventory, inventory), "hp_000000000000", {1: {1: HASH, 2: TOKEN}})


KEYS = _keys()


@pytest.fixture(scope="session", params=VERSIONS)
def dsn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with types of its own, and a mask set's keys."""
    with PostgresCluster(tmp_path_factory.mktemp("expressions"), version=request.param) as cluster:
        cluster.execute(OBJECTS)
        for statement in KEYS.statements:
            for placeholder, secret in KEYS.secrets.items():
                statement = statement.replace(placeholder, secret)
            cluster.execute(statement)
        yield cluster.admin_dsn


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    """What it does is undone."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("BEGIN; SET LOCAL search_path = pg_catalog, pg_temp")
        yield connection
        connection.execute("ROLLBACK")


def filled(connection: psycopg.Connection, type_sql: str, values: list[str]) -> Column:
    """A table `public.original` with the values and, where the type has it, NULL; and its column."""
    bare, _, collation = type_sql.partition(" COLLATE ")
    where = connection.execute(
        "SELECT nspname FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace WHERE typname = %s",
        (bare.removesuffix("[]").partition("(")[0],),
    ).fetchone()
    named = f"public.{bare}" if where == ("public",) else bare
    collate = f"COLLATE {collation}" if collation else ""
    columns = f"id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value {named} {collate}"
    connection.execute(f"CREATE TABLE public.original ({columns})".encode())
    insert = f"INSERT INTO public.original (value) SELECT v::{named} FROM unnest(%s::text[]) AS v".encode()
    connection.execute(insert, (values,))
    if type_sql != "stated":
        connection.execute("INSERT INTO public.original (value) VALUES (NULL)")
    found = connection.execute(COLUMN, ("public.original",)).fetchone()
    assert found is not None
    return Column(*found)


def shown(connection: psycopg.Connection, column: Column, mask: ColumnMask) -> str:
    """The name of a twin."""
    masked = expression(column, mask, "original", KEYS.of(column, mask, "original"))
    connection.execute("DROP VIEW IF EXISTS public.twin")
    connection.execute(f"CREATE VIEW public.twin AS SELECT id, {masked} AS value FROM public.original".encode())
    return masked


def cells(connection: psycopg.Connection, relation: str, format: Format) -> tuple[list[bytes | None], Field]:
    """The values as they come, and what is said of their column. @raise AssertionError: an error came instead."""
    result = connection.pgconn.exec_params(
        f"SELECT value FROM public.{relation} ORDER BY id".encode(), [], None, None, int(format is Format.BINARY)
    )
    assert not result.error_message, result.error_message[:300]
    field = Field("value", "", 1, 2, result.ftype(0), result.fmod(0), format)
    return [result.get_value(row, 0) for row in range(result.ntuples)], field


def on_the_wire(values: list[bytes | None], field: Field, mask: ColumnMask) -> list[bytes | None]:
    """What wire mode makes of them."""
    operation = plans.operation(field, "policy", mask)
    masked = iter(Cells(operation, 1 << 24).mask([value for value in values if value is not None]))
    return [None if value is None else next(masked) for value in values]


def test_no_time_zone_moves_the_borders_of_a_year(connection: psycopg.Connection) -> None:
    column = filled(connection, "timestamptz", nasty.values("timestamptz"))
    shown(connection, column, Truncate("month"))
    seen = set()
    for zone in ("UTC", "<-150>+150", "<+150>-150"):
        connection.execute(f"SET LOCAL TimeZone = '{zone}'".encode())
        seen.add(tuple(connection.execute("SELECT extract(epoch FROM value) FROM public.twin ORDER BY id").fetchall()))
    assert len(seen) == 1


def _meant(cell: bytes | None, field: Field) -> object:
    """What a client reads: a float has several spellings, and blanks at a bpchar's end are no part of it."""
    if cell is not None and field.format is Format.TEXT and field.type_oid in FLOATS:
        return pack("!f" if field.type_oid == FLOAT4 else "!d", float(cell))
    return cell.rstrip(b" ") if cell is not None and field.type_oid == BPCHAR else cell


@pytest.mark.parametrize("type_sql", nasty.TYPES)
def test_no_value_makes_a_mask_fail_and_both_modes_show_the_same(connection: psycopg.Connection, type_sql: str) -> None:
    column = filled(connection, type_sql, nasty.values(type_sql))
    original = connection.execute(COLUMN, ("public.original",)).fetchone()
    raw = {format: cells(connection, "original", format) for format in Format}
    seen: set[str] = set()
    for mask in MASKS:
        masked = shown(connection, column, mask)
        if masked in seen:
            continue
        seen.add(masked)
        twin = connection.execute(COLUMN, ("public.twin",)).fetchone()
        assert twin == original, f"{mask}: {twin}"
        for format, (values, field) in raw.items():
            in_database, same = cells(connection, "twin", format)
            assert (same.type_oid, same.type_modifier) == (field.type_oid, field.type_modifier)
            for before, after in zip(values, in_database, strict=True):
                assert before is not None or after is None, f"{mask}: NULL became {after!r}"
            if column.is_domain:  # the wire does not tell them from their base types; here they are NULL
                assert set(in_database) == {None}
                continue
            wired = on_the_wire(values, field, mask)
            for before, here, there in zip(values, in_database, wired, strict=True):
                assert _meant(here, field) == _meant(there, field), f"{mask} {format}: {(before or b'')[:200]!r}"
