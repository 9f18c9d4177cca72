"""The film of a command, derived from its recording's lines and read by a reader as strict as the format's own."""

import json
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.events import Action, Asked, Closed, Completed, Record, Streamed, Terminal
from hoopproxy.events import Statement as Asking
from hoopproxy.evidence.asciicast import cast, runs
from hoopproxy.evidence.recording import Header, Readers, Writer, read
from hoopproxy.evidence.streams import Keeping
from hoopproxy.evidence.transcript import Transcript, joined
from hoopproxy.requests import HttpRequest, KubernetesRequest

SHELL = Asking(2, Action.RUN, "shell", "shell")
COMMAND = Asking(3, Action.RUN, "exec ls -l /secret", "exec ls")


@dataclass(frozen=True)
class Film:
    """A cast as a player holds it: times are seconds from the start."""

    header: dict[str, Any]
    events: list[tuple[float, str, str]]
    comments: list[str]

    def text(self, code: str = "o") -> str:
        return "".join(data for _, kind, data in self.events if kind == code)


def film(data: bytes) -> Film:
    """@raise AssertionError: docs.asciinema.org/manual/asciicast/v3 says otherwise."""
    first, *rest = data.decode().splitlines()
    assert data.endswith(b"\n")
    header = json.loads(first)
    assert header["version"] == 3
    assert header.keys() <= {"version", "term", "timestamp", "idle_time_limit", "command", "title", "env", "tags"}
    assert header["term"].keys() <= {"cols", "rows", "type", "version", "theme"}
    assert all(type(header["term"][name]) is int and 0 < header["term"][name] < 65536 for name in ("cols", "rows"))
    assert type(header["timestamp"]) is int
    assert all(type(header[name]) is str for name in ("command", "title") if name in header)
    events, comments, at_s = list[tuple[float, str, str]](), list[str](), 0.0
    for line in rest:
        if line.startswith("#"):
            comments.append(line)
            continue
        event = json.loads(line)
        assert isinstance(event, list)
        interval, code, text = event
        assert type(interval) in (int, float) and interval >= 0
        assert code in ("o", "i", "m", "r", "x") and type(text) is str
        assert code != "r" or all(0 < int(part) < 65536 for part in text.split("x"))
        assert code != "x" or text.isdigit()
        assert not any(kind == "x" for _, kind, _ in events), "the exit status is the last event"
        at_s = round(at_s + interval, 3)
        events.append((at_s, code, text))
    return Film(header, events, comments)


def lines_of(*told: tuple[float, Record], both: bool = True, keeping: Keeping | None = None) -> list[dict[str, Any]]:
    """As `hoopproxy.evidence.recording.read` gives them."""
    transcript = Transcript(keeping or Keeping())
    lines = joined([transcript.recorded(at_s, (event,)) for at_s, event in told])
    sealed = {line["seq"]: line for line in map(json.loads, lines.sealed.splitlines())} if both else {}
    return [line | sealed.get(line["seq"], {}) for line in map(json.loads, lines.masked.splitlines())]


def cast_of(*told: tuple[float, Record], statement: int = 2, both: bool = True, raw: bool = False) -> Film:
    return film(b"".join(cast(lines_of(*told, both=both), statement, raw=raw)))


type Told = list[tuple[float, Record]]

SESSION: Told = [
    (100.0, Asked(SHELL)),
    (100.25, Terminal(2, 100, 30, "xterm-256color")),
    (100.5, Streamed(2, "stdout", b"$ ")),
    (101.0, Streamed(2, "stdin", b"ls\r")),
    (101.125, Streamed(2, "stdout", b"ls\r\n\x1b[34mGr\xc3")),
    (101.25, Streamed(2, "stdout", b"\xbc\xc3\x9fe\x1b[0m\r\n")),
    (101.5, Asked(COMMAND)),
    (101.75, Streamed(3, "stdout", b"another's")),
    (102.0, Terminal(2, 90, 25, "")),
    (102.5, Streamed(2, "stderr", b"bad\r\n")),
    (103.0, Completed(2, "exit 3", 0)),
    (103.5, Closed(2)),
]


