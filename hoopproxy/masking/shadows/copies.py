"""Unprotected columns that hold protected values by what the catalog says: foreign keys, and columns that triggers of
PostgreSQL's own fill.

Copies that an application makes nobody can know from here.
"""

from collections.abc import Iterator

from hoopproxy.masking.shadows.inventory import Inventory, Relation
from hoopproxy.masking.shadows.protection import Protected
from hoopproxy.masking.syntax import Node, Unreadable, statements, strings

_TEXT_SEARCH = frozenset({"tsvector_update_trigger", "tsvector_update_trigger_column"})
"""Triggers that fill the column of their first argument from those behind the second (manual, "Text Search")."""


def known(inventory: Inventory, relation: Relation, columns: Protected) -> Iterator[tuple[str, str]]:
    """The names and sentences of findings: columns of `relation` that masked sessions see as they are."""
    name = f"{relation.schema}.{relation.name}"
    masked = {each.name for each in relation.columns if each.number in columns.get(relation.oid, {})}
    for column, oid, number in relation.references:
        if number in columns.get(oid, {}) and column not in masked:
            other = inventory.relations[oid]
            yield (
                f"copy {name}.{column}",
                f"{name}.{column} refers to a masked column of {other.schema}.{other.name}, so it holds the same "
                "values, and masked sessions see them: have the policy mask it, too.",
            )
    for trigger in relation.triggers:
        filled, *read = _arguments(trigger.definition) or [""]
        if filled not in masked and not masked.isdisjoint(read[1:]):
            yield (
                f"copy {name}.{filled}",
                f"The trigger {trigger.what} fills {name}.{filled} with words of a masked column, and masked sessions "
                "see them: have the policy mask it, too.",
            )


def _arguments(definition: str) -> list[str]:
    """What a trigger of text search is given; nothing for others."""
    try:
        made: Node = statements(definition)[0].get("CreateTrigStmt", {})
    except (Unreadable, IndexError):
        return []
    is_one = strings(made.get("funcname", []))[-1:] and strings(made["funcname"])[-1] in _TEXT_SEARCH
    return strings(made.get("args", [])) if is_one else []
