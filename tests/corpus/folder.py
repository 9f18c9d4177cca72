"""A corpus as a folder holds it: schema, reset, secrets with the policy under test, and cases. Knows no server."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

type Case = Mapping[str, Any]

EXTENSION = re.compile(r"CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?\"?([\w-]+)", re.IGNORECASE)


class NoCorpus(Exception):
    """The folder lacks something."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """`policy` maps `schema.table` to columns to what masks them, in the words of secrets.json."""

    folder: Path
    schema: Path
    secrets: Path
    reset: str
    policy: Mapping[str, Mapping[str, Any]]
    bypass: Sequence[Case]
    benign: Sequence[Case]

    @classmethod
    def read(cls, folder: Path) -> "Corpus":
        """@raise NoCorpus: a file is missing, or is not what it should be."""
        try:
            secrets = json.loads((folder / "secrets.json").read_text())
            corpus = cls(
                folder,
                folder / "schema.sql",
                folder / "secrets.json",
                (folder / "reset.sql").read_text(),
                secrets["policy"],
                [*_cases(folder, "bypass")],
                [*_cases(folder, "benign")],
            )
        except (OSError, ValueError, KeyError) as why:
            raise NoCorpus(f"{folder} is no corpus: {type(why).__name__}: {why}") from why
        if not corpus.schema.exists() or not corpus.bypass:
            raise NoCorpus(f"{folder} is no corpus: wanted are schema.sql and at least one case in *bypass*.jsonl")
        return corpus

    @property
    def extensions(self) -> frozenset[str]:
        """What the schema wants of the server's installation."""
        return frozenset(EXTENSION.findall(self.schema.read_text()))

    def fitting(self, version: int) -> "Corpus":
        """Without the cases that speak a newer SQL: `server_min` of a case is a major version."""
        return self.picked(lambda case: case.get("server_min", 0) <= version)

    def picked(self, wanted: Callable[[Case], bool]) -> "Corpus":
        """With these cases alone."""
        bypass, benign = filter(wanted, self.bypass), filter(wanted, self.benign)
        return replace(self, bypass=tuple(bypass), benign=tuple(benign))


def _cases(folder: Path, kind: str) -> Iterator[Case]:
    for path in sorted(folder.glob(f"*{kind}*.jsonl")):
        for line in path.read_text().splitlines():
            if line.strip():
                yield json.loads(line)
