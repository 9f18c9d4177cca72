"""The way to ports of pods: through an API server that proves itself, as a person, in either dialect."""

import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, TextMessage
from zope.interface.verify import verifyObject

from hoopproxy.dial import pod as pod_dialer
from hoopproxy.dial.pod import PodDialer, PodPeer
from hoopproxy.errors import BrokenOff, ProtocolViolation, Refused, SessionError, UpstreamRefused, UpstreamUnreachable
from hoopproxy.model import Identity, Passage, Permit, Seal, Target, UpstreamTls
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IDialer, IPeer
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.targets import KubernetesTarget, PodTarget
from hoopproxy.testing.certificates import Authority, Leaf
from hoopproxy.testing.http_serving import Exchange, HttpServer
from hoopproxy.testing.kubernetes_ports import Ports
from hoopproxy.wire.http.port_forward import CHANNELS, TUNNEL
from hoopproxy.wire.http.resources import read
from tests.conftest import Spin

from .conftest import NAME, Way
from .rogue import Rogue, Script

LIMITS = Limits(dial_s_max=5.0, drain_s_max=1.0)
POD = "web-0"


@pytest.fixture
def dialer(reactor: Any) -> PodDialer:
    return PodDialer(reactor, LIMITS, TwistedScheduler(reactor))


@pytest.fixture
def target(way: Way, authority: Authority) -> Target:
    return replace(
        way.target,
        name="shop",
        protocol="pod",
        tls=UpstreamTls(NAME, str(authority.ca_file)),
        accounts={"people": "token", "nobody": ""},
        pod=PodTarget("prod", "default", POD, 5432, KubernetesTarget(users=("ada*",), groups=frozenset({"dba"}))),
    )


@dataclass
class Api:
    """An API server in front of pods, and a service in one of them that answers each line with the same in capitals."""

    server: HttpServer
    ports: Ports
    heard: list[bytes] = field(default_factory=list)


