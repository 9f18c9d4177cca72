"""Crowds before the door: clients that are slow, silent, gone at once or too many for the gateway's descriptors."""

import resource
import selectors
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from time import perf_counter

import pytest

from hoopproxy.testing.bare_client import SSL_REQUEST, BareClient, message, query, startup
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import ACCOUNT
from hoopproxy.testing.vitals import Vitals

from .conftest import CUSTOMERS, Stand
from .hostile import at_password, fresh, in_tls, let_in, open_another_door, refusal

pytestmark = pytest.mark.usefixtures("unharmed")

GOOD = startup({"user": ACCOUNT, "database": "plain"})


@pytest.fixture(scope="module")
def stand(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """It waits no longer than a second for a handshake."""
    leaf = authority.issue("crowds", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=certificate) as cluster:
        directory, limits = tmp_path_factory.mktemp("stand"), "handshake_s_max = 1.0"
        with Stand(directory, cluster, authority, {"plain": CUSTOMERS}, masks="", limits=limits) as running:
            open_another_door(running)
            yield running


def dribbled(client: BareClient, data: bytes) -> bytes:
    """Says a byte whenever nothing has come for a while, until the gateway ends it: its answer."""
    answer = b""
    with client, selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        for at in range(len(data)):
            if selector.select(0.1):
                received = b""
                with suppress(ConnectionError, ssl.SSLError):
                    received = client.socket.recv(4096)
                answer += received
                if not received:
                    return answer
            with suppress(OSError):
                client.send(data[at : at + 1])
    raise AssertionError(f"the gateway has listened to all {len(data)} bytes")


def test_who_says_a_byte_at_a_time_is_cut_off(stand: Stand) -> None:
    token = message(b"p", b"e" * 1000)
    assert "within 1 s" in refusal(dribbled(fresh(stand), GOOD.ljust(100, b"\0")))["M"]
    assert "within 1 s" in refusal(dribbled(at_password(stand), token))["M"]
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
    dribbled(fresh(stand, "front"), hello)  # direct TLS: no answer in the clear would be understood
    shaking = fresh(stand)
    shaking.send(SSL_REQUEST)
    assert shaking.socket.recv(1) == b"S"
    dribbled(shaking, hello)
    assert "within 1 s" in refusal(dribbled(in_tls(stand), GOOD.ljust(100, b"\0")))["M"]
    with let_in(stand) as patient:  # once let in, slowness is nobody's business but theirs
        for byte in query("SELECT 'slow'"):
            patient.send(bytes([byte]))
        assert patient.answer().tags == ["SELECT 1"]


def test_three_hundred_silent_connections_delay_nobody(stand: Stand) -> None:
    with ExitStack() as crowd:
        for at in range(300):
            silent = crowd.enter_context(fresh(stand, ("open", "front")[at % 2], f"127.0.0.{at % 50 + 1}"))
            if at % 3 == 1:
                silent.send(SSL_REQUEST)
            elif at % 3 == 2:
                silent.send(GOOD[: at % len(GOOD)])
        for at in range(20):
            with let_in(stand, source=f"127.0.0.{at + 100}") as client:
                assert client.ask("SELECT count(*) FROM orders").tags == ["SELECT 1"]


def test_a_storm_of_connections_that_are_reset_at_once(stand: Stand) -> None:
    with let_in(stand) as inside:
        for at in range(1500):
            client = fresh(stand, ("open", "front")[at % 2], f"127.0.0.{at % 50 + 1}")
            if at % 5 == 1:
                client.send(SSL_REQUEST)
            elif at % 5 == 2:
                client.send(GOOD)
            elif at % 5 == 3:
                client.send(SSL_REQUEST + bytes(100))
            client.reset()
            if at % 100 == 0:
                assert inside.ask("SELECT 1").tags == ["SELECT 1"]


def test_clients_that_vanish_while_they_are_let_in_and_served(stand: Stand) -> None:
    for at in range(30):
        client = at_password(stand)
        client.send(message(b"p", stand.tokens["ada"].encode() + b"\0"))
        if at % 3:
            client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        if at % 3 == 2:
            client.socket.recv(1)
        client.reset()
    assert stand.cluster.comes(f"NOT {runs('SELECT repeat%')}")


def runs(statement: str) -> str:
    """Whether somebody's backend is at it."""
    return f"EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '{statement}' AND state = 'active')"


def test_a_gateway_without_descriptors_goes_on_and_takes_clients_again(stand: Stand) -> None:
    vitals = Vitals(stand.gateway.pid)
    before = resource.prlimit(vitals.pid, resource.RLIMIT_NOFILE)
    with let_in(stand) as inside, ExitStack() as crowd:
        said = len(stand.gateway.said())
        resource.prlimit(vitals.pid, resource.RLIMIT_NOFILE, (vitals.descriptors + 8, before[1]))
        try:
            for at in range(60):
                crowd.enter_context(fresh(stand, "open", f"127.0.0.{at + 1}"))
            spent_s = vitals.cpu_s
            assert inside.ask("SELECT pg_sleep(1)").tags == ["SELECT 1"]
            spent_s = vitals.cpu_s - spent_s
            assert inside.ask("SELECT count(*) FROM orders").tags == ["SELECT 1"]
        finally:
            resource.prlimit(vitals.pid, resource.RLIMIT_NOFILE, before)
    assert spent_s < 0.5, "the gateway spins while it has no descriptors"
    with let_in(stand) as client:
        assert client.ask("SELECT 1").tags == ["SELECT 1"]
    told = [each for each in stand.gateway.said()[said:] if each["event"] == "connection-not-accepted"]
    assert 0 < len(told) < 5, "the log is silent, or floods"
    assert (told[0]["listener"], told[0]["error"]) == ("open", "EMFILE")


TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
"""Runs a command on a terminal of its own: what stands in its input is typed there."""


def test_ctrl_c_in_psql_stops_the_statement(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    marked = "SELECT pg_sleep(60) AS typed"
    command = [
        sys.executable,
        "-c",
        TERMINAL,
        "psql",
        "-X",
        "-v",
        "VERBOSITY=verbose",
        "-c",
        marked,
        stand.dsn("ada", "plain"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as psql:
        try:
            assert stand.cluster.comes(runs(marked))
            started_s = perf_counter()
            said, _ = psql.communicate(b"\x03", timeout=30)
            took_s = perf_counter() - started_s
        finally:
            psql.kill()
    assert b"57014" in said, said
    assert psql.returncode == 1
    with capsys.disabled():
        print(f"\nCtrl-C in psql stopped pg_sleep(60) within {1000 * took_s:.0f} ms")  # noqa: T201


def test_another_persons_key_stops_nothing(stand: Stand) -> None:
    with let_in(stand, person="ada") as ada, let_in(stand, person="franz") as franz:
        ada.send(query("SELECT pg_sleep(60) AS adas"))
        franz.send(query("SELECT 'franz', pg_sleep(60)"))
        for mine in ("SELECT pg_sleep(60) AS adas", "SELECT ''franz'', pg_sleep(60)"):
            assert stand.cluster.comes(runs(mine))
        for key in (franz.key[:4] + ada.key[4:], ada.key[:4] + franz.key[4:], ada.key[:-1] + b"?", franz.key):
            with fresh(stand) as canceller:
                canceller.send(struct.pack("!ii", 8 + len(key), 80877102) + key)
                assert canceller.rest() == b""
        assert [each["C"] for each in franz.answer().errors] == ["57014"]
        assert stand.cluster.comes(runs("SELECT pg_sleep(60) AS adas"))  # still
        with fresh(stand) as canceller:
            canceller.send(struct.pack("!ii", 8 + len(ada.key), 80877102) + ada.key)
            assert canceller.rest() == b""
        assert [each["C"] for each in ada.answer().errors] == ["57014"]