def test_a_terminal_becomes_a_film() -> None:
    shown = cast_of(*SESSION)

    assert shown.header == {
        "version": 3,
        "term": {"cols": 100, "rows": 30, "type": "xterm-256color"},
        "timestamp": 100,
        "title": "shell",
    }
    assert shown.events == [
        (0.5, "o", "$ "),
        (1.0, "i", "ls\r"),
        (1.125, "o", "ls\r\n\x1b[34mGr"),
        (1.25, "o", "üße\x1b[0m\r\n"),
        (2.0, "r", "90x25"),
        (2.5, "o", "bad\r\n"),
        (3.0, "x", "3"),
    ]


def test_with_one_key_nothing_typed_is_in_it() -> None:
    shown = cast_of(*SESSION, both=False)

    assert shown.text("i") == ""
    assert shown.text() == cast_of(*SESSION).text()


def test_a_command_without_a_terminal_has_its_lines_begin_at_the_left() -> None:
    told: Told = [(1.0, Asked(COMMAND)), (1.5, Streamed(3, "stdout", b"a\nb\n")), (2.0, Completed(3, "exit 0", 0))]

    whole, outline = cast_of(*told, statement=3), cast_of(*told, statement=3, both=False)
    assert whole.text() == "a\r\nb\r\n"
    assert whole.header["term"] == {"cols": 80, "rows": 24}
    assert (whole.header["title"], whole.header["command"]) == ("exec ls -l /secret", "ls -l /secret")
    assert outline.header["title"] == "exec ls"
    assert "command" not in outline.header


@pytest.mark.parametrize(
    ("tag", "status"), [("exit 0", "0"), ("exit 255", "255"), ("signal KILL", "137"), ("signal TERM", "143")]
)
def test_how_it_ended_is_an_exit_status(tag: str, status: str) -> None:
    assert cast_of((1, Asked(SHELL)), (2, Completed(2, tag, 0))).events == [(1.0, "x", status)]


@pytest.mark.parametrize("tag", ["closed", "signal NOBODY", ""])
def test_an_end_without_a_status_has_none(tag: str) -> None:
    assert cast_of((1, Asked(SHELL)), (2, Completed(2, tag, 0))).events == []


def test_what_is_no_utf_8_is_replaced_and_a_last_half_character_too() -> None:
    shown = cast_of((1, Asked(SHELL)), (2, Streamed(2, "stdout", b"a\xffb\xe2\x82")), (3, Completed(2, "exit 0", 0)))
    assert shown.text() == "a\ufffdb\ufffd"


def test_sizes_that_no_player_takes_are_made_fit() -> None:
    start: tuple[float, Record] = (1, Asked(SHELL))
    assert cast_of(start, (2, Terminal(2, 0, 0, ""))).header["term"] == {"cols": 80, "rows": 24}
    huge = cast_of(start, (2, Terminal(2, 2**32 - 1, 70000, "x"))).header["term"]
    assert huge == {"cols": 65535, "rows": 65535, "type": "x"}


def test_a_clock_that_was_set_back_stands_still() -> None:
    shown = cast_of((5, Asked(SHELL)), (4, Streamed(2, "stdout", b"a")), (6, Streamed(2, "stdout", b"b")))
    assert [at_s for at_s, _, _ in shown.events] == [0.0, 1.0]


def test_what_was_not_kept_is_said_in_a_comment() -> None:
    told: Told = [(1.0, Asked(COMMAND)), (1.0, Streamed(3, "stdout", b"abcdef")), (2.0, Closed(3))]
    shown = film(b"".join(cast(lines_of(*told, keeping=Keeping(0, 2)), 3)))

    assert shown.text() == "ab"
    assert [line.split(";")[0] for line in shown.comments] == ["# Of 6 bytes of stdout 4 were not kept"]


def test_a_recording_that_breaks_off_says_so() -> None:
    lines = [*lines_of(*SESSION[:3]), {"event": "cut", "sentence": "It ends early."}]
    assert film(b"".join(cast(lines, 2))).comments == ["# It ends early."]


