"""The programs that perform the script, one for each driver: how each is made, started and understood.

Knows neither the script nor the gateway.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from hoopproxy.testing.stand import Door

from ..conftest import NPM
from .script import Op, Step

PERFORM = Path(__file__).parent / "perform"
JARS = ("/usr/share/java/postgresql.jar", "/usr/share/java/gson.jar")
GO_PATH = "/usr/share/gocode"
"""Where Debian puts the sources of Go's libraries."""

SECONDS_MAX = 600
"""A bound against hanging: a script takes a few seconds."""

VOLATILE = re.compile(r"((?i:process|pid|transaction)[ =:]*(?=\d)|tuple \(0,|pg_temp_|__asyncpg_stmt_)[\da-f]+")
"""Numbers that no two runs share: in what servers say of locks, in what psql says of notifications, in names."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver and the options that it is used with.

    `cannot` names what it lacks: operations ("cursor"), operations of a kind ("copy_in binary", "copy_in abandon"), the
    second connection ("b"), and steps by their names.
    """

    program: str
    options: Mapping[str, Any] = field(default_factory=dict)
    cannot: frozenset[str] = frozenset()

    def able(self, steps: Sequence[Step]) -> list[Step]:
        """What it can do of the steps."""
        found = (Step(step.name, [op for op in step.ops if self._can(op)], step.fresh) for step in steps)
        return [
            step for step in found if step.ops and not self.cannot & {step.name, *(op.get("on") for op in step.ops)}
        ]

    def _can(self, op: Op) -> bool:
        kinds = {op["do"], f"{op['do']} {op.get('form')}", f"{op['do']} abandon" if op.get("abandon") else ""}
        return not kinds & self.cannot


PSQL = Driver("psql", cannot=frozenset({"b", "pipeline", "many", "status", "copy_in abandon"}))
PSYCOPG = Driver("psycopg")
ASYNCPG = Driver("asyncpg", cannot=frozenset({"pipeline"}))
# node counts parameters modulo 65,536: its Bind is malformed. There the server goes on, and the gateway does not.
NODE = Driver("node", cannot=frozenset({"one parameter too many"}))
PGJDBC = Driver("java", cannot=frozenset({"pipeline"}))
LIB_PQ = Driver(
    "go",
    cannot=frozenset({"cursor", "copy_out", "copy_in binary", "copy_in abandon", "many", "pipeline", "status"}),
)

DRIVERS: Mapping[str, Driver] = {
    "psql": PSQL,
    "psycopg": PSYCOPG,
    "asyncpg": ASYNCPG,
    "node": NODE,
    "pgjdbc": PGJDBC,
    "lib_pq": LIB_PQ,
}
VARIANTS: Mapping[str, Driver] = {
    "psycopg_binary": replace(PSYCOPG, options={"binary": True}),
    "asyncpg_uncached": replace(ASYNCPG, options={"cache": 0}),
    "node_binary": replace(NODE, options={"binary": True}),
    "pgjdbc_prepared": replace(
        PGJDBC, options={"prepareThreshold": "1", "preparedStatementCacheQueries": "20", "autosave": "always"}
    ),
    "pgjdbc_simple": replace(PGJDBC, options={"preferQueryMode": "simple"}),
    "lib_pq_binary": replace(LIB_PQ, options={"binary_parameters": "yes"}),
}
"""The same drivers used in other ways. Names are names of databases, too."""


@dataclass(frozen=True, slots=True)
class Run:
    """Steps through a door."""

    name: str
    door: Door
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Performance:
    """What a program printed in a run: a line for each operation of each step, and all of it as it came.

    Of what a driver logs (psycopg, when an error overtakes a pipeline's end) no one can say to which run it belongs, or
    whether it comes again. So it is searched for secrets, and not compared.
    """

    lines: Mapping[str, list[dict[str, Any]]]
    printed: str

    def of(self, step: Step) -> Iterator[tuple[Op, dict[str, Any]]]:
        """The step's operations with their lines."""
        return zip(step.ops, self.lines[step.name], strict=True)


class Programs:
    """Makes what must be compiled, in `directory`; performs."""

    def __init__(self, directory: Path) -> None:
        path = os.pathsep.join([*JARS, str(directory)])
        subprocess.run(["javac", "-cp", path, "-d", directory, PERFORM / "WithPgjdbc.java"], check=True)
        binary = directory / "with_libpq"
        environ = os.environ | {"GO111MODULE": "off", "GOPATH": GO_PATH, "GOCACHE": str(directory / "go-cache")}
        subprocess.run(["go", "build", "-o", binary, PERFORM / "with_libpq.go"], env=environ, check=True)
        self._commands: Mapping[str, Sequence[str | Path]] = {
            "psql": [sys.executable, PERFORM / "with_psql.py"],
            "psycopg": [sys.executable, PERFORM / "with_psycopg.py"],
            "asyncpg": [sys.executable, PERFORM / "with_asyncpg.py"],
            "node": ["node", PERFORM / "with_node.js"],
            "java": ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", path, "WithPgjdbc"],
            "go": [binary],
        }

    def perform(self, driver: Driver, *runs: Run) -> list[Performance]:
        """All that the driver can do of each run."""
        task = {"options": dict(driver.options), "runs": [_task(driver, run) for run in runs]}
        ran = subprocess.run(
            self._commands[driver.program],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            env=os.environ | {"NODE_PATH": str(NPM), "NODE_NO_WARNINGS": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
        )
        assert ran.returncode == 0, ran.stderr[-4000:] + ran.stdout[-2000:]
        return [_performance(run.name, ran.stdout, ran.stderr) for run in runs]


def _task(driver: Driver, run: Run) -> dict[str, Any]:
    words = conninfo_to_dict(run.door.dsn)
    door = {
        "host": words["host"],
        "address": words["hostaddr"],
        "port": int(str(words["port"])),
        "user": words["user"],
        "password": words["password"],
        "database": words["dbname"],
        "ca": words["sslrootcert"],
    }
    steps = [{"name": step.name, "ops": step.ops, "fresh": step.fresh} for step in driver.able(run.steps)]
    return {"name": run.name, "door": door, "steps": steps}


def _performance(name: str, stdout: str, stderr: str) -> Performance:
    printed = [text for text in stdout.splitlines() if json.loads(text)["run"] == name]
    lines: dict[str, list[dict[str, Any]]] = {}
    for text in printed:
        line = json.loads(VOLATILE.sub(r"\1N", text))
        del line["run"]
        lines.setdefault(line["step"], []).append(line)
    return Performance(lines, "\n".join([*printed, stderr]))
