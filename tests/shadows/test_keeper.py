"""Who may enter a database that keeps masks, as whom, and when that ends: a fake database, and a clock of ours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.task import Clock

from hoopproxy.errors import ProtocolViolation, Refused, Revoked, SqlFailed, UpstreamUnreachable
from hoopproxy.masking.shadows import answers, fingerprint, login_roles
from hoopproxy.masking.shadows.inventory import Inventory
from hoopproxy.masking.shadows.keeper import (
    ANEW,
    BLIND,
    GONE,
    LINGER_S,
    SPOILED,
    Around,
    Keeper,
    Keeping,
)
from hoopproxy.masking.shadows.locks import LOCK_PAUSE_S, LOCK_TRIES_MAX, Blocked
from hoopproxy.masking.shadows.logins import Kind, Logins
from hoopproxy.masking.shadows.standing import Standing
from hoopproxy.masks import Catalog, Entrance, MaskSet, Nullify, Shadow
from hoopproxy.model import (
    Arrival,
    Endpoint,
    Grant,
    Identity,
    IPAddress,
    Measurements,
    Passage,
    Permit,
    Seal,
    Target,
)
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.targets import TargetMasks

from .fake_desk import Database, Role

WATCH_S, IDLE_S = 5.0, 7200.0
KEY = bytes(range(32))
TARGET = Target(
    "ledger", "postgres", "db.example", 5432, "EU", "DE", None, {}, masks=TargetMasks("p", {"odd x": "why"})
)
AT = Endpoint(cast(IPAddress, "10.0.0.1"), 5432)


def mask_set(role: str = "reader", column: str = "email") -> MaskSet:
    return MaskSet("ledger", role, {f"public.customers.{column}": Nullify()})


def person(name: str) -> Identity:
    return Identity("https://id.example", name, name, frozenset(), 9e9, "oidc")


def passage(identity: Identity, connection_id: str = "c1", session_id: str = "s1") -> Passage:
    arrival = Arrival(connection_id, "pg", "postgres", AT, 0.0)
    permit = Permit(
        session_id=session_id,
        arrival=arrival,
        identity=identity,
        roles=frozenset(),
        target=TARGET,
        account="reader",
        database="ledger",
        parameters={},
        grant=Grant("g", frozenset(), "ledger", frozenset({"reader"}), "EU", ("EU",), {}, 9e9),
        addresses=(),
        client_zones=frozenset(),
        verdicts=(),
        not_after_s=9e9,
        seal=Seal(),
    )
    return Passage(permit, AT, Measurements(AT, ""), (), Seal())


@dataclass
class World:
    """A keeper, its database, and what an owner has made of it: digests of plans and reasons, by mask set."""

    database: Database = field(default_factory=Database)
    clock: Clock = field(default_factory=Clock)
    digests: dict[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    readings: int = 0
    ended: dict[str, str] = field(default_factory=dict)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.scheduler = TwistedScheduler(self.clock)
        self.keeper = self.gateway()
        self.watching: Deferred[None] | None = None

    def gateway(self, key: bytes = KEY) -> Keeper:
        def end_session(session_id: str, sentence: str) -> bool:
            self.ended.setdefault(session_id, sentence)
            return True

        keeping = Keeping(WATCH_S, IDLE_S)
        around = Around(keeping, self.scheduler, DeferredLock, self._elsewhere, self._judge, end_session)
        return Keeper(TARGET, "ledger", Logins(key, "ledger", bytes), around)

    async def _elsewhere(self, function: Callable[..., Any], *given: Any) -> Any:
        if self.failure is not None:
            raise self.failure
        if function is answers.read:
            self.readings += 1
            return _Installed(dict(self.digests))
        return function(*given)

    def _judge(self, inventory: Inventory, wanted: MaskSet, accepted: frozenset[str]) -> Standing:
        assert accepted == {"odd x"}
        shadow = Shadow(wanted.name, ("public",), {}, {}, {}, {}, {}, {}, {})
        catalog = Catalog({}, {}, frozenset(), frozenset(), shadow)
        kind = Kind.of(wanted.name, ("public",), ("work_mem=4MB",))
        return Standing(wanted, inventory.installed.get(wanted.name, ""), catalog, kind, self.reasons, ("odd x",))

    def install(self, *sets: MaskSet, digest: str = "d1") -> None:
        self.digests = {each.name: digest for each in sets}
        self.changes()

    def changes(self) -> None:
        self.database.catalog = str(int(self.database.catalog) + 1)

    def enter(self, name: str = "ada", wanted: MaskSet | None = None, keeper: Keeper | None = None) -> Entrance:
        entering = (keeper or self.keeper).enter(person(name), wanted or mask_set(), self.database.desk)
        return cast(Entrance, over(entering))

    def live(self, name: str = "ada", wanted: MaskSet | None = None, connection_id: str = "c1") -> Entrance:
        """Somebody enters and logs in, in a session that is called as the connection."""
        entrance = self.enter(name, wanted)
        self.keeper.began(passage(person(name), connection_id, connection_id), entrance.catalog)
        if self.watching is None:
            self.watching = Deferred.fromCoroutine(self.keeper.watch())
        return entrance

    def passes(self, duration_s: float) -> None:
        """So much time, in steps that no wait of the keeper is shorter than."""
        while duration_s > 0:
            self.clock.advance(min(WATCH_S, duration_s))
            duration_s -= WATCH_S


@dataclass(frozen=True)
class _Installed:
    installed: dict[str, str]


def over(work: Any) -> Any:
    """What comes of work that has nothing to wait for."""
    outcome: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(outcome.append)
    (result,) = outcome
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.install(mask_set())
    yield made
    for connection_id in list(made.keeper._live):
        made.keeper.ended(passage(person("ada"), connection_id))
    made.database.is_up = True
    made.passes(LINGER_S + 10 * WATCH_S)
    assert made.watching is None or made.watching.called
    assert made.clock.getDelayedCalls() == []
    assert made.watching is None or made.database.open == 0


# Entering -----------------------------------------------------------------------------------------------------------


def test_somebody_enters_as_a_login_role_of_their_own(world: World) -> None:
    entrance = world.enter()
    name = entrance.secret.username
    assert name.startswith(f"{mask_set().name}_") and len(name) == 32 and entrance.secret.is_random
    assert entrance.mask_set == mask_set().name and entrance.accepted == ("odd x",)
    assert entrance.catalog.shadow is not None and entrance.catalog.shadow.mask_set == mask_set().name
    assert world.database.roles == {name: Role(IDLE_S, {mask_set().name})}
    (creation,) = [text for text in world.database.asked if text.startswith("CREATE ROLE")]
    assert "NOSUPERUSER NOREPLICATION NOBYPASSRLS NOCREATEDB NOCREATEROLE INHERIT" in creation
    assert f'IN ROLE "{mask_set().name}"' in creation
    assert "PASSWORD 'SCRAM-SHA-256$1:" in creation and entrance.secret.password.reveal() not in creation
    assert """SET "search_path" TO 'public'; ALTER ROLE""" in creation and """SET "work_mem" TO '4MB'""" in creation


def test_the_same_person_gets_the_same_role_and_another_another(world: World) -> None:
    first, again, other = world.enter(), world.enter(), world.enter("bob")
    assert first.secret.username == again.secret.username != other.secret.username
    assert first.secret.password.reveal() == again.secret.password.reveal() != other.secret.password.reveal()
    assert [role.writes for role in world.database.roles.values()] == [1, 1] and world.readings == 1


def test_gateways_with_one_key_agree_and_with_another_do_not(world: World) -> None:
    ours, theirs, foreign = world.enter(), world.gateway(), world.gateway(bytes(32))
    assert world.enter(keeper=theirs).secret.username == ours.secret.username
    assert world.enter(keeper=foreign).secret.username != ours.secret.username
    assert len(world.database.roles) == 2


def test_the_same_person_in_another_mask_set_is_another_role(world: World) -> None:
    card = mask_set(column="card")
    world.install(mask_set(), card)
    assert world.enter().secret.username[15:] != world.enter(wanted=card).secret.username[15:]


def test_a_database_without_masks_lets_nobody_in_and_says_what_to_do(world: World) -> None:
    world.install()
    with pytest.raises(Refused) as why:
        world.enter()
    assert "not installed" in why.value.sentence and "`hoopproxy masks install --target ledger`" in why.value.sentence
    assert world.database.roles == {}


def test_a_database_whose_masks_would_not_hold_says_why_and_not_at_any_length(world: World) -> None:
    world.reasons = tuple(f"Reason {number}." for number in range(9))
    with pytest.raises(Refused) as why:
        world.enter()
    assert "Reason 0. Reason 1. Reason 2. Reason 3. Reason 4. And 4 more." in why.value.sentence
    assert world.database.roles == {}


def test_what_was_read_serves_the_next_until_the_catalog_has_changed(world: World) -> None:
    world.enter()
    world.passes(WATCH_S + 1)
    world.enter()
    assert world.readings == 1
    world.install()
    world.enter()  # read a moment ago
    world.passes(WATCH_S)
    with pytest.raises(Refused, match="not installed"):
        world.enter()
    assert world.readings == 2


def test_another_account_has_its_rights_read_as_well(world: World) -> None:
    writer = mask_set("writer")
    world.install(mask_set(), writer)
    world.enter()
    world.enter(wanted=writer)
    assert world.readings == 2
    assert any("writer" in text and "reader" in text for text in world.database.asked)


def test_an_unreadable_answer_lets_nobody_in(world: World) -> None:
    world.failure = ValueError("3 answers, wanted are 11")
    with pytest.raises(ProtocolViolation):
        world.enter()
    world.failure = None
    world.enter()


def test_what_is_locked_is_read_a_little_later(world: World) -> None:
    """So that no statement of the owner's waits for the gateway, and is ended as a deadlock."""
    world.database.locked = 2
    outcome: list[Any] = []
    entering = world.keeper.enter(person("ada"), mask_set(), world.database.desk)
    Deferred.fromCoroutine(entering).addBoth(outcome.append)
    assert not outcome
    world.clock.pump([LOCK_PAUSE_S] * 2)
    assert isinstance(outcome[0], Entrance)


