"""One listener's sockets: who is served, who is not, and how it all ends."""

import resource
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from hoopproxy.admit.crowd import Crowd
from hoopproxy.connection import Connection
from hoopproxy.errors import ConfigError
from hoopproxy.listen.server import TROUBLE_S_MIN, Server, _Trouble
from hoopproxy.model import Arrival, Endpoint, Identity
from hoopproxy.rooms import IConnection, IFrontend, IListener
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, ListenerSettings
from tests.conftest import Spin

LIMITS = Limits(drain_s_max=0.2)
V4, V6 = ip_address("127.0.0.1"), ip_address("::1")


class Front:
    """The part of a frontend that a server and these tests use."""

    def __init__(self, connection: Any, arrival: Arrival) -> None:
        self.connection: Connection = connection
        self.arrival = arrival
        self.adopt: Any = None


@implementer(IListener)
class Listener:
    def __init__(self, *addresses: Any, port: int = 0, balancers: tuple[Any, ...] = ()) -> None:
        self.settings = ListenerSettings("pg", "postgres", addresses, port, balancers=balancers)

    def frontend(self, connection: IConnection, arrival: Arrival, adopt: Any) -> IFrontend:
        front: Any = Front(connection, arrival)
        front.adopt = adopt
        return front


class Scene:
    """A running server, its frontends in order, and its clients."""

    def __init__(
        self,
        reactor: Any,
        run: Callable[[Any], Coroutine[Any, Any, None]],
        *addresses: Any,
        crowd: Crowd | None = None,
        balancers: tuple[Any, ...] = (),
        **limits: Any,
    ):
        self.fronts: list[Front] = []
        self._known = ExitStack()
        self.clients: list[socket.socket] = []
        self.scheduler = TwistedScheduler(reactor)
        self._run = run
        limits_ = replace(LIMITS, **limits)
        self.crowd = Crowd(limits_) if crowd is None else crowd
        listener = Listener(*(addresses or (V4,)), balancers=balancers)
        self.server = Server(reactor, listener, limits_, self.scheduler, self.serve, self.crowd)
        self.server.privilegedStartService()
        self.server.startService()

    async def serve(self, frontend: Any) -> None:
        self.fronts.append(frontend)
        await self._run(frontend)

    def client(self, number: int = 0, source: str = "") -> socket.socket:
        endpoint = self.server.endpoints[number]
        client = socket.create_connection((str(endpoint.address), endpoint.port), source_address=(source, 0))
        client.setblocking(False)
        self.clients.append(client)
        return client

    async def signs_in(self) -> None:
        """Whoever came first is known from here on."""
        (front, *_) = await self.until(lambda: self.fronts)
        ada = Identity("https://id.example", "ada", "Ada", frozenset(), 9e9, "oidc")
        self._known.enter_context(self.crowd.signed_in(front.arrival.connection_id, ada))

    async def until(self, condition: Callable[[], Any]) -> Any:
        while not (found := condition()):
            await self.scheduler.sleep(0)
        return found

    async def hears(self, client: socket.socket) -> bytes:
        """What comes next; b"" at the end of stream or at a reset."""
        while True:
            try:
                return client.recv(100)
            except BlockingIOError:
                await self.scheduler.sleep(0)
            except ConnectionResetError:
                return b""


async def echo(front: Front) -> None:
    while data := await front.connection.read():
        await front.connection.write(data)


async def silence(front: Front) -> None:
    await front.connection.read()


@pytest.fixture
def scene(reactor: Any, spin: Spin) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(run: Callable[[Any], Coroutine[Any, Any, None]] = echo, *addresses: Any, **limits: Any) -> Scene:
        made.append(Scene(reactor, run, *addresses, **limits))
        return made[-1]

    yield make
    for each in made:
        for client in each.clients:
            client.close()
        spin(each.server.stopService())


type Make = Callable[..., Scene]


