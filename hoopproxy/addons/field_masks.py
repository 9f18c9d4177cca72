"""Masks fields of JSON by where they stand, as the [[mask]] and [[regulated]] tables of policy.toml say.

Knows no type and no request: a field is named by its endpoint and path alone, and who sees it is the policy's word.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict
from zope.interface import implementer, provider

from hoopproxy.access.policy import Policy
from hoopproxy.events import Shape
from hoopproxy.interfaces import IAddonFactory, IMasker, ISetting
from hoopproxy.masking.fields import ANY, covers, lists
from hoopproxy.masks import Mask, Redact
from hoopproxy.model import Passage, Permit


class Settings(BaseModel):
    """`use = "field-masks"` takes no keys: the rules stand in policy.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@provider(IAddonFactory)
@implementer(IMasker)
class FieldMasks:
    """The field rules of policy.toml."""

    summary = "Masks the fields of JSON that the [[mask]] and [[regulated]] tables of policy.toml name."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "FieldMasks":
        """Make it."""
        return cls(name, setting.policy)

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self._policy = policy

    async def protects(self, permit: Permit) -> frozenset[str]:
        """The fields that the policy hides from this session; `ENDPOINT *` where it shows only what is listed."""
        masks, listed = self._rules(permit)
        return frozenset((*masks, *(f"{endpoint} {ANY}" for endpoint in listed)))

    async def plan(self, passage: Passage, shape: Shape) -> Mapping[int, Mask]:
        """The masks of those fields that a rule covers, the first rule's each; and of those that a list leaves out."""
        masks, listed = self._rules(passage.permit)
        plan: dict[int, Mask] = {}
        for index, field in enumerate(shape.fields):
            endpoint, blank, _ = field.path.partition(" ")
            covering = (mask for rule, mask in masks.items() if blank and covers(rule, field.path))
            if mask := next(covering, None):
                plan[index] = mask
            elif endpoint in listed and not any(lists(rule, field.path) for rule in listed[endpoint]):
                plan[index] = Redact()
        return plan

    def _rules(self, permit: Permit) -> tuple[Mapping[str, Mask], Mapping[str, list[str]]]:
        """Masks by what they protect, and lists by endpoint."""
        fields, regulated = self._policy.fields_for(permit.target.name, permit.roles, permit.client_zones)
        masks: dict[str, Mask] = {}
        for rule in fields:
            masks.setdefault(f"{rule.endpoint or ANY} {rule.field}", rule.mask)
        return masks, {each.endpoint: [f"{each.endpoint} {field}" for field in each.fields] for each in regulated}
