"""What a recording says: the relay's events as JSON lines, split into what reviewers read and what is sealed.

Pure. Knows neither encryption nor files. Of a statement that carries a credential neither half keeps more than its
outline, and of what was answered to it only the code.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from hoopproxy.events import (
    Answered,
    Asked,
    Closed,
    Columns,
    Completed,
    Copied,
    Faulted,
    Message,
    Omitted,
    Parameter,
    Record,
    Rejected,
    Rows,
    Statement,
    Streamed,
    Terminal,
    Transferred,
)
from hoopproxy.evidence.exchanges import MESSAGES, fields_told, http_parameters, request_sealed, request_told
from hoopproxy.evidence.streams import Keeping, Streams, Sum
from hoopproxy.model import Passage, Side, Tally

SEALED_STREAMS = frozenset({"stdin", "request", MESSAGES[Side.CLIENT]})
"""What is typed or sent may be a password: it is sealed, and so is its digest, by which a short text could be
guessed."""


@dataclass(frozen=True, slots=True)
class Lines:
    """JSON objects, one a line. `masked` is for reviewers; `sealed` needs the second key as well."""

    masked: bytes
    sealed: bytes

    def __len__(self) -> int:
        return len(self.masked) + len(self.sealed)


NOTHING = Lines(b"", b"")


def joined(parts: Sequence[Lines]) -> Lines:
    """All lines, each half by itself."""
    return Lines(b"".join(part.masked for part in parts), b"".join(part.sealed for part in parts))


@dataclass(slots=True)
class Transcript:
    """Turns events into lines; counts them, and what was shown, over a whole recording.

    `seq` ties a sealed line to its masked one. `shown_bytes` and its digest cover every byte the client was shown.
    `keeping` says how much is kept of commands' streams, all by default.
    """

    keeping: Keeping = field(default_factory=Keeping)
    shown_bytes: int = 0
    _shown: Any = field(default_factory=hashlib.sha256)
    _seq: int = 0
    _secret: set[int] = field(default_factory=set)
    _streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        self._streams = Streams(self.keeping)

    def opened(self, at_s: float, passage: Passage) -> Lines:
        """The first line: who came from where, in clear, for those who may read the recording."""
        permit = passage.permit
        who = permit.identity
        http = http_parameters(permit.parameters.items())
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
                **({"http": http} if http else {}),
            },
        )

    def recorded(self, at_s: float, events: tuple[Record, ...]) -> Lines:
        """The lines of one step's events."""
        return joined([self._recorded(at_s, event) for event in events])

    def show(self, data: bytes) -> None:
        """Count bytes that are about to be shown."""
        self._shown.update(data)
        self.shown_bytes += len(data)

    def shown(self, at_s: float) -> Lines:
        """How much was shown so far, and its SHA-256."""
        return self._lines(at_s, "shown", {"bytes": self.shown_bytes, "sha256": self._shown.hexdigest()})

    def closed(self, at_s: float, tally: Tally, reason: str) -> Lines:
        """The last lines: what is left to tell of streams, and how it ended."""
        counts = {one.name: getattr(tally, one.name) for one in fields(tally)}
        end = self._lines(at_s, "closed", {"reason": reason, "tally": counts})
        return joined([*(self._sum(at_s, one) for one in self._streams.end()), end])

    def _recorded(self, at_s: float, event: Record) -> Lines:
        match event:
            case Asked(statement, sent):
                return self._statement(at_s, "asked", statement, {}, sent)
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
            case Terminal(number, columns, rows, term):
                self._streams.has_terminal(number)
                size = {"statement": number, "columns": columns, "rows": rows, "term": term}
                return self._lines(at_s, "terminal", size)
            case Streamed(number, stream, raw):
                kept = self._streams.passed(number, stream, raw)
                if not kept:
                    return NOTHING
                which: dict[str, Any] = {"statement": number, "stream": stream}
                return self._half_sealed(at_s, "streamed", which, {"raw": b64encode(kept).decode()}, _is_sealed(stream))
            case Transferred(number, operation, path, new_path, bytes_count, sha256, outcome, detail):
                done = {"statement": number, "operation": operation, "detail": detail}
                result = {"bytes": bytes_count, "sha256": sha256, "outcome": outcome}
                return self._lines(at_s, "transferred", done | result, {"path": path, "new_path": new_path})
            case Answered(number, status, version, headers):
                kept_fields = [] if number in self._secret else fields_told(headers)  # they may quote the address
                head = {"statement": number, "status": status, "version": version}
                return self._lines(at_s, "answered", head | {"headers": kept_fields})
            case Message(number, side, is_text, raw):
                kept = self._streams.passed(number, MESSAGES[side], raw)
                if raw and not kept:
                    return NOTHING
                which = {"statement": number, "side": side.value, "is_text": is_text, "bytes": len(raw)}
                more = {"raw": b64encode(kept).decode()}
                return self._half_sealed(at_s, "message", which, more, _is_sealed(MESSAGES[side]))
            case Closed(number):
                self._secret.discard(number)
                return joined([self._sum(at_s, one) for one in self._streams.closed(number)])

    def _sum(self, at_s: float, one: Sum) -> Lines:
        which = {"statement": one.statement_number, "stream": one.stream}
        counts = {"bytes": one.bytes_count, "dropped": one.dropped}
        return self._half_sealed(at_s, "stream-ended", which | counts, {"sha256": one.sha256}, _is_sealed(one.stream))

    def _half_sealed(
        self, at_s: float, event: str, told: dict[str, Any], more: dict[str, Any], is_sealed: bool
    ) -> Lines:
        return self._lines(at_s, event, told, more) if is_sealed else self._lines(at_s, event, told | more)

    def _statement(self, at_s: float, event: str, statement: Statement, more: dict[str, Any], sent: str = "") -> Lines:
        if statement.secret:
            self._secret.add(statement.number)
        told = {
            "statement": statement.number,
            "action": statement.action.value,
            "outline": statement.outline,
            "parameter_count": len(statement.parameters),
            "secret": statement.secret,
            **request_told(statement),
        }
        sealed = None
        if not statement.secret:
            sealed = {
                "text": statement.text,
                **({"sent": sent} if sent else {}),
                "parameters": [_parameter(parameter) for parameter in statement.parameters],
                **request_sealed(statement),
            }
        return self._lines(at_s, event, told | more, sealed)

    def _lines(self, at_s: float, event: str, told: dict[str, Any], sealed: dict[str, Any] | None = None) -> Lines:
        self._seq += 1
        head = {"seq": self._seq, "at_ms": int(at_s * 1000), "event": event}
        return Lines(_line(head | told), _line({"seq": self._seq} | sealed) if sealed is not None else b"")


def _is_sealed(stream: str) -> bool:
    return stream in SEALED_STREAMS


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
