"""The gateway's own questions to a real PostgreSQL: answers as texts, errors that leave the desk usable, limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from hoopproxy.connection import Connection
from hoopproxy.dial import postgres_desk
from hoopproxy.dial.postgres import PostgresDialer
from hoopproxy.dial.postgres_desk import PostgresDesk
from hoopproxy.errors import ProtocolViolation, SqlFailed, UpstreamRefused, UpstreamUnreachable
from hoopproxy.model import Endpoint, Passage, Seal, Target
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IDesk, IProvisioner
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.masks import now
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.wire.postgres import messages, scram
from hoopproxy.wire.postgres.framing import message
from tests.conftest import Spin

from .conftest import LOOPBACK, PASSWORD, Way

READER = TargetSecret("reader", Secret(PASSWORD))


async def passage_of(way: Way) -> Passage:
    permit = way.permit()
    reached = await way.dialer.reach(permit)
    reached.abort()
    return Passage(permit, reached.measurements.peer, reached.measurements, (), Seal())


@asynccontextmanager
async def desk_of(way: Way, secret: TargetSecret = READER) -> AsyncIterator[PostgresDesk]:
    desk = await way.dialer.desk(await passage_of(way), secret)
    try:
        yield desk
    finally:
        desk.close()
        await desk._connection.lost.wait()


def test_rows_of_each_statement_come_as_texts(spin: Spin, ledger: Way) -> None:
    async def visit() -> None:
        assert verifyObject(IProvisioner, ledger.dialer)
        async with desk_of(ledger) as desk:
            assert verifyObject(IDesk, desk)
            assert await desk.ask("SELECT 1, NULL, 'ö'; SET work_mem = '1MB'; SELECT WHERE false") == (
                (("1", None, "ö"),),
                (),
                (),
            )
            assert await desk.ask("") == ((),)

    spin(visit())


def test_names_mean_postgresqls_own_whatever_the_account_says(
    spin: Spin, ledger: Way, cluster: PostgresCluster
) -> None:
    async def visit() -> None:
        cluster.execute("ALTER ROLE reader SET search_path = public")
        try:
            async with desk_of(ledger) as desk:
                ((((path, encoding),)),) = await desk.ask(
                    "SELECT current_setting('search_path'), current_setting('client_encoding')"
                )
        finally:
            cluster.execute("ALTER ROLE reader RESET search_path")
        assert (path, encoding) == ("pg_catalog, pg_temp", "UTF8")

    spin(visit())


def test_after_a_refused_statement_the_next_is_answered(spin: Spin, ledger: Way) -> None:
    async def visit() -> None:
        async with desk_of(ledger) as desk:
            with pytest.raises(SqlFailed) as why:
                await desk.ask("SELECT 1; SELECT card FROM nowhere; SELECT 2")
            assert why.value.sqlstate == "42P01" and "nowhere" in why.value.message
            assert await desk.ask("SELECT 2") == ((("2",),),)

    spin(visit())


def test_a_desk_that_waits_too_long_is_closed(spin: Spin, ledger: Way, reactor: Any) -> None:
    async def visit() -> None:
        patient = PostgresDialer(reactor, Limits(provision_s_max=0.2), TwistedScheduler(reactor))
        desk = await patient.desk(await passage_of(ledger), READER)
        # The server gives up at the same time; whoever is first, nobody waits on.
        with pytest.raises((UpstreamUnreachable, SqlFailed)):
            await desk.ask("SELECT pg_sleep(60)")
        desk.close()
        await desk._connection.lost.wait()

    spin(visit())


def test_an_endless_answer_closes_the_desk(spin: Spin, ledger: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    async def visit() -> None:
        monkeypatch.setattr(postgres_desk, "ANSWER_BYTES_MAX", 10_000)
        async with desk_of(ledger) as desk:
            with pytest.raises(ProtocolViolation) as why:
                await desk.ask("SELECT repeat('x', 100) FROM generate_series(1, 1000)")
            assert "longer than 10000" in why.value.detail
            with pytest.raises(UpstreamUnreachable):
                await desk.ask("SELECT 1")

    spin(visit())


def test_a_question_that_nobody_waits_for_any_more_closes_the_desk(spin: Spin, ledger: Way) -> None:
    async def visit() -> None:
        async with desk_of(ledger) as desk:
            asked = Deferred.fromCoroutine(desk.ask("SELECT pg_sleep(60)")).addErrback(lambda _: None)
            asked.cancel()
            await asked
            await desk._connection.lost.wait()

    spin(visit())


def test_a_desk_at_an_address_that_nobody_judged_goes_where_dialling_may(
    spin: Spin, ledger: Way, cluster: PostgresCluster
) -> None:
    async def visit() -> None:
        at = Endpoint(LOOPBACK, cluster.port)
        desk = await ledger.dialer.desk_at(ledger.target, at, "postgres", READER)
        assert await desk.ask("SELECT current_database()") == ((("postgres",),),)
        desk.close()
        await desk._connection.lost.wait()
        with pytest.raises(UpstreamUnreachable) as why:
            await ledger.dialer.desk_at(replace(ledger.target, allow_loopback=False), at, "postgres", READER)
        assert "loopback" in why.value.detail

    spin(visit())


def test_a_precomputed_verifier_is_a_password_that_no_log_sees(
    spin: Spin, ledger: Way, cluster: PostgresCluster
) -> None:
    async def visit() -> None:
        password = Secret("f" * 64)
        kept = scram.verifier(password, b"salt" * 4, 1)
        cluster.execute(f"DROP ROLE IF EXISTS quick; CREATE ROLE quick LOGIN PASSWORD '{kept}'")
        assert cluster.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'quick'") == [(kept,)]
        async with desk_of(ledger, TargetSecret("quick", password, is_random=True)) as desk:
            assert await desk.ask("SELECT current_user") == ((("quick",),),)
        with pytest.raises(UpstreamRefused) as why:  # one iteration is for passwords that nobody could guess
            await ledger.dialer.desk(await passage_of(ledger), TargetSecret("quick", password))
        assert "4096" in why.value.detail

    spin(visit())


def test_what_comes_behind_an_error_is_read_before_the_next_answer() -> None:
    """A notice, say, of which only a part was there when the server was ready for the next question."""
    notice = messages.notice("going down soon")
    failed = messages.error("no", "42501") + messages.ready_for_query(b"I") + notice[:9]
    line = Line([failed, notice[9:] + message(b"C", b"SELECT 0\0") + messages.ready_for_query(b"I")])
    desk = PostgresDesk(cast(Connection, line), cast(Target, None), 1.0, TwistedScheduler(Clock()))
    with pytest.raises(SqlFailed):
        now(desk.ask("SELECT 1"))
    assert now(desk.ask("SELECT 2")) == ((),)


class Line:
    """A connection on which it was said beforehand what comes."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces, self.kept = pieces, b""

    async def write(self, data: bytes) -> None:
        assert data[:1] == b"Q"

    async def read(self) -> bytes:
        kept, self.kept = self.kept, b""
        return kept or self.pieces.pop(0)

    def unread(self, data: bytes) -> None:
        self.kept = data
