"""A PostgreSQL for tests, as a machine without I/O: reads a client's bytes and answers as the server would.

It knows a dozen statements, transactions, portals, COPY, and the rules that matter to a proxy: answers are held back
until Sync, Flush or an error; after an error everything until Sync is skipped, simple queries included; a COPY FROM
swallows Sync and Flush; portals end with their transaction. `switch` changes what table `t` means for statements that
were prepared before, and for `execute t`, a portal over SQL's EXECUTE, even between its description and its rows. With
`masked`, protected cells come out as `****`: what a client of a perfect gateway would see. `strict`: what an honest
gateway lets no client send raises; otherwise it is an error, as it is to the server.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from hoopproxy.events import Field, Format
from hoopproxy.model import Side
from hoopproxy.wire.postgres import messages, requests
from hoopproxy.wire.postgres.framing import Message, Reader, Splitter, message
from hoopproxy.wire.postgres.requests import Named

PROTECTED_OID, OPEN_OID, OTHER_OID = 16401, 16402, 16403
CARD, OTHER_CARD = "public.customers.card", "public.payments.card"
MASKED = b"****"


def column(name: str, table_oid: int, number: int, path: str = "", format: Format = Format.TEXT) -> Field:
    return Field(name, path, table_oid, number, 25, -1, format)


TABLES = {
    # The same number and types of columns, so that a row of one fits the plan of the other.
    "customers": (column("id", PROTECTED_OID, 1), column("card", PROTECTED_OID, 2)),
    "products": (column("id", OPEN_OID, 1), column("name", OPEN_OID, 2)),
    "payments": (column("card", OTHER_OID, 1), column("id", OTHER_OID, 2)),
}
TOO_MANY = (
    "The rest was not shown, because a rule of the gateway ends this result after {} rows: ask for less, with a WHERE "
    "or a LIMIT."
)
PROTECTED = {(PROTECTED_OID, 2), (OTHER_OID, 1)}
ROWS = 3


class Failed(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass
class Portal:
    text: str
    formats: tuple[Format, ...]
    rows: list[bytes] | None = None
    tag: str = ""
    shown: int = 0


class FakePostgres:
    """`refuse(action, text)` plays the gateway's guards where this plays both at once: a sentence refuses; and a result
    with more than `rows_max` rows fails."""

    def __init__(
        self,
        *,
        masked: bool = False,
        refuse: Callable[[str, str], str] = lambda action, text: "",
        strict: bool = True,
        rows_max: int = 1000,
    ) -> None:
        self._rows_max = rows_max
        self._inbox = Splitter(Side.CLIENT)
        self._masked, self._refuse, self._strict = masked, refuse, strict
        self._statements: dict[str, str] = {}
        self._portals: dict[str, Portal] = {}
        self._held: list[bytes] = []
        self._out: list[bytes] = []
        self._status = b"I"
        self._skipping = False
        self._copying: Portal | None = None
        self._copy_is_simple = False
        self._rest: list[str] = []
        self._searched = "products"
        self.seen: list[Message] = []
        self.executed: list[str] = []
        self.closed = False

    def feed(self, data: bytes) -> bytes:
        self._inbox.append(data)
        while not self.closed and (got := self._inbox.next(1 << 30, "")) is not None:
            self.seen.append(got)
            self._take(got)
        out, self._out = b"".join(self._out), []
        return out

    # The main loop (PostgresMain, SocketBackend) --------------------------------------------------------------------

    def _take(self, got: Message) -> None:
        if got.kind == b"X":
            self.closed = True
            return
        if self._copying is not None:
            self._copy_data(got)
            return
        if got.kind == b"S":
            self._skipping = False
            self._end_of_batch()
        elif self._skipping or got.kind in (b"d", b"c", b"f"):
            return
        elif got.kind == b"H":
            self._flush()
        elif got.kind == b"Q":
            self._rest = _text(got.body[:-1]).split(";")
            try:
                self._guarded("query", ";".join(self._rest))
                for text in self._rest:
                    self._parsed(text)
            except Failed as why:
                self._error(why)
                self._end_of_batch()
            else:
                self._simple()
        else:
            try:
                self._extended(got)
            except Failed as why:
                self._error(why)
                self._skipping = True

    def _say(self, data: bytes) -> None:
        self._held.append(data)

    def _flush(self) -> None:
        self._out += self._held
        self._held = []

    def _error(self, why: Failed) -> None:
        self._say(messages.error(why.text, why.code))
        self._flush()
        if self._status == b"T":
            self._status = b"E"
        if self._status == b"I":
            self._portals.clear()

    def _end_of_batch(self) -> None:
        if self._status == b"I":
            self._portals.clear()
        self._say(messages.ready_for_query(self._status))
        self._flush()

    def _simple(self) -> None:
        try:
            while self._rest:
                text = self._rest.pop(0)
                portal = Portal(text, ())
                if fields := self._fields(portal):
                    self._say(messages.row_description(fields))
                if text == "copy in":
                    self._in_good_order(text)
                    self._begin_copy(portal, simple=True)
                    return
                self._run(portal, 0)
        except Failed as why:
            self._rest = []
            self._error(why)
        self._end_of_batch()

    def _extended(self, got: Message) -> None:
        match got.kind:
            case b"P":
                parse = requests.Parse.read(got.body)
                text = _text(parse.raw_text)
                if not parse.name:
                    self._statements.pop("", None)
                self._guarded("prepare", text)
                self._parsed(text)
                if parse.name in self._statements:
                    raise Failed("42P05", f'prepared statement "{parse.name}" already exists')
                self._statements[parse.name] = text
                self._say(message(b"1"))
            case b"B":
                bind = requests.Bind.read(got.body)
                if bind.statement not in self._statements:
                    what = f'prepared statement "{bind.statement}"' if bind.statement else "unnamed prepared statement"
                    raise Failed("26000", f"{what} does not exist")
                text = self._statements[bind.statement]
                self._in_good_order(text)
                if bind.portal and bind.portal in self._portals:
                    raise Failed("42P03", f'cursor "{bind.portal}" already exists')
                self._portals[bind.portal] = Portal(self._resolved(text), bind.result_formats)
                self._say(message(b"2"))
            case b"D":
                named, name = requests.read_named(got.body)
                if named is Named.STATEMENT:
                    if name not in self._statements:
                        raise Failed("26000", f'prepared statement "{name}" does not exist')
                    self._say(message(b"t", b"\0\0"))
                    fields = self._fields(Portal(self._resolved(self._statements[name]), ()))
                else:
                    fields = self._fields(self._portal(name))
                self._say(messages.row_description(fields) if fields else message(b"n"))
            case b"E":
                reader = Reader(Side.CLIENT, got.body)
                portal = self._portal(reader.string())
                self._guarded("execute", portal.text)
                self._in_good_order(portal.text)
                if portal.text == "copy in":
                    self._begin_copy(portal, simple=False)
                else:
                    self._run(portal, reader.numbers("i")[0])
            case b"C":
                named, name = requests.read_named(got.body)
                (self._statements if named is Named.STATEMENT else self._portals).pop(name, None)  # type: ignore[attr-defined] # both are dicts
                self._say(message(b"3"))
            case _:
                raise AssertionError(got)

    # Statements -----------------------------------------------------------------------------------------------------

    def _portal(self, name: str) -> Portal:
        if name not in self._portals:
            raise Failed("34000", f'portal "{name}" does not exist')
        return self._portals[name]

    def _parsed(self, text: str) -> None:
        verb = text.split(" ")[0]
        if verb not in (
            "select",
            "insert",
            "begin",
            "commit",
            "rollback",
            "fail",
            "copy",
            "switch",
            "note",
            "execute",
            "discard",
            "deallocate",
            "",
        ):
            raise Failed("42601", f'syntax error at or near "{verb}"')

    def _guarded(self, action: str, text: str) -> None:
        if sentence := self._refuse(action, text):
            raise Failed("42501", sentence)

    def _in_good_order(self, text: str) -> None:
        if self._status == b"E" and text not in ("commit", "rollback"):
            raise Failed("25P02", "current transaction is aborted, commands ignored until end of transaction block")

    def _resolved(self, text: str) -> str:
        return f"select {self._searched}" if text == "select t" else text

    def _fields(self, portal: Portal) -> tuple[Field, ...]:
        table = self._searched if portal.text == "execute t" else self._resolved(portal.text).removeprefix("select ")
        fields = TABLES.get(table, ())
        formats = portal.formats
        if len(formats) != len(fields):
            formats = (formats[:1] or (Format.TEXT,)) * len(fields)
        return tuple(
            column(field.name, field.table_oid, field.column_number, format=format)
            for field, format in zip(fields, formats, strict=True)
        )

    def _cells(self, field: Field, row: int) -> bytes:
        if (field.table_oid, field.column_number) in PROTECTED:
            return MASKED if self._masked else b"canary-%d" % row
        return b"open-%d-%d" % (field.column_number, row)

    def _run(self, portal: Portal, rows_max: int) -> None:
        text = self._resolved(portal.text)
        self._in_good_order(text)
        if portal.rows is None:
            self.executed.append(text)
            fields = self._fields(portal)
            portal.rows = [
                messages.data_row([self._cells(field, row) for field in fields]) for row in range(ROWS) if fields
            ]
            portal.tag = f"SELECT {ROWS}" if fields else self._effect(text)
        if portal.tag == "":
            self._say(message(b"I"))
            return
        count = rows_max if 0 < rows_max < len(portal.rows) else len(portal.rows)
        self._bounded(portal.rows[:count], portal.shown)
        portal.shown += count
        self._say(b"".join(portal.rows[:count]))
        portal.rows = portal.rows[count:]
        self._say(message(b"s") if count == rows_max and rows_max else messages.command_complete(portal.tag))

    def _bounded(self, rows: list[bytes], shown: int) -> None:
        if shown + len(rows) > self._rows_max:
            self._say(b"".join(rows[: self._rows_max - shown]))
            raise Failed("54000", TOO_MANY.format(self._rows_max))

    def _effect(self, text: str) -> str:
        match text:
            case "begin":
                self._status = b"T"
            case "commit" | "rollback":
                text = "rollback" if self._status == b"E" else text
                self._status = b"I"
            case "fail":
                raise Failed("22012", "division by zero")
            case "switch":
                self._searched = "customers" if self._searched == "products" else "products"
            case "switch payments":
                self._searched = "payments"
            case "deallocate a":
                if self._statements.pop("a", None) is None:
                    raise Failed("26000", 'prepared statement "a" does not exist')
            case "discard all" if self._status == b"T":
                raise Failed("25001", "DISCARD ALL cannot run inside a transaction block")
            case "discard all" | "deallocate all":
                self._statements = {name: text for name, text in self._statements.items() if not name}
            case "note":
                self._say(messages.notice("take note"))
                self._flush()
            case "copy out":
                self._say(message(b"H", b"\0\0\0"))
                copied = [message(b"d", b"copied-%d\n" % row) for row in (1, 2)]
                self._bounded(copied, 0)
                self._say(b"".join(copied) + message(b"c"))
                return "COPY 2"
        return text.upper() if text != "insert" else "INSERT 0 1"

    # COPY (CopyGetData) ---------------------------------------------------------------------------------------------

    def _begin_copy(self, portal: Portal, *, simple: bool) -> None:
        self.executed.append("copy in")
        self._copying, self._copy_is_simple = portal, simple
        self._say(message(b"G", struct.pack("!bh", 0, 1) + b"\0\0"))
        self._flush()

    def _copy_data(self, got: Message) -> None:
        if got.kind in (b"S", b"H"):
            return
        failure = None
        if got.kind == b"d":
            if b"bad" not in got.body:
                return
            failure = Failed("22P02", "invalid input syntax")
        elif got.kind == b"f":
            failure = Failed("57014", "COPY from stdin failed")
        elif got.kind != b"c":
            assert not self._strict, "a gateway must not let this through"
            failure = Failed("08P01", f"unexpected message type {got.kind!r} during COPY from stdin")
        self._copying = None
        if failure is None:
            self._say(messages.command_complete("COPY 1"))
        else:
            self._rest = []
            self._error(failure)
        if self._copy_is_simple:
            if failure is None and self._rest:
                self._simple()
            else:
                self._end_of_batch()
        elif failure is not None:
            self._skipping = True


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
