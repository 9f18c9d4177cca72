"""What is measured on: one PostgreSQL with data, and before it the contenders, on this machine's loopback.

Knows no workload.
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from psycopg.conninfo import conninfo_to_dict

from bench import proxies
from bench.client import Client, Door
from bench.lines import FULL, KEPT, MASKED, PLAIN, ROWS, Family, Leg, Line, Mode
from hoopproxy.testing.bare_client import query
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import Account
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.process import GatewayProcess
from hoopproxy.testing.stand import ACCOUNT, Stand
from hoopproxy.testing.three_files import ISSUER_URL, Site, write

MASK = """
[[mask]]
target = "{database}"
column = "public.{table}.email"
mask = "redact"

[[mask]]
target = "{database}"
column = "public.{table}.card"
mask = {{ partial = {{ first = 0, last = 4 }} }}
"""


def masks(*databases: str) -> str:
    """TOML for policy.toml: two of eight columns, the same in each database."""
    return "".join(MASK.format(database=each, table=table) for each in databases for table in ("people", "members"))


SESSIONS = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{ACCOUNT}'"

WAIT_UNTIL_FEWER = f"""
DO $$ BEGIN FOR attempt IN 1..300 LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN ({SESSIONS}) <= {{most}};
    PERFORM pg_sleep(0.1);
END LOOP; END $$
"""

LIMITS = """\
connections_per_address_max = 2000
connections_per_identity_max = 2000
"""
"""So that a thousand connections may come from one person, and a few more."""

PLAINTEXT_LISTENER = """
[[listen]]
name = "plaintext"
protocol = "postgres"
addresses = ["127.0.0.1"]
port = 0
certificate = "{secrets}/gateway.crt"
key = "{secrets}/gateway.key"
plaintext = "loopback"
"""

SETTINGS = MappingProxyType(
    {
        "max_connections": "1500",
        "shared_buffers": "256MB",
        "max_parallel_workers_per_gather": "0",
        "synchronize_seqscans": "off",
        "autovacuum": "off",
    }
)
"""So that each answer costs the server the same, whoever asks and however often it was asked before."""

DATA = """
CREATE UNLOGGED TABLE people (
    id int, email text, card text, ssn text, name text, amount int, created timestamp, changed timestamp
);
INSERT INTO people SELECT
    n, 'customer.' || lpad(n::text, 7, '0') || '@example.com', lpad(m::text, 16, '4'),
    substr(m::text, 1, 3) || '-' || substr(m::text, 4, 2) || '-' || substr(m::text, 6, 4), 'Ada Lovelace ' || m % 1000,
    m % 1000000, '2026-01-01 12:34:56.789012'::timestamp + n * interval '1.000001 s',
    '2026-02-01 01:23:45.678901'::timestamp + n * interval '1.000001 s'
    FROM (SELECT n, 100000000 + n::bigint * 7919 % 899999999 AS m FROM generate_series(1, {rows}) n) numbers;
