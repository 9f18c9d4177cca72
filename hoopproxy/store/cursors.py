"""How far each webhook was told of the journal, in a database. The journal is the outbox: here is only the place in it.

So a step and its being told later are kept by one write, in one order, and survive whatever the step survives. Of
several gateways one has a webhook at a time; should it die, another does once its hold is over. Sends nothing.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, or_, select, update

from hoopproxy.access.steps import Entry
from hoopproxy.hands import in_thread
from hoopproxy.store.database import Database
from hoopproxy.store.journal import asked_in_thread, told
from hoopproxy.store.tables import ENTRY, WEBHOOK

ERROR_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a webhook stands: it was told of everything up to `position`, and of what is next `tries` times in vain.

    `given_up` counts what it was never told, and `error` is why it was not told at the last try, "" when it was.
    """

    name: str
    position: int
    tries: int = 0
    next_at_ms: int = 0
    holder: str = ""
    held_until_ms: int = 0
    told_at_ms: int = 0
    given_up: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """What a webhook is to be told now, by whoever got this."""

    cursor: Cursor
    entry: Entry
    position: int


class Cursors:
    """The cursors of one database. `run` calls what blocks: `hands.in_thread`, or a test's own."""

    def __init__(self, database: Database, run: Callable[..., Awaitable[Any]] = in_thread) -> None:
        self._database, self._in_thread = database, run

    async def begin(self, names: Iterable[str]) -> None:
        """Those that are new are told of what comes from now on. @raise StoreUnavailable"""
        await self._run(self._begin, tuple(names))

    async def next(
        self, name: str, kinds: frozenset[str], holder: str, now_ms: int, hold_ms: int, behind: int
    ) -> Due | int:
        """What is to be told, which `holder` has to himself for `hold_ms`; or up to where there is nothing.

        What that was may be given as `behind` the next time. @raise StoreUnavailable
        """
        found: Due | int = await self._run(self._next, name, kinds, holder, now_ms, hold_ms, behind)
        return found

    async def move(self, due: Due, **to: Any) -> bool:
        """What has come of it, and let go of it; False: somebody else has it by now. @raise StoreUnavailable"""
        moved: bool = await self._run(self._move, due, to)
        return moved

    async def all(self, kinds: dict[str, frozenset[str]]) -> tuple[tuple[Cursor, int], ...]:
        """All, each with how many steps of its kinds it is still to be told of. @raise StoreUnavailable"""
        found: tuple[tuple[Cursor, int], ...] = await self._run(self._all, kinds)
        return found

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asked_in_thread(self._in_thread, function, *arguments)

    # In threads -------------------------------------------------------------------------------------------------------

    def _begin(self, names: tuple[str, ...]) -> None:
        with self._database.writing() as connection:
            known = set(connection.execute(select(WEBHOOK.c.name)).scalars())
            end = connection.execute(select(func.max(ENTRY.c.position))).scalar() or 0
            for name in dict.fromkeys(names):
                if name not in known:
                    connection.execute(insert(WEBHOOK).values(**_line(Cursor(name, end))))

    def _next(self, name: str, kinds: frozenset[str], holder: str, now_ms: int, hold_ms: int, behind: int) -> Due | int:
        with self._database.reading() as connection:
            # The end comes first: what is written between both reads lies behind it, and is found the next time.
            end = connection.execute(select(func.max(ENTRY.c.position))).scalar() or 0
            if end <= behind:
                return behind
            cursor = Cursor(**connection.execute(select(WEBHOOK).where(WEBHOOK.c.name == name)).one()._mapping)
            is_others = cursor.holder not in ("", holder) and cursor.held_until_ms > now_ms
            if cursor.next_at_ms > now_ms or is_others:
                return behind
            query = select(ENTRY).where(ENTRY.c.position > max(behind, cursor.position), ENTRY.c.kind.in_(kinds))
            record = connection.execute(query.order_by(ENTRY.c.position).limit(1)).one_or_none()
        if record is None:
            return max(behind, end)
        free = or_(WEBHOOK.c.holder.in_(("", holder)), WEBHOOK.c.held_until_ms <= now_ms)
        here = (WEBHOOK.c.name == name, WEBHOOK.c.position == cursor.position, WEBHOOK.c.tries == cursor.tries, free)
        held = {"holder": holder, "held_until_ms": now_ms + hold_ms}
        with self._database.writing() as connection:
            if not connection.execute(update(WEBHOOK).where(*here).values(**held)).rowcount:
                return behind
        return Due(Cursor(**{**_line(cursor), **held}), told((record,))[0], record.position)

    def _move(self, due: Due, to: dict[str, Any]) -> bool:
        cursor = due.cursor
        still = (
            WEBHOOK.c.name == cursor.name,
            WEBHOOK.c.position == cursor.position,
            WEBHOOK.c.holder == cursor.holder,
        )
        values = to | {"holder": "", "held_until_ms": 0, "error": str(to.get("error", ""))[:ERROR_CHARACTERS_MAX]}
        with self._database.writing() as connection:
            return bool(connection.execute(update(WEBHOOK).where(*still).values(**values)).rowcount)

    def _all(self, kinds: dict[str, frozenset[str]]) -> tuple[tuple[Cursor, int], ...]:
        with self._database.reading() as connection:
            query = select(WEBHOOK).where(WEBHOOK.c.name.in_(kinds)).order_by(WEBHOOK.c.name)
            cursors = [Cursor(**record._mapping) for record in connection.execute(query)]
            return tuple(
                (
                    each,
                    connection.execute(
                        select(func.count()).where(ENTRY.c.position > each.position, ENTRY.c.kind.in_(kinds[each.name]))
                    ).scalar()
                    or 0,
                )
                for each in cursors
            )


def _line(cursor: Cursor) -> dict[str, Any]:
    return {column.name: getattr(cursor, column.name) for column in WEBHOOK.columns}
