"""What the demonstration plays on: PostgreSQL with sample data, certificates, people, the gateway.

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

from hoopproxy.demo.sample import LEDGER
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.process import environment
from hoopproxy.testing.stand import ACCOUNT, PEOPLE, Stand

TARGET = "ledger"
CONFIG = "conf/hoopproxy.toml"

COUNTRIES = {"Frankfurt": None, "Zürich": "127.0.2.1", "Ohio": "127.0.3.1"}
"""Places for clients, and the address of this machine that stands for each; None is 127.0.0.1."""

ANSWER_S_MAX = 60.0
"""The longest that any command of the tour may take."""


class Stage:
    """The running parts; a context manager. @raise GatewayFailed, ClusterError: one of them does not start."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self._parts = ExitStack()
        try:
            authority = Authority(directory / "ca", "hoopproxy-demo")
            leaf = authority.issue("postgres", dns=("localhost",), ips=("127.0.0.1", "::1"))
            self.cluster = self._parts.enter_context(
                PostgresCluster(directory / "postgres", certificate=(leaf.certificate_file, leaf.key_file))
            )
            self.stand = self._parts.enter_context(
                Stand(directory, self.cluster, authority, {TARGET: LEDGER}, port=port)
            )
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
        return {
            "gateway": {"postgres": f"{stand.host}:{stand.port}"},
            "ca": str(stand.ca_file),
            "config": str(stand.config),
            "evidence": str(stand.state),
            "people": {name: {"token": token, "groups": list(PEOPLE[name])} for name, token in stand.tokens.items()},
            "targets": {TARGET: {"protocol": "postgres", "direct": stand.direct(TARGET).dsn}},
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

    def hoopproxy(self, *words: str) -> "Command":
        """A command line of ours."""
        return Command(self.directory, ("hoopproxy", *words))

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
