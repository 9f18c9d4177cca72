"""What becomes of each kind of view and function, from the catalog's texts alone."""

from dataclasses import replace

import pytest

from hoopproxy.masking.shadows.fates import Fate
from hoopproxy.masking.shadows.inventory import PUBLIC, RowPolicy, Schema, Trigger
from hoopproxy.masking.shadows.surroundings import Surroundings
from tests.shadows.small_inventory import COUNTRIES, CUSTOMERS, closed, fate, function, inventory, table, view

CLEAN_VIEWS = {
    "unprotected columns": "SELECT customers.id, customers.name FROM public.customers",
    "bare names": "SELECT id, name FROM public.customers",
    "another table's column of that name": "SELECT x.ssn FROM (SELECT 1 AS ssn) x, public.countries c",
    "count": "SELECT count(*) FROM public.customers c GROUP BY c.name",
    "a CTE that hides the table": "WITH customers AS (SELECT c.id FROM public.customers c) SELECT id FROM customers",
    "catalogs": "SELECT c.relname FROM pg_class c",
    "PostgreSQL's own functions": "SELECT upper(c.name) AS u FROM public.customers c",
}

CLONED_VIEWS = {
    "a column": "SELECT customers.ssn FROM public.customers",
    "a bare column": "SELECT ssn FROM public.customers",
    "a whole row": "SELECT to_jsonb(c.*) FROM public.customers c",
    "a whole row beside a column": "SELECT c.id, to_jsonb(c.*) FROM public.customers c",
    "a row by its alias": "SELECT c FROM public.customers c",
    "a star": "SELECT * FROM public.customers",
    "a function written as a column": "SELECT c.to_jsonb FROM public.customers c",
    "WHERE": "SELECT id FROM public.customers WHERE ssn = 'x'",
    "ORDER BY": "SELECT id FROM public.customers ORDER BY email",
    "GROUP BY": "SELECT count(*) FROM public.customers GROUP BY ssn",
    "HAVING": "SELECT count(*) FROM public.customers HAVING max(ssn) > 'x'",
    "a window": "SELECT rank() OVER (ORDER BY c.ssn) FROM public.customers c",
    "a subquery": "SELECT (SELECT max(c.ssn) FROM public.customers c) AS m",
    "EXISTS": "SELECT code FROM public.countries k WHERE EXISTS (SELECT FROM public.customers c WHERE c.ssn = k.code)",
    "LATERAL": "SELECT x.s FROM public.customers c, LATERAL (SELECT c.ssn AS s) x",
    "UNION": "SELECT code FROM public.countries UNION SELECT ssn FROM public.customers",
    "recursion": "WITH RECURSIVE r(s) AS (SELECT ssn FROM public.customers UNION SELECT s FROM r) SELECT s FROM r",
    "USING": "SELECT a.id FROM public.customers a JOIN public.customers b USING (ssn)",
    "NATURAL": "SELECT a.id FROM public.customers a NATURAL JOIN public.countries b",
    "renamed columns": "SELECT c.x FROM public.customers c(a, b, x, y)",
    "the alias of a join": "SELECT j.ssn FROM (public.customers c JOIN public.countries k ON true) j",
    "CASE": "SELECT CASE WHEN c.ssn < '5' THEN 1 ELSE 2 END FROM public.customers c",
    "a cast of a row": "SELECT c.*::public.customers AS c FROM public.customers c",
    "XMLTABLE": "SELECT x.* FROM public.customers c, XMLTABLE('/a' PASSING (c.ssn::xml) COLUMNS b text) x",
}

WITHHELD_VIEWS = {
    "SQL from a text": "SELECT query_to_xml('SELECT 1', true, true, '')",
    "statistics": "SELECT most_common_vals FROM pg_stats",
    "an unknown relation": "SELECT x FROM public.gone",
    "an unknown function": "SELECT public.gone(1)",
    "what no grammar reads": "SELECT FROM WHERE",
    "a system column of masked rows": "SELECT c.ctid, c.ssn FROM public.customers c",
}


