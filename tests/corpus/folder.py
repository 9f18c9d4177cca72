"""A corpus as a folder holds it: schema, reset, secrets with the policy under test, and cases. Knows no server."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

type Case = Mapping[str, Any]

NOTHING_SECRET: Mapping[str, Any] = {"text": [], "numbers": [], "binary_len_prefixed": [], "binary_raw": []}
"""What the runner looks for in secrets.json; a corpus may have no such values."""

NO_NUMBERS = ("(?!)",)
"""Nothing; of no numbers at all the runner would make a pattern that fits everything."""

EXTENSION = re.compile(r"CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?\"?([\w-]+)", re.IGNORECASE)


class NoCorpus(Exception):
    """The folder lacks something."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """`policy` maps `schema.table` to columns to what masks them, in the words of secrets.json."""

    folder: Path
    schema: Path
    secrets: Mapping[str, Any]
    reset: str
    policy: Mapping[str, Mapping[str, Any]]
    bypass: Sequence[Case]
    benign: Sequence[Case]

    @classmethod
    def read(cls, folder: Path) -> "Corpus":
        """@raise NoCorpus: a file is missing, or is not what it should be."""
        try:
            secrets = json.loads(_text(folder / "secrets.json"))
            corpus = cls(
                folder,
                folder / "schema.sql",
                {**NOTHING_SECRET, **secrets, "numbers": secrets.get("numbers") or NO_NUMBERS},
                _text(folder / "reset.sql"),
                secrets["policy"],
                [*_cases(folder, "bypass")],
                [*_cases(folder, "benign")],
            )
        except (OSError, ValueError, KeyError, TypeError) as why:
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


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


def _cases(folder: Path, kind: str) -> Iterator[Case]:
    for path in sorted(folder.glob(f"*{kind}*.jsonl")):
        for number, line in enumerate(_text(path).split("\n"), 1):
            if line.strip():
                try:
                    yield _case(json.loads(line))
                except (ValueError, KeyError, TypeError, re.error) as why:
                    raise ValueError(f"{path.name}, line {number}: {type(why).__name__}: {why}") from why


def _case(given: Any) -> Case:
    """A case with all that the runner wants of one. @raise ValueError, KeyError, TypeError, re.error: it is none."""
    statements = [given["sql"]] if isinstance(given["sql"], str) else given["sql"]
    patterns = given.get("secret_visible_if_leaked") or []
    case = {
        "class": "other",
        "expect": "masked",
        **given,
        "id": str(given["id"]),
        "sql": [str(each) for each in statements],
        "secret_visible_if_leaked": [patterns] if isinstance(patterns, str) else [str(each) for each in patterns],
    }
    for pattern in case["secret_visible_if_leaked"]:
        if pattern.startswith("re:"):
            re.compile(pattern[3:].encode())
        elif pattern.startswith("hex:"):
            bytes.fromhex(pattern[4:])
    return case
