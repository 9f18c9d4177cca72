"""`python -m fuzz [--seconds N] [HARNESS…]`: runs harnesses under atheris, one after the other, and keeps what is new.

For each it prints executions, coverage (edges reached, as libFuzzer counts them) and new seeds. A crash is left in
fuzz/crashes/ and the exit code is 1. Knows no harness but by its name.
"""

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import IO

ROOM = Path(__file__).parent
_POSTGRES = ("startup", "client", "server", "login", "catalog", "kernel", "pieces", "sql")
_SSH = ("channels", "sftp", "exchange", "userauth", "forward", "screen")
_HTTP = ("first", "requests", "answers", "documents", "sockets", "paths")
HARNESSES = (*_POSTGRES, *_SSH, *_HTTP, "balancer", "bundle", "control")
INPUT_BYTES_MAX = 512
"""Longer inputs are slower and find no more: one decision takes a byte or two."""

STARTERS = 64

SEEDS_BYTES_MAX = 28_672
"""Of one harness, in the repository."""

INPUT_S_MAX = 20
"""What takes longer hangs."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one harness did in its time."""

    executions: int
    edges: int
    new_seeds: int
    crash: Path | None


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("harness", nargs="*", metavar="HARNESS", help=f"of {', '.join(HARNESSES)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each (default: 60)")
    arguments = parser.parse_args()
    if unknown := set(arguments.harness) - set(HARNESSES):
        parser.error(f"there is no harness {', '.join(sorted(unknown))}")
    crashes = 0
    for name in arguments.harness or HARNESSES:
        found = fuzzed(name, arguments.seconds)
        sys.stdout.write(
            f"{name:8} {found.executions:9} executions  {found.edges:5} edges  {found.new_seeds:3} new seeds"
            f"{f'  CRASH {found.crash}' if found.crash else ''}\n"
        )
        sys.stdout.flush()
        crashes += found.crash is not None
    return 1 if crashes else 0


def fuzzed(name: str, seconds: int) -> Found:
    """Fuzz one harness; its log goes to fuzz/corpus/NAME.log, what it learns to fuzz/corpus/NAME."""
    seeds, corpus, crashes = ROOM / "seeds" / name, ROOM / "corpus" / name, ROOM / "crashes"
    for directory in (seeds, corpus, crashes):
        directory.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        begin(corpus)
    log = corpus.with_suffix(".log")
    with log.open("w") as output:
        ended = _engine(
            name, f"-max_total_time={seconds}", f"-artifact_prefix={crashes}/{name}-", corpus, seeds, to=output
        )
    said = log.read_text(errors="replace")
    artifact = re.search(r"Test unit written to (\S+-(?:crash|timeout|oom)-\S+)", said)
    if ended and artifact is None:
        sys.stderr.write(said[-4000:])
        raise SystemExit(f"the harness {name} did not run; its log is {log}")
    return Found(
        executions=max(map(int, re.findall(r"^#(\d+)", said, re.MULTILINE)), default=0),
        edges=max(map(int, re.findall(r" cov: (\d+)", said)), default=0),
        new_seeds=_kept(name, seeds, corpus),
        crash=Path(artifact[1]) if artifact else None,
    )


def begin(corpus: Path) -> None:
    """Long sessions to begin with: by itself a fuzzer takes its time to get to them."""
    for seed in range(STARTERS):
        corpus.joinpath(f"random-{seed}").write_bytes(Random(seed).randbytes(INPUT_BYTES_MAX * (seed + 1) // STARTERS))


def _kept(name: str, seeds: Path, corpus: Path) -> int:
    """Take over the smallest inputs that reach what no seed reaches, as far as there is room; how many."""
    before = {path.name for path in seeds.iterdir()}
    merged = corpus.with_suffix(".merged")
    shutil.rmtree(merged, ignore_errors=True)
    shutil.copytree(seeds, merged)
    with corpus.with_suffix(".merge.log").open("w") as output:
        _engine(name, "-merge=1", "-use_counters=0", merged, corpus, to=output)
    left, kept = SEEDS_BYTES_MAX - sum(path.stat().st_size for path in seeds.iterdir()), 0
    for path in sorted(merged.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        if path.name not in before and path.stat().st_size <= left:
            left, kept = left - path.stat().st_size, kept + 1
            shutil.copyfile(path, seeds / path.name)
    return kept


def _engine(name: str, *arguments: str | Path, to: IO[str]) -> int:
    command = [sys.executable, "-m", "fuzz.engine", name, *map(str, arguments)]
    command += [f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_S_MAX}", "-rss_limit_mb=2048", "-len_control=0"]
    return subprocess.run(command, cwd=ROOM.parent, stdout=to, stderr=subprocess.STDOUT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
