"""The policy of now, for everybody who asks more than once: it may change while the gateway runs.

Knows nothing of where a policy comes from, nor of what its change means to sessions.
"""

from typing import Any

from hoopproxy.access.people import People
from hoopproxy.access.policy import FieldRule, MaskRule, Policy, RegulatedRule
from hoopproxy.access.request_rule import RequestRule
from hoopproxy.model import Grant, Identity


class InForce:
    """Answers all that a `Policy` does, as the one in force has it at that moment: whoever holds this, or one of its
    questions, is never behind."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def change(self, policy: Policy) -> None:
        """From now on it is this one."""
        self.policy = policy

    def roles_of(self, identity: Identity) -> frozenset[str]:
        """See `Policy`."""
        return self.policy.roles_of(identity)

    def grants_for(self, roles: frozenset[str], target_name: str, at_s: float) -> tuple[Grant, ...]:
        """See `Policy`."""
        return self.policy.grants_for(roles, target_name, at_s)

    def masks_for(
        self,
        target_name: str,
        database: str,
        roles: frozenset[str],
        client_zones: frozenset[str],
        reveals: frozenset[str] = frozenset(),
    ) -> tuple[MaskRule, ...]:
        """See `Policy`."""
        return self.policy.masks_for(target_name, database, roles, client_zones, reveals)

    def fields_for(
        self, target_name: str, roles: frozenset[str], client_zones: frozenset[str]
    ) -> tuple[tuple[FieldRule, ...], tuple[RegulatedRule, ...]]:
        """See `Policy`."""
        return self.policy.fields_for(target_name, roles, client_zones)

    @property
    def requests(self) -> tuple[RequestRule, ...]:
        """See `Policy`."""
        return self.policy.requests

    @property
    def people(self) -> People:
        """See `Policy`."""
        return self.policy.people

    @property
    def revision(self) -> str:
        """See `Policy`."""
        return self.policy.revision

    def __getattr__(self, table: str) -> Any:
        return getattr(self.policy, table)
