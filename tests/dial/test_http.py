"""The way to HTTP targets: verified like any other, and lanes that are dialled again at the same address only."""

import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from zope.interface.verify import verifyObject

from hoopproxy.dial.http import HttpDialer, KubernetesDialer, _prove
from hoopproxy.dial.http_lanes import HttpPeer
from hoopproxy.errors import UpstreamRefused, UpstreamUnreachable
from hoopproxy.model import Endpoint, Passage, Seal, Side, UpstreamTls
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IDialer, IPeer
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.targets import KubernetesTarget, PodTarget
from hoopproxy.testing.certificates import Authority, Leaf
from hoopproxy.wire.http.lanes import Frame, Frames, Kind, framed
from hoopproxy.wire.http.messages import VERSION
from tests.conftest import Spin

from .conftest import NAME, Way
from .rogue import Rogue, Script, drain

LIMITS = Limits(dial_s_max=5.0, drain_s_max=1.0, lanes_max=3)
TOKEN = TargetSecret("", Secret("t0ken"))


@pytest.fixture
def dialer(reactor: Any) -> HttpDialer:
    return HttpDialer(reactor, LIMITS, TwistedScheduler(reactor))


@pytest.fixture
def over_tls(way: Way, dialer: HttpDialer, authority: Authority) -> Way:
    """To an HTTP target; `to(port)` says where it is."""
    made: Any = dialer
    tls = UpstreamTls(NAME, str(authority.ca_file))
    return Way(made, replace(way.target, protocol="http", tls=tls, accounts={"agent": "crm-agent", "guest": ""}))


@pytest.fixture
def clear(over_tls: Way) -> Way:
    return replace(over_tls, target=replace(over_tls.target, tls=None))


class Target(Rogue):
    """Does `first` on its first connection and `then` on all others, which is to echo until the client ends. `leaf` may
    be exchanged for another while it runs."""

    def __init__(
        self, leaf: Leaf | None = None, *alpn: str, first: Script | None = None, then: Script | None = None
    ) -> None:
        super().__init__(self._shake)
        self.leaf, self.alpn, self.first, self.then = leaf, alpn, first or _echo, then or _echo
        self.ends: list[str] = []
        self.ended, self.is_over = threading.Event(), threading.Event()

    def __exit__(self, *why: object) -> None:
        self.is_over.set()
        super().__exit__(*why)

    def takes_nothing(self, connection: socket.socket) -> None:
        """Until the test is over."""
        self.is_over.wait(20)

    def never_leaves(self, connection: socket.socket) -> None:
        """Until the test is over, whatever its client does."""
        drain(connection)
        self.is_over.wait(20)

    def _shake(self, connection: socket.socket) -> None:
        script = self.first if connection is self._open[0] else self.then
        if self.leaf is None:
            self._serve(connection, script)
            return
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.leaf.certificate_file, self.leaf.key_file)
        if self.alpn:
            context.set_alpn_protocols(list(self.alpn))
        with (
            suppress(ssl.SSLError, ValueError),
            connection.dup() as bare,
            context.wrap_socket(bare, server_side=True) as protected,
        ):
            self._serve(protected, script)
            protected.unwrap()

    def _serve(self, connection: socket.socket, script: Script) -> None:
        try:
            script(connection)
            self.ends.append("end")
        except ConnectionResetError:
            self.ends.append("reset")
        finally:
            self.ended.set()


def _echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def _pours(connection: socket.socket) -> None:
    """Sends without end."""
    while True:
        connection.sendall(bytes(65536))


