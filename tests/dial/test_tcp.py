"""The way to raw TCP targets: in the clear or in TLS that is verified, to the judged address and to no other."""

import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from hoopproxy.dial.tcp import TcpDialer, TcpPeer
from hoopproxy.errors import BrokenOff, UpstreamUnreachable
from hoopproxy.masks import NO_CATALOG
from hoopproxy.model import Endpoint, Passage, Seal, Target, UpstreamTls
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IDialer, IPeer
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.certificates import Authority, Leaf
from tests.conftest import Spin

from .conftest import LOOPBACK, NAME, Way
from .rogue import Rogue, Script, drain

LIMITS = Limits(dial_s_max=5.0, drain_s_max=1.0)


@pytest.fixture
def dialer(reactor: Any) -> TcpDialer:
    return TcpDialer(reactor, LIMITS, TwistedScheduler(reactor))


@pytest.fixture
def clear(way: Way, dialer: TcpDialer) -> Way:
    """To a raw TCP target in the clear; `to(port)` says where it is."""
    made: Any = dialer
    return Way(made, replace(way.target, protocol="tcp", tls=None, accounts={"any": ""}))


@pytest.fixture
def over_tls(clear: Way, authority: Authority) -> Way:
    return replace(clear, target=replace(clear.target, tls=UpstreamTls(NAME, str(authority.ca_file))))


def echoes(leaf: Leaf | None = None) -> Script:
    """Says back what it hears, and ends when its client has."""

    def echo(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            connection.sendall(data)

    def script(connection: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError):
            if leaf is None:
                echo(connection)
                connection.shutdown(socket.SHUT_WR)
                return
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(leaf.certificate_file, leaf.key_file)
            with connection.dup() as bare, context.wrap_socket(bare, server_side=True) as protected:
                echo(protected)
                protected.unwrap()

    return script


async def peer_of(way: Way, dialer: TcpDialer) -> TcpPeer:
    permit = way.permit("any")
    reached = await dialer.reach(permit)
    passage = Passage(permit, reached.measurements.peer, reached.measurements, (), Seal())
    return await dialer.login(reached, passage, TargetSecret("any", Secret("")), frozenset())


async def said(peer: TcpPeer) -> bytes:
    heard = b""
    while data := await peer.read():
        heard += data
    return heard


def test_it_is_what_the_interfaces_say(spin: Spin, dialer: TcpDialer, clear: Way) -> None:
    assert verifyObject(IDialer, dialer)

    async def scene() -> None:
        with Rogue(echoes()) as echo:
            peer = await peer_of(clear.to(echo.port), dialer)
            assert verifyObject(IPeer, peer) and peer.greeting is None and peer.catalog is NO_CATALOG
            await peer.interrupt()
            peer.abort()
            await peer.lost.wait()

    spin(scene())


@pytest.mark.parametrize("is_tls", [False, True])
def test_bytes_and_the_end_of_stream_go_there_and_come_back(
    spin: Spin, dialer: TcpDialer, clear: Way, over_tls: Way, leaf: Leaf, is_tls: bool
) -> None:
    data = bytes(range(256)) * 4000

    async def scene() -> None:
        with Rogue(echoes(leaf if is_tls else None)) as echo:
            peer = await peer_of((over_tls if is_tls else clear).to(echo.port), dialer)
            await peer.write(data[:100_000])
            await peer.end()
            assert await said(peer) == data[:100_000]
            peer.close()
            assert type(await peer.lost.wait()).__name__ == "ConnectionDone"

    spin(scene())


def test_what_is_measured_is_the_peer_and_its_key_if_it_has_one(
    spin: Spin, dialer: TcpDialer, clear: Way, over_tls: Way, leaf: Leaf
) -> None:
    async def measured(way: Way) -> Any:
        reached = await dialer.reach(way.permit("any"))
        reached.abort()
        return reached.measurements

    with Rogue(echoes()) as echo:
        found = spin(measured(clear.to(echo.port)))
        assert (found.peer, found.spki_sha256) == (Endpoint(LOOPBACK, echo.port), "")
    with Rogue(echoes(leaf)) as echo:
        found = spin(measured(over_tls.to(echo.port)))
        assert (found.peer, f"sha256:{found.spki_sha256}") == (Endpoint(LOOPBACK, echo.port), leaf.spki_pin)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"server_name": "other.example"}, "wanted is 'other.example'"),
        ({"ca_file": None, "pins": frozenset({"sha256:" + "0" * 64})}, "not among the pins"),
        ({"ca_file": "/nowhere/ca.pem"}, "can't be read"),
    ],
)
def test_a_target_that_does_not_prove_itself_hears_nothing(
    spin: Spin, dialer: TcpDialer, over_tls: Way, leaf: Leaf, changes: dict[str, Any], wanted: str
) -> None:
    heard: list[bytes] = []

    def listens(connection: socket.socket) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(leaf.certificate_file, leaf.key_file)
        with (
            suppress(OSError),
            connection.dup() as bare,
            context.wrap_socket(bare, server_side=True) as protected,
        ):
            heard.append(protected.recv(100))

    assert over_tls.target.tls is not None
    other = replace(over_tls, target=replace(over_tls.target, tls=replace(over_tls.target.tls, **changes)))
    with Rogue(listens) as rogue, pytest.raises(UpstreamUnreachable) as caught:
        spin(peer_of(other.to(rogue.port), dialer))
    assert wanted in caught.value.detail and not any(heard)


