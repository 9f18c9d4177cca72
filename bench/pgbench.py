"""Runs pgbench and reads what it says. Knows neither proxies nor CPU time."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.client import Door
from hoopproxy.testing.installations import installed

RUN_S_MAX = 300.0


class PgbenchFailed(Exception):
    """It is not there, or it did not finish; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run did: when its first transaction began and its last one ended (seconds since 1970), and how long
    each took (µs, the shortest first). Connecting is before, taking leave after."""

    begin_s: float
    end_s: float
    took_us: tuple[int, ...]

    @property
    def wall_s(self) -> float:
        """How long all transactions took, side by side."""
        return self.end_s - self.begin_s


def run(door: Door, protocol: str, clients: int, transactions: int) -> Ran:
    """`pgbench -S`: `transactions` by each client, the protocol "simple", "extended" or "prepared".

    @raise PgbenchFailed
    """
    with TemporaryDirectory(prefix="hoopproxy-pgbench-") as logs:
        command = [program(), "--no-vacuum", "--select-only", f"--protocol={protocol}", f"--client={clients}"]
        try:
            ran = subprocess.run(
                [*command, f"--transactions={transactions}", "--log", f"--log-prefix={logs}/log"],
                env=os.environ | door.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=RUN_S_MAX,
            )
        except subprocess.TimeoutExpired as why:
            raise PgbenchFailed(f"It took more than {RUN_S_MAX:g} s.") from why
        if ran.returncode:
            raise PgbenchFailed(ran.stderr.strip()[-1000:])
        done = parse("".join(log.read_text() for log in Path(logs).iterdir()))
    if len(done.took_us) != clients * transactions:
        raise PgbenchFailed(f"{len(done.took_us)} of {clients * transactions} transactions were done.")
    return done


def parse(log: str) -> Ran:
    """From pgbench's log: client, transaction, µs that it took, script, and the end in seconds and µs (PostgreSQL
    manual, pgbench, "Per-Transaction Logging"). @raise PgbenchFailed: a line is none, or there is none.
    """
    took_us, begins_s, ends_s = list[int](), list[float](), list[float]()
    try:
        for line in log.splitlines():
            _, _, took, _, end_s, end_us, *_ = (int(word) for word in line.split())
            took_us.append(took)
            ends_s.append(end_s + end_us / 1e6)
            begins_s.append(ends_s[-1] - took / 1e6)
        return Ran(min(begins_s), max(ends_s), tuple(sorted(took_us)))
    except ValueError as why:
        raise PgbenchFailed(f"Its log can't be read: {why}") from why


def program() -> str:
    """Where pgbench is: beside the newest server that has it, or on PATH. @raise PgbenchFailed"""
    beside = (str(folder / "pgbench") for _, folder in sorted(installed().items(), reverse=True))
    for path in (*beside, "pgbench"):
        found = shutil.which(path)
        if found is not None:
            return found
    raise PgbenchFailed("pgbench is not installed; .ci/bench-packages installs what `make bench` needs.")
