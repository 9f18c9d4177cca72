"""A session as people read it: what was asked, what was shown, how it ended.

Knows the lines of recordings, and neither keys nor sockets.
"""

from base64 import b64decode
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hoopproxy.cli import exchanges
from hoopproxy.cli.answers import console, printable
from hoopproxy.cli.exchanges import BODIES

NULL = "∅"

INDENT = len("12:34:56.789  ")

ROWS_MAX = 1000
"""Rows of one table; what has more is shown in several."""

LINE_CHARS_MAX = 4096
"""A line without an end is shown in pieces of so much."""

type Line = Mapping[str, Any]

_UTF8 = getincrementaldecoder("utf-8")


class Page:
    """Prints one connection; keeps the table or the line that is under way until it ends."""

    def __init__(self) -> None:
        self.out = console()
        self._titles: tuple[str, ...] = ()
        self._cells: list[tuple[str | None, ...]] = []
        self._decoders: dict[tuple[int, str], IncrementalDecoder] = {}
        self._unfinished: dict[tuple[int, str], str] = {}
        self._last: tuple[int, str] | None = None
        self._calls: dict[int, int] = {}  # HTTP requests, and how many values were masked in the response
        self._texts: set[tuple[int, str]] = set()  # bodies that are shown

    def show(self, lines: Iterable[Line]) -> None:
        """All of it."""
        for line in lines:
            self.one(line)
        self.out.print()

    def one(self, line: Line) -> None:
        """The next line."""
        match line:
            case {"event": "shown"}:
                return  # it comes at any time, between any two pieces of a stream
            case {"event": "streamed"}:
                self._end_table()
                self.streamed(line)
                return
            case {"event": "transferred"}:
                self._transferred(line)
                return
            case {"event": "rows", "statement": number} if number in self._calls:
                self._calls[number] += line["cells_masked"]
                return
            case {"event": "rows", "cells": cells}:
                self._add(self._titles, *cells)
                return
        self._end_table()
        self.end_streams()
        self._told(line)

    def _told(self, line: Line) -> None:
        match line:
            case {"event": "opened"}:
                self._say(line, "opened", f"{line['name'] or line['subject']} ({line['subject']} of {line['issuer']})")
                self._more(f"from {line['client']} to {line['target']} as {line['account']}, grant {line['grant_id']}")
            case {"event": "asked"}:
                self._say(line, f"#{line['statement']} {line['action']}", _statement(line))
                self._parameters(line)
                self._called(line)
            case {"event": "rejected"}:
                self._say(line, f"#{line['statement']} refused", _statement(line), "bold red")
                self._more(line["sentence"])
                self._called(line)
            case {"event": "answered"}:
                status, rest = exchanges.answer(line)
                self._say(line, f"#{line['statement']} {status}", rest)
                self._note_text(line["statement"], "response", line["headers"])
            case {"event": "message"}:
                self._more(exchanges.message(line))
            case {"event": "columns", "columns": columns}:
                self._titles = tuple(column["name"] for column in columns)
            case {"event": "completed", "tag": tag} if tag.startswith(("exit ", "signal ")):
                self._calls.pop(line["statement"], None)
                self._say(line, f"#{line['statement']} ended", tag)
            case {"event": "completed", "statement": number} if number in self._calls:
                masked = self._calls.pop(number)
                self._texts -= {(number, stream) for stream in BODIES}
                if line["row_count"]:
                    self._more(f"{line['row_count']} values, {masked} of them masked")
            case {"event": "completed"}:
                self._more(f"{line['row_count']} rows, {line['tag']}")
            case {"event": "faulted"}:
                self._say(line, f"#{line['statement']} failed", f"{line['code']} {line['text']}", "bold red")
            case {"event": "copied"}:
                self._more(f"{line['bytes']} bytes copied from the {line['side']}")
            case {"event": "terminal"}:
                self._more(f"terminal {line['term']} {line['columns']}x{line['rows']}")
            case {"event": "stream-ended"}:
                which = line["statement"], line["stream"]
                self._decoders.pop(which, None)
                self._texts.discard(which)
                if line["stream"] in BODIES:
                    self._more(f"#{line['statement']} {line['stream']} of {line['bytes']} bytes")
                if line["dropped"]:
                    lost = f"{line['dropped']} of {line['bytes']} bytes of {line['stream']}"
                    self._more(f"{lost} were not kept; SHA-256 of all: {line.get('sha256', '(sealed)')}")
            case {"event": "closed", "tally": tally}:
                self._say(
                    line, "closed", f"{line['reason']}; {', '.join(f'{_words(k)} {v}' for k, v in tally.items())}"
                )
            case {"event": "cut"}:
                self.out.print(Text(line["sentence"], "bold yellow"))

    def _say(self, line: Line, what: str, text: str, style: str = "bold") -> None:
        at = datetime.fromtimestamp(line["at_ms"] / 1000, UTC)
        head = Text.assemble((f"{at:%H:%M:%S.%f}"[:-3], "dim"), "  ", (what, style), "  ")
        self.out.print(head.append(printable(text)))

    def _more(self, text: str) -> None:
        self.out.print(Text(f"{'':{INDENT}}{printable(text)}"))

    def _parameters(self, line: Line) -> None:
        for number, parameter in enumerate(line.get("parameters", ()), 1):
            match parameter:
                case {"value": value}:
                    self._more(f"${number} = {NULL if value is None else value}")
                case {"bytes": count, "sha256": digest}:
                    self._more(f"${number} is {count} bytes long, SHA-256 {digest}")

    def _called(self, line: Line) -> None:
        if "http" in line:
            self._calls[line["statement"]] = 0
            self._more(exchanges.asked_for(line))
            self._note_text(line["statement"], "request", line["http"].get("headers", ()))

    def _note_text(self, number: int, stream: str, headers: Iterable[Mapping[str, Any]]) -> None:
        if exchanges.is_text(headers):
            self._texts.add((number, stream))

    # Tables -----------------------------------------------------------------------------------------------------------

    def _transferred(self, line: Line) -> None:
        self.end_streams()
        names = (line.get(name) for name in ("path", "new_path"))
        paths = " → ".join(name for name in names if name) or "(sealed)"
        cells = (line["operation"], paths, line["detail"], str(line["bytes"]), line["sha256"], line["outcome"])
        self._add(("operation", "path", "how", "bytes", "sha256", "outcome"), cells)

    def _add(self, titles: tuple[str, ...], *rows: Iterable[str | None]) -> None:
        if titles != self._titles:
            self._end_table()
            self._titles = titles
        self._cells += map(tuple, rows)
        if len(self._cells) >= ROWS_MAX:
            self._print_table()

    def _end_table(self) -> None:
        if self._titles:
            self._print_table()
        self._titles = ()

    def _print_table(self) -> None:
        table = Table(pad_edge=False, box=None, header_style="bold")
        for title in self._titles:
            table.add_column(Text(printable(title)), overflow="fold")
        for row in self._cells:
            table.add_row(*(Text(NULL if cell is None else printable(cell)) for cell in row))
        self.out.print(Padding(table, (0, 0, 0, INDENT), expand=False))
        self._cells = []

    # Streams ----------------------------------------------------------------------------------------------------------

    def streamed(self, line: Line) -> None:
        """A piece of a stream, as lines in which nothing moves a terminal."""
        which, text = self.decoded(line)
        if which[1] in BODIES and which not in self._texts:
            return  # its length is told at its end
        text = self._unfinished.pop(which, "") + text
        if which[1] == "stdin":
            text = text.replace("\r", "\n")  # what the key says that ends a line
        *whole, rest = text.replace("\r\n", "\n").split("\n")
        while len(rest) > LINE_CHARS_MAX:
            whole.append(rest[:LINE_CHARS_MAX])
            rest = rest[LINE_CHARS_MAX:]
        self._print_lines(line, which, whole)
        if rest:
            self._unfinished[which] = rest

    def end_streams(self) -> None:
        """Lines that are without an end by now."""
        for which, rest in self._unfinished.items():
            self._print_lines(None, which, [rest])
        self._unfinished.clear()
        self._last = None

    def decoded(self, line: Line) -> tuple[tuple[int, str], str]:
        """Which stream it is, and what comes as characters; a character may be cut, and what is none is replaced."""
        which = line["statement"], line["stream"]
        decoder = self._decoders.setdefault(which, _UTF8("replace"))
        return which, decoder.decode(b64decode(line.get("raw", "")))

    def _print_lines(self, line: Line | None, which: tuple[int, str], lines: Iterable[str]) -> None:
        for text in lines:
            if self._last != which:
                self._last = which
                self._more(f"#{which[0]} {which[1]}")
            self._more(f"  {text}")


def _statement(line: Line) -> str:
    """Its text with both keys, its outline with one."""
    return line.get("text") or line["outline"] or "(no outline could be made)"


def _words(name: str) -> str:
    return name.replace("_", " ")
