"""What `ssh -L`, `-W` and `-J` lead to: targets of their own, each with its own verdict, recording and end."""

import random
import socket
import subprocess
import tomllib
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.raw_target import RawTarget, blocks, crc32_of
from hoopproxy.testing.ssh_speaker import Gone, SshSpeaker, execute, open_forward, open_session
from hoopproxy.testing.ssh_stand import SshSite, SshTarget
from hoopproxy.testing.sshd import Sshd
from hoopproxy.testing.stand import PEOPLE
from hoopproxy.testing.tcp_stand import TcpTarget, tcp_more, together
from hoopproxy.wire.ssh import messages
from tests.children import connected, control, live, noted, received

from .conftest import SshStand
from .ways import Way, run

MB = 1_000_000
ABROAD = "127.0.3.9"
"""An address of this machine that the stand's map has in the United States."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def raw() -> Iterator[RawTarget]:
    with RawTarget() as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a Redis server listens that keeps nothing."""
    port, directory = free_port(), tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        while b"Ready to accept connections" not in (line := server.stdout.readline()):
            assert line, "redis-server ended"
        yield port
        server.terminate()


@pytest.fixture(scope="module")
def stand(
    sshd: Sshd, raw: RawTarget, redis: int, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SshStand]:
    """A gateway before a shell, and before servers that it may forward to, or may not."""
    directory = tmp_path_factory.mktemp("children")
    site = SshSite(directory / "secrets", (SshTarget("shell", sshd),), PEOPLE)
    more = tcp_more(
        (
            TcpTarget("store", "127.0.0.1", redis),
            TcpTarget("raw", raw.host, raw.port),
            TcpTarget("hop", sshd.host, sshd.port),
            TcpTarget("closed", "127.0.0.2", redis, roles=()),
            TcpTarget("abroad", ABROAD, redis, country="US"),
            TcpTarget("down", "127.0.0.1", free_port()),
        )
    )
    leaf = authority.issue("database-children", dns=("localhost",), ips=("127.0.0.1",))
    with (
        PostgresCluster(directory / "pg", certificate=(leaf.certificate_file, leaf.key_file)) as cluster,
        SshStand(directory, cluster, authority, {"ledger": ""}, masks="", more=together(site.more, more)) as running,
    ):
        assert isinstance(running, SshStand)
        running.site = site
        yield running
        assert "Traceback" not in running.gateway.log() and "Unhandled" not in running.gateway.log()


@pytest.fixture
def way(stand: SshStand) -> Way:
    return stand.way("shell")


@contextmanager
def forwarding(way: Way, *places: str) -> Iterator[list[int]]:
    """`ssh -N -L …` to each of them, and the ports on this machine that lead there."""
    ports = [free_port() for _ in places]
    words = [word for port, place in zip(ports, places, strict=True) for word in ("-L", f"127.0.0.1:{port}:{place}")]
    command = way.command("ssh", "-v", "-N", *words, "target")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as ssh:
        assert ssh.stderr is not None
        for line in ssh.stderr:
            if "Entering interactive session" in line:
                break
        try:
            yield ports
        finally:
            ssh.terminate()


def test_a_redis_behind_it_answers_by_the_target_s_name_and_by_its_address(way: Way, redis: int) -> None:
    with forwarding(way, f"store:{redis}", f"127.0.0.1:{redis}") as (by_name, by_address):
        assert run(["redis-cli", "-p", str(by_name), "SET", "key", "value"]).out == b"OK\n"
        assert run(["redis-cli", "-p", str(by_address), "GET", "key"]).out == b"value\n"


def test_standard_input_leads_there_and_ends_half_by_half(way: Way, redis: int, raw: RawTarget) -> None:
    ran = way.run("ssh", "-W", f"store:{redis}", "target", stdin=b"PING\r\nQUIT\r\n")
    assert (ran.out, ran.code) == (b"+PONG\r\n+OK\r\n", 0)
    ran = way.run("ssh", "-W", f"raw:{raw.port}", "target", stdin=b"up\n" + b"x" * MB)
    assert ran.out == b"%d %d\n" % (MB, zlib.crc32(b"x" * MB)), "what was counted at the end came back after it"


def test_a_hop_leads_to_another_sshd_with_a_key_of_one_s_own(way: Way, direct: Way, sshd: Sshd, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        way.config.read_text().replace("Host target", "Host gateway")
        + f"\nHost inner\nHostName hop\nPort {sshd.port}\nUser {sshd.user}\nIdentityFile {direct.key_file}\n"
        f"IdentitiesOnly yes\nUserKnownHostsFile {tmp_path / 'known_hosts'}\nBatchMode yes\nProxyJump gateway\n"
    )
    (tmp_path / "known_hosts").write_text(f"[hop]:{sshd.port} {sshd.host_keys['ed25519'].public}\n")
    ran = run(["ssh", "-F", str(config), "inner", "echo through; exit 7"])
    assert (ran.out, ran.code) == (b"through\n", 7), ran.err


