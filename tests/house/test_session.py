"""The order of a session, its two tokens, and every way in which it says no. Swap two lines of `run` and see."""

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from hoopproxy.errors import Revoked
from hoopproxy.events import Statement
from hoopproxy.interfaces import IAsksPeople
from hoopproxy.model import (
    Allow,
    Answer,
    Assurance,
    Finding,
    Grant,
    Identity,
    Passage,
    Pending,
    Place,
    Refuse,
    SubjectKind,
    Support,
    Target,
)
from hoopproxy.testing import healthy
from hoopproxy.testing.healthy import AllowsAll, GrantsAll, MemoryLog, MemoryRecorder, SaysGermany
from hoopproxy.testing.house import CANARY, LEDGER, PROTECTED, House, message, query

from .conftest import end_all

LEAVE = message(b"X", b"")


def kinds(house: House) -> list[str]:
    log = house.addons.evidence
    assert isinstance(log, MemoryLog)
    return [json.loads(leaf)["kind"] for leaf in log.leaves]


class Order:
    """Notes what happens in which order, over log and dialer."""

    def __init__(self, house: House) -> None:
        self.happened: list[str] = []
        log, dialer = house.addons.evidence, house.dialer
        append, reach, login = log.append, dialer.reach, dialer.login

        async def appending(leaves: Any) -> int:
            index = await append(leaves)
            self.happened += [f"durable {json.loads(leaf)['kind']}" for leaf in leaves]
            return index

        async def reaching(permit: Any) -> Any:
            self.happened.append("reach")
            return await reach(permit)

        async def logging_in(*arguments: Any) -> Any:
            self.happened.append("log in")
            return await login(*arguments)

        log.append, dialer.reach, dialer.login = appending, reaching, logging_in  # type: ignore[method-assign] # a spy


def test_nothing_is_reached_before_its_permit_is_durable_and_no_secret_shown_before_its_passage_is() -> None:
    house = House()
    order = Order(house)
    visit = house.connect(query("SELECT 1"), LEAVE)
    house.advance(visit)
    assert order.happened == ["durable permitted", "reach", "durable confirmed", "log in", "durable ended"]


def test_a_statement_is_durable_before_it_reaches_the_target() -> None:
    house = House()
    recorder = house.addons.recorder
    assert isinstance(recorder, MemoryRecorder)
    visit = house.connect()
    reached_at_settle: list[int] = []
    (recording,) = recorder.recordings
    settle = recording.settle

    async def settling() -> None:
        reached_at_settle.append(len(house.dialer.peers[0].sent))
        await settle()

    recording.settle = settling  # type: ignore[method-assign] # a spy
    visit.frontend.give(query("SELECT 1"))
    assert reached_at_settle == [0]
    assert b"SELECT 1" in house.dialer.peers[0].sent
    visit.frontend.give(LEAVE)
    assert visit.over


def test_unknown_and_forbidden_targets_are_refused_alike() -> None:
    house = House()
    unknown = house.connect(target="nowhere")

    class GrantsNone(GrantsAll):
        async def grants(self, *arguments: Any) -> tuple[Grant, ...] | Pending:
            return ()

    house.addons.grants = [GrantsNone()]
    closed = House(house.addons)
    forbidden = closed.connect()
    (one,), (other,) = unknown.frontend.refusals, forbidden.frontend.refusals
    assert one.sentence.replace("nowhere", "ledger") == other.sentence
    assert not house.dialer.permits and not closed.dialer.permits
    assert kinds(house) == ["denied", "denied"]


def test_a_grant_for_one_account_opens_no_other() -> None:
    class GrantsReader(GrantsAll):
        async def grants(self, *arguments: Any) -> tuple[Grant, ...] | Pending:
            answer = await super().grants(*arguments)
            assert not isinstance(answer, Pending)
            return tuple(replace(grant, accounts=frozenset({"reader"})) for grant in answer)

    target = replace(LEDGER, accounts={"reader": "ledger-reader", "writer": "ledger-writer"})
    house = House(healthy.addons(target, PROTECTED))
    house.addons.grants = [GrantsReader()]
    house = House(house.addons)
    assert house.connect().frontend.welcomed
    (why,) = house.connect(account="writer").frontend.refusals
    assert "as account 'writer'" in why.sentence


class Says(SaysGermany):
    """Places the four as told; other places are in Germany."""

    def __init__(self, **countries: str | None) -> None:
        self._countries = countries

    async def examine(self, place: Place) -> Finding:
        country = self._countries.get(str(place.address), self._countries.get(place.kind.value, "DE"))
        if country is None:
            return Finding("test", Support.INCONCLUSIVE, None, Assurance.NONE, "test")
        return Finding("test", Support.COUNTRY, country, Assurance.DECLARED, "test")


@pytest.mark.parametrize("kind", [kind.value for kind in SubjectKind])
@pytest.mark.parametrize("country", ["US", None])
def test_each_of_the_four_places_must_lie_in_its_zone_and_unknown_means_no(kind: str, country: str | None) -> None:
    house = House()
    house.addons.residency = [Says(**{kind: country})]
    house = House(house.addons)
    visit = house.connect()
    (why,) = visit.frontend.refusals
    assert getattr(why, "reason", "") == "residency"
    assert "203.0.113.7" not in why.sentence
    assert not house.dialer.permits
    assert kinds(house) == ["denied"]


