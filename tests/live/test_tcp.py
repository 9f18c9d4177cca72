"""Raw TCP through a gateway of its own process: programs that others wrote see no difference, and strangers nothing."""

import hashlib
import json
import socket
import ssl
import struct
import subprocess
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hoopproxy.control.client import ControlClient
from hoopproxy.disk.bundles import export, verify
from hoopproxy.disk.keys import read_private
from hoopproxy.evidence.recording import read
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.raw_target import RawTarget, blocks, crc32_of
from hoopproxy.testing.tcp_stand import ACCOUNT, TcpDoor, TcpTarget, tcp_more, together
from hoopproxy.testing.three_files import More
from hoopproxy.testing.vitals import Vitals

from .conftest import Stand
from .servers import Redis, socat

MIB = 1 << 20
BALANCER, UNLISTED = "127.0.4.1", "127.0.5.1"
HOME, ABROAD, NOWHERE = "127.0.1.7", "127.0.3.7", "127.0.9.7"
"""Client addresses: of a known service in Germany, of one in the US, and of nobody."""

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(client: str) -> bytes:
    return f"PROXY TCP4 {client} 127.0.0.1 40000 6379\r\n".encode()


def v2(client: str, tlvs: bytes = b"\x05\0\4abcd") -> bytes:
    body = ip_address(client).packed + ip_address("127.0.0.1").packed + struct.pack("!HH", 40000, 6379) + tlvs
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(body)) + body


class TcpStand(Stand):
    """A stand with doors for raw TCP before `redis`, socat and a `RawTarget`."""

    redis: Redis
    clients: dict[str, tuple[Path, Path]]

    def door(self, name: str) -> tuple[str, int]:
        host, _, port = self.gateway.endpoints[name][0].rpartition(":")
        return host, int(port)

    def visit(self, door: str, source: str = "127.0.0.1", client: str | None = None) -> socket.socket:
        """A connection to a door from there; with a `client`'s certificate ("" for none), in TLS. @raise OSError."""
        plain = socket.create_connection(self.door(door), 30, (source, 0))
        if client is None:
            return plain
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if client:
            context.load_cert_chain(*self.clients[client])
        return context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)

    def answer(self, door: str, before: bytes = b"", **how: Any) -> bytes:
        """What redis answers to such a visitor's PING; b"" for a reset."""
        try:
            with self.visit(door, **how) as visitor:
                visitor.sendall(before + b"PING\r\n")
                answer = visitor.recv(1000)
                assert answer, "an end of stream could be taken for the target's"
                return answer
        except (ConnectionError, ssl.SSLError):
            return b""


def tls_target(name: str, port: int, ca_file: Path) -> str:
    return f"""
[[target]]
name = "{name}"
protocol = "tcp"
host = "127.0.0.1"
port = {port}
zone = "EU"
country = "DE"
allow_loopback = true
[target.tls]
server_name = "localhost"
ca = {json.dumps(str(ca_file))}
[target.accounts]
{ACCOUNT} = ""
"""


def behind(name: str, protocol: str, rest: str) -> str:
    return f"""
[[listen]]
name = "{name}"
protocol = "{protocol}"
addresses = ["127.0.0.1"]
port = 0
balancers = ["127.0.4.0/24"]
{rest}
"""


PLACES = f"""
[addon.places]
use = "known-identities"
[[addon.places.identity]]
subject = "home"
groups = ["analysts"]
addresses = ["{HOME}/32", "{ABROAD}/32"]
"""

GRANT = f"""
[[grant]]
name = "tls"
roles = ["analyst"]
targets = ["cache-tls", "hash-tls"]
accounts = ["{ACCOUNT}"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 28800
"""


