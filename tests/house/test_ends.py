"""How a live session's right ends: by whom, when by which clock, and that neither end nor a race holds it up."""

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from hoopproxy.errors import Revoked
from hoopproxy.interfaces import IGrantSource
from hoopproxy.model import Grant, Identity, Pending, Permit, Target
from hoopproxy.testing.healthy import GrantsAll, MemoryLog
from hoopproxy.testing.house import House, MemoryPeer, message, query

WHY = Revoked("Your grant was revoked.")


def ended(house: House) -> list[str]:
    """The reason of each `ended` in the log."""
    assert isinstance(house.addons.evidence, MemoryLog)
    entries = [json.loads(leaf) for leaf in house.addons.evidence.leaves]
    return [entry["reason"] for entry in entries if entry["kind"] == "ended"]


def kinds(house: House) -> list[str]:
    """What is in the log."""
    assert isinstance(house.addons.evidence, MemoryLog)
    return [json.loads(leaf)["kind"] for leaf in house.addons.evidence.leaves]


class Slowly:
    """A target that takes its time to be reached: until `come` is called."""

    def __init__(self, house: House) -> None:
        self._reach, self._gates = house.dialer.reach, list[Deferred[None]]()
        house.dialer.reach = self._slowly  # type: ignore[method-assign] # as said

    def come(self) -> None:
        """All who are on the way."""
        while self._gates:
            self._gates.pop().callback(None)

    async def _slowly(self, permit: Permit) -> Any:
        gate: Deferred[None] = Deferred()
        self._gates.append(gate)
        await gate
        return await self._reach(permit)


@implementer(IGrantSource)
class ForAMinute(GrantsAll):
    """Grants all, and for sixty seconds."""

    async def grants(
        self, identity: Identity, roles: frozenset[str], target: Target, at_s: float
    ) -> tuple[Grant, ...] | Pending:
        return (Grant("g", roles, target.name, frozenset(target.accounts), "EU", ("EU",), {}, at_s + 60),)


def a_minute() -> House:
    house = House()
    house.addons.grants = [ForAMinute()]
    return House(house.addons)


def client_is(last: int) -> Any:
    """Who has a permit for a client at that address."""
    return lambda permit: str(permit.arrival.client.address) == f"198.51.100.{last}"


# By whom --------------------------------------------------------------------------------------------------------------


def test_all_sessions_end_whose_permit_is_covered_and_no_other() -> None:
    house = House()
    visits = {last: [house.connect(client=f"198.51.100.{last}") for _ in range(2)] for last in (1, 2, 3)}
    assert house.leases.end_where(lambda permit: not client_is(2)(permit), WHY) == 2
    assert [visit.over for last in (1, 2, 3) for visit in visits[last]] == [True, True, False, False, True, True]
    assert [why.sentence for why in visits[1][0].frontend.refusals] == [WHY.sentence]
    assert house.leases.end_where(client_is(1), WHY) == 0
    (lease,) = house.leases.live()
    assert ended(house) == ["revoked"] * 4 and len(lease.held) == 2


def test_who_is_on_the_way_in_does_not_arrive() -> None:
    house = House()
    slowly = Slowly(house)
    first, second = (house.connect(client=f"198.51.100.{last}") for last in (1, 2))
    assert house.leases.end_where(client_is(1), WHY) == 1
    again = house.connect(client="198.51.100.1")
    slowly.come()
    assert first.over and [why.sentence for why in first.frontend.refusals] == [WHY.sentence]
    assert not second.over and not again.over and len(house.dialer.logins) == 2
    assert kinds(house).count("denied") == 1 and ended(house) == []
    assert len({lease.session_id for lease in house.leases.live()}) == 2


def test_what_changed_on_the_way_in_is_seen_right_before_it_is_over() -> None:
    house = House()
    slowly, revoked = Slowly(house), set[str]()
    house.leases.still_may = lambda permit: WHY.sentence if permit.grant.grant_id in revoked else ""
    visit, other = house.connect(), house.connect(client="198.51.100.2")
    slowly.come()
    assert not visit.over and not other.over
    late = house.connect(client="198.51.100.3")
    revoked.add(house.dialer.permits[0].grant.grant_id)
    slowly.come()
    assert late.over and [why.sentence for why in late.frontend.refusals] == [WHY.sentence]
    assert len(house.dialer.logins) == 2 and not visit.over  # who is in is ended by `end_where`


