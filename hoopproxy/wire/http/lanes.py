"""How several byte streams cross the house in one: frames of lanes, as an HTTP session has them on both sides.

On the server's side each lane is a connection to the target, at the one address that the passage is for; lane 0 is open
from the login on. On the client's side lane 0 is the client's connection, and each other one a child: what goes through
this session and leads to a target of its own. Knows neither HTTP nor sockets.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side

HEAD_BYTES = 9
"""Kind (1), lane (4), length of the payload (4), big-endian."""

PAYLOAD_BYTES_MAX = 1 << 20
"""Longer data goes in several frames; whoever reads a lane gives no more at once."""


class Kind(IntEnum):
    """What a frame says of its lane. The first five go from the machine outwards, all but the first three inwards."""

    PAUSE = 1
    """Read no more of it."""
    RESUME = 2
    """Read it again."""
    OPEN = 3
    """Make it. To a target, the payload is what ALPN may offer (`h2,http/1.1`; "" for no ALPN); to a child's frontend,
    the name of its target."""
    DATA = 4
    """Bytes, at least one."""
    ENDED = 5
    """No more bytes come this way."""
    CLOSED = 6
    """It is gone, both ways; outwards: close it, and nothing more is wanted of it. Inwards the payload says why it
    broke off, "" when it ended in peace."""
    OPENED = 7
    """It is open; the payload is what ALPN agreed on."""
    REFUSED = 8
    """It could not be opened; the payload is a sentence for the client, in UTF-8."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    kind: Kind
    lane: int
    payload: bytes = field(default=b"", repr=False)


def framed(frame: Frame) -> bytes:
    """A frame as it crosses; of DATA as many as its payload takes, and none for nothing."""
    if frame.kind is Kind.DATA:
        pieces = range(0, len(frame.payload), PAYLOAD_BYTES_MAX)
        return b"".join(_one(frame, frame.payload[start : start + PAYLOAD_BYTES_MAX]) for start in pieces)
    return _one(frame, frame.payload)


def _one(frame: Frame, payload: bytes) -> bytes:
    return bytes((frame.kind,)) + frame.lane.to_bytes(4) + len(payload).to_bytes(4) + payload


class Frames:
    """Frames out of what one side gives, however it is cut."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._buffer = bytearray()

    def append(self, data: bytes) -> None:
        """More bytes."""
        self._buffer += data

    def next(self) -> Frame | None:
        """The next whole frame; None: more is needed. @raise ProtocolViolation: this is no frame."""
        if len(self._buffer) < HEAD_BYTES:
            return None
        kind, lane = self._buffer[0], int.from_bytes(self._buffer[1:5])
        length = int.from_bytes(self._buffer[5:HEAD_BYTES])
        if kind not in Kind or length > PAYLOAD_BYTES_MAX:
            raise ProtocolViolation(self._side.value, "The gateway lost track of a connection; tell its operator.")
        end = HEAD_BYTES + length
        if len(self._buffer) < end:
            return None
        payload = bytes(memoryview(self._buffer)[HEAD_BYTES:end])
        del self._buffer[:end]
        return Frame(Kind(kind), lane, payload)

    @property
    def is_amid(self) -> bool:
        """Whether a part of a frame lies there."""
        return bool(self._buffer)
