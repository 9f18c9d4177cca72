"""Look-ups: found in statements by the parser, answered by arrays of keys, and nothing else of the text changes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.access.allowance import KNOWN_MAX, Allowance
from hoopproxy.errors import Refused
from hoopproxy.masking.shadows.inventory import Column, Relation
from hoopproxy.masking.shadows.lookups import CALLS_MAX, ROWS_MAX, Lookup, answered, calls
from hoopproxy.masking.shadows.quoting import literal

EMAIL = "public.customers.email"


def found(text: str) -> list[tuple[str, str, str]]:
    return [(text[call.start : call.end], call.column, call.value) for call in calls(text)]


@pytest.mark.parametrize(
    "call",
    [
        f"hoopproxy.lookup('{EMAIL}', 'a@b.test')",
        f"HoopProxy . LOOKUP /* a */ ( '{EMAIL}' , -- b\n 'a@b.test' )",
        f"\"hoopproxy\".\"lookup\"('{EMAIL}', 'a@b.test')",
        f"hoopproxy.lookup(E'{EMAIL}', 'a@b.test')",
    ],
)
@pytest.mark.parametrize(
    "around",
    [
        "SELECT * FROM customers WHERE id = ANY({})",
        "SELECT 'é', \"ö\" FROM t WHERE id = ANY ({}) OR true",
        "PREPARE p AS SELECT 1 WHERE 1 = ANY({})",
        "SELECT 1; SELECT 2 WHERE 3 = ANY({}); SELECT 4",
        "EXPLAIN WITH a AS (SELECT {}) SELECT * FROM a",
    ],
)
def test_a_call_is_found_wherever_it_stands(around: str, call: str) -> None:
    text = around.format(call)
    assert found(text) == [(call, EMAIL, "a@b.test")]
    assert answered(text, calls(text), ["ARRAY[1]"]) == around.format("ARRAY[1]")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "SELECT 'hoopproxy.lookup(''a'', ''b'')'",
        "SELECT 1 -- hoopproxy.lookup('a', 'b')",
        "SELECT lookup('a', 'b') FROM hoopproxy",
        "SELECT hoopproxy.lookups('a', 'b')",
        "SELECT other.hoopproxy.lookup('a', 'b')",
        "SELEC hoopproxy.lookup('a', 'b')",
        "SELECT hoopproxy.lookup FROM hoopproxy",
    ],
)
def test_what_is_none_is_left_alone(text: str) -> None:
    assert calls(text) == ()


@pytest.mark.parametrize(
    "arguments",
    [
        *("", "'a'", "'a', $1", "$1, 'a'", "'a', 'b', 'c'", "'a', 1", "'a', NULL", "'a', 'b'::text", "'a', upper('b')"),
        *("$$a$$, 'b'", "'a', U&'b'", "'a', E'\\x62'", "'a', 'b' ORDER BY 1", "DISTINCT 'a', 'b'", "'a', VARIADIC 'b'"),
    ],
)
def test_what_is_not_two_plain_texts_is_refused(arguments: str) -> None:
    with pytest.raises(Refused, match="two plain texts"):
        calls(f"SELECT hoopproxy.lookup({arguments})")


def test_a_statement_holds_few_of_them() -> None:
    call = f"hoopproxy.lookup('{EMAIL}', 'x')"
    assert len(calls(f"SELECT {', '.join([call] * CALLS_MAX)}")) == CALLS_MAX
    with pytest.raises(Refused, match="in parts"):
        calls(f"SELECT {', '.join([call] * (CALLS_MAX + 1))}")


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\\"), max_size=8), max_size=3), st.text())
def test_every_value_is_read_as_it_is_meant_and_the_rest_stays(values: list[str], aside: str) -> None:
    aside = literal(aside.replace("\0", "").encode("utf-8", "replace").decode())
    text = f"SELECT {aside}" + "".join(f", hoopproxy.lookup('{EMAIL}', {literal(value)}) AS é" for value in values)
    assert [call.value for call in calls(text)] == values
    assert answered(text, calls(text), ["X"] * len(values)) == f"SELECT {aside}" + ", X AS é" * len(values)


# What is asked ------------------------------------------------------------------------------------------------------

ID = Column(1, "Id", 23, -1, "integer", 23)
COLUMN = Column(2, "email", 25, -1, "text", 25)
CUSTOMERS = Relation(16, "public", "customers", "r", "postgres", (ID, COLUMN), primary_key=("Id",))


class _Holding:
    """As much of an inventory as is looked at."""

    database = "ledger"

    def __init__(self, *relations: Relation) -> None:
        self.relations = {each.oid: each for each in relations}


def wanted(*relations: Relation, value: str = "it's") -> Lookup:
    (call,) = calls(f"SELECT hoopproxy.lookup('{EMAIL}', {literal(value)})")
    return Lookup.of(call, _Holding(*relations))  # type: ignore[arg-type] # it is looked at no further


def test_keys_are_asked_for_as_the_owner_of_the_twins_and_not_for_long() -> None:
    query = wanted(CUSTOMERS).query()
    assert query.startswith('SET LOCAL ROLE "hp_owner_') and "SET LOCAL statement_timeout" in query
    assert query.endswith(
        f"""SELECT "Id"::text FROM "public"."customers" WHERE "email" = 'it''s' LIMIT {ROWS_MAX + 1}"""
    )


def test_keys_come_back_as_an_array_of_their_type() -> None:
    lookup = wanted(CUSTOMERS)
    assert lookup.array(((), (), (("1",), ("2",)))) == "(ARRAY['1', '2']::integer[])"
    assert lookup.array(((), (), ())) == "(ARRAY[]::integer[])"
    with pytest.raises(Refused, match="no look-up"):
        lookup.array(((), (), (("1",),) * (ROWS_MAX + 1)))


@pytest.mark.parametrize(
    "relation",
    [
        replace(CUSTOMERS, name="people"),
        replace(CUSTOMERS, columns=(ID,)),
        replace(CUSTOMERS, kind="v"),
        replace(CUSTOMERS, primary_key=()),
        replace(CUSTOMERS, primary_key=("Id", "email")),
    ],
)
def test_what_has_no_such_column_or_no_key_can_not_be_looked_up(relation: Relation) -> None:
    with pytest.raises(Refused, match="can't be looked up"):
        wanted(relation)


# How often ----------------------------------------------------------------------------------------------------------


def test_an_allowance_is_for_any_minute_and_for_each_alone() -> None:
    allowance = Allowance()
    assert [allowance.take("ada", 2, at_s) for at_s in (0, 1, 2, 59.9, 60, 60.5, 61)] == [
        *(True, True, False, False),
        *(True, False, True),
    ]
    assert allowance.take("bob", 2, 2)


def test_an_allowance_keeps_no_more_than_the_last_minute_of_so_many() -> None:
    allowance = Allowance()
    assert all(allowance.take(number, 1, 0.0) for number in range(KNOWN_MAX))
    assert not allowance.take("one more", 1, 30.0)
    assert allowance.take("one more", 1, 61.0)
