"""TLS within somebody's stream: every byte both ways however it is cut, ends one by one, and no more held than fits."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from hoopproxy.connection import Connection
from hoopproxy.errors import ProtocolViolation
from hoopproxy.flow import LULL_S
from hoopproxy.listen.authority import Authority
from hoopproxy.listen.tls import server_context
from hoopproxy.listen.tunnel import Tunnel
from hoopproxy.model import Side
from hoopproxy.scheduler import TwistedScheduler

from .http_desk import BARE, LIMITS

HOST = "crm.example.com"


class Ends:
    """A tunnel over a connection in memory, and Python's TLS as its client."""

    def __init__(self, authority: Any, *, trusted: bool = True) -> None:
        self.clock = clock = Clock()
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 40_000))
        self.beneath = Connection(Side.CLIENT, LIMITS, TwistedScheduler(clock), clock)
        self.beneath.makeConnection(self.transport)
        tls = SSL.Connection(server_context(lambda _: (b"h2", b"http/1.1")))
        authority.leaf(HOST).show(tls)
        tls.set_accept_state()
        self.tunnel = Tunnel(self.beneath, tls)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["http/1.1"])
        if trusted:
            context.load_verify_locations(authority._settings.authority_file)
        self.outcome: list[Any] = []
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(self.incoming, self.outgoing, server_hostname=HOST.upper())

    def pass_on(self, cut: int = 1 << 20) -> None:
        """What each has sent reaches the other, in pieces."""
        sent = self.outgoing.read()
        for start in range(0, len(sent), cut):
            self.beneath.dataReceived(sent[start : start + cut])
        self.incoming.write(self.transport.value())
        self.transport.clear()

    def shake(self, cut: int = 1 << 20) -> list[Any]:
        Deferred.fromCoroutine(self.tunnel.shake()).addBoth(self.outcome.append)
        for _ in range(3):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                self.pass_on(cut)
            else:
                break
        self.pass_on(cut)
        return self.outcome

    def read(self) -> list[Any]:
        found: list[Any] = []
        Deferred.fromCoroutine(self.tunnel.read()).addBoth(found.append)
        return found


@pytest.fixture(scope="module")
def authority(own: dict[str, str]) -> Authority:
    """The gateway's own."""
    now_s = datetime.now(UTC).timestamp()
    return Authority(replace(BARE, **own), lambda: now_s)


@pytest.mark.parametrize("cut", [1, 5, 1 << 20])
def test_a_handshake_tells_what_was_agreed_on_however_it_is_cut(authority: Authority, cut: int) -> None:
    ends = Ends(authority)
    assert ends.shake(cut) == [None]
    assert (ends.tunnel.alpn, ends.tunnel.server_name) == (b"http/1.1", HOST)
    assert ends.client.selected_alpn_protocol() == "http/1.1"


@settings(max_examples=30)
@given(data=st.data())
def test_every_byte_arrives_both_ways(authority: Authority, data: st.DataObject) -> None:
    ends = Ends(authority)
    ends.shake()
    pieces = data.draw(st.lists(st.binary(min_size=1, max_size=70_000), max_size=4))
    cut = data.draw(st.integers(100, 20_000))
    said, heard, answered = b"", b"", b""
    for piece in pieces:
        said += piece
        ends.client.write(piece)
        ends.pass_on(cut)
        while len(heard) < len(said):
            heard += ends.read()[0]
        Deferred.fromCoroutine(ends.tunnel.write(piece))
        ends.pass_on()
        while len(answered) < len(heard):
            answered += ends.client.read(100_000)
    assert heard == answered == said


def test_each_direction_ends_by_itself(authority: Authority) -> None:
    ends = Ends(authority)
    ends.shake()
    ends.client.write(b"asked")
    with pytest.raises(ssl.SSLWantReadError):
        ends.client.unwrap()
    ends.pass_on()
    assert [ends.read(), ends.read()] == [[b"asked"], [b""]]
    Deferred.fromCoroutine(ends.tunnel.write(b"answer"))
    ends.transport.loseWriteConnection = lambda: None  # type: ignore[attr-defined] # Twisted's in memory has none
    Deferred.fromCoroutine(ends.tunnel.end())
    ends.pass_on()
    assert ends.client.read(100) == b"answer"
    ends.client.unwrap()


def test_a_client_that_is_gone_has_ended(authority: Authority) -> None:
    ends = Ends(authority)
    ends.shake()
    waiting = ends.read()
    ends.beneath.connectionLost(Failure(ConnectionLost()))
    assert waiting == [b""] and ends.read() == [b""]
    Deferred.fromCoroutine(ends.tunnel.write(b"to nobody"))
    ends.tunnel.close(0)


def test_a_read_that_is_cancelled_has_taken_nothing(authority: Authority) -> None:
    ends = Ends(authority)
    ends.shake()
    waiting = Deferred.fromCoroutine(ends.tunnel.read())
    waiting.addErrback(lambda why: None)
    waiting.cancel()
    ends.client.write(b"kept")
    ends.pass_on()
    assert ends.read() == [b"kept"]


def test_a_writer_waits_for_a_client_that_takes_nothing(authority: Authority) -> None:
    ends = Ends(authority)
    ends.shake()
    producer = ends.transport.producer
    assert producer is not None
    producer.pauseProducing()
    done: list[None] = []
    Deferred.fromCoroutine(ends.tunnel.write(bytes(1000))).addCallback(done.append)
    assert not done
    producer.resumeProducing()
    assert done == [None]


def test_a_client_that_is_not_read_is_stopped(authority: Authority) -> None:
    ends = Ends(authority)
    ends.shake()
    ends.client.write(bytes(10_000))
    ends.pass_on()
    assert ends.transport.producerState == "paused"


def test_a_client_without_trust_ends_the_handshake(authority: Authority) -> None:
    ends = Ends(authority, trusted=False)
    with pytest.raises(ssl.SSLCertVerificationError):
        ends.shake()
    ends.pass_on()
    (why,) = ends.outcome
    assert isinstance(why.value, ProtocolViolation) and "unknown ca" in why.value.detail


@pytest.mark.parametrize("hello", [b"\x16\x03\x01\0\5hello", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_tls_is_refused_with_openssl_s_reason(authority: Authority, hello: bytes) -> None:
    ends = Ends(authority)
    outcome: list[Any] = []
    Deferred.fromCoroutine(ends.tunnel.shake()).addBoth(outcome.append)
    ends.beneath.dataReceived(hello)
    assert isinstance(outcome[0].value, ProtocolViolation) and "OpenSSL" in outcome[0].value.detail


def test_what_is_garbled_behind_the_handshake_ends_the_stream(authority: Authority) -> None:
    ends = Ends(authority)
    ends.shake()
    ends.beneath.dataReceived(b"\x17\x03\x03\0\x20" + bytes(32))
    (why,) = ends.read()
    assert isinstance(why.value, ProtocolViolation) and "broke off its TLS" in why.value.sentence


def test_last_words_come_before_the_farewell(authority: Authority) -> None:
    ends = Ends(authority)
    ends.shake()
    ends.tunnel.send(b"no, and why")
    ends.tunnel.close(1000)
    ends.pass_on()
    assert ends.client.read(100) == b"no, and why"
    assert ends.client.read(100) == b""
    ends.clock.advance(LULL_S)
    assert ends.transport.disconnecting
