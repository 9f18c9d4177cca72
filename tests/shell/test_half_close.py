"""Streams whose two directions end one by one, in the clear and in TLS, and streams that are cut."""

import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher

from hoopproxy.connection import Connection
from hoopproxy.flow import LULL_S
from hoopproxy.settings import Limits
from hoopproxy.sockets import unconfirmed_bytes
from tests.conftest import Spin

from .conftest import Pair
from .test_connection import LIMITS, Peers, client_options, result, server_options

MUCH = bytes(range(256)) * 16_384
"""More than a kernel takes in for a peer that does not read."""

ABORTED = ("ConnectionAborted", "ConnectionLost")
"""What Twisted says of connections that we aborted: the second in TLS."""

type Both = Callable[[], Awaitable[tuple[Connection, Connection]]]


@pytest.fixture(autouse=True)
def twisted_trips_over_nothing() -> Iterator[None]:
    tripped: list[LogEvent] = []

    def note(event: LogEvent) -> None:
        if event.get("isError"):
            tripped.append(event)

    globalLogPublisher.addObserver(note)
    yield
    globalLogPublisher.removeObserver(note)
    assert not tripped


@pytest.fixture
def peers(reactor: Any, spin: Spin) -> Iterator[Peers]:
    made = Peers(reactor, LIMITS)
    yield made
    spin(made.end())


@pytest.fixture(params=["clear", "tls"])
def both(request: pytest.FixtureRequest, peers: Peers, pair: Pair) -> Both:
    """Two ends of a connection, in the clear or in TLS."""

    async def make() -> tuple[Connection, Connection]:
        near, far = await peers.both()
        if request.param == "tls":
            shaking = Deferred.fromCoroutine(near.start_tls(client_options(pair), by_halves=True))
            await far.start_tls(server_options(pair), by_halves=True)
            await shaking
        return near, far

    return make


async def to_the_end(connection: Connection) -> bytes:
    """All that comes until the end of stream."""
    received = bytearray()
    while data := await connection.read():
        received += data
    return bytes(received)


async def say(connection: Connection, data: bytes) -> None:
    await connection.write(data)
    await connection.end()


@pytest.mark.parametrize("first", [0, 1])
def test_who_has_ended_still_hears_the_answer(both: Both, spin: Spin, first: int) -> None:
    async def scene() -> None:
        ends = await both()
        asks, answers = ends[first], ends[1 - first]
        asking = Deferred.fromCoroutine(say(asks, MUCH))
        assert await to_the_end(answers) == MUCH
        await asking
        answering = Deferred.fromCoroutine(say(answers, MUCH[::-1]))
        assert await to_the_end(asks) == MUCH[::-1]
        await answering
        for end in ends:
            end.cut()
            assert type(await end.lost.wait()).__name__ == "ConnectionDone"
            assert not end.is_broken

    spin(scene())


@pytest.mark.parametrize("has_ended", [False, True])
def test_who_hears_the_end_may_close_at_once(both: Both, spin: Spin, has_ended: bool) -> None:
    async def closes(connection: Connection) -> None:
        if has_ended:
            await connection.end()
        assert await connection.read() == b""
        connection.close()

    async def scene() -> None:
        near, far = await both()
        closing = Deferred.fromCoroutine(closes(near))
        await say(far, b"")
        await closing
        far.close()
        for end in (near, far):
            await end.lost.wait()
            assert not end.is_broken

    spin(scene())


def test_both_may_end_at_once(both: Both, spin: Spin) -> None:
    async def scene() -> None:
        near, far = await both()
        saying = [Deferred.fromCoroutine(say(end, MUCH)) for end in (near, far)]
        hearing = [Deferred.fromCoroutine(to_the_end(end)) for end in (near, far)]
        assert [await each for each in hearing] == [MUCH, MUCH]
        for each in saying:
            await each
        for end in (near, far):
            end.cut()
            await end.lost.wait()
            assert not end.is_broken

    spin(scene())


