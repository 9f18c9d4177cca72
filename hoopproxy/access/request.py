"""The life of an access request: which step may follow, who may take it, and what it then is.

A pure machine. Methods that decide answer the steps to be kept and change nothing; `after` is the request once a step
is kept: so each is durable before it has an effect, and a history played again gives the same request. Knows no store,
no clock and no policy: who somebody is and which rule binds is given.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from hoopproxy.access.steps import (
    Approved,
    Approver,
    BrokenGlass,
    Denied,
    Edited,
    Entry,
    Expired,
    GivenUp,
    Lapsed,
    Requested,
    Resumed,
    Reviewed,
    Revoked,
    Spent,
    Step,
    Suspended,
    Used,
    Voted,
    Withdrawn,
)
from hoopproxy.access.terms import Terms


class NotPossible(Exception):
    """A step that may not be taken. Its text is one full sentence for whoever wanted to take it."""


class Phase(Enum):
    """Where a request stands. One that is approved and not begun is scheduled; one without an end is not over."""

    REQUESTED = "requested"
    APPROVED = "approved"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVIEW_DUE = "review due"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    GIVEN_UP = "given up"
    EXPIRED = "expired"
    REVOKED = "revoked"
    REVIEWED_OK = "reviewed, in order"
    REVIEWED_VIOLATION = "reviewed, a violation"

    @property
    def is_terminal(self) -> bool:
        """Nothing can follow."""
        return self not in (Phase.REQUESTED, Phase.REVIEW_DUE) and not self.is_granted

    @property
    def is_granted(self) -> bool:
        """It may be used, or could be if nothing had suspended it."""
        return self in (Phase.APPROVED, Phase.ACTIVE, Phase.SUSPENDED)


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """How many have to agree, and who: different people with one of `roles`, in one of `client_zones`
    (empty: anywhere).

    With `has_veto` a single vote against it denies it.
    """

    roles: frozenset[str]
    votes_min: int
    has_veto: bool = True
    client_zones: frozenset[str] = frozenset()

    def admits(self, approver: Approver, terms: Terms) -> bool:
        """Whether his vote counts."""
        return self.admits_to(approver, terms.requester)

    def admits_to(self, approver: Approver, requester: str) -> bool:
        """The same, for whatever that person wants."""
        return (
            approver.person != requester
            and bool(approver.roles & self.roles)
            and (not self.client_zones or bool(approver.client_zones & self.client_zones))
        )


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A request as its history left it. `count` is the number of its next entry; `rows` and `bytes` were shown."""

    request_id: str
    terms: Terms
    phase: Phase
    count: int
    pending_until_s: float = 0.0
    not_before_s: float = 0.0
    not_after_s: float = 0.0
    review_until_s: float = 0.0
    is_break_glass: bool = False
    votes: tuple[Voted, ...] = ()
    sessions: frozenset[str] = frozenset()
    rows: int = 0
    bytes: int = 0
    why: str = ""

    # Deciding -------------------------------------------------------------------------------------------------------

    def edit(self, person: str, terms: Terms) -> tuple[Step, ...]:
        """Whoever asked may say it otherwise until it is decided.

        @raise NotPossible: it is decided, or it is somebody else's.
        """
        self._demand_pending()
        self._demand_own(person)
        if replace(terms, nonce="") == replace(self.terms, nonce=""):
            return ()
        if terms.requester != self.terms.requester:
            raise NotPossible("Nobody can ask in another person's name.")
        if terms.nonce == self.terms.nonce:
            raise NotPossible("Other terms need a nonce of their own.")
        return (Edited(terms),)

    def vote(self, vote: Voted, rule: ApprovalRule, now_s: float) -> tuple[Step, ...]:
        """One person's vote, and what follows from it.

        @raise NotPossible: it is decided, its time is over, the terms have changed since he read them, it is not for
            him to decide, or he has voted.
        """
        self._demand_pending()
        if now_s >= self.pending_until_s:
            raise NotPossible("The time in which this request could be decided is over; it has to be asked anew.")
        if vote.terms_sha256 != self.terms.digest:
            raise NotPossible("The request was changed since you read it; look at it again, and then vote.")
        if vote.approver.person == self.terms.requester:
            raise NotPossible("Nobody can decide about a request of their own, with whatever account.")
        if not rule.admits(vote.approver, self.terms):
            raise NotPossible("You are not among those who decide about this request.")
        if any(each.approver.person == vote.approver.person for each in self.votes):
            raise NotPossible("You have voted already; each person has one vote.")
        if not vote.is_for:
            return (vote, Denied()) if rule.has_veto else (vote,)
        if not self._is_carried((*self.votes, vote), rule, lambda _: True):
            return (vote,)
        not_before_s = max(now_s, self.terms.not_before_s)
        return vote, Approved(not_before_s, not_before_s + self.terms.duration_s)

    def withdraw(self, person: str) -> tuple[Step, ...]:
        """@raise NotPossible: it is decided, or it is somebody else's."""
        self._demand_pending()
        self._demand_own(person)
        return (Withdrawn(),)

    def use(
        self, session_id: str, rule: ApprovalRule, is_still_admitted: Callable[[Approver], bool], now_s: float
    ) -> tuple[Step, ...]:
        """A session wants to come in by it; () when it is in already.

        `is_still_admitted` says whether somebody who voted would be let vote today: who left his office takes his
        approvals with him.

        @raise NotPossible: it is not granted, not now, or not any more; or for no further session.
        """
        if not self.phase.is_granted:
            raise NotPossible(f"The request for access is {self.phase.value}.")
        if self.phase is Phase.SUSPENDED:
            raise NotPossible(f"Your access is suspended: {self.why}")
        if now_s < self.not_before_s:
            raise NotPossible("Your access has not begun yet.")
        if now_s >= self.not_after_s:
            raise NotPossible("The time of your access is over; ask for it again.")
        if 0 in self.left:
            raise NotPossible("The rows or bytes that your access was for have all been shown; ask for it again.")
        if session_id in self.sessions:
            return ()
        if not self.is_break_glass and not self._is_carried(self.votes, rule, is_still_admitted):
            raise NotPossible("Too few of those who approved your access may still do so; ask for it again.")
        most = 1 if self.terms.statement_sha256 else self.terms.sessions_max
        if most is not None and len(self.sessions) >= most:
            raise NotPossible("Your access was for so many sessions, and they have been; ask for it again.")
        return (Used(session_id),)

    def suspend(self, why: str) -> tuple[Step, ...]:
        """Until further notice; () when nobody has it or it is suspended already."""
        return (Suspended(why),) if self.phase in (Phase.APPROVED, Phase.ACTIVE) else ()

    def resume(self) -> tuple[Step, ...]:
        """() when nothing had suspended it."""
        return (Resumed(),) if self.phase is Phase.SUSPENDED else ()

    def revoke(self, person: str, why: str) -> tuple[Step, ...]:
        """@raise NotPossible: nobody has it."""
        if not self.phase.is_granted:
            raise NotPossible(f"There is nothing to revoke: the request is {self.phase.value}.")
        return (Revoked(person, why),)

    def give_up(self, person: str) -> tuple[Step, ...]:
        """@raise NotPossible: nobody has it, or somebody else."""
        self._demand_own(person)
        if not self.phase.is_granted:
            raise NotPossible(f"There is nothing to give up: the request is {self.phase.value}.")
        return (GivenUp(),)

    def review(self, approver: Approver, rule: ApprovalRule, is_violation: bool, note: str) -> tuple[Step, ...]:
        """What somebody else thinks of what was done behind broken glass.

        @raise NotPossible: there is nothing to review, or it is not for him.
        """
        if self.phase is not Phase.REVIEW_DUE:
            raise NotPossible(f"There is nothing to review: the request is {self.phase.value}.")
        if not rule.admits(approver, self.terms):
            raise NotPossible("You are not among those who review this access.")
        return (Reviewed(approver.person, is_violation, note),)

    def elapse(self, now_s: float) -> tuple[Step, ...]:
        """What time alone has done to it: it never approves anything."""
        if self.phase is Phase.REQUESTED and now_s >= self.pending_until_s:
            return (Lapsed(),)
        if self.phase.is_granted and now_s >= self.not_after_s:
            return (Expired(),)
        return ()

    def spend(self, rows: int, count: int) -> tuple[Step, ...]:
        """So much was shown."""
        return (Spent(rows, count),) if rows or count else ()

    @property
    def left(self) -> tuple[int | None, int | None]:
        """The rows and bytes that it still lets be shown; None: no end to them."""
        rows_max, bytes_max = self.terms.rows_max, self.terms.bytes_max
        return (
            None if rows_max is None else max(0, rows_max - self.rows),
            None if bytes_max is None else max(0, bytes_max - self.bytes),
        )

    def is_overdue(self, now_s: float) -> bool:
        """Whether the one behind broken glass has to wait at the door until somebody has reviewed it."""
        return self.phase is Phase.REVIEW_DUE and now_s >= self.review_until_s

    # What it then is ------------------------------------------------------------------------------------------------

    def after(self, step: Step) -> "AccessRequest":
        """The request once this step is kept.

        @raise ValueError: it can't follow: the history was changed by somebody else than this machine.
        """
        if self.phase not in _MAY_STAND_IN[type(step)]:
            raise ValueError(f"{step.kind} can't happen to a request that is {self.phase.value}")
        then = replace(self, count=self.count + 1)
        match step:
            case Edited(terms):
                return replace(then, terms=terms, votes=())
            case Voted():
                return replace(then, votes=(*self.votes, step))
            case Approved(not_before_s, not_after_s):
                return replace(then, phase=Phase.APPROVED, not_before_s=not_before_s, not_after_s=not_after_s)
            case Used(session_id):
                return replace(then, phase=Phase.ACTIVE, sessions=self.sessions | {session_id})
            case Spent(rows, count):
                return replace(then, rows=self.rows + rows, bytes=self.bytes + count)
            case Suspended(why):
                return replace(then, phase=Phase.SUSPENDED, why=why)
            case Resumed():
                return replace(then, phase=Phase.ACTIVE if self.sessions else Phase.APPROVED, why="")
            case Reviewed(_, is_violation, note):
                return replace(then, phase=Phase.REVIEWED_VIOLATION if is_violation else Phase.REVIEWED_OK, why=note)
            case Revoked() | GivenUp() | Expired() if self.is_break_glass:
                return replace(then, phase=Phase.REVIEW_DUE, why=getattr(step, "why", ""))
            case _:
                return replace(then, phase=_LEADS_TO[type(step)], why=getattr(step, "why", ""))

    def _demand_pending(self) -> None:
        if self.phase is not Phase.REQUESTED:
            raise NotPossible(f"The request is {self.phase.value} and can't be changed any more; make a new one.")

    def _demand_own(self, person: str) -> None:
        if person != self.terms.requester:
            raise NotPossible("Only who made the request can do that.")

    def _is_carried(
        self, votes: tuple[Voted, ...], rule: ApprovalRule, is_still_admitted: Callable[[Approver], bool]
    ) -> bool:
        """Whether enough different people are for these terms."""
        people = {
            vote.approver.person
            for vote in votes
            if vote.is_for and vote.terms_sha256 == self.terms.digest and is_still_admitted(vote.approver)
        }
        return len(people - {self.terms.requester}) >= max(1, rule.votes_min)