@pytest.fixture
def service() -> Iterator[int]:
    """A service that says back all that it hears in capitals, and ends when its client has."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while data := connection.recv(65536):
                connection.sendall(data.upper())
                if data.endswith(b"bye"):
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


@pytest.fixture(params=[TUNNEL, CHANNELS])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def api(leaf: Leaf, service: int, dialect: str) -> Iterator[Api]:
    ports = Ports({(POD, 5432): service, (POD, 1): 1}, (dialect,))

    async def answer(exchange: Exchange) -> None:
        path, _, query = exchange.arrived.target.partition("?")
        await ports(exchange, read("GET", path, query))

    with HttpServer(answer, (leaf.certificate_file, leaf.key_file)) as server:
        yield Api(server, ports)


def permit(target: Target, identity: Identity | None = None, account: str = "people") -> Permit:
    ada = Identity("https://id.example", "ada@example.com", "Ada", frozenset({"dba", "other"}), 9e9, "oidc")
    made = Way(None, target).permit(account)  # type: ignore[arg-type] # it dials nothing here
    return replace(made, identity=identity or ada)


@asynccontextmanager
async def forwarded(dialer: PodDialer, target: Target, token: str = "t0ken", **how: Any) -> AsyncIterator[PodPeer]:
    may = permit(target, **how)
    reached = await dialer.reach(may)
    passage = Passage(may, reached.measurements.peer, reached.measurements, (), Seal())
    try:
        peer = await dialer.login(reached, passage, TargetSecret("people", Secret(token)), frozenset())
    except SessionError:
        reached.abort()
        raise
    try:
        yield peer
    finally:
        peer.close()
        await peer._connection.lost.wait()


async def until_end(peer: PodPeer) -> bytes:
    heard = b""
    while data := await peer.read():
        heard += data
    return heard


async def exactly(peer: PodPeer, count: int) -> bytes:
    heard = b""
    while len(heard) < count:
        data = await peer.read()
        assert data, heard
        heard += data
    return heard


def to(target: Target, at: int, **pod: Any) -> Target:
    assert target.pod is not None
    return replace(target, port=at, pod=replace(target.pod, **pod))


def test_bytes_pass_both_ways(spin: Spin, dialer: PodDialer, target: Target, api: Api) -> None:
    data = bytes(range(64)) * 5000

    async def scene() -> None:
        async with forwarded(dialer, to(target, api.server.port)) as peer:
            assert verifyObject(IPeer, peer)
            await peer.write(b"hello")
            assert await exactly(peer, 5) == b"HELLO"
            await peer.write(data)
            assert await exactly(peer, len(data)) == data.upper()
            await peer.interrupt()

    assert verifyObject(IDialer, dialer)
    spin(scene())
    (asked,) = api.ports.asked
    assert asked == (POD, f"{TUNNEL}, {CHANNELS}")


def test_it_comes_as_the_person_with_the_gateways_token(
    spin: Spin, dialer: PodDialer, target: Target, api: Api
) -> None:
    async def scene(**how: Any) -> None:
        async with forwarded(dialer, to(target, api.server.port), **how):
            pass

    spin(scene())
    (arrived,) = api.server.arrived
    assert arrived.target == f"/api/v1/namespaces/default/pods/{POD}/portforward?ports=5432"
    assert (arrived.method, arrived.version) == ("GET", "HTTP/1.1")
    assert arrived.get("authorization") == "Bearer t0ken"
    claims = [each for each in arrived.fields if each[0].startswith("impersonate-")]
    assert claims == [("impersonate-user", "ada@example.com"), ("impersonate-group", "dba")]
    assert arrived.get("sec-websocket-protocol") == f"{TUNNEL}, {CHANNELS}"
    spin(scene(account="nobody"))
    assert api.server.arrived[-1].get("authorization") is None


def test_the_end_of_the_pods_stream_is_its_end(spin: Spin, dialer: PodDialer, target: Target, api: Api) -> None:
    async def scene() -> None:
        async with forwarded(dialer, to(target, api.server.port)) as peer:
            await peer.write(b"bye")
            assert await until_end(peer) == b"BYE"
            assert await peer.read() == b""

    spin(scene())


def test_the_clients_end_reaches_the_pod_where_the_dialect_can_say_it(
    spin: Spin, dialer: PodDialer, target: Target, api: Api, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the other the pod is quiet, after which the gateway leaves: here at once.
    monkeypatch.setattr(pod_dialer, "QUIET_S", 0.05 if dialect == CHANNELS else 3600.0)

    async def scene() -> None:
        async with forwarded(dialer, to(target, api.server.port)) as peer:
            await peer.write(b"hello")
            await peer.end()
            assert await until_end(peer) == b"HELLO"
            await peer.write(b"dropped")

    spin(scene())


def test_a_session_that_ends_meanwhile_leaves_no_timer(spin: Spin, dialer: PodDialer, target: Target, api: Api) -> None:
    async def scene() -> None:
        async with forwarded(dialer, to(target, api.server.port)) as peer:
            await peer.end()
            peer.abort()
            await peer.lost.wait()

    spin(scene())  # the reactor of the tests complains of what is left


def test_a_port_that_nobody_listens_on_is_told(spin: Spin, dialer: PodDialer, target: Target, api: Api) -> None:
    async def scene() -> None:
        async with forwarded(dialer, to(target, api.server.port, port=1)) as peer:
            with pytest.raises(UpstreamUnreachable) as caught:
                await until_end(peer)
            assert "does not answer on its port" in caught.value.sentence
            assert "connection refused" in caught.value.detail

    spin(scene())


def test_a_pod_that_is_not_there_is_told(spin: Spin, dialer: PodDialer, target: Target, api: Api) -> None:
    async def scene() -> None:
        async with forwarded(dialer, to(target, api.server.port, pod="web-9")):
            raise AssertionError

    with pytest.raises(UpstreamRefused) as caught:
        spin(scene())
    assert caught.value.sentence == "The cluster has no pod 'web-9' in namespace 'default'; check the names."
    assert 'pods \\"web-9\\" not found' in caught.value.detail


@pytest.mark.parametrize("name", ["eve@example.com", "system:admin", ""])
def test_who_may_not_come_there_is_never_asked_for(
    spin: Spin, dialer: PodDialer, target: Target, api: Api, name: str
) -> None:
    eve = Identity("https://id.example", name, name, frozenset(), 9e9, "oidc")

    async def scene() -> None:
        async with forwarded(dialer, to(target, api.server.port), identity=eve):
            raise AssertionError

    with pytest.raises(Refused, match="not among the users"):
        spin(scene())
    assert not api.server.arrived


def test_a_token_that_is_none_is_not_shown(spin: Spin, dialer: PodDialer, target: Target, api: Api) -> None:
    async def scene() -> None:
        async with forwarded(dialer, to(target, api.server.port), token="a\r\nb: c"):
            raise AssertionError

    with pytest.raises(UpstreamRefused, match="credential"):
        spin(scene())
    assert not api.server.arrived


# An API server that is none -------------------------------------------------------------------------------------------


def answers(leaf: Leaf, then: Callable[[ssl.SSLSocket], None]) -> Script:
    """Speaks TLS, reads the request and does as told."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(leaf.certificate_file, leaf.key_file)

    def script(connection: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError), context.wrap_socket(connection.dup(), server_side=True) as protected:
            then(protected)

    return script


