"""WebSockets between a client and a target of our own, by wsproto's framing on their ends, and what breaks RFC 6455."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from hoopproxy.errors import LimitReached, ProtocolViolation
from hoopproxy.events import Faulted, Field, Format, Keep, Message, Plan, Record, Shape
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.reading import Relayed, Shown
from hoopproxy.wire.http.websocket import Masks, Messages, Sockets

LIMITS = Limits(message_bytes_max=1024)
SHAPE = Shape((Field("text", "", 0, 0, 25, -1, Format.TEXT),))


@dataclass
class Peer:
    """What one end says and hears; `closed` is what it was told last."""

    frames: FrameProtocol
    heard: list[bytes | str] = field(default_factory=list)
    pings: list[tuple[Opcode, bytes]] = field(default_factory=list)
    closed: tuple[int, str] | None = None

    def hear(self, data: bytes) -> None:
        if not data:
            return
        self.frames.receive_bytes(data)
        for frame in self.frames.received_frames():
            match frame.opcode, frame.payload:
                case Opcode.CLOSE, (code, reason):
                    self.closed = (int(code), reason)
                case ((Opcode.PING | Opcode.PONG), bytes()):
                    self.pings.append((frame.opcode, frame.payload))
                case _, (str() | bytes()):
                    assert frame.message_finished
                    self.heard.append(frame.payload)


@dataclass
class Rig:
    """A machine between two peers."""

    masks: Masks | None = None
    plan: Callable[[Shape], Plan] = lambda shape: Plan(shape, (Keep(),))
    records: list[Record] = field(default_factory=list)
    asks: int = 0
    ended: bool = False

    def __post_init__(self) -> None:
        self.sockets = Sockets(7, LIMITS, Messages(7, self.masks))
        self.peers = {
            Side.CLIENT: Peer(FrameProtocol(client=True, extensions=[])),
            Side.SERVER: Peer(FrameProtocol(client=False, extensions=[])),
        }
        self.client, self.server = self.peers[Side.CLIENT], self.peers[Side.SERVER]

    def says(self, side: Side, *pieces: bytes | str) -> None:
        for piece in pieces:
            self.sends(side, bytes(self.peers[side].frames.send_data(piece)))

    def sends(self, side: Side, *pieces: bytes) -> None:
        for piece in pieces:
            self._perform(side, self.sockets.feed(side, piece))

    def _perform(self, side: Side, relayed: Relayed) -> None:
        self.records += relayed.records
        self.client.hear(relayed.to_client)
        self.server.hear(relayed.to_server)
        self.ended = relayed.ended
        if relayed.ask is not None:
            assert isinstance(relayed.ask, Shape)
            self.asks += 1
            self._perform(side, self.sockets.resume(side, self.plan(relayed.ask)))


class Upper:
    """Masks texts, once it was told that it may; binary messages are withheld."""

    def __init__(self) -> None:
        self._waiting: bytes | None = None
        self._may = False

    def mask(self, data: bytes, is_text: bool) -> Shown:
        if not is_text:
            return Shown(refusal="A binary message can't be masked.")
        if self._may:
            return Shown(data.upper(), row_count=1, cells_masked=1)
        self._waiting = data
        return Shown(ask=SHAPE)

    def resume(self, plan: Plan) -> Shown:
        assert self._waiting is not None
        self._may = True
        return Shown(self._waiting.upper(), row_count=1, cells_masked=1)


def test_messages_of_both_kinds_pass_both_ways() -> None:
    rig = Rig()
    rig.says(Side.CLIENT, "grüß", b"\x00\xff", "", b"x" * 1024)
    rig.says(Side.SERVER, b"", "ok")
    assert rig.server.heard == ["grüß", b"\x00\xff", "", b"x" * 1024]
    assert rig.client.heard == [b"", "ok"]
    assert [record for record in rig.records if isinstance(record, Message)][:2] == [
        Message(7, Side.CLIENT, True, "grüß".encode()),
        Message(7, Side.CLIENT, False, b"\x00\xff"),
    ]
    assert not rig.ended


def test_fragments_become_one_message_and_pings_pass_between_them() -> None:
    rig = Rig()
    frames = rig.client.frames
    rig.sends(Side.CLIENT, bytes(frames.send_data("a", fin=False)), bytes(frames.ping(b"?")))
    assert rig.server.heard == [] and rig.server.pings == [(Opcode.PING, b"?")]
    rig.sends(Side.SERVER, bytes(rig.server.frames.pong(b"?")))
    assert rig.client.pings == [(Opcode.PONG, b"?")]
    rig.sends(Side.CLIENT, bytes(frames.send_data("b", fin=False)), bytes(frames.send_data("c")))
    assert rig.server.heard == ["abc"]


@given(
    st.lists(st.tuples(st.sampled_from(Side), st.one_of(st.text(max_size=300), st.binary(max_size=300))), max_size=8),
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
)
def test_however_the_bytes_are_cut_the_messages_are_the_same(
    said: list[tuple[Side, str | bytes]], sizes: list[int]
) -> None:
    rig, size = Rig(), cycle(sizes)
    for side, message in said:
        data = bytes(rig.peers[side].frames.send_data(message))
        at = 0
        while at < len(data):
            step = next(size)
            rig.sends(side, data[at : at + step])
            at += step
    for side in Side:
        assert rig.peers[side.other].heard == [message for each, message in said if each is side]


def test_a_close_passes_with_its_code_and_ends_when_both_have_said_it() -> None:
    rig = Rig()
    rig.sends(Side.SERVER, bytes(rig.server.frames.close(4001, "enough")))
    assert rig.client.closed == (4001, "enough") and not rig.ended
    rig.says(Side.CLIENT, "late")
    assert rig.server.heard == ["late"]
    rig.sends(Side.CLIENT, bytes(rig.client.frames.close(1000, "bye")))
    assert rig.server.closed == (1000, "bye") and rig.ended


def test_a_close_without_a_code_stays_without() -> None:
    rig = Rig()
    rig.sends(Side.CLIENT, bytes(rig.client.frames.close()))
    assert rig.server.closed == (1005, "")


def test_nothing_behind_a_close_is_heard() -> None:
    rig = Rig()
    frames = rig.client.frames
    rig.sends(
        Side.CLIENT, bytes(frames.close(1000)) + bytes(frames.send_data("late")), bytes(frames.send_data("later"))
    )
    assert rig.server.heard == []


@pytest.mark.parametrize("side", Side)
def test_when_one_end_is_gone_the_other_is_told(side: Side) -> None:
    rig = Rig()
    rig.sends(side, b"")
    assert rig.peers[side.other].closed == (1001, "") and rig.ended


def test_when_one_end_is_gone_after_its_close_no_second_one_is_sent() -> None:
    rig = Rig()
    rig.sends(Side.SERVER, bytes(rig.server.frames.close(1000)), b"")
    assert rig.client.closed == (1000, "") and rig.ended


BROKEN = {
    "a reserved bit": b"\xc1\x00",
    "an unknown opcode": b"\x83\x00",
    "a fragmented ping": b"\x09\x00",
    "a long ping": b"\x89\x7e\x00\x80",
    "a lone continuation": b"\x80\x00",
    "a length that could be shorter": b"\x81\x7e\x00\x01",
    "a negative length": b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    "a close of one byte": b"\x88\x01\x03",
    "a close with a code of nobody's": b"\x88\x02\x03\xee",
    "a text that is no UTF-8": b"\x81\x01\xff",
}


def masked(frame: bytes) -> bytes:
    """As a client sends it, under a key of zeros."""
    size = 2 + {0x7E: 2, 0x7F: 8}.get(frame[1], 0)
    return frame[:1] + bytes((frame[1] | 0x80,)) + frame[2:size] + bytes(4) + frame[size:]


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("frame", BROKEN.values(), ids=BROKEN)
def test_a_frame_that_is_none_ends_the_session(side: Side, frame: bytes) -> None:
    rig = Rig()
    with pytest.raises(ProtocolViolation) as why:
        rig.sends(side, masked(frame) if side is Side.CLIENT else frame)
    assert why.value.side == side.value
    assert rig.peers[side.other].heard == []


def test_a_second_message_amid_the_first_ends_the_session() -> None:
    rig = Rig()
    with pytest.raises(ProtocolViolation):
        rig.sends(Side.SERVER, b"\x01\x01a", b"\x81\x01b")


def test_only_clients_mask_and_they_must() -> None:
    for side, frame in ((Side.CLIENT, b"\x81\x01a"), (Side.SERVER, masked(b"\x81\x01a"))):
        with pytest.raises(ProtocolViolation):
            Rig().sends(side, frame)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("fin", [True, False])
def test_a_message_has_a_limit_with_all_its_fragments(side: Side, fin: bool) -> None:
    rig = Rig()
    frames = rig.peers[side].frames
    rig.sends(side, bytes(frames.send_data(b"x" * 1000, fin=False)))
    with pytest.raises(LimitReached) as why:
        rig.sends(side, bytes(frames.send_data(b"x" * 25, fin=fin)))
    assert why.value.limit == "limits.message_bytes_max"
    rig.client.hear(rig.sockets.farewell(why.value.sentence))
    assert rig.client.closed is not None
    code, reason = rig.client.closed
    assert code == (1009 if side is Side.CLIENT else 1001)
    assert reason.startswith("A WebSocket message was longer than 1024 bytes")


def test_a_frame_of_endless_length_is_not_waited_for() -> None:
    rig = Rig()
    rig.sends(Side.SERVER, b"\x82\x7f\x00\x00\x00\xff\xff\xff\xff\xff")
    with pytest.raises(LimitReached):
        rig.sends(Side.SERVER, b"x" * 1025)


def test_who_breaks_the_protocol_hears_it_in_the_close() -> None:
    rig = Rig()
    with pytest.raises(ProtocolViolation) as why:
        rig.sends(Side.CLIENT, b"\x81\x01a")
    rig.client.hear(rig.sockets.farewell(why.value.sentence))
    assert rig.client.closed == (1002, "A WebSocket frame came that RFC 6455 does not allow.")


def test_a_farewell_fits_and_changes_nothing_until_the_end_is_told() -> None:
    rig = Rig()
    said = rig.sockets.farewell("ü" * 100)
    rig.says(Side.SERVER, "nobody heard it")
    assert rig.client.heard == ["nobody heard it"]
    rig.client.hear(said)
    assert rig.client.closed == (1001, "ü" * 61) and len(said) == 2 + 2 + 122
    rig.sends(Side.SERVER, bytes(rig.server.frames.close(1000)))
    assert rig.sockets.farewell("again") == b""


def test_the_target_s_texts_are_masked_and_the_client_s_are_not() -> None:
    rig = Rig(Upper())
    rig.sends(Side.SERVER, bytes(rig.server.frames.send_data("one") + rig.server.frames.send_data("two")))
    rig.says(Side.CLIENT, "three")
    assert rig.client.heard == ["ONE", "TWO"] and rig.server.heard == ["three"]
    assert rig.asks == 1
    assert rig.records == [
        Message(7, Side.SERVER, True, b"ONE"),
        Message(7, Side.SERVER, True, b"TWO"),
        Message(7, Side.CLIENT, True, b"three"),
    ]


def test_a_message_that_must_not_be_shown_ends_it_with_a_sentence() -> None:
    rig = Rig(Upper())
    rig.says(Side.SERVER, b"binary")
    assert rig.client.heard == [] and rig.ended
    assert rig.client.closed == (1008, "A binary message can't be masked.")
    assert rig.server.closed == (1001, "")
    assert rig.records == [Faulted(7, "1008", "A binary message can't be masked.")]


@given(st.sampled_from(Side), st.binary(max_size=60))
def test_any_bytes_pass_or_end_the_session(side: Side, data: bytes) -> None:
    with suppress(ProtocolViolation, LimitReached):
        Rig().sends(side, data)
