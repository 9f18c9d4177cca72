"""Garbage in each state, from either side: refused by name of the side, and never passed on."""

import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side

from . import speech as say
from .rig import Rig, calls

STATES: dict[str, Callable[[Rig], Rig]] = {
    "nothing is open": lambda rig: rig,
    "a channel is asked for": lambda rig: rig.client(say.opens(0)),
    "a channel is open": lambda rig: rig.client(say.opens(0)).server(say.confirmed(0, 10)),
    "a command runs": lambda rig: rig.running(),
    "a reply is owed": lambda rig: rig.running().client(say.request(10, "break", True, bytes(4))),
    "sftp runs": lambda rig: (
        rig.client(say.opens(0))
        .server(say.confirmed(0, 10))
        .client(say.request(10, "subsystem", True, say.string("sftp")))
    ),
    "the server closed": lambda rig: rig.running().server(say.close(0)),
    "the client closed": lambda rig: rig.running().client(say.close(10)),
    "both closed": lambda rig: rig.running().client(say.close(10)).server(say.close(0)),
}
FROM_CLIENT = [
    say.global_request("tcpip-forward", True, b"x"),
    say.opens(1),
    say.opens_direct(2),
    say.adjust(10, 1),
    say.data(10, b"x"),
    say.eof(10),
    say.close(10),
    say.pty(10),
    say.env(10, "LANG", "C"),
    say.execs(10, "id"),
    say.request(10, "subsystem", True, say.string("sftp")),
    say.resized(10, 1, 1),
    say.request(10, "signal", False, say.string("INT")),
    say.success(10),
]
FROM_SERVER = [
    say.global_request("keepalive@openssh.com", True),
    say.opens(1, "x11"),
    say.confirmed(0, 10),
    say.unopened(0, 1, "no"),
    say.adjust(0, 1),
    say.data(0, b"x"),
    say.stderr(0, b"x"),
    say.eof(0),
    say.close(0),
    say.exit_status(0, 1),
    say.exit_signal(0, "TERM"),
    say.success(0),
    say.failure(0),
    say.REQUEST_FAILURE,
]
KINDS = {Side.CLIENT: {80, 81, 82, 90, 93, 94, 96, 97, 98, 99, 100}}
KINDS[Side.SERVER] = KINDS[Side.CLIENT] | {91, 92, 95}

sides = pytest.mark.parametrize("side", list(Side), ids=lambda side: side.value)


@sides
@pytest.mark.parametrize("state", STATES)
def test_messages_that_do_not_belong_to_the_connection_protocol(side: Side, state: str) -> None:
    for kind in set(range(256)) - KINDS[side]:
        with pytest.raises(ProtocolViolation) as caught:
            STATES[state](Rig()).feed(side, say.framed(bytes([kind]) + bytes(40)))
        assert caught.value.side == side.value


READ_IN_PART = (say.global_request("tcpip-forward", True, b"x"), say.opens(1, "x11"))
"""What is refused by its name, whatever else it holds."""


@pytest.mark.parametrize(
    ("side", "payload"),
    [*((Side.CLIENT, each) for each in FROM_CLIENT), *((Side.SERVER, each) for each in FROM_SERVER)],
)
def test_every_message_is_read_to_its_end_and_no_further(side: Side, payload: bytes) -> None:
    is_answer = payload in (say.confirmed(0, 10), say.unopened(0, 1, "no"))
    before = STATES["a channel is asked for" if is_answer else "a command runs"]
    for wrong in (*(payload[:size] for size in range(1, len(payload))), payload + b"\0", payload + b"more"):
        rig = before(Rig())
        rig.news()
        if payload not in READ_IN_PART:
            with pytest.raises(ProtocolViolation) as caught:
                rig.feed(side, say.framed(wrong))
            assert caught.value.side == side.value
        else:
            with suppress(ProtocolViolation):
                rig.feed(side, say.framed(wrong))
            assert wrong not in rig.news()[side is Side.CLIENT]


@sides
@pytest.mark.parametrize("name", [b"", b"a" * 65, b"two words", b"t\xc3\xa4t", b"line\n", b"nul\0"])
def test_names_are_names(side: Side, name: bytes) -> None:
    number = 10 if side is Side.CLIENT else 0
    for payload in (
        b"\x50" + say.string(name) + b"\0",
        b"\x5a" + say.string(name) + bytes(12),
        b"\x62" + struct.pack("!I", number) + say.string(name) + b"\0",
    ):
        with pytest.raises(ProtocolViolation):
            Rig().running().feed(side, say.framed(payload))


@pytest.mark.parametrize("name", ["", "a b", "\n", "x" * 65, "ü"])
def test_signals_have_names(name: str) -> None:
    with pytest.raises(ProtocolViolation):
        Rig().running().client(say.request(10, "signal", False, say.string(name)))
    with pytest.raises(ProtocolViolation):
        Rig().running().server(say.exit_signal(0, name))


@pytest.mark.parametrize("code", [0, 2, (1 << 32) - 1])
def test_there_is_one_kind_of_extended_data(code: int) -> None:
    with pytest.raises(ProtocolViolation):
        Rig().running().server(say.stderr(0, b"x", code))


def test_nothing_is_passed_after_a_violation() -> None:
    rig = Rig().running()
    with pytest.raises(ProtocolViolation):
        rig.client(say.data(10, b"good"), say.data(99, b"bad"))
    assert rig.news() == ([], [])
    for side in Side:
        with pytest.raises(ProtocolViolation):
            rig.feed(side, say.framed(say.data(10, b"good")))
    with pytest.raises(ProtocolViolation):
        rig.release()


@given(
    st.sampled_from(sorted(STATES)),
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from(list(Side)),
            st.one_of(st.binary(min_size=1, max_size=60), st.sampled_from(FROM_CLIENT + FROM_SERVER)),
        ),
        max_size=12,
    ),
    st.binary(max_size=12),
)
@settings(max_examples=300, deadline=None)
def test_garbage_breaks_nothing_but_its_own_connection(
    state: str, masked: bool, payloads: list[tuple[Side, bytes]], tail: bytes
) -> None:
    rig = STATES[state](Rig(masked=masked and state != "sftp runs", plan=calls(bytes.upper), environment=("*",)))
    with suppress(ProtocolViolation):
        for side, payload in payloads:
            rig.feed(side, say.framed(payload))
        rig.release()
        rig.feed(Side.SERVER, tail or b"\0")
    shown, sent = rig.news()
    assert all(payload[0] in KINDS[Side.SERVER] | {90} for payload in shown)
    assert all(payload[0] in KINDS[Side.CLIENT] | {92} for payload in sent)
