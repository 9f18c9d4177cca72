"""Forwarded channels without a transport: what a client's messages do, and which messages it gets."""

import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hoopproxy.errors import BrokenOff, LimitReached, ProtocolViolation, Refused, Revoked, UpstreamUnreachable
from hoopproxy.listen.ssh_channel import (
    UNTAKEN_MAX,
    WINDOW_BYTES_MAX,
    WINDOW_BYTES_MIN,
    ChannelFrontend,
    Children,
)
from hoopproxy.model import Arrival, Endpoint, IPAddress, Side
from hoopproxy.registry import faults
from hoopproxy.rooms import IFrontend
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.wire.ssh.channels import OWN_NUMBERS_FROM as NUMBER_MIN
from hoopproxy.wire.ssh.packets import Splitter

HERE: IPAddress = ip_address("198.51.100.9")
ARRIVAL = Arrival("c1", "ssh", "ssh", Endpoint(HERE, 40000), 5.0)
PERMIT: Any = SimpleNamespace(session_id="s7")
PASSAGE: Any = None
PEER: Any = None


def text(value: bytes) -> bytes:
    return struct.pack("!I", len(value)) + value


def opening(host: bytes = b"cache", port: int = 6379, number: int = 3, window: int = 1000, packet: int = 400) -> bytes:
    where = text(host) + struct.pack("!I", port) + text(b"127.0.0.1") + struct.pack("!I", 5000)
    return b"\x5a" + text(b"direct-tcpip") + struct.pack("!III", number, window, packet) + where


def data(payload: bytes, number: int = NUMBER_MIN) -> bytes:
    return struct.pack("!BI", 94, number) + text(payload)


def adjust(count: int, number: int = NUMBER_MIN) -> bytes:
    return struct.pack("!BII", 93, number, count)


EOF, CLOSE = (struct.pack("!BI", kind, NUMBER_MIN) for kind in (96, 97))


@dataclass
class Client:
    """An SSH client as its frontend knows it: `sent` are the payloads that it got, `adopted` what it opened."""

    limits: Limits = field(default_factory=Limits)
    sent: list[bytes] = field(default_factory=list)
    adopted: list[ChannelFrontend] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.room: Deferred[None] | None = None
        scheduler = TwistedScheduler(Clock())
        self.children = Children(self.send, ARRIVAL, PERMIT, self.adopt, self.limits, scheduler)

    async def send(self, framed: bytes) -> None:
        splitter = Splitter(Side.SERVER)
        splitter.append(framed)
        payload = splitter.next()
        assert payload is not None and not splitter.is_amid
        self.sent.append(payload)
        if self.room is not None:
            await self.room

    def adopt(self, frontend: IFrontend) -> None:
        assert isinstance(frontend, ChannelFrontend)
        self.adopted.append(frontend)

    def says(self, payload: bytes) -> bool:
        return self.children.take(payload)

    def opens(self, **how: Any) -> ChannelFrontend:
        """A channel that was welcomed."""
        self.children.open(opening(**how))
        now(self.adopted[-1].welcome(PASSAGE, PEER))
        return self.adopted[-1]

    def got(self, kind: int) -> list[bytes]:
        """The rest of what it got of that kind, behind the number of its channel."""
        return [payload[5:] for payload in self.sent if payload[0] == kind]


def started[T](work: Coroutine[Any, Any, T]) -> list[T]:
    """Empty while it waits."""
    results: list[T] = []
    Deferred.fromCoroutine(work).addCallback(results.append)
    return results


def now[T](work: Coroutine[Any, Any, T] | Deferred[T]) -> T:
    results: list[Any] = []
    (work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)).addBoth(results.append)
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def test_a_channel_is_a_client_connection_of_its_own() -> None:
    client = Client()
    client.children.open(opening())
    (channel,) = client.adopted
    assert faults(IFrontend, channel) == ""
    assert client.sent == []
    arrival = channel.arrival
    assert (arrival.protocol, arrival.parent, arrival.listener) == ("tcp", "s7", "ssh")
    assert arrival.client == ARRIVAL.client and arrival.connection_id != ARRIVAL.connection_id
    credentials = now(channel.credentials())
    assert credentials is not None
    assert credentials.target_name == "cache:6379" and credentials.parent is PERMIT
    assert (credentials.account, credentials.database, credentials.secret.reveal()) == ("", "", "")
    now(channel.welcome(PASSAGE, PEER))
    assert client.sent == [struct.pack("!BIIII", 91, 3, NUMBER_MIN, WINDOW_BYTES_MAX, 32768)]


