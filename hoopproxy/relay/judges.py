"""Answers what a machine asks: statements go past guards and the enforcement, shapes past the maskers.

Knows neither bytes nor protocols. Every addon is asked under the time limit, and every failure of one ends the session.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hoopproxy.asking import Asking, Wait, a, every
from hoopproxy.errors import Refused
from hoopproxy.events import Action, Ask, Forward, Plan, Reject, Reply, Shape, Statement
from hoopproxy.interfaces import IEnforcement, IMasker, IStatementGuard
from hoopproxy.masking import plans
from hoopproxy.masks import Catalog, Mask
from hoopproxy.model import Allow, Answer, Passage, Pending, Permit, Refuse
from hoopproxy.settings import Limits


@dataclass(frozen=True, slots=True)
class Judges:
    """The addons of the relay, in configuration order."""

    guards: Sequence[IStatementGuard]
    maskers: Sequence[IMasker]
    enforcement: IEnforcement
    limits: Limits
    ask: Asking

    async def protects(self, permit: Permit) -> frozenset[str]:
        """What all maskers together protect in this session: paths, and `"*"` for masks by content."""
        protected: frozenset[str] = frozenset()
        for masker in self.maskers:
            protected |= await self.ask(masker, "protects", partial(masker.protects, permit), every(frozenset, str))
        return protected

    async def answer(self, question: Ask, case: "Case") -> Reply:
        """The reply to one ask. @raise AddonFailure: the session ends."""
        match question:
            case Statement():
                return await self._statement(question, case)
            case Shape():
                return await self._plan(question, case)

    async def _statement(self, statement: Statement, case: "Case") -> Reply:
        try:
            for guard in self.guards:
                await self._examined(guard, statement, case)
            if statement.action is Action.EXECUTE:
                return Forward(statement.text)  # its text went past the enforcement when it was prepared
            rewrite = partial(self.enforcement.rewrite, case.passage, statement, case.catalog)
            return Forward(await self.ask(self.enforcement, "rewrite", rewrite, a(str)))
        except Refused as why:
            return Reject(why.sentence)

    async def _examined(self, guard: IStatementGuard, statement: Statement, case: "Case") -> None:
        """Returns when the guard allows it. @raise Refused."""
        wait = Wait("this statement", "statement", self.limits.approval_s_max, case.inform)
        examine = partial(guard.examine, case.passage, statement)
        answer = await self.ask.decided(guard, "examine", examine, _answer, wait)
        if isinstance(answer, Refuse):
            raise Refused(answer.sentence, reason="statement")

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