def test_what_stays_locked_lets_nobody_in(world: World) -> None:
    world.database.locked = LOCK_TRIES_MAX
    outcome: list[Any] = []
    entering = world.keeper.enter(person("ada"), mask_set(), world.database.desk)
    Deferred.fromCoroutine(entering).addBoth(outcome.append)
    world.clock.pump([LOCK_PAUSE_S] * LOCK_TRIES_MAX)
    outcome[0].trap(Blocked)
    assert "process 4711 of the role owner (psql) holds a lock on public.customers" in outcome[0].value.detail


@pytest.mark.parametrize("hangs", [fingerprint.QUESTION, "SET LOCAL lock_timeout", "CREATE ROLE"])
def test_who_gives_up_leaves_neither_a_desk_nor_a_lock_behind(world: World, hangs: str) -> None:
    world.database.hangs = hangs
    entering = Deferred.fromCoroutine(world.keeper.enter(person("ada"), mask_set(), world.database.desk))
    waiting = Deferred.fromCoroutine(world.keeper.enter(person("bob"), mask_set(), world.database.desk))
    assert world.database.open == 1
    world.database.hangs = "never asked"
    entering.cancel()
    failed: list[Any] = []
    entering.addErrback(failed.append)
    assert failed[0].check(CancelledError)
    entrance = over(_of(waiting))  # it had its turn, at a desk of its own
    assert list(world.database.roles) == [entrance.secret.username]
    assert (world.database.opened, world.database.open) == (2, 1)


