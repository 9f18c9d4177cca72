"""A model PostgreSQL server, as a machine without I/O: a client's bytes in, the server's bytes out.

Keeps the rules that matter to a proxy: answers are held back until Sync, Flush, an error or a COPY; after an error all
until Sync is skipped; a COPY FROM swallows Sync and Flush; portals end with their transaction; a portal goes on where
it was suspended. What statements mean is `database`'s. With a `Judge` it is at once server and perfect gateway: what it
answers then is what a client behind a gateway without fault must see, byte for byte.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from hoopproxy.events import Field, Format, Parameter
from hoopproxy.model import Side
from hoopproxy.testing.simulation import database
from hoopproxy.testing.simulation.database import Failed, Result
from hoopproxy.testing.simulation.transaction import Transaction
from hoopproxy.wire.postgres import messages, requests
from hoopproxy.wire.postgres.framing import Message, Reader, Splitter, message
from hoopproxy.wire.postgres.requests import Named

ANYTHING = 1 << 30
"""A model takes messages of any length."""


class Judge(Protocol):
    """What a gateway would do to this session."""

    @property
    def is_guarded(self) -> bool:
        """Whether anything is protected: then details, notices' details and payloads are withheld."""

    def seen(self, path: str, cell: str) -> str | None:
        """What the client sees of a protected cell."""

    def refuses(self, text: str) -> str:
        """The sentence that refuses a statement, or ""."""


class Open:
    """No gateway at all."""

    is_guarded = False

    def seen(self, path: str, cell: str) -> str | None:
        return cell

    def refuses(self, text: str) -> str:
        return ""


@dataclass(slots=True)
class _Portal:
    text: str
    formats: tuple[Format, ...] = ()
    given: tuple[str | None, ...] = ()
    result: Result | None = None


