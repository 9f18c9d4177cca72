"""What becomes of results: which plan cuts one, and what of it the client and the recording get.

Knows rows and shapes; which message means what is the business of `server_half`.
"""

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Columns, Completed, Faulted, Field, Rows, Shape
from hoopproxy.wire.postgres import messages, pending
from hoopproxy.wire.postgres.draft import Draft
from hoopproxy.wire.postgres.pending import Execute, Queue
from hoopproxy.wire.postgres.pieces import LongRow
from hoopproxy.wire.postgres.plans import NO_LIMIT, Plans, Result
from hoopproxy.wire.postgres.statements import be_sure
from hoopproxy.wire.postgres.terms import Terms
from hoopproxy.wire.postgres.twins import Twins

_ROW_BYTES_MIN = 7

_TOO_MANY = (
    "The rest was not shown, because a rule of the gateway ends this result after {} rows: ask for less, with a WHERE "
    "or a LIMIT."
)


def unexpected(kind: bytes, queue: Queue) -> ProtocolViolation:
    """The server sent something that the head of the queue is not answered by."""
    return ProtocolViolation(
        "server",
        "The target sent a message that does not belong here; it was not passed on.",
        detail=f"kind {kind!r} while {type(queue.head).__name__} is pending",
    )


def left_of(head: pending.Query | pending.Execute, left: int) -> int:
    """How many rows the head may still show."""
    return left if head.ration is None else min(left, head.ration.rows_left)


def took(head: pending.Pending | None, rows: int) -> None:
    """The head was shown so many more."""
    if isinstance(head, pending.Query | pending.Execute) and head.ration is not None:
        head.ration.take(rows)


class Results:
    """The results of one connection. `muted`: one was refused, and the client hears nothing until ReadyForQuery.
    `runs_on`: the server may still be at work on one that was cut off."""

    def __init__(self, terms: Terms, queue: Queue, twins: Twins | None) -> None:
        self._terms, self._queue, self._twins = terms, queue, twins
        self.plans = Plans(terms.limits.row_bytes_max)
        self.muted = self.runs_on = False

    def show(self, data: bytes, draft: Draft) -> None:
        """To the client, unless it was told that its statement failed."""
        if not self.muted:
            draft.to_client.append(data)

    def open(
        self, head: pending.Query | pending.Execute, fields: tuple[Field, ...] | None, draft: Draft
    ) -> Shape | None:
        """A result begins; answers its shape when its plan isn't known yet. None for `fields`: nobody described it.

        @raise MaskBroken
        """
        if fields is not None and self._twins is not None:
            fields = self._twins.seen(fields)
        if self.muted:
            return None
        operations, cutter = None, self.plans.counting
        if self._terms.guarded:
            if fields is None:
                raise unexpected(b"D", self._queue)
            found = self.plans.find(fields)
            if isinstance(found, Shape):
                return found
            plan, cutter = found
            if plan.refusal:
                self.refuse(plan.refusal, draft)
                return None
            operations = plan.operations
        left = head.rows_max or NO_LIMIT
        if isinstance(head, Execute):
            left = max(0, left - head.portal.rows)
        head.result = Result(head.number, operations, cutter, self._terms.rows_recorded_max, left)
        if fields is not None:
            draft.records.append(Columns(head.number, Shape(fields)))
        return None

    def begin(self, head: pending.Execute, draft: Draft) -> Shape | None:
        """The first answer to an Execute that is no error: what it answers with must be known by now."""
        be_sure(head.change, head.portal.statement)
        portal = head.portal
        if head.result is not None:
            return None
        if portal.fields is None:
            portal.fields = portal.described
        if portal.fields is None and not self._terms.guarded and portal.prepared.fields is not None:
            portal.fields = portal.bind.applied_to(portal.prepared.fields)
        if portal.fields == ():
            head.result = Result(head.number, (), self.plans.nothing, self._terms.rows_recorded_max)
            return None
        return self.open(head, portal.fields, draft)

    def rows(self, buffer: bytearray, draft: Draft) -> Shape | bool:
        """A run of rows at the front of `buffer`, which is used up: a shape to ask for first, or whether there was one
        that was whole and not too long.

        @raise ProtocolViolation, AddonFailure: nothing of the run was shown.
        """
        head = self._queue.head
        if not isinstance(head, pending.Query | pending.Execute):
            raise unexpected(b"D", self._queue)
        shape = self.begin(head, draft) if isinstance(head, Execute) else None
        if shape is not None:
            return shape
        if head.result is not None and not left_of(head, head.result.left):
            self.cut_off(head, draft)
        if self.muted:
            cut = self.plans.counting.cut(buffer, 0)
        elif head.result is None:
            raise unexpected(b"D", self._queue)
        else:
            result = head.result
            cut = result.cutter.cut(self._within(left_of(head, result.left), buffer), result.recorded_left)
            if cut.rows:
                draft.to_client.append(cut.output)
                draft.records.append(Rows(result.number, cut.output[: cut.marked], cut.rows, cut.cells_masked))
                result.rows += cut.rows
                result.left -= cut.rows
                took(head, cut.rows)
                result.recorded_left = max(0, result.recorded_left - cut.rows)
        del buffer[: cut.bytes_used]
        return cut.rows > 0

    def _within(self, left: int, buffer: bytearray) -> bytearray:
        """The front of `buffer` with no more rows than are left: itself, unless there may be more in it."""
        if len(buffer) // _ROW_BYTES_MIN <= left:
            return buffer
        counted = self.plans.counting.cut(buffer, left)
        return buffer if counted.rows <= left else bytearray(counted.output[: counted.marked])

    def long_row(self, total: int) -> LongRow:
        """A row of so many bytes at the front, too long for `rows`, which was asked before."""
        result = self._open_result()
        operations = None if self.muted or result is None else result.operations
        return LongRow(total, operations, self._terms.limits.row_bytes_max)

    def long_row_passed(self, row: LongRow, draft: Draft) -> None:
        """All of it was shown. The recording counts it and does not keep it."""
        result = self._open_result()
        if result is not None and not self.muted:
            draft.records.append(Rows(result.number, b"", 1, row.cells_masked))
            result.rows += 1
            result.left -= 1
            took(self._queue.head, 1)

    def _open_result(self) -> Result | None:
        head = self._queue.head
        return head.result if isinstance(head, pending.Query | pending.Execute) else None

    def end(self, head: pending.Query | pending.Execute, tag: str, draft: Draft) -> None:
        """A result is complete; a query may bring another."""
        if isinstance(head, Execute) and head.result is not None:
            head.portal.rows += head.result.rows
        self.runs_on = False
        if not self.muted:
            draft.records.append(Completed(head.number, tag, head.result.rows if head.result else 0))
        head.result = None

    def cut_off(self, head: pending.Query | pending.Execute, draft: Draft) -> None:
        """The head has shown as much as it may, and there is more."""
        if not self.muted:
            sentence = head.ration.sentence if head.ration else ""
            self.refuse(sentence or _TOO_MANY.format(head.rows_max), draft, messages.PROGRAM_LIMIT_EXCEEDED)
            self._queue.cut_off = self.runs_on = True

    def refuse(self, sentence: str, draft: Draft, code: str = messages.INSUFFICIENT_PRIVILEGE) -> None:
        """An error in the place of the head's result, which may not be shown.

        The client takes it for the target's and expects nothing until ReadyForQuery. The target knows nothing of it;
        what it goes on to say is swallowed.
        """
        head = self._queue.head
        assert head is not None
        self.show(messages.error(sentence, code), draft)
        draft.records.append(Faulted(head.number, code, sentence))
        self.muted = True
        self._queue.refused()
