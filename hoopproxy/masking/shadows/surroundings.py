"""What surrounds the tables of a database and may show their values, or give a role more than its grants.

Asks one question more than `inquiries` and reads its answer. Knows no relation's and no function's inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hoopproxy.masking.shadows.naming import GROUP, LOGIN


@dataclass(frozen=True, slots=True)
class Statistic:
    """Extended statistics of the columns with these `numbers`; an expression's columns are among them."""

    name: str
    relation: int
    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`operators` maps the name of each operator outside pg_catalog to its functions' OIDs; `implied` are the functions
    that casts and the CHECKs of domains call, `components` those that an aggregate calls, by its OID. `languages` are
    untrusted languages that somebody else than superusers may write in, `file_readers` functions of pg_catalog by
    which everybody reads files or raw storage, `value_readers` its relations in which everybody reads columns' values.
    `event_triggers` maps names to functions; `enums` are types; `forced` are tables whose owner keeps to row security,
    `barriers` views with security_barrier; `spoiled_roles` those of ours that have more than what was made for them, or
    own something. `public_tables` are roles whose next tables everybody may read.
    """

    operators: Mapping[str, frozenset[int]] = field(default_factory=dict)
    implied: frozenset[int] = frozenset()
    components: Mapping[int, frozenset[int]] = field(default_factory=dict)
    languages: frozenset[str] = frozenset()
    file_readers: frozenset[str] = frozenset()
    value_readers: frozenset[str] = frozenset()
    event_triggers: Mapping[str, int] = field(default_factory=dict)
    enums: frozenset[int] = frozenset()
    forced: frozenset[int] = frozenset()
    statistics: tuple[Statistic, ...] = ()
    barriers: frozenset[int] = frozenset()
    spoiled_roles: frozenset[str] = frozenset()
    public_tables: frozenset[str] = frozenset()
    public_large_objects: int = 0
    ignores_large_object_rights: bool = False


NO_SURROUNDINGS = Surroundings()
"""Of a database with nothing of the kind."""

# Functions and relations that their maker kept from PUBLIC (initdb and the documents of each say so), and that now are
# PUBLIC's. pg_stats and its like are left out: they show a role the columns that it may read.
_FILE_READERS = "^(pg_read_|pg_ls_|pg_stat_file|lo_import|lo_export|pg_hba_file|pg_ident_file|pg_show_all_file)"
_VALUE_READERS = "'pg_statistic', 'pg_statistic_ext_data', 'pg_largeobject', 'pg_authid', 'pg_user_mapping'"
_PUBLIC = "EXISTS (SELECT FROM aclexplode({acl}) x WHERE x.grantee = 0 AND x.privilege_type = '{privilege}')"

_OURS = f"^({GROUP}|{LOGIN})$"
# What is temporary is one session's own: it may neither shut others out nor count as theirs.
_PASSING = "^pg_(toast_)?temp_"
_OUTSIDE = f"NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '{_PASSING}'"
_COMPONENTS = (
    "aggtransfn aggfinalfn aggcombinefn aggserialfn aggdeserialfn aggmtransfn aggminvtransfn aggmfinalfn".split()
)

QUESTION = f"""
SELECT row_to_json(q) FROM (SELECT
    (SELECT json_agg(json_build_array(o.oprname, o.oprcode::oid))
        FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname {_OUTSIDE}) AS operators,
    ARRAY(SELECT c.castfunc FROM pg_cast c JOIN pg_type t ON t.oid = c.castsource JOIN pg_type g ON g.oid = c.casttarget
        WHERE c.castfunc >= 16384 AND t.typnamespace::regnamespace::text !~ '{_PASSING}'
        AND g.typnamespace::regnamespace::text !~ '{_PASSING}' UNION
        SELECT w.refobjid FROM pg_constraint k JOIN pg_depend w ON w.classid = 'pg_constraint'::regclass
        AND w.objid = k.oid AND w.refclassid = 'pg_proc'::regclass JOIN pg_namespace n ON n.oid = k.connamespace
        WHERE k.contypid <> 0 AND n.nspname !~ '{_PASSING}') AS implied,
    (SELECT json_agg(json_build_array(a.aggfnoid::oid, ARRAY[{", ".join(f"a.{each}::oid" for each in _COMPONENTS)}]))
        FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname {_OUTSIDE}) AS components,
    ARRAY(SELECT lanname FROM pg_language WHERE lanispl AND NOT lanpltrusted AND lanacl IS NOT NULL
        AND EXISTS (SELECT FROM aclexplode(lanacl) x WHERE x.grantee <> lanowner)) AS languages,
    ARRAY(SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'pg_catalog' AND p.proname ~ '{_FILE_READERS}' AND p.proname !~ 'current_logfile'
        AND {_PUBLIC.format(acl="coalesce(p.proacl, acldefault('f', p.proowner))", privilege="EXECUTE")}
        AND EXISTS (SELECT FROM pg_init_privs i WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid)
        ) AS file_readers,
    ARRAY(SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'pg_catalog' AND c.relname IN ({_VALUE_READERS})
        AND ({_PUBLIC.format(acl="c.relacl", privilege="SELECT")} OR EXISTS (SELECT FROM pg_attribute a
            WHERE a.attrelid = c.oid AND {_PUBLIC.format(acl="a.attacl", privilege="SELECT")} AND a.attname ~
            '^(stavalues|stxdmcv|stxdexpr|data|rolpassword|umoptions)'))) AS value_readers,
    (SELECT json_agg(json_build_array(evtname, evtfoid)) FROM pg_event_trigger WHERE evtenabled <> 'D')
        AS event_triggers,
    ARRAY(SELECT oid FROM pg_type WHERE typtype = 'e') AS enums,
    ARRAY(SELECT oid FROM pg_class WHERE relforcerowsecurity) AS forced,
    ARRAY(SELECT c.oid FROM pg_class c, pg_options_to_table(c.reloptions) x
        WHERE c.relkind = 'v' AND x.option_name = 'security_barrier' AND x.option_value::bool) AS barriers,
    (SELECT json_agg(json_build_array(format('%I.%I', n.nspname, s.stxname), s.stxrelid, s.stxkeys::int2[] || ARRAY(
        SELECT w.refobjsubid::int2 FROM pg_depend w WHERE w.classid = 'pg_statistic_ext'::regclass AND w.objid = s.oid
        AND w.refclassid = 'pg_class'::regclass))) FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
        ) AS statistics,
    ARRAY(SELECT r.rolname FROM pg_roles r WHERE r.rolname ~ '{_OURS}' AND (
        r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
        OR r.oid IN (SELECT m.member FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
            JOIN pg_roles w ON w.oid = m.member WHERE NOT starts_with(w.rolname, g.rolname || '_'))
        OR r.oid IN (SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname !~ '{_PASSING}'
            UNION SELECT p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE n.nspname !~ '{_PASSING}' UNION SELECT nspowner FROM pg_namespace))) AS spoiled_roles,
    ARRAY(SELECT DISTINCT pg_get_userbyid(a.defaclrole) FROM pg_default_acl a
        WHERE a.defaclobjtype = 'r' AND {_PUBLIC.format(acl="a.defaclacl", privilege="SELECT")}) AS public_tables,
    (SELECT count(*) FROM pg_largeobject_metadata WHERE {_PUBLIC.format(acl="lomacl", privilege="SELECT")}
        AND pg_get_userbyid(lomowner) !~ '{_OURS}') AS large_objects,
    current_setting('lo_compat_privileges')::bool AS lo_compat) q
