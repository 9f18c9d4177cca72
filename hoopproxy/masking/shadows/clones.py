"""The SQL of clones: views and functions of a database once more, over twins in place of what is protected.

A clone is its original's text with other names in it (`rewriting`), made again in a shadow schema. Materialised views
become plain ones, as what they keep is not masked. Functions are SECURITY INVOKER whatever the original was: theirs
are the rights of who calls them, so that a name which was missed ends as 42501. Views read with their owner's rights,
and so a view whose text still names anything that is not granted as it is gets no clone.
Knows no mask.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hoopproxy.errors import Refused
from hoopproxy.masking.shadows.fates import Closure, Fate
from hoopproxy.masking.shadows.inventory import Function, Inventory, Relation
from hoopproxy.masking.shadows.places import Places
from hoopproxy.masking.shadows.quoting import dotted, quoted
from hoopproxy.masking.shadows.rewriting import rewritten
from hoopproxy.masking.shadows.sites import Renamed, applied, edits
from hoopproxy.masking.shadows.spelling import Astray, listed, parts
from hoopproxy.masking.shadows.texts import read
from hoopproxy.masking.shadows.uses import CATALOG
from hoopproxy.masking.syntax import Node, nodes, strings
from hoopproxy.masks import Named, Shadow, Shadowed

_CREATE = {"f": "CREATE OR REPLACE FUNCTION ", "p": "CREATE OR REPLACE PROCEDURE ", "w": "CREATE OR REPLACE FUNCTION "}
"""How pg_get_functiondef begins."""


type _Key = tuple[bool, int]
"""Whether it is a function, and an OID: a relation may have the same."""


@dataclass(frozen=True, slots=True)
class Clone:
    """One clone. `sql` makes it, run as the owner role, whatever the search path is; it may fail, and then the original
    has no twin. `reads` are OIDs of relations that are granted as they are and that the owner role must be able to read
    for it. Functions are not PUBLIC's: GRANT … ON ALL ROUTINES IN SCHEMA is for the group role."""

    oid: int
    original: Named
    twin: Named
    is_function: bool
    columns: tuple[str, ...]
    sql: tuple[str, ...]
    reads: frozenset[int] = frozenset()


def clone(
    inventory: Inventory, closure: Closure, twins: Mapping[Named, Named], schemas: Mapping[str, str]
) -> tuple[Clone, ...]:
    """The clones that can be made, in an order in which each finds those that it needs.

    `twins` are the twins of protected relations; `schemas` maps an original schema to its shadow schema.
    """
    return tuple(_Cloning(inventory, closure, twins, schemas).all())


def left_out(inventory: Inventory, closure: Closure, made: tuple[Clone, ...]) -> Mapping[Named, str]:
    """What should have a clone and has none, to the reason in a full sentence."""
    there = {each.original for each in made}
    missing: list[Relation | Function] = [
        *(inventory.relations[oid] for oid in closure.clones.relations),
        *(inventory.functions[oid] for oid in closure.clones.functions),
    ]
    return {
        (each.schema, each.name): f"{each.schema}.{each.name} can't be used in this session, because it reads masked "
        "columns in a way that can't be written again over masked tables: select from the tables below it."
        for each in missing
        if (each.schema, each.name) not in there
    }


def fresh_path(inventory: Inventory, role: str) -> tuple[str, ...]:
    """The search path of a new session of `role`, "$user" and missing schemas left out."""
    own = inventory.roles[role].settings if role in inventory.roles else ()
    path: tuple[str, ...] = ("$user", "public")
    for setting in (*inventory.settings, *own):
        name, _, value = setting.partition("=")
        if name == "search_path":
            path = listed(value)
    named = (role if each == "$user" else each for each in path)
    return tuple(each for each in named if each in inventory.schemas or each in ("pg_catalog", "pg_temp"))


