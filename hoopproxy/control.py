"""The Unix socket by which an operator's commands reach the running gateway, and the client that speaks to it.

One request per connection, one JSON object per line. Only the gateway's own user and root are answered: the kernel says
who calls (SO_PEERCRED, unix(7)). Knows no command: `hoopproxy.service` gives them.

    → {"command": "kill", "arguments": {"session": "…"}}
    ← {"ok": true, "answer": {…}}                          or {"ok": false, "error": "One sentence."}
    → {"command": "follow", "arguments": {}}
    ← {"ok": true, "answer": {}}                           then, for each event, {"event": {…}}
"""

import os
import socket
import stat
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import orjson
import structlog
from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from hoopproxy.errors import ConfigError, SessionError
from hoopproxy.settings import Limits

log = structlog.get_logger()

REQUEST_BYTES_MAX = 65536
"""A request names a command and a few arguments."""

ANSWER_BYTES_MAX = 1 << 26
"""An answer may list every session."""

EVENTS_WAITING_MAX = 1000
"""Events kept for a follower that is slower than the gateway; with more it is let go, and told so."""

CALLERS_MAX = 32
"""Open control connections; they are people and their scripts."""

TOO_SLOW = "You read more slowly than events happen, so some were lost; follow again."

BROKEN_OFF = "The gateway ended the connection before its answer was whole; its log may say why."

type Event = Mapping[str, Any]
type Command = Callable[[Mapping[str, Any]], object]
type Follow = Callable[[Callable[[Event], None]], Callable[[], None]]
"""Called with a listener, begins to tell it events; answers a function that ends this."""


class ControlError(Exception):
    """A command that was not carried out: one sentence for the operator. Commands raise it, and so does the client."""


class Feed:
    """Tells events to all who listen: the gateway calls `tell`, `subscribe` is the server's `follow`."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], None]] = []

    def tell(self, event: Event) -> None:
        """To everybody who listens now."""
        for listener in tuple(self._listeners):
            listener(event)

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell `listener`, until the answered function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


class ControlServer(Service):
    """Listens on `path` (mode 0600). `commands` maps a command's name to what carries it out.

    A command gets the request's arguments and answers a mapping that JSON can say, or a coroutine or Deferred of it. It
    raises `ControlError` or a `SessionError` to say no; anything else that it raises is a bug and goes to the log.
    """

    def __init__(
        self, reactor: Any, path: Path | str, limits: Limits, commands: Mapping[str, Command], follow: Follow
    ) -> None:
        self._reactor, self._path, self._limits = reactor, Path(path), limits
        self._commands, self._follow = commands, follow
        self._port: Any = None
        self._callers: set[_Caller] = set()

    def startService(self) -> None:
        """@raise ConfigError: it can't listen there, or another gateway does."""
        super().startService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        _make_way(self._path)
        door = Factory.forProtocol(
            lambda: _Caller(self._reactor, self._limits, self._commands, self._follow, self._callers)
        )
        door.noisy = False
        umask = os.umask(0o177)  # it is born 0600: a chmod after the bind would leave a moment
        try:
            self._port = self._reactor.listenUNIX(str(self._path), door, mode=0o600)
        except CannotListenError as why:
            raise ConfigError((f"gateway.control_socket: can't listen on {self._path} ({why.socketError}).",)) from why
        finally:
            os.umask(umask)

    def stopService(self) -> Any:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        for caller in tuple(self._callers):
            caller.leave()
        return self._port.stopListening() if self._port else None


