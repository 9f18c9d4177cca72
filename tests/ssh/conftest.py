"""A real sshd, a gateway of its own process before it, and two ways to the server: past the gateway and through it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.ssh_keys import KINDS
from hoopproxy.testing.ssh_stand import LISTENER, SshSite, SshTarget
from hoopproxy.testing.sshd import Sshd
from hoopproxy.testing.stand import PEOPLE, Stand

from .python_server import PythonServer
from .ways import Way

MASKING = """
[addon.pans]
use = "mask-pan"
targets = ["cards"]
"""


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """It wants new keys each 16 MiB."""
    with Sshd(tmp_path_factory.mktemp("sshd"), settings="RekeyLimit 16M") as running:
        yield running


@pytest.fixture(scope="session")
def other() -> Iterator[PythonServer]:
    """A server of another make."""
    with PythonServer() as running:
        yield running


@pytest.fixture(scope="session")
def direct(sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Way:
    """Past the gateway, with the key that only the gateway has."""
    directory = tmp_path_factory.mktemp("direct")
    (directory / "known_hosts").write_text(sshd.known_hosts())
    return Way("direct", sshd.host, sshd.port, sshd.user, sshd.key_file, directory / "known_hosts", directory)


class SshStand(Stand):
    """A stand whose gateway listens for SSH, too."""

    site: SshSite

    @property
    def ssh_port(self) -> int:
        """Where it does."""
        return self.endpoint(LISTENER)[1]

    def way(self, target: str, person: str = "ada", account: str = "", kind: str = "ed25519") -> Way:
        """Through the gateway, with the person's key."""
        known_hosts = self.directory / "known_hosts"
        known_hosts.write_text(self.site.known_hosts(self.host, self.ssh_port))
        user = f"{account}+{target}" if account else target
        key_file = self.site.key_file(person, kind)
        return Way(f"through-{user}-{person}", self.host, self.ssh_port, user, key_file, known_hosts, self.directory)


@pytest.fixture(scope="session")
def stand(
    sshd: Sshd, other: PythonServer, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SshStand]:
    """A gateway before three targets on the one server, `shell`, `minted` (by certificate), `cards` (masked), and
    `python` on the other."""
    directory = tmp_path_factory.mktemp("stand")
    targets = (
        SshTarget("shell", sshd),
        SshTarget("minted", sshd, is_minted=True),
        SshTarget("cards", sshd),
        SshTarget("python", other),
    )
    site = SshSite(directory / "secrets", targets, PEOPLE, kinds=KINDS)
    leaf = authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
    more = replace(site.more, main=site.more.main + MASKING, maskers=("pans",))
    with (
        PostgresCluster(directory / "pg", certificate=(leaf.certificate_file, leaf.key_file)) as cluster,
        SshStand(directory, cluster, authority, {"ledger": ""}, masks="", more=more) as running,
    ):
        running.site = site
        yield running


@pytest.fixture(scope="session")
def through(stand: SshStand) -> Way:
    """Through the gateway, to the same server."""
    return stand.way("shell")


class Comparing:
    """Runs one thing on both ways."""

    def __init__(self, *ways: Way) -> None:
        self._ways = ways

    def __call__[T](self, client: Callable[[Way], T]) -> T:
        """What it gives, on both ways the same."""
        first, *others = [(way.name, client(way)) for way in self._ways]
        for name, result in others:
            assert result == first[1], name
        return first[1]


@pytest.fixture(scope="session")
def same(direct: Way, through: Way) -> Comparing:
    """Whatever is done twice must come out the same."""
    return Comparing(direct, through)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="hp-"))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def agent(directory: Path) -> Iterator[dict[str, str]]:
    """An SSH agent; the environment in which its clients find it."""
    socket = directory / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as running:
        try:
            appeared(running, socket)
            yield os.environ | {"SSH_AUTH_SOCK": str(socket)}
        finally:
            running.terminate()


def appeared(process: "subprocess.Popen[bytes]", path: Path) -> None:
    """Wait until a process has made its socket."""
    while not path.exists():
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"it ended with {process.returncode}")
