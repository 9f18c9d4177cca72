"""Bulk, slow readers, refused uploads and many requests over HTTP: all arrives, and memory stays where it is.

Times and memory are printed; bytes, errors and the growth of memory are asserted.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import perf_counter

import pytest

from hoopproxy.testing.http_stand import CLEAR
from hoopproxy.testing.http_target import digest_of
from tests.load.conftest import GROWTH_BYTES_MAX, MIB, Watched

from .conftest import WireScale, WireStand
from .test_wires import fetched, rate
from .web import MUCH_CREDIT, Behind, Http1, Http2, blocks

REFUSED_BYTES = 200_000_000
SENT_BYTES_MAX = 4_000_000
LANES_MAX = 16
# An answer that stalls fills the buffers of its stream, its lane and their TLS, and then it stands: about a MiB each.
STALLED_BYTES_MAX = 64 * int(1.5 * MIB)


@pytest.fixture
def another(stand: WireStand) -> Iterator[Callable[[], None]]:
    """Somebody else's request, each time on a connection that stays."""
    with Http1(stand, person="franz") as client:
        yield lambda: fetched(client)


# Bulk -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["clear", "web"])
def test_bulk_down_over_http_1(stand: WireStand, watched: Watched, wire_scale: WireScale, target: str) -> None:
    size, count, started_s = wire_scale.body_bytes, 0, perf_counter()
    with Http1(stand, target, **({"listener": CLEAR} if target == "clear" else {})) as client:
        client.socket.sendall(client.head(f"GET /bytes/{size}"))
        for piece in client.pieces():
            count += len(piece)
    assert count == size
    watched.tell(f"HTTP/1.1 down, {target}: {rate(size, started_s)}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


@pytest.mark.parametrize("target", ["clear", "web"])
def test_bulk_up_over_http_1(stand: WireStand, watched: Watched, wire_scale: WireScale, target: str) -> None:
    size, started_s = wire_scale.body_bytes, perf_counter()
    with Http1(stand, target, **({"listener": CLEAR} if target == "clear" else {})) as client:
        client.socket.sendall(client.head("PUT /upload", f"Content-Length: {size}"))
        for block in blocks(size):
            client.socket.sendall(block)
        status, body = client.answer()
    assert status == 200 and json.loads(body)["sha256"] == digest_of(size)
    watched.tell(f"HTTP/1.1 up, {target}: {rate(size, started_s)}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


@pytest.mark.parametrize("target", ["web", "old"])
def test_bulk_down_over_http_2(stand: WireStand, watched: Watched, wire_scale: WireScale, target: str) -> None:
    size, started_s = wire_scale.body_bytes, perf_counter()
    with Http2(stand, target, credit=1 << 20) as client:
        stream = client.begin("GET", f"/bytes/{size}")
        client.finish(stream)
        assert client.count[stream] == size
    watched.tell(f"HTTP/2 down, {target}: {rate(size, started_s)}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


@pytest.mark.parametrize("target", ["web", "old"])
def test_bulk_up_over_http_2(stand: WireStand, watched: Watched, wire_scale: WireScale, target: str) -> None:
    size, started_s = wire_scale.body_bytes, perf_counter()
    with Http2(stand, target) as client:
        stream = client.begin("PUT", "/upload", has_body=True)
        assert client.upload(stream, blocks(size)) == size
        client.finish(stream)
        assert client.status[stream] == "200"
    watched.tell(f"HTTP/2 up, {target}: {rate(size, started_s)}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


# Who takes nothing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["web", "old"])
@pytest.mark.parametrize("credit", [0, MUCH_CREDIT], ids=["no-credit", "no-reads"])
def test_readers_that_stall_over_http_2_hurt_only_themselves(
    stand: WireStand, another: Callable[[], None], watched: Watched, target: str, credit: int
) -> None:
    with ExitStack() as exits:
        another()
        watched.begin()
        for _ in range(8):
            client = exits.enter_context(Http2(stand, target, credit=credit, receive_bytes=4096))
            for _ in range(8):
                client.begin("GET", "/endless")
        for _ in range(100):
            another()
        watched.tell(f"eight clients of HTTP/2 with eight endless answers each, {target}, {credit=}")
    assert watched.grown_bytes < STALLED_BYTES_MAX


def test_readers_that_stall_over_http_1_hurt_only_themselves(
    stand: WireStand, another: Callable[[], None], watched: Watched
) -> None:
    with ExitStack() as exits:
        another()
        watched.begin()
        for _ in range(8):
            client = exits.enter_context(Http1(stand, receive_bytes=4096))
            client.socket.sendall(client.head("GET /endless"))
        for _ in range(100):
            another()
        watched.tell("eight clients of HTTP/1.1 that read nothing of an endless answer")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


@pytest.mark.parametrize("target", ["web", "old"])
def test_uploads_that_a_target_does_not_take_hurt_only_themselves(
    stand: WireStand, another: Callable[[], None], watched: Watched, target: str
) -> None:
    sent = 0
    with ExitStack() as exits:
        another()
        watched.begin()
        for _ in range(8):
            client = exits.enter_context(Http2(stand, target))
            for _ in range(8):
                sent += client.upload(client.begin("PUT", "/hush", has_body=True), blocks(20 * MIB), patience_s=0.05)
        for _ in range(100):
            another()
        watched.tell(f"64 uploads over HTTP/2 to {target}, which takes nothing: {sent / MIB:.1f} MiB were sent")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


# Uploads that are refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "listener"), [("clear", CLEAR), ("web", "web")], ids=["clear", "tls"])
def test_a_refused_upload_over_http_1_is_not_read(
    stand: WireStand, watched: Watched, target: str, listener: str
) -> None:
    with Http1(stand, target, listener=listener) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # or it is the kernel that takes it
        client.socket.sendall(client.head("PUT /vault", f"Content-Length: {REFUSED_BYTES}"))
        sent = client.send_while_welcome(blocks(REFUSED_BYTES))
        status, body = client.answer()
    assert status == 403 and b"Nobody may PUT /vault." in body
    watched.tell(f"a refused upload over HTTP/1.1, {target}: {sent / MIB:.1f} MiB were sent")
    assert sent < SENT_BYTES_MAX and watched.grown_bytes < GROWTH_BYTES_MAX


def test_a_refused_upload_over_http_2_is_not_read_and_its_connection_goes_on(
    stand: WireStand, watched: Watched
) -> None:
    with Http2(stand) as client:
        refused = client.begin("PUT", "/vault", has_body=True)
        sent = client.upload(refused, blocks(REFUSED_BYTES))
        client.finish(refused)
        assert client.status[refused] == "403"
        stream = client.begin("GET", "/customers/1")
        client.finish(stream)
        assert client.status[stream] == "200"
    watched.tell(f"a refused upload over HTTP/2: {sent / MIB:.1f} MiB were sent")
    assert sent < SENT_BYTES_MAX and watched.grown_bytes < GROWTH_BYTES_MAX


# Many -----------------------------------------------------------------------------------------------------------------


def test_requests_over_http_2_to_a_target_without_it_cost_no_dial_each(
    stand: WireStand, web: dict[str, Behind], watched: Watched
) -> None:
    dials, started_s = web["old"].connection_count, perf_counter()
    with Http2(stand, "old") as client:
        for _ in range(4):
            client.finish(*[client.begin("GET", "/customers/2") for _ in range(50)])
        assert list(client.status.values()) == ["200"] * 200
    dials = web["old"].connection_count - dials
    watched.tell(f"200 requests over HTTP/2 by {dials} dials in HTTP/1.1 within {perf_counter() - started_s:.1f} s")
    assert dials <= LANES_MAX


@pytest.mark.parametrize("has_asked", [False, True], ids=["first-head", "second-head"])
def test_heads_that_drip_are_cut_off_and_who_comes_meanwhile_is_served(
    stand: WireStand, watched: Watched, wire_scale: WireScale, has_asked: bool
) -> None:
    with ExitStack() as exits:
        dripping, started_s = list[Http1](), perf_counter()
        for number in range(wire_scale.drips // (5 if has_asked else 1)):
            source = f"127.0.0.{100 + number % 4}"
            client = exits.enter_context(Http1(stand, "clear", listener=CLEAR, source=source))
            if has_asked:
                client.ask("GET /customers/1")
            client.socket.sendall(client.head("GET /customers/1")[:20])
            dripping.append(client)
        while dripping:
            with Http1(stand, person="franz") as other:
                fetched(other)
            dripping = [client for client in dripping if _drips(client)]
        watched.tell(f"{wire_scale.drips} heads that drip, cut off within {perf_counter() - started_s:.1f} s")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def _drips(client: Http1) -> bool:
    """One more byte, if it is still there."""
    client.socket.setblocking(False)
    try:
        client.socket.send(b"x")
        while said := client.socket.recv(1 << 12):
            assert said
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    return False


# Stopping -------------------------------------------------------------------------------------------------------------


def test_a_gateway_that_stops_lets_live_requests_end(stand: WireStand, web: dict[str, Behind]) -> None:
    size, counts = MIB, list[int]()

    def goes_on(client: Http1) -> None:
        counts.append(sum(map(len, client.pieces())))

    try:
        with ExitStack() as exits:
            idle = [exits.enter_context(Http1(stand)) for _ in range(20)]
            for client in idle:
                client.ask("GET /customers/1")
            live = [exits.enter_context(Http1(stand, "clear", listener=CLEAR, receive_bytes=65536)) for _ in range(10)]
            several = exits.enter_context(Http2(stand))
            for client in live:
                client.socket.sendall(client.head(f"GET /bytes/{size}"))
                assert client.socket.recv(1, socket.MSG_PEEK) == b"H"
            streams = [several.begin("GET", f"/bytes/{size}") for _ in range(10)]
            while len(several.status) < len(streams):
                several.hear()
            stopping = threading.Thread(target=stand.gateway.stop)
            stopping.start()
            assert [client.socket.recv(100) for client in idle] == [b""] * len(idle)
            reading = [threading.Thread(target=goes_on, args=(client,)) for client in live]
            for thread in reading:
                thread.start()
            several.finish(*streams)
            for thread in (*reading, stopping):
                thread.join()
        assert counts == [size] * len(live) and [several.count[stream] for stream in streams] == [size] * len(streams)
    finally:
        stand.start()
