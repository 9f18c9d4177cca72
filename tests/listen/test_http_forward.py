"""HTTP's front door as a forward proxy: CONNECT, with TLS that the gateway ends, and the absolute form."""

import socket
import ssl
from dataclasses import replace
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from hoopproxy.errors import LimitReached, ProtocolViolation, Refused
from hoopproxy.hands import in_thread
from hoopproxy.settings import ListenerSettings, Plaintext
from tests.conftest import Spin

from .http_desk import BARE, DOMAIN, LIMITS, Desk, error, running, trusting

PROXY = ("--proxy", "http://127.0.0.1:{port}", "--proxy-user", "reader:abc")
TLS_PROXY = ("--proxy", "https://127.0.0.1:{port}", "--proxy-user", "token:abc")
CONNECT = (
    b"CONNECT api.example.org:443 HTTP/1.1\r\nhost: api.example.org:443\r\nproxy-authorization: Bearer abc\r\n\r\n"
)
HOST = "api.example.org"


@pytest.fixture
def clear(own: dict[str, str]) -> ListenerSettings:
    """A proxy on this machine."""
    return replace(BARE, **own)


@pytest.fixture
def secure(own: dict[str, str]) -> ListenerSettings:
    """A proxy that is spoken to in TLS itself."""
    return replace(BARE, plaintext=Plaintext.NEVER, **own)


class Inside:
    """A client behind its CONNECT, in the clear; `shake` begins TLS."""

    def __init__(self, desk: Desk, sent: bytes = CONNECT) -> None:
        self.socket = socket.create_connection(("127.0.0.1", desk.port), 10)
        self.socket.sendall(sent)
        self.answer = b""
        while b"\r\n\r\n" not in self.answer:
            self.answer += self.socket.recv(1)

    def shake(self, context: ssl.SSLContext, server_name: str | None = HOST) -> ssl.SSLSocket:
        self.socket = secured = context.wrap_socket(self.socket, server_hostname=server_name)
        return secured

    def rest(self) -> bytes:
        heard = b""
        try:
            while data := self.socket.recv(65_536):
                heard += data
        except ConnectionError:
            pass
        self.socket.close()
        return heard


# CONNECT --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("proxy", ["clear", "secure"])
def test_tls_behind_a_connect_is_ended_with_a_leaf_for_its_host(
    reactor: Any, spin: Spin, own: dict[str, str], proxy: str, version: str, request: pytest.FixtureRequest
) -> None:
    trust = ("--cacert", own["authority_file"], "--proxy-cacert", own["authority_file"])
    words = PROXY if proxy == "clear" else TLS_PROXY
    url = f"https://{HOST}/a"

    async def scene() -> None:
        async with running(reactor, request.getfixturevalue(proxy)) as it:
            got = await it.curl(url, version, *words, *trust, "-d", "x" * 100_000, url)
            assert got.stdout == "ok\nok\n", got.stderr
            assert it.shown.target_name == f"{HOST}:443" and it.shown.secret.reveal() == "abc"
            assert it.shown.account == ("reader" if proxy == "clear" else "")
            assert it.shown.parameters == {
                "http.authority": HOST,
                "http.scheme": "https",
                "http.form": "tunnel",
                "http.prefix": "",
                "http.version": "",
            }
            wanted = "HTTP/1.1" if version == "--http1.1" else "HTTP/2.0"
            assert {head.version for head in it.heads} == {wanted} and it.failures == []

    spin(scene())


def test_http_2_is_offered_only_if_the_target_has_it(
    reactor: Any, spin: Spin, clear: ListenerSettings, own: dict[str, str]
) -> None:
    """So that each of its requests does not cost a connection of its own."""

    async def scene() -> None:
        async with running(reactor, clear, alpn="http/1.1") as it:
            got = await it.curl(f"https://{HOST}/", *PROXY, "--cacert", own["authority_file"])
            assert got.stdout == "ok\n" and it.heads[0].version == "HTTP/1.1", got.stderr

    spin(scene())


@pytest.mark.parametrize("place", ["127.0.0.1:8443", "[::1]:8443", "LOCALHOST:8443", f"{HOST}.:8443"])
def test_a_leaf_names_what_the_connect_named(
    reactor: Any, spin: Spin, clear: ListenerSettings, own: dict[str, str], place: str
) -> None:
    host = place.rpartition(":")[0].strip("[].").lower()

    def visits(it: Desk) -> str:
        inside = Inside(it, CONNECT.replace(b"api.example.org:443", place.encode()))
        with inside.shake(trusting(own["authority_file"]), host) as client:
            return str(client.getpeercert())

    async def scene() -> None:
        async with running(reactor, clear) as it:
            certificate = await in_thread("client", visits, it)
            assert ("IP Address" in certificate) == host[0].isdigit() or host == "::1"
            assert it.shown.target_name == f"[{host}]:8443" if ":" in host else f"{host}:8443"

    spin(scene())


