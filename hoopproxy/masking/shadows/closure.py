"""Which views and functions of a database show nothing protected, which get clones, and which are kept away.

A view is granted as it is only if every relation that its text names is granted for exactly the columns that it names;
never by `pg_depend`, where a whole row leaves no trace of its columns. What can't be proved counts as tainted.
Functions have their caller's rights, so that only those of SECURITY DEFINER and in languages that nobody here reads
must be kept away; what would end in "permission denied" gets a clone where its text can be rewritten.
Knows no SQL: `texts` read it, `clones` write it.
"""

from hoopproxy.masking.shadows import reaching
from hoopproxy.masking.shadows.fates import Closure, Fate, Verdict
from hoopproxy.masking.shadows.inventory import PUBLIC, Function, Inventory, Relation
from hoopproxy.masking.shadows.kept import Kept
from hoopproxy.masking.shadows.protection import Protected
from hoopproxy.masking.shadows.row_security import unrestated
from hoopproxy.masking.shadows.texts import Texts
from hoopproxy.masking.shadows.uses import SYSTEM_COLUMNS, Uses
from hoopproxy.masking.syntax import fold
from hoopproxy.masks import MaskSet

_CLEAN = Verdict(Fate.CLEAN)
_BOUNDED = Verdict(Fate.BOUNDED)
_MASKED = Verdict(Fate.MASKED)


def close(inventory: Inventory, mask_set: MaskSet, protected: Protected, texts: Texts | None = None) -> Closure:
    """The closure of one mask set. `texts` are those of the inventory, where they have been read already."""
    judging = _Judging(inventory, mask_set, protected, texts or Texts.of(inventory))
    judging.settle()
    relations, functions = judging.relations, judging.functions
    kept = Kept(inventory, mask_set.role, relations, functions)
    return Closure(
        role=mask_set.role,
        relations=relations,
        functions=functions,
        clones=kept.clones(),
        withheld=dict(kept.withheld()),
        findings=tuple(kept.findings()),
        taken=frozenset(kept.taken()),
        texts=judging.texts,
    )


