"""The client and the clock of load tests, against a server that is a few lines long."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.testing.bare_client import Answer, BareClient, Refused, message, query
from hoopproxy.testing.load import Latencies, paced
from hoopproxy.testing.vitals import Vitals

ROWS = [message(b"D", b"\0\1" + bytes(size)) for size in (0, 4, 70_000)]
ERROR = message(b"E", b"SERROR\0C22012\0Mdivision by zero\0\0")
STREAM = message(b"T", b"columns") + b"".join(ROWS) + message(b"C", b"SELECT 3\0") + ERROR + message(b"Z", b"I")


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_an_answer_is_the_same_however_it_arrives(cuts: list[int]) -> None:
    answer, places = Answer(), sorted({0, *cuts, len(STREAM)})
    done = [answer.take(STREAM[at:end]) for at, end in pairwise(places)]
    assert [*done] == [False] * (len(done) - 1) + [True]
    assert (answer.rows, answer.row_bytes) == (3, sum(map(len, ROWS)))
    assert answer.crc32 == crc32(b"".join(ROWS))
    assert answer.tags == ["SELECT 3"]
    assert answer.errors == [{"S": "ERROR", "C": "22012", "M": "division by zero"}]
    assert answer.rest == b""


def test_what_follows_an_answer_is_kept_for_the_next() -> None:
    answer = Answer()
    assert answer.take(STREAM + ROWS[1] + b"D")
    assert answer.rest == ROWS[1] + b"D"


READY = message(b"Z", b"I")
WELCOME = message(b"R", struct.pack("!i", 0)) + message(b"K", bytes(8)) + READY


type Serve = Callable[[bytes], bytes]


@pytest.fixture
def listening() -> Iterator[Callable[[Serve], tuple[str, int]]]:
    """`listening(answer)`: the address of a server that says to each chunk of its clients what `answer` returns."""
    servers, threads = list[socket.socket](), list[threading.Thread]()

    def serve(client: socket.socket, answer: Serve) -> None:
        with client, suppress(OSError):
            while data := client.recv(4096):
                client.sendall(answer(data))

    def accept(server: socket.socket, answer: Serve) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threads.append(threading.Thread(target=serve, args=(client, answer), daemon=True))
                threads[-1].start()

    def listen(answer: Serve) -> tuple[str, int]:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threads.append(threading.Thread(target=accept, args=(server, answer), daemon=True))
        threads[-1].start()
        host, port = server.getsockname()
        return host, port

    yield listen
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
    for thread in threads:
        thread.join(10)


def test_each_client_asks_as_often_as_it_shall(listening: Callable[[Serve], tuple[str, int]]) -> None:
    asked = list[bytes]()

    def answer(data: bytes) -> bytes:
        if data[:1] != b"Q":
            return WELCOME
        asked.append(data)
        return ROWS[1] + READY

    address = listening(answer)
    clients = [BareClient(address) for _ in range(3)]
    for client in clients:
        client.log_in("reader", "plain")
        assert client.key == bytes(8)
    latencies = paced(clients, "SELECT 1", every_s=0.01, rounds=4)
    assert len(latencies.seconds) == 12
    assert asked == [query("SELECT 1")] * 12
    assert list(latencies.seconds) == sorted(latencies.seconds)
    for client in clients:
        client.close()


@pytest.mark.parametrize("said", [ERROR + READY, b""], ids=["an error", "an end"])
def test_load_fails_where_an_answer_does(listening: Callable[[Serve], tuple[str, int]], said: bytes) -> None:
    def answer(data: bytes) -> bytes:
        if data[:1] == b"Q" and not said:
            raise ConnectionError
        return said if data[:1] == b"Q" else WELCOME

    with BareClient(listening(answer)) as client:
        client.log_in("reader", "plain")
        with pytest.raises(RuntimeError, match="division" if said else "nothing more"):
            paced([client], "SELECT 1/0", every_s=1, rounds=1)


def test_a_refused_login_tells_why(listening: Callable[[Serve], tuple[str, int]]) -> None:
    with BareClient(listening(lambda _: ERROR)) as client, pytest.raises(Refused, match="division by zero"):
        client.log_in("reader", "plain")


def test_latencies_are_quantiles() -> None:
    latencies = Latencies(tuple(number / 1000 for number in range(1, 101)))
    assert latencies.quantile_s(0.5) == 0.05
    assert latencies.quantile_s(1) == 0.1
    assert str(latencies) == "p50 50.0 ms, p99 99.0 ms"


def test_vitals_of_this_process() -> None:
    import os

    vitals = Vitals(os.getpid())
    held = bytearray(os.urandom(1)) * (64 << 20)
    del held
    assert vitals.peak_bytes - vitals.rss_bytes > 32 << 20
    vitals.forget_peak()
    assert vitals.peak_bytes - vitals.rss_bytes < 16 << 20
    before = vitals.descriptors
    with open(os.devnull):
        assert vitals.descriptors == before + 1
    assert vitals.cpu_s > 0