def test_an_end_waits_for_a_slow_reader_and_cuts_off_nothing(both: Both, peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        near, far = await both()
        await say(far, b"")
        assert await near.read() == b""
        await near.write(b"x" * 100_000)
        while near._room._is_full is False:
            near.send(MUCH)
        ending = Deferred.fromCoroutine(near.end())
        await peers.scheduler.sleep(LIMITS.drain_s_max * 2)
        assert result(ending) is ...
        received = await to_the_end(far)
        await ending
        assert received.endswith(MUCH) and not far.is_broken

    spin(scene())


def test_nothing_is_written_behind_an_end(both: Both, spin: Spin) -> None:
    async def scene() -> None:
        near, far = await both()
        await say(near, b"all")
        await near.end()
        await near.write(b"too late")
        assert await to_the_end(far) == b"all"

    spin(scene())


def test_a_connection_that_goes_lets_go_whoever_ends_it(both: Both, spin: Spin) -> None:
    async def scene() -> None:
        near, far = await both()
        while near._room._is_full is False:
            near.send(MUCH)
        ending = Deferred.fromCoroutine(near.end())
        assert result(ending) is ...
        far.abort()
        await near.lost.wait()
        await ending
        await near.end()
        assert near.is_broken and await near.read() == b""

    spin(scene())


def test_a_cut_is_a_reset_behind_all_that_was_written(both: Both, spin: Spin) -> None:
    async def scene() -> None:
        near, far = await both()
        await near.write(b"x" * 100_000)
        near.cut()
        assert await to_the_end(far) == b"x" * 100_000
        assert far.is_broken and type(await far.lost.wait()).__name__ == "ConnectionLost"
        assert not near.is_broken, "it was we who ended it"

    spin(scene())


def test_what_comes_before_a_cut_is_not_lost_to_a_slow_reader(reactor: Any, spin: Spin) -> None:
    peers = Peers(reactor, Limits(drain_s_max=20.0))

    async def scene() -> None:
        near, peer = await peers.to_socket()
        peers.sockets.append(peer)
        near.send(MUCH)
        near.cut()
        await peers.scheduler.sleep(LULL_S * 3)
        assert await until_reset(peers, peer) == len(MUCH)

    try:
        spin(scene())
    finally:
        spin(peers.end())


def test_nor_is_what_comes_before_an_end_if_a_cut_follows(reactor: Any, spin: Spin) -> None:
    peers = Peers(reactor, Limits(drain_s_max=20.0))

    async def scene() -> None:
        near, peer = await peers.to_socket()
        peers.sockets.append(peer)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await near.write(MUCH[:400_000])
        await near.end()
        near.cut()
        await peers.scheduler.sleep(LULL_S * 3)
        count = 0
        while data := await heard(peers, peer):
            count += len(data)
        assert count == 400_000

    try:
        spin(scene())
    finally:
        spin(peers.end())


async def heard(peers: Peers, peer: socket.socket) -> bytes:
    while True:
        try:
            return peer.recv(1 << 20)
        except BlockingIOError:
            await peers.scheduler.sleep(0)


async def until_reset(peers: Peers, peer: socket.socket) -> int:
    """How many bytes come before a reset."""
    count = 0
    with suppress(ConnectionResetError):
        while data := await heard(peers, peer):
            count += len(data)
        pytest.fail("an end of stream")
    return count


def test_a_cut_does_not_wait_for_who_goes_on_sending(both: Both, spin: Spin) -> None:
    async def scene() -> None:
        near, far = await both()

        async def floods() -> None:
            while not far.is_broken:
                await far.write(b"x" * 10_000)

        Deferred.fromCoroutine(floods())
        await near.read()
        near.cut()
        await far.lost.wait()
        assert type(await near.lost.wait()).__name__ in ABORTED

    spin(scene())


@pytest.mark.parametrize("has_ended", [False, True])
def test_only_one_end_of_stream_is_not_enough_for_a_cut_to_be_a_close(both: Both, spin: Spin, has_ended: bool) -> None:
    async def scene() -> None:
        near, far = await both()
        await (near if has_ended else far).end()
        assert await (far if has_ended else near).read() == b""
        near.cut()
        assert type(await near.lost.wait()).__name__ in ABORTED
        await far.write(b"x")  # who has heard an end hears of a reset no sooner
        assert type(await far.lost.wait()).__name__ == "ConnectionLost"

    spin(scene())


def test_a_reader_that_takes_nothing_is_cut_off_after_the_limit(peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        near, peer = await peers.to_socket()
        peers.sockets.append(peer)
        near.send(MUCH * 4)
        near.cut()
        assert type(await near.lost.wait()).__name__ == "ConnectionAborted"

    spin(scene())


# What other implementations do ----------------------------------------------------------------------------------------


async def shaken(peers: Peers, pair: Pair) -> tuple[Connection, "Bare"]:
    """A connection in TLS, and its peer, to be driven by hand."""
    connection, peer = await peers.to_socket()
    peers.sockets.append(peer)
    bare = Bare(peer, pair)
    shaking = Deferred.fromCoroutine(connection.start_tls(client_options(pair), by_halves=True))
    while not bare.shakes():
        await peers.scheduler.sleep(0)
    await shaking
    return connection, bare


class Bare:
    """The server of a TLS connection: TCP and TLS end when it says so."""

    def __init__(self, peer: socket.socket, pair: Pair) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.file)
        self.socket, self.came, self.goes = peer, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, server_side=True)

    def pump(self) -> None:
        if data := self.goes.read():
            self.socket.sendall(data)
        try:
            self.came.write(self.socket.recv(1 << 20))
        except BlockingIOError:
            pass

    def shakes(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.pump()
            return False
        self.pump()
        return True

    def notifies(self) -> None:
        """Its close_notify, without waiting for ours."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.pump()


def test_a_peer_may_end_its_tcp_behind_its_tls_and_still_hears(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        connection, bare = await shaken(peers, pair)
        bare.tls.write(b"asked")
        bare.notifies()
        bare.socket.shutdown(socket.SHUT_WR)
        assert await to_the_end(connection) == b"asked" and not connection.is_broken
        await peers.scheduler.sleep(0.05)
        await say(connection, b"answered")
        assert await connection.lost.wait() and not connection.is_broken
        bare.socket.setblocking(True)
        while chunk := bare.socket.recv(1000):
            bare.came.write(chunk)
        assert bare.tls.read() == b"answered"

    spin(scene())


def test_with_both_close_notifies_it_is_over(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        connection, bare = await shaken(peers, pair)
        await connection.end()
        bare.pump()
        bare.tls.unwrap()
        bare.pump()
        assert await connection.read() == b""
        assert type(await connection.lost.wait()).__name__ == "ConnectionDone" and not connection.is_broken

    spin(scene())


def test_a_peer_that_goes_after_its_end_is_missed_even_if_nobody_read(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        connection, bare = await shaken(peers, pair)
        bare.tls.write(b"asked")
        bare.notifies()  # in one segment, and there is no reader
        await peers.scheduler.sleep(0.05)
        assert await to_the_end(connection) == b"asked"
        bare.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bare.socket.close()
        await connection.lost.wait()

    spin(scene())


def test_tcp_that_ends_without_tls_s_last_word_is_broken(peers: Peers, spin: Spin, pair: Pair) -> None:
    """Whoever sits between could have ended it (RFC 8446 §6.1)."""

    async def scene() -> None:
        connection, bare = await shaken(peers, pair)
        bare.tls.write(b"the first half of")
        bare.pump()
        bare.socket.shutdown(socket.SHUT_WR)
        assert await to_the_end(connection) == b"the first half of" and connection.is_broken

    spin(scene())


def test_so_it_is_when_we_had_ended_before(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        connection, bare = await shaken(peers, pair)
        await connection.end()
        bare.socket.shutdown(socket.SHUT_WR)
        assert await connection.read() == b"" and connection.is_broken

    spin(scene())


def test_a_socket_that_is_gone_owes_nothing() -> None:
    with socket.socket() as gone:
        pass
    assert unconfirmed_bytes(gone) == 0
