"""What was sent to the server and not yet answered, in order: the only way to know whose answer an answer is.

Knows the rules of PostgreSQL's message flow (documentation chapter "Message Flow") and no bytes.
"""

from collections import deque
from dataclasses import dataclass, field

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Edit, Faulted, Ration
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres.plans import Result
from hoopproxy.wire.postgres.statements import Change, Portal, Prepared


@dataclass(slots=True, eq=False)
class Pending:
    """`number` is that of the statement which it belongs to; `bytes_held` what it keeps in memory."""

    number: int
    bytes_held: int = field(default=0, kw_only=True)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """How the text that the server speaks of differs from the client's."""
        return ()

    def undo(self) -> None:
        """The server skipped it."""


@dataclass(slots=True, eq=False)
class Query(Pending):
    """A simple query: any number of results, then ReadyForQuery. With `rows_max` no result may show more, and with a
    `ration` none what is not left of that."""

    sent_edits: tuple[Edit, ...] = ()
    rows_max: int = 0
    ration: Ration | None = None
    result: Result | None = None

    @property
    def edits(self) -> tuple[Edit, ...]:
        return self.sent_edits


@dataclass(slots=True, eq=False)
class Parse(Pending):
    """Answered by ParseComplete."""

    change: Change[Prepared]

    @property
    def edits(self) -> tuple[Edit, ...]:
        return self.change.value.edits

    def undo(self) -> None:
        self.change.undo()


@dataclass(slots=True, eq=False)
class Bind(Pending):
    """Answered by BindComplete."""

    change: Change[Portal]
    portal: Portal

    @property
    def edits(self) -> tuple[Edit, ...]:
        return self.portal.prepared.edits

    def undo(self) -> None:
        self.change.undo()


@dataclass(slots=True, eq=False)
class Close(Pending):
    """Answered by CloseComplete, even for a name that stands for nothing."""

    change: Change[Prepared] | Change[Portal] | None


@dataclass(slots=True, eq=False)
class Describe(Pending):
    """Answered by RowDescription or NoData, for a statement after ParameterDescription. `silent`: the client did not
    ask, we did."""

    of: Prepared | Portal | None
    silent: bool = False

    @property
    def edits(self) -> tuple[Edit, ...]:
        match self.of:
            case Portal(prepared=prepared) | (Prepared() as prepared):
                return prepared.edits
            case None:
                return ()


@dataclass(slots=True, eq=False)
class Execute(Pending):
    """Answered by rows or a COPY, then CommandComplete, PortalSuspended or EmptyQueryResponse. With `rows_max` the
    portal may show no more in all, and with a `ration` nothing that is not left of that."""

    change: Change[Portal]
    portal: Portal
    rows_max: int = 0
    ration: Ration | None = None
    result: Result | None = None

    @property
    def edits(self) -> tuple[Edit, ...]:
        return self.portal.prepared.edits


@dataclass(slots=True, eq=False)
class Sync(Pending):
    """Answered by ReadyForQuery; ends the skipping after an error."""


@dataclass(slots=True, eq=False)
class CopyEnd(Pending):
    """The client ended a COPY that the server may not have begun yet. Has no answer of its own."""


@dataclass(slots=True, eq=False)
class Poison(Pending):
    """Stands in the place of a refused message: a text that can't be parsed, so that the server itself fails, skips
    and rolls back as it would after any error. Its ErrorResponse is replaced by `error`, and
    recorded as `faults`.

    `simple`: it is a simple query, which ReadyForQuery follows.
    """

    error: bytes
    faults: tuple[Faulted, ...]
    simple: bool
    failed: bool = False


class Queue:
    """The pending requests of one connection.

    `skipping`: the server is ignoring, or will ignore, all that comes until a Sync. `copying`: the client owes the
    server the data of a COPY. `settled`: the transaction status (I, T, E) while nothing was sent since the server last
    said it, else None. `bytes_held` is what all of them keep in memory. `cut_off`: the client was told of an error that
    ended a result, and the server does not know of it yet.

    Behind a statement of which not all rows may be shown nothing goes to the server until its end is known: the server
    must not do what the client is told that it did not, and whoever stops the statement must stop no other.
    """

    def __init__(self) -> None:
        self._pending: deque[Pending] = deque()
        self.bytes_held = 0
        self.skipping = False
        self.copying = False
        self.settled: bytes | None = b"I"
        self.cut_off = False
        self._bounded: Pending | None = None
        self._executes = 0  # since the last Sync

    def __len__(self) -> int:
        return len(self._pending)

    def is_full(self, limits: Limits) -> bool:
        """Whether the client has sent ahead as much as it may."""
        if (self._bounded is not None or self.cut_off) and not self.copying:
            return True
        return len(self) >= limits.pending_statements_max or self.bytes_held >= limits.prepared_bytes_max

    @property
    def may_sync(self) -> bool:
        """Whether a Sync may follow though it is full: it ends a batch of one statement, which has nothing to undo."""
        return self._executes == 1 and bool(self._pending) and self._pending[-1] is self._bounded and not self.cut_off

    @property
    def head(self) -> Pending | None:
        """Whose turn it is to be answered."""
        return self._pending[0] if self._pending else None

    def add(self, pending: Pending) -> None:
        """It was sent."""
        self._pending.append(pending)
        self.bytes_held += pending.bytes_held
        if isinstance(pending, Query | Execute) and (pending.rows_max or pending.ration):
            self._bounded = pending
        if isinstance(pending, Query | Sync):
            self._executes = 0
        self._executes += isinstance(pending, Execute)
        self.settled = None
        self._pass_markers()

    def pop(self) -> None:
        """The head was answered."""
        self._take_head()
        self._pass_markers()

    def ready(self, status: bytes) -> None:
        """The server ended a query or a batch."""
        self.settled = status if not self._pending else None

    def _take_head(self) -> Pending:
        head = self._pending.popleft()
        self.bytes_held -= head.bytes_held
        if head is self._bounded:
            self._bounded = None
        return head

    def _pass_markers(self) -> None:
        while self._pending and isinstance(self._pending[0], CopyEnd):
            self._pending.popleft()

    def failed(self) -> None:
        """The head, part of an extended query, was answered by an error: the server skips all until the next Sync.

        Even simple queries.
        """
        while self._pending and not isinstance(self._pending[0], Sync):
            self._take_head().undo()
        self.skipping = not self._pending

    def refused(self) -> None:
        """The head's result was replaced by an error of ours: the client is taken to skip until its next Sync."""
        if isinstance(self.head, Execute):
            self.skipping = not any(isinstance(pending, Sync | Query) for pending in self._pending)

    @property
    def syncs(self) -> bool:
        """Whether a Sync was sent that is not answered yet."""
        return any(isinstance(pending, Sync) for pending in self._pending)

    def ends_with_sync(self) -> bool:
        """Whether the head is part of an extended query whose Sync was sent already."""
        return isinstance(self.head, Execute) and self.syncs

    def copy_begins(self) -> None:
        """The server wants the head's COPY data. While it reads them it ignores Sync and Flush (`CopyGetData`, for
        libpq, which sends a Sync behind every Execute), and takes anything else for an error.

        @raise ProtocolViolation: the client sent something else.
        """
        self.copying = True
        while len(self._pending) > 1 and self.copying:
            behind = self._pending[1]
            if isinstance(behind, CopyEnd):
                self.copying = False
            elif not isinstance(behind, Sync):
                raise ProtocolViolation("client", "A message was sent in the middle of COPY data.")
            del self._pending[1]
