"""What is measured over SSH and raw TCP: bulk both ways, and the smallest question, in each its own way.

Knows routes and what they cost; neither rounds nor ratios.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.meter import watched
from bench.stage import Route
from bench.wires import CIPHERS, Wires
from bench.workloads import WARM_UP, Figures, Kind, Line, Workload, cpu_s_of, quantiles

PING_BYTES = 64


@dataclass(frozen=True, slots=True)
class WireScale:
    """How much of everything."""

    ssh_bytes: int
    tcp_bytes: int
    logins: int
    pings: int


WHOLE = WireScale(256_000_000, 512_000_000, 20, 2000)
QUICK = WireScale(32_000_000, 32_000_000, 3, 200)


def wire_workloads(scale: WireScale) -> tuple[Workload, ...]:
    """All of them, in the order in which they are shown."""
    return (
        Workload("SSH, bulk down", Kind.BULK, _ssh_down, _is_ssh),
        Workload("SSH, bulk up", Kind.BULK, _ssh_up, _is_ssh),
        Workload("SSH, log in and run true", Kind.LATENCY, _SshLogins(scale.logins), _is_ssh),
        Workload("TCP, bulk down", Kind.BULK, _TcpBulk(scale.tcp_bytes, is_down=True), _is_tcp),
        Workload("TCP, bulk up", Kind.BULK, _TcpBulk(scale.tcp_bytes, is_down=False), _is_tcp),
        Workload(f"TCP, {PING_BYTES} bytes there and back", Kind.LATENCY, _TcpPings(scale.pings), _is_tcp),
    )


def _is_ssh(line: Line) -> bool:
    return line.client_leg in CIPHERS


def _is_tcp(line: Line) -> bool:
    return not _is_ssh(line)


def _ssh_down(route: Route, wires: Wires) -> Figures:
    """A `cat` through exec; its login counts, too."""
    with watched(route.pid) as course:
        came = route.door.down(f"cat {wires.file}")
    assert came == wires.file_bytes
    return Figures(came, course.wall_s, cpu_s_of(route, course.cpu_s))


def _ssh_up(route: Route, wires: Wires) -> Figures:
    with watched(route.pid) as course:
        said = route.door.up("wc -c", wires.file)
    assert said == str(wires.file_bytes)
    return Figures(wires.file_bytes, course.wall_s, cpu_s_of(route, course.cpu_s))


@dataclass(frozen=True, slots=True)
class _SshLogins:
    """One client after the other: keys, login, a command, and the end."""

    count: int

    def __call__(self, route: Route, _: Wires) -> Figures:
        return _timed(self.count, lambda: route.door.down("true"), route)


@dataclass(frozen=True, slots=True)
class _TcpBulk:
    bytes_count: int
    is_down: bool

    def __call__(self, route: Route, _: Wires) -> Figures:
        with watched(route.pid) as course:
            count = (route.door.down if self.is_down else route.door.up)(self.bytes_count)
        assert count == self.bytes_count
        return Figures(count, course.wall_s, cpu_s_of(route, course.cpu_s))


@dataclass(frozen=True, slots=True)
class _TcpPings:
    """One question after the other, over one connection."""

    count: int

    def __call__(self, route: Route, _: Wires) -> Figures:
        ping = bytes(PING_BYTES)
        with route.door.connect() as server:
            server.sendall(b"echo\n")
            for _warm in range(WARM_UP):
                route.door.echo(server, ping)
            return _timed(self.count, lambda: route.door.echo(server, ping), route)


def _timed(count: int, ask: Callable[[], object], route: Route) -> Figures:
    took_us = list[float]()
    with watched(route.pid) as course:
        for _ in range(count):
            begin_ns = time.perf_counter_ns()
            ask()
            took_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
    return Figures(count, course.wall_s, cpu_s_of(route, course.cpu_s), *quantiles(sorted(took_us)))
