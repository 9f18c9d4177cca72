"""`make corpus`: plays a corpus of attacks against a gateway before a real PostgreSQL, and prints what it came to."""

import json
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

import tests.conftest  # noqa: F401 # says where npm's PostgreSQL is
from hoopproxy.testing.postgres import ClusterError
from hoopproxy.testing.process import GatewayFailed
from hoopproxy.testing.stand import MasksFailed

from .folder import Corpus, NoCorpus
from .generate import OWN, generate
from .playing import MODES, ResetFailed, Score, play, proven
from .scene import Mode, playing, version_for

GENERATED = "generated"

FAILURES = NoCorpus, ResetFailed, ClusterError, GatewayFailed, MasksFailed, subprocess.SubprocessError


@click.command()
@click.argument("corpus", default=str(OWN))
@click.option("--seed", type=int, help="Of a generated corpus; default: a new one, which is said.")
@click.option(
    "--mode",
    default=Mode.SERVER.value,
    type=click.Choice([each.value for each in Mode]),
    help="Who keeps the masks: the database, the gateway, or nobody, to see that attacks succeed.",
)
@click.option("--modes", default=",".join(MODES), show_default=True, help="Of the protocol.")
@click.option("--postgres", type=int, help="A major version; default: the oldest that has the schema's extensions.")
@click.option("--only", default="", help="Cases whose ids match this regular expression.")
@click.option("--details", type=click.Path(path_type=Path, dir_okay=False), help="Where each run is written.")
def main(
    corpus: str, seed: int | None, mode: str, modes: str, postgres: int | None, only: str, details: Path | None
) -> None:
    """Play the CORPUS (a folder, or `generated`; default: the project's own), and print one line of JSON.

    Exits with 0 only if nothing leaked and no run met a closed door.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="hoopproxy-corpus-") as room:
            score = _played(corpus, seed, Mode(mode), modes.split(","), postgres, only, Path(room))
    except FAILURES as why:
        raise click.ClickException(str(why)) from why
    if details is not None:
        details.write_text(json.dumps(score.runs, indent=1))
    _tell(score)
    click.echo(score.line)
    sys.exit(not score.holds)


def _played(
    name: str, seed: int | None, mode: Mode, modes: list[str], postgres: int | None, only: str, room: Path
) -> Score:
    corpus = _generated(seed, room) if name == GENERATED else Corpus.read(Path(name))
    version = postgres or version_for(corpus)
    if name == GENERATED:
        before = len(corpus.bypass)
        with playing(corpus, Mode.DIRECT, version, room / "before", _say) as scene:
            corpus = proven(corpus, scene)
        _say(f"{before - len(corpus.bypass)} attacks got lost in other words")
    _say(f"{name}: {len(corpus.bypass)} attacks, PostgreSQL {version}, masks kept by: {mode}")
    with playing(corpus, mode, version, room / "now", _say) as scene:
        return play(corpus, scene, modes, only)


def _generated(seed: int | None, room: Path) -> Corpus:
    seed = secrets.randbelow(10**9) if seed is None else seed
    _say(f"seed {seed}")
    folder = room / "generated"
    folder.mkdir()
    generate(seed, folder)
    return Corpus.read(folder)


def _tell(score: Score) -> None:
    for each in score.invalid:
        _say(f"INVALID {each}")
    for run in _first(score.runs["bypass"], lambda run: run["id"] in score.leaks and run["hits"]):
        _say(f"LEAK {run['id']} {run['mode']}: {run['hits'][:2]}")
    for run in _first(score.runs["benign"], lambda run: not run["ok"]):
        _say(f"BROKEN {run['id']} {run['mode']}: {run['diff'][:600]}")
    for run in _first(score.runs["bypass"], lambda run: run["id"] in score.over_denied and run["outcome"] == "denied"):
        _say(f"OVER-DENIED {run['id']} {run['mode']}: {run['note']}{(run['errmsg'] or [''])[0][:160]}")
    _say(f"{len(score.cases)} attacks and {len(score.benign)} queries")


def _first(runs: Any, wanted: Any) -> Any:
    """One run of each case."""
    return {run["id"]: run for run in reversed(runs) if wanted(run)}.values()


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
