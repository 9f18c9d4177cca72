"""On what a run was made: versions, machine, disk. Numbers without them mean nothing a month later."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.proxies import ProxyFailed, program
from hoopproxy.testing.installations import installed
from hoopproxy.wire.kernel import COMPILED

ROOT = Path(__file__).parent.parent


def about(state: Path, postgres_version: int) -> dict[str, str]:
    """`state` is where the gateway keeps its evidence: what it takes to make that durable is the disk's."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    postgres = installed()[postgres_version] / "postgres"
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "hoopproxy": f"{version('hoopproxy')}, commit {_said(['git', 'rev-parse', '--short', 'HEAD'])}, "
        f"row kernel {'compiled' if COMPILED else 'INTERPRETED'}",
        "Python": f"{platform.python_version()}, Twisted {version('twisted')}",
        "PostgreSQL": _said([postgres, "--version"]).removeprefix("postgres (PostgreSQL) "),
        "pgbouncer": _version("pgbouncer", "--version"),
        "haproxy": _version("haproxy", "-v"),
        "nginx": _version("nginx", "-v"),
        "mitmproxy": version("mitmproxy"),
        "machine": f"{os.cpu_count()} × {cpu[1] if cpu else platform.machine()}, Linux {platform.release()}, "
        f"load {os.getloadavg()[0]:.1f} at the start",
        "disk": _filesystem(state),
    }


def _version(name: str, option: str) -> str:
    try:
        found = re.search(r"\d+\.[\w.+-]+", _said([program(name), option]))
    except ProxyFailed:
        return "not installed"
    return found[0] if found else "unknown"


def _said(command: Sequence[str | Path]) -> str:
    """The first line of its output."""
    try:
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return ((ran.stdout or ran.stderr).splitlines() or [""])[0]  # nginx says it on the other stream


def _filesystem(path: Path) -> str:
    """The type of the longest mount point above (proc(5), mounts)."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    above = {mount: kind for _, mount, kind, *_ in mounts if path.resolve().is_relative_to(mount)}
    return above[max(above, key=len)] if above else "unknown"
