"""A gateway under load: one size for `make test`, the whole for `make load`, and the numbers that both print."""

import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from hoopproxy.testing.bare_client import BareClient
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import ACCOUNT, Stand
from hoopproxy.testing.vitals import Vitals

MIB = 1 << 20
GROWTH_BYTES_MAX = 64 * MIB
"""What a gateway may grow by, whatever passes through it."""


WAIT_S_MAX = 300.0
"""So long a server may say nothing: it makes a value of 1 GB before it sends the first byte."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    sessions: int
    rounds: int
    """Each session asks so often, once a second."""
    rows: int
    value_bytes: int
    """One cell, and one parameter."""
    slow_bytes: int
    """What the slow reader asked for."""
    logins: int


SHORT = Scale(sessions=100, rounds=8, rows=200_000, value_bytes=150_000_000, slow_bytes=100_000_000, logins=300)
FULL = Scale(sessions=500, rounds=60, rows=1_000_000, value_bytes=1_000_000_000, slow_bytes=300_000_000, logins=3000)

TABLES = """
CREATE TABLE people (id int PRIMARY KEY, name text, card text);
INSERT INTO people SELECT g, 'name ' || g, '41111111' || lpad(g::text, 8, '0') FROM generate_series(1, {rows}) g;
CREATE TABLE documents (id int, card text, body text, comment text);
INSERT INTO documents VALUES (1, '4111111111111111', repeat('x', {value_bytes}), 'fine');
CREATE TABLE sink (id int, name text, card text);
GRANT INSERT, TRUNCATE ON sink TO reader;
"""
MASKS = """
[[mask]]
target = "ledger"
column = "public.people.card"
mask = { partial = { first = 0, last = 4 } }

[[mask]]
target = "ledger"
column = "public.documents.card"
mask = "redact"
"""
LIMITS = f"statement_bytes_max = {72 * MIB}"


@pytest.fixture(scope="session")
def scale() -> Scale:
    """The whole with `LOAD=full`, as `make load` has it."""
    return FULL if os.environ.get("LOAD") == "full" else SHORT


@pytest.fixture(scope="session")
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory, scale: Scale) -> Iterator[PostgresCluster]:
    leaf = authority.issue("database-load", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    settings = {"max_connections": str(scale.sessions + 50)}
    with PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=certificate, settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def stand(
    cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory, scale: Scale
) -> Iterator[Stand]:
    """A gateway before `plain`, in which nothing is masked, and `ledger`."""
    tables = TABLES.format(rows=scale.rows, value_bytes=scale.value_bytes)
    databases = {"plain": tables, "ledger": tables}
    directory = tmp_path_factory.mktemp("stand")
    with Stand(directory, cluster, authority, databases, masks=MASKS, limits=LIMITS) as running:
        yield running


type Enter = Callable[..., BareClient]


@pytest.fixture
def enter(stand: Stand) -> Iterator[Enter]:
    """`enter(target, person="ada", source="", receive_bytes=0)`: a logged-in client, closed after the test."""
    context, entered = ssl.create_default_context(cafile=stand.ca_file), list[BareClient]()

    def into(target: str, person: str = "ada", **how: str | int) -> BareClient:
        client = BareClient((stand.host, stand.port), wait_s_max=WAIT_S_MAX, **how)  # type: ignore[arg-type] # as said
        entered.append(client)
        client.start_tls(context)
        client.log_in(ACCOUNT, target, stand.tokens[person])
        return client

    yield into
    for each in entered:
        each.close()


@pytest.fixture
def direct(cluster: PostgresCluster) -> Iterator[Callable[[str], BareClient]]:
    """`direct(database)`: past the gateway, as the same account, over a socket that trusts us."""
    where, entered = conninfo_to_dict(cluster.admin_dsn), list[BareClient]()

    def into(database: str) -> BareClient:
        client = BareClient(str(Path(str(where["host"]), f".s.PGSQL.{cluster.port}")), wait_s_max=WAIT_S_MAX)
        entered.append(client)
        client.log_in(ACCOUNT, database)
        return client

    yield into
    for each in entered:
        each.close()


class Watched:
    """What a gateway's memory did since this was made, and what is printed of a test."""

    def __init__(self, vitals: Vitals, tell: Callable[[str, str], None]) -> None:
        self._vitals, self._tell = vitals, tell
        self.begin()

    def begin(self) -> None:
        """From here on it counts."""
        self._vitals.forget_peak()
        self._start_bytes, self._start_cpu_s = self._vitals.rss_bytes, self._vitals.cpu_s

    @property
    def grown_bytes(self) -> int:
        """From the beginning to the peak."""
        return self._vitals.peak_bytes - self._start_bytes

    def tell(self, what: str) -> None:
        """A line for the end of the run."""
        cpu_s = self._vitals.cpu_s - self._start_cpu_s
        sizes = self._start_bytes, self._vitals.peak_bytes, self._vitals.rss_bytes
        start, peak, end = (f"{size / MIB:.1f}" for size in sizes)
        self._tell("load", f"{what}; {cpu_s:.1f} s CPU; RSS {start} → {peak} peak → {end} MiB")


@pytest.fixture
def watched(stand: Stand, record_property: Callable[[str, object], None]) -> Iterator[Watched]:
    """The gateway's memory. After each test the gateway must have logged no crash."""
    yield Watched(Vitals(stand.gateway.pid), record_property)
    log = stand.gateway.log()
    print(log[-4000:])  # noqa: T201 - shown where a test has failed
    assert "Traceback" not in log and "Unhandled" not in log


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured."""
    reports = [each for outcome in ("passed", "failed") for each in terminalreporter.getreports(outcome)]
    lines = [str(text) for each in reports for name, text in each.user_properties if name == "load"]
    if lines:
        terminalreporter.section("load")
        for line in lines:
            terminalreporter.write_line(line)
