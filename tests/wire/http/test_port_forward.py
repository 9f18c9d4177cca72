"""Port-forwards that the gateway ends: what clients say in either dialect, and which lanes come of it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Completed
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.lanes import Frame, Kind
from hoopproxy.wire.http.messages import Headers, RequestHead
from hoopproxy.wire.http.port_forward import CHANNELS, TUNNEL, PortForward, begin, unfit
from hoopproxy.wire.http.reading import Relayed
from hoopproxy.wire.http.spdy import (
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Data,
    Reset,
    SpdyFrame,
    SpdyReader,
    SpdyWriter,
    Syn,
    SynReply,
)
from hoopproxy.wire.http.spdy import Ping as SpdyPing

POD = "prod:shop/web-0"


def head(protocol: str = TUNNEL, query: str = "", **other: str) -> RequestHead:
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": protocol,
    } | {name.replace("_", "-"): value for name, value in other.items()}
    target = f"/api/v1/namespaces/shop/pods/web-0/portforward{query}"
    return RequestHead("GET", "https", "gw", target, "HTTP/1.1", Headers(tuple(headers.items())), is_bodyless=True)


class Client:
    """The client's end of the WebSocket: `heard` are its messages, `frames` are those of its lanes."""

    def __init__(self, request: RequestHead, limits: Limits | None = None) -> None:
        self.answer, self.forward = begin(7, request, POD, limits or Limits())
        self.socket = Connection(ConnectionType.CLIENT)
        self.heard: list[bytes] = []
        self.events: list[Any] = []
        self.frames: list[Frame] = []
        self.ended, self.records = False, ()
        self.gets(self.forward.begin())

    def gets(self, relayed: Relayed) -> None:
        assert relayed.to_server == b"" and relayed.ask is None
        self.frames += relayed.frames
        self.ended |= relayed.ended
        self.records += relayed.records
        self.socket.receive_data(relayed.to_client)
        for event in self.socket.events():
            if isinstance(event, BytesMessage):
                self.heard.append(bytes(event.data))
            else:
                self.events.append(event)

    def sends(self, *events: Any) -> None:
        for event in events:
            self.gets(self.forward.feed(Side.CLIENT, self.socket.send(event)))

    def says(self, *messages: bytes) -> None:
        self.sends(*map(BytesMessage, messages))

    def lane(self, kind: Kind, lane: int, payload: bytes = b"") -> None:
        self.gets(self.forward.take(Frame(kind, lane, payload)))


