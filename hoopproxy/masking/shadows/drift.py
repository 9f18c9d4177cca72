"""What has changed in a database since masks were installed, in full sentences: what install would make otherwise now.

Compares the plan of today with what is there. Knows no query.
"""

from collections.abc import Iterator

from hoopproxy.masking.shadows.installed import leaks
from hoopproxy.masking.shadows.inventory import Inventory, Rights
from hoopproxy.masking.shadows.plan import Plan
from hoopproxy.masking.shadows.planned import PlannedSet
from hoopproxy.masking.shadows.rights import NOTHING
from hoopproxy.masks import Named


def changes(inventory: Inventory, plan: Plan) -> tuple[str, ...]:
    """All that has changed, each once; nothing where install would do nothing."""
    found: dict[str, None] = {}
    for name, one in plan.sets.items():
        if name not in inventory.installed:
            found[f"The mask set {name} ({one.mask_set.role}) is not installed."] = None
        elif name in plan.made:
            found |= dict.fromkeys(_of_set(inventory, one))
    for name in plan.dropped:
        found[f"The mask set {name} is installed, and no session can have it any more."] = None
    for one in plan.sets.values():
        found |= dict.fromkeys(leak.sentence for leak in leaks(inventory, one))
    if not found and plan.steps:
        found["Rights of PUBLIC or of roles have changed, and install would take or give some."] = None
    return tuple(found)


def _of_set(inventory: Inventory, one: PlannedSet) -> Iterator[str]:
    told = dict(_of_twins(inventory, one))
    yield from told.values()
    made = {(each.schema, each.name) for each in inventory.own.functions.values()}
    lost = [".".join(original) for original, clone in one.functions.items() if clone not in made]
    for name in lost:
        yield f"The function {name} has no clone yet: it is new, or reads masked columns now."
    held = inventory.rights.get(one.mask_set.name)
    new = False
    for oid, wanted in one.rights.items():
        relation, have = inventory.relations[oid], NOTHING if held is None else held.relations.get(oid, NOTHING)
        if (relation.schema, relation.name) not in told and (missing := _missing(wanted, have)):
            new = True
            yield (
                f"{one.mask_set.role} may {missing} {relation.schema}.{relation.name}, and masked sessions may not "
                "yet: it is new, or the right is."
            )
    if not (told or lost or new):
        yield f"Definitions or rights behind the mask set {one.mask_set.name} have changed: install makes it anew."


def _of_twins(inventory: Inventory, one: PlannedSet) -> Iterator[tuple[Named, str]]:
    there = {(each.schema, each.name): each for each in inventory.own.relations.values()}
    for original, shadowed in one.relations.items():
        name, twin = ".".join(original), there.get((shadowed.schema, shadowed.name))
        relation = inventory.relation(*original)
        if twin is None:
            yield original, f"{name} has no masked twin yet: it is new, became protected, or could not be masked."
        elif relation is not None:
            seen = {column.name for column in twin.columns}
            if new := [column.name for column in relation.columns if column.name not in seen]:
                yield original, f"{name} has the new column {', '.join(new)}, which masked sessions don't see."


def _missing(wanted: Rights, have: Rights) -> str:
    words = [
        word
        for word, lacks in (
            ("SELECT", wanted.select - have.select),
            ("INSERT", wanted.insert - have.insert),
            ("UPDATE", wanted.update - have.update),
        )
        if lacks
    ]
    return ", ".join([*words, *sorted(wanted.whole - have.whole - {"SELECT", "INSERT", "UPDATE"})])
