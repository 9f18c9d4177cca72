"""Whom a rule of an addon binds: the three keys that all such tables have.

Knows neither what a rule says nor which addon reads it.
"""

from collections.abc import Collection

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hoopproxy.model import Permit


def filled_with(*names: str) -> AfterValidator:
    """What checks a rule's sentence: it may hold these names in braces, and no others."""
    *first, last = (f"{{{name}}}" for name in names)
    holds = f"{', '.join(first)} and {last}"

    def check(template: str) -> str:
        try:
            template.format(**dict.fromkeys(names, ""))
        except (LookupError, ValueError) as why:
            raise ValueError(f"a sentence may hold {holds} and no other braces") from why
        return template

    return AfterValidator(check)


class Binding(BaseModel):
    """The base of an addon's rules. Without any of these keys a rule binds everybody, everywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: frozenset[str] = Field(default=frozenset(), description="Names of targets; empty means all.")
    roles: frozenset[str] = Field(default=frozenset(), description="Whom the rule binds; empty means everybody.")
    except_roles: frozenset[str] = Field(default=frozenset(), description="Whom the rule does not bind.")

    def check(self, known: Collection[str]) -> None:
        """Whether its targets are some, by the names of those that are known. @raise ValueError: one is none."""
        if unknown := self.targets.difference(known):
            raise ValueError(f"a rule names the target {min(unknown)!r}, which targets.toml does not")

    def binds(self, permit: Permit) -> bool:
        """Whether the rule holds in this session."""
        return self.holds(permit.target.name, permit.roles)

    def holds(self, target_name: str, roles: frozenset[str]) -> bool:
        """Whether the rule holds for whoever has these roles, on that target."""
        return (
            (not self.targets or target_name in self.targets)
            and (not self.roles or bool(self.roles & roles))
            and not self.except_roles & roles
        )
