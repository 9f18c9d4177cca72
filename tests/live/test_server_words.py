"""Where the database keeps masks itself: what clients are told of places, names and origins is that of the tables."""

import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand

from .conftest import CUSTOMERS, MASKS


@pytest.fixture(scope="module")
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    leaf = authority.issue("words", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    directory = tmp_path_factory.mktemp("pg")
    with PostgresCluster(directory, version=max(installed()), certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def stand(cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    directory = tmp_path_factory.mktemp("stand")
    with Stand(directory, cluster, authority, {"ledger": CUSTOMERS}, masks=MASKS, kept=("ledger",)) as running:
        yield running


@pytest.fixture
def connection(stand: Stand) -> Iterator[psycopg.Connection]:
    with psycopg.connect(stand.through("ada", "ledger").dsn, autocommit=True) as connected:
        yield connected


def test_psql_points_at_the_line_that_was_typed(stand: Stand) -> None:
    door = stand.through("ada", "ledger")
    script = "SELECT ü.id\nFROM customers AS ü, public.customers AS other\nWHERE other.nmae = 'x';"
    ran = subprocess.run(
        ["psql", "-XAtq", door.dsn], input=script, capture_output=True, text=True, timeout=60, env={"PATH": door.path}
    )
    assert ran.stderr.splitlines()[:3] == [
        "ERROR:  column other.nmae does not exist",
        "LINE 3: WHERE other.nmae = 'x';",
        "              ^",
    ]


@pytest.mark.parametrize("binary", [False, True])
def test_columns_come_from_the_tables(connection: psycopg.Connection, stand: Stand, binary: bool) -> None:
    text = "SELECT id, email FROM customers ORDER BY id"
    (table,) = stand.cluster.execute("SELECT 'public.customers'::regclass::oid", database="ledger") or ()
    cursor = connection.execute(text, binary=binary)
    assert cursor.pgresult is not None
    assert [(cursor.pgresult.ftable(at), cursor.pgresult.ftablecol(at)) for at in (0, 1)] == [(*table, 1), (*table, 3)]
    assert cursor.fetchall()[0] == (1, "a**************")


def test_generated_names_are_in_no_message(connection: psycopg.Connection) -> None:
    for text in (
        "SELECT nobody FROM customers",
        "SELECT customers.nobody FROM public.customers",
        "SELECT ssn + 1 FROM customers",
    ):
        with pytest.raises(psycopg.Error) as failed:
            connection.execute(text)
        assert "hp_" not in str(failed.value)


def test_a_text_that_is_not_utf8_is_rewritten_too(connection: psycopg.Connection) -> None:
    connection.execute("SET client_encoding = 'latin1'")
    assert connection.execute("SELECT email, 'é' FROM customers WHERE id = 1").fetchone() == ("a**************", "é")
