"""HTTP on a terminal and as a HAR: who asked for what, what came of it, and nothing that moves a cursor."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hoopproxy.events import (
    Action,
    Answered,
    Asked,
    Closed,
    Completed,
    Message,
    Record,
    Rejected,
    Rows,
    Statement,
    Streamed,
)
from hoopproxy.evidence.streams import Keeping
from hoopproxy.model import Side
from hoopproxy.requests import HttpRequest, KubernetesRequest
from hoopproxy.testing.three_files import Site

from .conftest import SESSION, Answers, record

type Run = Callable[..., Result]

JSON = ("content-type", "application/json")
HOSTILE = "text/html\x1b]0;x\x07\x9b2J"


def call(number: int, text: str, outline: str, kubernetes: KubernetesRequest | None = None) -> Statement:
    method, _, target = text.partition(" ")
    path, _, query = target.partition("?")
    http = HttpRequest(method, "crm.example.com", path, query, "HTTP/2.0", headers=(JSON, ("cookie", "c00kie")))
    return Statement(number, Action.CALL, text, outline, http=http, kubernetes=kubernetes)


@pytest.fixture
def http_recording(site: Site) -> Path:
    """Recordings of two connections over HTTP."""
    customer = call(1, "POST /v1/customers/17?full=1", "POST /v1/customers/{id}")
    picture, odd = call(2, "GET /logo.png", "GET /logo.png"), call(3, "GET /odd", "GET /odd")
    told: list[Record] = [
        *(Asked(customer), Streamed(1, "request", b'{"password": "swordfish"}'), Asked(picture)),
        *(Answered(1, 200, "HTTP/2.0", (JSON,)), Streamed(1, "response", b'{"card": "****1111", "e')),
        *(Answered(2, 200, "HTTP/2.0", (("content-type", "image/png"),)), Streamed(2, "response", b"\x89PNG\x00")),
        *(Streamed(1, "response", b'vil": "\x1b[2J"}'), Rows(1, b"", 2, 1), Completed(1, "200", 2), Closed(1)),
        *(Completed(2, "200", 0), Closed(2), Asked(odd), Answered(3, 299, "HTTP/2.0", (("content-type", HOSTILE),))),
        *(Streamed(3, "response", b"<b>0123456789\x1b]52;c;eA==\x07"), Completed(3, "299", 0), Closed(3)),
    ]
    record(site, "cafe", told, Keeping(stream_bytes_max=35))
    secrets = KubernetesRequest("get", "", "v1", "secrets", "", "shop", "tls-key")
    deploy = KubernetesRequest("create", "apps", "v1", "deployments", "", "shop", "")
    chat = call(3, "GET /chat", "GET /chat")
    more: list[Record] = [
        Rejected(call(1, "GET /api/v1/namespaces/shop/secrets/tls-key", "get secrets", secrets), "Ask for it first."),
        *(Asked(call(2, "POST /apis/apps/v1/…", "create deployments.apps", deploy)), Closed(2), Asked(chat)),
        *(Message(3, Side.CLIENT, True, b"Hello"), Message(3, Side.SERVER, True, b"H\x1b[5n"), Closed(3)),
    ]
    return record(site, "beef", more, Keeping())


@pytest.fixture
def reviewed(run: Run, config: Path, site: Site, http_recording: Path) -> Callable[..., Result]:
    """Runs `sessions VERB` on the session with one key, or with both."""

    def invoke(verb: str, *words: object, both: bool = False) -> Result:
        keys = ["--zone-key", site.secrets / "zone.key", *(["--sealed-key", site.secrets / "sealed.key"] * both)]
        return run("sessions", verb, SESSION, "--config", config, *keys, *words)

    return invoke


def test_exchanges_for_reviewers(reviewed: Callable[..., Result]) -> None:
    shown = reviewed("show").output

    for text in (
        *("#1 call  POST /v1/customers/{id}\n", "to crm.example.com, HTTP/2.0\n", "#1 200  OK application/json\n"),
        *("#1 request of 25 bytes", "#1 response of 36 bytes", "2 values, 1 of them masked", "#2 200  OK image/png"),
        *('{"card": "****1111", "e', "\\x1b[2J", "#2 response of 5 bytes", "#3 299  text/html\\x1b]0;x\\x07\\x9b2J"),
        *("#1 refused  get secrets\n", "Ask for it first.", "get secrets in shop", "create deployments.apps in shop"),
        *("#3 client sent 5 bytes (sealed)", "#3 server sent 5 bytes: H\\x1b[5n"),
    ):
        assert text in shown, (text, shown)
    for text in ("swordfish", "full=1", "tls-key", "Hello", "PNG", "rows,", "\x1b", "\x07", "\x9b"):
        assert text not in shown, text


def test_exchanges_with_both_keys(reviewed: Callable[..., Result]) -> None:
    shown = reviewed("show", both=True).output

    for text in (
        *("#1 call  POST /v1/customers/17?full=1\n", '{"password": "swordfish"}', "get secrets/tls-key in shop"),
        "#3 client sent 5 bytes: Hello",
    ):
        assert text in shown, (text, shown)
    assert "c00kie" not in shown


def test_a_har_of_all_connections_goes_to_the_terminal_in_ascii(reviewed: Callable[..., Result]) -> None:
    result = reviewed("har")

    assert result.exit_code == 0
    assert result.output.isascii()
    assert all(one.isprintable() or one == "\n" for one in result.output)
    log = json.loads(result.output)["log"]
    assert (log["version"], log["creator"]["name"]) == ("1.2", "hoopproxy")
    assert {entry["connection"] for entry in log["entries"]} == {"cafe", "beef"}
    assert len(log["entries"]) == 6
    assert log["entries"] == sorted(log["entries"], key=lambda entry: entry["startedDateTime"])
    (odd,) = (entry for entry in log["entries"] if entry["response"]["status"] == 299)
    assert odd["response"]["headers"] == [{"name": "content-type", "value": HOSTILE}]
    assert "swordfish" not in result.output


def test_a_har_is_written_once_for_whoever_may_read_it(reviewed: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "new.har"

    assert reviewed("har", "--output", file, "--connection", "beef", both=True).output == f"{file}: 3 requests\n"
    assert file.stat().st_mode & 0o777 == 0o600
    entries = json.loads(file.read_text())["log"]["entries"]
    assert [entry["_statement"] for entry in entries] == [1, 2, 3]
    assert entries[0]["request"]["url"].endswith("/secrets/tls-key")
    assert (entries[0]["response"]["status"], entries[0]["comment"]) == (403, "Ask for it first.")

    again = reviewed("har", "--output", file)
    assert (again.exit_code, again.stderr) == (1, f"{file} exists already; evidence never replaces a file.\n")
    told = json.loads(reviewed("har", "--output", tmp_path / "all.har", "--json").stdout)
    assert told == {"output": str(tmp_path / "all.har"), "entries": 6}
    nowhere = reviewed("har", "--output", tmp_path / "none" / "x")
    assert (nowhere.exit_code, nowhere.stderr) == (1, f"{tmp_path}/none/x: No such file or directory.\n")


def test_a_har_of_nothing_is_a_no(
    run: Run, config: Path, site: Site, reviewed: Callable[..., Result], recording: Path
) -> None:
    said = "Nobody made an HTTP request in this session, so there is no HAR of it.\n"

    assert (reviewed("har", "--connection", "other").exit_code, reviewed("har", "--connection", "c0ffee").stderr) == (
        1,
        said,
    )
    result = run("sessions", "har", "none", "--config", config, "--zone-key", site.secrets / "zone.key")
    assert result.exit_code == 1


def test_a_changed_recording_makes_no_har(
    reviewed: Callable[..., Result], http_recording: Path, tmp_path: Path
) -> None:
    http_recording.write_bytes(http_recording.read_bytes() + b"more")
    result = reviewed("har", "--output", tmp_path / "new.har")

    assert result.exit_code == 1
    assert "beef.hprec" in result.stderr
    assert not (tmp_path / "new.har").exists()


def test_exchanges_are_watched_as_text_and_not_as_a_terminal(run: Run, gateway: Answers) -> None:
    gateway.given["watch"] = {}
    http = {"method": "GET", "authority": "crm", "endpoint": "", "version": "HTTP/1.1"}
    headers = [{"name": "content-type", "value": "text/plain"}]

    def shown(number: int, stream: str, raw: bytes) -> dict[str, Any]:
        return {"event": "streamed", "statement": number, "stream": stream, "raw": b64encode(raw).decode()}

    lines = [
        {"event": "asked", "statement": 2, "action": "run", "outline": "shell"},
        shown(2, "stdout", b"$ "),
        {"event": "asked", "statement": 3, "action": "call", "outline": "GET /x", "http": http},
        {"event": "answered", "statement": 3, "status": 200, "version": "HTTP/1.1", "headers": headers},
        shown(2, "stdout", b"ls"),
        shown(3, "response", b"one\x1b[31mtwo\nthr"),
        shown(3, "response", b"ee"),
        {"event": "stream-ended", "statement": 3, "stream": "response", "bytes": 16, "dropped": 0},
    ]
    gateway.events = [{"connection_id": "c", "line": {"seq": 1, "at_ms": 0} | line} for line in lines]
    said = run("sessions", "watch", SESSION, "--socket", gateway.path)

    assert said.exit_code == 0, said.output
    for text in ("$ \n", "#3 call  GET /x", "ls\n", "one\\x1b[31mtwo\n", "three\n", "#3 response of 16 bytes"):
        assert text in said.output, (text, said.output)
