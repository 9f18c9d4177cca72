"""What connections that do nothing cost in memory: a new process for each proxy, and many connections to it.

Each asks once, so that every proxy has a connection to the server for it, too.
"""

from contextlib import ExitStack
from dataclasses import dataclass

from bench.client import crowd
from bench.lines import Line
from bench.stage import Route, Stage
from hoopproxy.testing.vitals import Vitals

KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process: resident after one connection came and went, and with `connections` that idle; KiB."""

    line: Line
    connections: int
    base_kib: float
    held_kib: float

    @property
    def each_kib(self) -> float:
        """What one connection more costs."""
        return (self.held_kib - self.base_kib) / self.connections


def measure(stage: Stage, line: Line, connections: int) -> Memory:
    """@raise ClientError, OSError, ProxyFailed, GatewayFailed"""
    with stage.places_returned(), ExitStack() as exits:
        route = next(route for route in stage.start(line.family, exits) if route.line == line)
        return _idle(route, connections)


def _idle(route: Route, connections: int) -> Memory:
    assert route.pid is not None
    vitals = Vitals(route.pid)
    with crowd(route.door, 1):
        pass
    base = vitals.rss_bytes
    with crowd(route.door, connections):
        return Memory(route.line, connections, base / KIB, vitals.rss_bytes / KIB)
