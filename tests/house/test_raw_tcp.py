"""Raw TCP in the house: the relay passes bytes and ends of stream as they come, once somebody said that they may."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from twisted.internet.defer import Deferred

from hoopproxy.errors import BrokenOff, LimitReached, Refused
from hoopproxy.events import Asked, Completed, Copied, Rejected, Statement
from hoopproxy.model import Allow, Answer, Passage, Refuse, Side
from hoopproxy.testing.healthy import AllowsAll
from hoopproxy.testing.house import House, MemoryPeer, Visit
from hoopproxy.wire.tcp import STATEMENT, TcpWires


class Scene:
    """A visit to a target whose protocol nobody knows."""

    def __init__(self, *guards: Any, **limits: float) -> None:
        self.house = House().with_limits(**limits)
        self.house.addons.guards[:] = guards or [AllowsAll()]
        self.house.addons.maskers.clear()
        self.house = House(self.house.addons, self.house.limits)
        gateway = self.house.gateway
        self.house.gateway = replace(gateway, wires={"postgres": TcpWires(gateway.limits)})
        self.visit: Visit = self.house.connect()
        self.client = self.visit.frontend
        self.server: MemoryPeer = self.house.dialer.peers[-1]
        self.server.answers.clear()

    @property
    def records(self) -> list[Any]:
        (recording,) = self.house.addons.recorder.recordings
        return recording.events

    @property
    def ended(self) -> dict[str, Any]:
        entry: dict[str, Any] = orjson.loads(self.house.addons.evidence.leaves[-1])
        assert entry["kind"] == "ended"
        return entry


class Holds(AllowsAll):
    """A guard that takes its time, and then says this."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[Statement] = []
        self.wait: Deferred[None] = Deferred()
        self._answer = answer

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        self.asked.append(statement)
        await self.wait
        return self._answer


def test_bytes_and_ends_pass_each_way_by_itself() -> None:
    it = Scene()
    it.client.give(b"upload")
    it.client.give(b"")
    assert it.server.sent == b"upload" and it.server.ended and not it.client.ended
    it.server.give(b"thanks")
    assert it.visit.seen == b"thanks" and not it.visit.over
    it.server.give(b"")
    assert it.client.ended and it.visit.over and it.client.closed and it.server.closed
    assert it.ended["reason"] == "server left"
    assert it.ended["tally"] == {
        "statements": 1,
        "refused": 0,
        "rows": 0,
        "cells_masked": 0,
        "bytes_to_client": 6,
        "bytes_to_server": 6,
    }
    assert it.records == [
        Asked(STATEMENT),
        Copied(1, Side.CLIENT, 6),
        Copied(1, Side.SERVER, 6),
        Completed(1, "closed", 0),
    ]


def test_the_target_may_end_first() -> None:
    it = Scene()
    it.server.give(b"banner")
    it.server.give(b"")
    assert it.visit.seen == b"banner" and it.client.ended and not it.server.ended
    it.client.give(b"still here")
    assert it.server.sent == b"still here" and not it.visit.over
    it.client.give(b"")
    assert it.server.ended and it.visit.over


@pytest.mark.parametrize("first", ["client", "server"])
def test_neither_side_is_read_on_before_the_guards_have_allowed_it(first: str) -> None:
    guard = Holds(Allow())
    it = Scene(guard)
    one, other = (it.client, it.server) if first == "client" else (it.server, it.client)
    one.give(b"one")
    other.give(b"two")
    other.give(b"three")
    assert guard.asked == [STATEMENT]
    assert it.server.sent == it.client.sent == b"" and other._ready == [b"three"], "it waits where it is"
    guard.wait.callback(None)
    assert other.sent == b"one" and one.sent == b"twothree"


@pytest.mark.parametrize("first", ["client", "server"])
def test_what_a_guard_refuses_ends_and_says_so_in_evidence(first: str) -> None:
    it = Scene(Holds(Refuse("Not on a Friday.")))
    (it.client if first == "client" else it.server).give(b"one")
    assert not it.visit.over
    guard: Any = it.house.addons.guards[0]
    guard.wait.callback(None)
    assert it.visit.over and it.client.closed and it.server.closed
    assert it.server.sent == it.client.sent == b"" and not it.server.ended and not it.client.ended
    (why,) = it.client.refusals
    assert isinstance(why, Refused) and why.sentence == "Not on a Friday."
    assert it.records == [Rejected(STATEMENT, "Not on a Friday.")]
    assert it.ended["reason"] == "refused" and it.ended["tally"]["refused"] == 1
    assert it.house.told[-1][1]["sentence"] == "Not on a Friday."


def test_nothing_passes_before_it_is_durable_that_it_was_asked() -> None:
    it = Scene()
    (recording,) = it.house.addons.recorder.recordings
    settled: Deferred[None] = Deferred()

    async def settle() -> None:
        await settled

    recording.settle = settle
    it.client.give(b"one")
    it.server.give(b"two")
    assert it.server.sent == it.client.sent == b""
    settled.callback(None)
    assert it.server.sent == b"one" and it.client.sent == b"two"


def test_a_side_that_breaks_off_is_not_taken_for_one_that_has_ended() -> None:
    it = Scene()
    it.client.give(b"half")

    async def breaks() -> bytes:
        raise BrokenOff("The client's connection broke off.")

    it.client.read = breaks  # type: ignore[method-assign] # as a real one does, after its last bytes
    it.client.give(b" of it")
    assert it.visit.over and it.server.sent == b"half of it" and not it.server.ended
    assert it.ended["reason"] == "broken-off"


def test_a_side_that_is_gone_after_its_end_ends_it_all() -> None:
    it = Scene()
    it.client.give(b"")
    assert it.server.ended and not it.visit.over
    it.client.lost.set()
    assert it.visit.over and it.ended["reason"] == "client left"


def test_who_takes_nothing_of_what_is_before_an_end_is_cut_off_like_any_other() -> None:
    it = Scene(stalled_s_max=60.0)

    async def never() -> None:
        await Deferred()

    it.server.end = never  # type: ignore[method-assign] # its buffers are full
    it.client.give(b"")
    it.house.clock.advance(59)
    assert not it.visit.over
    it.house.clock.advance(1)
    (why,) = it.client.refusals
    assert isinstance(why, LimitReached) and why.limit == "limits.stalled_s_max"


def test_nobody_knows_whose_move_it_is_so_that_silence_is_idle() -> None:
    it = Scene(idle_s_max=60.0, answer_s_max=10.0)
    it.client.give(b"a question?")
    it.house.clock.advance(59)
    it.server.give(b"an answer.")
    it.house.clock.advance(59)
    assert not it.visit.over
    it.house.clock.advance(1)
    (why,) = it.client.refusals
    assert isinstance(why, LimitReached) and why.limit == "limits.idle_s_max"
