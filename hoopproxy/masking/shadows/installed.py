"""What stands of a mask set in a database: from the plan of the set and what is really there, the `Shadow` of sessions.

What was planned and is not there is withheld. Knows no query.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from hoopproxy.masking.shadows.clones import fresh_path
from hoopproxy.masking.shadows.fates import Fate
from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.inventory import Inventory, Relation, Rights
from hoopproxy.masking.shadows.kept import Kept
from hoopproxy.masking.shadows.naming import set_of_schema
from hoopproxy.masking.shadows.planned import PlannedSet
from hoopproxy.masking.shadows.rights import NOTHING, beyond
from hoopproxy.masks import Named, Origin, Shadow, Shadowed


def shadow(inventory: Inventory, one: PlannedSet) -> Shadow:
    """What a session of the set finds. Temporary relations of sessions are not in it."""
    there = {(each.schema, each.name): each for each in inventory.own.relations.values()}
    functions = {(each.schema, each.name) for each in inventory.own.functions.values()}
    relations: dict[Named, Shadowed] = {}
    withheld = dict(one.withheld)
    origins: dict[int, Origin] = {}
    for original, shadowed in one.relations.items():
        found = there.get((shadowed.schema, shadowed.name))
        if found is None:
            if original[0] in inventory.schemas:  # else an original serves that shows less
                withheld[original] = _missing(original)
            continue
        columns = tuple(column.name for column in found.columns)
        relations[original] = replace(shadowed, columns=columns)
        source = inventory.relation(*original)
        if source is not None:
            origins[found.oid] = _origin(found, source)
    clones = {original: twin for original, twin in one.functions.items() if twin in functions}
    withheld |= {original: _missing(original) for original in one.functions.keys() - clones.keys()}
    return Shadow(
        mask_set=one.mask_set.name,
        path=fresh_path(inventory, one.mask_set.role),
        bearers=_bearers(inventory, {name for _, name in {*relations, *withheld, *one.silenced}}),
        calls=_calls(inventory, {name for _, name in {*clones, *withheld}}),
        relations=relations,
        functions=clones,
        withheld=withheld,
        origins=origins,
        tripwire={oid: frozenset(numbers) for oid, numbers in one.protected.items()},
        silenced=one.silenced,
    )


def leaks(inventory: Inventory, one: PlannedSet) -> Iterator[Finding]:
    """What the group role can really do and must not, whoever let it: then masks don't hold.

    PostgreSQL's own answers are compared (`has_column_privilege` and its like); nothing that was planned is believed.
    """
    rights, most = inventory.rights.get(one.mask_set.name), inventory.rights.get(one.mask_set.role)
    if rights is None or most is None:
        return
    twins = {(each.schema, each.name): original for original, each in one.relations.items()}
    for oid, held in rights.relations.items():
        if (relation := inventory.relations.get(oid)) is not None:
            for column in sorted(held.select & _hidden(relation, one)):
                yield _leak(one, "read", f"{relation.schema}.{relation.name}.{column}")
            if more := beyond(held, most.relations.get(oid, NOTHING)):
                yield _more(one, more, relation)
            elif more := beyond(replace(held, select=frozenset()), one.bounds.get(oid, NOTHING)):
                yield _telling(one, more, relation)
        elif (twin := inventory.own.relations.get(oid)) is not None and held.select:
            original = inventory.relation(*twins.get((twin.schema, twin.name), ("", "")))
            if set_of_schema(twin.schema) != one.mask_set.name:
                yield _leak(one, "read", f"{twin.schema}.{twin.name}")
            elif original is not None and (more := beyond(held, most.relations.get(original.oid, NOTHING))):
                yield _more(one, more, original)
            elif original is not None:
                written = Rights(insert=held.insert, update=held.update, whole=held.whole - {"SELECT"})
                if more := beyond(written, one.bounds.get(original.oid, NOTHING)):
                    yield _telling(one, more, original)
    kept = Kept(inventory, one.closure.role, one.closure.relations, one.closure.functions)
    for oid in sorted(rights.functions & inventory.functions.keys()):
        function = inventory.functions[oid]
        if kept.keeps(function) or oid not in most.functions:
            yield _leak(one, "call", f"{function.schema}.{function.signature}")


def _more(one: PlannedSet, word: str, relation: Relation) -> Finding:
    name = f"{relation.schema}.{relation.name}"
    return Finding(
        Severity.RED,
        f"beyond-account {name}",
        f"Masked sessions ({one.mask_set.name}) may {word} {name}, and their account {one.mask_set.role} may not; "
        "install the masks again, which takes it away.",
    )


def _telling(one: PlannedSet, word: str, relation: Relation) -> Finding:
    name = f"{relation.schema}.{relation.name}"
    return Finding(
        Severity.RED,
        f"telling {name}",
        f"Masked sessions ({one.mask_set.name}) may {word} {name}, which could tell masked values by now: look at new "
        "triggers, constraints and grants there, and install the masks again, which takes it away.",
    )


def _hidden(relation: Relation, one: PlannedSet) -> frozenset[str]:
    match one.closure.relations[relation.oid].fate:
        case Fate.CLEAN:
            return frozenset()
        case Fate.MASKED:
            numbers = one.protected[relation.oid]
            return frozenset(column.name for column in relation.columns if column.number in numbers)
        case _:
            return frozenset(column.name for column in relation.columns)


def _leak(one: PlannedSet, does: str, name: str) -> Finding:
    return Finding(
        Severity.RED,
        f"reachable {name}",
        f"Masked sessions ({one.mask_set.name}) can {does} {name} itself, so masks would not hold: look who granted "
        "them that, or PUBLIC, since the masks were installed, and install them again.",
    )


def _missing(original: Named) -> str:
    return (
        f"{'.'.join(original)} can't be used in this session, because its masked twin could not be made when the masks "
        "were installed; tell the operator of the gateway."
    )


def _origin(twin: Relation, source: Relation) -> Origin:
    numbers = {column.name: column.number for column in source.columns}
    return Origin(
        source.oid, {column.number: numbers[column.name] for column in twin.columns if column.name in numbers}
    )


def _bearers(inventory: Inventory, names: set[str]) -> Mapping[str, frozenset[str]]:
    found = defaultdict[str, set[str]](set)
    for relation in inventory.relations.values():
        found[relation.name].add(relation.schema)
    for name in inventory.information_views:
        found[name].add("information_schema")
    for name in inventory.system_relations:
        found[name].add("pg_catalog")
    return {name: frozenset(found[name]) for name in names}


def _calls(inventory: Inventory, names: set[str]) -> Mapping[str, frozenset[str]]:
    found = defaultdict[str, set[str]](set)
    for function in inventory.functions.values():
        found[function.name].add(function.schema)
    for name in inventory.system_functions:
        found[name].add("pg_catalog")
    return {name: frozenset(found[name]) for name in names}
