"""`twistd hoopproxy`: what the gateway stands in, by its configuration, and the services that run it.

Holds no decision: what may pass is decided in `hoopproxy.session`, called from here once per connection.
"""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python import usage

from hoopproxy.assembly import Surroundings, assembled
from hoopproxy.commands import Commands
from hoopproxy.config.load import load
from hoopproxy.config.model import Config
from hoopproxy.control.following import Feed
from hoopproxy.control.server import ControlServer
from hoopproxy.described import lines
from hoopproxy.dial.resolver import Resolver
from hoopproxy.errors import ConfigError, SessionError
from hoopproxy.evidence.entries import GatewayStarted, GatewayStopped
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.listen.server import Server
from hoopproxy.model import Endpoint
from hoopproxy.registry import Addons, Spoken, build, spoken
from hoopproxy.rooms import IFrontend
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.session import run
from hoopproxy.watchdog import Watchdog
from hoopproxy.wire.kernel import COMPILED


class Options(usage.Options):
    """What `twistd hoopproxy` takes."""

    optParameters = (("config", "c", "conf/hoopproxy.toml", "The configuration; its two companions are named in it."),)
    optFlags = (("check", None, "Check the configuration and every addon, say what would run, and open nothing."),)

    def postOptions(self) -> None:
        """A mistake is said here, before twistd goes to the background, and never as a traceback."""
        try:
            self["loaded"] = load(Path(self["config"]))
        except ConfigError as why:
            raise usage.UsageError(str(why)) from why


def makeService(options: Options) -> IService:
    """The service that twistd runs. Ends the process, with sentences, when an addon can't be built."""
    from twisted.internet import reactor  # noqa: TID251 - here it enters the house, to be passed on

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *_: _Lines(),
    )
    config: Config = options["loaded"]
    try:
        scheduler = TwistedScheduler(reactor)
        addons, ways = build(config, scheduler), spoken(config, reactor, scheduler)
        if options["check"]:
            sys.stdout.write("\n".join(lines(config, addons)) + "\n")
            sys.exit(0)
        return GatewayService(reactor, config, addons, ways, scheduler)
    except ConfigError as why:
        sys.exit(f"hoopproxy can't start.\n{why}")


class _Lines:
    """Structured lines into twistd's own log, whichever place, rotation and format that has."""

    _log = Logger("hoopproxy")

    def info(self, line: str) -> None:
        """News."""
        self._log.info("{line}", line=line)

    def warning(self, line: str) -> None:
        """Somebody should look at it."""
        self._log.warn("{line}", line=line)

    def error(self, line: str) -> None:
        """Somebody must."""
        self._log.error("{line}", line=line)


def surroundings(reactor: Any, config: Config, ways: Spoken, scheduler: TwistedScheduler) -> Surroundings:
    """What the configuration says of where the gateway stands."""
    limits = config.limits
    return Surroundings(
        gateway_name=config.gateway.name,
        gateway_country=config.gateway.country,
        storage_country=config.storage_country,
        zones=config.zones,
        own=frozenset(Endpoint(address, each.port) for each in config.listeners for address in each.addresses),
        roles_of=config.policy.roles_of,
        pseudonyms=Pseudonyms(config.gateway.pseudonym_key_file.read_bytes()),
        resolver=Resolver(reactor, limits),
        dialers=ways.dialers,
        wires=ways.wires,
        limits=limits,
        scheduler=scheduler,
        new_session_id=lambda: secrets.token_hex(10),
        tell=structlog.get_logger("hoopproxy").info,
    )


class GatewayService(MultiService):
    """The running gateway. Ports are bound while twistd still has its rights; nobody is served before the start is in
    the log."""

    def __init__(self, reactor: Any, config: Config, addons: Addons, ways: Spoken, scheduler: TwistedScheduler) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        limits = config.limits
        self._reactor, self._config, self._addons = reactor, config, addons
        self._ready = scheduler.signal()
        self._log = structlog.get_logger("hoopproxy")
        self._gateway = gateway = assembled(addons, surroundings(reactor, config, ways, scheduler))
        self._feed = Feed()
        gateway.ledger.follow = self._feed.tell
        self._servers = {
            each.settings.name: Server(reactor, each, limits, scheduler, self._serve, gateway.crowd)
            for each in ways.listeners
        }
        commands = Commands(gateway)
        streams = {"follow": self._feed.subscribe, **commands.streams()}
        for part in (
            Watchdog(reactor, limits, addons.modules),
            ControlServer(reactor, config.gateway.control_socket, limits, commands.by_name(), streams),
            *self._servers.values(),
        ):
            part.setServiceParent(self)  # type: ignore[no-untyped-call] # Twisted's is not annotated

    def privilegedStartService(self) -> None:
        with self._sentences():
            super().privilegedStartService()  # type: ignore[no-untyped-call] # Twisted's is not annotated

    def startService(self) -> None:
        with self._sentences():
            super().startService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        Deferred.fromCoroutine(self._begin())

    def stopService(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._end())

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """What can't be bound or opened ends the process with its sentence, not with a traceback."""
        try:
            yield
        except ConfigError as why:
            self._log.error("not-started", sentence=str(why))
            sys.exit(1)

    async def _serve(self, frontend: IFrontend) -> None:
        await self._ready.wait()
        await run(frontend, self._gateway)

    async def _begin(self) -> None:
        """The start is the log's next entry; then clients are served."""
        config = self._config
        if not COMPILED:
            self._log.warning(
                "row-kernel-interpreted", sentence="Masked rows cost a hundred times more: run make build."
            )
        try:
            await self._gateway.ledger.note(
                GatewayStarted(
                    config.gateway.name,
                    config.gateway.zone,
                    config.digest,
                    config.policy.revision,
                    config.zones.revision,
                    self._addons.provenance,
                )
            )
        except SessionError as why:
            self._log.error("not-started", sentence=why.sentence, detail=why.detail)
            # twistd gives no exit code of a service's: so it is the last thing that the reactor does.
            self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
            self._reactor.stop()
            return
        self._ready.set()
        endpoints = {name: [str(each) for each in server.endpoints] for name, server in self._servers.items()}
        self._log.info(
            "ready", gateway=config.gateway.name, endpoints=endpoints, control=str(config.gateway.control_socket)
        )

    async def _end(self) -> None:
        """Live sessions are told and ended as soon as nothing of theirs is under way, then the log is."""
        self._gateway.leases.stop()
        await super().stopService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        try:
            await self._gateway.ledger.note(GatewayStopped("stopped"))
        except SessionError as why:
            self._log.error("end-unwritten", sentence=why.sentence, detail=why.detail)
