"""Lanes that lead elsewhere, without a machine: what frames do, and which frames come back."""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hoopproxy.errors import BrokenOff, Refused, Revoked, UpstreamUnreachable
from hoopproxy.listen.lane_children import HELD_BYTES_MAX, UNTAKEN_MAX, LaneChildren, LaneFrontend
from hoopproxy.model import Arrival, Endpoint, Side
from hoopproxy.registry import faults
from hoopproxy.rooms import IFrontend
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.wire.http.lanes import Frame, Frames, Kind

ARRIVAL = Arrival("c1", "k8s", "kubernetes", Endpoint(ip_address("198.51.100.9"), 40000), 5.0)
PERMIT: Any = SimpleNamespace(session_id="s7")
PASSAGE: Any = None
PEER: Any = None
NAME = b"prod:default/web-0:5432"


@dataclass
class Client:
    """An HTTP client as its frontend knows it: what it sends on lane 0 is given to `sends`."""

    limits: Limits = field(default_factory=Limits)
    adopted: list[LaneFrontend] = field(default_factory=list)
    own: list[bytes | Exception] = field(default_factory=list)
    own_reads: int = 0

    def __post_init__(self) -> None:
        self.scheduler = TwistedScheduler(Clock())
        self.children = LaneChildren(ARRIVAL, PERMIT, self.adopt, self.limits, self.scheduler)
        self.waiting: Deferred[None] | None = None

    def adopt(self, frontend: IFrontend) -> None:
        assert isinstance(frontend, LaneFrontend)
        self.adopted.append(frontend)

    def sends(self, *pieces: bytes | Exception) -> None:
        self.own += pieces
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(None)

    async def reads_own(self) -> bytes:
        self.own_reads += 1
        while not self.own:
            self.waiting = Deferred()
            await self.waiting
        found = self.own.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def next(self) -> list[bytes]:
        """What is to be read; nothing while there is nothing."""
        return started(self.children.next(self.reads_own))

    def frames(self) -> list[Frame]:
        """All frames of lanes that wait; what the client sends itself is left."""
        found = []
        while self.children._waiting:
            reader = Frames(Side.CLIENT)
            reader.append(now(self.children.next(self.reads_own)))
            frame = reader.next()
            assert frame is not None
            found.append(frame)
        return found

    def takes(self, kind: Kind, payload: bytes = b"", lane: int = 3) -> None:
        self.children.take(Frame(kind, lane, payload))

    def opens(self, lane: int = 3) -> LaneFrontend:
        """A lane that was welcomed."""
        self.takes(Kind.OPEN, NAME, lane)
        now(self.adopted[-1].welcome(PASSAGE, PEER))
        assert self.frames() == [Frame(Kind.OPENED, lane)]
        return self.adopted[-1]


def started[T](work: Coroutine[Any, Any, T]) -> list[T]:
    """Empty while it waits."""
    results: list[T] = []
    Deferred.fromCoroutine(work).addCallback(results.append)
    return results


def now[T](work: Coroutine[Any, Any, T]) -> T:
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def test_a_lane_is_a_client_connection_of_its_own() -> None:
    client = Client()
    client.takes(Kind.OPEN, NAME)
    (lane,) = client.adopted
    assert faults(IFrontend, lane) == ""
    arrival = lane.arrival
    assert (arrival.protocol, arrival.parent, arrival.listener) == ("pod", "s7", "k8s")
    assert arrival.client == ARRIVAL.client and arrival.connection_id != ARRIVAL.connection_id
    credentials = now(lane.credentials())
    assert credentials is not None
    assert credentials.target_name == NAME.decode() and credentials.parent is PERMIT
    assert (credentials.account, credentials.database, credentials.secret.reveal()) == ("", "", "")
    assert not lane.again(Refused("No.", reason="target"))
    assert client.frames() == []


@pytest.mark.parametrize(
    "name",
    [
        *(b"", b"prod", b"prod:default/web-0", b"prod:default/we\nb:80", b"prod:default/\x1b[2J:80", b"prod:a/b/c:80"),
        *(b"prod:default/" + b"x" * 300 + b":80", b"prod:default/w\xc3\xa9b:80", b"prod:default/web:800000"),
    ],
)
def test_what_is_no_port_of_a_pod_gets_into_no_log(name: bytes) -> None:
    client = Client()
    client.takes(Kind.OPEN, name)
    with pytest.raises(Refused, match="no port of a pod"):
        now(client.adopted[0].credentials())


def test_what_is_written_comes_out_as_frames_and_waits_to_be_taken() -> None:
    client = Client()
    lane = client.opens()
    written, ended = started(lane.write(b"pong")), started(lane.end())
    assert not written and not ended
    assert client.frames() == [Frame(Kind.DATA, 3, b"pong"), Frame(Kind.ENDED, 3)]
    assert written and ended
    now(lane.write(b"nobody hears it"))
    now(lane.end())
    lane.close()
    lane.close()
    lane.abort()
    assert client.frames() == [Frame(Kind.CLOSED, 3)]


