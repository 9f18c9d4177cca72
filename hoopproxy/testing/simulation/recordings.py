"""Whether recordings keep their promise: what was shown or asked can be recovered from what was durable by then.

Reads them as their two key holders together would, once all is over. Knows the modes' bounds, and no addon.
"""

import hashlib
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from hoopproxy.addons.encrypted_recorder import Settings
from hoopproxy.evidence.recording import read
from hoopproxy.model import Side
from hoopproxy.testing.simulation.addons import keys
from hoopproxy.testing.simulation.witness import Seen
from hoopproxy.wire.postgres.framing import Message, Splitter

type Lines = list[tuple[int, dict[str, Any]]]
"""A recording's lines, each with where in the file the chunk ends that holds it."""

WRITE_S_MAX = 1.0
"""From a decision to write until it is durable, with fifty others before it."""

POISONED = b"refused by hoopproxy"
"""What stands in the place of a refused statement; what was refused is recorded as that."""


def lines(path: Path) -> Lines:
    """All that is proved. @raise RecordingBroken."""
    stream = BytesIO(path.read_bytes())
    return [(stream.tell(), line) for line in read(stream, *keys())]


def masked(line: dict[str, Any]) -> bytes:
    """What reviewers see of a line, its rows in clear bytes."""
    sealed = ("text", "parameters") if line["event"] in ("asked", "rejected") else ()
    told = {name: value for name, value in line.items() if name not in (*sealed, "raw")}
    return repr(told).encode() + b64decode(line.get("raw", ""))


def objections(seen: Seen, told: Lines, settings: Settings, row_bytes_max: int, is_whole: bool) -> Iterator[str]:
    """What is wrong with one connection's recording. Rows up to `row_bytes_max` are kept whole. `is_whole`: the log
    says that it was ended in order."""
    yield from _shown(seen, told, settings)
    yield from _asked(seen, told)
    if is_whole and settings.record == "full":
        recorded = b"".join(b64decode(line["raw"]) for _, line in told if line["event"] == "rows")
        shown = _messages(bytes(seen.shown.data), Side.SERVER)
        rows = b"".join(raw for _, raw, kind in shown if kind == b"D" and len(raw) <= row_bytes_max)
        if not recorded.startswith(rows):
            yield f"{seen.recording}: rows were shown that a full recording does not hold."


def _shown(seen: Seen, told: Lines, settings: Settings) -> Iterator[str]:
    """At each write: how much of all that was shown by then is in what was durable by then."""
    marks = [(end, line["bytes"], line["sha256"]) for end, line in told if line["event"] == "shown"]
    writes, may_lack = seen.shown, 0 if settings.durability == "strict" else settings.unflushed_bytes_max
    at, covered = 0, 0
    for shown, durable in zip(writes.ends, writes.durable, strict=True):
        while at < len(marks) and marks[at][0] <= durable:
            covered = marks[at][1]
            at += 1
        if shown - covered > may_lack:
            yield f"{seen.recording}: {shown} bytes were shown when {covered} were durable ({settings.durability})."
            break
    for _, count, digest in marks:
        if count <= len(writes.data) and hashlib.sha256(writes.data[:count]).hexdigest() != digest:
            yield f"{seen.recording}: its digest of the first {count} bytes shown is not that of what was shown."
            break


def in_time(seen: Seen, told: Lines, settings: Settings, since: list[tuple[float, int]]) -> Iterator[str]:
    """On a disk that works, what was shown is durable soon after: `flush_ms_max`, and the time that a write takes."""
    marks = [(line["bytes"], end) for end, line in told if line["event"] == "shown"]
    for shown, at_s in zip(seen.shown.ends, seen.shown.at_s, strict=True):
        end = next((end for count, end in marks if count >= shown), None)
        durable_s = next((then_s for then_s, size in since if end is not None and size >= end), None)
        if durable_s is None or durable_s > at_s + settings.flush_ms_max / 1000 + WRITE_S_MAX:
            yield f"{seen.recording}: {shown} bytes were shown, and not durable within {settings.flush_ms_max} ms."
            return


def _asked(seen: Seen, told: Lines) -> Iterator[str]:
    """Each statement that a target got was durable before; simple queries by their text, executions by their number."""
    texts: dict[str, list[int]] = {}
    executions: list[int] = []
    for end, line in told:
        if line["event"] == "asked" and line["action"] == "query":
            texts.setdefault(line["text"], []).append(end)
        elif line["event"] == "asked" and line["action"] == "execute":
            executions.append(end)
    for end, raw, kind in _messages(bytes(seen.asked.data), Side.CLIENT):
        if kind == b"E":
            recorded = executions
        elif kind == b"Q" and POISONED not in raw:
            recorded = texts.get(raw[5:-1].decode(), [])
        else:
            continue
        if not recorded or recorded.pop(0) > seen.asked.durable_at(end):
            yield f"{seen.recording}: a statement reached the target before its record was durable: {raw[5:60]!r}"
            break


def _messages(data: bytes, side: Side) -> Iterator[tuple[int, bytes, bytes]]:
    """The whole messages: where each ends, itself, and its kind."""
    splitter, end = Splitter(side), 0
    splitter.append(data)
    while (received := splitter.next(1 << 30, "")) is not None:
        assert isinstance(received, Message)
        end += len(received.raw)
        yield end, received.raw, received.kind
