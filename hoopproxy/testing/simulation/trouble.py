"""Stands before an addon and fails some of its calls: raises, hangs, is late, or answers something else.

Knows each role's calls and nothing of what they mean.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import alsoProvides, providedBy

from hoopproxy.rooms import IScheduler
from hoopproxy.testing.healthy import Addons
from hoopproxy.testing.simulation.trace import Trace
from hoopproxy.testing.simulation.weather import Trouble, Weather

CALLS: Mapping[str, tuple[str, ...]] = {
    "authenticators": ("identify",),
    "router": ("route",),
    "grants": ("grants",),
    "residency": ("examine",),
    "credentials": ("secret",),
    "guards": ("examine",),
    "maskers": ("protects", "plan"),
    "enforcement": ("enter", "begin", "rewrite", "ran"),
    "recorder": ("open", "record", "settle", "close"),
    "evidence": ("append",),
}
PLAIN = frozenset({"begin", "ran", "record"})
"""Calls that do not wait: one that hung would hang the loop, and that is the watchdog's matter."""

MAKERS = ("open", "begin")
"""Calls that answer a part of the addon's own: a recording, or what rewrites one connection's statements."""


class Broken(Exception):
    """What a troubled addon raises."""


class Troubles:
    """Makes addons fail as the weather says."""

    def __init__(self, weather: Weather, scheduler: IScheduler, decision_s_max: float, trace: Trace) -> None:
        self._weather, self._scheduler, self._late_s, self._trace = weather, scheduler, decision_s_max * 1.5, trace

    def over(self, addons: Addons) -> Addons:
        """The same addons, each with its troubles before it."""
        troubled: dict[str, Any] = {}
        for role in (one.name for one in fields(Addons)):
            held = getattr(addons, role)
            many = isinstance(held, list)
            troubled[role] = [self.before(each, role) for each in held] if many else self.before(held, role)
        return Addons(**troubled)

    def before(self, part: Any, role: str) -> Any:
        """What stands before one addon, or before a recording."""
        before = _Before(part, role, self)
        alsoProvides(before, *providedBy(part))
        return before

    def plain(self, name: str, role: str, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """A call that answers at once."""
        trouble = self._trouble(name, role)
        match trouble:
            case Trouble.RAISES | Trouble.HANGS:
                raise Broken(trouble.value)
            case Trouble.WRONG_TYPE:
                return object()
        answer = call(*arguments)
        if trouble is not None:
            raise Broken(trouble.value)
        return self._made(name, role, answer)

    async def waiting(
        self, name: str, role: str, call: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]
    ) -> Any:
        """A call that may wait."""
        trouble = self._trouble(name, role)
        match trouble:
            case Trouble.RAISES:
                raise Broken(trouble.value)
            case Trouble.HANGS:
                await Deferred()
            case Trouble.WRONG_TYPE:
                return object()
            case Trouble.LATE:
                await self._scheduler.sleep(self._late_s)
            case _ if self._weather.strikes(self._weather.p_slow_addon):
                await self._scheduler.sleep(self._weather.pause_s())
        answer = await call(*arguments)
        match trouble:
            case Trouble.RAISES_AFTER:
                raise Broken(trouble.value)
            case Trouble.HANGS_AFTER:
                await Deferred()
        return self._made(name, role, answer)

    def _made(self, name: str, role: str, answer: Any) -> Any:
        return self.before(answer, role) if name.rpartition(".")[2] in MAKERS else answer

    def _trouble(self, name: str, role: str) -> Trouble | None:
        trouble = self._weather.trouble(role)
        if trouble is not None:
            self._trace.note(role, f"{name} {trouble.value}")
        return trouble


class _Before:
    def __init__(self, part: Any, role: str, troubles: Troubles) -> None:
        self._part, self._role, self._troubles = part, role, troubles

    def __setattr__(self, attribute: str, value: Any) -> None:
        if attribute.startswith("_"):
            super().__setattr__(attribute, value)
        else:
            setattr(self._part, attribute, value)

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._part, attribute)
        if attribute not in CALLS[self._role]:
            return found
        name = f"{getattr(self._part, 'name', 'recording')}.{attribute}"
        call = self._troubles.plain if attribute in PLAIN else self._troubles.waiting
        return lambda *arguments: call(name, self._role, found, arguments)
