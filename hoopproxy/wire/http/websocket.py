"""WebSockets that pass (RFC 6455): frames of either end become whole messages, are judged, and are framed again.

Extensions are not offered and so not there; how a message was cut into fragments is not kept. Knows no HTTP, and what
messages mean only by a `Talk`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

from hoopproxy.errors import LimitReached, ProtocolViolation
from hoopproxy.events import Faulted, Message, Plan, Record, Reply, Shape
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.lanes import Frame
from hoopproxy.wire.http.reading import Relayed, Shown

# What is said --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Whole:
    """A message, however it was fragmented."""

    data: bytes = field(repr=False)
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping, or the pong that answers it."""

    data: bytes = field(repr=False)
    is_pong: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """The last that an end says. `code` 1005: it gave none."""

    code: int = CloseReason.NO_STATUS_RCVD
    reason: str = ""


type Said = Whole | Ping | Close


class End:
    """One end of a WebSocket: the gateway is the client's server, and the server's client."""

    def __init__(self, side: Side, message_bytes_max: int) -> None:
        self._side, self._message_bytes_max = side, message_bytes_max
        self._frames = FrameProtocol(client=side is Side.SERVER, extensions=[])
        self._message = bytearray()
        self._fault = CloseReason.GOING_AWAY
        self.has_closed = self.is_closed = False
        """It has said its last word; it has been told ours."""

    def hears(self, data: bytes) -> Iterator[Said]:
        """What is whole with these bytes of it; nothing behind a close. @raise ProtocolViolation, LimitReached."""
        if self.has_closed:
            return
        self._frames.receive_bytes(data)
        try:
            for opcode, payload, is_frame, is_message in self._frames.received_frames():
                match opcode, payload:
                    case Opcode.CLOSE, (code, reason):
                        self.has_closed = True
                        yield Close(int(code), reason)
                    case ((Opcode.PING | Opcode.PONG), bytes()):
                        yield Ping(payload, opcode is Opcode.PONG)
                    case _, (str() | bytes()):
                        self._add(payload.encode() if isinstance(payload, str) else payload)
                        if is_frame and is_message:
                            whole, self._message = bytes(self._message), bytearray()
                            yield Whole(whole, opcode is Opcode.TEXT)
        except ParseFailed as why:
            self._fault = why.code
            raise ProtocolViolation(
                self._side.value, "A WebSocket frame came that RFC 6455 does not allow.", detail=str(why)
            ) from why

    def _add(self, data: bytes) -> None:
        self._message += data
        if len(self._message) > self._message_bytes_max:
            self._fault = CloseReason.MESSAGE_TOO_BIG
            raise LimitReached(
                f"A WebSocket message was longer than {self._message_bytes_max} bytes, which is the most that passes.",
                limit="limits.message_bytes_max",
                detail=f"the {self._side.value}'s",
            )

    def says(self, said: Said) -> bytes:
        """The frame for it; b"" once it was told the last."""
        frame = self.framed(said)
        self.is_closed = self.is_closed or isinstance(said, Close)
        return frame

    def framed(self, said: Said) -> bytes:
        """The same, if it were said now."""
        if self.is_closed:
            return b""
        match said:
            case Whole(data, is_text):
                return bytes(self._frames.send_data(data.decode() if is_text else data))
            case Ping(data, is_pong):
                return bytes(self._frames.pong(data) if is_pong else self._frames.ping(data))
            case Close(code, reason):
                # What a close frame has no room for is cut (RFC 6455 §5.5).
                return bytes(self._frames.close(CloseReason(code) if code in CloseReason else code, reason))

    def farewell(self, sentence: str) -> bytes:
        """What it would be told last if it ended now: that its frame was none, or else that the gateway goes away."""
        return self.framed(Close(self._fault, sentence))


# What it means -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """What becomes of a message. `passed` goes to the other end. With an `ask`, no more of that side's is judged before
    `resume`. `refusal` is a sentence with which the connection ends."""

    passed: tuple[Whole, ...] = ()
    records: tuple[Record, ...] = ()
    ask: Shape | None = None
    refusal: str = ""


class Talk(Protocol):
    """What the messages of one WebSocket mean. A machine without I/O."""

    @property
    def hold_s(self) -> float:
        """How long the server may pause until what is held back of what it said is to be shown; 0: nothing is held."""

    def begin(self) -> Heard:
        """Once, before anything is said."""

    def said(self, side: Side, message: Whole) -> Heard:
        """One message of that side's. @raise ProtocolViolation."""

    def resume(self, side: Side, plan: Plan) -> Heard:
        """The answer to the ask of that side's last `Heard`."""

    def release(self) -> Heard:
        """The server has paused, or said its last: what is held back of what it said."""

    def farewell(self, sentence: str) -> tuple[Whole, ...]:
        """What tells the client a sentence of the gateway's before its connection ends; () where a close frame does."""


class Masks(Protocol):
    """What the client sees of the target's messages: `message_masks.Messages`."""

    def mask(self, data: bytes, is_text: bool) -> Shown:
        """One message."""

    def resume(self, plan: Plan) -> Shown:
        """The answer to the ask of the last `Shown`."""