async def _of(work: Deferred[Any]) -> Any:
    return await work


def test_a_group_that_has_just_gone_is_masks_that_are_not_installed(world: World) -> None:
    world.enter("bob")
    world.install()
    world.database.fails = [SqlFailed("42704", "role does not exist")]
    with pytest.raises(Refused, match="not installed"):
        world.enter()


# Login roles --------------------------------------------------------------------------------------------------------


def test_a_role_that_somebody_dropped_is_made_again(world: World) -> None:
    name = world.live().secret.username
    world.database.roles.clear()
    world.enter()
    assert name in world.database.roles


@pytest.mark.parametrize(
    "spoil",
    [
        {"groups": {"hp_3f9ac01b77de"}},
        {"groups": {mask_set().name, "pg_read_all_data"}},
        {"groups": set()},
        {"has_power": True},
        {"can_login": False},
        {"until_s": 0.0},
    ],
)
def test_a_role_that_somebody_changed_is_mended(world: World, spoil: dict[str, Any]) -> None:
    name = world.live().secret.username
    world.database.roles[name] = replace(world.database.roles[name], **spoil)
    world.enter()
    assert world.database.roles[name] == Role(IDLE_S, {mask_set().name}, writes=2)


def test_a_role_with_which_nobody_could_log_in_gets_its_password_again(world: World) -> None:
    name = world.live().secret.username
    world.enter()  # and no login follows
    world.passes(login_roles.PROVING_S + 1)
    world.enter()
    assert world.database.roles[name].writes == 2
    world.keeper.began(passage(person("ada")), world.enter().catalog)
    world.passes(login_roles.PROVING_S + 1)
    world.enter()
    assert world.database.roles[name].writes == 2


