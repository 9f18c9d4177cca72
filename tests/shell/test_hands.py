"""What an addon may await: threads that are few, HTTP that is bounded and verified, and time."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.ssl import CertificateOptions
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from hoopproxy import hands
from hoopproxy.hands import HttpAnswer, Overloaded, http, in_thread, sleep
from tests.conftest import Spin

from .conftest import Pair

# Threads --------------------------------------------------------------------------------------------------------------


def test_a_function_runs_in_another_thread_and_its_result_comes_back_here(spin: Spin) -> None:
    here = threading.get_ident()

    async def scene() -> None:
        there, value = await in_thread("test", lambda *args: (threading.get_ident(), args), 1, 2)
        assert there != here == threading.get_ident() and value == (1, 2)

    spin(scene())


def test_what_it_raises_is_raised_where_it_is_awaited(spin: Spin) -> None:
    def fails() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        spin(in_thread("test", fails))


def test_threads_and_waiting_calls_of_a_role_are_bounded_and_no_other_role_s(
    spin: Spin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "THREADS_MAX", 2)
    monkeypatch.setattr(hands, "WAITING_MAX", 1)
    gate, seen = threading.Event(), set[int]()

    def waits() -> None:
        seen.add(threading.get_ident())
        gate.wait(10)

    async def scene() -> None:
        running = [Deferred.fromCoroutine(in_thread("few", waits)) for _ in range(3)]
        with pytest.raises(Overloaded, match="'few'"):
            await in_thread("few", waits)
        assert await in_thread("others", int, "7") == 7
        running[0].cancel()  # it stops waiting, but its thread stays busy
        with pytest.raises(CancelledError):
            await running[0]
        with pytest.raises(Overloaded):
            await in_thread("few", waits)
        gate.set()
        for each in running[1:]:
            await each
        assert await in_thread("few", int, "8") == 8
        assert len(seen) <= 2

    try:
        spin(scene())
    finally:
        gate.set()


def test_threads_do_not_keep_a_process_alive(spin: Spin) -> None:
    thread = spin(in_thread("test", threading.current_thread))
    assert thread.daemon


def test_the_end_of_a_pool_waits_for_no_thread_that_hangs(spin: Spin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "STOP_S_MAX", 0.01)
    gate = threading.Event()

    async def scene() -> None:
        pool = hands._Pool("hangs")
        pool.call(lambda: gate.wait(10))
        pool.end()

    try:
        spin(scene())
    finally:
        gate.set()


# Time -----------------------------------------------------------------------------------------------------------------


def test_sleep_ends_by_itself_and_leaves_no_timer_when_cancelled(reactor: Any, spin: Spin) -> None:
    async def scene() -> None:
        await sleep(0.001)
        cut = Deferred.fromCoroutine(sleep(60))
        cut.cancel()
        with pytest.raises(CancelledError):
            await cut

    spin(scene())
    assert reactor.getDelayedCalls() == []


# HTTP -----------------------------------------------------------------------------------------------------------------


class Page(Resource):
    """Answers as `render` says."""

    isLeaf = True

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        super().__init__()
        self.render = answer  # type: ignore[method-assign] # one method serves all verbs


class Web:
    """A site on loopback, in the clear or over TLS."""

    def __init__(self, reactor: Any, pair: Pair) -> None:
        self._reactor, self._pair, self._ports = reactor, pair, list[Any]()
        self.site = Site(root := Resource())
        self.site.noisy = False  # type: ignore[attr-defined] # it is a factory
        self.root = root

    def page(self, answer: Callable[[Any], Any], tls: bool = False) -> str:
        """Its address."""
        self.root.putChild(b"page", Page(answer))
        if tls:
            key: Any = load_pem_private_key(self._pair.file.read_bytes(), None)
            certificate: Any = self._pair.certificate
            options = CertificateOptions(privateKey=key, certificate=certificate)
            port = self._reactor.listenSSL(0, self.site, options, interface="127.0.0.1")
        else:
            port = self._reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self._ports.append(port)
        return f"http{'s' * tls}://localhost:{port.getHost().port}/page"

    async def end(self) -> None:
        while self._ports:
            await self._ports.pop().stopListening()


@pytest.fixture
def web(reactor: Any, spin: Spin, pair: Pair) -> Iterator[Web]:
    made = Web(reactor, pair)
    yield made
    spin(made.end())


def get(url: str, **changes: Any) -> Any:
    return http("GET", url, **{"timeout_s": 2.0, "bytes_max": 100_000, **changes})


def test_an_exchange_carries_method_headers_body_and_status_and_follows_no_redirect(spin: Spin, web: Web) -> None:
    def answer(request: Any) -> bytes:
        request.setResponseCode(302)
        request.setHeader("Location", "/elsewhere")
        request.responseHeaders.setRawHeaders("X-Two", ["a", "b"])
        return b" ".join((request.method, request.getHeader("X-Token").encode(), request.content.read()))

    found: HttpAnswer = spin(
        http("POST", web.page(answer), headers={"X-Token": "t"}, body=b"body", timeout_s=2.0, bytes_max=100)
    )
    assert (found.status, found.body) == (302, b"POST t body")
    assert found.headers["location"] == "/elsewhere" and found.headers["x-two"] == "a, b"
    assert "body" not in repr(found)


def test_a_body_over_the_limit_is_given_up_while_it_comes(spin: Spin, web: Web) -> None:
    address = web.page(lambda _: bytes(100_001))
    with pytest.raises(ValueError, match="longer than 100000 bytes"):
        spin(get(address))
    assert len(spin(get(address, bytes_max=100_001)).body) == 100_001


@pytest.mark.parametrize("begun", [False, True])
def test_an_answer_that_does_not_come_whole_in_time_is_a_timeout(spin: Spin, web: Web, begun: bool) -> None:
    def stalls(request: Any) -> int:
        if begun:
            request.write(b"half of it")
        return NOT_DONE_YET

    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        spin(get(web.page(stalls), timeout_s=0.1))


def test_https_is_verified_against_the_file_and_else_the_system(spin: Spin, web: Web, pair: Pair) -> None:
    address = web.page(lambda _: b"in", tls=True)
    assert spin(get(address, ca_file=str(pair.file))).body == b"in"
    for wrong in (get(address), get(address.replace("localhost", "127.0.0.2"), ca_file=pair.file)):
        with pytest.raises(Exception) as refused:  # noqa: PT011 # whatever Twisted calls it
            spin(wrong)
        assert not isinstance(refused.value, TimeoutError)


def test_a_file_without_a_certificate_trusts_nobody(spin: Spin, web: Web, tmp_path: Any) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    with pytest.raises(ValueError):  # noqa: PT011 # cryptography's words
        spin(get(web.page(lambda _: b"in", tls=True), ca_file=empty))


def test_a_port_where_nobody_listens_says_so(spin: Spin, web: Web) -> None:
    address = web.page(lambda _: b"")
    spin(web.end())
    with pytest.raises(Exception, match="refused"):
        spin(get(address))