@pytest.mark.parametrize("text", CLEAN_VIEWS.values(), ids=CLEAN_VIEWS.keys())
def test_a_view_over_unprotected_columns_is_granted(text: str) -> None:
    assert fate(view("v", text)) is Fate.CLEAN


@pytest.mark.parametrize("text", CLONED_VIEWS.values(), ids=CLONED_VIEWS.keys())
def test_a_view_that_touches_a_protected_column_anywhere_is_cloned(text: str) -> None:
    assert fate(view("v", text)) is Fate.CLONED


@pytest.mark.parametrize("text", WITHHELD_VIEWS.values(), ids=WITHHELD_VIEWS.keys())
def test_a_view_that_cannot_be_read_or_rewritten_is_withheld(text: str) -> None:
    assert fate(view("v", text)) is Fate.WITHHELD


def test_views_over_views_follow_what_is_below_them() -> None:
    tainted = view("v", "SELECT c.ssn AS s FROM public.customers c", "s")
    assert fate(view("w", "SELECT v.s FROM public.v"), tainted) is Fate.CLONED
    withheld = view("v", "SELECT x FROM public.gone", "s")
    assert fate(view("w", "SELECT v.s FROM public.v"), withheld) is Fate.WITHHELD


def test_a_materialised_view_is_granted_only_if_it_called_nothing_that_may_have_been_another() -> None:
    label = function("label(text)", "SELECT label FROM public.countries WHERE code = $1")
    plain = replace(view("m", "SELECT c.id FROM public.customers c"), kind="m")
    calling = replace(view("m", "SELECT public.label(c.name) FROM public.customers c"), kind="m")
    assert fate(plain) is Fate.CLEAN
    assert fate(calling, label) is Fate.CLONED
    assert fate(replace(calling, kind="v"), label) is Fate.CLEAN


def test_partitions_and_children_are_masked_like_their_parents() -> None:
    child = table("vip", "id", "name", "email", "ssn", "level", parents=(CUSTOMERS.oid,))
    assert fate(child) is Fate.MASKED
    assert fate(view("v", "SELECT vip.ssn FROM public.vip"), child) is Fate.CLONED
    assert fate(view("v", "SELECT vip.level FROM public.vip"), child) is Fate.CLEAN


# Functions -----------------------------------------------------------------------------------------------------------

DEFINER = {"is_definer": True}
GUARDED = {"is_definer": True, "settings": ("search_path=public, pg_temp",)}


@pytest.mark.parametrize(
    ("body", "more", "expected"),
    [
        ("SELECT label FROM public.countries", DEFINER, Fate.CLEAN),
        ("SELECT label FROM countries", GUARDED, Fate.CLEAN),
        ("BEGIN ATOMIC SELECT countries.label FROM public.countries; END", DEFINER, Fate.CLEAN),
        ("SELECT name FROM public.customers", DEFINER, Fate.CLEAN),
        # Its caller's temporary view may stand for the table, and runs with the definer's rights.
        ("SELECT label FROM countries", DEFINER, Fate.CLONED),
        ("SELECT label FROM countries", {**DEFINER, "settings": ("search_path=public",)}, Fate.CLONED),
        ("SELECT label::mine FROM public.countries", DEFINER, Fate.CLONED),
        ("SELECT code FROM gone", GUARDED, Fate.CLONED),
        # A polymorphic argument brings casts of its own.
        ("SELECT label FROM public.countries", {**DEFINER, "argument_types": (2283,)}, Fate.CLONED),
        # With standard_conforming_strings off it would be another text.
        ("SELECT label || '\\' FROM public.countries", DEFINER, Fate.CLONED),
        ("SELECT ssn FROM public.customers", DEFINER, Fate.CLONED),
        ("SELECT ssn FROM customers", GUARDED, Fate.CLONED),
        ("UPDATE public.countries SET label = 'x'", DEFINER, Fate.WITHHELD),
        ("SELECT public.gone()", DEFINER, Fate.WITHHELD),
        ("SELECT query_to_xml($1, true, true, '')", DEFINER, Fate.WITHHELD),
        ("NOTIFY x", DEFINER, Fate.WITHHELD),
        ("BEGIN RETURN 1; END", {**DEFINER, "language": "plpgsql"}, Fate.CLONED),
        ("BEGIN RETURN (SELECT ssn FROM public.customers); END", {**DEFINER, "language": "plpgsql"}, Fate.CLONED),
        ("BEGIN DELETE FROM public.countries; END", {**DEFINER, "language": "plpgsql"}, Fate.WITHHELD),
        ("BEGIN EXECUTE $1; END", {**DEFINER, "language": "plpgsql"}, Fate.WITHHELD),
        ("return 1", {**DEFINER, "language": "plperl"}, Fate.WITHHELD),
    ],
)
def test_a_security_definer_is_granted_only_if_proven_whatever_its_caller_brings(
    body: str, more: dict[str, object], expected: Fate
) -> None:
    assert fate(function("f(text)", body, **more)) is expected


