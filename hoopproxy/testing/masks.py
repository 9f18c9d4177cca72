"""Makes masks in a database, and takes them away, in this process: what `hoopproxy masks` does, without its start.

Knows neither addresses nor credentials: a connection string is given.
"""

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import ExecStatus
from zope.interface import implementer

from hoopproxy.access.mask_sets import sets_of
from hoopproxy.config.load import load
from hoopproxy.errors import SqlFailed
from hoopproxy.masking.shadows.installation import Installed, install, remove
from hoopproxy.masking.shadows.plan import plan
from hoopproxy.rooms import IDesk, Rows


@implementer(IDesk)
class PsycopgDesk:
    """A desk over libpq, which waits in place. Its `connection` is any client's: nothing is set in it."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)

    async def ask(self, text: str) -> tuple[Rows, ...]:
        """As `IDesk.ask`; nothing bounds it."""
        return self.now(text)

    def now(self, text: str) -> tuple[Rows, ...]:
        """The same, for those who can't await."""
        pgconn, answers, failed = self.connection.pgconn, list[Rows](), list[SqlFailed]()
        pgconn.send_query(text.encode())
        while (result := pgconn.get_result()) is not None:
            if result.status == ExecStatus.FATAL_ERROR:
                said = psycopg.errors.error_from_result(result, encoding="utf-8")
                failed.append(SqlFailed(said.sqlstate or "", str(said)))
            cells = [
                [result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)
            ]
            answers.append(tuple(tuple(None if cell is None else cell.decode() for cell in row) for row in cells))
        if failed:
            raise failed[0]
        return tuple(answers)

    def close(self) -> None:
        """Leave."""
        self.connection.close()


def make(config_file: Path, target_name: str, dsn: str, role: str) -> Installed:
    """Make what the policy masks in the database that `dsn` leads to, for the account's `role`.

    @raise SqlFailed, Leaking
    """
    config = load(config_file)
    target, day = config.targets[target_name], datetime.now(UTC).date()
    assert target.masks is not None, "it keeps its masks itself"
    accepted = frozenset(target.masks.accepted)
    countries = {country for zone in config.zones.zones.values() for country in zone.members}
    zones = {config.zones.containing(country, day) for country in countries}
    with _desk(dsn) as desk:
        ((database,),) = desk.now("SELECT current_database()")[0]
        assert database is not None
        sets = sets_of(config.policy, zones, target, database, [role])
        return now(install(desk, sets, lambda inventory: plan(inventory, sets, accepted)))


def take_away(dsn: str) -> None:
    """Take away what was made for masks in the database that `dsn` leads to. @raise SqlFailed"""
    with _desk(dsn) as desk:
        now(remove(desk))


@contextmanager
def _desk(dsn: str) -> Iterator[PsycopgDesk]:
    desk = PsycopgDesk(dsn)
    try:
        desk.now("SET search_path = pg_catalog, pg_temp; SET row_security = off")
        yield desk
    finally:
        desk.close()


def now[T](work: Coroutine[Any, Any, T]) -> T:
    """The result of work that waits for nothing but such a desk, which waits in place."""
    try:
        work.send(None)
    except StopIteration as over:
        result: T = over.value
        return result
    raise AssertionError("it waits for something else")
