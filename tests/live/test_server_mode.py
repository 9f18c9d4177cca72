"""A database that keeps its masks itself, through real clients: what is shown, to whom, from where, and until when."""

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.people import SECRETS

from .conftest import Stand

ZURICH = "127.0.2.7"
EMAIL = "SELECT email FROM customers WHERE id = 1"
ADA = ("a**************", "************1111", "***        ")
WITH_CARDS = ("a**************", "4111111111111111", "***        ")
FRANZ = ("ada@example.com", "4111111111111111", "***        ")
ALL = "SELECT email, card, ssn FROM customers WHERE id = 1"


def token(stand: Stand, name: str, group: str) -> str:
    return stand.issuer.issue(name, (group,), lifetime_s=600)


def rows(dsn: str, sql: str, **how: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql, **how).fetchall()


@contextmanager
def refused(connection: psycopg.Connection[Any], *words: str) -> Iterator[None]:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as why:
        yield
    connection.rollback()
    said = f"{why.value.diag.message_primary}"
    assert all(word in said for word in words), said


# Who sees what ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
def test_masked_and_revealed_people_work_side_by_side(kept: Stand, binary: bool, prepare: bool) -> None:
    with (
        psycopg.connect(kept.dsn("ada", "ledger")) as ada,
        psycopg.connect(kept.dsn("franz", "ledger")) as franz,
    ):
        for _ in range(2):
            assert ada.execute(ALL, binary=binary, prepare=prepare).fetchall() == [ADA]
            assert franz.execute(ALL, binary=binary, prepare=prepare).fetchall() == [FRANZ]


def test_the_zone_of_the_client_decides_as_well(kept: Stand) -> None:
    assert rows(kept.dsn("franz", "ledger", source=ZURICH), ALL) == [ADA]
    assert rows(kept.dsn("franz", "ledger"), ALL) == [FRANZ]


def test_a_grant_reveals_what_it_names(kept: Stand) -> None:
    assert rows(kept.dsn(None, "ledger", token=token(kept, "olga", "auditors")), ALL) == [WITH_CARDS]


def test_what_a_grant_reveals_ends_with_its_time(kept: Stand) -> None:
    dsn = kept.dsn(None, "ledger", token=token(kept, "gus", "guests"))
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute(ALL).fetchall() == [("a**************", "4111111111111111", "123-45-6789")]
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(30)")


def test_a_target_that_is_masked_on_the_way_stands_beside(kept: Stand) -> None:
    assert rows(kept.dsn("ada", "wired"), ALL) == rows(kept.dsn("ada", "ledger"), ALL) == [ADA]
    assert rows(kept.dsn("ada", "wired"), "SELECT current_user") == [("reader",)]
    with psycopg.connect(kept.dsn("ada", "wired")) as wired, refused(wired, "expression"):
        wired.execute("SELECT upper(email) FROM customers")
    assert rows(kept.dsn("ada", "ledger"), "SELECT upper(email) FROM customers WHERE id = 1") == [("A**************",)]


def test_each_person_is_a_login_role_of_their_own_in_one_group(kept: Stand) -> None:
    ada, franz = (rows(kept.dsn(who, "ledger"), "SELECT session_user")[0][0] for who in ("ada", "franz"))
    assert rows(kept.dsn("ada", "ledger"), "SELECT session_user") == [(ada,)] and ada != franz
    for name in (ada, franz):
        assert kept.cluster.execute(
            "SELECT r.rolsuper, r.rolbypassrls, r.rolcreaterole, array_agg(g.rolname::text) FROM pg_roles r "
            "JOIN pg_auth_members m ON m.member = r.oid JOIN pg_roles g ON g.oid = m.roleid WHERE r.rolname = %s "
            "GROUP BY 1, 2, 3",
            parameters=(name,),
        ) == [(False, False, False, [name[:15]])]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT c::text FROM customers c",
        "SELECT to_jsonb(c) FROM customers c",
        "SELECT string_agg(email || ssn || card, ',') FROM public.customers",
        "SELECT * FROM payments_2025",
        "SELECT query_to_xml('SELECT * FROM customers', true, true, '')",
        "TABLE emails",
        "WITH customers AS (SELECT * FROM customers) SELECT * FROM customers",
        "SELECT reads_email()",
        "SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'customers'",
        "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT string_agg(ssn, ',') FROM public.customers); END $$",
    ],
)
def test_nothing_that_is_protected_comes_out(kept: Stand, sql: str) -> None:
    with psycopg.connect(kept.dsn("ada", "ledger")) as connection:
        notices: list[str] = []
        connection.add_notice_handler(lambda notice: notices.append(f"{notice.message_primary}"))
        try:
            said = repr(connection.execute(sql).fetchall())
        except psycopg.Error as why:
            said = f"{why} {why.diag.message_detail} {why.diag.context}"
        assert not [secret for secret in SECRETS if secret in said + repr(notices)], said


