"""What is measured on beside PostgreSQL: one sshd and one TCP server, and before them the contenders, on loopback.

Knows no workload.
"""

import os
import random
import shutil
import ssl
import sys
from collections.abc import Collection
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from bench import asyncssh_proxy
from bench.lines import Family, Leg, Line
from bench.proxies import Daemon, free_port, haproxy_before_tcp
from bench.stage import Route
from bench.wire_client import SshDoor, TcpDoor
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import Account
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.raw_target import RawTarget
from hoopproxy.testing.ssh_keys import new_key
from hoopproxy.testing.ssh_stand import LISTENER, SshSite, SshTarget
from hoopproxy.testing.sshd import Sshd
from hoopproxy.testing.stand import PEOPLE, Stand
from hoopproxy.testing.tcp_stand import MACHINE, TcpTarget, tcp_more, together
from hoopproxy.testing.tcp_stand import TcpDoor as Listener

CIPHERS = {Leg.SSH: "", Leg.SSH_GCM: "aes128-gcm@openssh.com"}
"""What a client asks for on such a leg: "" is OpenSSH's own order."""

PERSON, SHELL, RAW = "ada", "shell", "raw"
DOORS = {Leg.TLS: "raw-tls", Leg.PLAINTEXT: "raw-clear"}


class Wires:
    """A context manager: entered, both servers run, and what serves `lines`. `file` holds `file_bytes` that sshd's
    commands read.

    @raise SshdError, ProxyFailed, ClusterError, GatewayFailed
    """

    def __init__(self, directory: Path, lines: Collection[Line], file_bytes: int) -> None:
        self._directory, self._lines = directory, lines
        self._authority = Authority(directory / "ca", "bench")
        self._leaf = self._authority.issue("gateway-bench", dns=("localhost",), ips=("127.0.0.1",))
        self._client = self._authority.issue(MACHINE, dns=(f"{MACHINE}.example",))
        self._account = Account.choose()
        self._exits = ExitStack()
        self.file, self.file_bytes = directory / "file", file_bytes
        block = random.Random(1).randbytes(1 << 20)
        with self.file.open("wb") as file:
            for start in range(0, file_bytes, len(block)):
                file.write(block[: file_bytes - start])

    def __enter__(self) -> Self:
        with self._exits as exits:
            self._raw = exits.enter_context(RawTarget())
            self._sshd = exits.enter_context(Sshd(self._directory / "sshd"))
            families = dict.fromkeys(line.family for line in self._lines)
            self.routes = tuple(route for family in families for route in self._start(family, exits))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *why: object) -> None:
        self._exits.close()

    def _start(self, family: Family, exits: ExitStack) -> list[Route]:
        lines = [line for line in self._lines if line.family is family]
        match family:
            case Family.DIRECT:
                return [Route(line, self._direct(line), None) for line in lines]
            case Family.ASYNCSSH:
                return [self._asyncssh(line, exits) for line in lines]
            case Family.HAPROXY_TCP:
                return self._haproxy(lines, exits)
            case _:
                return self._gateway(lines, exits)

    def _direct(self, line: Line) -> SshDoor | TcpDoor:
        if line.client_leg not in CIPHERS:
            return TcpDoor(self._raw.port)
        known = self._known_hosts("sshd", self._sshd.known_hosts())
        return SshDoor(self._sshd.port, self._sshd.user, self._sshd.key_file, known, CIPHERS[line.client_leg])

    def _asyncssh(self, line: Line, exits: ExitStack) -> Route:
        """One process for each cipher, so that both its legs have it."""
        folder, port, key, cipher = self._directory, free_port(), new_key(), CIPHERS[line.client_leg]
        options = {
            "port": port,
            "host-key": key.write(folder / f"asyncssh-{port}"),
            "target-port": self._sshd.port,
            "target-user": self._sshd.user,
            "target-key": self._sshd.key_file,
            "target-hosts": self._known_hosts("sshd", self._sshd.known_hosts()),
            "ciphers": cipher,
        }
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        command = [sys.executable, asyncssh_proxy.__file__, *words]
        ourselves = Account(os.geteuid(), os.getegid(), ourselves=True)
        daemon = exits.enter_context(Daemon(ourselves, command, folder / "asyncssh.log"))
        known = self._known_hosts(f"asyncssh-{port}", f"[127.0.0.1]:{port} {key.public}\n")
        door = SshDoor(port, self._sshd.user, self._sshd.key_file, known, cipher)
        daemon.wait_for(partial(door.down, "true"))
        return Route(line, door, daemon.pid)

    def _haproxy(self, lines: list[Line], exits: ExitStack) -> list[Route]:
        folder = self._account.private_folder()
        exits.callback(shutil.rmtree, folder, ignore_errors=True)
        proxy = haproxy_before_tcp(self._account, folder, self._raw.port, self._authority, self._leaf)
        exits.enter_context(proxy.daemon)
        doors = {leg: TcpDoor(port, self._tls(leg)) for leg, port in proxy.ports.items()}
        proxy.daemon.wait_for(partial(doors[Leg.PLAINTEXT].down, 1))
        return [Route(line, doors[line.client_leg], proxy.daemon.pid) for line in lines]

    def _gateway(self, lines: list[Line], exits: ExitStack) -> list[Route]:
        """As shipped, all of it in one process. Its PostgreSQL is there because a stand has one."""
        folder = self._directory / "stand"
        site = SshSite(folder / "secrets", (SshTarget(SHELL, self._sshd),), PEOPLE)
        secrets, ca = folder / "secrets", Path(self._authority.ca_file)
        listeners = Listener(DOORS[Leg.TLS], RAW, ca, secrets), Listener(DOORS[Leg.PLAINTEXT], RAW)
        more = together(site.more, tcp_more((TcpTarget(RAW, self._raw.host, self._raw.port),), listeners))
        database = self._authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
        certificate = database.certificate_file, database.key_file
        cluster = exits.enter_context(PostgresCluster(self._directory / "postgres", certificate=certificate))
        stand = exits.enter_context(Stand(folder, cluster, self._authority, {"ledger": ""}, masks="", more=more))

        def port(listener: str) -> int:
            return int(stand.gateway.endpoints[listener][0].rpartition(":")[2])

        known = self._known_hosts("gateway", site.known_hosts("127.0.0.1", port(LISTENER)))
        key = site.key_file(PERSON)

        def door(leg: Leg) -> SshDoor | TcpDoor:
            if leg in CIPHERS:
                return SshDoor(port(LISTENER), SHELL, key, known, CIPHERS[leg])
            return TcpDoor(port(DOORS[leg]), self._tls(leg))

        return [Route(line, door(line.client_leg), stand.gateway.pid) for line in lines]

    def _tls(self, leg: Leg) -> ssl.SSLContext | None:
        if leg is not Leg.TLS:
            return None
        context = ssl.create_default_context(cafile=str(self._authority.ca_file))
        context.load_cert_chain(self._client.certificate_file, self._client.key_file)
        return context

    def _known_hosts(self, name: str, lines: str) -> Path:
        path = self._directory / f"{name}.hosts"
        path.write_text(lines)
        return path
