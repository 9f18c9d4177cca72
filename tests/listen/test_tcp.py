"""Raw TCP's front door: who shows what, what a table may say, and how those leave who are not let in."""

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.defer import Deferred

from hoopproxy.errors import BrokenOff, ConfigError, ProtocolViolation, Refused
from hoopproxy.hands import in_thread
from hoopproxy.listen.server import Server
from hoopproxy.listen.tcp import TcpListener
from hoopproxy.proofs import HeldKey
from hoopproxy.rooms import IFrontend
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, ListenerSettings, Plaintext
from hoopproxy.testing.certificates import Authority, Leaf
from tests.conftest import Spin

from .conftest import Desk

LIMITS = Limits(drain_s_max=2.0)
NEAR = ListenerSettings(
    "cache", "tcp", (ip_address("127.0.0.1"), ip_address("::1")), 0, plaintext=Plaintext.LOOPBACK, target="cache"
)


def over_tls(leaf: Leaf, **more: Any) -> ListenerSettings:
    files = {"certificate_file": str(leaf.certificate_file), "key_file": str(leaf.key_file)}
    return replace(NEAR, plaintext=Plaintext.NEVER, **files, **more)


type Then = Callable[[IFrontend], Any]


@pytest.fixture
def desk(reactor: Any, authority: Authority) -> Any:
    """`async with desk(settings, then) as it`: a listener that runs."""

    @asynccontextmanager
    async def opened(settings: ListenerSettings, then: Then) -> AsyncIterator[Desk]:
        scheduler = TwistedScheduler(reactor)
        made = Desk(then, ca_file=str(authority.ca_file))
        server = Server(reactor, TcpListener(settings, LIMITS, scheduler), LIMITS, scheduler, made.serve)
        server.privilegedStartService()
        made.ports = {str(endpoint.address): endpoint.port for endpoint in server.endpoints}
        try:
            yield made
        finally:
            await server.stopService()

    return opened


async def says_hello(frontend: IFrontend) -> None:
    """As the relay does with one that answers and ends."""
    await frontend.welcome(None, None)  # type: ignore[arg-type] # it does not look at them
    heard = await frontend.read()
    await frontend.write(b"hello, " + heard)
    await frontend.end()
    while await frontend.read():
        pass


def visit(desk: Desk, leaf: Leaf | None = None, *, tls: bool = False, host: str = "127.0.0.1") -> bytes:
    """What comes back from "world"; whatever ends it otherwise is raised."""
    with socket.create_connection((host, desk.ports[host]), 10) as plain:
        client: socket.socket = plain
        if tls or leaf:
            context = ssl.create_default_context(cafile=desk.ca_file)
            if leaf:
                context.load_cert_chain(leaf.certificate_file, leaf.key_file)
            client = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
        with client:
            client.sendall(b"world")
            heard = b""
            while data := client.recv(100):
                heard += data
            return heard


def test_in_the_clear_nobody_shows_anything_and_all_reach_the_one_target(desk: Any, spin: Spin) -> None:
    async def scene() -> None:
        async with desk(replace(NEAR, account="app"), says_hello) as it:
            for host in ("127.0.0.1", "::1"):
                assert await in_thread("client", visit, it, host=host) == b"hello, world"
            (shown, _) = it.credentials
            assert (shown.target_name, shown.account, shown.database) == ("cache", "app", "")
            assert shown.key is None and shown.secret.reveal() == "" and shown.parent is None

    spin(scene())


def test_over_tls_it_is_the_same(desk: Any, spin: Spin, leaf: Leaf) -> None:
    async def scene() -> None:
        async with desk(over_tls(leaf), says_hello) as it:
            assert await in_thread("client", visit, it, tls=True) == b"hello, world"
            assert it.credentials[0].key is None

    spin(scene())


