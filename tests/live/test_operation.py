"""Operating a gateway: kill, cancel, follow, evidence, and targets that are down or not themselves."""

import base64
import json
import shutil
import threading
from collections.abc import Iterator
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
from tests.people import SECRETS

from .conftest import CUSTOMERS, MASKS, Stand


def control(stand: Stand) -> ControlClient:
    return ControlClient(stand.control_socket)


def session_of(stand: Stand, client: str) -> str:
    (session_id,) = [
        each["session_id"] for each in control(stand).call("sessions")["sessions"] if each["client"] == client
    ]
    return str(session_id)


def test_a_killed_session_is_told_why_and_its_statement_is_stopped(stand: Stand) -> None:
    source = "127.0.1.41"
    with psycopg.connect(stand.through("ada", "plain", source=source).dsn, autocommit=True) as connection:
        pid = connection.execute("SELECT pg_backend_pid()").fetchone()
        session_id = session_of(stand, source)
        failed: list[psycopg.Error] = []

        def sleeping() -> None:
            try:
                connection.execute("SELECT pg_sleep(60)")
            except psycopg.Error as why:
                failed.append(why)

        thread = threading.Thread(target=sleeping)
        thread.start()
        assert control(stand).call("kill", id=session_id, reason="lunch")["ended"] is True
        thread.join(30)
    assert "An operator ended your session: lunch." in str(failed[0])
    assert failed[0].sqlstate == "57P01"
    stand.cluster.execute("SELECT pg_sleep(0)")
    assert pid is not None
    assert _is_gone(stand, pid[0])
    assert control(stand).call("kill", id=session_id, reason="again")["ended"] is False


def _is_gone(stand: Stand, pid: int) -> bool:
    """The backend has left: waited for in the server, by its own lock on itself."""
    waiting = """
    DO $$ BEGIN
        FOR i IN 1..500 LOOP
            PERFORM pg_stat_clear_snapshot();
            EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s);
            PERFORM pg_sleep(0.02);
        END LOOP;
    END $$"""
    stand.cluster.execute(waiting % pid)
    return stand.cluster.execute(f"SELECT pid FROM pg_stat_activity WHERE pid = {pid}") == []


def test_a_kill_ends_all_connections_of_a_person_at_a_target(stand: Stand) -> None:
    source = "127.0.1.42"
    dsn = stand.through("ada", "plain", source=source).dsn
    with psycopg.connect(dsn) as one, psycopg.connect(dsn) as other:
        (listed,) = [each for each in control(stand).call("sessions")["sessions"] if each["client"] == source]
        assert listed["connections"] == 2
        assert listed["identity"] == "Ada"
        control(stand).call("kill", id=listed["session_id"], reason="")
        for connection in (one, other):
            with pytest.raises(psycopg.OperationalError, match="An operator ended your session"):
                connection.execute("SELECT 1")


def test_ctrl_c_stops_the_statement_with_a_key_of_ours(stand: Stand) -> None:
    with psycopg.connect(stand.through("ada", "plain").dsn, autocommit=True) as connection:
        own_pid = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert own_pid is not None
        assert connection.info.backend_pid != own_pid[0]
        started = threading.Event()

        def cancel() -> None:
            started.wait()
            stand.cluster.execute(
                "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(77)%' "
                "AND state = 'active') LOOP PERFORM pg_stat_clear_snapshot(); PERFORM pg_sleep(0.01); END LOOP; END $$"
            )
            connection.cancel_safe(timeout=20)

        thread = threading.Thread(target=cancel)
        thread.start()
        started.set()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(77)")
        thread.join(30)
        assert connection.execute("SELECT 'alive'").fetchone() == ("alive",)


def test_followers_hear_what_happens(stand: Stand) -> None:
    heard: list[dict[str, Any]] = []
    begun = threading.Event()

    def follow() -> None:
        events = control(stand).follow("follow")
        begun.set()
        for event in events:
            heard.append(event)
            if event["kind"] == "ended":
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    begun.wait(10)
    while thread.is_alive():  # the follower may subscribe a moment after a first session
        psycopg.connect(stand.through("ada", "plain").dsn).close()
        thread.join(1)
    assert "ended" in {event["kind"] for event in heard}


