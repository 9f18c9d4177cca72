"""Plays a corpus against a scene with the runner as it was published, and counts. Knows no server's making."""

import json
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import run_corpus as runner
from .folder import Case, Corpus
from .scene import Scene

MODES = ("simple", "ext_text", "ext_binary", "ext_nodescribe", "ext_describe_s")
RESETS_MAX = 3
"""An attack's session may still be leaving, with its temporary objects."""

RESET_SECONDS_MAX = 60.0
"""So long may a statement hold its locks, whose client is gone and has not been missed yet."""


class ResetFailed(Exception):
    """The data can't be put back."""


LIMITS = {
    "ben-app-042": "EXPLAIN tells of the view that is read in a table's place",
    "ben-own-app-019": "a view has no ONLY: a masked table is read with those that inherit from it, or not at all",
    "ben-own-dml-014": "nothing is written through a view of a masked table, as it writes with its owner's rights",
    "ben-own-session-002": "SHOW search_path leaves $user out, as that would be a role of the gateway's",
}
"""Queries whose answers differ under masks, and why. They count as broken all the same."""

SECONDS_MAX = 15.0
"""A statement that takes longer counts as a connection that broke."""


@dataclass(frozen=True, slots=True)
class Score:
    """What the runner found; each is a list of ids, but `invalid`, which are runs that met nobody."""

    cases: tuple[str, ...]
    leaks: tuple[str, ...]
    invalid: tuple[str, ...]
    benign: tuple[str, ...]
    broken: tuple[str, ...]
    over_denied: tuple[str, ...]
    runs: Mapping[str, Sequence[Mapping[str, Any]]]

    @property
    def line(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {
                "cases": len(self.cases),
                "leaks": len(self.leaks),
                "invalid": len(self.invalid),
                "benign_broken": len(self.broken),
                "over_denied": len(self.over_denied),
            }
        )

    @property
    def holds(self) -> bool:
        """Nothing leaked, and everybody was met."""
        return bool(self.cases) and not self.leaks and not self.invalid


def play(corpus: Corpus, scene: Scene, modes: Sequence[str] = MODES, only: str = "") -> Score:
    """All cases that the server's version knows, in `modes`; `only` is a regular expression that ids match."""
    fitting = corpus.fitting(scene.version)
    admin = urlsplit(scene.admin)
    runner.RESET, runner.reset = corpus.reset, _reset
    runner.SUBST.update(
        {"{PGPORT}": str(admin.port), "{PGDATABASE}": admin.path.lstrip("/"), "{PGSUPER}": str(admin.username)}
    )
    with tempfile.TemporaryDirectory() as room:
        wanted = Namespace(
            target=scene.attacked,
            admin=scene.admin,
            files=[_written(Path(room, "bypass"), fitting.bypass)],
            benign=[_written(Path(room, "benign"), fitting.benign)],
            modes=list(modes),
            only=only,
            timeout=SECONDS_MAX,
            verbose=0,
        )
        secrets = Path(room, "secrets.json")
        secrets.write_text(json.dumps(corpus.secrets))
        bypass = runner.bypass(wanted, runner.Scanner(str(secrets)))
        benign = runner.benign(wanted)
    return _score(bypass, benign)


def proven(corpus: Corpus, scene: Scene) -> Corpus:
    """Only the attacks that are seen to succeed on a superuser, and the queries that are answered there."""
    score = play(corpus, scene, MODES[:1])
    proved = {*score.leaks, *score.benign} - {*score.broken}
    return corpus.picked(lambda case: case["id"] in proved)


def _reset(admin: str) -> None:
    """In the place of the runner's, which does not look whether it worked. @raise ResetFailed"""
    error: object = None
    for _ in range(RESETS_MAX):
        try:
            connection = runner.PG(admin, timeout=RESET_SECONDS_MAX)
            try:
                said = runner.resultsets(connection.query(runner.RESET))
            finally:
                connection.close()
        except (OSError, runner.Closed) as why:
            error = why
        else:
            error = next((each["error"] for each in said if "error" in each), None)
            if error is None:
                return
    raise ResetFailed(f"reset.sql fails: {error}")


def _score(bypass: Sequence[Mapping[str, Any]], benign: Sequence[Mapping[str, Any]]) -> Score:
    """As the runner counts in its `main`."""

    def ids(runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        return tuple(sorted({run["id"] for run in runs}))

    return Score(
        ids(bypass),
        ids([run for run in bypass if run["outcome"] == "LEAK" and run["expect"] != "allowed"]),
        tuple(f"{run['id']} {run['mode']}: {run['note']}" for run in bypass if run["outcome"] == "noconn"),
        ids(benign),
        ids([run for run in benign if not run["ok"]]),
        ids([run for run in bypass if run["expect"] == "masked" and run["outcome"] == "denied"]),
        {"bypass": bypass, "benign": benign},
    )


def _written(path: Path, cases: Sequence[Case]) -> str:
    path.write_text("".join(json.dumps(case) + "\n" for case in cases))
    return str(path)
