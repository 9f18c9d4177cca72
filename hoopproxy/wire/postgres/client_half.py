"""What a logged-in client sends: which statements to ask about, and what goes to the server.

Knows nothing of answers; what was sent stands in the queue, what names mean in the book.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Action, Asked, Copied, Forward, Parameter, Reject, Rejected, Reply, Statement
from hoopproxy.model import Side
from hoopproxy.wire.postgres import messages, pending, refusals, requests
from hoopproxy.wire.postgres.draft import Draft
from hoopproxy.wire.postgres.framing import HEADER_BYTES, Message, Reader
from hoopproxy.wire.postgres.intake import Intake, Long
from hoopproxy.wire.postgres.outline import outline
from hoopproxy.wire.postgres.pending import Queue
from hoopproxy.wire.postgres.pieces import VALUES_KEPT_BYTES_MAX, LongBind, Through
from hoopproxy.wire.postgres.refusals import Complaint
from hoopproxy.wire.postgres.requests import FLUSH, Named
from hoopproxy.wire.postgres.statements import Book, Change, Names, Portal, Prepared
from hoopproxy.wire.postgres.terms import Terms

_FUNCTION_CALL = "The gateway refuses calls by the FunctionCall message; call the function in a SELECT."
_NOT_UTF8 = "The gateway can't read this statement because it is not valid UTF-8; set client_encoding to UTF8."

_NOT_IN_REPERTOIRE = "22021"

_IN_COPY = frozenset((b"d", b"c", b"f", b"H", b"S", b"X"))
_WHILE_SKIPPED = frozenset((b"S", b"X"))
_KEEPS_DESCRIBED = frozenset((b"E", b"H"))
"""Behind a Describe, these change nothing of what it tells."""


_SHORT_TEXT_BYTES = 4096

_CODEC = "utf-8"


@dataclass(frozen=True, slots=True)
class _Run:
    """An Execute that was asked about."""

    change: Change[Portal]
    portal: Portal


type _Request = requests.Parse | _Run | None
"""What a question is about; None is a simple query."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """A question, and the message that is about it: its text was read in this `codec`."""

    statement: Statement
    message: Message
    request: _Request
    codec: str


def _poisoned_name(request: _Request) -> str | None:
    """The name of the Parse that takes the place of a refused request; None for a simple query."""
    match request:
        case requests.Parse(name=name):
            return name
        case _Run():
            return refusals.OURS
        case None:
            return None


class ClientHalf:
    """The client's direction. `left`: the client said goodbye."""

    def __init__(self, terms: Terms, book: Book, queue: Queue) -> None:
        self._terms, self._book, self._queue = terms, book, queue
        self._intake = Intake(terms.limits.statement_bytes_max)
        self._asking: _Asking | None = None
        self._described: Portal | None = None
        self._number = 0
        self._copied = 0
        self._ours: list[bytes] = []
        self.left = False

    @property
    def is_amid(self) -> bool:
        """Whether the server has seen only a part of a message."""
        return self._intake.is_amid

    def append(self, data: bytes) -> None:
        """Take what arrived."""
        self._intake.append(data)

    def run(self, draft: Draft) -> Statement | None:
        """Go through what arrived, up to the first question. @raise ProtocolViolation."""
        while not self.left and self._intake.go_by(draft):
            draft.to_server += self._ours
            self._ours.clear()
            if not draft.takes_one():
                return None
            if self._queue.is_full(self._terms.limits) and not (self._queue.may_sync and self._intake.kind == b"S"):
                draft.is_full = True
                return None
            arrived = self._intake.next()
            if arrived is None:
                return None
            if self._queue.copying and arrived.kind not in _IN_COPY:
                raise ProtocolViolation("client", "A message was sent in the middle of COPY data.")
            if arrived.kind not in _KEEPS_DESCRIBED:
                self._described = None
            if isinstance(arrived, Long):
                self._let_by(arrived, draft)
            elif not (self._queue.skipping and arrived.kind not in _WHILE_SKIPPED):
                asked = self._TAKES[arrived.kind](self, arrived, draft)
                if asked is not None:
                    return asked
        return None

    def _let_by(self, long: Long, draft: Draft) -> None:
        """A message that nobody holds: COPY data and a Bind go to the server, what can't be judged goes nowhere.

        What the server would skip goes nowhere either, and nobody is told of it.
        """
        then: Callable[[Draft], None] | None = None
        if self._queue.skipping:
            pass
        elif long.kind == b"d":
            self._copied += long.total - long.count * HEADER_BYTES
            self._intake.pass_on(Through(long.total))
            return
        elif long.kind == b"B":
            reader = Reader(Side.CLIENT, long.front)
            head = requests.BindHead.read(reader)
            statement = self._bindable(head.portal, head.statement, VALUES_KEPT_BYTES_MAX)
            if not isinstance(statement, Complaint):
                bind = LongBind(long.total, head, HEADER_BYTES + reader.at)
                portal = self._bound(statement, bind.bind, VALUES_KEPT_BYTES_MAX)
                self._intake.pass_on(bind, lambda _: portal.complete(bind.bind))
                return
            then = partial(self._complain, statement)
        else:
            then = partial(self._refuse_too_long, long)
        self._intake.pass_on(Through(long.total, kept=False), then)

    # Questions ------------------------------------------------------------------------------------------------------

    def _ask(
        self,
        action: Action,
        text: str,
        message: Message,
        request: _Request,
        codec: str = _CODEC,
        parameters: tuple[Parameter, ...] = (),
    ) -> Statement:
        about = outline(text)
        statement = Statement(self._next(), action, text, about.text, parameters, about.secret)
        self._asking = _Asking(statement, message, request, codec)
        return statement

    def _next(self) -> int:
        self._number += 1
        return self._number

    def answer(self, reply: Reply, draft: Draft) -> None:
        """The reply to the last question."""
        if self._asking is None:
            raise AssertionError("nothing was asked")
        asking, self._asking = self._asking, None
        match reply:
            case Reject(sentence, withdrawn):
                code = messages.QUERY_CANCELED if withdrawn else messages.INSUFFICIENT_PRIVILEGE
                self._reject(asking, sentence, code, draft)
            case Forward():
                if not self._queue.skipping:  # an earlier error may have come in the meantime
                    self._forward(asking, reply, draft)
            case _:
                raise AssertionError(f"a statement is not answered by {type(reply).__name__}")

    def _reject(self, asking: _Asking, sentence: str, code: str, draft: Draft) -> None:
        draft.records.append(Rejected(asking.statement, sentence))
        name = _poisoned_name(asking.request)
        self._refuse(messages.error(sentence, code), asking.statement.number, name, draft)

    def _forward(self, asking: _Asking, forward: Forward, draft: Draft) -> None:
        statement, message, text = asking.statement, asking.message, forward.text
        number, rewritten = statement.number, text != statement.text
        try:
            raw_text = text.encode(asking.codec) if rewritten else b""
        except UnicodeEncodeError:  # a name was put in that the client has no characters for
            self._reject(asking, _NOT_UTF8, _NOT_IN_REPERTOIRE, draft)
            return
        match asking.request:
            case None:
                draft.to_server.append(requests.raw_query(raw_text) if rewritten else message.raw)
                self._queue.add(pending.Query(number, forward.edits, forward.rows_max, forward.ration))
            case requests.Parse() as request:
                draft.to_server.append(replace(request, raw_text=raw_text).encode() if rewritten else message.raw)
                prepared = Prepared(number, statement.text, text, forward.edits)
                change = self._book.statements.change(request.name, prepared)
                self._queue.add(pending.Parse(number, change, bytes_held=prepared.bytes_held))
            case _Run(change, portal):
                if rewritten:
                    raise AssertionError("a prepared statement is not rewritten when it is executed")
                if self._terms.guarded and self._described is not portal:
                    draft.to_server.append(requests.describe(Named.PORTAL, change.name))
                    self._queue.add(pending.Describe(number, portal, silent=True))
                self._described = None
                draft.to_server.append(message.raw)
                self._queue.add(pending.Execute(number, change, portal, forward.rows_max, forward.ration))
                text = portal.prepared.sent
        draft.records.append(Asked(statement, "" if text == statement.text else text))

    def _refuse(self, error: bytes, number: int, name: str | None, draft: Draft) -> None:
        refusals.refuse(self._queue, error, number, name, draft)

    def _complain(self, complaint: Complaint, draft: Draft) -> None:
        refusals.complain(self._queue, complaint, self._number, draft)

    def _refuse_too_long(self, long: Long, draft: Draft) -> None:
        if self._queue.skipping:
            return
        action = {b"Q": Action.QUERY, b"P": Action.PREPARE}.get(long.kind, Action.EXECUTE)
        statement = Statement(self._next(), action, "")
        sentence = _FUNCTION_CALL
        if long.kind != b"F":
            bytes_max = self._terms.limits.statement_bytes_max
            sentence = (
                f"Your statement has {long.total} bytes and was not run; the gateway takes at most {bytes_max} "
                "(limits.statement_bytes_max). Send large values as parameters, or by COPY."
            )
        draft.records.append(Rejected(statement, sentence))
        name = Reader(Side.CLIENT, long.front).string() if action is Action.PREPARE else None
        self._refuse(messages.error(sentence, refusals.LIMIT_EXCEEDED), statement.number, name, draft)

    # Messages, by their letter --------------------------------------------------------------------------------------

    def _query(self, message: Message, draft: Draft) -> Statement | None:
        reader = Reader(Side.CLIENT, message.body)
        raw_text = reader.raw_string()
        reader.end()
        codec = self._codec(raw_text)
        if codec is None:
            self._unreadable(Action.QUERY, None, draft)
            return None
        return self._ask(Action.QUERY, raw_text.decode(codec), message, None, codec)

    def _parse(self, message: Message, draft: Draft) -> Statement | None:
        parse = requests.Parse.read(message.body)
        codec = self._codec(parse.raw_text)
        if codec is None:
            self._unreadable(Action.PREPARE, parse.name, draft)
            return None
        if self._is_full(self._book.statements, parse.name, len(message.body)):
            self._complain(refusals.TOO_MANY_STATEMENTS, draft)
            return None
        return self._ask(Action.PREPARE, parse.raw_text.decode(codec), message, parse, codec)

    def _is_full(self, names: Names[Any], name: str, more_bytes: int) -> bool:
        """Whether the book has no room for `name`, or for so many bytes. Short ones are bounded by their number."""
        limits = self._terms.limits
        if more_bytes > _SHORT_TEXT_BYTES and names.bytes_held + more_bytes > limits.prepared_bytes_max:
            return True
        return len(names) >= limits.prepared_statements_max and names.find(name) is None

    def _codec(self, raw: bytes) -> str | None:
        """What a text is read in, and written in again. None: what would be read is not what the server would read.

        Where nothing is masked here that may be; then a byte is a character, so that each can be put back.
        """
        try:
            raw.decode(_CODEC)
        except UnicodeDecodeError:
            return None if self._terms.guarded else "latin-1"
        return _CODEC

    def _unreadable(self, action: Action, name: str | None, draft: Draft) -> None:
        statement = Statement(self._next(), action, "")
        draft.records.append(Rejected(statement, _NOT_UTF8))
        self._refuse(messages.error(_NOT_UTF8, _NOT_IN_REPERTOIRE), statement.number, name, draft)

    def _bind(self, message: Message, draft: Draft) -> None:
        bind = requests.Bind.read(message.body)
        statement = self._bindable(bind.portal, bind.statement, len(message.body))
        if isinstance(statement, Complaint):
            self._complain(statement, draft)
            return
        self._bound(statement, bind, len(message.body))
        draft.to_server.append(message.raw)

    def _bindable(self, portal: str, name: str, more_bytes: int) -> Change[Prepared] | Complaint:
        """The statement that a portal is wanted of, or why it can't be had."""
        statement = self._book.statements.find(name)
        if statement is None:
            return refusals.no_statement(name)
        if self._is_full(self._book.portals, portal, more_bytes):
            return refusals.TOO_MANY_PORTALS
        return statement

    def _bound(self, statement: Change[Prepared], bind: requests.Bind, bytes_held: int) -> Portal:
        portal = Portal(statement, statement.value, bind, bytes_held)
        change = self._book.portals.change(bind.portal, portal)
        self._queue.add(pending.Bind(statement.value.number, change, portal, bytes_held=bytes_held))
        return portal

    def _describe(self, message: Message, draft: Draft) -> None:
        named, name = requests.read_named(message.body)
        of: Prepared | Portal | None
        if named is Named.PORTAL:
            portal = self._book.portals.find(name)
            of = self._described = None if portal is None else portal.value
        else:
            statement = self._book.statements.find(name)
            of = None if statement is None else statement.value
        self._queue.add(pending.Describe(self._number, of))
        draft.to_server.append(message.raw)

    def _execute(self, message: Message, draft: Draft) -> Statement | None:
        name = requests.read_execute(message.body)
        change = self._book.portals.find(name)
        if change is None:
            self._complain(refusals.no_portal(name), draft)
            return None
        portal = change.value
        run, parameters = _Run(change, portal), portal.bind.parameters
        return self._ask(Action.EXECUTE, portal.prepared.text, message, run, parameters=parameters)

    def _close(self, message: Message, draft: Draft) -> None:
        named, name = requests.read_named(message.body)
        names = self._book.portals if named is Named.PORTAL else self._book.statements
        self._queue.add(pending.Close(self._number, names.find(name)))
        draft.to_server.append(message.raw)

    def _sync(self, message: Message, draft: Draft) -> None:
        draft.to_server.append(message.raw)
        if not self._queue.copying:
            self._queue.skipping = False
            self._queue.add(pending.Sync(self._number))

    def _flush(self, message: Message, draft: Draft) -> None:
        draft.to_server.append(message.raw)

    def _copy_end(self, message: Message, draft: Draft) -> None:
        draft.to_server.append(message.raw)
        head = self._queue.head
        if self._copied and head is not None:
            draft.records.append(Copied(head.number, Side.CLIENT, self._copied))
        self._copied = 0
        if self._queue.copying:
            self._queue.copying = False
        else:
            self._queue.add(pending.CopyEnd(self._number))

    def _function_call(self, message: Message, draft: Draft) -> None:
        statement = Statement(self._next(), Action.EXECUTE, "")
        draft.records.append(Rejected(statement, _FUNCTION_CALL))
        self._refuse(messages.error(_FUNCTION_CALL), statement.number, None, draft)

    def _terminate(self, message: Message, draft: Draft) -> None:
        draft.to_server.append(requests.TERMINATE)
        self.left = True

    _TAKES: ClassVar[dict[bytes, Callable[["ClientHalf", Message, Draft], Statement | None]]] = {
        b"Q": _query,
        b"P": _parse,
        b"B": _bind,
        b"D": _describe,
        b"E": _execute,
        b"C": _close,
        b"S": _sync,
        b"H": _flush,
        b"c": _copy_end,
        b"f": _copy_end,
        b"F": _function_call,
        b"X": _terminate,
    }

    def interject(self, data: bytes, draft: Draft) -> None:
        """Say something of our own to the server, as soon as the message that is going by is over."""
        (self._ours if self.is_amid else draft.to_server).append(data)

    def flush(self, draft: Draft) -> None:
        """Make the server answer what it has, for a client that is not read until it did."""
        draft.to_server.append(FLUSH)