CREATE UNLOGGED TABLE members AS SELECT * FROM people WHERE id <= 10000;
ALTER TABLE members ADD PRIMARY KEY (id);
CREATE UNLOGGED TABLE sink (LIKE people);
GRANT INSERT ON sink TO {account};
CREATE UNLOGGED TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
INSERT INTO pgbench_branches VALUES (1, 0, '');
CREATE UNLOGGED TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
INSERT INTO pgbench_accounts SELECT n, 1, 0, '' FROM generate_series(1, 100000) n;
"""
"""Eight columns as in bench/rows.py, some rows with a key, and what `pgbench -S` reads of its own tables at scale 1."""


@dataclass(frozen=True, slots=True)
class Route:
    """A line that can be walked, and the process on it (`pid` None: there is none). `door` is a `Door` into the
    database, or one of `wire_client`."""

    line: Line
    door: Any
    pid: int | None


class Stage:
    """A context manager: entered, the database is filled with `rows` people, and what serves `lines` runs.

    @raise ProxyFailed, ClusterError, GatewayFailed
    """

    def __init__(self, directory: Path, lines: Collection[Line], rows: int) -> None:
        self.rows = rows
        self._directory, self._lines = directory, lines
        self._authority = Authority(directory / "ca", "bench")
        self._account = Account.choose()
        self._exits = ExitStack()
        self._count = 0
        self._sizes: dict[str, int] = {}

    def __enter__(self) -> Self:
        with self._exits as exits:
            leaf = self._authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
            certificate = leaf.certificate_file, leaf.key_file
            self._leaf = self._authority.issue("relay", dns=("localhost",), ips=("127.0.0.1",))
            directory = self._directory / "postgres"
            self.cluster = exits.enter_context(PostgresCluster(directory, certificate=certificate, settings=SETTINGS))
            self._allow_plaintext()
            data = DATA.format(rows=self.rows, account=ACCOUNT)
            # Two at least: everybody is measured in them; the third where somebody is.
            filled = dict.fromkeys((PLAIN, MASKED, *(line.database for line in self._lines)), data)
            self._kept = (KEPT,) if KEPT in filled else ()
            self._masks = masks(*filled.keys() - {PLAIN})
            directory = self._directory / "stand"
            stand = Stand(
                directory, self.cluster, self._authority, filled, masks=self._masks, limits=LIMITS, kept=self._kept
            )
            self._stand = exits.enter_context(stand)
            stand.gateway.stop()  # ours are made of the same secrets, and listen without TLS, too
            self._password = str(conninfo_to_dict(stand.direct(PLAIN).dsn)["password"])
            for name in filled:
                self.cluster.execute("VACUUM (FREEZE, ANALYZE)", database=name)
            self._folder = self._account.private_folder()
            exits.callback(shutil.rmtree, self._folder, ignore_errors=True)
            families = dict.fromkeys(line.family for line in self._lines)
            self.routes = tuple(route for family in families for route in self.start(family, exits))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *why: object) -> None:
        self._exits.close()

    def start(self, family: Family, exits: ExitStack) -> tuple[Route, ...]:
        """A new process, which ends with `exits`; our lines through it. @raise ProxyFailed, GatewayFailed"""
        match family:
            case Family.DIRECT:
                return self._routes(family, None, dict.fromkeys(Leg, self.cluster.port))
            case Family.TWISTED:
                proxy = proxies.twisted_relay(self._new_folder(), self.cluster.port, self._authority, self._leaf)
            case Family.PGBOUNCER | Family.PGBOUNCER_64K:
                packet_bytes = 4096 if family is Family.PGBOUNCER else 65536
                proxy = proxies.pgbouncer(self._account, self._new_folder(), self._upstream, packet_bytes)
            case Family.HAPROXY:
                proxy = proxies.haproxy(
                    self._account, self._new_folder(), self._upstream, is_adding_tls=self.cluster.version >= 17
                )
            case Family.HOOPPROXY | Family.HOOPPROXY_FULL:
                gateway = self._gateway(ROWS if family is Family.HOOPPROXY else FULL)
                exits.callback(gateway.stop)
                ports = {Leg.TLS: _port(gateway, "front"), Leg.PLAINTEXT: _port(gateway, "plaintext")}
                return self._routes(family, gateway.pid, ports, self._stand.tokens["ada"])
        exits.enter_context(proxy.daemon)
        routes = self._routes(family, proxy.daemon.pid, proxy.ports)
        proxy.daemon.wait_for(lambda: Client(routes[0].door).leave())
        return routes

    def size_of(self, statement: str) -> int:
        """Of the whole answer to a statement on the wire, unmasked; bytes."""
        if statement not in self._sizes:
            door = Door(self.cluster.port, ACCOUNT, self._password, PLAIN, None)
            with Client(door) as client:
                self._sizes[statement] = client.drain(query(statement)).size
        return self._sizes[statement]

    def token_of(self, person: str) -> str:
        """Of somebody whom nobody has seen before, with the rights of everybody here."""
        return self._stand.issuer.issue(person, ("analysts",), lifetime_s=3600.0)

    @contextmanager
    def places_returned(self) -> Iterator[None]:
        """Left when the server has no more sessions than when it was entered: whoever comes next needs places."""
        rows = self.cluster.execute(SESSIONS)
        assert rows is not None
        yield
        self.cluster.execute(WAIT_UNTIL_FEWER.format(most=rows[0][0]))

    def empty_sinks(self) -> None:
        """Throw away what was copied in."""
        for name in self._stand.targets:
            self.cluster.execute("TRUNCATE sink", database=name)

    def _routes(self, family: Family, pid: int | None, ports: dict[Leg, int], password: str = "") -> tuple[Route, ...]:
        return tuple(
            Route(
                line,
                Door(
                    ports[line.client_leg],
                    ACCOUNT,
                    password or self._password,
                    line.database,
                    self._stand.ca_file if line.client_leg is Leg.TLS else None,
                ),
                pid,
            )
            for line in self._lines
            if line.family is family
        )

    def _allow_plaintext(self) -> None:
        """For the direct way, whose client's leg is the server's, too."""
        rows = self.cluster.execute("SHOW hba_file")
        assert rows is not None
        with Path(rows[0][0]).open("a") as file:
            file.write("host all all 127.0.0.1/32 scram-sha-256\n")
        self.cluster.execute("SELECT pg_reload_conf()")

    def _gateway(self, mode: Mode) -> GatewayProcess:
        """As shipped, with a listener more."""
        stand, folder = self._stand, self._directory / f"gateway-{self._next()}"
        state = folder / "state"
        (state / "recordings").mkdir(mode=0o700, parents=True)
        config = write(
            Site(
                directory=folder / "conf",
                state=state,
                secrets=stand.secrets,
                port=0,
                addresses=("127.0.0.1",),
                issuer_url=ISSUER_URL,
                jwks_file=stand.issuer.jwks_file,
                targets={name: (ACCOUNT,) for name in stand.targets},
                database_host=self.cluster.host,
                database_port=self.cluster.port,
                database_ca=stand.ca_file,
                server_name="localhost",
                masks=self._masks,
                limits=LIMITS,
                recorder=mode.settings,
                kept=frozenset(self._kept),
            )
        )
        with config.open("a") as file:
            file.write(PLAINTEXT_LISTENER.format(secrets=stand.secrets))
        return GatewayProcess(config)

    def _new_folder(self) -> Path:
        """Where the account of other proxies can read."""
        folder = self._folder / f"proxy-{self._next()}"
        folder.mkdir()
        self._account.own(folder, 0o700)
        return folder

    def _next(self) -> int:
        self._count += 1
        return self._count

    @property
    def _upstream(self) -> proxies.Upstream:
        rows = self.cluster.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", parameters=(ACCOUNT,))
        assert rows is not None
        return proxies.Upstream(self.cluster.port, ACCOUNT, rows[0][0], (PLAIN, MASKED), self._authority)


def _port(gateway: GatewayProcess, listener: str) -> int:
    return int(gateway.endpoints[listener][0].rpartition(":")[2])
