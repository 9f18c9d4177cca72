"""What one policy lets people do that another does not: in words for whoever decides about it, and for live sessions.

Pure. Knows neither which of the two is in force nor how a session is ended.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from hoopproxy.access.hours import DAYS, Hours
from hoopproxy.access.policy import FieldRule, GrantRule, MaskRule, Policy, RegulatedRule, Reveal, Role
from hoopproxy.access.request_rule import RequestRule
from hoopproxy.model import Assurance, Permit, SubjectKind

ADDED, REMOVED, WIDER, NARROWER, CHANGED = "added", "removed", "wider", "narrower", "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One rule that is another than before. `effect` is one of the five words above: a wider one lets people do or see
    more, and a changed one is neither. `who` are the roles that it concerns, `details` say in words what of it changed.
    """

    rule: str
    name: str
    effect: str
    who: tuple[str, ...]
    details: tuple[str, ...] = ()


type _Difference = tuple[str, str]
"""Its effect, and words."""


def changes(old: Policy, new: Policy) -> tuple[Change, ...]:
    """All differences: roles, grants, requests, links, masks, in this order and by name."""
    return (
        *_differing("role", _by_name(old.roles), _by_name(new.roles), lambda role: (role.name,), _role),
        *_differing("grant", _by_name(old.grants), _by_name(new.grants), _roles, _grant),
        *_differing("request", _by_name(old.requests), _by_name(new.requests), _roles, _request),
        *_differing("link", _links(old), _links(new), lambda _: (), _link, said=_ONE_PERSON),
        *_differing("mask", _masks(old), _masks(new), lambda _: (), _mask, said=_HIDING),
    )


def ends(permit: Permit, old: Policy, new: Policy, now_s: float) -> str:
    """Why a live session can't go on when the new policy takes the old one's place, in the words behind "because"; ""
    when it can. What it gains comes with the next one. A grant that is not the policy's own is its source's matter.
    """
    if lost := permit.roles - new.roles_of(permit.identity):
        return f"your groups no longer give you the role {_listed(lost)}"
    if permit.grant.grant_id.startswith("policy:"):
        name = permit.grant.grant_id.removeprefix("policy:")
        before = next((rule for rule in old.grants if rule.name == name), None)
        after = next((rule for rule in new.grants if rule.name == name), None)
        if after is None:
            return "the grant that it came in by is gone"
        if before is not None and before != after and _is_less(permit, before, after, now_s):
            return "the grant that it came in by allows less"
    if _hidden(permit, old) != _hidden(permit, new):
        return "other things are hidden from you"
    return ""


def _is_less(permit: Permit, before: GrantRule, after: GrantRule, now_s: float) -> bool:
    """Whether a session would have less by a grant that was rewritten, or would not have got in."""
    closes_s = None if after.hours is None else after.hours.closes_s(now_s)
    return (
        not after.roles & permit.roles
        or permit.target.name not in after.targets
        or permit.account not in after.accounts
        or permit.grant.zone != after.zone
        or not permit.client_zones & frozenset(after.client_zones)
        or any(each.achieved < after.assurance_min.get(each.subject, Assurance.DECLARED) for each in permit.verdicts)
        or after.duration_s_max < before.duration_s_max
        or (after.hours is not None and (closes_s is None or closes_s < permit.not_after_s))
        or bool(permit.grant.reveals - after.reveals)
        or is_fewer(after.actions, permit.grant.actions)
    )


def is_fewer(actions: frozenset[str], than: frozenset[str]) -> bool:
    """Whether a grant's actions leave out some that another's have; none means all."""
    return bool(actions) and (not than or bool(than - actions))


def _hidden(permit: Permit, policy: Policy) -> tuple[object, ...]:
    """What a session does not see: in its database, or in any where the target picks one."""
    place, who = permit.target.name, (permit.roles, permit.client_zones)
    every = {"", *(each for rule in policy.masks for each in rule.databases)}
    columns = {
        (rule.column, rule.mask)
        for database in ({permit.database} if permit.database else every)
        for rule in policy.masks_for(place, database, *who, permit.grant.reveals)
    }
    masked, regulated = policy.fields_for(place, *who)
    documents = [(each.endpoint, each.field, each.mask) for each in masked]
    return columns, documents, [(each.endpoint, each.fields) for each in regulated]


# In words -------------------------------------------------------------------------------------------------------------


_HIDING = MappingProxyType({ADDED: ("it hides more",), REMOVED: ("it hides no more",)})
_ONE_PERSON = MappingProxyType({ADDED: ("they are one person now",), REMOVED: ("they are several people now",)})


