"""`python -m tests.corpus.generate --seed N DIR`: our own corpus in other words, with new things in its schema.

Nothing can be tuned to what changes with each seed: all names, all secrets, ten views, functions, tables.
"""

import json
from pathlib import Path
from random import Random

import click

from .folder import Corpus
from .fresh import fresh
from .renaming import Renaming

OWN = Path(__file__).parent / "own"


def generate(seed: int, folder: Path) -> None:
    """Write a whole corpus into `folder`, which must be there; the same for the same seed."""
    random, own = Random(seed), Corpus.read(OWN)
    secrets = dict(own.secrets)
    renaming = Renaming(random, secrets)
    more = fresh(random, renaming)
    renamed = renaming.secrets(secrets)
    renamed["text"] += more.texts
    renamed["policy"] |= more.policy
    schema, reset = renaming.text(own.schema.read_text()), renaming.text(own.reset)
    (folder / "schema.sql").write_text(_joined(schema, more.schema) + "ANALYZE;\n")
    (folder / "reset.sql").write_text(_joined(reset, more.reset))
    (folder / "secrets.json").write_text(json.dumps(renamed, indent=1))
    bypass = [*map(renaming.case, own.bypass), *more.cases]
    for name, cases in (("bypass", bypass), ("benign", [*map(renaming.case, own.benign)])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))


def _joined(text: str, statements: list[str]) -> str:
    return "\n".join([text.rstrip(), *statements, ""])


@click.command()
@click.option("--seed", type=int, required=True, help="The same seed, the same corpus.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(seed: int, folder: Path) -> None:
    """Write a generated corpus into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    generate(seed, folder)


if __name__ == "__main__":
    main()
