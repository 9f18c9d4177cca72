"""`hoopproxy masks` over a real database: what each verb prints, and how it ends."""

import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hoopproxy.cli import masks
from hoopproxy.cli.desks import Visit
from hoopproxy.config.model import Config
from hoopproxy.model import Target
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.three_files import Site, write
from tests.shadows.installed_stand import House, now

type Run = Callable[..., Result]
type Work = Callable[[Visit], Coroutine[Any, Any, Any]]

SHOP = """
CREATE TABLE customers(id int PRIMARY KEY, card text);
CREATE TABLE countries(code text);
CREATE FUNCTION card_of(int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    AS 'BEGIN RETURN (SELECT card FROM public.customers WHERE id = $1); END'
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
    assert (code, said.splitlines()[0]) == (0, f"{house.database}: 1 mask sets were made, 0 were taken away.")
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


def test_a_target_that_keeps_no_masks_is_a_mistake(run: Run, site: Site) -> None:
    result = run("masks", "plan", "--config", write(site), "--target", "ledger")
    assert result.exit_code == 2
    assert "The target ledger keeps no masks itself" in result.stderr
