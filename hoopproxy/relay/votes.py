"""Who may decide about a statement that waits, and what their votes come to; each is in the log before it counts.

Nobody decides about a statement of their own, with whatever account. Knows neither a guard nor a socket.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from hoopproxy.access.caller import Caller
from hoopproxy.access.filing import line
from hoopproxy.access.office import Office
from hoopproxy.access.request import ApprovalRule, NotPossible
from hoopproxy.evidence.decisions import StatementVote
from hoopproxy.relay.approvals import Approvals, Request, Vote
from hoopproxy.relay.turns import Turns
from hoopproxy.rooms import IScheduler

UNKNOWN = "No such statement waits for a decision, or it is not for you to decide."


@dataclass
class Votes:
    """Those on all statements of one gateway. `note` keeps an entry in the log."""

    approvals: Approvals
    office: Office
    scheduler: IScheduler
    note: Callable[[StatementVote], Awaitable[Any]]
    _turns: Turns = field(init=False)

    def __post_init__(self) -> None:
        self._turns = Turns(self.scheduler)

    def waiting(self, caller: Caller) -> tuple[Request, ...]:
        """The statements that this person may decide about, the oldest first."""
        return tuple(each for each in self.approvals.waiting() if self._rule(caller, each) is not None)

    def find(self, caller: Caller, approval_id: str) -> Request:
        """One of them. @raise NotPossible"""
        for each in self.approvals.waiting():
            if each.approval_id == approval_id and each.rule is not None and self._person(each) == caller.person:
                raise NotPossible("Nobody can decide about a statement of their own, with whatever account.")
        found = next((each for each in self.waiting(caller) if each.approval_id == approval_id), None)
        if found is None:
            raise NotPossible(UNKNOWN)
        return found

    async def vote(self, caller: Caller, approval_id: str, is_for: bool, digest: str, note: str = "") -> Request:
        """One person's vote for, or against, exactly that statement.

        @raise NotPossible: it waits no more, is not for them to decide, is another one, or they have voted.
        @raise EvidenceUnavailable: nothing has come of it.
        """
        vote = Vote(caller.approver, is_for, line(note, "note"))
        async with self._turns.take():
            request = self.find(caller, approval_id)
            rule = self._rule(caller, request)
            assert rule is not None  # it was found
            if digest != request.digest:
                raise NotPossible("This is not the statement that you read; look at it again, and then vote.")
            if any(each.approver.person == caller.person for each in request.votes):
                raise NotPossible("You have voted already; each person has one vote.")
            is_approved = self._outcome(request, vote, rule)
            await self.note(_entry(caller, request, vote, is_approved))
            if request not in self.approvals.waiting():
                raise NotPossible("The statement waits no more: it was taken back, or its time is over.")
            request.votes = (*request.votes, vote)
            request.is_approved, request.reason = is_approved, vote.note
        return request

    def _rule(self, caller: Caller, request: Request) -> ApprovalRule | None:
        """By what this person decides about it; None: they don't."""
        rule = request.rule
        return rule if rule is not None and rule.admits_to(caller.approver, self._person(request)) else None

    def _person(self, request: Request) -> str:
        return self.office.policy.people.person(request.passage.permit.identity)

    def _outcome(self, request: Request, vote: Vote, rule: ApprovalRule) -> bool | None:
        """What it comes to with this vote: None is nothing yet."""
        if not vote.is_for:
            return False if rule.has_veto else None
        people = {
            each.approver.person
            for each in (*request.votes, vote)
            if each.is_for and self.office.is_still_admitted(each.approver)
        }
        return True if len(people - {self._person(request)}) >= rule.votes_min else None


def _entry(caller: Caller, request: Request, vote: Vote, is_approved: bool | None) -> StatementVote:
    permit, rule = request.passage.permit, request.rule
    identity = caller.identity
    return StatementVote(
        approval_id=request.approval_id,
        session_id=permit.session_id,
        connection_id=permit.arrival.connection_id,
        target=permit.target.name,
        statement=(request.digest,),
        actor=(identity.issuer, identity.subject),
        vote="for" if vote.is_for else "against",
        outcome={None: "", True: "approved", False: "denied"}[is_approved],
        votes_for=sum(each.is_for for each in (*request.votes, vote)),
        votes_min=rule.votes_min if rule else 0,
    )
