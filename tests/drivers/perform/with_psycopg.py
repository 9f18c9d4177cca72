"""Performs the script with psycopg 3: JSON on standard input, a line of JSON for each operation on standard output."""

import base64
import hashlib
import json
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg import RawCursor

PIECE_BYTES = 1000
FIELDS = (
    "severity", "sqlstate", "message_primary", "message_detail", "message_hint", "statement_position",
    "internal_position", "internal_query", "context", "schema_name", "table_name", "column_name", "datatype_name",
    "constraint_name", "source_file", "source_line", "source_function",
)  # fmt: skip
KINDS: dict[str, Callable[[Any], Any]] = {
    "numeric": Decimal,
    "bytes": bytes.fromhex,
    "uuid": UUID,
    "date": date.fromisoformat,
    "timestamptz": datetime.fromisoformat,
}
LEVELS = {level.name.replace("_", " "): level for level in psycopg.IsolationLevel}


class Abandoned(Exception):
    """The client gives up a COPY."""


def values(op: dict[str, Any]) -> list[Any]:
    return [value if value is None else KINDS.get(kind, lambda each: each)(value) for kind, value in op["with"]]


def fields(diag: psycopg.errors.Diagnostic) -> dict[str, str]:
    said = {name: getattr(diag, name) for name in FIELDS}
    return {name: value for name, value in said.items() if value is not None}


def told(cursor: Any, digest: bool) -> list[Any]:
    """All results that a cursor has, as on the wire: formats and types of columns, and their cells."""
    results = []
    while True:
        pg = cursor.pgresult
        columns = [
            (pg.fname(i).decode(), pg.ftype(i), pg.fmod(i), pg.fsize(i), pg.fformat(i)) for i in range(pg.nfields)
        ]
        rows = [[shown(pg.get_value(row, i)) for i in range(pg.nfields)] for row in range(pg.ntuples)]
        results.append(
            {"tag": cursor.statusmessage, "count": cursor.rowcount, "columns": columns, **table(rows, digest)}
        )
        if not cursor.nextset():
            return results


def shown(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode(errors="backslashreplace")


def table(rows: list[Any], digest: bool) -> dict[str, Any]:
    return {"hash": hashlib.md5(json.dumps(rows).encode()).hexdigest(), "rows": len(rows)} if digest else {"rows": rows}


class Session:
    """One connection, and the thread that works on it."""

    def __init__(self, door: dict[str, Any], binary: bool) -> None:
        self.binary = binary
        self.notices: list[dict[str, str]] = []
        self.running: Future[dict[str, Any]] | None = None
        self.transaction: Any = None
        self.thread = ThreadPoolExecutor(1)
        self.connection = psycopg.connect(
            host=door["host"], hostaddr=door["address"], port=door["port"], user=door["user"],
            password=door["password"], dbname=door["database"], sslmode="verify-full", sslrootcert=door["ca"],
            application_name="matrix", autocommit=True,
        )  # fmt: skip
        self.connection.add_notice_handler(lambda diag: self.notices.append(fields(diag)))

    def start(self, op: dict[str, Any]) -> None:
        self.running = self.thread.submit(self.outcome, op)

    def join(self) -> dict[str, Any]:
        assert self.running is not None
        return self.running.result()

    def close(self) -> None:
        self.thread.shutdown()
        self.connection.close()

    def outcome(self, op: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        try:
            getattr(self, op["do"])(op, told)
        except psycopg.Error as why:
            told["error"] = {"class": type(why).__name__, "said": str(why), **fields(why.diag)}
        told["notices"], self.notices = self.notices, []
        told["status"] = self.connection.info.transaction_status.name
        return told

    def run(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        out["results"] = told(self.connection.execute(op["sql"]), op.get("digest", False))

    def ask(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        cursor = RawCursor(self.connection)
        cursor.execute(op["sql"], values(op), binary=self.binary, prepare=True if op.get("keep") else None)
        out["results"] = told(cursor, op.get("digest", False))

    def many(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        cursor = RawCursor(self.connection)
        cursor.executemany(op["sql"], [values({"with": row}) for row in op["rows"]], returning=op["keys"])
        out["results"] = told(cursor, False) if op["keys"] else [{"count": cursor.rowcount}]

    def pipeline(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        with self.connection.pipeline():
            cursors = [RawCursor(self.connection) for _ in op["asks"]]
            for cursor, each in zip(cursors, op["asks"], strict=True):
                cursor.execute(each["sql"], values(each), binary=self.binary)
        out["results"] = [told(cursor, False) for cursor in cursors]

    def cursor(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        with self.connection.cursor("by name", binary=self.binary) as cursor:
            cursor.execute(op["sql"])
            rows: list[Any] = []
            while fetched := cursor.fetchmany(op["by"]):
                rows += [list(map(repr, row)) for row in fetched]
                if 0 < op["take"] <= len(rows):
                    break
            out["results"] = [table(rows, op.get("digest", False))]

    def copy_in(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        data, cursor = base64.b64decode(op["data"]), self.connection.cursor()
        try:
            with cursor.copy(op["sql"]) as copy:
                for start in range(0, len(data), PIECE_BYTES):
                    copy.write(data[start : start + PIECE_BYTES])
                if op["abandon"]:
                    raise Abandoned
        except Abandoned:
            out["abandoned"] = True
        out["tag"] = cursor.statusmessage

    def copy_out(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        cursor, data = self.connection.cursor(), bytearray()
        try:
            with cursor.copy(op["sql"]) as copy:
                for block in copy:
                    data += block
        finally:
            out |= {"bytes": len(data), "hash": hashlib.md5(data).hexdigest(), "starts": shown(bytes(data[:200]))}
        out["tag"] = cursor.statusmessage

    def begin(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        self.connection.isolation_level = LEVELS.get(op["isolation"])
        self.connection.read_only = op["read_only"] or None
        self.connection.deferrable = op["deferrable"] or None
        self.transaction = self.connection.transaction()
        self.transaction.__enter__()

    def commit(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        self.transaction.__exit__(None, None, None)

    def rollback(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        self.transaction.__exit__(psycopg.Rollback, psycopg.Rollback(), None)

    def listen(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        self.connection.execute(op["sql"])

    def hear(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        heard = self.connection.notifies(timeout=20, stop_after=op["count"])
        out["heard"] = sorted((note.channel, note.payload) for note in heard)

    def status(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        out["reported"] = {name: self.connection.info.parameter_status(name) for name in op["names"]}


def perform(run: dict[str, Any], options: dict[str, Any]) -> None:
    sessions: dict[str, Session] = {}

    def close() -> None:
        while sessions:
            sessions.popitem()[1].close()

    for step in run["steps"]:
        for number, op in enumerate(step["ops"]):
            name = op.get("on", "a")
            if name not in sessions:
                sessions[name] = Session(run["door"], options.get("binary", False))
            on = sessions[name]
            if op["do"] == "cancel":
                outcome: dict[str, Any] = {}
                on.connection.cancel_safe(timeout=20)
            else:
                if op["do"] != "join":
                    on.start(op)
                outcome = on.join() if op.get("wait", True) else {}
            sys.stdout.write(json.dumps({"run": run["name"], "step": step["name"], "op": number, **outcome}) + "\n")
        if step["fresh"]:
            close()
    close()


task = json.load(sys.stdin)
for each in task["runs"]:
    perform(each, task["options"])
