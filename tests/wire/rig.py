"""A machine between a script of client bytes and a fake server: what a relay does, without anything that waits."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from hoopproxy.events import Constant, Forward, Keep, Plan, Record, Reject, Reply, Rows, Shape, Statement, Step
from hoopproxy.masks import Catalog, Relation
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres.machine import PostgresWire
from hoopproxy.wire.postgres.terms import Terms

from .fake_postgres import CARD, MASKED, OPEN_OID, OTHER_CARD, OTHER_OID, PROTECTED_OID, FakePostgres

CATALOG = Catalog(
    {
        PROTECTED_OID: Relation(PROTECTED_OID, "public", "customers", {2: CARD}),
        OTHER_OID: Relation(OTHER_OID, "public", "payments", {1: OTHER_CARD}),
    },
    {},
    frozenset({PROTECTED_OID, OPEN_OID, OTHER_OID}),
    frozenset(),
)


def no_refusal(action: str, text: str) -> str:
    return ""


def masks(shape: Shape) -> Plan:
    return Plan(shape, tuple(Constant(MASKED) if column.path else Keep() for column in shape.fields))


def as_it_is(statement: Statement) -> Forward:
    return Forward(statement.text)


def machine(
    *,
    protected: Iterable[str] = (CARD,),
    rows_recorded_max: int = 2,
    limits: Limits | None = None,
    catalog: Catalog = CATALOG,
) -> PostgresWire:
    return PostgresWire(Terms(catalog, frozenset(protected), rows_recorded_max, limits or Limits()))


@dataclass
class Rig:
    """`refuse(action, text)` answers statements: a sentence refuses; `forward` says how others are sent. `plan` answers
    shapes. `interrupts` counts how often the server is to be interrupted; this one is always too fast for it."""

    wire: PostgresWire = field(default_factory=machine)
    server: FakePostgres = field(default_factory=FakePostgres)
    refuse: Callable[[str, str], str] = no_refusal
    forward: Callable[[Statement], Forward] = as_it_is
    plan: Callable[[Shape], Plan] = masks
    interrupts: int = 0
    shown: bytearray = field(default_factory=bytearray)
    sent: bytearray = field(default_factory=bytearray)
    records: list[Record] = field(default_factory=list)
    asks: list[Statement | Shape] = field(default_factory=list)
    pause: frozenset[Side] = frozenset()
    ended: bool = False
    _waiting: bytearray = field(default_factory=bytearray)
    _unread: bytearray = field(default_factory=bytearray)
    _stopped: bool = False

    def client(self, data: bytes) -> None:
        """The client sends; what the server answers waits for `serve`."""
        if self._stopped:
            self._unread += data
        else:
            self._feed(Side.CLIENT, data)

    def serve(self, count: int | None = None) -> None:
        """So many of the server's waiting bytes arrive; all by default, and all that follow from them."""
        while self._waiting:
            data = bytes(self._waiting[:count])
            del self._waiting[:count]
            self._feed(Side.SERVER, data)
            if count is not None:
                return

    def talk(self, *pieces: bytes) -> bytes:
        """Send and serve in turn; what the client was shown by it."""
        before = len(self.shown)
        for data in pieces:
            self.client(data)
            self.serve()
        return bytes(self.shown[before:])

    def from_server(self, data: bytes) -> None:
        """Bytes that the fake would never send."""
        self._feed(Side.SERVER, data)

    def _feed(self, side: Side, data: bytes) -> None:
        self._go_on(side, self.wire.feed(side, data))
        while self._stopped and Side.CLIENT not in self.pause:
            self._stopped = False
            self._go_on(Side.CLIENT, self.wire.resume(Side.CLIENT, None))
            if self._unread and not self._stopped:
                unread, self._unread = bytes(self._unread), bytearray()
                self._go_on(Side.CLIENT, self.wire.feed(Side.CLIENT, unread))

    def _go_on(self, side: Side, step: Step) -> None:
        self._perform(step)
        while step.ask is not None or step.more:
            if step.ask is None and side in step.pause:
                self._stopped = True
                return
            reply = None
            if step.ask is not None:
                self.asks.append(step.ask)
                reply = self._answer(step.ask)
            step = self.wire.resume(side, reply)
            self._perform(step)

    def _answer(self, ask: Statement | Shape) -> Reply:
        if isinstance(ask, Shape):
            return self.plan(ask)
        sentence = self.refuse(ask.action.value, ask.text)
        return Reject(sentence) if sentence else self.forward(ask)

    def _perform(self, step: Step) -> None:
        self.records += step.records
        self.shown += step.to_client
        self.sent += step.to_server
        self.pause, self.ended = step.pause, step.ended
        self.interrupts += step.interrupts
        if step.to_server:
            self._waiting += self.server.feed(step.to_server)


def cuts(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    """`data` in pieces of these sizes."""
    at = 0
    while at < len(data):
        size = next(sizes)
        yield data[at : at + size]
        at += size


def merged(records: Iterable[Record]) -> list[Record]:
    """Records as if all rows of a result had come at once: where runs are cut depends on how the bytes came."""
    whole: list[Record] = []
    for record in records:
        if isinstance(record, Rows) and whole and isinstance(whole[-1], Rows):
            last = whole.pop()
            assert isinstance(last, Rows) and last.statement_number == record.statement_number
            record = Rows(
                record.statement_number,
                last.raw + record.raw,
                last.row_count + record.row_count,
                last.cells_masked + record.cells_masked,
            )
        whole.append(record)
    return whole