def test_it_listens_on_ipv4_and_ipv6_side_by_side_and_tells_who_came(scene: Make, spin: Spin) -> None:
    it = scene(echo, V4, V6)
    assert [endpoint.address for endpoint in it.server.endpoints] == [V4, V6]

    async def play() -> None:
        for number, address in enumerate((V4, V6)):
            client = it.client(number)
            client.send(b"hello")
            assert await it.hears(client) == b"hello"
            arrival = it.fronts[number].arrival
            assert arrival.client == Endpoint(address, client.getsockname()[1])
            assert (arrival.listener, arrival.protocol) == ("pg", "postgres")
        assert len({front.arrival.connection_id for front in it.fronts}) == 2
        assert it.fronts[0].arrival.at_s <= it.fronts[1].arrival.at_s <= it.scheduler.now_s()

    spin(play())


def test_both_wildcards_share_one_port(scene: Make, reactor: Any, spin: Spin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listener = Listener(ip_address("0.0.0.0"), ip_address("::"), port=port)
    server = Server(reactor, listener, LIMITS, TwistedScheduler(reactor), echo)
    server.privilegedStartService()
    assert {endpoint.port for endpoint in server.endpoints} == {port}
    spin(server.stopService())


def test_it_makes_room_for_as_many_as_it_may_let_in(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr("hoopproxy.listen.server.make_room", made.append)
    scene(echo, V4, V6, connections_max=77)
    assert made == [77]


def test_an_address_that_is_taken_stops_the_start_with_a_sentence_and_holds_no_other(
    scene: Make, reactor: Any, spin: Spin
) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        server = Server(reactor, Listener(V4, V6, port=port), LIMITS, TwistedScheduler(reactor), echo)
        with pytest.raises(ConfigError) as refused:
            server.privilegedStartService()
        (problem,) = refused.value.problems
        assert problem.startswith(f"listen.pg: can't listen on [::1]:{port} (Address already in use); wanted is ")
        socket.create_server(("127.0.0.1", port)).close()


def test_who_stays_silent_delays_nobody(scene: Make, spin: Spin) -> None:
    it = scene()

    async def play() -> None:
        silent = [it.client() for _ in range(20)]
        speaker = it.client()
        speaker.send(b"hello")
        assert await it.hears(speaker) == b"hello"
        assert len(silent) + 1 == len(it.fronts)

    spin(play())


def test_a_run_that_is_over_closes_its_connection(scene: Make, spin: Spin) -> None:
    async def greets(front: Front) -> None:
        front.connection.send(b"bye")

    it = scene(greets)

    async def play() -> None:
        client = it.client()
        assert [await it.hears(client), await it.hears(client)] == [b"bye", b""]

    spin(play())


def test_a_bug_ends_its_own_connection_silently_and_its_traceback_is_logged(scene: Make, spin: Spin) -> None:
    async def breaks(front: Front) -> None:
        data = await front.connection.read()
        if data == b"break":
            front.connection.send(b"never to be seen")
            raise ZeroDivisionError("bug")
        await front.connection.write(data)

    it = scene(breaks)

    async def play() -> None:
        broken, sound = it.client(), it.client()
        broken.send(b"break")
        assert await it.hears(broken) == b""
        sound.send(b"fine")
        assert await it.hears(sound) == b"fine"

    with capture_logs() as logged:
        spin(play())
    (entry,) = logged
    assert entry["event"] == "connection-crashed" and entry["exc_info"]
    assert entry["connection"] == it.fronts[0].arrival.connection_id


@pytest.mark.parametrize(
    "limit",
    ["connections_max", "connections_per_address_max", "unauthenticated_max", "unauthenticated_per_address_max"],
)
def test_over_a_limit_a_connection_is_closed_at_once_until_another_has_left(
    scene: Make, spin: Spin, limit: str
) -> None:
    it = scene(**{limit: 2})

    async def play() -> None:
        first, second = it.client(), it.client()
        await it.until(lambda: len(it.fronts) == 2)
        assert [await it.hears(it.client()) for _ in range(3)] == [b""] * 3
        first.close()
        await it.until(lambda: len(it.server._serving) == 1)
        third = it.client()
        for client in (second, third):
            client.send(b"in")
            assert await it.hears(client) == b"in"
        assert len(it.fronts) == 3

    with capture_logs() as logged:
        spin(play())
    (entry,) = logged  # one line for three
    assert entry["event"] == "connection-over-limit" and entry["limit"] == f"limits.{limit}"
    assert entry["client"] == "127.0.0.1" and entry["unnoted"] == 0
    assert len(it.crowd) == 2


def test_all_listeners_of_a_gateway_share_its_places(scene: Make, spin: Spin) -> None:
    one = scene(connections_max=2)
    other = scene(crowd=one.crowd)

    async def play() -> None:
        held = [one.client(), other.client()]
        await one.until(lambda: len(one.crowd) == 2)
        assert [await one.hears(one.client()), await other.hears(other.client())] == [b"", b""]
        held[0].close()
        await one.until(lambda: len(one.crowd) == 1)
        late = other.client()
        late.send(b"in")
        assert await other.hears(late) == b"in"

    spin(play())


def test_strangers_take_no_place_of_those_who_are_signed_in(scene: Make, spin: Spin) -> None:
    async def signs_in(front: Front) -> None:
        identity = Identity("https://id", (await front.connection.read()).decode(), "", frozenset(), 0.0, "oidc")
        with it.crowd.signed_in(front.arrival.connection_id, identity):
            await echo(front)

    it = scene(signs_in, unauthenticated_max=2)

    async def play() -> None:
        members = []
        for name in (b"ada", b"bob", b"cyd"):
            members.append(it.client())
            members[-1].send(name)
            await it.until(lambda: len(it.crowd._connections_of) == len(members))
        silent = [it.client() for _ in range(2)]
        await it.until(lambda: len(it.crowd) == 5)
        assert await it.hears(it.client()) == b""
        for member in members:
            member.send(b"here")
            assert await it.hears(member) == b"here"
        silent[0].close()
        await it.until(lambda: len(it.crowd) == 4)
        members[0].close()  # the place of somebody who was signed in is none for a stranger more
        await it.until(lambda: len(it.crowd) == 3)
        it.client()
        await it.until(lambda: len(it.crowd) == 4)
        assert await it.hears(it.client()) == b""

    spin(play())


def test_what_was_not_noted_is_counted_in_the_next_line() -> None:
    clock = Clock()
    trouble = _Trouble("pg", TwistedScheduler(clock))
    with capture_logs() as logged:
        for _ in range(5):
            trouble.note("connection-over-limit", limit="limits.connections_max", client="127.0.0.1")
        clock.advance(TROUBLE_S_MIN)
        trouble.note("connection-not-accepted", error="EMFILE")
    assert [(entry["event"], entry["unnoted"]) for entry in logged] == [
        ("connection-over-limit", 0),
        ("connection-not-accepted", 4),
    ]


def test_who_is_gone_before_the_accept_leaves_nothing_behind(scene: Make, spin: Spin) -> None:
    it = scene()

    async def play() -> None:
        gone = it.client()
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()  # a reset, while the kernel still holds it for us
        client = it.client()
        client.send(b"hello")
        assert await it.hears(client) == b"hello"
        await it.until(lambda: len(it.server._serving) == 1)
        assert len(it.fronts) == len(it.crowd) == 1

    spin(play())


def test_running_out_of_descriptors_turns_clients_away_and_is_told_once(scene: Make, spin: Spin) -> None:
    it = scene()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endpoint = it.server.endpoints[0]

    async def play() -> None:
        refused = [socket.socket() for _ in range(5)]
        it.clients += refused
        with open("/dev/null") as spare:
            lowest = spare.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))  # not one more
        try:
            for each in refused:
                each.connect((str(endpoint.address), endpoint.port))
                each.setblocking(False)
                assert await it.hears(each) == b""
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client = it.client()
        client.send(b"hello")
        assert await it.hears(client) == b"hello"

    with capture_logs() as logged:
        spin(play())
    assert [(entry["event"], entry["error"]) for entry in logged] == [("connection-not-accepted", "EMFILE")]


