"""Requests that two readers could read in two ways: the gateway refuses them, and not a byte of them gets through."""

import json
from collections.abc import Iterator

import pytest

from .conftest import HttpStand, Services
from .h2_client import H2Client
from .raw import Raw
from .sink import Sink

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
"""What must never be taken for a request."""

BODY = b"0\r\n\r\n" + SMUGGLED
LENGTH = f"Content-Length: {len(BODY)}"
POST = "POST /upload HTTP/1.1"

HEADS: dict[str, tuple[str, ...]] = {
    "CL.TE": (POST, LENGTH, "Transfer-Encoding: chunked"),
    "TE.CL": (POST, "Transfer-Encoding: chunked", "Content-Length: 4"),
    "two lengths": (POST, "Content-Length: 0", LENGTH),
    "two lengths in one field": (POST, f"Content-Length: 0, {len(BODY)}"),
    "a signed length": (POST, f"Content-Length: +{len(BODY)}"),
    "a length in hex": (POST, "Content-Length: 0x10"),
    "a length with an underscore": (POST, "Content-Length: 1_0"),
    "two codings": (POST, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "an unknown coding": (POST, "Transfer-Encoding: xchunked"),
    "chunked not last": (POST, "Transfer-Encoding: chunked, gzip"),
    "a coding behind a control character": (POST, "Transfer-Encoding: \x0bchunked"),
    "a space before the colon": (POST, "Transfer-Encoding : chunked"),
    "a folded field": (POST, "X-Folded: a", " Transfer-Encoding: chunked"),
    "a field folded by a tab": (POST, "Transfer-Encoding:", "\tchunked"),
    "a bare CR in a field": (POST, "X-Odd: a\rTransfer-Encoding: chunked"),
    "a bare LF in a field": (POST, "X-Odd: a\nTransfer-Encoding: chunked"),
    "a NUL in a field": (POST, "X-Odd: a\0b"),
    "a field without a name": (POST, ": chunked"),
    "a field without a colon": (POST, "Transfer-Encoding chunked"),
    "a name with a space in it": (POST, "X Odd: a"),
    "chunked in HTTP/1.0": ("POST /upload HTTP/1.0", "Transfer-Encoding: chunked"),
    "a second host": (POST, "Host: elsewhere.example"),
    "another host in the line": ("POST http://elsewhere.example/upload HTTP/1.1", LENGTH),
    "a space in the line": ("POST /upload HTTP/1.1 HTTP/1.1", LENGTH),
    "a tab in the line": ("POST\t/upload HTTP/1.1", LENGTH),
    "a bare CR in the line": ("POST /upload\rX: y HTTP/1.1", LENGTH),
    "HTTP/1.2": ("POST /upload HTTP/1.2", LENGTH),
    "a length named hop by hop": (POST, LENGTH, "Connection: close, Content-Length"),
}
CHUNKS = {
    "a size with a sign": b"+0\r\n\r\n",
    "a size in 0x": b"0x0\r\n\r\n",
    "a size and a space": b"0 \r\n\r\n",
    "a negative size": b"-1\r\n\r\n",
    "a size ended by LF": b"5\nhello\n0\n\n",
    "an extension with LF": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "more than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "a size without end": b"1" * 100 + b"\r\n",
    "a trailer that is a field of framing, ended by LF": b"0\r\nContent-Length: 5\n\r\n",
}


@pytest.fixture
def unreached(services: Services) -> Iterator[Sink]:
    """Nothing of what is smuggled got there."""
    sink = services.sink
    sink.received.clear()
    yield sink
    assert b"smuggled" not in sink.received
    assert b"elsewhere.example" not in sink.received


@pytest.mark.parametrize("behind", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_can_be_read_in_two_ways_is_refused(
    stand: HttpStand, unreached: Sink, name: str, behind: bool
) -> None:
    with Raw(stand, "sink") as client:
        arrived = _honest(client, unreached) if behind else b""
        client.say(client.head(*HEADS[name]) + BODY)
        said = client.rest()
        assert said.split(b" ")[1] in (b"400", b"421"), said[:200]
        assert said.count(b"HTTP/1.1 ") == 1
        assert bytes(unreached.received) == arrived
    session = json.loads(said.partition(b"\r\n\r\n")[2])["session"]
    if said.startswith(b"HTTP/1.1 400") and "named hop by hop" not in name:
        assert stand.gateway.heard("ended" if behind else "denied", holding=session)["code"] == "protocol-violation"


@pytest.mark.parametrize("behind", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_that_can_be_read_in_two_ways_end_the_request(
    stand: HttpStand, unreached: Sink, name: str, behind: bool
) -> None:
    """Their head is already there; what follows it is not."""
    with Raw(stand, "sink") as client:
        arrived = _honest(client, unreached) if behind else b""
        client.say(client.head(POST, "Transfer-Encoding: chunked") + CHUNKS[name] + SMUGGLED)
        client.rest()
    rest = bytes(unreached.received)[len(arrived) :]
    assert rest.count(b"HTTP/1.1\r\n") <= 1
    assert not rest.endswith(b"0\r\n\r\n"), "the target may think that the request was whole"


def _honest(client: Raw, sink: Sink) -> bytes:
    """What the target got of a good request, on the same connection."""
    client.say(client.head())
    assert client.hear().status == 200
    return bytes(sink.received)


def test_what_follows_a_request_is_the_next_one(stand: HttpStand, unreached: Sink) -> None:
    """Pipelined, each is judged and answered in turn."""
    with Raw(stand, "sink") as client:
        client.say(client.head("POST /1 HTTP/1.1", "Content-Length: 3") + b"one" + client.head("GET /2 HTTP/1.1"))
        assert [client.hear().body, client.hear().body] == [b"fine\n", b"fine\n"]
    assert unreached.received.count(b" HTTP/1.1\r\n") == 2


H2_HEADS: dict[str, list[tuple[str, str]]] = {
    "a coding": [("transfer-encoding", "chunked")],
    "a connection": [("connection", "keep-alive")],
    "an upgrade": [("upgrade", "h2c")],
    "CRLF in a value": [("x-odd", "a\r\nTransfer-Encoding: chunked")],
    "LF in a value": [("x-odd", "a\nx: y")],
    "NUL in a value": [("x-odd", "a\0b")],
    "a colon in a name": [("x:odd", "a")],
    "CRLF in a name": [("x\r\nhost", "elsewhere.example")],
    "a capital in a name": [("X-Odd", "a")],
    "an empty name": [("", "a")],
    "another length": [("content-length", "3")],
    "two lengths": [("content-length", str(len(BODY))), ("content-length", "3")],
    "another host": [("host", "elsewhere.example")],
    "a method with a line in it": [(":method", "GET / HTTP/1.1\r\nHost: elsewhere.example\r\nX:")],
    "a path with a line in it": [(":path", "/ HTTP/1.1\r\nHost: elsewhere.example\r\nX: y")],
    "a path with a space": [(":path", "/a HTTP/1.1")],
    "no path": [(":path", "")],
    "a path that is none": [(":path", "upload")],
    "another scheme": [(":scheme", "file")],
    "an authority with a line in it": [(":authority", "elsewhere.example\r\nX: y")],
    "an authority with a user": [(":authority", "a@elsewhere.example")],
    "a pseudo-field again": [(":path", "/"), (":path", "/elsewhere.example")],
    "an unknown pseudo-field": [(":odd", "a")],
    "a pseudo-field behind fields": [("x-odd", "a"), (":path", "/")],
}


@pytest.mark.parametrize("behind", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("name", H2_HEADS)
def test_a_head_of_http2_that_would_be_two_in_http1_is_refused(
    stand: HttpStand, unreached: Sink, name: str, behind: bool
) -> None:
    with H2Client(stand, "sink") as client:
        if behind:
            assert client.ask([]) == "200"
        arrived = bytes(unreached.received)
        status = client.ask(H2_HEADS[name], BODY)
        assert status in ("400", "421", "reset", "gone"), status
        assert bytes(unreached.received) == arrived
