"""Steps: the same however the bytes are cut, no longer than allowed, and honest about what is owed."""

import struct
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Closed, Forward, Shape, Step
from hoopproxy.model import Side
from hoopproxy.rooms import IPeer
from hoopproxy.settings import Limits
from hoopproxy.wire.ssh.machine import SshWire, SshWires
from hoopproxy.wire.ssh.packets import PAYLOAD_BYTES_MAX

from . import speech as say
from .rig import Rig, calls

SPEECH = [
    (Side.CLIENT, [say.global_request("keepalive@openssh.com", True), say.opens(0), say.opens(1)]),
    (Side.SERVER, [say.REQUEST_FAILURE, say.confirmed(0, 10), say.confirmed(1, 11)]),
    (Side.CLIENT, [say.pty(10), say.env(10, "LANG", "C"), say.request(10, "shell", True), say.execs(11, "cat")]),
    (Side.SERVER, [say.success(0), say.success(0), say.success(1), say.data(0, b"$ "), say.data(1, b"x" * 999)]),
    (
        Side.CLIENT,
        [say.data(11, b"a" * 500), say.data(10, b"ls\n"), say.data(11, b"b"), say.eof(11), say.adjust(11, 9)],
    ),
    (
        Side.SERVER,
        [say.stderr(1, b"warned\n"), say.exit_status(1, 0), say.eof(1), say.close(1), say.data(0, b"a b c\n")],
    ),
    (Side.CLIENT, [say.close(11), say.opens(1), say.resized(10, 90, 30), say.close(10)]),
    (Side.SERVER, [say.exit_signal(0, "HUP"), say.close(0), say.unopened(1, 2, "full")]),
]


def played(rig: Rig, cut: list[int] | None = None) -> Rig:
    sizes = cut or [1 << 30]
    turn = 0
    for side, payloads in SPEECH:
        data = say.framed(*payloads)
        while data:
            size = sizes[turn % len(sizes)]
            rig.feed(side, data[:size])
            data, turn = data[size:], turn + 1
    return rig


@given(st.lists(st.integers(1, 40), min_size=1), st.booleans())
@settings(deadline=None)
def test_however_the_bytes_are_cut_the_outcome_is_the_same(cut: list[int], masked: bool) -> None:
    whole = played(Rig(masked=masked, plan=calls(bytes.upper)))
    pieces = played(Rig(masked=masked, plan=calls(bytes.upper)), cut)
    assert (pieces.shown, pieces.sent, pieces.asks) == (whole.shown, whole.sent, whole.asks)
    assert (pieces.rejected(), pieces.asked(), pieces.completed()) == (
        whole.rejected(),
        whole.asked(),
        whole.completed(),
    )
    for stream in ("stdin", "stdout", "stderr"):
        assert pieces.streamed(stream) == whole.streamed(stream)
    assert pieces.steps[-1].is_idle and whole.steps[-1].is_idle


def test_without_masks_every_byte_is_the_same() -> None:
    rig = played(Rig())
    assert rig.sent == b"".join(say.framed(*payloads) for side, payloads in SPEECH if side is Side.CLIENT)
    assert rig.shown == b"".join(say.framed(*payloads) for side, payloads in SPEECH if side is Side.SERVER)


def test_what_is_not_changed_is_handed_on_as_the_object_that_came() -> None:
    rig = Rig().running(window=1 << 30)
    bulk = say.framed(*[say.data(0, b"x" * 32768)] * 4)
    assert rig.wire.feed(Side.SERVER, bulk).to_client is bulk


def test_runs_of_what_passes_are_put_together_around_what_does_not() -> None:
    rig = (
        Rig()
        .running()
        .server(
            say.data(0, b"one"),
            say.global_request("hostkeys-00@openssh.com"),
            say.data(0, b"two"),
            say.data(0, b"three"),
        )
    )
    assert rig.steps[-1].to_client == say.framed(say.data(0, b"one"), say.data(0, b"two"), say.data(0, b"three"))