def _breaks(connection: socket.socket) -> None:
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Lanes:
    """A peer as its machine uses it."""

    def __init__(self, peer: HttpPeer) -> None:
        self.peer, self._frames = peer, Frames(Side.SERVER)

    async def next(self) -> Frame:
        while (frame := self._frames.next()) is None:
            data = await self.peer.read()
            assert data
            self._frames.append(data)
        return frame

    async def say(self, *frames: tuple[Kind, int] | tuple[Kind, int, bytes]) -> None:
        await self.peer.write(b"".join(framed(Frame(*frame)) for frame in frames))

    async def leave(self) -> None:
        """Until all of its connections are gone."""
        made = [lane.connection for lane in self.peer._lanes.values()] + list(self.peer._leaving)
        self.peer.close()
        for connection in filter(None, made):
            await connection.lost.wait()

    async def bytes_of(self, count: int, lane: int = 0) -> bytes:
        heard = b""
        while len(heard) < count:
            frame = await self.next()
            assert (frame.kind, frame.lane) == (Kind.DATA, lane)
            heard += frame.payload
        return heard


async def lanes_to(way: Way, target: Rogue, secret: TargetSecret = TOKEN, **parameters: str) -> Lanes:
    dialer: Any = way.dialer
    permit = way.to(target.port).permit("agent", **parameters)
    reached = await dialer.reach(permit)
    try:
        passage = Passage(permit, reached.measurements.peer, reached.measurements, (), Seal())
        return Lanes(await dialer.login(reached, passage, secret, frozenset()))
    finally:
        reached.abort()


# Reaching -------------------------------------------------------------------------------------------------------------


def test_it_is_what_the_interfaces_say(spin: Spin, dialer: HttpDialer, clear: Way) -> None:
    assert verifyObject(IDialer, dialer)

    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        assert verifyObject(IPeer, lanes.peer)
        await lanes.peer.interrupt()
        await lanes.peer.end()
        lanes.peer.abort()
        await lanes.peer.lost.wait()

    with Target() as target:
        spin(scene())


@pytest.mark.parametrize(
    ("version", "spoken", "agreed"),
    [
        ("h2", ("h2", "http/1.1"), "h2"),
        ("", ("h2", "http/1.1"), "h2"),
        ("h2", ("http/1.1",), "http/1.1"),
        ("http/1.1", ("h2", "http/1.1"), "http/1.1"),
        ("h2", (), ""),
    ],
)
def test_a_client_of_http_1_needs_no_other_and_of_http_2_is_offered_both(
    spin: Spin, over_tls: Way, leaf: Leaf, version: str, spoken: tuple[str, ...], agreed: str
) -> None:
    async def scene() -> None:
        lanes = await lanes_to(over_tls, target, TOKEN, **{VERSION: version})
        assert lanes.peer.greeting.alpn == agreed
        await lanes.leave()

    with Target(leaf, *spoken) as target:
        spin(scene())


def test_the_greeting_holds_what_is_shown_with_each_request_and_the_target_hears_nothing(
    spin: Spin, ended: Callable[[Target], Awaitable[bool]], over_tls: Way, leaf: Leaf
) -> None:
    heard: list[bytes] = []

    async def scene() -> None:
        lanes = await lanes_to(over_tls, target)
        assert lanes.peer.greeting.secret is TOKEN and "t0ken" not in repr(lanes.peer.greeting)
        await lanes.leave()
        await ended(target)

    with Target(leaf, first=lambda connection: heard.append(connection.recv(100))) as target:
        spin(scene())
    assert heard == [b""]


@pytest.fixture
def ended(reactor: Any) -> Callable[[Target], Awaitable[bool]]:
    """Waits until a connection of a target's has ended."""
    return lambda target: deferToThreadPool(reactor, reactor.getThreadPool(), target.ended.wait, 10)


def test_an_account_to_which_nothing_is_shown_shows_nothing(spin: Spin, dialer: HttpDialer, clear: Way) -> None:
    async def scene() -> None:
        permit = clear.to(target.port).permit("guest")
        reached = await dialer.reach(permit)
        passage = Passage(permit, reached.measurements.peer, reached.measurements, (), Seal())
        peer = await dialer.login(reached, passage, TargetSecret("guest", Secret("")), frozenset())
        assert peer.greeting.secret is None
        peer.close()

    with Target() as target:
        spin(scene())


