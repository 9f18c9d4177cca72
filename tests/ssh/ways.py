"""Two ways to one server, direct and through the gateway, for the same clients."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

S_MAX = 120


@dataclass(frozen=True)
class Ran:
    """What a command said on its two streams, and its exit code."""

    out: bytes
    err: bytes
    code: int


@dataclass(frozen=True)
class Way:
    """How clients get to a server. OpenSSH's programs know it as the host `target`, by the file `config`."""

    name: str
    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    directory: Path

    @property
    def config(self) -> Path:
        """An ssh_config(5) of its own; nothing of this machine's or this user's counts."""
        path = self.directory / f"{self.name}.config"
        path.write_text(
            f"Host target\nHostName {self.host}\nPort {self.port}\nUser {self.user}\nIdentityFile {self.key_file}\n"
            f"IdentitiesOnly yes\nUserKnownHostsFile {self.known_hosts}\nGlobalKnownHostsFile none\nBatchMode yes\n"
        )
        return path

    def command(self, program: str, *words: str | Path) -> list[str]:
        """The command line of `ssh`, `scp` or `sftp`."""
        return [program, "-F", str(self.config), *map(str, words)]

    def run(self, program: str, *words: str | Path, stdin: bytes = b"", **options: Any) -> Ran:
        """`ssh`, `scp` or `sftp`, until it ends."""
        return run(self.command(program, *words), stdin, **options)

    def ssh(self, command: str, *options: str, stdin: bytes = b"", **more: Any) -> Ran:
        """A command there."""
        return self.run("ssh", *options, "target", command, stdin=stdin, **more)

    @property
    def shell(self) -> str:
        """What rsync and git call to get there."""
        return shlex.join(self.command("ssh"))


def run(command: Sequence[str], stdin: bytes = b"", **options: Any) -> Ran:
    """A local command, until it ends."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=S_MAX, check=False, **options)
    return Ran(done.stdout, done.stderr, done.returncode)
