"""HTTP's front door as a reverse proxy: who shows what, which target is meant, and what those hear who stay outside."""

import json
import socket
import ssl
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface.verify import verifyObject

from hoopproxy.connection import Connection
from hoopproxy.errors import (
    AddonFailure,
    ConfigError,
    EvidenceUnavailable,
    LimitReached,
    ProtocolViolation,
    Refused,
    Revoked,
    SessionError,
    UpstreamRefused,
    UpstreamUnreachable,
)
from hoopproxy.hands import in_thread
from hoopproxy.listen.http import HttpFrontend, HttpListener
from hoopproxy.listen.http_front import Front
from hoopproxy.listen.kubernetes import KubernetesListener
from hoopproxy.model import Arrival, Credentials, Endpoint, Side
from hoopproxy.proofs import HeldKey
from hoopproxy.rooms import IFrontend, IListener
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import ListenerSettings, Plaintext
from hoopproxy.testing.certificates import Authority
from hoopproxy.wire.http.halves import CLIENT_PREFACE, SERVER_PREFACE, server_half
from hoopproxy.wire.http.lanes import Frame, Kind, framed
from hoopproxy.wire.http.messages import Headers, RequestHead
from hoopproxy.wire.http.parts import Data, End, Head
from tests.conftest import Spin

from .http_desk import BARE, DOMAIN, LIMITS, error, passage, peer, running, trusting

BEARER = ("-H", "authorization: Bearer abc")
URL = f"https://crm.{DOMAIN}:{{port}}/a?b=1"
HEAD = f"GET / HTTP/1.1\r\nhost: crm.{DOMAIN}\r\nauthorization: Bearer abc\r\n\r\n".encode()


# Over TLS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "told"), [("--http1.1", "http/1.1"), ("--http2", "h2")])
def test_a_host_of_the_domain_leads_to_its_target(
    reactor: Any, spin: Spin, over_tls: ListenerSettings, authority: Authority, version: str, told: str
) -> None:
    async def scene() -> None:
        async with running(reactor, over_tls) as it:
            got = await it.curl(URL, version, "--cacert", str(authority.ca_file), *BEARER, "-d", "x=y", URL)
            assert got.stdout == "ok\nok\n", got.stderr
            assert it.shown.target_name == "crm" and it.shown.secret.reveal() == "abc"
            assert it.shown.parameters == {
                "http.authority": f"crm.{DOMAIN}:{it.port}",
                "http.scheme": "https",
                "http.form": "origin",
                "http.prefix": "",
                "http.version": told,
            }
            assert [head.target for head in it.heads] == ["/a?b=1", "/a?b=1"]

    spin(scene())


def test_a_name_of_the_gateway_s_own_leads_to_the_target_of_the_listener(
    reactor: Any, spin: Spin, over_tls: ListenerSettings, authority: Authority
) -> None:
    async def scene() -> None:
        async with running(reactor, replace(over_tls, target="main", account="app")) as it:
            for host in (DOMAIN, "gateway.test", "127.0.0.1"):
                url = f"https://{host}:{{port}}/"
                got = await it.curl(url, "--cacert", str(authority.ca_file), *BEARER, host=host)
                assert got.stdout == "ok\n", got.stderr
            assert [(each.target_name, each.account) for each in it.credentials if each] == [("main", "app")] * 3

    spin(scene())


def test_without_a_certificate_each_host_is_shown_one_of_its_own(reactor: Any, spin: Spin, own: dict[str, str]) -> None:
    settings = replace(BARE, plaintext=Plaintext.NEVER, target="main", **own)

    async def scene() -> None:
        async with running(reactor, settings) as it:
            for host in (f"crm.{DOMAIN}", f"deep.crm.{DOMAIN}", DOMAIN, "localhost", "127.0.0.1"):
                url = f"https://{host}:{{port}}/"
                got = await it.curl(url, "--cacert", own["authority_file"], *BEARER, host=host)
                assert got.stdout == "ok\n", got.stderr
            got = await it.curl("https://evil.example:{port}/", "--cacert", own["authority_file"], host="evil.example")
            assert got.returncode == 60  # it is another's certificate

    spin(scene())


