"""The journal in a database: appends entries and reads them again, in threads.

Knows neither what an entry means nor what follows from it.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Row as Record
from sqlalchemy import Select, delete, insert, select, text, tuple_, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from zope.interface import implementer

from hoopproxy.access.journal import IJournal, News, Overtaken, Row, StoreUnavailable, read, written
from hoopproxy.access.steps import Entry
from hoopproxy.hands import Overloaded, in_thread
from hoopproxy.store.database import CHANNEL, Database
from hoopproxy.store.tables import ENTRY, ROW

READ_MAX = 1000
"""Entries that are read at once."""


@implementer(IJournal)
class DatabaseJournal:
    """The journal of one database. `run` calls what blocks: `hands.in_thread`, or a test's own."""

    def __init__(self, database: Database, run: Callable[..., Awaitable[Any]] = in_thread) -> None:
        self._database, self._in_thread = database, run

    async def append(self, entries: Sequence[Entry], rows: Sequence[Row]) -> None:
        await self._run(self._append, entries, rows)

    async def opening(self) -> News:
        found: News = await self._run(self._opening)
        return found

    async def since(self, position: int) -> News:
        found: News = await self._run(self._since, position)
        return found

    async def history(self, key: str) -> tuple[Entry, ...]:
        query = select(ENTRY).where(ENTRY.c.key == key).order_by(ENTRY.c.number)
        found: tuple[Entry, ...] = await self._run(self._entries, query)
        return found

    async def rows(self, only_open: bool, most: int) -> tuple[Row, ...]:
        query = select(ROW).order_by(ROW.c.position.desc()).limit(most)
        found: tuple[Row, ...] = await self._run(self._rows, query.where(ROW.c.is_open) if only_open else query)
        return found

    async def unnoted(self, gateway: str) -> tuple[Entry, ...]:
        query = select(ENTRY).where(~ENTRY.c.is_noted, ENTRY.c.gateway == gateway).order_by(ENTRY.c.position)
        found: tuple[Entry, ...] = await self._run(self._entries, query.limit(READ_MAX))
        return found

    async def noted(self, entries: Sequence[Entry]) -> None:
        await self._run(self._noted, entries)

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asked_in_thread(self._in_thread, function, *arguments)

    # In threads -------------------------------------------------------------------------------------------------------

    def _append(self, entries: Sequence[Entry], rows: Sequence[Row]) -> None:
        try:
            with self._database.writing() as connection:
                for entry in entries:
                    kept = connection.execute(insert(ENTRY).values(**_record(entry)))
                    (position,) = kept.inserted_primary_key or (0,)
                keys = [row.key for row in rows]
                connection.execute(delete(ROW).where(ROW.c.key.in_(keys)))
                connection.execute(insert(ROW), [_line(row) | {"position": position} for row in rows])
                if self._database.is_postgres:
                    connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
        except IntegrityError as why:
            raise Overtaken from why

    def _opening(self) -> News:
        is_open = select(ROW.c.key).where(ROW.c.is_open)
        with self._database.reading() as connection, connection.begin():
            last = connection.execute(select(ENTRY.c.position).order_by(ENTRY.c.position.desc()).limit(1)).scalar()
            query = select(ENTRY).where(ENTRY.c.key.in_(is_open)).order_by(ENTRY.c.position)
            records = connection.execute(query).all()
        # What came between both reads is read again, and known by its number.
        return News(last or 0, told(records))

    def _since(self, position: int) -> News:
        query = select(ENTRY).where(ENTRY.c.position > position).order_by(ENTRY.c.position).limit(READ_MAX)
        with self._database.reading() as connection:
            records = connection.execute(query).all()
        return News(records[-1].position if records else position, told(records))

    def _entries(self, query: Select[Any]) -> tuple[Entry, ...]:
        with self._database.reading() as connection:
            return told(connection.execute(query).all())

    def _rows(self, query: Select[Any]) -> tuple[Row, ...]:
        with self._database.reading() as connection:
            return tuple(_row(record) for record in connection.execute(query))

    def _noted(self, entries: Sequence[Entry]) -> None:
        keys = [(entry.key, entry.number) for entry in entries]
        with self._database.writing() as connection:
            connection.execute(update(ENTRY).where(tuple_(ENTRY.c.key, ENTRY.c.number).in_(keys)).values(is_noted=True))


async def asked_in_thread(run: Callable[..., Awaitable[Any]], function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function`, which asks the database, answers in one of the store's threads. @raise StoreUnavailable"""
    try:
        return await run("store", function, *arguments)
    except (SQLAlchemyError, OSError, Overloaded) as why:
        # The driver's own text alone: SQLAlchemy's holds the parameters.
        raise StoreUnavailable(f"{type(why).__name__}: {getattr(why, 'orig', why)}") from None


def told(records: Iterable[Record[Any]]) -> tuple[Entry, ...]:
    """The entries in these records."""
    return tuple(
        Entry(each.key, each.number, each.at_ms / 1000, read(each.kind, each.body), each.gateway) for each in records
    )


def _record(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "number": entry.number,
        "at_ms": round(entry.at_s * 1000),
        "gateway": entry.gateway,
        "kind": entry.step.kind,
        "body": written(entry),
        "is_noted": False,
    }


def _line(row: Row) -> dict[str, Any]:
    return {
        "key": row.key,
        "count": row.count,
        "state": row.state,
        "is_open": row.is_open,
        "person": row.person,
        "target_name": row.target_name,
        "not_after_ms": round(row.not_after_s * 1000),
    }


def _row(record: Record[Any]) -> Row:
    return Row(
        key=record.key,
        count=record._mapping["count"],  # by its name alone it is a method of tuples
        state=record.state,
        is_open=record.is_open,
        person=record.person,
        target_name=record.target_name,
        not_after_s=record.not_after_ms / 1000,
    )
