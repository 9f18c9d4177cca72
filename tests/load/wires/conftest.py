"""A gateway under load over SSH, raw TCP and HTTP: servers of each behind it, and PostgreSQL for who mixes them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.http_stand import HttpSite
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.raw_target import RawTarget
from hoopproxy.testing.ssh_keys import new_key
from hoopproxy.testing.ssh_speaker import SshSpeaker
from hoopproxy.testing.ssh_stand import LISTENER, SshSite, SshTarget
from hoopproxy.testing.sshd import Sshd
from hoopproxy.testing.stand import PEOPLE, Stand
from hoopproxy.testing.tcp_stand import TcpDoor, TcpTarget, tcp_more, together

from .web import RULES, Behind, services, targets

DOOR = "raw"
"""The listener that leads to the TCP server, for whoever comes from 127.0.0.1."""

LIMITS = """\
login_s_max = 5.0
handshake_s_max = 5.0
head_s_max = 3.0
"""
"""So that who says nothing is not waited for too long."""


@dataclass(frozen=True, slots=True)
class WireScale:
    """How much of everything."""

    bytes_count: int
    """Of one transfer."""
    opens: int
    """Channels, one after the other."""
    sessions: int
    """At once, a quarter of each kind."""
    rounds: int
    body_bytes: int
    """Of one request or response."""
    drips: int
    """Clients that send a head byte by byte."""


SHORT = WireScale(bytes_count=100_000_000, opens=300, sessions=60, rounds=3, body_bytes=20_000_000, drips=100)
FULL = WireScale(bytes_count=1_000_000_000, opens=10_000, sessions=200, rounds=20, body_bytes=2 << 30, drips=1000)


@pytest.fixture(scope="session")
def wire_scale() -> WireScale:
    """The whole with `LOAD=full`, as `make load` has it."""
    return FULL if os.environ.get("LOAD") == "full" else SHORT


@pytest.fixture(scope="session")
def raw() -> Iterator[RawTarget]:
    with RawTarget() as running:
        yield running


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


class WireStand(Stand):
    """A stand whose gateway also listens for SSH, and for raw TCP at `DOOR`."""

    site: SshSite

    def port_of(self, listener: str) -> int:
        return int(self.gateway.endpoints[listener][0].rpartition(":")[2])

    @property
    def ssh(self) -> tuple[str, int]:
        return self.host, self.port_of(LISTENER)

    @property
    def tcp(self) -> tuple[str, int]:
        return self.host, self.port_of(DOOR)

    def command(self, *words: str, target: str = "shell", person: str = "ada") -> list[str]:
        """OpenSSH's client, with nothing of this machine's settings."""
        host, port = self.ssh
        known = self.directory / "known_hosts"
        known.write_text(self.site.known_hosts(host, port))
        key_file = self.site.key_file(person)
        files = f"IdentityFile={key_file}", f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=none"
        options = [word for each in (*files, "IdentitiesOnly=yes", "BatchMode=yes") for word in ("-o", each)]
        return ["ssh", "-F", "none", *options, "-p", str(port), f"{target}@{host}", *words]


@pytest.fixture(scope="session")
def web(authority: Authority) -> Iterator[dict[str, Behind]]:
    """HTTP services, by name."""
    leaf = authority.issue("web-service", dns=("localhost",), ips=("127.0.0.1",))
    with services((leaf.certificate_file, leaf.key_file)) as running:
        yield running


@pytest.fixture(scope="session")
def stand(
    sshd: Sshd,
    raw: RawTarget,
    web: dict[str, Behind],
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
    wire_scale: WireScale,
) -> Iterator[WireStand]:
    """A gateway before `shell`, before `liar`, which is the same sshd and has shown another key than it will, before
    `raw`, and before all of `web`."""
    directory = tmp_path_factory.mktemp("wires")
    liar = SshTarget("liar", _Liar(sshd))
    site = SshSite(directory / "secrets", (SshTarget("shell", sshd), liar), PEOPLE)
    tcp = tcp_more((TcpTarget("raw", raw.host, raw.port),), (TcpDoor(DOOR, "raw"),))
    http = HttpSite(directory / "secrets", authority, targets(web, authority.ca_file)).more
    more = together(site.more, tcp, replace(http, main=http.main + RULES, guards=("requests",)))
    leaf = authority.issue("database-wires", dns=("localhost",), ips=("127.0.0.1",))
    certificate, settings = (leaf.certificate_file, leaf.key_file), {"max_connections": str(wire_scale.sessions + 20)}
    with (
        PostgresCluster(directory / "pg", certificate=certificate, settings=settings) as cluster,
        WireStand(directory, cluster, authority, {"ledger": ""}, masks="", limits=LIMITS, more=more) as running,
    ):
        running.site = site
        yield running


class _Liar:
    """The sshd, whose host keys were written down wrong."""

    def __init__(self, sshd: Sshd) -> None:
        self.host, self.port, self.user = sshd.host, sshd.port, sshd.user
        self.user_key, self.authority = sshd.user_key, sshd.authority
        self.host_key_fingerprints = (new_key().fingerprint,)


type Speaks = Callable[..., SshSpeaker]


@pytest.fixture
def speaks(stand: WireStand) -> Iterator[Speaks]:
    """`speaks(target="shell", person="ada", receive_bytes=0)`: a logged-in client, closed after the test."""
    speaking: list[SshSpeaker] = []

    def to(target: str = "shell", person: str = "ada", receive_bytes: int = 0) -> SshSpeaker:
        speaking.append(SshSpeaker.logged_in(stand.ssh, target, stand.tokens[person], receive_bytes=receive_bytes))
        return speaking[-1]

    yield to
    for each in speaking:
        each.close()
