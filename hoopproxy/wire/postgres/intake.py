"""What a logged-in client sends, cut into messages: whole ones to decide about, and long ones that go by in pieces.

Knows how long each kind may be, and neither what a message means nor whether it may pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.wire.kernel import run_of
from hoopproxy.wire.postgres.draft import Draft
from hoopproxy.wire.postgres.framing import HEADER_BYTES, Message, Splitter
from hoopproxy.wire.postgres.pieces import BIND_HEAD_BYTES_MAX, Passing

SHORT_BYTES_MAX = 10_000
"""What PostgreSQL takes of a message that carries no data (PQ_SMALL_MESSAGE_LIMIT)."""

_FRONTS = {b"Q": 0, b"P": SHORT_BYTES_MAX, b"B": BIND_HEAD_BYTES_MAX, b"F": 0, b"d": 0}
"""The kinds that carry data, and how much of a long one has to be read before it may go by."""

_COPY_DATA = ord("d")
_SHORT = frozenset((b"C", b"D", b"E", b"H", b"S", b"X", b"c", b"f"))


@dataclass(frozen=True, slots=True)
class Long:
    """Bytes that are not held: a message that is too long, or `count` of COPY data. `front` begins the body."""

    kind: bytes
    total: int
    front: bytes = b""
    count: int = 1


class Intake:
    """Messages in order. Whoever is given a `Long` one must say by `pass_on` how it goes by."""

    def __init__(self, held_bytes_max: int) -> None:
        self._held_bytes_max = held_bytes_max
        self._splitter = Splitter(Side.CLIENT)
        self._passing: Passing | None = None
        self._then: Callable[[Draft], None] = _nothing

    @property
    def is_amid(self) -> bool:
        """Whether a message is going by. Nothing of the gateway's own may get between its pieces: the server would take
        as many bytes of the client's for messages, which nobody has judged."""
        return self._passing is not None

    @property
    def kind(self) -> bytes:
        """Of the message at the front, as far as it is there."""
        return bytes(self._splitter.buffer[:1])

    def append(self, data: bytes) -> None:
        """Take what arrived."""
        self._splitter.append(data)

    def pass_on(self, passing: Passing, then: "Callable[[Draft], None] | None" = None) -> None:
        """Let the message at the front go by like this, and `then` do something about it."""
        self._passing, self._then = passing, then or _nothing

    def go_by(self, draft: Draft) -> bool:
        """Let by what is there of a message that goes by; whether the next one may begin. @raise ProtocolViolation."""
        if self._passing is not None:
            draft.to_server.append(self._passing.feed(self._splitter.buffer))
            if not self._passing.is_over:
                return False
            self._passing = None
            self._then(draft)
        return True

    def next(self) -> Message | Long | None:
        """The next message, where none is going by. @raise ProtocolViolation."""
        head = self._splitter.head()
        if head is None:
            return None
        kind, total = head
        if kind not in _FRONTS and kind not in _SHORT:
            raise ProtocolViolation("client", "A message of an unknown kind was sent.", detail=f"kind {kind!r}")
        if kind in _SHORT and total - 1 > SHORT_BYTES_MAX:
            raise ProtocolViolation("client", "A message came with an impossible length.", detail=f"{kind!r}, {total}")
        if kind == b"d":
            size, count = run_of(_COPY_DATA, self._splitter.buffer)
            return Long(kind, size, count=count) if count else Long(kind, total)
        if total > self._held_bytes_max:
            front = min(total - HEADER_BYTES, _FRONTS.get(kind, 0))
            if len(self._splitter.buffer) < HEADER_BYTES + front:
                return None
            return Long(kind, total, bytes(self._splitter.buffer[HEADER_BYTES : HEADER_BYTES + front]))
        if len(self._splitter.buffer) < total:
            return None
        return Message(kind, self._splitter.take(total)[HEADER_BYTES:])


def _nothing(_: Draft) -> None:
    pass
