"""Statements that wait for a decision of people: kept in memory, each bound to what it is and whose, and used once.

Knows neither why a decision is wanted nor who may decide: `votes` does.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from zope.interface import implementer

from hoopproxy.access.request import ApprovalRule
from hoopproxy.access.steps import Approver
from hoopproxy.events import Omitted, Parameter, Statement
from hoopproxy.interfaces import IApprovals
from hoopproxy.model import Allow, Answer, Passage, Pending, Refuse
from hoopproxy.relay.footing import SAID_MAX
from hoopproxy.rooms import IScheduler
from hoopproxy.settings import Limits

WAITING_MAX = 1000
"""People look at them one by one."""

GONE_S = 15.0
"""A statement that nobody has asked about for so long waits no more, whatever became of it. They are asked about every
second or so (`asking.APPROVAL_POLL_S`), within `limits.decision_s_max`."""

ID_CHARACTERS = 8

SHOWN_BYTES_MAX = 65536
"""Of a statement with its parameters. Nobody reads more before they approve it."""

_FULL = "Too many statements wait for a decision already, so yours was not run; try again later."
_UNSEEN = "{why} It can't have one, because {what}, and nobody approves what they can't see."


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's, with a line for whoever wants it run."""

    approver: Approver
    is_for: bool
    note: str = ""


@dataclass(slots=True, eq=False)
class Request:
    """One statement of one connection, and what was decided about it: None is nothing yet.

    People decide by `rule`; None: the operator of the gateway does.
    """

    approval_id: str
    passage: Passage
    statement: Statement
    why: str
    rule: ApprovalRule | None
    since_s: float
    until_s: float
    asked_s: float
    votes: tuple[Vote, ...] = ()
    is_approved: bool | None = None
    reason: str = ""

    def is_about(self, passage: Passage, statement: Statement) -> bool:
        """Whether it is this statement, to the letter, with these values, of this person's session."""
        return self.passage == passage and self.statement == statement

    @property
    def digest(self) -> str:
        """What votes are for."""
        return binding(self.passage, self.statement)


@implementer(IApprovals)
class Approvals:
    """All of one gateway. An id is the beginning of what `new_id` gives."""

    def __init__(self, scheduler: IScheduler, limits: Limits, new_id: Callable[[], str]) -> None:
        self._scheduler, self._limits, self._new_id = scheduler, limits, new_id
        self._requests: list[Request] = []

    def answer(self, passage: Passage, statement: Statement, why: str, rule: ApprovalRule | None = None) -> Answer:
        """As `IApprovals` has it."""
        self._forget()
        request = next((each for each in self._requests if each.is_about(passage, statement)), None)
        if request is None:
            if rule is not None and (what := _unseen(statement)):
                return Refuse(_UNSEEN.format(why=why, what=what))
            if len(self._requests) >= WAITING_MAX:
                return Refuse(_FULL)
            request = self._new(passage, statement, why, rule)
        request.asked_s = self._scheduler.monotonic_s()
        if request.is_approved is None:
            return Pending(_told(request), request.until_s)
        self._requests.remove(request)
        return Allow() if request.is_approved else Refuse(_denied(request))

    def waiting(self) -> tuple[Request, ...]:
        """Those that nobody has decided yet, the oldest first."""
        self._forget()
        return tuple(request for request in self._requests if request.is_approved is None)

    def decide(self, approval_id: str, is_approved: bool, reason: str) -> bool:
        """The operator's decision; whether it was waiting, and for the operator."""
        for request in self.waiting():
            if request.approval_id == approval_id and request.rule is None:
                request.is_approved, request.reason = is_approved, reason
                return True
        return False

    def drop(self, passage: Passage, statement: Statement) -> None:
        """It waits no more."""
        self._requests = [each for each in self._requests if not each.is_about(passage, statement)]

    def _new(self, passage: Passage, statement: Statement, why: str, rule: ApprovalRule | None) -> Request:
        taken = {each.approval_id for each in self._requests}
        while (approval_id := self._new_id()[:ID_CHARACTERS]) in taken:
            pass
        now_s = self._scheduler.now_s()
        until_s = now_s + self._limits.approval_s_max
        request = Request(approval_id, passage, statement, why, rule, now_s, until_s, 0.0)
        self._requests.append(request)
        return request

    def _forget(self) -> None:
        now_s, asked_s = self._scheduler.now_s(), self._scheduler.monotonic_s() - GONE_S
        self._requests = [each for each in self._requests if each.until_s > now_s and each.asked_s >= asked_s]


def binding(passage: Passage, statement: Statement) -> str:
    """SHA-256 in hex of all that an approval is for: the statement to the letter, its parameters, what was set before
    it, and which one it is of which connection of which session."""
    permit = passage.permit
    said = {
        "session": permit.session_id,
        "connection": permit.arrival.connection_id,
        "target": permit.target.name,
        "account": permit.account,
        "database": permit.database,
        "number": statement.number,
        "action": statement.action.value,
        "text": _hex(statement.text),
        "parameters": [_bound(each) for each in statement.parameters],
        "settings": [_hex(each) for each in statement.settings],
        "http": None if statement.http is None else _hex(repr(asdict(statement.http))),
        "kubernetes": None if statement.kubernetes is None else _hex(repr(asdict(statement.kubernetes))),
    }
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _hex(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").hex()


def _bound(parameter: Parameter) -> list[Any]:
    match parameter.value:
        case None:
            return [parameter.format.value]
        case Omitted(count, sha256):
            return [parameter.format.value, count, sha256]
        case bytes() as value:
            return [parameter.format.value, value.hex()]


def _unseen(statement: Statement) -> str:
    """What of a statement nobody could be shown; "" for nothing."""
    if statement.secret:
        return "it holds a password"
    if len(statement.settings) > SAID_MAX:
        return "this session has changed its settings too often (connect again)"
    values = [each.value for each in statement.parameters if each.value is not None]
    if any(isinstance(value, Omitted) for value in values):
        return "one of its values is too long"
    texts = (statement.text, *statement.settings)
    size = sum(map(len, texts)) + sum(len(value) for value in values if isinstance(value, bytes))
    return "it is too long" if size > SHOWN_BYTES_MAX else ""


def _told(request: Request) -> str:
    if (rule := request.rule) is None:
        who = "an operator of the gateway"
    else:
        people = "somebody" if rule.votes_min == 1 else f"{rule.votes_min} people"
        who = f"{people} who may decide it ({', '.join(sorted(rule.roles))})"
    return (
        f"{request.why} It waits for {who} to run: hoopproxy approvals approve "
        f"{request.approval_id}. Cancel it if you do not want to wait."
    )


def _denied(request: Request) -> str:
    who = "An operator" if request.rule is None else "Somebody who may"
    return f"{who} denied this statement{f': {request.reason.rstrip(".")}' if request.reason else ''}."
