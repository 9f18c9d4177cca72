"""Lengths that are told and not kept: whoever believed one would take the next message for the rest of this one."""

from collections.abc import Callable

import pytest

from hoopproxy.errors import ProtocolViolation
from hoopproxy.wire.http.lanes import Frame, Kind

from .h2_ends import GET, POST, H2Client, H2Target
from .rig import Rig

CLOSED = [Frame(Kind.CLOSED, 0)]


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_a_request_that_ends_with_its_head_is_as_long_as_it_says(alpn: str) -> None:
    rig = Rig(alpn=alpn)
    target = H2Target(rig) if alpn == "h2" else None
    with pytest.raises(ProtocolViolation):
        H2Client(rig).ask([*GET, ("content-length", "40")])
    assert not rig.records and not (target.requests() if target else rig.lanes[0])
    H2Client(rig := Rig()).ask([*POST, ("content-length", "0")])
    assert rig.lanes[0].endswith(b"content-length: 0\r\n\r\n")


@pytest.mark.parametrize("body", [b"", b"x" * 39], ids=["nothing", "less"])
@pytest.mark.parametrize("trailer", [("a", "b"), ("content-length", "0")], ids=lambda pair: str(pair[0]))
def test_nor_do_trailers_end_a_request_that_is_shorter(body: bytes, trailer: tuple[str, str]) -> None:
    rig = Rig()
    client = H2Client(rig)
    stream = client.ask([*POST, ("content-length", "40")], ends=False)
    if body:
        client.h2.send_data(stream, body)
    client.h2.send_headers(stream, [trailer], end_stream=True)
    with pytest.raises(ProtocolViolation):
        client.flush()
    assert rig.said == CLOSED  # the target does not take the next request for what is missing: there is none
    assert not rig.to_client.endswith(b"hi")


@pytest.mark.parametrize("trailers", [False, True], ids=["head", "trailers"])
def test_an_answer_is_as_long_as_it_says(trailers: bool) -> None:
    rig = Rig(alpn="h2")
    target = H2Target(rig)
    rig.client(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    ((stream, _),) = target.requests()
    target.h2.send_headers(stream, [(":status", "200"), ("content-length", "9")], end_stream=not trailers)
    if trailers:
        target.h2.send_headers(stream, [("a", "b")], end_stream=True)
    target.flush()
    told = bytes(rig.to_client)
    assert told.startswith(b"HTTP/1.1 502") or (rig.step.ended and told.endswith(b"content-length: 9\r\n\r\n"))


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200"), ("GET", "304")])
def test_but_a_length_alone_is_told_where_no_body_belongs(method: str, status: str) -> None:
    rig = Rig(alpn="h2")
    target = H2Target(rig)
    client = H2Client(rig)
    stream = client.ask([(":method", method), *GET[1:]])
    ((asked, _),) = target.requests()
    target.h2.send_headers(asked, [(":status", status), ("content-length", "9")], end_stream=True)
    target.flush()
    client.hear()
    assert client.head(stream) == {":status": status, "content-length": "9"} and client.ended(stream)


@pytest.mark.parametrize("method", ["head", "connect", "Connect", "trace", "gET", "delete"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_a_method_that_some_servers_take_for_another_is_none(method: str, version: str) -> None:
    """mitmproxy would wait for no body of a `head`, and let go of HTTP behind a `connect`; Flask deletes."""
    rig = Rig()
    asks: dict[str, Callable[[], object]] = {
        "HTTP/2": lambda: H2Client(rig).ask([(":method", method), *GET[1:]]),
        "HTTP/1.1": lambda: rig.client(f"{method} /a HTTP/1.1\r\nHost: x\r\n\r\n".encode()),
    }
    with pytest.raises(ProtocolViolation):
        asks[version]()
    assert not rig.records and not rig.lanes[0]
