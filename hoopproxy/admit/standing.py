"""Follows the journal, and ends live sessions whose right is gone: revoked, given up, disabled, or not to be known.

Knows neither the store nor what a step means to a request.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hoopproxy.access.office import Changed, Office
from hoopproxy.access.request import AccessRequest, Phase
from hoopproxy.access.request_rule import grant_id, request_id
from hoopproxy.access.steps import account_key, account_of
from hoopproxy.admit.door import disabled
from hoopproxy.admit.leases import Leases
from hoopproxy.errors import Cause, Revoked, SessionError
from hoopproxy.model import Permit
from hoopproxy.rooms import IScheduler, ISignal

POLL_S = 0.2
"""How often the journal is looked at; a store that can tell nudges sooner."""

AWAY = (
    "Your session has ended because the gateway could not reach the store of its grants for {:g} s, and so could not "
    "know whether you may go on; connect again in a minute."
)


@dataclass
class Standing:
    """What the journal says now, held against who is here. Begun by `run`; `nudge` has it look at once."""

    office: Office
    leases: Leases
    scheduler: IScheduler
    lease_s_max: float
    tell: Callable[..., None]
    _nudged: ISignal | None = None
    _is_away: bool = False

    def changed(self, what: Changed) -> None:
        """End whom this concerns."""
        if isinstance(what, AccessRequest):
            grant = grant_id(what.request_id)
            if not what.phase.is_granted or what.phase is Phase.SUSPENDED:
                self.leases.end_where(lambda permit: permit.grant.grant_id == grant, _over(what))
        elif what.is_disabled:
            account = account_of(what.key)
            why = Revoked(disabled(what.why), cause=Cause.IDENTITY_GONE)
            self.leases.end_where(lambda permit: _is_of(permit, account), why)

    def still_may(self, permit: Permit) -> str:
        """Why somebody with a permit may not come in now, as far as the journal was read; "" when nothing says so."""
        account = self.office.register.account(account_key(permit.identity.issuer, permit.identity.subject))
        if account.is_disabled:
            return disabled(account.why)
        asked = request_id(permit.grant.grant_id)
        request = self.office.register.requests.get(asked) if asked else None
        if asked and (request is None or request.phase is not Phase.ACTIVE):
            return "Your access ended while you were connecting; ask for it again."
        return ""

    def nudge(self) -> None:
        """Something may have changed."""
        if self._nudged is not None:
            self._nudged.set(True)

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            self._nudged = self.scheduler.signal()
            try:
                await self.scheduler.within(self.lease_s_max, self._look())
            except (SessionError, TimeoutError) as why:
                self._miss(why)
            else:
                self._is_away = False
            await self.scheduler.first(self._nudged.wait(), self.scheduler.sleep(POLL_S))

    async def _look(self) -> None:
        await self.office.catch_up()
        await self.office.let_time_pass()

    def _miss(self, why: Exception) -> None:
        if not self._is_away:
            self._is_away = True
            self.tell("store-away", sentence=str(why), detail=getattr(why, "detail", ""))
        seen_s = self.office.seen_s
        if seen_s is None or self.scheduler.monotonic_s() - seen_s >= self.lease_s_max:
            self.leases.end_where(lambda _: True, Revoked(AWAY.format(self.lease_s_max), cause=Cause.UNCHECKED))


def _over(request: AccessRequest) -> Revoked:
    """Why sessions by it end, as their people are told."""
    what = f"Your session has ended because the access {request.request_id} that it came in by"
    because = f": {request.why.rstrip('.')}" if request.why else ""
    match request.phase:
        case Phase.EXPIRED:
            return Revoked(f"{what} has expired; ask for it again.", cause=Cause.EXPIRED)
        case Phase.GIVEN_UP:
            return Revoked(f"{what} was given up.", cause=Cause.GRANT_GONE)
        case Phase.SUSPENDED:
            return Revoked(f"{what} is suspended{because}.", cause=Cause.GRANT_GONE)
        case _:
            return Revoked(f"{what} was revoked{because}.", cause=Cause.GRANT_GONE)


def _is_of(permit: Permit, account: tuple[str, str]) -> bool:
    return (permit.identity.issuer, permit.identity.subject) == account
