"""Everything that a gateway speaks to, at once: databases, a shell, a web service, a cluster, and raw TCP."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.http_serving import Exchange
from hoopproxy.testing.http_stand import HttpSite, HttpTarget
from hoopproxy.testing.http_target import BLOCK, CustomerService
from hoopproxy.testing.kubernetes_api import ApiServer
from hoopproxy.testing.kubernetes_stand import Cluster, KubernetesSite
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.raw_target import RawTarget
from hoopproxy.testing.ssh_stand import SshSite, SshTarget
from hoopproxy.testing.sshd import Sshd
from hoopproxy.testing.stand import ACCOUNT, PEOPLE, Stand
from hoopproxy.testing.tcp_stand import TcpDoor, TcpTarget, tcp_more, together

TOKEN = "t0p-secret-of-the-target"
SPARSE_BYTES = 1 << 30
"""What is fetched and never arrives as a whole; it takes no place on the disk."""

SINK = f"CREATE TABLE sink (id int, name text);\nGRANT INSERT ON sink TO {ACCOUNT};\n"

PIECE_S = 0.5
"""Between two pieces of what never ends."""

BUSY_S = 0.08
"""The same of who leaves the gateway no lull."""


class EndlessService(CustomerService):
    """As a `CustomerService`, and `/drip` and `/events` go on, a little at a time, as long as there is somebody."""

    async def answer(self, exchange: Exchange) -> None:
        """One request."""
        kinds = {"/drip": "application/octet-stream", "/events": "text/event-stream"}
        kind = kinds.get(exchange.arrived.path)
        if kind is None:
            await super().answer(exchange)
            return
        await exchange.begin(200, ("Content-Type", kind))
        while True:
            await exchange.send(BLOCK[:8192] if kind == kinds["/drip"] else b"data: still here\n\n")
            await asyncio.sleep(PIECE_S)


class MixedStand(Stand):
    """A stand whose gateway listens for everything."""

    ssh: SshSite
    sshd: Sshd
    raw: RawTarget
    web: EndlessService
    api: ApiServer

    @property
    def target_ports(self) -> frozenset[int]:
        """Where all that is behind the gateway listens."""
        return frozenset((self.cluster.port, self.sshd.port, self.raw.port, self.web.port, self.api.port))


@dataclass(frozen=True, slots=True)
class Behind:
    """What is behind the gateway."""

    cluster: PostgresCluster
    sshd: Sshd
    raw: RawTarget
    web: EndlessService
    api: ApiServer


@contextmanager
def behind(authority: Authority, directory: Path) -> Iterator[Behind]:
    """All of it, running."""
    leaf = authority.issue("mixed", dns=("localhost",), ips=("127.0.0.1",))
    pair = leaf.certificate_file, leaf.key_file
    with ExitStack() as stack:
        run = stack.enter_context
        sshd = run(Sshd(directory / "sshd"))
        with (sshd.home / "sparse").open("wb") as file:
            file.truncate(SPARSE_BYTES)
        (directory / "pod.log").touch()
        yield Behind(
            run(PostgresCluster(directory / "pg", certificate=pair, settings={"max_connections": "300"})),
            sshd,
            run(RawTarget()),
            run(EndlessService(pair, token=TOKEN)),
            run(ApiServer(pair, directory / "pod.log")),
        )


@contextmanager
def mixed_stand(authority: Authority, directory: Path) -> Iterator[MixedStand]:
    """A gateway before all of it. People come from all of 127.0.0.0/24, each with a session of their own."""
    with behind(authority, directory) as them:
        secrets, ca_file = directory / "secrets", Path(authority.ca_file)
        ssh = SshSite(secrets, (SshTarget("shell", them.sshd),), PEOPLE)
        raw = tcp_more((TcpTarget("raw", them.raw.host, them.raw.port),), (TcpDoor("raw", "raw"),))
        raw = replace(raw, main=raw.main.replace("127.0.0.1/32", "127.0.0.0/24"))
        more = together(
            ssh.more,
            HttpSite(secrets, authority, (HttpTarget("web", them.web.port, TOKEN, ca_file),)).more,
            KubernetesSite(secrets, authority, (Cluster("prod", them.api.port, them.api.token, ca_file),)).more,
            raw,
        )
        with MixedStand(directory, them.cluster, authority, {"ledger": SINK}, masks="", more=more) as running:
            running.ssh, running.sshd, running.raw = ssh, them.sshd, them.raw
            running.web, running.api = them.web, them.api
            yield running


def established(ports: frozenset[int]) -> int:
    """How many TCP connections of this machine lead to these ports, as the kernel has it (proc_net_tcp.rst)."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(int(row[2].rpartition(":")[2], 16) in ports and row[3] == "01" for row in rows)


def sessions_of(sshd: Sshd) -> int:
    """How many processes of sshd's serve a connection. (What these ran without a terminal is left to itself, as at the
    end of any connection.)"""
    below, count = [sshd.pid], 0
    for pid in below:  # it grows
        with suppress(OSError):  # it has just ended
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
            count += title.startswith(b"sshd: ") and b"[listener]" not in title
            below += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return count
