"""Connections that a balancer makes for others: who is whom, and who counts."""

import socket
import struct
from ipaddress import ip_address, ip_network

import pytest
from structlog.testing import capture_logs

from hoopproxy.model import Endpoint
from tests.conftest import Spin
from tests.shell.test_server import (
    Make,
    Scene,
    echo,
    scene,  # noqa: F401 # the fixture
)

BALANCER, STRANGER = "127.0.7.1", "127.0.8.1"
LISTED = (ip_network("127.0.7.0/24"),)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT = ip_address("203.0.113.9")


def v1(address: str = str(CLIENT), port: int = 40000) -> bytes:
    family = 6 if ":" in address else 4
    return f"PROXY TCP{family} {address} {'::1' if family == 6 else '192.0.2.1'} {port} 5432\r\n".encode()


def v2(address: str = str(CLIENT), port: int = 40000, tlvs: bytes = b"") -> bytes:
    source = ip_address(address)
    body = source.packed + source.packed + struct.pack("!HH", port, 5432) + tlvs
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11 if source.version == 4 else 0x21, len(body)) + body


LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)


@pytest.fixture
def it(scene: Make) -> Scene:  # noqa: F811 # the fixture
    return scene(echo, balancers=LISTED)


@pytest.mark.parametrize("header", [v1(), v2(), v2(tlvs=b"\x05\0\3abc"), v2("::ffff:203.0.113.9")])
def test_the_client_is_whom_the_balancer_names(it: Scene, spin: Spin, header: bytes) -> None:
    async def play() -> None:
        client = it.client(source=BALANCER)
        client.send(header + b"hello")
        assert await it.hears(client) == b"hello"
        assert it.fronts[0].arrival.client == Endpoint(CLIENT, 40000)
        assert str(it.fronts[0].connection.peer.address) == BALANCER

    spin(play())


@pytest.mark.parametrize("header", [v1("2001:db8::7"), v2("2001:db8::7")])
def test_whatever_family_it_comes_from(it: Scene, spin: Spin, header: bytes) -> None:
    async def play() -> None:
        client = it.client(source=BALANCER)
        client.send(header + b"hello")
        assert await it.hears(client) == b"hello"
        assert it.fronts[0].arrival.client == Endpoint(ip_address("2001:db8::7"), 40000)

    spin(play())


@pytest.mark.parametrize("header", [v1(), v2()])
def test_a_header_may_come_byte_by_byte(it: Scene, spin: Spin, header: bytes) -> None:
    async def play() -> None:
        client = it.client(source=BALANCER)
        for each in header + b"!":
            client.send(bytes((each,)))
            await it.scheduler.sleep(0.001)
        assert await it.hears(client) == b"!"

    spin(play())


@pytest.mark.parametrize("header", [v1(), v2(), LOCAL])
def test_from_anybody_else_a_header_is_no_header(it: Scene, spin: Spin, header: bytes) -> None:
    async def play() -> None:
        client = it.client(source=STRANGER)
        client.send(header)
        assert await it.hears(client) == header, "the protocol gets it, as it came"
        assert str(it.fronts[0].arrival.client.address) == STRANGER

    spin(play())


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"\x16\x03\x01\x02\0\1", "does not begin"),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", "does not begin"),
        (b"PROXY UNKNOWN\r\n", "does not say for whom"),
        (b"PROXY " + b"x" * 200, "no end"),
        (SIGNATURE + struct.pack("!BBH", 0x21, 0x31, 216) + bytes(216), "names no client"),
        (SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 60000), "bytes"),
    ],
)
def test_a_balancer_that_does_not_say_for_whom_is_closed_without_a_word(
    it: Scene, spin: Spin, sent: bytes, why: str
) -> None:
    async def play() -> None:
        client = it.client(source=BALANCER)
        client.send(sent)
        assert await it.hears(client) == b""
        assert it.fronts == []
        await it.until(lambda: len(it.crowd) == 0)

    with capture_logs() as lines:
        spin(play())
    (line,) = lines
    assert line["event"] == "balancer-not-understood" and line["client"] == BALANCER and why in line["why"]


