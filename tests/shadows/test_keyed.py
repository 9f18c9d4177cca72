"""Hashes and tokens in real databases: what wire mode shows, joins that hold, and nobody who can look a value up."""

import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest

from hoopproxy.events import Format
from hoopproxy.masking.hashing import hashing
from hoopproxy.masking.shadows.findings import Severity
from hoopproxy.masking.shadows.steps import script
from hoopproxy.masking.tokens import cipher_key, tokenising
from hoopproxy.masking.types import Kind
from hoopproxy.masks import ColumnMask, KeyedHash, Token
from hoopproxy.testing.postgres import PostgresCluster
from tests.shadows.installed_stand import VERSIONS, House

HASH, TOKEN = KeyedHash(b"h" * 32), Token(b"t" * 32)

PEOPLE = """
CREATE TABLE people(id int PRIMARY KEY, ssn text, phone varchar(20) NOT NULL, badge bigint, tag uuid, note text);
CREATE TABLE calls(at date, phone varchar(20), ssn text) PARTITION BY RANGE (at);
CREATE TABLE calls_2025 PARTITION OF calls FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE tags(tag uuid);
CREATE MATERIALIZED VIEW phones AS SELECT phone FROM people;
INSERT INTO people SELECT i, lpad((519456781 + i)::text, 9, '0'), '+49 (30) ' || 7654321 + i, 748213000 + i,
    ('9b1f6a52-4c3e-4d7a-8f21-' || lpad(i::text, 12, '0'))::uuid, 'n' FROM generate_series(1, 50) i;
INSERT INTO calls SELECT '2025-06-01', phone, ssn FROM people;
INSERT INTO tags SELECT tag FROM people
"""

MASKS: Mapping[str, ColumnMask] = {
    "public.people.ssn": HASH,
    "public.people.phone": TOKEN,
    "public.people.badge": TOKEN,
    "public.people.tag": HASH,
    "public.calls.phone": TOKEN,
    "public.calls.ssn": HASH,
    "public.tags.tag": HASH,
}

SECRETS = (
    HASH.key,
    TOKEN.key,
    cipher_key(TOKEN.key),
    bytes(x ^ 0x36 for x in HASH.key),
    bytes(x ^ 0x5C for x in HASH.key),
)

type Make = Callable[..., House]