def test_a_certificate_of_the_client_s_is_what_it_shows(
    reactor: Any, spin: Spin, over_tls: ListenerSettings, authority: Authority
) -> None:
    mine = authority.issue("http-client", uris=("spiffe://example/client",))
    trust = ("--cacert", str(authority.ca_file))
    shows = (*trust, "--cert", str(mine.certificate_file), "--key", str(mine.key_file))

    async def scene() -> None:
        async with running(reactor, replace(over_tls, client_ca_file=str(authority.ca_file))) as it:
            got = await it.curl(URL, *shows)
            assert got.stdout == "ok\n", got.stderr
            certificate = x509.load_pem_x509_certificate(mine.certificate_file.read_bytes())
            assert it.shown.key == HeldKey("x509", certificate.public_bytes(Encoding.DER))
            assert it.shown.secret.reveal() == ""
            got = await it.curl(URL, *trust)
            assert got.returncode and isinstance(await it.failure(), ProtocolViolation)

    spin(scene())


def test_a_request_for_another_host_than_its_tls_is_refused(
    reactor: Any, spin: Spin, over_tls: ListenerSettings, authority: Authority
) -> None:
    async def scene() -> None:
        async with running(reactor, over_tls) as it:
            for version in ("--http1.1", "--http2"):
                words = (version, "--cacert", str(authority.ca_file), *BEARER, "-w", "%{http_code}")
                got = await it.curl(URL, *words, "-H", f"host: erp.{DOMAIN}")
                assert got.stdout.endswith("421"), got.stderr
            assert it.credentials == [] and "erp" in it.failures[0].detail

    spin(scene())


def test_two_names_of_the_gateway_s_own_are_no_two_hosts(
    reactor: Any, spin: Spin, over_tls: ListenerSettings, authority: Authority
) -> None:
    """As with kubectl's tls-server-name."""

    async def scene() -> None:
        async with running(reactor, replace(over_tls, target="main")) as it:
            url, trust = f"https://{DOMAIN}:{{port}}/", ("--cacert", str(authority.ca_file))
            got = await it.curl(url, *trust, *BEARER, "-H", "host: 127.0.0.1", host=DOMAIN)
            assert got.stdout == "ok\n", got.stderr

    spin(scene())


def test_plain_http_where_tls_is_wanted_is_told_so(reactor: Any, spin: Spin, over_tls: ListenerSettings) -> None:
    async def scene() -> None:
        async with running(reactor, over_tls) as it:
            assert error(await it.raw(HEAD)) == (400, it.failures[0].sentence)
            assert "https://" in it.failures[0].sentence

    spin(scene())


@pytest.mark.parametrize("alpn", [[], ["http/1.1"], ["h2"]])
def test_a_client_speaks_the_version_that_it_agreed_on(
    reactor: Any, spin: Spin, over_tls: ListenerSettings, authority: Authority, alpn: list[str]
) -> None:
    context = trusting(str(authority.ca_file))
    if alpn:
        context.set_alpn_protocols(alpn)

    def speaks(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=f"crm.{DOMAIN}") as client:
                client.sendall(HEAD if alpn == ["h2"] else CLIENT_PREFACE)
                heard = b""
                while data := client.recv(65_536):
                    heard += data
                return heard

    async def scene() -> None:
        async with running(reactor, over_tls) as it:
            assert b"ok" not in await in_thread("client", speaks, it.port)
            (why,) = it.failures
            assert isinstance(why, ProtocolViolation) and "another version" in why.sentence

    spin(scene())


# In the clear ---------------------------------------------------------------------------------------------------------


def test_http_2_by_prior_knowledge(reactor: Any, spin: Spin) -> None:
    async def scene() -> None:
        async with running(reactor, BARE) as it:
            got = await it.curl(f"http://crm.{DOMAIN}:{{port}}/", "--http2-prior-knowledge", *BEARER)
            assert got.stdout == "ok\n", got.stderr
            assert it.shown.parameters["http.version"] == "h2" and it.shown.parameters["http.scheme"] == "http"

    spin(scene())