def test_a_session_is_watched_masked_until_it_ends(stand: Stand) -> None:
    source, lines, begun = "127.0.1.44", list[dict[str, Any]](), threading.Event()

    def watch(session_id: str) -> None:
        for event in control(stand).follow("watch", id=session_id):
            lines.append(event["line"])
            begun.set()

    with psycopg.connect(stand.through("ada", "ledger", source=source).dsn, autocommit=True) as connection:
        thread = threading.Thread(target=watch, args=(session_of(stand, source),))
        thread.start()
        assert begun.wait(30)
        query = "SELECT name, email, card FROM customers WHERE name <> %s"
        names = [name for name, _, _ in connection.execute(query, ("tell-nobody",)).fetchall()]
    thread.join(30)

    assert [line["event"] for line in lines][:1] + [line["event"] for line in lines][-1:] == ["opened", "closed"]
    rows = b"".join(base64.b64decode(line["raw"]) for line in lines if line["event"] == "rows")
    assert names and all(name.encode() in rows for name in names)
    assert not any(secret.encode() in rows for secret in SECRETS)
    assert "tell-nobody" not in repr(lines)


@pytest.fixture
def spare(authority: Authority, tmp_path: Path) -> Iterator[PostgresCluster]:
    """A cluster and later a stand that a test may break."""
    leaf = authority.issue("spare", dns=("localhost",), ips=("127.0.0.1",))
    with PostgresCluster(tmp_path / "pg", certificate=(leaf.certificate_file, leaf.key_file)) as running:
        yield running


def test_evidence_of_a_day_verifies_and_every_tampering_shows(
    spare: PostgresCluster, authority: Authority, tmp_path: Path
) -> None:
    with Stand(tmp_path / "st", spare, authority, {"ledger": CUSTOMERS}, masks=MASKS) as stand:
        with psycopg.connect(stand.through("ada", "ledger", source="127.0.1.43").dsn, autocommit=True) as connection:
            connection.execute("SELECT id, email, card FROM customers WHERE name <> %s", ("tell-nobody",))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT upper(email) FROM customers")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(stand.through("nobody", "ledger").dsn)
        stand.gateway.stop()
        bundle = tmp_path / "day.zip"
        head = export(stand.log_directory, stand.recordings, bundle)
        report = verify(bundle, head)
        assert report.problems == ()
        kinds = [json.loads(line)["kind"] for line in _log(bundle)]
        assert kinds[0] == "gateway-started" and kinds[-1] == "gateway-stopped"
        assert {"permitted", "confirmed", "ended", "denied"} <= set(kinds)
        assert kinds.index("permitted") < kinds.index("confirmed") < kinds.index("ended")
        everything = b"".join(_log(bundle))
        for personal in (b"Ada", b"127.0.1.43", b"tell-nobody", b"customers", stand.tokens["ada"].encode()):
            assert personal not in everything, personal
        assert verify(bundle, (head.size + 1, head.sha256)).problems
        _check_recording(stand)


def _log(bundle: Path) -> list[bytes]:
    import zipfile

    with zipfile.ZipFile(bundle) as archive:
        return archive.read("log.jsonl").splitlines()


def _check_recording(stand: Stand) -> None:
    """Reviewers read outlines and masked rows with one key; literals only with both."""
    (file,) = stand.recordings.rglob("*.hprec")
    raw = file.read_bytes()
    assert b"customers" not in raw
    zone, sealed = read_private(stand.zone_key), read_private(stand.sealed_key)
    with file.open("rb") as stream:
        reviewed = str([str(part) for part in read(stream, zone)])
    with file.open("rb") as stream:
        opened = str([str(part) for part in read(stream, zone, sealed)])
    assert "customers" in reviewed
    bound = base64.b64encode(b"tell-nobody").decode()
    assert bound in opened
    assert bound not in reviewed and "tell-nobody" not in reviewed
    assert not any(secret in opened for secret in SECRETS)