def test_a_target_without_tls_is_not_reached_where_it_must_prove_itself(
    spin: Spin, dialer: TcpDialer, over_tls: Way
) -> None:
    def greets(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        drain(connection)

    with Rogue(greets) as rogue, pytest.raises(UpstreamUnreachable, match="did not prove"):
        spin(peer_of(over_tls.to(rogue.port), dialer))


def test_nobody_there_is_told_in_a_sentence(spin: Spin, dialer: TcpDialer, clear: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UpstreamUnreachable, match="could not be reached"):
        spin(peer_of(clear.to(port), dialer))


def test_the_next_address_is_tried(spin: Spin, dialer: TcpDialer, clear: Way) -> None:
    async def scene() -> None:
        with Rogue(echoes()) as echo:
            permit = replace(clear.to(echo.port).permit("any"), addresses=(ip_address("127.0.0.9"), LOOPBACK))
            reached = await dialer.reach(permit)
            assert reached.measurements.peer.address == LOOPBACK
            reached.abort()

    spin(scene())


def test_a_target_that_breaks_off_is_told_from_one_that_ends(spin: Spin, dialer: TcpDialer, clear: Way) -> None:
    def breaks(connection: socket.socket) -> None:
        connection.sendall(b"half")
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    async def scene() -> None:
        peer = await peer_of(clear.to(rogue.port), dialer)
        assert await peer.read() == b"half"
        await peer.write(b"?")
        with pytest.raises(BrokenOff, match="target"):
            await peer.read()

    with Rogue(breaks) as rogue:
        spin(scene())


@pytest.fixture(params=["host_keys", "databases", "accounts"])
def unfit(request: pytest.FixtureRequest, clear: Way) -> tuple[Target, str]:
    changes: dict[str, Any] = {
        "host_keys": {"host_keys": frozenset({"SHA256:" + "A" * 43})},
        "databases": {"databases": ("books",)},
        "accounts": {"accounts": {"any": "", "other": "vault-entry"}},
    }[request.param]
    return replace(clear.target, **changes), request.param


def test_what_means_nothing_in_targets_toml_is_said(dialer: TcpDialer, unfit: tuple[Target, str]) -> None:
    target, key = unfit
    said = dialer.unfit(target)
    assert said.startswith(key) and said.endswith(".") and "vault-entry" not in said


def test_with_and_without_tls_a_target_is_fit(dialer: TcpDialer, clear: Way, over_tls: Way) -> None:
    assert dialer.unfit(clear.target) == dialer.unfit(over_tls.target) == ""