def test_in_the_clear_it_is_the_machine_s_own_that_come_in_unless_all_may(reactor: Any, spin: Spin) -> None:
    away = b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\n"
    balanced = replace(BARE, balancers=(ip_network("127.0.0.0/8"),))

    async def scene() -> None:
        async with running(reactor, balanced) as it:
            status, sentence = error(await it.raw(away + HEAD))
            assert status == 403 and "own machine only" in sentence
        async with running(reactor, replace(balanced, plaintext=Plaintext.ALWAYS)) as it:
            assert b"ok" in await it.raw(away + HEAD)

    spin(scene())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_absolute_form_of_a_host_of_ours_is_a_request_like_any_other(reactor: Any, spin: Spin, scheme: str) -> None:
    sent = HEAD.replace(b"GET /", f"GET {scheme}://crm.{DOMAIN}/".encode())

    async def scene() -> None:
        async with running(reactor, BARE) as it:
            assert b"200 OK" in await it.raw(sent)
            assert (it.shown.target_name, it.shown.parameters["http.form"]) == ("crm", "origin")

    spin(scene())


# Who shows nothing, or the wrong thing --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_who_shows_nothing_is_asked_and_leaves_no_trace(reactor: Any, spin: Spin, version: str) -> None:
    async def scene() -> None:
        async with running(reactor, BARE) as it:
            got = await it.curl(f"http://crm.{DOMAIN}:{{port}}/", version, "-i")
            assert " 401" in got.stdout and got.stdout.count("www-authenticate: ") == 2, got.stderr
            assert 'Basic realm="hoopproxy", charset="UTF-8"' in got.stdout
            assert (it.credentials, it.failures) == ([None], [])

    spin(scene())


def test_who_only_looks_whether_anybody_listens_leaves_no_trace(
    reactor: Any, spin: Spin, over_tls: ListenerSettings, authority: Authority
) -> None:
    def looks(port: int, tls: ssl.SSLContext | None) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            if tls:
                tls.wrap_socket(plain, server_hostname=DOMAIN).close()

    async def scene() -> None:
        async with running(reactor, over_tls) as it:
            for tls in (None, trusting(str(authority.ca_file))):
                await in_thread("client", looks, it.port, tls)
            while len(it.credentials) < 2 and not it.failures:  # the last of them may not be accepted yet
                await it.scheduler.sleep(0)
        assert (it.credentials, it.failures) == ([None, None], [])

    spin(scene())


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("authorization: Bearer a\r\nauthorization: Bearer a", 401),
        ("authorization: Digest username=a", 401),
        ("authorization: Basic ???", 401),
        ("authorization: Bearer a\x01b", 400),
        ("authorization:\r\n Bearer a", 400),
    ],
)
def test_odd_credentials_are_refused(reactor: Any, spin: Spin, fields: str, status: int) -> None:
    async def scene() -> None:
        async with running(reactor, BARE) as it:
            told, _ = error(await it.raw(f"GET / HTTP/1.1\r\nhost: crm.{DOMAIN}\r\n{fields}\r\n\r\n".encode()))
            assert told == status and it.credentials == []

    spin(scene())


HOSTILE = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host in HTTP/1.0": b"GET / HTTP/1.0\r\nauthorization: Bearer a\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "a user in the host": b"GET / HTTP/1.1\r\nhost: a@b\r\n\r\n",
    "a host that is none": b"GET / HTTP/1.1\r\nhost: 1%2e2\r\n\r\n",
    "CL and TE": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
    "a bare LF": b"GET / HTTP/1.1\nhost: a\n\n",
    "a bare CR": b"GET / HTTP/1.1\r\nhost: a\rx: y\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
    "a zero byte": b"GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
    "no HTTP": b"EHLO mail.example\r\n\r\n",
    "no target": b"GET  HTTP/1.1\r\nhost: a\r\n\r\n",
    "HTTP/2 without its preface": b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
    "another preface": b"PRI * HTTP/1.1\r\nhost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\0\5hello\r\n\r\n",
    "too much": b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * (LIMITS.head_bytes_max + 1),
    "too many fields": b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x:y\r\n" * LIMITS.head_bytes_max,
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_head_that_can_be_read_in_two_ways_is_not_read(reactor: Any, spin: Spin, sent: bytes) -> None:
    async def scene() -> None:
        async with running(reactor, BARE) as it:
            status, _ = error(await it.raw(sent))
            assert status == 400 and it.credentials == [] and isinstance(it.failures[0], ProtocolViolation)

    spin(scene())


def test_http_2_with_a_head_that_is_none(reactor: Any, spin: Spin) -> None:
    async def scene() -> None:
        async with running(reactor, BARE) as it:
            heard = await it.raw(CLIENT_PREFACE + b"\0\0\4\1\5\0\0\0\1\xff\xff\xff\xff")
            assert heard.startswith(SERVER_PREFACE) and isinstance(it.failures[0], ProtocolViolation)
            # a GOAWAY: there is no request that could be answered
            assert heard[len(SERVER_PREFACE) + 3 :][:1] == b"\7"

    spin(scene())


