"""What a database is asked so that masks can be planned for it: one text of several statements, each of whose rows is
one JSON document.

For PostgreSQL 15 and later, and a provisioner that need be no superuser: what it can't see is null. Names are looked up
in pg_catalog alone, so that all others come qualified. Knows not what becomes of the answers: `answers` does.
"""

from collections.abc import Iterable

from hoopproxy.masking.shadows import surroundings
from hoopproxy.masking.shadows.naming import GROUP, LOGIN
from hoopproxy.masking.shadows.quoting import literal

SEARCH_PATH = "pg_catalog, pg_temp"
"""Temporary relations come last: a login trigger (PostgreSQL 17) may have made some."""

_SYSTEM = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'"


def _grants(acl: str, kind: str, owner: str) -> str:
    """The grantees and privileges of an ACL, as pairs; without one an object has the defaults of its kind."""
    return f"""(
        SELECT json_agg(json_build_array(CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE g.rolname END, x.privilege_type))
        FROM aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) x LEFT JOIN pg_roles g ON g.oid = x.grantee
    )"""


def _settings(database: str, role: str) -> str:
    return f"""coalesce((
        SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setdatabase = {database} AND s.setrole = {role}
    ), '{{}}')"""


# Only superusers may read pg_hba.conf, and permissions are checked before a CASE is: hence a query within the query.
# Without a password the server's own process gets in by `trust`, and through a socket as whom the system knows it.
_TRUSTED = (
    "SELECT count(*) > 0 AS t FROM pg_hba_file_rules WHERE (auth_method = 'trust' AND (type = 'local' OR address IN "
    "('all', 'samehost', 'samenet', 'localhost', '::1', '0.0.0.0', '::') OR address LIKE '127.%')) "
    "OR (auth_method IN ('peer', 'ident') AND type = 'local')"
)

_DATABASE = f"""
SELECT row_to_json(q) FROM (SELECT
    current_database() AS database,
    current_setting('server_version_num')::int AS server_version,
    current_user AS provisioner,
    (SELECT json_agg(rolname) FROM pg_roles WHERE pg_has_role(oid, 'USAGE')) AS provisioner_roles,
    (SELECT json_agg(s.srvname) FROM pg_foreign_server s, aclexplode(s.srvacl) x WHERE x.grantee = 0
        AND s.oid IN (SELECT srvid FROM pg_user_mappings WHERE umuser = 0)) AS foreign_servers,
    has_database_privilege(d.oid, 'CREATE') AS may_create,
    pg_get_userbyid(d.datdba) AS database_owner,
    {_grants("d.datacl", "d", "d.datdba")} AS grants,
    (SELECT json_agg(c) FROM unnest({_settings("0", "0")} || {_settings("d.oid", "0")}) c) AS settings,
    (SELECT json_agg(relname) FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace
        AND relkind IN ('r', 'v')) AS system_relations,
    (SELECT json_agg(DISTINCT proname) FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace) AS
    system_functions, (SELECT reset_val FROM pg_settings WHERE name = 'search_path') AS path, CASE WHEN
    has_function_privilege('pg_hba_file_rules()', 'EXECUTE')
        AND has_table_privilege('pg_hba_file_rules', 'SELECT')
        THEN query_to_xml({literal(_TRUSTED)}, false, true, '')::text END AS trusted
FROM pg_database d WHERE d.datname = current_database()) q
"""

_ROLES = f"""
WITH RECURSIVE up(member, role) AS (
    SELECT member, roleid FROM pg_auth_members
    UNION
    SELECT up.member, m.roleid FROM up JOIN pg_auth_members m ON m.member = up.role
),
within AS (SELECT up.member, json_agg(g.rolname) AS roles FROM up JOIN pg_roles g ON g.oid = up.role GROUP BY up.member)
SELECT row_to_json(q) FROM (SELECT
    r.rolname AS name, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
    within.roles AS member_of, shobj_description(r.oid, 'pg_authid') AS comment,
    (SELECT json_agg(c) FROM unnest({_settings("0", "r.oid")} || {_settings("d.oid", "r.oid")}) c) AS settings
FROM pg_roles r JOIN pg_database d ON d.datname = current_database() LEFT JOIN within ON within.member = r.oid) q
"""

_SCHEMAS = f"""
SELECT row_to_json(q) FROM (SELECT
    n.nspname AS name, o.rolname AS owner, obj_description(n.oid, 'pg_namespace') AS comment,
    {_grants("n.nspacl", "n", "n.nspowner")} AS grants
FROM pg_namespace n JOIN pg_roles o ON o.oid = n.nspowner WHERE {_SYSTEM} ORDER BY n.nspname) q
"""