def _differing(
    kind: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    who: Any,
    differences: Any,
    *,
    said: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Iterator[Change]:
    """`said` are words for what comes and goes: a mask that is added hides more, where a grant gives more."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            effect = ADDED if before is None else REMOVED
            yield Change(kind, name, effect, who(after or before), said.get(effect, ()))
        elif before != after:
            found: list[_Difference] = list(differences(before, after))
            effects = {effect for effect, _ in found}
            effect = next(iter(effects)) if len(effects) == 1 else CHANGED
            people = tuple(sorted({*who(before), *who(after)}))
            yield Change(kind, name, effect, people, tuple(words for _, words in found))


def _by_name(rules: Iterable[Any]) -> dict[str, Any]:
    return {rule.name: rule for rule in rules}


def _roles(rule: Any) -> tuple[str, ...]:
    return tuple(sorted(rule.roles))


def _role(old: Role, new: Role) -> Iterator[_Difference]:
    yield from _sets("groups", old.groups, new.groups)


def _grant(old: GrantRule, new: GrantRule) -> Iterator[_Difference]:
    yield from _reach(old, new)
    if old.actions != new.actions:
        fewer, more = is_fewer(new.actions, old.actions), is_fewer(old.actions, new.actions)
        effect = CHANGED if fewer and more else _compared(more)
        yield effect, f"actions {_listed(old.actions) or 'all'} → {_listed(new.actions) or 'all'}"
    if old.hours != new.hours:
        effect = WIDER if new.hours is None else NARROWER if old.hours is None else CHANGED
        yield effect, f"hours {in_words(old.hours)} → {in_words(new.hours)}"


_REACH = ("roles", "targets", "accounts", "client_zones", "reveals")


def _reach(old: GrantRule | RequestRule, new: GrantRule | RequestRule) -> Iterator[_Difference]:
    """What a grant and a request have in common."""
    for name in _REACH:
        yield from _sets(name, getattr(old, name), getattr(new, name))
    if old.zone != new.zone:
        yield CHANGED, f"zone {old.zone} → {new.zone}"
    for kind in SubjectKind:
        before, after = (rule.assurance_min.get(kind, Assurance.DECLARED) for rule in (old, new))
        if before != after:
            yield _compared(after < before), f"assurance_min.{kind.value} {before.name.lower()} → {after.name.lower()}"
    if old.duration_s_max != new.duration_s_max:
        longer = new.duration_s_max > old.duration_s_max
        yield _compared(longer), f"duration_s_max {old.duration_s_max:g} → {new.duration_s_max:g}"


def _request(old: RequestRule, new: RequestRule) -> Iterator[_Difference]:
    """Fewer votes are more for whoever asks, and so are more people who may cast them."""
    yield from _reach(old, new)
    before, after = old.approval, new.approval
    yield from _sets("approvers.roles", before.roles, after.roles)
    if before.votes_min != after.votes_min:
        yield (
            _compared(after.votes_min < before.votes_min),
            f"approvers.votes_min {before.votes_min} → {after.votes_min}",
        )
    if (before.has_veto, before.client_zones) != (after.has_veto, after.client_zones):
        yield CHANGED, "approvers have another veto, or must sit elsewhere"
    told = {*_REACH, "zone", "assurance_min", "duration_s_max", "approval"}
    for each in fields(old):
        if each.name not in told and getattr(old, each.name) != getattr(new, each.name):
            yield CHANGED, f"{each.name} {getattr(old, each.name)} → {getattr(new, each.name)}"


def _links(policy: Policy) -> dict[str, frozenset[tuple[str, str]]]:
    """The accounts of people who have several, by the first."""
    return {" ".join(min(accounts)): accounts for accounts in policy.people.linked}


def _link(old: frozenset[tuple[str, str]], new: frozenset[tuple[str, str]]) -> Iterator[_Difference]:
    """Who is one person more may decide less about themselves."""
    for effect, names in ((WIDER, old - new), (NARROWER, new - old)):
        if names:
            yield effect, f"{'without' if effect == WIDER else 'with'} {_listed(map(' '.join, names))}"


def _masks(policy: Policy) -> dict[str, tuple[Any, ...]]:
    """All rules about one column or field of a target, by a name that says so."""
    found: dict[str, tuple[Any, ...]] = {}
    rules: tuple[MaskRule | FieldRule | RegulatedRule, ...] = (*policy.masks, *policy.fields, *policy.regulated)
    for rule in rules:
        if isinstance(rule, MaskRule):
            name = f"{rule.target} {rule.column}"
        else:
            name = " ".join(filter(None, (rule.target, rule.endpoint, getattr(rule, "field", ""))))
        found[name] = (*found.get(name, ()), rule)
    return found


def _mask(old: tuple[Any, ...], new: tuple[Any, ...]) -> Iterator[_Difference]:
    before, after = (frozenset(_seen(rule.reveal) for rule in rules) for rules in (old, new))
    if before != after:
        seen, sees = (frozenset(each for every in one for each in every) for one in (before, after))
        for gone in sorted(seen - sees):
            yield NARROWER, f"no more revealed to {gone}"
        for come in sorted(sees - seen):
            yield WIDER, f"revealed to {come}"
    if [_without_reveal(rule) for rule in old] != [_without_reveal(rule) for rule in new]:
        yield CHANGED, "another mask, or in other databases"


def _seen(reveal: tuple[Reveal, ...]) -> frozenset[str]:
    return frozenset(
        f"{role} in {zone}" for each in reveal for role in sorted(each.roles) for zone in sorted(each.client_zones)
    )


def _without_reveal(rule: Any) -> tuple[object, ...]:
    return tuple(getattr(rule, each.name) for each in fields(rule) if each.name != "reveal")


def _sets(name: str, old: Collection[str], new: Collection[str]) -> Iterator[_Difference]:
    if gone := frozenset(old) - frozenset(new):
        yield NARROWER, f"{name} without {_listed(gone)}"
    if come := frozenset(new) - frozenset(old):
        yield WIDER, f"{name} with {_listed(come)}"


def _compared(is_more: bool) -> str:
    return WIDER if is_more else NARROWER


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def in_words(hours: Hours | None) -> str:
    """Weekly hours as people say them."""
    if hours is None:
        return "always"
    spans = (
        f"{','.join(DAYS[day] for day in sorted(span.days))} {span.start:%H:%M}-{span.end:%H:%M}"
        for span in hours.spans
    )
    return f"{'; '.join(spans)} ({hours.zone.key})"
