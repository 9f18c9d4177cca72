"""What the demonstration plays on: PostgreSQL with sample data, sshd, a line service, people, the gateway.

Knows no tour. Everything that it starts it ends, in the reverse order.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hoopproxy.demo.lines import LineServer
from hoopproxy.demo.sample import CUSTOMERS, LEDGER
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.process import environment
from hoopproxy.testing.ssh_stand import LISTENER, SshSite, SshTarget
from hoopproxy.testing.sshd import Sshd, SshdError
from hoopproxy.testing.stand import ACCOUNT, PEOPLE, Stand
from hoopproxy.testing.tcp_stand import TcpDoor, TcpTarget, tcp_more, together
from hoopproxy.testing.three_files import More

TARGET, FILES, STOCK = "ledger", "files", "stock"
"""What there is: a database, a machine with a shell, and a service of which the gateway understands nothing."""

PORTS = 3
"""How many the gateway listens on, the first for PostgreSQL, then SSH and raw TCP."""

CARDS = """
[addon.cards]
use = "mask-pan"
targets = ["files"]
"""
CONFIG = "conf/hoopproxy.toml"

COUNTRIES = {"Frankfurt": None, "Zürich": "127.0.2.1", "Ohio": "127.0.3.1"}
"""Places for clients, and the address of this machine that stands for each; None is 127.0.0.1."""

ANSWER_S_MAX = 60.0
"""The longest that any command of the tour may take."""


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
            more = tcp_more(
                [TcpTarget(STOCK, self.lines.host, self.lines.port)], [TcpDoor(STOCK, STOCK, port=port and port + 2)]
            )
            if self.sshd is not None:
                self.site = SshSite(
                    directory / "secrets",
                    [SshTarget(FILES, self.sshd, is_minted=True)],
                    PEOPLE,
                    port=port and port + 1,
                )
                more = together(more, self.site.more, More(main=CARDS, maskers=("cards",)))
            self.stand = self._parts.enter_context(
                Stand(directory, self.cluster, authority, {TARGET: LEDGER}, port=port, more=more)
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
        stand, listeners = self.stand, {"postgres": "front", "tcp": STOCK}
        people = {name: {"token": token, "groups": list(PEOPLE[name])} for name, token in stand.tokens.items()}
        targets = {
            TARGET: {"protocol": "postgres", "direct": stand.direct(TARGET).dsn},
            STOCK: {"protocol": "tcp", "direct": f"{self.lines.host}:{self.lines.port}"},
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
            **told,
            "config": str(stand.config),
            "evidence": str(stand.state),
            "people": people,
            "targets": targets,
        }

    def psql(
        self, person: str, *statements: str, place: str = "Frankfurt", token_file: Path | None = None
    ) -> "Command":
        """A client's command line: `person`, sitting in `place`, asks the ledger these statements."""
        dsn = (
            f"host=localhost port={self.stand.port_from(COUNTRIES[place])} dbname={TARGET} user={ACCOUNT} "
            f"sslmode=verify-full sslrootcert={self.short(self.stand.ca_file)}"
        )
        client = ("psql", "-X") if shutil.which("psql") else ("python", "-m", "hoopproxy.demo.psql")
        words = (*client, dsn, *(word for statement in statements for word in ("-c", statement)))
        return Command(self.directory, words, self.short(token_file or self.stand.token_file(person)))

    def ssh(self, person: str, *words: str) -> "Command":
        """A client's command line: `person` has something run on the machine with the files."""
        return Command(self.directory, ("ssh", "-F", self.short(self._ssh_config(person)), *words))

    def line_client(self, *lines: str, place: str = "Frankfurt") -> "Command":
        """A client's command line: a machine in `place` says these lines to the line service."""
        port = self.stand.port_from(COUNTRIES[place], STOCK)
        return Command(self.directory, ("python", "-m", "hoopproxy.demo.lines", str(port), *lines))

    def hoopproxy(self, *words: str) -> "Command":
        """A command line of ours."""
        return Command(self.directory, ("hoopproxy", *words))

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
        return (
            f"cd {shlex.quote(str(self.directory))}; export PATH={shlex.quote(str(_binaries()))}:$PATH "
            f"HOOPPROXY_CONFIG={CONFIG}"
        )


class Command:
    """A command line that people can copy, and that runs as it is shown. `token_file` holds the client's password."""

    def __init__(self, directory: Path, words: Sequence[str], token_file: str = "") -> None:
        self._directory = directory
        self._line = shlex.join(words)
        if token_file:
            self._line = f'PGPASSWORD="$(cat {shlex.quote(token_file)})" {self._line}'

    def __str__(self) -> str:
        """As one types it into a shell, after `Stage.preparation`."""
        return self._line

    def start(self) -> subprocess.Popen[str]:
        """Run it; what it says comes through one pipe."""
        return subprocess.Popen(
            ["sh", "-c", self._line],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment() | {"PATH": f"{_binaries()}:{os.environ['PATH']}", "HOOPPROXY_CONFIG": CONFIG},
            start_new_session=True,
        )

    def run(self) -> tuple[str, int]:
        """What it said, and its exit code."""
        with self.start() as process:
            try:
                said, _ = process.communicate(timeout=ANSWER_S_MAX)
            except BaseException:
                process.kill()
                raise
        return said, process.returncode


def _binaries() -> Path:
    """Where our own commands are installed."""
    return Path(sys.executable).parent


def line(described: dict[str, Any]) -> str:
    """The one line of JSON for programs."""
    return json.dumps(described, ensure_ascii=False)
