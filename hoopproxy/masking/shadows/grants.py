"""GRANT statements, as few as say it, and what a provisioner may not grant. Knows no mask."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.inventory import Inventory, Relation, Rights
from hoopproxy.masking.shadows.quoting import dotted, literal, quoted

OBJECTS_MAX = 200
"""In one statement: longer ones are hard to read, and gain nothing."""

NAMED_MAX = 5
"""Objects that a sentence names; of more it tells the number."""


def granted(held: Iterable[tuple[Relation, str, Rights]], grantee: str) -> Iterator[str]:
    """The statements that give `grantee` the rights on each relation, whose name in SQL is told."""
    whole: dict[tuple[str, str], list[str]] = defaultdict(list)
    of_columns: list[str] = []
    for relation, name, rights in held:
        kind = "SEQUENCE" if relation.kind == "S" else "TABLE"
        if rights.whole:
            whole[kind, ", ".join(sorted(rights.whole))].append(name)
        parts = [
            f"{word} ({', '.join(quoted(each.name) for each in relation.columns if each.name in columns)})"
            for word, columns in (("SELECT", rights.select), ("INSERT", rights.insert), ("UPDATE", rights.update))
            if columns and word not in rights.whole
        ]
        if parts:
            of_columns.append(f"GRANT {', '.join(parts)} ON TABLE {name} TO {quoted(grantee)}")
    for (kind, privileges), names in sorted(whole.items()):
        for some in cut(names):
            yield f"GRANT {privileges} ON {kind} {', '.join(some)} TO {quoted(grantee)}"
    yield from of_columns


def usage(schemas: Iterable[str], grantee: str) -> Iterator[str]:
    """The statements that let `grantee` use schemas."""
    for some in cut([quoted(each) for each in schemas]):
        yield f"GRANT USAGE ON SCHEMA {', '.join(some)} TO {quoted(grantee)}"


def execution(routines: Iterable[str], grantee: str) -> Iterator[str]:
    """The statements that let `grantee` call routines, each with its schema and the types of its arguments."""
    for some in cut(list(routines)):
        yield f"GRANT EXECUTE ON ROUTINE {', '.join(some)} TO {quoted(grantee)}"


def cut(names: list[str]) -> Iterator[list[str]]:
    """Names for several statements, so many at a time."""
    for at in range(0, len(names), OBJECTS_MAX):
        yield names[at : at + OBJECTS_MAX]


class Lacks:
    """What the provisioner would have to grant and may not, because it is not a member of the owner."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._found: dict[str, set[str]] = defaultdict(set)

    def may(self, owner: str, what: str) -> bool:
        """Whether the provisioner may grant on `what`, which is `owner`'s; where not, that is noted."""
        if self.acts_for(owner):
            return True
        self._found[owner].add(what)
        return False

    def acts_for(self, owner: str) -> bool:
        """Whether the provisioner has the rights of a role."""
        return owner in self._inventory.provisioner_roles

    def findings(self) -> Iterator[Finding]:
        """A sentence for each owner, with the statement that would mend it."""
        who = self._inventory.provisioner
        for owner, found in sorted(self._found.items()):
            role = self._inventory.roles.get(owner)
            mend = (
                "have a superuser run the install, or give what it owns to another role"
                if role is not None and role.is_superuser
                else f"GRANT {quoted(owner)} TO {quoted(who)} would mend that"
            )
            yield Finding(
                Severity.RED,
                f"provisioner {owner}",
                f"The provisioner {who} does not have the rights of {owner}, which owns {some(sorted(found))}, so "
                f"masked sessions get nothing of that; {mend}.",
                withheld=True,
            )


def some(names: list[str]) -> str:
    """Names for a sentence, not too many."""
    if len(names) <= NAMED_MAX:
        return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{', '.join(names[: NAMED_MAX - 1])} and {len(names) - NAMED_MAX + 1} more"


def comment(what: str, text: str) -> str:
    """A comment on an object."""
    return f"COMMENT ON {what} IS {literal(text)}"


def routine(schema: str, signature: str) -> str:
    """A routine's name in SQL."""
    return f"{dotted(schema)}.{signature}"
