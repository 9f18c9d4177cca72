"""What the statement rules let through, run on real servers and masked by origin: no secret comes out."""

import json
import re
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from psycopg import pq

from hoopproxy.events import Call, Constant, Field, Format, Keep, KeepEnds, Null, Operation, Shape
from hoopproxy.masking import plans
from hoopproxy.masking.names import Names
from hoopproxy.masking.statements import Allowed, Rules, judge
from hoopproxy.masks import Catalog, KeyedHash, Mask, Nullify, Partial, Redact
from tests.conftest import TIMES

from .conftest import CORPUS

RULES = Rules()
MASKS: list[Mask] = [Redact(), Nullify(), Partial(0, 2), KeyedHash(b"k" * 32)]
SECRETS = json.loads((CORPUS / "secrets.json").read_text())
SHOWN = [*(text.encode() for text in SECRETS["text"]), *(number.encode() for number in SECRETS["numbers"])]
HIDDEN = re.compile(
    b"|".join(map(re.escape, [*SHOWN, *(bytes.fromhex(raw) for raw in SECRETS["binary_raw"])])), re.IGNORECASE
)
BINARY = {bytes.fromhex(each["hex"]) for each in SECRETS["binary_len_prefixed"]}


def applied(operation: Operation, cell: bytes | None) -> bytes | None:
    """What the row kernel does, in its plainest form."""
    if cell is None:
        return None
    match operation:
        case Keep():
            return cell
        case Null():
            return None
        case Constant(value):
            return value
        case KeepEnds(first, last):
            return plans.keep_ends(cell.decode(), first, last).encode()
        case Call(function, _):
            return function(cell)


def shape_of(result: pq.abc.PGresult, catalog: Catalog) -> Shape:
    return Shape(
        tuple(
            Field(
                (result.fname(i) or b"").decode(),
                catalog.protected[result.ftable(i)].columns.get(result.ftablecol(i), "")
                if result.ftable(i) in catalog.protected
                else "",
                result.ftable(i),
                result.ftablecol(i),
                result.ftype(i),
                result.fmod(i),
                Format.BINARY if result.fformat(i) else Format.TEXT,
            )
            for i in range(result.nfields)
        )
    )


def seen(result: pq.abc.PGresult, catalog: Catalog, mask: Mask) -> Iterator[bytes]:
    """The cells and the error that a client behind the gateway sees (`wire.postgres.complaints` withholds DETAIL)."""
    if result.status == pq.ExecStatus.FATAL_ERROR:
        yield result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        return
    shape = shape_of(result, catalog)
    masks = {i: mask for i, each in enumerate(shape.fields) if each.path}
    paths = frozenset(path for each in catalog.protected.values() for path in each.columns.values())
    plan = plans.compile(shape, [("masks", masks)], catalog, paths)
    if plan.refusal:
        return
    for row in range(result.ntuples):
        for column, operation in enumerate(plan.operations):
            cell = applied(operation, result.get_value(row, column))
            if cell is not None:
                yield cell


def leaks(cells: Iterator[bytes]) -> list[bytes]:
    return [cell for cell in cells if HIDDEN.search(cell) or cell in BINARY]


def run(connection: psycopg.Connection, text: str, binary: bool) -> pq.abc.PGresult:
    return connection.pgconn.exec_params(text.encode(), [], result_format=binary)


