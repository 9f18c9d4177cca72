"""A machine between an SSH client and a server, and someone who keeps their books beside it and watches what it shows.

Knows what no connection may do, whoever misbehaves in it. Knows nothing of what should be answered: that is the model
test's matter (tests/wire/ssh/test_model.py).
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from fuzz.endings import Ending, ending
from fuzz.ssh_says import CANARY
from hoopproxy.errors import ProtocolViolation, SessionError
from hoopproxy.events import Call, Faulted, Forward, Plan, Record, Reject, Reply, Shape, Statement, Step, Streamed
from hoopproxy.evidence.transcript import Transcript
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.ssh.machine import SshWire
from hoopproxy.wire.ssh.output import MASKED_WINDOW_BYTES_MAX, WORDS_BYTES_MAX
from hoopproxy.wire.ssh.packets import LENGTH_BYTES, PAYLOAD_BYTES_MAX
from hoopproxy.wire.ssh.terms import Terms
from tests.wire.ssh import speech as say

OPENS, CONFIRMED, UNOPENED, ADJUST, DATA, ERRORS, EOF, CLOSE = range(90, 98)
MASKS = {0: b"****", 1: b"", 2: CANARY[:3] + b"x" * 40}


@dataclass(frozen=True, slots=True)
class Setting:
    """How a connection is set up. `mask` None: nothing is masked. A step takes `messages_max` messages."""

    limits: Limits
    mask: bytes | None
    messages_max: int
    refuses_output: bool = False


@dataclass(slots=True)
class Ear:
    """What one end of a channel takes, by what it said itself: so much, and of one message at most `packet_max`."""

    takes: int
    packet_max: int
    heard: dict[int, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    has_heard_end: bool = False
    has_heard_close: bool = False

    def hears(self, kind: int, payload: bytes) -> None:
        """@raise AssertionError: it may not be told that."""
        assert not self.has_heard_close, "something was said behind a close"
        if kind in (DATA, ERRORS):
            at = 9 if kind == DATA else 13
            raw = payload[at:]
            assert not self.has_heard_end, "data behind their end"
            assert len(raw) <= self.packet_max and len(raw) <= self.takes, "more than its window has room for"
            self.takes -= len(raw)
            self.heard[kind] += raw
        self.has_heard_end |= kind == EOF
        self.has_heard_close = kind == CLOSE


@dataclass
class Stage:
    """Feed it payloads' frames; until it is `over`."""

    setting: Setting
    shown: bytearray = field(default_factory=bytearray)
    sent: bytearray = field(default_factory=bytearray)
    records: list[Record] = field(default_factory=list)
    said: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    broke: Ending | None = None
    ended: bool = False
    paused: bool = False
    unfinished: bool = False
    was_full: bool = False

    def __post_init__(self) -> None:
        setting = self.setting
        terms = Terms(setting.mask is not None, ("LANG", "LC_*", "TOKEN"), setting.limits, count(1))
        self.wire = SshWire(terms, setting.messages_max)
        self._ears: dict[Side, dict[int, Ear]] = {side: {} for side in Side}
        self._others: dict[Side, dict[int, int]] = {side: {} for side in Side}
        self._wishes: dict[int, deque[Ear]] = defaultdict(deque)
        self._asked: dict[int, Ear] = {}
        self._promises: dict[int, Ear] = {}
        self._ends: dict[tuple[int, int], bytes] = {}
        self._transcript = Transcript()

    @property
    def over(self) -> bool:
        """Whether nothing more can happen."""
        return self.ended or self.broke is not None

    # What is fed ------------------------------------------------------------------------------------------------------

    def overhears(self, side: Side, payload: bytes) -> None:
        """That side is about to say this: whatever it grants counts from now on."""
        number, kind = int.from_bytes(payload[1:5]), payload[0]
        if kind == OPENS and side is Side.CLIENT and payload.startswith(say.opens(0)[:12]) and len(payload) == 24:
            mine, window, packet = (int.from_bytes(payload[at : at + 4]) for at in (12, 16, 20))
            self._wishes[mine].append(Ear(window, packet))
        elif kind == CONFIRMED and side is Side.SERVER and len(payload) == 17:
            window, packet = (int.from_bytes(payload[at : at + 4]) for at in (9, 13))
            self._promises.setdefault(number, Ear(window, packet))
        elif kind == ADJUST and len(payload) == 9:
            ear = self._ears[side].get(self._others[side].get(number, -1))
            if side is Side.SERVER and number in self._promises:
                ear = self._promises[number]
            if ear is not None:
                ear.takes += int.from_bytes(payload[5:9])
        elif kind in (DATA, ERRORS) and side is Side.SERVER:
            raw = payload[9 if kind == DATA else 13 :]
            self._ends[number, kind] = (self._ends.get((number, kind), b"") + raw)[-len(CANARY) :]

    def feed(self, side: Side, data: bytes) -> bytes:
        """What goes to the server for what `side` sent; b"" in `data` is its end of stream."""
        self.said[side] += len(data)
        return self._run(side, lambda: self.wire.feed(side, data))

    def go_on(self) -> bytes:
        """What goes to the server for what the client sent before it was paused."""
        self.unfinished = False
        return self._run(Side.CLIENT, lambda: self.wire.resume(Side.CLIENT, None))

    def pause(self) -> bytes:
        """The server pauses; not amid what is to be hidden, as no line masker could hide that."""
        if any(tail.endswith(CANARY[:size]) for tail in self._ends.values() for size in range(1, len(CANARY))):
            return b""
        return self._run(Side.SERVER, lambda: self.wire.release(Side.SERVER))

    def _run(self, side: Side, begin: Callable[[], Step]) -> bytes:
        before = len(self.sent)
        steps_max = 2 * sum(self.said.values()) + 8
        try:
            step = begin()
            self._watch(step)
            while step.ask is not None or step.more:
                if side is Side.CLIENT and self.paused and step.ask is None:
                    self.unfinished = True
                    break
                assert steps_max > 0, "it goes on without end"
                steps_max -= 1
                step = self.wire.resume(side, None if step.ask is None else self._answer(step.ask))
                self._watch(step)
        except SessionError as why:
            self.broke = ending(why)
            self._broken(self.broke)
        else:
            self._within_limits()
        return bytes(self.sent[before:])

    def _answer(self, ask: Statement | Shape) -> Reply:
        if isinstance(ask, Shape):
            hidden = self.setting.mask or b""
            plan = Plan(ask, (Call(lambda line: line.replace(CANARY, hidden), "masker"),))
            is_refused = self.setting.refuses_output and ask.fields[0].name == "stderr"
            return replace(plan, refusal="This output can't be masked.") if is_refused else plan
        if "forbidden" in ask.text:
            return Reject("You may not do that.")
        return Forward("exec rewritten" if ask.text == "exec please rewrite" else ask.text)

    # What must hold ---------------------------------------------------------------------------------------------------

    def _watch(self, step: Step) -> None:
        self.shown += step.to_client
        self.sent += step.to_server
        self.records += step.records
        self.paused, self.ended = Side.CLIENT in step.pause, step.ended
        self._transcript.recorded(0.0, step.records)
        for payload in say.unframed(step.to_client):
            self._hears(Side.CLIENT, payload)
        for payload in say.unframed(step.to_server):
            self._hears(Side.SERVER, payload)
        if self.setting.mask is not None:
            for record in step.records:
                hidden = record.raw if isinstance(record, Streamed) and record.stream != "stdin" else b""
                told = record.text if isinstance(record, Faulted) else ""
                assert CANARY not in hidden and CANARY.decode() not in told, "it was recorded"

    def _hears(self, side: Side, payload: bytes) -> None:
        kind, number = payload[0], int.from_bytes(payload[1:5])
        allowed = {80, 81, 82, *range(90, 101)} - ({91, 95} if side is Side.SERVER else set())
        assert kind in allowed, f"the {side.value} was told {kind}"
        if kind == OPENS:
            assert (side is Side.SERVER) == (payload[5:12] == b"session"), "a channel that nobody may open"
            assert side is Side.SERVER or payload[5:17] == b"direct-tcpip", "a channel that nobody may open"
            if side is Side.SERVER:
                self._forwarded(payload)
        elif kind == CONFIRMED:
            theirs = int.from_bytes(payload[5:9])
            self._ears[Side.CLIENT][number] = self._asked.pop(number)
            self._ears[Side.SERVER][theirs] = self._promises.pop(number)
            self._others[Side.CLIENT][theirs], self._others[Side.SERVER][number] = number, theirs
            for code in (DATA, ERRORS):
                self._ends.pop((number, code), None)
        elif kind == UNOPENED:
            self._promises.pop(number, None)
            assert self.setting.mask is None or CANARY not in payload, "a refusal's words hold it"
        elif kind >= ADJUST:
            ear = self._ears[side].get(number)
            assert ear is not None, f"message {kind} on channel {number}, which is not open"
            ear.hears(kind, payload)
            if side is Side.CLIENT and self.setting.mask is not None:
                assert CANARY not in payload, "it was shown"
                assert all(CANARY not in heard for heard in ear.heard.values()), "it was shown in pieces"

    def _forwarded(self, payload: bytes) -> None:
        """The server is asked for a channel: which of the client's wishes that is; those before it were refused."""
        number, granted, packet = (int.from_bytes(payload[at : at + 4]) for at in (12, 16, 20))
        while (wish := self._wishes[number].popleft()).packet_max != packet or wish.takes < granted:
            pass
        assert granted == wish.takes or (self.setting.mask is not None and granted == MASKED_WINDOW_BYTES_MAX)
        self._asked[number] = wish

    def settle(self) -> None:
        """Forget the channels that the machine does not know any more."""
        channels = self.wire._channels
        for side, known in ((Side.CLIENT, channels.by_client), (Side.SERVER, channels.by_server)):
            for number in self._ears[side].keys() - known.keys():
                del self._ears[side][number]

    def _within_limits(self) -> None:
        limits, channels = self.setting.limits, self.wire._channels
        for half in (self.wire._client, self.wire._server):
            intake = half._intake
            left = len(intake.data) - intake.end + intake._later_bytes
            assert self.unfinished or self.ended or left < LENGTH_BYTES + PAYLOAD_BYTES_MAX
        assert len(channels) <= limits.channels_max
        self.was_full |= self.wire._client.is_full
        assert not self.wire._client.is_full or self.paused or self.ended
        for owed in channels.owed.values():
            assert owed.count <= limits.pending_statements_max + 1, "answers are owed without end"
            assert owed.count == sum(map(len, owed._queues.values()))
        for channel in channels:
            output = channel.output
            assert output._waiting_bytes == sum(len(data) for _, _, data in output._waiting) >= 0
            assert output.room >= 0 and output.granted >= 0 and channel.room >= 0
            # Masks make longer: by 43 / 11 at most here.
            assert output._waiting_bytes <= 5 * self.said[Side.SERVER] + WORDS_BYTES_MAX + 1000
        self.settle()

    def _broken(self, why: Ending) -> None:
        assert self.setting.mask is None or all(CANARY.decode() not in text for text in why)
        for side in Side:
            try:
                self.wire.feed(side, say.framed(say.eof(0)))
            except (ProtocolViolation, AssertionError):
                continue
            raise AssertionError("it goes on after an error")
