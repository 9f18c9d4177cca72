"""The portal's HTTPS server: sockets, TLS, and HTTP in both directions, all bounded. Knows no path.

What is asked goes to `answer` as a value, and its reply to who asked.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from io import BytesIO
from ipaddress import ip_address
from typing import Any, cast

import structlog
from OpenSSL import SSL
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from hoopproxy.admit.crowd import origin_of
from hoopproxy.errors import ConfigError
from hoopproxy.listen.tls import server_context
from hoopproxy.model import Endpoint
from hoopproxy.portal.exchange import HEADERS, Asked, Reply
from hoopproxy.rooms import ISignal
from hoopproxy.settings import PortalSettings

log = structlog.get_logger()

TOO_LONG = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class PortalServer(Service):
    """Listens as `settings` say and answers with `answer`, once `ready` is set. `endpoints` is what it is bound to.

    @raise ConfigError: certificate or key are none.
    """

    def __init__(
        self, reactor: Any, settings: PortalSettings, answer: Callable[[Asked], Awaitable[Reply]], ready: ISignal
    ) -> None:
        self.endpoints: tuple[Endpoint, ...] = ()
        self._reactor, self._settings = reactor, settings
        self._ports: list[Any] = []
        site: Any = Site(  # type: ignore[no-untyped-call] # Twisted's is not annotated
            _All(answer, ready),
            requestFactory=lambda *args: _Exchange(settings.body_bytes_max, *args),
            parsePOSTFormSubmission=False,
            timeout=settings.connection_s_max,
            reactor=reactor,
        )
        site.displayTracebacks = False
        site.log = _unsaid
        secured = TLSMemoryBIOFactory(_Certificate(settings), False, site, reactor)
        self._door = _Door(reactor, secured, settings)

    def privilegedStartService(self) -> None:
        """@raise ConfigError: it can't listen there."""
        super().privilegedStartService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        settings = self._settings
        for address in settings.addresses:
            try:
                self._ports.append(self._reactor.listenTCP(settings.port, self._door, interface=str(address)))
            except CannotListenError as why:
                for port in self._ports:
                    port.stopListening()
                raise ConfigError(
                    (
                        f"portal: can't listen on {Endpoint(address, settings.port)} ({why.socketError}); wanted is an "
                        "address of this machine, and a port that is free and that the gateway may bind.",
                    )
                ) from why
        self.endpoints = tuple(
            Endpoint(address, port.getHost().port)
            for address, port in zip(settings.addresses, self._ports, strict=True)
        )

    def stopService(self) -> "Deferred[None]":
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        while self._ports:
            await self._ports.pop().stopListening()
        self._door.close()


class _Door(WrappingFactory):
    """Counts connections, in all and from one address, and ends each in its time, whatever it is at."""

    noisy = False

    def __init__(self, reactor: Any, wrapped: Any, settings: PortalSettings) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call] # Twisted's is not annotated
        self.protocol = _Visitor
        self.reactor, self.settings = reactor, settings
        self._from: Counter[str] = Counter()

    def buildProtocol(self, addr: Any) -> Any:
        settings, origin = self.settings, origin_of(ip_address(addr.host.partition("%")[0]))
        here = self._from.total(), self._from[origin]
        if here[0] >= settings.connections_max or here[1] >= settings.connections_per_address_max:
            return None  # closed at once
        visitor: Any = super().buildProtocol(addr)
        visitor.origin = origin
        self._from[origin] += 1
        return visitor

    def left(self, origin: str) -> None:
        """One less from there."""
        self._from[origin] -= 1
        if not self._from[origin]:
            del self._from[origin]

    def close(self) -> None:
        """Everybody leaves."""
        for visitor in list(cast(Any, self.protocols)):
            visitor.abortConnection()


class _Visitor(ProtocolWrapper):
    """One connection."""

    origin = ""

    def connectionMade(self) -> None:
        door: Any = self.factory
        self._end = door.reactor.callLater(door.settings.connection_s_max, self.abortConnection)
        super().connectionMade()  # type: ignore[no-untyped-call] # Twisted's is not annotated

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._end.active():
            self._end.cancel()
        cast(Any, self.factory).left(self.origin)
        super().connectionLost(reason)  # type: ignore[no-untyped-call] # Twisted's is not annotated

    def abortConnection(self) -> None:
        cast(Any, self.transport).abortConnection()


