"""Command lines that people can copy, and that run as they are shown. Knows neither the stage nor the tour."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hoopproxy.testing.process import environment

CONFIG = "conf/hoopproxy.toml"
"""The gateway's configuration, from the directory in which commands run."""

ANSWER_S_MAX = 60.0
"""The longest that any command of the tour may take."""


class Shell(str):
    """Words that a shell is to read as they stand, such as `"$(cat token)"`."""

    __slots__ = ()


class Command:
    """A command line, run in `directory`. Its words are quoted, but for those that are `Shell`."""

    def __init__(self, directory: Path, words: Sequence[str]) -> None:
        self._directory = directory
        self._line = " ".join(word if isinstance(word, Shell) else shlex.quote(word) for word in words)

    def __str__(self) -> str:
        """As one types it into a shell, after `preparation`."""
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
            errors="replace",
            env=_environment(),
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


def preparation(directory: Path) -> str:
    """What makes commands run in another shell as they run here."""
    return (
        f"cd {shlex.quote(str(directory))}; export PATH={shlex.quote(str(_binaries()))}:$PATH HOOPPROXY_CONFIG={CONFIG}"
    )


def _environment() -> dict[str, str]:
    """Ours, without the proxies that this machine may have for the world outside."""
    plain = {name: value for name, value in environment().items() if not name.lower().endswith("_proxy")}
    return plain | {"PATH": f"{_binaries()}:{os.environ['PATH']}", "HOOPPROXY_CONFIG": CONFIG}


def _binaries() -> Path:
    """Where our own commands are installed."""
    return Path(sys.executable).parent
