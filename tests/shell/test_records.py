"""What is written goes out at once and in order, in the clear and in TLS; what came in many records is one read."""

import os
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.defer import Deferred

from hoopproxy.connection import Connection
from hoopproxy.records import Records
from tests.conftest import Spin

from .conftest import Pair
from .test_connection import LIMITS, Peers, client_options, drained, server_options

type Both = Callable[[], Awaitable[tuple[Connection, Connection]]]


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
            shaking = Deferred.fromCoroutine(near.start_tls(client_options(pair)))
            await far.start_tls(server_options(pair))
            await shaking
        return near, far

    return make


# Without a reactor ----------------------------------------------------------------------------------------------------


class Scripted:
    """pyOpenSSL's connection, as far as it receives: pieces and errors, in their order."""

    def __init__(self, *script: bytes | SSL.Error) -> None:
        self.script = [*script]

    def clientConnectionForTLS(self, _: Any) -> Any:
        return self

    def recv(self, _: int) -> bytes:
        match self.script.pop(0):
            case bytes() as piece:
                return piece
            case error:
                raise error

    def get_servername(self) -> bytes:
        return b"name"


def test_all_records_that_came_are_one_piece_and_what_ended_them_comes_behind() -> None:
    for end in (SSL.WantReadError(), SSL.ZeroReturnError(), SSL.Error([("lib", "", "bad record mac")])):
        tls = Records(Scripted(b"one ", b"two ", b"three", end, b"four", SSL.WantReadError())).clientConnectionForTLS(
            None
        )
        assert tls.recv(4) == b"one two three"
        with pytest.raises(type(end)) as raised:
            tls.recv(4)
        assert raised.value is end
        assert tls.recv(4) == b"four"


def test_an_end_with_nothing_before_it_is_told_at_once() -> None:
    tls = Records(Scripted(SSL.ZeroReturnError(), b"on")).clientConnectionForTLS(None)
    with pytest.raises(SSL.ZeroReturnError):
        tls.recv(4)


def test_all_else_is_pyopenssl_s() -> None:
    assert Records(Scripted()).clientConnectionForTLS(None).get_servername() == b"name"


# Over loopback --------------------------------------------------------------------------------------------------------


def test_what_is_written_is_with_the_kernel_before_the_loop_turns_and_last_words_are_not(
    peers: Peers, spin: Spin
) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        peers.sockets.append(peer)
        writing = connection.write(b"now")
        with pytest.raises(StopIteration):
            writing.send(None)  # it waits for nothing
        assert drained(peer) == b"now"
        connection.send(b"last ")
        assert drained(peer) == b""
        await connection.write(b"words")
        assert drained(peer) == b"", "what waits goes first"
        while not (heard := drained(peer)):
            await peers.scheduler.sleep(0)
        assert heard == b"last words"

    spin(scene())


def test_order_is_kept_however_it_is_written(both: Both, spin: Spin) -> None:
    async def scene() -> None:
        near, far = await both()
        data = os.urandom(3_000_000)
        cuts = [0, 7, 8, 300_000, 300_001, 316_385, 1_500_000, 1_500_016, len(data)]
        pieces = [data[start:end] for start, end in pairwise(cuts)]

        async def writes() -> None:
            for number, piece in enumerate(pieces):
                if number % 3 == 1:
                    near.send(piece)
                else:
                    await near.write(piece)

        writing = Deferred.fromCoroutine(writes())
        received = bytearray()
        while len(received) < len(data):
            chunk = await far.read()
            assert 0 < len(chunk) <= LIMITS.chunk_bytes_max
            received += chunk
        await writing
        assert received == data

    spin(scene())


def test_nothing_goes_out_behind_an_abort_or_our_own_end(both: Both, spin: Spin) -> None:
    async def scene() -> None:
        near, far = await both()
        await near.write(b"before")
        assert await far.read() == b"before"
        near.abort()
        await near.write(b"behind")
        assert await far.read() == b""
        near, far = await both()
        ending = Deferred.fromCoroutine(near.end())
        await near.write(b"behind")
        assert await far.read() == b""
        far.abort()
        await ending

    spin(scene())


def test_what_is_written_amid_a_handshake_comes_in_order_behind_it(peers: Peers, pair: Pair, spin: Spin) -> None:
    async def scene() -> None:
        near, far = await peers.both()
        shaking = Deferred.fromCoroutine(near.start_tls(client_options(pair)))
        near.send(b"early ")
        await far.start_tls(server_options(pair))
        await shaking
        await near.write(b"and late")
        heard = b""
        while len(heard) < len(b"early and late"):
            heard += await far.read()
        assert heard == b"early and late"

    spin(scene())