def says(raw: bytes) -> Callable[[ssl.SSLSocket], None]:
    def then(connection: ssl.SSLSocket) -> None:
        connection.recv(65536)
        connection.sendall(raw)
        connection.unwrap()

    return then


def upgrades(*said: Any) -> Callable[[ssl.SSLSocket], None]:
    def then(connection: ssl.SSLSocket) -> None:
        machine = WSConnection(ConnectionType.SERVER)
        machine.receive_data(connection.recv(65536))
        list(machine.events())
        connection.sendall(machine.send(AcceptConnection(subprotocol=CHANNELS)))
        for each in said:
            connection.sendall(each if isinstance(each, bytes) else machine.send(each))
        connection.unwrap()

    return then


def status(code: int, body: bytes = b'{"message": "no"}') -> bytes:
    return b"HTTP/1.1 %d No\r\ncontent-length: %d\r\n\r\n%b" % (code, len(body), body)


@pytest.mark.parametrize(
    ("raw", "kind", "sentence"),
    [
        (status(401), UpstreamRefused, "did not accept the gateway's credential"),
        (status(403), UpstreamRefused, "does not let you forward ports of pod 'web-0'"),
        (status(404), UpstreamRefused, "has no pod 'web-0'"),
        (status(500, b"x" * 100_000), UpstreamUnreachable, "could not be reached"),
        (status(200, b""), UpstreamUnreachable, "could not be reached"),
        (b"HTTP/1.1 403 No\r\ncontent-length: 9\r\n\r\nshort", UpstreamRefused, "does not let you"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", UpstreamUnreachable, "could not be reached"),
        (b"HTTP/1.1 101 Yes\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", UpstreamUnreachable, "could not"),
        (b"HTTP/1.1 101 " + b"x" * 70_000, UpstreamUnreachable, "could not be reached"),
        (b"", UpstreamUnreachable, "could not be reached"),
    ],
)
def test_another_answer_is_a_no(
    spin: Spin, dialer: PodDialer, target: Target, leaf: Leaf, raw: bytes, kind: type[SessionError], sentence: str
) -> None:
    async def scene(port: int) -> None:
        async with forwarded(dialer, to(target, port)):
            raise AssertionError

    with Rogue(answers(leaf, says(raw))) as rogue, pytest.raises(kind) as caught:
        spin(scene(rogue.port))
    assert sentence in caught.value.sentence
    assert len(caught.value.detail) < 2000


@pytest.mark.parametrize("protocol", ["", "\r\nsec-websocket-protocol: v5.channel.k8s.io"])
def test_another_dialect_is_none(spin: Spin, dialer: PodDialer, target: Target, leaf: Leaf, protocol: str) -> None:
    def then(connection: ssl.SSLSocket) -> None:
        machine = WSConnection(ConnectionType.SERVER)
        machine.receive_data(connection.recv(65536))
        list(machine.events())
        head = machine.send(AcceptConnection()).removesuffix(b"\r\n\r\n")
        connection.sendall(head + protocol.encode() + b"\r\n\r\n")
        connection.unwrap()

    async def scene(port: int) -> None:
        async with forwarded(dialer, to(target, port)):
            raise AssertionError

    with Rogue(answers(leaf, then)) as rogue, pytest.raises(UpstreamUnreachable):
        spin(scene(rogue.port))


PORTS = BytesMessage(b"\0\x38\x15"), BytesMessage(b"\1\x38\x15")


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ((*PORTS, BytesMessage(b"\0hello"), CloseConnection(1000)), b"hello"),
        ((BytesMessage(b"\0\x38"), BytesMessage(b"\0\x15hel"), BytesMessage(b"\0lo"), CloseConnection(1000)), b"hello"),
        (
            (*PORTS, BytesMessage(b"\0hel", message_finished=False), BytesMessage(b"lo"), CloseConnection(1000)),
            b"hello",
        ),
        ((*PORTS, BytesMessage(b""), BytesMessage(b"\0"), BytesMessage(b"\0hello"), CloseConnection(1000)), b"hello"),
        ((*PORTS, BytesMessage(b"\0hello"), BytesMessage(b"\1gone"), CloseConnection(1000)), UpstreamUnreachable),
        ((*PORTS, BytesMessage(b"\0hello")), BrokenOff),
        ((*PORTS, BytesMessage(b"\2hello")), ProtocolViolation),
        ((*PORTS, TextMessage("hello")), ProtocolViolation),
        ((b"\xff\xff\xff\xff",), ProtocolViolation),
    ],
    ids=["whole", "cut", "fragments", "empty", "complaint", "no farewell", "channel", "text", "no frame"],
)
def test_what_the_cluster_says_is_the_pods_or_nothing(
    spin: Spin, dialer: PodDialer, target: Target, leaf: Leaf, said: Any, heard: Any
) -> None:
    async def scene(port: int) -> bytes:
        async with forwarded(dialer, to(target, port)) as peer:
            return await until_end(peer)

    with Rogue(answers(leaf, upgrades(*said))) as rogue:
        if isinstance(heard, bytes):
            assert spin(scene(rogue.port)) == heard
        else:
            with pytest.raises(heard):
                spin(scene(rogue.port))


def test_an_api_server_that_does_not_prove_itself_hears_nothing(
    spin: Spin, dialer: PodDialer, target: Target, api: Api
) -> None:
    assert target.tls is not None
    there = replace(to(target, api.server.port), tls=replace(target.tls, server_name="other.example"))

    async def scene() -> None:
        async with forwarded(dialer, there):
            raise AssertionError

    with pytest.raises(UpstreamUnreachable, match="did not prove"):
        spin(scene())
    assert not api.server.arrived


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"pod": None}, "pod is missing"),
        ({"tls": None}, "pod.cluster names prod, which has no tls"),
        ({"host_keys": frozenset({"SHA256:x"})}, "host_keys"),
        ({"databases": ("books",)}, "databases"),
    ],
)
def test_what_can_not_be_dialled_is_said_at_the_start(
    dialer: PodDialer, target: Target, changes: dict[str, Any], says: str
) -> None:
    said = dialer.unfit(replace(target, **changes))
    assert says in said and bool(said) == bool(says)
