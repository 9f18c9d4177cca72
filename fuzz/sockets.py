"""Harness: what runs over a connection after its 101: WebSockets that pass, processes in pods, and ports that are
forwarded; both ends hostile."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from fuzz.choices import Choices, damaged
from fuzz.endings import Ending, ending
from fuzz.http_says import CANARY
from hoopproxy.errors import SessionError
from hoopproxy.events import Call, Message, Plan, Record, Shape, Streamed
from hoopproxy.evidence.transcript import Transcript
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http import port_forward, websocket
from hoopproxy.wire.http.json_masks import Masks
from hoopproxy.wire.http.lanes import Frame, Kind
from hoopproxy.wire.http.message_masks import Messages
from hoopproxy.wire.http.pod_channels import V4, V5, Pod, PodChannels
from hoopproxy.wire.http.protection import Protection
from hoopproxy.wire.http.reading import Relayed, Upgraded
from hoopproxy.wire.http.spdy import DICTIONARY
from tests.wire.http.clusters import request
from tests.wire.http.plainly import Scene, rule

LIMITS = Limits(message_bytes_max=400, document_bytes_max=400, channels_max=3)
EVENTS_MAX = 30
PIECES_MAX = 30
LONG_ENOUGH = 126

JSON = (
    f'{{"pan":"{CANARY}"}}'.encode(),
    f'[{{"pan":"{CANARY}","a":1}}]'.encode(),
    f'{{"pan":"{CANARY}"'.encode(),
    f'{{"p\\u0061n":"{CANARY}"}}'.encode(),
    b"[DONE]",
    b"hello",
    b"",
    b"\xff\xfe",
)
CHANNELS = (
    *(
        b"\0input\n",
        b"\1out " + CANARY.encode() + b"\n",
        b"\2err " + CANARY.encode(),
        b"\1" + CANARY.encode() + b"\r\n",
    ),
    *(
        b'\3{"status":"Success"}',
        b'\3{"reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}',
    ),
    *(
        b'\4{"Width":80,"Height":24}',
        b'\4{"Width":-1}',
        b"\xff\0",
        b"\xff\1",
        b"",
        b"\7x",
        b"\1",
        b"\3[",
        b"\1" + b"x" * 300,
    ),
)


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(reduce(lambda left, _: left.replace(CANARY.encode(), b""), range(8), data))
    kind, size = choices.below(4), 1 + choices.byte()
    events = _events(choices, kind)
    whole, cut = _played(kind, events, 0), _played(kind, events, size)
    if whole.broke or cut.broke:
        # A limit may be met with the bytes behind what another piece ends with.
        assert whole.broke == cut.broke or whole.ended or cut.ended
        return
    assert whole.ended == cut.ended
    assert _merged(whole.records) == _merged(cut.records)
    assert (whole.frames, whole.to_client) == (cut.frames, cut.to_client)
    assert len(whole.to_server) == len(cut.to_server)  # it is masked by chance (RFC 6455 §5.3)


type Event = tuple[Side | None, bytes | Frame]


def _events(choices: Choices, kind: int) -> list[Event]:
    events: list[Event] = []
    spdy = _Spdy()
    while choices.left and len(events) < EVENTS_MAX:
        side = Side.CLIENT if kind == 3 else choices.pick((Side.CLIENT, Side.SERVER))
        match choices.below(12):
            case 0:
                events.append(
                    (None, Frame(choices.pick(tuple(Kind)[3:]), choices.pick((1, 2, 3, 5, 99)), choices.some(20)))
                )
            case 1 if choices.byte() & 3 == 3:
                events.append((side, b""))
            case _:
                payload = choices.pick(JSON if kind == 0 else CHANNELS)
                payload = spdy.says(choices) if kind == 3 else payload
                events.append((side, _frame(choices, payload, is_masked=side is Side.CLIENT, is_text=kind == 0)))
    return events


def _frame(choices: Choices, payload: bytes, *, is_masked: bool, is_text: bool) -> bytes:
    """A message in one frame or two, or a control frame; now and then what RFC 6455 does not allow."""
    ways = choices.byte()
    opcode = 1 if is_text and ways & 1 else 2
    if not ways & 240:
        opcode, payload = choices.pick(
            ((8, b""), (8, b"\x03\xe8bye"), (8, b"\x03"), (9, b"ping"), (10, b"pong"), (3, b""))
        )
        return _framed(0x80 | opcode, payload, is_masked)
    if ways & 12 == 12:
        at = choices.below(len(payload) + 1)
        return _framed(opcode, payload[:at], is_masked) + _framed(0x80, payload[at:], is_masked)
    raw = _framed(
        choices.pick((0x80, 0x80, 0x80, 0x80, 0xC0, 0x00)) | opcode,
        payload,
        is_masked ^ (ways & 2 == 2 and ways & 240 == 240),
    )
    return damaged(choices, raw) if ways & 240 == 224 else raw


def _framed(first: int, payload: bytes, is_masked: bool) -> bytes:
    size, mask = len(payload), 128 * is_masked
    head = bytes((first, mask | size)) if size < LONG_ENOUGH else bytes((first, mask | LONG_ENOUGH)) + size.to_bytes(2)
    return head + (bytes(4) if is_masked else b"") + payload


class _Spdy:
    """What kubectl says, and what it would never."""

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(zdict=DICTIONARY)
        self._stream = 1

    def says(self, choices: Choices) -> bytes:
        """A frame, or a piece of one."""
        raw = choices.pick(_SPDY)(self, choices)
        return damaged(choices, raw) if choices.byte() & 15 == 15 else raw

    def syn(self, choices: Choices) -> bytes:
        """A stream is opened, by one of the two that make a connection."""
        kind, stream = choices.pick((b"error", b"data", b"data", b"x")), self._stream
        self._stream += choices.pick((2, 2, 2, 2, 1, 0))
        port = choices.pick((b"8080", b"8080", b"0", b"x", b"99999"))
        pairs: tuple[tuple[bytes, bytes], ...] = (
            (b"streamtype", kind),
            (b"port", port),
            (b"requestid", choices.pick((b"0", b"0", b"1", b""))),
        )
        if not choices.byte() & 7:
            pairs = (*pairs, pairs[0])
        plain = len(pairs).to_bytes(4) + b"".join(len(text).to_bytes(4) + text for pair in pairs for text in pair)
        block = self._deflater.compress(plain) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        return _control(1, choices.pick((0, 0, 1)), stream.to_bytes(4) + bytes(6) + block)

    def data(self, choices: Choices) -> bytes:
        """Bytes on a stream."""
        stream, payload = choices.pick((1, 3, 3, 5, 0, self._stream)), choices.some(40)
        return stream.to_bytes(4) + bytes((choices.pick((0, 0, 1)),)) + len(payload).to_bytes(3) + payload

    def other(self, choices: Choices) -> bytes:
        """Any control frame."""
        return _control(choices.pick((3, 6, 4, 7, 8, 9, 2)), 0, choices.number().to_bytes(4) + choices.some(9))


def _control(kind: int, flags: int, payload: bytes) -> bytes:
    return b"\x80\3\0" + bytes((kind, flags)) + len(payload).to_bytes(3) + payload


_SPDY: Sequence[Callable[[_Spdy, Choices], bytes]] = (
    _Spdy.syn,
    _Spdy.syn,
    _Spdy.syn,
    _Spdy.data,
    _Spdy.data,
    _Spdy.other,
)


def _masked(text: bytes) -> bytes:
    return text.replace(CANARY.encode(), b"***")


@dataclass
class _Played:
    """One connection, as it went."""

    to_client: bytearray = field(default_factory=bytearray)
    to_server: bytearray = field(default_factory=bytearray)
    records: list[Record] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    broke: Ending | None = None
    ended: bool = False


def _upgraded(kind: int) -> tuple[Upgraded, Callable[[Shape], Plan]]:
    scene = Scene(rule("$..pan"), limits=LIMITS)
    if kind == 0:
        masks = Masks(Protection.of(scene.protected, ""), LIMITS.document_bytes_max)
        return websocket.Sockets(1, LIMITS, websocket.Messages(1, Messages(masks))), scene.plan
    if kind == 3:
        asked = request(
            *("GET", "/api/v1/namespaces/d/pods/web/portforward"),
            *(("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")),
            *(("sec-websocket-key", "A" * 22 + "=="), ("sec-websocket-protocol", port_forward.TUNNEL)),
        )
        _, upgraded = port_forward.begin(1, asked, "prod:d/web", LIMITS)
        return upgraded, scene.plan
    pod = Pod(1, is_terminal=kind == 2, is_masked=True, protocol=V5 if kind == 1 else V4)
    return websocket.Sockets(1, LIMITS, PodChannels(pod)), lambda shape: Plan(shape, (Call(_masked, "masker"),))


def _played(kind: int, events: Sequence[Event], size: int) -> _Played:
    played, transcript = _Played(), Transcript()
    upgraded, plan = _upgraded(kind)

    def become(relayed: Relayed, side: Side) -> None:
        for _ in range(200):
            transcript.recorded(0.0, relayed.records)
            played.to_client += relayed.to_client
            played.to_server += relayed.to_server
            played.records += relayed.records
            played.frames += relayed.frames
            played.ended |= relayed.ended
            if relayed.ask is None or relayed.ended:
                return
            assert isinstance(relayed.ask, Shape)
            relayed = upgraded.resume(side, plan(relayed.ask))
        raise AssertionError("it asks without end")

    try:
        become(upgraded.begin(), Side.SERVER)
        for side, what in events:
            for piece in (what,) if side is None or not what else _cut(what, size):
                if played.ended:
                    return played
                call: Any = piece
                become(upgraded.take(call) if side is None else upgraded.feed(side, call), side or Side.CLIENT)
            assert CANARY.encode() not in played.to_client, "a masked value was shown"
            if kind != 3:
                upgraded.farewell("The session has ended.")
    except SessionError as why:
        played.broke = ending(why)
        assert all(CANARY not in text for text in played.broke)
    return played


def _cut(data: bytes | Frame, size: int) -> list[bytes]:
    assert isinstance(data, bytes)
    step = max(size or len(data), len(data) // PIECES_MAX, 1)
    return [data[at : at + step] for at in range(0, len(data), step)]


def _merged(records: Sequence[Record]) -> list[Any]:
    """As if all bytes of a stream that follow each other had come at once."""
    found: list[Any] = []
    for record in records:
        assert not isinstance(record, Message) or CANARY.encode() not in record.raw or record.side is Side.CLIENT
        if isinstance(record, Streamed) and found and isinstance(found[-1], list) and found[-1][0] == record.stream:
            found[-1][1] += record.raw
        else:
            found.append([record.stream, record.raw] if isinstance(record, Streamed) else record)
    return found
