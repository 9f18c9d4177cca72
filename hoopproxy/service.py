"""`twistd hoopproxy`: what the gateway stands in, by its configuration, and the services that run it.

Holds no decision: what may pass is decided in `hoopproxy.session`, called from here once per connection.
"""

import hashlib
import hmac
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from twisted.application.service import IService, MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from hoopproxy.access.in_force import InForce
from hoopproxy.access.links import Links
from hoopproxy.access.office import Changed
from hoopproxy.assembly import Surroundings, assembled
from hoopproxy.commands import Commands
from hoopproxy.config.load import load
from hoopproxy.config.model import Config
from hoopproxy.control.following import Feed
from hoopproxy.control.server import ControlServer
from hoopproxy.counter import Counter
from hoopproxy.couriers import Couriers
from hoopproxy.described import lines
from hoopproxy.dial.resolver import Resolver
from hoopproxy.errors import ConfigError, SessionError
from hoopproxy.evidence.entries import GatewayStarted, GatewayStopped
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.issuing import Issuing
from hoopproxy.listen.server import Server
from hoopproxy.model import Endpoint
from hoopproxy.operator import Operator
from hoopproxy.portal.portal import portal
from hoopproxy.registry import Addons, Spoken, build, spoken
from hoopproxy.revisions import Revisions
from hoopproxy.rooms import IFrontend
from hoopproxy.scheduler import TwistedScheduler, keep_time
from hoopproxy.session import run
from hoopproxy.store.cursors import Cursors
from hoopproxy.store.database import Database, store_url
from hoopproxy.store.journal import DatabaseJournal
from hoopproxy.store.service import StoreService
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
    keep_time(reactor)
    try:
        scheduler = TwistedScheduler(reactor)
        policy = InForce(config.policy)
        addons, ways = build(config, scheduler, policy), spoken(config, reactor, scheduler)
        if options["check"]:
            sys.stdout.write("\n".join(lines(config, addons)) + "\n")
            sys.exit(0)
        return GatewayService(reactor, config, policy, addons, ways, scheduler)
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


def surroundings(
    reactor: Any, config: Config, policy: InForce, database: Database, ways: Spoken, scheduler: TwistedScheduler
) -> Surroundings:
    """What the configuration says of where the gateway stands."""
    limits = config.limits
    return Surroundings(
        gateway_name=config.gateway.name,
        gateway_country=config.gateway.country,
        storage_country=config.storage_country,
        zones=config.zones,
        own=frozenset(Endpoint(address, each.port) for each in config.listening for address in each.addresses),
        policy=policy,
        targets=config.targets,
        journal=DatabaseJournal(database),
        store_lease_s_max=config.store.lease_s_max,
        pseudonyms=Pseudonyms(config.gateway.pseudonym_key_file.read_bytes()),
        resolver=Resolver(reactor, limits),
        dialers=ways.dialers,
        wires=ways.wires,
        limits=limits,
        scheduler=scheduler,
        new_session_id=lambda: secrets.token_hex(10),
        tell=structlog.get_logger("hoopproxy").info,
        links=_links(config),
    )


def _links(config: Config) -> Links | None:
    """With a key that gateways may share, or one that follows from this gateway's own and tells nothing of it."""
    if config.portal is None:
        return None
    file = config.portal.link_key_file or config.gateway.pseudonym_key_file
    return Links(config.portal.url, hmac.digest(file.read_bytes(), b"hoopproxy access links", hashlib.sha256))


class GatewayService(MultiService):
    """The running gateway. Ports are bound while twistd still has its rights; nobody is served before the start is in
    the log."""

    def __init__(
        self,
        reactor: Any,
        config: Config,
        policy: InForce,
        addons: Addons,
        ways: Spoken,
        scheduler: TwistedScheduler,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        limits = config.limits
        self._reactor, self._config, self._addons = reactor, config, addons
        self._ready = scheduler.signal()
        self._works: list[Deferred[None]] = []
        self._log = structlog.get_logger("hoopproxy")
        database = Database(store_url(config.store))
        around = surroundings(reactor, config, policy, database, ways, scheduler)
        self._gateway = gateway = assembled(addons, around)
        self._store = StoreService(reactor, database, gateway.standing.nudge)
        self._feed = Feed()
        gateway.ledger.follow = self._feed.tell
        self._servers = {
            each.settings.name: Server(reactor, each, limits, scheduler, self._serve, gateway.crowd)
            for each in ways.listeners
        }
        self._couriers = self._told_of_steps(Cursors(database))
        self._revisions = Revisions(config, policy, gateway)
        commands = Commands(gateway)
        counter = Counter(gateway)
        made = (
            Operator(gateway, counter),
            commands,
            self._revisions,
            self._couriers,
            Issuing(gateway, addons.authenticators),
        )
        named = {name: command for each in made for name, command in each.by_name().items()}
        streams = {"follow": self._feed.subscribe, **commands.streams()}
        self._portals = [
            portal(reactor, each, config.gateway.name, gateway, counter.by_name(), self._ready)
            for each in (config.portal,)
            if each
        ]
        for part in (
            Watchdog(reactor, limits, addons.modules),
            self._store,
            self._couriers,
            ControlServer(reactor, config.gateway.control_socket, limits, named, streams),
            *self._servers.values(),
            *self._portals,
        ):
            part.setServiceParent(self)  # type: ignore[no-untyped-call] # Twisted's is not annotated

    def _told_of_steps(self, cursors: Cursors) -> Couriers:
        gateway, tell = self._gateway, self._log.info
        office, note = gateway.office, gateway.ledger.note
        couriers, ends = Couriers(self._config.webhooks, office, cursors, note, gateway.scheduler, tell), office.changed

        def changed(what: Changed) -> None:
            ends(what)
            couriers.nudge()

        office.changed = changed
        return couriers

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
            await self._revisions.begin()
            await self._store.open()
            await self._gateway.office.catch_up()
            await self._gateway.office.note_what_is_left()
            await self._couriers.begin()
        except SessionError as why:
            self._log.error("not-started", sentence=why.sentence, detail=why.detail)
            # twistd gives no exit code of a service's: so it is the last thing that the reactor does.
            self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
            self._reactor.stop()
            return
        for run_on in (self._gateway.standing.run, self._gateway.rechecks.run, self._gateway.quotas.run):
            self._works.append(Deferred.fromCoroutine(run_on()).addErrback(self._judged_no_more))
        self._ready.set()
        endpoints = {name: [str(each) for each in server.endpoints] for name, server in self._servers.items()}
        self._log.info(
            "ready",
            gateway=config.gateway.name,
            endpoints=endpoints,
            portal=[str(endpoint) for each in self._portals for endpoint in each.endpoints],
            control=str(config.gateway.control_socket),
        )

    def _judged_no_more(self, failure: Failure) -> None:
        """Live sessions must not go on unjudged: without it the gateway stops."""
        if not isinstance(failure.value, CancelledError):
            self._log.error("judging-failed", exc_info=failure.value)
            self._reactor.stop()

    async def _end(self) -> None:
        """Live sessions are told and ended as soon as nothing of theirs is under way, then the log is."""
        self._gateway.leases.stop()
        await super().stopService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        for work in self._works:
            work.cancel()
        self._store.close()
        try:
            await self._gateway.ledger.note(GatewayStopped("stopped"))
        except SessionError as why:
            self._log.error("end-unwritten", sentence=why.sentence, detail=why.detail)
