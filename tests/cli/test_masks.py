"""`hoopproxy masks` over a real database: what each verb prints, and how it ends."""

import json
import shutil
import subprocess
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
from click.testing import Result
from psycopg.conninfo import make_conninfo

from hoopproxy.cli import masks
from hoopproxy.cli.desks import Visit
from hoopproxy.config.model import Config
from hoopproxy.errors import UpstreamUnreachable
from hoopproxy.masking.shadows import installation, locks
from hoopproxy.masking.shadows.locks import LOCK
from hoopproxy.masking.shadows.naming import owner_role
from hoopproxy.masking.shadows.steps import BEGIN
from hoopproxy.model import Target
from hoopproxy.testing.masks import now
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.three_files import Site, write
from tests.shadows.installed_stand import House

type Run = Callable[..., Result]
type Work = Callable[[Visit], Coroutine[Any, Any, Any]]

SHOP = """
CREATE TABLE customers(id int PRIMARY KEY, card text);
CREATE TABLE countries(code text);
CREATE VIEW cards AS SELECT id, card FROM customers;
CREATE FUNCTION card_of(int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    AS 'BEGIN UPDATE public.customers SET card = '''' WHERE id = $1; RETURN ''''; END'
"""
RULE = """
[[mask]]
target = "ledger"
column = "{column}"
mask = {{ partial = {{ last = 4 }} }}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    with PostgresCluster(tmp_path_factory.mktemp("masks")) as cluster:
        yield cluster


@pytest.fixture
def house(cluster: PostgresCluster) -> Iterator[House]:
    house = House(cluster, SHOP, {})
    yield house
    house.close()


@pytest.fixture
def config(site: Site, house: House, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a target that keeps masks itself; its desk is one in the house."""

    def visited(config: Config, target: Target, databases: Sequence[str], work: Work) -> list[Any]:
        return [now(work(Visit(house.desk, house.database, (house.account,)))) for _ in databases]

    monkeypatch.setattr(masks, "visited", visited)
    return write(replace(site, kept=frozenset({"ledger"}), masks=RULE.format(column="public.customers.card")))