@pytest.mark.parametrize(
    ("body", "more", "expected"),
    [
        ("SELECT label FROM public.countries", {}, Fate.CLEAN),
        ("SELECT label FROM countries", {}, Fate.BOUNDED),
        ("SELECT ssn FROM customers", {}, Fate.CLONED),
        ("SELECT to_jsonb(c) FROM customers c", {}, Fate.CLONED),
        ("BEGIN RETURN (SELECT ssn FROM customers); END", {"language": "plpgsql"}, Fate.CLONED),
        ("DECLARE x text; BEGIN x := (SELECT ssn FROM customers); RETURN x; END", {"language": "plpgsql"}, Fate.CLONED),
        ("BEGIN EXECUTE 'SELECT ssn FROM customers'; END", {"language": "plpgsql"}, Fate.CLONED),
        ("BEGIN EXECUTE 'SELECT 1 FROM ' || t; END", {"language": "plpgsql"}, Fate.BOUNDED),
        ("BEGIN PERFORM ssn FROM customers; COMMIT; END", {"language": "plpgsql", "kind": "p"}, Fate.BOUNDED),
        ("return 1", {"language": "plperl"}, Fate.BOUNDED),
        ("return 1", {"language": "plpython3u", "is_trusted": False}, Fate.WITHHELD),
        ("hidden", {"language": "c"}, Fate.WITHHELD),
        ("pg_read_file", {"language": "internal"}, Fate.WITHHELD),
        ("hstore_in", {"language": "c", "extension": "hstore"}, Fate.CLEAN),
        ("hidden", {"language": "c", "extension": "e", "is_definer": True}, Fate.WITHHELD),
    ],
)
def test_what_has_its_callers_rights_stays_and_is_cloned_where_it_would_be_denied(
    body: str, more: dict[str, object], expected: Fate
) -> None:
    assert fate(function("f()", body, **more)) is expected


@pytest.mark.parametrize("name", ["dblink", "dblink_connect_u", "pg_file_write", "get_raw_page", "pg_get_wal_stats"])
def test_functions_of_extensions_that_reach_past_rights_are_withheld(name: str) -> None:
    assert fate(function(f"{name}(text)", "x", language="c", extension="e")) is Fate.WITHHELD


def test_a_definers_trigger_function_is_withheld_as_temporary_tables_have_triggers() -> None:
    body = "BEGIN NEW.a := (SELECT max(ssn) FROM public.customers); RETURN NEW; END"
    found = function("f()", body, language="plpgsql", is_definer=True, is_trigger=True)
    assert fate(found) is Fate.WITHHELD
    assert ("ROUTINE", found.oid) in closed(inventory(found)).taken


def test_an_aggregate_shares_what_its_parts_may_do() -> None:
    part = function("part(text, text)", "SELECT max(ssn) FROM public.customers", is_definer=True)
    whole = function("whole(text)", "", kind="a", language="internal", definition="")
    around = Surroundings(components={whole.oid: frozenset({part.oid})})
    assert fate(whole, part, surroundings=around) is Fate.WITHHELD
    assert fate(whole, replace(part, is_definer=False), surroundings=around) is Fate.BOUNDED
    assert fate(whole, part) is Fate.WITHHELD


