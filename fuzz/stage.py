"""A machine between a client and a server, and someone who watches that it keeps what it promises.

Knows what every session may not do, whoever misbehaves in it: hang, grow, leak, or break otherwise than by a
`SessionError`. Knows nothing of what should be answered: that is the model test's matter (tests/wire/test_model.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from fuzz.endings import Ending, ending
from hoopproxy.errors import ProtocolViolation, SessionError
from hoopproxy.events import (
    Action,
    Call,
    Constant,
    Forward,
    Keep,
    KeepEnds,
    Null,
    Operation,
    Plan,
    Record,
    Reject,
    Reply,
    Shape,
    Statement,
    Step,
)
from hoopproxy.evidence.transcript import Transcript
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres.framing import HEADER_BYTES, Splitter
from hoopproxy.wire.postgres.machine import PostgresWire
from hoopproxy.wire.postgres.pieces import BIND_HEAD_BYTES_MAX
from hoopproxy.wire.postgres.terms import Terms
from tests.wire.rig import CATALOG

CANARY = b"canary"
"""What the fake server's protected cells begin with."""

NARROW = Limits(
    chunk_bytes_max=300,
    statement_bytes_max=512,
    row_bytes_max=400,
    pending_statements_max=8,
    prepared_statements_max=3,
)
WIDE = Limits(chunk_bytes_max=300, statement_bytes_max=8192, row_bytes_max=8192, prepared_bytes_max=12_000)

MASKS: tuple[Operation, ...] = (
    Constant(b"****"),
    Null(),
    KeepEnds(0, 2),
    Call(lambda cell: b"x" * (len(cell) % 3) if len(cell) % 2 else None, "masker"),
)
REFUSED = "The security team refuses this statement; ask them."


@dataclass(frozen=True, slots=True)
class Setting:
    """How a session is set up. `refused` is the OID of a relation whose shapes get no plan. A step of the machine takes
    `messages_max` messages."""

    limits: Limits
    protected: frozenset[str]
    mask: Operation
    refused: int
    rows_recorded_max: int
    messages_max: int