class Messages:
    """Messages without further meaning, each recorded; the target's are masked where something masks them."""

    hold_s = 0.0

    def __init__(self, number: int, masks: Masks | None = None) -> None:
        self._number, self._masks = number, masks
        self._is_text = False

    def begin(self) -> Heard:
        """Nothing."""
        return Heard()

    def said(self, side: Side, message: Whole) -> Heard:
        """One message of that side's."""
        if side is Side.CLIENT or self._masks is None:
            return self._passed(side, message)
        self._is_text = message.is_text
        return self._shown(self._masks.mask(message.data, message.is_text))

    def resume(self, side: Side, plan: Plan) -> Heard:
        """The plan for the target's last message."""
        assert self._masks is not None and side is Side.SERVER
        return self._shown(self._masks.resume(plan))

    def release(self) -> Heard:
        """Nothing is held."""
        return Heard()

    def farewell(self, sentence: str) -> tuple[Whole, ...]:
        """The close frame says it all."""
        return ()

    def _passed(self, side: Side, message: Whole) -> Heard:
        return Heard((message,), (Message(self._number, side, message.is_text, message.data),))

    def _shown(self, shown: Shown) -> Heard:
        if shown.ask is not None or shown.refusal:
            return Heard(ask=shown.ask, refusal=shown.refusal)
        return self._passed(Side.SERVER, Whole(shown.data, self._is_text))


# How it passes -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Draft:
    """What one call collects."""

    said: dict[Side, bytearray] = field(default_factory=lambda: {side: bytearray() for side in Side})
    records: list[Record] = field(default_factory=list)
    ask: Shape | None = None


class Sockets:
    """A connection after its 101 as `reading.Upgraded`: both ends, and between them what their messages mean.

    Statement `number` asked for it. It is over when both ends were told the last, or one is gone.
    """

    def __init__(self, number: int, limits: Limits, talk: Talk) -> None:
        self._number, self._talk = number, talk
        self._ends = {side: End(side, limits.message_bytes_max) for side in Side}
        self._unheard: dict[Side, deque[Said]] = {side: deque() for side in Side}

    def begin(self) -> Relayed:
        """What the talk notes before anything is said."""
        return self._go_on(Side.SERVER, self._talk.begin())

    def feed(self, side: Side, data: bytes) -> Relayed:
        """More of what that side sent; b"": it is gone."""
        if not data:
            return self._left(side)
        self._unheard[side].extend(self._ends[side].hears(data))
        return self._go_on(side, Heard())

    def resume(self, side: Side, reply: Reply) -> Relayed:
        """The plan that the talk asked for, and what that side had said behind it."""
        assert isinstance(reply, Plan)
        return self._go_on(side, self._talk.resume(side, reply))

    def release(self) -> Relayed:
        """What the talk holds back of the server's."""
        return self._go_on(Side.SERVER, self._talk.release())

    def take(self, frame: Frame) -> Relayed:
        """A WebSocket has no other lanes."""
        return Relayed()

    def farewell(self, sentence: str) -> bytes:
        """The talk's own words, or a close frame that says it; b"" where the client has been sent one. Nothing changes:
        it may be that nobody is shown it."""
        client = self._ends[Side.CLIENT]
        if not (words := self._talk.farewell(sentence)):
            return client.farewell(sentence)
        return b"".join(map(client.framed, words)) + client.framed(Close(CloseReason.NORMAL_CLOSURE))

    def _go_on(self, side: Side, heard: Heard) -> Relayed:
        """What follows from `heard`, and then from what that side said next."""
        draft, unheard = _Draft(), self._unheard[side]
        self._pass(side, heard, draft)
        while unheard and draft.ask is None and not self._is_over:
            match unheard.popleft():
                case Whole() as message:
                    self._pass(side, self._talk.said(side, message), draft)
                case said:
                    if isinstance(said, Close) and side is Side.SERVER:
                        self._pass(side, self._talk.release(), draft)
                    draft.said[side.other] += self._ends[side.other].says(said)
        return self._relayed(draft)

    def _pass(self, side: Side, heard: Heard, draft: _Draft) -> None:
        draft.records += heard.records
        draft.ask = heard.ask
        for message in heard.passed:
            draft.said[side.other] += self._ends[side.other].says(message)
        if heard.refusal:
            draft.records.append(Faulted(self._number, str(int(CloseReason.POLICY_VIOLATION)), heard.refusal))
            draft.said[Side.CLIENT] += self._ends[Side.CLIENT].says(Close(CloseReason.POLICY_VIOLATION, heard.refusal))
            draft.said[Side.SERVER] += self._ends[Side.SERVER].says(Close(CloseReason.GOING_AWAY))

    def _left(self, side: Side) -> Relayed:
        draft = _Draft()
        if side is Side.SERVER:
            self._pass(side, self._talk.release(), draft)
        draft.said[side.other] += self._ends[side.other].says(Close(CloseReason.GOING_AWAY))
        self._ends[side].is_closed = True
        return self._relayed(draft)

    @property
    def _is_over(self) -> bool:
        return all(end.is_closed for end in self._ends.values())

    def _relayed(self, draft: _Draft) -> Relayed:
        return Relayed(
            to_client=bytes(draft.said[Side.CLIENT]),
            to_server=bytes(draft.said[Side.SERVER]),
            records=tuple(draft.records),
            ask=draft.ask,
            ended=self._is_over,
            hold_s=self._talk.hold_s,
        )
