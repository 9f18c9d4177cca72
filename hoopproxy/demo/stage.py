"""What the demonstration plays on: PostgreSQL with sample data, sshd, three services, people, the gateway.

Knows no tour. Everything that it starts it ends, in the reverse order.
"""

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hoopproxy.demo.command import Command, Shell, preparation
from hoopproxy.demo.lines import LineServer
from hoopproxy.demo.sample import CUSTOMERS, LEDGER
from hoopproxy.demo.web import CLUSTER, CLUSTERS, CRM, DOMAIN, WEB, Web
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.ssh_stand import LISTENER, SshSite, SshTarget
from hoopproxy.testing.sshd import Sshd, SshdError
from hoopproxy.testing.stand import ACCOUNT, PEOPLE, Stand
from hoopproxy.testing.tcp_stand import TcpDoor, TcpTarget, tcp_more, together
from hoopproxy.testing.three_files import More

TARGET, FILES, STOCK = "ledger", "files", "stock"
"""What there is: a database, a machine with a shell, and a service of which the gateway understands nothing."""

PORTS = 5
"""How many the gateway listens on, the first for PostgreSQL, then SSH, raw TCP, HTTP and Kubernetes."""

_CURL = (
    *(("curl",) if shutil.which("curl") else ("python", "-m", "hoopproxy.demo.fetch")),
    *("--silent", "--show-error", "--write-out", r"\n%{http_code}\n"),
)

COUNTRIES = {"Frankfurt": None, "Zürich": "127.0.2.1", "Ohio": "127.0.3.1"}
"""Places for clients, and the address of this machine that stands for each; None is 127.0.0.1."""


