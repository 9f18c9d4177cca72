"""What a real catalog says, read back: columns to the letter, and copies of information_schema row for row."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hoopproxy.masking.shadows import answers
from hoopproxy.masking.shadows.inquiries import inquiry
from hoopproxy.masks import ColumnMask, Nullify, Redact
from hoopproxy.testing.postgres import PostgresCluster
from tests.shadows.installed_stand import VERSIONS, House

LONG = "ü" * 31 + "x"
"""63 bytes: PostgreSQL's longest name."""

ODD = f"""
CREATE SCHEMA "Weird ""schema"" ünï.code";
CREATE SCHEMA "{LONG}";
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN certain AS varchar(9) NOT NULL;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE customers(
    gone int, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "odd ""name"" ." varchar(19), c char(2),
    n numeric(10, 2), n0 numeric, ts timestamp(3) with time zone, i interval day to second(2), b bit(8), vb varbit(9),
    a text[], aa numeric(6, 3)[], v varchar(7) COLLATE "C", p positive, s certain, m mood, ms mood[], co pair, j jsonb,
    r int4range, k oid, l "char", x xml, u uuid, t time(2), mo money, by bytea,
    up text GENERATED ALWAYS AS (upper("odd ""name"" .")) STORED);
ALTER TABLE customers DROP COLUMN gone;
INSERT INTO customers(s) VALUES ('x');
CREATE TABLE "Weird ""schema"" ünï.code".customers(id int, "{LONG}" text COLLATE "POSIX", ssn text);
CREATE TABLE "{LONG}"."{LONG}"(id int, "{LONG}" text);
CREATE TABLE payments(id int, at date, iban text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE payments_2025 PARTITION OF payments FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE payments_odd(iban text, at date NOT NULL, id int NOT NULL);
ALTER TABLE payments ATTACH PARTITION payments_odd FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE people(id int, iban text);
CREATE TABLE vips(rank int) INHERITS (people)
"""

COLUMNS = [
    *('odd "name" .', "c", "n", "n0", "ts", "i", "b", "vb", "a", "aa", "v", "p", "s", "m", "ms", "co", "j", "r", "k"),
    *("l", "x", "u", "t", "mo", "by"),
]
MASKS: dict[str, ColumnMask] = {
    **{f"public.customers.{name}": Nullify() if name == "j" else Redact() for name in COLUMNS},
    f'Weird "schema" ünï.code.customers.{LONG}': Redact(),
    f"{LONG}.{LONG}.{LONG}": Redact(),
    "public.payments.iban": Redact(),
    "public.people.iban": Redact(),
}

EXACT = """
SELECT a.attname, a.atttypid::regtype::text, a.atttypmod, a.attcollation::regcollation::text FROM pg_attribute a
WHERE a.attrelid = '{}'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


@pytest.fixture(scope="module", params=VERSIONS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An odd schema, installed."""
    with PostgresCluster(tmp_path_factory.mktemp(f"odd-{request.param}"), version=request.param) as cluster:
        house = House(cluster, ODD, MASKS)
        done = house.install()
        assert done.failed == ()
        yield house
        house.close()


def quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def test_twins_have_exactly_the_columns_of_their_originals(house: House) -> None:
    shadow = house.shadow()
    twins = {named: each for named, each in shadow.relations.items() if named[0] != "information_schema"}
    assert {*twins} == {
        ("public", "customers"),
        ('Weird "schema" ünï.code', "customers"),
        (LONG, LONG),
        *(("public", name) for name in ("payments", "payments_2025", "payments_odd", "people", "vips")),
    }
    for named, each in twins.items():
        twin = house.run(EXACT.format(quoted(each.schema, each.name)))
        assert twin == house.run(EXACT.format(quoted(*named))), named
        assert tuple(name for name, *_ in twin) == each.columns


def test_every_twin_can_be_read_and_shows_no_protected_value(house: House) -> None:
    shadow = house.shadow()
    twin = shadow.relations["public", "customers"]
    with house.session() as session:
        for (schema, _), each in shadow.relations.items():
            if schema != "information_schema":
                session.execute(f"SELECT * FROM {quoted(each.schema, each.name)}".encode())
        cursor = session.execute(f"SELECT up, s FROM {twin.schema}.customers".encode())
        assert cursor.fetchall() == [(None, None)]


def test_origins_lead_from_each_column_to_its_own_number(house: House) -> None:
    shadow, inventory = house.shadow(), house.inventory()
    odd = inventory.relation("public", "payments_odd")
    assert odd is not None
    (origin,) = [each for each in shadow.origins.values() if each.table_oid == odd.oid]
    assert origin.column_numbers == {1: 1, 2: 2, 3: 3}
    customers = inventory.relation("public", "customers")
    assert customers is not None
    (origin,) = [each for each in shadow.origins.values() if each.table_oid == customers.oid]
    assert origin.column_numbers[1] == 2  # the first was dropped
    assert shadow.tripwire[odd.oid] == {1}
    assert shadow.bearers["customers"] == {"public", 'Weird "schema" ünï.code'}
    assert shadow.path == ("public",)


