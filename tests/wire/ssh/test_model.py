"""A model client and a model server on both ends of the machine, in any order of doing things: each keeps its own
windows, believes nobody, and in the end has what the other sent, masked."""

import random
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.events import Ask, Forward, Plan, Shape, Step, Streamed
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.ssh import holding
from hoopproxy.wire.ssh.machine import SshWire
from hoopproxy.wire.ssh.terms import Terms

from . import speech as say
from .rig import calls

CANARY = b"4111111111111111"
MASKS = {"shorter": b"<card>", "longer": b"x" * 60, "as-long": b"************1111"}
CHANNELS = 3
TOLD = re.compile(rb"\r\nhoopproxy: [^\r\n]*\r\n")


@dataclass
class End:
    """One end of one channel. `room`: it may send so much; `takes`: it lets the other send so much."""

    number: int
    other: int
    room: int
    takes: int
    packet_max: int
    unread: int = 0
    got: dict[int, bytearray] = field(default_factory=lambda: {0: bytearray(), 1: bytearray()})
    sent: dict[int, bytearray] = field(default_factory=lambda: {0: bytearray(), 1: bytearray()})
    unsent: dict[int, bytearray] = field(default_factory=lambda: {0: bytearray(), 1: bytearray()})
    runs: bool = False
    ended: bool = False
    closed: bool = False
    heard: list[str] = field(default_factory=list)


