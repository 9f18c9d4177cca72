"""Random scripts over a schema with masks give what they give over tables that have masked values in them: equal
results, equal SQLSTATE."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import ACCOUNT, Stand
from tests.conftest import TIMES
from tests.shadows import masked_sample as sample
from tests.shadows.comparing import Rewritten, Server, compare


@pytest.fixture(scope="module")
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    """A server with two databases: one has twins made by hand, the other is the reference for them."""
    leaf = authority.issue("differential", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with PostgresCluster(tmp_path_factory.mktemp("differential"), certificate=certificate) as cluster:
        cluster.execute(sample.ROLES)
        for database, made in (("twins", sample.MASKED), ("reference", sample.REFERENCE)):
            cluster.create_database(database)
            cluster.execute(made, database)
        yield cluster


@pytest.fixture(scope="module")
def stand(cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A gateway before the same tables, in which its own twins were installed."""
    databases = {"masked": f"{sample.TABLES}; {sample.account(ACCOUNT)};"}
    directory: Path = tmp_path_factory.mktemp("stand")
    with Stand(directory, cluster, authority, databases, masks=sample.POLICY, kept=("masked",)) as stand:
        yield stand


def test_what_is_rewritten_shows_what_masked_tables_would(cluster: PostgresCluster) -> None:
    """The rewriter, with twins made by hand."""
    with closing(_server(cluster, "twins")) as masked, closing(_server(cluster, "reference")) as reference:
        compare(Rewritten(masked), reference, hits_min=20 * TIMES)


@pytest.mark.timeout(1200)  # thousands of syncs of a disk that others use as well; each answer has a bound of its own
def test_a_gateway_shows_what_masked_tables_would(cluster: PostgresCluster, stand: Stand) -> None:
    """All of it: install, login roles, rewriter, wire, by both protocols. Most scripts are sent as one text, as what
    takes time is the evidence, which is on the disk before a text is passed on."""
    _copy_masked(cluster)
    with (
        closing(Server(stand.dsn("ada", "masked"), Random(1))) as masked,
        closing(_server(cluster, "shown")) as reference,
    ):
        compare(masked, reference, hits_min=100 * TIMES, apart=0.1)


def _server(cluster: PostgresCluster, database: str) -> Server:
    """Straight to a database, with the rights of the sample's group."""
    return Server(
        make_conninfo(
            host=cluster.host, port=cluster.port, user=sample.LOGIN, password=sample.PASSWORD, dbname=database
        )
    )


def _copy_masked(cluster: PostgresCluster) -> None:
    """The database `shown`: tables that hold what the installed twins show."""
    cluster.create_database("shown")
    cluster.execute(sample.TABLES, "shown")
    schemas = cluster.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname ~ '^hp_[0-9a-f]{12}_[0-9]+$' ORDER BY 1", "masked"
    )
    assert schemas is not None
    twins = dict(zip(sorted(sample.TWINS), (name for (name,) in schemas), strict=True))
    masked, shown = (psycopg.connect(make_conninfo(cluster.admin_dsn, dbname=name)) for name in ("masked", "shown"))
    with masked, shown:
        for schema, name in sample.MASKS:
            if name not in ("orders_2025", "orders_2026"):
                shown.execute(f"DELETE FROM {schema}.{name}")
                with (
                    masked.cursor().copy(f"COPY (SELECT * FROM {twins[schema]}.{name}) TO STDOUT") as rows,
                    shown.cursor().copy(f"COPY {schema}.{name} FROM STDIN") as kept,
                ):
                    for row in rows:
                        kept.write(row)
    cluster.execute(sample.REFERENCE_RIGHTS, "shown")
