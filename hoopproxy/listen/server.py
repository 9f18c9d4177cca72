"""One listener's sockets: binds, accepts, counts, and runs each connection as a coroutine of its own.

Nothing that a client does or leaves undone delays the next accept. Knows no protocol: a listener makes the frontend,
`run` serves it.
"""

import errno
import secrets
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory

from hoopproxy.admit.crowd import Crowd
from hoopproxy.connection import Connection
from hoopproxy.errors import ConfigError, SessionError
from hoopproxy.listen.balancers import Balancers
from hoopproxy.listen.descriptors import make_room
from hoopproxy.listen.port import Port
from hoopproxy.model import Arrival, Endpoint, IPAddress, Side
from hoopproxy.rooms import IFrontend, IListener, IScheduler
from hoopproxy.settings import Limits

log = structlog.get_logger()

TROUBLE_S_MIN = 10.0
"""Between two lines about connections that did not come in: a flood must not fill the operator's log, too."""


class Server(Service):
    """Listens on all addresses of `listener.settings` and calls `run(frontend)` for each connection.

    Binds in `privilegedStartService`, while twistd still may. `endpoints` is what it is bound to (tests ask for
    port 0). Who comes over a limit of `crowd`, which all listeners of a gateway share, is closed at once.
    """

    def __init__(
        self,
        reactor: Any,
        listener: IListener,
        limits: Limits,
        scheduler: IScheduler,
        run: Callable[[IFrontend], Coroutine[Any, Any, None]],
        crowd: Crowd | None = None,
    ) -> None:
        self.endpoints: tuple[Endpoint, ...] = ()
        self._reactor, self._limits, self._scheduler = reactor, limits, scheduler
        self._listener, self._run = listener, run
        self._crowd = Crowd(limits) if crowd is None else crowd
        self._ports: list[Port] = []
        self._serving: dict[str, tuple[Connection, Deferred[None]]] = {}
        self._adopted: set[Deferred[None]] = set()
        self._left = scheduler.signal()  # somebody has; a new one each time
        self._trouble = _Trouble(listener.settings.name, scheduler)
        self._balancers = Balancers(listener.settings.balancers, limits, scheduler)
        self._door = _Door(partial(Connection, Side.CLIENT, limits, scheduler, reactor, self._accepted))

    def privilegedStartService(self) -> None:
        """@raise ConfigError: one of the addresses can't be listened on; then none is."""
        super().privilegedStartService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        settings = self._listener.settings
        make_room(self._limits.connections_max)
        try:
            for address in settings.addresses:
                self._ports.append(Port(self._reactor, address, settings.port, self._take, self._not_accepted))
        except OSError as why:
            self._close_ports()
            raise ConfigError(
                (
                    f"listen.{settings.name}: can't listen on {Endpoint(address, settings.port)} ({why.strerror}); "
                    "wanted is an address of this machine, and a port that is free and that the gateway may bind.",
                )
            ) from why
        for port in self._ports:
            port.start()
        self.endpoints = tuple(port.endpoint for port in self._ports)

    def stopService(self) -> Deferred[None]:
        """Accept no more, and cut off who is still here when all should have left, and at once who is still a stranger.

        Sessions have `limits.drain_s_max` for what they are amid, and as long for their last words.
        """
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        return Deferred.fromCoroutine(self._drain())

    def _take(self, client: socket.socket, address: IPAddress) -> None:
        """A socket was accepted; whoever is not adopted is closed. @raise OSError: it is gone already."""
        client.getpeername()  # raises then, which Twisted would notice with a socket of its own in hand, and lose it
        if self._may_enter(None if address in self._balancers else address):
            self._reactor.adoptStreamConnection(client.fileno(), client.family, self._door)

    def _may_enter(self, address: IPAddress | None) -> bool:
        limit = self._crowd.limit_for(address)
        if limit:
            self._trouble.note("connection-over-limit", limit=limit, client=str(address or "a balancer"))
        return not limit

    def _not_accepted(self, why: OSError) -> None:
        self._trouble.note("connection-not-accepted", error=errno.errorcode.get(why.errno or 0, str(why)))

    def _accepted(self, connection: Connection) -> None:
        Deferred.fromCoroutine(self._serve(connection))

    async def _serve(self, connection: Connection) -> None:
        """From accept to the socket's end: so long it counts against the limits."""
        connection_id = secrets.token_hex(8)
        address = connection.peer.address
        self._crowd.enter(connection_id, None if address in self._balancers else address)
        running = Deferred.fromCoroutine(self._speak(connection, connection_id))
        self._serving[connection_id] = connection, running
        await running
        connection.close()
        self._somebody_left()
        await connection.lost.wait()
        del self._serving[connection_id]
        self._crowd.leave(connection_id)
        self._somebody_left()

    async def _speak(self, connection: Connection, connection_id: str) -> None:
        settings = self._listener.settings
        try:
            client = await self._client(connection, connection_id)
            if client is None:
                return
            arrival = Arrival(
                connection_id=connection_id,
                listener=settings.name,
                protocol=settings.protocol,
                client=client,
                at_s=self._scheduler.now_s(),
            )
            await self._run(self._listener.frontend(connection, arrival, self._adopt))
        except CancelledError:
            connection.abort()
        except Exception:  # a bug; whatever it is, it ends this connection alone, and nothing more is said on it
            log.exception("connection-crashed", listener=settings.name, connection=connection_id)
            connection.abort()

    async def _client(self, connection: Connection, connection_id: str) -> Endpoint | None:
        """Who is at its other end: whoever a balancer names, who then counts in the balancer's place; None: nobody."""
        peer = connection.peer
        if peer.address not in self._balancers:
            return peer
        try:
            client = await self._balancers.client(connection)
        except SessionError as why:
            self._trouble.note("balancer-not-understood", client=str(peer.address), why=why.sentence, detail=why.detail)
            connection.cut()
            return None
        if client is None or client is peer:
            return client
        self._crowd.leave(connection_id)
        if not self._may_enter(client.address):
            connection.cut()
            return None
        self._crowd.enter(connection_id, client.address)
        return client

    def _adopt(self, frontend: IFrontend) -> None:
        """What came through a connection is served like one of its own, and ends with it."""
        running = Deferred.fromCoroutine(self._serve_adopted(frontend))
        self._adopted.add(running)
        running.addCallback(lambda _: self._adopted.remove(running)).addCallback(lambda _: self._somebody_left())

    async def _serve_adopted(self, frontend: IFrontend) -> None:
        try:
            await self._run(frontend)
        except CancelledError:
            frontend.abort()
        except Exception:  # as in `_speak`
            arrival = frontend.arrival
            log.exception("connection-crashed", listener=arrival.listener, connection=arrival.connection_id)
            frontend.abort()

    def _somebody_left(self) -> None:
        self._left, left = self._scheduler.signal(), self._left
        left.set()

    async def _drain(self) -> None:
        self._close_ports()
        for connection_id, (_, running) in tuple(self._serving.items()):
            if self._crowd.is_stranger(connection_id):
                running.cancel()
        limit_s = self._limits.drain_s_max
        if await self._in_time(2 * limit_s, self._over):
            for connection, _ in tuple(self._serving.values()):
                connection.hurry()
            if await self._in_time(limit_s, self._empty):
                return
        log.warning("connections-cut-off", listener=self._listener.settings.name, count=len(self._serving))
        for connection, running in tuple(self._serving.values()):
            connection.abort()
            running.cancel()
        for running in tuple(self._adopted):
            running.cancel()
        await self._in_time(limit_s, self._empty)  # their last notes to the evidence

    async def _in_time(self, limit_s: float, is_so: Callable[[], bool]) -> bool:
        try:
            await self._scheduler.within(limit_s, self._until(is_so))
        except TimeoutError:
            return False
        return True

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self._left.wait()

    def _over(self) -> bool:
        """Whether all was said."""
        return not self._adopted and all(running.called for _, running in self._serving.values())

    def _empty(self) -> bool:
        return not (self._serving or self._adopted)

    def _close_ports(self) -> None:
        while self._ports:
            self._ports.pop().close()


class _Door(Factory):
    """What Twisted asks for a protocol, once per accepted socket."""

    noisy = False

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make = make

    def buildProtocol(self, _: Any) -> Connection:
        return self._make()


class _Trouble:
    """Notes connections that did not come in: the first at once, then at most one line in `TROUBLE_S_MIN`."""

    def __init__(self, listener: str, scheduler: IScheduler) -> None:
        self._listener, self._scheduler = listener, scheduler
        self._unnoted, self._quiet_until_s = 0, 0.0

    def note(self, event: str, **fields: str) -> None:
        """One line, or one more of which the next line tells."""
        now_s = self._scheduler.monotonic_s()
        if now_s < self._quiet_until_s:
            self._unnoted += 1
            return
        log.warning(event, listener=self._listener, **fields, unnoted=self._unnoted)
        self._unnoted, self._quiet_until_s = 0, now_s + TROUBLE_S_MIN
