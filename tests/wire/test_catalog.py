"""What is read of a database to mask by origin: from real servers, and from servers that answer nonsense."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.errors import LimitReached, ProtocolViolation, UpstreamRefused
from hoopproxy.masks import Catalog
from hoopproxy.model import Side
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.wire.postgres import catalog as catalog_module
from hoopproxy.wire.postgres.catalog import CatalogReader
from hoopproxy.wire.postgres.framing import Splitter, message
from hoopproxy.wire.postgres.login import Login
from hoopproxy.wire.postgres.messages import command_complete, data_row, error, notice, read_data_row, ready_for_query
from hoopproxy.wire.postgres.requests import query

CARD = "public.customers.card"

SQL = """
CREATE ROLE reader LOGIN PASSWORD 'secret';
CREATE TABLE customers (junk int, id int, card text);
ALTER TABLE customers DROP COLUMN junk;
ALTER TABLE customers ADD COLUMN digits int GENERATED ALWAYS AS (length(card)) STORED;
ALTER TABLE customers ADD COLUMN twice int GENERATED ALWAYS AS (id * 2) STORED;
CREATE TABLE gone (card text);
ALTER TABLE gone DROP COLUMN card;

CREATE VIEW harmless AS SELECT id FROM customers;
CREATE VIEW whole AS SELECT c FROM customers c;
CREATE VIEW whole_and_one AS SELECT c.id, to_jsonb(c) AS doc FROM customers c;
CREATE VIEW view_of_view AS SELECT * FROM whole_and_one;
CREATE VIEW in_a_subquery AS SELECT 1 AS one WHERE EXISTS (SELECT FROM customers WHERE card LIKE '4%');
CREATE MATERIALIZED VIEW stored AS SELECT card FROM customers;
CREATE MATERIALIZED VIEW stored_of_stored AS SELECT * FROM stored;
CREATE RECURSIVE VIEW recursive (id, card) AS SELECT id, card FROM customers UNION SELECT id + 1, card FROM recursive
    WHERE id < 0;

CREATE TABLE plain (id int, note text);
CREATE VIEW plain_view AS SELECT upper(note) AS note FROM plain;
CREATE FUNCTION peek() RETURNS text LANGUAGE sql AS 'SELECT card FROM customers';
CREATE VIEW peeking AS SELECT peek() AS note;
CREATE VIEW peeking_twice AS SELECT note FROM peeking;
CREATE TABLE logged (id int);
CREATE RULE logs AS ON INSERT TO logged DO ALSO INSERT INTO plain SELECT id, card FROM customers;

CREATE TABLE payments (id int, iban text) PARTITION BY LIST (id);
CREATE TABLE payments_one PARTITION OF payments FOR VALUES IN (1);
CREATE TABLE payments_two (iban text, junk int, id int);
ALTER TABLE payments_two DROP COLUMN junk;
ALTER TABLE payments ATTACH PARTITION payments_two FOR VALUES IN (2) ;
CREATE TABLE payments_rest PARTITION OF payments DEFAULT PARTITION BY RANGE (id);
CREATE TABLE payments_deep PARTITION OF payments_rest FOR VALUES FROM (10) TO (20);
CREATE VIEW view_of_partition AS SELECT iban FROM payments_deep;

CREATE TABLE beings (id int);
CREATE TABLE people (phone text) INHERITS (beings);
CREATE TABLE callers (phone text);
CREATE TABLE staff (desk int) INHERITS (people, callers);
CREATE TABLE bots (model text) INHERITS (callers);
CREATE VIEW view_of_beings AS SELECT id FROM beings;
CREATE VIEW view_of_callers AS SELECT phone FROM callers;

CREATE SEQUENCE numbers;
CREATE SCHEMA "Odd schema";
CREATE TABLE "Odd schema"."it's" ("cärd\\ {0}" text);
CREATE VIEW "Odd schema"."a ""view""\" AS SELECT * FROM "Odd schema"."it's";