def test_an_ipv6_address_stands_in_brackets() -> None:
    client = Client()
    client.children.open(opening(b"::1", 80))
    credentials = now(client.adopted[0].credentials())
    assert credentials is not None and credentials.target_name == "[::1]:80"


@pytest.mark.parametrize("host", [b"", b"a b", b"\x1b[2J", b"x" * 300, "bücher".encode(), b"a\nb"])
def test_what_is_no_host_gets_into_no_log(host: bytes) -> None:
    client = Client()
    client.children.open(opening(host))
    with pytest.raises(Refused, match="no host"):
        now(client.adopted[0].credentials())


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        (Refused("No.", reason="grant"), 1),
        (UpstreamUnreachable("Down."), 2),
        (LimitReached("Full.", limit="limits.x"), 4),
    ],
)
def test_a_refusal_is_told_in_the_place_of_a_confirmation(why: Any, reason: int) -> None:
    client = Client()
    client.children.open(opening())
    (channel,) = client.adopted
    channel.refuse("s8", why)
    channel.close()
    sentence = f"{why.sentence} (session s8)".encode()
    assert client.sent == [struct.pack("!BII", 92, 3, reason) + text(sentence) + text(b"en")]


def test_after_the_welcome_there_is_no_place_for_a_sentence() -> None:
    client = Client()
    channel = client.opens()
    channel.inform("Wait.")
    channel.refuse("s8", Revoked("Killed."))
    channel.close()
    assert client.sent[1:] == [struct.pack("!BI", 97, 3)]


def test_what_the_client_sends_is_read_in_order_and_in_chunks() -> None:
    client = Client(Limits(chunk_bytes_max=5))
    channel = client.opens()
    assert client.says(data(b"abc")) and client.says(data(b"defgh"))
    assert [now(channel.read()) for _ in range(2)] == [b"abcde", b"fgh"]
    (waiting) = started(channel.read())
    assert waiting == []
    client.says(data(b"i"))
    assert waiting == [b"i"]


def test_messages_on_other_channels_and_on_none_are_not_ours() -> None:
    client = Client()
    client.opens()
    assert not client.says(data(b"abc", number=0))
    assert not client.says(opening())
    assert not client.says(b"\x50" + text(b"keepalive@openssh.com") + b"\1")


