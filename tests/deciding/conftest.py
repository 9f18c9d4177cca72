"""A gateway before a PostgreSQL, a shell and a shop, at which people decide about single statements and about access.

What `hoopproxy access` and `hoopproxy approvals` ask is asked here without starting a program each time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoopproxy.control.client import ControlClient
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.http_stand import HttpSite, HttpTarget
from hoopproxy.testing.http_target import CustomerService
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.ssh_stand import SshSite, SshTarget
from hoopproxy.testing.sshd import Sshd
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.three_files import More
from tests.asking.conftest import GROUPS, POLICY
from tests.http.ways import Way as HttpWay
from tests.ssh.ways import Way as SshWay

SQL = """
CREATE TABLE notes (id int PRIMARY KEY, note text);
INSERT INTO notes SELECT g, 'note ' || g FROM generate_series(1, 20) g;
CREATE SCHEMA archive;
CREATE TABLE archive.notes (id int PRIMARY KEY, note text);
GRANT ALL ON notes TO reader;
GRANT USAGE ON SCHEMA archive TO reader;
GRANT ALL ON archive.notes TO reader;
"""
DOORS = """
[[request]]
name = "all-doors"
roles = ["intern"]
targets = ["plain", "shell", "shop"]
accounts = ["reader", "app", "agent"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 7200
approvers = { roles = ["lead"], votes_min = 1 }

[[link]]
accounts = [
    { issuer = "https://id.hoopproxy.test", subject = "ivo" },
    { issuer = "known:keys", subject = "ivo" },
]

[[grant]]
name = "interns-and-leads-work"
roles = ["analyst", "lead"]
targets = ["plain", "shell", "shop"]
accounts = ["reader", "app", "agent"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 3600
"""
PEOPLE_DECIDE = """
[addon.rules]
use = "statement-rules"

[[addon.rules.rule]]
effect = "approve"
match = ["delete-without-where"]
approvers = { roles = ["lead"], votes_min = 1 }

[[addon.rules.rule]]
effect = "approve"
match = ["update-without-where"]
approvers = { roles = ["lead"], votes_min = 2, veto = true }

[[addon.rules.rule]]
effect = "approve"
kinds = ["INSERT"]

[[addon.rules.rule]]
effect = "approve"
commands = ["exec touch *"]
approvers = { roles = ["lead"] }

[addon.requests]
use = "request-rules"

[[addon.requests.rule]]
approve = ["DELETE /customers/**"]
approvers = { roles = ["lead"] }
"""


class Town(Stand):
    """The stand, and everybody's ways."""

    ssh: SshSite

    def said(self, person: str, verb: str, **arguments: Any) -> dict[str, Any]:
        """What the gateway answers a person. @raise ControlError"""
        client = ControlClient(self.control_socket)
        return client.call("access", verb=verb, token=self.tokens[person], arguments=arguments)

    def access(self, target: str, **most: int) -> str:
        """The id of what ivo has asked for, and lena has approved."""
        asked = self.said("ivo", "request", target=target, duration_s=3600, reason="A customer calls.", **most)
        request_id, terms = asked["request"]["id"], asked["request"]["terms_sha256"]
        assert self.said("lena", "approve", id=request_id, terms=terms)["request"]["phase"] == "approved"
        return str(request_id)

    def way_in(self, person: str) -> str:
        """Into the database."""
        return self.dsn(None, "plain", token=self.tokens[person])

    def ssh_way(self, person: str) -> SshWay:
        """To the shell, with the person's key."""
        host, port = self.endpoint("ssh")
        known_hosts = self.directory / "known_hosts"
        known_hosts.write_text(self.ssh.known_hosts(host, port))
        return SshWay(person, host, port, "shell", self.ssh.key_file(person), known_hosts, self.directory)

    def http_way(self, person: str) -> HttpWay:
        """To the shop, with the person's token."""
        address = self.endpoint("web")
        return HttpWay(person, f"https://shop.gw.test:{address[1]}", address, self.tokens[person], self.ca_file)

    def wait_until_alone(self, name: str) -> None:
        """Until nobody of that name is in."""
        client = ControlClient(self.control_socket)
        while any(each["identity"] == name for each in client.call("sessions")["sessions"]):
            pass

    def log(self) -> bytes:
        """All leaves."""
        return b"".join(file.read_bytes() for file in sorted(self.log_directory.iterdir()) if file.is_file())


@pytest.fixture(scope="session")
def town(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    directory = tmp_path_factory.mktemp("town")
    leaf = authority.issue("database-town", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with (
        PostgresCluster(directory / "pg", certificate=certificate) as cluster,
        Sshd(tmp_path_factory.mktemp("sshd")) as sshd,
        CustomerService() as shop,
    ):
        ssh = SshSite(directory / "secrets", [SshTarget("shell", sshd)], GROUPS)
        http = HttpSite(directory / "secrets", authority, [HttpTarget("shop", shop.port)])
        links = POLICY[POLICY.index("[[link]]") :]
        roles = POLICY[: POLICY.index("[[request]]")]
        more = More(
            main=PEOPLE_DECIDE + ssh.more.main + http.more.main,
            targets=ssh.more.targets + http.more.targets,
            policy=roles + DOORS + links,
            authenticators=ssh.more.authenticators,
            guards=("rules", "requests"),
        )
        with Town(directory, cluster, authority, {"plain": SQL}, masks="", more=more) as running:
            running.ssh = ssh
            for person, groups in GROUPS.items():
                running.tokens[person] = running.issuer.issue(person, groups, name=person.title())
            yield running


def token_file(town: Town, person: str, directory: Path) -> Path:
    """A person's token, for commands."""
    path = directory / f"{person}.token"
    path.write_text(town.tokens[person])
    return path
