"""Channels: opened, used, closed, counted, and known by two numbers."""

from typing import Any

import pytest

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Action, Faulted, Statement, Streamed
from hoopproxy.model import Side
from hoopproxy.settings import Limits

from . import speech as say
from .rig import Rig

TOO_MANY = "You have as many channels open as the gateway allows (2); close some (limits.channels_max)."


def test_a_command_runs_from_its_opening_to_its_exit_status() -> None:
    rig = Rig()
    assert rig.client(say.opens(0)).news() == ([], [say.opens(0)])
    assert rig.server(say.confirmed(0, 10)).news() == ([say.confirmed(0, 10)], [])
    assert rig.client(say.execs(10, "wc -c")).news() == ([], [say.execs(10, "wc -c")])
    sent = [say.data(10, b"one"), say.data(10, b"two"), say.eof(10)]
    assert rig.client(*sent).news() == ([], sent)
    shown = [
        say.success(0),
        say.data(0, b"6"),
        say.data(0, b"\n"),
        say.stderr(0, b"done"),
        say.exit_status(0, 0),
        say.eof(0),
        say.close(0),
    ]
    assert rig.server(*shown).news() == (shown, [])
    assert rig.client(say.close(10)).news() == ([], [say.close(10)])
    assert rig.asked() == [(1, "session"), (2, "exec wc -c")]
    assert [record for record in rig.records if isinstance(record, Streamed)] == [
        Streamed(2, "stdin", b"onetwo"),
        Streamed(2, "stdout", b"6\n"),
        Streamed(2, "stderr", b"done"),
    ]
    assert rig.completed() == [(2, "exit 0")]


def test_each_channel_is_asked_about() -> None:
    rig = Rig().client(say.opens(0), say.opens(1))
    assert rig.asks == [
        Statement(1, Action.OPEN, "session", "session"),
        Statement(2, Action.OPEN, "session", "session"),
    ]


def test_a_refused_channel_is_answered_in_the_servers_place() -> None:
    rig = Rig(refuse=lambda text: "Not today.").client(say.opens(5))
    assert rig.news() == ([say.unopened(5, 1, "Not today.")], [])
    assert rig.rejected() == [("session", "Not today.")]
    assert rig.steps[-1].is_idle


def test_a_channel_that_the_server_does_not_open_is_gone() -> None:
    rig = Rig().client(say.opens(5)).server(say.unopened(5, 2, "no memory"))
    assert rig.news() == ([say.unopened(5, 2, "no memory")], [say.opens(5)])
    assert rig.records[-1] == Faulted(1, "open failure 2", "no memory")
    assert rig.client(say.opens(5)).news() == ([], [say.opens(5)])


def test_no_more_channels_are_open_than_allowed() -> None:
    rig = Rig(limits=Limits(channels_max=2)).running(0, 10)
    rig.client(say.opens(1), say.opens(2))
    assert rig.news() == ([say.unopened(2, 4, TOO_MANY)], [say.opens(1)])
    assert rig.rejected() == [("session", TOO_MANY)]
    rig.server(say.close(0)).client(say.close(10), say.opens(2))
    assert rig.news() == ([say.close(0)], [say.close(10), say.opens(2)])


def test_ten_thousand_channels_one_after_the_other_leave_nothing_behind() -> None:
    rig = Rig(masked=True)
    for number in range(10_000):
        rig.client(say.opens(0)).server(say.confirmed(0, number % 7))
        rig.client(say.request(number % 7, "shell", True)).server(say.success(0), say.data(0, b"$ "))
        rig.client(say.close(number % 7)).server(say.close(0))
        if number % 1000 == 0:
            for kept in (rig.shown, rig.sent, rig.records, rig.steps, rig.asks):
                kept.clear()
    channels = rig.wire._channels
    assert not channels.by_client and not channels.by_server and not channels.opening
    assert not any(owed._queues or owed.count for owed in channels.owed.values())
    assert len(rig.wire._server.holding._touched) <= 64


@pytest.mark.parametrize("first", list(Side), ids=lambda side: f"{side.value}-first")
def test_a_channel_is_free_when_both_have_closed_it(first: Side) -> None:
    rig = Rig().running()
    closes: dict[Side, Any] = {Side.CLIENT: say.close(10), Side.SERVER: say.close(0)}
    rig.feed(first, say.framed(closes[first]))
    with pytest.raises(ProtocolViolation):
        Rig.client(_copy(first), say.opens(0))
    rig.feed(first.other, say.framed(closes[first.other]))
    rig.client(say.opens(0)).server(say.confirmed(0, 10)).client(say.execs(10, "id"))
    assert rig.news()[1][-1] == say.execs(10, "id")