@dataclass(slots=True)
class Server:
    """One backend. `sleeps_s` above 0: it computes, and takes nothing until `wake`."""

    judge: Judge = field(default_factory=Open)
    sleeps_s: float = 0.0
    is_closed: bool = False
    _inbox: Splitter = field(default_factory=lambda: Splitter(Side.CLIENT))
    _held: list[bytes] = field(default_factory=list)
    _out: list[bytes] = field(default_factory=list)
    _statements: dict[str, str] = field(default_factory=dict)
    _portals: dict[str, _Portal] = field(default_factory=dict)
    _cursors: dict[str, list[list[str | None]]] = field(default_factory=dict)
    _transaction: Transaction = field(default_factory=Transaction)
    _is_skipping: bool = False
    _is_copying: bool = False
    _rest: list[str] | None = None
    """What is left of a simple query; None within an extended one."""
    _awaited: Callable[[], None] | None = None

    def feed(self, data: bytes) -> bytes:
        """What it answers at once."""
        self._inbox.append(data)
        return self._work()

    def wake(self, *, cancelled: bool = False) -> bytes:
        """Its computation is over, or was cancelled from another connection; what it answers."""
        if not self.sleeps_s or self._awaited is None:
            return b""
        self.sleeps_s, awaited, self._awaited = 0.0, self._awaited, None
        self._guarded(self._cancel if cancelled else awaited)
        return self._work()

    def _work(self) -> bytes:
        while not self.is_closed and not self.sleeps_s:
            received = self._inbox.next(ANYTHING, "")
            if received is None:
                break
            self._take(received)
        out, self._out = b"".join(self._out), []
        return out

    def _cancel(self) -> None:
        raise Failed("57014", "canceling statement due to user request")

    # The main loop (PostgresMain) -----------------------------------------------------------------------------------

    def _take(self, received: Message) -> None:
        kind = received.kind
        if kind == b"X":
            self.is_closed = True
        elif self._is_copying:
            self._copy_data(received)
        elif kind == b"S":
            self._is_skipping = False
            self._end_of_batch()
        elif self._is_skipping or kind in (b"d", b"c", b"f"):
            pass
        elif kind == b"H":
            self._flush()
        elif kind == b"Q":
            self._rest = received.body[:-1].decode().split("; ")
            self._guarded(lambda: self._query("; ".join(self._rest or ())))
        else:
            self._rest = None
            self._guarded(lambda: self._extended(received))

    def _guarded(self, work: Callable[[], None]) -> None:
        """An error ends a simple query; after one in an extended query all is skipped until Sync."""
        try:
            work()
        except Failed as why:
            fields = {"S": "ERROR", "V": "ERROR", "C": why.code, "M": str(why)}
            if why.detail and not self.judge.is_guarded:
                fields["D"] = why.detail
            self._say(messages.error_response(fields))
            self._flush()
            self._is_copying = False
            self._transaction.fails()
            if self._transaction.is_idle:
                self._forget()
            if self._rest is None:
                self._is_skipping = True
            else:
                self._rest = None
                self._end_of_batch()

    def _say(self, data: bytes) -> None:
        self._held.append(data)

    def _flush(self) -> None:
        self._out += self._held
        self._held = []

    def _end_of_batch(self) -> None:
        if self._transaction.is_idle:
            self._forget()
        self._say(self._transaction.ready(is_guarded=self.judge.is_guarded))
        self._flush()

    def _forget(self) -> None:
        """Portals and cursors end with their transaction."""
        self._portals.clear()
        self._cursors.clear()

    def _refuse(self, text: str) -> None:
        if sentence := self.judge.refuses(text):
            raise Failed(messages.INSUFFICIENT_PRIVILEGE, sentence)

    # Simple query ---------------------------------------------------------------------------------------------------

    def _query(self, whole: str) -> None:
        self._refuse(whole)
        database.read(whole)  # all of it is read before any of it is run
        self._rest = [text for text in whole.split("; ") if text] or [""]
        self._next_of_query()

    def _next_of_query(self) -> None:
        while self._rest:
            text = self._rest.pop(0)
            database.analysed(text)
            self._transaction.allows(text)
            database.planned(text)
            portal = _Portal(text)
            if fields := self._fields(portal):
                self._say(messages.row_description(fields))
            if self._begin(portal, 0, self._next_of_query):
                return
        self._rest = None
        self._end_of_batch()

    # Extended query -------------------------------------------------------------------------------------------------

    def _extended(self, received: Message) -> None:
        match received.kind:
            case b"P":
                parse = requests.Parse.read(received.body)
                text = parse.raw_text.decode()
                if not parse.name:
                    self._statements.pop("", None)
                self._refuse(text)
                database.analysed(text)
                self._transaction.allows(text)
                if parse.name in self._statements:
                    raise Failed("42P05", f'prepared statement "{parse.name}" already exists')
                self._statements[parse.name] = text
                self._say(message(b"1"))
            case b"B":
                bind = requests.Bind.read(received.body)
                text = self._statement(bind.statement)
                self._transaction.allows(text)
                if bind.portal and bind.portal in self._portals:
                    raise Failed("42P03", f'cursor "{bind.portal}" already exists')
                types = database.parameters(text)
                if len(bind.parameters) != len(types):
                    raise Failed("08P01", f"bind message supplies {len(bind.parameters)} parameters")
                database.planned(text)
                given = tuple(map(_given, bind.parameters, types))
                self._portals[bind.portal] = _Portal(text, bind.result_formats, given)
                self._say(message(b"2"))
            case b"D":
                self._describe(*requests.read_named(received.body))
            case b"E":
                reader = Reader(Side.CLIENT, received.body)
                portal = self._portal(reader.string())
                self._transaction.allows(portal.text)
                self._begin(portal, reader.numbers("i")[0], lambda: None)
            case b"C":
                named, name = requests.read_named(received.body)
                if named is Named.STATEMENT:
                    self._statements.pop(name, None)
                else:
                    self._portals.pop(name, None)
                self._say(message(b"3"))
            case kind:
                raise AssertionError(f"a gateway lets no {kind!r} through")

    def _describe(self, named: Named, name: str) -> None:
        if named is Named.PORTAL:
            fields = self._fields(self._portal(name))
        else:
            text = self._statement(name)
            types = database.parameters(text)
            self._say(message(b"t", struct.pack(f"!H{len(types)}I", len(types), *types)))
            fields = self._fields(_Portal(text))
        if fields:
            self._transaction.allows("")
        self._say(messages.row_description(fields) if fields else message(b"n"))

    def _statement(self, name: str) -> str:
        if name not in self._statements:
            what = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise Failed("26000", f"{what} does not exist")
        return self._statements[name]

    def _portal(self, name: str) -> _Portal:
        if name not in self._portals:
            raise Failed("34000", f'portal "{name}" does not exist')
        return self._portals[name]

    def _fields(self, portal: _Portal) -> tuple[Field, ...]:
        return requests.Bind("", "", (), portal.formats).applied_to(database.described(portal.text))

    # Running --------------------------------------------------------------------------------------------------------

    def _begin(self, portal: _Portal, rows_max: int, then: Callable[[], None]) -> bool:
        """Run or go on with it; True when the rest comes later: it sleeps, or waits for COPY data."""
        if portal.result is None:
            portal.result = result = database.run(portal.text, portal.given, self._cursors, self.judge.seen)
            if result.sleep_s:
                self.sleeps_s = result.sleep_s
                self._awaited = partial(self._awake, portal, rows_max, then)
                return True
            if result.copy_in:
                self._is_copying = True
                self._say(message(b"G", struct.pack("!bH", 0, result.copy_in) + bytes(2 * result.copy_in)))
                self._flush()
                return True
            self._take_effect(result)
        self._finish(portal, rows_max)
        return False

    def _awake(self, portal: _Portal, rows_max: int, then: Callable[[], None]) -> None:
        self._finish(portal, rows_max)
        then()

    def _take_effect(self, result: Result) -> None:
        self._transaction.take(result)
        if result.ends:
            self._cursors.clear()
        if result.forgets:
            self._statements.clear()
        if result.notice:
            fields = {"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": "take note"}
            self._say(messages.notice_response(fields if self.judge.is_guarded else fields | {"D": result.notice}))
            self._flush()

    def _finish(self, portal: _Portal, rows_max: int) -> None:
        result = portal.result
        assert result is not None
        if not portal.text:
            self._say(message(b"I"))
            return
        if result.copy_out:
            self._say(message(b"H", struct.pack("!bH", 0, result.copy_out) + bytes(2 * result.copy_out)))
            for row in result.rows:
                self._say(message(b"d", "\t".join(cell or "\\N" for cell in row).encode() + b"\n"))
            self._say(message(b"c") + messages.command_complete(result.tag))
            return
        fields = self._fields(portal)
        count = min(rows_max or len(result.rows), len(result.rows))
        taken, result.rows = result.rows[:count], result.rows[count:]
        for row in taken:
            self._say(messages.data_row([database.cell(*pair) for pair in zip(row, fields, strict=True)]))
        suspended = rows_max and count == rows_max
        tag = f"{result.tag.split(' ')[0]} {count}" if result.tag.startswith("SELECT") else result.tag
        self._say(message(b"s") if suspended else messages.command_complete(tag))

    # COPY (CopyGetData) ---------------------------------------------------------------------------------------------

    def _copy_data(self, received: Message) -> None:
        match received.kind:
            case b"S" | b"H":
                pass
            case b"d":
                if b"bad" in received.body:
                    self._guarded(self._bad_copy)
            case b"c":
                self._is_copying = False
                self._say(messages.command_complete("COPY 0"))
                if self._rest is not None:
                    self._guarded(self._next_of_query)
            case b"f":
                self._guarded(self._failed_copy)
            case kind:
                raise AssertionError(f"a gateway lets no {kind!r} through within COPY")

    def _bad_copy(self) -> None:
        raise Failed("22P02", "invalid input syntax", "the row was (canary)")

    def _failed_copy(self) -> None:
        raise Failed("57014", "COPY from stdin failed")


def _given(parameter: Parameter, type_oid: int) -> str | None:
    if parameter.value is None:
        return None
    assert isinstance(parameter.value, bytes)
    if parameter.format is Format.BINARY and type_oid == database.INT4:
        return str(struct.unpack("!i", parameter.value)[0])
    return parameter.value.decode()
