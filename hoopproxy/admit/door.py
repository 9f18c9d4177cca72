"""The last question before a session comes in: does what people have decided still let it?

Asks the office, which asks the journal. Knows no store and no policy of its own.
"""

from dataclasses import dataclass

from hoopproxy.access.journal import StoreUnavailable
from hoopproxy.access.office import Office
from hoopproxy.access.request import NotPossible
from hoopproxy.access.request_rule import request_id
from hoopproxy.access.steps import account_key
from hoopproxy.errors import Refused
from hoopproxy.model import Permit
from hoopproxy.rooms import IScheduler
from hoopproxy.settings import Limits

FRESH_S_MAX = 1.0
"""How old the last look into the journal may be when somebody comes in; the follower looks more often."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where sessions come in."""

    office: Office
    limits: Limits
    scheduler: IScheduler

    async def enter(self, permit: Permit) -> None:
        """Let a session in, and count it; kept when this returns.

        @raise Refused: nobody may come in with this account, or not by this grant. @raise StoreUnavailable
        """
        try:
            await self.scheduler.within(self.limits.decision_s_max, self._enter(permit))
        except TimeoutError as why:
            raise StoreUnavailable(
                f"no answer within {self.limits.decision_s_max:g} s (limits.decision_s_max)"
            ) from why

    async def _enter(self, permit: Permit) -> None:
        office, identity = self.office, permit.identity
        if office.seen_s is None or self.scheduler.monotonic_s() - office.seen_s > FRESH_S_MAX:
            await office.catch_up()
        account = office.register.account(account_key(identity.issuer, identity.subject))
        if account.is_disabled:
            raise Refused(disabled(account.why), reason="credentials", detail=f"{account.key} is disabled")
        person = office.policy.people.person(identity)
        if (request := office.overdue(person)) is not None:
            raise Refused(
                f"Your emergency access {request.request_id} was not reviewed in time, and until it is you get in "
                f"nowhere; ask somebody who may to run: hoopproxy access review {request.request_id}",
                reason="grant",
            )
        if (asked := request_id(permit.grant.grant_id)) is not None:
            try:
                await office.use(asked, permit.session_id, person, permit.target)
            except NotPossible as why:
                raise Refused(str(why), reason="grant", detail=f"request {asked}") from why


def disabled(why: str) -> str:
    """What somebody is told whose account does not count."""
    return f"Your account is disabled at this gateway: {why.rstrip('.')}. Ask its operator."