def test_a_client_s_certificate_is_what_it_shows(desk: Any, spin: Spin, leaf: Leaf, authority: Authority) -> None:
    mine = authority.issue("client", uris=("spiffe://example/client",))

    async def scene() -> None:
        async with desk(over_tls(leaf, client_ca_file=str(authority.ca_file)), says_hello) as it:
            assert await in_thread("client", visit, it, mine) == b"hello, world"
            certificate = x509.load_pem_x509_certificate(mine.certificate_file.read_bytes())
            assert it.credentials[0].key == HeldKey("x509", certificate.public_bytes(Encoding.DER))

    spin(scene())


def without_usage(directory: Path) -> tuple[Leaf, Path]:
    """A certificate that does not say what it is for, and its authority: itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "anything")])
    model = x509.load_pem_x509_certificate(Authority(directory / "model", "model").ca_file.read_bytes())
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    files = directory / "any.crt", directory / "any.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Leaf(*files, ""), files[0]


def test_a_certificate_that_is_for_anything_is_not_for_clients(
    desk: Any, spin: Spin, leaf: Leaf, tmp_path: Path
) -> None:
    mine, ca_file = without_usage(tmp_path)

    async def scene() -> None:
        async with desk(over_tls(leaf, client_ca_file=str(ca_file)), says_hello) as it:
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await in_thread("client", visit, it, mine)
            (why,) = it.failures
            assert isinstance(why, Refused) and why.reason == "credentials" and "clientAuth" in why.detail

    spin(scene())


@pytest.mark.parametrize("client", ["none", "expired", "of another authority", "a server's"])
def test_who_shows_no_good_certificate_is_refused_and_the_operator_learns_why(
    desk: Any, spin: Spin, leaf: Leaf, authority: Authority, tmp_path: Path, client: str
) -> None:
    made: dict[str, Callable[[], tuple[Leaf | None, str]]] = {
        "none": lambda: (None, "did not return a certificate"),
        "expired": lambda: (authority.issue("late", expired=True), "'CN=late' (number 0 of its chain) has expired"),
        "of another authority": lambda: (Authority(tmp_path, "x").issue("y"), "signed by nobody among the authorities"),
        "a server's": lambda: (authority.issue("srv", for_servers_only=True), "not meant for this end"),
    }
    mine, wanted = made[client]()

    async def scene() -> None:
        async with desk(over_tls(leaf, client_ca_file=str(authority.ca_file)), says_hello) as it:
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await in_thread("client", visit, it, mine, tls=True)
            (why,) = it.failures
            assert isinstance(why, ProtocolViolation) and why.side == "client" and wanted in why.detail

    spin(scene())


def garbles(it: Desk, sent: bytes) -> bytes:
    heard = b""
    with socket.create_connection(("127.0.0.1", it.ports["127.0.0.1"]), 10) as client, suppress(ConnectionError):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        while data := client.recv(100):
            heard += data
    return heard


@pytest.mark.parametrize("sent", [b"", b"PING\r\n", b"\x16\x03\x01\0\5hello"])
def test_what_is_no_tls_is_refused_where_it_is_wanted(desk: Any, spin: Spin, leaf: Leaf, sent: bytes) -> None:
    async def scene() -> None:
        async with desk(over_tls(leaf), says_hello) as it:
            assert b"hello" not in await in_thread("client", garbles, it, sent)
            assert isinstance(it.failures[0], ProtocolViolation)

    spin(scene())


def test_in_the_clear_it_is_the_machine_s_own_that_come_in_unless_all_may(desk: Any, spin: Spin) -> None:
    """A balancer's word that somebody is near is not enough: between it and us the bytes are in the clear."""
    away, near = b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\n", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"
    balanced = replace(NEAR, balancers=(ip_network("127.0.7.0/24"),))

    def visit_behind(it: Desk, header: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", it.ports["127.0.0.1"]), 10, ("127.0.7.1", 0)) as client:
            client.sendall(header + b"world")
            client.shutdown(socket.SHUT_WR)
            return client.recv(100)

    async def scene() -> None:
        async with desk(balanced, says_hello) as it:
            assert await in_thread("client", visit_behind, it, near) == b"hello, world"
            with pytest.raises(ConnectionError):
                await in_thread("client", visit_behind, it, away)
            (why,) = it.failures
            assert isinstance(why, Refused) and "own machine only" in why.sentence
        async with desk(replace(balanced, plaintext=Plaintext.ALWAYS), says_hello) as it:
            assert await in_thread("client", visit_behind, it, away) == b"hello, world"

    spin(scene())


@pytest.mark.parametrize("is_tls", [False, True])
def test_who_is_refused_hears_a_reset_and_no_end(desk: Any, spin: Spin, leaf: Leaf, is_tls: bool) -> None:
    async def refuses(frontend: IFrontend) -> None:
        await frontend.read()
        frontend.inform("Wait.")
        raise Refused("No.", reason="grant")

    async def scene() -> None:
        async with desk(over_tls(leaf) if is_tls else NEAR, refuses) as it:
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                await in_thread("client", visit, it, tls=is_tls)

    spin(scene())


@pytest.mark.parametrize("is_tls", [False, True])
def test_a_client_that_goes_amid_its_stream_is_told_from_one_that_ends(
    desk: Any, spin: Spin, leaf: Leaf, is_tls: bool
) -> None:
    outcomes: list[Any] = []
    over: Deferred[None] = Deferred()

    async def reads(frontend: IFrontend) -> None:
        await frontend.write(b"?")
        try:
            while data := await frontend.read():
                outcomes.append(data)
            outcomes.append("ended")
        except BrokenOff as why:
            outcomes.append(why.code)
        if not over.called:
            over.callback(None)

    def goes(it: Desk) -> None:
        with socket.create_connection(("127.0.0.1", it.ports["127.0.0.1"]), 10) as plain:
            context = ssl.create_default_context(cafile=it.ca_file)
            client = context.wrap_socket(plain, server_hostname="localhost") if is_tls else plain
            assert client.recv(1) == b"?"
            client.sendall(b"half")
            if not is_tls:  # there, to close it is to leave without close_notify
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

    async def scene() -> None:
        async with desk(over_tls(leaf) if is_tls else NEAR, reads) as it:
            await in_thread("client", goes, it)
            await over

    spin(scene())
    assert outcomes[-1] == "broken-off"


# What a table may say -------------------------------------------------------------------------------------------------


def problems(settings: ListenerSettings) -> str:
    with pytest.raises(ConfigError) as caught:
        TcpListener(settings, LIMITS, TwistedScheduler(None))  # type: ignore[arg-type] # nothing is timed
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"target": ""}, "listen.cache.target is missing"),
        ({"plaintext": Plaintext.NEVER}, "listen.cache.certificate is missing; wanted are certificate and key"),
        ({"certificate_file": "a.crt", "plaintext": Plaintext.NEVER}, "listen.cache.key is missing"),
        ({"key_file": "a.key", "plaintext": Plaintext.NEVER}, "listen.cache.certificate is missing"),
        ({"certificate_file": "a.crt", "key_file": "a.key"}, 'plaintext is "loopback", and there are files for TLS'),
        ({"client_ca_file": "ca.crt", "plaintext": Plaintext.ALWAYS}, 'plaintext is "always", and there are files'),
        ({"host_key_files": ("host",)}, "listen.cache.host_keys is set, which means nothing where tcp is spoken"),
    ],
)
def test_a_table_that_makes_no_sense_is_said_to(changes: dict[str, Any], wanted: str) -> None:
    assert wanted in problems(replace(NEAR, **changes))


@pytest.mark.parametrize("content", [None, "hello", "-----BEGIN CERTIFICATE-----\nMIIB\n"])
def test_an_authority_that_is_none_stops_the_start(leaf: Leaf, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    said = problems(over_tls(leaf, client_ca_file=str(file)))
    assert f"listen.cache.client_ca: {file} can't be used" in said