class _Judging:
    """Begins with the best and makes it worse until nothing changes: what only refers to itself stays clean."""

    def __init__(self, inventory: Inventory, mask_set: MaskSet, protected: Protected, texts: Texts) -> None:
        self._inventory, self._role, self.texts = inventory, mask_set.role, texts
        self._columns = {
            oid: frozenset(fold(each.name) for each in inventory.relations[oid].columns if each.number in numbers)
            for oid, numbers in protected.items()
            if numbers
        }
        self.relations = {oid: _CLEAN for oid in inventory.relations}
        self.functions = {oid: _CLEAN for oid in inventory.functions}
        self.relations.update((oid, _MASKED) for oid in self._columns)
        self._counted = {
            each.oid: fed
            for each in inventory.relations.values()
            if (fed := next((oid for oid, number in each.feeds if number in protected.get(oid, ())), None))
        }
        self._open = {name for name, schema in inventory.schemas.items() if PUBLIC in schema.create}

    # To a fixed point ------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Judge until nothing gets worse any more."""
        while True:
            before = self._fates()
            for relation in self._inventory.relations.values():
                _worsen(self.relations, relation.oid, self._relation(relation))
            for function in self._inventory.functions.values():
                _worsen(self.functions, function.oid, self._function(function))
            if self._fates() == before:
                return

    def _fates(self) -> tuple[list[Fate], list[Fate]]:
        return [each.fate for each in self.relations.values()], [each.fate for each in self.functions.values()]

    # Relations -------------------------------------------------------------------------------------------------------

    def _relation(self, relation: Relation) -> Verdict:
        name = f"{relation.schema}.{relation.name}"
        if relation.kind == "f":
            return _withheld(
                f"{name} can't be used in this session, because it shows rows of another server, or of this one, with "
                "rights that are not the session's."
            )
        if fed := self._counted.get(relation.oid):
            table = self._inventory.relations[fed]
            return _withheld(
                f"{name} can't be used in this session, because it counts values of {table.schema}.{table.name} that "
                "are masked."
            )
        if relation.row_security and (why := unrestated(self._inventory, relation, self._role, self._columns)):
            return _withheld(f"{name} can't be used in this session, because its row security {why}.")
        rules = self.texts.rules.get(relation.oid)
        if rules is not None and not self._is_proven(rules):
            return _withheld(
                f"{name} can't be used in this session, because its rules run with its owner's rights and can't be "
                "proved to show nothing that is masked."
            )
        if relation.kind in "vm":
            verdict = self._view(relation, name)
            if relation.oid in self._columns and verdict.fate is not Fate.CLEAN:
                return _withheld(
                    f"{name} can't be used in this session, because it has masked columns of its own and reads masked "
                    "columns of other tables: select from those."
                )
            return _MASKED if relation.oid in self._columns else verdict
        return _MASKED if relation.oid in self._columns else _CLEAN

    def _view(self, relation: Relation, name: str) -> Verdict:
        used = self.texts.views[relation.oid]
        if used.problem:
            return _withheld(f"{name} can't be used in this session: {used.problem}.")
        if found := self._out_of_reach(used):
            return _withheld(f"{name} can't be used in this session, because it reads {found}.")
        if relation.kind == "v" and any(
            trigger.function and not self._is_harmless(trigger.function) for trigger in relation.triggers
        ):
            return _withheld(f"{name} can't be used in this session, because a trigger of it has its owner's rights.")
        # What a view calls has the rights of who reads it; what filled a materialised view had those of its owner.
        if self._touches(used) or (relation.kind == "m" and not self._is_plain(used)):
            return Verdict(Fate.CLONED, f"{name} reads masked columns, or can't be proved not to.")
        return _CLEAN

    def _is_harmless(self, function: int) -> bool:
        found = self._inventory.functions.get(function)
        return found is None or not found.is_definer

    # Functions -------------------------------------------------------------------------------------------------------

    def _function(self, function: Function) -> Verdict:
        name = f"{function.schema}.{function.name}"
        if why := reaching.why_kept(function):
            return _withheld(f"The function {name} can't be used in this session, because {why}.")
        if function.kind == "a":
            return self._aggregate(function, name)
        if function.language in ("c", "internal") and not function.is_definer:
            return _CLEAN
        used = self.texts.functions.get(function.oid)
        if function.is_definer:
            return self._definer(function, name, used)
        if used is None or (used.problem and not self._touches(used)):
            return _BOUNDED
        if self._touches(used) or self._is_sibling(function):
            is_clonable = not (function.is_trigger or self._out_of_reach(used) or self._ends_transactions(function))
            return Verdict(Fate.CLONED, f"{name} reads masked columns.") if is_clonable else _BOUNDED
        return _CLEAN if function.language == "sql" and self._is_safe(function, used) else _BOUNDED

    def _definer(self, function: Function, name: str, used: Uses | None) -> Verdict:
        """With its owner's rights it shows what its text reads, or what a caller gets it to read instead."""
        if used is None or function.is_trigger or (used.problem and not self._touches(used)):
            return _withheld(
                f"The function {name} can't be used in this session, because it runs with its owner's rights and "
                "can't be proved to show nothing that is masked."
            )
        if function.language == "sql" and self._is_safe(function, used) and not self._is_sibling(function):
            return _CLEAN
        if used.is_written:
            return _withheld(
                f"The function {name} can't be used in this session, because it changes rows with its owner's rights."
            )
        if found := self._out_of_reach(used):
            return _withheld(f"The function {name} can't be used in this session, because it reads {found}.")
        return Verdict(Fate.CLONED, f"{name} reads masked columns with its owner's rights, or can't be proved not to.")

    def _aggregate(self, function: Function, name: str) -> Verdict:
        """It calls its parts with its owner's right to execute them, so that taking that from a session is no use."""
        parts = self._inventory.surroundings.components.get(function.oid)
        known = self._inventory.functions
        if parts is None or any(
            (each in known and known[each].is_definer and self.functions[each].fate is not Fate.CLEAN)
            or (each in known and self.functions[each].fate is Fate.WITHHELD)
            for each in parts
        ):
            return _withheld(
                f"The aggregate {name} can't be used in this session, because what it calls has rights of its own."
            )
        return _BOUNDED

    def _ends_transactions(self, function: Function) -> bool:
        return function.oid in self.texts.transacting

    def _is_sibling(self, function: Function) -> bool:
        """Whether another function of its name is cloned: a call that leads to the clones must find this one there."""
        others = self.texts.names.function(function.schema, function.name, None)
        return any(
            self.functions[oid].fate is Fate.CLONED
            for oid in others
            if self._inventory.functions[oid].name == function.name
        )

    # What is used ----------------------------------------------------------------------------------------------------

    def _touches(self, used: Uses) -> bool:
        """Whether it needs a relation or function that a session does not get as it is."""
        return (
            any(self._shows(oid, columns) for oid, columns in used.columns.items())
            or any(self.relations[oid].fate >= Fate.MASKED for oid in used.row_types)
            or any(self.functions[oid].fate is Fate.CLONED for oid in used.functions)
        )

    def _shows(self, oid: int, columns: frozenset[str] | None) -> bool:
        if self.relations[oid].fate is Fate.MASKED:
            return columns is None or not columns.isdisjoint(self._columns[oid])
        return self.relations[oid].fate is not Fate.CLEAN

    def _out_of_reach(self, used: Uses) -> str:
        """What neither the original nor a clone can have, for the end of a sentence."""
        for oid, columns in used.columns.items():
            relation = self._inventory.relations[oid]
            fate = self.relations[oid].fate
            if fate is Fate.WITHHELD:
                return f"{relation.schema}.{relation.name}, which is kept from masked sessions"
            if fate in (Fate.MASKED, Fate.CLONED) and self._shows(oid, columns) and columns is not None:
                if system := columns & SYSTEM_COLUMNS:
                    return f"{min(system)} of {relation.schema}.{relation.name}, which masked tables do not have"
        for oid in used.functions:
            if self.functions[oid].fate is Fate.WITHHELD:
                function = self._inventory.functions[oid]
                return f"what {function.schema}.{function.name} answers, which is kept from masked sessions"
        return ""

    def _is_plain(self, used: Uses) -> bool:
        """Whether it calls nothing but PostgreSQL's own: a function may have been another when the rows were made."""
        return not any(True for _ in self.texts.called(used, self._inventory))

    def _is_proven(self, used: Uses) -> bool:
        """Whether it shows nothing protected although it has an owner's rights."""
        return (
            not used.problem
            and not self._touches(used)
            and not self._out_of_reach(used)
            and all(self.functions[oid].fate is Fate.CLEAN for oid in self.texts.called(used, self._inventory))
        )

    def _is_safe(self, function: Function, used: Uses) -> bool:
        """Whether it is proven, whatever path, temporary objects, settings and types its caller gives it."""
        return (
            self._is_proven(used)
            and not used.is_written
            and not used.is_loose
            and not (used.is_counting and self._counted)
            and not self._open
            and "\\" not in function.definition
            and reaching.POLYMORPHIC.isdisjoint(function.argument_types)
        )


def _withheld(reason: str) -> Verdict:
    return Verdict(Fate.WITHHELD, reason)


def _worsen(verdicts: dict[int, Verdict], oid: int, verdict: Verdict) -> None:
    if verdict.fate > verdicts[oid].fate:
        verdicts[oid] = verdict