@pytest.fixture(scope="module")
def tcp(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcpStand]:
    """Doors `near-…` in the clear, `tls-…` for certificates (before the target of that name in TLS), `behind…`."""
    leaf = authority.issue("tcp", dns=("localhost",), ips=("127.0.0.1",))
    directory = tmp_path_factory.mktemp("tcp")
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "stand")
    issued = {
        "batch": authority.issue("batch", dns=("batch.example",)),
        "nobody": authority.issue("nobody", dns=("nobody.example",)),
        "late": authority.issue("late", dns=("batch.example",), expired=True),
        "server": authority.issue("server", dns=("batch.example",), for_servers_only=True),
        "stranger": stranger.issue("batch", dns=("batch.example",)),
    }
    certificate = f"cert={leaf.certificate_file},key={leaf.key_file},cafile={authority.ca_file},verify=0"
    with ExitStack() as stack:
        cluster = stack.enter_context(
            PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=(leaf.certificate_file, leaf.key_file))
        )
        redis = stack.enter_context(Redis(tmp_path_factory.mktemp("redis"), leaf, authority.ca_file))
        hashes = stack.enter_context(socat("TCP4-LISTEN:0,bind=127.0.0.1,fork", "SYSTEM:sha256sum"))
        listens = f"OPENSSL-LISTEN:0,pf=ip4,bind=127.0.0.1,fork,{certificate}"
        hashes_tls = stack.enter_context(socat(listens, "SYSTEM:sha256sum"))
        bulk = stack.enter_context(RawTarget())
        servers = {"cache": redis, "hash": hashes, "bulk": bulk}
        plain = [TcpTarget(name, "127.0.0.1", server.port) for name, server in servers.items()]
        secrets = directory / "secrets"
        mutual = {"tls-cache": "cache-tls", "tls-hash": "hash-tls", "tls-bulk": "bulk"}
        doors = [TcpDoor(f"near-{name}", name) for name in servers]
        doors += [TcpDoor(name, target, authority.ca_file, secrets) for name, target in mutual.items()]
        own = f'certificate = "{secrets}/gateway.crt"\nkey = "{secrets}/gateway.key"'
        more = More(
            main=behind("behind", "tcp", 'target = "cache"\nplaintext = "always"')
            + behind("behind-tls", "tcp", f'target = "cache"\nclient_ca = "{authority.ca_file}"\n{own}')
            + behind("behind-pg", "postgres", own)
            + PLACES,
            targets=tls_target("cache-tls", redis.tls_port, authority.ca_file)
            + tls_target("hash-tls", hashes_tls.port, authority.ca_file),
            policy=GRANT,
            authenticators=("places",),
        )
        stand = TcpStand(
            directory, cluster, authority, {"plain": ""}, masks="", more=together(tcp_more(plain, doors), more)
        )
        stand.redis = redis
        stand.clients = {name: (each.certificate_file, each.key_file) for name, each in issued.items()}
        yield stack.enter_context(stand)


# redis-cli ------------------------------------------------------------------------------------------------------------


type Cli = Callable[..., str]


def cli(port: int, *tls: str) -> Cli:
    def run(*words: str, stdin: str = "") -> str:
        command = ["redis-cli", "-h", "localhost" if tls else "127.0.0.1", "-p", str(port), *tls, *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=60).stdout

    return run


@pytest.fixture(params=["near-cache", "tls-cache"])
def both(request: pytest.FixtureRequest, tcp: TcpStand) -> tuple[Cli, Cli]:
    """redis-cli past the gateway and through it, in the clear or in TLS on both legs."""
    cert, key = tcp.clients["batch"]
    tls = ("--tls", "--cacert", str(tcp.ca_file)) if request.param == "tls-cache" else ()
    mine = ("--cert", str(cert), "--key", str(key)) if tls else ()
    port = tcp.redis.tls_port if tls else tcp.redis.port
    return cli(port, *tls), cli(tcp.door(request.param)[1], *tls, *mine)


