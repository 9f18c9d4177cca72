"""Who decides, as a table of an addon's rule says it: `approvers = { roles = ["lead"], votes_min = 1, veto = true }`.

Knows neither what is decided nor who somebody is.
"""

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict, Field

from hoopproxy.access.request import ApprovalRule


class Approvers(BaseModel):
    """People who decide about what a rule fits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: frozenset[str] = Field(min_length=1, description="Who may vote: people with one of these roles.")
    votes_min: int = Field(default=1, ge=1, le=20, description="So many different people must be for it.")
    veto: bool = Field(default=True, description="Whether a single vote against it denies it.")
    client_zones: frozenset[str] = Field(default=frozenset(), description="Where they must sit; empty means anywhere.")

    @property
    def approval(self) -> ApprovalRule:
        """The same, as votes are counted by."""
        return ApprovalRule(self.roles, self.votes_min, self.veto, self.client_zones)

    def check(self, known: Collection[str]) -> None:
        """Whether the roles are some, by the names of those that are known. @raise ValueError: one is none."""
        if unknown := self.roles.difference(known):
            raise ValueError(f"approvers name the role {min(unknown)!r}, which policy.toml does not")
