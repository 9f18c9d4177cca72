"""Kubernetes' front door: which cluster is meant, and what leads elsewhere through its clients."""

from dataclasses import replace
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from hoopproxy.connection import Connection
from hoopproxy.errors import UpstreamUnreachable
from hoopproxy.listen.http_front import Front
from hoopproxy.listen.kubernetes import KubernetesFrontend
from hoopproxy.model import Arrival, Endpoint, Side
from hoopproxy.rooms import IFrontend
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.wire.http.lanes import Frame, Frames, Kind, framed
from tests.conftest import Spin

from .http_desk import BARE, DOMAIN, LIMITS, running

CLUSTERS = replace(BARE, protocol="kubernetes", target="main")


@pytest.mark.parametrize(
    ("host", "path", "name", "prefix"),
    [
        (f"prod.{DOMAIN}", "/api/v1/pods", "prod", ""),
        (DOMAIN, "/api/v1/pods", "main", ""),
        (DOMAIN, "/clusters/prod/api/v1/pods", "prod", "/clusters/prod"),
        (DOMAIN, "/clusters/prod", "prod", "/clusters/prod"),
        (DOMAIN, "/clusters/prod?watch=1", "prod", "/clusters/prod"),
        (f"prod.{DOMAIN}", "/clusters/test/version", "test", "/clusters/test"),
        (DOMAIN, "/clusters", "main", ""),
        (DOMAIN, "/clusters/", "main", ""),
        (DOMAIN, "/clusters//api", "main", ""),
        (DOMAIN, "/clusters/%70rod/api", "main", ""),
        (DOMAIN, "/x/clusters/prod/api", "main", ""),
    ],
)
def test_a_path_or_a_host_names_the_cluster(
    reactor: Any, spin: Spin, host: str, path: str, name: str, prefix: str
) -> None:
    async def scene() -> None:
        async with running(reactor, CLUSTERS) as it:
            sent = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer abc\r\n\r\n"
            assert b"200 OK" in await it.raw(sent.encode())
            assert (it.shown.target_name, it.shown.parameters["http.prefix"]) == (name, prefix)
            assert it.heads[0].target == path

    spin(scene())


def test_a_proxy_s_client_names_it_by_its_place(reactor: Any, spin: Spin, own: dict[str, str]) -> None:
    """As kubectl does with proxy-url."""

    async def scene() -> None:
        async with running(reactor, replace(CLUSTERS, **own)) as it:
            url = "https://10.0.0.1:6443/clusters/prod/version"
            proxy = ("--proxy", "http://127.0.0.1:{port}", "--proxy-user", "token:abc")
            got = await it.curl(url, *proxy, "--cacert", own["authority_file"])
            assert got.stdout == "ok\n", got.stderr
            assert (it.shown.target_name, it.shown.parameters["http.prefix"]) == ("10.0.0.1:6443", "")

    spin(scene())


class Scene:
    """A client in memory that is in, and whoever was adopted."""

    def __init__(self) -> None:
        clock = Clock()
        self.clock, scheduler = clock, TwistedScheduler(clock)
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 40_000))
        self.connection = Connection(Side.CLIENT, LIMITS, scheduler, clock)
        self.connection.makeConnection(self.transport)
        self.adopted: list[IFrontend] = []
        arrival = Arrival("c1", "web", "kubernetes", Endpoint(ip_address("127.0.0.1"), 40_000), 0.0)
        front = Front(CLUSTERS, LIMITS, scheduler)
        self.frontend = KubernetesFrontend(self.connection, arrival, front, self.adopted.append)
        permit: Any = SimpleNamespace(session_id="s1", target=None)
        passage: Any = SimpleNamespace(permit=permit)
        peer: Any = None
        Deferred.fromCoroutine(self.frontend.welcome(passage, peer))

    def write(self, frame: Frame) -> None:
        Deferred.fromCoroutine(self.frontend.write(framed(frame)))

    def read(self) -> list[bytes]:
        found: list[bytes] = []
        Deferred.fromCoroutine(self.frontend.read()).addCallback(found.append)
        return found


def frame_of(data: bytes) -> Frame | None:
    frames = Frames(Side.CLIENT)
    frames.append(data)
    return frames.next()


def test_a_lane_of_another_target_s_is_adopted_and_read_with_the_client_s_own() -> None:
    scene = Scene()
    waiting = scene.read()
    scene.write(Frame(Kind.OPEN, 1, b"prod:shop/db-0:5432"))
    (child,) = scene.adopted
    assert child.arrival.protocol == "pod" and child.arrival.parent == "s1" and not waiting
    child.refuse("s2", UpstreamUnreachable("It is not there."))
    assert frame_of(waiting[0]) == Frame(Kind.REFUSED, 1, b"It is not there. (session s2)")
    waiting = scene.read()
    scene.connection.dataReceived(b"own")
    assert frame_of(waiting[0]) == Frame(Kind.DATA, 0, b"own")
    scene.write(Frame(Kind.DATA, 0, b"answer"))
    assert scene.transport.value() == b"answer"


@pytest.mark.parametrize("end", ["close", "abort"])
def test_children_end_with_their_client(end: str) -> None:
    scene = Scene()
    scene.write(Frame(Kind.OPEN, 1, b"prod:shop/db-0:5432"))
    getattr(scene.frontend, end)()
    gone: list[Any] = []
    Deferred.fromCoroutine(scene.adopted[0].lost.wait()).addCallback(gone.append)
    assert gone == [None]


def test_who_has_no_children_may_not_be_sent_their_frames() -> None:
    scene = Scene()
    scene.write(Frame(Kind.DATA, 7, b"for nobody"))
    assert scene.transport.value() == b"" and scene.adopted == []