@pytest.mark.parametrize("place", ["nowhere:6379", "127.0.0.1:9", "shell:22", "closed:{redis}", "127.0.0.2:{redis}"])
def test_unknown_and_forbidden_places_are_refused_alike_while_the_session_lives(
    stand: SshStand, redis: int, place: str
) -> None:
    host, _, port = place.format(redis=redis).partition(":")
    with SshSpeaker.logged_in((stand.host, stand.ssh_port), "shell", stand.tokens["ada"]) as client:
        with pytest.raises(Gone) as refused:
            client.opened(open_forward(7, host, int(port)))
        sentence, _, session = str(refused.value).partition(" (session ")
        assert sentence == (
            f"You have no access to target '{host}:{port}', or there is no such target; check the names, or ask for "
            f"access: hoopproxy access request {host}:{port} --for 1h --reason TEXT."
        )
        assert noted(stand, "denied", session_id=session.rstrip(")"))["reason"] == "grant"
        channel = client.opened(open_session(1))
        client.send(execute(channel, "echo alive"))
        assert client.hear(messages.DATA)[9:] == b"alive\n"


def test_a_place_out_of_zone_is_refused(way: Way, stand: SshStand, redis: int) -> None:
    ran = way.run("ssh", "-W", f"abroad:{redis}", "target")
    assert ran.code == 255 and b"administratively prohibited: " in ran.err
    assert noted(stand, "denied", target="abroad", protocol="tcp", reason="residency")["parent"]
    assert ABROAD.encode() not in ran.err


def test_a_place_that_is_down_is_told_apart(way: Way, stand: SshStand) -> None:
    targets = tomllib.loads(stand.config.with_name("targets.toml").read_text())["target"]
    (port,) = [target["port"] for target in targets if target["name"] == "down"]
    ran = way.run("ssh", "-W", f"down:{port}", "target")
    assert ran.code == 255 and b"connect failed: " in ran.err and b"(session " in ran.err


def test_its_evidence_names_its_parent_and_what_became_of_its_bytes(way: Way, stand: SshStand, raw: RawTarget) -> None:
    with forwarding(way, f"raw:{raw.port}") as (port,):
        with connected(port) as client:
            client.sendall(b"echo\n12345")
            assert received(client, 5) == b"12345"
            (parent,), (child,) = live(stand, "shell"), live(stand, "raw")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
    whose = {"session_id": child["session_id"]}
    permitted = noted(stand, "permitted", **whose)
    assert (permitted["parent"], permitted["protocol"]) == (parent["session_id"], "tcp")
    assert noted(stand, "confirmed", **whose)["treatment"] == "not parsed, not masked"
    ended = noted(stand, "ended", **whose)
    assert (ended["tally"]["bytes_to_server"], ended["tally"]["bytes_to_client"]) == (10, 5)
    assert ended["recording"]["chunks"] >= 2


def test_sixty_four_megabytes_each_way_arrive_as_they_were_sent(way: Way, raw: RawTarget) -> None:
    size = 64 * MB
    with forwarding(way, f"raw:{raw.port}") as (port,):
        with connected(port) as client:
            client.sendall(b"down %d\n" % size)
            count = crc32 = 0
            while data := client.recv(1 << 18):
                count, crc32 = count + len(data), zlib.crc32(data, crc32)
            assert (count, crc32) == (size, crc32_of(size))
        with connected(port) as client:
            client.sendall(b"up\n")
            for block in blocks(size):
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)
            assert client.makefile("rb").read() == b"%d %d\n" % (size, crc32_of(size))


def test_many_at_once_do_not_mix(way: Way, raw: RawTarget) -> None:
    with forwarding(way, f"raw:{raw.port}") as (port,), ExitStack() as exits:
        clients = [exits.enter_context(connected(port)) for _ in range(30)]
        dice = random.Random(6)
        said = [dice.randbytes(dice.randrange(1, 100_000)) for _ in clients]
        for client, words in zip(clients, said, strict=True):
            client.sendall(b"echo\n" + words)
        for client, words in zip(clients, said, strict=True):
            assert received(client, len(words)) == words


def test_a_killed_child_is_cut_off_alone(way: Way, stand: SshStand, raw: RawTarget) -> None:
    with forwarding(way, f"raw:{raw.port}") as (port,):
        with connected(port) as client:
            client.sendall(b"echo\nx")
            assert client.recv(1) == b"x"
            (child,) = live(stand, "raw")
            assert control(stand).call("kill", id=child["session_id"], reason="lunch")["ended"]
            assert client.recv(1) == b""
        with connected(port) as client:
            client.sendall(b"echo\ny")
            assert client.recv(1) == b"y"


def test_a_killed_parent_takes_its_children_along(way: Way, stand: SshStand, raw: RawTarget) -> None:
    with forwarding(way, f"raw:{raw.port}") as (port,):
        with connected(port) as client:
            client.sendall(b"echo\nx")
            assert client.recv(1) == b"x"
            (parent,), (child,) = live(stand, "shell"), live(stand, "raw")
            assert control(stand).call("kill", id=parent["session_id"], reason="lunch")["ended"]
            assert client.recv(1) == b""
    assert noted(stand, "ended", session_id=parent["session_id"])["reason"] == "revoked"
    assert noted(stand, "ended", session_id=child["session_id"])["reason"] == "broken-off"
    assert not live(stand, "raw")