def test_tiny_messages_come_in_portions_and_none_is_lost() -> None:
    for rig, side, payload in (
        (Rig(messages_max=10).running(), Side.CLIENT, say.data(10, b"x")),
        (Rig(messages_max=10).running(), Side.SERVER, say.data(0, b"x")),
    ):
        first = rig.did(rig.wire.feed(side, say.framed(*[payload] * 1000)))
        assert first.more and not first.is_idle and len(first.to_client + first.to_server) == 10 * len(payload) + 40
        with pytest.raises(AssertionError):
            rig.wire.feed(side, b"x")
        while rig.steps[-1].more:
            rig.did(rig.wire.resume(side, None))
        assert len(rig.steps) >= 100 and sum(map(len, rig.news())) == 1000
        with pytest.raises(AssertionError):
            rig.wire.resume(side, None)


def test_behind_a_question_the_rest_of_that_side_waits_and_the_other_goes_on() -> None:
    rig = Rig().running()
    step = rig.wire.feed(Side.CLIENT, say.framed(say.resized(10, 1, 2), say.data(10, b"behind")))
    assert step.ask is not None and not step.to_server and not step.is_idle
    with pytest.raises(AssertionError):
        rig.wire.feed(Side.CLIENT, b"more")
    with pytest.raises(AssertionError):
        rig.wire.resume(Side.CLIENT, None)
    assert rig.wire.feed(Side.SERVER, say.framed(say.data(0, b"going on"))).to_client
    step = rig.wire.resume(Side.CLIENT, Forward("window-change 1x2"))
    assert step.to_server == say.framed(say.resized(10, 1, 2), say.data(10, b"behind")) and step.is_idle


def test_a_channel_that_the_gateway_closed_during_a_question_is_not_asked_for_anything() -> None:
    rig = Rig(masked=True, plan=lambda shape: replace(calls(bytes.upper)(shape), refusal="No.")).running()
    assert rig.wire.feed(Side.CLIENT, say.framed(say.resized(10, 1, 2))).ask is not None
    rig.server(say.data(0, b"x"))
    rig.news()
    rig.did(rig.wire.resume(Side.CLIENT, Forward("window-change 1x2")))
    assert rig.news() == ([], [])


def test_a_client_is_paused_while_too_much_is_unanswered() -> None:
    rig = Rig(limits=Limits(pending_statements_max=3)).running()
    breaks = [say.request(10, "break", True, struct.pack("!I", number)) for number in range(5)]
    rig.client(*breaks)
    assert rig.steps[-1].pause == {Side.CLIENT} and rig.news()[1] == breaks[:3]
    rig.server(say.success(0))
    assert not rig.steps[-1].pause
    step = rig.did(rig.wire.resume(Side.CLIENT, None))
    assert step.ask is not None
    rig.did(rig.wire.resume(Side.CLIENT, Forward("break 3")))
    assert rig.steps[-1].pause == {Side.CLIENT} and rig.news()[1] == breaks[3:4]


def test_openings_count_too() -> None:
    rig = Rig(limits=Limits(pending_statements_max=3)).client(*[say.opens(number) for number in range(5)])
    assert rig.steps[-1].pause == {Side.CLIENT} and len(rig.news()[1]) == 3


def test_whose_move_it_is() -> None:
    rig = Rig()
    assert not rig.client(say.opens(0)).steps[-1].is_idle
    assert rig.server(say.confirmed(0, 10)).steps[-1].is_idle
    assert not rig.client(say.execs(10, "cat")).steps[-1].is_idle
    assert rig.server(say.success(0)).steps[-1].is_idle
    assert not rig.client(say.global_request("keepalive@openssh.com", True)).steps[-1].is_idle
    assert rig.server(say.REQUEST_FAILURE).steps[-1].is_idle
    assert rig.server(say.global_request("keepalive@openssh.com", True)).steps[-1].is_idle


