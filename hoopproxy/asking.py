"""One question to one addon, under a time limit and with its answer's type checked.

The only place where addons are called for a decision, so that every failure of theirs ends the same way. Knows neither
roles nor protocols; time comes from the scheduler.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hoopproxy.errors import AddonFailure, Refused, SessionError, Withdrawn
from hoopproxy.model import Pending
from hoopproxy.rooms import IScheduler, ISignal

APPROVAL_POLL_S = 1.0
"""How often an addon that answered Pending is asked again; an approval store nudges sooner."""


class Asking:
    """Asks addons, each for at most `limit_s`, which stands under `limit` in the configuration."""

    def __init__(self, scheduler: IScheduler, limit_s: float, limit: str = "limits.decision_s_max") -> None:
        self._scheduler = scheduler
        self._limit_s, self._limit = limit_s, limit

    async def __call__[T](
        self, addon: Any, call: str, work: Callable[[], Awaitable[Any]], wanted: Callable[[Any], T]
    ) -> T:
        """The addon's answer to `work()`, which is one of its methods with the arguments bound.

        `wanted` returns the answer when it is of the right type and raises TypeError otherwise.

        @raise AddonFailure: it raised, took longer than the limit, or answered the wrong type.
        @raise SessionError: it said no in the way that the contract allows.
        """
        try:
            try:
                answer = await self._scheduler.within(self._limit_s, work())
            except TimeoutError as why:
                raise TimeoutError(f"no answer within {self._limit_s:g} s ({self._limit})") from why
            return wanted(answer)
        except (SessionError, self._scheduler.cancelled):
            raise  # a no, or who asked was cancelled: neither is the addon's fault
        except Exception as why:
            raise _failure(addon, call, why) from why

    async def decided[T](
        self,
        addon: Any,
        call: str,
        work: Callable[[], Awaitable[Any]],
        wanted: Callable[[Any], T | Pending],
        wait: "Wait",
    ) -> T:
        """The addon's answer once it is not Pending any more: a person may have to decide.

        Who waits is told what for, once. @raise Refused: nobody decided in time; besides what asking raises.
        @raise Withdrawn: who waits has given it up.
        """
        last_s, told = self._scheduler.monotonic_s() + wait.limit_s, ""
        while isinstance(answer := await self(addon, call, work, wanted), Pending):
            if self._scheduler.monotonic_s() >= last_s or self._scheduler.now_s() >= answer.until_s:
                raise Refused(f"Nobody approved {wait.what} in time; request it again.", reason=wait.reason)
            if answer.request != told:
                wait.inform(answer.request)
                told = answer.request
            with wait.withdrawal.offered(self._scheduler.signal()) as withdrawn:
                if await self._scheduler.first(self._scheduler.sleep(APPROVAL_POLL_S), withdrawn.wait()):
                    raise Withdrawn(f"You have taken back {wait.what}; it was not done.", reason=wait.reason)
        return answer


class Withdrawal:
    """How somebody takes back what waits for a person's decision."""

    def __init__(self) -> None:
        self._withdrawn: ISignal | None = None

    @contextmanager
    def offered(self, withdrawn: ISignal) -> Iterator[ISignal]:
        """For as long as this lasts, `withdraw` sets the signal."""
        self._withdrawn = withdrawn
        try:
            yield withdrawn
        finally:
            self._withdrawn = None

    def withdraw(self) -> bool:
        """Take it back. False: nothing waits."""
        if self._withdrawn is None:
            return False
        self._withdrawn.set(True)
        return True


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a decision may take that is a person's (`limits.approval_s_max`), who is told, what it is about, and how
    it is taken back."""

    what: str
    reason: str
    limit_s: float
    inform: Callable[[str], None]
    withdrawal: Withdrawal = field(default_factory=Withdrawal)


def at_once[T](addon: Any, call: str, work: Callable[[], Any], wanted: Callable[[Any], T]) -> T:
    """The answer to a plain function of an addon. @raise AddonFailure, SessionError."""
    try:
        return wanted(work())
    except SessionError:
        raise
    except Exception as why:
        raise _failure(addon, call, why) from why


def _failure(addon: Any, call: str, why: Exception) -> AddonFailure:
    """An addon may raise anything, and anything ends the session."""
    name = str(getattr(addon, "name", type(addon).__name__))
    return AddonFailure(name, call, f"{type(why).__name__}: {why}")


def a[T](kind: type[T]) -> Callable[[Any], T]:
    """Wants an instance of `kind`."""

    def wanted(answer: Any) -> T:
        if not isinstance(answer, kind):
            raise TypeError(f"it answered {type(answer).__name__}, wanted is {kind.__name__}")
        return answer

    return wanted


def maybe[T](kind: type[T]) -> Callable[[Any], T | None]:
    """Wants an instance of `kind` or None."""
    exactly = a(kind)
    return lambda answer: None if answer is None else exactly(answer)


def every[T](container: type[tuple[Any, ...]] | type[frozenset[Any]], kind: type[T]) -> Callable[[Any], Any]:
    """Wants a tuple or frozenset of `kind` alone."""

    def wanted(answer: Any) -> Any:
        if not isinstance(answer, container):
            raise TypeError(f"it answered {type(answer).__name__}, wanted is {container.__name__}")
        for item in answer:
            if not isinstance(item, kind):
                raise TypeError(f"it answered a {container.__name__} that holds {type(item).__name__}")
        return answer

    return wanted