def test_what_the_client_sends_is_read_up_to_its_end() -> None:
    client = Client(Limits(chunk_bytes_max=4096))
    lane = client.opens()
    reading = started(lane.read())
    assert not reading
    client.takes(Kind.DATA, b"ping")
    assert reading == [b"ping"]
    client.takes(Kind.DATA, bytes(5000))
    client.takes(Kind.ENDED)
    assert [len(now(lane.read())) for _ in range(3)] == [4096, 904, 0]
    client.takes(Kind.DATA, b"behind its end")
    assert now(lane.read()) == b""


def test_a_client_that_leaves_amid_what_it_sent_is_told_from_one_that_ended() -> None:
    client = Client()
    lane = client.opens()
    client.takes(Kind.DATA, b"half a")
    client.takes(Kind.CLOSED)
    assert started(lane.lost.wait())
    assert now(lane.read()) == b"half a"
    with pytest.raises(BrokenOff):
        now(lane.read())
    now(lane.write(b"nobody hears it"))
    lane.close()
    assert client.frames() == [], "the machine said itself that it is gone"


def test_a_client_that_leaves_once_the_target_has_said_its_all_breaks_nothing_off() -> None:
    client = Client()
    lane = client.opens()
    ended = started(lane.end())
    client.frames()
    client.takes(Kind.CLOSED)
    assert ended and now(lane.read()) == b""


@pytest.mark.parametrize(("is_welcome", "kind"), [(False, Kind.REFUSED), (True, Kind.CLOSED)])
def test_a_refusal_is_said_with_the_session_it_is_about(is_welcome: bool, kind: Kind) -> None:
    client = Client()
    if is_welcome:
        client.opens()
    else:
        client.takes(Kind.OPEN, NAME)
    lane = client.adopted[0]
    lane.refuse("s9", UpstreamUnreachable("Nobody is there."))
    lane.close()
    assert client.frames() == [Frame(kind, 3, b"Nobody is there. (session s9)")]
    lane.inform("Hello.")
    lane.refuse("s9", ValueError("a bug"))
    assert client.frames() == []


def test_no_more_lanes_than_channels_may_be_and_a_left_one_counts_until_it_is_over() -> None:
    client = Client(Limits(channels_max=1))
    lane = client.opens()
    client.takes(Kind.CLOSED)
    client.takes(Kind.OPEN, NAME, lane=5)
    (refusal,) = client.frames()
    assert (refusal.kind, refusal.lane) == (Kind.REFUSED, 5) and b"limits.channels_max" in refusal.payload
    lane.close()
    client.takes(Kind.OPEN, NAME, lane=7)
    assert len(client.adopted) == 2
    client.takes(Kind.DATA, b"for one that never was", lane=9)


def test_when_the_client_goes_so_do_its_lanes() -> None:
    client = Client()
    lane = client.opens()
    reading, writing = started(lane.read()), started(lane.write(b"x"))
    client.children.close()
    assert writing and not reading and started(lane.lost.wait())
    with pytest.raises(BrokenOff):
        now(lane.read())
    late = Client()
    late.takes(Kind.OPEN, NAME)
    late.children.close()
    with pytest.raises(Revoked):
        now(late.adopted[0].welcome(PASSAGE, PEER))
    now(lane.write(b"nobody hears it"))
    assert client.frames() == []


# What the frontend reads ----------------------------------------------------------------------------------------------


def test_the_clients_own_bytes_and_frames_of_lanes_take_turns() -> None:
    client = Client()
    lane = client.opens()
    client.sends(b"own 1", b"own 2", b"own 3")
    for number in range(2):
        started(lane.write(b"lane %d" % number))
    read = [now(client.children.next(client.reads_own)) for _ in range(5)]
    assert [data for data in read if data.startswith(b"own")] == [b"own 1", b"own 2", b"own 3"]
    is_own = [data.startswith(b"own") for data in read]
    assert is_own in ([True, False, True, False, True], [False, True, False, True, True]), read


def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    client = Client()
    lane = client.opens()
    waiting = Deferred.fromCoroutine(client.children.next(client.reads_own))
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    client.sends(b"own")
    started(lane.write(b"lane"))
    found = {now(client.children.next(client.reads_own))[-4:] for _ in range(2)}
    assert found == {b"own", b"lane"}


def test_the_end_of_the_client_and_what_it_breaks_are_told() -> None:
    client = Client()
    client.sends(BrokenOff("gone"))
    with pytest.raises(BrokenOff):
        now(client.children.next(client.reads_own))
    client.sends(b"")
    assert client.next() == [b""]


def test_a_child_whose_target_takes_nothing_stops_the_client() -> None:
    client = Client()
    lane = client.opens()
    client.sends(b"first")
    assert client.next() == [b"first"]
    client.takes(Kind.DATA, bytes(HELD_BYTES_MAX + 1))
    client.sends(b"second", b"third")
    client.next()
    reads = client.own_reads
    waiting = client.next()
    assert not waiting and client.own_reads == reads, "nothing more is read of the client"
    now(lane.read())
    assert waiting == [b"third"]


def test_a_client_that_asks_without_end_and_takes_no_answer_is_read_no_further() -> None:
    client = Client(Limits(channels_max=1))
    client.opens()
    client.sends(b"first")
    assert client.next() == [b"first"]
    for number in range(UNTAKEN_MAX + 1):
        client.takes(Kind.OPEN, NAME, lane=5 + number)
    client.sends(b"more")
    first = now(client.children.next(client.reads_own))
    assert first[0] == Kind.REFUSED and client.own == [b"more"]
