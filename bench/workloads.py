"""What is measured: bulk answers, COPY both ways, pgbench's transactions, the latency of the smallest question.

Knows routes and what they cost; neither rounds nor ratios.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import repeat
from typing import Any

from bench import pgbench
from bench.client import Client
from bench.lines import KEPT, MASKED, PLAIN, Family, Leg, Line
from bench.meter import watched
from bench.stage import Route, Stage
from hoopproxy.testing.bare_client import message, query

COLUMNS = "id, email, card, ssn, name, amount, created, changed"
OPEN_COLUMNS = "id, ssn, name, amount, created, changed"
"""What a masked session may COPY: all but the masked ones."""

PIECE_BYTES, PIECES_AT_ONCE = 8192, 8
"""How psql sends COPY data: messages of 8 KiB."""

BROAD = {"pgbench -S, simple, 8 clients", "pgbench -S, prepared, 8 clients"}
"""Of pgbench's nine these run over more lines than the rest: time is limited."""

MEMBER = "SELECT id, email, card, name, amount FROM members WHERE id = {}"
MEMBERS = 10_000

CLIENTS_MAX = 64

WARM_UP = 50


class Kind(Enum):
    """What is interesting about a workload, and what its amount counts: bytes, or questions."""

    BULK = "bulk"
    LATENCY = "latency"
    TRANSACTIONS = "transactions"
    REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything. Of the people, `copied_out_share` are copied out, and `full_share` read through a gateway
    that records every row. `transactions` are of one pgbench run, over all its clients."""

    people: int
    copied_out_share: float
    full_share: float
    copied_in_bytes: int
    transactions: int
    pings: int
    connections: int
    logins: int


WHOLE = Scale(1_950_000, 0.3, 0.05, 100_000_000, 1280, 600, 1000, 40)
QUICK = Scale(50_000, 1.0, 0.1, 5_000_000, 128, 100, 20, 8)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of one workload over one route cost. `amount` is in bytes before masking, or in questions;
    `cpu_s` is the proxy's alone, None where there is none; the rest only where it was measured."""

    amount: float
    wall_s: float
    cpu_s: float | None
    p50_us: float | None = None
    p99_us: float | None = None
    connect_cpu_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """`run`, on a route and its stage, may raise ClientError, PgbenchFailed, OSError; `takes` says which lines it is
    measured for."""

    name: str
    kind: Kind
    run: Callable[[Route, Any], Figures]
    takes: Callable[[Line], bool]


