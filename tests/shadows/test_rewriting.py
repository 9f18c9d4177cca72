"""The rewriter: twins in the place of protected relations where a statement reads them, and nothing else changed."""

from dataclasses import replace

import pytest

from hoopproxy.errors import Refused
from hoopproxy.masking.shadows.bodies import SEARCHED_CHARACTERS_MAX
from hoopproxy.masking.shadows.places import SAVEPOINTS_MAX, Places
from hoopproxy.masking.shadows.rewriting import rewritten
from hoopproxy.masking.shadows.sites import applied
from tests.shadows import marked_cases as marked
from tests.shadows.masked_sample import COLUMNS, SHADOW

FRESH = Places.of(SHADOW)
TWIN = '"hp_7a_1"."people"'
PEOPLE = "public", "people"
KEYLESS = replace(SHADOW, relations={named: replace(each, primary_key=()) for named, each in SHADOW.relations.items()})


@pytest.mark.parametrize("case", marked.ALL)
def test_names_that_are_read_become_twins_and_all_else_stays(case: str) -> None:
    text = marked.original(case)
    found = rewritten(text, SHADOW, FRESH)
    assert found.text == marked.expected(case)
    assert applied(text, found.edits) == found.text
    assert bool(found.edits) == (found.text != text)


@pytest.mark.parametrize("case", marked.cases(marked.REFUSED))
def test_what_has_no_twin_is_refused_with_its_reason(case: str) -> None:
    with pytest.raises(Refused) as refused:
        rewritten(case, SHADOW, FRESH)
    assert refused.value.reason == "statement"
    assert refused.value.sentence.endswith(".")


@pytest.mark.parametrize(("text", "sent"), marked.COPIED)
def test_copy_of_a_protected_table_becomes_copy_of_a_query(text: str, sent: str) -> None:
    every = ", ".join(f'"{name}"' for name in COLUMNS["public", "people"])
    assert rewritten(text, SHADOW, FRESH).text == sent.replace(" T)", f" {TWIN})").replace("{}", every)


@pytest.mark.parametrize(("text", "sent"), marked.SAMPLED)
def test_a_sample_of_a_protected_table_becomes_a_share_of_its_twin(text: str, sent: str) -> None:
    query = f"(SELECT * FROM {TWIN} WHERE pg_catalog.random() OPERATOR(pg_catalog.*) 100 OPERATOR(pg_catalog.<)"
    assert rewritten(text, SHADOW, FRESH).text == sent.replace("FROM S", f"FROM {query}")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("SELECT id, name FROM people GROUP BY id", '"people"."name"'),
        ("SELECT p.* FROM people p GROUP BY p.id, boss", ", ".join(f'"p"."{each}"' for each in COLUMNS[PEOPLE][1:6])),
        ("SELECT * FROM app.people GROUP BY id", '"people"."name", "people"."phone"'),
        ("SELECT name FROM people GROUP BY country, id", '"people"."name"'),
        ("SELECT name FROM people GROUP BY lower(ssn), people.id", '"people"."name"'),
        ("SELECT p.name, count(*) FROM people p GROUP BY p.name, p.id", ""),
        ("SELECT p.id, p.name || p.ssn FROM people p GROUP BY 1", '"p"."name", "p"."ssn"'),
        ("SELECT p.name, p.* FROM people p GROUP BY 2", ""),
        ("SELECT public.people.name FROM public.people GROUP BY public.people.id", '"people"."name"'),
        ('SELECT "ü"."name" FROM people AS "ü" GROUP BY "ü"."id"', '"ü"."name"'),
        (
            "SELECT p.id, p.name, sum(o.amount) FROM people p JOIN orders o ON o.person_id = p.id "
            "GROUP BY p.id HAVING max(p.born) > now() ORDER BY p.country",
            '"p"."name", "p"."country"',
        ),
        ("SELECT max(name), string_agg(p.ssn, ',' ORDER BY p.email) FROM people p GROUP BY id", ""),
        ("SELECT id, sum(p.boss) OVER (PARTITION BY p.country) FROM people p GROUP BY id", '"p"."country", "p"."boss"'),
        (
            "SELECT id, (SELECT c.label FROM countries c WHERE c.code = p.country) FROM people p GROUP BY id",
            '"p"."country"',
        ),
        ("SELECT o.iban FROM orders o GROUP BY o.id, o.made", '"o"."iban"'),
        ("SELECT o.iban, p.name FROM orders o, people p GROUP BY o.id, p.id", '"p"."name"'),
        ("SELECT 'x' FROM (SELECT name FROM people GROUP BY id) q", '"people"."name"'),
        ("WITH people AS (TABLE archive.people) SELECT name FROM people GROUP BY id", ""),
        ("SELECT note FROM archive.people GROUP BY id", ""),
        ("SELECT mail FROM contacts GROUP BY id", ""),
        ("SELECT name FROM people GROUP BY GROUPING SETS ((id), ())", ""),
        ("SELECT name FROM people GROUP BY (id)", '"people"."name"'),
        ("SELECT name FROM people AS p(key, name) GROUP BY key", ""),
        ("SELECT j.name FROM (people p CROSS JOIN countries) AS j GROUP BY j.id", ""),
        ("SELECT people.name FROM people, app.people GROUP BY people.id", ""),
        ("SELECT p FROM people p GROUP BY p.id", '"p".*'),
        ("SELECT to_jsonb(people), json_agg(people) FROM people GROUP BY id", '"people".*'),
        (
            "SELECT to_jsonb(p.*), ROW(a.*) FROM people p, app.people a GROUP BY p.id, a.id",
            '"p".*, "a"."name", "a"."phone"',
        ),
        ("SELECT count(p.*), max(p) FROM people p GROUP BY p.id", ""),
        ("SELECT p FROM people p GROUP BY p, id", ""),
        ("SELECT name FROM people GROUP BY country", ""),
    ],
)
def test_grouping_by_a_key_names_what_is_used_besides(text: str, named: str) -> None:
    found = rewritten(text, SHADOW, FRESH)
    put = [edit for edit in found.edits if not edit.removed]
    assert "".join(edit.put for edit in put) == (named and f"{named}, ")
    assert applied(text, found.edits) == found.text
    others = tuple(edit for edit in found.edits if edit.removed)
    assert applied(text, others) == rewritten(text, KEYLESS, FRESH).text


