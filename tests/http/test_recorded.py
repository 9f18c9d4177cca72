"""What went through the gateway, as its recordings tell it: sealed, masked, and as a HAR that other tools take."""

import hashlib
import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from websockets.sync.client import ClientConnection, connect

from hoopproxy.cli.main import main
from hoopproxy.control.client import ControlClient
from hoopproxy.testing.http_target import CARD, MASKED, digest_of

from ..evidence.har_reader import body, read
from .conftest import TOKEN, HttpStand

BODY = b"\x00\xff" * 1000
"""What is uploaded: no text."""

BYTES = 2_000_000
"""More of a body than a recording keeps."""


@dataclass
class Session:
    """One that is over, and its entries for whoever has both keys; `reviewed` are those for one."""

    stand: HttpStand
    id: str = ""
    whole: list[dict[str, Any]] = field(default_factory=list)
    reviewed: list[dict[str, Any]] = field(default_factory=list)

    def har(self, *keys: str | Path) -> list[dict[str, Any]]:
        words = ("sessions", "har", self.id, "--config", self.stand.config, "--zone-key", self.stand.zone_key, *keys)
        done = CliRunner().invoke(main, [*map(str, words)])
        assert done.exit_code == 0, done.output
        return read(json.loads(done.stdout))


@contextmanager
def session_of(stand: HttpStand, target: str) -> Iterator[tuple[Session, ClientConnection]]:
    """Ada's session with a target, as long as its WebSocket is open: other connections of hers join it."""
    way, control = stand.reverse(target), ControlClient(stand.control_socket)
    uri, sock = f"wss://{way.netloc}/socket", socket.create_connection(way.address)
    with connect(uri, sock=sock, ssl=way.tls, additional_headers=dict(way.headers), proxy=None) as line:
        session = Session(stand)
        (session.id,) = [
            each["session_id"] for each in control.call("sessions")["sessions"] if each["target"] == target
        ]
        yield session, line
    while any(each["session_id"] == session.id for each in control.call("sessions")["sessions"]):
        pass  # its recordings are whole once it is gone
    session.whole = session.har("--sealed-key", stand.sealed_key)
    session.reviewed = session.har()


@pytest.fixture(scope="module")
def masked(stand: HttpStand) -> Session:
    """Somebody works with a target whose answers are masked."""
    with session_of(stand, "cards") as (session, line):
        line.send(json.dumps({"card": CARD}))
        assert json.loads(line.recv()) == {"card": MASKED}
        way = stand.reverse("cards")
        way.fetch("/customers?full=tell-nobody", "-H", "Cookie: sid=c00kie-of-ada")
        assert way.fetch("/customers/1").status == 200
        assert way.fetch("/upload", "--data-binary", "@-", stdin=BODY).status == 200
        assert way.fetch("/upload", "--upload-file", "-", stdin=BODY).status == 403
    return session


def one(entries: list[dict[str, Any]], method: str, outline: str) -> dict[str, Any]:
    (found,) = [
        entry
        for entry in entries
        if entry["request"]["method"] == method and entry["request"]["url"].partition("?")[0].endswith(outline)
    ]
    return found


def test_all_connections_of_a_person_to_a_target_are_in_one_har(masked: Session) -> None:
    assert len({entry["connection"] for entry in masked.whole}) == 5
    assert {entry["_session"] for entry in masked.whole} == {masked.id}
    assert all(entry["serverIPAddress"] == "127.0.0.1" for entry in masked.whole)
    assert {entry["request"]["httpVersion"] for entry in masked.whole} == {"HTTP/1.1", "HTTP/2.0"}


def test_answers_are_in_it_as_their_client_saw_them(masked: Session) -> None:
    for entries in (masked.whole, masked.reviewed):
        found = one(entries, "GET", "/customers")
        assert json.loads(body(found))["customers"][0]["card"] == MASKED
        assert found["response"]["content"]["_sha256"] == hashlib.sha256(body(found)).hexdigest()
        assert found["_values_masked"] == 5
        assert CARD not in json.dumps(found)
    assert "sealed" not in one(masked.whole, "GET", "/customers")["request"].get("comment", "")


def test_what_was_sent_is_in_it_with_both_keys_alone(masked: Session) -> None:
    posted = one(masked.whole, "POST", "/upload")["request"]
    assert (posted["bodySize"], posted["postData"]["text"]) == (len(BODY), b64encode(BODY).decode())
    assert posted["postData"]["_sha256"] == hashlib.sha256(BODY).hexdigest()
    assert one(masked.whole, "GET", "/customers")["request"]["queryString"] == [
        {"name": "full", "value": "tell-nobody"}
    ]

    sealed = one(masked.reviewed, "POST", "/upload")["request"]
    assert (sealed["bodySize"], "postData" in sealed) == (len(BODY), False)
    shown = json.dumps(masked.reviewed)
    assert hashlib.sha256(BODY).hexdigest() not in json.dumps([each["request"] for each in masked.reviewed])
    assert not [text for text in ("tell-nobody", "/customers/1", "curl/") if text in shown]
    assert one(masked.reviewed, "GET", "/customers/{id}")["response"]["status"] == 200


def test_credentials_are_in_nobodys(masked: Session) -> None:
    told = json.dumps([masked.whole, masked.reviewed])
    assert not [text for text in (TOKEN, masked.stand.tokens["ada"], "c00kie-of-ada") if text in told]


def test_a_refused_request_is_in_it_with_its_sentence(masked: Session) -> None:
    for entries in (masked.whole, masked.reviewed):
        refused = one(entries, "PUT", "/upload")
        assert (refused["response"]["status"], refused["comment"]) == (403, "Nobody may PUT /upload.")


def test_a_websocket_is_in_it_with_its_messages(masked: Session) -> None:
    whole, reviewed = (one(entries, "GET", "/socket") for entries in (masked.whole, masked.reviewed))
    assert whole["response"]["status"] == 101
    sent, received = whole["_webSocketMessages"]
    assert (sent["type"], json.loads(sent["data"])) == ("send", {"card": CARD})
    assert (received["type"], json.loads(received["data"])) == ("receive", {"card": MASKED})
    assert [each["data"] for each in reviewed["_webSocketMessages"]] == ["", received["data"]]


def test_of_a_long_body_there_are_the_beginning_and_the_digest(stand: HttpStand) -> None:
    with session_of(stand, "shop") as (session, _):
        assert len(stand.reverse("shop").fetch(f"/bytes/{BYTES}").body) == BYTES
    content = one(session.whole, "GET", f"/bytes/{BYTES}")["response"]["content"]

    assert (content["size"], content["_sha256"]) == (BYTES, digest_of(BYTES))
    assert len(body({"response": {"content": content}})) == 1 << 20
    assert content["comment"].startswith(f"Of {BYTES} bytes of it {BYTES - (1 << 20)} were not kept")
