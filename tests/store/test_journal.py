"""All journals answer alike: in memory, in SQLite, in a real PostgreSQL."""

import asyncio
import itertools
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from hoopproxy.access.journal import IJournal, News, Overtaken, Row, StoreUnavailable
from hoopproxy.access.register import row_of
from hoopproxy.access.request import begun
from hoopproxy.access.steps import Approver, Entry, Requested, Revoked, Voted, Withdrawn
from hoopproxy.store.database import Database, sqlite
from hoopproxy.store.journal import DatabaseJournal
from hoopproxy.testing.memory_journal import MemoryJournal
from hoopproxy.testing.postgres import PostgresCluster
from tests.access.test_request_history import terms

_NUMBERS = itertools.count()


async def _here(role: str, function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _database(kind: str, directory: Path, request: pytest.FixtureRequest) -> Database:
    if kind == "sqlite":
        database = Database(sqlite(directory / "store.db"))
    else:
        cluster: PostgresCluster = request.getfixturevalue("cluster")
        name = f"store{next(_NUMBERS)}"
        cluster.create_database(name)
        database = Database(make_url(cluster.url(name)).set(drivername="postgresql+psycopg"))
    database.upgrade()
    return database


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    database = _database(request.param, tmp_path, request)
    yield DatabaseJournal(database, _here)
    database.close()


def asked(key: str, number: int = 0) -> Entry:
    return Entry(key, number, 1_000_000.125, Requested(terms(key), 1_000_060.0), "gw")


def voted(key: str, number: int) -> Entry:
    return Entry(
        key, number, 1_000_001.5, Voted(Approver("bob", frozenset({"lead", "a"}), frozenset()), True, "d"), "gw"
    )


def row(key: str, count: int, is_open: bool = True) -> Row:
    return Row(key, count, "requested", is_open, "ada", "ledger", 12.5)


def run[T](work: Awaitable[T]) -> T:
    async def awaited() -> T:
        return await work

    return asyncio.run(awaited())


def test_it_is_a_journal(journal: Any) -> None:
    assert IJournal.providedBy(journal)


def test_what_was_kept_is_read_again_in_its_order(journal: Any) -> None:
    run(journal.append((asked("r1"), voted("r1", 1)), (row("r1", 2),)))
    run(journal.append((asked("r2"),), (row("r2", 1),)))
    news = run(journal.since(0))
    assert news.entries == (asked("r1"), voted("r1", 1), asked("r2"))
    assert run(journal.since(news.position)) == News(news.position, ())
    assert run(journal.history("r1")) == (asked("r1"), voted("r1", 1))
    assert run(journal.history("r3")) == ()


def test_the_second_who_takes_a_step_is_told_and_nothing_of_theirs_is_kept(journal: Any) -> None:
    run(journal.append((asked("r1"),), (row("r1", 1),)))
    run(journal.append((voted("r1", 1),), (row("r1", 2),)))
    with pytest.raises(Overtaken):
        run(journal.append((voted("r9", 0), voted("r1", 1)), (row("r1", 2, is_open=False),)))
    assert run(journal.history("r9")) == ()
    assert run(journal.rows(True, 10)) == (row("r1", 2),)


def test_the_opening_holds_what_is_open_alone(journal: Any) -> None:
    run(journal.append((asked("r1"),), (row("r1", 1),)))
    run(journal.append((asked("r2"),), (row("r2", 1),)))
    run(journal.append((Entry("r1", 1, 5.0, Withdrawn(), "gw"),), (row("r1", 2, is_open=False),)))
    opening = run(journal.opening())
    assert opening.entries == (asked("r2"),)
    assert run(journal.since(opening.position)).entries == ()
    assert [each.key for each in run(journal.rows(False, 10))] == ["r1", "r2"]
    assert [each.key for each in run(journal.rows(False, 1))] == ["r1"]


def test_what_is_not_in_the_log_yet_is_known(journal: Any) -> None:
    run(journal.append((asked("r1"), voted("r1", 1)), (row("r1", 2),)))
    run(journal.noted((asked("r1"),)))
    assert run(journal.unnoted("gw")) == (voted("r1", 1),)
    assert run(journal.unnoted("another")) == ()


def test_a_row_is_what_its_entries_have_come_to(journal: Any) -> None:
    request = begun(asked("r1"))
    run(journal.append((asked("r1"),), (row_of(request),)))
    entry = Entry("r1", 1, 6.0, Revoked("bob", "why"), "gw")
    assert run(journal.rows(True, 5)) == (row_of(request),)
    with pytest.raises(ValueError, match="can't happen"):
        request.after(entry.step)  # type: ignore[arg-type] # a step of a request


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_eight_writers_at_once_keep_each_step_once_and_in_one_order(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database = _database(kind, tmp_path, request)
    journal = DatabaseJournal(database, _here)
    run(journal.append((asked("r1"),), (row("r1", 1),)))
    won: list[int] = []
    seen: list[Entry] = []

    def write(me: int) -> None:
        for number in range(1, 21):
            try:
                run(journal.append((Entry("r1", number, float(me), Withdrawn(), "gw"),), (row("r1", number + 1),)))
                won.append(number)
            except Overtaken:
                pass

    def follow() -> None:
        position = 0
        while len(seen) < 21:
            news = run(journal.since(position))
            seen.extend(news.entries)
            position = news.position

    threads = [threading.Thread(target=write, args=(me,)) for me in range(4)] + [threading.Thread(target=follow)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(1, 21))
    assert [each.number for each in seen] == list(range(21))
    database.close()


def test_a_store_that_is_away_says_so_without_its_password(cluster: PostgresCluster) -> None:
    database = Database(make_url("postgresql+psycopg://hoop:s3cret-word@127.0.0.1:1/hoop"))
    with pytest.raises(StoreUnavailable) as told:
        run(DatabaseJournal(database, _here).since(0))
    assert "s3cret-word" not in told.value.detail and "try again in a minute" in told.value.sentence


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    database = Database(sqlite(tmp_path / "store.db"))
    database.upgrade()
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()