def test_the_client_gets_room_as_its_bytes_go_on() -> None:
    client = Client()
    channel = client.opens()
    piece = b"x" * 32768
    for _ in range(WINDOW_BYTES_MAX // len(piece)):
        client.says(data(piece))
    assert client.got(93) == []
    read = 0
    while read < WINDOW_BYTES_MAX:
        read += len(now(channel.read()))
    assert client.got(93) == [struct.pack("!I", WINDOW_BYTES_MAX // 2)] * 2
    for _ in range(WINDOW_BYTES_MAX // len(piece)):
        client.says(data(piece))
    with pytest.raises(ProtocolViolation):
        client.says(data(b"x"))


def test_more_than_there_is_room_for_breaks_the_protocol() -> None:
    client = Client(Limits(channels_max=1000))
    for _ in range(500):  # windows shrink until the smallest is reached
        client.opens()
    number = NUMBER_MIN + 499
    piece = b"x" * 32768
    for _ in range(WINDOW_BYTES_MIN // len(piece)):
        client.says(data(piece, number))
    with pytest.raises(ProtocolViolation, match="room"):
        client.says(data(b"x", number))


def test_channels_share_what_one_client_may_fill() -> None:
    client = Client()
    windows = [client.opens().window for _ in range(256)]
    assert windows[:5] == [WINDOW_BYTES_MAX] * 5 and windows[-1] == WINDOW_BYTES_MIN
    assert windows == sorted(windows, reverse=True) and len(set(windows)) > 8, "it gets less bit by bit"
    assert sum(windows) <= 16 * WINDOW_BYTES_MAX + 256 * WINDOW_BYTES_MIN


def test_the_client_s_windows_and_packets_are_respected() -> None:
    client = Client()
    channel = client.opens(window=1000, packet=400)
    written = started(channel.write(b"y" * 1500))
    assert [len(each) - 4 for each in client.got(94)] == [400, 400, 200]
    assert written == []
    client.says(adjust(100))
    assert written == []
    client.says(adjust(2**32 - 1))
    assert [len(each) - 4 for each in client.got(94)] == [400, 400, 200, 100, 400]
    assert written == [None]


def test_a_client_that_takes_nothing_stops_who_writes() -> None:
    client = Client()
    channel = client.opens(window=1000, packet=400)
    client.room = Deferred()
    written = started(channel.write(b"y" * 800))
    assert len(client.got(94)) == 1
    room, client.room = client.room, None
    room.callback(None)
    assert written == [None] and len(client.got(94)) == 2


def test_each_side_may_end_and_still_hear() -> None:
    client = Client()
    channel = client.opens()
    client.says(data(b"last"))
    client.says(EOF)
    assert [now(channel.read()) for _ in range(3)] == [b"last", b"", b""]
    now(channel.write(b"answer"))
    now(channel.end())
    now(channel.write(b"too late"))
    now(channel.end())
    channel.close()
    channel.close()
    assert client.got(94) == [text(b"answer")]
    assert [payload[0] for payload in client.sent] == [91, 94, 96, 97]
    assert client.says(CLOSE)
    with pytest.raises(ProtocolViolation, match="does not belong"):
        client.says(CLOSE)


def test_the_gateway_may_end_and_still_read() -> None:
    client = Client()
    channel = client.opens()
    now(channel.end())
    client.says(data(b"more"))
    assert now(channel.read()) == b"more"
    assert not started(channel.lost.wait())


def test_what_came_before_a_farewell_is_still_read() -> None:
    client = Client()
    channel = client.opens()
    client.says(data(b"set x"))
    client.says(EOF)
    client.says(CLOSE)
    assert started(channel.lost.wait())
    assert [now(channel.read()) for _ in range(2)] == [b"set x", b""]
    now(channel.write(b"to nobody"))
    channel.close()
    assert [payload[0] for payload in client.sent] == [91, 97]


def test_a_farewell_without_an_end_is_no_end() -> None:
    client = Client()
    channel = client.opens()
    client.says(data(b"half a"))
    client.says(CLOSE)
    assert now(channel.read()) == b"half a"
    with pytest.raises(BrokenOff):
        now(channel.read())


def test_what_comes_after_our_farewell_is_dropped() -> None:
    client = Client()
    channel = client.opens()
    reading = started(channel.read())
    channel.close()
    assert reading == [b""]
    assert client.says(data(b"late")) and client.says(adjust(1)) and client.says(EOF) and client.says(CLOSE)
    assert now(channel.read()) == b""


def test_when_the_client_goes_all_its_channels_end_and_nothing_is_said_any_more() -> None:
    client = Client()
    first, second = client.opens(), client.opens(number=4, window=10)
    client.children.open(opening(number=5))
    entering = client.adopted[-1]
    client.says(data(b"unread"))
    reading, writing = Deferred.fromCoroutine(second.read()), started(second.write(b"z" * 20))
    said = len(client.sent)
    client.children.close()
    with pytest.raises(BrokenOff):
        now(reading)
    assert writing == [None]
    with pytest.raises(BrokenOff):  # what nobody has read yet goes nowhere
        now(first.read())
    assert all(started(each.lost.wait()) for each in client.adopted)
    with pytest.raises(Revoked):
        now(entering.welcome(PASSAGE, PEER))
    for each in client.adopted:
        each.refuse("s9", Revoked("Over."))
        each.close()
    client.children.close()
    assert len(client.sent) == said


def test_requests_on_a_channel_are_refused_where_an_answer_is_wanted() -> None:
    client = Client()
    client.opens()
    for wanted in (b"\1", b"\0"):
        client.says(struct.pack("!BI", 98, NUMBER_MIN) + text(b"winadj@putty.projects.tartarus.org") + wanted)
    assert client.sent[1:] == [struct.pack("!BI", 100, 3)]
    client.adopted[0].close()
    client.says(struct.pack("!BI", 98, NUMBER_MIN) + text(b"late") + b"\1")
    assert client.sent[2:] == [struct.pack("!BI", 97, 3)]


def test_a_flood_of_requests_whose_answers_nobody_takes_breaks_the_protocol() -> None:
    client = Client()
    client.opens()
    client.room = Deferred()
    request = struct.pack("!BI", 98, NUMBER_MIN) + text(b"x") + b"\1"
    for _ in range(UNTAKEN_MAX):
        client.says(request)
    with pytest.raises(ProtocolViolation):
        client.says(request)


def test_there_is_a_most_of_channels() -> None:
    client = Client(Limits(channels_max=2))
    channel, _ = client.opens(), client.opens(number=4)
    client.children.open(opening(number=5))
    assert len(client.adopted) == 2
    assert client.sent[-1][:9] == struct.pack("!BII", 92, 5, 4) and b"limits.channels_max" in client.sent[-1]
    channel.close()
    client.says(CLOSE)
    client.opens(number=5)
    assert len(client.adopted) == 3


NUMBER = struct.pack("!I", NUMBER_MIN)
BROKEN: list[Callable[[], bytes]] = [
    lambda: data(b"x", NUMBER_MIN + 1),
    lambda: b"\x5e" + NUMBER + struct.pack("!I", 5) + b"abc",
    lambda: b"\x5e" + NUMBER + text(b"abc") + b"?",
    lambda: b"\x5e" + NUMBER,
    lambda: b"\x5e" + NUMBER[:2],
    lambda: data(b"x" * 32769),
    lambda: b"\x5d" + NUMBER,
    lambda: b"\x5f" + NUMBER + struct.pack("!I", 1) + text(b"stderr"),
    lambda: b"\x60" + NUMBER + b"?",
    lambda: b"\x61" + NUMBER + b"?",
    lambda: b"\x62" + NUMBER + text(b"shell"),
    lambda: b"\x63" + NUMBER,
    lambda: b"\x5b" + NUMBER + bytes(12),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_no_client_may_say_breaks_the_protocol(broken: Callable[[], bytes]) -> None:
    client = Client()
    client.opens()
    with pytest.raises(ProtocolViolation) as caught:
        client.says(broken())
    assert caught.value.side == "client"


def test_data_behind_its_end_breaks_the_protocol() -> None:
    client = Client()
    client.opens()
    client.says(EOF)
    with pytest.raises(ProtocolViolation):
        client.says(data(b"x"))


def test_data_before_the_welcome_breaks_the_protocol() -> None:
    client = Client()
    client.children.open(opening())
    with pytest.raises(ProtocolViolation, match="does not belong"):
        client.says(data(b"x"))


def test_more_room_than_any_channel_has_breaks_the_protocol() -> None:
    client = Client()
    client.opens(window=2**32 - 1)
    with pytest.raises(ProtocolViolation):
        client.says(adjust(1))


@pytest.mark.parametrize("length", range(1, len(opening())))
def test_an_opening_that_is_cut_is_none(length: int) -> None:
    client = Client()
    with pytest.raises(ProtocolViolation):
        client.children.open(opening()[:length])
    assert client.adopted == []


@pytest.mark.parametrize("broken", [opening() + b"?", opening(packet=0), opening().replace(b"direct", b"indire")])
def test_an_opening_that_is_longer_or_carries_nothing_or_is_another_is_none(broken: bytes) -> None:
    client = Client()
    with pytest.raises(ProtocolViolation):
        client.children.open(broken)
    assert client.adopted == []


@given(st.binary(min_size=1, max_size=40))
def test_whatever_comes_is_dealt_with_or_refused(payload: bytes) -> None:
    client = Client()
    channel = client.opens()
    try:
        client.says(payload[:1] + NUMBER + payload[1:])
    except ProtocolViolation:
        client.children.close()
    channel.close()


@given(st.data())
def test_bytes_arrive_as_they_were_sent_however_small_windows_and_pieces_are(draws: st.DataObject) -> None:
    client = Client(Limits(chunk_bytes_max=draws.draw(st.integers(1, 50))))
    window, packet = draws.draw(st.integers(0, 30)), draws.draw(st.integers(1, 20))
    channel = client.opens(window=window, packet=packet)
    down, up = draws.draw(st.binary(max_size=200)), draws.draw(st.lists(st.binary(max_size=50), max_size=10))
    written = started(channel.write(down))
    seen, room = b"", window
    for piece in up:
        client.says(data(piece))
    read = b"".join(now(channel.read()) for _ in range(-(-sum(map(len, up)) // channel._chunk_bytes_max)))
    while True:
        got = client.got(94)
        assert all(len(each) - 4 <= packet for each in got)
        seen = b"".join(each[4:] for each in got)
        assert len(seen) <= room
        if len(seen) == len(down):
            break
        assert len(seen) == room
        more = draws.draw(st.integers(1, 60))
        room += more
        client.says(adjust(more))
    assert written == [None]
    assert (seen, read) == (down, b"".join(up))