@pytest.mark.parametrize(
    "secret",
    [
        TargetSecret("agent", Secret("a\r\nX-Admin: yes")),
        TargetSecret("agent\n", Secret("fine")),
        TargetSecret("agent", Secret(""), private_key=Secret("PEM")),
        TargetSecret("agent", Secret(""), authority_key=Secret("PEM")),
    ],
)
def test_a_credential_that_no_field_can_hold_is_not_shown(spin: Spin, clear: Way, secret: TargetSecret) -> None:
    with Target() as target, pytest.raises(UpstreamRefused, match="credential for target 'ledger'") as caught:
        spin(lanes_to(clear, target, secret))
    assert "crm-agent" in caught.value.detail and "X-Admin" not in caught.value.detail + caught.value.sentence


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"server_name": "other.example"}, "wanted is 'other.example'"),
        ({"ca_file": None, "pins": frozenset({"sha256:" + "0" * 64})}, "not among the pins"),
    ],
)
def test_a_target_that_does_not_prove_itself_is_not_reached(
    spin: Spin, over_tls: Way, leaf: Leaf, changes: dict[str, Any], wanted: str
) -> None:
    assert over_tls.target.tls is not None
    other = replace(over_tls, target=replace(over_tls.target, tls=replace(over_tls.target.tls, **changes)))
    with Target(leaf, "h2") as target, pytest.raises(UpstreamUnreachable, match="did not prove") as caught:
        spin(lanes_to(other, target))
    assert wanted in caught.value.detail


def test_a_credential_never_goes_through_a_network_in_the_clear(spin: Spin, clear: Way) -> None:
    async def proved(account: str) -> Any:
        there: Any = SimpleNamespace(peer=Endpoint(ip_address("192.0.2.7"), 80), tcp_rtt_us=None)
        return await _prove(clear.permit(account), (), clear.target, there)

    with pytest.raises(UpstreamUnreachable, match="could not be reached") as caught:
        spin(proved("agent"))
    assert "192.0.2.7:80 in the clear" in caught.value.detail
    assert spin(proved("guest")).measurements.spki_sha256 == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host_keys": frozenset({"SHA256:" + "A" * 43})}, "host_keys"),
        ({"databases": ("books",)}, "databases"),
        ({"pod": PodTarget("c", "n", "p", 80)}, "pod"),
        ({"kubernetes": KubernetesTarget()}, "kubernetes"),
        ({"tls": None, "allow_loopback": False}, "tls"),
    ],
)
def test_what_means_nothing_in_targets_toml_or_lacks_is_said(
    reactor: Any, dialer: HttpDialer, over_tls: Way, changes: dict[str, Any], said: str
) -> None:
    sentence = dialer.unfit(replace(over_tls.target, **changes))
    assert sentence.startswith(said) and sentence.endswith(".") and "crm-agent" not in sentence
    if said != "kubernetes":
        clusters = KubernetesDialer(reactor, LIMITS, TwistedScheduler(reactor))
        assert clusters.unfit(replace(over_tls.target, **{"kubernetes": KubernetesTarget()} | changes)) == sentence


def test_fit_targets(reactor: Any, dialer: HttpDialer, over_tls: Way, clear: Way) -> None:
    open_to_all = replace(clear.target, allow_loopback=False, accounts={"guest": ""})
    assert dialer.unfit(over_tls.target) == dialer.unfit(clear.target) == dialer.unfit(open_to_all) == ""
    clusters = KubernetesDialer(reactor, LIMITS, TwistedScheduler(reactor))
    assert clusters.unfit(replace(over_tls.target, kubernetes=KubernetesTarget())) == ""
    assert clusters.unfit(over_tls.target).startswith("kubernetes is missing")


