"""Votes on statements: each is in the log before it counts, and what happens meanwhile is not lost."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hoopproxy.access.caller import Caller
from hoopproxy.access.office import Office
from hoopproxy.access.people import People
from hoopproxy.access.policy import Policy
from hoopproxy.access.request import ApprovalRule, NotPossible
from hoopproxy.access.steps import Disabled
from hoopproxy.errors import EvidenceUnavailable
from hoopproxy.events import Action, Statement
from hoopproxy.evidence.decisions import StatementVote
from hoopproxy.model import Allow, Answer, Identity, Pending, Refuse
from hoopproxy.relay.approvals import Approvals
from hoopproxy.relay.votes import Votes
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.memory_journal import MemoryJournal
from tests.masking.test_masking_addons import answered, passage

HERE = passage("analyst")
OWN = HERE.permit.identity
STATEMENT = Statement(1, Action.QUERY, "DELETE FROM notes", "DELETE FROM notes")
POLICY = Policy("r", (), (), (), people=People([frozenset({(OWN.issuer, OWN.subject), ("https://id", "second-self")})]))


def person(name: str, *roles: str) -> Caller:
    identity = Identity("https://id", name, name, frozenset(), 1e12, "test")
    return Caller(identity, POLICY.people.person(identity), frozenset(roles), frozenset({"EU"}), is_administrator=True)


LENA, LARS = person("lena", "lead"), person("lars", "lead")


class Hall:
    """Where votes are cast on one statement that waits. The log takes an entry when `goes_on` is called."""

    def __init__(self, votes_min: int = 1, *, has_veto: bool = True, zones: frozenset[str] = frozenset()) -> None:
        self.clock, self.limits = Clock(), Limits()
        scheduler = TwistedScheduler(self.clock)
        self.rule = ApprovalRule(frozenset({"lead"}), votes_min, has_veto, zones)
        self.approvals = Approvals(scheduler, self.limits, iter("abcdefgh").__next__)
        self.office = Office(MemoryJournal(), POLICY, {}, scheduler, "g1", iter("12345").__next__, self._noted)
        self.log: list[StatementVote] = []
        self.waits: list[Deferred[None]] = []
        self.is_slow = False
        self.votes = Votes(self.approvals, self.office, scheduler, self._note)
        self.said()

    async def _noted(self, _: Any) -> None:
        """What the office notes."""

    async def _note(self, vote: StatementVote) -> None:
        if self.is_slow:
            self.waits.append(Deferred())
            await self.waits[-1]
        self.log.append(vote)

    def said(self) -> Answer:
        """What the guard is told when it asks again."""
        return self.approvals.answer(HERE, STATEMENT, "It needs one.", self.rule)

    def vote(self, who: Caller, is_for: bool = True) -> Coroutine[Any, Any, Any]:
        (waiting,) = self.approvals.waiting()
        return self.votes.vote(who, waiting.approval_id, is_for, waiting.digest, "So it is.")


def test_a_vote_counts_when_the_log_has_it() -> None:
    hall = Hall()
    hall.is_slow = True
    voting = Deferred.fromCoroutine(hall.vote(LENA))
    assert isinstance(hall.said(), Pending)
    hall.waits[0].callback(None)
    assert voting.called
    (entry,) = hall.log
    assert (entry.vote, entry.outcome, entry.votes_for, entry.votes_min) == ("for", "approved", 1, 1)
    assert hall.said() == Allow()
    assert isinstance(hall.said(), Pending)  # it runs once


def test_a_vote_that_the_log_does_not_take_counts_for_nothing() -> None:
    hall = Hall()
    hall.is_slow = True
    voting = Deferred.fromCoroutine(hall.vote(LENA))
    hall.waits[0].errback(Failure(EvidenceUnavailable("The log is full.")))
    voting.addErrback(lambda why: why.trap(EvidenceUnavailable))
    assert isinstance(hall.said(), Pending)
    hall.is_slow = False
    answered(hall.vote(LENA))
    assert hall.said() == Allow()


def test_two_who_vote_at_once_are_two() -> None:
    hall = Hall(votes_min=2)
    hall.is_slow = True
    both = [Deferred.fromCoroutine(hall.vote(each)) for each in (LENA, LARS)]
    assert len(hall.waits) == 1
    hall.waits[0].callback(None)
    hall.waits[1].callback(None)
    assert all(each.called for each in both)
    assert [each.outcome for each in hall.log] == ["", "approved"]
    assert hall.said() == Allow()


def test_what_was_taken_back_while_the_log_wrote_is_not_approved() -> None:
    hall = Hall()
    hall.is_slow = True
    voting = Deferred.fromCoroutine(hall.vote(LENA))
    hall.approvals.drop(HERE, STATEMENT)
    failed: list[Any] = []
    voting.addErrback(failed.append)
    hall.waits[0].callback(None)
    assert failed and "waits no more" in str(failed[0].value)
    assert isinstance(hall.said(), Pending)  # another one, of which nobody has decided


@pytest.mark.parametrize("who", [person("second-self", "lead"), person("ivo", "intern"), person("root")])
def test_nobody_votes_who_may_not(who: Caller) -> None:
    hall = Hall()
    with pytest.raises(NotPossible):
        hall.vote(who).send(None)
    assert hall.votes.waiting(who) == () and hall.log == []


def test_a_vote_comes_from_where_it_may() -> None:
    hall = Hall(zones=frozenset({"EU"}))
    with pytest.raises(NotPossible):
        hall.vote(replace(LENA, client_zones=frozenset({"US"}))).send(None)
    answered(hall.vote(LENA))


def test_one_against_denies_with_a_veto_and_without_one_does_not() -> None:
    hall = Hall()
    answered(hall.vote(LENA, is_for=False))
    denied = hall.said()
    assert isinstance(denied, Refuse) and denied.sentence == "Somebody who may denied this statement: So it is."
    hall = Hall(has_veto=False)
    answered(hall.vote(LENA, is_for=False))
    assert isinstance(hall.said(), Pending)
    answered(hall.vote(LARS))
    assert hall.said() == Allow()
    assert [each.votes_for for each in hall.log] == [0, 1]


def test_a_voter_whose_account_is_disabled_takes_the_vote_along() -> None:
    hall = Hall(votes_min=2)
    answered(hall.vote(LENA))
    answered(hall.office.account_step(LENA.account, Disabled("an operator", "gone")))
    answered(hall.vote(LARS))
    assert isinstance(hall.said(), Pending)
    answered(hall.vote(person("lise", "lead")))
    assert hall.said() == Allow()


def test_time_approves_nothing() -> None:
    hall = Hall()
    (waiting,) = hall.approvals.waiting()
    for _ in range(3):
        hall.clock.advance(hall.limits.approval_s_max)
        assert isinstance(hall.said(), Pending)
        assert waiting not in hall.approvals.waiting()
