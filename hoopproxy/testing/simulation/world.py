"""One gateway and all around it, from the first arrival until nothing moves any more.

Does what `service` and `listen.server` do around `session.run`: accepts, counts, stops. Knows no verdict on what
happens; that is the witness's and the checks'.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from hoopproxy.assembly import assembled
from hoopproxy.connection import Connection
from hoopproxy.errors import Revoked, SessionError
from hoopproxy.evidence.entries import GatewayStopped
from hoopproxy.interfaces import ICredentialSource, ISetting
from hoopproxy.listen.postgres import PostgresListener
from hoopproxy.model import Arrival, Endpoint, Passage, Side
from hoopproxy.proofs import TargetSecret
from hoopproxy.registry import Setting
from hoopproxy.rooms import IFrontend
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.session import run
from hoopproxy.settings import Limits, ListenerSettings, Plaintext
from hoopproxy.testing.assembly import GATEWAY, in_germany
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.healthy import Addons
from hoopproxy.testing.house import START_S
from hoopproxy.testing.simulation import addons as first_party
from hoopproxy.testing.simulation.client import Canceller, Client
from hoopproxy.testing.simulation.disk import SimulatedDisk
from hoopproxy.testing.simulation.network import Line, Network
from hoopproxy.testing.simulation.scripts import script
from hoopproxy.testing.simulation.target import Targets
from hoopproxy.testing.simulation.trace import Trace
from hoopproxy.testing.simulation.trouble import Troubles
from hoopproxy.testing.simulation.weather import Weather
from hoopproxy.testing.simulation.witness import Seen, Watched, Witness

LENGTH_S = 30.0
"""Clients arrive within this time."""

STEPS_MAX = 500_000
"""No simulation that ends needs a tenth of these."""

WHO = ("ada",) * 8 + ("amy",) * 3 + ("kim",) * 5 + ("eve",) * 6 + ("uma", "pat", "who")
WHERE = ("masked",) * 16 + ("plain",) * 7 + ("moved", "gone", "nowhere")

LIMITS = Limits(
    handshake_s_max=5.0,
    decision_s_max=2.0,
    dial_s_max=4.0,
    idle_s_max=60.0,
    answer_s_max=50.0,
    stalled_s_max=30.0,
    session_s_max=600.0,
    drain_s_max=2.0,
    turn_ms_max=0.0,
    statement_bytes_max=4096,
    connections_per_identity_max=6,
)
"""Small, so that all of them are met; those on buffers are thrown. No time passes while the gateway computes: with 0 ms
each turn is over at once."""


type Furnish = Callable[[Addons, ISetting], Addons]
"""From the first-party addons of one gateway, and what an addon may know of it, to the addons that are played with."""


class World:
    """`furnish` may put other addons in the place of the first-party ones."""

    def __init__(
        self,
        seed: int,
        directory: Path,
        furnish: Furnish = lambda addons, setting: addons,
        everything: Callable[[str], object] | None = None,
    ) -> None:
        self.dice = Random(seed)
        self.directory = directory
        self.clock = Clock()
        self.clock.rightNow = self.start_s = START_S
        self.trace = Trace(self.clock.seconds, everything)
        self.limits = replace(
            LIMITS,
            chunk_bytes_max=self.dice.choice((300, 2048, 2048)),
            row_bytes_max=self.dice.choice((1024, 4096)),  # a longer row goes by in pieces
            pending_statements_max=self.dice.choice((2, 8, 100)),
        )
        self.network = Network(self.clock, self.dice, self.trace, self.limits.chunk_bytes_max)
        self.weather = Weather(self.dice, LENGTH_S)
        self.disk = SimulatedDisk(directory / "state", self.network, self.weather)
        self.witness = Witness(self.disk, self.clock.seconds)
        self.clients: list[tuple[Client, Seen]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._furnish = furnish
        self._serving: dict[Connection, tuple[Deferred[None], Seen]] = {}
        self._is_stopping = False
        self._count = 0
        self._build()

    def _build(self) -> None:
        self.scheduler = scheduler = TwistedScheduler(self.clock)
        state = self.disk.directory
        self.recorder = first_party.recorder_settings(state / "recordings", self.dice)
        self.recorder.directory.mkdir(parents=True)
        rules = first_party.policy(self.weather.grant_s)
        setting = Setting(GATEWAY, "EU", str(state), rules, first_party.TARGETS, scheduler)
        addons = self._furnish(first_party.addons(self.recorder, setting, self.disk), setting)
        self._evidence = addons.evidence
        addons.credentials = [_Revealing(each, self.witness) for each in addons.credentials]
        addons = Troubles(self.weather, scheduler, self.limits.decision_s_max, self.trace).over(addons)
        targets = Targets(self.network, self.weather, self.witness, self.limits, scheduler)
        ends = scheduler, first_party.Hosts(), targets
        self.gateway = assembled(addons, in_germany(rules, self.limits, *ends, self._new_id, self._tell))
        self.gateway.ledger.follow = self.witness.follows
        leaf = Authority(self.directory / "ca", "simulation").issue("gateway", dns=("gateway.example",))
        files = str(leaf.certificate_file), str(leaf.key_file)
        settings = ListenerSettings("pg", "postgres", (ip_address("127.0.0.1"),), 5432, *files, Plaintext.LOOPBACK)
        self._listener = PostgresListener(settings, self.limits, scheduler)

    # The course of things -------------------------------------------------------------------------------------------

    def play(self, photograph: Callable[[], None]) -> None:
        """All of it. `photograph` is called in the middle, right between a write to the disk and its sync."""
        dice, later = self.dice, self.clock.callLater
        for _ in range(dice.choice((1, 2, 4, 8, 8, 16, 16, 25, 50))):
            later(dice.uniform(0, LENGTH_S), self._arrive)
        for at_s in self.weather.kills:
            later(at_s, self._kill)
        if self.weather.stops_at_s is not None:
            later(self.weather.stops_at_s, self._stop)
        moments = {dice.randint(1, 30), dice.randint(1, 300)}
        self.disk.written = lambda count: photograph() if count in moments else None
        self._run_on()
        if self.gateway.leases.live():
            self.witness.object("A session is left in the leases.")
        self._stop()
        self._run_on()
        Deferred.fromCoroutine(self._last_entry())
        self._run_on()

    def show_all_keys(self) -> None:
        """Every cancel key that was ever given is shown again. All is over, so nothing may come of it."""
        self.witness.is_over, self._is_stopping = True, False
        for client, _ in tuple(self.clients):
            if client.key is not None:
                self._cancel(client, Canceller(client.key))
        self._run_on()

    def close(self) -> None:
        """Let go of the log's files."""
        evidence: Any = self._evidence
        if hasattr(evidence, "close"):
            evidence.close()

    def _run_on(self) -> None:
        """Until nothing moves, however much time passes."""
        clock, haste_s = self.clock, self.weather.haste_s
        for _ in range(STEPS_MAX):
            if self.network.step():
                if self.dice.random() < 0.3:
                    clock.advance(self.dice.random() * haste_s)
            elif clock.getDelayedCalls():
                clock.advance(max(0.0, clock.getDelayedCalls()[0].getTime() - clock.seconds()))
            else:
                return
        self.witness.object("It does not come to an end: something moves for ever.")

    def _arrive(self) -> None:
        if self._is_stopping:
            return
        person = self.dice.choice(WHO)
        target = self.dice.choice(WHERE)
        client = Client(person, target, script(self.dice), self.network, self.weather)
        client.cancel = partial(self._cancel, client)
        line, seen = self._accept(client, person)
        self.clients.append((client, seen))
        client.begin(line)

    def _cancel(self, client: Client, canceller: Canceller) -> None:
        """It comes from where its owner is."""
        if not self._is_stopping:
            canceller.line, _ = self._accept(canceller, client.person)
            canceller.begin()

    def _accept(self, far: Client | Canceller, person: str) -> tuple[Line, Seen]:
        self._count += 1
        connection_id, (address, _) = f"c{self._count}", first_party.PEOPLE[person]
        self.trace.note(connection_id, f"{type(far).__name__} {person}")
        connection = Connection(Side.CLIENT, self.limits, self.scheduler, self.clock)
        line = self.network.connect(connection_id, connection, far, Endpoint(ip_address(address), 40000 + self._count))
        self.witness.lines.append(line)
        arrival = Arrival(connection_id, "pg", "postgres", connection.peer, self.clock.seconds())
        frontend = Watched(self._listener.frontend(connection, arrival, _adopts_nobody), self.witness)
        Deferred.fromCoroutine(self._serve(connection, frontend))
        return line, frontend.seen

    async def _serve(self, connection: Connection, frontend: Watched) -> None:
        """As `listen.server` does."""
        arrival, seen = frontend.arrival, frontend.seen
        self.gateway.crowd.enter(arrival.connection_id, arrival.client.address)
        running = Deferred.fromCoroutine(self._speak(connection, frontend))
        self._serving[connection] = running, seen
        await running
        seen.over_s = self.clock.seconds()
        self.trace.note(arrival.connection_id, "served")
        connection.close()
        await connection.lost.wait()
        del self._serving[connection]
        self.gateway.crowd.leave(arrival.connection_id)

    async def _speak(self, connection: Connection, frontend: Watched) -> None:
        try:
            await run(frontend, self.gateway)
        except CancelledError:
            connection.abort()
        except Exception as why:  # noqa: BLE001 # whatever it is, it is a finding
            frontend.seen.crash = why
            connection.abort()

    def _kill(self) -> None:
        live = self.gateway.leases.live()
        if live:
            session_id = self.dice.choice(live).session_id
            self.trace.note(session_id, "killed")
            self.witness.revoked(session_id)
            self.gateway.leases.end(session_id, Revoked("An operator ended your session."))

    def _stop(self) -> None:
        """As `service` and `listen.server` do."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self.trace.note("gateway", "stops")
        self.gateway.leases.stop()
        self.clock.callLater(self.limits.drain_s_max, self._drained)
        self.clock.callLater(2 * self.limits.drain_s_max, self._cut_off)

    def _drained(self) -> None:
        for lease in self.gateway.leases.live():
            self.witness.revoked(lease.session_id)

    def _cut_off(self) -> None:
        for connection, (running, seen) in tuple(self._serving.items()):
            seen.was_cut_off = True
            connection.abort()
            running.cancel()

    async def _last_entry(self) -> None:
        try:
            await self.gateway.ledger.note(GatewayStopped("stopped"))
        except SessionError as why:
            self._tell("end-unwritten", sentence=why.sentence, detail=why.detail)

    def _new_id(self) -> str:
        return f"s{self._count}"

    def _tell(self, event: str, **fields: Any) -> None:
        self.trace.note("operator", f"{event} {fields.get('code', '')}")
        self.told.append((event, fields))


@implementer(ICredentialSource)
class _Revealing:
    """A credential source whose every use is witnessed."""

    def __init__(self, source: ICredentialSource, witness: Witness) -> None:
        self.name = source.name
        self._source, self._witness = source, witness

    async def secret(self, passage: Passage | None, credential: str) -> TargetSecret | None:
        if passage is not None:
            self._witness.reveals(passage)
        found: TargetSecret | None = await self._source.secret(passage, credential)
        return found


def _adopts_nobody(_: IFrontend) -> None:
    raise AssertionError("nothing comes through a PostgreSQL connection")
