"""Whatever bytes either end sends: the machine answers, or says that they are no HTTP, and never just breaks."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation
from hoopproxy.wire.http.lanes import Kind

from .h2_ends import GET, POST, H2Client, H2Target
from .rig import FakeReading, Rig, Upper

REQUESTS = (
    b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
    b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n"
    b"GET http://x/c HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n"
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw"
)

edits = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(min_size=1, max_size=4)), max_size=4)
sizes = st.integers(1, 200)


def edited(raw: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, cut, put in changes:
        at %= len(raw) + 1
        raw = raw[:at] + put + raw[at + cut :]
    return raw


def drip(rig: Rig, client: bytes, target: bytes, size: int) -> None:
    """Both ends take turns; until one of them is told that this was no HTTP."""
    with suppress(ProtocolViolation):
        for at in range(0, max(len(client), len(target)), size):
            if client[at : at + size] and not rig.step.ended:
                rig.client(client[at : at + size])
            if target[at : at + size] and not rig.step.ended:
                rig.target(target[at : at + size])
        if not rig.step.ended:
            rig.says(Kind.CLOSED)
        if not rig.step.ended:
            rig.client_ends()
        assert rig.step.ended or rig.wire._exchanges


@given(edits, edits, sizes, st.booleans())
def test_noise_in_http_1(
    client: list[tuple[int, int, bytes]], target: list[tuple[int, int, bytes]], size: int, masked: bool
) -> None:
    reading = FakeReading(body_of=lambda request, response: Upper(is_whole=True) if masked else None)
    rig = Rig(reading=reading)
    drip(rig, edited(REQUESTS, client), edited(ANSWERS, target), size)
    assert b"mitmproxy" not in rig.to_client


def spoken() -> tuple[bytes, bytes]:
    """A conversation in HTTP/2, as both its ends spoke it."""
    rig = Rig(alpn="h2")
    client_said, target_said = bytearray(), bytearray()
    hears_client, hears_target = rig.client, rig.target

    def from_client(data: bytes, lane: int = 0) -> bytes:
        client_said.extend(data)
        return hears_client(data, lane)

    def from_target(data: bytes, lane: int = 0) -> bytes:
        target_said.extend(data)
        return hears_target(data, lane)

    rig.client, rig.target = from_client, from_target  # type: ignore[method-assign] # to listen in
    client, target = H2Client(rig), H2Target(rig)
    client.ask([*GET, ("cookie", "a=b"), ("cookie", "c=d")])
    client.ask([*POST, ("te", "trailers")], b"abc")
    for stream, _ in target.requests():
        target.answer(stream, b"hi", ends=False)
        target.h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        target.flush()
    client.hear()
    client.flush()
    return bytes(client_said), bytes(target_said)


H2_REQUESTS, H2_ANSWERS = spoken()


@settings(max_examples=60)
@given(edits, edits, sizes)
def test_noise_in_http_2(client: list[tuple[int, int, bytes]], target: list[tuple[int, int, bytes]], size: int) -> None:
    rig = Rig(alpn="h2")
    drip(rig, edited(H2_REQUESTS, [(24 + at, cut, put) for at, cut, put in client]), edited(H2_ANSWERS, target), size)
    assert b"mitmproxy" not in rig.to_client