def test_a_client_may_begin_tls_at_once(reactor: Any, spin: Spin, clear: ListenerSettings, own: dict[str, str]) -> None:
    """A ClientHello in the packet of the CONNECT is not lost, and one without SNI names nobody else."""
    context = trusting(own["authority_file"])
    context.check_hostname = False

    def visits(it: Desk) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        inside = Inside(it, CONNECT + outgoing.read())
        heard = inside.socket.recv(5)
        inside.socket.close()
        return heard

    async def scene() -> None:
        async with running(reactor, clear) as it:
            assert (await in_thread("client", visits, it)).startswith(b"\x16\x03")

    spin(scene())


def test_an_sni_that_names_another_host_is_refused(
    reactor: Any, spin: Spin, clear: ListenerSettings, own: dict[str, str]
) -> None:
    context = trusting(own["authority_file"])
    context.check_hostname = False

    def visits(it: Desk) -> bytes:
        inside = Inside(it, CONNECT.replace(HOST.encode(), b"localhost"))
        inside.shake(context, "other.example")
        return inside.rest()

    async def scene() -> None:
        async with running(reactor, clear) as it:
            status, sentence = error(await in_thread("client", visits, it))
            assert status == 421 and "another host" in sentence
            assert "'other.example'" in it.failures[0].detail and "'localhost'" in it.failures[0].detail
            assert it.heads == []

    spin(scene())


def test_a_client_that_does_not_trust_us_leaves_a_reason(reactor: Any, spin: Spin, clear: ListenerSettings) -> None:
    async def scene() -> None:
        async with running(reactor, clear) as it:
            got = await it.curl(f"https://{HOST}/", *PROXY)
            assert got.returncode == 60
            why = await it.failure()
            assert isinstance(why, ProtocolViolation) and "unknown ca" in why.detail

    spin(scene())


@pytest.mark.parametrize("hello", [b"\x16\x03\x01\0\5hello", b"\x16", b"\x16\x03\x01"])
def test_tls_that_is_none_ends_its_own_connection(
    reactor: Any, spin: Spin, clear: ListenerSettings, hello: bytes
) -> None:
    def visits(it: Desk) -> bytes:
        inside = Inside(it)
        inside.socket.sendall(hello)
        inside.socket.shutdown(socket.SHUT_WR)
        return inside.rest()

    async def scene() -> None:
        async with running(reactor, clear) as it:
            await in_thread("client", visits, it)
            assert isinstance(it.failures[0], ProtocolViolation) and "TLS in a tunnel" in it.failures[0].detail

    spin(scene())


def test_who_only_tries_a_connect_may_leave_in_peace(reactor: Any, spin: Spin, clear: ListenerSettings) -> None:
    def visits(it: Desk) -> bytes:
        inside = Inside(it)
        inside.socket.shutdown(socket.SHUT_WR)
        return inside.answer + inside.rest()

    async def scene() -> None:
        async with running(reactor, clear) as it:
            assert await in_thread("client", visits, it) == b"HTTP/1.1 200 Connection established\r\n\r\n"
            assert it.failures == []

    spin(scene())


