"""What people ask of the gateway about access, each by a token: to request, to vote, to revoke, to see;
and about single statements that wait for a decision.

Answers plain mappings that JSON can say. Knows no socket: the portal carries requests here, and so does the control
socket. What the operator may do without a token is in `hoopproxy.operator`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hoopproxy.access.caller import Caller
from hoopproxy.access.links import LINK_CHARACTERS_MAX, Linked
from hoopproxy.access.office import Office
from hoopproxy.access.request import AccessRequest, NotPossible
from hoopproxy.access.steps import Entry, actor_of
from hoopproxy.access.wish import Wish
from hoopproxy.admit.door import disabled
from hoopproxy.control.lines import ControlError
from hoopproxy.errors import Refused
from hoopproxy.model import Arrival, Credentials
from hoopproxy.proofs import Secret
from hoopproxy.relay.showing import outlined, whole
from hoopproxy.session import Gateway

STATEMENTS_MAX = 100
"""Of those that wait, the oldest; each may be `SHOWN_BYTES_MAX` long."""

type Answer = dict[str, Any]
type Verb = Callable[[Arrival, Secret, Mapping[str, Any]], Awaitable[Answer]]


class _Words(BaseModel):
    """What a verb is told; anything besides is a mistake of the caller's."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Wanted(_Words):
    target: str = Field(max_length=255)
    duration_s: float = Field(gt=0, allow_inf_nan=False)
    reason: str = Field(max_length=1000)
    accounts: frozenset[str] = frozenset()
    ticket: str = Field("", max_length=255)
    rule: str = Field("", max_length=255)
    not_before_s: float = Field(0.0, ge=0, allow_inf_nan=False)
    sessions_max: int | None = Field(None, ge=1)
    rows_max: int | None = Field(None, ge=1)
    bytes_max: int | None = Field(None, ge=1)
    renews: str = Field("", max_length=64)
    break_glass: bool = False

    def wish(self) -> Wish:
        said = self.model_dump(exclude={"target", "break_glass", "id"})
        return Wish(target_name=self.target, **said)


class _Named(_Words):
    id: str = Field(max_length=64)


class _Sought(_Words):
    id: str = Field("", max_length=64)
    link: str = Field("", max_length=LINK_CHARACTERS_MAX)


class _Changed(_Wanted):
    id: str = Field(max_length=64)


class _Voted(_Words):
    """By an id and the terms that were read, or by the link that says both."""

    id: str = Field("", max_length=64)
    terms: str = Field("", max_length=64)
    link: str = Field("", max_length=LINK_CHARACTERS_MAX)
    note: str = Field("", max_length=1000)

    @model_validator(mode="after")
    def _names_one(self) -> "_Voted":
        if bool(self.link) == bool(self.id) or bool(self.id) != bool(self.terms):
            raise ValueError("wanted are id and terms, or a link")
        return self


class _Because(_Named):
    reason: str = Field("", max_length=1000)


class _Reviewed(_Named):
    violation: bool
    note: str = Field("", max_length=1000)


class _Decided(_Named):
    statement: str = Field(max_length=64)
    note: str = Field("", max_length=1000)


class _Listed(_Words):
    all: bool = False


class _Nothing(_Words):
    pass


