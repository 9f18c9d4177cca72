"""API servers of our own, a gateway of its own process before them, and kubectl on both ways."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from hoopproxy.cli.main import main
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.kubernetes_api import ApiServer
from hoopproxy.testing.kubernetes_stand import LISTENER, Cluster, KubernetesSite
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import PEOPLE, Stand
from hoopproxy.wire.http.pod_channels import V4

from .ways import Way, direct

ADDONS = """
[addon.pans]
use = "mask-pan"
targets = ["cards"]

[addon.rules]
use = "kubernetes-rules"
default = "allow"

[[addon.rules.rule]]
decision = "deny"
targets = ["strict"]
resources = ["pods/exec", "pods/attach"]
sentence = "Nobody enters pods of {target}."

[[addon.rules.rule]]
decision = "deny"
targets = ["strict"]
verbs = ["delete", "deletecollection"]
"""


@dataclass(frozen=True)
class Apis:
    """`new` speaks HTTP/2 and v5, `old` HTTP/1.1 and v4."""

    new: ApiServer
    old: ApiServer


@pytest.fixture(scope="session")
def apis(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apis]:
    """Both, running."""
    leaf = authority.issue("api", dns=("localhost",), ips=("127.0.0.1",))
    certificate, directory = (leaf.certificate_file, leaf.key_file), tmp_path_factory.mktemp("api")
    with (
        ApiServer(certificate, directory / "new.log") as new,
        ApiServer(certificate, directory / "old.log", versions=(V4,), alpn=("http/1.1",)) as old,
    ):
        yield Apis(new, old)


class KubernetesStand(Stand):
    """A stand whose gateway listens for Kubernetes, too."""

    def way(self, cluster: str, person: str = "ada") -> Way:
        """Through the gateway, as `hoopproxy kube-config` has it."""
        host, port = self.endpoint(LISTENER)
        words = ["--gateway", f"https://{host}:{port}", "--ca", self.ca_file, "--cluster", cluster]
        made = CliRunner().invoke(main, ["kube-config", *map(str, words), "--token-file", str(self.token_file(person))])
        assert made.exit_code == 0, made.output
        kubeconfig = self.directory / f"{cluster}-{person}" / "config"
        kubeconfig.parent.mkdir(exist_ok=True)
        kubeconfig.write_text(made.stdout)
        return Way(f"through-{cluster}-{person}", kubeconfig)


@pytest.fixture(scope="session")
def stand(apis: Apis, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesStand]:
    """A gateway before clusters: `prod`, `cards` (masked), `strict` (with rules), `closed` (where nobody may come),
    `alone` (for who looks at sessions), and `old`."""
    directory = tmp_path_factory.mktemp("stand")
    ca_file = Path(authority.ca_file)
    clusters = [Cluster(name, apis.new.port, apis.new.token, ca_file) for name in ("prod", "cards", "strict", "alone")]
    clusters += [Cluster("closed", apis.new.port, apis.new.token, ca_file, users=("nobody-*",))]
    clusters += [Cluster("old", apis.old.port, apis.old.token, ca_file)]
    site = KubernetesSite(directory / "secrets", authority, clusters)
    more = replace(
        site.more,
        main=site.more.main + ADDONS,
        maskers=(*site.more.maskers, "pans"),
        guards=(*site.more.guards, "rules"),
    )
    leaf = authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
    with ExitStack() as stack:
        pair = leaf.certificate_file, leaf.key_file
        cluster = stack.enter_context(PostgresCluster(directory / "pg", certificate=pair))
        yield stack.enter_context(KubernetesStand(directory, cluster, authority, {"ledger": ""}, masks="", more=more))


@pytest.fixture(scope="session")
def past(apis: Apis, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Way:
    """Past the gateway, as ada."""
    return direct(tmp_path_factory.mktemp("past"), apis.new, Path(authority.ca_file), "ada", PEOPLE["ada"])


class Comparing:
    """Runs one thing on both ways."""

    def __init__(self, *ways: Way) -> None:
        self._ways = ways

    def __call__[T](self, client: Callable[[Way], T]) -> T:
        """What it gives, on both ways the same."""
        first, *others = [(way.name, client(way)) for way in self._ways]
        for name, result in others:
            assert result == first[1], name
        return first[1]


@pytest.fixture(scope="session")
def same(past: Way, stand: KubernetesStand) -> Comparing:
    """Whatever is done twice must come out the same."""
    return Comparing(past, stand.way("prod"))
