"""Grants what people have asked for and others have approved, for as long as that lasts.

Knows neither who may approve nor where it is kept: `hoopproxy.access.office` does.
"""

from pydantic import BaseModel, ConfigDict
from zope.interface import implementer, provider

from hoopproxy.access.office import Office
from hoopproxy.access.request import Phase
from hoopproxy.interfaces import IAddonFactory, IAsksOffice, IGrantSource, ISetting
from hoopproxy.model import Grant, Identity, Pending, Target


class Settings(BaseModel):
    """`use = "access-requests"` takes no keys: what may be asked for stands in policy.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@provider(IAddonFactory)
@implementer(IGrantSource, IAsksOffice)
class AccessRequests:
    """The approved requests of whoever connects."""

    summary = "Grants what people have asked for (hoopproxy access request) and others have approved."
    settings = Settings
    office: Office

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "AccessRequests":
        """Make it."""
        return cls(name)

    def __init__(self, name: str) -> None:
        self.name = name

    async def grants(
        self, identity: Identity, roles: frozenset[str], target: Target, at_s: float
    ) -> tuple[Grant, ...] | Pending:
        """Those that hold now, the last approved first; Pending while a request of this person's for it waits."""
        mine = self.office.mine(self.office.policy.people.person(identity), target)
        found = tuple(
            rule.grant(request)
            for request, rule in reversed(mine)
            if request.phase in (Phase.APPROVED, Phase.ACTIVE) and request.not_before_s <= at_s < request.not_after_s
        )
        waiting = [request for request, rule in mine if request.phase is Phase.REQUESTED and rule.does_wait]
        if found or not waiting:
            return found
        request = waiting[-1]
        name = f"'{link}'" if (link := self.office.link(request)) else request.request_id
        return Pending(
            f"Your request {request.request_id} waits to be approved; you get in as soon as it is. Somebody who may "
            f"approve it runs: hoopproxy access approve {name}",
            request.pending_until_s,
        )
