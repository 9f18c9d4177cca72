"""What a statement of a recording showed, as an asciicast: a film of its terminal, derived from the recording's lines.

Pure, and the same film for the same lines, always. Format: asciicast v3 (docs.asciinema.org/manual/asciicast/v3). Knows
neither files nor keys: what could not be opened is not in the lines, and so not in the film.
"""

import shlex
from base64 import b64decode
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping
from signal import Signals
from typing import Any
from urllib.parse import parse_qsl

import orjson

from hoopproxy.evidence.screen import Screen

type Line = Mapping[str, Any]

COLUMNS, ROWS = 80, 24
"""For what has no terminal, or one without a size (RFC 4254 §6.2: 0 stands for unknown)."""

SIZE_MAX = 65_535
"""Players hold either as a u16."""

STREAMS = {"stdin": "i", "stdout": "o", "stderr": "o"}
"""The streams of a recording and the events that they become."""

_UTF8 = getincrementaldecoder("utf-8")


def runs(lines: Iterable[Line]) -> dict[int, str]:
    """The statements that a film can be made of, each with its text or, where that is sealed, its outline."""
    return {line["statement"]: _title(line) for line in lines if _is_run(line)}


def cast(lines: Iterable[Line], statement: int, *, raw: bool = False) -> Iterator[bytes]:
    """The lines of an asciicast of one statement; none when it was not run.

    Other people will play it: escapes that do more than show are written out (`screen`), unless `raw`.
    """
    film = None
    for line in lines:
        if _is_run(line) and line["statement"] == statement:
            film = _Film(line, raw)
        elif film is not None and (line["event"] == "cut" or line.get("statement") == statement):
            yield from film.goes_on(line)
    if film is not None:
        yield from film.end()


def _is_run(line: Line) -> bool:
    return bool(line["event"] == "asked" and line["action"] == "run")


def _title(line: Line) -> str:
    return str(line.get("text") or line["outline"])


class _Film:
    """One statement's film in the making. Its header waits for the terminal's size, which comes before any output."""

    def __init__(self, asked: Line, raw: bool) -> None:
        self._asked, self._at_ms = asked, int(asked["at_ms"])
        self._terminal: Line | None = None
        self._completed: Line | None = None
        self._has_started = False
        self._decoders = {stream: _UTF8("replace") for stream in STREAMS}
        self._screen = None if raw else Screen()

    def goes_on(self, line: Line) -> Iterator[bytes]:
        match line["event"]:
            case "terminal" if not self._has_started:
                self._terminal = line
            case "terminal":
                yield self._event(line, "r", "{}x{}".format(*_size(line)))
            case "streamed" if "raw" in line and line["stream"] in STREAMS:
                yield from self.start()
                text = self._decoders[line["stream"]].decode(b64decode(line["raw"]))
                yield from self._text(line, line["stream"], text)
            case "stream-ended":
                yield from self.start()
                if line["dropped"]:
                    digest = f"; the SHA-256 of all is {line['sha256']}" if "sha256" in line else ""
                    yield _comment(
                        f"Of {line['bytes']} bytes of {line['stream']} {line['dropped']} were not kept{digest}."
                    )
            case "completed":
                self._completed = line
            case "cut":
                yield from self.start()
                yield _comment(line["sentence"])

    def end(self) -> Iterator[bytes]:
        """What is left, and last the exit status: a target may tell it before the last of the output."""
        yield from self.start()
        for stream, decoder in self._decoders.items():
            yield from self._text(None, stream, decoder.decode(b"", final=True))
        if self._screen is not None and (rest := self._screen.end()):
            yield self._event(None, "o", rest)
        if self._completed is not None and (status := _status(self._completed["tag"])):
            yield self._event(self._completed, "x", status)

    def start(self) -> Iterator[bytes]:
        """The header, once."""
        if self._has_started:
            return
        self._has_started = True
        columns, rows = _size(self._terminal)
        term: dict[str, Any] = {"cols": columns, "rows": rows}
        if self._terminal is not None and self._terminal["term"]:
            term["type"] = self._terminal["term"]
        header: dict[str, Any] = {"version": 3, "term": term, "timestamp": self._at_ms // 1000}
        if command := _command(self._asked):
            header["command"] = command
        yield _line(header | {"title": _title(self._asked)})

    def _text(self, line: Line | None, stream: str, text: str) -> Iterator[bytes]:
        code = STREAMS[stream]
        if code == "o":
            # Without a terminal nobody made lines begin at the left: here it must be done.
            text = text if self._terminal is not None else text.replace("\n", "\r\n")
            text = text if self._screen is None else self._screen.shown(text)
        if text:
            yield self._event(line, code, text)

    def _event(self, line: Line | None, code: str, data: str) -> bytes:
        """An event, so many seconds after the one before; a clock that was set back stands still."""
        before_ms = self._at_ms
        if line is not None:
            self._at_ms = max(before_ms, int(line["at_ms"]))
        return _line([(self._at_ms - before_ms) / 1000, code, data])


def _command(asked: Line) -> str:
    """What was run, as far as it may be read; "" for a shell. In a pod it is asked for in a query."""
    if "http" in asked:
        words = [word for name, word in parse_qsl(asked["http"].get("query", "")) if name == "command"]
        return shlex.join(words)
    verb, _, command = str(asked.get("text", "")).partition(" ")
    return command if verb == "exec" else ""


def _size(terminal: Line | None) -> tuple[int, int]:
    if terminal is None or not (terminal["columns"] and terminal["rows"]):
        return COLUMNS, ROWS
    return min(terminal["columns"], SIZE_MAX), min(terminal["rows"], SIZE_MAX)


def _status(tag: str) -> str:
    """The exit status of `exit N`; of `signal NAME` what a shell says of it; "" for anything else."""
    match tag.split():
        case ["exit", number]:
            return number
        case ["signal", name] if f"SIG{name}" in Signals.__members__:
            return str(128 + Signals[f"SIG{name}"])
    return ""


def _comment(text: str) -> bytes:
    return f"# {text}\n".encode()


def _line(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
