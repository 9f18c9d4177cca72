"""Each role is broken by raise, hang and wrong type, at its first, second and last call: no byte passes.

The same script with healthy addons passes, so that a gateway which refuses everybody could not pass this test.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import Interface, alsoProvides

from hoopproxy.errors import SessionError
from hoopproxy.interfaces import IRecording, IRewriting
from hoopproxy.testing.healthy import Addons
from hoopproxy.testing.house import CANARY, House, Visit, canned_result, message, prepared, query
from hoopproxy.testing.simulation.trouble import CALLS, PLAIN

SCRIPT = (
    query("SELECT id, card FROM customers"),
    query("SELECT card FROM customers"),
    prepared("SELECT card FROM customers"),
    message(b"X", b""),
)
AFTER_THE_FACT = {"close"}
"""Calls that come when nothing may pass any more anyway: their failure is told to the operator, not to the client."""


class Broken:
    """Stands before an addon (or a recording) and fails its `nth` call of `call`, counted over the whole script."""

    def __init__(self, whole: Any, call: str, nth: int, how: str, house: "Watch") -> None:
        self._whole, self._call, self._nth, self._how, self._house = whole, call, nth, how, house

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._whole, attribute)
        if attribute == "open" and self._call in ("record", "settle", "close"):
            return self._opening(value)
        if attribute == "begin" and self._call in ("rewrite", "ran"):
            return lambda *arguments: self._part(value(*arguments), IRewriting)
        if attribute != self._call:
            return value
        return self._failing(value)

    def _opening(self, opening: Callable[..., Any]) -> Callable[..., Any]:
        async def opened(*arguments: Any) -> Any:
            return self._part(await opening(*arguments), IRecording)

        return opened

    def _part(self, made: Any, interface: type[Interface]) -> Any:
        part = Broken(made, self._call, self._nth, self._how, self._house)
        alsoProvides(part, interface)
        return part

    def _failing(self, value: Callable[..., Any]) -> Callable[..., Any]:
        if self._call in PLAIN:

            def plain(*arguments: Any) -> Any:
                if not self._house.is_due(self._nth):
                    return value(*arguments)
                if self._how == "raise":
                    raise RuntimeError("broken")
                return "wrong type"

            return plain

        async def waiting(*arguments: Any) -> Any:
            if not self._house.is_due(self._nth):
                return await value(*arguments)
            match self._how:
                case "raise":
                    raise RuntimeError("broken")
                case "hang":
                    await Deferred()
            return object()

        return waiting


class Watch:
    """Counts the calls, and keeps what had passed when one was made to fail."""

    def __init__(self) -> None:
        self.calls = 0
        self.visits: list[Visit] = []
        self.house: House | None = None
        self.passed: tuple[int, int] | None = None

    def is_due(self, nth: int) -> bool:
        self.calls += 1
        if self.calls == nth:
            self.passed = self._passed()
        return self.calls == nth

    def _passed(self) -> tuple[int, int]:
        """Bytes that reached any target and any client so far."""
        assert self.house is not None
        targets = sum(len(peer.sent) for peer in self.house.dialer.peers)
        return targets, sum(len(visit.seen) for visit in self.visits)

    def passed_since(self) -> tuple[int, int]:
        now, (targets, clients) = self._passed(), self.passed or (0, 0)
        return now[0] - targets, now[1] - clients


def play(role: str, call: str, nth: int, how: str) -> tuple[House, Watch]:
    """The script, twice over, with the nth call of one role broken; stops at the connection in which it broke."""
    house, watch = House(), Watch()
    watch.house = house
    _furnish(house.addons, role, lambda addon: Broken(addon, call, nth, how, watch))
    house = watch.house = House(house.addons)
    for _ in range(2):
        visit = house.connect()
        watch.visits.append(visit)
        for data in SCRIPT:
            visit.frontend.give(data)
        house.advance(visit)
        if watch.passed is not None:
            break
    return house, watch


def _furnish(addons: Addons, role: str, breaking: Callable[[Any], Any]) -> None:
    held = getattr(addons, role)
    setattr(addons, role, [breaking(addon) for addon in held] if isinstance(held, list) else breaking(held))


def _cases() -> Iterator[Any]:
    for role, calls in CALLS.items():
        for call in calls:
            _, watch = play(role, call, 0, "raise")
            for position, nth in {"first": 1, "second": 2, "last": watch.calls}.items():
                for how in ("raise", "hang", "wrong type"):
                    if not (call in PLAIN and how == "hang"):
                        yield pytest.param(role, call, nth, how, id=f"{role}.{call}-{position}-{how}".replace(" ", "-"))


def test_with_healthy_addons_the_script_passes() -> None:
    house = House()
    visit = house.connect(*SCRIPT)
    house.advance(visit)
    assert visit.over and visit.failure is None
    assert visit.frontend.welcomed and not visit.frontend.refusals
    assert visit.seen.count(b"SELECT 1") == 3
    assert visit.seen.count(b"***") == 3
    assert CANARY in canned_result() and CANARY not in visit.seen
    (peer,) = house.dialer.peers
    assert b"SELECT card FROM customers" in peer.sent


@pytest.mark.parametrize(("role", "call", "nth", "how"), list(_cases()))
def test_no_byte_passes_a_broken_addon(role: str, call: str, nth: int, how: str) -> None:
    house, watch = play(role, call, nth, how)
    visit = watch.visits[-1]
    assert watch.passed is not None, "the broken call was never made"
    assert visit.over, "the session hangs with its addon"
    assert visit.failure is None, visit.failure
    assert not any(CANARY in each.seen for each in watch.visits)
    to_targets, to_clients = watch.passed_since()
    assert to_clients == 0
    # While a plan is awaited, a statement that all guards allowed may still go: its answer waits for a plan, too.
    assert to_targets == 0 or (call, how) == ("plan", "hang")
    assert visit.frontend.closed
    assert all(peer.closed for peer in house.dialer.peers)
    if _is_last_word(role, call, house, visit):
        assert house.told, "a failure that the client can't be told must be told to the operator"
    else:
        (why,) = visit.frontend.refusals
        assert isinstance(why, SessionError) and why.sentence.endswith(".")
        assert why.code in ("addon-failure", "evidence-unavailable")


def _is_last_word(role: str, call: str, house: House, visit: Visit) -> bool:
    """The client had left in peace before it broke: the last note, or the recording's end."""
    return call in AFTER_THE_FACT or (role == "evidence" and not visit.frontend.refusals)
