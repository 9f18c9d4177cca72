"""What pgAdmin and DBeaver ask when somebody opens a database in them, by hand: under masks the answers are the same.

The queries follow their public sources (pgAdmin 4: web/pgadmin/browser/server_groups/servers/databases/schemas;
DBeaver: org.jkiss.dbeaver.ext.postgresql.model), with the names of this database in the place of parameters.
"""

import psycopg
import pytest

from hoopproxy.testing.stand import Door

PGADMIN = {
    "schemas": """
        SELECT nsp.oid, nsp.nspname AS name, pg_catalog.has_schema_privilege(nsp.oid, 'USAGE') AS has_usage,
            des.description
        FROM pg_catalog.pg_namespace nsp
        LEFT OUTER JOIN pg_catalog.pg_description des ON des.objoid = nsp.oid
            AND des.classoid = 'pg_namespace'::regclass
        WHERE nspname IN ('public', 'stock') ORDER BY nspname""",
    "tables": """
        SELECT rel.oid, rel.relname AS name,
            (SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = rel.oid
                AND tgisinternal = FALSE) AS triggercount,
            (SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = rel.oid AND tgisinternal = FALSE
                AND tgenabled = 'O') AS has_enable_triggers,
            (CASE WHEN rel.relkind = 'p' THEN true ELSE false END) AS is_partitioned,
            (SELECT count(1) FROM pg_catalog.pg_inherits WHERE inhrelid = rel.oid LIMIT 1) AS is_inherits,
            (SELECT count(1) FROM pg_catalog.pg_inherits WHERE inhparent = rel.oid LIMIT 1) AS is_inherited,
                des.description
        FROM pg_catalog.pg_class rel
        LEFT OUTER JOIN pg_catalog.pg_description des ON des.objoid = rel.oid AND des.objsubid = 0
            AND des.classoid = 'pg_class'::regclass
        WHERE rel.relkind IN ('r', 's', 't', 'p') AND rel.relnamespace = 'public'::regnamespace
            AND NOT rel.relispartition
        ORDER BY rel.relname""",
    "a table": """
        SELECT rel.oid, rel.relname AS name, pg_catalog.pg_get_userbyid(rel.relowner) AS relowner,
            pg_catalog.array_to_string(rel.relacl::text[], ', ') AS acl, rel.relpersistence, rel.relrowsecurity,
            (CASE WHEN rel.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(rel.oid) ELSE '' END) AS partition_scheme,
            pg_catalog.array_agg(inh.inhparent::regclass::text) AS coll_inherits, typ.typname,
            pg_catalog.pg_relation_size(rel.oid) AS size, pg_catalog.has_table_privilege(rel.oid,
                'REFERENCES') IS NULL AS x
        FROM pg_catalog.pg_class rel
        LEFT OUTER JOIN pg_catalog.pg_type typ ON rel.reloftype = typ.oid
        LEFT OUTER JOIN pg_catalog.pg_inherits inh ON inh.inhrelid = rel.oid
        WHERE rel.oid = 'customers'::regclass GROUP BY rel.oid, typ.typname""",
    "columns": """
        SELECT DISTINCT ON (att.attnum) att.attname AS name, att.atttypid, att.attlen, att.attnum, att.attndims,
            att.atttypmod, att.attacl, att.attnotnull, att.attoptions, att.attfdwoptions, att.attstattarget,
                att.attstorage,
            att.attidentity, pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS defval,
            pg_catalog.format_type(ty.oid, NULL) AS typname, pg_catalog.format_type(ty.oid,
                att.atttypmod) AS displaytypname,
            (CASE WHEN (att.attidentity IN ('a',
                'd')) THEN 'i' WHEN (att.attgenerated IN ('s')) THEN 'g' ELSE 'n' END) AS kind,
            pg_catalog.col_description(att.attrelid, att.attnum) AS description, coll.collname, seq.seqincrement,
            EXISTS (SELECT 1 FROM pg_catalog.pg_constraint WHERE conrelid = att.attrelid AND contype = 'f'
                AND att.attnum = ANY (conkey)) AS isfk
        FROM pg_catalog.pg_attribute att
        JOIN pg_catalog.pg_type ty ON ty.oid = atttypid
        LEFT OUTER JOIN pg_catalog.pg_attrdef def ON adrelid = att.attrelid AND adnum = att.attnum
        LEFT OUTER JOIN pg_catalog.pg_collation coll ON att.attcollation = coll.oid
        LEFT OUTER JOIN pg_catalog.pg_depend dep ON dep.refobjid = att.attrelid AND dep.refobjsubid = att.attnum
            AND dep.deptype = 'i'
        LEFT OUTER JOIN pg_catalog.pg_sequence seq ON seq.seqrelid = dep.objid
        WHERE att.attrelid = 'customers'::regclass AND att.attnum > 0 AND att.attisdropped IS FALSE
        ORDER BY att.attnum""",
    "constraints": """
        SELECT c.oid, conname, contype, condeferrable, convalidated, pg_catalog.pg_get_constraintdef(c.oid, true)
        FROM pg_catalog.pg_constraint c WHERE conrelid = 'customers'::regclass ORDER BY conname""",
    "indexes": """
        SELECT cls.oid, cls.relname, idx.indisunique, idx.indisclustered, am.amname,
            pg_catalog.pg_get_indexdef(idx.indexrelid, 1, true), pg_catalog.pg_get_expr(idx.indpred,
                idx.indrelid, true)
        FROM pg_catalog.pg_index idx JOIN pg_catalog.pg_class cls ON cls.oid = indexrelid
        JOIN pg_catalog.pg_am am ON am.oid = cls.relam
        WHERE idx.indrelid = 'customers'::regclass ORDER BY 2""",
    "views": """
        SELECT c.oid, c.relname AS name, pg_catalog.pg_get_viewdef(c.oid, true) AS definition,
            pg_catalog.array_to_string(c.relacl::text[], ', ') AS acl
        FROM pg_catalog.pg_class c WHERE c.relkind IN ('v', 'm')
            AND c.relnamespace = 'public'::regnamespace ORDER BY 2""",
    "functions": """
        SELECT pr.oid, pr.proname || '(' || coalesce(pg_catalog.pg_get_function_identity_arguments(pr.oid),
            '') || ')' AS name,
            lanname, pg_catalog.pg_get_userbyid(proowner) AS funcowner, prosrc, pg_catalog.pg_get_functiondef(pr.oid)
        FROM pg_catalog.pg_proc pr JOIN pg_catalog.pg_language lng ON lng.oid = pr.prolang
        WHERE pronamespace = 'stock'::regnamespace ORDER BY proname""",
    "rows of the grid": "SELECT count(*) FROM public.customers",
}

