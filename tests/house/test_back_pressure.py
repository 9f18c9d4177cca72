"""An end that stops reading stops the other one, and nobody else; over real sockets, in the clear and in TLS."""

import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL.crypto import X509
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from zope.interface import implementer

from hoopproxy.connection import Connection, connect
from hoopproxy.model import Arrival, Credentials, Endpoint, Side
from hoopproxy.proofs import Secret
from hoopproxy.rooms import IPeer
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.session import run
from hoopproxy.settings import Limits
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.house import CANARY, House, MemoryFrontend, MemoryPeer, canned_result, message, query
from tests.conftest import Spin
from tests.tls import Serving

LIMITS = Limits(drain_s_max=0.5)
HELD_BYTES_MAX = 4 * LIMITS.chunk_bytes_max
"""What a gateway may hold of one session that is stuck: an unread chunk and a full buffer on each side, and what TLS
keeps."""

LULL_TICKS, TICK_S = 20, 0.005
"""When nothing has moved for so long, all buffers are full."""

HOST = "127.0.0.1"
TAIL = message(b"C", b"SELECT 1\0") + message(b"Z", b"I")
ROW = message(b"D", b"\0\2\0\0\0\x011" + len(CANARY).to_bytes(4, "big") + CANARY)
HEAD = canned_result().removesuffix(ROW + TAIL)
COPY_IN = message(b"G", b"\0\0\1\0\0")
DATA = message(b"d", bytes(1000))


class Far:
    """The connection of a peer, in the place of a stream in memory."""

    connection: Connection

    async def read(self) -> bytes:
        return await self.connection.read()

    async def write(self, data: bytes) -> None:
        await self.connection.write(data)

    def close(self) -> None:
        self.connection.close()

    def abort(self) -> None:
        self.connection.abort()


class SocketFrontend(Far, MemoryFrontend):
    pass


@implementer(IPeer)
class SocketPeer(Far, MemoryPeer):
    pass


class Session:
    """A client and a target that are the test, and the gateway's two connections to them."""

    def __init__(self, client: Connection, near: Connection, target: socket.socket, far: Connection) -> None:
        self.client, self.near, self.target, self.far = client, near, target, far
        self.done: Deferred[None] | None = None

    @property
    def held_bytes(self) -> int:
        """What the gateway holds of it."""
        return sum(_held(each) for each in (self.near, self.far))


def _held(connection: Connection) -> int:
    transport: Any = connection.transport
    held = sum(map(len, connection._unread))
    if hasattr(transport, "_aggregator"):
        held += sum(map(len, transport._appSendBuffer)) + sum(map(len, transport._aggregator._buffer))
        transport = transport.transport
    return held + len(transport.dataBuffer) + transport._tempDataLen


class Scene:
    """A house on a real reactor."""

    def __init__(self, reactor: Any, authority: Authority) -> None:
        self.reactor, self.authority = reactor, authority
        self.house = House(limits=LIMITS, clock=reactor)
        self.scheduler = TwistedScheduler(reactor)
        self.sessions: list[Session] = []
        self._peers: list[SocketPeer] = []
        self.house.dialer.login = self._login  # type: ignore[method-assign] # to sockets

    async def _login(self, *_: Any) -> IPeer:
        peer: Any = self._peers.pop()
        return peer

    async def session(self, *, tls: bool = False) -> Session:
        """A client that is in."""
        client, near = await self._pair()
        with socket.create_server((HOST, 0)) as listening:
            endpoint = Endpoint(ip_address(HOST), listening.getsockname()[1])
            far = await connect(self.reactor, endpoint, LIMITS, self.scheduler)
            target, _ = listening.accept()
            target.setblocking(False)
        if tls:
            await self._shake(client, near)
        session = Session(client, near, target, far)
        self.sessions.append(session)
        peer = SocketPeer(b"")
        peer.connection = far
        self._peers.append(peer)
        arrival = Arrival(f"c{len(self.sessions)}", "pg", "postgres", near.peer, self.scheduler.now_s())
        frontend = SocketFrontend(arrival, Credentials("ledger", "reader", "", Secret("token")))
        frontend.connection = near
        session.done = Deferred.fromCoroutine(run(frontend, self.house.gateway))
        await self.until(lambda: frontend.welcomed)
        return session

    async def _pair(self) -> tuple[Connection, Connection]:
        accepted: Deferred[Connection] = Deferred()

        class Accepts(Factory):
            noisy = False

            def buildProtocol(door, _: Any) -> Connection:  # `self` is the scene
                return Connection(Side.CLIENT, LIMITS, self.scheduler, self.reactor, accepted.callback)

        port = self.reactor.listenTCP(0, Accepts(), interface=HOST)
        try:
            endpoint = Endpoint(ip_address(HOST), port.getHost().port)
            return await connect(self.reactor, endpoint, LIMITS, self.scheduler), await accepted
        finally:
            await port.stopListening()

    async def _shake(self, client: Connection, near: Connection) -> None:
        leaf = self.authority.issue("back-pressure", dns=("localhost",), ips=(HOST,))
        with open(leaf.certificate_file, "rb") as certificate, open(leaf.key_file, "rb") as key:
            ours = Serving(
                privateKey=load_pem_private_key(key.read(), None),
                certificate=load_pem_x509_certificate(certificate.read()),
            )
        with open(self.authority.ca_file, "rb") as ca:
            trusted = trustRootFromCertificates(
                [Certificate(X509.from_cryptography(load_pem_x509_certificate(ca.read())))]
            )
        shaking = Deferred.fromCoroutine(near.start_tls(ours))
        await client.start_tls(optionsForClientTLS("localhost", trusted))
        await shaking

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            await self.scheduler.sleep(0)

    async def lull(self, moves: Callable[[], int]) -> None:
        """Returns when nothing has moved for a while."""
        still, last = 0, -1
        while still < LULL_TICKS:
            await self.scheduler.sleep(TICK_S)
            moved = moves()
            still, last = (still + 1, last) if moved == last else (0, moved)

    async def asks(self, session: Session) -> int:
        """A query there and back; the bytes of the answer."""
        await session.client.write(query("SELECT 1"))
        await self.target_hears(session, b"SELECT 1")
        session.target.send(HEAD + ROW + TAIL)
        return await self.hears(session.client, TAIL)

    async def target_hears(self, session: Session, what: bytes) -> None:
        """Until the target has heard this."""
        heard = b""
        while what not in heard:
            try:
                heard += session.target.recv(65536)
            except BlockingIOError:
                await self.scheduler.sleep(0)

    async def hears(self, client: Connection, end: bytes) -> int:
        """Until this ends what the client has heard; how much that was."""
        heard, count = b"", 0
        while not heard.endswith(end):
            data = await client.read()
            assert data, "the gateway ended it"
            heard, count = heard[-len(end) :] + data, count + len(data)
        return count

    async def end(self) -> None:
        for session in self.sessions:
            session.client.abort()
            session.target.close()
            assert session.done is not None
            await session.done
            for each in (session.client, session.near, session.far):
                each.abort()
                await each.lost.wait()


