"""What the gateway must know of a database to mask by origin, read with one query right after its login.

Pure: makes the query and reads the answer. Knows no connection; a rule that names a column which is not there is an
error, because a rule that protects nothing is worse than no session.
"""

from collections import defaultdict

from hoopproxy.errors import UpstreamRefused
from hoopproxy.model import Catalog, Relation, Side
from hoopproxy.wire.postgres.framing import Message, Splitter
from hoopproxy.wire.postgres.messages import read_data_row, read_fields
from hoopproxy.wire.postgres.requests import query

MESSAGE_BYTES_MAX = 64 << 20
"""The OIDs of some five million relations in one cell."""

EMPTY = Catalog({}, {}, frozenset(), frozenset())

# Names are looked up in pg_catalog alone, whatever search_path the client chose. A protected relation's family are its
# partitions and inheritance children, where the same rows can be read, and its parents, through which they show.
_FAMILY = """
WITH RECURSIVE wanted(schema_name, relation_name, column_name) AS (VALUES {wanted}),
base AS (
    SELECT c.oid, w.* FROM wanted w
    JOIN pg_namespace n ON n.nspname = w.schema_name
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.relation_name
),
below AS (
    SELECT * FROM base
    UNION
    SELECT i.inhrelid, b.schema_name, b.relation_name, b.column_name
    FROM below b JOIN pg_inherits i ON i.inhparent = b.oid
),
above AS (
    SELECT * FROM base
    UNION
    SELECT i.inhparent, a.schema_name, a.relation_name, a.column_name
    FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid
),
family AS (SELECT * FROM below UNION SELECT * FROM above)
"""

_COLUMNS = (
    _FAMILY
    + """
SELECT c.oid, n.nspname, c.relname, a.attnum, f.schema_name, f.relation_name, f.column_name
FROM family f
JOIN pg_class c ON c.oid = f.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = f.column_name AND a.attnum > 0 AND NOT a.attisdropped;
"""
)

# Relations, not columns, are followed on purpose: a whole-row reference (`SELECT c FROM customers c`) leaves no trace
# of the columns in pg_depend as soon as one column is named as well.
_TAINTED = (
    _FAMILY
    + """
, reading AS (
    SELECT oid FROM family
    UNION
    SELECT r.ev_class
    FROM reading x
    JOIN pg_depend d
        ON d.refclassid = 'pg_class'::regclass AND d.refobjid = x.oid AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid
)
SELECT DISTINCT c.oid, n.nspname, c.relname
FROM reading x
JOIN pg_class c ON c.oid = x.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE x.oid NOT IN (SELECT oid FROM family);
"""
)

_KNOWN = "SELECT string_agg(oid::text, ' ') FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'p', 'f');"

_FUNCTIONS = """
SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema');
"""


class CatalogReader:
    """`query`, then `feed` until it answers the catalog. `paths` are `schema.table.column`, as in policy.toml."""

    def __init__(self, paths: frozenset[str]) -> None:
        self._paths = {_split(path): path for path in paths}
        self._splitter = Splitter(Side.SERVER)
        self._results: list[list[tuple[str, ...]]] = []
        self._rows: list[tuple[str, ...]] = []

    def query(self) -> bytes:
        """One simple query. It leaves the session's settings as they were."""
        names = ", ".join(f"({', '.join(map(_literal, parts))})" for parts in sorted(self._paths))
        statements = [_COLUMNS.format(wanted=names), _TAINTED.format(wanted=names), _KNOWN, _FUNCTIONS]
        return query("SET search_path = pg_catalog; " + "".join(statements) + "RESET search_path")

    def feed(self, data: bytes) -> Catalog | None:
        """The catalog, once it is whole. @raise UpstreamRefused, ProtocolViolation"""
        if not data:
            raise _unreadable("end of stream")
        self._splitter.append(data)
        while received := self._splitter.next(MESSAGE_BYTES_MAX, "an answer of the catalog"):
            if received.kind == b"Z":
                return self._catalog()
            self._take(received)
        return None

    def _take(self, received: Message) -> None:
        match received.kind:
            case b"D":
                cells = read_data_row(received.body)
                self._rows.append(tuple((cell or b"").decode("utf-8", "surrogateescape") for cell in cells))
            case b"C":
                self._results.append(self._rows)
                self._rows = []
            case b"E":
                fields = read_fields(received.body)
                raise _unreadable(f"{fields.get('C', '')}: {fields.get('M', '')}")
            case b"T" | b"N" | b"S":
                pass
            case _:
                raise _unreadable(f"message {received.kind!r}")

    def _catalog(self) -> Catalog:
        if len(self._results) != 6:
            raise _unreadable(f"{len(self._results)} results")
        _, columns, tainted, known, functions, _ = self._results
        found: dict[int, dict[int, str]] = defaultdict(dict)
        names: dict[int, tuple[str, str]] = {}
        there = set[str]()
        for oid, schema, relation, number, *wanted in columns:
            path = self._paths[wanted[0], wanted[1], wanted[2]]
            found[int(oid)][int(number)] = path
            names[int(oid)] = schema, relation
            if (schema, relation) == (wanted[0], wanted[1]):
                there.add(path)
        if missing := sorted(set(self._paths.values()) - there):
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


def _split(path: str) -> tuple[str, str, str]:
    schema, relation, column = path.split(".")
    return schema, relation, column


def _literal(text: str) -> str:
    """A literal that reads the same whatever standard_conforming_strings says: it may hold no backslash."""
    if "\\" in text or "\0" in text:
        raise _unreadable(f"the rule's name {text!r} holds a backslash")
    return "'" + text.replace("'", "''") + "'"


def _unreadable(detail: str) -> UpstreamRefused:
    return UpstreamRefused(
        "The gateway could not read the target's catalog, so it can't mask; tell the operator of the gateway.",
        detail=f"catalog: {detail}",
    )