def workloads(scale: Scale) -> tuple[Workload, ...]:
    """All of them, in the order in which they are shown."""
    made = [
        Workload("bulk SELECT", Kind.BULK, _Select(scale), _any),
        Workload("COPY TO STDOUT", Kind.BULK, _CopyOut(scale), _no_full),
        Workload("COPY FROM STDIN", Kind.BULK, _CopyIn(scale), _no_full),
        Workload("SELECT 1, one client", Kind.LATENCY, _Ping(scale.pings), _any),
        Workload("a row by its key, one client", Kind.LATENCY, _Lookup(scale.pings), _masks),
        Workload("log in, each time somebody new", Kind.LATENCY, _Logins(scale.logins, is_new=True), _enters),
        Workload("log in again", Kind.LATENCY, _Logins(scale.logins, is_new=False), _enters),
    ]
    for protocol in ("simple", "extended", "prepared"):
        for clients in (1, 8, CLIENTS_MAX):
            name = f"pgbench -S, {protocol}, {clients} client{'s'[: clients > 1]}"
            run = _Transactions(protocol, clients, max(1, scale.transactions // clients))
            made.append(Workload(name, Kind.TRANSACTIONS, run, _broad if name in BROAD else _narrow))
    return tuple(made)


def _any(_: Line) -> bool:
    return True


def _no_full(line: Line) -> bool:
    """Nor what stands for masks alone: it meets what it is there for."""
    return line.family not in (Family.HOOPPROXY_FULL, Family.TWISTED) and line.database != KEPT


def _masks(line: Line) -> bool:
    """What masks cost one who asks for little, held against a relay."""
    return line.family in (Family.DIRECT, Family.TWISTED, Family.HOOPPROXY)


def _enters(line: Line) -> bool:
    """Nobody else here knows people."""
    return line.family is Family.HOOPPROXY and line.database != PLAIN and line.client_leg is Leg.TLS


def _broad(line: Line) -> bool:
    """libpq refuses a server that offers to bind the channel (SCRAM-SHA-256-PLUS) where it sees no TLS, and that is
    what the server does when haproxy has added it. Our own client takes no notice."""
    return _no_full(line) and (line.family is not Family.HAPROXY or line.server_leg is not Leg.TLS)


def _narrow(line: Line) -> bool:
    """TLS on both legs, masked, as deployed."""
    is_gateway = line.family is Family.HOOPPROXY
    return _no_full(line) and line.client_leg is Leg.TLS and (not is_gateway or line.database == MASKED)


@dataclass(frozen=True, slots=True)
class _Select:
    scale: Scale

    def __call__(self, route: Route, stage: Stage) -> Figures:
        people = self.scale.people
        if route.line.family is Family.HOOPPROXY_FULL:
            people = int(people * self.scale.full_share)
        statement = f"SELECT {COLUMNS} FROM people LIMIT {people}"
        size = stage.size_of(statement)
        client = Client(route.door)
        with client, watched(route.pid) as course:
            drained = client.drain(query(statement))
            client.leave()
        assert drained.tag == f"SELECT {people}"
        assert (drained.size < size) == (route.line.database != PLAIN), "masks are not as they should be"
        return Figures(size, course.wall_s, cpu_s_of(route, course.cpu_s))


@dataclass(frozen=True, slots=True)
class _CopyOut:
    scale: Scale

    def __call__(self, route: Route, _: Stage) -> Figures:
        people = int(self.scale.people * self.scale.copied_out_share)
        with Client(route.door) as client, watched(route.pid) as course:
            drained = client.drain(query(f"COPY (SELECT {OPEN_COLUMNS} FROM people LIMIT {people}) TO STDOUT"))
            client.leave()
        assert drained.tag == f"COPY {people}"
        return Figures(drained.size, course.wall_s, cpu_s_of(route, course.cpu_s))


@dataclass(frozen=True, slots=True)
class _CopyIn:
    scale: Scale

    def __call__(self, route: Route, stage: Stage) -> Figures:
        lines = b"".join(_lines())
        piece = message(b"d", lines) * PIECES_AT_ONCE
        count = max(1, self.scale.copied_in_bytes // len(piece))
        with Client(route.door) as client, watched(route.pid) as course:
            said = client.copy_in(f"COPY sink ({OPEN_COLUMNS}) FROM STDIN", repeat(piece, count))
            client.leave()
        stage.empty_sinks()
        assert said.tag == f"COPY {lines.count(b'\n') * PIECES_AT_ONCE * count}"
        return Figures(count * len(piece), course.wall_s, cpu_s_of(route, course.cpu_s))


def _lines() -> Iterator[bytes]:
    size, number = 0, 0
    while size < PIECE_BYTES - 120:
        number += 1
        line = (
            f"{number}\t100-00-{number:04}\tAda Lovelace {number}\t{number * 7919}"
            "\t2026-01-01 12:34:56.789012\t2026-02-01 01:23:45.678901\n"
        ).encode()
        size += len(line)
        yield line


@dataclass(frozen=True, slots=True)
class _Ping:
    """One question after another, each when the last is answered. Connecting is not counted."""

    count: int

    def __call__(self, route: Route, _: Stage) -> Figures:
        question = query("SELECT 1")
        took_us = list[float]()
        with Client(route.door) as client:
            for _warm in range(WARM_UP):
                client.drain(question)
            with watched(route.pid) as course:
                for _ping in range(self.count):
                    begin_ns = time.perf_counter_ns()
                    client.drain(question)
                    took_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
            client.leave()
        return Figures(self.count, course.wall_s, cpu_s_of(route, course.cpu_s), *quantiles(sorted(took_us)))


@dataclass(frozen=True, slots=True)
class _Lookup:
    """One row after another, by a text that comes again and by one that is new each time, in turn."""

    count: int

    def __call__(self, route: Route, _: Stage) -> Figures:
        took_us = list[float]()
        with Client(route.door) as client:
            for warm in range(WARM_UP):
                client.drain(query(MEMBER.format(warm + 1)))
            with watched(route.pid) as course:
                for number in range(self.count):
                    question = query(MEMBER.format(1 if number % 2 else WARM_UP + number % (MEMBERS - WARM_UP)))
                    begin_ns = time.perf_counter_ns()
                    client.drain(question)
                    took_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
            client.leave()
        return Figures(self.count, course.wall_s, cpu_s_of(route, course.cpu_s), *quantiles(sorted(took_us)))


@dataclass(frozen=True, slots=True)
class _Logins:
    """One after another, each to its first answer. Who is new gets a role made, where the database keeps masks."""

    count: int
    is_new: bool

    def __call__(self, route: Route, stage: Stage) -> Figures:
        doors = [route.door] * self.count
        if self.is_new:
            doors = [replace(door, password=stage.token_of(secrets.token_hex(8))) for door in doors]
        took_us = list[float]()
        with watched(route.pid) as course:
            for door in doors:
                begin_ns = time.perf_counter_ns()
                with Client(door) as client:
                    client.drain(query("SELECT 1"))
                    client.leave()
                took_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
        return Figures(self.count, course.wall_s, cpu_s_of(route, course.cpu_s), *quantiles(sorted(took_us)))


@dataclass(frozen=True, slots=True)
class _Transactions:
    """pgbench, connecting counted apart, and taking leave not at all."""

    protocol: str
    clients: int
    each: int

    def __call__(self, route: Route, _: Stage) -> Figures:
        with watched(route.pid) as course:
            ran = pgbench.run(route.door, self.protocol, self.clients, self.each)
        before_s = course.cpu_s_until(ran.begin_s)
        return Figures(
            len(ran.took_us),
            ran.wall_s,
            cpu_s_of(route, course.cpu_s_until(ran.end_s) - before_s),
            *quantiles(ran.took_us),
            connect_cpu_ms=cpu_s_of(route, before_s / (self.clients + 1) * 1e3),  # one more looks at the tables first
        )


def quantiles(took_us: Sequence[float]) -> tuple[float, float]:
    """p50 and p99 of what is sorted (nearest rank)."""
    return took_us[len(took_us) // 2], took_us[len(took_us) * 99 // 100]


def cpu_s_of(route: Route, cpu_s: float) -> float | None:
    """The proxy's, if there is one."""
    return None if route.pid is None else cpu_s
