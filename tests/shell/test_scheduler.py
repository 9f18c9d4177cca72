"""Time and concurrency: what is cancelled is cancelled inside, awaited, and never lost silently."""

import subprocess
import sys
from collections.abc import Awaitable
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from hoopproxy.rooms import IScheduler, ISignal
from hoopproxy.scheduler import GRACE_S, TwistedScheduler


class Result:
    """What a coroutine came to, as far as it has."""

    def __init__(self, work: Awaitable[Any]) -> None:
        self.deferred = Deferred.fromCoroutine(work)  # type: ignore[arg-type]
        self.values: list[Any] = []
        self.errors: list[BaseException] = []
        self.deferred.addCallbacks(self.values.append, lambda failure: self.errors.append(failure.value))

    @property
    def error(self) -> type[BaseException]:
        (error,) = self.errors
        return type(error)


class Work:
    """A work that a test steers, and that tells what happened inside."""

    def __init__(self) -> None:
        self.gate: Deferred[Any] = Deferred()
        self.seen: list[str] = []

    async def __call__(self) -> Any:
        self.seen.append("began")
        try:
            return await self.gate
        except CancelledError:
            self.seen.append("cancelled")
            raise
        finally:
            self.seen.append("cleaned")


async def at_once(value: Any) -> Any:
    return value


async def stubborn(log: list[str]) -> None:
    while True:
        try:
            await Deferred()
        except CancelledError:
            log.append("refused")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scheduler(clock: Clock) -> TwistedScheduler:
    return TwistedScheduler(clock)


def test_it_is_what_the_interfaces_say(scheduler: TwistedScheduler) -> None:
    assert verifyObject(IScheduler, scheduler) and verifyObject(ISignal, scheduler.signal())


def test_on_a_test_clock_all_time_is_its_time(clock: Clock, scheduler: TwistedScheduler) -> None:
    clock.advance(12.5)
    assert scheduler.now_s() == scheduler.monotonic_s() == 12.5


TIMER = """
import time
went_back_s = 0.0
wall = time.time
time.time = lambda: wall() - went_back_s
from twisted.internet import reactor
from hoopproxy.scheduler import TwistedScheduler, keep_time
keep_time(reactor)
scheduler = TwistedScheduler(reactor)
before_s = scheduler.now_s()
reactor.callLater(0.2, reactor.stop)
went_back_s = 3600.0
reactor.run()
assert -3600 < scheduler.now_s() - before_s < -3500, "the wall's clock was not set back"
"""


def test_a_timer_does_not_wait_for_a_wall_clock_that_was_set_back() -> None:
    subprocess.run([sys.executable, "-c", TIMER], check=True, timeout=60)


def test_sleep_lasts_as_long_as_said_and_leaves_no_timer_when_cancelled(
    clock: Clock, scheduler: TwistedScheduler
) -> None:
    slept, cut = Result(scheduler.sleep(2)), Result(scheduler.sleep(2))
    clock.advance(1)
    cut.deferred.cancel()
    assert cut.error is CancelledError and len(clock.getDelayedCalls()) == 1
    clock.advance(1)
    assert slept.values == [None]


def test_work_in_time_gives_its_result_or_its_error(clock: Clock, scheduler: TwistedScheduler) -> None:
    good, bad = Work(), Work()
    one, two = Result(scheduler.within(5, good())), Result(scheduler.within(5, bad()))
    good.gate.callback("yes")
    bad.gate.errback(ValueError("no"))
    assert one.values == ["yes"] and two.error is ValueError
    assert clock.getDelayedCalls() == []


def test_what_is_ready_costs_no_timer(clock: Clock, scheduler: TwistedScheduler, monkeypatch: Any) -> None:
    monkeypatch.setattr(clock, "callLater", None)
    assert Result(scheduler.within(5, at_once("yes"))).values == ["yes"]


def test_late_work_is_cancelled_inside_and_its_cleanup_awaited(clock: Clock, scheduler: TwistedScheduler) -> None:
    flushed: Deferred[None] = Deferred()

    async def careful() -> None:
        try:
            await Deferred()
        finally:
            await flushed

    result = Result(scheduler.within(5, careful()))
    clock.advance(5)
    assert result.errors == []
    flushed.callback(None)
    assert result.error is TimeoutError


@pytest.mark.parametrize("answer", ["too late", ValueError("too late")])
def test_an_answer_after_the_limit_is_none(clock: Clock, scheduler: TwistedScheduler, answer: Any) -> None:
    async def swallows() -> Any:
        try:
            await Deferred()
        except CancelledError:
            if isinstance(answer, Exception):
                raise answer from None
            return answer

    with capture_logs() as logged:
        result = Result(scheduler.within(5, swallows()))
        clock.advance(5)
    assert result.error is TimeoutError
    assert [entry["event"] for entry in logged] == ["cancelled-work-failed"] * isinstance(answer, Exception)


def test_work_that_refuses_to_be_cancelled_is_left_behind_with_its_name_in_the_log(
    clock: Clock, scheduler: TwistedScheduler
) -> None:
    seen: list[str] = []
    with capture_logs() as logged:
        result = Result(scheduler.within(5, stubborn(seen)))
        clock.advance(5)
        assert result.errors == [] and seen == ["refused"]
        clock.advance(GRACE_S)
    assert result.error is TimeoutError
    assert [(entry["event"], entry["work"]) for entry in logged] == [("cancelled-work-goes-on", "stubborn")]


