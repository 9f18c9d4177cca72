"""What install noted that it moved away from PUBLIC, and what of that still holds: rights as they would be without it.

Objects are dropped and made again under the same name, and rights are granted again: a note is believed only as far as
the catalog bears it out. Knows no connection and no mask.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

import orjson

from hoopproxy.masking.shadows.grants import routine
from hoopproxy.masking.shadows.inventory import PUBLIC, Function, Moved, Relation
from hoopproxy.masking.shadows.quoting import dotted, quoted

DEFAULT = "DEFAULT"
"""In the place of an object: the functions that a role will make."""

_OF_COLUMNS = ("SELECT", "INSERT", "UPDATE", "REFERENCES")

type _Held = defaultdict[str, set[str]]
"""Who has which privilege of one object: privileges as a note says them, to grantees."""


def table(relation: Relation) -> str:
    """How GRANT names a relation, and a note too."""
    return f"TABLE {dotted(relation.schema, relation.name)}"


def callable_(function: Function) -> str:
    """The same for a function."""
    return f"ROUTINE {routine(function.schema, function.signature)}"


def of_column(privilege: str, column: str) -> str:
    """How GRANT says a privilege of one column."""
    return f"{privilege} ({quoted(column)})"


class Notes:
    """The notes of one database. `undone` are those whose right PUBLIC has again, `lost` those whose object is another
    by now, or is gone in part; both are known for objects that were shown here.

    `said` is what stands in the comment of the owner role, `roles` are all that exist.
    """

    def __init__(self, said: str, roles: Collection[str]) -> None:
        self.moved = tuple(
            Moved(each["privilege"], each["what"], tuple(each["roles"]), each["of"], each.get("oid", 0))
            for each in (orjson.loads(said) if said else ())
        )
        self.undone: set[Moved] = set()
        self.lost: set[Moved] = set()
        self.defaults = {each.of: self._there(each, roles) for each in self.moved if each.what == DEFAULT}
        """Roles whose functions to come are not PUBLIC's, to those that get them instead."""
        self._of: dict[str, list[tuple[Moved, frozenset[str]]]] = {}
        for each in self.moved:
            self._of.setdefault(each.what, []).append((each, self._there(each, roles)))

    @staticmethod
    def _there(each: Moved, roles: Collection[str]) -> frozenset[str]:
        return frozenset(role for role in each.roles if role in roles)

    def relation(self, relation: Relation) -> Relation:
        """The relation with the rights that it would have."""
        what = table(relation)
        if what not in self._of:
            return relation
        columns = {of_column(word, each.name): (word, each.number) for each in relation.columns for word in _OF_COLUMNS}
        names = {each.number: each.name for each in relation.columns}
        held: _Held = defaultdict(set)
        for grantee, words in relation.grants.items():
            for word in words:
                held[word].add(grantee)
        for grantee, numbers in relation.column_grants.items():
            for number, words in numbers.items():
                for word in words:
                    held[of_column(word, names[number])].add(grantee)
        self._put_back(what, relation.oid, held, columns)
        whole: dict[str, set[str]] = defaultdict(set)
        single: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for privilege, grantees in held.items():
            for grantee in grantees:
                if privilege in columns:
                    word, number = columns[privilege]
                    single[grantee][number].add(word)
                else:
                    whole[grantee].add(privilege)
        return replace(
            relation,
            grants=_frozen(whole),
            column_grants={grantee: _frozen(numbers) for grantee, numbers in single.items()},
        )

    def function(self, function: Function) -> Function:
        """The function with the grantees that it would have."""
        what = callable_(function)
        held: _Held = defaultdict(set, EXECUTE=set(function.grantees))
        self._put_back(what, function.oid, held, ())
        instead = self.defaults.get(function.owner, frozenset())
        # It was made under moved default privileges, and then granted to everybody.
        if PUBLIC in function.grantees and instead <= function.grantees:
            # Whoever had a right of their own to the one before it will have got it again.
            held["EXECUTE"] -= instead.intersection(*(roles for _, roles in self._of.get(what, ())))
        return replace(function, grantees=frozenset(held["EXECUTE"]))

    def _put_back(self, what: str, oid: int, held: _Held, columns: Collection[str]) -> None:
        """Turn round in `held` what was moved, as far as that is still true.

        After a dump and its restoring the object has another OID, and still the rights that install gave. One that
        somebody made anew has them only where default privileges were moved too, and then they are to be turned round
        just so.
        """
        for each, roles in self._of.get(what, ()):
            holders = held[each.privilege]
            is_other = each.oid != oid and (PUBLIC in holders or not roles <= holders)
            if is_other or ("(" in each.privilege and each.privilege not in columns):
                self.lost.add(each)
                continue
            if PUBLIC in holders:
                self.undone.add(each)
            holders -= roles
            holders.add(PUBLIC)


def _frozen[Key](found: Mapping[Key, set[str]]) -> dict[Key, frozenset[str]]:
    return {key: frozenset(words) for key, words in found.items()}
