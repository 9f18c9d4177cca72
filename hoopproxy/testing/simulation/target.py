"""Simulated targets: dialled and logged in to as the gateway does it, each connection a model server of its own.

Its faults come from the weather: it can't be reached, never answers, dies, says FATAL, or begins to talk garbage at any
byte. Knows neither who the client is nor what a mask does.
"""

from functools import lru_cache, partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.dial.postgres import Greeting
from hoopproxy.errors import UpstreamRefused, UpstreamUnreachable
from hoopproxy.masks import Catalog
from hoopproxy.model import Endpoint, Measurements, Passage, Permit, Side, Target
from hoopproxy.proofs import TargetSecret
from hoopproxy.rooms import IDialer, IPeer, IReached, IScheduler, ISignal
from hoopproxy.settings import Limits
from hoopproxy.testing.simulation import database
from hoopproxy.testing.simulation.network import Line, Network
from hoopproxy.testing.simulation.server import Server
from hoopproxy.testing.simulation.weather import Fate, Weather
from hoopproxy.testing.simulation.witness import Witness
from hoopproxy.wire.postgres.messages import error
from hoopproxy.wire.postgres.requests import TERMINATE

FATAL = error("terminating connection due to administrator command", "57P01", "FATAL")
SETTINGS = {"server_version": "17.0", "client_encoding": "UTF8", "standard_conforming_strings": "on"}

_catalog = lru_cache(database.catalog)


class Backend:
    """One connection's far end: the server behind a line, its pace and its fate."""

    def __init__(self, network: Network, weather: Weather) -> None:
        self._network, self._weather = network, weather
        self._server = Server()
        self._inbox = bytearray()
        self._working: IDelayedCall | None = None
        self._sleeping: IDelayedCall | None = None
        self.fate, self._left_bytes = weather.fate(weather.p_target)
        self._is_mute = False
        self.line: Any = None

    def received(self, data: bytes) -> None:
        """Work on it at once, or after a while; in order."""
        self._inbox += data
        if self._working is None:
            self._working = self._network.clock.callLater(self._weather.pause_s(), self._work)

    def ended(self) -> None:
        """The gateway has hung up."""
        for call in (self._working, self._sleeping):
            if call is not None:
                call.cancel()
        self._working = self._sleeping = None

    def interrupt(self) -> None:
        """A CancelRequest came for this backend."""
        self._say(self._server.wake(cancelled=True))
        self._rest()

    def _work(self) -> None:
        self._working = None
        data, self._inbox = bytes(self._inbox), bytearray()
        self._say(self._server.feed(data))
        self._rest()

    def _wake(self) -> None:
        self._sleeping = None
        self._say(self._server.wake())
        self._rest()

    def _rest(self) -> None:
        """Sleep when the server does; close when it did."""
        if self._sleeping is not None and not self._server.sleeps_s:
            self._sleeping.cancel()
            self._sleeping = None
        if self._server.sleeps_s and self._sleeping is None:
            self._sleeping = self._network.clock.callLater(self._server.sleeps_s, self._wake)
        if self._server.is_closed:
            self.line.leave()

    def _say(self, data: bytes) -> None:
        if self._is_mute or self.line.is_over:
            return
        if self.fate is Fate.NONE or len(data) < self._left_bytes:
            self._left_bytes -= len(data)
            self.line.send(data)
            return
        self._is_mute = True
        self._network.trace.note(self.line.name, f"target: {self.fate.value}")
        self.line.send(data[: self._left_bytes])
        match self.fate:
            case Fate.RESET:
                self.line.reset()
            case Fate.LEAVES:
                self.line.leave()
            case Fate.FATAL:
                # Between two messages or within one: what a server that is killed manages to say.
                self.line.send(FATAL)
                self.line.leave()
            case Fate.GARBAGE:
                self.line.send(self._weather.garbage())
            case Fate.MUTE:
                pass


