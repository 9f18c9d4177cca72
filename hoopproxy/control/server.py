"""Listens on the control socket, and says who is answered.

Only the gateway's own user and root are: the kernel says who calls (SO_PEERCRED, unix(7)). Knows no command:
`hoopproxy.service` gives them.
"""

import os
import socket
import stat
import struct
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import orjson
import structlog
from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from hoopproxy.control.following import Following, Stream
from hoopproxy.control.lines import REQUEST_BYTES_MAX, ControlError, line
from hoopproxy.errors import ConfigError, SessionError
from hoopproxy.settings import Limits

log = structlog.get_logger()

CALLERS_MAX = 32
"""Open control connections; they are people and their scripts."""

TOO_SLOW = "You read more slowly than events happen, so some were lost; begin again."

type Command = Callable[[Mapping[str, Any]], object]


class ControlServer(Service):
    """Listens on `path` (mode 0600). `commands` maps a command's name to what carries it out, `streams` to what tells.

    A command gets the request's arguments and answers a mapping that JSON can say, or a coroutine or Deferred of it. It
    raises `ControlError` or a `SessionError` to say no; anything else that it raises is a bug and goes to the log.
    """

    def __init__(
        self,
        reactor: Any,
        path: Path | str,
        limits: Limits,
        commands: Mapping[str, Command],
        streams: Mapping[str, Stream],
    ) -> None:
        self._reactor, self._path, self._limits = reactor, Path(path), limits
        self._commands, self._streams = commands, streams
        self._port: Any = None
        self._callers: set[_Caller] = set()

    def startService(self) -> None:
        """@raise ConfigError: it can't listen there, or another gateway does."""
        super().startService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        _make_way(self._path)
        door = Factory.forProtocol(
            lambda: _Caller(self._reactor, self._limits, self._commands, self._streams, self._callers)
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


class _Caller(LineOnlyReceiver):
    """One connection: who it is, its one request, and the answer or the events."""

    delimiter = b"\n"
    MAX_LENGTH = REQUEST_BYTES_MAX

    def __init__(
        self,
        reactor: Any,
        limits: Limits,
        commands: Mapping[str, Command],
        streams: Mapping[str, Stream],
        callers: "set[_Caller]",
    ) -> None:
        self._reactor, self._limits = reactor, limits
        self._commands, self._streams, self._callers = commands, streams, callers
        self._has_asked = self._is_leaving = False
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
                case {"command": str(name), "arguments": dict(arguments)} if name in self._streams:
                    following = Following(self._socket, partial(self._refuse, TOO_SLOW), self.leave)
                    opening = maybeDeferred(self._streams[name], arguments, following)
                    opening.addCallback(partial(self._follow, following)).addErrback(self._say_no)
                case {"command": str(name), "arguments": dict(arguments)} if name in self._commands:
                    answer = maybeDeferred(self._commands[name], arguments)
                    answer.addCallback(self._answer).addErrback(self._say_no)
                case {"command": str(name), "arguments": {}}:
                    known = ", ".join(sorted((*self._commands, *self._streams)))
                    self._refuse(f"The gateway has no command {name!r}; it has {known}.")
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
        self._has_asked = self._is_leaving = True
        self._end_to_follow()
        if self in self._callers:
            if self._limit.active():
                self._limit.cancel()
            self._limit = self._reactor.callLater(self._limits.drain_s_max, self._socket.abortConnection)
            self._socket.unregisterProducer()
            self._socket.loseConnection()

    # Answers ----------------------------------------------------------------------------------------------------------

    def _send(self, reply: Mapping[str, Any]) -> None:
        self._socket.write(line(reply))

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

    def _follow(self, following: Following, unfollow: Any) -> None:
        if self._is_leaving or self not in self._callers:
            unfollow()
            return
        self._unfollow = unfollow
        self._send({"ok": True, "answer": {}})
        following.begin()

    def _end_to_follow(self) -> None:
        if self._unfollow is not None:
            unfollow, self._unfollow = self._unfollow, None
            unfollow()


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