@pytest.fixture
def scene(reactor: Any, spin: Spin, authority: Authority) -> Iterator[Scene]:
    made = Scene(reactor, authority)
    yield made
    spin(made.end())


class Pump:
    """Writes the same bytes to a socket over and over, as many as it takes, until told to stop; whole ones at last."""

    def __init__(self, send: Callable[[bytes], int], unit: bytes) -> None:
        self._send, self._unit = send, unit * 1000
        self._one, self._at, self.sent = len(unit), 0, 0

    def push(self) -> int:
        """As much as goes now; what has gone in all."""
        try:
            while True:
                count = self._send(memoryview(self._unit)[self._at :])  # type: ignore[arg-type] # bytes, uncopied
                self.sent += count
                self._at = (self._at + count) % len(self._unit)
        except BlockingIOError:
            return self.sent

    @property
    def rest(self) -> bytes:
        """What is missing to a whole one."""
        return self._unit[self._at : self._at + -self.sent % self._one]


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_a_client_that_stops_reading_stops_its_target_and_nobody_else(scene: Scene, spin: Spin, tls: bool) -> None:
    async def play() -> None:
        stuck, other = await scene.session(tls=tls), await scene.session(tls=tls)
        await stuck.client.write(query("SELECT much"))
        await scene.target_hears(stuck, b"much")
        stuck.target.send(HEAD)
        pump = Pump(stuck.target.send, ROW)
        held = 0

        def moves() -> int:
            nonlocal held
            held = max(held, stuck.held_bytes)
            return pump.push()

        await scene.lull(moves)
        assert pump.sent > 1_000_000 and held <= HELD_BYTES_MAX
        row_bytes = await scene.asks(other) - len(HEAD + TAIL)
        reading = Deferred.fromCoroutine(scene.hears(stuck.client, TAIL))
        whole, rest = pump.sent + len(pump.rest), bytearray(pump.rest + TAIL)
        while rest:
            try:
                del rest[: stuck.target.send(rest)]
            except BlockingIOError:
                await scene.scheduler.sleep(0)
        assert await reading == len(HEAD + TAIL) + whole // len(ROW) * row_bytes
        await scene.asks(stuck)

    spin(play())


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_a_target_that_stops_reading_stops_its_client_and_nobody_else(scene: Scene, spin: Spin, tls: bool) -> None:
    async def play() -> None:
        stuck, other = await scene.session(tls=tls), await scene.session(tls=tls)
        await stuck.client.write(query("COPY t FROM STDIN"))
        await scene.target_hears(stuck, b"STDIN")
        stuck.target.send(COPY_IN)
        await scene.hears(stuck.client, COPY_IN)
        sent = held = 0

        async def sends() -> None:
            nonlocal sent
            for _ in range(600):
                await stuck.client.write(DATA * 60)
                sent += 60 * len(DATA)
            await stuck.client.write(message(b"c", b""))

        sending = Deferred.fromCoroutine(sends())

        def moves() -> int:
            nonlocal held
            held = max(held, stuck.held_bytes)
            return sent

        await scene.lull(moves)
        await scene.asks(other)
        assert 1_000_000 < sent < 600 * 60 * len(DATA) and held <= HELD_BYTES_MAX
        received, done = 0, message(b"c", b"")
        while received < 600 * 60 * len(DATA) + len(done):
            try:
                received += len(stuck.target.recv(1 << 20))
            except BlockingIOError:
                await scene.scheduler.sleep(0)
        await sending
        stuck.target.send(message(b"C", b"COPY 1\0") + message(b"Z", b"I"))
        await scene.hears(stuck.client, message(b"Z", b"I"))

    spin(play())
