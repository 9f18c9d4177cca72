"""A real cluster, a gateway of its own process before it, and kubectl on both ways, as in tests/kubernetes."""

from collections.abc import Iterator
from typing import Any

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.kubernetes_stand import Cluster, KubernetesSite
from hoopproxy.testing.pod_stand import PodPort, pod_more
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import PEOPLE
from hoopproxy.testing.tcp_stand import together

from ..kubernetes.conftest import Comparing, KubernetesStand
from ..kubernetes.ways import Way, direct
from .real_cluster import CLOSED_PORT, ECHO_PORT, WEB_PORT, RealCluster

CLUSTER = "real"
PERSON = "ada"
(GROUP,) = PEOPLE[PERSON]


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """The cluster."""
    with RealCluster(tmp_path_factory.mktemp("cluster"), PERSON, GROUP) as running:
        yield running


@pytest.fixture(scope="session")
def stand(
    real: RealCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubernetesStand]:
    """A gateway before it."""
    directory = tmp_path_factory.mktemp("stand")
    leaf = authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
    clusters = [Cluster(CLUSTER, real.port, real.token, real.ca_file, users=(PERSON,))]
    site = KubernetesSite(directory / "secrets", authority, clusters)
    ports = {"page": WEB_PORT, "echo": ECHO_PORT, "closed": CLOSED_PORT}
    more = together(site.more, pod_more([PodPort(name, CLUSTER, "w*", port) for name, port in ports.items()]))
    with (
        PostgresCluster(directory / "pg", certificate=(leaf.certificate_file, leaf.key_file)) as database,
        KubernetesStand(directory, database, authority, {"ledger": ""}, masks="", more=more) as running,
    ):
        yield running
        assert "Traceback" not in running.gateway.log() and "Unhandled" not in running.gateway.log()


@pytest.fixture(scope="session")
def way(stand: KubernetesStand) -> Way:
    """Through the gateway."""
    return stand.way(CLUSTER)


@pytest.fixture(scope="session")
def past(real: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Way:
    """Past the gateway, with the token that only the gateway has."""
    api: Any = real
    return direct(tmp_path_factory.mktemp("past"), api, real.ca_file, PERSON, [GROUP])


@pytest.fixture(scope="session")
def same(past: Way, way: Way) -> Comparing:
    """Whatever is done twice must come out the same."""
    return Comparing(past, way)
