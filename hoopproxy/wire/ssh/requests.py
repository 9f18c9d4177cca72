"""What a client asks of a target: each channel, request and forwarding as the text that guards judge, or as a refusal.

Formats: RFC 4254 §6 and §7, RFC 4335 for `break`, OpenSSH's PROTOCOL for names that end in `@openssh.com`. Knows no
state: whether something runs already, or was allowed, is the business of `client_half`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hoopproxy.events import Action
from hoopproxy.wire.ssh.messages import Reader

ENVIRONMENT = "env"

_PASSED = frozenset(("eow@openssh.com", "keepalive@openssh.com"))
"""Requests that carry nothing and ask for nothing."""

GLOBALS_PASSED = frozenset(("keepalive@openssh.com", "no-more-sessions@openssh.com"))

_WORD = re.compile(r"[A-Za-z0-9_@%+:,./-]{1,256}")
"""What needs no quotes in a shell, and is the name of a program or terminal."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_HOST = re.compile(r"[!-~]{1,255}")
_SIGNAL = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_CREDENTIAL = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL", re.IGNORECASE)

_UNREADABLE = "The gateway can't read this {} because it is not valid UTF-8 or holds a zero byte; write it otherwise."
_UNKNOWN = "The gateway does not know the request {} and did not pass it on; do without it."
_NOT_SET = "The variable {} may not be set on this target; ask its owner to list it under environment."
_NO_FILES = (
    "Files can't be transferred in this session, because what is in them could not be masked; "
    "run a command that prints what you need."
)
_NO_PLACE = "What your client forwards to is no host and port; name a target or its host."
_NO_REMOTE = "The gateway does not forward ports from the target to your side; leave out -R."
_NO_SOCKETS = "The gateway does not forward Unix sockets; forward a TCP port with -L instead."
_NO_X11 = "The gateway does not forward X11; leave out -X and -Y."
_NO_AGENT = (
    "The gateway does not forward your SSH agent, as the target could then use your keys; leave out -A, "
    "and connect from here to wherever you want to go."
)

_REFUSALS = {
    "auth-agent-req@openssh.com": _NO_AGENT,
    "auth-agent@openssh.com": _NO_AGENT,
    "x11-req": _NO_X11,
    "x11": _NO_X11,
    "tcpip-forward": _NO_REMOTE,
    "cancel-tcpip-forward": _NO_REMOTE,
    "forwarded-tcpip": _NO_REMOTE,
    "streamlocal-forward@openssh.com": _NO_SOCKETS,
    "cancel-streamlocal-forward@openssh.com": _NO_SOCKETS,
    "direct-streamlocal@openssh.com": _NO_SOCKETS,
    "tun@openssh.com": "The gateway does not pass tunnels; leave out -w, and forward a TCP port with -L instead.",
}


@dataclass(frozen=True, slots=True)
class Tty:
    """The size of a terminal in characters, and its kind ("" where only the size is told)."""

    columns: int
    rows: int
    term: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """`text` and `outline` as a statement has them; what has a `refusal` is not asked about, and what `passes` neither.

    A `terminal` is what the request gives the channel.
    """

    name: str
    text: str
    outline: str = ""
    action: Action = Action.REQUEST
    wants_reply: bool = False
    secret: bool = False
    refusal: str = ""
    passes: bool = False
    terminal: Tty | None = None


def refused(name: str, action: Action, wants_reply: bool = False) -> Request:
    """What no gateway passes."""
    return Request(name, name, name, action, wants_reply, refusal=_REFUSALS.get(name, _UNKNOWN.format(name)))


def read_open(name: str, reader: Reader) -> Request:
    """A CHANNEL_OPEN behind its type and numbers. @raise ProtocolViolation."""
    if name == "session":
        reader.end()
        return Request(name, name, name, Action.OPEN)
    if name != "direct-tcpip":
        return refused(name, Action.OPEN)
    host, port = _text(reader.string()), reader.uint32()
    reader.string()  # where the client says that the connection comes from, which nobody believes
    reader.uint32()
    reader.end()
    if not _HOST.fullmatch(host) or not 0 < port < 65536:
        return Request(name, name, name, Action.OPEN, refusal=_NO_PLACE)  # by -D any web page may name anything
    text = f"{name} {host} {port}"
    return Request(name, text, text, Action.OPEN)