CREATE SCHEMA evil;
CREATE TABLE evil.pg_class (oid oid, relname name, relnamespace oid, relkind "char");
CREATE TABLE evil.pg_namespace (oid oid, nspname name);
CREATE TABLE evil.pg_proc (oid oid, proname name, pronamespace oid);
CREATE FUNCTION evil.string_agg(text, text) RETURNS text LANGUAGE sql AS 'SELECT ''1''';
CREATE FUNCTION evil.eq(name, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.eq);
GRANT USAGE ON SCHEMA evil TO reader;
"""


@pytest.fixture(scope="module", params=[15, 17])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    with PostgresCluster(tmp_path_factory.mktemp("pg"), version=request.param) as started:
        started.create_database("books")
        started.execute(SQL, database="books")
        yield started


class Session:
    """A plain session with the machines alone, as the gateway has one."""

    def __init__(self, cluster: PostgresCluster, **parameters: str) -> None:
        self._socket = socket.create_connection((cluster.host, cluster.port), timeout=30)
        login = Login(TargetSecret("reader", Secret("secret")), "books", parameters, "nonce")
        self._socket.sendall(login.start())
        while login.done is None:
            self._socket.sendall(login.feed(self._socket.recv(65536)))

    def close(self) -> None:
        self._socket.close()

    def catalog(self, *paths: str) -> Catalog:
        reader = CatalogReader(frozenset(paths))
        self._socket.sendall(reader.query())
        while (found := reader.feed(self._socket.recv(65536))) is None:
            pass
        return found

    def ask(self, text: str) -> list[tuple[bytes | None, ...]]:
        """The rows of one simple query."""
        splitter, rows = Splitter(Side.SERVER), list[tuple[bytes | None, ...]]()
        self._socket.sendall(query(text))
        while True:
            splitter.append(self._socket.recv(65536))
            while (received := splitter.next(1 << 20, "test")) is not None:
                assert received.kind != b"E", received.body
                if received.kind == b"D":
                    rows.append(read_data_row(received.body))
                if received.kind == b"Z":
                    return rows


def read(cluster: PostgresCluster, *paths: str, **parameters: str) -> Catalog:
    with closing(Session(cluster, **parameters)) as session:
        return session.catalog(*paths)


def protected(catalog: Catalog) -> dict[str, dict[int, str]]:
    return {relation.name: dict(relation.columns) for relation in catalog.protected.values()}


def tainted(catalog: Catalog) -> set[str]:
    return {relation.name for relation in catalog.tainted.values()}


PEEKING = {"peeking", "peeking_twice"}


# Real servers -------------------------------------------------------------------------------------------------------


def test_a_column_has_the_number_that_results_name_and_so_has_what_is_generated_from_it(
    cluster: PostgresCluster,
) -> None:
    """A dropped column keeps its number; the second generated column has nothing to do with the first."""
    assert protected(read(cluster, CARD)) == {"customers": {3: CARD, 4: CARD}}


def test_whatever_reads_a_protected_relation_is_tainted(cluster: PostgresCluster) -> None:
    """Views of any kind and depth, rules, and what a function may read; but no view that has nothing to do with it."""
    views = {"harmless", "whole", "whole_and_one", "view_of_view", "in_a_subquery", "recursive"}
    stored = {"stored", "stored_of_stored"}
    assert tainted(read(cluster, CARD)) == views | stored | {"logged"} | PEEKING


def test_partitions_of_any_depth_are_protected_under_their_own_numbers(cluster: PostgresCluster) -> None:
    path = "public.payments.iban"
    found = read(cluster, path)
    assert protected(found) == {
        "payments": {2: path},
        "payments_one": {2: path},
        "payments_two": {1: path},
        "payments_rest": {2: path},
        "payments_deep": {2: path},
    }
    assert tainted(found) == {"view_of_partition"} | PEEKING


@pytest.mark.parametrize("table", ["people", "staff"])
def test_children_are_protected_and_all_parents_that_show_the_column(cluster: PostgresCluster, table: str) -> None:
    """The rows of staff are seen in people and in callers; beings has no such column, so its views are harmless."""
    path = f"public.{table}.phone"
    found = read(cluster, path)
    assert protected(found) == {"people": {2: path}, "staff": {2: path}, "callers": {1: path}}
    assert tainted(found) == {"view_of_callers"} | PEEKING


def test_a_view_can_be_protected_itself(cluster: PostgresCluster) -> None:
    path = "public.whole_and_one.doc"
    found = read(cluster, path)
    assert protected(found) == {"whole_and_one": {2: path}}
    assert tainted(found) == {"view_of_view"} | PEEKING


def test_several_rules_are_read_at_once(cluster: PostgresCluster) -> None:
    paths = (CARD, "public.customers.id", "public.callers.phone", "public.people.phone")
    found = protected(read(cluster, *paths))
    # `twice` is generated from `id`, and the first of two rules of one column is as good as the other.
    assert found["customers"] == {2: "public.customers.id", 3: CARD, 4: CARD, 5: "public.customers.id"}
    assert found.keys() == {"customers", "callers", "people", "staff", "bots"}


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "SQL_ASCII"])
def test_names_may_hold_anything_whatever_the_sessions_encoding(cluster: PostgresCluster, encoding: str) -> None:
    path = "Odd schema.it's.cärd\\ {0}"
    found = read(cluster, path, client_encoding=encoding)
    assert protected(found) == {"it's": {1: path}}
    assert tainted(found) == {'a "view"'} | PEEKING


def test_known_are_all_relations_that_a_result_may_name(cluster: PostgresCluster) -> None:
    rows = cluster.execute("SELECT oid::int FROM pg_class WHERE relkind NOT IN ('i', 'I', 't', 'c')", "books")
    assert read(cluster, CARD).known == {oid for (oid,) in rows or ()}


def test_functions_are_those_outside_the_system(cluster: PostgresCluster) -> None:
    assert read(cluster, CARD).functions == {"peek", "string_agg", "eq"}


@pytest.mark.parametrize(
    "path",
    [
        "public.customers.cart",
        "public.customers.CARD",
        "public.customers.junk",
        "public.customers.ctid",
        "public.gone.card",
        "public.beings.phone",
        "public.nowhere.card",
        "elsewhere.customers.card",
        "public.customers; DROP TABLE customers.card",
        "public.customers' OR '1'='1.card",
        "public.customers.card\\",
    ],
)
def test_a_rule_that_protects_nothing_is_named(cluster: PostgresCluster, path: str) -> None:
    with pytest.raises(UpstreamRefused) as why:
        read(cluster, CARD, path)
    assert f"no column {path}, which a mask rule names" in why.value.sentence
    assert why.value.detail == f"policy.toml masks {path}, which the target does not have"


@pytest.mark.parametrize("search_path", ["evil, pg_catalog, public", "nowhere", '"$user", public', ""])
def test_the_clients_own_search_path_neither_fools_nor_is_changed(cluster: PostgresCluster, search_path: str) -> None:
    with closing(Session(cluster, search_path=search_path)) as session:
        asked = session.ask("SHOW search_path")
        found = session.catalog(CARD)
        assert session.ask("SHOW search_path") == asked
    assert found == read(cluster, CARD)


def test_a_temporary_table_of_a_catalogs_name_does_not_fool_it(cluster: PostgresCluster) -> None:
    """A login trigger can make one before the gateway asks (PostgreSQL 17)."""
    with closing(Session(cluster)) as session:
        for name in ("pg_class", "pg_namespace", "pg_depend", "pg_rewrite", "pg_proc"):
            session.ask(f"CREATE TEMP TABLE {name} AS SELECT * FROM pg_catalog.{name} LIMIT 0")
        found = session.catalog(CARD)
    expected = read(cluster, CARD)
    assert (found.protected, found.tainted, found.functions) == (
        expected.protected,
        expected.tainted,
        expected.functions,
    )


def test_a_servers_error_is_told_to_the_operator(cluster: PostgresCluster) -> None:
    with closing(Session(cluster)) as session:
        session.ask("SET statement_timeout = 0; BEGIN")
        with pytest.raises(UpstreamRefused, match="could not read the target's catalog") as why:
            session.catalog("public.customers")
    assert "42" in why.value.detail


# Nonsense -----------------------------------------------------------------------------------------------------------


def done(*rows: bytes) -> bytes:
    return b"".join(rows) + command_complete("SELECT")


COLUMN = data_row([b"16", b"public", b"customers", b"3", b"0", b"t"])
GOOD = (done(), done(COLUMN), done(), done(data_row([b"16 17"])), done(data_row([b"peek"])), done())
READY = ready_for_query(b"I")


def feed(*pieces: bytes) -> Catalog | None:
    reader, found = CatalogReader(frozenset({CARD})), None
    for piece in pieces:
        assert found is None
        found = reader.feed(piece)
    return found


def test_an_answer_is_the_same_however_it_is_cut() -> None:
    data = b"".join(GOOD) + READY
    whole = feed(data)
    assert whole is not None and protected(whole) == {"customers": {3: CARD}} and whole.known == {16, 17}
    assert feed(*(data[at : at + 1] for at in range(len(data)))) == whole


ANSWERS = {
    "nothing": (READY,),
    "a result too few": (*GOOD[:-1], READY),
    "a result too many": (*GOOD, done(), READY),
    "no relations": (*GOOD[:3], done(), *GOOD[4:], READY),
    "relations without a number": (*GOOD[:3], done(data_row([b"x"])), *GOOD[4:], READY),
    "null for relations": (*GOOD[:3], done(data_row([])), *GOOD[4:], READY),
    "a rule's number that is none": (
        GOOD[0],
        done(data_row([b"16", b"public", b"customers", b"3", b"7", b"t"])),
        *GOOD[2:],
        READY,
    ),
    "a short row": (GOOD[0], done(data_row([b"16"])), *GOOD[2:], READY),
    "a long row": (*GOOD[:4], done(data_row([b"peek", b"a"])), GOOD[5], READY),
    "an error": (GOOD[0], error("permission denied for table pg_class"), READY),
    "an error in the end": (*GOOD[:-1], error("out of memory", "53200"), READY),
    "a copy": (message(b"G", b"\0\0\0"),),
    "a request for a password": (message(b"R", b"\0\0\0\3"),),
    "the end": (*GOOD, b""),
    "a negative length": (message(b"T") + b"D\xff\xff\xff\xff",),
    "2 GB": (b"D\x7f\xff\xff\xff",),
    "a row that breaks off": (message(b"D", b"\0\1\0\0\0\7ab"),),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_nonsense_for_an_answer_gives_no_catalog(kind: str) -> None:
    with pytest.raises((UpstreamRefused, ProtocolViolation, LimitReached)) as why:
        feed(*ANSWERS[kind])
    assert why.value.sentence.endswith(".")


@given(st.lists(st.sampled_from([*GOOD, READY, COLUMN, notice("Hm.")]), max_size=12), st.binary(max_size=12))
def test_any_order_of_answers_gives_a_catalog_or_a_sentence(parts: list[bytes], behind: bytes) -> None:
    reader = CatalogReader(frozenset({CARD}))
    try:
        found = reader.feed(b"".join(parts) + behind + b"\0")
    except (UpstreamRefused, ProtocolViolation, LimitReached):
        return
    assert found is None or CARD in {path for each in found.protected.values() for path in each.columns.values()}


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "ANSWER_BYTES_MAX", 10_000)
    reader = CatalogReader(frozenset({CARD}))
    reader.feed(COLUMN * (10_000 // len(COLUMN)))
    with pytest.raises(UpstreamRefused) as why:
        reader.feed(COLUMN)
    assert "longer than" in why.value.detail
