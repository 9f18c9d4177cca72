"""What is measured on over HTTP: one site of static files, and before it the contenders, on loopback.

Knows no workload.
"""

import random
import shutil
import ssl
from collections.abc import Collection
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from bench import web_proxies
from bench.lines import Family, Leg, Line
from bench.proxies import Proxy
from bench.stage import Route
from bench.web_client import WebDoor
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.http_stand import CLEAR, LISTENER, HttpSite, HttpTarget, host_of
from hoopproxy.testing.installations import Account
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand

PERSON, SMALL, LARGE = "ada", "/small", "/large"
SMALL_BYTES = 56
TARGETS = {Leg.HTTP: "site-http", Leg.HTTPS: "site-https"}
TOKEN = "t0ken-of-the-site"


class Web:
    """A context manager: entered, the site runs, and what serves `lines`; its `/large` has `file_bytes`.

    @raise ProxyFailed, ClusterError, GatewayFailed
    """

    def __init__(self, directory: Path, lines: Collection[Line], file_bytes: int) -> None:
        self._directory, self._lines, self.file_bytes = directory, lines, file_bytes
        self._authority = Authority(directory / "ca", "bench")
        self._leaf = self._authority.issue("site", dns=("localhost",), ips=("127.0.0.1",))
        self._account = Account.choose()
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with self._exits as exits:
            self._folder = self._account.private_folder()
            exits.callback(shutil.rmtree, self._folder, ignore_errors=True)
            dice = random.Random(1)
            for path, count in ((SMALL, SMALL_BYTES), (LARGE, self.file_bytes)):
                self._directory.joinpath(path[1:]).write_bytes(dice.randbytes(count))
            files = {path[1:]: self._directory / path[1:] for path in (SMALL, LARGE)}
            self._site = web_proxies.site(self._account, self._new_folder("site"), self._leaf, files)
            self._enter(self._site, exits)
            families = dict.fromkeys(line.family for line in self._lines)
            self.routes = tuple(route for family in families for route in self._start(family, exits))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *why: object) -> None:
        self._exits.close()

    def _start(self, family: Family, exits: ExitStack) -> list[Route]:
        match family:
            case Family.DIRECT:
                return [self._route(line, self._site.ports, None) for line in self._of(family)]
            case Family.NGINX:
                folder = self._new_folder("nginx")
                proxy = web_proxies.nginx(self._account, folder, self._authority, self._leaf, self._site)
            case Family.MITMDUMP:
                folder = self._directory / "mitmdump"
                folder.mkdir()
                proxy = web_proxies.mitmdump(folder, self._authority, self._leaf, self._site)
            case _:
                return self._gateway(family, exits)
        self._enter(proxy, exits)
        return [self._route(line, proxy.ports, proxy.daemon.pid) for line in self._of(family)]

    def _gateway(self, family: Family, exits: ExitStack) -> list[Route]:
        """As shipped. Its PostgreSQL is there because a stand has one."""
        folder, ca_file = self._directory / "stand", Path(self._authority.ca_file)
        targets = [
            HttpTarget(name, self._site.ports[leg], TOKEN, ca_file if leg is Leg.HTTPS else None)
            for leg, name in TARGETS.items()
        ]
        more = HttpSite(folder / "secrets", self._authority, targets).more
        database = self._authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
        certificate = database.certificate_file, database.key_file
        cluster = exits.enter_context(PostgresCluster(self._directory / "postgres", certificate=certificate))
        stand = exits.enter_context(Stand(folder, cluster, self._authority, {"ledger": ""}, masks="", more=more))
        ports = {Leg.HTTP: stand.endpoint(CLEAR)[1], Leg.HTTPS: stand.endpoint(LISTENER)[1]}
        hosts = {leg: host_of(name) for leg, name in TARGETS.items()}
        return [
            self._route(line, ports, stand.gateway.pid, hosts[line.client_leg], stand.tokens[PERSON])
            for line in self._of(family)
        ]

    def _of(self, family: Family) -> list[Line]:
        return [line for line in self._lines if line.family is family]

    def _route(
        self, line: Line, ports: dict[Leg, int], pid: int | None, host: str = "localhost", token: str = ""
    ) -> Route:
        leg = line.client_leg
        tls = ssl.create_default_context(cafile=str(self._authority.ca_file)) if leg is Leg.HTTPS else None
        return Route(line, WebDoor(ports[leg], host, tls, token), pid)

    def _enter(self, proxy: Proxy, exits: ExitStack) -> None:
        exits.enter_context(proxy.daemon)
        proxy.daemon.wait_for(partial(WebDoor(proxy.ports[Leg.HTTP], "localhost").get, SMALL))

    def _new_folder(self, name: str) -> Path:
        """Where the account of other proxies can read."""
        folder = self._folder / name
        folder.mkdir()
        return folder
