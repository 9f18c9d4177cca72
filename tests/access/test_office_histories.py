"""Ten thousand random histories at three offices over one journal: what each takes from it is the same, exactly.

Whoever acts, at whichever gateway, overtaken or restarted: the table of grants is what the journal replayed gives, and
what must never happen has not. The seed is printed; `SEED=N` plays it again.
"""

import os
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.task import Clock

from hoopproxy.access.caller import Caller
from hoopproxy.access.journal import News, Overtaken, Row, read, written
from hoopproxy.access.office import Office
from hoopproxy.access.people import People
from hoopproxy.access.policy import Policy
from hoopproxy.access.register import Register, row_of
from hoopproxy.access.request import AccessRequest, ApprovalRule, NotPossible, Phase, begun
from hoopproxy.access.request_rule import BreakGlass, RequestRule
from hoopproxy.access.steps import ACCOUNT, Disabled, Enabled, Entry, Used
from hoopproxy.access.wish import Wish
from hoopproxy.model import Identity
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.house import LEDGER
from hoopproxy.testing.memory_journal import MemoryJournal

HISTORIES = 10_000
PER_JOURNAL = 20
"""Histories in one journal, as all of a zone share one."""

STEPS_MAX = 12
ISSUER = "https://id.test"

ROLES = {
    "ada": frozenset({"analyst"}),
    "ada-2": frozenset({"lead"}),
    "bob": frozenset({"lead"}),
    "cyd": frozenset({"lead", "analyst"}),
    "dan": frozenset({"admin", "lead", "analyst"}),
}
"""`ada` and `ada-2` are one person."""

RULE = RequestRule(
    name="r",
    roles=frozenset({"analyst"}),
    targets=frozenset({"ledger"}),
    accounts=frozenset({"reader"}),
    zone="EU",
    client_zones=("EU",),
    assurance_min={},
    duration_s_max=3600.0,
    pending_s_max=600.0,
    approval=ApprovalRule(frozenset({"lead"}), 2),
    sessions_max=2,
    break_glass=BreakGlass(frozenset({"analyst"}), 600.0, 1200.0),
)
POLICY = Policy(
    "0" * 64,
    (),
    (),
    (),
    requests=(RULE,),
    people=People([frozenset({(ISSUER, "ada"), (ISSUER, "ada-2")})]),
)


def caller(name: str) -> Caller:
    identity = Identity(ISSUER, name, name, frozenset(), 2e9, "test")
    person = POLICY.people.person(identity)
    return Caller(identity, person, ROLES[name], frozenset({"EU"}), is_administrator=name == "dan")


