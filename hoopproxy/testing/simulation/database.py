"""The model database: a few tables whose protected cells are canaries, and the little SQL that simulated clients use.

Real SQL, so that the gateway's own rules judge it. Pure. Knows neither messages nor masks' policy: `seen` says what a
session may see of a protected cell.
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hoopproxy.events import Field, Format
from hoopproxy.masks import Catalog, Relation

INT4, TEXT = 23, 25
CUSTOMERS, PRODUCTS, EVERYBODY = 16401, 16402, 16403
CARD, EMAIL, SCORE = (f"public.customers.{name}" for name in ("card", "email", "score"))
PROTECTED = frozenset({CARD, EMAIL, SCORE})
SCORE_BASE = 1234567800
CANARIES = (b"canary", b"CANARY", b"12345678", SCORE_BASE.to_bytes(4)[:3])
"""In each protected cell, as text or as a binary int4, and nowhere else."""

type Seen = Callable[[str, str], str | None]
"""What a session sees of the cell of a protected path; None is NULL."""


def in_clear(path: str, cell: str) -> str | None:
    """Of everything everything."""
    return cell


@dataclass(frozen=True, slots=True)
class Column:
    """`path` is "" where nothing is protected."""

    name: str
    type_oid: int
    cell: Callable[[int], str]
    path: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows are numbered from 1; a cell is a function of its row's number."""

    oid: int
    rows: int
    columns: tuple[Column, ...]


_CUSTOMERS = (
    Column("id", INT4, str),
    Column("name", TEXT, "customer {}".format),
    Column("card", TEXT, lambda row: f"4000-canary-{row:04}", CARD),
    Column("email", TEXT, "canary-{}@example.com".format, EMAIL),
    Column("score", INT4, lambda row: str(SCORE_BASE + row), SCORE),
)
TABLES: Mapping[str, Table] = {
    "customers": Table(CUSTOMERS, 9, _CUSTOMERS),
    "products": Table(
        PRODUCTS,
        40,
        (
            Column("id", INT4, str),
            Column("title", TEXT, "product {}".format),
            Column("body", TEXT, lambda row: f"{row} says more. " * (row * 3)),
        ),
    ),
    "everybody": Table(EVERYBODY, 9, _CUSTOMERS[:3]),  # a view over customers
}


def catalog(protected: frozenset[str]) -> Catalog:
    """What a gateway reads at login for these protected paths."""
    columns = {number: column.path for number, column in enumerate(_CUSTOMERS, 1) if column.path in protected}
    if not columns:
        return Catalog({}, {}, frozenset(), frozenset())
    return Catalog(
        {CUSTOMERS: Relation(CUSTOMERS, "public", "customers", columns)},
        {EVERYBODY: Relation(EVERYBODY, "public", "everybody", {})},
        frozenset({CUSTOMERS, PRODUCTS, EVERYBODY}),
        frozenset(),
    )


SCHEMA = f"""
CREATE TABLE customers (id int PRIMARY KEY, name text, card text, email text, score int);
INSERT INTO customers SELECT n, 'customer ' || n, '4000-canary-' || lpad(n::text, 4, '0'),
    'canary-' || n || '@example.com', {SCORE_BASE} + n FROM generate_series(1, 9) n;
CREATE TABLE products (id int PRIMARY KEY, title text, body text);
INSERT INTO products SELECT n, 'product ' || n, repeat(n || ' says more. ', n * 3) FROM generate_series(1, 40) n;
CREATE VIEW everybody AS SELECT id, name, card FROM customers;
CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'duplicate key value'
        USING ERRCODE = '23505', DETAIL = 'Key (card)=(4000-canary-0001) already exists.';
END $$;
CREATE TRIGGER refuses BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION refuses();
CREATE FUNCTION forgets() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE NOTICE 'take note' USING DETAIL = 'row was (canary)';
    ELSIF NEW.title = 'bad' THEN
        RAISE EXCEPTION 'invalid input syntax' USING ERRCODE = '22P02', DETAIL = 'the row was (canary)';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER forgets BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION forgets();
"""
"""The same database for a real server, which the model is held against. No statement of the simulation changes it."""


