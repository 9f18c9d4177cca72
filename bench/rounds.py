"""Runs all workloads over all routes, round after round, and keeps every number. Knows nothing of tables."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench import memory
from bench.client import ClientError, crowd
from bench.lines import MASKED, Family, Leg, Line
from bench.memory import Memory
from bench.pgbench import PgbenchFailed
from bench.proxies import ProxyFailed
from bench.stage import Route, Stage
from bench.web import Web
from bench.wires import Wires
from bench.workloads import CLIENTS_MAX, Figures, Kind, Workload
from hoopproxy.testing.process import GatewayFailed
from hoopproxy.testing.vitals import Vitals

IDLE = "idle connections"
"""What `memory` measures, as workloads are named."""

FAILURES = ClientError, PgbenchFailed, ProxyFailed, GatewayFailed, OSError

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one workload."""

    round: int
    workload: str
    kind: Kind
    line: Line
    figures: Figures


@dataclass(slots=True)
class Results:
    """All that one run of the suite found out, as it is kept in a file. `about` tells on what and how it ran."""

    about: dict[str, str]
    measurements: list[Measurement] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    peaks_mib: dict[str, float] = field(default_factory=dict)
    """How large each family's process grew in all workloads but the idle connections."""
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """`wants(workload, line)` picks. A round that would end more than `minutes_max` after the start does not begin."""

    rounds: int
    seed: int
    minutes_max: float
    wants: Callable[[str, Line], bool]


def perform(
    stage: Stage | Wires | Web, workloads: Sequence[Workload], plan: Plan, say: Callable[[str], None], into: Results
) -> int:
    """How many rounds were done. In each round each workload goes over its routes in an order of its own, so that what
    disturbs the machine for a while disturbs all of them alike."""
    dice, began_s, longest_s = random.Random(plan.seed), time.monotonic(), 0.0
    done = 0
    while done < plan.rounds and (not done or time.monotonic() + longest_s - began_s < plan.minutes_max * 60):
        round_began_s, done = time.monotonic(), done + 1
        for workload in workloads:
            routes = [one for one in stage.routes if workload.takes(one.line) and plan.wants(workload.name, one.line)]
            dice.shuffle(routes)
            for route in routes:
                say(f"round {done} of {plan.rounds}: {workload.name}, {route.line}")
                _run(done, workload, route, stage, into)
        longest_s = max(longest_s, time.monotonic() - round_began_s)
    for route in stage.routes:
        if route.pid is not None:
            into.peaks_mib[route.line.family.value] = Vitals(route.pid).peak_bytes / MIB
    return done


def fill_pools(stage: Stage) -> None:
    """pgbouncer opens a connection to the server when a client first asks, and keeps it: without this, opening them
    would count as its transactions."""
    for route in stage.routes:
        if route.line.family in (Family.PGBOUNCER, Family.PGBOUNCER_64K):
            with crowd(route.door, CLIENTS_MAX):
                pass


def _run(number: int, workload: Workload, route: Route, stage: Stage | Wires | Web, into: Results) -> None:
    try:
        figures = workload.run(route, stage)
    except FAILURES as why:
        into.failures.append(f"round {number}, {workload.name}, {route.line}: {why}")
    else:
        into.measurements.append(Measurement(number, workload.name, workload.kind, route.line, figures))


def _idles(line: Line) -> bool:
    """Each kind of process once with TLS on both legs, and those of most interest with a client in plaintext, too."""
    if line.family in (Family.PGBOUNCER, Family.HOOPPROXY):
        return line.family is Family.PGBOUNCER or line.database == MASKED
    return line.family in (Family.PGBOUNCER_64K, Family.HAPROXY) and line.client_leg is Leg.TLS


def hold_idle(stage: Stage, plan: Plan, connections: int, say: Callable[[str], None], into: Results) -> None:
    """Measure what idle connections cost."""
    for line in (route.line for route in stage.routes if _idles(route.line) and plan.wants(IDLE, route.line)):
        say(f"{connections} {IDLE}: {line}")
        try:
            into.memories.append(memory.measure(stage, line, connections))
        except FAILURES as why:
            into.failures.append(f"{IDLE}, {line}: {why}")
