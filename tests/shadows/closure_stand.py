"""A database with masks that stands for one test: installed by the real plan, tried as the account and as a session."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import ExecStatus
from zope.interface import implementer

from hoopproxy.errors import SqlFailed
from hoopproxy.rooms import IDesk, Rows


@implementer(IDesk)
class PsycopgDesk:
    """A desk over a blocking connection: for tests alone."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)

    async def ask(self, text: str) -> tuple[Rows, ...]:
        """See `IDesk.ask`."""
        return self.now(text)

    def now(self, text: str) -> tuple[Rows, ...]:
        """The same, at once."""
        wire = self.connection.pgconn
        wire.send_query(text.encode())
        results: list[Rows] = []
        failure: SqlFailed | None = None
        while (result := wire.get_result()) is not None:
            if result.status == ExecStatus.FATAL_ERROR:
                code = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b""
                failure = SqlFailed(code.decode(), result.error_message.decode())
            results.append(
                tuple(
                    tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
                    for row in range(result.ntuples)
                )
            )
        if failure is not None:
            raise failure
        return tuple(results)

    def close(self) -> None:
        """See `IDesk.close`."""
        self.connection.close()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


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