def test_redis_cli_says_the_same_direct_and_through_the_gateway(both: tuple[Cli, Cli]) -> None:
    said = []
    for run in both:
        run("FLUSHALL")
        lines = "".join(f"SET key:{n} {n * 'x'}\nGET key:{n}\n" for n in range(40))
        commands = "".join(f"INCR counter\nAPPEND log {n}\n" for n in range(500))
        inserts = "".join(f"RPUSH list {n}\r\n" for n in range(10_000))
        said.append(
            (
                run("PING"),
                run("SET", "greeting", "grüß dich"),
                run("--no-raw", "GET", "greeting"),
                run("GET", "nothing"),
                run("NO-SUCH-COMMAND", "really"),
                run(stdin=lines),
                run(stdin=commands),
                run("--pipe", stdin=inserts),
                run("LRANGE", "list", "0", "-1"),
                run("EVAL", "return {1, {2, 'three'}, false}", "0"),
            )
        )
    assert said[0] == said[1]
    assert said[0][0] == "PONG\n" and "\n500\n" in said[1][6] and "replies: 10000" in said[1][7]


def test_it_hears_what_is_published_while_it_only_listens(tcp: TcpStand, both: tuple[Cli, Cli]) -> None:
    with tcp.visit("near-cache") as listening:
        listening.sendall(b"SUBSCRIBE news\r\n")
        assert listening.recv(1000).startswith(b"*3\r\n$9\r\nsubscribe")
        assert both[1]("PUBLISH", "news", "hello") == "1\n"
        assert b"hello" in listening.recv(1000)


# Half-close -----------------------------------------------------------------------------------------------------------


def spoken_by_socat(tcp: TcpStand, door: str, said: Path) -> bytes:
    """What comes back when socat says all of a file, and then no more."""
    cert, key = tcp.clients["batch"]
    host, port = tcp.door(door)
    address = f"TCP:{host}:{port},shut-down"
    if door.startswith("tls-"):
        address = f"OPENSSL:localhost:{port},pf=ip4,cafile={tcp.ca_file},cert={cert},key={key}"
    with said.open("rb") as file:
        ran = subprocess.run(
            ["socat", "-b", "262144", "-t", "60", "-", address], stdin=file, capture_output=True, timeout=90
        )
    assert ran.stderr == b""
    return ran.stdout


@pytest.mark.parametrize("door", ["near-hash", "tls-hash"])
@pytest.mark.parametrize("size", [0, 1, 5 * MIB])
def test_socat_hears_an_answer_that_is_given_only_after_the_end(
    tcp: TcpStand, tmp_path: Path, door: str, size: int
) -> None:
    (tmp_path / "file").write_bytes(b"".join(blocks(size)))
    said = spoken_by_socat(tcp, door, tmp_path / "file")
    assert said.split()[:1] == [hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest().encode()]


@pytest.mark.parametrize("door", ["near-bulk", "tls-bulk"])
def test_a_target_that_ends_first_is_heard_to_have_ended_and_still_hears(tcp: TcpStand, door: str) -> None:
    with tcp.visit(door, client="batch" if door == "tls-bulk" else None) as client:
        client.sendall(b"down 3000000\n")
        assert taken(client) == (3_000_000, crc32_of(3_000_000))


# Bulk -----------------------------------------------------------------------------------------------------------------


def taken(client: socket.socket) -> tuple[int, int]:
    count = crc32 = 0
    while data := client.recv(1 << 18):
        count, crc32 = count + len(data), zlib.crc32(data, crc32)
    return count, crc32


@pytest.mark.parametrize("door", ["near-bulk", "tls-bulk"])
def test_64_mib_both_ways_at_once_are_equal(tcp: TcpStand, tmp_path: Path, door: str) -> None:
    said = b"".join(blocks(64 * MIB))
    (tmp_path / "file").write_bytes(b"echo\n" + said)
    assert spoken_by_socat(tcp, door, tmp_path / "file") == said


