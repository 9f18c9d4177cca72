"""Byte streams with back-pressure, over real sockets on loopback and over Twisted's transports in memory."""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.error import TimeoutError as Late
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from hoopproxy.connection import Connection, connect
from hoopproxy.errors import ProtocolViolation, UpstreamUnreachable
from hoopproxy.flow import LULL_S, LULL_S_MAX, STREAM_BYTES, TARGET_S_MAX
from hoopproxy.model import Endpoint, Side
from hoopproxy.rooms import IConnection
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.sockets import rtt_us
from tests.conftest import Spin
from tests.tls import Serving

from .conftest import Pair

LIMITS = Limits(drain_s_max=0.5, dial_s_max=5.0)


def result(deferred: "Deferred[Any]") -> Any:
    """What it came to by now; `...` when it still waits."""
    found: list[Any] = [...]

    def keep(value: Any) -> Any:
        found[0] = value
        return None if isinstance(value, Failure) else value

    deferred.addBoth(keep)
    return found[0]


# In memory ------------------------------------------------------------------------------------------------------------


class Memory:
    """A connection over a transport in memory: the test is the peer."""

    def __init__(self, host: str = "192.0.2.7", **limits: Any) -> None:
        self.clock = Clock()
        kind = IPv6Address if ":" in host else IPv4Address
        self.transport = StringTransport(peerAddress=kind("TCP", host, 40000))
        limits_ = replace(LIMITS, **limits)
        self.connection = Connection(Side.CLIENT, limits_, TwistedScheduler(self.clock), self.clock)
        self.connection.makeConnection(self.transport)

    def read(self) -> "Deferred[bytes]":
        return Deferred.fromCoroutine(self.connection.read())


def test_it_is_what_the_interface_says() -> None:
    assert verifyObject(IConnection, Memory().connection)


