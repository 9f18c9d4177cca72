"""A gateway that knows people by certificates of its own authority and services by tokens, before a database and a web
service; and what openssl, psql, curl and `hoopproxy` do with it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pytest
from twisted.internet.task import Clock

from hoopproxy.access.policy import Policy
from hoopproxy.control.client import ControlClient
from hoopproxy.disk.authority import make_authority
from hoopproxy.disk.segments import segment_paths
from hoopproxy.evidence.framing import frames
from hoopproxy.model import Arrival, Credentials, Endpoint
from hoopproxy.proofs import HeldKey, Secret
from hoopproxy.registry import Setting
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.http_stand import HttpSite, HttpTarget, host_of
from hoopproxy.testing.http_target import CustomerService
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.process import environment
from hoopproxy.testing.stand import Stand

SECONDS_MAX = 30.0
TABLE = "CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes VALUES (1);"
IDENTITIES = """
[[identity]]
subject = "batch"
groups = ["{group}"]
certificates = ["dns:batch.example"]
"""


def main(files: Path, gateway: Path, identities: Path) -> str:
    def listener(name: str, protocol: str, *more: str) -> str:
        lines = "\n".join(more)
        return f"""
[[listen]]
name = "{name}"
protocol = "{protocol}"
addresses = ["127.0.0.1"]
port = 0
certificate = "{gateway / ("web.crt" if protocol == "http" else "gateway.crt")}"
key = "{gateway / ("web.key" if protocol == "http" else "gateway.key")}"
client_ca = "{files / "clients.pem"}"
{lines}
"""

    optional = 'client_certificate = "optional"'
    return (
        listener("certified", "postgres", optional)
        + listener("certified-only", "postgres")
        + listener("certified-web", "http", optional, 'domain = "gw.test"')
        + f"""
[addon.list]
use = "known-identities"
file = "{identities}"

[addon.people]
use = "certificates"
authority = "{files / "clients-ca.pem"}"
authority_key = "{files / "clients-ca.key"}"
authority_passphrase_file = "{files / "clients-ca.pass"}"
revoked = "{files / "clients.crl"}"
lifetime_s_max = 86400

[[addon.people.rule]]
san = "email:*@example.com"
groups_from = "ou"

[[addon.people.rule]]
san = "uri:spiffe://example.com/ns/*/sa/*"
groups = ["analysts"]

