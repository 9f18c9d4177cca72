"""Time and concurrency on a Twisted clock, for code that must know neither.

Works over a reactor and over `task.Clock` alike. Knows no socket and nothing of what it runs.
"""

import time
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from inspect import CORO_RUNNING, getcoroutinestate
from types import CoroutineType, coroutine
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from hoopproxy.rooms import IScheduler, ISignal

GRACE_S = 5.0
"""How long a cancelled work may take for its `finally` blocks (an fsync, a last word) before nobody waits any more."""


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux's own counts the time that the machine sleeps, too; elsewhere there is the next best."""


def steady_s() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(_STEADY)


def keep_time(reactor: Any) -> None:
    """Have a reactor's timers run by `steady_s`; call it before there are any.

    Twisted's own run by the wall's clock: set back by an hour, it would have each grant end an hour late.
    """
    reactor.seconds = steady_s


@implementer(ISignal)
class Signal:
    """One value that many may wait for."""

    __slots__ = ("_is_set", "_value", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._value: Any = None
        self._waiting: dict[Deferred[None], None] = {}  # in their order; any of many may leave at once

    def set(self, value: Any = None) -> None:
        if self._is_set:
            return
        self._is_set, self._value = True, value
        while self._waiting:  # one that is woken may cancel another
            waiter = next(iter(self._waiting))
            del self._waiting[waiter]
            waiter.callback(None)

    async def wait(self) -> Any:
        if not self._is_set:
            waiter: Deferred[None] = Deferred(self._waiting.pop)
            self._waiting[waiter] = None
            await waiter
        return self._value


@implementer(IScheduler)
class TwistedScheduler:
    """A scheduler over a reactor's time, or over a `task.Clock` that a test turns by hand.

    Cancelling a coroutine raises `CancelledError` inside it, where it awaits, so that its `finally` blocks run; it is
    over when they have run. One that is not over `GRACE_S` later is left behind, and the log names it.
    """

    cancelled = CancelledError

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._is_test_clock = isinstance(reactor, Clock)
        self._log = structlog.get_logger()

    def now_s(self) -> float:
        return self._reactor.seconds() if self._is_test_clock else time.time()  # noqa: TID251 - whence it comes

    def monotonic_s(self) -> float:
        return self._reactor.seconds() if self._is_test_clock else steady_s()

    async def sleep(self, duration_s: float) -> None:
        done: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._reactor.callLater(max(0.0, duration_s), done.callback, None)
        await done

    async def within(self, limit_s: float, work: Awaitable[Any]) -> Any:
        if isinstance(work, CoroutineType):
            # Most work is done at once, and then costs neither a Deferred nor a timer.
            try:
                awaited = work.send(None)
            except StopIteration as done:
                return done.value
            running = _Work(_resumed(work, awaited), work.__qualname__)
        else:
            running = _Work(work)
        try:
            in_time = await self._over(running, limit_s)
        except CancelledError:
            await self._stop((running,))
            raise
        if in_time:
            return running.result()
        await self._stop((running,))
        raise TimeoutError

    async def first(self, *works: Awaitable[Any]) -> Any:
        running = tuple(_Work(work) for work in works)
        ended: Deferred[_Work] = Deferred()
        for work in running:
            work.when_over(partial(_tell, ended, work))
        try:
            winner = await ended
        except CancelledError:
            await self._stop(running)
            raise
        await self._stop(tuple(work for work in running if work is not winner))
        return winner.result()

    def signal(self) -> ISignal:
        return Signal()

    async def _over(self, work: "_Work", limit_s: float) -> bool:
        """Whether it is over within that time. Most work is at once, and costs no timer."""
        if work.is_over:
            return True
        ended: Deferred[bool] = Deferred()
        work.when_over(partial(_tell, ended, True))
        timer = self._reactor.callLater(max(0.0, limit_s), ended.callback, False)
        try:
            return await ended
        finally:
            if timer.active():
                timer.cancel()

    async def _stop(self, losers: tuple["_Work", ...]) -> None:
        """Cancel all, then wait until all are over. What they still have to say concerns nobody but the log."""
        for loser in losers:
            self._cancel(loser)
            loser.when_over(partial(self._last_words, loser))
        for loser in losers:
            if not await self._over(loser, GRACE_S):
                self._log.error("cancelled-work-goes-on", work=loser.name, waited_s=GRACE_S)

    def _cancel(self, work: "_Work") -> None:
        if getcoroutinestate(work.coroutine) == CORO_RUNNING:
            # It is what called us, by a signal that it set, say. Twisted would lose this; its next wait is soon.
            self._reactor.callLater(0, self._cancel, work)
        else:
            work.deferred.cancel()

    def _last_words(self, work: "_Work") -> None:
        failure = work.outcome
        if isinstance(failure, Failure) and not isinstance(failure.value, CancelledError):
            self._log.error("cancelled-work-failed", work=work.name, exc_info=failure.value)


class _Work:
    """One awaitable that was started; it is over when its `finally` blocks are, too."""

    __slots__ = ("_told", "coroutine", "deferred", "is_over", "name", "outcome")

    def __init__(self, work: Awaitable[Any], name: str = "") -> None:
        self.name = name or getattr(work, "__qualname__", type(work).__name__)
        self.is_over = False
        self.outcome: Any = None
        self._told: list[Callable[[], None]] = []
        self.coroutine = work if isinstance(work, CoroutineType) else _waiting(work)
        self.deferred = Deferred.fromCoroutine(self.coroutine).addBoth(self._end)

    def result(self) -> Any:
        if isinstance(self.outcome, Failure):
            self.outcome.raiseException()
        return self.outcome

    def when_over(self, tell: Callable[[], None]) -> None:
        if self.is_over:
            tell()
        else:
            self._told.append(tell)

    def _end(self, outcome: Any) -> None:
        self.is_over, self.outcome = True, outcome
        for tell in self._told:
            tell()


@coroutine
def _resumed(work: CoroutineType[Any, Any, Any], awaited: Any) -> Generator[Any, Any, Any]:
    """The rest of a coroutine that was begun and waits for `awaited`."""
    while True:
        try:
            answer = yield awaited
        except GeneratorExit:
            work.close()
            raise
        except BaseException as why:  # noqa: BLE001 # it is the coroutine's to deal with, and so is what comes of it
            step = partial(work.throw, why)
        else:
            step = partial(work.send, answer)
        try:
            awaited = step()
        except StopIteration as done:
            return done.value


async def _waiting(work: Awaitable[Any]) -> Any:
    return await work


def _tell[T](ended: Deferred[T], what: T) -> None:
    if not ended.called:
        ended.callback(what)
