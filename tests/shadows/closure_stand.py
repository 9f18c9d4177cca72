"""What somebody sees who sends statements one by one: as the account, as a masked session, or as anybody else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from hoopproxy.errors import SqlFailed
from hoopproxy.rooms import Rows
from hoopproxy.testing.masks import PsycopgDesk


@dataclass
class Seen:
    """All that a client sees of one statement: rows, the error's code and message, notices."""

    rows: tuple[Rows, ...] = ()
    error: str = ""
    notices: list[str] = field(default_factory=list)


@contextmanager
def somebody(dsn: str, role: str) -> Iterator[PsycopgDesk]:
    """A session of a role, whatever its password."""
    desk = PsycopgDesk(dsn)
    try:
        desk.now(f'SET SESSION AUTHORIZATION "{role}"')
        yield desk
    finally:
        desk.close()


def seen(dsn: str, role: str, probes: Sequence[str]) -> list[Seen]:
    """What `role` sees of each statement, each in a transaction that is rolled back."""
    found = []
    with somebody(dsn, role) as desk:
        for probe in probes:
            one = Seen()

            def hear(diagnostic: psycopg.errors.Diagnostic, one: Seen = one) -> None:
                one.notices.append(diagnostic.message_primary or "")

            desk.connection.add_notice_handler(hear)
            desk.now("BEGIN")
            try:
                one.rows = desk.now(probe)
            except SqlFailed as why:
                one.error = f"{why.sqlstate} {why.message}"
            desk.now("ROLLBACK")
            desk.connection.remove_notice_handler(hear)
            found.append(one)
    return found
