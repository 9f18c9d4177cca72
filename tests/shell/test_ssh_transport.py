"""SSH's transport over connections, pulled: in memory, with a clock that is turned by hand."""

import random
from collections import deque
from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from hoopproxy.errors import ProtocolViolation, SessionError
from hoopproxy.model import Side
from hoopproxy.rooms import IConnection
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.ssh import transport as ssh_transport
from hoopproxy.ssh.exchange import PROTOCOL_ERROR, ClientExchange, ServerExchange
from hoopproxy.ssh.transport import PACKETS_MAX, SshTransport
from hoopproxy.testing.ssh_keys import new_key
from hoopproxy.wire.ssh.messages import string
from hoopproxy.wire.ssh.packets import Splitter, framed

ROOM_BYTES = 100_000
IGNORE, SERVICE_REQUEST = 2, 5

HOST_KEY = Key.fromString(new_key().private)


class Pipe:
    """One direction: what was said and nobody has heard yet."""

    def __init__(self) -> None:
        self.unheard = b""
        self.has_ended = False
        self.hearing: Deferred[bytes] | None = None
        self.waiting: deque[Deferred[None]] = deque()
        self.bytes_count = 0

    def say(self, data: bytes) -> None:
        self.unheard += data
        self.bytes_count += len(data)
        self.go_on()

    def go_on(self) -> None:
        if self.hearing is not None and (self.unheard or self.has_ended):
            hearing, self.hearing = self.hearing, None
            hearing.callback(self.take())

    def take(self) -> bytes:
        data, self.unheard = self.unheard[:65_536], self.unheard[65_536:]
        while self.waiting and len(self.unheard) < ROOM_BYTES:
            self.waiting.popleft().callback(None)
        return data


@implementer(IConnection)
class Wire:
    """A `Connection` to the other end of two pipes."""

    def __init__(self, side: Side, hears: Pipe, says: Pipe, scheduler: TwistedScheduler) -> None:
        self.side, self.lost = side, scheduler.signal()
        self.hears, self.says = hears, says
        self.is_closed = False

    async def read(self) -> bytes:
        assert self.hears.hearing is None, "one reader at a time"
        if self.is_closed:
            return b""
        if self.hears.unheard or self.hears.has_ended:
            return self.hears.take()
        self.hears.hearing = Deferred(self.forget)
        return await self.hears.hearing

    def forget(self, _: Any) -> None:
        self.hears.hearing = None

    async def write(self, data: bytes) -> None:
        self.send(data)
        if len(self.says.unheard) >= ROOM_BYTES:
            room: Deferred[None] = Deferred(self.says.waiting.remove)
            self.says.waiting.append(room)
            await room

    def send(self, data: bytes) -> None:
        if data and not self.is_closed:
            self.says.say(data)

    async def end(self) -> None: ...

    def close(self) -> None:
        self.is_closed = self.says.has_ended = True
        self.says.go_on()
        self.lost.set()

    abort = close


