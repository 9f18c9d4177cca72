"""Which mask sets the sessions of a target can have: for one session, and all that can occur.

Both come from the same rules, so that what is installed is what sessions ask for. Knows neither clients nor countries:
which zones a client may lie in at once is told.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, combinations, product

from hoopproxy.access.policy import MaskRule, Policy, Reveal
from hoopproxy.masks import ColumnMask, MaskSet
from hoopproxy.model import Target

COMBINATIONS_MAX = 4096
"""Of roles, zones and grants: beyond that nobody could say what is installed, and installing it would take hours."""


class TooManySets(ValueError):
    """The policy distinguishes more kinds of session than can be installed. The message is a full sentence."""


def set_for(rules: Iterable[MaskRule], database: str, role: str) -> MaskSet | None:
    """The mask set of a session that these rules hide something from; `role` is the account's in the database. Of two
    rules for one column the first counts. None: nothing is masked."""
    masks: dict[str, ColumnMask] = {}
    for rule in rules:
        masks.setdefault(rule.column, rule.mask)
    return MaskSet(database, role, masks) if masks else None


def sets_of(
    policy: Policy, zones: Iterable[frozenset[str]], target: Target, database: str, roles: Iterable[str]
) -> tuple[MaskSet, ...]:
    """All mask sets that sessions of a database can have, by name.

    `zones` are the sets of zones that a client may lie in, one for each country; `roles` are those in the database that
    accounts of the target stand for. @raise TooManySets
    """
    rules = [rule for rule in policy.masks if rule.target == target.name]
    reveals = [reveal for rule in rules for reveal in rule.reveal]
    names = sorted(frozenset(chain.from_iterable(reveal.roles for reveal in reveals)))
    places = _places(reveals, zones)
    shown = frozenset(
        {
            frozenset[str](),
            *(rule.reveals for rule in policy.grants if target.name in rule.targets),
            *(rule.reveals for rule in policy.requests if target.name in rule.targets),
        }
    )
    count = 2 ** len(names) * len(places) * len(shown)
    if count > COMBINATIONS_MAX:
        raise TooManySets(
            f"The masks of {target.name} can be combined in {count} ways by {len(names)} roles, {len(places)} kinds of "
            f"place and {len(shown)} kinds of grant, and no more than {COMBINATIONS_MAX} can be installed; name fewer "
            "roles and zones in reveal, or fewer columns in reveals."
        )
    found: dict[str, MaskSet] = {}
    for some, place, revealed in product(_subsets(names), places, shown):
        hiding = policy.masks_for(target.name, database, frozenset(some), place, revealed)
        for role in roles:
            if (one := set_for(hiding, database, role)) is not None:
                found[one.name] = one
    return tuple(found[name] for name in sorted(found))


def _places(reveals: Iterable[Reveal], zones: Iterable[frozenset[str]]) -> frozenset[frozenset[str]]:
    """The sets of zones that make a difference. Whoever may be in any of several countries lies in the zones that they
    share, and whoever is nowhere known in none."""
    named = frozenset(chain.from_iterable(reveal.client_zones for reveal in reveals))
    countries = {each & named for each in zones}
    found = {frozenset[str](), *countries}
    todo = list(found)
    while todo and len(found) <= COMBINATIONS_MAX:
        place = todo.pop()
        shared = {place & each for each in countries} - found
        found |= shared
        todo += shared
    return frozenset(found)


def _subsets(names: list[str]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))


def databases_of(policy: Policy, target: Target) -> tuple[str, ...]:
    """The databases of a target in which something is masked for somebody."""
    masked = [rule for rule in policy.masks if rule.target == target.name]
    return tuple(
        sorted(
            database
            for database in target.databases
            if any(not rule.databases or database in rule.databases for rule in masked)
        )
    )
