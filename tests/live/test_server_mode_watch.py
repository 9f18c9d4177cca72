"""A database that keeps its masks itself, while things happen to it: who gets in, who has to go, and what they hear."""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from hoopproxy.control.client import ControlClient
from hoopproxy.testing.installations import installed
from hoopproxy.testing.stand import MasksFailed

from .conftest import Stand
from .test_server_mode import ADA, ALL, rows, token

pytestmark = pytest.mark.parametrize("kept", [max(installed())], indirect=True, ids=lambda version: f"pg{version}")
"""What the oldest says of its catalog `test_server_mode` hears; the rest is the keeper's own doing."""

TO_ALL = "GRANT EXECUTE ON FUNCTION leak TO PUBLIC"


def definer(name: str) -> str:
    """Makes a function that shows whoever may call it what only its owner may read."""
    return (
        f"CREATE FUNCTION {name}() RETURNS SETOF customers LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM customers'"
    )


@contextmanager
def ends(stand: Stand, *words: str, person: str = "ada") -> Iterator[None]:
    """What is done within ends a session that is in the middle of a statement; its client hears these words."""
    with psycopg.connect(stand.dsn(person, "ledger"), autocommit=True) as connection:
        connection.execute("SELECT 1")
        heard: list[Exception] = []

        def wait() -> None:
            try:
                connection.execute("SELECT pg_sleep(25)")
            except psycopg.Error as why:
                heard.append(why)

        waiting = threading.Thread(target=wait)
        waiting.start()
        try:
            yield
        finally:
            waiting.join()
        assert heard and all(word in str(heard[0]) for word in words), heard
        assert connection.broken or connection.closed


def gets_in(stand: Stand) -> bool:
    return rows(stand.dsn("ada", "ledger"), ALL) == [ADA]


def denied(stand: Stand, target: str = "ledger") -> str:
    with pytest.raises(psycopg.OperationalError) as why:
        psycopg.connect(stand.dsn("ada", target))
    return str(why.value)


def comes(check: Callable[[], bool]) -> bool:
    """Whether it comes true: the watch needs a moment, and each try is a connection of its own."""
    return any(check() for _ in range(200))


# Getting in ---------------------------------------------------------------------------------------------------------


def test_without_masks_nobody_gets_in_and_hears_what_to_do(kept: Stand) -> None:
    assert "`hoopproxy masks install --target bare`" in denied(kept, "bare")
    assert rows(kept.dsn("ada", "wired"), ALL) == [ADA]


def test_where_masks_would_not_hold_nobody_gets_in_and_hears_why(kept: Stand) -> None:
    assert gets_in(kept)
    kept.cluster.execute("GRANT SELECT ON customers TO PUBLIC", database="ledger")
    try:
        assert comes(lambda: _is_denied(kept, "public.customers"))
    finally:
        kept.cluster.execute("REVOKE SELECT ON customers FROM PUBLIC", database="ledger")
    assert comes(lambda: not _is_denied(kept))


def _is_denied(stand: Stand, *words: str) -> bool:
    try:
        psycopg.connect(stand.dsn("ada", "ledger")).close()
    except psycopg.OperationalError as why:
        return all(word in str(why) for word in words)
    return False


def test_two_hundred_people_come_for_the_first_time_at_once(kept: Stand) -> None:
    people = [token(kept, f"person-{number}", "analysts") for number in range(200)]

    def visit(person: str) -> list[tuple[Any, ...]]:
        return rows(kept.dsn(None, "ledger", token=person), f"{ALL.replace('ssn', 'session_user')}")

    with ThreadPoolExecutor(32) as pool:
        seen = [row for found in pool.map(visit, people) for row in found]
    assert {row[:2] for row in seen} == {ADA[:2]}
    names = {row[2] for row in seen}
    assert len(names) == 200
    assert kept.cluster.execute(
        "SELECT count(*), count(DISTINCT m.roleid) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member "
        "WHERE r.rolname = ANY(%s)",
        parameters=(sorted(names),),
    ) == [(200, 1)]


def test_a_login_role_that_was_dropped_is_there_again(kept: Stand) -> None:
    ((name,),) = rows(kept.dsn("ada", "ledger"), "SELECT session_user")
    assert kept.cluster.comes(f"NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = '{name}')")
    kept.cluster.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"', database="ledger")
    assert rows(kept.dsn("ada", "ledger"), "SELECT session_user") == [(name,)]