@implementer(IPushProducer)
class _Caller(LineOnlyReceiver):
    """One connection: who it is, its one request, and the answer or the events."""

    delimiter = b"\n"
    MAX_LENGTH = REQUEST_BYTES_MAX

    def __init__(
        self, reactor: Any, limits: Limits, commands: Mapping[str, Command], follow: Follow, callers: "set[_Caller]"
    ) -> None:
        self._reactor, self._limits = reactor, limits
        self._commands, self._follow, self._callers = commands, follow, callers
        self._has_asked = self._is_full = False
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._unfollow: Callable[[], None] | None = None
        self._unwelcome = ""  # why this caller is refused, whatever it asks
        self._limit: Any = None

    def connectionMade(self) -> None:
        self._socket = cast(Any, self.transport)
        self._callers.add(self)
        self._limit = self._reactor.callLater(self._limits.handshake_s_max, self._socket.abortConnection)
        if _caller_uid(self._socket.getHandle()) not in (0, os.geteuid()):
            self._unwelcome = "Only the gateway's own user and root may do this."
        elif len(self._callers) > CALLERS_MAX:
            self._unwelcome = f"There are {CALLERS_MAX} control connections already; end one of them first."

    def lineReceived(self, line: bytes) -> None:
        if self._has_asked:
            return
        self._has_asked = True
        self._limit.cancel()
        if self._unwelcome:
            self._refuse(self._unwelcome)
            return
        try:
            match orjson.loads(line):
                case {"command": "follow", "arguments": {}}:
                    self._begin_to_follow()
                case {"command": str(name), "arguments": dict(arguments)} if name in self._commands:
                    answer = maybeDeferred(self._commands[name], arguments)
                    answer.addCallback(self._answer).addErrback(self._say_no)
                case {"command": str(name), "arguments": {}}:
                    self._refuse(f"The gateway has no command {name!r}; it has {', '.join(sorted(self._commands))}.")
                case _:
                    self._refuse("A request is an object with a command and its arguments.")
        except orjson.JSONDecodeError:
            self._refuse("A request is one line of JSON.")

    def lineLengthExceeded(self, line: bytes) -> None:
        self._refuse(f"A request is a line of up to {REQUEST_BYTES_MAX} bytes.")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._callers.discard(self)
        self._end_to_follow()
        if self._limit.active():
            self._limit.cancel()

    def leave(self) -> None:
        """Flush, then close. Who does not take what is left within `limits.drain_s_max` is cut off."""
        self._has_asked = True
        self._end_to_follow()
        if self in self._callers:
            if self._limit.active():
                self._limit.cancel()
            self._limit = self._reactor.callLater(self._limits.drain_s_max, self._socket.abortConnection)
            self._socket.unregisterProducer()
            self._socket.loseConnection()

    # Answers ----------------------------------------------------------------------------------------------------------

    def _send(self, reply: Mapping[str, Any]) -> None:
        self._socket.write(_line(reply))

    def _answer(self, answer: object) -> None:
        self._send({"ok": True, "answer": answer})
        self.leave()

    def _refuse(self, sentence: str) -> None:
        self._send({"ok": False, "error": sentence})
        self.leave()

    def _say_no(self, failure: Failure) -> None:
        match failure.value:
            case ControlError() as why:
                self._refuse(str(why))
            case SessionError() as why:
                self._refuse(why.sentence)
            case why:
                log.error("control-command-failed", exc_info=why)
                self._refuse("The gateway failed to do this; its log says why.")

    # Events -----------------------------------------------------------------------------------------------------------

    def _begin_to_follow(self) -> None:
        self._socket.registerProducer(self, True)
        self._send({"ok": True, "answer": {}})
        self._unfollow = self._follow(self._tell)

    def _end_to_follow(self) -> None:
        if self._unfollow is not None:
            unfollow, self._unfollow = self._unfollow, None
            unfollow()

    def _tell(self, event: Event) -> None:
        if not self._is_full:
            self._send({"event": event})
        elif len(self._waiting) < EVENTS_WAITING_MAX:
            self._waiting.append({"event": event})
        else:
            while self._waiting:
                self._send(self._waiting.popleft())
            self._refuse(TOO_SLOW)

    def pauseProducing(self) -> None:
        self._is_full = True

    def resumeProducing(self) -> None:
        self._is_full = False
        while self._waiting and not self._is_full:
            self._send(self._waiting.popleft())

    def stopProducing(self) -> None:
        self._waiting.clear()


class ControlClient:
    """Speaks to a running gateway; blocks. Every error is a `ControlError` with one sentence for a terminal."""

    def __init__(self, path: Path | str, timeout_s: float = 10.0) -> None:
        self._path, self._timeout_s = Path(path), timeout_s

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The command's answer. @raise ControlError."""
        with closing(self._connected()) as connection, connection.makefile("rb") as lines:
            return self._asked(connection, lines, command, arguments)

    def follow(self) -> Iterator[dict[str, Any]]:
        """Events as they happen, until the gateway stops. @raise ControlError: among others, you read too slowly."""
        with closing(self._connected()) as connection, connection.makefile("rb") as lines:
            self._asked(connection, lines, "follow", {})
            connection.settimeout(None)
            for line in lines:
                yield _granted(line)["event"]

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self._timeout_s)
        try:
            connection.connect(str(self._path))
        except OSError as why:
            connection.close()
            match why:
                case FileNotFoundError() | ConnectionRefusedError():
                    sentence = f"The gateway is not running: nothing answers on {self._path}."
                case PermissionError():
                    sentence = f"You may not use {self._path}; run this as the gateway's user or as root."
                case _:
                    sentence = f"The gateway can't be reached on {self._path}: {why}."
            raise ControlError(sentence) from why
        return connection

    def _asked(
        self, connection: socket.socket, lines: BufferedReader, command: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            connection.sendall(_line({"command": command, "arguments": arguments}))
            line = lines.readline(ANSWER_BYTES_MAX)
        except TimeoutError as why:
            raise ControlError(f"The gateway did not answer within {self._timeout_s:g} s.") from why
        except OSError as why:
            raise ControlError(BROKEN_OFF) from why
        return cast(dict[str, Any], _granted(line)["answer"])


def _line(value: object) -> bytes:
    """What JSON has no word for goes as its text; a `Secret` has none."""
    return orjson.dumps(value, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def _granted(line: bytes) -> dict[str, Any]:
    """@raise ControlError: the line says no, or is none."""
    if not line.endswith(b"\n"):
        raise ControlError(BROKEN_OFF)
    reply: dict[str, Any] = orjson.loads(line)
    if "error" in reply:
        raise ControlError(reply["error"])
    return reply


def _caller_uid(handle: socket.socket) -> int:
    """Who connected, as the kernel knows it: `struct ucred` holds pid, uid and gid."""
    size = struct.calcsize("3i")
    (_, uid, _) = struct.unpack("3i", handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def _make_way(path: Path) -> None:
    """A directory in which nobody else can put a socket of theirs, and no socket of a gateway that died.

    @raise ConfigError
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.parent.stat()
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            (
                f"gateway.control_socket: others may write to {path.parent}; wanted is a directory of the "
                f"gateway's user alone (chmod 0700 {path.parent}).",
            )
        )
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if path.is_socket():
                path.unlink()
                return
            found = "is no socket"
        except OSError as why:
            found = f"can't be used ({why.strerror or why})"
        else:
            found = "is in use: another gateway answers on it"
    raise ConfigError((f"gateway.control_socket: {path} {found}; wanted is a path of this gateway alone.",))
