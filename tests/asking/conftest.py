"""A gateway at which people ask each other for access to a real PostgreSQL."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.process import environment
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.three_files import More
from tests.people import PEOPLE

POLICY = """
[[role]]
name = "intern"
groups = ["interns"]

[[role]]
name = "lead"
groups = ["leads"]

[[request]]
name = "help-out"
roles = ["intern", "analyst", "lead"]
targets = ["ledger"]
accounts = ["reader"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 7200
approvers = { roles = ["lead"], votes_min = 1 }
break_glass = { roles = ["lead"], duration_s_max = 600, review_s_max = 3600 }

[[request]]
name = "cards"
roles = ["analyst"]
targets = ["ledger"]
accounts = ["reader"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 7200
reveals = ["public.customers.card"]
approvers = { roles = ["lead"], votes_min = 2 }
ticket = "OPS-[0-9]+"
wait = false

[[link]]
accounts = [
    { issuer = "https://id.hoopproxy.test", subject = "lena" },
    { issuer = "https://id.hoopproxy.test", subject = "lena-admin" },
]
"""

GROUPS = {
    "ivo": ("interns",),
    "ada": ("analysts",),
    "lena": ("leads",),
    "lena-admin": ("leads",),
    "lars": ("leads", "analysts"),
}


@pytest.fixture(scope="module")
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    leaf = authority.issue("database-asking", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def stand(cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    own = '\n[addon.own]\nuse = "signed-in"\n'
    more = More(policy=POLICY, main=own, authenticators=("own",))
    with Stand(tmp_path_factory.mktemp("stand"), cluster, authority, {"ledger": PEOPLE}, more=more) as running:
        yield running


class Desk:
    """`hoopproxy access`, as people run it, each with a token of their own."""

    def __init__(self, stand: Stand, directory: Path) -> None:
        self.stand, self._directory = stand, directory
        self.tokens = {name: stand.issuer.issue(name, groups, name=name.title()) for name, groups in GROUPS.items()}
        for name, token in self.tokens.items():
            (directory / name).write_text(token)

    def run(self, person: str | None, *words: str, verb: str = "access") -> "subprocess.CompletedProcess[str]":
        """One command line of theirs; None is the operator."""
        who = ("--token-file", str(self._directory / person)) if person else ()
        program = str(Path(sys.executable).with_name("hoopproxy"))
        return subprocess.run(
            [program, verb, *words, "--config", str(self.stand.config), *who],
            capture_output=True,
            text=True,
            env=environment(),
            timeout=60,
            check=False,
        )

    def said(self, person: str | None, *words: str, verb: str = "access") -> Any:
        """What it answers, as JSON."""
        done = self.run(person, *words, "--json", verb=verb)
        assert done.returncode == 0, done.stderr + done.stdout + self.stand.gateway.log()[-3000:]
        return json.loads(done.stdout)

    def asked(self, person: str, *words: str, reason: str = "A customer calls.") -> str:
        """The id of a new request for the ledger."""
        return str(self.said(person, "request", "ledger", "--for", "1h", "--reason", reason, *words)["id"])

    def dsn(self, person: str, source: str | None = None) -> str:
        """Through the gateway, as that person."""
        return self.stand.dsn(None, "ledger", token=self.tokens[person], source=source)


@pytest.fixture(scope="module")
def desk(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(stand, tmp_path_factory.mktemp("people"))
