"""Bulk, many channels and slow readers over SSH and raw TCP, and many sessions of all kinds: memory stays where it is.

Times and memory are printed; bytes, errors and the growth of memory are asserted.
"""

import hashlib
import socket
import ssl
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import cycle
from time import perf_counter

import pytest

from hoopproxy.testing.bare_client import BareClient
from hoopproxy.testing.load import Latencies
from hoopproxy.testing.raw_target import blocks, crc32_of
from hoopproxy.testing.ssh_speaker import Gone, SshSpeaker, execute, open_forward, open_session
from hoopproxy.testing.stand import ACCOUNT
from hoopproxy.wire.ssh import messages
from tests.load.conftest import GROWTH_BYTES_MAX, MIB, Watched

from .conftest import Speaks, WireScale, WireStand
from .web import Http1

WORD = b"0123456789abcde\n"
READ_BYTES = 1 << 18


def words_of(bytes_count: int) -> Iterator[bytes]:
    """What `yes 0123456789abcde` says, so much of it."""
    block = WORD * (MIB // len(WORD))
    for start in range(0, bytes_count, len(block)):
        yield block[: bytes_count - start]


def sha256_of(bytes_count: int) -> str:
    digest = hashlib.sha256()
    for block in words_of(bytes_count):
        digest.update(block)
    return digest.hexdigest()


def rate(bytes_count: int, started_s: float) -> str:
    return f"{bytes_count / MIB:.0f} MiB at {bytes_count / MIB / (perf_counter() - started_s):.0f} MiB/s"


def test_bulk_down_over_ssh(stand: WireStand, watched: Watched, wire_scale: WireScale) -> None:
    size, digest, started_s = wire_scale.bytes_count, hashlib.sha256(), perf_counter()
    command = stand.command(f"yes {WORD.decode().strip()} | head -c {size}")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as ssh:
        assert ssh.stdout is not None
        while data := ssh.stdout.read1(READ_BYTES):
            digest.update(data)
    assert ssh.returncode == 0 and digest.hexdigest() == sha256_of(size)
    watched.tell(f"SSH down: {rate(size, started_s)}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_bulk_up_over_ssh(stand: WireStand, watched: Watched, wire_scale: WireScale) -> None:
    size, started_s = wire_scale.bytes_count, perf_counter()
    with subprocess.Popen(stand.command("sha256sum"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ssh:
        assert ssh.stdin is not None and ssh.stdout is not None
        for block in words_of(size):
            ssh.stdin.write(block)
        ssh.stdin.close()
        assert ssh.stdout.read().split()[0].decode() == sha256_of(size)
    watched.tell(f"SSH up: {rate(size, started_s)}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_bulk_down_over_tcp(stand: WireStand, watched: Watched, wire_scale: WireScale) -> None:
    size, count, crc32, started_s = wire_scale.bytes_count, 0, 0, perf_counter()
    with socket.create_connection(stand.tcp, 60) as client:
        client.sendall(b"down %d\n" % size)
        while data := client.recv(READ_BYTES):
            count, crc32 = count + len(data), zlib.crc32(data, crc32)
    assert (count, crc32) == (size, crc32_of(size))
    watched.tell(f"TCP down: {rate(size, started_s)}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_bulk_up_over_tcp(stand: WireStand, watched: Watched, wire_scale: WireScale) -> None:
    size, started_s = wire_scale.bytes_count, perf_counter()
    with socket.create_connection(stand.tcp, 60) as client:
        client.sendall(b"up\n")
        for block in blocks(size):
            client.sendall(block)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answer:
            assert answer.read() == b"%d %d\n" % (size, crc32_of(size))
    watched.tell(f"TCP up: {rate(size, started_s)}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def echoing(client: SshSpeaker, number: int = 0) -> Callable[[], None]:
    """Something that runs there and says back what it is told; each call asks once."""
    channel = client.opened(open_session(number))
    client.send(execute(channel, "cat"))
    client.hear(messages.CHANNEL_SUCCESS)

    def ask() -> None:
        client.send(messages.output(channel, 0, WORD))
        assert client.hear(messages.DATA)[9:] == WORD

    return ask


def test_a_reader_that_stalls_over_ssh_hurts_only_itself(speaks: Speaks, watched: Watched) -> None:
    other, stalled = echoing(speaks()), speaks(person="franz", receive_bytes=4096)
    watched.begin()
    for number in range(8):
        channel = stalled.opened(open_session(number, window=messages.UINT32_MAX))
        stalled.send(execute(channel, "cat /dev/zero"))
    for _ in range(200):
        other()
    watched.tell("eight endless commands whose client reads nothing")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_a_reader_that_stalls_over_tcp_hurts_only_itself(stand: WireStand, watched: Watched) -> None:
    with ExitStack() as exits:
        other = exits.enter_context(socket.create_connection(stand.tcp, 60))
        other.sendall(b"echo\n")
        watched.begin()
        for _ in range(8):
            stalled = exits.enter_context(socket.create_connection(stand.tcp, 60))
            stalled.sendall(b"down 1000000000\n")
        for _ in range(200):
            other.sendall(WORD)
            assert other.recv(len(WORD)) == WORD
        watched.tell("eight transfers over TCP whose client reads nothing")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_a_target_that_takes_nothing_stops_its_client(stand: WireStand, watched: Watched) -> None:
    with socket.create_connection(stand.tcp, 60) as client, socket.create_connection(stand.tcp, 60) as other:
        client.sendall(b"hush\n")
        client.setblocking(False)
        sent = 0
        with suppress(BlockingIOError):
            for block in blocks(2_000_000_000):
                sent += client.send(block)
        assert sent < GROWTH_BYTES_MAX
        other.sendall(b"echo\n" + WORD)
        assert other.recv(len(WORD)) == WORD
    watched.tell(f"a target that takes nothing: its client could send {sent / MIB:.1f} MiB")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_a_forwarded_channel_that_stalls_holds_up_neither_its_siblings_nor_its_parent(
    stand: WireStand, speaks: Speaks, watched: Watched
) -> None:
    client, port = speaks(), raw_port(stand)
    ask = echoing(client)
    watched.begin()
    hushed = client.opened(open_forward(1, "raw", port))
    client.send(messages.output(hushed, 0, b"hush\n"))
    for _ in range(64):  # two megabytes: as much as there is room for, or more than anybody takes
        client.send(messages.output(hushed, 0, bytes(32_000)))
        ask()
    watched.tell("two megabytes into a channel whose target takes nothing")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def raw_port(stand: WireStand) -> int:
    text = stand.config.with_name("targets.toml").read_text()
    return int(text[text.index('name = "raw"') :].partition("port = ")[2].split()[0])


def test_channels_one_after_the_other(speaks: Speaks, watched: Watched, wire_scale: WireScale) -> None:
    client, started_s = speaks(), perf_counter()
    watched.begin()
    for _ in range(wire_scale.opens):
        channel = client.opened(open_session(5))
        client.send(messages.close(channel))
        client.hear(messages.CLOSE)
    watched.tell(f"{wire_scale.opens} channels, {1000 * (perf_counter() - started_s) / wire_scale.opens:.1f} ms each")
    assert watched.grown_bytes < GROWTH_BYTES_MAX
    echoing(client)()


def test_forwarded_channels_one_after_the_other(
    stand: WireStand, speaks: Speaks, watched: Watched, wire_scale: WireScale
) -> None:
    client, port, started_s, opens = speaks(), raw_port(stand), perf_counter(), wire_scale.opens // 5
    watched.begin()
    for _ in range(opens):
        channel = client.opened(open_forward(5, "raw", port))
        client.send(messages.output(channel, 0, b"echo\n" + WORD))
        assert client.hear(messages.DATA)[9:] == WORD
        client.send(messages.end_of_file(channel), messages.close(channel))
        client.hear(messages.CLOSE)
    watched.tell(f"{opens} forwarded channels, {1000 * (perf_counter() - started_s) / opens:.1f} ms each")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_more_channels_than_a_client_may_have_are_refused_and_those_it_has_go_on(speaks: Speaks) -> None:
    client = speaks()
    asks = [echoing(client)]
    for number in range(1, 256):
        client.opened(open_session(number))
    with pytest.raises(Gone, match=r"limits\.channels_max"):
        client.opened(open_session(256))
    asks[0]()


def test_requests_without_end_wait_for_their_answers(speaks: Speaks, watched: Watched) -> None:
    client, ask = speaks(), echoing(speaks(person="franz"))
    channel = client.opened(open_session(0))
    watched.begin()
    signal = messages.channel_request(channel, "signal", False, messages.string(b"USR1"))
    keepalive = bytes((messages.GLOBAL_REQUEST,)) + messages.string(b"keepalive@openssh.com") + b"\1"
    for _ in range(20):
        client.send(*[signal] * 100, *[keepalive] * 100)
        ask()
    for _ in range(2000):
        client.hear(messages.REQUEST_SUCCESS, messages.REQUEST_FAILURE)
    watched.tell("2000 signals and 2000 signs of life at once")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_mixed_sessions_in_one_gateway(
    stand: WireStand, speaks: Speaks, watched: Watched, wire_scale: WireScale
) -> None:
    context, started_s = ssl.create_default_context(cafile=stand.ca_file), perf_counter()
    quarter = wire_scale.sessions // 4
    people = cycle(("ada", "franz"))
    asks: dict[str, list[Callable[[], None]]] = {"PostgreSQL": [], "SSH": [], "TCP": [], "HTTP": []}
    with ExitStack() as exits:
        for _ in range(quarter):
            client = exits.enter_context(BareClient((stand.host, stand.port)))
            client.start_tls(context)
            client.log_in(ACCOUNT, "ledger", stand.tokens[next(people)])
            asks["PostgreSQL"].append(lambda client=client: queried(client))  # type: ignore[misc] # bound now
            asks["SSH"].append(echoing(speaks(person=next(people))))
            raw = exits.enter_context(socket.create_connection(stand.tcp, 60))
            raw.sendall(b"echo\n")
            asks["TCP"].append(lambda raw=raw: echoed(raw))  # type: ignore[misc] # bound now
            web = exits.enter_context(Http1(stand, person=next(people)))
            fetched(web)  # its session begins with it
            asks["HTTP"].append(lambda web=web: fetched(web))  # type: ignore[misc] # bound now
        entered_s = perf_counter() - started_s
        took_s: dict[str, list[float]] = {kind: [] for kind in asks}
        for _ in range(wire_scale.rounds):
            threads = [threading.Thread(target=timed, args=(asks[kind], took_s[kind])) for kind in asks]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    shown = "; ".join(f"{kind} {Latencies(tuple(sorted(seconds)))}" for kind, seconds in took_s.items())
    watched.tell(f"{4 * quarter} mixed sessions (entered within {entered_s:.1f} s): {shown}")
    assert {kind: len(seconds) for kind, seconds in took_s.items()} == dict.fromkeys(asks, quarter * wire_scale.rounds)
    assert watched.grown_bytes < 4 * quarter * MIB


def timed(asks: list[Callable[[], None]], took_s: list[float]) -> None:
    for ask in asks:
        started_s = perf_counter()
        ask()
        took_s.append(perf_counter() - started_s)


def queried(client: BareClient) -> None:
    assert client.ask("SELECT 1").tags == ["SELECT 1"]


def fetched(client: Http1) -> None:
    assert b"Ada Lovelace" in client.ask("GET /customers/1")


def echoed(client: socket.socket) -> None:
    client.sendall(WORD)
    assert client.recv(len(WORD)) == WORD
