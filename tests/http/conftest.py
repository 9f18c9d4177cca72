"""Real HTTP services, a gateway of its own process before them, and ways to them: past it and through it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.http_serving import HttpServer
from hoopproxy.testing.http_stand import CLEAR, LISTENER, HttpSite, HttpTarget, host_of
from hoopproxy.testing.http_target import CustomerService
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand

from .git_server import GitServer
from .grpc_server import GrpcServer
from .index_server import IndexServer
from .sink import Sink
from .ways import Way

TOKEN = "t0p-secret-of-the-target"
"""What the services want to see, and nobody else may."""


class HttpStand(Stand):
    """A stand whose gateway listens for HTTP, too."""

    site: HttpSite

    def address(self, listener: str = LISTENER) -> tuple[str, int]:
        """Where it does."""
        return self.endpoint(listener)

    def reverse(self, target: str, person: str = "ada", listener: str = LISTENER) -> Way:
        """Through the gateway as a reverse proxy, over TLS unless the listener is in the clear."""
        scheme = "https" if listener == LISTENER else "http"
        _, port = self.address(listener)
        base = f"{scheme}://{host_of(target)}:{port}"
        return Way(f"reverse-{scheme}", base, self.address(listener), self.tokens[person], self.ca_file)

    def forward(self, target: str, person: str = "ada", listener: str = LISTENER) -> Way:
        """Through the gateway as a forward proxy that is itself in TLS or not."""
        site, scheme = self.site.targets[target], "https" if listener == LISTENER else "http"
        return Way(
            f"forward-{scheme}",
            f"{site.scheme}://{site.authority}",
            ("127.0.0.1", site.port),
            self.tokens[person],
            self.site.ca_file,
            proxy=f"{scheme}://localhost:{self.address(listener)[1]}",
            proxy_ca_file=self.ca_file,
        )

    def direct(self, target: str) -> Way:  # type: ignore[override] # another kind of door
        """Past the gateway, with the secret that only the gateway has."""
        return past(self.site.targets[target], self.ca_file)

    def ways(self, target: str) -> tuple[Way, ...]:
        """All of them, the direct one first."""
        through = [way(target, listener=each) for way in (self.reverse, self.forward) for each in (LISTENER, CLEAR)]
        return (self.direct(target), *through)


def past(target: HttpTarget, ca_file: Path) -> Way:
    """The way past a gateway."""
    return Way("direct", f"{target.scheme}://{target.authority}", ("127.0.0.1", target.port), TOKEN, ca_file)


@dataclass(frozen=True)
class Services:
    """What stands behind the gateway: of the small service two in HTTP/2 and HTTP/1.1, one in HTTP/1.1 alone, one in
    that in the clear, and one without a token; and three that others wrote."""

    shop: CustomerService
    cards: CustomerService
    old: CustomerService
    plain: CustomerService
    open: CustomerService
    git: HttpServer
    talk: GrpcServer
    index: IndexServer
    sink: Sink
    unproven: dict[str, CustomerService]


@pytest.fixture(scope="session")
def git_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the repositories are."""
    return tmp_path_factory.mktemp("git")


@pytest.fixture(scope="session")
def services(authority: Authority, git_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """All of them, running."""
    leaf = authority.issue("shop", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "stand")
    leaves = {
        "wrong-name": authority.issue("wrong-name", dns=("elsewhere.example", "*.localhost", "local*")),
        "expired": authority.issue("expired", dns=("localhost",), expired=True),
        "unknown-authority": stranger.issue("unknown-authority", dns=("localhost",)),
        "name-in-subject-only": authority.issue("localhost", emails=("a@example.com",)),
        "by-address": authority.issue("by-address", ips=("127.0.0.1",)),
    }
    with ExitStack() as stack:
        run = stack.enter_context
        yield Services(
            shop=run(CustomerService(certificate, token=TOKEN)),
            cards=run(CustomerService(certificate, token=TOKEN)),
            old=run(CustomerService(certificate, ("http/1.1",), token=TOKEN)),
            plain=run(CustomerService(token=TOKEN)),
            open=run(CustomerService(certificate)),
            git=run(HttpServer(GitServer(git_root, TOKEN).answer, certificate)),
            talk=run(GrpcServer(certificate, TOKEN)),
            index=run(IndexServer(tmp_path_factory.mktemp("index"), certificate)),
            sink=run(Sink()),
            unproven={
                name: run(CustomerService((each.certificate_file, each.key_file), token=TOKEN))
                for name, each in leaves.items()
            },
        )


@pytest.fixture(scope="session")
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    """A stand wants one."""
    leaf = authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=certificate) as running:
        yield running


ADDONS = """
[addon.pans]
use = "mask-pan"
targets = ["cards"]

[addon.fields]
use = "field-masks"

[addon.rules]
use = "request-rules"

[[addon.rules.rule]]
targets = ["cards"]
deny = ["DELETE /customers/{id}", "PUT /upload"]
sentence = "Nobody may {method} {path}."
"""
FIELDS = """
[[mask]]
target = "cards"
field = "$..email"
mask = { partial = { first = 1, last = 0 } }
reveal = [{ roles = ["fraud"], client_zones = ["EU"] }]

[[regulated]]
target = "cards"
endpoint = "/customers/{id}"
fields = ["$.id", "$.name"]
"""


def http_targets(services: Services, ca_file: Path) -> list[HttpTarget]:
    """The services by their names, of which `cards` is masked, and `abroad`, `shop` again in another zone."""
    in_tls = {name: getattr(services, name) for name in ("shop", "old", "git", "talk")}
    in_tls |= services.unproven
    by_address = services.unproven["by-address"]
    return [
        *(HttpTarget(name, each.port, TOKEN, ca_file) for name, each in in_tls.items() if each is not by_address),
        *(HttpTarget(name, getattr(services, name).port, "", ca_file) for name in ("open", "index")),
        *(HttpTarget(name, getattr(services, name).port, TOKEN) for name in ("plain", "sink")),
        HttpTarget("cards", services.cards.port, TOKEN, ca_file, settings='endpoints = ["/customers/{id}"]'),
        HttpTarget("by-address", by_address.port, TOKEN, ca_file, server_name="127.0.0.1"),
        HttpTarget("abroad", services.shop.port, TOKEN, ca_file, country="US"),
    ]


@pytest.fixture(scope="session")
def stand(
    services: Services, cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HttpStand]:
    """A gateway before the services."""
    directory = tmp_path_factory.mktemp("stand")
    site = HttpSite(directory / "secrets", authority, http_targets(services, authority.ca_file))
    more = replace(
        site.more,
        main=site.more.main + ADDONS,
        policy=site.more.policy + FIELDS,
        guards=("rules",),
        maskers=("pans", "fields"),
    )
    with HttpStand(directory, cluster, authority, {"ledger": ""}, masks="", more=more) as running:
        running.site = site
        yield running


@pytest.fixture(scope="session")
def same(stand: HttpStand) -> "Comparing":
    """Whatever is done on each way to a target must come out the same."""
    return Comparing(stand)


class Comparing:
    """Does one thing on all ways."""

    def __init__(self, stand: HttpStand) -> None:
        self._stand = stand

    def __call__[T](self, target: str, client: Callable[[Way], T], *, but: str = "") -> T:
        """What it gives, on all ways the same; `but` those through a listener in the clear, say ("-http")."""
        direct, *through = self._stand.ways(target)
        expected = client(direct)
        for way in through:
            if not but or not way.name.endswith(but):
                assert client(way) == expected, way.name
        return expected
