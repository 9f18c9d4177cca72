"""The masked target through real clients: what is shown, to whom, from where; and what is refused."""

import asyncio
import ssl
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.people import SECRETS

from .conftest import Stand

ZURICH, OHIO = "127.0.2.7", "127.0.3.7"


def rows(dsn: str, sql: str, *, binary: bool = False, prepare: bool | None = None) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql, binary=binary, prepare=prepare).fetchall()


def refused(connection: psycopg.Connection, sql: str) -> str:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as why:
        connection.execute(sql)
    connection.rollback()
    assert why.value.diag.message_primary is not None
    return why.value.diag.message_primary


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
def test_an_analyst_sees_masks_in_text_and_binary(stand: Stand, binary: bool, prepare: bool) -> None:
    sql = "SELECT id, email, card, ssn, balance FROM customers ORDER BY id"
    seen = rows(stand.through("ada", "ledger").dsn, sql, binary=binary, prepare=prepare)
    assert [tuple(map(str, row)) for row in seen] == [
        ("1", "a**************", "************1111", "***        ", "10.50"),
        ("2", "b**************", "************5559", "***        ", "0.00"),
        ("3", "None", "None", "None", "None"),
    ]


def test_another_role_and_another_client_zone_are_another_mask_set(stand: Stand) -> None:
    sql = "SELECT email FROM customers WHERE id = 1"
    assert rows(stand.through("franz", "ledger").dsn, sql) == [("ada@example.com",)]
    assert rows(stand.through("franz", "ledger", source=ZURICH).dsn, sql) == [("a**************",)]
    assert rows(stand.through("ada", "ledger").dsn, sql) == [("a**************",)]


def test_a_client_outside_all_granted_zones_is_refused_before_the_target_hears_of_it(stand: Stand) -> None:
    before = _target_connections(stand)
    with pytest.raises(psycopg.OperationalError, match="The client does not lie in any of the zones"):
        psycopg.connect(stand.through("ada", "ledger", source=OHIO).dsn)
    assert _target_connections(stand) == before


def _target_connections(stand: Stand) -> int:
    """Sessions that the database has ever opened, in all databases (pg_stat_database)."""
    stand.cluster.execute("SELECT pg_stat_clear_snapshot()")
    return stand.cluster.execute("SELECT sum(sessions) FROM pg_stat_database WHERE datname IN ('ledger', 'plain')")[0][
        0
    ]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT upper(email) FROM customers", "expression"),
        ("SELECT id FROM customers WHERE email LIKE 'a%'", "public.customers.email"),
        ("SELECT c FROM customers c", "masked"),
        ("SELECT to_jsonb(c) FROM customers c", "masked"),
        ("SELECT email FROM customers UNION SELECT 'x'", "masked"),
        ("SELECT * FROM emails", "public.emails"),
        ("SELECT reads_email()", "reads_email"),
        ("DO $$ BEGIN RAISE NOTICE '%', (SELECT email FROM customers LIMIT 1); END $$", "."),
        ("CREATE TEMP TABLE t AS SELECT * FROM customers", "."),
        ("EXPLAIN ANALYZE SELECT email FROM customers WHERE id = 1", "."),
        ("SELECT query_to_xml('SELECT * FROM customers', true, true, '')", "query_to_xml"),
        ("SELEC nonsense", "."),
    ],
)
def test_what_an_origin_cannot_mask_is_refused_and_the_session_goes_on(stand: Stand, sql: str, says: str) -> None:
    with psycopg.connect(stand.through("ada", "ledger").dsn) as connection:
        sentence = refused(connection, sql)
        assert says in sentence
        assert sentence.endswith(".")
        assert connection.execute("SELECT count(*) FROM customers").fetchall() == [(3,)]


def test_copy_out_of_a_protected_table_is_refused_and_of_others_is_not(stand: Stand) -> None:
    with psycopg.connect(stand.through("ada", "ledger").dsn) as connection:
        for sql in ("COPY customers TO STDOUT", "COPY (SELECT email FROM customers) TO STDOUT"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.cursor().copy(sql) as copy:
                copy.read()
            connection.rollback()
        with connection.cursor().copy("COPY (SELECT id FROM customers) TO STDOUT") as copy:
            assert b"".join(map(bytes, copy)) == b"1\n2\n3\n"


def test_partitions_are_masked_by_either_name(stand: Stand) -> None:
    for table in ("payments", "payments_2025"):
        assert rows(stand.through("ada", "ledger").dsn, f"SELECT id, card FROM {table}") == [(1, None)]


def test_errors_quote_no_row(stand: Stand) -> None:
    with psycopg.connect(stand.through("ada", "ledger").dsn) as connection:
        with pytest.raises(psycopg.Error) as why:
            connection.execute("UPDATE customers SET balance = -1 WHERE id = 1")
        text = f"{why.value} {why.value.diag.message_detail}"
        assert not any(secret in text for secret in SECRETS)


def test_executions_without_a_description_are_masked_by_their_own_statement(stand: Stand) -> None:
    """Prepares A (masked) and B, then executes A: the last description is B's, and drivers do not ask again."""
    with psycopg.connect(stand.through("ada", "ledger").dsn) as connection:
        connection.execute("PREPARE a AS SELECT email, card FROM customers WHERE id = 1")
        connection.execute("PREPARE b AS SELECT name, country FROM customers WHERE id = 1")
        assert connection.execute("EXECUTE b").fetchall() == [("Ada", "DE")]
        assert connection.execute("EXECUTE a").fetchall() == [("a**************", "************1111")]
        for _ in range(3):
            for sql, wanted in (
                ("SELECT email, card FROM customers WHERE id = 1", ("a**************", "************1111")),
                ("SELECT name, country FROM customers WHERE id = 1", ("Ada", "DE")),
            ):
                assert connection.execute(sql, prepare=True).fetchall() == [wanted]
        with connection.transaction():
            connection.execute("DECLARE c CURSOR FOR SELECT email FROM customers ORDER BY id")
            assert connection.execute("FETCH 1 FROM c").fetchall() == [("a**************",)]


def test_asyncpg_which_never_describes_portals_sees_masks(stand: Stand) -> None:
    async def script() -> list[Any]:
        tls = ssl.create_default_context(cafile=str(stand.ca_file))
        connection = await asyncpg.connect(
            host=stand.host, port=stand.port, user="reader", password=stand.tokens["ada"], database="ledger", ssl=tls
        )
        masked = await connection.prepare("SELECT email, card FROM customers WHERE id = $1")
        plain = await connection.prepare("SELECT name, country FROM customers WHERE id = $1")
        seen = [await each.fetch(1) for each in (plain, masked, plain, masked)]
        await connection.close()
        return [tuple(record) for records in seen for record in records]

    assert asyncio.run(script()) == [("Ada", "DE"), ("a**************", "************1111")] * 2
