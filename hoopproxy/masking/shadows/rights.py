"""What a mask set leaves of an account's rights on the originals. Knows no SQL."""

from collections.abc import Iterator, Set

from hoopproxy.masking.shadows.defaults import is_steered
from hoopproxy.masking.shadows.inventory import Inventory, Relation, Rights
from hoopproxy.masking.shadows.keyed import is_keyed
from hoopproxy.masking.shadows.protection import Family, Protected

NOTHING = Rights()

KEPT = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
"""TRUNCATE, REFERENCES (a foreign key tells which values are there) and TRIGGER are never passed on."""

OF_SEQUENCES = frozenset({"SELECT", "UPDATE", "USAGE"})


class Allowance:
    """The rights that are left, for one mask set."""

    def __init__(self, inventory: Inventory, protected: Protected) -> None:
        self._inventory, self._protected = inventory, protected
        self._family = Family(inventory)

    def hidden(self, relation: Relation) -> frozenset[str]:
        """The names of a relation's protected columns."""
        numbers = self._protected.get(relation.oid, {})
        return frozenset(column.name for column in relation.columns if column.number in numbers)

    def of(self, relation: Relation, rights: Rights) -> Rights:
        """What is left of `rights`.

        Nobody changes a protected value, nor one that the server compares with a protected one, and nobody writes one
        that the server looks for among others: whether that succeeds would tell what they are. Who may change rows
        writes no protected value at all: in an INSERT … ON CONFLICT DO UPDATE or MERGE that names the column and then
        breaks a constraint, the server's error shows the column of the row that was there.
        """
        if relation.kind == "S":
            return Rights(whole=rights.whole & OF_SEQUENCES)
        hidden, sought, compared = self.hidden(relation), *self._tell(relation)
        select, insert, update = rights.select - hidden, rights.insert - sought, rights.update - hidden - compared
        if update:
            insert -= hidden
        if any(column.name in sought and is_steered(column) for column in relation.columns):
            insert = frozenset()  # what is left out of an INSERT is not left to chance
        names = frozenset(column.name for column in relation.columns)
        lost = {word for word, left in (("SELECT", select), ("INSERT", insert), ("UPDATE", update)) if left != names}
        return Rights(select, insert, update, (rights.whole & KEPT) - lost)

    def tells(self, relation: Relation) -> bool:
        """Whether some of what could be written there would tell what is masked, there or elsewhere."""
        return relation.oid in self._protected or any(self._tell(relation))

    def _tell(self, relation: Relation) -> tuple[frozenset[str], frozenset[str]]:
        """Columns that may not be inserted, and columns that may not be updated, beside those that are hidden."""
        if relation.oid not in self._protected and not relation.references:
            return frozenset(), frozenset()
        sought, compared = set[str](), set[str]()
        for each in (relation, *self._family.of(relation)):  # a row goes where it belongs, and meets the rules there
            hidden = self.hidden(each)
            sought |= hidden & each.unique_columns | self._keyed(each)
            for together in each.indexes:
                if together - hidden:  # rows read from this index alone come in its order, one's own among them
                    sought |= together & hidden
            for together in each.mixed:
                if together & hidden:
                    sought |= together
            for together in each.compared:
                if together & hidden:
                    compared |= together
            referring = frozenset(self._refers(each))
            sought |= referring | _sources(each, sought | referring)
            compared |= referring | _sources(each, compared | referring)
        return frozenset(sought), frozenset(compared)

    def _keyed(self, relation: Relation) -> frozenset[str]:
        """Columns shown as something that a key makes of their values: whoever wrote there could look values up."""
        masks = self._protected.get(relation.oid, {})
        return frozenset(
            column.name
            for column in relation.columns
            if column.number in masks and is_keyed(column, masks[column.number])
        )

    def _refers(self, relation: Relation) -> Iterator[str]:
        """Columns whose values a foreign key looks for among protected ones."""
        for name, oid, number in relation.references:
            if number in self._protected.get(oid, {}):
                yield name


def beyond(held: Rights, most: Rights) -> str:
    """The first right in `held` that is not in `most`, "" where there is none."""
    words = (
        *("SELECT" for _ in held.select - most.select),
        *("INSERT" for _ in held.insert - most.insert),
        *("UPDATE" for _ in held.update - most.update),
        *sorted(held.whole - most.whole),
    )
    return next(iter(words), "")


def _sources(relation: Relation, names: Set[str]) -> frozenset[str]:
    """Columns that those of these names which are generated are computed from."""
    numbers = {number for column in relation.columns if column.name in names for number in column.generated_from}
    return frozenset(column.name for column in relation.columns if column.number in numbers)
