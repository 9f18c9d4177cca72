"""What a recording says: the relay's events as JSON lines, split into what reviewers read and what is sealed.

Pure. Knows neither encryption nor files. Of a statement that carries a credential neither half keeps more than its
outline, and of what was answered to it only the code.
"""

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from hoopproxy.events import (
    Asked,
    Columns,
    Completed,
    Copied,
    Faulted,
    Omitted,
    Parameter,
    Record,
    Rejected,
    Rows,
    Statement,
)
from hoopproxy.model import Passage, Tally


@dataclass(frozen=True, slots=True)
class Lines:
    """JSON objects, one a line. `masked` is for reviewers; `sealed` needs the second key as well."""

    masked: bytes
    sealed: bytes

    def __len__(self) -> int:
        return len(self.masked) + len(self.sealed)


@dataclass(slots=True)
class Transcript:
    """Turns events into lines; counts them, and what was shown, over a whole recording.

    `seq` ties a sealed line to its masked one. `shown_bytes` and its digest cover every byte the client was shown.
    """

    shown_bytes: int = 0
    _shown: Any = field(default_factory=hashlib.sha256)
    _seq: int = 0
    _secret: set[int] = field(default_factory=set)

    def opened(self, at_s: float, passage: Passage) -> Lines:
        """The first line: who came from where, in clear, for those who may read the recording."""
        permit = passage.permit
        who = permit.identity
        return self._lines(
            at_s,
            "opened",
            {
                "issuer": who.issuer,
                "subject": who.subject,
                "name": who.name,
                "client": str(permit.arrival.client),
                "target": permit.target.name,
                "account": permit.account,
                "database": permit.database,
                "grant_id": permit.grant.grant_id,
                "peer": str(passage.peer),
            },
        )

    def recorded(self, at_s: float, events: tuple[Record, ...]) -> Lines:
        """The lines of one step's events."""
        parts = [self._recorded(at_s, event) for event in events]
        return Lines(b"".join(part.masked for part in parts), b"".join(part.sealed for part in parts))

    def show(self, data: bytes) -> None:
        """Count bytes that are about to be shown."""
        self._shown.update(data)
        self.shown_bytes += len(data)

    def shown(self, at_s: float) -> Lines:
        """How much was shown so far, and its SHA-256."""
        return self._lines(at_s, "shown", {"bytes": self.shown_bytes, "sha256": self._shown.hexdigest()})

    def closed(self, at_s: float, tally: Tally, reason: str) -> Lines:
        """The last line."""
        counts = {one.name: getattr(tally, one.name) for one in fields(tally)}
        return self._lines(at_s, "closed", {"reason": reason, "tally": counts})

    def _recorded(self, at_s: float, event: Record) -> Lines:
        match event:
            case Asked(statement):
                return self._statement(at_s, "asked", statement, {})
            case Rejected(statement, sentence):
                return self._statement(at_s, "rejected", statement, {"sentence": "" if statement.secret else sentence})
            case Columns(number, shape):
                columns = [
                    {
                        "name": column.name,
                        "path": column.path,
                        "type_oid": column.type_oid,
                        "format": column.format.value,
                    }
                    for column in shape.fields
                ]
                return self._lines(at_s, "columns", {"statement": number, "columns": columns})
            case Rows(number, raw, row_count, cells_masked):
                counts = {"row_count": row_count, "cells_masked": cells_masked}
                return self._lines(at_s, "rows", {"statement": number, "raw": b64encode(raw).decode()} | counts)
            case Completed(number, tag, row_count):
                return self._lines(at_s, "completed", {"statement": number, "tag": tag, "row_count": row_count})
            case Faulted(number, code, text):
                told = "" if number in self._secret else text  # a server quotes the statement that it rejects
                return self._lines(at_s, "faulted", {"statement": number, "code": code, "text": told})
            case Copied(number, side, bytes_count):
                return self._lines(at_s, "copied", {"statement": number, "side": side.value, "bytes": bytes_count})

    def _statement(self, at_s: float, event: str, statement: Statement, more: dict[str, Any]) -> Lines:
        if statement.secret:
            self._secret.add(statement.number)
        told = {
            "statement": statement.number,
            "action": statement.action.value,
            "outline": statement.outline,
            "parameter_count": len(statement.parameters),
            "secret": statement.secret,
        }
        sealed = None
        if not statement.secret:
            sealed = {
                "text": statement.text,
                "parameters": [_parameter(parameter) for parameter in statement.parameters],
            }
        return self._lines(at_s, event, told | more, sealed)

    def _lines(self, at_s: float, event: str, told: dict[str, Any], sealed: dict[str, Any] | None = None) -> Lines:
        self._seq += 1
        head = {"seq": self._seq, "at_ms": int(at_s * 1000), "event": event}
        return Lines(_line(head | told), _line({"seq": self._seq} | sealed) if sealed is not None else b"")


def _parameter(parameter: Parameter) -> dict[str, Any]:
    match parameter.value:
        case Omitted(bytes_count, sha256):
            told: dict[str, Any] = {"bytes": bytes_count, "sha256": sha256}
        case value:
            told = {"value": None if value is None else b64encode(value).decode()}
    return told | {"format": parameter.format.value}


def _line(item: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # A text with lone surrogates (bytes that are no UTF-8) is kept, escaped, rather than losing the event.
        return orjson.dumps(_escaped(item), option=orjson.OPT_APPEND_NEWLINE)


def _escaped(item: Any) -> Any:
    match item:
        case str():
            return item.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {key: _escaped(value) for key, value in item.items()}
        case list():
            return [_escaped(value) for value in item]
        case _:
            return item