# By which clock -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
@pytest.mark.parametrize("is_on_the_way", [False, True])
def test_a_clock_that_is_set_makes_no_session_longer_or_shorter(jump_s: float, is_on_the_way: bool) -> None:
    house = a_minute()
    slowly = Slowly(house)
    visit = house.connect(query("SELECT 1"))
    if not is_on_the_way:
        slowly.come()
    house.scheduler.now_s = lambda: house.clock.seconds() + jump_s  # type: ignore[method-assign] # somebody sets it
    slowly.come()
    house.clock.advance(59.9)
    assert not visit.over
    house.clock.advance(0.2)
    assert visit.over and "expired" in visit.frontend.refusals[0].sentence and ended(house) == ["revoked"]


# What might hold it up ------------------------------------------------------------------------------------------------


def never(*_: Any) -> "Deferred[None]":
    return Deferred()


@pytest.mark.parametrize("hangs", ["client", "target", "interrupt"])
def test_neither_end_waits_for_the_other(hangs: str) -> None:
    """A client that takes nothing, a target that takes nothing, and one that can't be asked to stop."""
    house = House()
    visit = house.connect()
    (peer,) = house.dialer.peers
    if hangs == "client":
        visit.frontend.write = never  # type: ignore[assignment, method-assign] # it takes nothing
    else:
        peer.answers = {}
        setattr(peer, "write" if hangs == "target" else "interrupt", never)
    visit.frontend.give(query("SELECT 1"))
    (lease,) = house.leases.live()
    assert house.leases.end(lease.session_id, WHY)
    assert visit.frontend.closed and peer.closed and not house.leases.live()
    if hangs != "interrupt":  # which has its own limit
        assert visit.over and ended(house) == ["revoked"] and house.clock.getDelayedCalls() == []


def test_what_runs_is_stopped_and_what_does_not_is_left_alone() -> None:
    house = House()
    idle, busy = house.connect(query("SELECT 1")), house.connect(client="198.51.100.2")
    house.dialer.peers[1].answers = {}
    busy.frontend.give(query("SELECT pg_sleep(600)"))
    assert house.leases.end_where(lambda _: True, WHY) == 2
    assert idle.over and busy.over
    assert [peer.interrupted for peer in house.dialer.peers] == [False, True]


# Races ----------------------------------------------------------------------------------------------------------------


def leaves(house: House, visit: Any, _: MemoryPeer) -> None:
    visit.frontend.give(message(b"X", b""))


def is_gone(house: House, visit: Any, _: MemoryPeer) -> None:
    visit.frontend.give(b"")
    visit.frontend.lost.set()


def dies(house: House, _: Any, peer: MemoryPeer) -> None:
    peer.give(b"")
    peer.lost.set()


def stops(house: House, *_: Any) -> None:
    house.leases.stop()


def revokes(house: House, *_: Any) -> None:
    house.leases.end_where(lambda _: True, WHY)


def expires(house: House, *_: Any) -> None:
    house.clock.advance(61)


@pytest.mark.parametrize("other", [leaves, is_gone, dies, stops, expires, revokes])
@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_ends_the_earlier_is_the_one_that_is_noted(other: Any, is_first: bool) -> None:
    house = a_minute()
    visit = house.connect(query("SELECT 1"))
    (peer,) = house.dialer.peers
    for end in (revokes, other) if is_first else (other, revokes):
        end(house, visit, peer)
    house.clock.advance(30)
    assert visit.over and not visit.failure and not house.leases.live()
    sentences = [why.sentence for why in visit.frontend.refusals]
    assert len(ended(house)) == 1 and kinds(house).count("denied") == 0 and len(sentences) <= 1
    if is_first or other is revokes:
        assert sentences == [WHY.sentence] and ended(house) == ["revoked"]
    else:
        assert WHY.sentence not in sentences
