"""Masks columns by where they come from, as the [[mask]] tables of policy.toml say.

Knows no type and no statement: a column is named by its origin alone, and who sees it is the policy's word.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict
from zope.interface import implementer, provider

from hoopproxy.access.policy import MaskRule, Policy
from hoopproxy.events import Shape
from hoopproxy.interfaces import IAddonFactory, IMasker, ISetting
from hoopproxy.masks import Mask
from hoopproxy.model import Passage, Permit


class Settings(BaseModel):
    """`use = "column-masks"` takes no keys: the rules stand in policy.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@provider(IAddonFactory)
@implementer(IMasker)
class ColumnMasks:
    """The mask rules of policy.toml."""

    summary = "Masks the columns that the [[mask]] tables of policy.toml name."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "ColumnMasks":
        """Make it."""
        return cls(name, setting.policy)

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self._policy = policy

    async def protects(self, permit: Permit) -> frozenset[str]:
        """The columns that the policy hides from this session."""
        return frozenset(rule.column for rule in self._rules(permit))

    async def plan(self, passage: Passage, shape: Shape) -> Mapping[int, Mask]:
        """The masks of those fields that come from such a column; of two rules for one column the first counts."""
        masks: dict[str, Mask] = {}
        for rule in self._rules(passage.permit):
            masks.setdefault(rule.column, rule.mask)
        return {index: masks[field.path] for index, field in enumerate(shape.fields) if field.path in masks}

    def _rules(self, permit: Permit) -> list[MaskRule]:
        if permit.target.masks is not None:
            return []  # it keeps them itself
        # Where nobody named a database the target picks one, so the rules of all of them count.
        every = {"", *(each for rule in self._policy.masks for each in rule.databases)}
        return [
            rule
            for database in ([permit.database] if permit.database else sorted(every))
            for rule in self._policy.masks_for(
                permit.target.name, database, permit.roles, permit.client_zones, permit.grant.reveals
            )
        ]
