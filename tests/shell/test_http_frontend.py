"""What a client that is refused amid its upload gets to see, and how little of it is read."""

import os
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from hoopproxy.connection import Connection
from hoopproxy.disk.authority import make_authority
from hoopproxy.errors import Refused
from hoopproxy.flow import LINGER_S_MAX, LULL_S
from hoopproxy.hands import in_thread
from hoopproxy.model import Side
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, Plaintext
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.vitals import Vitals
from tests.conftest import Spin
from tests.listen.http_desk import BARE, DOMAIN, error, running

NO = Refused("You have no access to target 'crm'.", reason="grant")
UPLOAD_BYTES = 200 << 20
READ_BYTES_MAX = 16 << 20
"""What the kernel and curl hold of it."""


@pytest.fixture(scope="session")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes no room."""
    file = tmp_path_factory.mktemp("upload") / "large"
    with file.open("wb") as opened:
        opened.truncate(UPLOAD_BYTES)
    return file


@pytest.fixture(scope="session")
def own_authority(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The gateway's own, as settings have it."""
    directory = tmp_path_factory.mktemp("own")
    files = {key: directory / key for key in ("authority_file", "authority_key_file", "authority_passphrase_file")}
    make_authority(*files.values(), "tests", 30, ())
    return {key: str(file) for key, file in files.items()}


def rss_bytes() -> int:
    return Vitals(os.getpid()).rss_bytes


@pytest.mark.parametrize("way", ["h1", "h1 over TLS", "h2", "h2 in the clear", "tunnel"])
def test_a_denied_upload_is_answered_and_not_read(
    reactor: Any, spin: Spin, authority: Authority, own_authority: dict[str, str], upload: Path, way: str
) -> None:
    leaf = authority.issue("upload", dns=(f"*.{DOMAIN}",))
    files = {"certificate_file": str(leaf.certificate_file), "key_file": str(leaf.key_file)}
    settings = {
        "h1 over TLS": replace(BARE, plaintext=Plaintext.NEVER, **files),
        "h2": replace(BARE, plaintext=Plaintext.NEVER, **files),
        "tunnel": replace(BARE, **own_authority),
    }.get(way, BARE)
    url = f"{'http' if settings is BARE else 'https'}://crm.{DOMAIN}:{{port}}/"
    words = {
        "h2": ("--http2", "--cacert", str(authority.ca_file)),
        "h2 in the clear": ("--http2-prior-knowledge",),
        "tunnel": ("--proxy", "http://127.0.0.1:{port}", "--proxy-user", "token:abc", "--http1.1"),
    }.get(way, ("--http1.1", "--cacert", str(authority.ca_file)))

    async def scene() -> None:
        async with running(reactor, settings, refusal=NO) as it:
            before = rss_bytes()
            sends = ("-T", str(upload), "-H", "authorization: Bearer abc", "-H", "expect:")
            got = await it.curl(url, *words, *sends, "-w", "\n%{http_code} %{http_connect} %{size_upload}")
            status, connect, size = map(int, got.stdout.rsplit("\n", 1)[1].split())
            assert 403 in (status, connect) and size < READ_BYTES_MAX, got.stderr
            assert rss_bytes() - before < READ_BYTES_MAX

    spin(scene())


def sends_on_and_on(port: int) -> tuple[int, bytes]:
    """A client that does not listen while it sends, as many are."""
    sent, heard = 0, b""
    head = (
        f"POST / HTTP/1.1\r\nhost: crm.{DOMAIN}\r\nauthorization: Bearer abc\r\ncontent-length: {UPLOAD_BYTES}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(head.encode())
        with suppress(ConnectionError):
            while sent < UPLOAD_BYTES:
                sent += client.send(bytes(65_536))
        with suppress(ConnectionError):
            while data := client.recv(65_536):
                heard += data
    return sent, heard


def test_a_client_that_sends_on_and_on_is_cut_off_and_still_sees_why(
    reactor: Any, spin: Spin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.listen.http_desk.LIMITS", Limits(drain_s_max=0.3))

    async def scene() -> None:
        async with running(reactor, BARE, refusal=NO) as it:
            sent, heard = await in_thread("client", sends_on_and_on, it.port)
            assert sent < READ_BYTES_MAX and error(heard) == (403, NO.sentence)

    spin(scene())


@pytest.mark.parametrize("drain_s_max", [0.5, 10.0])
def test_once_enough_was_thrown_away_nothing_more_is_read(drain_s_max: float) -> None:
    clock = Clock()
    transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.7", 40_000))
    connection = Connection(Side.CLIENT, Limits(drain_s_max=drain_s_max), TwistedScheduler(clock), clock)
    connection.makeConnection(transport)
    connection.send(b"no, and why")
    connection.close(1000)
    connection.dataReceived(bytes(1000))
    assert transport.producerState == "producing"
    connection.dataReceived(b"!")
    assert transport.producerState == "paused" and not transport.disconnecting
    connection.dataReceived(b"what was on its way already")
    clock.advance(LULL_S)
    assert transport.disconnecting and not transport.disconnected
    clock.advance(min(drain_s_max, LINGER_S_MAX))
    assert transport.disconnected