@dataclass
class Stage:
    """Feed it, and where it is `unfinished` let it go on before the client is read again; until it is `over`."""

    setting: Setting
    shown: bytearray = field(default_factory=bytearray)
    sent: bytearray = field(default_factory=bytearray)
    records: list[Record] = field(default_factory=list)
    asks: int = 0
    said: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    broke: Ending | None = None
    ended: bool = False
    paused: bool = False
    unfinished: bool = False
    was_full: bool = False

    def __post_init__(self) -> None:
        setting = self.setting
        terms = Terms(CATALOG, setting.protected, setting.rows_recorded_max, setting.limits)
        self._wire = PostgresWire(terms, setting.messages_max)
        self._to_client, self._to_server = Splitter(Side.SERVER), Splitter(Side.CLIENT)
        self._transcript = Transcript()

    @property
    def over(self) -> bool:
        """Whether nothing more can happen."""
        return self.ended or self.broke is not None

    def feed(self, side: Side, data: bytes) -> bytes:
        """What goes to the server for what `side` sent; b"" in `data` is its end of stream."""
        self.said[side] += len(data)
        return self._run(side, lambda: self._wire.feed(side, data))

    def go_on(self) -> bytes:
        """What goes to the server for what the client sent before it was paused."""
        self.unfinished = False
        return self._run(Side.CLIENT, lambda: self._wire.resume(Side.CLIENT, None))

    def _run(self, side: Side, begin: Callable[[], Step]) -> bytes:
        before = len(self.sent)
        try:
            step = begin()
            self._watch(step)
            steps_max = sum(self._held()) + 3  # a message that waits for its plan is held apart
            while step.ask is not None or step.more:
                if side is Side.CLIENT and self.paused and step.ask is None:
                    self.unfinished = True
                    break
                assert steps_max > 0, "it goes on without end"
                steps_max -= 1
                self.asks += step.ask is not None
                step = self._wire.resume(side, None if step.ask is None else self._answer(step.ask))
                self._watch(step)
        except SessionError as why:
            self.broke = ending(why)
            self._broken(self.broke)
        else:
            self._within_limits()
        return bytes(self.sent[before:])

    # Answers ----------------------------------------------------------------------------------------------------------

    def _answer(self, ask: Statement | Shape) -> Reply:
        if isinstance(ask, Shape):
            operations = tuple(self.setting.mask if column.path else Keep() for column in ask.fields)
            refused = any(column.table_oid == self.setting.refused for column in ask.fields)
            return Plan(ask, operations, "This result can't be masked here; select its columns." if refused else "")
        if "forbidden" in ask.text or ("unrunnable" in ask.text and ask.action is Action.EXECUTE):
            return Reject(REFUSED)
        if ask.action is not Action.EXECUTE:
            return Forward(ask.text.replace("insert rewritten", "insert"))
        return Forward(ask.text)

    # What must hold ---------------------------------------------------------------------------------------------------

    def _watch(self, step: Step) -> None:
        self._transcript.recorded(0.0, step.records)  # evidence can write down whatever happened
        self.records += step.records
        self.shown += step.to_client
        self.sent += step.to_server
        self.paused, self.ended = Side.CLIENT in step.pause, step.ended
        assert (_unfinished(self._to_client, step.to_client) != b"") == step.is_amid, "a last word would be misread"
        assert _unfinished(self._to_server, step.to_server) in (b"", b"d", b"B"), "the server got half a message"

    def _held(self) -> tuple[int, int]:
        """How many bytes of each side the machine keeps for later."""
        return len(self._wire._client._intake._splitter.buffer), len(self._wire._server._inbox.buffer)

    def _within_limits(self) -> None:
        limits, queue, book = self.setting.limits, self._wire._queue, self._wire._client._book
        if not (self.ended or self.unfinished or self._wire._client.left):
            client, server = self._held()
            assert client < max(limits.statement_bytes_max, HEADER_BYTES + BIND_HEAD_BYTES_MAX)
            assert server < max(limits.statement_bytes_max, limits.row_bytes_max, limits.chunk_bytes_max)
        full = queue.is_full(limits)
        self.was_full |= full
        assert not full or self.paused or self.ended
        assert len(queue) <= limits.pending_statements_max + 2 * self.said[Side.CLIENT] // 5
        assert len(book.statements) <= limits.prepared_statements_max
        assert len(book.portals) <= limits.prepared_statements_max
        assert len(self.sent) <= 64 + 8 * sum(self.said.values())
        # Our own errors are longer than what they answer; masked cells are at most four bytes longer than the cell.
        assert len(self.shown) <= 64 + 60 * self.said[Side.CLIENT] + 2 * self.said[Side.SERVER] + 300 * self.asks

    def _broken(self, why: Ending) -> None:
        """Nothing gets through any more, not even in its words."""
        assert not self.setting.protected or all(CANARY.decode() not in text for text in why)
        for side in Side:
            try:
                self._wire.feed(side, b"S\0\0\0\4")
            except (ProtocolViolation, AssertionError):
                continue
            raise AssertionError("it goes on after an error")

    def nothing_protected_shown(self) -> None:
        """To be asked while the server has put no canary where no rule protects it."""
        if self.setting.protected:
            assert CANARY not in self.shown, "a protected value was shown"
            assert all(CANARY not in getattr(record, "raw", b"") for record in self.records)


def _unfinished(splitter: Splitter, data: bytes) -> bytes:
    """The kind of the message that has begun and not ended."""
    splitter.append(data)
    try:
        while splitter.next(1 << 31, "") is not None:
            pass
    except ProtocolViolation as why:
        raise AssertionError("what was passed on is no message") from why
    return bytes(splitter.buffer[:1])
