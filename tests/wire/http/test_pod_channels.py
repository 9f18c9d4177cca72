"""Streams of a process in a pod: passed, recorded, masked by lines, and how they end."""

import json
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Call, Completed, Faulted, Keep, Plan, Record, Shape, Streamed, Terminal
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.pod_channels import STATUS_BYTES_MAX, V4, V5, Pod, PodChannels, offered
from hoopproxy.wire.http.websocket import Heard, Sockets, Whole
from hoopproxy.wire.lines import HOLD_S, TERMINAL_HOLD_S

SECRET = b"4111111111111111"


def channels(*, is_terminal: bool = False, is_masked: bool = False, protocol: str = V5) -> PodChannels:
    return PodChannels(Pod(7, is_terminal=is_terminal, is_masked=is_masked, protocol=protocol))


def masks(plan_of: Heard) -> Plan:
    assert plan_of.ask is not None
    return Plan(plan_of.ask, (Call(lambda line: line.replace(SECRET, b"************1111"), "pans"),))


class Way:
    """What the client saw, stream by stream, and what was recorded."""

    def __init__(self, talk: PodChannels) -> None:
        self.talk = talk
        self.shown: dict[int, bytes] = {1: b"", 2: b"", 3: b""}
        self.records: list[Record] = []

    def says(self, channel: int, data: bytes) -> None:
        heard = self.talk.said(Side.SERVER, Whole(bytes((channel,)) + data))
        self.saw(heard)
        if heard.ask is not None:
            self.saw(self.talk.resume(Side.SERVER, masks(heard)))

    def saw(self, heard: Heard) -> None:
        self.records += heard.records
        for message in heard.passed:
            self.shown[message.data[0]] += message.data[1:]


def status(**fields: object) -> bytes:
    return json.dumps({"metadata": {}, **fields}).encode()


EXIT_7 = status(
    status="Failure",
    reason="NonZeroExitCode",
    message="command terminated with exit code 7",
    details={"causes": [{"reason": "Other", "message": "9"}, {"reason": "ExitCode", "message": "7"}]},
)


@pytest.mark.parametrize(
    ("client", "target"),
    [
        ((V5,), (V5, V4)),
        ((V4,), (V4,)),
        ((V4, V5, "channel.k8s.io"), (V5, V4)),
        (("channel.k8s.io", "base64.channel.k8s.io", ""), ()),
        ((), ()),
    ],
)
def test_the_target_is_offered_what_the_client_can_be_told(client: tuple[str, ...], target: tuple[str, ...]) -> None:
    assert offered(client) == target


def test_streams_pass_and_are_recorded() -> None:
    talk = channels()
    assert talk.said(Side.CLIENT, Whole(b"\x00ls\n")) == Heard((Whole(b"\x00ls\n"),), (Streamed(7, "stdin", b"ls\n"),))
    assert talk.said(Side.SERVER, Whole(b"\x01a\n")) == Heard((Whole(b"\x01a\n"),), (Streamed(7, "stdout", b"a\n"),))
    assert talk.said(Side.SERVER, Whole(b"\x02b")) == Heard((Whole(b"\x02b"),), (Streamed(7, "stderr", b"b"),))
    assert talk.said(Side.SERVER, Whole(b"\x01")) == Heard((Whole(b"\x01"),))
    assert talk.hold_s == 0


def test_clients_that_send_text_are_heard_as_they_speak() -> None:
    assert channels().said(Side.CLIENT, Whole(b"\x00x", is_text=True)).passed == (Whole(b"\x00x", is_text=True),)


def test_the_end_of_stdin_reaches_only_who_knows_of_it() -> None:
    assert channels().said(Side.CLIENT, Whole(b"\xff\x00")).passed == (Whole(b"\xff\x00"),)
    assert channels(protocol=V4).said(Side.CLIENT, Whole(b"\xff\x00")) == Heard()


def test_a_terminal_is_there_before_anything_of_it_is_shown() -> None:
    talk = channels(is_terminal=True)
    assert talk.begin() == Heard(records=(Terminal(7, 0, 0, ""),))
    assert channels().begin() == Heard()
    assert talk.said(Side.CLIENT, Whole(b'\x04{"Width":101,"Height":37}\n')).records == (Terminal(7, 101, 37, ""),)


@pytest.mark.parametrize(
    ("said", "record"),
    [
        (status(status="Success"), Completed(7, "exit 0", 0)),
        (EXIT_7, Completed(7, "exit 7", 0)),
        (
            status(status="Failure", reason="InternalError", message="no such file"),
            Faulted(7, "InternalError", "no such file"),
        ),
        (
            status(status="Failure", reason="NonZeroExitCode", details={"causes": [7]}),
            Faulted(7, "NonZeroExitCode", ""),
        ),
        (b"[]", Faulted(7, "", "")),
    ],
)
def test_how_it_ended_is_recorded(said: bytes, record: Record) -> None:
    heard = channels().said(Side.SERVER, Whole(b"\x03" + said))
    assert heard == Heard((Whole(b"\x03" + said),), (record,))


