"""What one database holds, as its catalog says it: frozen values that plans and audits are made from.

Knows no mask and no query: `inquiries` asks for it, `answers` makes it. What was made for masks stands in `own` and
`installed` alone: all else is as if nothing were installed, so that a plan is the same before and after.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hoopproxy.masking.shadows.surroundings import NO_SURROUNDINGS, Surroundings

PUBLIC = "PUBLIC"
"""The grantee that everybody is, in the place of a role's name."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `type_sql` is its type as SQL says it, modifier and schema included (`format_type`); `base_oid` is
    the type's OID, a domain's being that of its base type. `collation` is schema-qualified SQL, "" for the type's own.
    `generated_from` are the numbers of the columns that a generated one is computed from. `has_first_value`: it was
    added with a default, which the catalog still holds for older rows.
    """

    number: int
    name: str
    type_oid: int
    type_modifier: int
    type_sql: str
    base_oid: int
    is_domain: bool = False
    collation: str = ""
    is_generated: bool = False
    default: str = ""
    generated_from: frozenset[int] = frozenset()
    has_first_value: bool = False


@dataclass(frozen=True, slots=True)
class RowPolicy:
    """One policy of row security; `roles` hold PUBLIC or names."""

    name: str
    roles: frozenset[str]
    using: str
    check: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger or rule that its owner attached: `what` is its name, `definition` its SQL, `function` the OID, 0: a
    rule."""

    what: str
    definition: str
    function: int = 0


