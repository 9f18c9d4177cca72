"""What is measured over HTTP: the smallest request by one client and by many, and a large file.

Knows routes and what they cost; neither rounds nor ratios.
"""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass

from bench.client import ClientError
from bench.lines import Line
from bench.meter import watched
from bench.stage import Route
from bench.web import LARGE, SMALL, SMALL_BYTES, Web
from bench.web_client import WebClient
from bench.workloads import WARM_UP, Figures, Kind, Workload, cpu_s_of, quantiles

CLIENTS = 32


@dataclass(frozen=True, slots=True)
class WebScale:
    """How much of everything."""

    file_bytes: int
    pings: int
    requests: int
    """Of all clients together."""


WHOLE = WebScale(256_000_000, 1000, 6400)
QUICK = WebScale(16_000_000, 100, 640)


def web_workloads(scale: WebScale) -> tuple[Workload, ...]:
    """All of them, in the order in which they are shown."""
    what = f"HTTP, GET of {SMALL_BYTES} bytes"
    return (
        Workload(f"{what}, one client", Kind.LATENCY, _Requests(1, scale.pings), _any),
        Workload(f"{what}, {CLIENTS} clients", Kind.REQUESTS, _Requests(CLIENTS, scale.requests), _any),
        Workload("HTTP, bulk down", Kind.BULK, _bulk, _any),
    )


def _any(_: Line) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class _Requests:
    """Each client asks one after the other, over a connection that stays."""

    clients: int
    count: int

    def __call__(self, route: Route, _: Web) -> Figures:
        took_us: list[list[float]] = [[] for _ in range(self.clients)]
        failures: list[Exception] = []
        with ExitStack() as exits:
            clients = [exits.enter_context(route.door.connect()) for _ in range(self.clients)]
            for client in clients:
                for _warm in range(max(1, WARM_UP // self.clients)):
                    client.get(SMALL)
            threads = [
                threading.Thread(target=_ask, args=(client, self.count // self.clients, took, failures))
                for client, took in zip(clients, took_us, strict=True)
            ]
            with watched(route.pid) as course:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        if failures:
            raise failures[0]
        taken = sorted(one for each in took_us for one in each)
        return Figures(len(taken), course.wall_s, cpu_s_of(route, course.cpu_s), *quantiles(taken))


def _ask(client: WebClient, count: int, took_us: list[float], failures: list[Exception]) -> None:
    try:
        for _ in range(count):
            begin_ns = time.perf_counter_ns()
            client.get(SMALL)
            took_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
    except (ClientError, OSError) as why:
        failures.append(why)


def _bulk(route: Route, web: Web) -> Figures:
    with watched(route.pid) as course:
        came = route.door.get(LARGE)
    assert came == web.file_bytes
    return Figures(came, course.wall_s, cpu_s_of(route, course.cpu_s))
