"""The SQL of clones, from the catalog's texts."""

from dataclasses import replace

import pytest

from hoopproxy.masking.shadows.clones import Clone, clone, fresh_path, left_out
from hoopproxy.masking.shadows.inventory import Function, Relation
from hoopproxy.masking.shadows.surroundings import Surroundings
from tests.shadows.small_inventory import closed, function, inventory, table, view

TWINS = {("public", "customers"): ("hp_1", "customers")}


def clones(*objects: Relation | Function, twins: dict[tuple[str, str], tuple[str, str]] = TWINS) -> tuple[Clone, ...]:
    found = inventory(*objects)
    return clone(found, closed(found), twins, {"public": "hp_1", "other": "hp_2"})


def sql(*objects: Relation | Function) -> str:
    """Of the last one, in one line."""
    return " ".join(clones(*objects)[-1].sql[-1].split())


def test_a_view_is_made_again_over_twins_under_its_own_columns() -> None:
    (made,) = clones(view("v", " SELECT c.ssn\n   FROM public.customers c;", "number"))
    assert made.original == ("public", "v")
    assert made.twin == ("hp_1", "v")
    assert made.columns == ("number",)
    assert not made.is_function
    assert made.sql == ('CREATE VIEW "hp_1"."v" ("number") AS  SELECT c.ssn\n   FROM "hp_1"."customers" c',)


def test_a_materialised_view_becomes_a_plain_one() -> None:
    assert sql(replace(view("m", "SELECT c.ssn FROM public.customers c"), kind="m")).startswith(
        'CREATE VIEW "hp_1"."m"'
    )


def test_a_clone_keeps_whose_rights_count_and_what_sees_a_row_first() -> None:
    """Its owner may read more than the account: a view with its reader's rights must not lend that."""
    found = view("v", "SELECT c.ssn FROM public.customers c", is_invoker=True)
    assert 'CREATE VIEW "hp_1"."v" ("id") WITH (security_invoker) AS' in sql(found)
    there = inventory(replace(found, is_invoker=False), surroundings=Surroundings(barriers=frozenset({found.oid})))
    (made,) = clone(there, closed(there), TWINS, {"public": "hp_1"})
    assert "WITH (security_barrier) AS" in made.sql[0]


def test_what_a_view_reads_as_it_is_is_told() -> None:
    ledger = table("other.ledger", "id")
    text = "SELECT c.ssn FROM public.customers c JOIN other.ledger l ON true"
    (made,) = clones(ledger, view("v", text))
    assert made.reads == {ledger.oid}


def test_clones_come_behind_those_that_they_need() -> None:
    last = view("a", "SELECT b.s, public.f() FROM public.b", "s")
    middle = view("b", "SELECT c.s FROM public.c", "s")
    first = view("c", "SELECT x.ssn AS s FROM public.customers x", "s")
    called = function("f()", "SELECT max(ssn) FROM public.customers")
    order = [each.original[1] for each in clones(last, middle, first, called)]
    assert order.index("c") < order.index("b") < order.index("a")
    assert order.index("f") < order.index("a")


def test_functions_that_need_each_other_are_made_without_looking_inside() -> None:
    one = function("one()", "SELECT public.two()")
    two = function("two()", "SELECT public.one() || max(ssn) FROM public.customers")
    made = clones(one, two)
    assert [each.sql[0].startswith("SET LOCAL check_function_bodies") for each in made].count(True) == 1


def test_a_whole_row_is_one_of_the_twin() -> None:
    text = "SELECT c.*::public.customers AS c FROM public.customers c"
    assert 'SELECT c.*::"hp_1"."customers" AS c FROM "hp_1"."customers" c' in sql(view("v", text))


def test_grouping_by_the_key_names_the_columns_that_a_view_has_to_be_told() -> None:
    text = "SELECT c.id, c.name, max(k.label) FROM public.customers c JOIN public.countries k ON true GROUP BY c.id"
    assert sql(view("v", text + " HAVING max(c.ssn) > 'x'")).endswith(
        """GROUP BY "c"."name", c.id HAVING max(c.ssn) > 'x'"""
    )
    assert sql(view("v", "SELECT id, ssn FROM public.customers GROUP BY id")).endswith('GROUP BY "customers"."ssn", id')


def test_a_definer_becomes_an_invoker_over_twins() -> None:
    made = sql(function("f(text)", "SELECT ssn FROM customers", is_definer=True, settings=("search_path=public",)))
    assert made == (
        'CREATE OR REPLACE FUNCTION "hp_1"."f"(text) RETURNS text LANGUAGE sql SECURITY INVOKER SET search_path '
        'TO public AS $function$SELECT ssn FROM "hp_1"."customers"$function$'
    )


def test_only_its_owner_may_call_a_function_leakproof() -> None:
    found = function("f()", "SELECT ssn FROM public.customers")
    text = found.definition.replace(" LANGUAGE sql", " LANGUAGE sql\n STABLE LEAKPROOF")
    assert "LEAKPROOF" not in sql(replace(found, definition=text))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("SELECT ssn FROM customers", 'SELECT ssn FROM "hp_1"."customers"'),
        ("SELECT customers.ssn FROM public.customers", 'SELECT customers.ssn FROM "hp_1"."customers"'),
        ("BEGIN ATOMIC SELECT ssn FROM public.customers; END", 'BEGIN ATOMIC SELECT ssn FROM "hp_1"."customers"; END'),
    ],
)
def test_bodies_of_sql_are_rewritten(body: str, expected: str) -> None:
    assert expected in sql(function("f()", body))


def test_bodies_of_plpgsql_are_rewritten_where_their_queries_stand() -> None:
    body = "DECLARE n text; BEGIN SELECT ssn INTO n FROM public.customers; RETURN n; END"
    assert 'INTO n FROM "hp_1"."customers";' in sql(function("f()", body, language="plpgsql"))


def test_arguments_that_are_masked_rows_are_rows_of_the_twin() -> None:
    found = function("f(public.customers)", "SELECT ($1).name")
    assert sql(found).startswith('CREATE OR REPLACE FUNCTION "hp_1"."f"("hp_1"."customers")')


def test_a_view_whose_table_has_no_twin_has_no_clone() -> None:
    """It would read the table itself, with the rights of its owner."""
    found = inventory(view("v", "SELECT c.ssn FROM public.customers c"), view("w", "SELECT v.id FROM public.v"))
    closure = closed(found)
    made = clone(found, closure, {}, {"public": "hp_1"})
    assert made == ()
    assert left_out(found, closure, made).keys() == {("public", "v"), ("public", "w")}


def test_names_in_another_alphabet_stay_in_their_places() -> None:
    text = "SELECT c.ssn AS \"ключ\", 'приве́т 😀' AS t FROM public.customers c"
    assert sql(view("v", text)).endswith("""AS "ключ", 'приве́т 😀' AS t FROM "hp_1"."customers" c""")


def test_the_path_of_a_new_session_is_what_was_set_last() -> None:
    found = inventory(table("app.x", "id"), table("other.x", "id"))
    assert fresh_path(found, "app") == ("app", "public")
    found = replace(found, settings=("search_path=other, missing, public",))
    assert fresh_path(found, "app") == ("other", "public")
    role = replace(found.roles["app"], settings=("work_mem=1", "search_path=public"))
    assert fresh_path(replace(found, roles={**found.roles, "app": role}), "app") == ("public",)