class _Cloning:
    def __init__(
        self, inventory: Inventory, closure: Closure, twins: Mapping[Named, Named], schemas: Mapping[str, str]
    ) -> None:
        self._inventory, self._closure, self._schemas = inventory, closure, schemas
        self._twins = dict(twins)
        relations, functions = inventory.relations, inventory.functions
        for oid in sorted(closure.clones.relations):
            self._twins[_named(relations[oid])] = schemas[relations[oid].schema], relations[oid].name
        self._functions = {
            _named(functions[oid]): (schemas[functions[oid].schema], functions[oid].name)
            for oid in closure.clones.functions
        }
        self._known = {_named(each): each for each in inventory.relations.values()}
        self._originals = {twin: self._known[named] for named, twin in self._twins.items() if named in self._known}
        self._path = fresh_path(inventory, closure.role)
        self._shadow = self._seen()

    def _seen(self) -> Shadow:
        """What a rewriter must know to put twins and clones in their originals' place."""
        bearers: dict[str, set[str]] = defaultdict(set)
        for relation in self._inventory.relations.values():
            bearers[relation.name].add(relation.schema)
        calls: dict[str, set[str]] = defaultdict(set)
        for function in self._inventory.functions.values():
            calls[function.name].add(function.schema)
        return Shadow(
            mask_set="",
            path=self._path,
            bearers={name: frozenset(bearers[name]) for _, name in self._twins},
            calls={name: frozenset(calls[name]) for _, name in self._functions},
            relations={original: self._shadowed(original, twin) for original, twin in self._twins.items()},
            functions=self._functions,
            withheld={},
            origins={},
            tripwire={},
        )

    def _shadowed(self, original: Named, twin: Named) -> Shadowed:
        found = self._known.get(original)
        if found is None:
            return Shadowed(*twin)
        return Shadowed(*twin, tuple(column.name for column in found.columns), primary_key=found.primary_key)

    # In order --------------------------------------------------------------------------------------------------------

    def all(self) -> Iterator[Clone]:
        """Each behind those that it needs; of those that need each other functions come as they come."""
        missing: set[int] = set()
        for (is_function, oid), is_early in self._ordered():
            made = self._function(oid, is_early) if is_function else self._view(oid, missing)
            if made is not None:
                yield made
            elif not is_function:
                missing.add(oid)

    def _ordered(self) -> Iterator[tuple[_Key, bool]]:
        """What is cloned, and whether it comes before something that it needs, as that needs it, too."""
        clones = self._closure.clones
        done: set[_Key] = set()
        for start in (
            *((True, oid) for oid in sorted(clones.functions)),
            *((False, oid) for oid in sorted(clones.relations)),
        ):
            stack, early = [start], set[_Key]()
            while stack:
                key = stack[-1]
                needs = [each for each in self._needs(*key) if each not in done]
                if any(each in stack for each in needs):
                    early.add(key)
                following = next((each for each in needs if each not in stack), None)
                if following is not None:
                    stack.append(following)
                elif stack.pop() not in done:
                    done.add(key)
                    yield key, key in early

    def _needs(self, is_function: bool, oid: int) -> list[_Key]:
        texts, clones = self._closure.texts, self._closure.clones
        used = texts.functions[oid] if is_function else texts.views[oid]
        relations = {*used.columns, *used.row_types} & clones.relations
        return [
            *((False, each) for each in sorted(relations)),
            *((True, each) for each in sorted(used.functions & clones.functions)),
        ]

    # Views -----------------------------------------------------------------------------------------------------------

    def _view(self, oid: int, missing: set[int]) -> Clone | None:
        relation = self._inventory.relations[oid]
        twin = self._twins[_named(relation)]
        columns = tuple(column.name for column in relation.columns)
        listing = ", ".join(map(quoted, columns))
        text = self._rewritten(relation.definition.rstrip().rstrip(";"), ())
        reads = None if text is None else self._reads(text, missing)
        if text is None or reads is None:
            return None
        # Who may read what, and what may look at a row before it is left out, is the original's to say.
        options = ["security_invoker"] if relation.is_invoker else []
        options += ["security_barrier"] if oid in self._inventory.surroundings.barriers else []
        with_options = f" WITH ({', '.join(options)})" if options else ""
        sql = f"CREATE VIEW {dotted(*twin)} ({listing}){with_options} AS {text}"
        return Clone(oid, _named(relation), twin, False, columns, (sql,), reads)

    def _reads(self, text: str, missing: set[int]) -> frozenset[int] | None:
        """The relations that a rewritten view still reads itself; None: not all of these may be."""
        found: set[int] = set()
        shown = frozenset(self._twins.values())
        for named in _relations(read(text)):
            if named in shown:
                original = self._originals.get(named)
                if original is not None and original.oid in missing:
                    return None
            elif named[0] and named[0] not in CATALOG:
                relation = self._known.get(named)
                if relation is None or self._closure.relations[relation.oid].fate is not Fate.CLEAN:
                    return None
                found.add(relation.oid)
        return frozenset(found)

    # Functions -------------------------------------------------------------------------------------------------------

    def _function(self, oid: int, is_early: bool) -> Clone | None:
        function = self._inventory.functions[oid]
        twin = self._functions[_named(function)]
        text = self._rewritten(function.definition, self._path)
        text = None if text is None else _headed(text, function, twin)
        if text is None:
            return None
        lax = ("SET LOCAL check_function_bodies = off",) if is_early else ()
        return Clone(oid, _named(function), twin, True, (), (*lax, text))

    # Texts -----------------------------------------------------------------------------------------------------------

    def _rewritten(self, text: str, path: tuple[str, ...]) -> str | None:
        """A text that names twins and their row types; None: it can't be written."""
        try:
            changed = rewritten(text, self._shadow, Places.along(path)).text
            return applied(changed, edits(list(self._types(changed)), changed))
        except (Refused, Astray):
            return None

    def _types(self, text: str) -> Iterator[Renamed]:
        """Where the text names a row's type, which a twin has one of its own of."""
        for form in _forms(read(text)):
            if "names" in form and "typemod" in form and "location" in form:
                names = tuple(strings(form["names"]))
                if len(names) == 2 and (twin := self._twins.get((names[0], names[1]))):
                    yield Renamed(form["location"], names, twin)


