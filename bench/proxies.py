"""The other proxies that are measured, each a process of its own: configured, started, heard, ended.

Knows no workload and no database but where it is. The settings of others' proxies are their defaults, except where the
comparison needs equal work; each exception has its reason beside it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.client import ClientError
from bench.lines import Leg
from hoopproxy.testing.certificates import Authority, Leaf
from hoopproxy.testing.installations import Account

READY_S_MAX = 20.0
STOP_S_MAX = 10.0

RELAY = Path(__file__).with_name("twisted_relay.py")


class ProxyFailed(Exception):
    """A proxy is not there or did not start; the text tells why."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The database server that everybody stands before. `verifier` is what it keeps of the user's password; pgbouncer
    logs in with it and with what the client proved (its manual, "Authentication file format")."""

    port: int
    user: str
    verifier: str
    databases: tuple[str, ...]
    authority: Authority


class Daemon:
    """A program in a session of its own that ends with this object or this process, however that ends."""

    def __init__(self, account: Account, command: Sequence[str | Path], log: Path) -> None:
        self._log = log
        with log.open("ab") as file:
            self._process = account.popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        self._guard = subprocess.Popen(
            ["sh", "-c", f"read _; kill -TERM {self._process.pid}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for(self, enter: Callable[[], object]) -> None:
        """Return when somebody can come in, as `enter` tries to. @raise ProxyFailed."""
        give_up_s = time.monotonic() + READY_S_MAX
        while True:
            try:
                enter()
                return
            except (OSError, ClientError) as why:
                if self._process.poll() is not None or time.monotonic() > give_up_s:
                    self.stop()
                    raise ProxyFailed(f"{why}\n{self._log.read_text(errors='replace')[-3000:]}") from why
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue

    def stop(self) -> None:
        """End it; harmless when it has ended."""
        self._guard.kill()  # first: later its number may be another process's
        self._guard.wait()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        for way in (signal.SIGTERM, signal.SIGKILL):
            self._process.send_signal(way)
            try:
                self._process.wait(STOP_S_MAX)
                return
            except subprocess.TimeoutExpired:
                continue


@dataclass(frozen=True, slots=True)
class Proxy:
    """One that was started, and perhaps does not answer yet; where it listens for each kind of client."""

    daemon: Daemon
    ports: dict[Leg, int]


def pgbouncer(account: Account, folder: Path, upstream: Upstream, packet_bytes: int) -> Proxy:
    """One with TLS towards the server, and towards clients that want it. @raise ProxyFailed: it is not installed."""
    port = free_port()
    leaf = upstream.authority.issue(f"pgbouncer-{packet_bytes}", dns=("localhost",))
    certificate, key = folder / leaf.certificate_file.name, folder / leaf.key_file.name
    shutil.copyfile(leaf.certificate_file, certificate)
    shutil.copyfile(leaf.key_file, key)
    ca = folder / "ca.crt"
    shutil.copyfile(upstream.authority.ca_file, ca)
    users = folder / f"users-{packet_bytes}.txt"
    users.write_text(f'"{upstream.user}" "{upstream.verifier}"\n')
    config = folder / f"pgbouncer-{packet_bytes}.ini"
    databases = "".join(f"{name} = host=localhost port={upstream.port}\n" for name in upstream.databases)
    config.write_text(f"""\
[databases]
{databases}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pkt_buf = {packet_bytes}
client_tls_sslmode = allow
client_tls_cert_file = {certificate}
client_tls_key_file = {key}
; the gateway never does with less
server_tls_sslmode = verify-full
server_tls_ca_file = {ca}
; one server connection for each client, as all others have it
pool_mode = session
max_client_conn = 5000
default_pool_size = 5000
; what was opened before the measuring stays
server_idle_timeout = 0
log_connections = 0
log_disconnections = 0
""")
    for path in (config, users, certificate, key, ca):
        account.own(path, 0o600)
    daemon = Daemon(account, [program("pgbouncer"), config], folder / "pgbouncer.log")
    return Proxy(daemon, {Leg.TLS: port, Leg.PLAINTEXT: port})


HAPROXY = """\
global
    # as everybody else here: one event loop
    nbthread 1
    maxconn 5000
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
"""
"""What every haproxy here begins with."""


def haproxy(account: Account, folder: Path, upstream: Upstream, *, is_adding_tls: bool) -> Proxy:
    """One in TCP mode: it passes a client's own TLS on, and adds TLS to what comes without, if it is to.

    Added TLS begins unasked, which PostgreSQL takes from version 17 on. @raise ProxyFailed: it is not installed.
    """
    passing, adding = free_port(), free_port()
    ca = folder / "haproxy-ca.crt"
    shutil.copyfile(upstream.authority.ca_file, ca)
    config = folder / "haproxy.cfg"
    tls = f" ssl verify required verifyhost localhost ca-file {ca} alpn postgresql" if is_adding_tls else ""
    config.write_text(f"""\
{HAPROXY}listen passing
    bind 127.0.0.1:{passing}
    server database 127.0.0.1:{upstream.port}
listen adding
    bind 127.0.0.1:{adding}
    server database 127.0.0.1:{upstream.port}{tls}
""")
    for path in (config, ca):
        account.own(path, 0o600)
    daemon = Daemon(account, [program("haproxy"), "-db", "-f", config], folder / "haproxy.log")
    return Proxy(daemon, {Leg.TLS: passing, Leg.PLAINTEXT: adding})


def haproxy_before_tcp(account: Account, folder: Path, port: int, authority: Authority, leaf: Leaf) -> Proxy:
    """One in TCP mode before a server on 127.0.0.1: in the clear, and over TLS with a certificate of the client's.

    @raise ProxyFailed: it is not installed.
    """
    over_tls, clear = free_port(), free_port()
    pem, ca = folder / "gateway.pem", folder / "clients-ca.crt"
    pem.write_bytes(Path(leaf.certificate_file).read_bytes() + Path(leaf.key_file).read_bytes())
    shutil.copyfile(authority.ca_file, ca)
    config = folder / "haproxy.cfg"
    config.write_text(f"""\
{HAPROXY}listen over-tls
    bind 127.0.0.1:{over_tls} ssl crt {pem} ca-file {ca} verify required
    server raw 127.0.0.1:{port}
listen clear
    bind 127.0.0.1:{clear}
    server raw 127.0.0.1:{port}
""")
    for path in (config, pem, ca):
        account.own(path, 0o600)
    daemon = Daemon(account, [program("haproxy"), "-db", "-f", config], folder / "haproxy.log")
    return Proxy(daemon, {Leg.TLS: over_tls, Leg.PLAINTEXT: clear})


def twisted_relay(folder: Path, server_port: int, authority: Authority, leaf: Leaf) -> Proxy:
    """The plainest that one writes with Twisted: `twisted_relay.py`, with TLS as pgbouncer has it."""
    port = free_port()
    options = {
        "port": port,
        "server-port": server_port,
        "ca": authority.ca_file,
        "certificate": leaf.certificate_file,
        "key": leaf.key_file,
    }
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    ourselves = Account(os.geteuid(), os.getegid(), ourselves=True)
    daemon = Daemon(ourselves, [sys.executable, RELAY, *words], folder / "relay.log")
    return Proxy(daemon, {Leg.TLS: port, Leg.PLAINTEXT: port})


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str) -> str:
    """Where it is. @raise ProxyFailed: it isn't."""
    found = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        raise ProxyFailed(f"{name} is not installed; .ci/bench-packages installs what `make bench` needs.")
    return found
