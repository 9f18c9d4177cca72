"""What follows from the verdicts on a database: what gets no grant, what must not be PUBLIC's, and what is told of it.

Knows no SQL, and doesn't judge.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hoopproxy.masking.shadows.fates import Cloning, Fate, Taken, Verdict
from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.inventory import PUBLIC, AccountRights, Function, Inventory, Relation
from hoopproxy.masks import Named


@dataclass(frozen=True, slots=True)
class Kept:
    """The verdicts by OID, for sessions of the account's `role`."""

    inventory: Inventory
    role: str
    relations: Mapping[int, Verdict]
    functions: Mapping[int, Verdict]

    def clones(self) -> Cloning:
        """What gets a clone."""
        cloned = frozenset(oid for oid, verdict in self.relations.items() if verdict.fate is Fate.CLONED)
        functions = frozenset(oid for oid, verdict in self.functions.items() if verdict.fate is Fate.CLONED)
        named: Iterable[Relation | Function] = (
            *(self.inventory.relations[oid] for oid in cloned),
            *(self.inventory.functions[oid] for oid in functions),
        )
        return Cloning(cloned, functions, frozenset(each.schema for each in named))

    def withheld(self) -> Iterator[tuple[Named, str]]:
        """Names that a session can't use, and why; a function's only if all of that name are withheld."""
        for oid, verdict in self.relations.items():
            if verdict.fate is Fate.WITHHELD:
                relation = self.inventory.relations[oid]
                yield (relation.schema, relation.name), verdict.reason
        functions = self.inventory.functions
        usable = {
            (each.schema, each.name) for oid, each in functions.items() if self.functions[oid].fate is not Fate.WITHHELD
        }
        for oid, verdict in self.functions.items():
            named = functions[oid].schema, functions[oid].name
            if verdict.fate is Fate.WITHHELD and named not in usable:
                yield named, verdict.reason

    def taken(self) -> Iterator[Taken]:
        """What PUBLIC has and no masked session may have."""
        for relation in self.inventory.relations.values():
            if self.relations[relation.oid].fate >= Fate.MASKED and _is_public(relation):
                yield "TABLE", relation.oid
        for function in self.inventory.functions.values():
            if PUBLIC in function.grantees and self.keeps(function):
                yield "ROUTINE", function.oid

    def keeps(self, function: Function) -> bool:
        """Whether no masked session may execute the original. A clone's original has its caller's rights unless it is
        SECURITY DEFINER."""
        fate = self.functions[function.oid].fate
        return fate is Fate.WITHHELD or (fate is Fate.CLONED and function.is_definer)

    def findings(self) -> Iterator[Finding]:
        """All that is withheld and would otherwise be a masked session's. Those of one extension are one."""
        rights = self.inventory.rights.get(self.role)
        for oid, verdict in self.relations.items():
            relation = self.inventory.relations[oid]
            if verdict.fate is Fate.WITHHELD and (_is_public(relation) or (rights and oid in rights.relations)):
                yield _red(f"{_kind(relation)} {relation.schema}.{relation.name}", verdict.reason)
            elif verdict.fate >= Fate.MASKED and _is_public(relation):
                name = f"{relation.schema}.{relation.name}"
                yield _red(
                    f"public-grant {name}",
                    f"Everybody has rights on {name}, which shows masked columns: install takes them from PUBLIC and "
                    "gives them to every role that there is.",
                )
        extensions: Counter[str] = Counter()
        for function in self.inventory.functions.values():
            if self.keeps(function) and _is_callable(function, rights):
                if function.extension and not function.is_definer:
                    extensions[function.extension] += 1
                else:
                    kind = "security-definer" if function.is_definer else "function"
                    reason = self.functions[function.oid].reason
                    yield _red(f"{kind} {function.schema}.{function.signature}", reason)
        for extension, count in sorted(extensions.items()):
            yield _red(
                f"extension {extension}",
                f"{count} functions of the extension {extension} reach past the rights on tables, so masked sessions "
                "can't call them.",
            )


def _red(name: str, sentence: str) -> Finding:
    return Finding(Severity.RED, name, sentence, withheld=True)


def _kind(relation: Relation) -> str:
    if relation.kind == "f":
        return "foreign-table"
    return "row-security" if relation.row_security else "relation"


def _is_public(relation: Relation) -> bool:
    return bool(relation.grants.get(PUBLIC) or relation.column_grants.get(PUBLIC))


def _is_callable(function: Function, rights: AccountRights | None) -> bool:
    return PUBLIC in function.grantees or (rights is not None and function.oid in rights.functions)