class Counter:
    """The verbs of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def by_name(self) -> Mapping[str, Verb]:
        """Each verb under the name by which it is asked for."""
        return {
            "request": self._verb(_Wanted, self._request),
            "edit": self._verb(_Changed, self._edit),
            "list": self._verb(_Listed, self._list),
            "show": self._verb(_Sought, self._show),
            "approve": self._verb(_Voted, self._approve),
            "deny": self._verb(_Voted, self._deny),
            "withdraw": self._verb(_Named, self._withdraw),
            "give-up": self._verb(_Named, self._give_up),
            "suspend": self._verb(_Because, self._suspend),
            "resume": self._verb(_Named, self._resume),
            "revoke": self._verb(_Because, self._revoke),
            "review": self._verb(_Reviewed, self._review),
            "statements": self._verb(_Nothing, self._statements),
            "statement": self._verb(_Named, self._statement),
            "approve-statement": self._verb(_Decided, self._approve_statement),
            "deny-statement": self._verb(_Decided, self._deny_statement),
            "whoami": self._verb(_Nothing, self._whoami),
        }

    async def caller(self, arrival: Arrival, secret: Secret) -> Caller:
        """Who asks, from where. @raise Refused: nobody that may ask anything."""
        gateway = self._gateway
        proven = await gateway.admission.identify(arrival, Credentials("", "", "", secret))
        identity, office = proven.identity, gateway.office
        await office.catch_up()
        person = office.policy.people.person(identity)
        caller = Caller(
            identity=identity,
            person=person,
            roles=gateway.admission.roles_of(identity),
            client_zones=await gateway.admission.places.zones_at(arrival.client.address),
        )
        account = office.register.account(caller.account)
        if account.is_disabled:
            raise Refused(disabled(account.why), reason="credentials")
        is_administrator = account.is_administrator
        return Caller(identity, person, caller.roles, caller.client_zones, is_administrator)

    def _verb[W: _Words](self, words: type[W], work: Callable[[Caller, W], Awaitable[Answer]]) -> Verb:
        async def verb(arrival: Arrival, secret: Secret, arguments: Mapping[str, Any]) -> Answer:
            caller = await self.caller(arrival, secret)
            try:
                told = words.model_validate(dict(arguments))
            except ValidationError as why:
                wrong = ", ".join(".".join(map(str, each["loc"])) + f": {each['msg']}" for each in why.errors())
                said = f"This was not understood ({wrong}); use the hoopproxy of this gateway's version."
                raise ControlError(said) from why
            try:
                return await work(caller, told)
            except NotPossible as why:
                raise ControlError(str(why)) from why

        return verb

    @property
    def _office(self) -> Office:
        return self._gateway.office

    def _shown(self, request: AccessRequest) -> Answer:
        return shown(request, self._office.link(request))

    async def _request(self, caller: Caller, told: _Wanted) -> Answer:
        request = await self._office.ask(caller, told.wish(), is_break_glass=told.break_glass)
        return {"request": self._shown(request)}

    async def _edit(self, caller: Caller, told: _Changed) -> Answer:
        return {"request": self._shown(await self._office.edit(caller, told.id, told.wish()))}

    async def _list(self, caller: Caller, told: _Listed) -> Answer:
        return {"requests": [self._shown(each) for each in await self._office.listed(caller, only_open=not told.all)]}

    async def _show(self, caller: Caller, told: _Sought) -> Answer:
        request = await self._office.find(self._office.linked(told.link).request_id if told.link else told.id, caller)
        history = await self._office.history(request.request_id)
        return {"request": self._shown(request), "history": [_line(each) for each in history]}

    async def _approve(self, caller: Caller, told: _Voted) -> Answer:
        return {"request": self._shown(await self._voted(caller, told, is_for=True))}

    async def _deny(self, caller: Caller, told: _Voted) -> Answer:
        return {"request": self._shown(await self._voted(caller, told, is_for=False))}

    async def _voted(self, caller: Caller, told: _Voted, *, is_for: bool) -> AccessRequest:
        """For exactly the terms that were read, by whichever way they are named."""
        named = self._office.linked(told.link) if told.link else Linked(told.id, told.terms)
        return await self._office.vote(caller, named.request_id, is_for, named.terms_sha256, told.note)

    async def _withdraw(self, caller: Caller, told: _Named) -> Answer:
        return {"request": self._shown(await self._office.withdraw(caller, told.id))}

    async def _give_up(self, caller: Caller, told: _Named) -> Answer:
        return {"request": self._shown(await self._office.give_up(caller, told.id))}

    async def _revoke(self, caller: Caller, told: _Because) -> Answer:
        return {"request": self._shown(await self._office.revoke(caller, told.id, told.reason))}

    async def _suspend(self, caller: Caller, told: _Because) -> Answer:
        return {"request": shown(await self._office.suspend(caller, told.id, told.reason))}

    async def _resume(self, caller: Caller, told: _Named) -> Answer:
        return {"request": shown(await self._office.resume(caller, told.id))}

    async def _review(self, caller: Caller, told: _Reviewed) -> Answer:
        return {"request": self._shown(await self._office.review(caller, told.id, told.violation, told.note))}

    async def _statements(self, caller: Caller, told: _Nothing) -> Answer:
        return {"approvals": [whole(each) for each in self._gateway.votes.waiting(caller)[:STATEMENTS_MAX]]}

    async def _statement(self, caller: Caller, told: _Named) -> Answer:
        return {"approval": whole(self._gateway.votes.find(caller, told.id))}

    async def _approve_statement(self, caller: Caller, told: _Decided) -> Answer:
        return await self._decide(caller, told, is_for=True)

    async def _deny_statement(self, caller: Caller, told: _Decided) -> Answer:
        return await self._decide(caller, told, is_for=False)

    async def _decide(self, caller: Caller, told: _Decided, *, is_for: bool) -> Answer:
        request = await self._gateway.votes.vote(caller, told.id, is_for, told.statement, told.note)
        return {"approval": outlined(request) | {"is_approved": request.is_approved}}

    async def _whoami(self, caller: Caller, told: _Nothing) -> Answer:
        identity = caller.identity
        return {
            "issuer": identity.issuer,
            "subject": identity.subject,
            "name": identity.name,
            "roles": sorted(caller.roles),
            "client_zones": sorted(caller.client_zones),
            "is_administrator": caller.is_administrator,
        }


def shown(request: AccessRequest, link: str = "") -> Answer:
    """A request as JSON says it, with the link by which it can be decided, "" when it can't."""
    terms = request.terms
    return {
        "id": request.request_id,
        "phase": request.phase.value,
        "requester": terms.requester,
        "target": terms.target_name,
        "accounts": sorted(terms.accounts),
        "rule": terms.rule,
        "reason": terms.reason,
        "ticket": terms.ticket,
        "duration_s": terms.duration_s,
        "zone": terms.zone,
        "client_zones": list(terms.client_zones),
        "reveals": sorted(terms.reveals),
        "sessions_max": terms.sessions_max,
        "rows_max": terms.rows_max,
        "bytes_max": terms.bytes_max,
        "terms_sha256": terms.digest,
        "pending_until_s": request.pending_until_s,
        "not_before_s": request.not_before_s or terms.not_before_s,
        "not_after_s": request.not_after_s,
        "is_break_glass": request.is_break_glass,
        "votes": [{"person": each.approver.person, "is_for": each.is_for, "note": each.note} for each in request.votes],
        "sessions": len(request.sessions),
        "rows": request.rows,
        "bytes": request.bytes,
        "renews": terms.renews,
        "why": request.why,
        "link": link,
    }


def _line(entry: Entry) -> Answer:
    return {
        "number": entry.number,
        "at_s": entry.at_s,
        "step": entry.step.kind,
        "by": " ".join(actor_of(entry) or ()),
        "gateway": entry.gateway,
        "note": getattr(entry.step, "note", "") or getattr(entry.step, "why", ""),
    }
