"""What sessions of a mask set may have of each relation at most, whoever gave it, and so what must not be PUBLIC's.

Knows no SQL, and nothing of what a provisioner may grant.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

from hoopproxy.masking.shadows.fates import Closure, Fate, Taken
from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.inventory import PUBLIC, AccountRights, Inventory, Relation, Rights
from hoopproxy.masking.shadows.protection import Protected
from hoopproxy.masking.shadows.rights import NOTHING, Allowance, beyond
from hoopproxy.masking.shadows.triggers import silenced


class Bounds:
    """Of one mask set of the account with these `rights`. `accepted` are findings by name."""

    def __init__(
        self,
        inventory: Inventory,
        rights: AccountRights,
        closure: Closure,
        columns: Protected,
        accepted: frozenset[str],
    ) -> None:
        self._inventory, self._rights, self._closure, self._protected = inventory, rights, closure, columns
        self._allowance = Allowance(inventory, columns)
        self._silenced = silenced(inventory, closure, columns, accepted)

    def hidden(self, relation: Relation) -> frozenset[str]:
        """The names of a relation's protected columns."""
        return self._allowance.hidden(relation)

    def silenced(self, relation: Relation) -> frozenset[str]:
        """What the account may do to its rows and the sessions may not, as it would set off what may tell of them."""
        rights = self._rights.relations.get(relation.oid, NOTHING)
        parts = (word for word, columns in (("INSERT", rights.insert), ("UPDATE", rights.update)) if columns)
        return self._silenced.get(relation.oid, frozenset()) & {*rights.whole, *parts}

    def allowed(self, relation: Relation) -> Rights:
        """What is left of the account's rights, where the relation is not kept from the sessions."""
        allowed = self._allowance.of(relation, self._rights.relations.get(relation.oid, NOTHING))
        if self._is_through(relation):
            # What a view shows is clean; what may be written where its owner writes is not judged again.
            return Rights(select=allowed.select, whole=allowed.whole & {"SELECT"})
        silenced = self._silenced.get(relation.oid, frozenset())
        return Rights(
            allowed.select,
            frozenset() if "INSERT" in silenced else allowed.insert,
            frozenset() if "UPDATE" in silenced else allowed.update,
            allowed.whole - silenced,
        )

    @cached_property
    def most(self) -> Mapping[int, Rights]:
        """Of each original, by its OID."""
        fates, relations = self._closure.relations, self._inventory.relations
        return {
            oid: self.allowed(relation) if fates[oid].fate <= Fate.MASKED else NOTHING
            for oid, relation in relations.items()
        }

    @cached_property
    def taken(self) -> frozenset[Taken]:
        """What PUBLIC must not have: what is kept from the sessions, or is more than they may have."""
        relations = self._inventory.relations
        return self._closure.taken | {
            ("TABLE", oid) for oid, most in self.most.items() if beyond(_of_public(relations[oid]), most)
        }

    def findings(self) -> Iterator[Finding]:
        """What is taken, as PUBLIC has more than the sessions may have."""
        for _, oid in sorted(self.taken - self._closure.taken):
            relation = self._inventory.relations[oid]
            name = f"{relation.schema}.{relation.name}"
            yield Finding(
                Severity.RED,
                f"public-grant {name}",
                f"Everybody may {beyond(_of_public(relation), self.most[oid])} {name}, by which masked sessions could "
                "learn masked values: install takes all rights on it from PUBLIC and gives them to every role that "
                "there is.",
                withheld=True,
            )

    def _is_through(self, relation: Relation) -> bool:
        """Whether it is a view of what masked sessions may not change as they like."""
        views, seen, todo = self._closure.texts.views, set[int](), [relation.oid]
        while todo:
            oid = todo.pop()
            if oid in views and oid not in seen:
                seen.add(oid)
                todo += views[oid].columns
            if oid != relation.oid and (oid in self._silenced or self._allowance.tells(self._inventory.relations[oid])):
                return True
        return False


def _of_public(relation: Relation) -> Rights:
    """What everybody may do."""
    whole = relation.grants.get(PUBLIC, frozenset())
    parts = relation.column_grants.get(PUBLIC, {})
    select, insert, update = (
        frozenset(each.name for each in relation.columns if word in whole | parts.get(each.number, frozenset()))
        for word in ("SELECT", "INSERT", "UPDATE")
    )
    return Rights(select, insert, update, whole)
