"""Places in the journal, one for each webhook: nobody is passed over, and one gateway has a webhook at a time."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoopproxy.access.journal import StoreUnavailable
from hoopproxy.access.steps import Entry, Spent, Withdrawn
from hoopproxy.store.cursors import Cursors, Due
from hoopproxy.store.database import Database, sqlite
from hoopproxy.store.journal import DatabaseJournal

from .test_journal import _database, _here, asked, row, run

KINDS = frozenset({"requested", "withdrawn"})


class Store:
    def __init__(self, database: Database) -> None:
        self.journal, self.cursors = DatabaseJournal(database, _here), Cursors(database, _here)

    def keep(self, *entries: Entry) -> None:
        run(self.journal.append(entries, (row(entries[-1].key, 1),)))

    def next(self, holder: str = "one", now_ms: int = 0, behind: int = 0, name: str = "chat") -> Due | int:
        return run(self.cursors.next(name, KINDS, holder, now_ms, 1000, behind))

    def due(self, holder: str = "one", now_ms: int = 0, behind: int = 0) -> Due:
        found = self.next(holder, now_ms, behind)
        assert isinstance(found, Due), found
        return found


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    database = _database(request.param, tmp_path, request)
    yield Store(database)
    database.close()


def test_who_is_new_is_told_of_what_comes_and_who_is_not_goes_on(store: Store) -> None:
    store.keep(asked("r1"))
    run(store.cursors.begin(["chat"]))
    assert isinstance(store.next(), int)
    store.keep(asked("r2"))
    run(store.cursors.begin(["chat", "other"]))
    assert store.due().entry == asked("r2")
    assert isinstance(store.next(name="other"), int)


def test_steps_come_in_their_order_and_only_those_that_are_wanted(store: Store) -> None:
    run(store.cursors.begin(["chat"]))
    store.keep(asked("r1"), Entry("r1", 1, 5.0, Spent(1, 2), "gw"))
    store.keep(asked("r2"), Entry("r2", 1, 5.0, Withdrawn(), "gw"))
    told = []
    for _ in range(3):
        due = store.due()
        told.append((due.entry.key, due.entry.number))
        assert run(store.cursors.move(due, position=due.position))
    assert told == [("r1", 0), ("r2", 0), ("r2", 1)]
    end = store.next()
    assert isinstance(end, int) and store.next(behind=end) == end
    store.keep(Entry("r1", 2, 6.0, Withdrawn(), "gw"))
    assert store.due(behind=end).entry.number == 2


def test_one_has_it_until_he_lets_go_or_his_time_is_over(store: Store) -> None:
    run(store.cursors.begin(["chat"]))
    store.keep(asked("r1"))
    mine = store.due("one")
    assert isinstance(store.next("other", now_ms=999), int)
    assert store.due("one", now_ms=999).cursor.held_until_ms == 1999
    its = store.due("other", now_ms=2000)
    assert not run(store.cursors.move(mine, position=mine.position))
    assert run(store.cursors.move(its, position=its.position))
    assert isinstance(store.next("one", now_ms=2000), int)


def test_what_failed_waits_for_its_time(store: Store) -> None:
    run(store.cursors.begin(["chat"]))
    store.keep(asked("r1"))
    assert run(store.cursors.move(store.due(), tries=1, next_at_ms=5000, error="x" * 1000))
    assert isinstance(store.next(now_ms=4999), int) and isinstance(store.next("other", now_ms=4999), int)
    ((cursor, waiting),) = run(store.cursors.all({"chat": KINDS, "none": KINDS}))
    assert (cursor.tries, len(cursor.error), waiting) == (1, 500, 1)
    due = store.due("other", now_ms=5000)
    assert due.cursor.tries == 1
    assert run(store.cursors.move(due, position=due.position, tries=0))
    ((cursor, waiting),) = run(store.cursors.all({"chat": KINDS}))
    assert (cursor.tries, cursor.error, cursor.holder, waiting) == (0, "", "", 0)


def test_of_many_at_once_one_gets_it(store: Store) -> None:
    run(store.cursors.begin(["chat"]))
    store.keep(asked("r1"))
    found: list[Due | int] = []
    threads = [
        threading.Thread(target=lambda name=name: found.append(store.next(name)))  # type: ignore[misc] # mypy can't infer
        for name in ("one", "two", "three", "four")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and sum(isinstance(each, Due) for each in found) == 1


def test_a_store_that_is_away_says_so(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    with pytest.raises(StoreUnavailable):
        run(Cursors(Database(sqlite(tmp_path / "store.db")), _here).begin(["chat"]))