def read_request(reader: Reader, environment: Sequence[str], is_masked: bool) -> Request:
    """A CHANNEL_REQUEST behind its channel. @raise ProtocolViolation."""
    name, wants_reply = reader.name(), reader.flag()
    if name in _PASSED:
        reader.end()
        return Request(name, name, name, wants_reply=wants_reply, passes=True)
    if name == ENVIRONMENT:
        return _environment(reader, wants_reply, environment)
    read = _READS.get(name)
    if read is None:
        return refused(name, Action.REQUEST, wants_reply)
    request = read(reader, wants_reply)
    reader.end()
    if is_masked and request.text == "subsystem sftp":
        return Request(name, request.text, request.outline, Action.RUN, wants_reply, refusal=_NO_FILES)
    return request


def rewritten(text: str) -> bytes:
    """The command of an `exec` that became this text on its way."""
    word, _, command = text.partition(" ")
    if word != "exec":
        raise AssertionError("a command that is rewritten is still a command")
    return command.encode()


def _environment(reader: Reader, wants_reply: bool, allowed: Sequence[str]) -> Request:
    name, value = _text(reader.string()), _text(reader.string())
    reader.end()
    shown = name if _VARIABLE.fullmatch(name) else "?"
    text, outline, secret = f"env {shown}={value}", f"env {shown}", bool(_CREDENTIAL.search(name))
    refusal = ""
    if not any(name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in allowed):
        refusal = _NOT_SET.format(shown)
    elif shown == "?" or _is_unreadable(value):
        refusal = _UNREADABLE.format("variable")
    return Request(ENVIRONMENT, text, outline, Action.REQUEST, wants_reply, secret, refusal)


def _pty(reader: Reader, wants_reply: bool) -> Request:
    term, columns, rows = _text(reader.string()), reader.uint32(), reader.uint32()
    reader.take(8)  # the size in pixels
    reader.string()  # modes
    if term and not _WORD.fullmatch(term):
        return Request("pty-req", "pty-req ?", wants_reply=wants_reply, refusal=_UNREADABLE.format("terminal type"))
    text = f"pty-req {term or 'unknown'} {columns}x{rows}"
    return Request("pty-req", text, text, wants_reply=wants_reply, terminal=Tty(columns, rows, term))


def _window_change(reader: Reader, wants_reply: bool) -> Request:
    size = Tty(reader.uint32(), reader.uint32())
    reader.take(8)  # in pixels
    text = f"window-change {size.columns}x{size.rows}"
    return Request("window-change", text, text, wants_reply=wants_reply, terminal=size)


def _shell(reader: Reader, wants_reply: bool) -> Request:
    return Request("shell", "shell", "shell", Action.RUN, wants_reply)


def _exec(reader: Reader, wants_reply: bool) -> Request:
    command = _text(reader.string())
    first = command.split(None, 1)[0] if command.strip() else ""
    outline = f"exec {first}" if _WORD.fullmatch(first) else "exec"
    refusal = _UNREADABLE.format("command") if _is_unreadable(command) else ""
    return Request("exec", f"exec {command}", outline, Action.RUN, wants_reply, refusal=refusal)


def _subsystem(reader: Reader, wants_reply: bool) -> Request:
    name = _text(reader.string())
    text = f"subsystem {name}"
    if not _WORD.fullmatch(name):
        return Request("subsystem", text, "subsystem", Action.RUN, wants_reply, refusal=_UNREADABLE.format("name"))
    return Request("subsystem", text, text, Action.RUN, wants_reply)


def _signal(reader: Reader, wants_reply: bool) -> Request:
    text = f"signal {read_signal(reader)}"
    return Request("signal", text, text, wants_reply=wants_reply)


def _break(reader: Reader, wants_reply: bool) -> Request:
    text = f"break {reader.uint32()}"
    return Request("break", text, text, wants_reply=wants_reply)


_READS: dict[str, Callable[[Reader, bool], Request]] = {
    "pty-req": _pty,
    "window-change": _window_change,
    "shell": _shell,
    "exec": _exec,
    "subsystem": _subsystem,
    "signal": _signal,
    "break": _break,
}


def read_signal(reader: Reader) -> str:
    """The name of a signal, such as TERM (RFC 4254 §6.9). @raise ProtocolViolation."""
    name = _text(reader.string())
    if not _SIGNAL.fullmatch(name):
        raise reader.broken("a name that no signal has")
    return name


def _text(raw: bytes) -> str:
    """Bytes that are no UTF-8 come out as U+FFFD, by which `_is_unreadable` knows them."""
    return raw.decode("utf-8", "replace")


def _is_unreadable(text: str) -> bool:
    return "\ufffd" in text or "\0" in text