# An index expression that reads the whole row leaves no trace of its columns in pg_depend: then all of them count.
_RELATIONS = f"""
SELECT row_to_json(q) FROM (SELECT
    c.oid::int8, n.nspname AS schema, c.relname AS name, c.relkind AS kind, o.rolname AS owner,
    c.relrowsecurity AS row_security,
    (SELECT json_agg(json_build_array(
        a.attnum, a.attname, a.atttypid::int8, a.atttypmod, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation <> t.typcollation
            THEN (SELECT format('%I.%I', ln.nspname, l.collname) FROM pg_collation l
                JOIN pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = a.attcollation) END,
        a.attgenerated <> '', CASE WHEN a.atthasdef THEN (
            SELECT json_build_array(pg_get_expr(f.adbin, f.adrelid), CASE WHEN a.attgenerated <> '' THEN (
                SELECT json_agg(w.refobjsubid) FROM pg_depend w
                WHERE w.classid = 'pg_attrdef'::regclass AND w.objid = f.oid
                AND w.refclassid = 'pg_class'::regclass AND w.refobjid = c.oid AND w.refobjsubid <> a.attnum) END)
            FROM pg_attrdef f WHERE f.adrelid = c.oid AND f.adnum = a.attnum) END,
        a.atthasmissing) ORDER BY a.attnum)
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind <> 'S') AS columns,
    (SELECT json_agg(i.inhparent::int8) FROM pg_inherits i WHERE i.inhrelid = c.oid) AS parents,
    (SELECT json_agg(json_build_array(i.indisprimary, i.indisunique OR i.indisexclusion,
        CASE WHEN pg_get_expr(i.indexprs, c.oid) LIKE '%.*%' THEN '{{0}}' ELSE i.indkey::int2[] || ARRAY(
            SELECT w.refobjsubid::int2 FROM pg_depend w WHERE w.classid = 'pg_class'::regclass
            AND w.objid = i.indexrelid AND w.refclassid = 'pg_class'::regclass AND w.refobjid = c.oid) END,
        CASE WHEN i.indpred IS NOT NULL OR i.indexprs IS NOT NULL THEN pg_get_indexdef(i.indexrelid) END,
        i.indkey::int2[]))
        FROM pg_index i WHERE i.indrelid = c.oid) AS indexes,
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS definition,
    EXISTS (SELECT FROM pg_options_to_table(c.reloptions) x
        WHERE x.option_name = 'security_invoker' AND x.option_value::bool) AS is_invoker,
    (SELECT json_agg(json_build_array(p.polname,
        ARRAY(SELECT CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r) END FROM unnest(p.polroles) r),
        pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid)) ORDER BY p.polname)
        FROM pg_policy p WHERE p.polrelid = c.oid) AS policies,
    (SELECT json_agg(json_build_array(g.tgname, pg_get_triggerdef(g.oid), g.tgfoid::int8) ORDER BY g.tgname)
        FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS triggers,
    (SELECT json_agg(json_build_array(w.rulename, pg_get_ruledef(w.oid), 0) ORDER BY w.rulename)
        FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN') AS rules,
    {_grants("c.relacl", "r", "c.relowner")} AS grants,
    (SELECT json_agg(json_build_array(a.attnum, {_grants("a.attacl", "c", "c.relowner")}))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped) AS column_grants,
    (SELECT json_agg(json_build_array(pg_get_constraintdef(k.oid), k.conkey) ORDER BY k.conname)
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c') AS checks,
    (SELECT json_agg(json_build_array(k.conkey, k.confrelid::int8, k.confkey, k.confdeltype, k.confupdtype)
        ORDER BY k.conname)
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f') AS foreign_keys,
    CASE c.relkind WHEN 'S' THEN (SELECT json_agg(json_build_array(f.adrelid::int8, f.adnum)) FROM (
        SELECT f.adrelid, f.adnum FROM pg_depend w JOIN pg_attrdef f ON f.oid = w.objid
        WHERE w.classid = 'pg_attrdef'::regclass AND w.refclassid = 'pg_class'::regclass AND w.refobjid = c.oid
        UNION SELECT w.refobjid, w.refobjsubid FROM pg_depend w WHERE w.classid = 'pg_class'::regclass
        AND w.objid = c.oid AND w.refclassid = 'pg_class'::regclass AND w.refobjsubid > 0) f) END AS feeds,
    pg_get_expr(c.relpartbound, c.oid) AS bound,
    CASE c.relkind WHEN 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key,
    (SELECT x.extname FROM pg_depend w JOIN pg_extension x ON x.oid = w.refobjid
        WHERE w.classid = 'pg_class'::regclass AND w.objid = c.oid AND w.objsubid = 0 AND w.deptype = 'e') AS extension
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_SYSTEM} ORDER BY c.oid) q
"""

