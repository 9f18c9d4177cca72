"""What lies in the machine while an end does not take its due: little, whatever the other end has to send."""

from collections.abc import Iterator

import pytest
from h2.events import DataReceived

from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.lanes import Frame, Kind
from hoopproxy.wire.http.machine import UNTAKEN_BYTES_MAX
from hoopproxy.wire.http.parsers import CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES

from .h2_ends import GET, POST, H2Client, H2Target
from .rig import Rig

PIECE = b"x" * 16384
HUNDRED_MB = 100_000_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HUNDRED_MB


def held(rig: Rig) -> int:
    """All bytes of bodies that lie anywhere in the machine."""
    wire = rig.wire
    client = wire._ends.client if wire._ends else None
    lanes = [lane.half for lane in wire._pool._lanes.values() if lane.half is not None]
    parts = [part for half in (client, *lanes) if half for part in half.parts]
    return (
        (client.buffered_bytes if client else 0)
        + sum(exchange.unsent_bytes() for exchange in wire._exchanges.values())
        + sum(len(getattr(part, "raw", b"")) for part in parts)
        + sum(len(frame.payload) for queue in wire._intake.values() for frame in queue)
    )


def paused(rig: Rig, lane: int = 0) -> bool:
    said = [frame.kind for frame in rig.said if frame.lane == lane and frame.kind in (Kind.PAUSE, Kind.RESUME)]
    return bool(said) and said[-1] is Kind.PAUSE


def test_a_stalled_h2_client_stops_its_lane_over_http_1() -> None:
    rig = Rig()
    client = H2Client(rig, stalled=True)
    client.ask()
    rig.target(HEAD)
    sent = 0
    while not paused(rig):
        rig.target(PIECE)
        sent += len(PIECE)
        assert sent < HUNDRED_MB
    assert held(rig) < 1 << 20 and len(rig.to_client) < 1 << 17
    client.hear()
    client.h2.increment_flow_control_window(1 << 20)
    client.h2.increment_flow_control_window(1 << 20, 1)
    client.flush()
    assert not paused(rig) and held(rig) == 0


def test_a_stalled_h2_client_stops_its_stream_over_http_2_and_no_other() -> None:
    rig = Rig(alpn="h2")
    client, target = H2Client(rig, stalled=True), H2Target(rig)
    client.h2.increment_flow_control_window(1 << 20)
    stalled = client.ask()
    other = client.ask()
    theirs = [stream for stream, _ in target.requests()]
    target.h2.send_headers(theirs[0], [(":status", "200")])
    sent = 0
    while target.h2.local_flow_control_window(theirs[0]) >= len(PIECE):
        target.h2.send_data(theirs[0], PIECE)
        target.flush()
        sent += len(PIECE)
        assert sent < HUNDRED_MB
    assert held(rig) <= STREAM_WINDOW_BYTES
    target.answer(theirs[1], b"hi")
    client.hear()
    assert client.body(other) == b"hi" and client.ended(other)
    before = target.h2.local_flow_control_window(theirs[0])
    client.h2.increment_flow_control_window(1 << 20, stalled)
    client.flush()
    target.hear()
    assert held(rig) == 0 and target.h2.local_flow_control_window(theirs[0]) > before


def test_many_stalled_streams_hold_no_more_than_one_connection_may() -> None:
    rig = Rig(alpn="h2")
    client, target = H2Client(rig, stalled=True), H2Target(rig)
    for _ in range(90):
        client.ask()
    for stream, _ in target.requests():
        target.h2.send_headers(stream, [(":status", "200")])
        while target.h2.local_flow_control_window(stream) >= len(PIECE):
            target.h2.send_data(stream, PIECE)
            target.flush()
    assert held(rig) <= CONNECTION_WINDOW_BYTES


def test_who_leaves_its_answers_is_not_asked_for_more() -> None:
    rig = Rig(limits=Limits(lanes_max=1))
    client = H2Client(rig, stalled=True)
    for _ in range(20):
        client.ask()
    for _ in range(20):
        rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
    assert held(rig) <= UNTAKEN_BYTES_MAX + 200_000 and rig.lanes[0].count(b"GET") < 10
    client.h2.increment_flow_control_window(1 << 24)
    for stream in range(1, 41, 2):
        client.h2.increment_flow_control_window(1 << 20, stream)
    client.flush()
    assert rig.lanes[0].count(b"GET") > 5