class Rig:
    """Both ends of a connection, `client` being the gateway's towards a target."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.scheduler = TwistedScheduler(self.clock)
        up, down = Pipe(), Pipe()
        self.server_wire = Wire(Side.CLIENT, up, down, self.scheduler)
        self.client_wire = Wire(Side.SERVER, down, up, self.scheduler)
        server, client = ServerExchange({b"ssh-ed25519": HOST_KEY}), ClientExchange(lambda _: True)
        for exchange in (server, client):
            exchange.is_open = exchange.is_logging_in = True
        self.server = SshTransport(self.server_wire, server, self.scheduler)  # type: ignore[arg-type] # all that it uses
        self.client = SshTransport(self.client_wire, client, self.scheduler)  # type: ignore[arg-type] # as above

    def start(self, work: Coroutine[Any, Any, Any]) -> "Deferred[Any]":
        return Deferred.fromCoroutine(work)

    def run(self, *works: Coroutine[Any, Any, Any]) -> list[Any]:
        """All at once, until all are over; their results."""
        running = [self.start(work) for work in works]
        for _ in range(100_000):
            if all(each.called and not each.paused for each in running):
                return [outcome(each) for each in running]
            self.clock.advance(0)
        raise AssertionError("they wait for each other")

    def turn(self, times: int = 100) -> None:
        for _ in range(times):
            self.clock.advance(0)

    def shaken(self) -> "Rig":
        self.run(self.server.secure(), self.client.secure())
        return self


def outcome(deferred: "Deferred[Any]") -> Any:
    found: list[Any] = []
    deferred.addBoth(found.append)
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]


@pytest.fixture
def rig() -> Rig:
    return Rig().shaken()


async def payloads(transport: SshTransport, count: int) -> list[bytes]:
    """The next so many."""
    splitter, found = Splitter(transport.side), list[bytes]()
    while len(found) < count:
        data = await transport.read()
        assert data
        splitter.append(data)
        found += iter(splitter.next, None)
    return found


def some(count: int, seed: int = 1) -> list[bytes]:
    noise = random.Random(seed)
    return [b"\x5e" + noise.randbytes(noise.choice((0, 10, 1000, 32_768))) for _ in range(count)]


async def written(transport: SshTransport, data: bytes, piece_bytes: int) -> None:
    for start in range(0, len(data), piece_bytes):
        await transport.write(data[start : start + piece_bytes])


def test_it_is_a_connection(rig: Rig) -> None:
    assert verifyObject(IConnection, rig.server) and verifyObject(IConnection, rig.client)
    assert (rig.server.side, rig.client.side) == (Side.CLIENT, Side.SERVER)


@pytest.mark.parametrize("piece_bytes", [7, 5000, 1 << 20])
def test_payloads_go_both_ways_however_they_are_cut(rig: Rig, piece_bytes: int) -> None:
    up, down = some(20), some(20, seed=2)
    works = [
        written(rig.client, b"".join(map(framed, up)), piece_bytes),
        written(rig.server, b"".join(map(framed, down)), piece_bytes),
        payloads(rig.server, len(up)),
        payloads(rig.client, len(down)),
    ]
    _, _, came_up, came_down = rig.run(*works)
    assert (came_up, came_down) == (up, down)


def test_a_slow_reader_stops_the_fast_sender(rig: Rig) -> None:
    sending = rig.start(written(rig.client, b"".join(map(framed, some(100))), 1 << 20))
    rig.turn()
    assert not sending.called and len(rig.client_wire.says.unheard) < 3_000_000
    rig.run(payloads(rig.server, 100))
    assert sending.called


def test_a_cancelled_read_takes_nothing(rig: Rig) -> None:
    reading = rig.start(rig.server.read())
    reading.cancel()
    with pytest.raises(CancelledError):
        outcome(reading)
    rig.run(rig.client.write(framed(b"\x5eone")))
    assert rig.run(payloads(rig.server, 1)) == [[b"\x5eone"]]


def test_a_read_that_is_cancelled_amid_a_packet_loses_no_part_of_it(rig: Rig) -> None:
    rig.client.exchange.say(b"\x5ewhole")
    sealed = b"".join(rig.client.exchange.outbox)
    rig.client.exchange.outbox.clear()
    reading = rig.start(rig.server.read())
    rig.client_wire.send(sealed[:20])
    rig.turn()
    reading.cancel()
    reading.addErrback(lambda failure: failure.trap(CancelledError))
    rig.client_wire.send(sealed[20:])
    assert rig.run(payloads(rig.server, 1)) == [[b"\x5ewhole"]]


def test_who_waits_for_anothers_reading_takes_it_over_when_that_is_cancelled(rig: Rig) -> None:
    reading = rig.start(rig.client.read())
    rig.client.exchange.renew()
    writing = rig.start(rig.client.write(framed(b"\x5ebehind new keys")))
    reading.cancel()
    reading.addErrback(lambda failure: failure.trap(CancelledError))
    assert rig.run(payloads(rig.server, 1)) == [[b"\x5ebehind new keys"]]
    assert writing.called


class TestNewKeys:
    def test_come_after_a_gigabyte(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        assert ssh_transport.KEYS_BYTES_MAX == 1 << 30
        monkeypatch.setattr(ssh_transport, "KEYS_BYTES_MAX", 100_000)
        up, down = some(300), some(300, seed=2)
        _, _, came_up, came_down = rig.run(
            written(rig.client, b"".join(map(framed, up)), 50_000),
            written(rig.server, b"".join(map(framed, down)), 50_000),
            payloads(rig.server, len(up)),
            payloads(rig.client, len(down)),
        )
        assert (came_up, came_down) == (up, down)
        assert rig.client.exchange.exchange_count > 10

    @pytest.mark.parametrize("who", ["server", "client"])
    def test_come_after_an_hour(self, rig: Rig, who: str) -> None:
        for _ in range(3):
            rig.clock.advance(1800)
            rig.run(
                getattr(rig, who).write(framed(b"\x5e1")), payloads(rig.client if who == "server" else rig.server, 1)
            )
            rig.turn()
        rig.run(rig.client.write(framed(b"\x5e1")), payloads(rig.server, 1))
        assert rig.client.exchange.exchange_count == 2

    def test_let_nothing_pile_up(self, rig: Rig) -> None:
        """A peer that agrees on no key is written nothing."""
        rig.client.exchange.renew()
        rig.client.flush()
        before = rig.client_wire.says.bytes_count
        writing = rig.start(rig.client.write(framed(b"\x5e" + bytes(50_000))))
        rig.turn()
        assert not writing.called
        assert rig.client_wire.says.bytes_count == before and not rig.client.exchange.outbox
        rig.run(payloads(rig.server, 1))
        assert writing.called

    def test_are_read_for_by_writers_where_nobody_reads(self) -> None:
        """Two legs that agree on keys at once, with a direction waiting at each for the other's end."""
        left, right = Rig().shaken(), Rig().shaken()
        right.clock = left.clock

        async def relay(one: SshTransport, other: SshTransport) -> None:
            while data := await one.read():
                await other.write(data)

        near, far = left.server, right.client
        relaying = [left.start(relay(near, far)), left.start(relay(far, near))]
        for end in (near, far):
            end.exchange.renew()
            end.flush()
        up, down = some(200), some(200, seed=2)
        _, _, came_up, came_down = left.run(
            written(left.client, b"".join(map(framed, up)), 1 << 20),
            written(right.server, b"".join(map(framed, down)), 1 << 20),
            payloads(right.server, len(up)),
            payloads(left.client, len(down)),
        )
        assert (came_up, came_down) == (up, down)
        for each in relaying:
            each.cancel()
            each.addErrback(lambda failure: failure.trap(CancelledError))

    def test_and_what_comes_meanwhile_is_bounded(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ssh_transport, "UNREAD_BYTES_MAX", 200_000)
        rig.client.exchange.renew()  # and it is never told: the server's end is held back
        writing = rig.start(rig.client.write(framed(b"\x5elater")))
        hearing = rig.start(written(rig.server, b"".join(map(framed, some(200))), 1 << 20))
        rig.turn(500)
        assert rig.client._unread_bytes < 400_000
        rig.run(payloads(rig.client, 200), payloads(rig.server, 1))
        assert writing.called and hearing.called

    def test_again_and_again_are_refused(self, rig: Rig) -> None:
        async def renew() -> None:
            for _ in range(100):
                rig.client.exchange.renew()
                rig.client.flush()
                while rig.client.exchange.is_exchanging and await rig.client.advance():
                    pass

        rig.start(renew()).addErrback(lambda failure: failure.trap(SessionError))
        with pytest.raises(ProtocolViolation, match="again and again"):
            rig.run(rig.server.read())
        assert rig.server.exchange.exchange_count == 32 + 1

    def test_now_and_then_are_not(self, rig: Rig) -> None:
        for _ in range(200):
            rig.clock.advance(1)
            rig.client.exchange.renew()
            rig.client.flush()
            rig.run(rig.client.write(framed(b"\x5e1")), payloads(rig.server, 1))
        assert rig.server.exchange.exchange_count == 201