def test_a_status_in_pieces_is_one() -> None:
    talk = channels()
    assert talk.said(Side.SERVER, Whole(b"\x03" + EXIT_7[:20])).records == ()
    assert talk.said(Side.SERVER, Whole(b"\x03" + EXIT_7[20:])).records == (Completed(7, "exit 7", 0),)


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (Side.CLIENT, b""),
        (Side.CLIENT, b"\x01x"),
        (Side.CLIENT, b"\x03{}"),
        (Side.CLIENT, b"\xff\x01"),
        (Side.CLIENT, b"0aGk="),
        (Side.CLIENT, b"\x04"),
        (Side.CLIENT, b"\x04[]"),
        (Side.CLIENT, b'\x04{"Width":80}'),
        (Side.CLIENT, b'\x04{"Width":true,"Height":24}'),
        (Side.CLIENT, b'\x04{"Width":-1,"Height":24}'),
        (Side.CLIENT, b'\x04{"Width":65536,"Height":24}'),
        (Side.SERVER, b""),
        (Side.SERVER, b"\x00x"),
        (Side.SERVER, b"\x04{}"),
        (Side.SERVER, b"\xff\x00"),
        (Side.SERVER, b"\x03" + b"x" * (STATUS_BYTES_MAX + 1)),
    ],
)
def test_what_is_not_that_side_s_to_say_ends_the_session(side: Side, message: bytes) -> None:
    with pytest.raises(ProtocolViolation) as why:
        channels().said(side, Whole(message))
    assert why.value.side == side.value


@given(
    st.lists(st.sampled_from([b"card ", SECRET, b"\n", b"\r\n", b"x"]), max_size=12).map(b"".join),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_a_number_is_masked_however_it_is_cut(text: bytes, sizes: list[int]) -> None:
    way, size, at = Way(channels(is_masked=True)), cycle(sizes), 0
    while at < len(text):
        step = next(size)
        way.says(1, text[at : at + step])
        at += step
    way.saw(way.talk.release())
    assert way.shown[1] == text.replace(SECRET, b"************1111")
    assert b"".join(each.raw for each in way.records if isinstance(each, Streamed)) == way.shown[1]


def test_each_stream_is_asked_about_once_and_masked_by_itself() -> None:
    talk = channels(is_masked=True)
    first = talk.said(Side.SERVER, Whole(b"\x01a"))
    assert first.ask is not None and [each.name for each in first.ask.fields] == ["stdout"]
    talk.resume(Side.SERVER, Plan(first.ask, (Keep(),)))
    assert talk.said(Side.SERVER, Whole(b"\x01b\n")).passed == (Whole(b"\x01ab\n"),)
    second = talk.said(Side.SERVER, Whole(b"\x02c\n"))
    assert second.ask is not None and [each.name for each in second.ask.fields] == ["stderr"]


@pytest.mark.parametrize(("is_terminal", "hold_s"), [(False, HOLD_S), (True, TERMINAL_HOLD_S)])
def test_a_prompt_is_held_only_for_a_moment(is_terminal: bool, hold_s: float) -> None:
    way = Way(channels(is_masked=True, is_terminal=is_terminal))
    way.says(1, b"password: ")
    assert way.shown[1] == b"" and way.talk.hold_s == hold_s
    way.saw(way.talk.release())
    assert way.shown[1] == b"password: " and way.talk.hold_s == 0


def test_what_is_held_is_shown_before_the_end_is() -> None:
    talk = channels(is_masked=True)
    first = talk.said(Side.SERVER, Whole(b"\x01no line end"))
    talk.resume(Side.SERVER, masks(first))
    heard = talk.said(Side.SERVER, Whole(b"\x03" + EXIT_7))
    assert [message.data[:1] for message in heard.passed] == [b"\x01", b"\x03"]
    assert heard.records == (Streamed(7, "stdout", b"no line end"), Completed(7, "exit 7", 0))


def test_output_that_no_mask_allows_is_refused() -> None:
    talk = channels(is_masked=True)
    first = talk.said(Side.SERVER, Whole(b"\x01x\n"))
    assert first.ask is not None
    assert talk.resume(Side.SERVER, Plan(first.ask, (Keep(),), "Not this.")) == Heard(refusal="Not this.")


def test_the_gateway_s_own_words_are_a_status() -> None:
    (message,) = channels().farewell("Your session was ended by an operator.")
    assert message.data[0] == 3
    told = json.loads(message.data[1:])
    assert (told["status"], told["message"]) == ("Failure", "Your session was ended by an operator.")


def test_what_is_held_reaches_the_client_before_a_close_or_a_pause_does() -> None:
    def masked() -> tuple[Sockets, FrameProtocol]:
        sockets, target = Sockets(7, Limits(), channels(is_masked=True)), FrameProtocol(client=False, extensions=[])
        asking = sockets.feed(Side.SERVER, bytes(target.send_data(b"\x01no line end")))
        assert isinstance(asking.ask, Shape)
        held = sockets.resume(Side.SERVER, Plan(asking.ask, (Keep(),)))
        assert (held.to_client, held.hold_s) == (b"", HOLD_S)
        return sockets, target

    shown = b"\x82\x0c\x01no line end"
    sockets, target = masked()
    closed = sockets.feed(Side.SERVER, bytes(target.close(1000)))
    assert closed.to_client == shown + b"\x88\x02\x03\xe8" and closed.hold_s == 0
    assert masked()[0].release().to_client == shown
    assert masked()[0].feed(Side.SERVER, b"").to_client.startswith(shown)
