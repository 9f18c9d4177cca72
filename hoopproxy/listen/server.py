"""One listener's sockets: binds, accepts, counts, and runs each connection as a coroutine of its own.

Nothing that a client does or leaves undone delays the next accept. Knows no protocol: a listener makes the frontend,
`run` serves it.
"""

import secrets
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from ipaddress import ip_address
from typing import Any

import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory

from hoopproxy.connection import Connection
from hoopproxy.errors import ConfigError
from hoopproxy.interfaces import IFrontend, IListener, IScheduler
from hoopproxy.model import Arrival, Endpoint, IPAddress, Side
from hoopproxy.settings import Limits

log = structlog.get_logger()

BACKLOG = 1024
"""Connections that the kernel holds until we accept them; Linux caps it by net.core.somaxconn (4096 by default)."""

REFUSALS_S_MIN = 10.0
"""Between two lines about connections over a limit: a flood must not fill the operator's log, too."""


class Server(Service):
    """Listens on all addresses of `listener.settings` and calls `run(frontend)` for each connection.

    Binds in `privilegedStartService`, while twistd still may. `endpoints` is what it is bound to (tests ask for
    port 0). Over `limits.connections_max`, or `connections_per_address_max` from one address, a connection is closed
    at once.
    """

    def __init__(
        self,
        reactor: Any,
        listener: IListener,
        limits: Limits,
        scheduler: IScheduler,
        run: Callable[[IFrontend], Coroutine[Any, Any, None]],
    ) -> None:
        self.endpoints: tuple[Endpoint, ...] = ()
        self._reactor, self._limits, self._scheduler = reactor, limits, scheduler
        self._listener, self._run = listener, run
        self._ports: list[Any] = []
        self._serving: dict[Connection, Deferred[None]] = {}
        self._per_address: Counter[IPAddress] = Counter()
        self._left = scheduler.signal()  # somebody has; a new one each time
        self._refusals = _Refusals(listener.settings.name, scheduler)

    def privilegedStartService(self) -> None:
        """@raise ConfigError: one of the addresses can't be listened on; then none is."""
        super().privilegedStartService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        settings, sockets = self._listener.settings, list[socket.socket]()
        accept = partial(Connection, Side.CLIENT, self._limits, self._scheduler, self._reactor, self._accepted)
        door = _Door(accept, self._admits)
        try:
            for address in settings.addresses:
                sockets.append(_listening(address, settings.port))
            for each in sockets:
                self._ports.append(self._reactor.adoptStreamPort(each.fileno(), each.family, door))
        except OSError as why:
            raise ConfigError(
                (
                    f"listen.{settings.name}: can't listen on {Endpoint(address, settings.port)} ({why.strerror}); "
                    "wanted is an address of this machine, and a port that is free and that the gateway may bind.",
                )
            ) from why
        finally:
            for each in sockets:
                each.close()  # the reactor listens on a duplicate
        hosts = (port.getHost() for port in self._ports)
        self.endpoints = tuple(
            Endpoint(address, host.port) for address, host in zip(settings.addresses, hosts, strict=True)
        )

    def stopService(self) -> Deferred[None]:
        """Accept no more, give those who are here `limits.drain_s_max`, then cut them off."""
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        return Deferred.fromCoroutine(self._drain())

    def _admits(self, address: IPAddress) -> bool:
        limits, here, from_there = self._limits, len(self._serving), self._per_address[address]
        if here >= limits.connections_max:
            self._refusals.note("limits.connections_max", address)
        elif from_there >= limits.connections_per_address_max:
            self._refusals.note("limits.connections_per_address_max", address)
        else:
            return True
        return False

    def _accepted(self, connection: Connection) -> None:
        Deferred.fromCoroutine(self._serve(connection))

    async def _serve(self, connection: Connection) -> None:
        """From accept to the socket's end: so long it counts against the limits."""
        address = connection.peer.address
        self._per_address[address] += 1
        self._serving[connection] = running = Deferred.fromCoroutine(self._speak(connection))
        await running
        connection.close()
        await connection.lost.wait()
        del self._serving[connection]
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]
        self._left, left = self._scheduler.signal(), self._left
        left.set()

    async def _speak(self, connection: Connection) -> None:
        settings = self._listener.settings
        arrival = Arrival(
            connection_id=secrets.token_hex(8),
            listener=settings.name,
            protocol=settings.protocol,
            client=connection.peer,
            at_s=self._scheduler.now_s(),
        )
        try:
            await self._run(self._listener.frontend(connection, arrival))
        except CancelledError:
            connection.abort()
        except Exception:  # a bug; whatever it is, it ends this connection alone, and nothing more is said on it
            log.exception("connection-crashed", listener=settings.name, connection=arrival.connection_id)
            connection.abort()

    async def _drain(self) -> None:
        stopping = [port.stopListening() for port in self._ports]
        self._ports.clear()
        for each in stopping:
            await each
        if await self._empties_in_time():
            return
        log.warning("connections-cut-off", listener=self._listener.settings.name, count=len(self._serving))
        for connection, running in tuple(self._serving.items()):
            connection.abort()
            running.cancel()
        await self._empties_in_time()  # their last notes to the evidence

    async def _empties_in_time(self) -> bool:
        try:
            await self._scheduler.within(self._limits.drain_s_max, self._empty())
        except TimeoutError:
            return False
        return True

    async def _empty(self) -> None:
        while self._serving:
            await self._left.wait()


class _Door(Factory):
    """What Twisted asks for a protocol, once per accepted socket."""

    noisy = False

    def __init__(self, make: Callable[[], Connection], admits: Callable[[IPAddress], bool]) -> None:
        self._make, self._admits = make, admits

    def buildProtocol(self, address: Any) -> Connection | None:
        """None closes the socket."""
        return self._make() if self._admits(ip_address(address.host.partition("%")[0])) else None


class _Refusals:
    """Notes connections over a limit: the first at once, then at most one line in `REFUSALS_S_MIN`."""

    def __init__(self, listener: str, scheduler: IScheduler) -> None:
        self._listener, self._scheduler = listener, scheduler
        self._unnoted, self._quiet_until_s = 0, 0.0

    def note(self, limit: str, address: IPAddress) -> None:
        now_s = self._scheduler.monotonic_s()
        if now_s < self._quiet_until_s:
            self._unnoted += 1
            return
        log.warning(
            "connection-over-limit", listener=self._listener, limit=limit, client=str(address), unnoted=self._unnoted
        )
        self._unnoted, self._quiet_until_s = 0, now_s + REFUSALS_S_MIN


def _listening(address: IPAddress, port: int) -> socket.socket:
    """An IPv6 socket takes IPv6 alone: `::` and `0.0.0.0` stand side by side, and no client has two addresses."""
    made = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.version == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind((str(address), port))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made