def test_a_reader_that_takes_nothing_keeps_memory_flat_and_disturbs_nobody(tcp: TcpStand) -> None:
    vitals = Vitals(tcp.gateway.pid)
    with tcp.visit("near-bulk") as stalled, tcp.visit("near-cache") as other:
        other.sendall(b"PING\r\n")
        assert other.recv(100) == b"+PONG\r\n"
        before = vitals.rss_bytes
        vitals.forget_peak()
        stalled.sendall(b"down 1000000000\n")
        for _ in range(300):
            other.sendall(b"PING\r\n")
            assert other.recv(100) == b"+PONG\r\n"
        assert vitals.peak_bytes - before < 8 * MIB
        got = 0
        while got < 64 * MIB:
            got += len(stalled.recv(1 << 18))
        assert vitals.peak_bytes - before < 8 * MIB


def test_who_resets_amid_an_upload_is_not_taken_for_one_who_has_ended(tcp: TcpStand) -> None:
    """Else a target would keep half a file for a whole one."""
    with tcp.visit("near-hash") as client:
        client.sendall(b"half of it")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert tcp.gateway.heard("ended", holding="client's connection broke off")["code"] == "broken-off"


# Who may --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "why"),
    [
        ("nobody", "no authenticator knows the x509 key with SHA-256"),
        ("late", "has expired"),
        ("stranger", "is signed by nobody among the authorities"),
        ("server", "is not meant for this end of a connection"),
    ],
)
def test_a_certificate_of_nobody_is_nothing(tcp: TcpStand, client: str, why: str) -> None:
    assert tcp.answer("tls-cache", client=client) == b""
    assert tcp.gateway.heard("denied", holding=why)


def test_without_a_certificate_nobody_comes_in_where_one_is_wanted(tcp: TcpStand) -> None:
    assert tcp.answer("tls-cache", client="") == b""
    assert tcp.gateway.heard("denied", holding="did not return a certificate")


def test_in_the_clear_nobody_comes_in_where_tls_is_wanted(tcp: TcpStand) -> None:
    with tcp.visit("tls-cache") as visitor:
        visitor.sendall(b"PING\r\n")
        assert b"PONG" not in visitor.recv(100)


def test_an_address_of_nobody_is_reset_and_the_operator_told(tcp: TcpStand) -> None:
    assert tcp.answer("near-cache", source=NOWHERE) == b""
    assert tcp.gateway.heard("denied", holding=f"no authenticator knows {NOWHERE}")