def test_a_stalled_target_over_http_2_stops_an_h2_clients_stream() -> None:
    rig = Rig(alpn="h2")
    client, target = H2Client(rig), H2Target(rig, stalled=True)
    stream = client.ask(POST, ends=False)
    ((theirs, _),) = target.requests()
    sent = 0
    while client.h2.local_flow_control_window(stream) >= len(PIECE):
        client.h2.send_data(stream, PIECE)
        client.flush()
        target.flush()
        sent += len(PIECE)
        assert sent < HUNDRED_MB
    assert held(rig) <= STREAM_WINDOW_BYTES and sent <= STREAM_WINDOW_BYTES + 65535
    target.h2.increment_flow_control_window(1 << 20, theirs)
    target.h2.increment_flow_control_window(1 << 20)
    target.flush()
    assert held(rig) == 0
    client.hear()
    assert client.h2.local_flow_control_window(stream) >= STREAM_WINDOW_BYTES // 2


def test_a_stalled_target_over_http_2_stops_a_client_of_http_1() -> None:
    rig = Rig(alpn="h2")
    target = H2Target(rig, stalled=True)
    rig.client(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % HUNDRED_MB)
    ((theirs, _),) = target.requests()
    sent = 0
    while not rig.step.pause:
        rig.client(PIECE)
        sent += len(PIECE)
        assert sent < HUNDRED_MB
    assert held(rig) < 1 << 20
    target.h2.increment_flow_control_window(1 << 20, theirs)
    target.h2.increment_flow_control_window(1 << 20)
    target.flush()
    assert not rig.step.pause and held(rig) == 0


def test_an_upload_that_waits_for_a_lane_opens_no_window() -> None:
    rig = Rig(limits=Limits(lanes_max=1))
    client = H2Client(rig)
    client.ask()
    stream = client.ask(POST, ends=False)
    while client.h2.local_flow_control_window(stream) >= len(PIECE):
        client.h2.send_data(stream, PIECE)
        client.flush()
    assert held(rig) <= STREAM_WINDOW_BYTES
    rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert held(rig) == 0
    client.hear()
    assert client.h2.local_flow_control_window(stream) >= STREAM_WINDOW_BYTES // 2


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_a_long_answer_passes_a_client_that_takes_it(alpn: str) -> None:
    rig = Rig(alpn=alpn)
    client = H2Client(rig)
    target = H2Target(rig) if alpn == "h2" else None
    stream = client.ask()
    total = 4_000_000
    if target is None:
        rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
    else:
        ((theirs, _),) = target.requests()
        target.h2.send_headers(theirs, [(":status", "200")])
    left = total
    while left:
        piece = PIECE[:left]
        if target is None:
            rig.target(piece)
        else:
            target.h2.send_data(theirs, piece, end_stream=left == len(piece))
            target.flush()
        left -= len(piece)
        client.hear()
        client.flush()
        if target is not None:
            target.flush()
        assert held(rig) < 1 << 20
    assert sum(len(e.data) for e in client.events if isinstance(e, DataReceived)) == total and client.ended(stream)


def drips(rig: Rig, count: int) -> Iterator[None]:
    for _ in range(count):
        rig.target(b"1\r\nx\r\n")
        yield


def test_a_body_that_drips_into_a_closed_window_is_kept_joined() -> None:
    rig = Rig()
    client = H2Client(rig, stalled=True)
    client.ask()
    rig.target(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(5):
        rig.target(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
    while client.h2.remote_flow_control_window(1) > 0 and held(rig) == 0:
        rig.target(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
    for _ in drips(rig, 3000):
        pass
    waiting = rig.wire._ends.client._layer.h2_conn.stream_buffers[1]  # type: ignore[union-attr]
    assert len(waiting) <= 2


def test_a_window_that_shrinks_below_nothing_sends_nothing() -> None:
    rig = Rig()
    client = H2Client(rig, stalled=True)
    client.ask()
    rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 30_000)
    client.hear()
    client.h2.update_settings({4: 1000})  # INITIAL_WINDOW_SIZE
    client.flush()
    rig.target(b"y" * 30_000)
    client.hear()
    assert client.body(1) == b"x" * 30_000 and held(rig) == 30_000
    client.h2.increment_flow_control_window(1 << 20, 1)
    client.flush()
    client.hear()
    assert client.body(1) == b"x" * 30_000 + b"y" * 30_000


def test_a_lane_that_was_paused_is_read_again_when_its_request_is_given_up() -> None:
    rig = Rig()
    client = H2Client(rig, stalled=True)
    client.ask()
    rig.target(HEAD)
    while not paused(rig):
        rig.target(PIECE)
    client.h2.reset_stream(1)
    client.flush()
    assert rig.said[-1] == Frame(Kind.CLOSED, 0) and held(rig) == 0 and GET


def test_pings_and_settings_are_answered_within_what_was_read() -> None:
    rig = Rig()
    client = H2Client(rig)
    before = len(rig.to_client)
    for _ in range(1000):
        client.h2.ping(b"12345678")
    client.flush()
    assert len(rig.to_client) - before == 1000 * 17 and rig.asks == {} and Side.CLIENT not in rig.step.pause