def test_copies_of_information_schema_show_what_the_account_sees(house: House) -> None:
    shadow = house.shadow()
    is_slow = house.inventory().server_version < 160000
    copies = {
        name: each
        for (schema, name), each in shadow.relations.items()
        if schema == "information_schema" and not (is_slow and name in SLOW)
    }
    assert {"columns", "tables", "views", "table_constraints", "role_table_grants"} <= copies.keys()
    with house.session(house.account) as account, house.session() as session:
        for name, each in copies.items():
            direct, masked = (
                _answer(one, f"SELECT * FROM {schema}.{name} AS x ORDER BY x::text")
                for one, schema in ((account, "information_schema"), (session, each.schema))
            )
            assert masked == direct, name


SLOW = ("data_type_privileges", "element_types")
"""In PostgreSQL 15 the originals themselves take half a minute each."""


def _answer(session: psycopg.Connection, sql: str) -> tuple[list[Any], list[tuple[Any, ...]]]:
    cursor = session.execute(sql.encode())
    return [(each.name, each.type_code) for each in cursor.description or ()], cursor.fetchall()


def test_who_is_nobody_special_sees_less_and_no_error(house: House) -> None:
    house.run("CREATE ROLE nobody_special LOGIN")
    with house.session("nobody_special") as session:
        found = answers.read(_rows(session, inquiry([house.account, "nobody_there"])))
    assert found.loopback_trust is None
    assert not found.is_superuser
    assert not found.may_create
    assert set(found.rights) == {house.account, house.mask_set.name}
    assert found.relations == house.inventory().relations
    house.run("DROP ROLE nobody_special")


def _rows(session: psycopg.Connection, text: str) -> list[list[tuple[Any, ...]]]:
    cursor = session.execute(text.encode())
    found = [cursor.fetchall()]
    while cursor.nextset():
        found.append(cursor.fetchall())
    # psycopg reads JSON itself
    return [[tuple(_text(cell) for cell in row) for row in rows] for rows in found]


def _text(cell: Any) -> Any:
    return cell if cell is None or isinstance(cell, str) else json.dumps(cell)


def test_what_was_installed_is_not_in_the_inventory(house: House) -> None:
    inventory = house.inventory()
    assert not [name for name in inventory.schemas if name.startswith("hp_")]
    assert not [name for name in inventory.roles if name.startswith("hp_")]
    assert all(not grantee.startswith("hp_") for each in inventory.relations.values() for grantee in each.grants)
    assert inventory.own.relations
    assert inventory.installed == {house.mask_set.name: house.planned().sets[house.mask_set.name].digest}


def test_too_few_answers_are_none() -> None:
    with pytest.raises(ValueError, match="1 answers, wanted are 11"):
        answers.read([[("1",)]])


def test_servers_that_everybody_may_use_as_somebody_are_known(house: House) -> None:
    house.run(
        "CREATE FOREIGN DATA WRAPPER far;"
        "CREATE SERVER used FOREIGN DATA WRAPPER far; GRANT USAGE ON FOREIGN SERVER used TO PUBLIC;"
        "CREATE SERVER lent FOREIGN DATA WRAPPER far; CREATE USER MAPPING FOR PUBLIC SERVER lent;"
        "CREATE SERVER both_ FOREIGN DATA WRAPPER far; CREATE USER MAPPING FOR PUBLIC SERVER both_;"
        "GRANT USAGE ON FOREIGN SERVER both_ TO PUBLIC"
    )
    assert house.inventory().foreign_servers == {"both_"}
    house.run("DROP FOREIGN DATA WRAPPER far CASCADE")


def test_sequences_know_what_they_count_for_and_unique_expressions_what_they_mix(house: House) -> None:
    house.run(
        "CREATE SEQUENCE shared; CREATE TABLE counted(a serial, b int GENERATED ALWAYS AS IDENTITY, "
        "c int DEFAULT nextval('shared') * 2, d text, e text);"
        "CREATE UNIQUE INDEX ON counted (c, lower(d || e)); CREATE INDEX ON counted (lower(a || d));"
        "CREATE TABLE whole(d text); CREATE UNIQUE INDEX ON whole ((whole.* IS NULL))"
    )
    inventory = house.inventory()
    counted, whole = (inventory.relation("public", each) for each in ("counted", "whole"))
    assert counted is not None and whole is not None
    assert counted.mixed == (frozenset({"d", "e"}),)
    assert whole.mixed == (frozenset({"d"}),)
    feeds = {each.name: each.feeds for each in inventory.relations.values() if each.feeds}
    number = {"counted_a_seq": 1, "counted_b_seq": 2, "shared": 3}
    assert {name: feeds[name] for name in number} == {name: ((counted.oid, at),) for name, at in number.items()}
    house.run("DROP TABLE counted, whole; DROP SEQUENCE shared")