# Lanes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_tls", [False, True])
def test_bytes_go_there_and_come_back_in_each_lane_until_it_ends(
    spin: Spin, clear: Way, over_tls: Way, leaf: Leaf, is_tls: bool
) -> None:
    data = bytes(range(256)) * 2000

    async def scene() -> None:
        lanes = await lanes_to(over_tls if is_tls else clear, target)
        await lanes.say((Kind.DATA, 0, data), (Kind.OPEN, 1, b"h2,http/1.1"))
        heard = {0: b"", 1: b""}
        while True:
            frame = await lanes.next()
            if frame.kind is Kind.OPENED:
                assert frame == Frame(Kind.OPENED, 1, b"http/1.1" if is_tls else b"")
                await lanes.say((Kind.DATA, 1, b"more"), (Kind.ENDED, 1), (Kind.ENDED, 0))
            elif frame.kind is Kind.DATA:
                heard[frame.lane] += frame.payload
            else:
                assert frame.kind is Kind.ENDED and not frame.payload
                await lanes.say((Kind.CLOSED, frame.lane))
                heard[frame.lane] += b"."
            if heard[0].endswith(b".") and heard[1].endswith(b"."):
                break
        assert heard == {0: data + b".", 1: b"more."}
        await lanes.leave()

    with Target(leaf if is_tls else None, "http/1.1") as target:
        spin(scene())
    assert target.connections == 2 and target.ends == ["end", "end"]


@pytest.mark.parametrize(("offers", "agreed"), [(b"http/1.1", b"http/1.1"), (b"h2,http/1.1", b"h2"), (b"", b"")])
def test_what_a_new_lane_offers_is_the_machines_to_say(
    spin: Spin, over_tls: Way, leaf: Leaf, offers: bytes, agreed: bytes
) -> None:
    async def scene() -> None:
        lanes = await lanes_to(over_tls, target)
        await lanes.say((Kind.OPEN, 1, offers))
        assert await lanes.next() == Frame(Kind.OPENED, 1, agreed)
        await lanes.leave()

    with Target(leaf, "h2", "http/1.1") as target:
        spin(scene())


def test_a_lane_leads_to_the_very_target_or_nowhere(
    spin: Spin, over_tls: Way, leaf: Leaf, authority: Authority
) -> None:
    async def scene() -> None:
        lanes = await lanes_to(over_tls, target)
        target.leaf = authority.issue("other-key", dns=(NAME,))
        await lanes.say((Kind.OPEN, 1, b"h2"))
        refused = await lanes.next()
        assert refused.kind is Kind.REFUSED and refused.lane == 1
        assert refused.payload.decode() == (
            "Target 'ledger' has another key than when your session began; connect again."
        )
        target.leaf = authority.issue("other-name", dns=("other.example",))
        await lanes.say((Kind.OPEN, 2, b"h2"))
        assert b"did not prove that it is itself" in (await lanes.next()).payload
        target.leaf = leaf
        await lanes.say((Kind.OPEN, 3, b"h2"))
        assert (await lanes.next()).kind is Kind.OPENED
        await lanes.leave()

    with Target(leaf) as target, capture_logs() as logs:
        spin(scene())
    first, second = [each for each in logs if each["event"] == "lane-refused"]
    assert leaf.spki_pin in first["detail"] and first["session"] == "s1" and first["lane"] == 1
    assert "wanted is 'db.example'" in second["detail"]


def test_a_lane_that_nobody_answers_is_refused_in_a_sentence_and_the_others_go_on(spin: Spin, clear: Way) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        await lanes.say((Kind.DATA, 0, b"hello"))
        assert await lanes.bytes_of(5) == b"hello"
        target._listening.shutdown(socket.SHUT_RDWR)
        await lanes.say((Kind.OPEN, 1))
        refused = await lanes.next()
        assert refused.kind is Kind.REFUSED and b"could not be reached" in refused.payload
        await lanes.say((Kind.DATA, 0, b"still here"), (Kind.CLOSED, 1))
        assert await lanes.bytes_of(10) == b"still here"
        await lanes.leave()

    with Target() as target, capture_logs():
        spin(scene())