class Failed(Exception):
    """An ErrorResponse: SQLSTATE, text, and a detail that may quote a protected value."""

    def __init__(self, code: str, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.detail = code, text, detail


@dataclass(slots=True)
class Result:
    """What one statement does. `rows` are lists of cells as texts, in the order of `fields`; `begins` and `ends` a
    transaction block; `copy_in` and `copy_out` are columns of a COPY; `sleep_s` passes before anything is said;
    `notice` is a notice's detail."""

    tag: str
    fields: tuple[Field, ...] = ()
    rows: list[list[str | None]] = field(default_factory=list)
    begins: bool = False
    ends: bool = False
    copy_in: int = 0
    copy_out: int = 0
    sleep_s: float = 0.0
    notice: str = ""
    listens: bool = False
    notifies: str = ""
    setting: str | None = None
    forgets: bool = False
    """All prepared statements."""


_SELECT = re.compile(r"SELECT (.+?) FROM (\w+)(?: WHERE id (<=|=) (\$1|\d+))?(?: ORDER BY id)?")
_VERBS = ("SELECT ", "INSERT INTO ", "DECLARE c ", "FETCH 2 ", "COPY ")
_UPPER = re.compile(r"upper\((\w+)\)")
_VOID = Field("pg_sleep", "", 0, 0, 2278, -1, Format.TEXT)
_FIXED: Mapping[str, Result] = {
    "BEGIN": Result("BEGIN", begins=True),
    "COMMIT": Result("COMMIT", ends=True),
    "ROLLBACK": Result("ROLLBACK", ends=True),
    "DEALLOCATE ALL": Result("DEALLOCATE ALL", forgets=True),
    "LISTEN news": Result("LISTEN", listens=True),
    "NOTIFY news, 'no canary'": Result("NOTIFY", notifies="no canary"),
    "DROP TABLE products": Result("DROP TABLE"),
    "CLOSE c": Result("CLOSE CURSOR"),
    "COPY products (id, title) FROM STDIN": Result("COPY", copy_in=2),
    "UPDATE products SET title = 'x' WHERE id = 1": Result("UPDATE 0", notice="row was (canary)"),
    "SELECT pg_sleep(30)": Result("SELECT 1", (_VOID,), [[""]], sleep_s=30.0),
    "SET application_name = 'x'": Result("SET", setting="x"),
    "": Result(""),
}


def parameters(text: str) -> list[int]:
    """The types of a statement's parameters."""
    return [INT4] if "$1" in text else []


def run(text: str, given: Sequence[str | None], cursors: dict[str, list[list[str | None]]], seen: Seen) -> Result:
    """What the statement answers. `cursors` are the session's, by name. @raise Failed."""
    if text in _FIXED:
        return replace(_FIXED[text], rows=[*_FIXED[text].rows])
    if text.startswith("INSERT INTO customers"):
        raise Failed("23505", "duplicate key value", "Key (card)=(4000-canary-0001) already exists.")
    if text.startswith("DECLARE c CURSOR FOR "):
        cursors["c"] = _select(text.removeprefix("DECLARE c CURSOR FOR "), given, seen).rows
        return Result("DECLARE CURSOR")
    if text == "FETCH 2 FROM c":
        if "c" not in cursors:
            raise Failed("34000", 'cursor "c" does not exist')
        rows, cursors["c"] = cursors["c"][:2], cursors["c"][2:]
        return Result(f"FETCH {len(rows)}", described(text), rows)
    if text.startswith("COPY "):
        listed, _, table = text.removeprefix("COPY ").removesuffix(" TO STDOUT").partition(" (")[::-1]
        found = _select(f"SELECT {listed.removesuffix(')')} FROM {table}", given, seen)
        return Result(f"COPY {len(found.rows)}", (), found.rows, copy_out=len(found.fields))
    return _select(text, given, seen)


def described(text: str) -> tuple[Field, ...]:
    """The columns that a statement answers with, in text format. @raise Failed."""
    if text in _FIXED:
        return _FIXED[text].fields
    if text == "FETCH 2 FROM c":
        text = "SELECT id, card FROM customers"
    if not text.startswith("SELECT "):
        return ()
    if text == "SELECT 1/0":
        return (Field("?column?", "", 0, 0, INT4, -1, Format.TEXT),)
    table, columns, _ = _read(text)
    return tuple(_field(table, column, name) for column, name in columns)


def read(texts: str) -> None:
    """@raise Failed: one of them is no statement."""
    for text in texts.split("; "):
        if text not in _FIXED and not text.startswith(_VERBS):
            raise Failed("42601", f'syntax error at or near "{text.split(" ")[0]}"')


def analysed(text: str) -> None:
    """@raise Failed: it is no statement, or names a table that is not there."""
    read(text)
    if text not in _FIXED and text != "SELECT 1/0" and text.startswith("SELECT "):
        _read(text)


def planned(text: str) -> None:
    """@raise Failed: it can be analysed and not be planned."""
    if text == "SELECT 1/0":
        raise Failed("22012", "division by zero")


def cell(text: str | None, column: Field) -> bytes | None:
    """A cell in the column's format."""
    if text is None:
        return None
    if column.format is Format.BINARY and column.type_oid == INT4:
        return struct.pack("!i", int(text))
    return text.encode()


def _read(text: str) -> tuple[Table, list[tuple[Column, bool]], re.Match[str]]:
    """Table, and each column with whether it is bare. @raise Failed."""
    found = _SELECT.fullmatch(text)
    if found is None:
        raise Failed("42601", "syntax error")
    table = TABLES.get(found[2])
    if table is None:
        raise Failed("42P01", f'relation "{found[2]}" does not exist')
    by_name = {column.name: column for column in table.columns}
    columns: list[tuple[Column, bool]] = []
    for name in [*by_name] if found[1] == "*" else found[1].split(", "):
        computed = _UPPER.fullmatch(name)
        columns.append((by_name[computed[1] if computed else name], computed is None))
    return table, columns, found


def _shown(column: Column, bare: bool, row: int, seen: Seen) -> str | None:
    cell = seen(column.path, column.cell(row)) if column.path else column.cell(row)
    return cell if bare or cell is None else cell.upper()


def _field(table: Table, column: Column, bare: bool) -> Field:
    if not bare:
        return Field("upper", "", 0, 0, TEXT, -1, Format.TEXT)
    number = table.columns.index(column) + 1
    return Field(column.name, "", table.oid, number, column.type_oid, -1, Format.TEXT)


def _select(text: str, given: Sequence[str | None], seen: Seen) -> Result:
    table, columns, found = _read(text)
    _, _, operator, bound = found.groups()
    rows = range(1, table.rows + 1)
    if operator:
        wanted = int((given[0] if bound == "$1" else bound) or 0)
        rows = range(1, min(wanted, table.rows) + 1) if operator == "<=" else range(wanted, wanted + 1)
    shown = [[_shown(column, bare, row, seen) for column, bare in columns] for row in rows if 1 <= row <= table.rows]
    fields = tuple(_field(table, column, bare) for column, bare in columns)
    return Result(f"SELECT {len(shown)}", fields, shown)