def test_a_name_with_one_address_outside_is_refused_whole() -> None:
    house = House()
    house.addons.residency = [Says(**{"198.18.0.1": "US"})]
    house = House(house.addons)
    house.resolver.hosts["db.example"] = (ip_address("203.0.113.7"), ip_address("198.18.0.1"))
    visit = house.connect()
    (why,) = visit.frontend.refusals
    assert "MIXED_ADDRESSES" in why.detail
    assert not house.dialer.permits


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "127.0.0.1", "0.0.0.0"])
def test_addresses_that_no_gateway_may_dial_are_refused_whatever_checks_say(address: str) -> None:
    house = House()
    house.resolver.hosts["db.example"] = (ip_address(address),)
    visit = house.connect()
    assert "FORBIDDEN_ADDRESS" in visit.frontend.refusals[0].detail
    assert not house.dialer.permits


def test_a_verdict_that_fails_for_the_peer_that_answered_costs_no_secret() -> None:
    class Moves(SaysGermany):
        async def examine(self, place: Place) -> Finding:
            country = "US" if place.measured is not None else "DE"
            return Finding("test", Support.COUNTRY, country, Assurance.DECLARED, "test")

    house = House()
    house.addons.residency = [Moves()]
    house = House(house.addons)
    visit = house.connect()
    assert len(house.dialer.permits) == 1
    assert not house.dialer.logins
    assert kinds(house) == ["permitted", "denied"]
    assert visit.frontend.refusals


def test_connections_of_one_person_are_one_session_and_end_together() -> None:
    house = House()
    visits = [house.connect() for _ in range(3)]
    (lease,) = house.leases.live()
    assert len(lease.held) == 3
    assert house.leases.end(lease.session_id, Revoked("An operator ended your session."))
    assert all(visit.over for visit in visits)
    for visit in visits:
        assert [why.sentence for why in visit.frontend.refusals] == ["An operator ended your session."]
    assert all(peer.closed and not peer.interrupted for peer in house.dialer.peers)  # nothing was to be stopped
    assert not house.leases.live()
    other = house.connect(client="198.51.100.10")
    assert house.leases.live()[0].session_id != lease.session_id
    assert not other.over


def test_connections_that_come_at_once_are_one_session_and_none_escapes_its_end() -> None:
    house = House()
    gate: Deferred[None] = Deferred()
    reach = house.dialer.reach

    async def slowly(permit: Any) -> Any:
        reached = await reach(permit)
        waiting: Deferred[None] = Deferred()
        gate.addCallback(lambda _: waiting.callback(None))
        await waiting
        return reached

    house.dialer.reach = slowly  # type: ignore[method-assign] # a target that takes its time
    visits = [house.connect() for _ in range(3)]
    assert not house.leases.live()
    gate.callback(None)
    (lease,) = house.leases.live()
    assert len(lease.held) == 3
    house.leases.end(lease.session_id, Revoked("An operator ended your session."))
    assert all(visit.over and visit.frontend.refusals for visit in visits)
    late = house.connect()
    assert house.leases.live()[0].session_id != lease.session_id
    assert not late.over


def test_a_connection_on_its_way_in_does_not_revive_a_session_that_was_ended() -> None:
    house = House()
    first = house.connect()
    gate: Deferred[None] = Deferred()
    reach = house.dialer.reach

    async def slowly(permit: Any) -> Any:
        await gate
        return await reach(permit)

    house.dialer.reach = slowly  # type: ignore[method-assign] # a target that takes its time
    second = house.connect()
    (lease,) = house.leases.live()
    house.leases.end(lease.session_id, Revoked("An operator ended your session."))
    gate.callback(None)
    assert first.over and second.over
    assert [why.sentence for why in second.frontend.refusals] == ["An operator ended your session."]
    assert not house.leases.live()
    assert len(house.dialer.logins) == 1


def test_a_session_ends_when_its_grant_does() -> None:
    class Short(GrantsAll):
        async def grants(
            self, identity: Identity, roles: frozenset[str], target: Target, at_s: float
        ) -> tuple[Grant, ...] | Pending:
            accounts = frozenset(target.accounts)
            return (Grant("g", roles, target.name, accounts, "EU", ("EU",), {}, at_s + 60),)

    house = House()
    house.addons.grants = [Short()]
    house = House(house.addons)
    visit = house.connect(query("SELECT 1"))
    house.clock.advance(59)
    assert not visit.over
    house.clock.advance(2)
    assert visit.over
    assert "expired" in visit.frontend.refusals[0].sentence


def test_an_idle_session_is_closed_and_a_busy_one_is_not() -> None:
    house = House().with_limits(idle_s_max=30.0)
    visit = house.connect()
    for _ in range(5):
        house.clock.advance(20)
        visit.frontend.give(query("SELECT 1"))
    assert not visit.over
    house.clock.advance(31)
    assert visit.over
    assert "limits.idle_s_max" in str(getattr(visit.frontend.refusals[0], "limit", ""))


