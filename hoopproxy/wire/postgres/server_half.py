"""What the server sends to a logged-in client: whose answer it is, which plan cuts it, and what the client sees.

Knows nothing of requests but the queue of pending ones.
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from hoopproxy.events import Copied, Faulted, Field, Plan, Reply, Shape
from hoopproxy.model import Side
from hoopproxy.wire.kernel import run_of
from hoopproxy.wire.postgres import messages, pending, refusals
from hoopproxy.wire.postgres.complaints import Complaints, readable
from hoopproxy.wire.postgres.draft import Draft
from hoopproxy.wire.postgres.framing import HEADER_BYTES, Message, Reader, Splitter, message, string
from hoopproxy.wire.postgres.memory import remembering
from hoopproxy.wire.postgres.pending import Queue
from hoopproxy.wire.postgres.pieces import LongRow, Passing, Through
from hoopproxy.wire.postgres.plans import NO_LIMIT
from hoopproxy.wire.postgres.requests import SYNC
from hoopproxy.wire.postgres.results import Results, left_of, took, unexpected
from hoopproxy.wire.postgres.statements import Book, Portal, Prepared, be_sure
from hoopproxy.wire.postgres.terms import Terms
from hoopproxy.wire.postgres.twins import Twins

_COPY_FAIL = message(b"f", string("refused by hoopproxy"))
_COPY_OUT = "The gateway can't mask what COPY sends here, because values are judged by their content; use SELECT."
_COPY_DATA = ord("d")
_FORGET_ALL = ("DISCARD ALL", "DEALLOCATE ALL")


class ServerHalf:
    """The server's direction."""

    def __init__(self, terms: Terms, book: Book, queue: Queue, interject: Callable[[bytes, Draft], None]) -> None:
        self._terms, self._book, self._queue = terms, book, queue
        self._interject = interject
        self._inbox = Splitter(Side.SERVER)
        self._twins = None if terms.catalog.shadow is None else Twins(terms.catalog.shadow)
        self._complaints = Complaints(terms.guarded, self._twins)
        self._read = remembering(partial(messages.read_row_description, path=terms.path))
        self._results = Results(terms, queue, self._twins)
        self._held: Message | None = None
        self._passing: Passing | None = None
        self._is_shown = False  # the front of what passes
        self._copying, self._copied, self._copy_left = False, 0, NO_LIMIT

    @property
    def is_amid(self) -> bool:
        """Whether the client has seen only a part of a message."""
        return self._is_shown and not self._results.muted

    def wants_to_stop(self) -> bool:
        """Whether the server is at work on what nobody will see. Says so once."""
        runs_on, self._results.runs_on = self._results.runs_on, False
        return runs_on

    def append(self, data: bytes) -> None:
        """Take what arrived."""
        self._inbox.append(data)

    def answer(self, reply: Reply, draft: Draft) -> None:
        """The plan for the shape that was asked about."""
        if not isinstance(reply, Plan):
            raise AssertionError(f"a shape is not answered by {type(reply).__name__}")
        self._results.plans.learn(reply)

    def run(self, draft: Draft) -> Shape | None:
        """Go through what arrived, up to the first unknown shape. @raise ProtocolViolation, LimitReached."""
        bytes_max = self._terms.limits.statement_bytes_max
        while True:
            if self._passing is not None:
                if not self._pass(self._passing, draft):
                    return None
                self._passing = None
            if not draft.takes_one():
                return None
            head = self._inbox.head() if self._held is None else None
            if head is not None and head[0] == b"D":
                rows = self._results.rows(self._inbox.buffer, draft)
                if rows is True:
                    continue
                if rows is False and head[1] > self._terms.limits.row_bytes_max:
                    self._passing = self._results.long_row(head[1])
                    continue
                return rows or None
            if head is not None and head[0] == b"d":
                if not self._copying:
                    raise unexpected(head[0], self._queue)
                left = self._left_of_copy()
                if not left:
                    self._cut_copy_off(draft)
                    left = NO_LIMIT
                size, count = self._copy_run(left)
                if count:
                    self._results.show(self._inbox.take(size), draft)
                    self._copied += size - count * HEADER_BYTES
                    self._copy_took(count)
                    continue
                if len(self._inbox.buffer) < head[1] <= self._terms.limits.chunk_bytes_max:
                    return None  # short ones go whole, so that the gateway can have a last word between them
                self._passing = Through(head[1])
                self._copied += head[1] - HEADER_BYTES
                self._copy_took(1)
                continue
            held, self._held = self._held, None
            whole = held or self._inbox.next(bytes_max, "limits.statement_bytes_max")
            if whole is None:
                return None
            take = self._TAKES.get(whole.kind)
            if take is None:
                raise unexpected(whole.kind, self._queue)
            shape = take(self, whole, draft)
            if shape is not None:
                self._held = whole  # its turn comes again once the plan is known
                return shape

    def _pass(self, passing: Passing, draft: Draft) -> bool:
        """Pass on what is there of a message that nobody holds; whether that was all of it."""
        piece = passing.feed(self._inbox.buffer)
        self._results.show(piece, draft)
        self._is_shown = not passing.is_over and (self._is_shown or bool(piece))
        if passing.is_over and isinstance(passing, LongRow):
            self._results.long_row_passed(passing, draft)
        return passing.is_over

    # Messages, by their letter --------------------------------------------------------------------------------------

    def _row_description(self, message: Message, draft: Draft) -> Shape | None:
        fields = self._read(message.body)
        head = self._queue.head
        if isinstance(head, pending.Describe):
            self._described(head, fields, message, draft)
            return None
        if not isinstance(head, pending.Query) or head.result is not None:
            raise unexpected(message.kind, self._queue)
        shape = self._results.open(head, fields, draft)
        if shape is None:
            self._results.show(self._description(message), draft)
        return shape

    def _description(self, message: Message) -> bytes:
        return message.raw if self._twins is None else self._twins.description(message.body)

    def _no_data(self, message: Message, draft: Draft) -> None:
        head = self._queue.head
        if not isinstance(head, pending.Describe):
            raise unexpected(message.kind, self._queue)
        self._described(head, (), message, draft)

    def _described(self, head: pending.Describe, fields: tuple[Field, ...], message: Message, draft: Draft) -> None:
        match head.of:
            case Portal() as portal:
                portal.described = fields
            case Prepared() as prepared:
                prepared.fields = fields
        self._queue.pop()
        if not head.silent:
            self._results.show(self._description(message) if fields else message.raw, draft)

    def _parameter_description(self, message: Message, draft: Draft) -> None:
        head = self._queue.head
        if not isinstance(head, pending.Describe) or head.silent:
            raise unexpected(message.kind, self._queue)
        self._results.show(message.raw, draft)

    def _confirmation(self, message: Message, draft: Draft) -> None:
        """ParseComplete, BindComplete or CloseComplete."""
        match message.kind, self._queue.head:
            case b"1", pending.Parse(change=change):
                change.confirm()
            case b"3", pending.Close(change=closed):
                if closed is not None:
                    closed.close()
            case b"2", pending.Bind(change=change, portal=portal):
                be_sure(portal.statement)
                change.confirm()
            case _:
                raise unexpected(message.kind, self._queue)
        self._queue.pop()
        self._results.show(message.raw, draft)

    def _end(self, message: Message, draft: Draft) -> Shape | None:
        """CommandComplete, PortalSuspended or EmptyQueryResponse."""
        head = self._queue.head
        if not isinstance(head, pending.Query | pending.Execute):
            raise unexpected(message.kind, self._queue)
        if isinstance(head, pending.Execute):
            shape = self._results.begin(head, draft)
            if shape is not None:
                return shape
            self._queue.pop()
        self._queue.copying = False
        tag = _tag(message)
        self._results.end(head, tag, draft)
        if tag in _FORGET_ALL:
            self._book.statements.forget_confirmed("")  # which neither of them knows (`DropAllPreparedStatements`)
        self._results.show(message.raw, draft)
        if self._queue.cut_off and not self._queue.syncs and isinstance(head, pending.Execute):
            self._fail(head.number, draft, simple=False)
        return None

    def _fail(self, number: int, draft: Draft, *, simple: bool) -> None:
        """Have the server fail as the client was told that it did: it was done before anybody could stop it. What was
        done with it in one transaction is undone with it, and its rest skipped."""
        self._interject(refusals.poison(None if simple else refusals.OURS), draft)
        self._queue.add(pending.Poison(number, b"", (), simple=simple))

    def _error(self, message: Message, draft: Draft) -> None:
        head = self._queue.head
        complaint = self._complaints.error(message, head.edits if head else ())
        fault = Faulted(head.number if head else 0, complaint.code, complaint.text)
        if complaint.fatal:
            draft.records.append(fault)
            draft.to_client.append(complaint.shown)
            return
        if head is None:
            raise unexpected(message.kind, self._queue)
        shown, faults = complaint.shown, [fault]
        if isinstance(head, pending.Poison):
            head.failed, shown, faults = True, head.error, [*head.faults]
        if not self._results.muted:
            draft.records.extend(faults)
        self._results.show(shown, draft)
        self._copied_out(draft)
        self._queue.copying = self._queue.cut_off = self._results.runs_on = False
        if isinstance(head, pending.Query):
            head.result = None
        elif not isinstance(head, pending.Sync) and not (isinstance(head, pending.Poison) and head.simple):
            self._queue.failed()

    def _ready(self, message: Message, draft: Draft) -> None:
        if message.body not in (b"I", b"T", b"E"):
            raise unexpected(message.kind, self._queue)
        match self._queue.head:
            case pending.Query() | pending.Sync() as head:
                self._queue.pop()
                if self._queue.cut_off and message.body == b"T":
                    self._fail(head.number, draft, simple=True)
                    return
            case pending.Poison(simple=True, failed=True):
                self._queue.pop()
            case None if self._queue.skipping:
                # A Sync that was taken for ignored, because COPY data were to come, ended an error instead.
                self._queue.skipping = False
            case _:
                raise unexpected(message.kind, self._queue)
        self._queue.cut_off = False
        self._queue.ready(message.body)
        if message.body == b"I":
            self._book.portals.forget_confirmed()  # portals end with their transaction
        self._results.muted = False
        self._results.show(message.raw, draft)

    def _copy_in(self, message: Message, draft: Draft) -> None:
        self._copying_head(message)
        if self._results.muted:
            # The client doesn't know that data are wanted, and its Sync, if it sent one, was ignored (`copy_begins`).
            self._interject(_COPY_FAIL + SYNC * self._queue.ends_with_sync(), draft)
            return
        self._queue.copy_begins()
        self._results.show(message.raw, draft)

    def _copy_out(self, message: Message, draft: Draft) -> None:
        self._copying_head(message)
        self._copying, self._copy_left = True, self._rows_of_copy(message)
        if self._terms.judged_by_content and not self._results.muted:
            self._results.refuse(_COPY_OUT, draft)
        self._results.show(message.raw, draft)

    def _rows_of_copy(self, message: Message) -> int:
        """How many CopyData may come: one for each row, and in the binary format one more behind them."""
        head = self._queue.head
        assert isinstance(head, pending.Query | pending.Execute)
        return head.rows_max + (message.body[:1] == b"\1") if head.rows_max else NO_LIMIT

    def _left_of_copy(self) -> int:
        head = self._queue.head
        if self._results.muted or not isinstance(head, pending.Query | pending.Execute):
            return self._copy_left
        return left_of(head, self._copy_left)

    def _copy_took(self, count: int) -> None:
        self._copy_left -= count
        if not self._results.muted:
            took(self._queue.head, count)

    def _copy_run(self, left: int) -> tuple[int, int]:
        """The bytes and number of the whole CopyData at the front, `left` at most."""
        buffer = self._inbox.buffer
        size, count = run_of(_COPY_DATA, buffer)
        if count > left:
            size, count = 0, left
            for _ in range(count):
                size += 1 + int.from_bytes(buffer[size + 1 : size + HEADER_BYTES])
        return size, count

    def _cut_copy_off(self, draft: Draft) -> None:
        head = self._queue.head
        assert isinstance(head, pending.Query | pending.Execute)
        self._record_copied(draft)
        self._results.cut_off(head, draft)
        self._copy_left = NO_LIMIT

    def _copying_head(self, message: Message) -> None:
        head = self._queue.head
        if not isinstance(head, pending.Query | pending.Execute) or self._copying or self._queue.copying:
            raise unexpected(message.kind, self._queue)
        if isinstance(head, pending.Execute):
            be_sure(head.change, head.portal.statement)

    def _copy_done(self, message: Message, draft: Draft) -> None:
        if not self._copying:
            raise unexpected(message.kind, self._queue)
        self._copied_out(draft)
        self._results.show(message.raw, draft)

    def _copied_out(self, draft: Draft) -> None:
        self._record_copied(draft)
        self._copying = False

    def _record_copied(self, draft: Draft) -> None:
        head = self._queue.head
        if self._copied and head is not None and not self._results.muted:
            draft.records.append(Copied(head.number, Side.SERVER, self._copied))
        self._copied = 0

    def _notice(self, message: Message, draft: Draft) -> None:
        head = self._queue.head
        draft.to_client.append(self._complaints.notice(message, head.edits if head else ()))

    def _notification(self, message: Message, draft: Draft) -> None:
        # Somebody else wrote it, who may have seen what is masked here.
        is_withheld = self._terms.guarded or self._twins is not None
        draft.to_client.append(messages.without_payload(message.body) if is_withheld else message.raw)

    def _setting(self, message: Message, draft: Draft) -> None:
        messages.read_parameter_status(message.body)
        draft.to_client.append(message.raw)

    _TAKES: ClassVar[dict[bytes, Callable[["ServerHalf", Message, Draft], Shape | None]]] = {
        b"1": _confirmation,
        b"2": _confirmation,
        b"3": _confirmation,
        b"t": _parameter_description,
        b"T": _row_description,
        b"n": _no_data,
        b"C": _end,
        b"s": _end,
        b"I": _end,
        b"E": _error,
        b"Z": _ready,
        b"G": _copy_in,
        b"H": _copy_out,
        b"c": _copy_done,
        b"N": _notice,
        b"A": _notification,
        b"S": _setting,
    }


def _tag(message: Message) -> str:
    return readable(Reader(Side.SERVER, message.body).string()) if message.kind == b"C" else ""