_GRANTED = frozenset({Phase.APPROVED, Phase.ACTIVE, Phase.SUSPENDED})
_MAY_STAND_IN: dict[type[Step], frozenset[Phase]] = {
    **dict.fromkeys((Edited, Voted, Approved, Denied, Withdrawn, Lapsed), frozenset({Phase.REQUESTED})),
    **dict.fromkeys((Used, Suspended), frozenset({Phase.APPROVED, Phase.ACTIVE})),
    **dict.fromkeys((Revoked, GivenUp, Expired), _GRANTED),
    Spent: frozenset(Phase),  # what is shown while it ends is said behind its end
    Resumed: frozenset({Phase.SUSPENDED}),
    Reviewed: frozenset({Phase.REVIEW_DUE}),
    Requested: frozenset(),
    BrokenGlass: frozenset(),
}
_LEADS_TO: dict[type[Step], Phase] = {
    Denied: Phase.DENIED,
    Withdrawn: Phase.WITHDRAWN,
    Lapsed: Phase.LAPSED,
    Revoked: Phase.REVOKED,
    GivenUp: Phase.GIVEN_UP,
    Expired: Phase.EXPIRED,
}


def begun(entry: Entry) -> AccessRequest:
    """The request that a first entry begins.

    @raise ValueError: it is no beginning.
    """
    match entry.step:
        case Requested(terms, pending_until_s) if entry.number == 0:
            return AccessRequest(entry.key, terms, Phase.REQUESTED, 1, pending_until_s=pending_until_s)
        case BrokenGlass(terms, not_after_s, review_until_s) if entry.number == 0:
            return AccessRequest(
                entry.key,
                terms,
                Phase.APPROVED,
                1,
                not_before_s=entry.at_s,
                not_after_s=not_after_s,
                review_until_s=review_until_s,
                is_break_glass=True,
            )
        case _:
            raise ValueError(f"{entry.step.kind} (entry {entry.number}) can't begin a request")