class TestFloods:
    def test_of_small_packets_leave_others_their_turn(self, rig: Rig) -> None:
        for _ in range(3 * PACKETS_MAX):
            rig.client.exchange.say(bytes((IGNORE,)) + string(b""))
        rig.client.exchange.say(b"\x5e1")
        rig.client.flush()
        taken: list[int] = []
        take, turn = rig.server.exchange.take, rig.scheduler.sleep

        def counted() -> bool:
            taken[-1] += 1
            return take()

        async def turned(duration_s: float) -> None:
            taken.append(0)
            await turn(duration_s)

        taken.append(0)
        rig.server.exchange.take = counted  # type: ignore[method-assign] # to count
        rig.scheduler.sleep = turned  # type: ignore[method-assign] # to count
        rig.run(payloads(rig.server, 1))
        assert len(taken) >= 3 and max(taken) <= PACKETS_MAX

    def test_that_want_answers_wait_until_these_are_taken(self, rig: Rig) -> None:
        async def flood() -> None:
            for _ in range(50_000):
                await rig.client.write(framed(b"\xc8"))

        flooding, reading = rig.start(flood()), rig.start(rig.server.read())
        rig.turn(1000)
        assert not flooding.called and not reading.called
        assert len(rig.server_wire.says.unheard) < 2 * ROOM_BYTES + 65_536
        for each in (flooding, reading):
            each.cancel()
            each.addErrback(lambda failure: failure.trap(CancelledError))


