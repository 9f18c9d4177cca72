"""One SSH transport over one of our connections, pulled like any other: reading is what moves it.

A peer that sends without end waits in its socket; so does one that agrees on no key. Knows no login and no channel.
"""

from collections.abc import Callable, Iterator

from twisted.internet.defer import DeferredLock
from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.errors import SessionError
from hoopproxy.model import Side
from hoopproxy.rooms import IConnection, IScheduler, ISignal
from hoopproxy.ssh.exchange import BY_APPLICATION, Exchange
from hoopproxy.wire.ssh.packets import LENGTH_BYTES, Splitter

KEYS_BYTES_MAX, KEYS_S_MAX = 1 << 30, 3600.0
"""How much, and for how long, before new keys are agreed on: RFC 4253 §9."""

PACKETS_MAX = 128
"""So many are dealt with before others have their turn: the smallest cost some microseconds each."""

UNREAD_BYTES_MAX = 4 << 20
"""What may come while a write waits for new keys: as much as two channels of OpenSSH's have on their way."""

ANSWER_BYTES_MAX = 65_536
"""So much may be answered to a peer that does not take it, before it is asked no more. (Not less: two ends that both
write would wait for each other.)"""

EXCHANGES_MAX, EXCHANGE_BYTES, EXCHANGE_S = 32.0, 65_536.0, 1.0
"""So often may keys be agreed on at once, and once more for so many bytes or seconds: each time costs the others a
millisecond."""