@implementer(IOpenSSLServerConnectionCreator)
class _Certificate:
    """The portal's own, for HTTP/1.1. @raise ConfigError"""

    def __init__(self, settings: PortalSettings) -> None:
        self._context = server_context(lambda _: (b"http/1.1",))
        wanted = "wanted are a PEM certificate chain and its PEM private key without a passphrase"
        # A passphrase would be asked for on the terminal.
        self._context.set_passwd_cb(lambda *_: b"")
        try:
            self._context.use_certificate_chain_file(settings.certificate_file)
            self._context.use_privatekey_file(settings.key_file)
            self._context.check_privatekey()
        except SSL.Error as why:
            files = f"portal.certificate {settings.certificate_file} and portal.key {settings.key_file}"
            raise ConfigError((f"{files} can't be used ({why}); {wanted}.",)) from why

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        return connection


class _Exchange(Request):
    """A request whose body stays in memory and is not long."""

    def __init__(self, bytes_max: int, *args: Any) -> None:
        super().__init__(*args)  # type: ignore[no-untyped-call] # Twisted's is not annotated
        self._bytes_max = bytes_max
        self._is_over = False

    def gotLength(self, length: int | None) -> None:
        self.content = self.received = BytesIO()
        self._check(length or 0)

    def handleContentChunk(self, data: bytes) -> None:
        self._check(self.received.tell() + len(data))
        if not self._is_over:
            self.received.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self._is_over:
            super().requestReceived(command, path, version)  # type: ignore[no-untyped-call] # Twisted's is not annotated

    def _check(self, length: int) -> None:
        if length > self._bytes_max and not self._is_over:
            self._is_over = True
            channel = cast(Any, self.channel)
            channel.transport.write(TOO_LONG)
            channel.loseConnection()


class _All(Resource):
    """Every path."""

    isLeaf = True

    def __init__(self, answer: Callable[[Asked], Awaitable[Reply]], ready: ISignal) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        self._answer, self._ready = answer, ready

    def render(self, request: Request) -> Any:
        exchange = cast(Any, request)
        exchange.is_gone = False
        exchange.notifyFinish().addErrback(lambda _: setattr(exchange, "is_gone", True))
        Deferred.fromCoroutine(self._reply(exchange)).addErrback(self._failed, exchange)
        return NOT_DONE_YET

    async def _reply(self, exchange: Any) -> None:
        """What was begun is done, even if who asked has left meanwhile."""
        await self._ready.wait()
        reply = await self._answer(_asked(exchange))
        if exchange.is_gone:
            return
        exchange.setResponseCode(reply.status)
        exchange.responseHeaders.removeHeader(b"server")
        if reply.status == 401:
            exchange.setHeader(b"WWW-Authenticate", b"Bearer")
        for name, value in {**HEADERS, "Content-Type": reply.kind, **reply.headers}.items():
            exchange.setHeader(name.encode(), value.encode("latin-1"))
        exchange.setHeader(b"Content-Length", b"%d" % len(reply.body))
        exchange.write(reply.body)
        exchange.finish()

    @staticmethod
    def _failed(failure: Failure, exchange: Any) -> None:
        log.error("portal-crashed", exc_info=failure.value)
        if not exchange.is_gone:
            exchange.channel.loseConnection()


def _unsaid(_: Any) -> None:
    """The operator's log hears of what is refused, and not of each request."""


def _asked(exchange: Any) -> Asked:
    raw = exchange.requestHeaders.getAllRawHeaders()
    path, _, query = exchange.uri.decode("latin-1").partition("?")
    peer = exchange.getClientAddress()
    return Asked(
        method=exchange.method.decode("latin-1"),
        path=path,
        query=query,
        headers={name.decode("latin-1").lower(): b", ".join(values).decode("latin-1") for name, values in raw},
        body=exchange.received.getvalue(),
        client=Endpoint(ip_address(peer.host.partition("%")[0]), peer.port),
    )