DBEAVER = {
    "schemas": """
        SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n
        LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = n.oid AND d.objsubid = 0
            AND d.classoid = 'pg_namespace'::regclass ORDER BY nspname""",
    "tables": """
        SELECT c.oid, c.*, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_expr,
            pg_catalog.pg_get_partkeydef(c.oid) AS partition_key
        FROM pg_catalog.pg_class c
        LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0
            AND d.classoid = 'pg_class'::regclass
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind NOT IN ('i', 'I', 'c') ORDER BY c.oid""",
    "columns": """
        SELECT c.relname, a.*, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) AS def_value,
            dsc.description, dep.objid
        FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid = c.oid)
        LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid = ad.adrelid AND a.attnum = ad.adnum)
        LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid)
        LEFT OUTER JOIN pg_catalog.pg_depend dep ON dep.refobjid = a.attrelid AND dep.deptype = 'i'
            AND dep.refobjsubid = a.attnum AND dep.classid = dep.refclassid
        WHERE NOT a.attisdropped AND c.relkind NOT IN ('i', 'I', 'c') AND c.oid = 'public.customers'::regclass
        ORDER BY a.attnum""",
    "constraints": """
        SELECT c.oid, c.*, t.relname AS tabrelname, rt.relnamespace AS refnamespace, d.description,
            pg_catalog.pg_get_constraintdef(c.oid) AS definition
        FROM pg_catalog.pg_constraint c INNER JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
        LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid = c.confrelid
        LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0
            AND d.classoid = 'pg_constraint'::regclass
        WHERE t.relnamespace = 'public'::regnamespace ORDER BY c.oid""",
    "indexes": """
        SELECT i.*, i.indkey AS keys, c.relname, c.relnamespace, c.relam, c.reltablespace, tc.relname AS tabrelname,
            dsc.description, pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS pred_expr,
            pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) AS expr,
                pg_catalog.pg_relation_size(i.indexrelid) AS size
        FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        INNER JOIN pg_catalog.pg_class tc ON tc.oid = i.indrelid
        LEFT OUTER JOIN pg_catalog.pg_description dsc ON i.indexrelid = dsc.objoid
        WHERE tc.relnamespace = 'public'::regnamespace ORDER BY c.relname""",
    "types": """
        SELECT t.oid, t.*, c.relkind, pg_catalog.format_type(nullif(t.typbasetype, 0),
            t.typtypmod) AS base_type_name, d.description
        FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
        LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid = d.objoid
        WHERE t.typname IS NOT NULL AND t.typnamespace = 'public'::regnamespace ORDER BY t.oid""",
    "enums": "SELECT enumlabel FROM pg_catalog.pg_enum WHERE enumtypid = 'size'::regtype ORDER BY enumsortorder",
    "functions": """
        SELECT p.oid, p.*, pg_catalog.pg_get_expr(p.proargdefaults, 0) AS arg_defaults, l.lanname, d.description
        FROM pg_catalog.pg_proc p LEFT OUTER JOIN pg_catalog.pg_language l ON p.prolang = l.oid
        LEFT OUTER JOIN pg_catalog.pg_description d ON p.oid = d.objoid
        WHERE p.pronamespace = 'stock'::regnamespace ORDER BY p.proname""",
    "sequences": """
        SELECT c.oid, s.seqstart, s.seqincrement, s.seqmax, c.relname FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid WHERE c.relkind = 'S' ORDER BY c.relname""",
    "triggers": """
        SELECT x.oid, x.*, p.pronamespace AS func_schema_id, d.description FROM pg_catalog.pg_trigger x
        LEFT OUTER JOIN pg_catalog.pg_proc p ON p.oid = x.tgfoid
        LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = x.oid AND d.objsubid = 0
        WHERE x.tgrelid = 'countries'::regclass AND NOT x.tgisinternal""",
    "view": "SELECT pg_catalog.pg_get_viewdef('public.contacts'::regclass, true)",
    "statistics": "SELECT c.oid, pg_catalog.pg_total_relation_size(c.oid) AS total FROM pg_catalog.pg_class c "
    "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1",
    "grid": "SELECT x.* FROM public.customers x WHERE 1 <> 1",
}

ASKED = {f"{tool}: {what}": query for tool in ("PGADMIN", "DBEAVER") for what, query in globals()[tool].items()}


@pytest.mark.parametrize("asked", ASKED)
def test_the_tree_shows_the_same(direct: Door, masked: Door, asked: str) -> None:
    answers = []
    for door in (masked, direct):
        with psycopg.connect(door.dsn) as connection:
            cursor = connection.execute(ASKED[asked])
            answers.append(
                ([(column.name, column.type_code) for column in cursor.description or ()], cursor.fetchall())
            )
    assert answers[0] == answers[1]
    assert answers[1][1] or "1 <> 1" in ASKED[asked]