@implementer(IReached)
class Reached:
    """A target that proved itself."""

    def __init__(self, peer: Endpoint) -> None:
        self.measurements = Measurements(peer, "00" * 32)

    def abort(self) -> None:
        """Nothing was opened yet."""


@implementer(IPeer)
class Peer:
    """A logged-in target, over a real connection on a line."""

    side = Side.SERVER

    def __init__(self, connection: Connection, backend: Backend, passage: Passage, world: "Targets") -> None:
        self.greeting = Greeting(SETTINGS)
        self.catalog = _catalog(world.witness.protected(passage))
        self._connection, self._backend, self._passage, self._world = connection, backend, passage, world
        self.lost: ISignal = connection.lost
        self._is_closed = False

    async def read(self) -> bytes:
        return await self._connection.read()

    async def write(self, data: bytes) -> None:
        self._world.witness.asks(self._passage, data)
        await self._connection.write(data)

    async def end(self) -> None:
        await self._connection.end()

    async def interrupt(self) -> None:
        self._world.witness.interrupts(self._passage)
        try:
            await self._world.in_time(self._world.pause(), "")
        except UpstreamUnreachable:
            return
        self._backend.interrupt()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.send(TERMINATE)
            self._connection.close()

    def dismiss(self) -> None:
        self.close()
        self._connection.dismiss()

    def abort(self) -> None:
        self._connection.abort()


@implementer(IDialer)
class Targets:
    """The way to every target of the simulation."""

    def __init__(
        self, network: Network, weather: Weather, witness: Witness, limits: Limits, scheduler: IScheduler
    ) -> None:
        self.network, self.weather, self.witness = network, weather, witness
        self._limits, self._scheduler = limits, scheduler

    def unfit(self, target: Target) -> str:
        return ""

    async def reach(self, permit: Permit) -> IReached:
        self.witness.reaches(permit)
        await self.in_time(self._answered(permit), permit.target.name)
        return Reached(Endpoint(permit.addresses[0], permit.target.port))

    async def login(
        self,
        reached: IReached,
        passage: Passage,
        secret: TargetSecret,
        protected: frozenset[str],
        known: Catalog | None = None,
    ) -> IPeer:
        self.witness.logs_in(passage, protected)
        await self.in_time(self._answered(passage.permit), passage.permit.target.name)
        if self._strikes(self.weather.p_refused_login, passage.permit):
            raise UpstreamRefused("The target refused the gateway's login: too many connections; tell the operator.")
        connection = Connection(Side.SERVER, self._limits, self._scheduler, self.network.clock)
        backend = Backend(self.network, self.weather)
        self.witness.connections[passage.permit.arrival.connection_id].is_struck = backend.fate is not Fate.NONE
        name = f"{passage.permit.arrival.connection_id}-target"
        backend.line = self.network.connect(name, connection, backend, passage.peer)
        self.witness.lines.append(backend.line)
        backend.line.taken = partial(self._taken, backend.line, passage)
        return Peer(connection, backend, passage, self)

    async def in_time(self, work: Any, target: str) -> None:
        """As the real dialer bounds each step."""
        try:
            await self._scheduler.within(self._limits.dial_s_max, work)
        except TimeoutError as why:
            raise UpstreamUnreachable(f"Target '{target}' could not be reached; try again later.") from why

    async def pause(self) -> None:
        """The way there and back."""
        await self._scheduler.sleep(self.weather.pause_s())

    def _taken(self, line: Line, passage: Passage) -> None:
        self.witness.holds(self.witness.connections[passage.permit.arrival.connection_id], line.taken_bytes)

    def _strikes(self, probability: float, permit: Permit) -> bool:
        is_struck = self.weather.strikes(probability)
        self.witness.connections[permit.arrival.connection_id].is_struck |= is_struck
        return is_struck

    async def _answered(self, permit: Permit) -> None:
        await self.pause()
        if self._strikes(self.weather.p_unreachable, permit):
            if self.weather.strikes(0.5):
                await self._scheduler.sleep(3600.0)
            raise UpstreamUnreachable("The target could not be reached; try again later or tell the operator.")
