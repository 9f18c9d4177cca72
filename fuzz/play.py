"""A session as a list of events, played on a stage with a fake server: once as it came, once cut into pieces.

Knows neither what events mean nor how they were chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fuzz.choices import Choices, damaged
from fuzz.stage import CANARY, MASKS, NARROW, WIDE, Setting, Stage
from fuzz.waiting import Doubled, Dropped, Served
from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.wire.postgres.framing import Splitter, message
from tests.wire.fake_postgres import CARD, OPEN_OID, PROTECTED_OID, FakePostgres
from tests.wire.rig import merged

PIECES_MAX = 8
"""Of one event: a fuzzer that makes long messages is no better for it, and slow."""


@dataclass(frozen=True, slots=True)
class Said:
    """The client sends these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Bent:
    """The server's next message, if it is a row, comes with a byte of its body changed."""

    choices: bytes


@dataclass(frozen=True, slots=True)
class Inserted:
    """The server says something that is not its turn. `credible`: it moves no cell to another column."""

    data: bytes
    credible: bool


@dataclass(frozen=True, slots=True)
class Left:
    """A side's end of stream."""

    side: Side


type Event = Said | Served | Dropped | Doubled | Bent | Inserted | Left


def setting(choices: Choices) -> Setting:
    """How a session is set up."""
    ways = choices.byte()
    protected = (frozenset({CARD}), frozenset({CARD}), frozenset({CARD, "*"}), frozenset[str]())[ways & 3]
    refused = (0, 0, OPEN_OID, PROTECTED_OID)[ways >> 2 & 3]
    limits, recorded = NARROW if ways & 16 else WIDE, 2 if ways & 128 else 0
    return Setting(limits, protected, MASKS[ways >> 5 & 3], refused, recorded, choices.pick((1000, 1000, 1, 5)))


def without_canary(data: bytes) -> bytes:
    """A fuzzer's bytes that can't be taken for a protected value."""
    while CANARY in data:
        data = data.replace(CANARY, b"")
    return data


@dataclass
class Play:
    """One run. Bytes go to the machine in pieces of `size`, whole when that is 0, and never in too many."""

    stage: Stage
    server: FakePostgres
    size: int
    _waiting: list[bytes] = field(default_factory=list)
    _unread: bytearray = field(default_factory=bytearray)
    _inbox: Splitter = field(default_factory=lambda: Splitter(Side.SERVER))
    _credible: bool = True

    def run(self, events: Sequence[Event]) -> None:
        """Until the session is over."""
        for event in events:
            if self.stage.over:
                return
            self._perform(event)
            self.stage.nothing_protected_shown()

    def _perform(self, event: Event) -> None:
        match event:
            case Said(data):
                self._unread += data
                self._read()
            case Served(count):
                count = count or len(self._waiting)
                said, self._waiting = b"".join(self._waiting[:count]), self._waiting[count:]
                self._feed(Side.SERVER, said)
            case Dropped() if self._next != b"T":
                del self._waiting[:1]
            case Doubled() if self._next != b"T":
                self._feed(Side.SERVER, b"".join(self._waiting[:1] * 2))
                del self._waiting[:1]
            case Bent(choices) if self._next == b"D":
                row = self._waiting.pop(0)
                self._feed(Side.SERVER, message(b"D", damaged(Choices(choices), row[5:])))
            case Inserted(data, credible):
                if not credible:  # it may have said anything about where its cells come from
                    self._credible = False
                    self._waiting = list(map(_harmless, self._waiting))
                self._feed(Side.SERVER, data)
            case Left(side):
                self._feed(side, b"", ends=True)

    @property
    def _next(self) -> bytes:
        return self._waiting[0][:1] if self._waiting else b""

    def _read(self) -> None:
        """The client's bytes, as far as the machine reads them."""
        data, self._unread = bytes(self._unread), bytearray()
        self._feed(Side.CLIENT, data)

    def _feed(self, side: Side, data: bytes, *, ends: bool = False) -> None:
        size = max(self.size or len(data), len(data) // PIECES_MAX, 1)
        pieces = [b""] if ends else [data[at : at + size] for at in range(0, len(data), size)]
        for number, piece in enumerate(pieces):
            if self.stage.over:
                return
            if side is Side.CLIENT and (self.stage.unfinished or (self.stage.paused and piece)):
                self._unread += b"".join(pieces[number:])
                return
            self._to_server(self.stage.feed(side, piece))
        if side is Side.SERVER and not (self.stage.paused or self.stage.over):
            if self.stage.unfinished:
                self._to_server(self.stage.go_on())
            if self._unread:
                self._read()

    def _to_server(self, data: bytes) -> None:
        try:
            self._inbox.append(self.server.feed(data))
        except ProtocolViolation as why:
            raise AssertionError("the server was sent what is no message") from why
        while (said := self._inbox.next(1 << 31, "")) is not None:
            self._waiting.append(said.raw if self._credible else _harmless(said.raw))


def _harmless(said: bytes) -> bytes:
    return said.replace(CANARY, b"public")


def played(setting: Setting, events: Sequence[Event], size: int) -> Stage:
    """The stage after all events. A client that doesn't wait for CopyInResponse may send the server anything."""
    play = Play(Stage(setting), FakePostgres(strict=False), size)
    play.run(events)
    return play.stage


def alike(whole: Stage, cut: Stage) -> None:
    """However bytes are cut, the same comes of them. A session that was full depends on when it was: not compared."""
    if whole.was_full or cut.was_full:
        return
    if whole.broke or cut.broke:
        # What a server says after the end is not read at all; in one piece with the end, it may be one word too many.
        assert whole.broke == cut.broke or cut.ended, f"{whole.broke} in one piece, {cut.broke} in several"
        # Of the step that an error came in nothing is shown; which messages that were depends on cuts.
        assert _one_begins_the_other(whole.shown, cut.shown) and _one_begins_the_other(whole.sent, cut.sent)
        return
    assert whole.shown == cut.shown
    assert whole.sent == cut.sent
    assert merged(whole.records) == merged(cut.records)
    assert whole.ended == cut.ended


def _one_begins_the_other(one: bytearray, other: bytearray) -> bool:
    return one.startswith(other) or other.startswith(one)
