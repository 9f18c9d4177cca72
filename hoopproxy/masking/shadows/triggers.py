"""Whether a trigger keeps to itself what it sees: it fires for masked sessions too, and is given whole rows.

So do functions in CHECKs, in expressions of indexes and generated columns, and in conditions of triggers: the server
computes these with the values of each row that is written. PostgreSQL asks nobody for the right to execute a function
that a trigger calls. Knows no right on tables.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from hoopproxy.masking.shadows.catalog_values import is_named, trees_of
from hoopproxy.masking.shadows.fates import Closure, Fate
from hoopproxy.masking.shadows.inventory import PUBLIC, Inventory, Relation, Trigger
from hoopproxy.masking.shadows.protection import Family, Protected
from hoopproxy.masking.shadows.texts import path_of, read
from hoopproxy.masking.shadows.uses import uses
from hoopproxy.masking.syntax import Node, fold

_CONDITION = "trigger's condition"

EXPRESSION = -1
"""In the place of a trigger's function: what is loud is an expression, which `what` names by its kind."""

_VERBS = {"INSERT": 1 << 2, "DELETE": 1 << 3, "UPDATE": 1 << 4}
"""What changes rows, and its bit among a trigger's events (pg_trigger.h)."""

type Silenced = Mapping[int, frozenset[str]]
"""OIDs of relations to what a session may not do to their rows: INSERT, UPDATE, DELETE."""

type _Change = tuple[int, str]

QUIET = frozenset({"moddatetime", "autoinc", "insert_username", "check_primary_key", "check_foreign_key", "lo_manage"})
"""Functions of extensions for triggers that set columns or look keys up, and tell nobody (manual, "spi", "lo")."""


def silenced(inventory: Inventory, closure: Closure, columns: Protected, accepted: frozenset[str]) -> Silenced:
    """What masked sessions may not do to rows: a trigger would fire that can't be proved quiet.

    It may be one of a relation's own, of its family's, as rows go where they belong, or of what refers to it, as
    changes cascade. `accepted` are findings by name.
    """
    family = Family(inventory)
    reaching = defaultdict[_Change, set[_Change]](set)  # what may change rows in turn
    found = set[_Change]()
    for oid, relation in inventory.relations.items():
        for trigger in loud(inventory, closure, relation, columns):
            if finding_name(relation, trigger) not in accepted:
                found |= {(oid, verb) for verb in _verbs(trigger)}
        for other in family.of(relation):
            for verb in _VERBS:
                reaching[other.oid, verb] |= {(oid, verb), (oid, "UPDATE")}  # which may move a row to another partition
        for other_oid, there, here in relation.cascades:
            reaching[oid, here].add((other_oid, there))
    todo = list(found)
    while todo:
        new = reaching[todo.pop()] - found
        found |= new
        todo += new
    return {oid: frozenset(verb for each, verb in found if each == oid) for oid in {oid for oid, _ in found}}


def _verbs(trigger: Trigger) -> Iterable[str]:
    """What sets off a trigger; expressions are computed for rows that come in."""
    if trigger.function == EXPRESSION and trigger.what != _CONDITION:
        return ("INSERT", "UPDATE")
    made = read(trigger.definition) if trigger.definition else None
    events = made[0].get("CreateTrigStmt", {}).get("events", 0) if made else 0
    return [verb for verb, bit in _VERBS.items() if bit & events] or _VERBS


def finding_name(relation: Relation, trigger: Trigger) -> str:
    """What `accept` calls a trigger that can't be proved quiet."""
    return f"trigger {relation.schema}.{relation.name}.{trigger.what}"


def loud(inventory: Inventory, closure: Closure, relation: Relation, columns: Protected) -> Iterator[Trigger]:
    """The triggers and expressions of `relation` that can't be proved quiet."""
    numbers = columns.get(relation.oid, {})
    hidden = frozenset(fold(each.name) for each in relation.columns if each.number in numbers)
    for trigger in relation.triggers:
        if trigger.function and not _is_quiet(inventory, closure, trigger, hidden):
            yield trigger
    shown = [column.name for column in relation.columns if column.number in numbers]
    for kind in dict.fromkeys(_unproven(inventory, closure, relation, shown)):
        yield Trigger(kind, "", EXPRESSION)


def is_quiet_everywhere(inventory: Inventory, closure: Closure, function: int) -> bool:
    """Whether an event trigger's function tells nothing that its caller may not see."""
    found = inventory.functions.get(function)
    return found is None or not found.is_definer or _tells_nothing(inventory, closure, function)