@pytest.mark.parametrize("begun", [b"", b"PRI * HT", b"GET / HTTP/1.1\r\nhost: a\r\nx: ", CLIENT_PREFACE])
def test_who_sends_no_whole_head_in_time_is_told_and_cut_off(reactor: Any, spin: Spin, begun: bytes) -> None:
    async def scene() -> None:
        async with running(reactor, BARE, limit_s=0.1) as it:
            heard = await it.raw(begun, end=False)
            assert isinstance(it.failures[0], LimitReached)
            if begun.startswith(b"GET"):
                assert error(heard)[0] == 408

    spin(scene())


def test_a_client_that_leaves_within_its_head_is_told_too(reactor: Any, spin: Spin) -> None:
    async def scene() -> None:
        async with running(reactor, BARE) as it:
            assert error(await it.raw(HEAD[:-1]))[0] == 400

    spin(scene())


REFUSALS: list[tuple[SessionError, int]] = [
    (Refused("No.", reason="credentials"), 401),
    (Refused("No.", reason="grant"), 403),
    (Refused("No.", reason="residency"), 403),
    (LimitReached("No.", limit="limits.connections_per_identity_max"), 429),
    (UpstreamUnreachable("No."), 502),
    (UpstreamRefused("No."), 502),
    (ProtocolViolation("server", "No."), 502),
    (Revoked("No."), 503),
    (EvidenceUnavailable("No."), 503),
    (AddonFailure("mask", "plan", "broke"), 500),
]


@pytest.mark.parametrize(("why", "status"), REFUSALS)
@pytest.mark.parametrize("protocol", ["http", "kubernetes"])
def test_what_ends_a_session_before_it_began_is_a_whole_response(
    reactor: Any, spin: Spin, why: SessionError, status: int, protocol: str
) -> None:
    async def scene() -> None:
        async with running(reactor, replace(BARE, protocol=protocol), refusal=why) as it:
            for version in ("--http1.1", "--http2-prior-knowledge"):
                url = f"http://crm.{DOMAIN}:{{port}}/api/v1/pods"
                got = await it.curl(url, version, *BEARER, "-w", "\n%{http_code} %{content_type}")
                body, line = got.stdout.rsplit("\n", 1)
                assert line == f"{status} application/json", got.stderr
                told = json.loads(body)
                if protocol == "http":
                    assert told == {"error": why.sentence, "session": "s1"}
                else:
                    assert (told["kind"], told["status"], told["code"]) == ("Status", "Failure", status)
                    assert told["message"] == f"{why.sentence} (session s1)"
                assert got.stderr.count("www-authenticate") == (2 if status == 401 else 0)

    spin(scene())


# What goes on to the machine ------------------------------------------------------------------------------------------


def test_two_requests_in_the_first_packet_are_two(reactor: Any, spin: Spin) -> None:
    async def scene() -> None:
        async with running(reactor, BARE) as it:
            assert (await it.raw(HEAD + HEAD.replace(b"/ ", b"/2 "))).count(b"200 OK") == 2
            assert [head.target for head in it.heads] == ["/", "/2"]

    spin(scene())


class Memory:
    """A client in memory, before a listener in the clear."""

    def __init__(self) -> None:
        clock = Clock()
        scheduler = TwistedScheduler(clock)
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 40_000))
        connection = Connection(Side.CLIENT, LIMITS, scheduler, clock)
        connection.makeConnection(self.transport)
        arrival = Arrival("c1", "web", "http", Endpoint(ip_address("127.0.0.1"), 40_000), 0.0)
        self.connection = connection
        self.frontend = HttpFrontend(connection, arrival, Front(BARE, LIMITS, scheduler))
        self.outcome: list[Any] = []
        Deferred.fromCoroutine(self.frontend.credentials()).addBoth(self.outcome.append)

    @property
    def sent(self) -> bytes:
        return self.transport.value()

    def read(self) -> bytes:
        """All that goes on, as one frame."""
        found: list[bytes] = []
        Deferred.fromCoroutine(self.frontend.read()).addCallback(found.append)
        return found[0]


