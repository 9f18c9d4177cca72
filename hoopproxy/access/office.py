"""Where access is asked for and decided: takes steps on histories in the journal, one after the other, and tells each.

Every step is durable in the journal before it has an effect, and each gateway acts on what it reads there, its own
steps included. Knows no store, no socket and no clock of its own; what a step may follow is `access.request`'s.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hoopproxy.access.caller import Caller
from hoopproxy.access.filing import line, rule_for, terms_of
from hoopproxy.access.in_force import InForce
from hoopproxy.access.journal import IJournal, Overtaken, StoreUnavailable, digest
from hoopproxy.access.links import Linked, Links
from hoopproxy.access.policy import Policy
from hoopproxy.access.register import Account, Register, row_of
from hoopproxy.access.request import AccessRequest, NotPossible, Phase, begun
from hoopproxy.access.request_rule import RequestRule, pin
from hoopproxy.access.steps import (
    ACCOUNT,
    AccountStep,
    Approver,
    BrokenGlass,
    Entry,
    Requested,
    Step,
    Voted,
    account_of,
    actor_of,
)
from hoopproxy.access.terms import Terms
from hoopproxy.access.wish import Wish
from hoopproxy.evidence.decisions import AccessStep
from hoopproxy.model import Target
from hoopproxy.rooms import IScheduler

TRIES_MAX = 10
"""How often a step is decided again because somebody was faster."""

OPEN_MAX = 10_000
"""Requests of everybody that are open; a person's are bounded by `OPEN_PER_PERSON_MAX`."""

OPEN_PER_PERSON_MAX = 20

LISTED_MAX = 1000

UNKNOWN = "There is no such request, or it is not for you to see."

type Changed = AccessRequest | Account


