"""What a logged-in client sends: which statements to ask about, and what goes to the server.

Knows nothing of answers; what was sent stands in the queue, what names mean in the book.

A refused message is not swallowed but replaced by one that can't be parsed (`Poison`): the server fails, skips until
Sync and rolls back by itself, so that answers stay in order and every transaction status is the server's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Action, Asked, Copied, Faulted, Forward, Parameter, Reject, Rejected, Reply, Statement
from hoopproxy.model import Side
from hoopproxy.wire.postgres import messages, pending, requests
from hoopproxy.wire.postgres.draft import Draft
from hoopproxy.wire.postgres.framing import HEADER_BYTES, Message, Reader, Splitter
from hoopproxy.wire.postgres.outline import outline
from hoopproxy.wire.postgres.pending import Queue
from hoopproxy.wire.postgres.requests import FLUSH, Named
from hoopproxy.wire.postgres.statements import Book, Change, Names, Portal, Prepared
from hoopproxy.wire.postgres.terms import Terms

_POISON = "refused by hoopproxy"
"""No SQL begins so. The server's log shows it where a statement was refused."""

_OURS = "hoopproxy"
"""What a Parse is called that never succeeds. A refused Parse keeps its name: a failed one of "" takes "" with it."""

_FUNCTION_CALL = "The gateway refuses calls by the FunctionCall message; call the function in a SELECT."
_NOT_UTF8 = "The gateway can't read this statement because it is not valid UTF-8; set client_encoding to UTF8."

_INVALID_STATEMENT_NAME = "26000"
_INVALID_CURSOR_NAME = "34000"
_LIMIT_EXCEEDED = "53400"
_NOT_IN_REPERTOIRE = "22021"

_IN_COPY = frozenset((b"d", b"c", b"f", b"H", b"S", b"X"))
_WHILE_SKIPPED = frozenset((b"S", b"X"))


@dataclass(frozen=True, slots=True)
class _Run:
    """An Execute that was asked about."""

    change: Change[Portal]
    portal: Portal


type _Request = requests.Parse | _Run | None
"""What a question is about; None is a simple query."""


