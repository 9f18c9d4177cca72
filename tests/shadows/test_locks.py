"""What happens to a plan, an install and an uninstall while others hold locks in that database: on real servers."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hoopproxy.masking.shadows import installation, locks
from hoopproxy.masking.shadows.locks import INSTALLING, Blocked
from hoopproxy.masking.shadows.steps import BEGIN
from hoopproxy.masks import Redact
from hoopproxy.testing.postgres import PostgresCluster
from tests.shadows.installed_stand import VERSIONS, House

SHOP = """
CREATE TABLE customers(id int PRIMARY KEY, ssn text);
CREATE VIEW mails AS SELECT id, ssn FROM customers;
CREATE VIEW ids AS SELECT id FROM customers
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    with PostgresCluster(tmp_path_factory.mktemp("locks"), version=VERSIONS[-1]) as cluster:
        yield cluster


@pytest.fixture(params=[True, False], ids=["superuser", "nobody-special"])
def house(request: pytest.FixtureRequest, cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """One whose installs have less patience."""
    monkeypatch.setattr(installation, "BEGIN", [each.replace("30s", "300ms") for each in BEGIN])
    monkeypatch.setattr(locks, "LOCK_TRIES_MAX", 2)
    house = House(cluster, SHOP, {"public.customers.ssn": Redact()}, superuser=request.param)
    yield house
    house.close()


@contextmanager
def held(house: House, statement: str, user: str = "postgres", role: str = "") -> Iterator[int]:
    """Somebody is in the middle of a transaction that began so; who it is."""
    with psycopg.connect(make_conninfo(house.dsn, user=user, application_name="lunch")) as somebody:
        if role:
            somebody.execute(f'SET ROLE "{role}"'.encode())
        somebody.execute(statement.encode())
        yield somebody.info.backend_pid
        somebody.rollback()


def is_named(why: pytest.ExceptionInfo[Blocked], pid: int, role: str, what: str) -> bool:
    return f"process {pid} of the role {role} (lunch) holds a lock on {what}" in why.value.detail


def test_who_holds_the_lock_of_installs_is_named(house: House) -> None:
    """Any role may take it, and none can keep an install from saying whom to ask."""
    before = house.catalog()
    with held(house, f"SELECT pg_advisory_xact_lock({INSTALLING})", house.account) as pid:
        for work in (house.install, house.uninstall):
            with pytest.raises(Blocked) as why:
                work()
            role = house.account
            assert (
                f"process {pid} of the role {role} (lunch) holds a lock on the installing of masks" in why.value.detail
            )
            assert "try again when that is done" in why.value.sentence
    assert house.catalog() == before
    assert house.install().failed == ()


def test_who_is_at_work_on_a_table_is_named_by_what_reads_and_by_what_writes(house: House) -> None:
    house.install()
    house.run("CREATE TABLE later(id int)")
    before = house.catalog()
    with held(house, "ALTER VIEW mails RENAME TO posts") as pid:
        for work in (house.inventory, house.install, house.uninstall):
            with pytest.raises(Blocked) as why:
                work()
            assert is_named(why, pid, "postgres", "public.mails")
    assert house.catalog() == before
    assert house.install().failed == ()


def test_a_masked_session_in_the_middle_of_a_transaction_is_named(house: House) -> None:
    house.install()
    twin = house.shadow().relations["public", "customers"].schema
    with held(house, f"SELECT * FROM {twin}.customers", role=house.mask_set.name) as pid, pytest.raises(Blocked) as why:
        house.uninstall()
    assert is_named(why, pid, "postgres", f"{twin}.customers")
    house.uninstall()


def test_an_object_is_not_withheld_because_somebody_uses_it(house: House) -> None:
    house.install()
    house.run("ALTER TABLE customers ADD phone text")
    with held(house, "LOCK mails IN ACCESS EXCLUSIVE MODE"), pytest.raises(Blocked):
        house.install()
    assert house.install().failed == ()