def now[T](work: Coroutine[Any, Any, T]) -> T:
    """The result of work that waits for nobody."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits")


@dataclass
class Zone:
    """Gateways that share a journal, and a clock."""

    chance: random.Random
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    clock: Clock = field(default_factory=Clock)
    count: int = 0
    log: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock.rightNow = 1_800_000_000.0
        self.offices = [self.office(f"gw{number}") for number in range(3)]

    def new_id(self) -> str:
        self.count += 1
        return f"r{self.count}"

    async def note(self, entry: Any) -> None:
        self.log.append(entry)

    def office(self, gateway: str) -> Office:
        scheduler = TwistedScheduler(self.clock)
        return Office(self.journal, POLICY, {"ledger": LEDGER}, scheduler, gateway, self.new_id, self.note)

    def history(self) -> str:
        """One history: somebody asks, and then anything may happen to it."""
        chance, who = self.chance, caller(self.chance.choice(["ada", "cyd", "dan"]))
        is_break_glass = chance.random() < 0.2
        duration_s = chance.choice([60.0, 600.0, 3000.0])
        wish = Wish("ledger", duration_s if not is_break_glass else 60.0, "why", sessions_max=2)
        request_id = now(chance.choice(self.offices).ask(who, wish, is_break_glass=is_break_glass)).request_id
        for _ in range(chance.randrange(STEPS_MAX)):
            self.act(request_id)
        return request_id

    def act(self, request_id: str) -> None:
        chance = self.chance
        office, who = chance.choice(self.offices), caller(chance.choice([*ROLES]))
        request = now(office.find(request_id, None))
        terms = request.terms
        acts: list[Callable[[], Awaitable[Any]]] = [
            *([lambda: office.vote(who, request_id, chance.random() < 0.8, terms.digest)] * 6),
            *([lambda: office.use(request_id, f"s{chance.randrange(4)}", terms.requester, LEDGER)] * 3),
            lambda: office.edit(who, request_id, Wish("ledger", 120.0, "otherwise", sessions_max=2)),
            lambda: office.withdraw(who, request_id),
            lambda: office.give_up(who, request_id),
            lambda: office.revoke(who, request_id, "no need"),
            lambda: office.revoke("local-operator", request_id, "no need"),
            lambda: office.suspend(who, request_id, "for now"),
            lambda: office.resume(who, request_id),
            lambda: office.review(who, request_id, chance.random() < 0.5, "seen"),
            lambda: office.spend(request_id, 3, 100),
            lambda: office.account_step(who.account, chance.choice([Disabled("x", "y"), Enabled("x")])),
            office.let_time_pass,
            self.wait,
            self.restart,
        ]
        try:
            now(chance.choice(acts)())  # type: ignore[arg-type] # all of them are coroutines
        except NotPossible:
            after = now(office.find(request_id, None))
            assert after == request, "what is not possible changes nothing"

    async def wait(self) -> None:
        self.clock.advance(self.chance.choice([1.0, 59.0, 700.0, 4000.0]))

    async def restart(self) -> None:
        number = self.chance.randrange(3)
        self.offices[number] = self.office(f"gw{number}")


def replayed(entries: tuple[Entry, ...]) -> AccessRequest:
    request = begun(entries[0])
    for entry in entries[1:]:
        request = request.after(read(entry.step.kind, written(entry)))
    return request


def check(zone: Zone) -> None:
    """The table, the registers and the log are what the journal says, and nothing is there that must not be."""
    rows: dict[str, Row] = {row.key: row for row in now(zone.journal.rows(False, 100_000))}
    everything: News = now(zone.journal.since(0))
    by_key: dict[str, list[Entry]] = {}
    for entry in everything.entries:
        by_key.setdefault(entry.key, []).append(entry)
    whole = Register()
    whole.take(everything.entries)
    for office in zone.offices:
        now(office.catch_up())
        assert office.register.requests == whole.requests
        assert office.register.accounts.keys() == whole.accounts.keys()
    noted = {(each.request_id, each.number, each.step) for each in zone.log}
    for key, entries in by_key.items():
        assert [entry.number for entry in entries] == list(range(len(entries)))
        if key.startswith(ACCOUNT):
            continue
        request = replayed(tuple(entries))
        assert rows[key] == row_of(request)
        assert noted >= {(key, entry.number, entry.step.kind) for entry in entries}
        uses = [entry for entry in entries if isinstance(entry.step, Used)]
        if uses and not request.is_break_glass:
            voters = {each.approver.person for each in request.votes if each.is_for}
            assert len(voters) >= 2 and request.terms.requester not in voters
        assert all(request.not_before_s <= entry.at_s < request.not_after_s for entry in uses)
        assert len(uses) <= 2
        assert (
            not request.is_break_glass
            or not request.phase.is_terminal
            or request.phase
            in (
                Phase.REVIEWED_OK,
                Phase.REVIEWED_VIOLATION,
            )
        )


def test_ten_thousand_histories_replay_to_the_table_exactly() -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    sys.stdout.write(f"SEED={seed}\n")
    phases: dict[Phase, int] = {}
    for number in range(HISTORIES // PER_JOURNAL):
        zone = Zone(random.Random(seed + number))
        ids = [zone.history() for _ in range(PER_JOURNAL)]
        check(zone)
        for request_id in ids:
            request = now(zone.offices[0].find(request_id, None))
            phases[request.phase] = phases.get(request.phase, 0) + 1
    sys.stdout.write(f"{ {phase.value: count for phase, count in phases.items()} }\n")
    assert phases.keys() == set(Phase), "each end has been reached"


def test_an_office_that_is_overtaken_decides_again() -> None:
    zone = Zone(random.Random(1))
    first, second, _ = zone.offices
    request_id = now(first.ask(caller("ada"), Wish("ledger", 60.0, "why", sessions_max=2))).request_id
    now(second.catch_up())
    digest = now(first.find(request_id, None)).terms.digest
    behind = zone.journal.append
    raced: list[str] = []

    async def append(entries: Any, rows: Any) -> None:
        if not raced:
            raced.append("bob")
            zone.journal.append = behind  # type: ignore[method-assign] # the other one is faster once
            await second.vote(caller("bob"), request_id, True, digest)
            raise Overtaken
        await behind(entries, rows)

    zone.journal.append = append  # type: ignore[method-assign] # see above
    request = now(first.vote(caller("cyd"), request_id, True, digest))
    assert request.phase is Phase.APPROVED and len(request.votes) == 2
