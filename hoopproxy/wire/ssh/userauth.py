"""The messages of SSH's authentication protocol (RFC 4252) and of its dialogue (RFC 4256), read and written.

Knows neither keys nor tokens, nor whose turn it is.
"""

from dataclasses import dataclass

from hoopproxy.model import Side
from hoopproxy.wire.ssh.messages import Reader, string

REQUEST, FAILURE, SUCCESS, BANNER, METHOD, INFO_RESPONSE = 50, 51, 52, 53, 60, 61
"""Message numbers; what `METHOD` means depends on the method that was asked for."""

CONNECTION = b"ssh-connection"
"""The one service to log in for."""

PASSWORD, PUBLICKEY, INTERACTIVE = b"password", b"publickey", b"keyboard-interactive"

PROMPTS_MAX = 16


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for; `rest` is the method's own."""

    user: bytes
    service: bytes
    method: bytes
    rest: Reader

    @classmethod
    def read(cls, payload: bytes) -> "Request":
        """@raise ProtocolViolation"""
        reader = reading(Side.CLIENT, payload)
        return cls(reader.string(), reader.string(), reader.string(), reader)


@dataclass(frozen=True, slots=True)
class Failure:
    """The methods that can continue, and whether what was shown was right and is not enough."""

    methods: frozenset[bytes]
    is_partial: bool

    @classmethod
    def read(cls, payload: bytes) -> "Failure":
        """@raise ProtocolViolation"""
        reader = reading(Side.SERVER, payload)
        return cls(frozenset(reader.string().split(b",")), reader.flag())


def reading(side: Side, payload: bytes) -> Reader:
    """Reads a whole payload."""
    return Reader(side, payload, 0, len(payload))


def request(user: bytes, method: bytes, rest: bytes = b"") -> bytes:
    """A request to be let in; `rest` is the method's own."""
    return bytes((REQUEST,)) + string(user) + string(CONNECTION) + string(method) + rest


def password_request(user: bytes, password: bytes) -> bytes:
    """A request with a password (RFC 4252 §8)."""
    return request(user, PASSWORD, b"\0" + string(password))


def interactive_request(user: bytes) -> bytes:
    """A request to be asked (RFC 4256 §3.1): in no language, by no particular means."""
    return request(user, INTERACTIVE, string(b"") + string(b""))


def key_request(user: bytes, algorithm: bytes, blob: bytes) -> bytes:
    """A request with a key, up to its signature (RFC 4252 §7), which goes over the session's identifier and this."""
    return request(user, PUBLICKEY, b"\1" + string(algorithm) + string(blob))


def key_is_fine(algorithm: bytes, blob: bytes) -> bytes:
    """The server's answer to a key without a signature."""
    return bytes((METHOD,)) + string(algorithm) + string(blob)


def failure(*methods: bytes) -> bytes:
    """No; these may be tried."""
    return bytes((FAILURE,)) + string(b",".join(methods)) + b"\0"


def banner(sentence: str) -> bytes:
    """What the client's user is shown."""
    return bytes((BANNER,)) + string(sentence.encode() + b"\r\n") + string(b"en")


def question(instruction: str, prompt: str) -> bytes:
    """One question, the answer to which is not shown on the screen (RFC 4256 §3.2)."""
    asked = string(prompt.encode()) + b"\0"
    return bytes((METHOD,)) + string(b"") + string(instruction.encode()) + string(b"") + (1).to_bytes(4) + asked


def questions(payload: bytes) -> list[bool]:
    """Of each question that a server asks, whether its answer may be shown. @raise ProtocolViolation"""
    reader = reading(Side.SERVER, payload)
    for _ in ("name", "instruction", "language"):
        reader.string()
    count = reader.uint32()
    if count > PROMPTS_MAX:
        raise reader.broken(f"{count} questions")
    shown = []
    for _ in range(count):
        reader.string()
        shown.append(reader.flag())
    return shown


def answers(*given: bytes) -> bytes:
    """The client's answers (RFC 4256 §3.4)."""
    return bytes((INFO_RESPONSE,)) + len(given).to_bytes(4) + b"".join(map(string, given))


def one_answer(payload: bytes) -> bytes | None:
    """The answer to one question; None: there were more or fewer. @raise ProtocolViolation"""
    reader = reading(Side.CLIENT, payload)
    if reader.uint32() != 1:
        return None
    answer = reader.string()
    reader.end()
    return answer
