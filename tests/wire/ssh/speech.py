"""Payloads of the connection protocol as RFC 4254 writes them, made without the code under test."""

import struct


def string(raw: bytes | str) -> bytes:
    raw = raw.encode() if isinstance(raw, str) else raw
    return struct.pack("!I", len(raw)) + raw


def framed(*payloads: bytes) -> bytes:
    return b"".join(string(payload) for payload in payloads)


def unframed(data: bytes) -> list[bytes]:
    payloads = []
    while data:
        (length,) = struct.unpack("!I", data[:4])
        assert 0 < length <= len(data) - 4, "a payload is cut"
        payloads.append(data[4 : 4 + length])
        data = data[4 + length :]
    return payloads


def _numbers(kind: int, *numbers: int) -> bytes:
    return struct.pack(f"!B{len(numbers)}I", kind, *numbers)


def global_request(name: str, reply: bool = False, rest: bytes = b"") -> bytes:
    return b"\x50" + string(name) + bytes([reply]) + rest


REQUEST_SUCCESS, REQUEST_FAILURE = b"\x51", b"\x52"


def opens(sender: int, kind: str = "session", window: int = 1 << 21, packet: int = 1 << 15, rest: bytes = b"") -> bytes:
    return b"\x5a" + string(kind) + struct.pack("!III", sender, window, packet) + rest


def opens_direct(sender: int, host: str = "db.internal", port: int = 5432) -> bytes:
    rest = string(host) + struct.pack("!I", port) + string("127.0.0.1") + struct.pack("!I", 40000)
    return opens(sender, "direct-tcpip", rest=rest)


def confirmed(recipient: int, sender: int, window: int = 1 << 21, packet: int = 1 << 15) -> bytes:
    return _numbers(91, recipient, sender, window, packet)


def unopened(recipient: int, reason: int, text: str) -> bytes:
    return _numbers(92, recipient, reason) + string(text) + string("en")


def adjust(recipient: int, count: int) -> bytes:
    return _numbers(93, recipient, count)


def data(recipient: int, raw: bytes) -> bytes:
    return _numbers(94, recipient) + string(raw)


def stderr(recipient: int, raw: bytes, code: int = 1) -> bytes:
    return _numbers(95, recipient, code) + string(raw)


def eof(recipient: int) -> bytes:
    return _numbers(96, recipient)


def close(recipient: int) -> bytes:
    return _numbers(97, recipient)


def request(recipient: int, name: str, reply: bool = False, rest: bytes = b"") -> bytes:
    return _numbers(98, recipient) + string(name) + bytes([reply]) + rest


def success(recipient: int) -> bytes:
    return _numbers(99, recipient)


def failure(recipient: int) -> bytes:
    return _numbers(100, recipient)


def execs(recipient: int, command: bytes | str, reply: bool = True) -> bytes:
    return request(recipient, "exec", reply, string(command))


def pty(recipient: int, term: str = "xterm", columns: int = 80, rows: int = 24, reply: bool = True) -> bytes:
    rest = string(term) + struct.pack("!IIII", columns, rows, 0, 0) + string(b"\0")
    return request(recipient, "pty-req", reply, rest)


def resized(recipient: int, columns: int, rows: int) -> bytes:
    return request(recipient, "window-change", False, struct.pack("!IIII", columns, rows, 0, 0))


def env(recipient: int, name: str, value: str | bytes, reply: bool = False) -> bytes:
    return request(recipient, "env", reply, string(name) + string(value))


def exit_status(recipient: int, status: int) -> bytes:
    return request(recipient, "exit-status", False, struct.pack("!I", status))


def exit_signal(recipient: int, name: str, text: str = "") -> bytes:
    return request(recipient, "exit-signal", False, string(name) + b"\0" + string(text) + string(""))


def told(sentence: str) -> bytes:
    """As the gateway shows a sentence."""
    return f"\r\nhoopproxy: {sentence}\r\n".encode()
