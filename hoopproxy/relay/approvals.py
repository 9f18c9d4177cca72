"""Statements that wait for a person's decision: kept in memory, each bound to what it is and whose, and used once.

Knows neither who may decide nor why a decision is wanted.
"""

from collections.abc import Callable
from dataclasses import dataclass

from zope.interface import implementer

from hoopproxy.events import Statement
from hoopproxy.interfaces import IApprovals
from hoopproxy.model import Allow, Answer, Passage, Pending, Refuse
from hoopproxy.rooms import IScheduler
from hoopproxy.settings import Limits

WAITING_MAX = 1000
"""People look at them one by one."""

GONE_S = 15.0
"""A statement that nobody has asked about for so long waits no more, whatever became of it. They are asked about every
second or so (`asking.APPROVAL_POLL_S`), within `limits.decision_s_max`."""

ID_CHARACTERS = 8

_FULL = "Too many statements wait for a decision already, so yours was not run; try again later."


@dataclass(slots=True, eq=False)
class Request:
    """One statement of one connection, and what was decided about it: None is nothing yet."""

    approval_id: str
    passage: Passage
    statement: Statement
    why: str
    since_s: float
    until_s: float
    asked_s: float
    is_approved: bool | None = None
    reason: str = ""

    def is_about(self, passage: Passage, statement: Statement) -> bool:
        """Whether it is this statement, to the letter, with these values, of this person's session."""
        return self.passage == passage and self.statement == statement


@implementer(IApprovals)
class Approvals:
    """All of one gateway. An id is the beginning of what `new_id` gives."""

    def __init__(self, scheduler: IScheduler, limits: Limits, new_id: Callable[[], str]) -> None:
        self._scheduler, self._limits, self._new_id = scheduler, limits, new_id
        self._requests: list[Request] = []

    def answer(self, passage: Passage, statement: Statement, why: str) -> Answer:
        """As `IApprovals` has it."""
        self._forget()
        request = next((each for each in self._requests if each.is_about(passage, statement)), None)
        if request is None:
            if len(self._requests) >= WAITING_MAX:
                return Refuse(_FULL)
            request = self._new(passage, statement, why)
        request.asked_s = self._scheduler.monotonic_s()
        if request.is_approved is None:
            return Pending(_told(request), request.until_s)
        self._requests.remove(request)
        return Allow() if request.is_approved else Refuse(_denied(request.reason))

    def waiting(self) -> tuple[Request, ...]:
        """Those that nobody has decided yet, the oldest first."""
        self._forget()
        return tuple(request for request in self._requests if request.is_approved is None)

    def decide(self, approval_id: str, is_approved: bool, reason: str) -> bool:
        """Whether it was waiting."""
        for request in self.waiting():
            if request.approval_id == approval_id:
                request.is_approved, request.reason = is_approved, reason
                return True
        return False

    def drop(self, passage: Passage, statement: Statement) -> None:
        """It waits no more."""
        self._requests = [each for each in self._requests if not each.is_about(passage, statement)]

    def _new(self, passage: Passage, statement: Statement, why: str) -> Request:
        taken = {each.approval_id for each in self._requests}
        while (approval_id := self._new_id()[:ID_CHARACTERS]) in taken:
            pass
        now_s = self._scheduler.now_s()
        request = Request(approval_id, passage, statement, why, now_s, now_s + self._limits.approval_s_max, 0.0)
        self._requests.append(request)
        return request

    def _forget(self) -> None:
        now_s, asked_s = self._scheduler.now_s(), self._scheduler.monotonic_s() - GONE_S
        self._requests = [each for each in self._requests if each.until_s > now_s and each.asked_s >= asked_s]


def _told(request: Request) -> str:
    return (
        f"{request.why} It waits for an operator of the gateway to run: hoopproxy approvals approve "
        f"{request.approval_id}. Cancel it if you do not want to wait."
    )


def _denied(reason: str) -> str:
    return f"An operator denied this statement{f': {reason.rstrip(".")}' if reason else ''}."