class World:
    """All three, and the bytes between them."""

    def __init__(self, dice: random.Random, mask: bytes | None) -> None:
        self.dice, self.mask = dice, mask
        self.wire = SshWire(Terms(mask is not None, (), Limits(), count(1)), dice.choice([1, 5, 1000]))
        self.lines: dict[Side, bytearray] = {side: bytearray() for side in Side}
        self.steps: dict[Side, Step | None] = dict.fromkeys(Side)
        self.clients: dict[int, End] = {}
        self.servers: dict[int, End] = {}
        self.done: list[tuple[End, End]] = []
        self.shown: dict[int, bytes] = {}
        self.in_order: list[bytes] = []
        self.replies_wanted = self.replies = 0
        self.recorded = b""

    # The machine ----------------------------------------------------------------------------------------------------

    def deliver(self, side: Side, size: int) -> None:
        if self.steps[side] is None and self.lines[side]:
            data = bytes(self.lines[side][:size])
            del self.lines[side][:size]
            self._did(side, self.wire.feed(side, data))

    def answer(self, side: Side) -> None:
        step = self.steps[side]
        if step is not None:
            self._did(side, self.wire.resume(side, None if step.ask is None else self._reply(step.ask)))

    def _reply(self, ask: Ask) -> Forward | Plan:
        if isinstance(ask, Shape):
            assert self.mask is not None
            hidden = self.mask
            return calls(lambda line: line.replace(CANARY, hidden))(ask)
        return Forward(ask.text)

    def release(self) -> None:
        """The server paused; not amid a number, which would be its own fault."""
        amid = any(end.unsent[code] for end in self.servers.values() for code in (0, 1))
        if self.steps[Side.SERVER] is None and not amid and not self.lines[Side.SERVER]:
            self._did(Side.SERVER, self.wire.release(Side.SERVER))

    def _did(self, side: Side, step: Step) -> None:
        self.steps[side] = step if step.ask is not None or step.more else None
        self.recorded += b"".join(record.raw for record in step.records if isinstance(record, Streamed))
        for payload in say.unframed(step.to_server):
            self._server_hears(payload)
        for payload in say.unframed(step.to_client):
            self._client_hears(payload)

    # Both ends ------------------------------------------------------------------------------------------------------

    def say(self, side: Side, payload: bytes) -> None:
        self.lines[side] += say.framed(payload)

    def _hears(self, payload: bytes, ends: dict[int, End]) -> End:
        end = ends[struct.unpack("!I", payload[1:5])[0]]
        kind = payload[0]
        assert "close" not in end.heard, "something was said behind the close"
        if kind == 93:
            end.room += struct.unpack("!I", payload[5:9])[0]
            assert end.room < 1 << 32
        elif kind in (94, 95):
            assert "eof" not in end.heard, "data behind their end"
            raw = payload[9:] if kind == 94 else payload[13:]
            assert 0 < len(raw) <= min(end.takes, end.packet_max), "more than the window has room for"
            end.takes -= len(raw)
            end.unread += len(raw)
            end.got[kind - 94] += raw
        elif kind in (96, 97):
            assert ("eof" if kind == 96 else "close") not in end.heard
            end.heard.append("eof" if kind == 96 else "close")
        return end

    def _gone(self, client: End | None) -> None:
        """Both ends of a channel heard the other's close: its numbers are free."""
        if client is not None and client.closed and "close" in client.heard:
            server = self.servers.get(client.other)
            if server is not None and server.closed and "close" in server.heard:
                self.done.append((client, server))
                del self.clients[client.number], self.servers[server.number]

    # The server -----------------------------------------------------------------------------------------------------

    def _server_hears(self, payload: bytes) -> None:
        if payload[0] == 90:
            number, window, _ = struct.unpack("!III", payload[12:24])
            mine = min(set(range(100, 200)) - self.servers.keys())
            takes = self.dice.choice([0, 10, 1000, 1 << 20])
            self.servers[mine] = End(mine, number, window, takes, 512)
            self.say(Side.SERVER, say.confirmed(number, mine, takes, 512))
            return
        end = self._hears(payload, self.servers)
        if payload[0] == 98 and not end.closed:
            end.runs |= b"exec" in payload
            self.say(Side.SERVER, say.success(end.other) if b"exec" in payload else say.failure(end.other))
        elif payload[0] == 97:
            if not end.closed:
                end.closed = True
                self.say(Side.SERVER, say.close(end.other))
            self._gone(self.clients.get(end.other))

    def server_writes(self) -> None:
        for end in self._some(self.servers):
            if end.runs and not end.ended and not end.closed:
                code = self.dice.randrange(2)
                words = [CANARY, CANARY, b"some words ", b", ", b"\n", b"\r\n", b"y" * 50]
                text = b"".join(self.dice.choices(words, k=self.dice.randrange(1, 5)))
                end.unsent[code] += text.replace(CANARY + CANARY, CANARY + b"," + CANARY)
                if end.sent[code].endswith(CANARY) or len(end.unsent[code]) > len(text):
                    end.unsent[code] += b"|"

    def server_sends(self, end: End) -> None:
        for code in (0, 1):
            size = min(end.room, 1 << 15, len(end.unsent[code]), self.dice.randrange(1, 60))
            if size and not end.closed:
                raw = bytes(end.unsent[code][:size])
                del end.unsent[code][:size]
                end.room -= size
                end.sent[code] += raw
                self.say(Side.SERVER, say.stderr(end.other, raw) if code else say.data(end.other, raw))

    def server_ends(self, end: End) -> None:
        if end.runs and not end.closed and not any(end.unsent.values()):
            if not end.ended:
                end.ended = True
                self.say(Side.SERVER, say.eof(end.other))
            else:
                end.closed = True
                self.say(Side.SERVER, say.exit_status(end.other, 0))
                self.say(Side.SERVER, say.close(end.other))

    # The client -----------------------------------------------------------------------------------------------------

    def _client_hears(self, payload: bytes) -> None:
        if payload[0] == 91:
            mine, other, room, packet_max = struct.unpack("!IIII", payload[1:])
            self.clients[mine].other, self.clients[mine].room = other, room
            self.clients[mine].packet_max = 2048
            assert packet_max == 512
            return
        end = self._hears(payload, self.clients)
        if payload[0] in (99, 100):
            self.replies += 1
        elif payload[0] == 97:
            if not end.closed:
                end.closed = True
                self.say(Side.CLIENT, say.close(end.other))
            self._gone(end)

    def client_opens(self) -> None:
        if len(self.clients) < CHANNELS:
            mine = min(set(range(CHANNELS)) - self.clients.keys())
            window = self.dice.choice([0, 20, 300, 1 << 21])
            self.clients[mine] = End(mine, -1, 0, window, 2048)
            self.say(Side.CLIENT, say.opens(mine, window=window, packet=2048))

    def client_asks(self) -> None:
        for end in self._talking():
            self.replies_wanted += 1
            if not end.runs:
                end.runs = True
                self.say(Side.CLIENT, say.execs(end.other, "cat"))
            else:
                what = self.dice.choice(["x11-req", "keepalive@openssh.com"])
                self.say(Side.CLIENT, say.request(end.other, what, True))

    def client_sends(self) -> None:
        for end in self._talking():
            size = min(end.room, 512, self.dice.randrange(1, 600))
            if end.runs and not end.ended and size:
                raw = self.dice.randbytes(size)
                end.room -= size
                end.sent[0] += raw
                self.say(Side.CLIENT, say.data(end.other, raw))

    def client_reads(self, end: End) -> None:
        if end.unread and not end.closed:
            size = self.dice.randrange(1, end.unread + 1)
            end.unread -= size
            end.takes += size
            self.say(Side.CLIENT, say.adjust(end.other, size))

    def client_widens(self) -> None:
        for end in self._talking():
            size = self.dice.randrange(1, 200)
            end.takes += size
            self.say(Side.CLIENT, say.adjust(end.other, size))

    def client_ends(self) -> None:
        for end in self._talking():
            if end.runs and not end.ended:
                end.ended = True
                self.say(Side.CLIENT, say.eof(end.other))

    def client_closes(self) -> None:
        for end in self._talking():
            if self.dice.random() < 0.2:
                end.closed = True
                end.heard.append("early")
                self.say(Side.CLIENT, say.close(end.other))

    def _talking(self) -> list[End]:
        return [end for end in self._some(self.clients) if end.other >= 0 and not end.closed]

    def _some(self, ends: dict[int, End]) -> list[End]:
        return [self.dice.choice(list(ends.values()))] if ends else []

    # Play -----------------------------------------------------------------------------------------------------------

    def play(self, turns: int) -> None:
        acts = [
            *[self.client_opens] * 2,
            *[self.client_asks] * 3,
            *[self.client_sends] * 3,
            self.client_widens,
            self.client_ends,
            self.client_closes,
            *[self.server_writes] * 5,
            *[lambda: each(self.server_sends, self._some(self.servers))] * 2,
            lambda: each(self.client_reads, self._talking()),
            lambda: each(self.server_ends, self._some(self.servers) if self.dice.random() < 0.3 else []),
            *[lambda: self.deliver(Side.CLIENT, self.dice.randrange(1, 400))] * 4,
            *[lambda: self.deliver(Side.SERVER, self.dice.randrange(1, 400))] * 4,
            *[lambda: self.answer(Side.CLIENT)] * 2,
            lambda: self.answer(Side.SERVER),
            self.release,
        ]
        for _ in range(turns):
            self.dice.choice(acts)()

    def settle(self) -> None:
        """Until nothing moves any more, with everybody reading and writing as fast as they may."""
        for _ in range(20_000):
            moved = any(self.lines.values()) or any(self.steps.values())
            for side in Side:
                self.answer(side)
                self.deliver(side, 10_000)
            for end in list(self.servers.values()):
                moved |= any(end.unsent.values()) and not end.closed
                self.server_sends(end)
            for end in list(self.clients.values()):
                moved |= end.unread > 0 and not end.closed
                self.client_reads(end)
                if end.takes == 0 and end.other >= 0 and not end.closed:
                    moved, end.takes = True, 100
                    self.say(Side.CLIENT, say.adjust(end.other, 100))
            if not moved:
                before = [len(end.got[code]) for end in self.clients.values() for code in (0, 1)]
                self.release()
                if before == [len(end.got[code]) for end in self.clients.values() for code in (0, 1)]:
                    return
        raise AssertionError("it never comes to rest")


