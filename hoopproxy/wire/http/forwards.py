"""What `kubectl port-forward` and its like say on their connection: which ports they want, and the bytes of each.

Two dialects: SPDY in the messages of a WebSocket (kubectl from 1.30 on), and the channels of `v4.channel.k8s.io`.
Machines without I/O; each forwarded connection is a lane of the client's, and where it leads is not known here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.wire.http.lanes import Frame, Kind
from hoopproxy.wire.http.spdy import (
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Data,
    Ping,
    Reset,
    SpdyFrame,
    SpdyReader,
    SpdyWriter,
    Syn,
    SynReply,
)

_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(slots=True)
class Outcome:
    """What one call comes to: messages for the client, frames for its lanes, and whether all is over."""

    messages: list[bytes] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    is_over: bool = False


class Forwards(Protocol):
    """The forwarded connections of one client, in one dialect."""

    def begin(self) -> Outcome:
        """Before it said anything."""

    def hear(self, message: bytes) -> Outcome:
        """It sent this. @raise ProtocolViolation."""

    def take(self, frame: Frame) -> Outcome:
        """A frame of one of its lanes."""


# SPDY/3.1+portforward.k8s.io ------------------------------------------------------------------------------------------


class SpdyForwards:
    """Each connection is two streams that name the same request: one for an error, and behind it one for data, whose
    number is the lane's. `pod` is `CLUSTER:NAMESPACE/POD`.

    Windows are not kept on either side: see `spdy`. So one that is not taken stops all others of the same client.
    """

    def __init__(self, pod: str, streams_max: int) -> None:
        self._pod, self._streams_max = pod, streams_max
        self._reader, self._writer = SpdyReader(Side.CLIENT), SpdyWriter()
        self._last = 0  # stream that the client opened
        self._errors: dict[str, int] = {}  # by request, until the data stream comes
        self._lanes: dict[int, int] = {}  # the data stream to its error stream
        self._ended: set[int] = set()  # data streams on which we said our last

    def begin(self) -> Outcome:
        """Nothing: the client opens streams."""
        return Outcome()

    def hear(self, message: bytes) -> Outcome:
        """Messages are nothing but bytes, cut anyhow."""
        outcome, answers = Outcome(), bytearray()
        self._reader.append(message)
        while (frame := self._reader.next()) is not None:
            for answer in self._heard(frame, outcome.frames):
                answers += self._writer.bytes_of(answer)
        if answers:
            outcome.messages.append(bytes(answers))
        return outcome

    def take(self, frame: Frame) -> Outcome:
        """What the lane says, on its streams."""
        said = b"".join(map(self._writer.bytes_of, self._taken(frame))) if frame.lane in self._lanes else b""
        return Outcome([said] if said else [])

    def _heard(self, frame: SpdyFrame, frames: list[Frame]) -> Sequence[SpdyFrame]:
        """What is to be answered."""
        match frame:
            case Syn():
                return self._opened(frame, frames)
            case Data(stream) if stream > self._last:
                raise _broken(f"data on stream {stream}, which was not opened")
            case Data(stream, data, is_last) if stream in self._lanes:
                if data:
                    frames.append(Frame(Kind.DATA, stream, data))
                if is_last:
                    frames.append(Frame(Kind.ENDED, stream))
            case Reset(stream) if stream in self._lanes:
                frames.append(Frame(Kind.CLOSED, stream))
                self._ended.discard(stream)
                return (Data(self._lanes.pop(stream), b"", is_last=True),)  # kubectl waits for it
            case Reset(stream):
                self._errors = {request: error for request, error in self._errors.items() if error != stream}
            case Ping(number) if number % 2:
                return (frame,)
        return ()

    def _opened(self, syn: Syn, frames: list[Frame]) -> Sequence[SpdyFrame]:
        stream, request, port = syn.stream, syn.headers.get("requestid", ""), syn.headers.get("port", "")
        if not stream % 2 or stream <= self._last:
            raise _broken(f"stream {stream} opened behind {self._last}")
        self._last = stream
        match syn.headers.get("streamtype"):
            case "error" if request and request not in self._errors:
                if len(self._errors) + len(self._lanes) >= self._streams_max:
                    return (Reset(stream, REFUSED_STREAM),)
                self._errors[request] = stream
            case "data" if request in self._errors and _PORT.fullmatch(port):
                self._lanes[stream] = self._errors.pop(request)
                frames.append(Frame(Kind.OPEN, stream, f"{self._pod}:{port}".encode()))
                if syn.is_last:
                    frames.append(Frame(Kind.ENDED, stream))
            case _:
                return (Reset(stream, PROTOCOL_ERROR),)
        return (SynReply(stream),)

    def _taken(self, frame: Frame) -> Sequence[SpdyFrame]:
        stream = frame.lane
        match frame.kind:
            case Kind.DATA:
                return (Data(stream, frame.payload),)
            case Kind.ENDED:
                self._ended.add(stream)
                return (Data(stream, b"", is_last=True),)
            case Kind.REFUSED | Kind.CLOSED:  # first why, since kubectl hears no more once its data have ended
                last_words = Data(self._lanes.pop(stream), frame.payload, is_last=True)
                has_ended = stream in self._ended
                self._ended.discard(stream)
                return (last_words,) if has_ended else (last_words, Data(stream, b"", is_last=True))
        return ()


# v4.channel.k8s.io ----------------------------------------------------------------------------------------------------


class ChannelForwards:
    """Each port is one connection from the beginning on, and has two channels: 2n for its data, 2n + 1 for an error.

    Nobody can end one direction: a target that has said its all ends its connection, and a client leaves them all.
    `pod` is `CLUSTER:NAMESPACE/POD`.
    """

    def __init__(self, pod: str, ports: Sequence[int]) -> None:
        self._pod, self._ports = pod, ports
        self._open = set(range(1, len(ports) + 1))  # lanes

    def begin(self) -> Outcome:
        """Every channel begins with its port, and so opens."""
        outcome = Outcome()
        for lane, port in enumerate(self._ports, 1):
            outcome.messages += [_on(channel, port.to_bytes(2, "little")) for channel in (2 * lane - 2, 2 * lane - 1)]
            outcome.frames.append(Frame(Kind.OPEN, lane, f"{self._pod}:{port}".encode()))
        return outcome

    def hear(self, message: bytes) -> Outcome:
        """A channel's number, and data for it. What is meant for one that is over is not missed by anybody."""
        if not message:
            return Outcome()
        channel, data = message[0], message[1:]
        if channel % 2 or channel // 2 >= len(self._ports):
            raise _broken(f"a message on channel {channel}")
        lane = channel // 2 + 1
        return Outcome(frames=[Frame(Kind.DATA, lane, data)] if data and lane in self._open else [])

    def take(self, frame: Frame) -> Outcome:
        """What the lane says, on its channels."""
        outcome, channel = Outcome(), 2 * frame.lane - 2
        match frame.kind:
            case Kind.DATA:
                outcome.messages.append(_on(channel, frame.payload))
            case Kind.ENDED | Kind.REFUSED | Kind.CLOSED:
                self._open.discard(frame.lane)
                outcome.is_over = not self._open
                if frame.payload:
                    outcome.messages.append(_on(channel + 1, frame.payload))
                if frame.kind is Kind.ENDED:
                    outcome.frames.append(Frame(Kind.CLOSED, frame.lane))
        return outcome


def _on(channel: int, data: bytes) -> bytes:
    return bytes((channel,)) + data


def _broken(what: str) -> ProtocolViolation:
    return ProtocolViolation(
        Side.CLIENT.value, "Your client broke the protocol of port-forwarding; use kubectl 1.31 or later.", detail=what
    )