def test_time_moves_ahead_for_a_role_that_is_used(world: World) -> None:
    name = world.live().secret.username
    world.passes(IDLE_S / 2)
    world.enter()
    assert world.database.roles[name].until_s == IDLE_S
    world.passes(WATCH_S)
    world.enter()
    assert world.database.roles[name].until_s == pytest.approx(IDLE_S * 1.5 + WATCH_S, abs=1)


@pytest.mark.parametrize("sqlstate", ["42710", "XX000"])
def test_what_another_gateway_did_in_the_same_moment_is_done(world: World, sqlstate: str) -> None:
    world.database.fails = [SqlFailed(sqlstate, "tuple concurrently updated")]
    name = world.enter().secret.username
    assert name in world.database.roles


def test_what_fails_again_is_not_tried_for_ever(world: World) -> None:
    world.database.fails = [SqlFailed("XX000", "tuple concurrently updated")] * 9
    with pytest.raises(Refused, match="not as the gateway wants it"):
        world.enter()
    assert len(world.database.fails) == 6


def test_roles_whose_time_is_over_go_and_those_in_use_stay(world: World) -> None:
    old, used = f"{mask_set().name}_{'1' * 16}", f"{mask_set().name}_{'0' * 16}"
    world.database.roles = {each: Role(-1.0, {mask_set().name}) for each in (used, old)}
    world.database.used = {used}
    name = world.live().secret.username
    world.passes(WATCH_S)
    assert world.database.roles.keys() == {name, used}
    world.database.used.clear()
    world.passes(login_roles.REAP_S + WATCH_S)
    assert world.database.roles.keys() == {name}


# The watch ----------------------------------------------------------------------------------------------------------


def test_a_harmless_change_ends_no_session(world: World) -> None:
    world.live()
    world.changes()
    world.passes(WATCH_S)
    assert (world.readings, world.ended) == (2, {})