def test_what_is_called_unseen_counts_where_rights_are_an_owners() -> None:
    spy = function("spy(text, text)", "SELECT ssn FROM public.customers", is_definer=True)
    plain = function("f()", "SELECT label FROM public.countries WHERE code === 'x'", is_definer=True)
    assert fate(plain, spy, surroundings=Surroundings(operators={"===": frozenset({spy.oid})})) is not Fate.CLEAN
    plain = function("f()", "SELECT label FROM public.countries", is_definer=True)
    assert fate(plain, spy) is Fate.CLEAN
    assert fate(plain, spy, surroundings=Surroundings(implied=frozenset({spy.oid}))) is not Fate.CLEAN


def test_what_a_view_calls_counts_for_who_reads_it_with_rights_of_their_own() -> None:
    spy = function("spy()", "BEGIN EXECUTE 'SELECT 1'; END", language="plpgsql")
    seen = view("seen", "SELECT public.spy() AS id FROM public.countries")
    over = view("over", "SELECT s.id FROM public.seen s")
    kept = replace(view("kept", "SELECT o.id FROM public.over o"), kind="m")
    path = ("search_path=pg_catalog, pg_temp",)
    asks = function("asks()", "SELECT o.id FROM public.over o", is_definer=True, settings=path)
    made = closed(inventory(spy, seen, over, kept, asks))
    assert made.relations[over.oid].fate is Fate.CLEAN
    assert made.relations[kept.oid].fate is Fate.CLONED
    assert made.functions[asks.oid].fate is not Fate.CLEAN


def test_no_definer_is_proven_where_everybody_may_make_functions() -> None:
    everyone = frozenset({PUBLIC})
    schemas = {"public": Schema("owner", everyone, everyone)}
    assert fate(function("f()", "SELECT label FROM public.countries", is_definer=True), schemas=schemas) is Fate.CLONED


def test_functions_that_call_each_other_are_judged_together() -> None:
    one = function("one()", "SELECT public.two()", is_definer=True)
    two = function("two()", "SELECT public.one()", is_definer=True)
    assert fate(one, two) is Fate.CLEAN
    two = function("two()", "SELECT public.one() || max(ssn) FROM public.customers", is_definer=True)
    assert fate(one, two) is Fate.CLONED


def test_all_functions_of_a_name_are_cloned_together() -> None:
    one = function("f(integer)", "SELECT ssn FROM public.customers")
    other = function("f(text)", "SELECT $1")
    assert fate(other) is Fate.CLEAN
    assert fate(other, one) is Fate.CLONED


def test_the_type_of_masked_rows_as_an_argument_is_enough_for_a_clone() -> None:
    assert fate(function("f(public.customers)", "SELECT ($1).name")) is Fate.CLONED


# Tables --------------------------------------------------------------------------------------------------------------


def test_a_sequence_that_counts_masked_values_is_withheld_and_so_is_what_asks_it() -> None:
    counts = replace(table("counter"), kind="S", feeds=((CUSTOMERS.oid, 4),))
    harmless = replace(counts, feeds=((CUSTOMERS.oid, 1),))
    asks = function(
        "next()",
        "SELECT nextval('public.counter')",
        is_definer=True,
        settings=("search_path=pg_catalog, pg_temp",),
    )
    reads = view("v", "SELECT counter.last_value FROM public.counter", "last_value")
    assert fate(counts) is fate(reads, counts) is Fate.WITHHELD
    assert fate(asks, counts) is Fate.CLONED  # with its caller's rights
    assert {fate(harmless), fate(reads, harmless), fate(asks, harmless)} == {Fate.CLEAN}


def test_foreign_tables_are_withheld() -> None:
    assert fate(replace(table("far", "id"), kind="f")) is Fate.WITHHELD


@pytest.mark.parametrize(
    ("actions", "expected"),
    [("SELECT c.label FROM public.countries c", Fate.CLEAN), ("SELECT ssn FROM public.customers", Fate.WITHHELD)],
)
def test_rules_are_read_too(actions: str, expected: Fate) -> None:
    rule = Trigger("telling", f"CREATE RULE telling AS ON INSERT TO public.ruled DO {actions}")
    assert fate(table("ruled", "id", triggers=(rule,))) is expected


