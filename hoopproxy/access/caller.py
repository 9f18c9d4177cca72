"""Who takes a step: a verified person in their roles and place, or the operator of the gateway.

Knows neither how they were verified nor what they want.
"""

from dataclasses import dataclass

from hoopproxy.access.steps import Approver, account_key
from hoopproxy.model import Identity


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks or decides. `person` covers all accounts of a human being (`access.people`)."""

    identity: Identity
    person: str
    roles: frozenset[str]
    client_zones: frozenset[str]
    is_administrator: bool = False

    @property
    def approver(self) -> Approver:
        """The same as one who votes."""
        return Approver(self.person, self.roles, self.client_zones)

    @property
    def account(self) -> str:
        """The key of the account's own history."""
        return account_key(self.identity.issuer, self.identity.subject)
