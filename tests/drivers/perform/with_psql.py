"""Performs the script with psql: JSON on standard input, a line of JSON for each operation on standard output.

psql reads the whole script; marks in what it prints tell what belongs to which operation.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

MARK = "---operation---"
START = r"""\set VERBOSITY verbose
\set SHOW_CONTEXT always
\pset null '(null)'
\pset format unaligned
\pset fieldsep ' | '
"""


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "ARRAY[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, bool | int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def argument(kind: str, value: Any) -> str:
    return literal(rf"\x{value}" if kind == "bytes" and value is not None else value)


def one_line(sql: str) -> str:
    """A meta-command ends with its line."""
    return " ".join(sql.split())


class Words:
    """Operations in psql's language; files of COPY lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: set[str] = set()

    def of(self, op: dict[str, Any]) -> str:
        return str(getattr(self, op["do"])(op)) + "\n"

    def run(self, op: dict[str, Any]) -> str:
        sql = op["sql"] if "$$" in op["sql"] else op["sql"].replace("; ", r"\; ")
        return f"{sql}\n;"

    def ask(self, op: dict[str, Any]) -> str:
        if not op["with"] and not op.get("keep"):
            return f"{op['sql']} \\gdesc\n{op['sql']}\n;"
        name = op.get("keep") or "asked"
        arguments = ", ".join(argument(*value) for value in op["with"])
        execute = f'EXECUTE "{name}"' + (f"({arguments})" if arguments else "") + ";"
        if op.get("keep") and name in self.kept:
            return execute
        self.kept.add(name)
        end = "" if op.get("keep") else f'\nDEALLOCATE "{name}";'
        return f'PREPARE "{name}" AS {op["sql"]}\n;\n{execute}{end}'

    def cursor(self, op: dict[str, Any]) -> str:
        return f"\\set FETCH_COUNT {op['by']}\n{op['sql']}\n;\n\\set FETCH_COUNT 0"

    def copy_in(self, op: dict[str, Any]) -> str:
        file = self.folder / f"in-{len(os.listdir(self.folder))}"
        file.write_bytes(base64.b64decode(op["data"]))
        return f"\\copy {op['table']} FROM '{file}' WITH (FORMAT {op['form']})"

    def copy_out(self, op: dict[str, Any]) -> str:
        file = f"{self.folder}/out"
        return f"\\copy ({one_line(op['query'])}) TO '{file}' WITH (FORMAT {op['form']})\n\\! md5sum < {file}"

    def begin(self, op: dict[str, Any]) -> str:
        return f"{op['sql']};"

    commit = rollback = listen = begin

    def hear(self, op: dict[str, Any]) -> str:
        return "SELECT;"  # psql tells of notifications after a statement


def perform(run: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    """These steps in one session."""
    door = run["door"]
    dsn = " ".join(
        f"{name}={door[key]}"
        for name, key in (
            ("host", "host"), ("hostaddr", "address"), ("port", "port"), ("user", "user"), ("dbname", "database"),
            ("sslrootcert", "ca"),
        )
    )  # fmt: skip
    ops = [(step["name"], number, op) for step in steps for number, op in enumerate(step["ops"])]
    with TemporaryDirectory() as folder:
        words = Words(Path(folder))
        script = START + "".join(f"{words.of(op)}\\echo {MARK}\n\\warn {MARK}\n" for _, _, op in ops)
        ran = subprocess.run(
            ["psql", "-X", f"{dsn} sslmode=verify-full application_name=matrix"],
            input=script,
            capture_output=True,
            text=True,
            env=os.environ | {"PGPASSWORD": door["password"]},
        )
        printed = ran.stdout.replace(folder, "FOLDER").split(MARK + "\n")
        warned = ran.stderr.replace(folder, "FOLDER").split(MARK + "\n")
    for index, (name, number, op) in enumerate(ops):
        said, complained = (part[index] if index < len(part) else "" for part in (printed, warned))
        if op.get("digest"):
            said = hashlib.md5(said.encode()).hexdigest()
        line = {"run": run["name"], "step": name, "op": number, "said": said, "complained": complained}
        sys.stdout.write(json.dumps({**line, "exit": ran.returncode}) + "\n")


for run in json.load(sys.stdin)["runs"]:
    together: list[dict[str, Any]] = []
    for step in run["steps"]:
        together.append(step)
        if step["fresh"]:
            perform(run, together)
            together = []
    if together:
        perform(run, together)