def test_a_view_whose_instead_trigger_has_its_owners_rights_is_withheld() -> None:
    instead = function("instead()", "BEGIN RETURN NEW; END", language="plpgsql", is_definer=True, is_trigger=True)
    found = view("v", "SELECT customers.id FROM public.customers", triggers=(Trigger("i", "", instead.oid),))
    assert fate(found, instead) is Fate.WITHHELD
    assert fate(found, replace(instead, is_definer=False)) is Fate.CLEAN


EVERYONE = frozenset({PUBLIC})


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (RowPolicy("p", EVERYONE, "(id = 'x')", ""), Fate.CLEAN),
        (RowPolicy("p", EVERYONE, "(id = current_setting('app.tenant'))", ""), Fate.CLEAN),
        (RowPolicy("p", EVERYONE, "(id = CURRENT_USER)", ""), Fate.WITHHELD),
        (RowPolicy("p", EVERYONE, "pg_has_role(id, 'USAGE')", ""), Fate.WITHHELD),
        (RowPolicy("p", EVERYONE, "public.mine(id)", ""), Fate.WITHHELD),
        (RowPolicy("p", EVERYONE, "(id IN (SELECT code FROM public.countries))", ""), Fate.WITHHELD),
        (RowPolicy("p", frozenset({"app"}), "(id = 'x')", ""), Fate.WITHHELD),
    ],
)
def test_row_security_holds_only_where_it_is_the_same_for_everybody(policy: RowPolicy, expected: Fate) -> None:
    assert fate(table("orders", "id", row_security=True, policies=(policy,))) is expected


def test_a_policy_that_compares_protected_values_would_tell_them() -> None:
    policy = RowPolicy("p", EVERYONE, "(ssn = current_setting('x'))", "")
    assert (
        fate(table("vip", "id", "ssn", parents=(CUSTOMERS.oid,), row_security=True, policies=(policy,)))
        is Fate.WITHHELD
    )


# What follows --------------------------------------------------------------------------------------------------------


def test_what_is_publics_is_taken_and_told() -> None:
    tainted = view("v", "SELECT c.ssn FROM public.customers c", grants={PUBLIC: frozenset({"SELECT"})})
    clean = view("w", "SELECT c.name FROM public.customers c", grants={PUBLIC: frozenset({"SELECT"})})
    definer = function("f()", "SELECT ssn FROM public.customers", is_definer=True)
    invoker = function("g()", "SELECT ssn FROM public.customers")
    closure = closed(inventory(tainted, clean, definer, invoker))
    assert closure.taken == {("TABLE", tainted.oid), ("ROUTINE", definer.oid)}
    assert {each.name for each in closure.findings} == {"public-grant public.v", "security-definer public.f()"}
    assert all(each.withheld for each in closure.findings)
    fates = [closure.relations[each.oid].fate for each in (clean, tainted, CUSTOMERS)]
    assert fates == [Fate.CLEAN, Fate.CLONED, Fate.MASKED]
    assert invoker.oid not in closure.clean_functions
    assert closure.clones.schemas == {"public"}
    assert not closure.withheld


def test_a_column_that_everybody_may_read_is_taken_too() -> None:
    found = table("vip", "id", "ssn", parents=(CUSTOMERS.oid,), column_grants={PUBLIC: {2: frozenset({"SELECT"})}})
    assert ("TABLE", found.oid) in closed(inventory(found)).taken


def test_a_name_is_withheld_only_if_nothing_else_has_it() -> None:
    kept = function("f(text)", "BEGIN EXECUTE $1; END", language="plpgsql", is_definer=True)
    other = function("f(integer)", "SELECT label FROM public.countries")
    assert ("public", "f") in closed(inventory(kept)).withheld
    assert ("public", "f") not in closed(inventory(kept, other)).withheld
    assert closed(inventory(kept)).relations[COUNTRIES.oid].fate is Fate.CLEAN