def test_what_breaks_the_guarantee_ends_the_sessions_and_refuses_the_next(world: World) -> None:
    world.live()
    world.reasons = ("The function public.leak runs with its owner's rights, and everybody may call it.",)
    world.changes()
    world.passes(WATCH_S)
    assert world.reasons[0] in world.ended["c1"]
    with pytest.raises(Refused) as why:
        world.enter("bob")
    assert world.reasons[0] in why.value.sentence
    world.reasons = ()
    world.changes()
    world.passes(WATCH_S)
    world.enter("bob")


def test_uninstalling_ends_the_sessions_of_what_is_gone_alone(world: World) -> None:
    card = mask_set(column="card")
    world.install(mask_set(), card)
    world.live()
    world.live("bob", card, "c2")
    world.install(card)
    world.passes(WATCH_S)
    assert world.ended == {"c1": GONE}


def test_installing_anew_ends_the_sessions_of_what_was(world: World) -> None:
    world.live()
    world.install(mask_set(), digest="d2")
    world.passes(WATCH_S)
    assert world.ended == {"c1": ANEW}
    world.enter()


def test_a_login_that_was_overtaken_by_a_new_installation_does_not_begin(world: World) -> None:
    world.live("bob", connection_id="c2")
    entrance = world.enter()
    world.install(mask_set(), digest="d2")
    world.passes(WATCH_S)
    with pytest.raises(Revoked):
        world.keeper.began(passage(person("ada")), entrance.catalog)


def test_a_login_role_with_more_rights_ends_its_sessions(world: World) -> None:
    name = world.live().secret.username
    world.live("bob", connection_id="c2")
    world.database.spoiled = {name}
    world.passes(WATCH_S)
    assert world.ended == {"c1": SPOILED}


def test_nothing_is_asked_when_nobody_is_in(world: World) -> None:
    world.live()
    world.keeper.ended(passage(person("ada")))
    asked = len(world.database.asked)
    world.passes(LINGER_S - WATCH_S)
    assert len(world.database.asked) == asked and world.database.open == 1
    world.passes(2 * WATCH_S)
    assert world.database.open == 0 and world.watching is not None and world.watching.called


# A desk that is lost ------------------------------------------------------------------------------------------------


def test_a_lost_desk_is_opened_again(world: World) -> None:
    world.live()
    world.database.is_up = False
    world.passes(WATCH_S)
    world.database.is_up = True
    world.passes(2 * WATCH_S)
    world.enter("bob")
    assert world.database.opened == 2 and world.ended == {}


def test_who_comes_after_a_restart_notices_nothing(world: World) -> None:
    world.live()
    world.database.restarts += 1
    world.enter("bob")
    assert world.database.opened == 2


def test_nobody_enters_on_what_is_known_to_have_changed(world: World) -> None:
    world.live()
    world.passes(WATCH_S - 1)
    world.keeper._looked_s = world.scheduler.monotonic_s()  # as if somebody had just entered
    world.changes()
    world.failure = ValueError("3 answers, wanted are 11")
    world.clock.advance(1)
    with pytest.raises(ProtocolViolation):
        world.enter("bob")


def test_while_the_database_is_away_nobody_enters(world: World) -> None:
    world.live()
    world.database.is_up = False
    with pytest.raises(UpstreamUnreachable):
        world.enter("bob")
    world.passes(WATCH_S + 1)
    with pytest.raises(UpstreamUnreachable):
        world.enter("bob")


def test_sessions_that_nobody_can_look_after_end(world: World) -> None:
    world.live()
    world.database.is_up = False
    world.passes(11 * WATCH_S)
    assert world.ended == {}
    world.passes(20 * WATCH_S)
    assert world.ended == {"c1": BLIND}


def test_a_mistake_of_ours_ends_all_sessions(world: World) -> None:
    world.live()
    world.failure = AttributeError("a bug")
    world.changes()
    world.passes(WATCH_S)
    assert world.ended == {"c1": BLIND} and world.watching is not None
    failed: list[Any] = []
    world.watching.addErrback(failed.append)
    assert failed and world.database.open == 0
