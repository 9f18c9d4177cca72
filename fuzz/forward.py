"""Harness: an SSH client that forwards, past its transport: channels that the gateway ends, opened, used and left."""

import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from fuzz.choices import Choices, damaged
from fuzz.endings import ending
from hoopproxy.errors import Refused, SessionError
from hoopproxy.listen.ssh_channel import UNTAKEN_MAX, ChannelFrontend, Children
from hoopproxy.model import Arrival, Endpoint
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.wire.ssh.channels import OWN_NUMBERS_FROM
from tests.wire.ssh import speech as say

EVENTS_MAX = 60
CHANNELS_MAX = 3
ARRIVAL = Arrival("c1", "ssh", "ssh", Endpoint(ip_address("198.51.100.9"), 40000), 5.0)
PERMIT: Any = SimpleNamespace(session_id="s7")
HOSTS = (b"cache", b"127.1", b"::1", b"[::1]", b"0x7f.1", b"a.", b"", b"\xff", b"a b", b"h" * 300)
SIZES = (0, 1, 2, 50, 400, 32_768, 131_072, 2**32 - 1)


@dataclass(slots=True)
class Ear:
    """What the client takes of one channel, by what it said."""

    takes: int
    packet_max: int
    has_heard_end: bool = False


@dataclass
class Client:
    """As its channels know it. What it hears is checked against its own books."""

    adopted: list[ChannelFrontend] = field(default_factory=list)
    running: list[Deferred[Any]] = field(default_factory=list)
    ears: dict[int, Ear] = field(default_factory=dict)
    wishes: dict[int, Ear] = field(default_factory=dict)
    theirs: dict[int, int] = field(default_factory=dict)
    room: Deferred[None] | None = None
    bugs: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        adopt: Any = self.adopted.append
        limits, scheduler = Limits(channels_max=CHANNELS_MAX), TwistedScheduler(Clock())
        self.children = Children(self._hears, ARRIVAL, PERMIT, adopt, limits, scheduler)

    async def _hears(self, framed: bytes) -> None:
        try:
            for payload in say.unframed(framed):
                self._heard(payload)
        except (AssertionError, KeyError) as why:  # whoever called may be nobody that anybody waits for
            self.bugs.append(why)
        if self.room is not None:
            await self.room

    def _heard(self, payload: bytes) -> None:
        kind, number = payload[0], int.from_bytes(payload[1:5])
        if kind == 91:
            assert int.from_bytes(payload[5:9]) >= OWN_NUMBERS_FROM
            self.ears[number] = self.wishes.pop(number)
            self.theirs[int.from_bytes(payload[5:9])] = number
        elif kind == 92:
            self.wishes.pop(number, None)
        else:
            ear = self.ears[number]
            assert kind in (93, 94, 96, 97, 100), f"it was told {kind}"
            if kind == 94:
                size = len(payload) - 9
                assert not ear.has_heard_end and 0 < size <= min(ear.takes, ear.packet_max)
                ear.takes -= size
            ear.has_heard_end |= kind == 96
            if kind == 97:
                del self.ears[number]

    def runs(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Until it waits; what comes of it is somebody else's, but it is no bug."""
        running = Deferred.fromCoroutine(coroutine)
        self.running.append(running.addErrback(self.judges))

    def judges(self, failure: Any) -> None:
        """What comes of work is somebody else's, unless it is a bug."""
        if not failure.check(SessionError, CancelledError):
            self.bugs.append(failure.value)


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices, client = Choices(data), Client()
    try:
        for _ in range(EVENTS_MAX):
            if not choices.left:
                break
            choices.pick(_EVENTS)(choices, client)
            _within_limits(client)
    except SessionError as why:
        ending(why)
    client.children.close()
    if client.room is not None:
        room, client.room = client.room, None
        room.callback(None)
    for frontend in client.adopted:
        frontend.close()
    assert not client.children._channels and client.children._untaken == 0
    for running in client.running:
        running.cancel()
    _within_limits(client)
    lost: Any = [frontend.lost for frontend in client.adopted]
    assert all(each._is_set for each in lost)


def _within_limits(client: Client) -> None:
    children = client.children
    if client.bugs:
        raise client.bugs[0]
    assert len(children._channels) <= CHANNELS_MAX and children._untaken <= UNTAKEN_MAX + 1
    for channel in children._channels.values():
        assert len(channel._unread) <= channel.window


def _number(choices: Choices) -> int:
    return choices.pick((0, 0, 0, 1, 1, 2, 3, 2**31 - 1)) + OWN_NUMBERS_FROM


def _opens(choices: Choices, client: Client) -> None:
    number, window = choices.below(4), choices.pick(SIZES)
    packet = choices.pick((32_768, 400, 1, 2**32 - 1, 0))
    where = say.string(choices.pick(HOSTS)) + struct.pack("!I", choices.pick((22, 0, 65_535, 65_536)))
    payload = say.opens(number, "direct-tcpip", window, packet, where + say.string(b"") + bytes(4))
    if number in client.ears or number in client.wishes:
        return  # its own numbers are its own matter
    client.wishes[number] = Ear(window, packet)
    client.children.open(payload)


def _says(choices: Choices, client: Client) -> None:
    payload = choices.pick(_PAYLOADS)(choices)
    payload = (damaged(choices, payload) or b"\0") if choices.byte() & 15 == 15 else payload
    theirs = client.theirs.get(int.from_bytes(payload[1:5]))
    if payload[0] == 93 and len(payload) == 9 and theirs in client.ears:
        client.ears[theirs].takes += int.from_bytes(payload[5:9])
    client.children.take(payload)


_PAYLOADS = (
    *(lambda choices: say.data(_number(choices), choices.some(60) * choices.pick((1, 1, 10, 700))),) * 4,
    *(lambda choices: say.adjust(_number(choices), choices.pick(SIZES)),) * 3,
    lambda choices: say.eof(_number(choices)),
    lambda choices: say.close(_number(choices)),
    lambda choices: say.request(_number(choices), "anything", bool(choices.byte() & 1), choices.some(9)),
    lambda choices: bytes((choices.pick((91, 92, 93, 94, 95, 98, 99, 100)),)) + choices.some(20),
)


def _bursts(choices: Choices, client: Client) -> None:
    """More than any window, if nobody reads."""
    number = _number(choices)
    for _ in range(choices.pick((1, 3, 5, 70))):
        client.children.take(say.data(number, bytes(32_768)))
        _within_limits(client)


def _welcomed(choices: Choices, client: Client) -> None:
    for frontend in client.adopted:
        if frontend._stream.is_confirmed or frontend._stream._is_closed:
            continue
        try:
            client.running.append(Deferred.fromCoroutine(frontend.credentials()).addErrback(client.judges))
            client.runs(frontend.welcome(None, None))  # type: ignore[arg-type] # it looks at neither
        except Refused as why:
            frontend.refuse("s1", why)
        return


def _with(choices: Choices, client: Client) -> ChannelFrontend | None:
    open_ones = [frontend for frontend in client.adopted if frontend._stream.is_confirmed]
    return choices.pick(open_ones) if open_ones else None


def _read(choices: Choices, client: Client) -> None:
    if (frontend := _with(choices, client)) is not None and not _waits(client):
        client.runs(frontend.read())


def _written(choices: Choices, client: Client) -> None:
    if (frontend := _with(choices, client)) is not None and not _waits(client):
        client.runs(frontend.write(choices.some(80) * choices.pick((1, 40, 1000))))


def _waits(client: Client) -> bool:
    """One at a time reads and writes, as the relay does."""
    client.running = [running for running in client.running if not running.called]
    return len(client.running) > 4


def _ended(choices: Choices, client: Client) -> None:
    if (frontend := _with(choices, client)) is not None and not _waits(client):
        client.runs(frontend.end())


def _closed(choices: Choices, client: Client) -> None:
    if client.adopted:
        frontend = client.adopted.pop(choices.below(len(client.adopted)))
        frontend.refuse("s1", Refused("No.", reason="target"))
        frontend.close()


def _stalls(choices: Choices, client: Client) -> None:
    if client.room is None:
        client.room = Deferred()
    else:
        room, client.room = client.room, None
        room.callback(None)


_EVENTS = (
    _opens,
    _opens,
    _welcomed,
    _welcomed,
    *(_says,) * 5,
    _bursts,
    _read,
    _read,
    _written,
    _written,
    _ended,
    _closed,
    _stalls,
)
