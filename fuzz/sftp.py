"""Harness: both ends of an SFTP session, either of them hostile, and the reader that follows them."""

from fuzz.choices import Choices, damaged
from fuzz.endings import Ending, ending, is_unicode
from hoopproxy.errors import SessionError
from hoopproxy.events import Transferred
from hoopproxy.evidence.transcript import Transcript
from hoopproxy.wire.ssh.in_order import PIECE_BYTES
from hoopproxy.wire.ssh.packets import LENGTH_BYTES, PAYLOAD_BYTES_MAX
from hoopproxy.wire.ssh.sftp import Sftp
from hoopproxy.wire.ssh.sftp_packets import OUTCOME_CHARS_MAX
from tests.wire.ssh import sftp_words as say

EVENTS_MAX = 60
HANDLES_MAX, REQUESTS_MAX, WAITING_BYTES_MAX = 3, 8, 600

PATHS = (b"/etc/passwd", b"a", b"", b"\xff\xfe", b"a\nb\x1b]0;x\x07", b"p" * 4097)
NAMES = (b"h0", b"h1", b"h2", b"", b"x" * 257)
CODES = (0, 0, 0, 1, 3, 9, 2**32 - 1)
WORDS = (b"", b"ok", b"denied\x1b[2J", b"\xff", b"w" * 900)
EXTENDED = (
    b"posix-rename@openssh.com",
    b"hardlink@openssh.com",
    b"lsetstat@openssh.com",
    b"copy-data",
    b"statvfs@openssh.com",
    b"new@example.com",
    b"\x1b[2J",
)
ATTRIBUTES = (
    say.NO_ATTRIBUTES,
    say.u32(5) + say.u64(7) + say.u32(0o100644),
    say.u32(0xA) + bytes(8) + bytes(8),
    say.u32(0x80000000) + say.u32(1) + say.string(b"a") + say.string(b"b"),
    say.u32(0x80000000) + say.u32(2**32 - 1),
    say.u32(2**32 - 1),
)

type Event = tuple[bool, bytes]
"""Whether the client says it, and what."""


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    size = 1 + choices.byte()
    events: list[Event] = [(True, say.INIT), (False, say.VERSION)] if choices.byte() & 15 else []
    while choices.left and len(events) < EVENTS_MAX:
        is_clients = choices.byte() % 2 == 0
        said = choices.call(*(_REQUESTS if is_clients else _ANSWERS))
        events.append((is_clients, damaged(choices, said) if choices.byte() & 31 == 31 else said))
    assert _followed(events, 0) == _followed(events, size)


_NUMBERS = (*range(12), 2**32 - 1)


def _number(choices: Choices) -> int:
    return choices.pick(_NUMBERS)


def _attributes(choices: Choices) -> bytes:
    return choices.pick(ATTRIBUTES)


def _extended(choices: Choices) -> bytes:
    name, number = choices.pick(EXTENDED), _number(choices)
    match name:
        case b"copy-data":
            places = say.string(choices.pick(NAMES)) + say.u64(0) + say.u64(choices.number())
            rest = places + say.string(choices.pick(NAMES)) + say.u64(0)
        case b"lsetstat@openssh.com":
            rest = say.string(choices.pick(PATHS)) + _attributes(choices)
        case _:
            rest = say.string(choices.pick(PATHS)) + say.string(choices.pick(PATHS))
    return say.packet(200, say.u32(number), say.string(name), rest)


def _named(choices: Choices) -> bytes:
    return say.asks(choices.pick((7, 11, 13, 15, 16, 17, 19)), _number(choices), choices.pick(PATHS))


def _renamed(choices: Choices) -> bytes:
    return say.asks(choices.pick((18, 20)), _number(choices), choices.pick(PATHS), choices.pick(PATHS))


def _with_attributes(choices: Choices) -> bytes:
    names = choices.pick((PATHS, NAMES))
    kind = choices.pick((9, 14)) if names is PATHS else 10
    return say.packet(kind, say.u32(_number(choices)), say.string(choices.pick(names)), _attributes(choices))


_REQUESTS = (
    *(lambda choices: say.open_(_number(choices), choices.pick(PATHS), choices.below(64)),) * 3,
    *(
        lambda choices: say.read(_number(choices), choices.pick(NAMES), 10 * choices.below(5), 10 * choices.below(5)),
        lambda choices: say.write(_number(choices), choices.pick(NAMES), 10 * choices.below(5), choices.some(40)),
    )
    * 3,
    *(lambda choices: say.close(_number(choices), choices.pick(NAMES)),) * 2,
    lambda choices: say.asks(choices.pick((8, 12)), _number(choices), choices.pick(NAMES)),
    _named,
    _renamed,
    _with_attributes,
    _extended,
    lambda choices: say.packet(choices.byte(), choices.some(30)),
    lambda choices: say.u32(choices.number()) + choices.some(30),
)
_ANSWERS = (
    *(lambda choices: say.handle(_number(choices), choices.pick(NAMES)),) * 4,
    *(lambda choices: say.status(_number(choices), choices.pick(CODES), choices.pick(WORDS)),) * 4,
    *(lambda choices: say.data(_number(choices), choices.some(50)),) * 3,
    lambda choices: say.packet(101, say.u32(_number(choices)), say.u32(choices.pick(CODES))),
    lambda choices: say.packet(choices.pick((104, 105, 201)), say.u32(_number(choices)), choices.some(20)),
    lambda choices: say.packet(choices.byte(), choices.some(30)),
    lambda choices: say.u32(choices.number()) + choices.some(30),
)


def _followed(events: list[Event], size: int) -> tuple[list[Transferred], Ending | None]:
    """What is told of them, in pieces of `size` (0: whole), and how it broke off."""
    reader = Sftp(1, handles_max=HANDLES_MAX, requests_max=REQUESTS_MAX, waiting_bytes_max=WAITING_BYTES_MAX)
    told: list[Transferred] = []
    try:
        for is_clients, said in events:
            feed = reader.sent if is_clients else reader.answered
            for at in range(0, len(said), size or len(said) or 1):
                told += feed(said[at : at + (size or len(said))])
                _within_limits(reader)
    except SessionError as why:
        return [], ending(why)  # which of them came before depends on cuts
    told += reader.end()
    assert reader.end() == () and reader._room.left == WAITING_BYTES_MAX
    Transcript().recorded(0.0, tuple(told))
    for each in told:
        assert is_unicode(each.outcome) and len(each.outcome) <= OUTCOME_CHARS_MAX
        assert all(text.isprintable() for text in (each.outcome, each.operation, each.detail))
    return told, None


def _within_limits(reader: Sftp) -> None:
    assert len(reader._requests) <= REQUESTS_MAX
    assert 0 <= reader._opening and reader._opening + len(reader._handles) <= HANDLES_MAX
    waiting = 0
    for opened in reader._handles.values():
        assert opened.under_way >= 0
        for way in (opened.reads, opened.writes):
            waiting += sum(PIECE_BYTES + len(piece) for piece in way._early.values())
    assert 0 <= reader._room.left <= WAITING_BYTES_MAX - waiting
    for splitter in (reader._from_client, reader._from_server):
        assert len(splitter._buffer) < LENGTH_BYTES + PAYLOAD_BYTES_MAX
