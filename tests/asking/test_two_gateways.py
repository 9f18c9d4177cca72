"""Two gateways on one PostgreSQL: what is decided at one holds at the other, and nothing acknowledged is ever lost."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from hoopproxy.disk.segments import segment_paths
from hoopproxy.evidence.framing import frames
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.three_files import More
from tests.people import PEOPLE

from .conftest import POLICY, Desk

LEASE_S = 2


@dataclass
class Pair:
    """Two gateways, the desk at each, and their store."""

    one: Desk
    other: Desk
    store: PostgresCluster

    def restart(self) -> None:
        """Kill the second gateway without a word, and start it again."""
        self.other.stand.gateway.kill()
        self.other.stand.start()


class Second(Stand):
    """Another gateway over the same people, targets and policy."""

    def __init__(self, first: Stand, directory: Path) -> None:
        vars(self).update(vars(first))
        self._forwarders = {}
        self.directory, self.state = directory, directory / "state"
        (self.state / "recordings").mkdir(parents=True, mode=0o700)
        self.state.chmod(0o700)
        self.control_socket, self.log_directory = self.state / "control.sock", self.state / "log"
        conf = directory / "conf"
        conf.mkdir()
        for each in first.config.parent.iterdir():
            text = each.read_text().replace(str(first.state), str(self.state)).replace("gw-fra-1", "gw-fra-2")
            (conf / each.name).write_text(text)
        self.config = conf / first.config.name
        self.start()


@pytest.fixture(scope="module")
def pair(cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("pair")
    with PostgresCluster(directory / "store", durable=True) as store:
        store.create_database("access")
        url_file = directory / "store.url"
        with open(os.open(url_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(store.url("access"))
        more = More(policy=POLICY, main=f"\n[store]\nurl_file = {json.dumps(str(url_file))}\nlease_s_max = {LEASE_S}\n")
        (directory / "people").mkdir()
        with (
            Stand(directory / "first", cluster, authority, {"ledger": PEOPLE}, more=more) as first,
            Second(first, directory / "second") as second,
        ):
            one = Desk(first, directory / "people")
            other = Desk(second, directory / "people")
            yield Pair(one, other, store)


def test_a_revoke_at_one_ends_the_session_at_the_other(pair: Pair) -> None:
    request_id = pair.one.asked("ivo")
    assert pair.other.said("lena", "approve", request_id)["phase"] == "approved"
    with psycopg.connect(pair.one.dsn("ivo"), autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert pair.other.said("lena", "revoke", request_id, "--reason", "Enough")["phase"] == "revoked"
        with pytest.raises(psycopg.OperationalError, match="was revoked: Enough"):
            connection.execute("SELECT pg_sleep(60)")


def test_two_votes_at_two_gateways_are_two_and_a_kill_loses_neither(pair: Pair) -> None:
    request_id = pair.other.asked("ada", "--rule", "cards", "--ticket", "OPS-1")
    assert pair.other.said("lena", "approve", request_id)["phase"] == "requested"
    pair.restart()
    assert pair.one.said("lars", "approve", request_id)["phase"] == "approved"
    pair.restart()
    shown = pair.other.said("ada", "show", request_id)
    assert [each["step"] for each in shown["history"]] == ["requested", "voted", "voted", "approved"]
    with psycopg.connect(pair.other.dsn("ada")) as connection:
        assert connection.execute("SELECT card FROM customers ORDER BY id LIMIT 1").fetchone() == ("4111111111111111",)
    pair.one.said("ada", "give-up", request_id)


def test_each_acknowledged_step_is_in_the_log_of_the_gateway_that_took_it(pair: Pair) -> None:
    request_id = pair.other.asked("ivo")
    pair.restart()
    pair.other.said("ivo", "withdraw", request_id)
    log = pair.other.stand.log_directory
    leaves = [
        json.loads(leaf) for path in segment_paths(log) for frame in frames(path.read_bytes()) for leaf in frame.leaves
    ]
    mine = [leaf["step"] for leaf in leaves if leaf["kind"] == "access-step" and leaf["request_id"] == request_id]
    assert mine == ["requested", "withdrawn"]


def test_without_the_store_nobody_comes_in_and_who_is_in_leaves_at_the_end_of_the_lease(pair: Pair) -> None:
    with psycopg.connect(pair.one.stand.dsn("ada", "ledger"), autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        pair.store.stop()
        try:
            with pytest.raises(psycopg.OperationalError, match="could not reach the store of its grants for 2 s"):
                connection.execute("SELECT pg_sleep(60)")
            with pytest.raises(psycopg.OperationalError, match="can't reach the store of its grants"):
                psycopg.connect(pair.one.stand.dsn("ada", "ledger"))
            asked = pair.one.run("ivo", "request", "ledger", "--for", "1h", "--reason", "x")
            assert asked.returncode == 1 and "can't reach the store" in asked.stderr
        finally:
            pair.store.start()
    with psycopg.connect(pair.one.stand.dsn("ada", "ledger")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