def test_a_limit_that_is_cancelled_cancels_its_work(clock: Clock, scheduler: TwistedScheduler) -> None:
    work = Work()
    result = Result(scheduler.within(5, work()))
    result.deferred.cancel()
    assert result.error is CancelledError and work.seen == ["began", "cancelled", "cleaned"]
    assert clock.getDelayedCalls() == []


def test_a_deferred_that_waits_for_another_is_held_to_the_limit(clock: Clock, scheduler: TwistedScheduler) -> None:
    chained: Deferred[Any] = Deferred()
    chained.addCallback(lambda _: Deferred())
    chained.callback(None)
    result = Result(scheduler.within(5, chained))
    clock.advance(5)
    assert result.error is TimeoutError


def test_what_is_no_awaitable_is_a_type_error(scheduler: TwistedScheduler) -> None:
    assert Result(scheduler.within(5, 7)).error is TypeError  # type: ignore[arg-type]


def test_the_first_wins_and_the_others_are_cancelled_and_awaited(scheduler: TwistedScheduler) -> None:
    slow, fast = Work(), Work()
    flushed: Deferred[None] = Deferred()

    async def careful() -> None:
        try:
            await slow()
        finally:
            await flushed

    result = Result(scheduler.first(careful(), fast()))
    fast.gate.callback("won")
    assert slow.seen == ["began", "cancelled", "cleaned"] and result.values == []
    flushed.callback(None)
    assert result.values == ["won"]


def test_the_first_to_raise_ends_it_too(scheduler: TwistedScheduler) -> None:
    slow, bad = Work(), Work()
    result = Result(scheduler.first(slow(), bad()))
    bad.gate.errback(ValueError("no"))
    assert result.error is ValueError and slow.seen[-1] == "cleaned"


def test_of_several_that_end_at_once_the_first_named_wins(scheduler: TwistedScheduler) -> None:
    work = Work()
    assert Result(scheduler.first(at_once(1), at_once(2), work())).values == [1]
    assert work.seen == ["began", "cancelled", "cleaned"]


def test_cancelling_the_race_cancels_all_who_run(scheduler: TwistedScheduler) -> None:
    one, two = Work(), Work()
    result = Result(scheduler.first(one(), two()))
    result.deferred.cancel()
    assert result.error is CancelledError
    assert one.seen == two.seen == ["began", "cancelled", "cleaned"]


def test_what_a_loser_raises_is_logged_with_its_traceback(scheduler: TwistedScheduler) -> None:
    winner = Work()

    async def clumsy() -> None:
        try:
            await Deferred()
        finally:
            raise RuntimeError("spilt")

    with capture_logs() as logged:
        result = Result(scheduler.first(winner(), clumsy()))
        winner.gate.callback("won")
    assert result.values == ["won"]
    (entry,) = logged
    assert entry["event"] == "cancelled-work-failed" and "clumsy" in entry["work"]
    assert str(entry["exc_info"]) == "spilt"


def test_a_loser_that_refuses_to_be_cancelled_does_not_hang_the_race(clock: Clock, scheduler: TwistedScheduler) -> None:
    winner, seen = Work(), list[str]()
    with capture_logs() as logged:
        result = Result(scheduler.first(stubborn(seen), winner()))
        winner.gate.callback("won")
        clock.advance(GRACE_S)
    assert result.values == ["won"] and seen == ["refused"]
    assert logged[0]["event"] == "cancelled-work-goes-on"


def test_a_loser_whose_own_signal_ended_the_race_is_cancelled_where_it_next_waits(
    clock: Clock, scheduler: TwistedScheduler
) -> None:
    signal, gate, seen = scheduler.signal(), Deferred[None](), list[str]()

    async def told() -> str:
        await signal.wait()
        return "told"

    async def tells() -> None:
        await gate
        signal.set()  # `told` ends now, inside this call
        seen.append("goes on")
        try:
            await Deferred()
        finally:
            seen.append("cleaned")

    result = Result(scheduler.first(told(), tells()))
    gate.callback(None)
    assert seen == ["goes on"] and result.values == []
    clock.advance(0)
    assert seen == ["goes on", "cleaned"] and result.values == ["told"]


def test_a_signal_keeps_its_first_value_for_who_waits_now_and_later(scheduler: TwistedScheduler) -> None:
    signal = scheduler.signal()
    early = [Result(signal.wait()), Result(signal.wait())]
    signal.set("one")
    signal.set("two")
    assert [result.values for result in (*early, Result(signal.wait()))] == [["one"]] * 3


def test_a_signal_may_carry_an_exception(scheduler: TwistedScheduler) -> None:
    for value in (ValueError("x"), None):
        signal = scheduler.signal()
        early = Result(signal.wait())
        signal.set(value)
        assert early.values == Result(signal.wait()).values == [value]


def test_who_stops_waiting_for_a_signal_is_not_woken_and_not_missed(scheduler: TwistedScheduler) -> None:
    signal = scheduler.signal()
    gone, stays = Result(signal.wait()), Result(signal.wait())
    gone.deferred.cancel()
    signal.set("one")
    assert gone.error is CancelledError and stays.values == ["one"]


def test_a_waiter_may_cancel_another_while_a_signal_wakes_them(scheduler: TwistedScheduler) -> None:
    signal = scheduler.signal()
    results: list[Result] = []

    async def cancels() -> None:
        await signal.wait()
        results[1].deferred.cancel()

    results += [Result(cancels()), Result(signal.wait())]
    signal.set("one")
    assert results[0].values == [None]
    assert isinstance(Failure(results[1].errors[0]).value, CancelledError)