@pytest.mark.parametrize("name", sorted(SHADOW.withheld))
def test_ddl_may_name_what_is_withheld(name: tuple[str, str]) -> None:
    text = f"COMMENT ON TABLE {name[1]} IS 'x'; CREATE INDEX ON {name[1]} (a); GRANT ALL ON {name[1]} TO x"
    assert rewritten(text, SHADOW, FRESH).edits == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "-- people",
        "SELECT * FROM people WHERE",
        "SELECT * FROM people\0",
        "SELECT '\udce4' FROM people",
        "SELECT * FROM people /* not closed",
        "Zürich, people",
        "(" * 20_000 + "SELECT * FROM people" + ")" * 20_000,
        "SELECT " + "NOT " * 20_000 + "true FROM people",
    ],
    ids=["empty", "nothing", "comment", "unfinished", "nul", "surrogate", "comment open", "prose", "deep", "deeper"],
)
def test_what_cannot_be_read_goes_as_it_came(text: str) -> None:
    """To a login that may read nothing protected, so that the server decides."""
    found = rewritten(text, SHADOW, FRESH)
    assert (found.text, found.edits, found.places) == (text, (), FRESH)


@pytest.mark.parametrize(
    "text",
    [
        "DO $$ BEGIN EXECUTE format(); END $$",
        "DO $$ BEGIN EXECUTE FROM people; END $$",
        "DO $$ BEGIN EXECUTE *; END $$",
        "DO $$ BEGIN EXECUTE format(VARIADIC a); END $$",
    ],
)
def test_what_the_parser_takes_and_no_server_would_goes_as_it_came(text: str) -> None:
    assert rewritten(text, SHADOW, FRESH).text == text.replace("FROM people", f"FROM {TWIN}")


def test_long_chains_are_read() -> None:
    for text in (
        " UNION ALL ".join(["SELECT ssn FROM people"] * 200),
        "SELECT " + " || ".join(["ssn"] * 300) + " FROM people",
        "WITH " + ", ".join(f"a{n} AS (SELECT 1)" for n in range(300)) + " SELECT * FROM people",
    ):
        found = rewritten(text, SHADOW, FRESH)
        assert found.text == text.replace("people", TWIN)
        assert len(found.edits) == text.count("people")


def test_edits_count_characters_of_the_original() -> None:
    text = "SELECT 'ä€𝄞' FROM people p, /* ü */ public.orders"
    found = rewritten(text, SHADOW, FRESH)
    assert [text[edit.at : edit.at + edit.removed] for edit in found.edits] == ["people", "public.orders"]