@dataclass(frozen=True, slots=True)
class Relation:
    """A table (`r`), partitioned table (`p`), view (`v`), materialised view (`m`), foreign table (`f`) or sequence
    (`S`).

    `parents` are what it inherits from or is a partition of. `definition` is a view's query, all its names qualified.
    `grants` maps grantees (PUBLIC for everybody) to privileges of the whole relation (SELECT, INSERT, …),
    `column_grants` to those of columns, by number. `facts` are texts of the catalog in which values may stand that
    everybody may read: partition bounds, CHECKs, index predicates and expressions, by the kind (`check`, `partition
    bound`, `partition key`, `index`). `unique_columns` are those whose values a unique or exclusion index compares;
    `compared` are sets of columns that one constraint looks at together, `references` are columns, and of the table
    that a foreign key finds their values in the OID and the column's number. `cascades` are OIDs of such tables, with
    what happens there (`DELETE`, `UPDATE`) and what that does to rows here. `indexes` are the columns of each index,
    those that it merely includes among them; `mixed` are those that a unique index compares as one value, in an
    expression. `feeds` are the columns that a sequence counts for: their table's OID and their number.
    """

    oid: int
    schema: str
    name: str
    kind: str
    owner: str
    columns: tuple[Column, ...]
    parents: tuple[int, ...] = ()
    primary_key: tuple[str, ...] = ()
    unique_columns: frozenset[str] = frozenset()
    definition: str = ""
    is_invoker: bool = False
    row_security: bool = False
    policies: tuple[RowPolicy, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    grants: Mapping[str, frozenset[str]] = field(default_factory=dict)
    column_grants: Mapping[str, Mapping[int, frozenset[str]]] = field(default_factory=dict)
    facts: tuple[tuple[str, str], ...] = ()
    extension: str = ""
    compared: tuple[frozenset[str], ...] = ()
    references: tuple[tuple[str, int, int], ...] = ()
    cascades: tuple[tuple[int, str, str], ...] = ()
    indexes: tuple[frozenset[str], ...] = ()
    mixed: tuple[frozenset[str], ...] = ()
    feeds: tuple[tuple[int, int], ...] = ()

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((each for each in self.columns if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Function:
    """A function (`f`), procedure (`p`), aggregate (`a`) or window function (`w`) outside pg_catalog.

    `signature` is `name(type, type)` with the types qualified, as GRANT takes it behind the schema. `definition` is
    what makes it again, "" for aggregates; `body` its text. `settings` are its own (`search_path=public`). `grantees`
    may execute it; PUBLIC is among them where everybody may.
    """

    oid: int
    schema: str
    name: str
    signature: str
    kind: str
    owner: str
    language: str
    is_trusted: bool
    is_definer: bool
    argument_types: tuple[int, ...]
    definition: str
    body: str
    settings: tuple[str, ...] = ()
    grantees: frozenset[str] = frozenset()
    extension: str = ""
    is_trigger: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema: its owner, and who may use it and create in it."""

    owner: str
    usage: frozenset[str]
    create: frozenset[str]


@dataclass(frozen=True, slots=True)
class Role:
    """A role. `member_of` are all that it is in, at any depth; `settings` its own defaults here (`search_path=app`)."""

    name: str
    is_superuser: bool
    bypasses_row_security: bool
    creates_roles: bool
    member_of: frozenset[str]
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role may do with one relation: columns by name for SELECT, INSERT and UPDATE; `whole` are the privileges
    that it has of all of it, these three included."""

    select: frozenset[str] = frozenset()
    insert: frozenset[str] = frozenset()
    update: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AccountRights:
    """What the role of an account may do here: by OID of relations and sequences, and the OIDs of functions."""

    relations: Mapping[int, Rights]
    functions: frozenset[int]
    schemas: frozenset[str]
    may_make_temporary: bool
    may_connect: bool = True


@dataclass(frozen=True, slots=True)
class Moved:
    """A privilege that install took from PUBLIC and gave to `roles` one by one: uninstall turns that round.

    `what` is how GRANT names the object, such as `ROUTINE "public"."f"(integer)`; for default privileges of functions
    it is `DEFAULT` and `of` the role whose they are. `oid` is that of the object, 0 for these.
    """

    privilege: str
    what: str
    roles: tuple[str, ...]
    of: str = ""
    oid: int = 0


@dataclass(frozen=True, slots=True)
class Own:
    """What was made for masks in this database: its relations and functions by OID, its roles, with logins; `schemas`
    to their owner, and what was moved. Of that PUBLIC has `undone` again; the objects of `lost` are others by now."""

    schemas: Mapping[str, str]
    relations: Mapping[int, Relation]
    functions: Mapping[int, Function]
    roles: frozenset[str]
    moved: tuple[Moved, ...] = ()
    undone: frozenset[Moved] = frozenset()
    lost: frozenset[Moved] = frozenset()


NOTHING_OWN = Own({}, {}, {}, frozenset())


@dataclass(frozen=True, slots=True)
class Inventory:
    """One database at one moment. `server_version` is `server_version_num`; `provisioner` is who asked, and whether it
    is a superuser stands in `roles`. `rights` are by the names of account roles, and of the mask sets that were found
    here: what their group roles can really do. `loopback_trust` None: the provisioner may not read pg_hba.conf; True:
    the server's own process may log in without a password. `foreign_servers` are names with a user mapping for PUBLIC.
    `default_acl_public` tells for each role that made or may make objects whether everybody may execute its next
    function. `information_views` maps the views of information_schema to their queries. `installed` maps the names of
    mask sets found here to the digest of the plan that made them. `public` are the privileges of everybody on the
    database; `settings` its own defaults (`search_path=app`). `system_relations` and `system_functions` are the
    names in pg_catalog.
    """

    database: str
    server_version: int
    provisioner: str
    provisioner_roles: frozenset[str]
    schemas: Mapping[str, Schema]
    relations: Mapping[int, Relation]
    functions: Mapping[int, Function]
    roles: Mapping[str, Role]
    rights: Mapping[str, AccountRights]
    loopback_trust: bool | None
    foreign_servers: frozenset[str]
    default_acl_public: Mapping[str, bool]
    information_views: Mapping[str, str]
    installed: Mapping[str, str]
    own: Own = NOTHING_OWN
    public: frozenset[str] = frozenset({"CONNECT", "TEMPORARY"})
    settings: tuple[str, ...] = ()
    may_create: bool = True
    database_owner: str = ""
    system_relations: frozenset[str] = frozenset()
    system_functions: frozenset[str] = frozenset()
    surroundings: Surroundings = NO_SURROUNDINGS

    @property
    def is_superuser(self) -> bool:
        """Whether the provisioner may do everything."""
        return self.provisioner in self.roles and self.roles[self.provisioner].is_superuser

    def relation(self, schema: str, name: str) -> Relation | None:
        """The relation of that name."""
        return next((each for each in self.relations.values() if (each.schema, each.name) == (schema, name)), None)
