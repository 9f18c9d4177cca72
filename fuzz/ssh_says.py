"""What the two ends of an SSH connection may say (RFC 4254), in order or not, as choices have it. Knows no state.

The server's number of a channel is the client's and 10, as `ssh_server` answers.
"""

import struct

from fuzz.choices import Choices, damaged
from tests.wire.ssh import speech as say

CANARY = b"canary-4711"
"""What masks hide."""

SERVER_OFFSET = 10
SIZES = (0, 1, 2, 7, 100, 1024, 32_768, 1 << 20, 1 << 21, 2**32 - 1)
PIECES = (
    b"plain",
    b"\n",
    b"\r\n",
    CANARY,
    CANARY + b"\n",
    CANARY[:4],
    CANARY[4:],
    CANARY[:-1],
    b"",
    b"words of many kinds, and\n" * 4,
    b"7" * 300,
    b" - " * 24_000,
    b"7" * 70_000,
)
TEXTS = ("id", "forbidden", "please rewrite", "git-upload-pack 'x'", "", "nul\0", "\ud800", "two\nlines")
VARIABLES = ("LANG", "LC_ALL", "LD_PRELOAD", "A B", "TOKEN", "")
KINDS = (
    "session",
    "direct-tcpip",
    "direct-streamlocal@openssh.com",
    "tun@openssh.com",
    "x11",
    "auth-agent@openssh.com",
    "forwarded-tcpip",
    "two words",
)
REQUESTS = (
    "shell",
    "exec",
    "subsystem",
    "pty-req",
    "env",
    "window-change",
    "signal",
    "break",
    "x11-req",
    "auth-agent-req@openssh.com",
    "eow@openssh.com",
    "keepalive@openssh.com",
    "exit-status",
    "exit-signal",
    "xon-xoff",
    "unknown",
)
GLOBALS = (
    "keepalive@openssh.com",
    "no-more-sessions@openssh.com",
    "tcpip-forward",
    "streamlocal-forward@openssh.com",
    "hostkeys-00@openssh.com",
    "unknown@example.com",
)


def client_says(choices: Choices) -> bytes:
    """One payload of a client's."""
    return _spoiled(choices, choices.call(*_CLIENT))


def server_says(choices: Choices) -> bytes:
    """One payload of a server's."""
    return _spoiled(choices, choices.call(*_SERVER))


def _spoiled(choices: Choices, payload: bytes) -> bytes:
    return (damaged(choices, payload) or b"\0") if choices.byte() & 31 == 31 else payload


def _text(raw: str) -> bytes:
    return say.string(raw.encode("utf-8", "surrogatepass"))


def _mine(choices: Choices) -> int:
    """The client's number of a channel."""
    return choices.pick((0, 0, 0, 1, 1, 2, 2**31, 2**32 - 1))


def _theirs(choices: Choices) -> int:
    """The server's."""
    number = _mine(choices)
    return number + SERVER_OFFSET if number < 8 else number


def _opens(choices: Choices) -> bytes:
    kind = choices.pick(("session", "session", "session", *KINDS))
    where = choices.pick(("db.internal", "127.1", "[::1]", "", "a b", "ü")).encode()
    rest = say.string(where) + struct.pack("!I", choices.pick((5432, 22, 0, 65_536))) + say.string(b"::1") + bytes(4)
    window, packet = choices.pick(SIZES[::-1]), choices.pick((32_768, 32_768, 1024, 1023, 0, 2**32 - 1))
    return say.opens(_mine(choices), kind, window, packet, b"" if kind == "session" else rest)