def test_constants_within_constants_are_read_so_far() -> None:
    inner = "SELECT * FROM people"
    for depth in range(1, 7):
        inner = f"SELECT query_to_xml('{inner.replace(chr(39), chr(39) * 2)}', true, false, '')"
        assert (TWIN in rewritten(inner, SHADOW, FRESH).text) == (depth <= 4)


def test_backslashes_are_escapes_where_the_session_says_so() -> None:
    """The server then reads a query where another reading sees a text."""
    off = rewritten("SET standard_conforming_strings = off", SHADOW, FRESH).places
    text = r"SELECT '\'', (SELECT ssn FROM people LIMIT 1) -- '"
    assert rewritten(text, SHADOW, FRESH).edits == ()
    assert rewritten(text, SHADOW, off).text == text.replace("people", TWIN)
    name = "standard_conforming_strings"
    for back in (f"RESET {name}", f"SET {name} = on", f"SET {name} TO DEFAULT", "RESET ALL", "DISCARD ALL"):
        assert rewritten(back, SHADOW, off).places == FRESH
    assert rewritten("SELECT set_config('standard_conforming_strings', 'no', false)", SHADOW, FRESH).places == off
    escaped = r"SELECT query_to_xml('SELECT ''\\'' FROM people', true, false, '')"
    assert rewritten(escaped, SHADOW, off).edits == ()


def test_a_body_with_many_queries_is_changed_up_to_a_limit() -> None:
    for count, twin in ((100, TWIN), (1000, "people")):
        queries = "".join(f"PERFORM {number}, name FROM people;" for number in range(count))
        text = f"DO $$ BEGIN {queries} END $$"
        assert (len(queries) * count > SEARCHED_CHARACTERS_MAX) is (twin == "people")
        assert rewritten(text, SHADOW, FRESH).text == text.replace("people", twin)


def test_a_number_in_group_by_means_a_value_however_many_there_are() -> None:
    values = ", ".join(["p.id"] * 500)
    text = f"SELECT {values}, p.name FROM people p GROUP BY {', '.join(str(number + 1) for number in range(500))}"
    assert 'GROUP BY "p"."name", 1, 2' in rewritten(text, SHADOW, FRESH).text


def test_of_two_settings_in_one_statement_the_last_stays() -> None:
    text = "SELECT set_config('search_path', 'public', false), (SELECT set_config('search_path', 'app', false))"
    assert rewritten(text, SHADOW, FRESH).places.sight.path == ("app",)


def test_places_are_those_of_the_statements_before() -> None:
    """Each text is a statement of its own, as a driver sends them."""
    app, public = '"hp_7a_0"."people"', TWIN
    places = FRESH
    for text, twin in (
        ("SET LOCAL search_path = app", public),
        ("SET search_path = app", app),
        ("BEGIN", app),
        ("SET LOCAL search_path = archive", ""),
        ("SAVEPOINT a", ""),
        ("RESET search_path", public),
        ("CREATE TEMP TABLE people (i int)", ""),
        ("ROLLBACK TO a", ""),
        ("RESET search_path", public),
        ("RELEASE a", public),
        ("COMMIT", public),
        ("START TRANSACTION", public),
        ("CREATE TEMP TABLE people (i int) ON COMMIT DROP", ""),
        ("END", public),
        ("CREATE TEMP TABLE people (i int) ON COMMIT DROP", public),
        ("BEGIN", public),
        ("CREATE TEMP TABLE people (i int)", ""),
        ("COMMIT AND CHAIN", ""),
        ("DROP TABLE people", public),
        ("ABORT", ""),
        ("DISCARD ALL", public),
    ):
        places = rewritten(text, SHADOW, places).places
        found = rewritten("SELECT * FROM people", SHADOW, places)
        assert found.text == f"SELECT * FROM {twin or 'people'}", text
        assert found.places is places
    assert places == FRESH


def test_savepoints_without_end_are_forgotten() -> None:
    places = rewritten("BEGIN", SHADOW, FRESH).places
    for number in range(SAVEPOINTS_MAX * 3):
        places = rewritten(f"SAVEPOINT s{number}", SHADOW, places).places
    assert len(places.marks) == SAVEPOINTS_MAX + 1
    assert rewritten("ROLLBACK TO s0", SHADOW, places).places == places
    assert rewritten("ROLLBACK", SHADOW, places).places == FRESH
