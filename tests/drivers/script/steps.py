"""The vocabulary of the script: what a driver can be asked to do, as data that becomes JSON.

An operation is `do` with what it needs, and may have: `on`, the connection ("a" unless said); `wait` false, when the
next operation must not wait for it; `digest`, when a hash of the cells says enough; `fails`, the SQLSTATE or words of
the error that every driver tells; `shows`, what every driver must print. Knows no driver.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

type Op = dict[str, Any]
type Value = tuple[str, Any]
"""A kind that a program makes its language's value of (int, float, bool, numeric, text, bytes, date, timestamptz, uuid,
int[], text[]) and that value as JSON: numbers, bools, lists as such, bytes in hex, others as text, NULL as None."""


@dataclass(frozen=True, slots=True)
class Step:
    """Operations in order. After a `fresh` step the connections are closed: it leaves them in no state for others."""

    name: str
    ops: Sequence[Op] = field(default_factory=tuple)
    fresh: bool = False


def run(sql: str, **more: Any) -> Op:
    """Without parameters, by the driver's simplest way; may be several statements."""
    return {"do": "run", "sql": sql, **more}


def ask(sql: str, *values: Value, **more: Any) -> Op:
    """With parameters $1, $2, … each once and in order. `keep`: as a prepared statement that has this name."""
    return {"do": "ask", "sql": sql, "with": values, **more}


def many(sql: str, rows: Sequence[Sequence[Value]], *, keys: bool = False, **more: Any) -> Op:
    """The driver's batch: one statement, many rows of parameters; `keys`: with what RETURNING returns."""
    return {"do": "many", "sql": sql, "rows": rows, "keys": keys, **more}


def pipeline(*asks: Op, **more: Any) -> Op:
    """Sent without waiting for answers, as far as the driver can."""
    return {"do": "pipeline", "asks": asks, **more}


def cursor(sql: str, by: int, take: int = 0, **more: Any) -> Op:
    """By the driver's own server-side cursor, `by` rows at a time; closed after `take` rows, 0 for all."""
    return {"do": "cursor", "sql": sql, "by": by, "take": take, **more}


def copy_in(table: str, data: bytes, form: str = "text", *, abandon: bool = False, **more: Any) -> Op:
    """COPY FROM STDIN, sent in pieces; `abandon`: the client gives up at the end (CopyFail)."""
    encoded = base64.b64encode(data).decode()
    sql = f"COPY {table} FROM STDIN WITH (FORMAT {form})"
    return {"do": "copy_in", "sql": sql, "table": table, "form": form, "data": encoded, "abandon": abandon, **more}


def copy_out(query: str, form: str = "text", **more: Any) -> Op:
    """COPY TO STDOUT, whole; what comes is told as a hash and its first bytes."""
    return {
        "do": "copy_out",
        "sql": f"COPY ({query}) TO STDOUT WITH (FORMAT {form})",
        "query": query,
        "form": form,
        **more,
    }


def begin(isolation: str = "", *, read_only: bool = False, deferrable: bool = False, **more: Any) -> Op:
    """By the driver's own way; `isolation` is SQL's name of the level."""
    words = [f"ISOLATION LEVEL {isolation}"] if isolation else []
    words += ["READ ONLY"] * read_only + ["DEFERRABLE"] * deferrable
    sql = " ".join(["BEGIN", ", ".join(words)]).strip()
    return {"do": "begin", "sql": sql, "isolation": isolation, "read_only": read_only, "deferrable": deferrable, **more}


def commit(**more: Any) -> Op:
    """Ends what `begin` began."""
    return {"do": "commit", "sql": "COMMIT", **more}


def rollback(**more: Any) -> Op:
    """Ends what `begin` began."""
    return {"do": "rollback", "sql": "ROLLBACK", **more}


def listen(channel: str, **more: Any) -> Op:
    """By the driver's own way, or LISTEN."""
    return {"do": "listen", "channel": channel, "sql": f"LISTEN {channel}", **more}


def hear(count: int, **more: Any) -> Op:
    """Wait for so many notifications."""
    return {"do": "hear", "count": count, **more}


def status(*names: str, **more: Any) -> Op:
    """What the server reported of these settings (ParameterStatus)."""
    return {"do": "status", "names": names, **more}


def cancel(on: str) -> Op:
    """By the driver's own way; `join` tells what became of the statement."""
    return {"do": "cancel", "on": on}


def join(on: str, **more: Any) -> Op:
    """Wait for what was started with `wait` false; its outcome."""
    return {"do": "join", "on": on, **more}


def int_(value: int | None) -> Value:
    """The kind of a number."""
    return ("int", value)


def text(value: str | None) -> Value:
    """The kind of a text."""
    return ("text", value)