def test_there_are_no_more_lanes_than_the_limit_and_a_closed_one_makes_room(spin: Spin, clear: Way) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        await lanes.say((Kind.OPEN, 1), (Kind.OPEN, 2), (Kind.OPEN, 3))
        answers = {(frame := await lanes.next()).lane: frame for _ in range(3)}
        assert answers[1].kind is answers[2].kind is Kind.OPENED and answers[3].kind is Kind.REFUSED
        assert b"as many connections to target 'ledger'" in answers[3].payload
        await lanes.say((Kind.CLOSED, 1), (Kind.OPEN, 4))
        assert await lanes.next() == Frame(Kind.OPENED, 4)
        await lanes.leave()

    with Target() as target:
        spin(scene())


def test_a_lane_that_breaks_off_is_told_from_one_that_ends(spin: Spin, clear: Way) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        await lanes.say((Kind.DATA, 0, b"?"))
        closed = await lanes.next()
        assert closed.kind is Kind.CLOSED and b"broke off" in closed.payload
        await lanes.say((Kind.DATA, 0, b"said before it was heard"), (Kind.CLOSED, 0))
        await lanes.say((Kind.OPEN, 1))
        assert (await lanes.next()).kind is Kind.OPENED
        await lanes.leave()
        assert await lanes.peer.read() == b""

    with Target(first=_breaks) as target:
        spin(scene())


def test_tls_without_its_own_end_is_a_break(spin: Spin, over_tls: Way, leaf: Leaf) -> None:
    def cuts(connection: socket.socket) -> None:
        connection.sendall(b"half of it")
        connection.shutdown(socket.SHUT_RDWR)  # a FIN beneath TLS, which anybody on the way can send
        raise ConnectionResetError

    async def scene() -> None:
        lanes = await lanes_to(over_tls, target)
        assert await lanes.bytes_of(10) == b"half of it"
        closed = await lanes.next()
        assert closed.kind is Kind.CLOSED and b"broke off" in closed.payload
        await lanes.leave()

    with Target(leaf, first=cuts) as target:
        spin(scene())


def test_a_paused_lane_is_not_read_and_others_are(spin: Spin, clear: Way) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        await lanes.say((Kind.PAUSE, 0), (Kind.OPEN, 1))
        poured = 0
        while (frame := await lanes.next()).kind is not Kind.OPENED:
            poured += len(frame.payload)
        await lanes.say((Kind.DATA, 1, b"hello"))
        while (frame := await lanes.next()).lane == 0:
            poured += len(frame.payload)
        assert frame == Frame(Kind.DATA, 1, b"hello") and poured <= LIMITS.chunk_bytes_max
        await lanes.say((Kind.RESUME, 0))
        assert len(await lanes.bytes_of(1 << 20)) >= 1 << 20
        lanes.peer.abort()

    with Target(first=_pours) as target:
        spin(scene())


def test_while_nobody_reads_no_more_than_a_chunk_of_each_lane_lies_there(spin: Spin, reactor: Any, clear: Way) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        await lanes.say((Kind.OPEN, 1), (Kind.OPEN, 2))
        await TwistedScheduler(reactor).sleep(0.2)
        assert sum(len(data) for _, data in lanes.peer._brought) <= 3 * (LIMITS.chunk_bytes_max + 100)
        lanes.peer.abort()

    with Target(first=_pours, then=_pours) as target:
        spin(scene())


def test_lanes_take_turns(spin: Spin, clear: Way) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        await lanes.say((Kind.OPEN, 1), (Kind.OPEN, 2))
        poured = {0: 0, 1: 0, 2: 0}
        while min(poured.values()) < 1 << 20:
            frame = await lanes.next()
            poured[frame.lane] += len(frame.payload)
        lanes.peer.abort()

    with Target(first=_pours, then=_pours) as target:
        spin(scene())


