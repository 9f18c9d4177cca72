"""Answers what a machine asks: statements go past guards and the enforcement, shapes past the maskers.

Knows neither bytes nor protocols. Every addon is asked under the time limit, and every failure of one ends the session.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hoopproxy.asking import Asking, Wait, Withdrawal, a, at_once, every, maybe
from hoopproxy.errors import Refused, Withdrawn
from hoopproxy.events import SQL, Action, Ask, Forward, Plan, Ration, Reject, Reply, Shape, Statement
from hoopproxy.interfaces import IEnforcement, IMasker, IRewriting, IStatementGuard
from hoopproxy.masking import plans
from hoopproxy.masking.deeds import ends_transaction
from hoopproxy.masks import Catalog, Entrance, Mask
from hoopproxy.model import Allow, Answer, Passage, Pending, Permit, Refuse
from hoopproxy.relay.approvals import Approvals
from hoopproxy.relay.footing import Footing
from hoopproxy.relay.quota import Quota
from hoopproxy.rooms import IDesk
from hoopproxy.settings import Limits


@dataclass(frozen=True, slots=True)
class Judges:
    """The addons of the relay, in configuration order."""

    guards: Sequence[IStatementGuard]
    maskers: Sequence[IMasker]
    enforcement: IEnforcement
    limits: Limits
    ask: Asking
    provisioning: Asking
    approvals: Approvals

    async def protects(self, permit: Permit) -> frozenset[str]:
        """What all maskers together protect in this session: paths, and `"*"` for masks by content."""
        protected: frozenset[str] = frozenset()
        for masker in self.maskers:
            protected |= await self.ask(masker, "protects", partial(masker.protects, permit), every(frozenset, str))
        return protected

    async def enter(self, passage: Passage, role: str, desk: Callable[[], Awaitable[IDesk]]) -> Entrance | None:
        """How the gateway logs in where the target keeps the masks itself; None: as the account's `role`.

        `desk` opens a connection with the rights of the target's provisioner. @raise Refused, AddonFailure
        """
        enter = partial(self.enforcement.enter, passage, role, desk)
        return await self.provisioning(self.enforcement, "enter", enter, maybe(Entrance))

    def begin(self, passage: Passage, catalog: Catalog) -> IRewriting:
        """What judges one connection's statements. @raise AddonFailure"""
        begin = partial(self.enforcement.begin, passage, catalog)
        return at_once(self.enforcement, "begin", begin, _rewriting)

    async def answer(self, question: Ask, case: "Case") -> Reply:
        """The reply to one ask. @raise AddonFailure: the session ends."""
        match question:
            case Statement():
                return await self._statement(question, case)
            case Shape():
                return await self._plan(question, case)

    async def _statement(self, statement: Statement, case: "Case") -> Reply:
        try:
            ration = _ration(statement, case)
            told = replace(statement, settings=case.footing.said) if case.footing.said else statement
            allowed = [await self._examined(guard, told, case) for guard in self.guards]
            rows_max = min((each.rows_max for each in allowed if each.rows_max), default=0)
            case.footing.went(statement)
            if statement.action is Action.EXECUTE:  # it was rewritten when it was prepared
                at_once(self.enforcement, "ran", partial(case.rewriting.ran, statement), _nothing)
                return Forward(statement.text, rows_max=rows_max, ration=ration)
            rewrite = partial(case.rewriting.rewrite, statement)
            forward = await self.ask(self.enforcement, "rewrite", rewrite, a(Forward))
            return replace(forward, rows_max=rows_max, ration=ration) if rows_max or ration else forward
        except Refused as why:
            return Reject(why.sentence, isinstance(why, Withdrawn))

    async def _examined(self, guard: IStatementGuard, statement: Statement, case: "Case") -> Allow:
        """The guard's yes; its warning is told. @raise Refused."""
        wait = Wait("this statement", "statement", self.limits.approval_s_max, case.inform, case.withdrawal)
        examine = partial(guard.examine, case.passage, statement)
        try:
            answer = await self.ask.decided(guard, "examine", examine, _answer, wait)
        except BaseException:  # nobody waits any more: it was taken back, or its client left
            self.approvals.drop(case.passage, statement)
            raise
        if isinstance(answer, Refuse):
            raise Refused(answer.sentence, reason="statement")
        assert isinstance(answer, Allow)  # the waiting is over
        if answer.warning:
            case.inform(answer.warning)
        return answer

    async def _plan(self, shape: Shape, case: "Case") -> Plan:
        answers: list[tuple[str, Mapping[int, Mask]]] = []
        for masker in self.maskers:
            masks = await self.ask(masker, "plan", partial(masker.plan, case.passage, shape), _masks(shape))
            answers.append((masker.name, masks))
        return plans.compile(shape, answers, case.catalog, case.protected)


@dataclass(frozen=True, slots=True)
class Case:
    """What the judges know of one connection."""

    passage: Passage
    catalog: Catalog
    protected: frozenset[str]
    inform: Callable[..., None]
    rewriting: IRewriting
    quota: Quota | None = None
    footing: Footing = field(default_factory=Footing)
    withdrawal: Withdrawal = field(default_factory=Withdrawal)


def _ration(statement: Statement, case: Case) -> Ration | None:
    """What of its grant's rows a statement may show. @raise Refused: none is left, but to end a transaction."""
    if case.quota is None or statement.action not in SQL:
        return None
    if case.quota.sentence and statement.action is not Action.PREPARE and not ends_transaction(statement.text):
        raise Refused(case.quota.sentence, reason="statement")
    return case.quota.ration


def _rewriting(answer: Any) -> IRewriting:
    if not IRewriting.providedBy(answer):
        raise TypeError(f"it answered {type(answer).__name__}, which is no IRewriting")
    found: IRewriting = answer
    return found


def _nothing(answer: Any) -> None:
    if answer is not None:
        raise TypeError(f"it answered {type(answer).__name__}, wanted is None")


def _answer(answer: Any) -> Answer:
    if isinstance(answer, Allow | Refuse | Pending):
        return answer
    raise TypeError(f"it answered {type(answer).__name__}, wanted is Allow, Refuse or Pending")


def _masks(shape: Shape) -> Callable[[Any], Mapping[int, Mask]]:
    def wanted(answer: Any) -> Mapping[int, Mask]:
        if not isinstance(answer, Mapping):
            raise TypeError(f"it answered {type(answer).__name__}, wanted is a mapping of field index to mask")
        for index, mask in answer.items():
            if not isinstance(index, int) or not 0 <= index < len(shape.fields):
                raise TypeError(f"it masks field {index!r} of a shape of {len(shape.fields)} fields")
            if not isinstance(mask, Mask.__value__):
                raise TypeError(f"it answered {type(mask).__name__}, which is no mask")
        return answer

    return wanted
