"""How much work those who may cancel can make: one interrupt at a time for each connection, and few for each target."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from hoopproxy.dial.postgres import INTERRUPTS_MAX, PostgresDialer, PostgresPeer
from hoopproxy.dial.reaching import Reaching
from hoopproxy.errors import UpstreamUnreachable
from hoopproxy.masks import Catalog
from hoopproxy.model import Endpoint, Measurements, Target, UpstreamTls
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres.login import LoggedIn
from hoopproxy.wire.postgres.startup import cancel_request

from .conftest import LOOPBACK

LEDGER = Target("ledger", "postgres", "db.example", 5432, "EU", "DE", UpstreamTls("db.example", None), {})
MEASURED = Measurements(Endpoint(LOOPBACK, 5432), "00" * 32)


class Dialled:
    """A connection to a target that takes its time over a cancel request."""

    def __init__(self, measurements: Measurements = MEASURED) -> None:
        self.measurements = measurements
        self.heard = b""
        self.is_closed = False
        self._answer: Deferred[bytes] = Deferred()

    def take_over(self) -> "Dialled":
        return self

    def send(self, data: bytes) -> None:
        self.heard += data

    async def read(self) -> bytes:
        return await self._answer

    def hangs_up(self) -> None:
        self._answer.callback(b"")

    def close(self) -> None:
        self.is_closed = True

    abort = close


class Dials(PostgresDialer):
    """Reaches targets at once, and keeps every connection."""

    def __init__(self, clock: Clock) -> None:
        limits, scheduler = Limits(dial_s_max=10.0), TwistedScheduler(clock)
        super().__init__(None, limits, scheduler)
        self._reaching = Reaches(self, limits, scheduler)
        self.made: list[Dialled] = []
        self.answers_as = MEASURED

    @property
    def open(self) -> list[Dialled]:
        return [each for each in self.made if not each.is_closed]


class Reaches(Reaching):
    """Whoever is dialled answers at once."""

    async def at(self, target: Target, endpoint: Endpoint, prove: Any) -> Any:
        dials: Dials = self._reactor
        dials.made.append(Dialled(dials.answers_as))
        return dials.made[-1]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dials(clock: Clock) -> Dials:
    return Dials(clock)


def peer(dials: Dials, target: Target = LEDGER, key: bytes = b"key4") -> PostgresPeer:
    made: Any = PostgresPeer
    nothing = Catalog({}, {}, frozenset(), frozenset())
    return made(dials, None, target, MEASURED, LoggedIn({}, 7, key), nothing)  # type: ignore[no-any-return]


def starts(work: Coroutine[Any, Any, None]) -> Deferred[None]:
    return Deferred.fromCoroutine(work)


def test_an_interrupt_shows_the_key_and_is_over_when_the_target_hangs_up(dials: Dials) -> None:
    wanted = starts(peer(dials, key=b"k" * 32).interrupt())
    (dialled,) = dials.made
    assert dialled.heard == cancel_request(7, b"k" * 32) and not wanted.called
    dialled.hangs_up()
    assert wanted.called and dialled.is_closed


def test_what_is_wanted_while_one_runs_is_one_more_after_it(dials: Dials) -> None:
    one = peer(dials)
    first = starts(one.interrupt())
    later = [starts(one.interrupt()) for _ in range(50)]
    assert len(dials.made) == 1
    dials.made[0].hangs_up()
    assert first.called and not any(each.called for each in later)
    assert len(dials.made) == 2
    dials.made[1].hangs_up()
    assert all(each.called for each in later)
    assert len(dials.made) == 2
    starts(one.interrupt())
    assert len(dials.made) == 3


def test_whoever_wanted_it_may_leave_without_ending_it_for_the_others(dials: Dials) -> None:
    one = peer(dials)
    starts(one.interrupt())
    left, stays = starts(one.interrupt()), starts(one.interrupt())
    left.addErrback(lambda why: why.trap(CancelledError))
    left.cancel()
    dials.made[0].hangs_up()
    assert len(dials.open) == 1 and not stays.called
    dials.open[0].hangs_up()
    assert stays.called


def test_no_target_is_flooded_and_none_waits_for_another(dials: Dials) -> None:
    flood = [starts(peer(dials).interrupt()) for _ in range(3 * INTERRUPTS_MAX)]
    assert len(dials.open) == len(dials.made) == INTERRUPTS_MAX
    elsewhere = starts(peer(dials, replace(LEDGER, name="books")).interrupt())
    assert len(dials.open) == INTERRUPTS_MAX + 1
    dials.made[-1].hangs_up()
    assert elsewhere.called
    while dials.open:
        dials.open[0].hangs_up()
        assert len(dials.open) <= INTERRUPTS_MAX
    assert all(each.called for each in flood)
    assert len(dials.made) == 3 * INTERRUPTS_MAX + 1


def test_a_target_that_never_hangs_up_is_left_after_the_limit_by_all_who_wait_for_it(
    dials: Dials, clock: Clock
) -> None:
    flood = [starts(peer(dials).interrupt()) for _ in range(3 * INTERRUPTS_MAX)]
    clock.advance(10.1)
    assert all(each.called for each in flood)
    assert not dials.open
    again = starts(peer(dials).interrupt())
    dials.open[0].hangs_up()
    assert again.called


def test_a_target_that_gave_no_key_is_not_dialled(dials: Dials) -> None:
    assert starts(peer(dials, key=b"").interrupt()).called
    assert not dials.made


def test_somebody_else_at_the_same_address_sees_no_key(dials: Dials) -> None:
    dials.answers_as = replace(MEASURED, spki_sha256="11" * 32)
    assert starts(peer(dials).interrupt()).called
    assert [(each.heard, each.is_closed) for each in dials.made] == [(b"", True)]
    failed = starts(dials.interrupt(LEDGER, MEASURED, LoggedIn({}, 7, b"key4")))
    with pytest.raises(UpstreamUnreachable):
        failed.result.raiseException()  # type: ignore[attr-defined] # it is a Failure
    failed.addErrback(lambda why: None)
