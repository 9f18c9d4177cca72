"""The ledger: one exact order, groups, and no entry that nobody can vouch for."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from hoopproxy.errors import AddonFailure, EvidenceUnavailable
from hoopproxy.evidence import chain
from hoopproxy.evidence.decisions import AdminAction
from hoopproxy.evidence.entries import Chunk, GatewayStopped
from hoopproxy.evidence.ledger import BATCH_MAX, Ledger
from hoopproxy.interfaces import IEvidenceSink

from .conftest import NOW_S, MemorySink, done, later, now


def chunk(number: int) -> Chunk:
    return Chunk("s1", "c1", number, "0" * 64)


def numbers(sink: MemorySink) -> list[int]:
    return [orjson.loads(leaf).get("number", -1) for leaf in sink.leaves]


def verified(sink: MemorySink) -> chain.Head:
    head = chain.EMPTY
    for leaf in sink.leaves:
        head = chain.after(head, leaf)
    return head


def test_an_entry_gets_index_time_gateway_and_the_digest_before_it(ledger: Ledger, sink: MemorySink) -> None:
    assert now(ledger.note(chunk(7))) == 0
    assert now(ledger.note(chunk(8))) == 1
    told = orjson.loads(sink.leaves[1])
    assert (told["index"], told["at_ms"], told["gateway"]) == (1, int(NOW_S * 1000), "gw-1")
    assert told["prev"] == chain.after(chain.EMPTY, sink.leaves[0]).sha256
    assert ledger.head == verified(sink)


def test_those_who_wait_share_one_append_in_the_order_of_their_calls(ledger: Ledger, sink: MemorySink) -> None:
    sink.hold = hold = Deferred()
    waiting = [later(ledger.note(chunk(number))) for number in range(6)]
    assert sink.calls == [1]
    hold.callback(None)
    assert [done(one) for one in waiting] == [0, 1, 2, 3, 4, 5]
    assert sink.calls == [1, 5]
    assert numbers(sink) == list(range(6))
    verified(sink)


def test_more_than_a_batch_goes_in_several_and_nobody_is_forgotten(ledger: Ledger, sink: MemorySink) -> None:
    sink.hold = hold = Deferred()
    waiting = [later(ledger.note(chunk(number))) for number in range(2 * BATCH_MAX + 3)]
    hold.callback(None)
    assert [done(one) for one in waiting] == list(range(2 * BATCH_MAX + 3))
    assert sink.calls == [1, BATCH_MAX, BATCH_MAX, 2]
    assert numbers(sink) == list(range(2 * BATCH_MAX + 3))


def test_whoever_goes_on_at_once_does_not_overtake(ledger: Ledger, sink: MemorySink) -> None:
    async def busy(first: int) -> None:
        for number in range(first, first + 20):
            await ledger.note(chunk(number))

    sink.hold = hold = Deferred()
    works = [later(busy(first)) for first in (0, 100, 200)]
    hold.callback(None)
    for work in works:
        done(work.addCallback(lambda _: True))
    assert sorted(numbers(sink)) == [first + more for first in (0, 100, 200) for more in range(20)]
    verified(sink)


def test_a_full_sink_refuses_what_lets_in_and_keeps_what_ends(ledger: Ledger, sink: MemorySink) -> None:
    sink.room = 0
    with pytest.raises(EvidenceUnavailable):
        now(ledger.note(chunk(0)))
    assert now(ledger.note(GatewayStopped("x"))) == 0
    assert verified(sink).size == 1


def test_a_group_that_is_refused_is_split_so_that_its_ends_are_kept(ledger: Ledger, sink: MemorySink) -> None:
    sink.room, sink.hold = 0, Deferred()
    hold = sink.hold
    opening = later(ledger.note(chunk(0)))
    mixed = [later(ledger.note(entry)) for entry in (chunk(1), GatewayStopped("x"), AdminAction("kill", "u", "s"))]
    hold.callback(None)
    for refused in (opening, mixed[0]):
        with pytest.raises(EvidenceUnavailable):
            done(refused)
    assert [done(one) for one in mixed[1:]] == [0, 1]
    assert verified(sink).size == 2


def test_a_sink_that_hangs_ends_all_who_wait_for_it_and_nobody_after(
    ledger: Ledger, sink: MemorySink, clock: Clock
) -> None:
    sink.hold = Deferred()
    first, second = later(ledger.note(chunk(0))), later(ledger.note(chunk(1)))
    clock.advance(5.1)
    with pytest.raises(AddonFailure):
        done(first)
    assert done(second) == 0
    assert now(ledger.note(chunk(2))) == 1
    assert numbers(sink) == [1, 2]


def test_an_answer_that_never_came_is_found_out_before_the_next_entry(
    ledger: Ledger, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = sink.append

    async def kept_and_wrong(leaves: Any) -> Any:
        await keep(leaves)
        return "yes"

    monkeypatch.setattr(sink, "append", kept_and_wrong)
    with pytest.raises(AddonFailure):
        now(ledger.note(chunk(0)))
    monkeypatch.undo()
    assert now(ledger.note(chunk(1))) == 1
    assert verified(sink).size == 2


def test_a_sink_that_says_another_index_is_not_believed(ledger: Ledger, sink: MemorySink) -> None:
    now(ledger.note(chunk(0)))

    async def wrong(leaves: Any) -> int:
        return 0

    sink.append = wrong  # type: ignore[method-assign] # a broken sink
    with pytest.raises(AddonFailure, match="addon 'log' failed"):
        now(ledger.note(chunk(1)))


def test_a_caller_who_gives_up_in_the_queue_takes_nobody_along(ledger: Ledger, sink: MemorySink) -> None:
    sink.hold = hold = Deferred()
    first, second, third = (later(ledger.note(chunk(number))) for number in range(3))
    second.cancel()
    hold.callback(None)
    with pytest.raises(CancelledError):
        done(second)
    assert (done(first), done(third)) == (0, 1)
    assert numbers(sink) == [0, 2]


def test_a_caller_who_gives_up_while_the_sink_writes_leaves_the_log_usable(ledger: Ledger, sink: MemorySink) -> None:
    sink.hold = Deferred()
    first, second = later(ledger.note(chunk(0))), later(ledger.note(chunk(1)))
    first.cancel()
    with pytest.raises((CancelledError, AddonFailure)):
        done(first)
    assert done(second) == 0


def test_one_entry_that_can_not_be_written_takes_nobody_along(ledger: Ledger, sink: MemorySink) -> None:
    sink.hold = hold = Deferred()
    first = later(ledger.note(chunk(0)))
    wrong = later(ledger.note(Chunk("s1", "c1", 0.5, "")))  # type: ignore[arg-type] # that is the mistake
    third = later(ledger.note(chunk(2)))
    hold.callback(None)
    assert (done(first), done(third)) == (0, 1)
    with pytest.raises(EvidenceUnavailable):
        done(wrong)


def test_it_goes_on_behind_what_the_sink_already_holds(
    make_ledger: Callable[[IEvidenceSink], Ledger], sink: MemorySink
) -> None:
    now(make_ledger(sink).note(chunk(0)))
    second = make_ledger(sink)
    assert second.head == verified(sink)
    assert now(second.note(chunk(1))) == 1
    verified(sink)


@pytest.mark.parametrize("last", [b"", b"no leaf"])
def test_it_writes_nothing_behind_what_it_can_not_read(ledger: Ledger, sink: MemorySink, last: bytes) -> None:
    sink.leaves.append(last)
    with pytest.raises(EvidenceUnavailable):
        now(ledger.note(chunk(0)))
    assert sink.calls == []


def test_followers_see_each_entry_once_it_is_durable(ledger: Ledger, sink: MemorySink) -> None:
    seen: list[tuple[int, int]] = []
    ledger.follow = lambda entry: seen.append((entry["number"], sink.size))
    now(ledger.note(chunk(5)))
    assert seen == [(5, 1)]


def test_a_queue_that_is_full_refuses(ledger: Ledger, sink: MemorySink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoopproxy.evidence.ledger.WAITING_MAX", 2)
    sink.hold = hold = Deferred()
    waiting = [later(ledger.note(chunk(number))) for number in range(3)]
    with pytest.raises(EvidenceUnavailable):
        now(ledger.note(chunk(9)))
    hold.callback(None)
    assert [done(one) for one in waiting] == [0, 1, 2]