def _request_body(choices: Choices, name: str) -> bytes:
    match name:
        case "exec":
            return _text(choices.pick(TEXTS))
        case "subsystem":
            return _text(choices.pick(("sftp", "netconf", "sftp ", "")))
        case "pty-req":
            size = struct.pack("!IIII", choices.number(), choices.number(), 0, 0)
            return _text(choices.pick(("xterm", "", "a b"))) + size + say.string(b"\0")
        case "env":
            return _text(choices.pick(VARIABLES)) + _text(choices.pick(TEXTS))
        case "window-change":
            return struct.pack("!IIII", choices.number(), choices.number(), 0, 0)
        case "signal":
            return _text(choices.pick(("TERM", "", "a b")))
        case "break" | "exit-status":
            return struct.pack("!I", choices.number())
        case "exit-signal":
            text = choices.pick(("", CANARY.decode()))
            return _text(choices.pick(("TERM", "SYS@openssh.com"))) + b"\0" + _text(text) + _text(text)
        case "xon-xoff":
            return b"\1"
    return b"" if name.endswith("@openssh.com") else choices.some(20)


def _client_request(choices: Choices) -> bytes:
    name = choices.pick(REQUESTS)
    return say.request(_theirs(choices), name, bool(choices.byte() & 1), _request_body(choices, name))


def _runs(choices: Choices) -> bytes:
    return say.execs(_theirs(choices), choices.pick(("id", "cat", "forbidden", "please rewrite")))


def _server_request(choices: Choices) -> bytes:
    name = choices.pick(("exit-status", "exit-signal", *REQUESTS))
    return say.request(_mine(choices), name, bool(choices.byte() & 1), _request_body(choices, name))


def _global(choices: Choices) -> bytes:
    name, rest = choices.pick(GLOBALS), choices.pick((b"", b"", b"\0\0\0\0\0\0\0\0", b"x"))
    return say.global_request(name, bool(choices.byte() & 1), rest)


def _piece(choices: Choices) -> bytes:
    return b"".join(choices.pick(PIECES[: choices.pick((11, 13))]) for _ in range(1 + choices.below(3)))[:300_000]


def _client_data(choices: Choices) -> bytes:
    return say.data(_theirs(choices), choices.call(_piece, lambda choices: choices.some(60)))


def _server_data(choices: Choices) -> bytes:
    return say.data(_mine(choices), _piece(choices))


def _server_errors(choices: Choices) -> bytes:
    return say.stderr(_mine(choices), _piece(choices), choices.pick((1, 1, 1, 0, 2)))


def _dies(choices: Choices) -> bytes:
    """Not without telling why."""
    return say.exit_signal(_mine(choices), choices.pick(("TERM", "SYS@openssh.com")), CANARY.decode())


def _noise(choices: Choices) -> bytes:
    return bytes((choices.pick((80, 90, 91, 93, 94, 95, 98, 100, 1, 50, 101, 255)),)) + choices.some(40)


def _confirmed(choices: Choices) -> bytes:
    return say.confirmed(_mine(choices), _theirs(choices), choices.pick(SIZES), choices.pick(SIZES))


def _unopened(choices: Choices) -> bytes:
    return say.unopened(_mine(choices), choices.number(), choices.pick(("", CANARY.decode(), "no")))


_CLIENT = (
    _opens,
    _opens,
    _opens,
    _runs,
    _runs,
    _client_request,
    _client_request,
    _client_request,
    _client_data,
    _client_data,
    lambda choices: say.adjust(_theirs(choices), choices.pick(SIZES)),
    lambda choices: say.adjust(_theirs(choices), choices.number()),
    lambda choices: say.eof(_theirs(choices)),
    lambda choices: say.close(_theirs(choices)),
    _global,
    lambda choices: choices.pick((say.REQUEST_SUCCESS, say.REQUEST_FAILURE)),
    lambda choices: choices.pick((say.success, say.failure))(_theirs(choices)),
    _noise,
)
_SERVER = (
    _server_data,
    _server_data,
    _server_data,
    _server_errors,
    _server_request,
    _dies,
    _confirmed,
    _unopened,
    lambda choices: say.adjust(_mine(choices), choices.pick(SIZES)),
    lambda choices: say.eof(_mine(choices)),
    lambda choices: say.close(_mine(choices)),
    _global,
    _opens,
    lambda choices: choices.pick((say.REQUEST_SUCCESS, say.REQUEST_FAILURE)),
    lambda choices: choices.pick((say.success, say.failure))(_mine(choices)),
    _noise,
)