@pytest.mark.parametrize("side", list(Side), ids=lambda side: side.value)
def test_when_either_side_leaves_all_is_over(side: Side) -> None:
    rig = Rig().running()
    assert rig.wire.feed(side, b"") == Step(records=(Closed(2),), ended=True, is_idle=True)
    assert rig.wire.feed(side.other, say.framed(say.data(0, b"x"))).ended
    assert rig.wire.feed(side.other, b"").ended and rig.release().steps[-1].ended


def test_a_question_that_is_answered_after_the_end_leads_nowhere() -> None:
    rig = Rig()
    assert rig.wire.feed(Side.CLIENT, say.framed(say.opens(0))).ask is not None
    assert rig.wire.feed(Side.SERVER, b"").ended
    step = rig.wire.resume(Side.CLIENT, Forward("session"))
    assert step.ended and not (step.to_server or step.to_client or step.records)


def test_a_sentence_is_shown_in_each_channel_that_runs_something() -> None:
    rig = Rig().running(0, 10).running(1, 11, window=5).client(say.opens(2)).server(say.confirmed(2, 12))
    rig.running(3, 13).server(say.eof(3)).running(4, 14).running(5, 15).server(say.close(5))
    told = say.told("Ada watches.")
    assert rig.wire.words("Ada watches.") == say.framed(say.stderr(0, told), say.stderr(4, told))
    assert Rig().wire.words("Nobody is there.") == b""


def test_words_count_as_shown() -> None:
    rig = Rig().running(window=100)
    words = rig.wire.words("Ada watches.")
    assert words and rig.wire.words("x" * 80) == b""
    rig.server(say.data(0, b"x" * 100))
    told = len(say.told("Ada watches."))
    assert rig.news() == ([say.data(0, b"x" * (100 - told))], [])
    rig.client(say.adjust(10, told))
    assert rig.news() == ([say.data(0, b"x" * told)], [])


@pytest.mark.parametrize(("protected", "is_masked"), [({"*"}, True), ({"public.t.c"}, False), (set(), False)])
def test_a_machine_is_made_for_what_a_session_may_see_and_set(protected: set[str], is_masked: bool) -> None:
    target = SimpleNamespace(environment=("TZ",))
    passage: Any = SimpleNamespace(permit=SimpleNamespace(target=target))
    rig = Rig()
    wire = SshWires(Limits()).wire(passage, cast(IPeer, None), frozenset(protected), 0)
    assert isinstance(wire, SshWire)
    rig.wire = wire
    rig.running().client(say.env(10, "TZ", "UTC"), say.env(10, "LANG", "C")).server(say.data(0, b"x"))
    assert [isinstance(ask, Shape) for ask in rig.asks] == [False, False, False, *([True] * is_masked)]
    assert [text for text, _ in rig.rejected()] == ["env LANG=C"]


def test_only_output_is_held_and_only_between_questions() -> None:
    rig = Rig(masked=True).running()
    with pytest.raises(AssertionError):
        rig.wire.release(Side.CLIENT)
    assert rig.wire.feed(Side.SERVER, say.framed(say.data(0, b"x"))).ask is not None
    with pytest.raises(AssertionError):
        rig.wire.release(Side.SERVER)


@pytest.mark.parametrize("length", [0, PAYLOAD_BYTES_MAX + 1, (1 << 32) - 1])
@pytest.mark.parametrize("side", list(Side), ids=lambda side: side.value)
def test_a_length_that_no_packet_has(side: Side, length: int) -> None:
    rig = Rig()
    with pytest.raises(ProtocolViolation) as caught:
        rig.feed(side, struct.pack("!I", length) + b"x")
    assert caught.value.side == side.value
    with pytest.raises(ProtocolViolation):
        rig.feed(side.other, say.framed(say.opens(0)))