@pytest.mark.parametrize(
    ("host", "literal"),
    [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8::7", "2001:db8::7")],
)
def test_the_peer_is_a_literal_and_mapped_ones_are_unwrapped(host: str, literal: str) -> None:
    assert Memory(host).connection.peer == Endpoint(ip_address(literal), 40000)


def test_what_came_before_the_read_is_read_first_and_the_peer_waits_meanwhile() -> None:
    memory = Memory()
    memory.connection.dataReceived(b"one")
    assert memory.transport.producerState == "paused"
    assert result(memory.read()) == b"one"
    waiting = memory.read()
    assert memory.transport.producerState == "producing"
    memory.connection.dataReceived(b"two")
    assert result(waiting) == b"two" and memory.transport.producerState == "producing"
    memory.connection.dataReceived(b"three")
    assert memory.transport.producerState == "paused"


def test_a_reader_that_is_back_at_once_does_not_touch_the_poller() -> None:
    memory, seen = Memory(), list[bytes]()

    async def reads() -> None:
        while data := await memory.connection.read():
            seen.append(data)

    Deferred.fromCoroutine(reads())
    memory.transport.pauseProducing = None  # type: ignore[assignment] # nobody may call it
    for data in (b"a", b"b", b"c"):
        memory.connection.dataReceived(data)
    assert seen == [b"a", b"b", b"c"]


def test_chunks_are_cut_to_the_limit_and_what_was_unread_comes_first() -> None:
    memory = Memory(chunk_bytes_max=4)
    memory.connection.dataReceived(b"abcdef")
    assert result(memory.read()) == b"abcd"
    memory.connection.unread(b"cd")
    memory.connection.unread(b"")
    assert result(memory.read()) == b"cdef"


def test_only_one_may_read() -> None:
    memory = Memory()
    waiting = memory.read()
    assert isinstance(result(memory.read()).value, AssertionError)
    memory.connection.dataReceived(b"x")
    assert result(waiting) == b"x"


def test_a_cancelled_read_loses_no_byte() -> None:
    memory = Memory()
    waiting = memory.read()
    waiting.cancel()
    assert result(waiting).check(CancelledError)
    memory.connection.dataReceived(b"kept")
    assert result(memory.read()) == b"kept"


def test_after_the_end_of_stream_what_is_left_is_read_and_then_nothing() -> None:
    memory = Memory()
    memory.connection.dataReceived(b"last")
    memory.connection.readConnectionLost()
    assert [result(memory.read()) for _ in range(3)] == [b"last", b"", b""]


def test_a_write_waits_while_the_transport_is_full_and_resumes_no_more_than_there_is_room_for() -> None:
    memory = Memory()
    producer = memory.transport.producer
    assert producer is not None
    producer.pauseProducing()
    writes = [Deferred.fromCoroutine(memory.connection.write(data)) for data in (b"a", b"b")]
    assert [result(write) for write in writes] == [..., ...]
    writes[0].addCallback(lambda _: producer.pauseProducing())
    writes = [write.addCallback(lambda _: "done") for write in writes]
    producer.resumeProducing()
    assert [result(write) for write in writes] == ["done", ...]
    producer.resumeProducing()
    assert result(writes[1]) == "done"
    assert memory.transport.value() == b"ab"


def test_a_write_that_is_cancelled_is_no_longer_woken() -> None:
    memory = Memory()
    producer = memory.transport.producer
    assert producer is not None
    producer.pauseProducing()
    waiting = Deferred.fromCoroutine(memory.connection.write(b"a"))
    waiting.cancel()
    assert result(waiting).check(CancelledError)
    producer.resumeProducing()


def test_losing_the_connection_wakes_reader_writer_and_watcher_and_later_writes_are_dropped() -> None:
    memory = Memory()
    assert memory.transport.producer is not None
    memory.transport.producer.pauseProducing()
    lost = Deferred.fromCoroutine(memory.connection.lost.wait())
    write, read = Deferred.fromCoroutine(memory.connection.write(b"a")), memory.read()
    memory.connection.connectionLost(Failure(ConnectionLost()))
    assert result(write) is None and result(read) == b"" and isinstance(result(lost), ConnectionLost)
    assert result(Deferred.fromCoroutine(memory.connection.write(b"b"))) is None
    memory.connection.close()
    memory.connection.abort()
    assert memory.transport.value() == b"a" and memory.clock.getDelayedCalls() == []


def test_close_flushes_ends_reading_and_cuts_off_a_peer_that_does_not_take_it() -> None:
    memory = Memory()
    memory.connection.dataReceived(b"unread")
    reads = memory.read()
    memory.connection.send(b"bye")
    memory.connection.close()
    memory.connection.close()
    memory.connection.send(b"too late")
    memory.connection.dataReceived(b"thrown away")
    assert result(reads) == b"unread" and result(memory.read()) == b""
    assert memory.transport.value() == b"bye"
    for _ in range(5):  # as long as the peer sends, it reads nothing that comes after our end of stream
        memory.connection.dataReceived(b"thrown away")
        memory.clock.advance(LULL_S / 2)
        assert not memory.transport.disconnecting
    memory.clock.advance(LULL_S)
    assert memory.transport.disconnecting
    assert memory.transport.producer is None and memory.transport.producerState == "producing"
    assert not memory.transport.disconnected
    memory.clock.advance(LIMITS.drain_s_max)
    assert memory.transport.disconnected


@pytest.mark.parametrize(("side", "limit_s"), [(Side.CLIENT, 2.0), (Side.SERVER, TARGET_S_MAX)])
def test_who_is_dismissed_is_cut_off_much_sooner(side: Side, limit_s: float) -> None:
    memory = Memory(drain_s_max=10.0, goodbye_s_max=2.0)
    memory.connection.side = side
    memory.connection.send(b"bye")
    memory.connection.dismiss()
    memory.connection.close()
    memory.clock.advance(limit_s - 0.01)
    assert memory.transport.value() == b"bye" and memory.transport.disconnecting
    assert not memory.transport.disconnected
    memory.clock.advance(0.02)
    assert memory.transport.disconnected


def test_who_is_dismissed_and_sends_on_and_on_hears_an_end_all_the_same() -> None:
    memory = Memory(drain_s_max=10.0)
    memory.connection.close()
    memory.connection.dismiss()
    waited_s = 0.0
    while not memory.transport.disconnecting:
        memory.connection.dataReceived(b"on and on")
        memory.clock.advance(LULL_S / 4)
        waited_s += LULL_S / 4
    assert LULL_S < waited_s <= LULL_S_MAX + LULL_S / 4


# Over loopback --------------------------------------------------------------------------------------------------------


class Peers:
    """Makes connections over loopback, and closes whatever is left of them."""

    def __init__(self, reactor: Any, limits: Limits) -> None:
        self.reactor, self.limits = reactor, limits
        self.scheduler = TwistedScheduler(reactor)
        self.made: list[Connection] = []
        self.sockets: list[socket.socket] = []

    async def to_socket(self) -> tuple[Connection, socket.socket]:
        """A connection, and the plain non-blocking socket that is its peer."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            endpoint = Endpoint(ip_address("127.0.0.1"), listening.getsockname()[1])
            connection = await connect(self.reactor, endpoint, self.limits, self.scheduler)
            self.made.append(connection)
            peer, _ = listening.accept()
            peer.setblocking(False)
            return connection, peer

    async def both(self, host: str = "127.0.0.1") -> tuple[Connection, Connection]:
        """The client's end of one connection (towards a server) and the server's (towards a client)."""
        accepted: Deferred[Connection] = Deferred()

        class Accepts(Factory):
            noisy = False

            def buildProtocol(door, _: Any) -> Connection:  # `self` is the peers'
                made = Connection(Side.CLIENT, self.limits, self.scheduler, self.reactor)
                self.reactor.callLater(0, accepted.callback, made)
                return made

        port = self.reactor.listenTCP(0, Accepts(), interface=host)
        try:
            endpoint = Endpoint(ip_address(host), port.getHost().port)
            client = await connect(self.reactor, endpoint, self.limits, self.scheduler)
            self.made += [client, await accepted]
        finally:
            await port.stopListening()
        return client, self.made[-1]

    async def end(self) -> None:
        for each in self.sockets:
            each.close()
        for connection in self.made:
            connection.abort()
            await connection.lost.wait()


@pytest.fixture
def peers(reactor: Any, spin: Spin) -> Iterator[Peers]:
    made = Peers(reactor, LIMITS)
    yield made
    spin(made.end())


async def until(peers: Peers, condition: Callable[[], Any]) -> Any:
    """Turn the loop until it holds."""
    while not (found := condition()):
        await peers.scheduler.sleep(0)
    return found


def drained(peer: socket.socket) -> bytes | None:
    """What there is to read from a non-blocking socket; None at its end."""
    try:
        return peer.recv(1 << 20) or None
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_bytes_go_both_ways_and_the_kernel_tells_peer_and_round_trip(peers: Peers, spin: Spin, host: str) -> None:
    async def scene() -> None:
        client, server = await peers.both(host)
        await client.write(b"ping")
        assert await server.read() == b"ping"
        server.send(b"pong")
        assert await client.read() == b"pong"
        assert client.peer.address == server.peer.address == ip_address(host)
        assert (client.side, server.side) == (Side.SERVER, Side.CLIENT)
        assert client.tcp_rtt_us is not None and 0 < client.tcp_rtt_us < 5_000_000
        handle = client.transport.getHandle()  # type: ignore[union-attr] # a TCP transport
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    spin(scene())


def test_a_retransmitted_handshake_gives_no_round_trip() -> None:
    info = bytearray(104)
    struct.pack_into("=I", info, 68, 1234)
    assert rtt_us(bytes(info)) == 1234
    struct.pack_into("=I", info, 100, 1)
    assert rtt_us(bytes(info)) is None


def test_an_unread_chunk_stops_the_peer_and_memory_stays_flat(peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        with peer:
            sent = 0
            for _ in range(2000):
                try:
                    sent += peer.send(bytes(65536))
                except BlockingIOError:
                    await peers.scheduler.sleep(0)
            assert sum(map(len, connection._unread)) <= LIMITS.chunk_bytes_max  # the rest is the kernel's
            read = 0
            while read < sent:
                read += len(await connection.read())
            assert read == sent

    spin(scene())


def test_a_slow_reader_stops_the_writer_and_nothing_is_lost(peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        with peer:
            block, written, hashes = os.urandom(65536), 0, b""

            async def writes() -> None:
                nonlocal written
                for _ in range(400):
                    await connection.write(block)
                    written += len(block)

            writing = Deferred.fromCoroutine(writes())
            for _ in range(200):
                await peers.scheduler.sleep(0)
            stalled = written
            assert stalled < 400 * len(block)
            transport: Any = connection.transport
            assert len(transport.dataBuffer) + transport._tempDataLen <= 3 * LIMITS.chunk_bytes_max
            received = 0
            while received < 400 * len(block):
                data = await until(peers, lambda: drained(peer))
                hashes += data[:1]
                received += len(data)
            await writing
            assert received == written

    spin(scene())


def test_two_who_are_sent_much_are_read_in_turn_a_chunk_at_a_time(peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        chunks, order = 8, list[int]()
        connections = []
        for _ in range(2):
            connection, peer = await peers.to_socket()
            connections.append(connection)
            peers.sockets.append(peer)
            sent = 0
            while sent <= chunks * LIMITS.chunk_bytes_max:  # it lies in the kernel, ready for both
                try:
                    sent += peer.send(bytes(1 << 20))
                except BlockingIOError:
                    await peers.scheduler.sleep(0)

        async def reads(number: int) -> None:
            for _ in range(chunks):
                assert 0 < len(await connections[number].read()) <= LIMITS.chunk_bytes_max
                order.append(number)

        reading = [Deferred.fromCoroutine(reads(number)) for number in range(2)]
        for each in reading:
            await each
        ahead = 0
        for number in order:
            ahead += 1 if number else -1
            assert abs(ahead) <= 1, order

    spin(scene())


def test_a_stream_is_read_in_large_pieces_and_its_end_is_not_waited_for(peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()

        def wakes_at() -> int:
            return connection._tcp.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)

        async def sends(count: int) -> None:
            sent = 0
            while sent < count:
                try:
                    sent += peer.send(bytes(min(count - sent, 1 << 16)))
                except BlockingIOError:
                    await peers.scheduler.sleep(0)

        assert wakes_at() == 1
        sending = Deferred.fromCoroutine(sends(3 * STREAM_BYTES + 7))
        came, seen = 0, set[int]()
        while came < 3 * STREAM_BYTES + 7:
            came += len(await connection.read())
            seen.add(wakes_at())
        await sending
        assert seen == {1, LIMITS.chunk_bytes_max * 3 // 4}
        connection.send(b"next")
        assert wakes_at() == 1, "what is short is not waited for"
        await sends(7)
        assert await connection.read() == bytes(7)
        peer.close()

    spin(scene())


def test_a_half_closed_peer_can_still_be_answered(peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        with peer:
            peer.send(b"question")
            peer.shutdown(socket.SHUT_WR)
            assert [await connection.read(), await connection.read()] == [b"question", b""]
            await connection.write(b"answer")
            assert await until(peers, lambda: drained(peer)) == b"answer"
            connection.close()
            await connection.lost.wait()
            assert drained(peer) is None

    spin(scene())


def test_last_words_reach_a_peer_whose_own_bytes_nobody_read(peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        with peer:
            for _ in range(20):  # more than one chunk: the kernel holds the rest when we close
                try:
                    peer.send(bytes(65536))
                except BlockingIOError:
                    break
            await until(peers, lambda: connection._unread)
            connection.send(b"no, and why")
            connection.close()
            assert await until(peers, lambda: drained(peer)) == b"no, and why"
            await until(peers, lambda: drained(peer) is None)  # an end, not a reset
        await connection.lost.wait()

    spin(scene())


def test_a_peer_that_does_not_close_its_half_is_cut_off(peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        with peer:
            connection.close()
            reason = await connection.lost.wait()
            assert type(reason).__name__ == "ConnectionAborted"

    spin(scene())


def test_a_connection_lost_while_a_write_waits_lets_the_writer_go(peers: Peers, spin: Spin) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()

        async def floods() -> bytes:
            while not connection.lost._is_set:  # type: ignore[attr-defined] # a Signal
                await connection.write(bytes(1 << 20))
            return await connection.read()

        flooding = Deferred.fromCoroutine(floods())
        await peers.scheduler.sleep(0)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()  # a reset
        assert await flooding == b""

    spin(scene())


def test_a_port_where_nobody_listens_is_unreachable_with_a_detail_for_the_operator(peers: Peers, spin: Spin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    with pytest.raises(UpstreamUnreachable) as refused:
        spin(connect(peers.reactor, Endpoint(ip_address("127.0.0.1"), port), LIMITS, peers.scheduler))
    assert str(port) not in refused.value.sentence
    assert f"127.0.0.1:{port}" in refused.value.detail and "ConnectionRefusedError" in refused.value.detail


def test_a_dial_has_a_limit_and_can_be_cancelled() -> None:
    for end, wanted in (("advance", UpstreamUnreachable), ("cancel", CancelledError)):
        clock = MemoryReactorClock()
        endpoint = Endpoint(ip_address("192.0.2.1"), 5432)
        dialling = Deferred.fromCoroutine(connect(clock, endpoint, LIMITS, TwistedScheduler(clock)))
        host, port, factory, limit_s, _ = clock.tcpClients[0]
        assert (host, port, limit_s) == ("192.0.2.1", 5432, LIMITS.dial_s_max)
        if end == "cancel":
            dialling.cancel()
            assert clock.connectors[0].stoppedConnecting or clock.connectors[0]._disconnected
        else:
            factory.clientConnectionFailed(clock.connectors[0], Failure(Late()))
        assert result(dialling).check(wanted)


# TLS ------------------------------------------------------------------------------------------------------------------


def server_options(pair: Pair, protocols: list[bytes] | None = None) -> Any:
    key: Any = load_pem_private_key(pair.file.read_bytes(), None)
    certificate: Any = pair.certificate
    return Serving(privateKey=key, certificate=certificate, acceptableProtocols=protocols)


def client_options(pair: Pair, name: str = "localhost", protocols: list[bytes] | None = None) -> Any:
    trust: Any = trustRootFromCertificates  # Twisted's is not annotated
    authorities = trust([Certificate(X509.from_cryptography(pair.certificate))])
    return optionsForClientTLS(name, trustRoot=authorities, acceptableProtocols=protocols)


async def both_shaken(client: Connection, server: Connection, ours: Any, theirs: Any) -> list[Any]:
    """What the two handshakes came to."""
    shaking = [Deferred.fromCoroutine(server.start_tls(theirs)), Deferred.fromCoroutine(client.start_tls(ours))]
    outcomes = []
    for one in shaking:
        try:
            outcomes.append(await one)
        except ProtocolViolation as why:
            outcomes.append(why)
    return outcomes


def test_tls_in_both_roles_after_words_in_the_clear(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        client, server = await peers.both()
        await client.write(b"tls?")
        assert await server.read() == b"tls?"
        await server.write(b"S")
        assert await client.read() == b"S"
        ours, theirs = client_options(pair, protocols=[b"postgresql"]), server_options(pair, [b"postgresql"])
        assert await both_shaken(client, server, ours, theirs) == [None, None]
        assert client.alpn == server.alpn == b"postgresql"
        assert client.peer_certificate.to_cryptography() == pair.certificate and server.peer_certificate is None
        data = os.urandom(1_000_000)
        writing = Deferred.fromCoroutine(client.write(data))
        received = b""
        while len(received) < len(data):
            chunk = await server.read()
            assert 0 < len(chunk) <= LIMITS.chunk_bytes_max
            received += chunk
        await writing
        assert received == data
        server.send(b"bye")
        server.close()
        assert [await client.read(), await client.read()] == [b"bye", b""]
        reason = await server.lost.wait()
        assert type(reason).__name__ == "ConnectionDone"

    spin(scene())


def test_tls_from_the_first_byte_with_the_hello_already_read(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        client, server = await peers.both()
        shaking = Deferred.fromCoroutine(client.start_tls(client_options(pair)))
        hello = await server.read()
        assert hello[0] == 0x16
        server.unread(hello[5:])
        await server.start_tls(server_options(pair), hello[:5])
        await shaking
        client.send(b"in")
        assert await server.read() == b"in" and server.alpn is None

    spin(scene())


def test_bytes_in_the_clear_behind_the_word_for_tls_are_a_violation(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        with peer:
            peer.send(b"injected")
            await until(peers, lambda: connection._unread)
            with pytest.raises(ProtocolViolation) as refused:
                await connection.start_tls(client_options(pair))
            assert refused.value.side == "server" and "in the clear" in refused.value.detail

    spin(scene())


@pytest.mark.parametrize(
    ("name", "reason"),
    [("other.example", "VerificationError"), ("127.0.0.1", None), ("127.0.0.2", "VerificationError")],
)
def test_a_certificate_for_another_name_fails_on_both_sides(
    peers: Peers, spin: Spin, pair: Pair, name: str, reason: str | None
) -> None:
    async def scene() -> None:
        client, server = await peers.both()
        theirs, ours = await both_shaken(client, server, client_options(pair, name), server_options(pair))
        if reason is None:
            assert ours is theirs is None
        else:
            assert ours.side == "server" and reason in ours.detail and client.peer_certificate is None
            assert theirs is None or theirs.side == "client"

    spin(scene())


def test_a_verification_that_fails_as_the_handshake_ends_is_never_taken_for_success(
    peers: Peers, spin: Spin, pair: Pair
) -> None:
    class Pinned:
        """Finds at the last moment that the key is not the pinned one."""

        def clientConnectionForTLS(self, tls: Any) -> Any:
            made = client_options(pair).clientConnectionForTLS(tls)

            def seen(_: Any, where: int, __: int) -> None:
                if where & SSL.SSL_CB_HANDSHAKE_DONE:
                    tls.failVerification(Failure(ValueError("another key")))

            made.set_info_callback(seen)
            return made

    directlyProvides(pinned := Pinned(), IOpenSSLClientConnectionCreator)

    async def scene() -> None:
        client, server = await peers.both()
        _, ours = await both_shaken(client, server, pinned, server_options(pair))
        assert "another key" in ours.detail

    spin(scene())


def test_an_unknown_authority_fails_with_openssl_s_reason(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        client, server = await peers.both()
        _, ours = await both_shaken(client, server, optionsForClientTLS("localhost"), server_options(pair))
        assert "certificate verify failed" in ours.detail
        assert await client.read() == b""

    spin(scene())


def test_garbage_for_a_hello_fails_with_openssl_s_reason(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        with peer:
            shaking = Deferred.fromCoroutine(connection.start_tls(client_options(pair)))
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            with pytest.raises(ProtocolViolation) as refused:
                await shaking
        assert "OpenSSL: " in refused.value.detail and "wrong version number" in refused.value.detail

    spin(scene())


def test_a_peer_that_leaves_within_the_handshake_fails_it(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        shaking = Deferred.fromCoroutine(connection.start_tls(client_options(pair)))
        peer.close()
        with pytest.raises(ProtocolViolation):
            await shaking
        with pytest.raises(ProtocolViolation):
            await connection.start_tls(client_options(pair))

    spin(scene())


def test_a_handshake_that_is_cancelled_aborts_the_connection(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        connection, peer = await peers.to_socket()
        with peer:
            with pytest.raises(TimeoutError):
                await peers.scheduler.within(0.01, connection.start_tls(client_options(pair)))
            await connection.lost.wait()

    spin(scene())


def test_a_stalled_tls_reader_stops_the_writer(peers: Peers, spin: Spin, pair: Pair) -> None:
    async def scene() -> None:
        client, server = await peers.both()
        assert await both_shaken(client, server, client_options(pair), server_options(pair)) == [None, None]
        written = 0

        async def writes() -> None:
            nonlocal written
            for _ in range(400):
                await server.write(bytes(65536))
                written += 65536
            server.close()

        writing = Deferred.fromCoroutine(writes())
        for _ in range(200):
            await peers.scheduler.sleep(0)
        assert written < 400 * 65536
        received = 0
        while data := await client.read():
            received += len(data)
        await writing
        assert received == 400 * 65536

    spin(scene())
