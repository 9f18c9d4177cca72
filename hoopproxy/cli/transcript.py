"""A session's recordings as people read them: what was asked, what was shown, how it ended.

Reads the recorder's directory with private keys. Knows PostgreSQL's rows and no control socket.
"""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hoopproxy.cli.answers import Mistake, Negative, console, print_json, printable
from hoopproxy.disk.keys import read_private
from hoopproxy.disk.recordings import SUFFIX, recording_paths
from hoopproxy.evidence.keys import KeyUnfit
from hoopproxy.evidence.recording import RecordingBroken, read
from hoopproxy.model import Side
from hoopproxy.wire.postgres.framing import HEADER_BYTES, Splitter
from hoopproxy.wire.postgres.messages import read_data_row

NULL = "∅"

INDENT = len("12:34:56.789  ")


def show(directory: Path, session_id: str, zone_key: Path, sealed_key: Path | None, as_json: bool) -> None:
    """Print all recordings of a session: one for each connection that it had.

    @raise Mistake: a key can't be used. @raise Negative: there is no recording, or it was changed.
    """
    keys = _key(zone_key), None if sealed_key is None else _key(sealed_key)
    paths = [path for path in recording_paths(directory) if path.parent.name == session_id]
    if not paths:
        raise Negative(f"There is no recording of session {session_id} in {directory}.")
    for path in paths:
        lines = _lines(path, *keys)
        if as_json:
            print_json({"session_id": session_id, "connection_id": path.name.removesuffix(SUFFIX), "lines": [*lines]})
            continue
        console().print(f"[bold]session {session_id}[/], connection {path.name.removesuffix(SUFFIX)}")
        _Page().show(lines)


def _key(path: Path) -> X25519PrivateKey:
    try:
        return read_private(path)
    except OSError as why:
        raise Mistake(f"{path} can't be read: {why.strerror}.") from why
    except KeyUnfit as why:
        raise Mistake(str(why)) from why


def _lines(path: Path, zone: X25519PrivateKey, sealed: X25519PrivateKey | None) -> Iterator[dict[str, Any]]:
    """The recording's lines; cells and bind values as texts (what is none: as `\\x…`)."""
    try:
        with path.open("rb") as file:
            for line in read(file, zone, sealed):
                if line["event"] == "rows":
                    line["cells"] = [[_text(cell) for cell in row] for row in _rows(b64decode(line.pop("raw")))]
                for parameter in line.get("parameters", ()):
                    value = parameter["value"]
                    parameter["value"] = None if value is None else _text(b64decode(value), parameter["format"])
                yield line
    except KeyUnfit as why:
        raise Mistake(str(why)) from why
    except RecordingBroken as why:
        raise Negative(f"{path}: {why}") from why
    except OSError as why:
        raise Negative(f"{path} can't be read: {why.strerror}.") from why


def _rows(raw: bytes) -> Iterator[tuple[bytes | None, ...]]:
    """Cells of complete DataRow messages."""
    splitter = Splitter(Side.SERVER)
    splitter.append(raw)
    while (head := splitter.head()) is not None:
        yield read_data_row(splitter.take(head[1])[HEADER_BYTES:])


def _text(cell: bytes | None, form: str = "text") -> str | None:
    """A cell for people. In binary format, too, what is a text is shown as one."""
    if cell is None:
        return None
    try:
        text = cell.decode()
    except UnicodeDecodeError:
        return f"\\x{cell.hex()}"
    return text if form == "text" or text.isprintable() else f"\\x{cell.hex()}"


class _Page:
    """Prints one recording; keeps the result that is under way until it ends."""

    def __init__(self) -> None:
        self._out = console()
        self._titles: list[str] = []
        self._cells: list[list[str | None]] = []

    def show(self, lines: Iterator[dict[str, Any]]) -> None:
        for line in lines:
            self._one(line)
        self._out.print()

    def _one(self, line: Mapping[str, Any]) -> None:
        match line:
            case {"event": "opened"}:
                self._say(line, "opened", f"{line['name'] or line['subject']} ({line['subject']} of {line['issuer']})")
                self._more(f"from {line['client']} to {line['target']} as {line['account']}, grant {line['grant_id']}")
            case {"event": "asked"}:
                self._say(line, f"#{line['statement']} {line['action']}", _statement(line))
                self._parameters(line)
            case {"event": "rejected"}:
                self._say(line, f"#{line['statement']} refused", _statement(line), "bold red")
                self._more(line["sentence"])
            case {"event": "columns", "columns": columns}:
                self._titles = [column["name"] for column in columns]
                self._cells = []
            case {"event": "rows", "cells": cells}:
                self._cells += cells
            case {"event": "completed"}:
                self._result()
                self._more(f"{line['row_count']} rows, {line['tag']}")
            case {"event": "faulted"}:
                self._result()
                self._say(line, f"#{line['statement']} failed", f"{line['code']} {line['text']}", "bold red")
            case {"event": "copied"}:
                self._more(f"{line['bytes']} bytes copied from the {line['side']}")
            case {"event": "closed", "tally": tally}:
                self._say(
                    line, "closed", f"{line['reason']}; {', '.join(f'{_words(k)} {v}' for k, v in tally.items())}"
                )
            case {"event": "cut"}:
                self._out.print(Text(line["sentence"], "bold yellow"))

    def _say(self, line: Mapping[str, Any], what: str, text: str, style: str = "bold") -> None:
        at = datetime.fromtimestamp(line["at_ms"] / 1000, UTC)
        head = Text.assemble((f"{at:%H:%M:%S.%f}"[:-3], "dim"), "  ", (what, style), "  ")
        self._out.print(head.append(printable(text)))

    def _more(self, text: str) -> None:
        self._out.print(Text(f"{'':{INDENT}}{printable(text)}"))

    def _parameters(self, line: Mapping[str, Any]) -> None:
        for number, parameter in enumerate(line.get("parameters", ()), 1):
            value = parameter["value"]
            self._more(f"${number} = {NULL if value is None else value}")

    def _result(self) -> None:
        if self._titles:
            table = Table(pad_edge=False, box=None, header_style="bold")
            for title in self._titles:
                table.add_column(Text(printable(title)), overflow="fold")
            for row in self._cells:
                table.add_row(*(Text(NULL if cell is None else printable(cell)) for cell in row))
            self._out.print(Padding(table, (0, 0, 0, INDENT), expand=False))
        self._titles, self._cells = [], []


def _statement(line: Mapping[str, Any]) -> str:
    """Its text with both keys, its outline with one."""
    return line.get("text") or line["outline"] or "(no outline could be made)"


def _words(name: str) -> str:
    return name.replace("_", " ")
