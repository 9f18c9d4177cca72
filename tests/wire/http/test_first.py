"""The first request of a connection, read and answered before anybody believes it."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived

from hoopproxy.errors import ProtocolViolation
from hoopproxy.settings import Limits
from hoopproxy.wire.http.first import FirstRequest
from hoopproxy.wire.http.halves import SERVER_PREFACE
from hoopproxy.wire.http.messages import Answer, Headers, RequestHead

NO = Answer(401, Headers((("content-length", "3"), ("www-authenticate", "Bearer"))), b"No.")


def first(raw: bytes) -> RequestHead | None:
    return FirstRequest(Limits(), is_h2=False).feed(raw)


@pytest.mark.parametrize(
    ("raw", "scheme", "authority", "target"),
    [
        (b"GET /a?b HTTP/1.1\r\nHost: X.test:8443\r\n\r\n", "", "X.test:8443", "/a?b"),
        (b"GET http://x.test/a HTTP/1.1\r\nHost: x.test\r\n\r\n", "http", "x.test", "/a"),
        (b"GET HTTPS://x.test HTTP/1.1\r\nHost: X.test\r\n\r\n", "https", "x.test", "/"),
        (b"CONNECT x.test:443 HTTP/1.1\r\nHost: x.test:443\r\n\r\n", "", "x.test:443", ""),
        (b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", "", "[::1]:443", ""),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "", "x", "*"),
        (b"GET / HTTP/1.0\r\n\r\n", "", "", "/"),
    ],
    ids=["origin", "absolute", "absolute without a path", "connect", "connect IPv6", "asterisk", "nowhere"],
)
def test_its_target_is_taken_apart(raw: bytes, scheme: str, authority: str, target: str) -> None:
    head = first(raw)
    assert head is not None and (head.scheme, head.authority, head.target) == (scheme, authority, target)
    assert head.headers.get("host") is None


def test_it_is_read_however_it_drips() -> None:
    reading = FirstRequest(Limits(), is_h2=False)
    raw = b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\r\n"
    assert [reading.feed(raw[at : at + 1]) for at in range(len(raw) - 1)] == [None] * (len(raw) - 1)
    head = reading.feed(b"\n")
    assert head is not None and head.headers.get("authorization") == "Bearer t" and head.is_bodyless


def test_it_is_answered_and_the_connection_ends() -> None:
    reading = FirstRequest(Limits(), is_h2=False)
    reading.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reading.answer(NO) == (
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 3\r\nwww-authenticate: Bearer\r\nconnection: close\r\n\r\nNo."
    )
    reading = FirstRequest(Limits(), is_h2=False)
    reading.feed(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reading.answer(NO).endswith(b"\r\n\r\n")


def test_who_never_finished_may_be_told_too() -> None:
    reading = FirstRequest(Limits(), is_h2=False)
    assert reading.feed(b"GET / HT") is None
    assert reading.answer(NO).startswith(b"HTTP/1.1 401")


def test_a_head_has_its_limit() -> None:
    reading = FirstRequest(Limits(head_bytes_max=100), is_h2=False)
    with pytest.raises(ProtocolViolation, match="can't be read"):
        reading.feed(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100)
    exactly = b"GET / HTTP/1.1\r\nHost: x\r\nA: "
    exactly += b"x" * (100 - len(exactly) - 4) + b"\r\n\r\n"
    assert FirstRequest(Limits(head_bytes_max=100), is_h2=False).feed(exactly) is not None
    with pytest.raises(ProtocolViolation):
        FirstRequest(Limits(head_bytes_max=99), is_h2=False).feed(exactly)


def client() -> H2Connection:
    h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
    h2.initiate_connection()
    return h2


def test_over_http_2_it_is_the_first_stream_and_the_preface_is_not_repeated() -> None:
    h2, reading = client(), FirstRequest(Limits(), is_h2=True)
    h2.send_headers(1, [(":method", "POST"), (":scheme", "https"), (":authority", "x.test"), (":path", "/a")])
    h2.send_data(1, b"body")
    raw = h2.data_to_send()
    heads = [head for at in range(0, len(raw), 5) if (head := reading.feed(raw[at : at + 5])) is not None]
    assert [(head.scheme, head.authority, head.target, head.version) for head in heads] == [
        ("https", "x.test", "/a", "HTTP/2.0")
    ]
    events = h2.receive_data(SERVER_PREFACE + reading.answer(NO))
    assert [dict(e.headers)[":status"] for e in events if isinstance(e, ResponseReceived)] == ["401"]
    assert b"".join(e.data for e in events if isinstance(e, DataReceived)) == b"No."
    assert [e.error_code for e in events if isinstance(e, ConnectionTerminated)] == [0]


def test_over_http_2_nonsense_is_refused() -> None:
    h2, reading = client(), FirstRequest(Limits(), is_h2=True)
    with pytest.raises(ProtocolViolation):
        reading.feed(h2.data_to_send() + b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff")
    events = h2.receive_data(SERVER_PREFACE + reading.answer(NO))
    assert any(isinstance(event, ConnectionTerminated) for event in events)
    reading = FirstRequest(Limits(), is_h2=True)
    with pytest.raises(ProtocolViolation):
        reading.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def test_before_anything_was_asked_over_http_2_the_connection_just_ends() -> None:
    h2, reading = client(), FirstRequest(Limits(), is_h2=True)
    assert reading.feed(h2.data_to_send()) is None
    events = h2.receive_data(SERVER_PREFACE + reading.answer(NO))
    assert any(isinstance(event, ConnectionTerminated) for event in events)