"""
"""One row that is one JSON document; names are looked up in pg_catalog alone."""


def read(row: Mapping[str, Any]) -> Surroundings:
    """The answer. @raise KeyError, TypeError, ValueError: it is none."""
    operators: dict[str, set[int]] = {}
    for name, function in row["operators"] or ():
        operators.setdefault(name, set()).add(int(function))
    return Surroundings(
        operators={name: frozenset(functions) for name, functions in operators.items()},
        implied=frozenset(map(int, row["implied"])),
        components={
            int(oid): frozenset(each for each in map(int, functions) if each)
            for oid, functions in row["components"] or ()
        },
        languages=frozenset(row["languages"]),
        file_readers=frozenset(row["file_readers"]),
        value_readers=frozenset(row["value_readers"]),
        event_triggers={name: int(function) for name, function in row["event_triggers"] or ()},
        enums=frozenset(map(int, row["enums"])),
        forced=frozenset(map(int, row["forced"])),
        barriers=frozenset(map(int, row["barriers"])),
        statistics=tuple(
            Statistic(name, int(oid), frozenset(numbers)) for name, oid, numbers in row["statistics"] or ()
        ),
        spoiled_roles=frozenset(row["spoiled_roles"]),
        public_tables=frozenset(row["public_tables"]),
        public_large_objects=row["large_objects"],
        ignores_large_object_rights=row["lo_compat"],
    )
