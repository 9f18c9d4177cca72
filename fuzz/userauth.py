"""Harness: a stranger who logs in over SSH, and a target that we log in to, past their transports."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fuzz import ssh_users
from fuzz.choices import Choices, damaged
from fuzz.endings import Ending, ending
from hoopproxy.dial.ssh_login import Login as TargetLogin
from hoopproxy.dial.ssh_login import Proof
from hoopproxy.errors import ProtocolViolation, SessionError
from hoopproxy.listen.ssh_login import REQUESTS_MAX, Login
from hoopproxy.model import Side
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.settings import Limits
from hoopproxy.ssh.exchange import SERVICE_ACCEPT
from hoopproxy.testing.ssh_keys import new_key
from tests.wire.ssh.speech import string

EVENTS_MAX = 24
ATTEMPTS_MAX = 3
PASSWORD = b"the target's password"
KEY = Proof.by_key(Secret(new_key().private))


@dataclass
class Exchange:
    """As much of one as logins see."""

    peer: Side
    said: list[bytes] = field(default_factory=list)
    sessionID: bytes = ssh_users.SESSION
    is_open: bool = False
    is_halted: bool = False
    is_logging_in: bool = True
    peerExtensions: dict[bytes, bytes] = field(default_factory=dict)

    def say(self, payload: bytes) -> None:
        self.said.append(payload)

    def violated(self, what: str, detail: str = "") -> ProtocolViolation:
        return ProtocolViolation(self.peer.value, f"It {what}.", detail=detail)


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    (_stranger if choices.byte() & 3 else _target)(choices)


def _stranger(choices: Choices) -> None:
    exchange: Any = Exchange(Side.CLIENT)
    login = Login(exchange, Limits(login_attempts_max=ATTEMPTS_MAX))
    for _ in range(EVENTS_MAX):
        if not choices.left:
            return
        payload, before = ssh_users.client_says(choices), len(exchange.said)
        if _ends(partial(login.take, payload)):
            return
        said = exchange.said[before:]
        assert all(one[0] in (51, 53, 60) for one in said) and len(said) <= 2
        assert not exchange.is_open, "it is in, and nobody has said so"
        attempt = login.attempt
        assert exchange.is_halted == (attempt is not None)
        if attempt is not None:
            assert payload[0] != 50 or string(b"ssh-connection") in payload
            assert not said and attempt.target_name == "box" and attempt.parent is None
            if attempt.key is not None:
                _is_proved(payload, attempt)
            else:
                assert attempt.secret.reveal() == "token" or b"token" not in payload
            if choices.byte() & 3 == 3:
                login.succeed()
                assert exchange.said[-1] == b"\x34" and exchange.is_open and not exchange.is_halted
                return
            if not login.fail("No."):
                return
    assert login._requests <= REQUESTS_MAX and login._failures < ATTEMPTS_MAX


def _is_proved(payload: bytes, attempt: Any) -> None:
    """The key is the one in the payload, and it has signed all that comes before the signature, for this session."""
    parts, at = [], 1
    for number in range(6):
        at += number == 3  # a flag
        size = int.from_bytes(payload[at : at + 4])
        parts.append((payload[at + 4 : at + 4 + size], at))
        at += 4 + size
    (user, _), (service, _), (method, _), (algorithm, _), (blob, _), (signature, signed) = parts
    assert at == len(payload) and (service, method) == (b"ssh-connection", b"publickey")
    assert blob == attempt.key.data and user in (b"box", attempt.account.encode() + b"+box")
    assert ssh_users.has_signed(algorithm, blob, signature, string(ssh_users.SESSION) + payload[:signed])


# The other way round -------------------------------------------------------------------------------------------------


def _target(choices: Choices) -> None:
    """It may ask for a password, and gets it once, by a way that it has named; it never gets more than that."""
    exchange: Any = Exchange(Side.SERVER)
    proof = KEY if choices.byte() & 1 else None
    password = "" if proof is not None else PASSWORD.decode()
    login = TargetLogin(exchange, "Target 'box'", TargetSecret("app", Secret(password)), proof)
    if _ends(lambda: login.take(bytes((SERVICE_ACCEPT,)))):
        raise AssertionError("it does not begin")
    named = b""
    for _ in range(EVENTS_MAX):
        if not choices.left or login.is_done:
            break
        payload = choices.call(*_TARGETS)
        payload = (damaged(choices, payload) or b"\0") if choices.byte() & 15 == 15 else payload
        named += payload if payload[0] == 51 else b""
        if _ends(partial(login.take, payload)):
            break
    shown = [one for one in exchange.said if PASSWORD in one]
    assert len(shown) <= 1
    assert not shown or b"password" in named or b"keyboard-interactive" in named
    assert sum(b"publickey" in one for one in exchange.said) <= (proof is not None)
    assert exchange.is_open == login.is_done


METHODS = (b"publickey", b"password", b"keyboard-interactive", b"publickey,password", b"none", b"", b"hostbased\x1b[2J")
_TARGETS: tuple[Callable[[Choices], bytes], ...] = (
    *(lambda choices: b"\x33" + string(choices.pick(METHODS)) + bytes((choices.pick((0, 0, 0, 1)),)),) * 4,
    lambda choices: b"\x34",
    lambda choices: b"\x35" + string(choices.some(40)) + string(b""),
    *(lambda choices: b"\x3c" + string(b"") * 3 + _prompts(choices),) * 2,
    lambda choices: b"\x3c" + string(b"ssh-ed25519") + string(choices.some(40)),
    lambda choices: bytes((choices.pick((6, 50, 51, 52, 53, 60, 61, 79)),)) + choices.some(40),
)


def _prompts(choices: Choices) -> bytes:
    count = choices.pick((1, 1, 0, 2, 16, 17))
    asked = b"".join(string(b"Password: ") + bytes((choices.below(2),)) for _ in range(count))
    return (choices.number() if choices.byte() & 15 == 15 else count).to_bytes(4) + asked


def _ends(take: Callable[[], None]) -> Ending | None:
    try:
        take()
    except SessionError as why:
        return ending(why)
    return None
