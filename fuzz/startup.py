"""Harness: the first bytes of a connection, before anybody knows who sends them."""

import struct

from fuzz.choices import Choices, damaged
from fuzz.endings import Ending, ending
from hoopproxy.errors import SessionError
from hoopproxy.wire.postgres.startup import First, Startup, credentials, read_first

BYTES_MAX = 300
CODES = (3 << 16, 3 << 16 | 2, 3 << 16 | 9999, 2 << 16, 80877102, 80877103, 80877104, 0)
NAMES = (
    b"user",
    b"database",
    b"options",
    b"replication",
    b"search_path",
    b"client_encoding",
    b"standard_conforming_strings",
    b"_pq_.x",
    b"USER",
    b"role",
)
VALUES = (
    b"ana",
    b"crm/orders",
    b"ana+crm",
    b"-c search_path=a\\ b",
    b"--jit=off -cgeqo=on",
    b"-c",
    b"\\",
    b"UTF8",
    b"on",
)

type Outcome = tuple[First, int] | Ending | None


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    packet = choices.call(_noise, _packet, _packet, _startup, _startup, _startup)
    cuts = sorted({choices.byte() for _ in range(4)})
    whole = _outcome(packet)
    for end in cuts:
        # What may still come changes nothing, unless more is needed to tell.
        assert _outcome(packet[:end]) in (whole, None)
    if whole is not None and isinstance(whole[0], Startup):
        assert len(whole[0].negotiation) <= 13 + BYTES_MAX
        _credentials(whole[0])


def _outcome(data: bytes) -> Outcome:
    try:
        found = read_first(data, BYTES_MAX)
    except SessionError as why:
        return ending(why)
    assert found is None or found[1] <= len(data)
    return found


def _credentials(startup: Startup) -> None:
    try:
        wanted = credentials(startup)
    except SessionError as why:
        ending(why)
    else:
        for text in (
            wanted.target_name,
            wanted.account,
            wanted.database,
            *wanted.parameters,
            *wanted.parameters.values(),
        ):
            assert "\0" not in text


def _noise(choices: Choices) -> bytes:
    return choices.some(255)


def _packet(choices: Choices) -> bytes:
    body = choices.some(40)
    length = len(body) + 8 if choices.byte() & 1 else choices.number()
    return struct.pack("!II", length, choices.pick(CODES)) + body + choices.some(8)


def _startup(choices: Choices) -> bytes:
    pairs = b""
    for _ in range(choices.below(6)):
        name = choices.some(20) if choices.byte() & 7 == 7 else choices.pick(NAMES)
        value = choices.some(40) if choices.byte() & 3 == 3 else choices.pick(VALUES)
        pairs += name + b"\0" + value + b"\0"
    packet = struct.pack("!II", len(pairs) + 9, choices.pick(CODES[:3])) + pairs + b"\0"
    return damaged(choices, packet) if choices.byte() & 7 == 7 else packet