def _copy(first: Side) -> Rig:
    closed = say.close(10) if first is Side.CLIENT else say.close(0)
    return Rig().running().feed(first, say.framed(closed))


def test_what_a_client_sends_before_it_hears_of_the_close_is_no_crime() -> None:
    rig = Rig().running().server(say.close(0))
    late = [say.data(10, b"late"), say.resized(10, 1, 2), say.eof(10), say.close(10)]
    rig.client(say.adjust(10, 5), *late)
    assert rig.news() == ([say.close(0)], late)


def test_a_refusal_behind_the_servers_close_is_not_said_to_a_channel_that_is_gone() -> None:
    rig = Rig(refuse=lambda text: "No." if "date" in text else "").running().server(say.close(0))
    rig.news()
    rig.client(say.request(10, "x11-req", True), say.request(10, "signal", True, say.string("TERM")))
    assert rig.news() == ([], [say.request(10, "signal", True, say.string("TERM"))])


def test_what_a_server_sends_before_it_hears_of_the_close_is_no_crime_and_goes_nowhere() -> None:
    rig = Rig().running().client(say.close(10))
    rig.server(say.data(0, b"late"), say.adjust(0, 5), say.exit_status(0, 1), say.request(0, "nonsense", True))
    rig.server(say.eof(0), say.close(0))
    assert rig.news() == ([say.exit_status(0, 1), say.eof(0), say.close(0)], [say.close(10)])


@pytest.mark.parametrize(
    "late",
    [say.data(10, b"x"), say.eof(10), say.close(10), say.adjust(10, 1), say.execs(10, "id"), say.success(10)],
    ids=["data", "eof", "close", "adjust", "request", "reply"],
)
def test_a_client_says_nothing_behind_its_close(late: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        Rig().running().client(say.close(10), late)
    assert caught.value.side == "client"


@pytest.mark.parametrize(
    "late",
    [
        say.data(0, b"x"),
        say.stderr(0, b"x"),
        say.eof(0),
        say.close(0),
        say.adjust(0, 1),
        say.exit_status(0, 0),
        say.success(0),
    ],
    ids=["data", "stderr", "eof", "close", "adjust", "request", "reply"],
)
def test_a_server_says_nothing_behind_its_close(late: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        Rig().running().server(say.close(0), late)
    assert caught.value.side == "server"


def test_nobody_sends_data_or_an_end_behind_their_end() -> None:
    for late in (say.data(10, b"x"), say.eof(10)):
        with pytest.raises(ProtocolViolation):
            Rig().running().client(say.eof(10), late)
    for late in (say.data(0, b"x"), say.stderr(0, b"x"), say.eof(0)):
        with pytest.raises(ProtocolViolation):
            Rig().running().server(say.eof(0), late)


def test_numbers_are_each_sides_own() -> None:
    rig = Rig().running(0, 10).running(10, 0)
    assert rig.client(say.data(10, b"to zero"), say.data(0, b"to ten")).streamed("stdin") == b"to zeroto ten"
    with pytest.raises(ProtocolViolation):
        rig.client(say.data(1, b"to nobody"))


@pytest.mark.parametrize("number", [10, 1 << 31, (1 << 32) - 1], ids=["in-use", "the-gateways", "highest"])
def test_a_server_gives_no_number_that_it_may_not_give(number: int) -> None:
    rig = Rig().running().client(say.opens(1))
    with pytest.raises(ProtocolViolation) as caught:
        rig.server(say.confirmed(1, number))
    assert caught.value.side == "server"


def test_a_client_gives_no_number_twice() -> None:
    for rig in (Rig().running(), Rig().client(say.opens(0))):
        with pytest.raises(ProtocolViolation):
            rig.client(say.opens(0))


def test_a_server_confirms_only_what_it_was_asked_for() -> None:
    for payload in (say.confirmed(0, 1), say.unopened(0, 1, "no")):
        with pytest.raises(ProtocolViolation):
            Rig().server(payload)
        with pytest.raises(ProtocolViolation):
            Rig().running().server(payload)
    rig = Rig()
    assert rig.wire.feed(Side.CLIENT, say.framed(say.opens(0))).ask is not None
    with pytest.raises(ProtocolViolation):  # it is still being judged
        rig.server(say.confirmed(0, 1))


def test_a_channel_that_takes_no_packets_is_none() -> None:
    with pytest.raises(ProtocolViolation):
        Rig().client(say.opens(0, packet=512))