@dataclass
class Office:
    """All requests and accounts of the gateways that share a journal. `gateway` is this one.

    `changed` is called with whatever the journal says has changed, once, soon after; `note` keeps an entry in the log.
    `links` are those of the gateway's portal, None without one.
    """

    journal: IJournal
    policy: Policy | InForce
    targets: Mapping[str, Target]
    scheduler: IScheduler
    gateway: str
    new_id: Callable[[], str]
    note: Callable[[AccessStep], Awaitable[Any]]
    changed: Callable[[Changed], None] = lambda _: None
    register: Register = field(default_factory=Register)
    links: Links | None = None
    seen_s: float | None = None
    """When (monotonic) the journal was last read; None: never."""
    _position: int | None = None

    # Following the journal ------------------------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Take what is new in the journal. @raise StoreUnavailable"""
        while True:
            began_s, position = self.scheduler.monotonic_s(), self._position
            news = await (self.journal.opening() if position is None else self.journal.since(position))
            if self._position != position:  # somebody else has read meanwhile: perhaps less than this
                continue
            self._position = news.position
            for each in self.register.take(news.entries):
                self.changed(each)
            if not news.entries:
                self.seen_s = began_s
                return

    async def let_time_pass(self) -> None:
        """Take the steps that time alone takes. @raise StoreUnavailable"""
        now_s = self.scheduler.now_s()
        due = [each.request_id for each in self.register.requests.values() if each.elapse(now_s)]
        for request_id in due:
            await self._step(request_id, lambda request: request.elapse(self._now_s()))

    async def note_what_is_left(self) -> None:
        """Put into the log what was kept when this gateway was killed. @raise StoreUnavailable, EvidenceUnavailable"""
        while entries := await self.journal.unnoted(self.gateway):
            for entry in entries:
                then = None if entry.key.startswith(ACCOUNT) else await self._told(entry.key)
                await self._note((entry,), then)

    # What people do -------------------------------------------------------------------------------------------------

    async def ask(self, caller: Caller, wish: Wish, *, is_break_glass: bool = False) -> AccessRequest:
        """File a request, or with `is_break_glass` take what it asks for at once.

        @raise NotPossible, StoreUnavailable
        """
        await self.catch_up()
        mine = [each for each in self.register.requests.values() if each.terms.requester == caller.person]
        if len(self.register.requests) >= OPEN_MAX or len(mine) >= OPEN_PER_PERSON_MAX:
            raise NotPossible(f"You have {len(mine)} open requests; withdraw one, or wait until one is decided.")
        rule = rule_for(self.policy, self.targets, caller, wish, is_break_glass=is_break_glass)
        terms = self._terms(caller, wish, rule)
        if problem := rule.breach(terms):
            raise NotPossible(problem)
        request_id, now_s = self.new_id(), self._now_s()
        first: Step = Requested(terms, now_s + rule.pending_s_max)
        if is_break_glass:
            assert rule.break_glass is not None  # the rule was chosen for it
            if terms.duration_s > rule.break_glass.duration_s_max:
                raise NotPossible(
                    f"'{rule.name}' gives this at once for {rule.break_glass.duration_s_max:g} s at most."
                )
            until_s = now_s + terms.duration_s
            first = BrokenGlass(terms, until_s, until_s + rule.break_glass.review_s_max)
        entry = Entry(request_id, 0, now_s, first, self.gateway)
        request = begun(entry)
        await self._keep((entry,), request)
        return request

    async def edit(self, caller: Caller, request_id: str, wish: Wish) -> AccessRequest:
        """Ask otherwise: who has voted has not. @raise NotPossible, StoreUnavailable"""

        def decide(request: AccessRequest) -> tuple[Step, ...]:
            rule = self._rule_of(request)
            terms = replace(self._terms(caller, wish, rule), renews=request.terms.renews)
            if problem := rule.breach(terms):
                raise NotPossible(problem)
            return request.edit(caller.person, terms)

        return await self._step(request_id, decide, caller)

    async def vote(
        self, caller: Caller, request_id: str, is_for: bool, terms_sha256: str, note: str = ""
    ) -> AccessRequest:
        """One person's vote for exactly these terms. @raise NotPossible, StoreUnavailable"""
        vote = Voted(caller.approver, is_for, terms_sha256, line(note, "note"))
        return await self._step(
            request_id, lambda request: request.vote(vote, self._rule_of(request).approval, self._now_s()), caller
        )

    async def withdraw(self, caller: Caller, request_id: str) -> AccessRequest:
        """Not wanted any more. @raise NotPossible, StoreUnavailable"""
        return await self._step(request_id, lambda request: request.withdraw(caller.person), caller)

    async def give_up(self, caller: Caller, request_id: str) -> AccessRequest:
        """Not needed any more. @raise NotPossible, StoreUnavailable"""
        return await self._step(request_id, lambda request: request.give_up(caller.person), caller)

    async def review(self, caller: Caller, request_id: str, is_violation: bool, note: str) -> AccessRequest:
        """What was done behind broken glass was looked at. @raise NotPossible, StoreUnavailable"""

        def decide(request: AccessRequest) -> tuple[Step, ...]:
            return request.review(caller.approver, self._rule_of(request).approval, is_violation, line(note, "note"))

        return await self._step(request_id, decide, caller)

    async def revoke(self, by: Caller | str, request_id: str, why: str) -> AccessRequest:
        """Take it away: by who decides about it, an administrator, or the operator (a name).

        @raise NotPossible, StoreUnavailable
        """

        name = by.person if isinstance(by, Caller) else by
        return await self._ruled(by, request_id, lambda request: request.revoke(name, line(why, "reason")))

    async def suspend(self, by: Caller | str, request_id: str, why: str) -> AccessRequest:
        """Take it away for the time being; its clock goes on. By the same. @raise NotPossible, StoreUnavailable"""
        return await self._ruled(by, request_id, lambda request: request.suspend(line(why, "reason")))

    async def resume(self, by: Caller | str, request_id: str) -> AccessRequest:
        """Give it back, as far as there is time left. By the same. @raise NotPossible, StoreUnavailable"""
        return await self._ruled(by, request_id, lambda request: request.resume())

    async def use(self, request_id: str, session_id: str, person: str, target: Target) -> None:
        """A session comes in by it; kept when this returns. @raise NotPossible, StoreUnavailable"""

        def decide(request: AccessRequest) -> tuple[Step, ...]:
            rule = self.fitting_rule(request, target)
            if request.terms.requester != person or rule is None:
                raise NotPossible(
                    "Your access does not fit the policy or the target of today any more; ask for it again."
                )
            return request.use(session_id, rule.approval, self.is_still_admitted, self._now_s())

        await self._step(request_id, decide)

    async def spend(self, request_id: str, rows: int, count: int) -> None:
        """So many rows and bytes were shown by it. @raise NotPossible, StoreUnavailable"""
        await self._step(request_id, lambda request: request.spend(rows, count))

    async def account_step(self, key: str, step: AccountStep) -> Account:
        """Decide something about an account. Whether one may is the caller's question. @raise StoreUnavailable"""
        for _ in range(TRIES_MAX):
            await self.catch_up()
            account = self.register.accounts.get(key) or await self._told_account(key)
            entry = Entry(key, account.count, self._now_s(), step, self.gateway)
            then = account.after(step)
            try:
                await self._keep((entry,), then)
            except Overtaken:
                continue
            return then
        raise StoreUnavailable(f"{TRIES_MAX} gateways were faster at {key}")

    # What people see ------------------------------------------------------------------------------------------------

    async def find(self, request_id: str, caller: Caller | None) -> AccessRequest:
        """A request, open or not; for `caller` only what is for him to see. @raise NotPossible, StoreUnavailable"""
        await self.catch_up()
        request = await self._told(request_id)
        if request is None or (caller is not None and not self._sees(caller, request)):
            raise NotPossible(UNKNOWN)
        return request

    async def history(self, request_id: str) -> tuple[Entry, ...]:
        """All of its steps. @raise StoreUnavailable"""
        return await self.journal.history(request_id)

    def link(self, request: AccessRequest) -> str:
        """The link by which it can be decided; "" when it can't, or there is no portal."""
        return self.links.link(request) if self.links and request.phase is Phase.REQUESTED else ""

    def linked(self, link: str) -> Linked:
        """What a link is to. @raise NotPossible: it is changed, expired, or not one of this gateway's."""
        if self.links is None:
            raise NotPossible("This gateway has no portal, and so no links; name the request by its id.")
        return self.links.read(link, self.scheduler.now_s())

    async def listed(self, caller: Caller | None, *, only_open: bool) -> list[AccessRequest]:
        """Requests, the newest first; for `caller` only what is for him to see. @raise StoreUnavailable"""
        await self.catch_up()
        if only_open:
            found: Iterable[AccessRequest] = reversed(list(self.register.requests.values()))
        else:
            rows = await self.journal.rows(False, LISTED_MAX)
            told = [await self._told(row.key) for row in rows if not row.key.startswith(ACCOUNT)]
            found = [request for request in told if request is not None]
        return [each for each in found if caller is None or self._sees(caller, each)]

    def mine(self, person: str, target: Target) -> tuple[tuple[AccessRequest, RequestRule], ...]:
        """A person's open requests for a target, with their rules, as far as those still let them be."""
        return tuple(
            (request, rule)
            for request in self.register.requests.values()
            if request.terms.requester == person and (rule := self.fitting_rule(request, target)) is not None
        )

    def fitting_rule(self, request: AccessRequest, target: Target) -> RequestRule | None:
        """The rule that the request was made under, if both and the target are still as they were; else None."""
        rule = next((each for each in self.policy.requests if each.name == request.terms.rule), None)
        fits = request.terms.target_name == target.name and request.terms.target_pin == pin(target)
        return rule if fits and rule is not None and not rule.breach(request.terms) else None

    def overdue(self, person: str) -> AccessRequest | None:
        """Access of theirs behind broken glass that somebody should have looked at by now."""
        now_s = self.scheduler.now_s()
        return next(
            (
                each
                for each in self.register.requests.values()
                if each.terms.requester == person and each.is_overdue(now_s)
            ),
            None,
        )

    # Within ---------------------------------------------------------------------------------------------------------

    def _now_s(self) -> float:
        """In whole milliseconds, as the journal keeps it."""
        return round(self.scheduler.now_s() * 1000) / 1000

    def _terms(self, caller: Caller, wish: Wish, rule: RequestRule) -> Terms:
        return terms_of(caller, wish, rule, self.targets.get(wish.target_name), self.policy.revision, self.new_id())

    def _rule_of(self, request: AccessRequest) -> RequestRule:
        target = self.targets.get(request.terms.target_name)
        rule = self.fitting_rule(request, target) if target else None
        if rule is None:
            raise NotPossible("The policy or the target has changed since this was asked for; it has to be asked anew.")
        return rule

    def _decides(self, caller: Caller, request: AccessRequest) -> bool:
        rule = next((each for each in self.policy.requests if each.name == request.terms.rule), None)
        return rule is not None and rule.approval.admits(caller.approver, request.terms)

    def _sees(self, caller: Caller, request: AccessRequest) -> bool:
        is_own = request.terms.requester == caller.person
        return is_own or caller.is_administrator or self._decides(caller, request)

    def is_still_admitted(self, approver: Approver) -> bool:
        """Whether none of the accounts of somebody who voted is disabled now."""
        return not any(
            account.is_disabled and self.policy.people.person_of(*account_of(key)) == approver.person
            for key, account in self.register.accounts.items()
        )

    async def _ruled(
        self, by: Caller | str, request_id: str, decide: Callable[[AccessRequest], tuple[Step, ...]]
    ) -> AccessRequest:
        """A step that who decides about it may take, an administrator, or the operator."""

        def ruled(request: AccessRequest) -> tuple[Step, ...]:
            if isinstance(by, Caller) and not (by.is_administrator or self._decides(by, request)):
                raise NotPossible("You are not among those who decide about this request.")
            return decide(request)

        return await self._step(request_id, ruled, by if isinstance(by, Caller) else None)

    async def _step(
        self, request_id: str, decide: Callable[[AccessRequest], tuple[Step, ...]], caller: Caller | None = None
    ) -> AccessRequest:
        """Decide on what the journal says now, keep it, and do it again if somebody was faster."""
        for _ in range(TRIES_MAX):
            request = await self.find(request_id, caller)
            steps, now_s = decide(request), self._now_s()
            if not steps:
                return request
            entries = tuple(
                Entry(request_id, request.count + index, now_s, step, self.gateway) for index, step in enumerate(steps)
            )
            for step in steps:
                request = request.after(step)
            try:
                await self._keep(entries, request)
            except Overtaken:
                continue
            return request
        raise StoreUnavailable(f"{TRIES_MAX} others were faster at {request_id}")

    async def _keep(self, entries: Sequence[Entry], then: Changed) -> None:
        """Into the journal, into the log, and only then into effect."""
        row = row_of(then) if isinstance(then, AccessRequest) else then.row
        await self.journal.append(entries, (row,))
        await self._note(entries, then if isinstance(then, AccessRequest) else None)
        await self.catch_up()

    async def _note(self, entries: Sequence[Entry], request: AccessRequest | None) -> None:
        for entry in entries:
            await self.note(_told_to_the_log(entry, request))
        await self.journal.noted(entries)

    async def _told(self, request_id: str) -> AccessRequest | None:
        """A request as its history tells it."""
        if known := self.register.requests.get(request_id):
            return known
        request: AccessRequest | None = None
        for entry in await self.journal.history(request_id):
            assert not entry.key.startswith(ACCOUNT)
            request = begun(entry) if request is None else request.after(entry.step)  # type: ignore[arg-type] # of a request
        return request

    async def _told_account(self, key: str) -> Account:
        account = Account(key)
        for entry in await self.journal.history(key):
            account = account.after(entry.step)
        return account


def _told_to_the_log(entry: Entry, request: AccessRequest | None) -> AccessStep:
    return AccessStep(
        request_id=entry.key if request else "",
        account=() if request else account_of(entry.key),
        number=entry.number,
        step=entry.step.kind,
        actor=actor_of(entry) or (),
        taken_at_ms=round(entry.at_s * 1000),
        target=request.terms.target_name if request else "",
        terms_sha256=request.terms.digest if request else "",
        not_after_ms=round(request.not_after_s * 1000) if request else 0,
        entry_sha256=digest(entry),
    )
