"""Which columns of a database a mask set protects: those that policy names, and those where their values stand as well.

Knows no query: what views and functions read is decided elsewhere.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from hoopproxy.masking.shadows.inventory import Inventory, Relation
from hoopproxy.masks import ColumnMask, Nullify, Redact

type Protected = Mapping[int, Mapping[int, ColumnMask]]
"""The OIDs of relations to the numbers of their protected columns and the masks of these."""

type _Next = Callable[[int], Iterable[int]]


def protected(inventory: Inventory, masks: Mapping[str, ColumnMask]) -> tuple[Protected, frozenset[str]]:
    """The protected columns, and the paths (`schema.table.column`) that the database does not have.

    A protected table's family are those where its rows can be read, too: its partitions and inheritance children, and
    all that any of these inherits from. Protected in each are the columns of that name, and those generated from them.
    """
    wanted: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in masks:
        parts = path.split(".")
        for at in range(1, len(parts) - 1):  # names may have dots themselves: each reading counts
            for end in range(at + 1, len(parts)):
                wanted[".".join(parts[:at]), ".".join(parts[at:end])].append(path)
    found: dict[int, dict[int, ColumnMask]] = defaultdict(dict)
    there: set[str] = set()
    family = Family(inventory)
    inherited: list[tuple[Relation, str, ColumnMask]] = []
    for relation in inventory.relations.values():
        for path in wanted.get((relation.schema, relation.name), ()):
            column = relation.column(path.removeprefix(f"{relation.schema}.{relation.name}."))
            if column is not None:
                there.add(path)
                found[relation.oid][column.number] = masks[path]
                inherited += [(each, column.name, masks[path]) for each in family.of(relation)]
    for relation, name, mask in inherited:  # a rule of its own counts more
        column = relation.column(name)
        if column is not None:
            found[relation.oid].setdefault(column.number, mask)
    for oid, numbers in found.items():
        for column in inventory.relations[oid].columns:
            reads = column.generated_from & numbers.keys()
            if reads and column.number not in numbers:
                is_null = all(isinstance(numbers[each], Nullify) for each in reads)
                numbers[column.number] = Nullify() if is_null else Redact()
    return dict(found), frozenset(masks.keys() - there)


class Family:
    """Who inherits from whom, in both directions."""

    def __init__(self, inventory: Inventory) -> None:
        self._relations = inventory.relations
        self._children: dict[int, list[int]] = defaultdict(list)
        for relation in inventory.relations.values():
            for parent in relation.parents:
                self._children[parent].append(relation.oid)

    def of(self, relation: Relation) -> list[Relation]:
        """All others of a relation's family."""
        below = self._reached({relation.oid}, lambda oid: self._children.get(oid, ()))
        whole = self._reached(below, lambda oid: self._relations[oid].parents if oid in self._relations else ())
        return [self._relations[oid] for oid in sorted(whole - {relation.oid}) if oid in self._relations]

    @staticmethod
    def _reached(start: set[int], next_of: _Next) -> set[int]:
        found, todo = set(start), list(start)
        while todo:
            for each in next_of(todo.pop()):
                if each not in found:
                    found.add(each)
                    todo.append(each)
        return found
