"""Raw TCP as a machine: nothing before the answer, then every byte once, in order, however it was cut."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from hoopproxy.errors import Refused
from hoopproxy.events import Action, Asked, Completed, Copied, Forward, Reject, Rejected, Step
from hoopproxy.model import Side
from hoopproxy.rooms import IWire, IWireFactory
from hoopproxy.settings import Limits
from hoopproxy.wire.tcp import STATEMENT, TcpWire, TcpWires

CLIENT, SERVER = Side.CLIENT, Side.SERVER
YES, NO = Forward("tcp"), Reject("Not today.")

pieces = st.lists(st.binary(min_size=1, max_size=8), max_size=6)


class Rig:
    """Does what the relay does with a machine's steps, and keeps what came of it."""

    def __init__(self) -> None:
        self.wire = TcpWire()
        self.out = {side: b"" for side in Side}
        self.ends: list[Side] = []
        self.records: list[Any] = []
        self.paused: frozenset[Side] = frozenset()
        self.steps: list[Step] = []

    def feed(self, side: Side, data: bytes) -> Step:
        return self.take(self.wire.feed(side, data))

    def answer(self, side: Side, reply: Any) -> Step:
        step = self.take(self.wire.resume(side, reply))
        while step.more:
            step = self.take(self.wire.resume(side, None))
        return step

    def take(self, step: Step) -> Step:
        self.steps.append(step)
        assert step.is_idle, "nobody knows whose move it is"
        for side, data in ((CLIENT, step.to_client), (SERVER, step.to_server)):
            assert not data or side not in self.ends
            self.out[side] += data
        self.ends += sorted(step.half_closes, key=lambda side: side.value)
        self.records += step.records
        self.paused = step.pause
        return step


def test_it_is_what_the_interfaces_say() -> None:
    assert verifyObject(IWire, TcpWire()) and verifyObject(IWireFactory, TcpWires(Limits()))
    assert TcpWires.treatment == "not parsed, not masked"


@pytest.mark.parametrize("first", list(Side))
def test_nothing_passes_before_it_was_asked_and_allowed_and_that_is_recorded(first: Side) -> None:
    rig = Rig()
    step = rig.feed(first, b"one")
    assert step.ask == STATEMENT and STATEMENT.action is Action.OPEN
    assert (STATEMENT.number, STATEMENT.text, STATEMENT.outline) == (1, "tcp", "tcp")
    assert rig.paused == {first.other}
    assert rig.feed(first.other, b"two").ask is None, "it was on its way already"
    assert rig.paused == {first.other}, "who waits for the answer is never paused"
    recorded = rig.take(rig.wire.resume(first, YES))
    assert recorded.records == (Asked(STATEMENT),) and recorded.more
    assert rig.paused == {first.other} and rig.out == {CLIENT: b"", SERVER: b""}
    passed = rig.take(rig.wire.resume(first, None))
    assert (passed.ask, passed.more, passed.pause) == (None, False, frozenset())
    assert rig.out == {first.other: b"one", first: b"two"}


@given(st.sampled_from(list(Side)), st.permutations(["client"] * 4 + ["server"] * 4), pieces, pieces, st.integers(0, 7))
def test_every_byte_once_and_in_order_and_each_end_behind_its_last(
    first: Side, order: list[str], of_client: list[bytes], of_server: list[bytes], answered: int
) -> None:
    rig = Rig()
    left = {CLIENT: [*of_client, b""], SERVER: [*of_server, b""]}
    asked: Side | None = None
    is_answered = False
    turns = [first, *(Side(each) for each in order * 4)]
    for number, side in enumerate(turns):
        if asked is not None and not is_answered and number > answered:
            rig.answer(asked, YES)
            is_answered = True
        if not left[side] or (side is asked and not is_answered):
            continue
        step = rig.feed(side, left[side].pop(0))
        asked = side if step.ask else asked
    assert asked is not None
    if not is_answered:
        rig.answer(asked, YES)
    for side in (asked, asked.other):
        while left[side]:
            rig.feed(side, left[side].pop(0))
    assert rig.out == {SERVER: b"".join(of_client), CLIENT: b"".join(of_server)}
    assert sorted(rig.ends, key=lambda side: side.value) == [CLIENT, SERVER]
    assert [step.ended for step in rig.steps].count(True) == 1 and rig.steps[-1].ended
    assert rig.records[0] == Asked(STATEMENT) and rig.records[-1] == Completed(1, "closed", 0)
    counts = {record.side: record.bytes_count for record in rig.records if isinstance(record, Copied)}
    assert counts == {CLIENT: len(b"".join(of_client)), SERVER: len(b"".join(of_server))}


def opened() -> Rig:
    rig = Rig()
    rig.feed(CLIENT, b"hello")
    rig.answer(CLIENT, YES)
    return rig


@pytest.mark.parametrize("side", list(Side))
def test_an_end_of_stream_reaches_the_other_side_and_ends_nothing_else(side: Side) -> None:
    rig = opened()
    step = rig.feed(side, b"")
    assert step.half_closes == {side.other} and not step.ended and not step.to_client and not step.to_server
    assert rig.feed(side.other, b"more").half_closes == frozenset()
    step = rig.feed(side.other, b"")
    assert step.half_closes == {side} and step.ended
    assert step.records[-1] == Completed(1, "closed", 0)


def test_an_end_that_came_before_the_answer_passes_behind_it() -> None:
    rig = Rig()
    rig.feed(CLIENT, b"")
    rig.feed(SERVER, b"bye")
    step = rig.answer(CLIENT, YES)
    assert (step.to_client, step.half_closes, step.ended) == (b"bye", {SERVER}, False)


@pytest.mark.parametrize("first", list(Side))
def test_a_no_is_recorded_and_then_raised_with_its_sentence(first: Side) -> None:
    rig = Rig()
    rig.feed(first, b"secret")
    rig.feed(first.other, b"secret, too")
    step = rig.take(rig.wire.resume(first, NO))
    assert step.records == (Rejected(STATEMENT, "Not today."),) and step.more and not step.ended
    with pytest.raises(Refused, match=r"Not today\.") as caught:
        rig.wire.resume(first, None)
    assert caught.value.reason == "statement"
    assert rig.out == {CLIENT: b"", SERVER: b""}


def test_it_holds_nothing_back_and_has_no_words() -> None:
    rig = opened()
    assert rig.wire.release(CLIENT) == Step(is_idle=True)
    assert rig.wire.words("A sentence.") == b""
    assert all(step.hold_s == 0 for step in rig.steps)


def test_what_is_masked_by_its_name_does_not_come_this_way() -> None:
    class Passage:
        class permit:
            class target:
                name = "cache"

    wires: Any = TcpWires(Limits())
    assert isinstance(wires.wire(Passage, None, frozenset(), 0), TcpWire)
    assert isinstance(wires.wire(Passage, None, frozenset({"*"}), 0), TcpWire), "values are nobody's business here"
    with pytest.raises(Refused, match="'cache' are hidden") as caught:
        wires.wire(Passage, None, frozenset({"*", "public.customers.card"}), 0)
    assert "public.customers.card" in caught.value.detail
