"""When the gateway stops: who waits for nothing leaves at once, who waits for an answer when it has come."""

from typing import Any

from hoopproxy.model import Allow, Answer, Passage, Pending
from hoopproxy.testing.healthy import AllowsAll
from hoopproxy.testing.house import House, Visit, canned_result, query

from .ssh_scene import Scene

STOPPING = "The gateway is stopping; connect again in a moment."


def asked(house: House, *says: bytes) -> tuple[Visit, Any]:
    """A client that asked something, and its target, which says what the test makes it say."""
    visit = house.connect()
    peer = house.dialer.peers[-1]

    async def keeps(data: bytes) -> None:
        peer.sent += data

    peer.write = keeps  # type: ignore[method-assign] # what it answers is the test's
    for data in says:
        visit.frontend.give(data)
    return visit, peer


def words(visit: Visit) -> list[str]:
    return [why.sentence for why in visit.frontend.refusals]


def test_all_who_are_idle_leave_at_once() -> None:
    house = House()
    visits = [house.connect() for _ in range(5)]
    visits[0].frontend.give(query("SELECT 1"))
    assert b"SELECT 1" in visits[0].seen
    house.leases.stop()
    assert all(visit.over and words(visit) == [STOPPING] for visit in visits) and not house.leases.live()


def test_a_statement_is_answered_first() -> None:
    house = House()
    visit, peer = asked(house, query("SELECT pg_sleep(5)"))
    house.leases.stop()
    house.clock.advance(5)
    assert not visit.over
    peer.give(canned_result()[:-3])
    assert not visit.over
    peer.give(canned_result()[-3:])
    assert visit.over and b"SELECT 1" in visit.seen and words(visit) == [STOPPING]


def test_what_was_sent_ahead_is_answered_too_as_long_as_there_is_time() -> None:
    house = House().with_limits(drain_s_max=10.0)
    visit, peer = asked(house, query("SELECT 1"), query("SELECT pg_sleep(60)"))
    house.leases.stop()
    peer.give(canned_result())
    for _ in range(9):
        house.clock.advance(1)
    assert not visit.over
    house.clock.advance(1)
    assert visit.over and words(visit) == [STOPPING] and peer.interrupted


def test_without_time_for_it_nobody_is_waited_for() -> None:
    house = House().with_limits(drain_s_max=0.0)
    visit, _ = asked(house, query("SELECT pg_sleep(60)"))
    house.leases.stop()
    assert visit.over and words(visit) == [STOPPING]


def test_a_question_to_a_person_is_waited_for() -> None:
    class Asks(AllowsAll):
        answer: Answer = Pending("Ask Bo.", 1e12)

        async def examine(self, passage: Passage, statement: Any) -> Answer:
            return self.answer

    house, guard = House(), Asks()
    house.addons.guards = [guard]
    house = House(house.addons)
    visit = house.connect(query("SELECT 1"))
    house.leases.stop()
    house.clock.advance(1)
    assert not visit.over
    guard.answer = Allow()
    house.clock.advance(5)
    assert visit.over and b"SELECT 1" in visit.seen


def test_a_session_waits_for_those_that_come_through_it() -> None:
    scene = Scene()
    talk = scene.connect()
    child = talk.forwards()
    scene.gateway.leases.stop()
    assert child.over and not talk.visit.over  # nobody knows what goes through raw TCP, nor whether it has ended
    scene.clock.advance(1)
    assert talk.visit.over
    assert [entry["reason"] for entry in scene.entries("ended")] == ["revoked", "revoked"]