def _named(what: Relation | Function) -> Named:
    return what.schema, what.name


def _forms(trees: tuple[Node, ...] | None) -> Iterator[Node]:
    """Every node of a tree, whatever its kind."""
    for _, inside in nodes(list(trees or ())):
        if isinstance(inside, dict):
            yield inside


def _relations(trees: tuple[Node, ...] | None) -> Iterator[Named]:
    for form in _forms(trees):
        if "relname" in form:
            yield form.get("schemaname", ""), form["relname"]


def _headed(text: str, function: Function, twin: Named) -> str | None:
    """A function's text under its clone's name and without what only its owner may say; None: it is written unlike
    pg_get_functiondef writes."""
    trees = read(text)
    made = trees[0].get("CreateFunctionStmt") if trees else None
    if made is None:
        return None
    start = len(_CREATE[function.kind])
    try:
        name = parts(text, start, (function.schema, function.name))
    except Astray:
        return None
    octets = text.encode()
    cuts = [(name[0].start, name[-1].end, dotted(*twin))]
    for option in made.get("options", []):
        inside = option["DefElem"]
        at = len(octets[: inside.get("location", 0)].decode())
        for word, put in (("SECURITY DEFINER", "SECURITY INVOKER"), ("LEAKPROOF", "")):
            if inside["defname"] in ("security", "leakproof") and text.startswith(word, at):
                cuts.append((at, at + len(word), put))
    for begin, end, put in sorted(cuts, reverse=True):
        text = text[:begin] + put + text[end:]
    return text