CASES = [json.loads(line) for line in (CORPUS / "bypass_public.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_no_allowed_statement_of_the_corpus_shows_a_secret(
    connection: psycopg.Connection, catalog: Catalog, binary: bool
) -> None:
    names = Names.of(catalog)
    ran = rows = 0
    for case in CASES:
        if "startup" in case:  # refused by the listener, before any statement
            continue
        connection.pgconn.exec_(b"SAVEPOINT this")
        for text in case["sql"]:
            if text not in ("BEGIN", "COMMIT") and isinstance(judge(text, names, RULES), Allowed):
                result = run(connection, text, binary)
                for mask in MASKS:
                    assert not leaks(seen(result, catalog, mask)), (case["id"], text, mask)
                ran += 1
                rows += result.ntuples
        connection.pgconn.exec_(b"ROLLBACK TO this")
    assert ran > 40
    assert rows > 150


def test_unmasked_the_same_statements_do_show_secrets(connection: psycopg.Connection, catalog: Catalog) -> None:
    """The measure above can fail."""
    result = run(connection, "SELECT * FROM customers, employees", True)
    cells = (result.get_value(row, i) or b"" for row in range(result.ntuples) for i in range(result.nfields))
    assert len(set(leaks(cells))) > 25


# Queries put together at random from pieces, each harmless or not ---------------------------------------------------

COLUMNS = some.sampled_from(
    "id name email ssn card notes country c.email c.id q.email q.id q.e customers.ssn iban".split()
)
WRAPPED = some.sampled_from(
    [
        "{}",
        "{}",
        "{}",
        "upper({}::text)",
        "{}::text",
        "coalesce({}, {})",
        "({})",
        "to_jsonb({})",
        "{} IS NULL",
        "max({})",
    ]
)
TARGETS = some.one_of(
    some.sampled_from(
        ["*", "c.*", "q.*", "q", "c", "customers", "count(*)", "c.to_jsonb", "q.row_to_json", "(c).email"]
    ),
    some.tuples(WRAPPED, COLUMNS, some.sampled_from(["", " AS e", " AS email", " AS id"])).map(
        lambda piece: piece[0].replace("{}", piece[1]) + piece[2]
    ),
)
TABLES = some.sampled_from(
    [
        "customers c",
        "customers",
        "ONLY customers c",
        "payments",
        "payments_2025 c",
        "countries q",
        "v_public q",
        "v_contact c",
    ]
)
TAILS = some.sampled_from(
    ["", "", "", "ORDER BY 1", "ORDER BY email", "ORDER BY e", "LIMIT 2", "FOR UPDATE", "GROUP BY 1", "GROUP BY c.id",
     "WHERE ssn > ''", "WHERE id = 1", "OFFSET 1"]
)  # fmt: skip


def _query(sources: some.SearchStrategy[str]) -> some.SearchStrategy[str]:
    froms = some.one_of(
        sources,
        some.tuples(sources, sources, some.sampled_from([", ", " CROSS JOIN ", " NATURAL JOIN "])).map(
            lambda sides: sides[2].join(sides[:2])
        ),
        some.tuples(sources, sources, some.sampled_from(["USING (id)", "ON true", "USING (email)"])).map(
            lambda sides: f"{sides[0]} LEFT JOIN {sides[1]} {sides[2]}"
        ),
    )
    plain = some.tuples(
        some.sampled_from(["SELECT", "SELECT", "SELECT", "SELECT DISTINCT"]),
        some.lists(TARGETS, min_size=1, max_size=3).map(", ".join),
        froms,
        TAILS,
    ).map(lambda parts: f"{parts[0]} {parts[1]} FROM {parts[2]} {parts[3]}")
    return some.one_of(
        plain, plain, plain,
        some.tuples(plain, plain, some.sampled_from(["UNION ALL", "EXCEPT"])).map(
            lambda arms: f"({arms[0]}) {arms[2]} ({arms[1]})"
        ),
        some.tuples(plain, some.sampled_from(["q", "c", "customers"])).map(
            lambda parts: f"WITH {parts[1]} AS ({parts[0]}) SELECT * FROM {parts[1]}"
        ),
        plain.map(lambda query: f"SELECT ({query})"),
        plain.map(lambda query: f"SELECT id FROM countries WHERE EXISTS ({query})"),
    )  # fmt: skip


def _nested(inner: some.SearchStrategy[str]) -> some.SearchStrategy[str]:
    return _query(
        some.one_of(
            TABLES, some.tuples(inner, some.sampled_from(["q", "c", "q (id, e)"])).map("({0[0]}) {0[1]}".format)
        )
    )


QUERIES = _nested(_nested(_query(TABLES)))


def test_no_query_made_of_pieces_shows_a_secret(connection: psycopg.Connection, catalog: Catalog) -> None:
    names = Names.of(catalog)
    connection.execute("SET statement_timeout = '2s'")
    counted = {"allowed": 0, "rows": 0}

    @settings(max_examples=200 * TIMES, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(QUERIES)
    def check(text: str) -> None:
        if not isinstance(judge(text, names, RULES), Allowed):
            return
        connection.pgconn.exec_(b"SAVEPOINT s")
        result = run(connection, f"SELECT * FROM ({text}) limited LIMIT 20", False)
        if result.status == pq.ExecStatus.FATAL_ERROR:
            connection.pgconn.exec_(b"ROLLBACK TO s")
            result = run(connection, text, False)
        assert not leaks(seen(result, catalog, Redact())), text
        counted["allowed"] += 1
        counted["rows"] += result.ntuples
        connection.pgconn.exec_(b"ROLLBACK TO s")

    check()
    assert counted["allowed"] > 50
    assert counted["rows"] > 100