def test_a_target_that_is_down_or_not_itself_is_told_in_a_sentence(
    spare: PostgresCluster, authority: Authority, tmp_path: Path
) -> None:
    with Stand(tmp_path / "st", spare, authority, {"ledger": CUSTOMERS}, masks=MASKS) as stand:
        other = Authority(tmp_path / "other", "other")
        stand.gateway.stop()
        targets = stand.config.with_name("targets.toml")
        text, itself = targets.read_text(), "did not prove that it is itself"
        for change, wanted in (
            (
                text.replace('server_name = "localhost"', 'server_name = "db.example"'),
                itself,
            ),
            (text.replace(str(stand.ca_file), str(other.ca_file)), "did not prove that it is itself"),
        ):
            assert change != text
            targets.write_text(change)
            stand.start()
            with pytest.raises(psycopg.OperationalError, match=wanted):
                psycopg.connect(stand.through("ada", "ledger").dsn)
            stand.gateway.stop()
        targets.write_text(text)
        stand.start()
        psycopg.connect(stand.through("ada", "ledger").dsn).close()
        spare.stop()
        with pytest.raises(psycopg.OperationalError, match="could not be reached"):
            psycopg.connect(stand.through("ada", "ledger").dsn)
        assert "Traceback" not in stand.gateway.log()


def test_a_rule_that_names_a_missing_column_lets_nobody_in(
    spare: PostgresCluster, authority: Authority, tmp_path: Path
) -> None:
    with Stand(tmp_path / "st", spare, authority, {"ledger": CUSTOMERS}, masks=MASKS) as stand:
        spare.execute("ALTER TABLE customers RENAME COLUMN ssn TO social", database="ledger")
        with pytest.raises(psycopg.OperationalError, match=r"no column public\.customers\.ssn"):
            psycopg.connect(stand.through("ada", "ledger").dsn)


def test_a_gateway_that_cannot_write_its_log_lets_nobody_in(
    spare: PostgresCluster, authority: Authority, tmp_path: Path
) -> None:
    with Stand(tmp_path / "st", spare, authority, {"ledger": CUSTOMERS}, masks=MASKS) as stand:
        psycopg.connect(stand.through("ada", "ledger").dsn).close()
        recordings = stand.recordings
        shutil.rmtree(recordings)
        recordings.write_text("no directory any more")
        with pytest.raises(psycopg.OperationalError, match="can't record this session"):
            psycopg.connect(stand.through("ada", "ledger").dsn)


def test_ipv6_from_client_to_target(spare: PostgresCluster, authority: Authority, tmp_path: Path) -> None:
    with Stand(
        tmp_path / "st", spare, authority, {"plain": CUSTOMERS}, masks="", addresses=("127.0.0.1", "::1")
    ) as stand:
        stand.gateway.stop()
        targets = stand.config.with_name("targets.toml")
        text = targets.read_text()
        assert 'host = "127.0.0.1"' in text
        targets.write_text(text.replace('host = "127.0.0.1"', 'host = "::1"'))
        stand.start()
        _, sixth = stand.gateway.endpoints["front"]
        assert sixth.startswith("[::1]:")
        dsn = stand.dsn("ada", "plain").replace("hostaddr='127.0.0.1'", "hostaddr='::1'")
        with psycopg.connect(dsn.replace(f"port='{stand.port}'", f"port='{sixth.rpartition(':')[2]}'")) as connection:
            assert connection.execute("SELECT host(inet_server_addr())").fetchone() == ("::1",)
            (listed,) = control(stand).call("sessions")["sessions"]
            assert listed["client"] == "::1"


def test_keyed_hashes_hide_values_and_keep_them_equal(
    spare: PostgresCluster, authority: Authority, tmp_path: Path
) -> None:
    key = tmp_path / "hash.key"
    key.touch(0o600)
    key.write_bytes(bytes(range(32)))
    masks = f"""
[[mask]]
target = "ledger"
column = "public.customers.country"
mask = {{ hash = {{ key_file = "{key}" }} }}

[[mask]]
target = "ledger"
column = "public.orders.customer_id"
mask = {{ hash = {{ key_file = "{key}" }} }}
"""
    with Stand(tmp_path / "st", spare, authority, {"ledger": CUSTOMERS}, masks=masks) as stand:
        for binary in (False, True):
            with psycopg.connect(stand.through("ada", "ledger").dsn) as connection:
                orders = connection.execute("SELECT id, customer_id FROM orders ORDER BY id", binary=binary).fetchall()
                countries = connection.execute("SELECT country FROM customers", binary=binary).fetchall()
            assert [hashed == orders[0][1] for _, hashed in orders] == [number % 3 == 0 for number in range(50)]
            assert not {hashed for _, hashed in orders} & {1, 2, 3}
            assert len({*countries}) == 3 and not {*countries} & {("DE",), ("FR",), ("IT",)}
