"""policy.toml as frozen values: which groups are which roles, which roles reach what, and what they don't see.

Pure: `hoopproxy.config` parses the file into these, addons read them. Knows no identity provider and no catalog.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from hoopproxy.access.hours import Hours
from hoopproxy.access.people import People
from hoopproxy.access.request_rule import RequestRule
from hoopproxy.masks import ColumnMask
from hoopproxy.model import Assurance, Grant, Identity, SubjectKind


@dataclass(frozen=True, slots=True)
class Role:
    """A name for what people do; a person has it by being in any of `groups` (as their identity provider says)."""

    name: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class GrantRule:
    """A standing grant. `zone` is where destination, gateway and storage must lie; clients in one of `client_zones`.

    It holds in its `hours` alone (None: always), and lets do its `actions` alone (empty: all, see `Grant`).
    """

    name: str
    roles: frozenset[str]
    targets: frozenset[str]
    accounts: frozenset[str]
    zone: str
    client_zones: tuple[str, ...]
    assurance_min: Mapping[SubjectKind, Assurance]
    duration_s_max: float
    reveals: frozenset[str] = frozenset()
    hours: Hours | None = None
    actions: frozenset[str] = frozenset()

    def closes_s(self, at_s: float) -> float | None:
        """Until when whoever comes in at `at_s` may stay (POSIX time); None: it does not hold then."""
        closing_s = inf if self.hours is None else self.hours.closes_s(at_s)
        return None if closing_s is None else min(at_s + self.duration_s_max, closing_s)


@dataclass(frozen=True, slots=True)
class Reveal:
    """Who sees a column unmasked: somebody with one of `roles` who sits in one of `client_zones`."""

    roles: frozenset[str]
    client_zones: frozenset[str]


@dataclass(frozen=True, slots=True)
class MaskRule:
    """One protected column. `column` is `schema.table.column`; `databases` empty means every database of the target."""

    target: str
    databases: frozenset[str]
    column: str
    mask: ColumnMask
    reveal: tuple[Reveal, ...]

    def applies(self, roles: frozenset[str], client_zones: frozenset[str]) -> bool:
        """Whether somebody with these roles, sitting in these zones, gets the mask instead of the value."""
        return _hides(self.reveal, roles, client_zones)


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One protected field of JSON, `$.cards[*].number`, and all that lies in it. `endpoint` is a path template of the
    target (in a cluster: `GROUP/RESOURCE`), "" for any."""

    target: str
    endpoint: str
    field: str
    mask: ColumnMask
    reveal: tuple[Reveal, ...]


@dataclass(frozen=True, slots=True)
class RegulatedRule:
    """An endpoint of whose JSON only `fields` are shown, and whose other answers are refused."""

    target: str
    endpoint: str
    fields: tuple[str, ...]
    reveal: tuple[Reveal, ...]


def _hides(reveal: tuple[Reveal, ...], roles: frozenset[str], client_zones: frozenset[str]) -> bool:
    return not any(seen.roles & roles and seen.client_zones & client_zones for seen in reveal)


NOBODY_LINKED = People(())


@dataclass(frozen=True, slots=True)
class Policy:
    """All of policy.toml. `revision` is the file's SHA-256 in hex: evidence names it. `number` is what the file itself
    calls its `revision`, 0 where it does not."""

    revision: str
    roles: tuple[Role, ...]
    grants: tuple[GrantRule, ...]
    masks: tuple[MaskRule, ...]
    fields: tuple[FieldRule, ...] = ()
    regulated: tuple[RegulatedRule, ...] = ()
    requests: tuple[RequestRule, ...] = ()
    people: People = NOBODY_LINKED
    number: int = 0

    def roles_of(self, identity: Identity) -> frozenset[str]:
        """The roles that an identity's groups give it."""
        return frozenset(role.name for role in self.roles if role.groups & identity.groups)

    def grants_for(self, roles: frozenset[str], target_name: str, at_s: float) -> tuple[Grant, ...]:
        """The standing grants for these roles and this target that hold at `at_s`, in the file's order."""
        return tuple(
            Grant(
                grant_id=f"policy:{rule.name}",
                roles=rule.roles & roles,
                target_name=target_name,
                accounts=rule.accounts,
                zone=rule.zone,
                client_zones=rule.client_zones,
                assurance_min=rule.assurance_min,
                not_after_s=not_after_s,
                reveals=rule.reveals,
                actions=rule.actions,
            )
            for rule in self.grants
            if rule.roles & roles and target_name in rule.targets and (not_after_s := rule.closes_s(at_s)) is not None
        )

    def masks_for(
        self,
        target_name: str,
        database: str,
        roles: frozenset[str],
        client_zones: frozenset[str],
        reveals: frozenset[str] = frozenset(),
    ) -> tuple[MaskRule, ...]:
        """The rules that hide something from a session; its grant shows it the columns `reveals`."""
        return tuple(
            rule
            for rule in self.masks
            if rule.target == target_name
            and (not rule.databases or database in rule.databases)
            and rule.applies(roles, client_zones)
            and rule.column not in reveals
        )

    def fields_for(
        self, target_name: str, roles: frozenset[str], client_zones: frozenset[str]
    ) -> tuple[tuple[FieldRule, ...], tuple[RegulatedRule, ...]]:
        """The same for what a target answers in JSON."""
        return (
            tuple(
                rule for rule in self.fields if rule.target == target_name and _hides(rule.reveal, roles, client_zones)
            ),
            tuple(
                rule
                for rule in self.regulated
                if rule.target == target_name and _hides(rule.reveal, roles, client_zones)
            ),
        )