def _is_quiet(inventory: Inventory, closure: Closure, trigger: Trigger, hidden: frozenset[str]) -> bool:
    function = inventory.functions.get(trigger.function)
    if function is None:  # PostgreSQL's own: tsvector_update_trigger copies the columns that it is told
        return not any(name in trigger.definition.lower() for name in hidden)
    if function.extension and function.language == "c":
        return not hidden or function.name in QUIET
    if not function.is_definer and not hidden:
        return True  # what it sees and reads is its session's to see
    used = closure.texts.functions.get(function.oid)
    if used is None or not _tells_nothing(inventory, closure, function.oid):
        return False
    return not hidden or (used.row is not None and used.row.isdisjoint(hidden))


def _tells_nothing(inventory: Inventory, closure: Closure, function: int) -> bool:
    """Whether its text reads nothing protected and says nothing of what it reads. With its owner's rights so must all
    that its writing sets off."""
    is_owners = inventory.functions[function].is_definer
    seen, todo = set[int](), [function]
    while todo:
        each = todo.pop()
        if each in seen or each not in inventory.functions:  # PostgreSQL's own: foreign keys, or columns copied
            continue
        seen.add(each)
        if not _is_discreet(closure, each) or (is_owners and not _is_own(inventory, closure, each)):
            return False
        used = closure.texts.functions[each]
        for relation in _written(inventory, used.columns) if is_owners and used.is_written else ():
            if closure.relations[relation.oid].fate >= Fate.MASKED and relation.triggers:
                return False
            if any(_unproven(inventory, closure, relation, None)):
                return False
            todo += (trigger.function for trigger in relation.triggers if trigger.function)
    return True


def _is_discreet(closure: Closure, function: int) -> bool:
    used = closure.texts.functions.get(function)
    return (
        used is not None
        and not used.problem
        and not used.is_telling
        and function not in closure.texts.talking
        and not any(closure.relations[oid].fate >= Fate.MASKED for oid in used.columns)
        and all(closure.functions[oid].fate is Fate.CLEAN for oid in used.functions)
    )


def _is_own(inventory: Inventory, closure: Closure, function: int) -> bool:
    """Whether no session can have other things stand for what its text names: temporary relations, whose triggers are
    the session's, or functions in a schema where everybody may make some."""
    used = closure.texts.functions[function]
    path = path_of(inventory.functions[function])
    is_open = any(
        PUBLIC in schema.create and (path is None or name in path) for name, schema in inventory.schemas.items()
    )
    called = closure.texts.called(used, inventory)
    return not used.is_loose and not is_open and all(closure.functions[oid].fate is Fate.CLEAN for oid in called)


def _written(inventory: Inventory, named: Iterable[int]) -> Iterator[Relation]:
    """All relations whose rows may change when rows of the named ones do: their families, and what refers to them."""
    family = Family(inventory)
    referring = defaultdict[int, list[int]](list)
    for relation in inventory.relations.values():
        for _, oid, _ in relation.references:
            referring[oid].append(relation.oid)
    seen, todo = set[int](), list(named)
    while todo:
        oid = todo.pop()
        if oid not in seen:
            seen.add(oid)
            todo += referring[oid]
            todo += (each.oid for each in family.of(inventory.relations[oid]))
            yield inventory.relations[oid]


# Expressions ---------------------------------------------------------------------------------------------------------


def _unproven(inventory: Inventory, closure: Closure, relation: Relation, names: list[str] | None) -> Iterator[str]:
    """The kinds of expressions that name one of these columns (None: any) and call what can't be proved quiet."""
    for kind, trees in _expressions(relation):
        if trees is None:  # nobody knows what it calls
            yield kind
        elif names is None or any(is_named(trees, name) for name in names):
            used = uses(trees, closure.texts.names, ())
            behind = inventory.surroundings.operators
            for oids in (used.functions, *(behind.get(each, ()) for each in used.operators)):
                for oid in oids:
                    function = inventory.functions.get(oid)
                    if function and not function.extension and closure.functions[oid].fate is not Fate.CLEAN:
                        yield kind


def _expressions(relation: Relation) -> Iterator[tuple[str, tuple[Node, ...] | None]]:
    """What the server computes for each row that is written, by its kind; None: it can't be read."""
    for kind, text in relation.facts:
        yield kind, trees_of(kind, text)
    for column in relation.columns:
        if column.is_generated:
            yield "generated column", read(f"SELECT {column.default}")
    for trigger in relation.triggers:
        if trigger.function and " WHEN (" in trigger.definition:
            made = read(trigger.definition)
            when = made and made[0].get("CreateTrigStmt", {}).get("whenClause")
            yield _CONDITION, (when,) if when else None
