"""What one reader takes for one request and another for two: refused, and no byte of it reaches a lane."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from hpack import NeverIndexedHeaderTuple

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.first import FirstRequest
from hoopproxy.wire.http.lanes import Frame, Kind, framed
from hoopproxy.wire.http.messages import Answer, Headers

from .h2_ends import GET, POST, H2Client, H2Target
from .rig import Rig

POST_ = b"POST / HTTP/1.1\r\nHost: x\r\n"
GET_ = b"GET / HTTP/1.1\r\nHost: x\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"

HEADS = {
    "CL.TE": POST_ + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "TE.CL": POST_ + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n",
    "TE.TE twice": POST_ + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "TE.TE twice the same": POST_ + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE unknown": POST_ + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE list": POST_ + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "TE gzip": POST_ + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE chunked twice": POST_ + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "TE not last": POST_ + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "TE identity": POST_ + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
    "TE quoted": POST_ + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "TE vertical tab": POST_ + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE with NUL": POST_ + b"Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n",
    "TE empty": POST_ + b"Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc",
    "TE, space before colon": POST_ + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE, folded": POST_ + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "TE, folded name": POST_ + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CL twice": POST_ + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "CL twice the same": POST_ + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "CL list": POST_ + b"Content-Length: 3, 3\r\n\r\nabc",
    "CL signed": POST_ + b"Content-Length: +3\r\n\r\nabc",
    "CL negative": POST_ + b"Content-Length: -1\r\n\r\nabc",
    "CL hexadecimal": POST_ + b"Content-Length: 0x3\r\n\r\nabc",
    "CL with a leading 0": POST_ + b"Content-Length: 03\r\n\r\nabc",
    "CL empty": POST_ + b"Content-Length: \r\n\r\nabc",
    "CL with a space": POST_ + b"Content-Length: 3 3\r\n\r\nabc",
    "CL underscore": POST_ + b"Content-Length: 1_0\r\n\r\nabcdefghij",
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare LF in one line": GET_ + b"A: b\nTransfer-Encoding: chunked\r\n\r\n",
    "bare CR in a value": GET_ + b"A: b\rTransfer-Encoding: chunked\r\n\r\n",
    "bare CR in the first line": b"GET /a\rHTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a value": GET_ + b"A: b\x00c\r\n\r\n",
    "control in a value": GET_ + b"A: b\x1bc\r\n\r\n",
    "NUL in a name": GET_ + b"A\x00: b\r\n\r\n",
    "folded value": GET_ + b"A: b\r\n c\r\n\r\n",
    "folded first field": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "empty name": GET_ + b": b\r\n\r\n",
    "no colon": GET_ + b"nonsense\r\n\r\n",
    "name with a space": GET_ + b"A B: c\r\n\r\n",
    "name with a bracket": GET_ + b"A(: c\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": GET_ + b"Host: y\r\n\r\n",
    "two hosts the same": GET_ + b"host: x\r\n\r\n",
    "host list": b"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: x@y\r\n\r\n",
    "host with a space": b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
    "host with a long port": b"GET / HTTP/1.1\r\nHost: x:1234567\r\n\r\n",
    "another host than the target": b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "user in the target": b"GET http://y@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "scheme nobody knows": b"GET gopher://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "relative target": b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "target beyond ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "spaces in the first line": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab in the first line": b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "space behind the first line": b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    "space before the first line": b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2.0 in words": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "http in lower case": b"GET / http/1.1\r\nHost: x\r\n\r\n",
    "method with a colon": b"GE:T / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "bare LF before": b"\n" + GET_ + b"\r\n",
    "too long": GET_ + b"A: " + b"x" * 70_000 + b"\r\n\r\n",
    "too long to end": GET_ + b"A: " + b"x" * 70_000,
}

BODIES = {
    "chunk without a size": b"\r\nabc\r\n0\r\n\r\n",
    "chunk of no hexadecimal size": b"g\r\nabc\r\n0\r\n\r\n",
    "chunk with a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "chunk in 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk with a space before": b" 3\r\nabc\r\n0\r\n\r\n",
    "chunk of a long size": b"0" * 30 + b"3\r\nabc\r\n0\r\n\r\n",
    "chunk that is longer": b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk with a bare LF": b"3\nabc\n0\n\n",
    "chunk with a bare CR": b"3\rabc\r\n0\r\n\r\n",
    "chunk with an endless extension": b"3;" + b"x" * 70_000,
    "trailer that is folded": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer without a colon": b"0\r\nnonsense\r\n\r\n",
    "trailer with a bare LF": b"0\r\nA: b\n\n",
    "trailers without end": b"0\r\nA: " + b"x" * 70_000,
}


def refused(rig: Rig, data: bytes) -> bytes:
    """Fed to the bitter end: what the client was told."""
    with pytest.raises(ProtocolViolation) as caught:
        rig.client(data)
    assert caught.value.side == "client" and caught.value.detail
    return bytes(rig.to_client)


@pytest.mark.parametrize("raw", HEADS.values(), ids=HEADS.keys())
def test_a_head_that_may_be_read_in_two_ways_is_answered_400_and_reaches_no_lane(raw: bytes) -> None:
    rig = Rig()
    said = refused(rig, raw + HIDDEN)
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"connection: close" in said
    assert not rig.lanes[0] and not rig.said and not rig.records and b"mitmproxy" not in said
    assert said.count(b"HTTP/1.1") == 1


def drip(rig: Rig, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        rig.client(data[start : start + size])


@pytest.mark.parametrize("raw", HEADS.values(), ids=HEADS.keys())
def test_however_it_is_cut(raw: bytes) -> None:
    rig = Rig()
    with pytest.raises(ProtocolViolation):
        drip(rig, raw + HIDDEN, 7)
    assert not rig.lanes[0] and rig.to_client.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("raw", HEADS.values(), ids=HEADS.keys())
def test_nor_is_it_anybodys_first_request(raw: bytes) -> None:
    first = FirstRequest(Limits(), is_h2=False)
    with pytest.raises(ProtocolViolation):
        assert first.feed(raw + HIDDEN) is None
    answer = first.answer(Answer(400, Headers(), b"No."))
    assert answer == b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\nNo."


@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_may_be_read_in_two_ways_ends_in_400_and_hides_nothing(raw: bytes) -> None:
    rig = Rig()
    said = refused(rig, POST_ + b"Transfer-Encoding: chunked\r\n\r\n" + raw + HIDDEN)
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"hidden" not in rig.lanes[0]
    assert not rig.lanes[0].endswith(b"0\r\n\r\n") and rig.said == [Frame(Kind.CLOSED, 0)]


@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES.keys())
def test_nor_is_such_a_body_an_answers(raw: bytes) -> None:
    rig = Rig()
    rig.client(GET_ + b"\r\n")
    rig.target(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + raw)
    if not rig.said:  # an extension that does not end, say, and the head of an answer behind it
        rig.says(Kind.ENDED)
    assert rig.step.ended and not rig.to_client.endswith(b"0\r\n\r\n")


def test_a_request_behind_a_refused_one_is_judged_by_itself_or_not_at_all() -> None:
    rig = Rig(refuse=lambda text: "No.")
    rig.client(POST_ + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN[:-1])
    assert rig.step.ended and not rig.lanes[0] and len(rig.records) == 1
    rig = Rig(refuse=lambda text: "" if "hidden" in text else "No.")
    rig.client(POST_ + b"Content-Length: 3\r\n\r\nabc" + HIDDEN)
    assert rig.lanes[0] == b"GET /hidden HTTP/1.1\r\nHost: target.test\r\n\r\n" and len(rig.records) == 2


def test_a_body_of_get_belongs_to_it() -> None:
    rig = Rig()
    rig.client(GET_ + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN)
    assert len(rig.records) == 2 and rig.lanes[0].endswith(HIDDEN)
    rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert rig.step.is_idle


def test_what_is_behind_a_request_of_http_1_0_is_never_read() -> None:
    rig = Rig()
    rig.client(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + HIDDEN)
    rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert rig.step.ended and b"hidden" not in rig.lanes[0]


# HTTP/2: what an HTTP/1.1 target would be told by it

H2_HEADS = {
    "transfer-encoding": [*POST, ("transfer-encoding", "chunked")],
    "connection": [*GET, ("connection", "x-secret")],
    "keep-alive": [*GET, ("keep-alive", "1")],
    "upgrade": [*GET, ("upgrade", "websocket")],
    "te": [*GET, ("te", "gzip")],
    "host that differs": [*GET, ("host", "other")],
    "two hosts": [*GET, ("host", "x.test"), ("host", "x.test")],
    "two authorities": [*GET, (":authority", "x.test")],
    "pseudo behind": [*GET[:3], ("a", "b"), GET[3]],
    "two paths": [*GET, (":path", "/hidden")],
    "unknown pseudo": [*GET, (":proto", "x")],
    "no path": GET[:3],
    "empty path": [*GET[:3], (":path", "")],
    "path with CR LF": [*GET[:3], (":path", "/ HTTP/1.1\r\nHost: evil\r\n\r\n")],
    "path with a space": [*GET[:3], (":path", "/a HTTP/1.1")],
    "path beyond ASCII": [*GET[:3], (":path", "/\xe9")],
    "absolute path": [*GET[:3], (":path", "http://evil/")],
    "method with CR LF": [(":method", "GET / HTTP/1.1\r\nA: b"), *GET[1:]],
    "method with a space": [(":method", "GET /"), *GET[1:]],
    "scheme with a space": [GET[0], (":scheme", "http://evil/ x"), *GET[2:]],
    "authority with CR LF": [*GET[:2], (":authority", "x\r\nA: b"), GET[3]],
    "authority with a user": [*GET[:2], (":authority", "a@x"), GET[3]],
    "upper case": [*GET, ("A", "b")],
    "name with CR LF": [*GET, ("a: b\r\nc", "d")],
    "name with a colon": [*GET, ("a:b", "c")],
    "name with a space": [*GET, ("a ", "b")],
    "empty name": [*GET, ("", "b")],
    "value with CR LF": [*GET, ("a", "b\r\nTransfer-Encoding: chunked")],
    "value with NUL": [*GET, ("a", "b\x00")],
    "value with LF": [*GET, ("a", "b\nc: d")],
    "content-length twice": [*POST, ("content-length", "0"), ("content-length", "5")],
    "content-length no number": [*POST, ("content-length", "abc")],
    "CONNECT": [(":method", "CONNECT"), (":authority", "x.test:22")],
    "long": [*GET, *(("a", "x" * 3500) for _ in range(20))],
}


def asked(client: H2Client, headers: list[tuple[str, str]], *, ends: bool) -> None:
    block = client.h2.encoder.encode([NeverIndexedHeaderTuple(*each) for each in headers])
    pieces = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    for at, piece in enumerate(pieces):
        flags = (0x1 if ends and at == 0 else 0) | (0x4 if at == len(pieces) - 1 else 0)
        kind = 1 if at == 0 else 9
        client.rig.client(len(piece).to_bytes(3) + bytes((kind, flags)) + (1).to_bytes(4) + piece)


def kinds_of_frames(said: bytes) -> list[int]:
    kinds = []
    while said:
        kinds.append(said[3])
        said = said[9 + int.from_bytes(said[:3]) :]
    return kinds


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
@pytest.mark.parametrize("headers", H2_HEADS.values(), ids=H2_HEADS.keys())
def test_a_head_in_http_2_that_would_be_another_in_http_1_reaches_no_lane(
    headers: list[tuple[str, str]], alpn: str
) -> None:
    rig = Rig(alpn=alpn)
    target = H2Target(rig) if alpn == "h2" else None
    client = H2Client(rig)
    with pytest.raises(ProtocolViolation):
        asked(client, headers, ends=True)
    assert 7 in kinds_of_frames(bytes(rig.to_client)) and not rig.records  # GOAWAY
    assert not (target.requests() if target else rig.lanes[0])


@pytest.mark.parametrize(
    ("length", "body"), [(3, b"abcd"), (5, b"abcd"), (0, b"GET /hidden HTTP/1.1\r\n\r\n")], ids=["more", "less", "0"]
)
def test_a_length_that_is_not_the_bodys_ends_the_connection(length: int, body: bytes) -> None:
    rig = Rig()
    client = H2Client(rig)
    stream = client.ask([*POST, ("content-length", str(length))], ends=False)
    client.h2.send_data(stream, body, end_stream=True)
    with pytest.raises(ProtocolViolation):
        client.flush()
    assert rig.said == [Frame(Kind.CLOSED, 0)] and b"hidden" not in rig.lanes[0]


def test_other_frames_amid_a_head_end_the_connection() -> None:
    rig = Rig()
    client = H2Client(rig)
    block = client.h2.encoder.encode(GET)
    with pytest.raises(ProtocolViolation):
        rig.client(
            len(block).to_bytes(3) + bytes((1, 1)) + (1).to_bytes(4) + block + bytes((0, 0, 8, 6, 0)) + bytes(12)
        )
    assert not rig.lanes[0]


def test_a_flood_of_continuations_ends_the_connection() -> None:
    rig = Rig()
    H2Client(rig)
    rig.client(bytes((0, 0, 1, 1, 0)) + (1).to_bytes(4) + b"\x82")
    assert rig.step.is_heading
    with pytest.raises(ProtocolViolation):
        rig.client(((1).to_bytes(3) + bytes((9, 0)) + (1).to_bytes(4) + b"\x84") * 100)


def test_more_streams_at_once_than_were_granted_end_the_connection() -> None:
    rig = Rig(alpn="h2")
    H2Target(rig)
    client = H2Client(rig)
    client.h2.remote_settings[3] = 1000  # MAX_CONCURRENT_STREAMS, as it was never said
    client.h2.remote_settings.acknowledge()
    for _ in range(100):
        client.ask(POST, ends=False)
    with pytest.raises(ProtocolViolation):
        client.ask(POST, ends=False)


def test_a_preface_that_is_not_one_is_http_1_and_none() -> None:
    rig = Rig()
    said = refused(rig, b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400")


def test_more_than_a_window_ends_the_connection() -> None:
    rig = Rig(opens=False)
    rig.says(Kind.CLOSED)
    client = H2Client(rig)
    stream = client.ask(POST, ends=False)
    with pytest.raises(ProtocolViolation):
        rig.client(((16384).to_bytes(3) + bytes(2) + stream.to_bytes(4) + b"x" * 16384) * 20)
    client.hear()
    assert client.goaway() == ErrorCodes.FLOW_CONTROL_ERROR


def test_a_frame_longer_than_was_granted_ends_the_connection() -> None:
    rig = Rig()
    H2Client(rig)
    with pytest.raises(ProtocolViolation):
        rig.feed(Side.CLIENT, framed(Frame(Kind.DATA, 0, (20_000).to_bytes(3) + bytes(6) + b"x" * 20_000)))
    assert H2Connection(H2Configuration()).max_inbound_frame_size == 16384
