"""A real PostgreSQL for the stores of this folder."""

from collections.abc import Iterator

import pytest

from hoopproxy.testing.postgres import PostgresCluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    with PostgresCluster(tmp_path_factory.mktemp("store") / "postgres") as running:
        yield running