def test_a_lane_that_takes_nothing_keeps_no_other_from_hearing(spin: Spin, reactor: Any, clear: Way) -> None:
    async def scene() -> None:
        scheduler = TwistedScheduler(reactor)
        lanes = await lanes_to(clear, target)
        await lanes.say((Kind.OPEN, 1))
        assert (await lanes.next()).kind is Kind.OPENED

        async def says() -> str:
            flood = [(Kind.DATA, 0, bytes(1 << 20))] * 16
            await lanes.say(*flood, (Kind.DATA, 1, b"hello"))
            return "there was room"

        async def hears() -> str:
            return (await lanes.bytes_of(5, lane=1)).decode()

        assert await scheduler.first(says(), hears()) == "hello"
        lanes.peer.abort()

    with Target() as target:
        target.first = target.takes_nothing
        spin(scene())


def test_a_lane_that_is_closed_amid_what_it_sends_is_cut_off_and_a_quiet_one_ended(
    spin: Spin, ended: Callable[[Target], Awaitable[bool]], clear: Way
) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        await lanes.next()
        await lanes.say((Kind.CLOSED, 0))
        await ended(target)
        assert target.ends == ["reset"]
        target.ended.clear()
        await lanes.say((Kind.OPEN, 1))
        assert (await lanes.next()).kind is Kind.OPENED  # and nothing more of lane 0
        await lanes.say((Kind.DATA, 1, b"last words"), (Kind.CLOSED, 1))
        await ended(target)
        assert target.ends == ["reset", "end"]
        await lanes.leave()

    with Target(first=_pours_until_it_hears) as target:
        spin(scene())


def _pours_until_it_hears(connection: socket.socket) -> None:
    try:
        _pours(connection)
    except BrokenPipeError as why:
        raise ConnectionResetError from why


def test_closing_ends_all_lanes_at_once_and_those_on_their_way(
    spin: Spin, reactor: Any, ended: Callable[[Target], Awaitable[bool]], clear: Way, over_tls: Way
) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        lanes.peer._redial = lambda passage, offers: _never()  # it hangs
        await lanes.say((Kind.OPEN, 1))
        reading = lanes.peer.read()
        scheduler = TwistedScheduler(reactor)

        async def closes() -> None:
            await scheduler.sleep(0)
            lanes.peer.close()
            await lanes.peer.lost.wait()
            await scheduler.sleep(10)

        assert await scheduler.first(reading, closes()) == b""
        assert await lanes.peer.read() == b""
        await lanes.peer.write(framed(Frame(Kind.OPEN, 2)))
        await ended(target)

    async def _never() -> Any:
        await Deferred()

    with Target() as target:
        spin(scene())
    assert target.connections == 1


def test_no_more_than_so_many_take_their_time_to_go(spin: Spin, clear: Way) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        for number in range(1, 9):
            await lanes.say((Kind.OPEN, number))
            assert (await lanes.next()).kind is Kind.OPENED
            await lanes.say((Kind.CLOSED, number))
        assert len(lanes.peer._leaving) == LIMITS.lanes_max
        lanes.peer.abort()

    with Target() as target:
        target.first = target.then = target.never_leaves
        spin(scene())


@pytest.mark.parametrize(
    "frame", [Frame(Kind.DATA, 7, b"x"), Frame(Kind.OPEN, 0), Frame(Kind.OPENED, 0), Frame(Kind.REFUSED, 0)]
)
def test_frames_that_make_no_sense_are_bugs(spin: Spin, clear: Way, frame: Frame) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        try:
            await lanes.peer.write(framed(frame))
        finally:
            lanes.peer.abort()

    with Target() as target, pytest.raises(AssertionError):
        spin(scene())


def test_nothing_is_said_in_a_lane_that_is_not_open_yet(spin: Spin, clear: Way) -> None:
    async def scene() -> None:
        lanes = await lanes_to(clear, target)
        try:
            await lanes.say((Kind.OPEN, 1), (Kind.DATA, 1, b"too early"))
        finally:
            lanes.peer.abort()

    with Target() as target, pytest.raises(AssertionError, match="not open yet"):
        spin(scene())