def test_who_is_ended_while_the_database_keeps_them_waiting_hears_it_at_once(kept: Stand) -> None:
    person, control = token(kept, "slow", "analysts"), ControlClient(kept.control_socket)
    heard: list[str] = []

    def visit() -> None:
        try:
            psycopg.connect(kept.dsn(None, "ledger", token=person, source="127.0.1.43")).close()
        except psycopg.OperationalError as why:
            heard.append(str(why))

    coming = threading.Thread(target=visit)
    with psycopg.connect(kept.cluster.admin_dsn) as locker:
        locker.execute("LOCK pg_authid IN SHARE MODE")  # roles may be read, and none made
        coming.start()
        assert kept.cluster.comes("EXISTS (SELECT FROM pg_stat_activity WHERE query ~ '^CREATE ROLE')")
        (live,) = [each for each in control.call("sessions")["sessions"] if each["client"] == "127.0.1.43"]
        assert control.call("kill", id=live["session_id"], reason="lunch")["ended"] is True
        coming.join(10)
        assert "An operator ended your session: lunch." in "".join(heard)
    assert rows(kept.dsn(None, "ledger", token=person), ALL) == [ADA]


def test_a_session_whose_login_role_is_given_more_ends_and_the_next_is_as_before(kept: Stand) -> None:
    ((name,),) = rows(kept.dsn("ada", "ledger"), "SELECT session_user")
    with ends(kept, "other rights"):
        kept.cluster.execute(f'ALTER ROLE "{name}" SUPERUSER')
    assert rows(kept.dsn("ada", "ledger"), "SELECT rolsuper FROM pg_roles WHERE rolname = session_user") == [(False,)]


# The watch ----------------------------------------------------------------------------------------------------------


def test_a_leak_that_appears_ends_sessions_and_refuses_the_next_until_masks_are_made_anew(kept: Stand) -> None:
    with psycopg.connect(kept.dsn("franz", "wired")) as bystander:
        with ends(kept, "leak"):
            kept.cluster.execute(f"{definer('leak')}; {TO_ALL}", database="ledger")
        assert "leak" in denied(kept)
        assert bystander.execute("SELECT 1").fetchall() == [(1,)]
        kept.mask("ledger")
        assert comes(lambda: not _is_denied(kept))
        assert rows(kept.dsn("ada", "ledger"), "SELECT email, card, ssn FROM leak() WHERE id = 1") == [ADA]
        kept.cluster.execute("DROP FUNCTION leak CASCADE", database="ledger")


def test_harmless_changes_end_nothing_and_what_is_new_is_not_seen(kept: Stand) -> None:
    with psycopg.connect(kept.dsn("ada", "ledger"), autocommit=True) as connection:
        connection.execute("SELECT 1")
        kept.cluster.execute(
            "CREATE TABLE fresh (id int, email text); GRANT SELECT ON fresh TO reader; "
            f"ALTER TABLE customers ADD COLUMN phone text DEFAULT '555-0100'; {definer('newer')}",
            database="ledger",
        )
        for _ in range(20):
            assert connection.execute(ALL).fetchall() == [ADA]
        for sql in ("SELECT * FROM fresh", "SELECT phone FROM public.customers", "SELECT * FROM newer()"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedColumn)):
                connection.execute(sql)
    kept.cluster.execute("DROP FUNCTION newer CASCADE", database="ledger")
    kept.mask("ledger")
    assert comes(lambda: not _is_denied(kept))
    assert rows(kept.dsn("ada", "ledger"), "SELECT count(*) FROM fresh") == [(0,)]


def test_taking_masks_away_ends_the_sessions(kept: Stand) -> None:
    with ends(kept, "taken away"):
        kept.unmask("ledger")
    assert "not installed" in denied(kept)
    assert kept.cluster.execute("SELECT count(*) FROM pg_roles WHERE rolname ~ '^hp_.*_.{16}$'") == [(0,)]
    kept.mask("ledger")
    assert comes(lambda: not _is_denied(kept))
    assert gets_in(kept)


def test_the_gateway_finds_its_way_back_to_a_database_that_was_restarted(kept: Stand) -> None:
    assert gets_in(kept)
    kept.cluster.stop()
    assert "could not be reached" in denied(kept)
    kept.cluster.start()
    assert gets_in(kept)


def test_another_key_makes_other_login_roles(kept: Stand) -> None:
    ((before,),) = rows(kept.dsn("ada", "ledger"), "SELECT session_user")
    kept.gateway.stop()
    (kept.secrets / "login.key").write_bytes(bytes(reversed(range(32))))
    kept.start()
    ((after,),) = rows(kept.dsn("ada", "ledger"), "SELECT session_user")
    assert re.fullmatch(r"hp_[0-9a-f]{12}_[0-9a-f]{16}", after) and after != before and after[:15] == before[:15]


def test_what_nobody_could_install_is_said_by_the_command(kept: Stand) -> None:
    with pytest.raises(MasksFailed):
        kept.masks_command("install", "wired")