def test_who_says_nothing_behind_a_connect_is_cut_off(
    reactor: Any, spin: Spin, clear: ListenerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.listen.http_desk.LIMITS", replace(LIMITS, handshake_s_max=0.1))

    async def scene() -> None:
        async with running(reactor, clear) as it:
            assert await in_thread("client", lambda: Inside(it).rest()) == b""
            assert isinstance(it.failures[0], LimitReached)

    spin(scene())


@pytest.mark.parametrize("is_target_tls", [False, True])
def test_plain_http_behind_a_connect_is_for_targets_without_tls(
    reactor: Any, spin: Spin, clear: ListenerSettings, is_target_tls: bool
) -> None:
    async def scene() -> None:
        async with running(reactor, clear, is_target_tls=is_target_tls) as it:
            got = await it.curl(f"http://{HOST}/", *PROXY, "--proxytunnel")
            if is_target_tls:
                assert "reached over TLS only" in got.stdout and isinstance(it.failures[0], Refused)
            else:
                assert got.stdout == "ok\n" and it.shown.parameters["http.scheme"] == "http", got.stderr
                got = await it.curl(f"http://{HOST}/", *PROXY, "--proxytunnel", "--http2-prior-knowledge")
                assert got.stdout == "ok\n" and it.heads[-1].version == "HTTP/2.0", got.stderr

    spin(scene())


def test_plain_http_behind_a_connect_may_be_protected_by_the_tls_of_the_proxy(
    reactor: Any, spin: Spin, secure: ListenerSettings, own: dict[str, str]
) -> None:
    async def scene() -> None:
        async with running(reactor, secure, is_target_tls=False) as it:
            words = ("--proxytunnel", "--proxy-cacert", own["authority_file"])
            got = await it.curl(f"http://{HOST}/", *TLS_PROXY, *words)
            assert got.stdout == "ok\n", got.stderr

    spin(scene())


def test_without_an_authority_there_is_no_connect(reactor: Any, spin: Spin) -> None:
    async def scene() -> None:
        async with running(reactor, BARE) as it:
            status, sentence = error(await it.raw(CONNECT))
            assert status == 403 and "no proxy for TLS" in sentence and it.credentials == []

    spin(scene())


@pytest.mark.parametrize(
    "sent",
    [
        CONNECT.replace(b"CONNECT api.example.org:443", b"CONNECT api.example.org"),
        CONNECT.replace(b"CONNECT api.example.org:443", b"CONNECT https://api.example.org:443/"),
        CONNECT.replace(b"CONNECT api.example.org:443", b"CONNECT a@api.example.org:443"),
        CONNECT.replace(b"api.example.org:443", b"api.example.org:0"),
        CONNECT.replace(b"api.example.org:443", b"api.example.org:70000"),
        CONNECT.replace(b"host: api", b"host: other"),
        CONNECT.replace(b"\r\n\r\n", b"\r\ncontent-length: 4\r\n\r\nabcd"),
        CONNECT.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n"),
    ],
)
def test_a_malformed_connect_is_refused(reactor: Any, spin: Spin, clear: ListenerSettings, sent: bytes) -> None:
    async def scene() -> None:
        async with running(reactor, clear) as it:
            assert error(await it.raw(sent))[0] == 400 and it.credentials == []

    spin(scene())


def test_who_shows_a_proxy_nothing_is_asked_as_by_one(
    reactor: Any, spin: Spin, clear: ListenerSettings, own: dict[str, str]
) -> None:
    proxy = ("--proxy", "http://127.0.0.1:{port}")

    async def scene() -> None:
        async with running(reactor, clear) as it:
            for url in (f"https://{HOST}/", f"http://{HOST}/"):
                got = await it.curl(url, *proxy, "-H", "authorization: Bearer abc")
                assert "HTTP/1.1 407" in got.stderr and got.stderr.count("proxy-authenticate: ") == 2
            assert (it.credentials, it.failures) == ([None, None], [])
            # A client that waits to be asked comes again.
            words = ("--proxy-anyauth", "--proxy-user", "token:abc", "--cacert", own["authority_file"])
            got = await it.curl(f"https://{HOST}/", *proxy, *words)
            assert got.stdout == "ok\n", got.stderr

    spin(scene())


def test_a_proxy_in_tls_offers_no_http_2_to_its_own_name(
    reactor: Any, spin: Spin, secure: ListenerSettings, own: dict[str, str]
) -> None:
    """A browser would send CONNECT over it; a host of the domain is no proxy."""

    def agreed(it: Desk, name: str) -> str | None:
        context = trusting(own["authority_file"])
        context.set_alpn_protocols(["h2", "http/1.1"])
        with socket.create_connection(("127.0.0.1", it.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=name) as client:
                return client.selected_alpn_protocol()

    async def scene() -> None:
        async with running(reactor, secure) as it:
            names = (f"crm.{DOMAIN}", DOMAIN, "127.0.0.1")
            found = [await in_thread("client", agreed, it, name) for name in names]
            assert found == ["h2", "http/1.1", "http/1.1"]

    spin(scene())


def test_connect_over_http_2_is_refused(reactor: Any, spin: Spin, clear: ListenerSettings) -> None:
    async def scene() -> None:
        async with running(reactor, clear) as it:
            client = H2Connection(H2Configuration(validate_outbound_headers=False))
            client.initiate_connection()
            fields = ((":method", "CONNECT"), (":authority", f"{HOST}:443"), ("proxy-authorization", "Bearer abc"))
            client.send_headers(1, fields)
            await it.raw(client.data_to_send())
            (why,) = it.failures
            assert isinstance(why, ProtocolViolation) and it.credentials == []

    spin(scene())


# The absolute form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("host", "name"), [(HOST, f"{HOST}:80"), (f"{HOST}:8080", f"{HOST}:8080")])
def test_the_absolute_form_names_its_target_by_its_place(
    reactor: Any, spin: Spin, clear: ListenerSettings, host: str, name: str
) -> None:
    async def scene() -> None:
        async with running(reactor, clear) as it:
            got = await it.curl(f"http://{host}/a", *PROXY, "-H", "authorization: Bearer for-the-target")
            assert got.stdout == "ok\n", got.stderr
            assert (it.shown.target_name, it.shown.secret.reveal()) == (name, "abc")
            assert it.shown.parameters == {
                "http.authority": host,
                "http.scheme": "http",
                "http.form": "absolute",
                "http.prefix": "",
                "http.version": "http/1.1",
            }

    spin(scene())
