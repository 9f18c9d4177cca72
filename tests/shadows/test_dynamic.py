"""SQL that statements put together: what changes goes into the constants that it comes from, or nowhere."""

import pytest

from hoopproxy.masking.shadows.places import Places
from hoopproxy.masking.shadows.rewriting import rewritten
from hoopproxy.masks import Shadow, Shadowed

SHADOW = Shadow(
    mask_set="hp_7a",
    path=("public",),
    bearers={"people": frozenset({"public", "app"}), "a%b": frozenset({"public"})},
    calls={},
    relations={
        ("public", "people"): Shadowed("hp_7a_2", "people", columns=("id", "ssn")),
        ("app", "people"): Shadowed("hp_7a_1", "people", columns=("id", "phone")),
        ("public", "a%b"): Shadowed("hp_7a_2", "a%b", columns=("id",)),
    },
    functions={},
    withheld={},
    origins={},
    tripwire={},
)


@pytest.mark.parametrize(
    ("expression", "changed"),
    [
        ("'TABLE peo' || 'ple'", """'TABLE "hp_7a_2"."people"' || ''"""),
        ("'SELECT ssn ' || 'FROM people ' || 'WHERE id = ' || n", None),
        ("'SELECT ssn FROM people' || ' WHERE id = ' || n || ' AND ''it''''s'' <> ''''' ", None),
        ("format('SELECT %I FROM people WHERE %I = %L', 'ssn', 'id', n)", None),
        ("format('SELECT * FROM %I', 'people')", """format('SELECT * FROM "hp_7a_2".%I', 'people')"""),
        ("format('TABLE app.%I', 'people')", """format('TABLE "hp_7a_1".%I', 'people')"""),
        ("format('TABLE %1$I.%2$I', 'app', 'people')", """format('TABLE %1$I.%2$I', 'hp_7a_1', 'people')"""),
        ("format('TABLE %2$I.%1$s', 'people', 'app')", ...),
        ("format('TABLE ' || 'people' || ' -- 100%%')", """format('TABLE ' || '"hp_7a_2"."people"' || ' -- 100%%')"""),
        ("format('TABLE %s', 'people')", ...),
        ("'TABLE ' || quote_ident(t)", ...),
        ("'SELECT interval ' || quote_literal(t) || ' FROM people'", None),
        ("format('TABLE %I', t)", ...),
        ("format('TABLE \"a%%b\"')", """format('TABLE "hp_7a_2"."a%%b"')"""),
        ("'TABLE \"a%b\"'", """'TABLE "hp_7a_2"."a%b"'"""),
        ("('TABLE people'::text)", None),
        ("concat('TABLE ', 'people')", ...),
        ("n", ...),
        ("1", ...),
    ],
)
def test_what_is_put_together_names_twins(expression: str, changed: object) -> None:
    """None: only `people` becomes a twin's name; `...`: nothing changes."""
    text = "DO $$ DECLARE n int; t text; BEGIN EXECUTE {}; END $$"
    if changed is None:
        changed = expression.replace("people", '"hp_7a_2"."people"')
    wanted = text.format(expression if changed is ... else changed)
    assert rewritten(text.format(expression), SHADOW, Places.of(SHADOW)).text == wanted


@pytest.mark.parametrize(
    "declarations",
    [
        "r app.people",
        'r "app" . "people"; k CONSTANT app.mood := 1',
        "r people%ROWTYPE",
        "m app.mood; r record",
        "m app.mood DEFAULT 'begin; declare'; /* ; */ r app.people; n numeric(10, 2)",
        "c CURSOR FOR SELECT 1; r app.people",
        "a app.mood; b mood; d timestamp with time zone; r people%ROWTYPE",
        "m people.ssn%TYPE; r app.people",
    ],
)
def test_declared_types_of_any_schema_keep_nothing_from_being_read(declarations: str) -> None:
    body = "SELECT * INTO r FROM people; IF r.id > 1 THEN r.id := 2; END IF"
    text = f"DO $x$ <<o>> DECLARE {declarations}; BEGIN {body}; END $x$"
    wanted = text.replace("FROM people", 'FROM "hp_7a_2"."people"')
    assert rewritten(text, SHADOW, Places.of(SHADOW)).text == wanted


@pytest.mark.parametrize(
    "header",
    [
        "FUNCTION f(p app.people, OUT q app.mood, VARIADIC v app.mood[])",
        "FUNCTION f(app.people) RETURNS SETOF app.people",
        "FUNCTION f(a int) RETURNS TABLE(x app.mood, y text)",
        "PROCEDURE f(INOUT p app.people)",
        "FUNCTION f() RETURNS trigger",
    ],
)
def test_types_of_any_schema_in_a_header_neither(header: str) -> None:
    text = f"CREATE {header} LANGUAGE plpgsql AS $x$ DECLARE m app.mood; BEGIN PERFORM * FROM people; END $x$"
    assert rewritten(text, SHADOW, Places.of(SHADOW)).text == text.replace("FROM people", 'FROM "hp_7a_2"."people"')
