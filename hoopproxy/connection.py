"""One TCP connection as an awaitable byte stream: back-pressure both ways, and TLS when its owner wants it.

At most one chunk lies unread, then the transport is paused; a write returns when there is room for more; a peer that
stalls stalls only itself. Knows no protocol and no session.
"""

import socket
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from hoopproxy.errors import ProtocolViolation, UpstreamUnreachable
from hoopproxy.flow import LINGER_S_MAX, LULL_S, LULL_S_MAX, TARGET_S_MAX, Room, Stream, put, stop
from hoopproxy.halves import HalfByHalf, Taken, said, tell_halves
from hoopproxy.model import Endpoint, Side
from hoopproxy.records import RECORD_BYTES_MAX, Records
from hoopproxy.rooms import IConnection, IScheduler, ISignal
from hoopproxy.settings import Limits
from hoopproxy.sockets import handshake_rtt_us, literal, pace_keepalives


@implementer(IConnection, IHalfCloseableProtocol, IHandshakeListener)
class Connection(Protocol):
    """A connection to one peer; build one per socket and give it to Twisted as that socket's protocol.

    `peer` is the literal address that the kernel says the socket is connected to. `tcp_rtt_us` is the kernel's sample
    of the TCP handshake, None when a packet of it was sent twice. `alpn`, `peer_certificate` (pyOpenSSL's `X509`) and
    `server_name` (whom a client wants to reach, by its SNI; "" for nobody) are known after `start_tls`. `made` is
    called when there is a peer. `lost` is set when the connection is gone, to Twisted's exception that says why.
    `is_broken`: it ended amid the peer's stream, by a reset or without TLS's close_notify.
    """

    peer: Endpoint

    def __init__(
        self,
        side: Side,
        limits: Limits,
        scheduler: IScheduler,
        reactor: IReactorTime,
        made: "Callable[[Connection], None]" = lambda _: None,
    ) -> None:
        self.side = side
        self.lost: ISignal = scheduler.signal()
        self.alpn: bytes | None = None
        self.peer_certificate: Any = None
        self.server_name = ""
        self.tcp_rtt_us: int | None = None
        self._limits, self._reactor, self._made = limits, reactor, made
        self._unread: deque[bytes] = deque()
        self._reading: Deferred[bytes] | None = None
        self._room = Room()
        self._stream = Stream(limits.chunk_bytes_max * 3 // 4, reactor)
        self._shaking: Deferred[None] | None = None
        self._ending: Deferred[None] | None = None
        self._closing: IDelayedCall | None = None
        self._parting: IDelayedCall | None = None
        self._is_paused = self._is_ended = self._is_lost = self._is_tls = self._is_hurried = False
        self._has_finished = self._has_ended = self._is_cut = False  # the peer its stream, we ours; and what was cut
        self._bytes_to_throw = self._part_until_s = inf
        self._taken: Taken | None = None
        self._records: Records | None = None
        self.is_broken = False

    # What owners call -------------------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        if self._unread:
            return self._next_chunk()
        if self._is_ended:
            return b""
        assert self._reading is None, "one reader at a time"
        self._reading = Deferred(self._forget_reader)
        self._resume()
        return await self._reading

    def unread(self, data: bytes) -> None:
        """The next read gives these bytes first."""
        if data:
            self._unread.appendleft(data)

    async def write(self, data: bytes) -> None:
        """Returns when there is room for more. Bytes for a connection that is gone are dropped: `read` says so."""
        self._write(data, at_once=True)
        await self._room.wait()

    def send(self, data: bytes) -> None:
        """Write without waiting for room, nor before this turn of the loop is over: last words, and handshakes."""
        self._write(data, at_once=False)

    async def end(self) -> None:
        if self._has_ended or self._closing is not None or self._is_lost:
            return
        self._has_ended = True
        self._stream.end()
        self._tcp.unregisterProducer()  # with a producer Twisted would wait for more
        self._ending = Deferred()
        if self._is_tls:
            self._tcp.loseConnection()  # close_notify
        self._tcp.loseWriteConnection()
        await self._ending

    async def start_tls(self, options: Any, buffered: bytes = b"", *, by_halves: bool = False) -> None:
        """Returns when the handshake is complete, with the peer's certificate and name verified as `options` say.

        `options` is an `IOpenSSLServerConnectionCreator` towards a client, an `IOpenSSLClientConnectionCreator` towards
        a server. `buffered` are bytes of a ClientHello that were already read. `by_halves`: the peer's close_notify
        ends what it sends, and not the connection. Cancelling it aborts the connection.

        @raise ProtocolViolation: it failed, or the peer sent something in the clear that only now would be read: it
            could pass for something that came protected (CVE-2021-23214, CVE-2021-23222).
        """
        behind = b"".join(self._unread)
        self._unread.clear()
        if behind and not buffered:
            raise self._unshaken("bytes in the clear came before it")
        if self._is_ended or self._closing is not None:
            raise self._unshaken("the connection had ended before it")
        self._is_tls = True
        self._room.open()  # Twisted forgets across startTLS that it had said it was full
        self._shaking = Deferred(lambda _: self.abort())
        # So that a part of a record that waited for its rest still fits into a chunk.
        self._tcp.bufferSize = max(self._limits.chunk_bytes_max - RECORD_BYTES_MAX, RECORD_BYTES_MAX)
        self._records = Records(options)
        self._tcp.startTLS(HalfByHalf(self._records, self._tls_ended) if by_halves else self._records)
        if by_halves:
            tell_halves(self._tcp.protocol, self._tcp_ended, self.writeConnectionLost)
        if buffered:
            self._tcp.protocol.dataReceived(buffered + behind)
        self._resume()
        try:
            await self._shaking
        finally:
            self._shaking = None
        self.alpn, self.peer_certificate = self._tcp.protocol.negotiatedProtocol, self._tcp.getPeerCertificate()
        self.server_name = (self._tcp.getHandle().get_servername() or b"").decode("ascii", "backslashreplace").lower()

    def close(self, linger_bytes_max: float = inf) -> None:
        """Flush, then close; who reads from here on gets b"". A peer that does not take what is left, or does not
        close its own half, within `limits.drain_s_max` is cut off.

        Reading goes on for `linger_bytes_max` and is thrown away: a socket closed with bytes unread is reset, which
        loses the last words. So does an end of stream that meets a peer in the middle of its own sending (libpq then
        tells of a lost connection and not of our words): it comes once the peer has paused for `LULL_S`.
        """
        if self._closing is not None or self._is_lost:
            return
        self._closing = self._reactor.callLater(self._limits.drain_s_max, self.abort)
        self._bytes_to_throw = linger_bytes_max
        self._unread.clear()
        self._resume()
        self._tcp.unregisterProducer()  # what is left is all there is; with a producer Twisted would wait for more
        self._room.open()
        if self._is_ended and not self._is_cut:
            self._tcp.loseConnection()
        else:
            self._parting = self._reactor.callLater(LULL_S, self._part)
        self._end()

    def cut(self) -> None:
        """As `close`, for a stream whose end is the peers' alone to make: unless both have ended theirs, the peer hears
        a reset, behind all that was written, and nothing that it could take for an end."""
        self._is_cut = not (self._has_finished and self._has_ended)
        self.close()

    def dismiss(self) -> None:
        """Close, unless it does already, and give a client no more than `limits.goodbye_s_max` to take what is left, a
        target `TARGET_S_MAX`. Who sends on and on hears our end of stream all the same, after `LULL_S_MAX`."""
        self.close()
        if self._closing is not None and self._closing.active():
            limit_s = self._limits.goodbye_s_max if self.side is Side.CLIENT else TARGET_S_MAX
            self._closing.reset(max(0.0, min(limit_s, self._closing.getTime() - self._reactor.seconds())))
            self._part_until_s = self._reactor.seconds() + LULL_S_MAX

    def hurry(self) -> None:
        """Of a connection that closes: once what was written is on its way, go, and don't wait for the peer's end."""
        self._is_hurried = True
        if self._parting is not None and not self._parting.active():
            self._go()

    def abort(self) -> None:
        if self.transport is not None and not self._is_lost:
            self._tcp.abortConnection()

    # What the transport calls -----------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self.peer = Endpoint(literal(self._tcp.getPeer().host), self._tcp.getPeer().port)
        if ITCPTransport.providedBy(self.transport):
            self._tune(self._tcp.getHandle())
        self._tcp.registerProducer(self._room, True)
        self._made(self)

    def dataReceived(self, data: bytes) -> None:
        if self._closing is not None:
            self._throw_away(len(data), self._closing)
            return
        self._unread.append(data)
        self._stream.came(len(data))
        if self._reading is not None:
            reading, self._reading = self._reading, None
            reading.callback(self._next_chunk())
        # Not while nothing waits: most readers are back before more comes, and the poller stays as it is.
        if self._unread and self._closing is None and self._shaking is None:
            self._pause()

    def readConnectionLost(self) -> None:
        """The peer will send no more; it may still be written to."""
        self._has_finished = True
        if self._is_tls:
            self._resume()  # to hear when it is gone
        self._end()
        if self._closing is not None and not self._is_cut:
            stop(self._parting)
            self._tcp.loseConnection()

    def writeConnectionLost(self) -> None:
        """We have closed our half; the peer's end of stream closes the rest."""
        if self._ending is not None and not self._ending.called:
            self._ending.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_broken = not self._has_finished and self._closing is None
        self._is_lost = self._is_ended = True
        self._stream.end()
        stop(self._closing)
        stop(self._parting)
        self.lost.set(reason.value)  # first: who writes as long as it is not set must not go on for ever
        self._room.open()
        self.writeConnectionLost()
        if self._shaking is not None and not self._shaking.called:
            self._shaking.errback(self._unshaken(said(reason.value)))
        self._end()

    def handshakeCompleted(self) -> None:
        # A verification that failed within the handshake aborts; `connectionLost` follows and brings its reason.
        if self._shaking is not None and not self._shaking.called and not self._tcp.protocol.disconnecting:
            self._shaking.callback(None)

    # Inside -----------------------------------------------------------------------------------------------------------

    @property
    def _tcp(self) -> Any:
        """The transport; Twisted has no interface that names all of what its TCP transports do."""
        return self.transport

    def _tune(self, handle: socket.socket) -> None:
        self._tcp.bufferSize = self._limits.chunk_bytes_max
        self._tcp.setTcpNoDelay(True)
        self._tcp.setTcpKeepAlive(True)
        try:
            self._stream.socket = handle
            pace_keepalives(handle)
            self.tcp_rtt_us = handshake_rtt_us(handle)
            host, port, *_ = handle.getpeername()
            self.peer = Endpoint(literal(host), port)
        except OSError:  # the peer is gone already: nothing may be concluded from such a socket
            self.abort()

    def _write(self, data: bytes, *, at_once: bool) -> None:
        if not data or self._has_ended or self._closing or self._is_lost:
            return
        self._stream.end()
        later = self._tcp.write
        if self._shaking is not None:
            self._records = None  # Twisted keeps what is written amid a handshake, and all the rest goes behind it
        if self._records is not None:
            data, later = self._records.sealed(data), self._tcp.protocol.transport.write
        elif self._is_tls:
            at_once = False
        if at_once and self._stream.socket is not None:
            put(self._tcp, data, later)
        else:
            later(data)

    def _next_chunk(self) -> bytes:
        """All that one read of the socket brought: in TLS a part of a record may have waited for it."""
        data = self._unread.popleft()
        if self._unread:
            data = b"".join((data, *self._unread))
            self._unread.clear()
        if len(data) > (bytes_max := self._limits.chunk_bytes_max):
            self._unread.appendleft(data[bytes_max:])
            data = data[:bytes_max]
        return data

    def _forget_reader(self, _: Deferred[bytes]) -> None:
        self._reading = None

    def _end(self) -> None:
        self._is_ended = True
        if self._reading is not None:
            reading, self._reading = self._reading, None
            reading.callback(self._next_chunk() if self._unread else b"")

    def _pause(self) -> None:
        if not self._is_paused and not self._is_ended:
            self._is_paused = True
            self._tcp.pauseProducing()

    def _resume(self) -> None:
        if self._is_paused and not self._is_ended:
            self._is_paused = False
            self._tcp.resumeProducing()

    def _throw_away(self, count: int, closing: IDelayedCall) -> None:
        """The peer still sends; once that was too much, no more of it is read, and it has little time left."""
        self._bytes_to_throw -= count
        if self._parting is not None and self._parting.active() and not self._is_cut:
            self._parting.reset(max(0.0, min(LULL_S, self._part_until_s - self._reactor.seconds())))
        if self._bytes_to_throw < 0 and not self._is_paused and closing.active():
            self._is_paused = True
            self._tcp.pauseProducing()
            closing.reset(min(LINGER_S_MAX, closing.getTime() - self._reactor.seconds()))

    def _part(self) -> None:
        """Our end of stream; or a reset, once the peer has all that came before."""
        if self._is_cut and self._taken is None:
            self._taken = Taken(self._tcp, self._stream.socket, is_tls=self._is_tls, has_ended=self._has_ended)
            self._parting = self._reactor.callLater(0, self._part)
        elif self._is_cut and not self._taken:
            self._parting = self._reactor.callLater(LULL_S, self._part)
        elif self._is_cut:
            self.abort()
        elif self._is_hurried:
            self._go()
        elif self._is_tls or not ITCPTransport.providedBy(self.transport):
            self._tcp.loseConnection()  # in TLS this is close_notify, and a wait for the peer's
        else:
            self._tcp.loseWriteConnection()

    def _go(self) -> None:
        if not (self._is_lost or self._is_cut):
            self._tcp.loseConnection()  # TLS waits for the peer after that, and what is beneath it does not
            (self._tcp.protocol.transport if self._is_tls else self._tcp).loseConnection()

    def _tls_ended(self, is_over: bool) -> None:
        """The end of TLS's stream, and if `is_over` nothing is left to be said."""
        self.readConnectionLost()
        if is_over:
            self._reactor.callLater(0, self._tcp.protocol.transport.loseConnection)

    def _tcp_ended(self) -> None:
        """The end of TCP's stream under TLS: behind that of TLS it says nothing new, and a cut goes its own way."""
        if not self._is_cut and (not self._has_finished or self._closing is not None):
            self._tcp.connectionLost(connectionDone)

    def _unshaken(self, detail: str) -> ProtocolViolation:
        return ProtocolViolation(
            self.side.value,
            "The TLS handshake failed; check that both sides speak TLS 1.2 or later and trust the certificate shown.",
            detail=f"TLS with {self.peer}: {detail}",
        )


async def connect(reactor: Any, endpoint: Endpoint, limits: Limits, scheduler: IScheduler) -> Connection:
    """A connection to a literal address. @raise UpstreamUnreachable: there was none within `limits.dial_s_max`."""
    dialling = _Dialling(lambda made: Connection(Side.SERVER, limits, scheduler, reactor, made))
    connector = reactor.connectTCP(str(endpoint.address), endpoint.port, dialling, timeout=limits.dial_s_max)
    try:
        return await dialling.made
    except CancelledError:
        connector.disconnect()
        raise
    except ConnectError as why:
        raise UpstreamUnreachable(
            "The target could not be reached; try again later or tell the operator of the gateway.",
            detail=f"TCP to {endpoint}: {said(why)}",
        ) from why


class _Dialling(ClientFactory):
    """One attempt. (Not an endpoint: around a protocol that is more than one thing Twisted's forget half-closing.)"""

    noisy = False

    def __init__(self, make: Callable[[Callable[[Connection], None]], Connection]) -> None:
        self._make = make
        self.made: Deferred[Connection] = Deferred()

    def buildProtocol(self, addr: Any) -> Connection:
        return self._make(self.made.callback)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        if not self.made.called:
            self.made.errback(reason)
