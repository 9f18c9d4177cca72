"""Harness: SSH transports in memory: a stranger, or a target that has not proved itself, before, amid and after keys.

The keys are new each time, so that an input plays the same, but not byte by byte.
"""

from twisted.conch.ssh.keys import Key

from fuzz.choices import Choices, damaged
from fuzz.endings import Ending, ending
from hoopproxy.errors import SessionError
from hoopproxy.listen.ssh_login import Login
from hoopproxy.settings import Limits
from hoopproxy.ssh.exchange import BLOCKED_MAX, ClientExchange, Exchange, ServerExchange
from hoopproxy.ssh.packing import PACKET_BYTES_MAX
from hoopproxy.testing.ssh_keys import new_key

EVENTS_MAX = 12
ROUNDS_MAX = 40
HOST_KEY = Key.fromString(new_key().private)

GREETINGS = (
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"SSH-1.99-x\n",
    b"SSH-1.5-old\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"GET / HTTP/1.1\r\n",
    b"hello\r\nSSH-2.0-x\r\n",
    b"SSH-2.0-" + b"x" * 300 + b"\r\n",
    b"SSH-2.0-\0\r\n",
)
NUMBERS = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    19,
    20,
    21,
    22,
    29,
    30,
    31,
    32,
    33,
    34,
    49,
    50,
    52,
    60,
    61,
    79,
    80,
    94,
    100,
    101,
    255,
)


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    server = ServerExchange({b"ssh-ed25519": HOST_KEY})
    login = Login(server, Limits(login_attempts_max=3))
    server.login = login.take
    client = ClientExchange(lambda blob: blob == HOST_KEY.public().blob(), lambda payload: None)
    hearer, speaker = (server, client) if choices.byte() & 1 else (client, server)
    if choices.byte() & 7 == 7:
        _garbage(choices, hearer)
    else:
        _session(choices, hearer, speaker)
    assert not server.is_open, "it is let in, and nobody has said so"


def _garbage(choices: Choices, hearer: Exchange) -> None:
    hearer.begin()
    said = choices.pick(GREETINGS) + choices.some(255)
    for piece in choices.cuts(damaged(choices, said) if choices.byte() & 1 else said):
        if _heard(hearer, piece) is not None:
            return
    assert not hearer.is_secure


def _session(choices: Choices, hearer: Exchange, speaker: Exchange) -> None:
    """A handshake and what follows it, of which the speaker's part is bent: one packet of the handshake perhaps, or
    what it says once there are keys."""
    bends, size = choices.below(6) if choices.byte() & 1 else -1, choices.byte()
    for end in (hearer, speaker):
        end.begin()
    for number in range(ROUNDS_MAX):
        said = b"".join(speaker.outbox)
        speaker.outbox.clear()
        if number == bends and said:
            said = damaged(choices, said)
        if _heard(hearer, said, size) is not None:
            return
        try:
            _taken(speaker, b"".join(hearer.outbox))
        except SessionError:
            return  # it was answered wrongly after what was bent
        hearer.outbox.clear()
        if hearer.is_secure and speaker.is_secure and not speaker.outbox:
            break
    if not (hearer.is_secure and speaker.is_secure) or speaker.is_exchanging:
        return
    for _ in range(EVENTS_MAX):
        if not choices.left:
            return
        choices.pick(_SAYS)(choices, speaker)
        said = b"".join(speaker.outbox)
        speaker.outbox.clear()
        if choices.byte() & 31 == 31:
            said = damaged(choices, said)
        if _heard(hearer, said, size) is not None:
            return
        if choices.byte() & 1 and not speaker.is_exchanging:
            hearer.outbox.clear()  # it is not listened to
            continue
        try:
            _taken(speaker, b"".join(hearer.outbox))
        except SessionError:
            return
        hearer.outbox.clear()


def _packs(choices: Choices, speaker: Exchange) -> None:
    """Any message, well sealed."""
    speaker.pack(bytes((choices.pick(NUMBERS),)) + choices.some(120))


def _asks(choices: Choices, speaker: Exchange) -> None:
    speaker.pack(
        choices.pick((b"\5\0\0\0\x0cssh-userauth", b"\6\0\0\0\x0cssh-userauth", b"\5\0\0\0\x0essh-connection"))
    )


def _renews(choices: Choices, speaker: Exchange) -> None:
    if not speaker.is_exchanging:
        speaker.renew()


def _bends_keys(choices: Choices, speaker: Exchange) -> None:
    """A KEXINIT of its own making."""
    offered = b"".join(len(one).to_bytes(4) + one for one in (choices.pick(LISTS) for _ in range(10)))
    speaker.pack(b"\x14" + bytes(16) + offered + b"\0" * choices.pick((5, 5, 4, 0)))


LISTS = (
    b"curve25519-sha256,kex-strict-c-v00@openssh.com",
    b"mlkem768x25519-sha256",
    b"ssh-ed25519",
    b"aes128-ctr",
    b"hmac-sha2-256",
    b"none",
    b"",
    b",,,",
    b"\xff" * 300,
)
_SAYS = (_packs, _packs, _packs, _asks, _renews, _bends_keys)


def _heard(hearer: Exchange, said: bytes, size: int = 0) -> Ending | None:
    """How it ended, if it did."""
    try:
        for at in range(0, len(said), size or len(said) or 1):
            _taken(hearer, said[at : at + (size or len(said))])
    except SessionError as why:
        return ending(why)
    finally:
        assert len(hearer._blockedByKeyExchange or ()) <= BLOCKED_MAX
        left = len(hearer._unpacker._data) - hearer._unpacker._at
        assert left <= PACKET_BYTES_MAX + 600 or hearer.is_halted
        assert hearer.is_secure or not hearer.is_logging_in
    return None


def _taken(hearer: Exchange, said: bytes) -> None:
    hearer.append(said)
    while not hearer.is_halted and hearer.take():
        hearer.payloads.clear()