def over_h2() -> bytes:
    half = server_half(LIMITS, "h2")
    fields = Headers((("authorization", "Bearer abc"), ("content-length", "2")))
    half.send(Head(1, RequestHead("POST", "http", f"crm.{DOMAIN}", "/", "HTTP/2.0", fields)))
    half.send(Data(1, b"hi"))
    half.send(End(1))
    return half.taken()


OVER_H1 = HEAD.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\nhi")
OVER_H2 = over_h2()


@pytest.mark.parametrize(("sent", "greeting"), [(OVER_H1, b""), (OVER_H2, SERVER_PREFACE)], ids=["h1", "h2"])
@given(data=st.data())
def test_however_the_first_packets_are_cut_every_byte_goes_on(
    data: st.DataObject, sent: bytes, greeting: bytes
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1))))
    memory = Memory()
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        memory.connection.dataReceived(sent[start:end])
    (credentials,) = memory.outcome
    assert isinstance(credentials, Credentials), credentials
    assert (credentials.target_name, credentials.secret.reveal()) == ("crm", "abc")
    assert memory.sent == greeting
    goes_on = b""
    while len(goes_on) < len(sent):
        goes_on += memory.read()[9:]
    assert goes_on == sent


@pytest.mark.parametrize("sent", [OVER_H1, OVER_H2], ids=["h1", "h2"])
def test_one_byte_at_a_time_is_enough(sent: bytes) -> None:
    memory = Memory()
    for index in range(len(sent)):
        memory.connection.dataReceived(sent[index : index + 1])
    assert isinstance(memory.outcome[0], Credentials)


@given(st.binary(max_size=400), st.booleans())
def test_whatever_comes_first_is_waited_for_asked_or_refused(garbage: bytes, is_h2: bool) -> None:
    memory = Memory()
    for piece in (CLIENT_PREFACE if is_h2 else b"", garbage):
        if piece:
            memory.connection.dataReceived(piece)
    for outcome in memory.outcome:
        assert outcome is None or isinstance(outcome.value, SessionError), outcome
        if outcome is not None:
            memory.frontend.refuse("s1", outcome.value)


def test_words_of_the_machine_s_reach_a_client_that_is_in() -> None:
    memory = Memory()
    memory.connection.dataReceived(HEAD)
    Deferred.fromCoroutine(memory.frontend.welcome(passage(), peer()))
    Deferred.fromCoroutine(memory.frontend.write(framed(Frame(Kind.DATA, 0, b"unfinished"))[:12]))
    memory.frontend.inform("Wait.", framed(Frame(Kind.DATA, 0, b"no")))
    for _ in range(2):
        memory.frontend.refuse("s1", Revoked("It is over."), framed(Frame(Kind.DATA, 0, b"last words")))
    assert memory.sent == b"last words"
    assert not memory.frontend.again(Revoked("It is over."))


def test_it_is_what_the_interfaces_say() -> None:
    assert verifyObject(IFrontend, Memory().frontend)
    clock: Any = None
    for kind in (HttpListener, KubernetesListener):
        assert verifyObject(IListener, kind(BARE, LIMITS, TwistedScheduler(clock)))


# What a table may say -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"plaintext": Plaintext.NEVER}, ".certificate is missing; wanted are certificate and key, an authority, or"),
        ({"plaintext": Plaintext.NEVER, "certificate_file": "a.crt"}, ".key is missing"),
        ({"certificate_file": "a.crt", "key_file": "a.key"}, '.plaintext is "loopback", and there are files for TLS'),
        ({"client_ca_file": "a.crt"}, '.plaintext is "loopback", and there are files for TLS'),
        ({"authority_file": "a.crt"}, ".authority_key is missing; wanted are authority, authority_key, "),
        ({"authority_file": "a.crt", "authority_key_file": "a.key"}, ".authority_passphrase_file is missing"),
        ({"authority_passphrase_file": "a"}, ".authority is missing"),
        ({"host_key_files": ("host",)}, ".host_keys is set, which means nothing where http is spoken"),
    ],
)
def test_a_table_that_makes_no_sense_is_said_to(changes: dict[str, Any], wanted: str) -> None:
    clock: Any = None
    with pytest.raises(ConfigError) as caught:
        HttpListener(replace(BARE, **changes), LIMITS, TwistedScheduler(clock))
    assert f"listen.web{wanted}" in "\n".join(caught.value.problems)