# Balancers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [v1, v2])
def test_the_client_is_whom_a_listed_balancer_names(tcp: TcpStand, header: Callable[[str], bytes]) -> None:
    with tcp.visit("behind", source=BALANCER) as client:
        client.sendall(header(HOME) + b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"


@pytest.mark.parametrize("header", [v1, v2])
def test_tls_may_come_right_behind_the_header(tcp: TcpStand, header: Callable[[str], bytes]) -> None:
    context = ssl.create_default_context(cafile=str(tcp.ca_file))
    context.load_cert_chain(*tcp.clients["batch"])
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(came, goes, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with tcp.visit("behind-tls", source=BALANCER) as client:
        client.sendall(header(NOWHERE if header is v1 else HOME) + goes.read())  # one segment, most likely

        def pumped(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    client.sendall(goes.read())
                    came.write(client.recv(65536))

        pumped(tls.do_handshake)
        tls.write(b"PING\r\n")
        if header is v2:
            assert pumped(lambda: tls.read(100)) == b"+PONG\r\n"
        else:  # known by certificate, and sitting nowhere
            with pytest.raises(ConnectionError):
                pumped(lambda: tls.read(100))


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        (UNLISTED, v1(HOME)),
        (UNLISTED, v2(HOME)),
        ("127.0.0.1", v1(HOME)),
        (BALANCER, v1(ABROAD)),
        (BALANCER, v2(NOWHERE)),
        (BALANCER, b""),
        (BALANCER, b"PROXY UNKNOWN\r\n"),
    ],
    ids=["unlisted-v1", "unlisted-v2", "known", "abroad", "nowhere", "none", "unknown"],
)
def test_who_is_not_named_by_a_balancer_is_nobody_or_whoever_it_is(tcp: TcpStand, source: str, sent: bytes) -> None:
    answer = tcp.answer("behind", source=source, before=sent)
    assert answer.startswith(b"-ERR unknown command") if source == "127.0.0.1" else answer == b""


@pytest.mark.parametrize("header", [v1, v2])
def test_so_it_is_before_postgresql(tcp: TcpStand, header: Callable[[str], bytes]) -> None:
    """Everything that libpq says comes through a relay that says first for whom."""
    with socket.create_server(("127.0.0.1", 0)) as balancer:

        def relays(client: str, source: str) -> None:
            near, _ = balancer.accept()
            with near, tcp.visit("behind-pg", source=source) as far:
                far.sendall(header(client))
                ways = [threading.Thread(target=pour, args=way) for way in ((near, far), (far, near))]
                for way in ways:
                    way.start()
                for way in ways:
                    way.join()

        def connects(client: str, source: str) -> str:
            relaying = threading.Thread(target=relays, args=(client, source))
            relaying.start()
            try:
                dsn = tcp.dsn("ada", "plain", source=None)
                with psycopg.connect(dsn, port=str(balancer.getsockname()[1])) as connection:
                    return str(connection.execute("SELECT 'in'").fetchone())
            except psycopg.OperationalError as why:
                return str(why)
            finally:
                relaying.join()

        assert connects(HOME, BALANCER) == "('in',)"
        assert "residency" in connects(ABROAD, BALANCER) or "zone" in connects(ABROAD, BALANCER)
        assert "in" not in connects(HOME, UNLISTED).split("'")


def pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


# Evidence -------------------------------------------------------------------------------------------------------------


def test_the_evidence_says_what_was_not_looked_at_and_how_much_it_was(tcp: TcpStand, tmp_path: Path) -> None:
    with tcp.visit("near-bulk", source=HOME) as client:
        client.sendall(b"down 100000\n")
        client.shutdown(socket.SHUT_WR)
        assert taken(client) == (100_000, crc32_of(100_000))
    killed = tcp.visit("near-cache", source=HOME)
    killed.sendall(b"PING\r\n")
    assert killed.recv(100) == b"+PONG\r\n"
    control = ControlClient(tcp.control_socket)
    (live,) = [each for each in control.call("sessions")["sessions"] if each["client"] == HOME]
    assert control.call("kill", id=live["session_id"], reason="lunch")["ended"] is True
    with pytest.raises(ConnectionError):
        killed.recv(100)
    killed.close()
    tcp.gateway.stop()
    try:
        head = export(tcp.log_directory, tcp.recordings, tmp_path / "bundle.zip")
        assert verify(tmp_path / "bundle.zip", head).problems == ()
        with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
            log = [json.loads(line) for line in archive.read("log.jsonl").splitlines()]
        raw = {entry["connection_id"] for entry in log if entry["kind"] == "permitted" and entry["protocol"] == "tcp"}
        confirmed = [entry for entry in log if entry["kind"] == "confirmed" and entry["connection_id"] in raw]
        assert {entry["treatment"] for entry in confirmed} == {"not parsed, not masked"}
        ended = {entry["connection_id"]: entry for entry in log if entry["kind"] == "ended"}
        (of_bulk,) = [entry for entry in ended.values() if entry["tally"]["bytes_to_client"] == 100_000]
        assert of_bulk["tally"]["bytes_to_server"] == len("down 100000\n") and of_bulk["tally"]["statements"] == 1
        assert of_bulk["reason"].endswith("left")
        assert "revoked" in {entry["reason"] for entry in ended.values() if entry["connection_id"] in raw}
        with (tcp.recordings / of_bulk["recording"]["location"]).open("rb") as stream:
            recorded = str([str(part) for part in read(stream, read_private(tcp.zone_key))])
        assert "tcp" in recorded and "copied" in recorded
    finally:
        tcp.start()