class ClientHalf:
    """The client's direction. `left`: the client said goodbye."""

    def __init__(self, terms: Terms, book: Book, queue: Queue) -> None:
        self._terms, self._book, self._queue = terms, book, queue
        self._inbox = Splitter(Side.CLIENT)
        self._passing, self._dropping = 0, False
        self._asking: tuple[Statement, Message, _Request] | None = None
        self._described: Portal | None = None
        self._number = 0
        self._copied = 0
        self.left = False

    def append(self, data: bytes) -> None:
        """Take what arrived."""
        self._inbox.append(data)

    def run(self, draft: Draft) -> Statement | None:
        """Go through what arrived, up to the first question. @raise ProtocolViolation, LimitReached."""
        bytes_max = self._terms.limits.statement_bytes_max
        while not self.left:
            if self._passing:
                if not self._pass_copy_data(draft):
                    return None
                continue
            head = self._inbox.head()
            if head is not None and head[0] == b"d":
                # Goes by in pieces, however large: nobody decides about it.
                self._passing, self._dropping = head[1], self._queue.skipping
                self._copied += head[1] - HEADER_BYTES
                continue
            message = self._inbox.next(bytes_max, "limits.statement_bytes_max")
            if message is None:
                return None
            asked = self._take(message, draft)
            if asked is not None:
                return asked
        return None

    def _take(self, message: Message, draft: Draft) -> Statement | None:
        kind = message.kind
        take = self._TAKES.get(kind)
        if take is None:
            raise ProtocolViolation("client", "A message of an unknown kind was sent.", detail=f"kind {kind!r}")
        if self._queue.copying and kind not in _IN_COPY:
            raise ProtocolViolation("client", "A message was sent in the middle of COPY data.")
        if self._queue.skipping and kind not in _WHILE_SKIPPED:
            return None  # the server would skip it; so nobody is asked about it either
        if kind != b"E" and kind != b"H":
            self._described = None
        return take(self, message, draft)

    def _pass_copy_data(self, draft: Draft) -> bool:
        piece = self._inbox.take(self._passing)
        self._passing -= len(piece)
        if not self._dropping:
            draft.to_server.append(piece)
        return bool(piece)

    # Questions ------------------------------------------------------------------------------------------------------

    def _ask(
        self, action: Action, text: str, message: Message, request: _Request, parameters: tuple[Parameter, ...] = ()
    ) -> Statement:
        about = outline(text)
        statement = Statement(self._next(), action, text, about.text, parameters, about.secret)
        self._asking = statement, message, request
        return statement

    def _next(self) -> int:
        self._number += 1
        return self._number

    def answer(self, reply: Reply, draft: Draft) -> None:
        """The reply to the last question."""
        if self._asking is None:
            raise AssertionError("nothing was asked")
        (statement, message, request), self._asking = self._asking, None
        match reply:
            case Reject(sentence):
                draft.records.append(Rejected(statement, sentence))
                name = None if request is None else request.name if isinstance(request, requests.Parse) else _OURS
                self._refuse(messages.error(sentence), statement.number, name, draft)
            case Forward(text):
                if not self._queue.skipping:  # an earlier error may have come in the meantime
                    self._forward(statement, text, message, request, draft)
            case _:
                raise AssertionError(f"a statement is not answered by {type(reply).__name__}")

    def _forward(self, statement: Statement, text: str, message: Message, request: _Request, draft: Draft) -> None:
        number, rewritten = statement.number, text != statement.text
        match request:
            case None:
                draft.to_server.append(requests.query(text) if rewritten else message.raw)
                self._queue.add(pending.Query(number))
            case requests.Parse():
                sent = replace(request, raw_text=text.encode()).encode() if rewritten else message.raw
                draft.to_server.append(sent)
                change = self._book.statements.change(request.name, Prepared(number, statement.text, text))
                self._queue.add(pending.Parse(number, change))
            case _Run(change, portal):
                if rewritten:
                    raise AssertionError("a prepared statement is not rewritten when it is executed")
                if self._terms.guarded and self._described is not portal:
                    draft.to_server.append(requests.describe(Named.PORTAL, change.name))
                    self._queue.add(pending.Describe(number, portal, silent=True))
                self._described = None
                draft.to_server.append(message.raw)
                self._queue.add(pending.Execute(number, change, portal))
                text = portal.prepared.sent
        draft.records.append(Asked(replace(statement, text=text)))

    def _refuse(
        self, error: bytes, number: int, name: str | None, draft: Draft, faults: tuple[Faulted, ...] = ()
    ) -> None:
        """Put poison in the place of a message: a simple query, or with a `name` a Parse.

        Where the effect on the server is known beforehand to be none, it need not even know.
        """
        if self._queue.skipping:
            return
        if name is None and self._queue.settled in (b"I", b"E"):
            draft.to_client += [error, messages.ready_for_query(self._queue.settled)]
            return
        poison = requests.query(_POISON) if name is None else requests.Parse(name, _POISON.encode()).encode()
        draft.to_server.append(poison)
        self._queue.add(pending.Poison(number, error, faults, simple=name is None))
        self._queue.skipping = name is not None

    def _complain(self, sentence: str, code: str, draft: Draft) -> None:
        """An error of an extended query that the server would have found too, or a limit."""
        fault = Faulted(self._number, code, sentence)
        self._refuse(messages.error(sentence, code), self._number, _OURS, draft, (fault,))

    # Messages, by their letter --------------------------------------------------------------------------------------

    def _query(self, message: Message, draft: Draft) -> Statement | None:
        reader = Reader(Side.CLIENT, message.body)
        text = self._text(reader.raw_string())
        reader.end()
        if text is None:
            self._unreadable(Action.QUERY, None, draft)
            return None
        return self._ask(Action.QUERY, text, message, None)

    def _parse(self, message: Message, draft: Draft) -> Statement | None:
        parse = requests.Parse.read(message.body)
        text = self._text(parse.raw_text)
        if text is None:
            self._unreadable(Action.PREPARE, parse.name, draft)
            return None
        if self._is_full(self._book.statements, parse.name):
            self._complain(
                "Too many prepared statements; close some (limits.prepared_statements_max).", _LIMIT_EXCEEDED, draft
            )
            return None
        return self._ask(Action.PREPARE, text, message, parse)

    def _is_full(self, names: Names[Any], name: str) -> bool:
        return len(names) >= self._terms.limits.prepared_statements_max and names.find(name) is None

    def _text(self, raw: bytes) -> str | None:
        """None: what the guards would read is not what the server would. Where nothing is protected, that may be."""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return None if self._terms.guarded else raw.decode("utf-8", "backslashreplace")

    def _unreadable(self, action: Action, name: str | None, draft: Draft) -> None:
        statement = Statement(self._next(), action, "")
        draft.records.append(Rejected(statement, _NOT_UTF8))
        self._refuse(messages.error(_NOT_UTF8, _NOT_IN_REPERTOIRE), statement.number, name, draft)

    def _bind(self, message: Message, draft: Draft) -> None:
        bind = requests.Bind.read(message.body)
        statement = self._book.statements.find(bind.statement)
        if statement is None:
            what = f'prepared statement "{bind.statement}"' if bind.statement else "unnamed prepared statement"
            self._complain(f"{what} does not exist", _INVALID_STATEMENT_NAME, draft)
            return
        if self._is_full(self._book.portals, bind.portal):
            self._complain("Too many portals; close some (limits.prepared_statements_max).", _LIMIT_EXCEEDED, draft)
            return
        portal = Portal(statement, statement.value, bind)
        change = self._book.portals.change(bind.portal, portal)
        self._queue.add(pending.Bind(statement.value.number, change, portal))
        draft.to_server.append(message.raw)

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
            self._complain(f'portal "{name}" does not exist', _INVALID_CURSOR_NAME, draft)
            return None
        portal = change.value
        return self._ask(Action.EXECUTE, portal.prepared.text, message, _Run(change, portal), portal.bind.parameters)

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

    def flush(self, draft: Draft) -> None:
        """Make the server answer what it has, for a client that is not read until it did."""
        draft.to_server.append(FLUSH)
