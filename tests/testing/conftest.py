from collections.abc import Iterator
from pathlib import Path

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "test-ca")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def cluster(directory: Path, authority: Authority) -> Iterator[PostgresCluster]:
    leaf = authority.issue("database", dns=["localhost"], ips=["127.0.0.1", "::1"])
    certificate = leaf.certificate_file, leaf.key_file
    with PostgresCluster(directory, certificate=certificate, settings={"work_mem": "5MB"}) as running:
        running.execute("CREATE ROLE reader LOGIN PASSWORD 'right'")
        yield running
