"""What everybody may do and masked sessions must not: taken from PUBLIC, and given to every role that there is instead.

Nobody loses anything but masked sessions. What was moved is noted in the comment of the owner role, and uninstall gives
back exactly that: what a role had before stays its own. Where the catalog had no ACL it then has one that says the same
as the default; pg_dump makes no difference between the two. Knows no mask.
"""

from collections.abc import Iterator

import orjson

from hoopproxy.masking.shadows.fates import Taken
from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.grants import comment, cut
from hoopproxy.masking.shadows.inventory import PUBLIC, Function, Inventory, Moved, Relation
from hoopproxy.masking.shadows.naming import STAMP, owner_role
from hoopproxy.masking.shadows.notes import DEFAULT, callable_, of_column, table
from hoopproxy.masking.shadows.quoting import quoted


class Handover:
    """What is to be moved now, and what was. `taken` is what PUBLIC must not have; None: all of it is given back."""

    def __init__(self, inventory: Inventory, taken: frozenset[Taken] | None) -> None:
        self._inventory = inventory
        self._before = inventory.own.moved
        self._left: list[Finding] = []
        self._is_kept = taken is not None  # else the role that says it goes as well
        self._moved = () if taken is None else (*self._of_objects(taken), *self._of_defaults())

    def statements(self) -> Iterator[str]:
        """What turns the state before into that which is wanted; nothing where they are the same."""
        own = self._inventory.own
        before = {(each.what, each.privilege, each.of): each for each in self._before if each not in own.lost}
        for each in self._moved:
            old = before.pop((each.what, each.privilege, each.of), None)
            is_public = old is None or old in own.undone
            given = () if old is None or is_public else old.roles
            # First to each role, so that nobody is without it in between.
            yield from _said(each, "GRANT", [role for role in each.roles if role not in given])
            if is_public:
                yield from _said(each, "REVOKE", [PUBLIC])
        for each in before.values():
            yield from self._returned(each)
        if self._moved != self._before and self._is_kept:
            owner = owner_role(self._inventory.database)
            yield comment(f"ROLE {quoted(owner)}", STAMP + orjson.dumps(self._moved).decode())

    def findings(self) -> tuple[Finding, ...]:
        """What the provisioner may not take from PUBLIC, so that masks would not hold."""
        return tuple(self._left)

    def _returned(self, each: Moved) -> Iterator[str]:
        is_there = each.of in self._inventory.roles if each.what == DEFAULT else each.what in self._objects()
        if is_there:
            yield from _said(each, "GRANT", [PUBLIC])
            yield from _said(each, "REVOKE", [role for role in each.roles if role in self._inventory.roles])

    def _objects(self) -> frozenset[str]:
        relations, functions = self._inventory.relations.values(), self._inventory.functions.values()
        return frozenset([*map(table, relations), *map(callable_, functions)])

    # What is wanted --------------------------------------------------------------------------------------------------

    def _of_objects(self, taken: frozenset[Taken]) -> Iterator[Moved]:
        for kind, oid in sorted(taken):
            what = self._inventory.relations[oid] if kind == "TABLE" else self._inventory.functions[oid]
            if what.owner in self._inventory.provisioner_roles:
                yield from self._of_function(what) if isinstance(what, Function) else self._of_relation(what)
            else:
                self._left.append(self._stuck(what))

    def _of_relation(self, relation: Relation) -> Iterator[Moved]:
        for privilege in sorted(relation.grants.get(PUBLIC, ())):
            have = {role for role, held in relation.grants.items() if privilege in held}
            yield Moved(privilege, table(relation), self._others(have), oid=relation.oid)
        for number, privileges in sorted(relation.column_grants.get(PUBLIC, {}).items()):
            column = next(each.name for each in relation.columns if each.number == number)
            for privilege in sorted(privileges):
                have = {role for role, held in relation.column_grants.items() if privilege in held.get(number, ())}
                yield Moved(of_column(privilege, column), table(relation), self._others(have), oid=relation.oid)

    def _of_function(self, function: Function) -> Iterator[Moved]:
        yield Moved("EXECUTE", callable_(function), self._others(function.grantees), oid=function.oid)

    def _of_defaults(self) -> Iterator[Moved]:
        for role, is_public in sorted(self._inventory.default_acl_public.items()):
            if is_public and role in self._inventory.provisioner_roles:
                yield Moved("EXECUTE", DEFAULT, self._others({role}), of=role)
            elif is_public:
                self._left.append(_future(role))

    def _others(self, have: set[str] | frozenset[str]) -> tuple[str, ...]:
        """Those who would lose something: superusers may do everything, and predefined roles are nobody."""
        return tuple(
            sorted(
                name
                for name, role in self._inventory.roles.items()
                if name not in have and not role.is_superuser and not name.startswith("pg_")
            )
        )

    def _stuck(self, what: Relation | Function) -> Finding:
        who = self._inventory.provisioner
        name = what.signature if isinstance(what, Function) else what.name
        return Finding(
            Severity.RED,
            f"public-grant {what.schema}.{name}",
            f"Everybody may use {what.schema}.{name}, masked sessions too, and the provisioner {who} may not take that "
            f"from PUBLIC, as it does not have the rights of the owner; GRANT {quoted(what.owner)} TO {quoted(who)} "
            "would mend that.",
        )


def _future(role: str) -> Finding:
    return Finding(
        Severity.AMBER,
        f"default-privileges {role}",
        f"Everybody may execute the next function that {role} makes, masked sessions too, until the masks are "
        f"installed anew; ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(role)} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC, "
        f"said by {role}, would mend that.",
    )


def _said(each: Moved, verb: str, roles: list[str]) -> Iterator[str]:
    """`verb` is GRANT or REVOKE."""
    what = f"{verb} {each.privilege} ON {each.what}"
    if each.what == DEFAULT:
        what = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(each.of)} {verb} {each.privilege} ON ROUTINES"
    for some in cut([role if role == PUBLIC else quoted(role) for role in roles]):
        yield f"{what} {'TO' if verb == 'GRANT' else 'FROM'} {', '.join(some)}"
