"""What a database answered to `inquiries`, as an `Inventory`. Knows no connection.

What install made is taken out of what it lies in: an inventory shows the database as it would be without.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import orjson

from hoopproxy.masking.shadows import surroundings
from hoopproxy.masking.shadows.inventory import (
    PUBLIC,
    AccountRights,
    Column,
    Function,
    Inventory,
    Own,
    Relation,
    Rights,
    Role,
    RowPolicy,
    Schema,
    Trigger,
)
from hoopproxy.masking.shadows.naming import STAMP, is_ours, owner_role, set_of_schema
from hoopproxy.masking.shadows.notes import Notes

type _Row = dict[str, Any]
type _Grants = dict[str, frozenset[str]]

_ANSWERS = 11

_CASCADE, _SETTING = "c", "nd"
"""The actions of foreign keys that change the rows that refer to another: CASCADE, SET NULL and SET DEFAULT."""


def read(answers: Sequence[Sequence[Sequence[str | None]]]) -> Inventory:
    """The inventory. @raise ValueError: these are no answers to an inquiry."""
    if len(answers) != _ANSWERS:
        raise ValueError(f"{len(answers)} answers, wanted are {_ANSWERS}")
    # The first answers the search path.
    (database,), roles, schemas, relations, functions, domain_rows, defaults, views, rights, (around,) = (
        [orjson.loads(row[0] or "null") for row in rows] for rows in answers[1:]
    )
    owner = owner_role(database["database"])
    comments = {row["name"]: _stamped(row["comment"]) for row in roles}
    own_schemas = {row["name"]: row["owner"] for row in schemas if set_of_schema(row["name"]) and is_ours(row["owner"])}
    notes = Notes(comments.get(owner, ""), {row["name"] for row in roles})
    domains = {row["oid"]: row["below"] for row in domain_rows}
    every_relation = [_relation(row, domains) for row in relations]
    every_function = [_function(row) for row in functions]
    relations_before = [notes.relation(each) for each in every_relation if each.schema not in own_schemas]
    functions_before = [notes.function(each) for each in every_function if each.schema not in own_schemas]
    own = Own(
        schemas=own_schemas,
        relations={each.oid: each for each in every_relation if each.schema in own_schemas},
        functions={each.oid: each for each in every_function if each.schema in own_schemas},
        roles=frozenset(row["name"] for row in roles if is_ours(row["name"])),
        moved=notes.moved,
        undone=frozenset(notes.undone),
        lost=frozenset(notes.lost),
    )
    columns = {each.oid: frozenset(column.name for column in each.columns) for each in every_relation}
    grants = _grants(database["grants"])
    return Inventory(
        database=database["database"],
        server_version=database["server_version"],
        provisioner=database["provisioner"],
        provisioner_roles=frozenset(database["provisioner_roles"] or ()),
        schemas={row["name"]: _schema(row) for row in schemas if row["name"] not in own_schemas},
        relations={each.oid: each for each in relations_before},
        functions={each.oid: each for each in functions_before},
        roles={row["name"]: _role(row) for row in roles if not is_ours(row["name"])},
        rights={row["name"]: _rights(row, columns) for row in rights},
        loopback_trust=None if database["trusted"] is None else "true" in database["trusted"],
        foreign_servers=frozenset(database["foreign_servers"] or ()),
        default_acl_public={
            row["name"]: row["is_public"] or row["name"] in notes.defaults
            for row in defaults
            if not is_ours(row["name"])
        },
        information_views={row["name"]: row["definition"] for row in views},
        installed=dict(_installed(own_schemas, schemas, comments)),
        own=own,
        public=grants.get(PUBLIC, frozenset()),
        settings=(f"search_path={database['path']}", *(database["settings"] or ())),
        may_create=database["may_create"],
        database_owner=database["database_owner"],
        system_relations=frozenset(database["system_relations"]),
        system_functions=frozenset(database["system_functions"]),
        surroundings=surroundings.read(around),
    )


def _installed(
    own_schemas: Mapping[str, str], schemas: Sequence[_Row], comments: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """A set stands where its role and a schema of it say the same; where they don't its digest is ""."""
    said: dict[str, set[str]] = {}
    for row in schemas:
        if row["name"] in own_schemas:
            said.setdefault(set_of_schema(row["name"]), set()).update(filter(None, [_stamped(row["comment"])]))
    for name, digests in said.items():
        comment = comments.get(name, "")
        yield name, comment if digests == {comment} else ""


def _stamped(comment: str | None) -> str:
    return comment.removeprefix(STAMP) if comment and comment.startswith(STAMP) else ""


def _grants(pairs: Sequence[tuple[str, str]] | None) -> _Grants:
    """Grantees to privileges, without those of ours. A grant to a role that is gone has no name."""
    found: dict[str, set[str]] = {}
    for grantee, privilege in pairs or ():
        if grantee is not None and not is_ours(grantee):
            found.setdefault(grantee, set()).add(privilege)
    return {name: frozenset(privileges) for name, privileges in found.items()}


def _schema(row: _Row) -> Schema:
    grants = _grants(row["grants"])
    usage, create = (frozenset(name for name, held in grants.items() if word in held) for word in ("USAGE", "CREATE"))
    return Schema(row["owner"], usage, create)


def _role(row: _Row) -> Role:
    return Role(
        name=row["name"],
        is_superuser=row["rolsuper"],
        bypasses_row_security=row["rolbypassrls"],
        creates_roles=row["rolcreaterole"],
        member_of=frozenset(name for name in row["member_of"] or () if not is_ours(name)),
        settings=tuple(row["settings"] or ()),
    )