class Kubectl(Client):
    """One that tunnels SPDY."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.writer, self.reader = SpdyWriter(), SpdyReader(Side.SERVER)
        super().__init__(head(), limits)

    def opens(self, request: int = 0, port: str = "5432") -> int:
        """Both streams of one connection, as kubectl does; the number of the one for data."""
        stream = 4 * request + 1
        headers = {"streamtype": "error", "port": port, "requestid": str(request)}
        self.tells(Syn(stream, headers), Data(stream, b"", is_last=True))
        self.tells(Syn(stream + 2, headers | {"streamtype": "data"}))
        return stream + 2

    def tells(self, *frames: SpdyFrame) -> None:
        self.says(*map(self.writer.bytes_of, frames))

    def told(self) -> list[SpdyFrame]:
        """What it was told since it was last asked for."""
        found = []
        for message in self.heard:
            self.reader.append(message)
        self.heard.clear()
        while (frame := self.reader.next()) is not None:
            found.append(frame)
        return found


def forwarding(**limits: int) -> tuple[Kubectl, int]:
    client = Kubectl(Limits(**limits))
    stream = client.opens()
    client.told()
    client.frames.clear()
    return client, stream


# Beginning ------------------------------------------------------------------------------------------------------------


def test_the_upgrade_is_answered_with_the_dialect_that_the_client_asked_for() -> None:
    answer, _ = begin(1, head(f"v9.other, {CHANNELS}, {TUNNEL}", "?ports=80"), POD, Limits())
    assert answer.status == 101
    assert answer.headers.get("sec-websocket-protocol") == TUNNEL
    assert answer.headers.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "RFC 6455 §1.3"
    answer, _ = begin(1, head(CHANNELS, "?ports=80"), POD, Limits())
    assert answer.headers.get("sec-websocket-protocol") == CHANNELS


@pytest.mark.parametrize(
    ("request_head", "says"),
    [
        (head(), ""),
        (head(CHANNELS, "?ports=80&ports=443,8080"), ""),
        (head(connection="keep-alive"), "WebSocket"),
        (head(upgrade="SPDY/3.1"), "WebSocket"),
        (head(sec_websocket_version="12"), "version 13"),
        (head(sec_websocket_key="short"), "version 13"),
        (head("v4.base64.channel.k8s.io"), TUNNEL),
        (head(TUNNEL.lower()), TUNNEL),
        (head(CHANNELS), "ports=8080"),
        (head(CHANNELS, "?ports=0"), "ports=8080"),
        (head(CHANNELS, "?ports=65536"), "ports=8080"),
        (head(CHANNELS, "?ports=http"), "ports=8080"),
        (head(CHANNELS, "?ports=%zz"), "ports=8080"),
        (head(CHANNELS, "?" + "&".join(["ports=80"] * 128)), "ports=8080"),
    ],
)
def test_what_can_not_be_forwarded_is_said_before(request_head: RequestHead, says: str) -> None:
    sentence = unfit(request_head)
    assert says in sentence
    assert bool(sentence) == bool(says) and (not sentence or sentence.endswith("."))


# SPDY in a WebSocket --------------------------------------------------------------------------------------------------


def test_two_streams_of_one_request_are_a_lane() -> None:
    client = Kubectl()
    stream = client.opens(request=2, port="5432")
    assert client.frames == [Frame(Kind.OPEN, stream, b"prod:shop/web-0:5432")]
    assert client.told() == [SynReply(stream - 2), SynReply(stream)]


def test_data_and_ends_pass_both_ways() -> None:
    client, stream = forwarding()
    client.tells(Data(stream, b"ping"), Data(stream, b"", is_last=True))
    assert client.frames == [Frame(Kind.DATA, stream, b"ping"), Frame(Kind.ENDED, stream)]
    client.lane(Kind.OPENED, stream)
    client.lane(Kind.DATA, stream, b"pong")
    client.lane(Kind.ENDED, stream)
    client.lane(Kind.CLOSED, stream)
    assert client.told() == [
        Data(stream, b"pong"),
        Data(stream, b"", is_last=True),
        Data(stream - 2, b"", is_last=True),
    ]


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.CLOSED])
def test_why_not_stands_on_the_error_stream_and_the_others_go_on(kind: Kind) -> None:
    client, stream = forwarding()
    other = client.opens(request=1)
    client.told()
    client.lane(kind, stream, b"You have no access.")
    assert client.told() == [
        Data(stream - 2, b"You have no access.", is_last=True),
        Data(stream, b"", is_last=True),
    ]
    client.tells(Data(stream, b"late"), Data(other, b"on"))
    assert client.frames[-1] == Frame(Kind.DATA, other, b"on")
    assert not any(frame.payload == b"late" for frame in client.frames)
    client.lane(Kind.DATA, stream, b"late")
    client.lane(Kind.DATA, other, b"and on")
    assert client.told() == [Data(other, b"and on")]


def test_a_reset_ends_the_lane_and_the_error_stream_that_kubectl_waits_for() -> None:
    client, stream = forwarding()
    client.tells(Reset(stream))
    assert client.frames == [Frame(Kind.CLOSED, stream)]
    assert client.told() == [Data(stream - 2, b"", is_last=True)]
    client.lane(Kind.CLOSED, stream, b"too late")
    client.tells(Reset(stream), Reset(stream - 2))
    assert client.told() == [] and len(client.frames) == 1


def test_a_request_whose_error_stream_was_reset_has_none() -> None:
    client = Kubectl()
    headers = {"streamtype": "error", "port": "80", "requestid": "0"}
    client.tells(Syn(1, headers), Reset(1), Syn(3, headers | {"streamtype": "data"}))
    assert client.told() == [SynReply(1), Reset(3, PROTOCOL_ERROR)]
    assert client.frames == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"streamtype": "data", "port": "80", "requestid": "9"},
        {"streamtype": "data", "port": "80"},
        {"streamtype": "error", "port": "80"},
        {"streamtype": "error", "port": "80", "requestid": "0"},
        {"streamtype": "data", "port": "http", "requestid": "0"},
        {"streamtype": "data", "port": "123456", "requestid": "0"},
        {"streamtype": "stdin", "port": "80", "requestid": "0"},
    ],
)
def test_streams_that_make_no_connection_are_reset(headers: dict[str, str]) -> None:
    client = Kubectl()
    client.tells(Syn(1, {"streamtype": "error", "port": "80", "requestid": "0"}), Syn(3, headers))
    assert client.told() == [SynReply(1), Reset(3, PROTOCOL_ERROR)]
    assert client.frames == []


def test_no_more_streams_than_channels_may_be() -> None:
    client, _ = forwarding(channels_max=2)
    headers = {"streamtype": "error", "port": "80"}
    client.tells(Syn(5, headers | {"requestid": "1"}), Syn(7, headers | {"requestid": "2"}))
    assert client.told() == [SynReply(5), Reset(7, REFUSED_STREAM)]


def test_a_clients_pings_are_given_back_and_no_others() -> None:
    client = Kubectl()
    client.tells(SpdyPing(1), SpdyPing(2), SpdyPing(3))
    assert client.told() == [SpdyPing(1), SpdyPing(3)]
    client.sends(Ping(b"hi"))
    assert client.events == [Pong(b"hi")]


@pytest.mark.parametrize("frame", [Syn(2, {}), Syn(1, {}), Data(9, b"x")], ids=["even", "used before", "never opened"])
def test_streams_out_of_turn_are_refused(frame: SpdyFrame) -> None:
    client, _ = forwarding()
    with pytest.raises(ProtocolViolation):
        client.tells(frame)


def test_a_message_of_text_is_refused() -> None:
    with pytest.raises(ProtocolViolation):
        Kubectl().sends(TextMessage("hello"))


def closes(client: Client) -> None:
    client.sends(CloseConnection(1000))
    assert client.events == [CloseConnection(1000, "")]


def leaves(client: Client) -> None:
    client.gets(client.forward.feed(Side.CLIENT, b""))


@pytest.mark.parametrize("goes", [closes, leaves])
def test_the_clients_end_is_the_end(goes: Callable[[Client], None]) -> None:
    client, _ = forwarding()
    goes(client)
    assert client.ended and client.records == (Completed(7, "closed", row_count=0),)


def test_a_farewell_is_a_close_frame_that_says_why() -> None:
    client, _ = forwarding()
    client.gets(Relayed(client.forward.farewell("Your session was ended.")))
    assert client.events == [CloseConnection(1001, "Your session was ended.")]


def test_nothing_of_the_target_comes_this_way() -> None:
    client, _ = forwarding()
    assert client.forward.feed(Side.SERVER, b"x") == client.forward.feed(Side.SERVER, b"") == Relayed()


@given(st.binary(min_size=1, max_size=2000), st.lists(st.integers(1, 300), min_size=1, max_size=20))
def test_what_passes_is_the_same_however_frames_and_messages_are_cut(raw: bytes, sizes: list[int]) -> None:
    client, stream = forwarding()
    spoken = client.writer.bytes_of(Data(stream, raw)) + client.writer.bytes_of(Data(stream, b"", is_last=True))
    framed = b""
    while spoken:
        size = sizes[len(framed) % len(sizes)]
        framed += client.socket.send(BytesMessage(spoken[:size]))
        spoken = spoken[size:]
    while framed:
        size = sizes[len(framed) % len(sizes)]
        client.gets(client.forward.feed(Side.CLIENT, framed[:size]))
        framed = framed[size:]
    assert b"".join(frame.payload for frame in client.frames) == raw
    assert client.frames[-1] == Frame(Kind.ENDED, stream)


# v4.channel.k8s.io ----------------------------------------------------------------------------------------------------


def native() -> Client:
    return Client(head(CHANNELS, "?ports=80&ports=5432"))


def test_each_port_is_a_lane_at_once_and_each_channel_begins_with_it() -> None:
    client = native()
    assert client.frames == [
        Frame(Kind.OPEN, 1, b"prod:shop/web-0:80"),
        Frame(Kind.OPEN, 2, b"prod:shop/web-0:5432"),
    ]
    assert client.heard == [b"\0\x50\0", b"\1\x50\0", b"\2\x38\x15", b"\3\x38\x15"]


def test_channels_pass_data_and_say_what_went_wrong() -> None:
    client = native()
    client.heard.clear()
    client.frames.clear()
    client.says(b"\2ping", b"\2", b"")
    assert client.frames == [Frame(Kind.DATA, 2, b"ping")]
    client.lane(Kind.OPENED, 2)
    client.lane(Kind.DATA, 2, b"pong")
    client.lane(Kind.REFUSED, 1, b"No.")
    assert client.heard == [b"\2pong", b"\1No."]
    client.says(b"\0late")
    assert len(client.frames) == 1 and not client.ended


def test_when_all_ports_are_over_so_is_the_connection() -> None:
    client = native()
    client.frames.clear()
    client.lane(Kind.ENDED, 1)
    assert client.frames == [Frame(Kind.CLOSED, 1)], "its client can't be told that only one direction has ended"
    assert not client.ended
    client.lane(Kind.CLOSED, 1)
    assert not client.ended
    client.lane(Kind.CLOSED, 2)
    assert client.ended and client.events == [CloseConnection(1000, "")]


@pytest.mark.parametrize("message", [b"\1error", b"\4beyond"])
def test_channels_that_are_not_the_clients_are_refused(message: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        native().says(message)


def test_it_has_all_that_an_upgraded_connection_has() -> None:
    forward: PortForward = native().forward
    assert forward.release() == Relayed()
    assert forward.resume(Side.CLIENT, object()) == Relayed()  # type: ignore[arg-type] # nothing was asked