def test_what_others_notify_is_heard_and_not_read(kept: Stand) -> None:
    with psycopg.connect(kept.dsn("ada", "ledger"), autocommit=True) as connection:
        connection.execute("LISTEN changes")
        kept.cluster.execute(
            "SELECT pg_notify('changes', row_to_json(c)::text) FROM customers c WHERE id = 1", "ledger"
        )
        heard = [(each.channel, each.payload) for each in connection.notifies(timeout=20, stop_after=1)]
    assert heard == [("changes", "")]


def test_asyncpg_sees_masks(kept: Stand) -> None:
    async def script() -> list[Any]:
        tls = ssl.create_default_context(cafile=str(kept.ca_file))
        connection = await asyncpg.connect(
            host=kept.host, port=kept.port, user="reader", password=kept.tokens["ada"], database="ledger", ssl=tls
        )
        masked = await connection.prepare("SELECT email, card FROM customers WHERE id = $1")
        seen = [await masked.fetch(number) for number in (1, 3, 1)]
        await connection.close()
        return [tuple(record) for records in seen for record in records]

    assert asyncio.run(script()) == [ADA[:2], (None, None), ADA[:2]]


def test_psql_sees_masks(kept: Stand) -> None:
    def psql(*words: str) -> str:
        door = kept.through("ada", "ledger")
        done = subprocess.run(
            ["psql", "-X", "-At", door.dsn, *words],
            env={"PATH": door.path},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stdout + done.stderr

    assert psql("-c", ALL) == f"{'|'.join(ADA)}\n"
    assert psql("-c", "COPY customers (id, email) TO STDOUT").splitlines()[0] == f"1\t{ADA[0]}"
    assert "email" in psql("-c", "\\d customers")


def test_writes_go_where_the_account_may_write(kept: Stand) -> None:
    with psycopg.connect(kept.dsn("ada", "ledger")) as connection:
        with refused(connection, "permission denied"):
            connection.execute("UPDATE customers SET country = 'CH' WHERE id = 1")
        with refused(connection, "permission denied"):
            connection.execute("CREATE TABLE copied AS SELECT * FROM customers")


# Statements in flight, transactions -----------------------------------------------------------------------------------


def test_a_refusal_within_a_transaction_leaves_it_as_postgresql_would(kept: Stand) -> None:
    with psycopg.connect(kept.dsn("ada", "ledger"), autocommit=True) as connection:
        connection.execute("BEGIN")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT hoopproxy.lookup('public.customers.ssn', 'x')")
        assert connection.info.transaction_status is psycopg.pq.TransactionStatus.INERROR
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute(EMAIL)
        connection.execute("ROLLBACK")
        assert connection.execute(EMAIL).fetchall() == [ADA[:1]]
        connection.execute("BEGIN; SAVEPOINT a")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM pg_authid")
        connection.execute("ROLLBACK TO a")
        assert connection.execute(EMAIL).fetchall() == [ADA[:1]]
        connection.execute("COMMIT")


def test_statements_in_a_pipeline_are_masked_one_by_one(kept: Stand) -> None:
    with psycopg.connect(kept.dsn("ada", "ledger")) as connection, connection.pipeline():
        seen = [connection.execute(EMAIL), connection.execute("SELECT 1"), connection.execute(ALL)]
        assert [cursor.fetchall() for cursor in seen] == [[ADA[:1]], [(1,)], [ADA]]


def test_a_path_that_the_client_chose_at_the_start_is_followed(kept: Stand) -> None:
    dsn = f"{kept.dsn('ada', 'ledger')} options='-c search_path=pg_catalog'"
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute(EMAIL)
    assert rows(dsn, EMAIL.replace("customers", "public.customers")) == [ADA[:1]]


def test_a_path_that_was_prepared_is_followed_once_it_runs(kept: Stand) -> None:
    with psycopg.connect(kept.dsn("ada", "ledger"), autocommit=True) as connection:
        wire = connection.pgconn
        wire.prepare(b"away", b"SET search_path = pg_catalog")
        wire.prepare(b"back", b"RESET search_path")
        for _ in range(2):
            assert connection.execute(EMAIL).fetchall() == [ADA[:1]]
            assert wire.exec_prepared(b"away", []).command_status == b"SET"
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute(EMAIL)
            assert wire.exec_prepared(b"back", []).command_status == b"RESET"


@pytest.mark.parametrize("prepare", [False, True])
def test_a_key_stands_for_its_columns_where_a_query_groups_by_it(kept: Stand, prepare: bool) -> None:
    """As Django and Rails have it."""
    text = (
        'SELECT "customers"."email", COUNT("orders"."id") AS "n" FROM "customers" LEFT OUTER JOIN "orders" '
        'ON ("customers"."id" = "orders"."customer_id") GROUP BY "customers"."id" HAVING COUNT("orders"."id") > 0 '
        'ORDER BY "customers"."id" ASC LIMIT 1'
    )
    with psycopg.connect(kept.dsn("ada", "ledger")) as connection:
        assert connection.execute(text, prepare=prepare).fetchall() == [(*ADA[:1], 16)]
        with pytest.raises(psycopg.errors.UndefinedColumn) as failed:
            connection.execute(text.replace("ASC", ", nothing"), prepare=prepare)
        assert failed.value.diag.statement_position == str(text.index("ASC") + 3)


# Look-ups -----------------------------------------------------------------------------------------------------------

LOOKUP = "SELECT id, name FROM customers WHERE id = ANY(hoopproxy.lookup('public.customers.email', '{}'))"


def test_rows_are_found_by_a_value_that_stays_masked(kept: Stand) -> None:
    person = token(kept, "lena", "analysts")
    with psycopg.connect(kept.dsn(None, "ledger", token=person), autocommit=True) as connection:
        assert connection.execute(LOOKUP.format("bob@example.com"), prepare=True).fetchall() == [(2, "Bob")]
        assert connection.execute(LOOKUP.format("nobody@example.com")).fetchall() == []
        connection.execute(f"PREPARE found AS {LOOKUP.format('ada@example.com')}")
        assert connection.execute("EXECUTE found").fetchall() == [(1, "Ada")]
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="two plain texts"):
            connection.execute("SELECT hoopproxy.lookup('public.customers.email', %s)", ("ada@example.com",))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="You may not look up"):
            connection.execute("SELECT hoopproxy.lookup('public.customers.ssn', '123-45-6789')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no primary key"):
            connection.execute("SELECT hoopproxy.lookup('public.payments.card', '4111111111111111')")
    with psycopg.connect(kept.dsn(None, "ledger", token=person), autocommit=True) as connection:
        for _ in range(2):
            connection.execute(LOOKUP.format("it''s; nothing"))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="5 times a minute"):
            connection.execute(LOOKUP.format("ada@example.com"))
    assert rows(kept.dsn("ada", "ledger"), LOOKUP.format("ada@example.com")) == [(1, "Ada")]


def test_each_look_up_stands_in_the_log_without_its_value(kept: Stand) -> None:
    log = b"".join(file.read_bytes() for file in sorted(kept.log_directory.rglob("*")) if file.is_file())
    before = log.count(b'"kind":"looked-up"')
    rows(kept.dsn(None, "ledger", token=token(kept, "lou", "analysts")), LOOKUP.format("bob@example.com"))
    log = b"".join(file.read_bytes() for file in sorted(kept.log_directory.rglob("*")) if file.is_file())
    assert log.count(b'"kind":"looked-up"') == before + 1
    assert b"public.customers.email" in log and b"bob@example.com" not in log
