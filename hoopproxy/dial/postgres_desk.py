"""A connection of the gateway's own to a database: it asks, and reads whole answers. Nobody's session.

Knows neither what is asked nor how it was logged in.
"""

from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.dial.reaching import unreachable
from hoopproxy.errors import SqlFailed
from hoopproxy.model import Target
from hoopproxy.rooms import IDesk, IScheduler, Rows
from hoopproxy.wire.postgres.inquiry import Inquiry
from hoopproxy.wire.postgres.requests import TERMINATE

ANSWER_BYTES_MAX = 64 << 20
"""The catalog of a database with some hundred thousand columns."""

PARAMETERS = {"client_encoding": "UTF8", "application_name": "hoopproxy"}
"""What a desk asks for at its login; connection poolers know both."""


@implementer(IDesk)
class PostgresDesk:
    """One question at a time. What went wrong between question and answer closes it; a refused statement does not."""

    def __init__(self, connection: Connection, target: Target, limit_s: float, scheduler: IScheduler) -> None:
        self._connection, self._target = connection, target
        self._limit_s, self._scheduler = limit_s, scheduler
        self._is_busy = self._is_closed = False

    async def settle(self) -> None:
        """What its questions may rely on: every name without a schema is PostgreSQL's own, and the server, too, gives
        up in time. @raise SqlFailed, UpstreamUnreachable, ProtocolViolation"""
        limit_ms = round(self._limit_s * 1000)
        await self.ask(
            "SET search_path = pg_catalog, pg_temp; SET standard_conforming_strings = on; "
            f"SET statement_timeout = {limit_ms}; SET idle_in_transaction_session_timeout = {limit_ms}; "
            "SET row_security = off; SET default_transaction_read_only = off"
        )

    async def ask(self, text: str) -> tuple[Rows, ...]:
        assert not self._is_busy, "a desk is asked one question at a time"
        self._is_busy = True
        try:
            answer: tuple[Rows, ...] = await self._scheduler.within(self._limit_s, self._answer(text))
        except SqlFailed:
            raise
        except TimeoutError as why:
            self._connection.abort()
            raise unreachable(self._target, f"no answer within {self._limit_s:g} s (limits.provision_s_max)") from why
        except BaseException:
            self._connection.abort()  # the rest of an answer would pass for the next one
            raise
        finally:
            self._is_busy = False
        return answer

    async def _answer(self, text: str) -> tuple[Rows, ...]:
        inquiry = Inquiry(text, ANSWER_BYTES_MAX)
        await self._connection.write(inquiry.query())
        while True:
            data = await self._connection.read()
            if not data:
                raise unreachable(self._target, "it closed the connection while the gateway was asking")
            try:
                answer = inquiry.feed(data)
            except SqlFailed:  # the server is ready for the next question, and may have said more behind that
                self._connection.unread(inquiry.rest)
                raise
            if answer is not None:
                self._connection.unread(inquiry.rest)
                return answer

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.send(TERMINATE)
            self._connection.close()
