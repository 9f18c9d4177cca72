"""Real PostgreSQL servers, a certificate authority, and permits to reach them."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from hoopproxy.dial.postgres import PostgresDialer, PostgresPeer
from hoopproxy.masks import Catalog
from hoopproxy.model import Arrival, Endpoint, Grant, Identity, Passage, Permit, Seal, Target, UpstreamTls
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.certificates import Authority, Leaf
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster

PASSWORD = "correct horse pâté"
NAME = "db.example"
LOOPBACK = ip_address("127.0.0.1")

HBA = """\
local all all trust
hostssl all trusting all trust
hostssl all hashing all md5
hostssl all telling all password
hostssl all all all scram-sha-256
"""

SQL = f"""
CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE telling LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE trusting LOGIN;
SET password_encryption = 'md5';
CREATE ROLE hashing LOGIN PASSWORD '{PASSWORD}';

CREATE TABLE customers (id int, name text, card text);
INSERT INTO customers VALUES (1, 'Ada', '4111111111111111');
CREATE TABLE people (id int, card text) PARTITION BY LIST (id);
CREATE TABLE people_one PARTITION OF people FOR VALUES IN (1);
CREATE TABLE people_two (card text, junk int, id int);
ALTER TABLE people_two DROP COLUMN junk;
ALTER TABLE people ATTACH PARTITION people_two FOR VALUES IN (2);
CREATE VIEW names AS SELECT name FROM customers;
CREATE VIEW names_of_names AS SELECT name FROM names;
CREATE MATERIALIZED VIEW cards AS SELECT count(c) FROM customers c;
CREATE TABLE plain (id int);
CREATE VIEW plain_view AS SELECT id FROM plain;
CREATE FUNCTION peek() RETURNS text LANGUAGE sql AS 'SELECT card FROM customers';
CREATE SCHEMA "Odd schema";
CREATE TABLE "Odd schema"."it's" ("cärd" text);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
"""


@pytest.fixture(scope="session")
def leaf(authority: Authority) -> Leaf:
    """A target's certificate, for its name and its address."""
    return authority.issue("db", dns=(NAME,), ips=("127.0.0.1",))


@pytest.fixture(scope="session", params=sorted(installed()))
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, leaf: Leaf
) -> Iterator[PostgresCluster]:
    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        hba = Path(open_to_all) / "hba.conf"
        hba.write_text(HBA)
        with PostgresCluster(
            tmp_path_factory.mktemp(f"pg{request.param}"),
            version=request.param,
            certificate=(leaf.certificate_file, leaf.key_file),
            settings={"hba_file": str(hba)},
        ) as started:
            started.create_database("books")
            started.execute(SQL, database="books")
            yield started


@pytest.fixture(scope="session")
def without_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    with PostgresCluster(tmp_path_factory.mktemp("plain")) as started:
        started.create_database("books")
        started.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
        yield started


@dataclass(frozen=True)
class Way:
    """A dialer, and permits for it."""

    dialer: PostgresDialer
    target: Target

    def permit(self, account: str = "reader", **parameters: str) -> Permit:
        arrival = Arrival("c1", "pg", "postgres", Endpoint(LOOPBACK, 40000), 0.0)
        return Permit(
            session_id="s1",
            arrival=arrival,
            identity=Identity("https://id.example", "ada", "Ada", frozenset(), 9e9, "oidc"),
            roles=frozenset(),
            target=self.target,
            account=account,
            database="books",
            parameters=parameters,
            grant=Grant("g", frozenset(), self.target.name, frozenset({account}), "EU", ("EU",), {}, 9e9),
            addresses=(LOOPBACK,),
            client_zones=frozenset(),
            verdicts=(),
            not_after_s=9e9,
            seal=Seal(),
        )

    @asynccontextmanager
    async def session(
        self, *paths: str, account: str = "reader", password: str = PASSWORD, **parameters: str
    ) -> AsyncIterator[PostgresPeer]:
        """Reach the target and log in to it; afterwards leave it, and wait until the connection is gone."""
        permit = self.permit(account, **parameters)
        reached = await self.dialer.reach(permit)
        passage = Passage(permit, reached.measurements.peer, reached.measurements, (), Seal())
        secret = TargetSecret(account, Secret(password))
        peer = await self.dialer.login(reached, passage, secret, frozenset(paths))
        try:
            yield peer
        finally:
            peer.close()
            await peer._connection.lost.wait()

    async def log_in(self, *paths: str, **how: str) -> tuple[Any, Catalog]:
        """What a login brings."""
        async with self.session(*paths, **how) as peer:
            return peer.greeting, peer.catalog

    def with_tls(self, server_name: str = NAME, **tls: Any) -> "Way":
        tls = {"ca_file": self.target.tls.ca_file} | tls
        return replace(self, target=replace(self.target, tls=UpstreamTls(server_name, **tls)))

    def to(self, port: int) -> "Way":
        return replace(self, target=replace(self.target, port=port))


@pytest.fixture
def way(reactor: Any, authority: Authority) -> Way:  # the fixture imported above
    """To a target that isn't there yet: `to(port)` says where it is."""
    dialer = PostgresDialer(reactor, Limits(), TwistedScheduler(reactor))
    tls = UpstreamTls(NAME, str(authority.ca_file))
    return Way(dialer, Target("ledger", "postgres", NAME, 0, "EU", "DE", tls, {}, allow_loopback=True))


@pytest.fixture
def ledger(way: Way, cluster: PostgresCluster) -> Way:
    """To a real PostgreSQL."""
    return way.to(cluster.port)