_FUNCTIONS = f"""
SELECT row_to_json(q) FROM (SELECT
    p.oid::int8, n.nspname AS schema, p.proname AS name, p.prokind AS kind, o.rolname AS owner, l.lanname AS language,
    l.lanpltrusted AS is_trusted, p.prosecdef AS is_definer,
    format('%I(%s)', p.proname, (SELECT string_agg(format_type(t, NULL), ', ' ORDER BY i)
        FROM unnest(p.proargtypes) WITH ORDINALITY a(t, i))) AS signature,
    p.proargtypes::oid[]::int8[] AS argument_types,
    CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END AS definition,
    coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) AS body, p.proconfig AS settings,
    {_grants("p.proacl", "f", "p.proowner")} AS grants,
    p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) AS is_trigger,
    (SELECT x.extname FROM pg_depend w JOIN pg_extension x ON x.oid = w.refobjid
        WHERE w.classid = 'pg_proc'::regclass AND w.objid = p.oid AND w.deptype = 'e') AS extension
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner
JOIN pg_language l ON l.oid = p.prolang WHERE {_SYSTEM} ORDER BY p.oid) q
"""

_DOMAINS = """
SELECT row_to_json(q) FROM (SELECT oid::int8, typbasetype::int8 AS below FROM pg_type WHERE typtype = 'd') q
"""

_DEFAULTS = f"""
SELECT row_to_json(q) FROM (SELECT r.rolname AS name, NOT EXISTS (
    SELECT FROM pg_default_acl a WHERE a.defaclrole = r.oid AND a.defaclobjtype = 'f' AND a.defaclnamespace = 0
    AND NOT EXISTS (SELECT FROM aclexplode(a.defaclacl) x WHERE x.grantee = 0)
) OR EXISTS (
    SELECT FROM pg_default_acl a, aclexplode(a.defaclacl) x
    WHERE a.defaclrole = r.oid AND a.defaclobjtype = 'f' AND a.defaclnamespace <> 0 AND x.grantee = 0
) AS is_public
FROM pg_roles r WHERE r.rolname !~ '^pg_' AND (
    r.oid IN (SELECT relowner FROM pg_class UNION SELECT proowner FROM pg_proc)
    OR r.rolname !~ '^{LOGIN}$' AND EXISTS (
        SELECT FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND has_schema_privilege(r.oid, n.oid, 'CREATE')))) q
"""

_INFORMATION_VIEWS = """
SELECT row_to_json(q) FROM (SELECT c.relname AS name, pg_get_viewdef(c.oid) AS definition
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'information_schema' AND c.relkind = 'v' ORDER BY c.relname) q
"""

_RELATION_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


def _column_rights(privilege: str) -> str:
    return f"""(SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
            AND a.attacl IS NOT NULL AND NOT a.attisdropped
            AND has_column_privilege(r.oid, c.oid, a.attnum, '{privilege}'))"""


# A privilege of the whole relation is one of all its columns; where there is none only those with an ACL can have one.
_RIGHTS = f"""
SELECT row_to_json(q) FROM (SELECT r.rolname AS name,
    (SELECT json_agg(json_build_array(c.oid::int8,
        array_remove(ARRAY[{
    ", ".join(f"CASE WHEN has_table_privilege(r.oid, c.oid, '{each}') THEN '{each}' END" for each in _RELATION_RIGHTS)
}], NULL), {", ".join(map(_column_rights, _RELATION_RIGHTS[:3]))}))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_SYSTEM}) AS relations,
    (SELECT json_agg(json_build_array(c.oid::int8, array_remove(ARRAY[
        CASE WHEN has_sequence_privilege(r.oid, c.oid, 'USAGE') THEN 'USAGE' END,
        CASE WHEN has_sequence_privilege(r.oid, c.oid, 'SELECT') THEN 'SELECT' END,
        CASE WHEN has_sequence_privilege(r.oid, c.oid, 'UPDATE') THEN 'UPDATE' END], NULL)))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND {_SYSTEM}) AS sequences,
    (SELECT json_agg(p.oid::int8) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {_SYSTEM} AND has_function_privilege(r.oid, p.oid, 'EXECUTE')) AS functions,
    (SELECT json_agg(n.nspname) FROM pg_namespace n
        WHERE {_SYSTEM} AND has_schema_privilege(r.oid, n.oid, 'USAGE')) AS schemas,
    has_database_privilege(r.oid, current_database(), 'TEMPORARY') AS may_make_temporary,
    has_database_privilege(r.oid, current_database(), 'CONNECT') AS may_connect
FROM pg_roles r WHERE r.rolname IN ({{roles}}) OR r.rolname ~ '^{GROUP}$') q
"""

# The order in which `answers` takes the answers.
_STATEMENTS = (
    _DATABASE,
    _ROLES,
    _SCHEMAS,
    _RELATIONS,
    _FUNCTIONS,
    _DOMAINS,
    _DEFAULTS,
    _INFORMATION_VIEWS,
    _RIGHTS,
    surroundings.QUESTION,
)


def inquiry(roles: Iterable[str]) -> str:
    """What to ask, also within a transaction; `roles` are those of accounts, whose rights are wanted.

    Changes nothing but the transaction's search path.
    """
    names = ", ".join(literal(role) for role in sorted({*roles})) or "NULL"
    path = f"SELECT set_config('search_path', {literal(SEARCH_PATH)}, true)"
    return ";".join([path, *_STATEMENTS]).replace("{roles}", names)
