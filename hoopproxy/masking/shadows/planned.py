"""One mask set in one database: all that makes it, and what sessions of it will find.

Knows no other set: what it makes follows from the inventory and the set alone, and so does its digest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from hoopproxy.masking.shadows import clones, closure, information
from hoopproxy.masking.shadows.bounds import Bounds
from hoopproxy.masking.shadows.fates import Closure, Taken
from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.grants import Lacks, execution, granted, routine, usage
from hoopproxy.masking.shadows.inventory import PUBLIC, AccountRights, Inventory, Relation, Rights
from hoopproxy.masking.shadows.keyed import keys
from hoopproxy.masking.shadows.naming import information_schema, owner_role, twin_schema
from hoopproxy.masking.shadows.protection import Protected, protected
from hoopproxy.masking.shadows.quoting import dotted, quoted
from hoopproxy.masking.shadows.rights import NOTHING
from hoopproxy.masking.shadows.steps import Step
from hoopproxy.masking.shadows.texts import Texts
from hoopproxy.masking.shadows.twins import ROW, twin
from hoopproxy.masks import ColumnMask, MaskSet, Named, Shadowed


@dataclass(frozen=True, slots=True)
class PlannedSet:
    """`steps` make it where nothing of it is yet but its role. `relations`, `functions` and `withheld` are those of
    `masks.Shadow`, `protected` the columns of originals, `closure` says what became of all that reads them, `rights`
    what its group role is given of originals, `bounds` what it may have of each, whoever gave it, and `taken` what
    PUBLIC must not have. `silenced` is as in `masks.Shadow`."""

    mask_set: MaskSet
    schemas: tuple[str, ...]
    steps: tuple[Step, ...]
    relations: Mapping[Named, Shadowed]
    functions: Mapping[Named, Named]
    withheld: Mapping[Named, str]
    protected: Protected
    closure: Closure
    rights: Mapping[int, Rights]
    bounds: Mapping[int, Rights]
    taken: frozenset[Taken]
    silenced: Mapping[Named, frozenset[str]]
    findings: tuple[Finding, ...]

    @property
    def digest(self) -> str:
        """What stands in the comments on its role and its first schema: it follows from the steps."""
        text = "\0".join(statement for step in self.steps for statement in step.statements)
        return sha256(text.encode()).hexdigest()


def planned(
    inventory: Inventory,
    mask_set: MaskSet,
    texts: Texts | None = None,
    accepted: frozenset[str] = frozenset(),
) -> PlannedSet | None:
    """The plan of one set. `texts` are the inventory's, where they have been read, `accepted` findings by name. None:
    the account's role is none."""
    rights = inventory.rights.get(mask_set.role)
    return None if rights is None else _Planning(inventory, mask_set, rights, texts, accepted).planned()


