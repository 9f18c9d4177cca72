"""One listening socket, and everything that accept(2) may say."""

import errno
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hoopproxy.listen import descriptors
from hoopproxy.listen.port import ACCEPTS_MAX, REST_S, Port

ROOT = Path(__file__).parents[2]


class Reactor(Clock):
    """Time by hand, and who is asked whether there is something to read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)


class Failing:
    """A listening socket whose accept raises these errors first."""

    def __init__(self, real: socket.socket, *errors: int) -> None:
        self._real, self.errors, self.accepts = real, list(errors), 0

    def accept(self) -> Any:
        self.accepts += 1
        if self.errors:
            raise OSError(self.errors.pop(0), "made up")
        return self._real.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Scene:
    """A port and the clients that wait before it."""

    def __init__(self, *errors: int, breaks: type[Exception] | None = None) -> None:
        self.reactor, self.clients = Reactor(), list[socket.socket]()
        self.accepted: list[str] = []
        self.failed: list[int | None] = []
        self.breaks = breaks
        self.port = Port(
            self.reactor, ip_address("127.0.0.1"), 0, self._take, lambda why: self.failed.append(why.errno)
        )
        self.socket: Any = Failing(self.port._socket, *errors)
        self.port._socket = self.socket
        self.port.start()

    def _take(self, client: socket.socket, address: Any) -> None:
        if self.breaks is not None:
            raise self.breaks("no")
        self.accepted.append(str(address))
        client.send(b"hello")

    def client(self) -> socket.socket:
        client = socket.create_connection((str(self.port.endpoint.address), self.port.endpoint.port), timeout=10)
        self.clients.append(client)
        return client

    @property
    def is_reading(self) -> bool:
        return self.port in self.reactor.readers

    def close(self) -> None:
        self.port.close()
        for client in self.clients:
            client.close()
        assert not self.reactor.readers and not self.reactor.getDelayedCalls()


@pytest.fixture
def scenes() -> Iterator[Any]:
    made: list[Scene] = []

    def make(*errors: int, **how: Any) -> Scene:
        made.append(Scene(*errors, **how))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("name", ["ECONNABORTED", "EPERM", "EPROTO", "ENOTCONN", "EHOSTUNREACH", "ENETDOWN"])
def test_an_error_of_one_client_is_that_clients_alone(scenes: Any, name: str) -> None:
    it = scenes(getattr(errno, name))
    client = it.client()
    it.port.doRead()
    assert client.recv(10) == b"hello" and it.accepted == ["127.0.0.1"]
    assert it.is_reading and it.failed == []


@pytest.mark.parametrize("name", ["ENOBUFS", "ENOMEM", "EBADF"])
def test_a_shortage_makes_it_look_away_for_a_while_and_the_client_waits(scenes: Any, name: str) -> None:
    error = getattr(errno, name)
    it = scenes(error, error)
    client = it.client()
    for spent in (1, 2):
        it.port.doRead()
        assert it.socket.accepts == spent and not it.is_reading
        it.reactor.advance(REST_S / 2)
        assert not it.is_reading
        it.reactor.advance(REST_S / 2)
        assert it.is_reading
    it.port.doRead()
    assert client.recv(10) == b"hello" and it.failed == [error, error]


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE"])
def test_without_descriptors_clients_are_turned_away_with_one_that_was_kept(scenes: Any, name: str) -> None:
    it = scenes(getattr(errno, name), 0)
    it.socket.errors.pop()
    away, client = it.client(), it.client()
    it.port.doRead()
    assert away.recv(10) == b"" and client.recv(10) == b"hello"
    assert it.is_reading and it.failed == [getattr(errno, name)]
    assert it.port._spare is not None and os.fstat(it.port._spare)


def test_a_kept_descriptor_that_somebody_else_got_is_taken_back_when_there_are_more(
    scenes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = scenes(errno.EMFILE, errno.EMFILE)
    turned_away, client = it.client(), it.client()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", _no_descriptors)
        it.socket.errors.insert(1, errno.EMFILE)  # nor does the accept of the one to be turned away work
        it.port.doRead()
        assert it.port._spare is None and not it.is_reading
        it.reactor.advance(REST_S)
    it.port.doRead()
    assert it.port._spare is not None and it.is_reading
    assert {turned_away.recv(10), client.recv(10)} == {b"hello"}


def _no_descriptors(*_: object) -> int:
    raise OSError(errno.EMFILE, "made up")


def test_a_port_that_is_closed_while_it_looks_away_does_not_come_back(scenes: Any) -> None:
    it = scenes(errno.ENOBUFS)
    it.port.doRead()
    it.port.close()
    assert not it.reactor.getDelayedCalls()


def test_a_crowd_is_let_in_by_and_by(scenes: Any) -> None:
    it = scenes()
    for _ in range(ACCEPTS_MAX + 3):
        it.client()
    it.port.doRead()
    assert len(it.accepted) == ACCEPTS_MAX
    it.port.doRead()
    assert len(it.accepted) == ACCEPTS_MAX + 3


def test_a_bug_ends_one_connection_and_not_the_port(scenes: Any) -> None:
    it = scenes(breaks=ZeroDivisionError)
    client = it.client()
    with capture_logs() as logged:
        it.port.doRead()
    assert client.recv(10) == b"" and it.is_reading
    assert [entry["event"] for entry in logged] == ["accept-crashed"]


def test_a_port_that_the_reactor_gives_up_is_told_to_the_operator() -> None:
    it = Scene()
    with capture_logs() as logged:
        it.port.connectionLost(Failure(OSError("why ever")))
    assert [(entry["event"], entry["reason"]) for entry in logged] == [("port-lost", "why ever")]
    assert it.socket._closed


CROWDED = """
import resource, sys
import structlog
from ipaddress import ip_address
from twisted.internet import reactor
from hoopproxy.listen.server import Server
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from tests.shell.test_server import Listener, echo

resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
server = Server(reactor, Listener(ip_address("127.0.0.1")), Limits(), TwistedScheduler(reactor), echo)
server.privilegedStartService()
print(server.endpoints[0].port, flush=True)
reactor.callInThread(lambda: (sys.stdin.read(), reactor.callFromThread(reactor.stop)))
reactor.run()
"""


def test_a_process_that_is_full_serves_again_on_the_same_listener_when_somebody_left() -> None:
    how: Any = {"cwd": ROOT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", CROWDED], **how) as gateway:
        assert gateway.stdin is not None and gateway.stdout is not None
        port = int(gateway.stdout.readline())
        served, refused = list[socket.socket](), 0
        for _ in range(100):
            client = socket.create_connection(("127.0.0.1", port), timeout=30)
            if _is_served(client):
                served.append(client)
            else:
                refused += 1
                client.close()
        assert 10 < len(served) < 40 and refused == 100 - len(served)
        assert all(map(_is_served, served))  # those who are in go on
        for _ in range(3):
            served.pop().close()
            while not _is_served(late := socket.create_connection(("127.0.0.1", port), timeout=30)):
                late.close()
            served.append(late)
        for client in served:
            client.close()
        gateway.stdin.close()
        assert gateway.wait(30) == 0


def _is_served(client: socket.socket) -> bool:
    try:
        client.send(b"hello")
        return client.recv(10) == b"hello"
    except ConnectionError:
        return False


def test_a_process_makes_room_for_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: made.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 500_000))
    with capture_logs() as logged:
        descriptors.make_room(5000)
        assert made == [(16_000, 500_000)]
        monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
        descriptors.make_room(5000)
        assert made[1:] == [(16_000, resource.RLIM_INFINITY)]
        for enough in (16_000, 20_000, resource.RLIM_INFINITY):
            monkeypatch.setattr(resource, "getrlimit", lambda _, enough=enough: (enough, resource.RLIM_INFINITY))
            descriptors.make_room(5000)
        assert len(made) == 2 and not logged
        monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
        descriptors.make_room(5000)
    assert made[2:] == [(4096, 4096)]
    (entry,) = logged
    assert entry["event"] == "descriptors-too-few" and "16000 file descriptors" in entry["sentence"]
    assert "may open 4096;" in entry["sentence"]
