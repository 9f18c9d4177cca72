"""How a quota is counted: over connections, gateways, failures of the journal, and grants that no journal knows."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hoopproxy.access.caller import Caller
from hoopproxy.access.office import Office
from hoopproxy.access.policy import Policy, Role
from hoopproxy.access.request import ApprovalRule
from hoopproxy.access.request_rule import RequestRule
from hoopproxy.access.wish import Wish
from hoopproxy.errors import LimitReached
from hoopproxy.evidence.decisions import AccessStep
from hoopproxy.model import Grant, Identity, Target
from hoopproxy.relay.quota import SPEND_S, Quota, Quotas
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.healthy import GrantsAll
from hoopproxy.testing.house import LEDGER, House, message, query
from hoopproxy.testing.memory_journal import MemoryJournal
from tests.masking.test_masking_addons import answered

RULE = RequestRule(
    name="help-out",
    roles=frozenset({"intern"}),
    targets=frozenset({LEDGER.name}),
    accounts=frozenset(LEDGER.accounts),
    zone="EU",
    client_zones=("EU",),
    assurance_min={},
    duration_s_max=3600.0,
    pending_s_max=3600.0,
    approval=ApprovalRule(frozenset({"lead"}), 1),
)
POLICY = Policy("r", (Role("intern", frozenset()), Role("lead", frozenset())), (), (), requests=(RULE,))


def person(name: str, role: str) -> Caller:
    identity = Identity("https://id", name, name, frozenset(), 1e12, "test")
    return Caller(identity, POLICY.people.person(identity), frozenset({role}), frozenset({"EU"}))


IVO, LENA = person("ivo", "intern"), person("lena", "lead")


class Gateway:
    """One that shares a journal with others."""

    def __init__(self, name: str, journal: MemoryJournal, clock: Clock) -> None:
        self.noted: list[AccessStep] = []
        self.told: list[str] = []
        ids = iter(f"{name}-{number}" for number in range(100))
        scheduler = TwistedScheduler(clock)
        self.office = Office(journal, POLICY, {LEDGER.name: LEDGER}, scheduler, name, ids.__next__, self._note)
        self.quotas = Quotas(self.office, scheduler, lambda event, **_: self.told.append(event))
        self.office.changed = self.quotas.changed
        self.running = Deferred.fromCoroutine(self.quotas.run())

    async def _note(self, step: AccessStep) -> None:
        self.noted.append(step)

    def granted(self, **most: int) -> str:
        """The id of what ivo was given."""
        wish = Wish(target_name=LEDGER.name, duration_s=3600.0, reason="x", **most)  # type: ignore[arg-type] # fields by name
        request = answered(self.office.ask(IVO, wish))
        answered(self.office.vote(LENA, request.request_id, True, request.terms.digest))
        answered(self.office.use(request.request_id, "s1", IVO.person, LEDGER))
        return str(request.request_id)

    def grant(self, request_id: str) -> Grant:
        """As the grant source has it."""
        answered(self.office.catch_up())
        return RULE.grant(self.office.register.requests[request_id])

    def enter(self, request_id: str) -> Quota:
        quota = self.quotas.enter(self.grant(request_id))
        assert quota is not None
        return quota

    def leave(self, request_id: str) -> None:
        answered(self.quotas.leave(self.grant(request_id)))

    def rows(self, request_id: str) -> int:
        answered(self.office.catch_up())
        return self.office.register.requests[request_id].rows


class Pair:
    """Two gateways."""

    def __init__(self) -> None:
        self.clock, self.journal = Clock(), MemoryJournal()
        self.first, self.second = (Gateway(name, self.journal, self.clock) for name in ("g1", "g2"))

    def close(self) -> None:
        for gateway in (self.first, self.second):
            gateway.running.addErrback(lambda _: None)
            gateway.running.cancel()


def test_connections_of_one_grant_have_one_count() -> None:
    pair = Pair()
    request_id = pair.first.granted(rows_max=10)
    one, other = pair.first.enter(request_id), pair.first.enter(request_id)
    assert one is other
    one.take(7)
    assert other.rows_left == 3 and not other.sentence
    other.take(3)
    assert one.rows_left == 0 and "have all been shown" in one.sentence
    pair.close()


def test_the_journal_is_told_every_few_seconds_and_others_know() -> None:
    pair = Pair()
    request_id = pair.first.granted(rows_max=10)
    one, other = pair.first.enter(request_id), pair.second.enter(request_id)
    one.take(4)
    other.take(2)
    pair.clock.advance(SPEND_S)
    assert pair.first.rows(request_id) == pair.second.rows(request_id) == 6
    assert one.rows_left == other.rows_left == 4
    assert [each.step for each in pair.first.noted][-1] == "spent"
    pair.clock.advance(SPEND_S)
    assert pair.first.rows(request_id) == 6  # nothing new
    pair.close()


def test_who_leaves_has_it_told_at_once_and_who_comes_next_is_given_what_is_left() -> None:
    pair = Pair()
    request_id = pair.first.granted(rows_max=10, bytes_max=100)
    quota = pair.first.enter(request_id)
    quota.take(4)
    quota.show(60)
    pair.first.leave(request_id)
    assert pair.first.rows(request_id) == 4
    grant = pair.second.grant(request_id)
    assert (grant.rows_max, grant.bytes_max) == (6, 40)
    again = pair.second.enter(request_id)
    with pytest.raises(LimitReached, match="have all been shown"):
        again.show(41)
    again.show(40)
    pair.close()


def test_what_the_journal_could_not_be_told_is_not_forgotten() -> None:
    pair = Pair()
    request_id = pair.first.granted(rows_max=10)
    quota, grant = pair.first.enter(request_id), pair.first.grant(request_id)
    quota.take(4)
    pair.journal.is_away = True
    answered(pair.first.quotas.leave(grant))
    assert pair.first.told == ["unspent"]
    pair.journal.is_away = False
    assert pair.first.enter(request_id) is quota and quota.rows_left == 6
    pair.first.leave(request_id)
    assert pair.first.rows(request_id) == 4
    assert pair.first.enter(request_id) is not quota
    pair.close()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(("take", "look", "swap")), st.booleans(), st.integers(0, 5)), max_size=20))
def test_no_history_of_two_gateways_shows_more_than_is_left_and_what_was_in_flight(
    moves: list[tuple[str, bool, int]],
) -> None:
    pair = Pair()
    request_id = pair.first.granted(rows_max=20)
    quotas = {True: pair.first.enter(request_id), False: pair.second.enter(request_id)}
    shown, untold = 0, {True: 0, False: 0}
    for move, is_first, count in moves:
        gateway = pair.first if is_first else pair.second
        if move == "take":
            taken = min(count, quotas[is_first].rows_left)
            quotas[is_first].take(taken)
            shown += taken
            untold[is_first] += taken
        elif move == "look":
            pair.clock.advance(SPEND_S)
            untold = {True: 0, False: 0}
        else:
            gateway.leave(request_id)
            untold[is_first] = 0
            quotas[is_first] = gateway.enter(request_id)
        answered(pair.first.office.catch_up())
        answered(pair.second.office.catch_up())
        assert pair.first.rows(request_id) + sum(untold.values()) == shown
        for mine, quota in quotas.items():
            assert quota.rows_left == max(0, 20 - shown + untold[not mine])
    pair.close()


class GrantsTwoRows(GrantsAll):
    """A grant source of somebody else's, of which no journal knows."""

    async def grants(self, identity: Identity, roles: frozenset[str], target: Target, at_s: float) -> tuple[Grant, ...]:
        found = await super().grants(identity, roles, target, at_s)
        assert isinstance(found, tuple)
        return tuple(replace(each, rows_max=2) for each in found)


def test_a_grant_of_a_plugin_is_counted_as_long_as_somebody_is_in() -> None:
    house = House()
    house.addons.grants = [GrantsTwoRows()]
    house = House(house.addons)
    visit = house.connect(query("SELECT 1"), query("SELECT 2"), query("SELECT 3"), query("ROLLBACK"))
    assert visit.seen.count(message(b"C", b"SELECT 1\0")) == 2
    assert visit.seen.count(b"have all been shown; ask for it again.") == 2
    assert b"SELECT 3" not in house.dialer.peers[0].sent
    assert b"ROLLBACK" in house.dialer.peers[0].sent  # which the scripted target answers with a row, as anything
    assert not visit.over