def test_a_refused_statement_leaves_the_session_open() -> None:
    class NoDrop(AllowsAll):
        async def examine(self, passage: Passage, statement: Statement) -> Answer:
            return (
                Refuse("DROP is not allowed here.")
                if "DROP" in statement.text
                else await super().examine(passage, statement)
            )

    house = House()
    house.addons.guards = [NoDrop()]
    house = House(house.addons)
    visit = house.connect(query("DROP TABLE customers"), query("SELECT 1"), LEAVE)
    assert visit.over and not visit.frontend.refusals
    assert b"DROP is not allowed here." in visit.seen
    assert visit.seen.index(b"DROP is not") < visit.seen.index(b"SELECT 1")
    assert b"DROP" not in house.dialer.peers[0].sent
    assert CANARY not in visit.seen


def test_waiting_for_a_person_is_told_once_and_ends_at_its_limit() -> None:
    class Asks(GrantsAll):
        answer: Any = Pending("Ask for access at https://example/r/1.", 1e12)

        async def grants(self, *arguments: Any) -> tuple[Grant, ...] | Pending:
            return self.answer if self.answer is not None else await super().grants(*arguments)

    house = House()
    source = Asks()
    house.addons.grants = [source]
    house = House(house.addons)
    visit = house.connect()
    house.clock.pump([1.0] * 30)
    assert visit.frontend.told == ["Ask for access at https://example/r/1."]
    assert not visit.over
    source.answer = None
    house.clock.advance(1.0)
    assert visit.frontend.welcomed
    source.answer = Pending("Ask again.", 1e12)
    late = house.connect(client="198.51.100.77")
    house.advance(late, 1000)
    assert "in time" in late.frontend.refusals[0].sentence


def test_a_statement_that_waits_for_a_person_is_told_once_and_ends_refused_at_its_limit() -> None:
    class Asks(AllowsAll):
        answer: Answer = Pending("Ask for it at https://example/s/1.", 1e12)

        async def examine(self, passage: Passage, statement: Statement) -> Answer:
            return self.answer

    house = House()
    guard = Asks()
    house.addons.guards = [guard]
    house = House(house.addons)
    visit = house.connect(query("SELECT 1"))
    house.clock.pump([1.0] * 30)
    assert visit.frontend.told == ["Ask for it at https://example/s/1."]
    assert b"SELECT 1" not in house.dialer.peers[0].sent
    guard.answer = Allow()
    house.clock.advance(1.0)
    assert b"SELECT 1" in house.dialer.peers[0].sent
    guard.answer = Pending("Ask again.", 1e12)
    visit.frontend.give(query("SELECT 2"))
    house.clock.pump([1.0] * int(house.limits.approval_s_max + 1))
    assert b"Nobody approved this statement in time" in visit.seen
    assert b"SELECT 2" not in house.dialer.peers[0].sent
    assert not visit.over


@pytest.mark.parametrize("leaves", ["ended", "gone", "late"])
def test_an_approval_that_nobody_waits_for_any_more_is_gone_at_once(leaves: str) -> None:
    @implementer(IAsksPeople)
    class Asks(AllowsAll):
        approvals: Any = None

        async def examine(self, passage: Passage, statement: Statement) -> Answer:
            answer: Answer = self.approvals.answer(passage, statement, "It needs an approval.")
            return answer

    house = House()
    house.addons.guards = [Asks()]
    house = House(house.addons)
    visit = house.connect(query("SELECT 1"))
    assert len(house.gateway.approvals.waiting()) == 1
    if leaves == "ended":
        end_all(house.leases)
    elif leaves == "gone":
        house.dialer.peers[0].give(b"")
    else:
        house.clock.pump([1.0] * int(house.limits.approval_s_max + 1))
    assert house.gateway.approvals.waiting() == () and visit.over == (leaves != "late")


def test_the_log_holds_no_name_no_address_and_no_statement() -> None:
    house = House()
    visit = house.connect(query("SELECT 'secret literal'"), LEAVE)
    assert visit.over
    log = house.addons.evidence
    assert isinstance(log, MemoryLog)
    text = b"\n".join(log.leaves)
    for personal in (b"ada", b"Ada", b"198.51.100.9", b"secret literal", b"hunter2", b"token"):
        assert personal not in text, personal


def test_who_is_cut_off_by_a_stop_has_an_end_in_the_log_and_did_not_crash() -> None:
    house = House()
    live = house.connect(query("SELECT 1"))
    live.done.cancel()
    assert live.over and kinds(house)[-1] == "ended"
    log = house.addons.evidence
    assert isinstance(log, MemoryLog) and json.loads(log.leaves[-1])["reason"] == "cut off"


def test_who_is_cut_off_on_the_way_in_is_denied() -> None:
    class Slow(GrantsAll):
        async def grants(self, *_: Any) -> Any:
            await Deferred()

    house = House()
    house.addons.grants = [Slow()]
    house = House(house.addons)
    coming = house.connect()
    coming.done.cancel()
    assert coming.over and kinds(house) == ["denied"]