[addon.robots]
use = "service-tokens"
"""
    )


class Proving(Stand):
    """The stand, and what people do."""

    files: Path
    identities: Path

    def hoopproxy(self, *words: object, fails: int = 0) -> str:
        """What a command says. It ends with `fails`."""
        program = Path(sys.executable).with_name("hoopproxy")
        done = subprocess.run(
            [program, *map(str, words)], capture_output=True, text=True, timeout=60, env=environment(), check=False
        )
        assert done.returncode == fails, done.stderr
        return done.stderr if fails else done.stdout

    def request(self, name: str) -> Path:
        """A signing request, and its key beside it, as openssl makes them."""
        key, request = self.files / f"{name}.key", self.files / f"{name}.csr"
        words = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /".split()
        subprocess.run(["openssl", *words, "-keyout", key, "-out", request], capture_output=True, check=True)
        key.chmod(0o600)
        return request

    def certify(self, name: str, san: str, *groups: str) -> dict[str, Any]:
        """Have the running gateway issue `name` a certificate, whose file lies beside the key then."""
        words = [word for group in groups for word in ("--group", group)]
        request = self.request(name)
        said = self.hoopproxy("ca", "client", "issue", request, "--san", san, *words, "--config", self.config, "--json")
        made: dict[str, Any] = json.loads(said)
        (self.files / f"{name}.crt").write_text(made["pem"])
        return made

    def revoke(self, *serials: str, days: int = 30) -> None:
        """Revoke certificates, as whoever has the authority's key does."""
        words = [f"--{name}={self.files / file}" for name, file in AUTHORITY.items()]
        self.hoopproxy(
            "ca", "client", "revoke", *serials, *words, f"--list={self.files / 'clients.crl'}", f"--days={days}"
        )

    def dsn_of(self, name: str, listener: str = "certified", **words: object) -> str:
        """In by PostgreSQL with a certificate's and a key's file."""
        host, port = self.endpoint(listener)
        words = {"sslcert": self.files / f"{name}.crt", "sslkey": self.files / f"{name}.key"} | words
        return psycopg.conninfo.make_conninfo(
            host="localhost",
            hostaddr=host,
            port=port,
            dbname="notes",
            user="reader",
            sslmode="verify-full",
            sslrootcert=str(self.ca_file),
            **{key: str(value) for key, value in words.items()},
        )

    def psql(self, dsn: str) -> subprocess.CompletedProcess[str]:
        """What psql says, that has no password and asks for none."""
        return subprocess.run(
            ["psql", "-X", "-w", "-At", dsn, "-c", "SELECT id FROM notes"],
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self.directory)},
        )

    def curl(self, *words: object) -> str:
        """The status, and the first line of what a curl gets of the web service."""
        host, port = self.endpoint("certified-web")
        url = f"https://{host_of('shop')}:{port}/customers/1"
        resolve = f"{host_of('shop')}:{port}:{host}"
        done = subprocess.run(
            [
                "curl",
                "-sS",
                "--cacert",
                self.ca_file,
                "--resolve",
                resolve,
                "-w",
                "\n%{http_code}",
                *map(str, words),
                url,
            ],
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        return done.stdout + done.stderr

    @contextmanager
    def live(self, dsn: str) -> Iterator[psycopg.Connection]:
        """A session that has said something."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert connection.execute("SELECT id FROM notes").fetchall() == [(1,)]
            yield connection

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """What the log says."""
        files = [path.read_bytes() for path in segment_paths(self.log_directory)]
        found = [json.loads(leaf) for data in files for frame in frames(data) for leaf in frame.leaves]
        return [entry for entry in found if entry["kind"] == kind]

    @property
    def control(self) -> ControlClient:
        """The way to the running gateway."""
        return ControlClient(self.control_socket)


AUTHORITY = {"certificate": "clients-ca.pem", "key": "clients-ca.key", "passphrase": "clients-ca.pass"}


def ended(connection: psycopg.Connection) -> str:
    """What the client of a session is told that is over, or is about to be."""
    with pytest.raises(psycopg.OperationalError) as why:
        connection.execute("SELECT pg_sleep(30)")
    return str(why.value)


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Somebody else's authority, whose certificates the listeners take, too."""
    return Authority(tmp_path_factory.mktemp("foreign"), "foreign")


@pytest.fixture(scope="session")
def stand(authority: Authority, foreign: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proving]:
    """The gateway, running."""
    leaf = authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    directory, files = tmp_path_factory.mktemp("stand"), tmp_path_factory.mktemp("files")
    made = [files / name for name in AUTHORITY.values()]
    make_authority(*made, "tests' clients", 30)
    (files / "clients.pem").write_bytes((files / "clients-ca.pem").read_bytes() + foreign.ca_file.read_bytes())
    identities = files / "identities.toml"
    identities.write_text(IDENTITIES.format(group="analysts"))
    identities.chmod(0o600)
    Proving.files, Proving.identities = files, identities
    Proving.revoke(Proving.__new__(Proving))
    secrets = directory / "secrets"
    with (
        PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=certificate) as cluster,
        CustomerService(certificate) as shop,
    ):
        site = HttpSite(secrets, authority, [HttpTarget("shop", shop.port, ca_file=authority.ca_file)])
        web = authority.issue("proving-web", dns=(host_of("shop"),))
        (secrets / "web.crt").write_bytes(web.certificate_file.read_bytes())
        (secrets / "web.key").write_bytes(web.key_file.read_bytes())
        (secrets / "web.key").chmod(0o600)
        more = replace(
            site.more,
            main=site.more.main + main(files, secrets, identities),
            authenticators=("list", "people", "robots"),
        )
        limits = "recheck_s = 5\nunchecked_s_max = 12\n"
        with Proving(directory, cluster, authority, {"notes": TABLE}, more=more, masks="", limits=limits) as running:
            yield running


START_S = 1_800_000_000.0


@dataclass
class Place:
    """What an addon is built into, and a clock that a test turns."""

    directory: Path
    clock: Clock

    @property
    def setting(self) -> Setting:
        """What it is told of the gateway."""
        scheduler = TwistedScheduler(self.clock)
        return Setting("gw", "EU", str(self.directory), Policy("r", (), (), ()), MappingProxyType({}), scheduler)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    clock = Clock()
    clock.advance(START_S)
    return Place(tmp_path, clock)


def shows(secret: str = "", der: bytes = b"") -> Credentials:
    """What a client shows: a text, or a certificate whose key it holds."""
    return Credentials("notes", "", "", Secret(secret), key=HeldKey("x509", der) if der else None)


def arrival() -> Arrival:
    """It does not matter whence."""
    return Arrival("c1", "front", "postgres", Endpoint(ip_address("127.0.0.1"), 50000), START_S)
