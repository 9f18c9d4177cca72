"""Grants what policy.toml grants for good. Knows no approvals and keeps no state."""

from pydantic import BaseModel, ConfigDict
from zope.interface import implementer, provider

from hoopproxy.access.policy import Policy
from hoopproxy.interfaces import IAddonFactory, IGrantSource, ISetting
from hoopproxy.model import Grant, Identity, Target


class Settings(BaseModel):
    """`use = "policy-grants"` takes no keys: the file is `gateway.policy`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@provider(IAddonFactory)
@implementer(IGrantSource)
class PolicyGrants:
    """The standing grants of policy.toml."""

    summary = "Grants what the [[grant]] tables of policy.toml say."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "PolicyGrants":
        """Make it."""
        return cls(name, setting.policy)

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self._policy = policy

    async def grants(self, identity: Identity, roles: frozenset[str], target: Target, at_s: float) -> tuple[Grant, ...]:
        """The standing grants for these roles and this target, in the file's order."""
        return self._policy.grants_for(roles, target.name, at_s)