class Stage:
    """The running parts; a context manager. `without_ssh` says why there is no SSH, "" when there is.

    @raise GatewayFailed, ClusterError: a part that must be there does not start.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.without_ssh = ""
        self._parts = ExitStack()
        try:
            authority = Authority(directory / "ca", "hoopproxy-demo")
            leaf = authority.issue("postgres", dns=("localhost",), ips=("127.0.0.1", "::1"))
            self.cluster = self._parts.enter_context(
                PostgresCluster(directory / "postgres", certificate=(leaf.certificate_file, leaf.key_file))
            )
            self.lines = self._parts.enter_context(LineServer())
            self.sshd = self._sshd()
            self.web = self._parts.enter_context(Web(directory, authority, (port and port + 3, port and port + 4)))
            more = together(
                tcp_more(
                    [TcpTarget(STOCK, self.lines.host, self.lines.port)],
                    [TcpDoor(STOCK, STOCK, port=port and port + 2)],
                ),
                self.web.more,
            )
            with_cards = [CRM, CLUSTER]
            if self.sshd is not None:
                self.site = SshSite(
                    directory / "secrets",
                    [SshTarget(FILES, self.sshd, is_minted=True)],
                    PEOPLE,
                    port=port and port + 1,
                )
                more = together(more, self.site.more)
                with_cards.append(FILES)
            more = together(together(more, _cards(with_cards)), ASKING)
            self.stand = self._parts.enter_context(
                Stand(directory, self.cluster, authority, {TARGET: LEDGER}, port=port, more=more, kept=(TARGET,))
            )
            if self.sshd is not None:
                self._prepare_ssh()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *why: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        self._parts.close()

    def described(self) -> dict[str, Any]:
        """What programs need to use it, in the shape of `hoopproxy demo --json` (docs/demo.md)."""
        stand = self.stand
        listeners = {"postgres": "front", "tcp": STOCK, "http": WEB, "kubernetes": CLUSTERS}
        people = {name: {"token": token, "groups": list(PEOPLE[name])} for name, token in stand.tokens.items()}
        targets: dict[str, Any] = {
            TARGET: {"protocol": "postgres", "direct": stand.direct(TARGET).dsn},
            STOCK: {"protocol": "tcp", "direct": f"{self.lines.host}:{self.lines.port}"},
            **self.web.targets,
        }
        told: dict[str, Any] = {}
        if self.sshd is not None:
            listeners["ssh"] = LISTENER
            told["known_hosts"] = str(self._known_hosts)
            for name, person in people.items():
                person["ssh_key"] = str(self.site.key_file(name))
            server = self.sshd
            direct = {"direct": f"ssh://{server.user}@{server.host}:{server.port}", "key": str(server.key_file)}
            targets[FILES] = {"protocol": "ssh", **direct}
        return {
            "gateway": {protocol: "{}:{}".format(*stand.endpoint(name)) for protocol, name in listeners.items()},
            "ca": str(stand.ca_file),
            "proxy_ca": str(self.web.ca_file),
            **told,
            "config": str(stand.config),
            "evidence": str(stand.state),
            "people": people,
            "targets": targets,
        }

    def psql(self, person: str, *statements: str, place: str = "Frankfurt", token_file: Path | None = None) -> Command:
        """A client's command line: `person`, sitting in `place`, asks the ledger these statements."""
        dsn = (
            f"host=localhost port={self.stand.port_from(COUNTRIES[place])} dbname={TARGET} user={ACCOUNT} "
            f"sslmode=verify-full sslrootcert={self.short(self.stand.ca_file)}"
        )
        client = ("psql", "-X") if shutil.which("psql") else ("python", "-m", "hoopproxy.demo.psql")
        token = self.short(token_file or self.stand.token_file(person))
        words = (*client, dsn, *(word for statement in statements for word in ("-c", statement)))
        return Command(self.directory, (Shell(f'PGPASSWORD="$(cat {token})"'), *words))

    def ssh(self, person: str, *words: str) -> Command:
        """A client's command line: `person` has something run on the machine with the files."""
        return Command(self.directory, ("ssh", "-F", self.short(self._ssh_config(person)), *words))

    def line_client(self, *lines: str, place: str = "Frankfurt") -> Command:
        """A client's command line: a machine in `place` says these lines to the line service."""
        port = self.stand.port_from(COUNTRIES[place], STOCK)
        return Command(self.directory, ("python", "-m", "hoopproxy.demo.lines", str(port), *lines))

    def curl(self, person: str, path: str, *words: str) -> Command:
        """A client's command line: `person` asks the HTTP service, whose host the gateway's domain makes."""
        url = f"https://{CRM}.{DOMAIN}:{self.stand.endpoint(WEB)[1]}{path}"
        return Command(self.directory, (*_CURL, *self._trusting(), *self._bearer(person), *words, url))

    def curl_through_proxy(self, person: str, path: str) -> Command:
        """The same by the service's own address, through the gateway as a forward proxy with a CA of its own."""
        proxy = ("--proxy", f"https://localhost:{self.stand.endpoint(WEB)[1]}")
        trusting = ("--proxy-cacert", self.short(self.stand.ca_file), "--cacert", self.short(self.web.ca_file))
        user = ("--proxy-user", Shell(f'"{ACCOUNT}:$(cat {self.token(person)})"'))
        return Command(self.directory, (*_CURL, *proxy, *trusting, *user, f"{self.web.targets[CRM]['direct']}{path}"))

    def curl_cluster(self, person: str, path: str) -> Command:
        """A client's command line: `person` asks the cluster as kubectl would."""
        url = f"https://localhost:{self.stand.endpoint(CLUSTERS)[1]}/clusters/{CLUSTER}{path}"
        return Command(self.directory, (*_CURL, *self._trusting(), *self._bearer(person), url))

    def kube_config(self, person: str) -> Command:
        """What makes `person`'s kubeconfig."""
        gateway = ("--gateway", f"https://localhost:{self.stand.endpoint(CLUSTERS)[1]}")
        trusting = ("--ca", self.short(self.stand.ca_file))
        who = ("--cluster", CLUSTER, "--token-file", self.token(person), Shell(f"> {self._kubeconfig(person)}"))
        return self.hoopproxy("kube-config", *gateway, *trusting, *who)

    def kubectl(self, person: str, *words: str) -> Command:
        """A client's command line: `person` asks the cluster, after `kube_config`."""
        return Command(self.directory, ("kubectl", "--kubeconfig", self._kubeconfig(person), *words))

    def hoopproxy(self, *words: str) -> Command:
        """A command line of ours."""
        return Command(self.directory, ("hoopproxy", *words))

    def token(self, person: str) -> str:
        """Where commands find the person's token."""
        return self.short(self.stand.token_file(person))

    def _bearer(self, person: str) -> tuple[str, ...]:
        return "--header", Shell(f'"Authorization: Bearer $(cat {self.token(person)})"')

    def _trusting(self) -> tuple[str, ...]:
        return "--cacert", self.short(self.stand.ca_file)

    def _kubeconfig(self, person: str) -> str:
        return f"people/{person}.kubeconfig"

    # Parts ------------------------------------------------------------------------------------------------------------

    def _sshd(self) -> Sshd | None:
        if shutil.which("ssh") is None:
            self.without_ssh = "it needs an SSH client; install your system's openssh-client"
            return None
        try:
            server = self._parts.enter_context(Sshd(self.directory / "sshd"))
        except SshdError as why:
            self.without_ssh = f"it needs openssh-server. {why}"
            return None
        (server.home / "cards.txt").write_text(CUSTOMERS)
        return server

    def _prepare_ssh(self) -> None:
        """What clients need: how to get there, as whom, and the keys of both servers."""
        assert self.sshd is not None
        host, port = self.stand.endpoint(LISTENER)
        self._known_hosts.write_text(self.site.known_hosts(host, port) + self.sshd.known_hosts())
        for person in PEOPLE:
            self._ssh_config(person).write_text(
                f"Host {FILES}\n  HostName {host}\n  Port {port}\n  User {FILES}\n"
                f"  IdentityFile {self.site.key_file(person)}\n  IdentitiesOnly yes\n"
                f"  UserKnownHostsFile {self._known_hosts}\n"
            )

    def _ssh_config(self, person: str) -> Path:
        return self.directory / "people" / f"{person}.ssh_config"

    @property
    def _known_hosts(self) -> Path:
        return self.directory / "people" / "known_hosts"

    def short(self, path: Path) -> str:
        """As commands name a path: from our directory, where they run."""
        return str(path.relative_to(self.directory))

    def preparation(self) -> str:
        """What makes commands run in another shell as they run here."""
        return preparation(self.directory)


ASKING = More(
    policy=f"""
# Analysts may see card numbers for an hour, when a fraud officer agrees.
[[request]]
name = "cards-for-a-case"
roles = ["analyst"]
targets = ["{TARGET}"]
accounts = ["{ACCOUNT}"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 3600
reveals = ["public.customers.card"]
approvers = {{ roles = ["fraud"] }}
ticket = "OPS-[0-9]+"
"""
)


def _cards(targets: list[str]) -> More:
    """The plugin that masks card numbers, wherever they turn up in these targets."""
    return More(main=f'\n[addon.cards]\nuse = "mask-pan"\ntargets = {json.dumps(targets)}\n', maskers=("cards",))


def line(described: dict[str, Any]) -> str:
    """The one line of JSON for programs."""
    return json.dumps(described, ensure_ascii=False)
