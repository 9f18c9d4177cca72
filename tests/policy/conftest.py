"""Two stands: one whose grants let people do this and not that, and one whose policy is signed and may change."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hoopproxy.cli.main import main
from hoopproxy.disk.policies import BUNDLE
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.http_stand import HttpSite, HttpTarget
from hoopproxy.testing.http_target import CustomerService
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.ssh_stand import SshSite, SshTarget
from hoopproxy.testing.sshd import Sshd
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.three_files import More
from tests.http.ways import Way as HttpWay
from tests.people import PEOPLE
from tests.ssh.ways import Way as SshWay

SQL = f"""
{PEOPLE}
CREATE TABLE notes (id int PRIMARY KEY, note text);
INSERT INTO notes SELECT g, 'note ' || g FROM generate_series(1, 20) g;
GRANT ALL ON notes TO reader;
GRANT CREATE ON SCHEMA public TO reader;
"""


def hoopproxy(*words: str | Path, stdin: str | None = None) -> Result:
    """What the command does."""
    return CliRunner().invoke(main, [str(word) for word in words], input=stdin)


# Actions --------------------------------------------------------------------------------------------------------------

ACTIONS = """
[[role]]
name = "looker"
groups = ["lookers"]

[[role]]
name = "clerk"
groups = ["clerks"]

[[grant]]
name = "look"
roles = ["looker"]
targets = ["ledger", "shell", "shop"]
accounts = ["reader", "app", "agent"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 3600
actions = ["read", "exec", "GET"]

[[grant]]
name = "keep"
roles = ["clerk"]
targets = ["ledger", "shell"]
accounts = ["reader", "app"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 3600
actions = ["read", "write", "copy", "sftp", "shell"]
"""


class LimitedStand(Stand):
    """A stand with people who may do some things only: `eve` looks, `carl` keeps."""

    ssh: SshSite

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


def database(authority: Authority, directory: Path) -> PostgresCluster:
    """A new PostgreSQL, for one stand."""
    leaf = authority.issue(f"database-{directory.parent.name}", dns=("localhost",), ips=("127.0.0.1",))
    return PostgresCluster(directory, version=max(installed()), certificate=(leaf.certificate_file, leaf.key_file))


@pytest.fixture(scope="module")
def limited(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LimitedStand]:
    """Gateway, database, shell and shop."""
    directory = tmp_path_factory.mktemp("limited")
    groups = {"eve": ("lookers",), "carl": ("clerks",)}
    with (
        Sshd(tmp_path_factory.mktemp("sshd")) as sshd,
        CustomerService() as shop,
        database(authority, directory / "pg") as cluster,
    ):
        ssh = SshSite(directory / "secrets", [SshTarget("shell", sshd)], groups)
        http = HttpSite(directory / "secrets", authority, [HttpTarget("shop", shop.port)])
        more = More(
            main=ssh.more.main + http.more.main + '\n[addon.actions]\nuse = "grant-actions"\n',
            targets=ssh.more.targets + http.more.targets,
            policy=ssh.more.policy + http.more.policy + ACTIONS,
            authenticators=ssh.more.authenticators,
            guards=("actions",),
        )
        with LimitedStand(directory, cluster, authority, {"ledger": SQL}, masks="", more=more) as running:
            running.ssh = ssh
            for person, each in groups.items():
                running.tokens[person] = running.issuer.issue(person, each, name=person.title())
            yield running


# Revisions ------------------------------------------------------------------------------------------------------------

SIGNERS = """
[policy]
signers = [{ name = "ada", key = "ada.pub" }, { name = "bob", key = "bob.pub" }]
signatures_min = 2
"""
GUESTS = """
[[role]]
name = "guest"
groups = ["guests"]

[[grant]]
name = "guests-come-by"
roles = ["guest"]
targets = ["plain"]
accounts = ["reader"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 3600
"""


class SignedStand(Stand):
    """A stand whose policy counts when ada and bob have signed it; the first one has the number 1."""

    base: str
    """The first text, without its number."""

    def start(self) -> None:
        """The first time, with the policy that it has, which both have signed."""
        if not (self.conf / "ada.key").exists():
            for name in ("ada", "bob"):
                write_pair(self.conf / name)
            self.base = self.policy.read_text()
            self.write(1, self.base)
            self.sign("ada", "bob")
        super().start()

    @property
    def conf(self) -> Path:
        """Where the configuration is."""
        return self.config.parent

    @property
    def policy(self) -> Path:
        """The text."""
        return self.conf / "policy.toml"

    @property
    def bundle(self) -> Path:
        """What it is signed into."""
        return self.conf / "policy.bundle"

    def write(self, number: int, text: str) -> None:
        """A text, and the revision that it is."""
        self.policy.write_text(f"revision = {number}\n{text}")

    def sign(self, *names: str) -> None:
        """The text, by these people."""
        for name in names:
            done = hoopproxy("policy", "sign", self.policy, "--key", self.conf / f"{name}.key", "--as", name)
            assert done.exit_code == 0, done.output

    def call(self, *words: str | Path) -> Result:
        """`hoopproxy policy`, with this stand's configuration."""
        return hoopproxy("policy", *words, "--config", self.config)

    def shown(self) -> dict[str, Any]:
        """The policy in force."""
        answer: dict[str, Any] = json.loads(self.call("show", "--json").output)
        return answer

    def changed(self, *changes: tuple[str, str]) -> Result:
        """The first policy with these changes, in the next revision: signed by both, and applied."""
        text = self.base
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.bundle.write_bytes((self.state / "policy" / BUNDLE).read_bytes())
        self.write(self.shown()["revision"] + 1, text)
        self.sign("ada", "bob")
        return self.call("apply", self.bundle)


def write_pair(path: Path) -> None:
    """A signer's key, without a passphrase."""
    done = hoopproxy("policy", "keygen", path, "--no-passphrase")
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def one_signed(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedStand]:
    """A gateway before two databases, `plain` and `ledger`, which is masked."""
    directory = tmp_path_factory.mktemp("signed")
    more = replace(More(), main=SIGNERS, policy=GUESTS)
    databases = {"plain": SQL, "ledger": SQL}
    with (
        database(authority, directory / "pg") as cluster,
        SignedStand(directory, cluster, authority, databases, more=more) as running,
    ):
        running.tokens["gast"] = running.issuer.issue("gast", ("guests",), name="Gast")
        yield running


@pytest.fixture
def signed(one_signed: SignedStand) -> SignedStand:
    """The same for each test, with its first policy in force."""
    assert one_signed.changed().exit_code == 0
    return one_signed
