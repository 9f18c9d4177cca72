"""Harness: an SSH client and a server, either of them hostile, with the machine between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from fuzz.choices import Choices
from fuzz.ssh_says import CANARY, SERVER_OFFSET, client_says, server_says
from fuzz.ssh_server import Server
from fuzz.ssh_stage import CONFIRMED, MASKS, Setting, Stage
from fuzz.waiting import Doubled, Dropped, Served
from hoopproxy.events import Record, Streamed
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from tests.wire.ssh import speech as say

EVENTS_MAX = 40
PIECES_MAX = 8

NARROW = Limits(pending_statements_max=4, channels_max=2)


@dataclass(frozen=True, slots=True)
class Says:
    """A side says something of its own."""

    side: Side
    payload: bytes


@dataclass(frozen=True, slots=True)
class Paused:
    """The server pauses."""


@dataclass(frozen=True, slots=True)
class Left:
    """A side's end of stream."""

    side: Side


type Event = Says | Served | Dropped | Doubled | Paused | Left


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(reduce(lambda left, _: left.replace(CANARY, b""), range(8), data))
    ways = choices.byte()
    mask = None if ways & 3 == 3 else MASKS[ways & 3]
    setting = Setting(NARROW if ways & 4 else Limits(), mask, choices.pick((256, 256, 1, 5)), bool(ways & 8))
    server = choices.pick((1 << 21, 100, 0)), choices.pick((1 << 15, 4, 1, 9))
    size = 1 + choices.below(64)
    events: list[Event] = [*_running(choices)] if ways & 48 else []
    while choices.left and len(events) < EVENTS_MAX:
        events.append(choices.call(*_EVENTS))
    events.append(Served(0))
    alike(_played(setting, server, events, 0), _played(setting, server, events, size))


def _running(choices: Choices) -> Iterator[Event]:
    """A command that runs, and has said nothing yet: what most is about."""
    yield Says(Side.CLIENT, say.opens(0, window=choices.pick((1 << 21, 1 << 21, 40, 0))))
    yield Served(0)
    yield Says(Side.CLIENT, say.execs(SERVER_OFFSET, "cat"))
    yield Served(1)


def _refused(confirmation: bytes) -> bytes:
    return say.unopened(int.from_bytes(confirmation[1:5]), 1, CANARY.decode())


def _left(choices: Choices) -> Event:
    return Left(choices.pick((Side.SERVER, Side.CLIENT))) if choices.byte() == 7 else Served(0)


_EVENTS = (
    *(lambda choices: Says(Side.CLIENT, client_says(choices)),) * 6,
    *(lambda choices: Served(choices.below(5)),) * 6,
    *(lambda choices: Says(Side.SERVER, server_says(choices)),) * 3,
    lambda choices: Dropped(),
    lambda choices: Doubled(),
    *(lambda choices: Paused(),) * 2,
    _left,
)


def _played(setting: Setting, server: tuple[int, int], events: Sequence[Event], size: int) -> Stage:
    play = _Play(Stage(setting), Server(*server), size)
    for event in events:
        if play.stage.over:
            break
        play.perform(event)
    return play.stage


@dataclass
class _Play:
    """One run. Bytes go to the machine in pieces of `size`, whole when that is 0, and never in too many."""

    stage: Stage
    server: Server
    size: int
    unread: bytes = b""

    def perform(self, event: Event) -> None:
        waiting = self.server.waiting
        match event:
            case Says(Side.CLIENT, payload):
                self.stage.overhears(Side.CLIENT, payload)
                self.unread += say.framed(payload)
                self._read()
            case Says(Side.SERVER, payload):
                self._arrives(payload)
            case Served(count):
                count = count or len(waiting)
                said, waiting[:count] = waiting[:count], []
                self._arrives(*said)
            case Dropped():
                said, waiting[:1] = waiting[:1], []
                self._arrives(*(_refused(each) for each in said if each[0] == CONFIRMED))
            case Doubled():
                said, waiting[:1] = waiting[:1] * 2, []
                self._arrives(*said)
            case Paused():
                self.server.hears(self.stage.pause())
            case Left(side):
                if side is Side.SERVER or not self.stage.unfinished:
                    self.server.hears(self.stage.feed(side, b""))

    def _arrives(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.stage.overhears(Side.SERVER, payload)
        self._feed(Side.SERVER, say.framed(*payloads))

    def _read(self) -> None:
        data, self.unread = self.unread, b""
        self._feed(Side.CLIENT, data)

    def _feed(self, side: Side, data: bytes) -> None:
        size = max(self.size or len(data), len(data) // PIECES_MAX, 1)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        for number, piece in enumerate(pieces):
            if self.stage.over:
                return
            if side is Side.CLIENT and (self.stage.unfinished or self.stage.paused):
                self.unread += b"".join(pieces[number:])
                return
            self.server.hears(self.stage.feed(side, piece))
        if side is Side.SERVER and not (self.stage.paused or self.stage.over):
            if self.stage.unfinished:
                self.server.hears(self.stage.go_on())
            if self.unread:
                self._read()


def alike(whole: Stage, cut: Stage) -> None:
    """However bytes are cut, the same comes of them. A client that was full depends on when it was: not compared."""
    if whole.was_full or cut.was_full:
        return
    if whole.broke or cut.broke:
        assert whole.broke == cut.broke or cut.ended, f"{whole.broke} in one piece, {cut.broke} in several"
        for one, other in ((whole.shown, cut.shown), (whole.sent, cut.sent)):
            assert one.startswith(other) or other.startswith(one)
        return
    assert whole.shown == cut.shown
    assert whole.sent == cut.sent
    assert _merged(whole.records) == _merged(cut.records)
    assert whole.ended == cut.ended


def _merged(records: Sequence[Record]) -> list[Record]:
    """As if all bytes of a stream that follow each other had come at once."""
    found: list[Record] = []
    for record in records:
        last = found[-1] if found else None
        if isinstance(record, Streamed) and isinstance(last, Streamed):
            if (record.statement_number, record.stream) == (last.statement_number, last.stream):
                found[-1] = replace(last, raw=last.raw + record.raw)
                continue
        found.append(record)
    return found
