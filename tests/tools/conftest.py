"""The oldest and the newest PostgreSQL, a gateway before each, and the same person's ways in: direct and masked."""

from collections.abc import Iterator

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Door, Stand

from .database import DATABASE, MASKS, SQL


@pytest.fixture(
    scope="session", params=sorted({min(installed()), max(installed())}), ids=lambda version: f"pg{version}"
)
def stand(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """Nothing is vacuumed or analysed meanwhile, so that both ways show the same numbers."""
    leaf = authority.issue(f"database-tools-{request.param}", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with (
        PostgresCluster(
            tmp_path_factory.mktemp("pg"),
            version=request.param,
            certificate=certificate,
            settings={"autovacuum": "off"},
        ) as cluster,
        Stand(
            tmp_path_factory.mktemp("stand"), cluster, authority, {DATABASE: SQL}, masks=MASKS, kept=(DATABASE,)
        ) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def direct(stand: Stand) -> Door:
    """As the account, past the gateway."""
    return stand.direct(DATABASE)


@pytest.fixture(scope="session")
def masked(stand: Stand) -> Door:
    """As somebody who gets the account, and masks."""
    return stand.through("ada", DATABASE)