def test_a_stop_accepts_nobody_and_waits_for_who_is_here(scene: Make, spin: Spin) -> None:
    it = scene(drain_s_max=5.0)

    async def play() -> None:
        client = it.client()
        await it.signs_in()
        stopping = it.server.stopService()
        await it.scheduler.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            it.client()
        client.send(b"still here")
        assert await it.hears(client) == b"still here" and not stopping.called
        client.close()
        await stopping

    spin(play())


def test_a_stop_cuts_off_at_once_who_has_not_said_who_he_is(scene: Make, spin: Spin) -> None:
    ended: list[str] = []

    async def asks(front: Front) -> None:
        try:
            await front.connection.read()
        except CancelledError:
            ended.append("cancelled")
            raise

    it = scene(asks, drain_s_max=600.0)

    async def play() -> None:
        known, client = it.client(), it.client()
        await it.signs_in()
        await it.until(lambda: len(it.fronts) == 2)
        stopping = it.server.stopService()
        stranger = client if it.fronts[0].connection.peer.port == known.getsockname()[1] else known
        assert await it.hears(stranger) == b"" and ended == ["cancelled"] and not stopping.called
        (known if stranger is client else client).send(b"thanks")
        await stopping

    spin(play())


def test_a_stop_does_not_wait_for_clients_that_have_heard_all_to_end_their_half(scene: Make, spin: Spin) -> None:
    async def says(front: Front) -> None:
        await front.connection.write(b"good-bye" * 100_000)

    it = scene(says, drain_s_max=600.0)

    async def play() -> None:
        client, heard = it.client(), b""
        await it.signs_in()
        stopping = it.server.stopService()
        while data := await it.hears(client):
            heard += data
        await stopping
        assert heard == b"good-bye" * 100_000

    spin(play())


