"""Harness: a caller of the control socket: lines of anything, in any pieces."""

import os
import struct
from typing import Any, cast

import orjson
import structlog
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from fuzz.choices import Choices, damaged
from hoopproxy.control.following import Feed
from hoopproxy.control.lines import REQUEST_BYTES_MAX, ControlError
from hoopproxy.control.server import _Caller
from hoopproxy.settings import Limits

REQUESTS: tuple[object, ...] = (
    {"command": "list", "arguments": {}},
    {"command": "kill", "arguments": {"session": "s1"}},
    {"command": "kill", "arguments": {"session": {"a": []}}},
    {"command": "break", "arguments": {}},
    {"command": "follow", "arguments": {}},
    {"command": "follow", "arguments": {"x": 1}},
    {"command": 1, "arguments": {}},
    {"command": "none", "arguments": None},
    {},
    [],
    None,
)


def _kill(arguments: Any) -> object:
    if arguments.get("session") != "s1":
        raise ControlError("There is no such session.")
    return {}


def _break(arguments: Any) -> object:
    raise ZeroDivisionError


COMMANDS = {"list": lambda _: {"sessions": []}, "kill": _kill, "break": _break}


class _Handle:
    def getsockopt(self, *_: int) -> bytes:
        return struct.pack("3i", 1, os.geteuid(), 1)


class _Socket(StringTransport):
    disconnecting = False

    def getHandle(self) -> _Handle:
        return _Handle()

    def unregisterProducer(self) -> None:
        """A real one doesn't mind that there is none."""
        self.producer = None


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    said = b"".join(_line(choices) for _ in range(1 + choices.below(3)))
    assert _answered(choices.cuts(said)) == _answered([said])


def _line(choices: Choices) -> bytes:
    match choices.below(8):
        case 0:
            return choices.some(60)
        case 1:
            return choices.some(60) + b"\n"
        case 2:
            return b"[" * choices.pick((100, 70_000)) + b"\n"
        case 3:
            return damaged(choices, orjson.dumps(choices.pick(REQUESTS))) + b"\n"
        case _:
            return orjson.dumps(choices.pick(REQUESTS)) + b"\n"


def _answered(pieces: list[bytes]) -> list[Any]:
    """What a caller is told; it is one answer at most, and lines of JSON."""
    clock, feed, callers = Clock(), Feed(), set[_Caller]()
    caller: Any = _Caller(clock, Limits(), COMMANDS, {"follow": feed.subscribe}, callers)
    socket = cast(Any, _Socket)()
    with structlog.testing.capture_logs():
        caller.makeConnection(socket)
        for piece in pieces:
            if not socket.disconnecting:
                caller.dataReceived(piece)
        feed.tell({"event": "x"})
    assert len(caller._buffer) <= REQUEST_BYTES_MAX + max(map(len, pieces), default=0)
    caller.connectionLost()
    assert not callers and not clock.getDelayedCalls() and not feed._listeners
    told = [orjson.loads(line) for line in socket.value().splitlines()]
    assert [answer.keys() - {"answer", "error"} for answer in told[:1]] in ([], [{"ok"}])
    # A follower who says more than a request has room for is let go, and told so.
    assert len(told) <= 2 and all("event" in answer or answer["ok"] is False for answer in told[1:])
    return told