def test_escapes_that_do_more_than_show_are_written_out_unless_all_is_wanted() -> None:
    attack = b"a\x1b]52;c;eA==\x07b\x1b["
    told: Told = [(1.0, Asked(SHELL)), (2.0, Streamed(2, "stdout", attack)), (3.0, Completed(2, "exit 0", 0))]

    assert cast_of(*told).text() == "a\\x1b]52;c;eA==b\\x1b["
    assert cast_of(*told, raw=True).text().encode() == attack


def test_a_status_that_comes_before_the_last_output_is_still_the_end() -> None:
    end: Told = [(2.0, Completed(2, "exit 0", 0)), (2.5, Streamed(2, "stdout", b"late")), (3.0, Closed(2))]
    assert cast_of((1.0, Asked(SHELL)), *end).events == [(1.5, "o", "late"), (1.5, "x", "0")]


def test_films_can_be_made_of_what_was_run() -> None:
    assert runs(lines_of(*SESSION)) == {2: "shell", 3: "exec ls -l /secret"}
    assert runs(lines_of(*SESSION, both=False)) == {2: "shell", 3: "exec ls"}
    assert list(cast(lines_of(*SESSION), 7)) == []


def test_what_runs_in_a_pod_is_a_film_like_any_other() -> None:
    query = "command=sh&command=-c&command=echo%20hi&container=web&stdin=true"
    path = "/api/v1/namespaces/shop/pods/web-0/exec"
    ran = Asking(
        5,
        Action.RUN,
        f"GET {path}?{query}",
        "create pods/exec in shop",
        http=HttpRequest("GET", "k8s.example.com", path, query, "HTTP/1.1"),
        kubernetes=KubernetesRequest("create", "", "v1", "pods", "exec", "shop", "web-0"),
    )
    told: Told = [
        *((1.0, Asked(ran)), (1.0, Terminal(5, 90, 25, "")), (1.5, Streamed(5, "stdout", b"hi\r\n"))),
        *((1.5, Streamed(5, "response", b"no part of it")), (2.0, Completed(5, "exit 7", 0))),
    ]

    whole, outline = (cast_of(*told, statement=5, both=both) for both in (True, False))
    assert whole.events == outline.events == [(0.5, "o", "hi\r\n"), (1.0, "x", "7")]
    assert whole.header["command"] == "sh -c 'echo hi'"
    assert (outline.header["title"], "command" in outline.header) == ("create pods/exec in shop", False)
    assert runs(lines_of(*told, both=False)) == {5: "create pods/exec in shop"}


def test_a_film_made_again_from_the_stored_recording_is_the_same() -> None:
    """Field test 48."""
    zone, sealed = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    readers = Readers(zone.public_key(), sealed.public_key())
    wraps = readers.wraps("s1", "c1", bytes(32), bytes(range(32)))
    writer = Writer(Header("s1", "c1", "gw", "EU", "full", "strict", 1, **wraps), bytes(32), bytes(range(32)))
    transcript = Transcript()
    first = b"".join(cast(lines_of(*SESSION), 2))
    chunks = [
        writer.seal(transcript.recorded(at_s, (event,)), final=event is SESSION[-1][1]) for at_s, event in SESSION
    ]

    for _ in range(2):
        again = cast(read(BytesIO(writer.start + b"".join(chunks)), zone, sealed), 2)
        assert b"".join(again) == first


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_any_bytes_cut_anywhere_make_the_same_film(data: bytes, at: list[int]) -> None:
    edges = [0, *sorted(min(edge, len(data)) for edge in at), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]

    for raw in (False, True):
        told: Told = [(2.0, Streamed(2, "stdout", piece)) for piece in pieces]
        end: tuple[float, Record] = (3.0, Closed(2))
        cut = cast_of((1, Asked(SHELL)), (1, Terminal(2, 80, 24, "x")), *told, end, raw=raw).text()
        whole: tuple[float, Record] = (2.0, Streamed(2, "stdout", data))
        assert cut == cast_of((1, Asked(SHELL)), (1, Terminal(2, 80, 24, "x")), whole, end, raw=raw).text()
        assert raw is False or cut == data.decode("utf-8", "replace")
