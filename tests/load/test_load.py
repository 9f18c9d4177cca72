"""Many sessions, large answers and large questions through one gateway: no error, and its memory stays where it is.

Times and memory are printed; counts, errors and the growth of memory are asserted.
"""

import os
import signal
import struct
from collections.abc import Callable
from contextlib import contextmanager
from itertools import cycle
from time import perf_counter
from typing import Any

import pytest

from hoopproxy.testing.bare_client import BareClient, message, query
from hoopproxy.testing.load import paced
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.vitals import Vitals

from .conftest import GROWTH_BYTES_MAX, MIB, Enter, Scale, Watched

type Direct = Callable[[str], BareClient]

FEW = "SELECT id, name, card FROM people WHERE id <= 10"


def test_sessions_that_each_ask_every_second(enter: Enter, watched: Watched, scale: Scale) -> None:
    started_s = perf_counter()
    who = cycle((person, f"127.0.0.{last}") for person in ("ada", "franz") for last in range(1, 11))
    target = cycle(("plain", "ledger"))
    seats = (next(who) for _ in range(scale.sessions))
    clients = [enter(next(target), person, source=source) for person, source in seats]
    entered_s = perf_counter() - started_s
    watched.begin()
    latencies = paced(clients, FEW, every_s=1.0, rounds=scale.rounds)
    assert len(latencies.seconds) == scale.sessions * scale.rounds
    watched.tell(
        f"{scale.sessions} sessions, each a query every second for {scale.rounds} s: {latencies}"
        f" (logged in one after another within {entered_s:.1f} s)"
    )
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    started_s = perf_counter()
    return work(), perf_counter() - started_s


@pytest.mark.parametrize("statement", ["SELECT * FROM people", "COPY people TO STDOUT", "COPY people TO STDOUT BINARY"])
def test_many_rows_equal_those_of_the_server(
    enter: Enter, direct: Direct, watched: Watched, scale: Scale, statement: str
) -> None:
    client = enter("plain")
    answer, took_s = seconds(lambda: client.ask(statement))
    wanted = direct("plain").ask(statement)
    assert (answer.rows, answer.row_bytes, answer.crc32) == (wanted.rows, wanted.row_bytes, wanted.crc32)
    assert answer.said == wanted.said
    assert answer.tags[0].split()[-1] == str(scale.rows)
    watched.tell(f"{statement}, {scale.rows} rows: {answer.row_bytes / MIB / took_s:.0f} MiB/s")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_many_masked_rows(enter: Enter, direct: Direct, watched: Watched, scale: Scale) -> None:
    client, statement = enter("ledger"), "SELECT * FROM people"
    answer, took_s = seconds(lambda: client.ask(statement))
    clear = direct("ledger").ask(statement)
    assert answer.tags == [f"SELECT {scale.rows}"]
    assert (answer.rows, answer.row_bytes) == (clear.rows, clear.row_bytes)  # a partial mask keeps the length
    assert answer.crc32 != clear.crc32
    watched.tell(f"{statement}, {scale.rows} rows, a column masked: {answer.row_bytes / MIB / took_s:.0f} MiB/s")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_many_rows_copied_in(enter: Enter, direct: Direct, watched: Watched, scale: Scale) -> None:
    client, lines = enter("plain"), (b"%d\tname %d\t41111111%08d\n" * 1000)
    assert not client.ask("TRUNCATE sink").errors
    assert client.ask("COPY sink FROM STDIN").said[0][0] == b"G"
    started_s, sent_bytes = perf_counter(), 0
    for first in range(0, scale.rows, 1000):
        block = message(b"d", lines % tuple(number for at in range(first, first + 1000) for number in (at, at, at)))
        client.send(block)
        sent_bytes += len(block)
    client.send(message(b"c"))
    assert client.answer().tags == [f"COPY {scale.rows}"]
    watched.tell(
        f"COPY FROM STDIN, {scale.rows} rows: {sent_bytes / MIB / (perf_counter() - started_s):.0f} MiB/s, "
        "the making of them included"
    )
    assert watched.grown_bytes < GROWTH_BYTES_MAX
    counted = direct("plain").ask("COPY (SELECT count(*), sum(id) FROM sink) TO STDOUT")
    assert counted.row_bytes == 5 + len(f"{scale.rows}\t{scale.rows * (scale.rows - 1) // 2}\n")