def test_a_header_that_never_ends_is_waited_for_as_long_as_a_handshake(scene: Make, spin: Spin) -> None:  # noqa: F811
    it = scene(echo, balancers=LISTED, handshake_s_max=0.05)

    async def play() -> None:
        clients = [it.client(source=BALANCER) for _ in range(3)]
        for client, begun in zip(clients, (b"", b"PROXY TCP4", LOCAL), strict=True):
            client.send(begun)
        for client in clients:
            assert await it.hears(client) == b""
        assert it.fronts == []

    with capture_logs() as lines:
        spin(play())
    assert "0.05 s" in lines[0]["why"]


@pytest.mark.parametrize("said", [b"", LOCAL])
def test_a_look_whether_somebody_listens_is_nobody_s_connection(it: Scene, spin: Spin, said: bytes) -> None:
    async def play() -> None:
        client = it.client(source=BALANCER)
        client.send(said)
        client.shutdown(socket.SHUT_WR)
        assert await it.hears(client) == b""
        assert it.fronts == []

    with capture_logs() as lines:
        spin(play())
    assert lines == []


def test_an_end_within_a_header_is_none(it: Scene, spin: Spin) -> None:
    async def play() -> None:
        client = it.client(source=BALANCER)
        client.send(v1()[:20])
        client.shutdown(socket.SHUT_WR)
        assert await it.hears(client) == b""

    with capture_logs() as lines:
        spin(play())
    assert "within its PROXY header" in lines[0]["why"]


def test_a_balancer_that_goes_on_behind_local_speaks_for_itself(it: Scene, spin: Spin) -> None:
    async def play() -> None:
        client = it.client(source=BALANCER)
        client.send(LOCAL + b"status?")
        assert await it.hears(client) == b"status?"
        assert str(it.fronts[0].arrival.client.address) == BALANCER

    spin(play())


def test_whom_it_names_counts_and_the_balancer_does_not(scene: Make, spin: Spin) -> None:  # noqa: F811
    it = scene(echo, balancers=LISTED, connections_per_address_max=2)

    async def served(header: bytes) -> bytes:
        client = it.client(source=BALANCER)
        client.send(header + b"?")
        return await it.hears(client)

    async def play() -> None:
        for number in range(6):
            assert await served(v1(f"203.0.113.{number}")) == b"?"
        for _ in range(2):
            assert await served(v2("198.51.100.1")) == b"?"
        assert await served(v2("198.51.100.1")) == b""
        assert await served(v2("::ffff:198.51.100.1")) == b""
        assert await served(v1("198.51.100.2")) == b"?"
        it.clients[6].close()
        await it.until(lambda: len(it.crowd) == 8)
        assert await served(v2("198.51.100.1")) == b"?"

    with capture_logs() as lines:
        spin(play())
    assert lines[0]["event"] == "connection-over-limit" and lines[0]["client"] == "198.51.100.1"
    assert lines[0]["limit"] == "limits.connections_per_address_max"


def test_the_limits_of_all_together_hold_for_balancers_as_well(scene: Make, spin: Spin) -> None:  # noqa: F811
    it = scene(echo, balancers=LISTED, connections_max=1)

    async def play() -> None:
        first, second = it.client(source=BALANCER), it.client(source=BALANCER)
        first.send(v1() + b"?")
        assert await it.hears(first) == b"?"
        assert await it.hears(second) == b""

    with capture_logs() as lines:
        spin(play())
    assert lines[0]["client"] == "a balancer" and lines[0]["limit"] == "limits.connections_max"


def test_who_stops_the_gateway_waits_for_no_header(it: Scene, spin: Spin) -> None:
    async def play() -> None:
        client = it.client(source=BALANCER)
        await it.until(lambda: len(it.crowd) == 1)
        await it.server.stopService()
        assert await it.hears(client) == b""

    spin(play())