@pytest.fixture(scope="module", params=VERSIONS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    with PostgresCluster(tmp_path_factory.mktemp(f"keyed-{request.param}"), version=request.param) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def house(cluster: PostgresCluster) -> Iterator[House]:
    """With all of it installed."""
    house = House(cluster, PEOPLE, MASKS)
    house.run("CREATE EXTENSION pgcrypto")
    done = house.install()
    assert not done.failed
    yield house
    house.close()


def twin(house: House, table: str) -> str:
    """Where it is."""
    found = house.planned().sets[house.mask_set.name].relations["public", table]
    return f'"{found.schema}"."{found.name}"'


def rows(session: psycopg.Connection, sql: str) -> list[Any]:
    return session.execute(sql.encode()).fetchall()


def text_of(mask: ColumnMask, oid: int, value: str) -> str:
    """What wire mode shows."""
    make = hashing if isinstance(mask, KeyedHash) else tokenising
    assert isinstance(mask, KeyedHash | Token)
    made = make(mask.key, Kind(oid, -1, Format.TEXT))
    assert made is not None
    return made(value.encode()).decode()


def test_what_is_shown_is_what_wire_mode_shows(house: House) -> None:
    columns: dict[str, tuple[ColumnMask, int]] = {
        **{"ssn": (HASH, 25), "phone": (TOKEN, 1043)},
        **{"badge": (TOKEN, 20), "tag": (HASH, 2950)},
    }
    raw = {name: dict(house.run(f"SELECT id, {name}::text FROM people")) for name in columns}
    with house.session() as session:
        for name, (mask, oid) in columns.items():
            shown: dict[object, object] = dict(rows(session, f"SELECT id, {name}::text FROM {twin(house, 'people')}"))
            assert shown == {at: text_of(mask, oid, value) for at, value in raw[name].items()}
            assert not set(shown.values()) & set(raw[name].values())


def test_joins_hold_also_over_partitions_without_a_key(house: House) -> None:
    people, calls, tags = twin(house, "people"), twin(house, "calls"), twin(house, "tags")
    with house.session() as session:
        joined = f"SELECT count(*) FROM {people} p JOIN {calls} c ON p.phone = c.phone AND p.ssn = c.ssn"
        assert rows(session, joined) == [(50,)]
        assert rows(session, f"SELECT count(*) FROM {people} JOIN {tags} USING (tag)") == [(50,)]
        assert rows(session, f"SELECT count(*) FROM {twin(house, 'calls_2025')} JOIN {people} USING (ssn)") == [(50,)]


def test_a_change_that_returns_a_row_returns_it_masked(house: House) -> None:
    people = twin(house, "people")
    (before,) = rows(house_session := psycopg.connect(house.dsn), f"SELECT ssn, phone FROM {people} WHERE id = 7")
    house_session.close()
    with house.session() as session:
        changed = rows(session, f"UPDATE {people} SET note = 'x' WHERE id = 7 RETURNING ssn, phone")
        assert changed == [before]


ATTACKS = (
    "SELECT * FROM {keys}.keys",
    "SELECT {keys}.token('519-45-6782'::text, NULL)",
    "SELECT {keys}.ff1('519456782'::text, '\\x00'::bytea)",
    "INSERT INTO {people} (id, phone, ssn) VALUES (1000, '+49 (30) 1', '519-45-6782')",
    "INSERT INTO public.people (id, phone) VALUES (1000, '+49 (30) 7654322')",
    "INSERT INTO public.people (id, ssn, phone) VALUES (1000, '519456782', '1') RETURNING id",
    "UPDATE {people} SET ssn = '519456782' WHERE id = 7 RETURNING ssn",
    "UPDATE public.people SET phone = '+49 (30) 7654322' WHERE id = 7",
    "COPY public.people (id, ssn, phone) FROM STDIN",
    "SELECT ssn FROM public.people",
    "SET ROLE {owner}",
    "CREATE FUNCTION {keys}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE VIEW {keys}.mine AS SELECT 1",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_nobody_looks_up_a_value_of_ones_own(house: House, attack: str) -> None:
    keys = f'"{house.mask_set.name}_k"'
    owner = house.run("SELECT rolname FROM pg_roles WHERE rolname LIKE 'hp_owner_%' ORDER BY oid DESC LIMIT 1")[0][0]
    refused = psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported  # of a view's expression
    with house.session() as session, pytest.raises(refused):
        session.execute(attack.format(keys=keys, people=twin(house, "people"), owner=owner).encode())


def test_nobody_calls_by_number_what_may_not_be_named(house: House) -> None:
    schema = f'"{house.mask_set.name}_k"'
    numbers = house.run(f"SELECT oid FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace")
    assert len(numbers) == 3
    for (number,) in numbers:
        with house.session() as session:
            assert b"permission denied for schema" in called(session, number)


def called(session: psycopg.Connection, number: int) -> bytes:
    """What comes of a FunctionCall message, for which clients have no method any more."""
    with socket.socket(fileno=os.dup(session.fileno())) as wire:
        wire.setblocking(True)
        body = struct.pack("!IhHh", number, 0, 0, 0)
        wire.sendall(b"F" + struct.pack("!i", len(body) + 4) + body)
        answer = b""
        while not answer.endswith(b"Z\0\0\0\5I"):
            answer += wire.recv(65536)
    return answer


def test_no_catalog_and_no_plan_tells_a_key(house: House) -> None:
    told: list[str] = []
    with house.session() as session:
        session.add_notice_handler(lambda notice: told.append(notice.message_detail or ""))
        session.execute("SET client_min_messages = log; SET debug_print_plan = on; SET debug_print_rewritten = on")
        people = twin(house, "people")
        for (line,) in rows(session, f"EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM {people} WHERE ssn = 'x'"):
            told.append(str(line))
        for sql in (
            "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v'",
            "SELECT ev_action::text FROM pg_rewrite",
            "SELECT prosrc FROM pg_proc",
            "SELECT query FROM pg_stat_activity",
            "SELECT most_common_vals::text FROM pg_stats",
        ):
            told += [str(text) for (text,) in rows(session, sql)]
    everything = "\n".join(told)
    assert "SUBPLAN" in everything or "SubPlan" in everything or "InitPlan" in everything
    for secret in SECRETS:
        assert secret.hex() not in everything
        assert " ".join(str(byte - 256 if byte > 127 else byte) for byte in secret[:16]) not in everything
        assert secret.decode("latin-1") not in everything


def test_what_is_printed_of_a_plan_names_keys_by_their_digests(house: House) -> None:
    planned = house.planned().sets[house.mask_set.name]
    printed = script(planned.steps)
    assert printed.count("<key ") == 3
    said = "".join(statement for step in planned.steps for statement in step.said)
    for secret in SECRETS[2:]:
        assert secret.hex() not in printed and secret.hex() in said
    assert all(secret.hex() not in repr(planned.steps) for secret in SECRETS)


def test_functions_of_tokens_call_nothing_of_a_session(house: House) -> None:
    house.run("""CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;
        CREATE FUNCTION evil.told(bytea, bytea) RETURNS bytea LANGUAGE plpgsql
            AS $$BEGIN RAISE EXCEPTION 'told % %', $1, $2; END$$;
        CREATE OPERATOR evil.|| (FUNCTION = evil.told, LEFTARG = bytea, RIGHTARG = bytea);
        CREATE FUNCTION evil.lpad(text, int, text) RETURNS text LANGUAGE plpgsql
            AS $$BEGIN RAISE EXCEPTION 'told %', $1; END$$;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA evil TO PUBLIC""")
    with house.session() as session:
        session.execute("SET search_path = evil, pg_catalog")
        with pytest.raises(psycopg.errors.RaiseException):
            session.execute("SELECT lpad('1', 2, '0')")
        assert len(rows(session, f"SELECT ssn, phone, badge, tag FROM {twin(house, 'people')}")) == 50


def test_without_pgcrypto_tokens_are_redacted_and_a_finding_says_so(cluster: PostgresCluster) -> None:
    house = House(cluster, PEOPLE, MASKS)
    try:
        done = house.install()
        (found,) = [each for each in done.plan.findings if each.name == "no-pgcrypto"]
        assert found.severity is Severity.AMBER
        assert "public.people.badge, public.people.phone" in found.sentence
        assert "CREATE EXTENSION pgcrypto" in found.sentence
        with house.session() as session:
            shown = rows(session, f"SELECT DISTINCT phone, badge FROM {twin(house, 'people')}")
            assert shown == [("***", 0)]
            assert rows(session, f"SELECT count(DISTINCT ssn) FROM {twin(house, 'people')}") == [(50,)]
    finally:
        house.close()


def test_another_key_is_another_plan_and_uninstall_takes_all_keys(cluster: PostgresCluster) -> None:
    house = House(cluster, PEOPLE, MASKS)
    try:
        house.run("CREATE EXTENSION pgcrypto")
        before = house.catalog()
        house.install()
        assert house.planned().steps == ()
        house.masks = {**MASKS, "public.people.ssn": KeyedHash(b"i" * 32)}
        assert house.planned().made
        house.uninstall()
        assert house.catalog() == before
    finally:
        house.close()