class TestAsides:
    def test_who_takes_payloads_out_gets_all_of_its_own(self, rig: Rig) -> None:
        came: list[bytes] = []
        went: list[bytes] = []
        rig.server.taken_in = lambda framed: framed[4] == 98 and not came.append(framed)  # type: ignore[func-returns-value] # None
        rig.client.taken_out = lambda payload: payload[0] == 90 and not went.append(payload)  # type: ignore[func-returns-value] # None
        said = [b"\x5e1", b"\x5a2", b"\x623", b"\x5e4"]
        assert rig.run(rig.client.write(b"".join(map(framed, said))), payloads(rig.server, 2))[1] == [
            b"\x5e1",
            b"\x5e4",
        ]
        assert (came, went) == ([framed(b"\x623")], [b"\x5a2"])

    def test_others_payloads_go_between_in_their_order(self, rig: Rig) -> None:
        rig.client.exchange.renew()
        rig.client.flush()
        rig.run(
            *(rig.client.send(framed(b"\x5e%d" % number)) for number in range(5)),
            payloads(rig.server, 5),
        )
        half, rest = framed(b"\x5ehalf")[:6], framed(b"\x5ehalf")[6:]
        rig.run(rig.client.write(half))
        rig.run(rig.client.send(framed(b"\x5easide")), rig.client.write(rest))
        assert rig.run(payloads(rig.server, 2)) == [[b"\x5easide", b"\x5ehalf"]]

    def test_what_is_answered_behind_new_keys_overtakes_nothing_that_waited_for_them(self, rig: Rig) -> None:
        """Data of a channel that waits, and its end, which is said because of what came with the keys."""

        def answers(_: bytes) -> bool:
            rig.start(rig.client.send(framed(b"\x61second")))
            return True

        rig.client.taken_in = answers
        rig.client.exchange.renew()
        rig.client.flush()
        waiting = rig.start(rig.client.send(framed(b"\x5efirst")))
        rig.run(rig.server.advance())  # both have said what they offer
        rig.server.exchange.append(rig.server_wire.hears.take())
        while rig.server.exchange.take():
            pass
        rig.server.exchange.pack(b"\x5ebehind")  # new keys, and at once what comes under them
        rig.server.flush()
        assert rig.run(payloads(rig.server, 2)) == [[b"\x5efirst", b"\x61second"]]
        assert waiting.called


class TestEnds:
    def test_a_farewell_is_an_end(self, rig: Rig) -> None:
        rig.client.say(b"\x5elast")
        rig.client.disconnect(PROTOCOL_ERROR, "Enough.")
        assert rig.run(rig.server.read()) == [framed(b"\x5elast")]
        assert rig.run(rig.server.read()) == [b""] == rig.run(rig.server.read())
        assert rig.server.exchange.farewell == "Enough." and rig.server_wire.is_closed

    def test_so_is_a_connection_that_is_gone(self, rig: Rig) -> None:
        rig.client.abort()
        assert rig.run(rig.server.read()) == [b""]
        assert rig.server_wire.is_closed

    def test_closing_says_so_once(self, rig: Rig) -> None:
        rig.server.disconnect(PROTOCOL_ERROR, "You erred.")
        rig.server.close()
        rig.server.close()
        assert rig.run(rig.client.read()) == [b""]
        assert rig.client.exchange.farewell == "You erred."

    def test_a_peer_that_leaves_amid_its_handshake_erred(self) -> None:
        rig = Rig()
        rig.client_wire.close()
        with pytest.raises(ProtocolViolation, match="left amid its handshake"):
            rig.run(rig.server.secure())

    def test_a_violation_is_seen_by_whoever_reads_next(self, rig: Rig) -> None:
        rig.server.exchange.renew()
        rig.server.flush()
        writing = rig.start(rig.server.write(framed(b"\x5e1")))
        rig.client_wire.send(bytes(64))
        for work in (rig.server.read, rig.server.advance):
            with pytest.raises(ProtocolViolation, match="can't be read"):
                rig.run(work())
        with pytest.raises(ProtocolViolation):
            outcome(writing)

    def test_a_write_for_new_keys_ends_with_the_connection(self, rig: Rig) -> None:
        rig.server.exchange.renew()
        writing = rig.start(rig.server.write(framed(b"\x5e1")))
        rig.client.abort()
        rig.turn()
        assert writing.called and outcome(writing) is None


def test_nothing_is_taken_while_it_is_halted(rig: Rig) -> None:
    rig.server.exchange.is_halted = True
    rig.run(rig.client.write(framed(b"\x5e1")), rig.server.advance())
    assert rig.server._unread == []
    rig.server.exchange.is_halted = False
    assert rig.run(payloads(rig.server, 1)) == [[b"\x5e1"]]