def each(act: Callable[[End], None], ends: list[End]) -> None:
    for end in ends:
        act(end)


def _check(world: World) -> None:
    for client, server in [
        *world.done,
        *((end, world.servers[end.other]) for end in world.clients.values() if end.other >= 0),
    ]:
        got = bytes(client.got[0]), TOLD.sub(b"", client.got[1])
        wanted = tuple(bytes(server.sent[code]) for code in (0, 1))
        if world.mask is not None:
            wanted = tuple(each.replace(CANARY, world.mask) for each in wanted)
            assert CANARY not in client.got[0] + client.got[1] + world.recorded
        if "early" in client.heard:  # it wanted no more
            assert wanted[0].startswith(got[0])
        else:
            assert got == wanted
        assert bytes(server.got[0]) == bytes(client.sent[0])


def _books_agree(world: World) -> None:
    """When nothing is on its way, the machine knows what each end knows."""
    for client in world.clients.values():
        channel = world.wire._channels.by_client[client.number]
        server = world.servers[client.other]
        assert (channel.output.room, channel.output.granted) == (client.takes, server.room)
        assert channel.room == client.room == server.takes
        assert world.mask is not None or server.room <= client.takes


@pytest.mark.parametrize("mask", [None, *MASKS.values()], ids=["none", *MASKS])
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None)
def test_whatever_they_do_each_gets_what_the_other_sent(mask: bytes | None, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holding, "PASSED_OVER_MAX", 1 << 30)  # the model server never pauses amid a number
        world = World(random.Random(seed), mask)
        world.play(600)
        world.settle()
        _check(world)
        _books_agree(world)
        for server in list(world.servers.values()):
            for _ in range(2):
                world.server_ends(server)
        world.settle()
        _check(world)
        assert not any(server.runs for server in world.servers.values())
        assert world.replies <= world.replies_wanted
