"""Random histories of access requests: whatever people, time and accidents do, what must never happen does not."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hoopproxy.access.request import AccessRequest, ApprovalRule, NotPossible, Phase, begun
from hoopproxy.access.steps import Approved, Approver, BrokenGlass, Entry, Requested, Step, Used, Voted
from hoopproxy.access.terms import Terms

PEOPLE = ("ada", "bob", "cyd", "dan")
ROLES = (frozenset({"lead"}), frozenset({"lead", "admin"}), frozenset({"analyst"}), frozenset[str]())
ZONES = (frozenset({"EU"}), frozenset({"US"}))
APPROVERS = st.builds(Approver, st.sampled_from(PEOPLE), st.sampled_from(ROLES), st.sampled_from(ZONES))
SECONDS = st.sampled_from([0.0, 1.0, 59.0, 60.0, 3600.0])


def terms(nonce: str, duration_s: float = 3600.0, **more: object) -> Terms:
    return replace(
        Terms(
            requester="ada",
            rule="on-call",
            target_name="ledger",
            target_pin="",
            accounts=frozenset({"reader"}),
            zone="EU",
            client_zones=("EU",),
            reveals=frozenset(),
            reason="It burns.",
            ticket="OPS-1",
            duration_s=duration_s,
            policy_revision="0" * 64,
            nonce=nonce,
        ),
        **more,  # type: ignore[arg-type] # fields of Terms by name
    )


class Histories(RuleBasedStateMachine):
    """One request, four people, a clock that only goes on, and the votes as a strict clerk would count them."""

    @initialize(
        votes_min=st.integers(0, 3),
        has_veto=st.booleans(),
        zones=st.sampled_from([frozenset[str](), frozenset({"EU"})]),
        is_broken=st.booleans(),
        sessions_max=st.sampled_from([None, 0, 1, 2]),
        once=st.booleans(),
        later_s=st.sampled_from([0.0, 1.0, 5000.0]),
    )
    def begin(
        self,
        votes_min: int,
        has_veto: bool,
        zones: frozenset[str],
        is_broken: bool,
        sessions_max: int | None,
        once: bool,
        later_s: float,
    ) -> None:
        self.now_s = 1_000_000.0
        self.rule = ApprovalRule(frozenset({"lead", "admin"}), votes_min, has_veto, zones)
        self.nonces = 0
        self.asked = terms(
            "0",
            sessions_max=sessions_max,
            statement_sha256="f" * 64 if once else "",
            not_before_s=self.now_s + later_s if later_s else 0.0,
        )
        first: Step = (
            BrokenGlass(self.asked, self.now_s + 600, self.now_s + 6000)
            if is_broken
            else Requested(self.asked, self.now_s + 3600)
        )
        self.entries = [Entry("r1", 0, self.now_s, first)]
        self.request = begun(self.entries[0])
        self.admitted = set(PEOPLE)
        self.ends: set[float] = {self.request.not_after_s} if is_broken else set()

    def take(self, decide: Callable[[], tuple[Step, ...]]) -> bool:
        """Whether it was possible; the steps are kept then, one after the other."""
        before = self.request
        try:
            steps = decide()
        except NotPossible:
            assert self.request == before
            return False
        for step in steps:
            assert not self.request.phase.is_terminal
            self.entries.append(Entry("r1", self.request.count, self.now_s, step))
            self.request = self.request.after(step)
            if isinstance(step, Approved):
                self.ends.add(step.not_after_s)
        return True

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(approver=APPROVERS, is_for=st.booleans(), is_stale=st.booleans())
    def vote(self, approver: Approver, is_for: bool, is_stale: bool) -> None:
        voted = {each.approver.person for each in self.request.votes}
        phase, digest = self.request.phase, "0" * 64 if is_stale else self.request.terms.digest
        vote = Voted(approver, is_for, digest)
        if self.take(lambda: self.request.vote(vote, self.rule, self.now_s)):
            assert phase is Phase.REQUESTED and not is_stale and self.now_s < self.request.pending_until_s
            assert approver.person != "ada" and approver.person not in voted
            assert approver.roles & self.rule.roles
            assert not self.rule.client_zones or approver.client_zones & self.rule.client_zones
            if not is_for and self.rule.has_veto:
                assert self.request.phase is Phase.DENIED

    @rule(person=st.sampled_from(PEOPLE), duration_s=st.sampled_from([60.0, 3600.0, 86400.0]))
    def edit(self, person: str, duration_s: float) -> None:
        self.nonces += 1
        changed = replace(self.request.terms, nonce=str(self.nonces), duration_s=duration_s)
        is_same = duration_s == self.request.terms.duration_s
        votes = self.request.votes
        if self.take(lambda: self.request.edit(person, changed)):
            assert person == "ada" and self.request.phase is Phase.REQUESTED
            assert self.request.votes == (votes if is_same else ())

    @rule(person=st.sampled_from(PEOPLE))
    def withdraw(self, person: str) -> None:
        if self.take(lambda: self.request.withdraw(person)):
            assert person == "ada" and self.request.phase is Phase.WITHDRAWN

    @rule(session=st.sampled_from(["s1", "s2", "s3"]))
    def use(self, session: str) -> None:
        was_in = session in self.request.sessions
        if self.take(lambda: self.request.use(session, self.rule, lambda who: who.person in self.admitted, self.now_s)):
            assert self.request.phase is Phase.ACTIVE
            assert self.request.not_before_s <= self.now_s < self.request.not_after_s
            if not self.request.is_break_glass and not was_in:
                people = {each.approver.person for each in self.request.votes if each.is_for} & self.admitted
                assert len(people - {"ada"}) >= max(1, self.rule.votes_min)
            if self.request.terms.sessions_max is not None and not self.request.terms.statement_sha256:
                assert len(self.request.sessions) <= self.request.terms.sessions_max
            if self.request.terms.statement_sha256:
                assert len(self.request.sessions) == 1

    @rule(person=st.sampled_from(PEOPLE), is_admitted=st.booleans())
    def change_office(self, person: str, is_admitted: bool) -> None:
        (self.admitted.add if is_admitted else self.admitted.discard)(person)

    @rule()
    def suspend(self) -> None:
        self.take(lambda: self.request.suspend("The zone list is stale."))

    @rule()
    def resume(self) -> None:
        self.take(self.request.resume)

    @rule(person=st.sampled_from(PEOPLE))
    def revoke(self, person: str) -> None:
        if self.take(lambda: self.request.revoke(person, "No need.")):
            assert not self.request.phase.is_granted

    @rule(person=st.sampled_from(PEOPLE))
    def give_up(self, person: str) -> None:
        if self.take(lambda: self.request.give_up(person)):
            assert person == "ada" and not self.request.phase.is_granted

    @rule()
    def elapse(self) -> None:
        phase = self.request.phase
        self.take(lambda: self.request.elapse(self.now_s))
        assert not (phase is Phase.REQUESTED and self.request.phase.is_granted)
        assert not (self.request.phase.is_granted and self.now_s >= self.request.not_after_s)

    @precondition(lambda self: self.request.phase is Phase.REVIEW_DUE)
    @rule(approver=APPROVERS, is_violation=st.booleans())
    def review(self, approver: Approver, is_violation: bool) -> None:
        if self.take(lambda: self.request.review(approver, self.rule, is_violation, "Looked at.")):
            assert approver.person != "ada"
            assert self.request.phase is (Phase.REVIEWED_VIOLATION if is_violation else Phase.REVIEWED_OK)

    @invariant()
    def its_history_gives_it_again(self) -> None:
        assert _replayed(self.entries) == self.request

    @invariant()
    def its_end_never_moves(self) -> None:
        assert len(self.ends) <= 1
        if self.request.phase.is_granted:
            assert self.ends == {self.request.not_after_s}

    @invariant()
    def nobody_has_it_whom_too_few_approved(self) -> None:
        if self.request.phase.is_granted and not self.request.is_break_glass:
            assert all(each.terms_sha256 == self.request.terms.digest for each in self.request.votes)
            people = {each.approver.person for each in self.request.votes if each.is_for}
            assert len(people) >= max(1, self.rule.votes_min) and "ada" not in people

    @invariant()
    def broken_glass_is_never_over_before_it_was_reviewed(self) -> None:
        if self.request.is_break_glass:
            assert self.request.phase.is_granted or self.request.phase in (
                Phase.REVIEW_DUE,
                Phase.REVIEWED_OK,
                Phase.REVIEWED_VIOLATION,
            )
            if self.request.phase is Phase.REVIEW_DUE:
                assert self.request.is_overdue(self.request.review_until_s)


def _replayed(entries: list[Entry]) -> AccessRequest:
    request = begun(entries[0])
    for entry in entries[1:]:
        assert entry.number == request.count
        request = request.after(entry.step)
    return request


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("step", [Used("s1"), Approved(0.0, 1.0)])
def test_a_history_that_could_not_be_is_refused(step: Step) -> None:
    denied = replace(begun(Entry("r1", 0, 0.0, Requested(terms("0"), 60.0))), phase=Phase.DENIED)
    with pytest.raises(ValueError, match="can't happen to a request that is denied"):
        denied.after(step)


def test_terms_come_back_from_json_and_their_digest_is_of_each_field() -> None:
    said = terms("n", not_before_s=12.5, rows_max=10)
    assert Terms.from_json(said.as_json()) == said
    others = {
        replace(said, **{name: value}).digest  # type: ignore[arg-type] # fields of Terms by name
        for name, value in {
            "requester": "x",
            "rule": "x",
            "target_name": "x",
            "target_pin": "x",
            "accounts": frozenset({"x"}),
            "zone": "x",
            "client_zones": ("x",),
            "reveals": frozenset({"x"}),
            "reason": "x",
            "ticket": "x",
            "duration_s": 1.0,
            "policy_revision": "x",
            "nonce": "x",
            "not_before_s": 1.0,
            "sessions_max": 1,
            "rows_max": 1,
            "bytes_max": 1,
            "statement_sha256": "x",
            "renews": "x",
        }.items()
    }
    assert len(others) == 19 and said.digest not in others