def _relation(row: _Row, domains: Mapping[int, int]) -> Relation:
    columns = tuple(_column(each, domains) for each in row["columns"] or ())
    names = {each.number: each.name for each in columns}
    indexes = row["indexes"] or ()
    every = frozenset(names.values())
    # In an index 0 stands for an expression, whose columns follow; alone for one that reads the whole row.
    indexed = [every if numbers == [0] else frozenset(_named(numbers, names)) for _, _, numbers, *_ in indexes]
    unique = [each for each, (_, is_unique, *_) in zip(indexed, indexes, strict=True) if is_unique]
    checks = row["checks"] or ()
    facts = [
        *(("check", text) for text, _ in checks),
        *(("index", definition) for _, _, _, definition, *_ in indexes if definition),
        *(("partition bound", text) for text in [row["bound"]] if text),
        *(("partition key", text) for text in [row["partition_key"]] if text),
    ]
    return Relation(
        oid=row["oid"],
        schema=row["schema"],
        name=row["name"],
        kind=row["kind"],
        owner=row["owner"],
        columns=columns,
        parents=tuple(sorted(row["parents"] or ())),
        primary_key=next((_named(numbers, names) for is_primary, _, numbers, *_ in indexes if is_primary), ()),
        unique_columns=frozenset().union(*unique),
        definition=row["definition"] or "",
        is_invoker=row["is_invoker"],
        row_security=row["row_security"],
        policies=tuple(
            RowPolicy(name, frozenset(roles), using or "", check or "")
            for name, roles, using, check in row["policies"] or ()
        ),
        triggers=tuple(Trigger(*each) for each in [*(row["triggers"] or ()), *(row["rules"] or ())]),
        grants=_grants(row["grants"]),
        column_grants=_column_grants(row["column_grants"] or ()),
        facts=tuple((kind, text) for kind, text in sorted(facts)),
        extension=row["extension"] or "",
        # A CHECK that reads the whole row names no column.
        compared=(*unique, *(frozenset(_named(numbers or (), names)) or every for _, numbers in checks)),
        references=tuple(
            (names[number], oid, other)
            for numbers, oid, others, *_ in row["foreign_keys"] or ()
            for number, other in zip(numbers, others, strict=True)
        ),
        cascades=tuple(
            (oid, verb, "DELETE" if (verb, action) == ("DELETE", _CASCADE) else "UPDATE")
            for _, oid, _, *actions in row["foreign_keys"] or ()
            for verb, action in zip(("DELETE", "UPDATE"), actions, strict=True)
            if action in (_CASCADE, *_SETTING)
        ),
        indexes=tuple(indexed),
        mixed=tuple(
            each - frozenset(_named(plain, names))
            for each, (_, is_unique, _, _, plain) in zip(indexed, indexes, strict=True)
            if is_unique and 0 in plain
        ),
        feeds=tuple((oid, number) for oid, number in row["feeds"] or ()),
    )


def _named(numbers: Collection[int], names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(names[number] for number in dict.fromkeys(numbers) if number in names)


def _column(each: Sequence[Any], domains: Mapping[int, int]) -> Column:
    number, name, type_oid, modifier, type_sql, collation, is_generated, default, has_first_value = each
    base = type_oid
    while base in domains:
        base = domains[base]
    text, reads = default or ("", None)
    return Column(
        number=number,
        name=name,
        type_oid=type_oid,
        type_modifier=modifier,
        type_sql=type_sql,
        base_oid=base,
        is_domain=type_oid in domains,
        collation=collation or "",
        is_generated=is_generated,
        default=text,
        generated_from=frozenset(reads or ()),
        has_first_value=has_first_value,
    )


def _column_grants(columns: Sequence[Any]) -> dict[str, dict[int, frozenset[str]]]:
    found: dict[str, dict[int, frozenset[str]]] = {}
    for number, pairs in columns:
        for grantee, privileges in _grants(pairs).items():
            found.setdefault(grantee, {})[number] = privileges
    return found


def _function(row: _Row) -> Function:
    return Function(
        oid=row["oid"],
        schema=row["schema"],
        name=row["name"],
        signature=row["signature"],
        kind=row["kind"],
        owner=row["owner"],
        language=row["language"],
        is_trusted=row["is_trusted"],
        is_definer=row["is_definer"],
        argument_types=tuple(row["argument_types"]),
        definition=row["definition"] or "",
        body=row["body"] or "",
        settings=tuple(row["settings"] or ()),
        grantees=frozenset(_grants(row["grants"])),
        extension=row["extension"] or "",
        is_trigger=row["is_trigger"],
    )


def _rights(row: _Row, columns: Mapping[int, frozenset[str]]) -> AccountRights:
    found: dict[int, Rights] = {}
    for oid, whole, *of_columns in row["relations"] or ():
        every = columns.get(oid, frozenset())
        held = [
            every if word in whole else frozenset(names or ())
            for word, names in zip(("SELECT", "INSERT", "UPDATE"), of_columns, strict=True)
        ]
        if whole or any(held):
            found[oid] = Rights(held[0], held[1], held[2], frozenset(whole))
    found |= {oid: Rights(whole=frozenset(whole)) for oid, whole in row["sequences"] or () if whole}
    return AccountRights(
        relations=found,
        functions=frozenset(row["functions"] or ()),
        schemas=frozenset(row["schemas"] or ()),
        may_make_temporary=row["may_make_temporary"],
        may_connect=row["may_connect"],
    )