def test_from_plan_to_uninstall(run: Run, config: Path, house: House) -> None:
    def verb(name: str, *words: str) -> tuple[int, str]:
        result = run("masks", name, "--config", config, "--target", "ledger", *words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    before = house.catalog()
    code, planned = verb("plan")
    assert code == 0
    assert "-- withheld  security-definer public.card_of(integer): " in planned
    assert planned.index("BEGIN;") < planned.index("CREATE ROLE ") < planned.index("COMMIT;")
    assert house.catalog() == before
    code, said = verb("drift")
    assert (code, "is not installed." in said) == (1, True)
    code, said = verb("install")
    assert (code, said.splitlines()[0]) == (0, f"{house.database}: mask sets made: 1, taken away: 0.")
    code, said = verb("install")
    assert (code, said.splitlines()[0]) == (0, f"{house.database}: all mask sets stand as they should.")
    assert verb("drift") == (0, f"{house.database}: Nothing has changed since the masks were installed.\n")
    code, said = verb("audit")
    assert (code, said.splitlines()[0]) == (0, f"{house.database}: open")
    assert "public.card_of: The function public.card_of can't be used in this session, because" in said
    house.run("ALTER TABLE customers ADD phone text")
    code, said = verb("drift")
    assert (code, "has the new column phone" in said) == (1, True)
    code, said = verb("drift", "--json")
    assert (code, len(json.loads(said)[0]["changes"])) == (1, 1)
    house.run("ALTER TABLE customers DROP phone")
    code, said = verb("uninstall")
    assert (code, "were taken away." in said, "  DROP ROLE " in said) == (0, True, True)
    assert verb("uninstall") == (0, f"{house.database}: no masks were installed.\n")
    assert house.catalog() == before


PSQL = shutil.which("psql") or "these tests want psql: install postgresql-client"


def test_what_plan_prints_runs_in_psql_as_it_is(
    run: Run, config: Path, site: Site, house: House, tmp_path: Path
) -> None:
    key = tmp_path / "hash.key"
    key.touch(0o600)
    key.write_bytes(bytes(range(32)))
    hashed = RULE.replace("{{ partial = {{ last = 4 }} }}", f'{{{{ hash = {{{{ key_file = "{key}" }}}} }}}}')
    write(replace(site, kept=frozenset({"ledger"}), masks=hashed.format(column="public.customers.card")))
    before = house.catalog()

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "plan.sql"
        planned = run("masks", "plan", "--config", config, "--target", "ledger", *words)
        assert planned.exit_code == 0, planned.output
        script.write_text(planned.stdout)
        assert (", by digest " in script.read_text()) == (not words)
        elsewhere = make_conninfo(house.dsn, dbname="postgres", user=house.provisioner)
        return subprocess.run([PSQL, "-X", "-q", "-d", elsewhere, "-f", script], capture_output=True, text=True)

    withheld = ran()
    assert withheld.returncode == 3 and "invalid hexadecimal digit" in withheld.stderr and house.catalog() == before
    done = ran("--keys")
    assert (done.returncode, done.stderr) == (0, "")
    result = run("masks", "install", "--config", config, "--target", "ledger")
    assert (result.exit_code, "all mask sets stand as they should" in result.stdout) == (0, True)
    assert run("masks", "drift", "--config", config, "--target", "ledger").exit_code == 0
    assert run("masks", "uninstall", "--config", config, "--target", "ledger").exit_code == 0
    assert house.catalog() == before


def test_help_says_what_each_verb_does_and_how_it_ends(run: Run) -> None:
    told = run("masks", "--help").stdout
    assert "Exit codes: 0 done, or all is well; 1 not done" in " ".join(told.split())
    for verb in masks.masks.commands.values():
        assert f"  {verb.name} " in told
        said = " ".join(run("masks", str(verb.name), "--help").stdout.split())
        assert all(option in said for option in ("--config", "--target", "--database", "--json"))
        assert verb.name == "uninstall" or "Exits" in said
        assert all(each.help for each in verb.params if isinstance(each, click.Option))


def test_who_stands_in_the_way_is_named(run: Run, config: Path, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "BEGIN", [each.replace("30s", "100ms") for each in BEGIN])
    monkeypatch.setattr(locks, "LOCK_TRIES_MAX", 1)
    with psycopg.connect(house.dsn) as somebody:
        somebody.execute(f"{LOCK}; LOCK TABLE public.cards")
        for verb in ("plan", "install", "audit", "drift", "uninstall"):
            result = run("masks", verb, "--config", config, "--target", "ledger")
            said, who = result.stderr.splitlines()[:2]
            assert (result.exit_code, result.stdout) == (1, "")
            assert said.startswith(
                "Nothing was changed in ledger. Somebody else works in this database and holds locks"
            )
            assert who.startswith(f"process {somebody.info.backend_pid} of the role postgres holds a lock on ")


def test_a_policy_that_masks_what_is_not_there_closes_the_database(run: Run, site: Site, config: Path) -> None:
    kept = replace(site, kept=frozenset({"ledger"}), masks=RULE.format(column="public.customers.iban"))
    write(kept)
    result = run("masks", "install", "--config", config, "--target", "ledger")
    assert result.exit_code == 1
    assert "amber     no-column public.customers.iban: The policy masks public.customers.iban" in result.output
    assert "Masked sessions can't enter house" in result.output
    accepted = 'accept = [{ finding = "no-column public.customers.iban", reason = "it comes next week" }]\n'
    write(replace(kept, accepted=accepted))
    result = run("masks", "audit", "--config", config, "--target", "ledger")
    assert result.exit_code == 0, result.output
    assert "accepted  no-column public.customers.iban" in result.output
    assert "(accepted: it comes next week)" in result.output
    run("masks", "uninstall", "--config", config, "--target", "ledger")


def test_a_note_that_is_not_installs_own_is_told_in_a_sentence(run: Run, config: Path, house: House) -> None:
    """What install noted stands in a comment, and whoever may act for the role may write another."""
    assert run("masks", "install", "--config", config, "--target", "ledger").exit_code == 0
    house.run(f"COMMENT ON ROLE {owner_role(house.database)} IS 'hoopproxy and friends'")
    result = run("masks", "audit", "--config", config, "--target", "ledger")
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "did not answer the gateway's questions about its catalog" in result.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--target", "nowhere"), "There is no target 'nowhere'; targets.toml has ledger."),
        (("--target", "ledger", "--database", "else"), "The target ledger has no database 'else'; it has ledger."),
    ],
)
def test_mistakes_are_said_in_a_sentence(run: Run, config: Path, words: tuple[str, ...], sentence: str) -> None:
    result = run("masks", "plan", "--config", config, *words)
    assert (result.exit_code, result.stderr) == (2, f"{sentence}\n")


def test_what_fails_in_one_database_says_in_which_and_what_was_done_before(
    run: Run, site: Site, config: Path, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each database is a transaction of its own."""

    def visited(config: Config, target: Target, databases: Sequence[str], work: Work) -> list[Any]:
        for database in databases[:-1]:
            now(work(Visit(house.desk, database, (house.account,))))
        raise UpstreamUnreachable("Nobody answers there.", detail="no route")

    monkeypatch.setattr(masks, "visited", visited)
    targets = config.with_name("targets.toml")
    targets.write_text(targets.read_text().replace('databases = ["ledger"]', 'databases = ["ledger", "second"]'))
    for databases, said in (((), "second (ledger came before, and went well)"), (("--database", "ledger"), "ledger")):
        result = run("masks", "uninstall", "--config", config, "--target", "ledger", *databases)
        assert result.exit_code == 1
        assert result.stderr == f"Nothing was changed in {said}. Nobody answers there.\nno route\n"


def test_a_target_that_keeps_no_masks_is_a_mistake(run: Run, site: Site) -> None:
    result = run("masks", "plan", "--config", write(site), "--target", "ledger")
    assert result.exit_code == 2
    assert "The target ledger keeps no masks itself" in result.stderr
