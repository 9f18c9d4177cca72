"""What the gateway must know of a database to mask by origin, read with one query right after its login.

Pure: makes the query and reads the answer. Knows no connection; a rule that names a column which is not there is an
error, because a rule that protects nothing is worse than no session.
"""

from collections import defaultdict

from hoopproxy.errors import LimitReached, ProtocolViolation, SqlFailed, UpstreamRefused
from hoopproxy.masks import Catalog, Relation
from hoopproxy.rooms import Rows
from hoopproxy.wire.postgres.inquiry import Inquiry

ANSWER_BYTES_MAX = 64 << 20
"""The OIDs of some five million relations, which come in one cell."""

# Names are looked up in pg_catalog, whatever search_path the client chose. A protected relation's family are those
# where its rows can be read, too: its partitions and inheritance children, and all that any of these inherits from.
# Protected in each are the columns of that name, and those that are generated from them.
_FAMILY = """
WITH RECURSIVE wanted(number, schema_name, relation_name, column_name) AS (VALUES {wanted}),
base AS (
    SELECT c.oid, w.number, w.column_name FROM wanted w
    JOIN pg_namespace n ON n.nspname = w.schema_name
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.relation_name
),
below AS (
    SELECT * FROM base
    UNION
    SELECT i.inhrelid, b.number, b.column_name
    FROM below b JOIN pg_inherits i ON i.inhparent = b.oid
),
above AS (
    SELECT * FROM below
    UNION
    SELECT i.inhparent, a.number, a.column_name
    FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid
),
named AS (
    SELECT r.oid, r.number, a.attnum FROM above r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = r.column_name AND a.attnum > 0 AND NOT a.attisdropped
),
family AS (
    SELECT * FROM named
    UNION
    SELECT r.oid, r.number, g.adnum FROM named r
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.refobjsubid = r.attnum
    JOIN pg_attrdef g ON d.classid = 'pg_attrdef'::regclass AND g.oid = d.objid
)
"""

_COLUMNS = (
    _FAMILY
    + """
SELECT f.oid, n.nspname, c.relname, f.attnum, f.number, f.oid IN (SELECT b.oid FROM base b)
FROM family f
JOIN pg_class c ON c.oid = f.oid
JOIN pg_namespace n ON n.oid = c.relnamespace;
"""
)

# Relations, not columns, are followed on purpose: a whole-row reference (`SELECT c FROM customers c`) leaves no trace
# of the columns in pg_depend as soon as one column is named as well. So a view over harmless columns is refused, too.
# What a function outside pg_catalog reads nobody can tell, so a view that calls one counts as reading.
_TAINTED = (
    _FAMILY
    + """
, reading AS (
    SELECT oid FROM family
    UNION
    SELECT r.ev_class
    FROM pg_rewrite r
    JOIN pg_depend d
        ON d.refclassid = 'pg_proc'::regclass AND d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_proc p ON p.oid = d.refobjid
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
    UNION
    SELECT r.ev_class
    FROM reading x
    JOIN pg_depend d
        ON d.refclassid = 'pg_class'::regclass AND d.refobjid = x.oid AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid
)
SELECT c.oid, n.nspname, c.relname
FROM reading x
JOIN pg_class c ON c.oid = x.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE x.oid NOT IN (SELECT oid FROM family);
"""
)

# TOAST tables are left out on purpose: they hold the long values of protected columns.
_KNOWN = "SELECT string_agg(oid::text, ' ') FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'p', 'f', 'S');"

_FUNCTIONS = """
SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema');
"""


class CatalogReader:
    """`query`, then `feed` until it answers the catalog, then `rest`. `paths` are `schema.table.column`."""

    def __init__(self, paths: frozenset[str]) -> None:
        self._paths = sorted(paths)
        names = ", ".join(
            f"({number}, {', '.join(map(_literal, path.split('.')))})" for number, path in enumerate(self._paths)
        )
        statements = [_COLUMNS.format(wanted=names), _TAINTED.format(wanted=names), _KNOWN, _FUNCTIONS]
        text = "SET search_path = pg_catalog, pg_temp; " + "".join(statements) + "RESET search_path"
        self._inquiry = Inquiry(text, ANSWER_BYTES_MAX)

    def query(self) -> bytes:
        """One simple query, in ASCII whatever the session's encoding. It leaves the settings as they were.

        Temporary relations are searched last: a login trigger (PostgreSQL 17) may have made some.
        """
        return self._inquiry.query()

    def feed(self, data: bytes) -> Catalog | None:
        """The catalog, once it is whole. @raise UpstreamRefused"""
        try:
            results = self._inquiry.feed(data)
        except (SqlFailed, ProtocolViolation, LimitReached) as why:
            raise _unreadable(why.detail or why.sentence) from why
        try:
            return None if results is None else self._catalog(results)
        except (ValueError, IndexError) as why:  # no row of our query looks like that
            raise _unreadable(f"rows of another shape: {why}") from why

    @property
    def rest(self) -> bytes:
        """What the target sent behind its answer."""
        return self._inquiry.rest

    def _catalog(self, results: tuple[Rows, ...]) -> Catalog:
        if len(results) != 6:
            raise _unreadable(f"{len(results)} results")
        _, columns, tainted, known, functions, _ = ([[cell or "" for cell in row] for row in rows] for rows in results)
        found: dict[int, dict[int, str]] = defaultdict(dict)
        names: dict[int, tuple[str, str]] = {}
        there = set[str]()
        for oid, schema, relation, column, number, is_named in columns:
            path = self._paths[int(number)]
            found[int(oid)][int(column)] = path
            names[int(oid)] = schema, relation
            if is_named == "t":
                there.add(path)
        if missing := sorted(set(self._paths) - there):
            raise UpstreamRefused(
                f"The target has no column {missing[0]}, which a mask rule names, so nothing of it can be shown; tell "
                "the owner of the policy.",
                detail=f"policy.toml masks {', '.join(missing)}, which the target does not have",
            )
        return Catalog(
            protected={oid: Relation(oid, *names[oid], numbers) for oid, numbers in found.items()},
            tainted={int(oid): Relation(int(oid), schema, name, {}) for oid, schema, name in tainted},
            known=frozenset(map(int, known[0][0].split())),
            functions=frozenset(name for (name,) in functions),
        )


def _literal(text: str) -> str:
    """A text as an SQL literal of plain ASCII: any name can be asked for from a session in any encoding."""
    plain = "".join(
        character if character.isascii() and character.isalnum() else f"\\+{ord(character):06x}" for character in text
    )
    return f"U&'{plain}'"


def _unreadable(detail: str) -> UpstreamRefused:
    return UpstreamRefused(
        "The gateway could not read the target's catalog, so it can't mask; tell the operator of the gateway.",
        detail=f"catalog: {detail}",
    )