LARGE = {
    "made": ("plain", "SELECT repeat('x', {0})"),
    "stored": ("plain", "SELECT * FROM documents"),
    "in a masked table": ("ledger", "SELECT body, comment FROM documents"),
    "behind a masked column": ("ledger", "SELECT card, body FROM documents"),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_huge_value(enter: Enter, direct: Direct, watched: Watched, scale: Scale, kind: str) -> None:
    target, template = LARGE[kind]
    client, statement = enter(target), template.format(scale.value_bytes)
    answer, took_s = seconds(lambda: client.ask(statement))
    assert answer.errors == [] and answer.tags == ["SELECT 1"]
    assert answer.row_bytes > scale.value_bytes
    if "masked column" not in kind:
        wanted = direct(target).ask(statement)
        assert (answer.row_bytes, answer.crc32) == (wanted.row_bytes, wanted.crc32)
    watched.tell(f"a value of {scale.value_bytes / MIB:.0f} MiB, {kind}: {answer.row_bytes / MIB / took_s:.0f} MiB/s")
    assert watched.grown_bytes < GROWTH_BYTES_MAX
    assert client.ask("SELECT 1").tags == ["SELECT 1"]


def test_a_huge_value_before_a_masked_one_is_refused(enter: Enter, watched: Watched) -> None:
    answer = enter("ledger").ask("SELECT body, card FROM documents")
    assert "limits.row_bytes_max" in answer.errors[-1]["M"] or "bytes" in answer.errors[-1]["M"]
    assert answer.rows == 0
    watched.tell(f"a huge value before a masked one: {answer.errors[-1]['M']}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX + 64 * MIB  # as much as limits.row_bytes_max is held, to be masked


def bind(value_bytes: int) -> bytes:
    """The head of a Bind of one text of that length; the text and two bytes (no result formats) are still to come."""
    body = b"\0\0" + struct.pack("!hhi", 0, 1, value_bytes)
    return b"B" + struct.pack("!i", 4 + len(body) + value_bytes + 2) + body


@pytest.mark.parametrize("target", ["plain", "ledger"])
def test_a_huge_parameter(enter: Enter, watched: Watched, scale: Scale, target: str) -> None:
    client, block = enter(target), b"y" * 1_000_000
    client.send(message(b"P", b"\0SELECT length($1::text)\0\0\0") + bind(scale.value_bytes))
    started_s = perf_counter()
    for _ in range(scale.value_bytes // len(block)):
        client.send(block)
    client.send(b"\0\0" + message(b"E", b"\0\0\0\0\0") + message(b"S"))
    answer = client.answer()
    took_s = perf_counter() - started_s
    assert answer.errors == [] and answer.tags == ["SELECT 1"]
    assert answer.row_bytes == len(message(b"D", struct.pack("!hi", 1, 0))) + len(str(scale.value_bytes))
    watched.tell(
        f"a parameter of {scale.value_bytes / MIB:.0f} MiB into {target}: {scale.value_bytes / MIB / took_s:.0f} MiB/s"
    )
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_a_statement_of_64_mib_passes(enter: Enter, direct: Direct, watched: Watched) -> None:
    client, statement = enter("plain"), "SELECT length('" + "z" * (64 * MIB) + "')"
    answer, took_s = seconds(lambda: client.ask(statement))
    wanted = direct("plain").ask(statement)
    assert answer.errors == [] and answer.tags == ["SELECT 1"]
    assert (answer.crc32, answer.said) == (wanted.crc32, wanted.said)
    watched.tell(f"a statement of 64 MiB: {took_s:.1f} s")
    assert client.ask("SELECT 1").tags == ["SELECT 1"]


def test_a_statement_over_the_limit_gets_one_sentence(enter: Enter, watched: Watched) -> None:
    client = enter("plain")
    client.send(query("SELECT length('" + "z" * (72 * MIB) + "')"))
    (error,) = client.answer().errors
    assert error["C"] == "53400"
    assert "limits.statement_bytes_max" in error["M"]
    watched.tell(f"a statement over the limit: {error['S']} {error['M']}")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def test_a_slow_reader_hurts_only_itself(
    enter: Enter, cluster: PostgresCluster, watched: Watched, scale: Scale
) -> None:
    others, slow = [enter(target) for target in ("plain", "ledger")], enter("plain", receive_bytes=4096)
    watched.begin()
    slow.send(query(f"SELECT '/* slow */', repeat('x', 1000) FROM generate_series(1, {scale.slow_bytes // 1000})"))
    read_bytes = 0
    for _ in range(20):
        read_bytes += len(slow.socket.recv(1024))
        for other in others:
            assert other.ask(FEW).tags == ["SELECT 10"]
    assert_waits(cluster, "slow", "ClientWrite")
    watched.tell(f"a slow reader took {read_bytes} of {scale.slow_bytes} bytes; 40 queries of others went on")
    assert watched.grown_bytes < GROWTH_BYTES_MAX
    slow.close()
    assert_gone(cluster, "slow")


def test_a_stalled_upstream_hurts_only_its_own_session(
    enter: Enter, cluster: PostgresCluster, watched: Watched
) -> None:
    stalled, others = enter("plain"), [enter(target) for target in ("plain", "ledger")]
    answer = stalled.ask("COPY (SELECT pg_backend_pid()) TO STDOUT")
    assert answer.tags == ["COPY 1"]
    ((backend,),) = (
        cluster.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT pg_backend_pid%'") or ()
    )
    with stopped(backend):
        stalled.send(query("SELECT 'thawed'"))
        for _ in range(20):
            for other in others:
                assert other.ask(FEW).tags == ["SELECT 10"]
        latecomer = enter("plain")
        assert latecomer.ask("SELECT 1").tags == ["SELECT 1"]
    assert stalled.answer().tags == ["SELECT 1"]
    watched.tell("an upstream that stood still: 40 queries of others went on")
    assert watched.grown_bytes < GROWTH_BYTES_MAX


@contextmanager
def stopped(pid: int) -> Any:
    """A process of our own cluster that stands still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _activity(word: str) -> str:
    return f"SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT ''/* {word} */''%'"


def assert_waits(cluster: PostgresCluster, word: str, event: str) -> None:
    """Back-pressure has reached the server: it is the one who can't go on."""
    condition = f"EXISTS ({_activity(word)} AND wait_event = '{event}')"
    assert cluster.comes(condition)
    assert cluster.execute(f"SELECT {condition}") == [(True,)]


def assert_gone(cluster: PostgresCluster, word: str) -> None:
    condition = f"NOT EXISTS ({_activity(word)})"
    assert cluster.comes(condition)
    assert cluster.execute(f"SELECT {condition}") == [(True,)]


def test_short_sessions_leave_nothing_behind(enter: Enter, stand: Stand, watched: Watched, scale: Scale) -> None:
    vitals = Vitals(stand.gateway.pid)

    def come_and_go() -> None:
        """Several at a time, since each waits a moment for the gateway's goodbye."""
        clients = [enter(target, person) for target in ("plain", "ledger") for person in ("ada", "franz") * 5]
        for client in clients:
            assert client.ask("SELECT 1").tags == ["SELECT 1"]
            client.send(message(b"X"))
        for client in clients:
            assert client.rest() == b""
            client.close()

    come_and_go()
    come_and_go()
    descriptors, start_bytes = vitals.descriptors, vitals.rss_bytes
    watched.begin()
    times = scale.logins // 20
    _, took_s = seconds(lambda: [come_and_go() for _ in range(times)])
    slope_bytes = (vitals.rss_bytes - start_bytes) / scale.logins
    watched.tell(f"{20 * times} short sessions: {1000 * took_s / scale.logins:.1f} ms and {slope_bytes:.0f} B RSS each")
    assert vitals.descriptors <= descriptors + 20
    assert watched.grown_bytes < 16 * MIB
