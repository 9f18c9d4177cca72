"""A machine goes through no more than so many messages in one step, so that a burst of tiny ones is shared out."""

from typing import Any

import pytest

from hoopproxy.events import Step
from hoopproxy.masks import Catalog
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.testing.house import House, message, query
from hoopproxy.wire.postgres.machine import STEP_MESSAGES_MAX, PostgresWire
from hoopproxy.wire.postgres.terms import Terms

SYNC, FLUSH, READY = message(b"S", b""), message(b"H", b""), message(b"Z", b"I")
CLOSE, DESCRIBE = message(b"C", b"Sx\0"), message(b"D", b"S\0")
CHUNK = 65536


def machine(messages_max: int = STEP_MESSAGES_MAX, **limits: Any) -> PostgresWire:
    terms = Terms(Catalog({}, {}, frozenset(), frozenset()), frozenset(), 0, Limits(**limits))
    return PostgresWire(terms, messages_max)


def steps(wire: PostgresWire, side: Side, data: bytes) -> list[Step]:
    found = [wire.feed(side, data)]
    while found[-1].more:
        found.append(wire.resume(side, None))
    return found


@pytest.mark.parametrize("tiny", [SYNC, FLUSH, CLOSE, DESCRIBE], ids=["sync", "flush", "close", "describe"])
def test_tiny_messages_of_a_client_come_in_portions_and_none_is_lost(tiny: bytes) -> None:
    data = tiny * (CHUNK // len(tiny))
    found = steps(machine(pending_statements_max=100_000), Side.CLIENT, data)
    assert b"".join(step.to_server for step in found) == data
    assert all(len(step.to_server) <= STEP_MESSAGES_MAX * len(tiny) for step in found)
    assert not any(step.is_idle for step in found[:-1])


def test_tiny_messages_of_a_server_come_in_portions_and_none_is_lost() -> None:
    wire, count = machine(pending_statements_max=100_000), CHUNK // len(READY)
    steps(wire, Side.CLIENT, SYNC * count)
    found = steps(wire, Side.SERVER, READY * count)
    assert b"".join(step.to_client for step in found) == READY * count
    assert all(len(step.to_client) <= STEP_MESSAGES_MAX * len(READY) for step in found)
    assert [step.is_idle for step in found] == [False] * (len(found) - 1) + [True]


def test_a_machine_that_is_not_through_is_not_fed() -> None:
    wire = machine()
    assert wire.feed(Side.CLIENT, SYNC * 1000).more
    with pytest.raises(AssertionError):
        wire.feed(Side.CLIENT, SYNC)
    assert not wire.feed(Side.SERVER, READY).more
    assert wire.resume(Side.CLIENT, None).to_server == SYNC * STEP_MESSAGES_MAX
    with pytest.raises(AssertionError):
        machine().resume(Side.CLIENT, None)


def test_a_client_that_is_paused_is_not_gone_on_with() -> None:
    house = House().with_limits(pending_statements_max=STEP_MESSAGES_MAX)
    visit = house.connect()
    peer = house.dialer.peers[0]
    del peer.answers[b"S"]
    visit.frontend.give(SYNC * 3 * STEP_MESSAGES_MAX)
    for portion in (1, 2, 3):
        assert bytes(peer.sent).count(SYNC) == portion * STEP_MESSAGES_MAX
        peer.give(READY * STEP_MESSAGES_MAX)
    assert visit.seen == READY * 3 * STEP_MESSAGES_MAX
    visit.frontend.give(query("SELECT 1"))
    assert b"SELECT 1" in visit.seen