class _Planning:
    """Goes through the inventory once for each kind of statement."""

    def __init__(
        self,
        inventory: Inventory,
        mask_set: MaskSet,
        rights: AccountRights,
        texts: Texts | None,
        accepted: frozenset[str],
    ) -> None:
        self._inventory, self._set, self._rights = inventory, mask_set, rights
        self._owner, self._group = owner_role(inventory.database), mask_set.name
        self._protected, self._missing = protected(inventory, mask_set.masks)
        self._closure: Closure = closure.close(inventory, mask_set, self._protected, texts)
        self._parents = {parent for each in inventory.relations.values() for parent in each.parents}
        self._keys = keys(inventory, mask_set.name, self._protected)
        self._bounds = Bounds(inventory, rights, self._closure, self._protected, accepted)
        self._lacks = Lacks(inventory)
        self._withheld = dict(self._closure.withheld)
        self._relations: dict[Named, Shadowed] = {}
        self._functions: dict[Named, Named] = {}
        self._read_by_clones: set[int] = set()
        self._given: dict[int, Rights] = {}

    def planned(self) -> PlannedSet:
        """All of it."""
        usable = tuple(self._usable())
        self._sorted = sorted(
            (each for each in self._inventory.relations.values() if each.schema in usable),
            key=lambda each: (each.schema, each.name),
        )
        twins = tuple(self._twins())
        cloned = tuple(self._clones())
        original_grants = (*self._on_database(), *usage(self._to_be_let(usable), self._group), *self._on_originals())
        schemas = (*self._shadow_schemas.values(), information_schema(self._group))
        private = (self._keys.schema,) if self._keys.schema else ()
        made = (*schemas, *private)
        steps = (
            Step(tuple(f"CREATE SCHEMA {quoted(each)} AUTHORIZATION {quoted(self._owner)}" for each in made)),
            Step(tuple(self._to_owner(usable))),
            Step((f"SET LOCAL ROLE {quoted(self._owner)}", *usage(schemas, self._group))),
            Step(self._keys.statements, secrets=self._keys.secrets),
            *self._copies(),
            *twins,
            *cloned,
            Step((*self._on_routines(), "RESET ROLE", *original_grants)),
        )
        return PlannedSet(
            mask_set=self._set,
            schemas=schemas,
            steps=steps,
            relations=self._relations,
            functions=self._functions,
            withheld=self._withheld,
            protected=self._protected,
            closure=self._closure,
            rights=self._given,
            bounds=self._bounds.most,
            taken=self._bounds.taken,
            silenced={(each.schema, each.name): said for each in self._sorted if (said := self._bounds.silenced(each))},
            findings=(
                *self._closure.findings,
                *self._keys.findings,
                *self._lacks.findings(),
                *self._missed(),
                *self._bounds.findings(),
            ),
        )

    def _missed(self) -> Iterator[Finding]:
        for path in sorted(self._missing):
            yield Finding(
                Severity.AMBER,
                f"no-column {path}",
                f"The policy masks {path}, which the database {self._inventory.database} does not have: if the column "
                "got another name, its values would be shown.",
            )

    # Schemas ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _shadow_schemas(self) -> Mapping[str, str]:
        """Original schemas to those of their twins and clones."""
        held = {self._inventory.relations[oid].schema for oid in self._protected} | self._closure.clones.schemas
        return {name: twin_schema(self._group, number) for number, name in enumerate(sorted(held), 1)}

    def _usable(self) -> Iterator[str]:
        """The schemas whose objects the account can name, and that masked sessions can be let into."""
        for name in sorted(self._rights.schemas & self._inventory.schemas.keys()):
            schema = self._inventory.schemas[name]
            if PUBLIC in schema.usage or self._lacks.may(schema.owner, f"the schema {name}"):
                yield name

    def _to_be_let(self, usable: tuple[str, ...]) -> Iterator[str]:
        return (name for name in usable if PUBLIC not in self._inventory.schemas[name].usage)

    def _lent(self, usable: tuple[str, ...]) -> Iterator[str]:
        """Schemas that the account can't name, and in which a view of its clones reads for it."""
        for name in sorted({self._inventory.relations[oid].schema for oid in self._read_by_clones}.difference(usable)):
            schema = self._inventory.schemas[name]
            if PUBLIC not in schema.usage and self._lacks.may(schema.owner, f"the schema {name}"):
                yield name

    # The owner's part ------------------------------------------------------------------------------------------------

    def _to_owner(self, usable: tuple[str, ...]) -> Iterator[str]:
        """What the owner of twins needs: to read all of their originals, and to write there what sessions may write."""
        yield from usage((*self._to_be_let(usable), *self._lent(usable)), self._owner)
        held = []
        for relation in self._sorted:
            if self._is_shadowed(relation):
                allowed = self._bounds.allowed(relation)
                rights = Rights(insert=allowed.insert, update=allowed.update, whole=allowed.whole | {"SELECT"})
                held.append((relation, dotted(relation.schema, relation.name), rights))
        for oid in sorted(self._read_by_clones):
            relation = self._inventory.relations[oid]
            if not self._is_shadowed(relation):
                held.append((relation, dotted(relation.schema, relation.name), Rights(whole=frozenset({"SELECT"}))))
        yield from granted(held, self._owner)

    def _is_shadowed(self, relation: Relation) -> bool:
        return (relation.schema, relation.name) in self._relations

    def _copies(self) -> Iterator[Step]:
        schema = information_schema(self._group)
        views = self._inventory.information_views
        for name, statement in information.copies(views, self._set.role, schema).items():
            letting: tuple[str, ...] = ()
            if not name.startswith("_"):
                # Column by column, or database_to_xml() would read all of them: it takes what it has whole rights on.
                listed = ", ".join(map(quoted, information.columns(views[name])))
                letting = (f"GRANT SELECT ({listed}) ON {dotted(schema, name)} TO {quoted(self._group)}",)
                self._relations[information.ORIGINAL, name] = Shadowed(schema, name)
            yield Step((statement, *letting), withholds=f"the copy of information_schema.{name}")

    def _twins(self) -> Iterator[Step]:
        for relation in self._sorted:
            masks, named = self._protected.get(relation.oid), (relation.schema, relation.name)
            readable = self._rights.relations.get(relation.oid, NOTHING).select
            if masks is None or not readable or named in self._withheld:
                continue
            allowed = self._bounds.allowed(relation)
            if not self._lacks.may(relation.owner, ".".join(named)):
                self._withheld[named] = (
                    f"{'.'.join(named)} can't be used in this session, because whoever installed the masks has no "
                    "right to show parts of it; tell the operator of the gateway."
                )
                continue
            schema = self._shadow_schemas[relation.schema]
            hidden = self._bounds.hidden(relation)
            whole = (allowed.whole & {"DELETE"}) | _of_all(relation, readable)
            shown = Rights(readable, allowed.insert - hidden, allowed.update, whole)
            is_written, has_heirs = relation.kind in "rpf", relation.oid in self._parents
            # Partitions keep to the key of their table, inheritance children don't.
            has_key = not hidden.intersection(relation.primary_key) and (relation.kind == "p" or not has_heirs)
            self._relations[named] = Shadowed(
                schema,
                relation.name,
                columns=tuple(column.name for column in relation.columns),
                protected=hidden,
                is_written=is_written,
                is_held=is_written,
                has_heirs=has_heirs,
                generated=frozenset(column.name for column in relation.columns if column.is_generated),
                primary_key=relation.primary_key if has_key else (),
            )
            yield Step(
                (
                    twin(relation, masks, schema, self._keyed(relation, masks)),
                    *granted([(relation, dotted(schema, relation.name), shown)], self._group),
                ),
                withholds=".".join(named),
            )

    def _keyed(self, relation: Relation, masks: Mapping[int, ColumnMask]) -> Mapping[int, str]:
        columns = (column for column in relation.columns if column.number in masks)
        return {column.number: self._keys.of(column, masks[column.number], ROW) for column in columns}

    def _clones(self) -> Iterator[Step]:
        twins = {named: (each.schema, each.name) for named, each in self._relations.items()}
        made = clones.clone(self._inventory, self._closure, twins, self._shadow_schemas)
        self._withheld |= clones.left_out(self._inventory, self._closure, made)
        for each in made:
            name = ".".join(each.original)
            if each.is_function:
                if each.oid in self._rights.functions:
                    self._functions[each.original] = each.twin
                yield Step(each.sql, withholds=name)
                continue
            relation = self._inventory.relations[each.oid]
            if unread := [
                self._inventory.relations[oid]
                for oid in sorted(each.reads)
                if not self._lacks.acts_for(self._inventory.relations[oid].owner)
            ]:
                for other in unread:
                    self._lacks.may(other.owner, f"{other.schema}.{other.name}")
                self._withheld[each.original] = _unlent(name)
                continue
            self._read_by_clones |= each.reads
            readable = self._rights.relations.get(each.oid, NOTHING).select
            if readable:
                self._relations[each.original] = Shadowed(*each.twin, columns=each.columns)
            shown = Rights(select=readable, whole=_of_all(relation, readable))
            yield Step(
                (*each.sql, *granted([(relation, dotted(*each.twin), shown)], self._group)),
                withholds=name,
            )

    def _on_routines(self) -> Iterator[str]:
        """A clone has its caller's rights, so that whoever may call it could write it as well."""
        for schema in sorted({schema for schema, _ in self._functions.values()}):
            yield f"REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA {quoted(schema)} FROM PUBLIC"
            yield f"GRANT EXECUTE ON ALL ROUTINES IN SCHEMA {quoted(schema)} TO {quoted(self._group)}"

    # The group's part ------------------------------------------------------------------------------------------------

    def _on_database(self) -> Iterator[str]:
        wanted = {
            "CONNECT": self._rights.may_connect,
            "TEMPORARY": self._rights.may_make_temporary,
        }
        for word, is_wanted in wanted.items():
            database = self._inventory.database
            if is_wanted and word not in self._inventory.public:
                if self._lacks.may(self._inventory.database_owner, f"the database {database}"):
                    yield f"GRANT {word} ON DATABASE {quoted(database)} TO {quoted(self._group)}"

    def _on_originals(self) -> Iterator[str]:
        held = []
        for relation in self._sorted:
            allowed = self._bounds.most[relation.oid]
            if allowed == NOTHING:
                continue
            name = f"{relation.schema}.{relation.name}"
            self._given[relation.oid] = allowed
            if self._lacks.acts_for(relation.owner) or not self._is_publics(relation, allowed):
                if self._lacks.may(relation.owner, name):
                    held.append((relation, dotted(relation.schema, relation.name), allowed))
                else:
                    self._withheld.setdefault((relation.schema, relation.name), _unlent(name))
                    del self._given[relation.oid]
        yield from granted(held, self._group)
        yield from execution(self._routines(), self._group)

    def _is_publics(self, relation: Relation, allowed: Rights) -> bool:
        public = relation.grants.get(PUBLIC, frozenset())
        wanted = set(allowed.whole) | {
            word
            for word, columns in (("SELECT", allowed.select), ("INSERT", allowed.insert), ("UPDATE", allowed.update))
            if columns
        }
        return ("TABLE", relation.oid) not in self._bounds.taken and wanted <= public

    def _routines(self) -> Iterator[str]:
        """Granted one by one is also what everybody may call: another set may have it taken from PUBLIC."""
        for function in sorted(self._inventory.functions.values(), key=lambda each: (each.schema, each.signature)):
            if function.oid not in self._rights.functions or function.schema not in self._rights.schemas:
                continue
            if function.oid not in self._closure.clean_functions:
                continue
            is_public = PUBLIC in function.grantees
            if is_public and (function.extension or not self._lacks.acts_for(function.owner)):
                continue
            if self._lacks.may(function.owner, f"{function.schema}.{function.signature}"):
                yield routine(function.schema, function.signature)


def _of_all(relation: Relation, readable: frozenset[str]) -> frozenset[str]:
    """What LOCK needs: a right on the whole of a twin, which gets no more columns."""
    return frozenset({"SELECT"} if readable.issuperset(column.name for column in relation.columns) else ())


def _unlent(name: str) -> str:
    return (
        f"{name} can't be used in this session, because whoever installed the masks has no right to lend it; tell the "
        "operator of the gateway."
    )