@implementer(IConnection)
class SshTransport:
    """`read` and `write` framed payloads of the connection protocol, once `exchange.is_open`; until then `advance`.

    A read that is cancelled has taken nothing. `taken_in` is asked of each framed payload that comes, and `taken_out`
    of each payload that is to go, whether somebody else deals with it: it then goes no further.
    """

    def __init__(self, connection: Connection, exchange: Exchange, scheduler: IScheduler) -> None:
        self.exchange = exchange
        self.taken_in: Callable[[bytes], bool] = _nobody
        self.taken_out: Callable[[bytes], bool] = _nobody
        self._connection, self._scheduler = connection, scheduler
        self._unread: list[bytes] = []
        self._unread_bytes = self._answer_bytes = 0
        self._splitter = Splitter(exchange.peer.other)
        self._turn = DeferredLock()
        self._moved = scheduler.signal()
        self._is_reading = self._has_rest = self._is_over = self._has_left = False
        self._failure: SessionError | None = None
        self._keys_since_s = self._credited_s = scheduler.monotonic_s()
        self._exchanges_left, self._exchanges = EXCHANGES_MAX, 0
        exchange.begin()
        self.flush()

    @property
    def side(self) -> Side:
        """Whom it talks to."""
        return self.exchange.peer

    @property
    def lost(self) -> ISignal:
        """Set when the connection is gone."""
        return self._connection.lost

    async def secure(self) -> None:
        """Returns once there are keys. @raise ProtocolViolation"""
        while not self.exchange.is_secure:
            if not await self.advance():
                raise self.exchange.violated("left amid its handshake", self.exchange.farewell or "")

    async def advance(self) -> bool:
        """Deal with what the peer sends next; False: it sends no more. @raise ProtocolViolation"""
        if self._failure is not None:
            raise self._failure
        if self._is_over:
            return False
        if self._is_reading:
            await self._moved.wait()
            return True
        self._is_reading = True
        try:
            if self._has_rest:
                await self._scheduler.sleep(0)
                self._digest(b"")
            else:
                if self._answer_bytes > ANSWER_BYTES_MAX:
                    await self._room()
                self._digest(await self._connection.read() or None)
        finally:
            self._is_reading = False
            self._move()
        return True

    async def read(self) -> bytes:
        while not self._unread:
            if not await self.advance():
                return b""
        data = b"".join(self._unread)
        self._unread.clear()
        self._unread_bytes = 0
        self._move()
        return data

    async def write(self, data: bytes) -> None:
        self._splitter.append(data)
        await self._send(iter(self._splitter.next, None))

    async def end(self) -> None:
        """Nothing: in SSH each channel ends by itself."""

    async def send(self, framed: bytes) -> None:
        """A payload of somebody else than who writes, in between; returns when there is room for more."""
        await self._send(iter((framed[LENGTH_BYTES:],)))

    def say(self, payload: bytes) -> None:
        """A payload, without waiting for anything: answers, and the little that has to be said."""
        self.exchange.say(payload)
        self.flush()

    def flush(self) -> None:
        """Send what was packed."""
        packed = b"".join(self.exchange.outbox)
        self.exchange.outbox.clear()
        self._connection.send(packed)

    def disconnect(self, reason: int, sentence: str) -> None:
        """Say why it is over, once; nothing is said after it."""
        if not self._has_left:
            self.exchange.disconnect(reason, sentence)
            self.flush()
            self._has_left = True

    def close(self) -> None:
        self.disconnect(BY_APPLICATION, "The session has ended.")
        self._connection.close()

    def dismiss(self) -> None:
        self.close()
        self._connection.dismiss()

    def abort(self) -> None:
        self._connection.abort()

    # Inside -----------------------------------------------------------------------------------------------------------

    def _digest(self, data: bytes | None) -> None:
        """As many of the peer's packets as may be dealt with at once. None: it has stopped sending, and so is gone."""
        exchange = self.exchange
        try:
            if data is None:
                self._end()
                return
            if data:
                self._exchanges_left += len(data) / EXCHANGE_BYTES
                exchange.append(data)
            self._has_rest = self._take()
        except SessionError as why:
            self._failure = why
            raise
        self._answer_bytes += sum(map(len, exchange.outbox))
        self._count_exchanges()
        self._renew_keys()
        self.flush()
        if exchange.farewell is not None:
            self._end()

    def _take(self) -> bool:
        """Whether more may be there."""
        exchange = self.exchange
        for _ in range(PACKETS_MAX):
            if exchange.is_halted:
                return True
            if not exchange.take():
                return False
            for framed in exchange.payloads:
                if not self.taken_in(framed):
                    self._unread.append(framed)
                    self._unread_bytes += len(framed)
            exchange.payloads.clear()
        return True

    async def _send(self, payloads: Iterator[bytes]) -> None:
        async with self._turn:
            for payload in payloads:
                if self.taken_out(payload):
                    continue
                if self.exchange.is_exchanging and not await self._has_keys():
                    return
                self.exchange.pack(payload)
                self._exchanges_left += len(payload) / EXCHANGE_BYTES
            self._renew_keys()
            self.flush()
        await self._room()

    async def _room(self) -> None:
        await self._connection.write(b"")
        self._answer_bytes = 0

    async def _has_keys(self) -> bool:
        """Wait until new keys are agreed on, and read for it if nobody does: both ends may wait for keys, and with them
        each for the other. False: the peer is gone."""
        self.flush()
        while self.exchange.is_exchanging:
            if self._unread_bytes > UNREAD_BYTES_MAX:
                await self._moved.wait()
            elif not await self.advance():
                return False
        return True

    def _renew_keys(self) -> None:
        if not self.exchange.is_open or self.exchange.is_exchanging:
            return
        is_old = self._scheduler.monotonic_s() - self._keys_since_s > KEYS_S_MAX
        if is_old or self.exchange.bytes_count > KEYS_BYTES_MAX:
            self._keys_since_s = self._scheduler.monotonic_s()
            self.exchange.renew()

    def _count_exchanges(self) -> None:
        begun = self.exchange.exchange_count - self._exchanges
        if not begun:
            return
        now_s = self._scheduler.monotonic_s()
        earned = self._exchanges_left + (now_s - self._credited_s) / EXCHANGE_S
        self._exchanges_left = min(earned, EXCHANGES_MAX) - begun
        self._exchanges += begun
        self._keys_since_s = self._credited_s = now_s
        if self._exchanges_left < 0:
            self._failure = self.exchange.violated("asks for new keys again and again")
            raise self._failure

    def _end(self) -> None:
        self._is_over = True
        self._connection.close()

    def _move(self) -> None:
        """Whoever waits for another's reading looks again."""
        self._moved, moved = self._scheduler.signal(), self._moved
        moved.set()


def _nobody(payload: bytes) -> bool:
    return False
