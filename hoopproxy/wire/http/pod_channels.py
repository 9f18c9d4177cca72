"""What passes between a client and a process in a pod: exec and attach over the channels of one WebSocket.

The first byte of each message names its channel (k8s.io/apimachinery, pkg/util/remotecommand, and k8s.io/kubelet,
pkg/cri/streaming: `v4.channel.k8s.io`, and `v5`, in which a client can end its stdin). Output is masked by lines, as
SSH's is. Knows neither frames nor HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Completed, Faulted, Plan, Record, Streamed, Terminal
from hoopproxy.model import Side
from hoopproxy.wire.http.statuses import failure
from hoopproxy.wire.http.websocket import Heard, Whole
from hoopproxy.wire.lines import HOLD_S, TERMINAL_HOLD_S, Lines, cutter_of, shape_of

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
OUTPUTS = {STDOUT: "stdout", STDERR: "stderr"}

STATUS_BYTES_MAX = 65_536
"""How a process ended is told in a few hundred bytes."""

SIZE_MAX = 65_535


def offered(protocols: Sequence[str]) -> tuple[str, ...]:
    """What the target is offered for a client that offers `protocols`; () if there is nothing that both could speak."""
    if V5 in protocols:
        return (V5, V4)
    return (V4,) if V4 in protocols else ()


@dataclass(frozen=True, slots=True)
class Pod:
    """What one exec or attach is about. `protocol` is what the target speaks."""

    number: int
    is_terminal: bool
    is_masked: bool
    protocol: str


class PodChannels:
    """The talk of one process's streams (`websocket.Talk`)."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._lines: dict[int, Lines] = {}
        self._waiting: Whole | None = None
        self._status = bytearray()

    @property
    def hold_s(self) -> float:
        """As for SSH: a prompt has no line end."""
        if not any(lines.held for lines in self._lines.values()):
            return 0.0
        return TERMINAL_HOLD_S if self._pod.is_terminal else HOLD_S

    def begin(self) -> Heard:
        """A terminal, of a size that nobody has told yet."""
        return Heard(records=(Terminal(self._pod.number, 0, 0, ""),) if self._pod.is_terminal else ())

    def said(self, side: Side, message: Whole) -> Heard:
        """One message of that side's. @raise ProtocolViolation: of a channel that is not its."""
        return self._from_client(message) if side is Side.CLIENT else self._from_server(message)

    def resume(self, side: Side, plan: Plan) -> Heard:
        """How output of the channel is masked that said something first."""
        message, self._waiting = self._waiting, None
        assert message is not None and side is Side.SERVER
        if plan.refusal:
            return Heard(refusal=plan.refusal)
        self._lines[message.data[0]] = Lines(cutter_of(plan))
        return self._output(message)

    def release(self) -> Heard:
        """The lines that have no ends yet."""
        shown = [self._shown(channel, lines.finish()) for channel, lines in self._lines.items() if lines.held]
        return Heard(
            tuple(message for each in shown for message in each.passed),
            tuple(record for each in shown for record in each.records),
        )

    def farewell(self, sentence: str) -> tuple[Whole, ...]:
        """A status, which kubectl prints."""
        return (Whole(bytes((ERROR,)) + failure(0, sentence)),)

    def _from_client(self, message: Whole) -> Heard:
        match message.data[:1], message.data[1:]:
            case b"\x00", data:
                return Heard((message,), (Streamed(self._pod.number, "stdin", data),))
            case b"\x04", data:
                return Heard((message,), (_size(self._pod.number, data),))
            case b"\xff", b"\x00":
                return Heard((message,) if self._pod.protocol == V5 else ())
        raise ProtocolViolation(Side.CLIENT.value, "Your client sent something that is neither input nor a size.")

    def _from_server(self, message: Whole) -> Heard:
        channel = message.data[0] if message.data else CLOSE
        if channel in OUTPUTS:
            return self._output(message)
        if channel != ERROR:
            raise ProtocolViolation(
                Side.SERVER.value, "The cluster sent something that is neither output nor a status."
            )
        self._status += message.data[1:]
        if len(self._status) > STATUS_BYTES_MAX:
            raise ProtocolViolation(Side.SERVER.value, "The cluster sent a status without an end.")
        held = self.release()
        return Heard((*held.passed, message), (*held.records, *_ended(self._pod.number, bytes(self._status))))

    def _output(self, message: Whole) -> Heard:
        channel, data = message.data[0], message.data[1:]
        if not (self._pod.is_masked and data):
            return self._shown(channel, data)
        if channel not in self._lines:
            self._waiting = message
            return Heard(ask=shape_of(OUTPUTS[channel]))
        shown = self._lines[channel].feed(data)
        return self._shown(channel, shown) if shown else Heard()

    def _shown(self, channel: int, data: bytes) -> Heard:
        records = (Streamed(self._pod.number, OUTPUTS[channel], data),) if data else ()
        return Heard((Whole(bytes((channel,)) + data),), records)


def _size(number: int, data: bytes) -> Record:
    """@raise ProtocolViolation"""
    try:
        told: Any = orjson.loads(data)
        columns, rows = told["Width"], told["Height"]
        if not all(type(each) is int and 0 <= each <= SIZE_MAX for each in (columns, rows)):
            raise ValueError("it is out of range")
    except (ValueError, TypeError, KeyError) as why:
        raise ProtocolViolation(
            Side.CLIENT.value, "Your client sent a size for its terminal that is none.", detail=str(why)
        ) from why
    return Terminal(number, columns, rows, "")


def _ended(number: int, text: bytes) -> tuple[Record, ...]:
    """How the process ended, as soon as the status is whole."""
    try:
        status: Any = orjson.loads(text)
    except ValueError:
        return ()
    match status:
        case {"status": "Success"}:
            return (Completed(number, "exit 0", 0),)
        case {"reason": "NonZeroExitCode", "details": {"causes": [*causes]}}:
            for cause in causes:
                match cause:
                    case {"reason": "ExitCode", "message": str(code)} if code.isascii() and code.isdigit():
                        return (Completed(number, f"exit {code}", 0),)
    told = status if isinstance(status, dict) else {}
    return (Faulted(number, str(told.get("reason", "")), str(told.get("message", ""))),)