def test_a_stop_waits_for_what_came_through_a_connection_to_have_said_its_last_word(scene: Make, spin: Spin) -> None:
    gate: Deferred[None] = Deferred()

    async def run(front: Front) -> None:
        if front.arrival.parent:
            await gate  # an entry in the log, say
        else:
            front.adopt(Front(None, replace(front.arrival, parent="s1")))

    it = scene(run, drain_s_max=5.0)

    async def play() -> None:
        client = it.client()
        await it.until(lambda: len(it.fronts) == 2)
        client.close()
        stopping = it.server.stopService()
        await it.until(lambda: not it.crowd)
        assert not stopping.called
        gate.callback(None)
        await stopping

    spin(play())


def test_a_stop_cuts_off_who_stays_and_lets_their_runs_clean_up(scene: Make, spin: Spin) -> None:
    ended: list[str] = []

    async def stays(front: Front) -> None:
        try:
            await Deferred()
        except CancelledError:
            ended.append("cancelled")
            raise
        finally:
            await it.scheduler.sleep(0)
            ended.append("noted")

    it = scene(stays)

    async def play() -> None:
        client = it.client()
        await it.signs_in()
        await it.server.stopService()
        assert ended == ["cancelled", "noted"] and await it.hears(client) == b""

    with capture_logs() as logged:
        spin(play())
    assert [(entry["event"], entry["count"]) for entry in logged] == [("connections-cut-off", 1)]


def test_a_stop_does_not_wait_for_ever_for_a_run_that_refuses(scene: Make, spin: Spin) -> None:
    gate: Deferred[None] = Deferred()

    async def refuses(_: Front) -> None:
        try:
            await Deferred()
        finally:
            await gate

    it = scene(refuses)

    async def play() -> None:
        it.client()
        await it.until(lambda: it.fronts)
        await it.server.stopService()
        gate.callback(None)

    spin(play())
