"""A cheap question that tells whether a database's catalog has changed, in what matters to masks.

Knows not what changed: that is read anew. Rows of a catalog carry the number of the transaction that wrote them
(`xmin`), and it only grows: with as many rows as before, a change makes their sum larger. What is temporary is left
out, and so are login roles of ours, which come and go.
"""

from hoopproxy.masking.shadows.naming import GROUP_CHARACTERS, LOGIN
from hoopproxy.rooms import Rows

_OF_RELATIONS = {
    "pg_attribute": "attrelid",
    "pg_attrdef": "adrelid",
    "pg_constraint": "conrelid",
    "pg_index": "indrelid",
    "pg_inherits": "inhrelid",
    "pg_policy": "polrelid",
    "pg_rewrite": "ev_class",
    "pg_trigger": "tgrelid",
}
_OF_SCHEMAS = {"pg_class": "relnamespace", "pg_type": "typnamespace", "pg_proc": "pronamespace"}
_WHOLE = (
    "pg_cast",
    "pg_default_acl",
    "pg_enum",
    "pg_event_trigger",
    "pg_extension",
    "pg_foreign_server",
    "pg_language",
    "pg_operator",
)


def _sum(catalog: str, condition: str = "true") -> str:
    return f"(SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM {catalog} WHERE {condition})"


_PARTS = (
    *(_sum(catalog, f"{key} NOT IN (SELECT oid FROM passing_relations)") for catalog, key in _OF_RELATIONS.items()),
    *(_sum(catalog, f"{key} NOT IN (SELECT oid FROM passing_schemas)") for catalog, key in _OF_SCHEMAS.items()),
    *map(_sum, _WHOLE),
    _sum("pg_namespace", "oid NOT IN (SELECT oid FROM passing_schemas)"),
    _sum("pg_description", "classoid = 'pg_namespace'::regclass"),
    _sum("pg_shdescription", "classoid = 'pg_authid'::regclass"),
    _sum("pg_database", "datname = current_database()"),
    _sum("pg_db_role_setting", "setrole NOT IN (SELECT oid FROM logins)"),
    _sum("pg_auth_members", "roleid NOT IN (SELECT oid FROM logins) AND member NOT IN (SELECT oid FROM logins)"),
    "(SELECT sum(hashtextextended(concat_ws(' ', oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcanlogin, "
    "rolreplication, rolbypassrls), 0)) FROM pg_roles WHERE oid NOT IN (SELECT oid FROM logins))",
    "(SELECT sum(hashtextextended(concat_ws(' ', umid, srvid, umuser), 0)) FROM pg_user_mappings)",
)

QUESTION = f"""
WITH passing_schemas AS (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_'),
passing_relations AS (SELECT oid FROM pg_class WHERE relpersistence = 't'),
logins AS (SELECT oid, rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS has_power
    FROM pg_roles WHERE rolname ~ '^{LOGIN}$')
SELECT concat_ws(' ', {", ".join(_PARTS)}),
    (SELECT string_agg(rolname, ' ') FROM logins WHERE has_power OR oid IN (
        SELECT m.member FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN logins l ON l.oid = m.member
        WHERE g.rolname <> left(l.rolname, {GROUP_CHARACTERS})))
"""
"""One row: the fingerprint, and login roles of ours that have more than their group gives them."""


def read(answer: tuple[Rows, ...]) -> tuple[str, frozenset[str]]:
    """The fingerprint and the spoiled login roles. @raise ValueError, IndexError: it is no answer to the question."""
    ((fingerprint, spoiled),) = answer[0]
    return fingerprint or "", frozenset((spoiled or "").split())
