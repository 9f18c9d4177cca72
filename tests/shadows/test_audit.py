"""Each finding of an audit, and what does not make it."""

from dataclasses import replace

import pytest

from hoopproxy.masking.shadows.audit import findings
from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.inventory import PUBLIC, Function, Inventory, Relation, Schema, Trigger
from hoopproxy.masking.shadows.surroundings import Statistic, Surroundings
from tests.shadows.small_inventory import CUSTOMERS, SETS, function, inventory, table, view


def audited(*objects: Relation | Function, **more: object) -> dict[str, Finding]:
    """What is found, by name."""
    return found_in(inventory(*objects, **more))


def found_in(what: Inventory) -> dict[str, Finding]:
    return {each.name: each for each in findings(what, SETS)}


def kin(**more: object) -> Relation:
    """Another table whose `ssn` is protected."""
    return table("vip", "id", "email", "ssn", parents=(CUSTOMERS.oid,), **more)


def test_nothing_is_found_in_a_plain_database() -> None:
    assert audited() == {}


def test_sentences_are_full_and_say_the_object() -> None:
    around = Surroundings(languages=frozenset({"plpython3u"}), file_readers=frozenset({"pg_read_file(text)"}))
    for name, each in audited(surroundings=around).items():
        assert each.sentence[0].isupper() and each.sentence.endswith(".")
        assert name.split()[-1] in each.sentence


# Triggers ------------------------------------------------------------------------------------------------------------


def triggered(body: str, **more: object) -> Function:
    return function("act()", body, language="plpgsql", is_trigger=True, **more)


QUIET = {
    "sets a column": "BEGIN NEW.name := upper(NEW.name); RETURN NEW; END",
    "reads what is not masked": "BEGIN NEW.name := (SELECT label FROM public.countries LIMIT 1); RETURN NEW; END",
    "copies what is not masked": "BEGIN INSERT INTO public.countries VALUES (NEW.id, OLD.name); RETURN NEW; END",
}
LOUD = {
    "raises": "BEGIN RAISE NOTICE '%', OLD.name; RETURN NEW; END",
    "notifies": "BEGIN PERFORM pg_notify('x', OLD.id); RETURN NEW; END",
    "notifies in SQL": "BEGIN NOTIFY x; RETURN NEW; END",
    "keeps it in a setting": "BEGIN PERFORM set_config('a.b', OLD.id, false); RETURN NEW; END",
    "puts SQL together": "BEGIN EXECUTE 'SELECT 1'; RETURN NEW; END",
    "uses a masked column": "BEGIN IF OLD.ssn > '5' THEN NEW.name := 'x'; END IF; RETURN NEW; END",
    "copies the row": "BEGIN INSERT INTO public.countries VALUES (1, to_jsonb(OLD)); RETURN NEW; END",
    "copies the columns": "BEGIN INSERT INTO public.countries SELECT OLD.*; RETURN NEW; END",
    "calls what nobody knows": "BEGIN PERFORM public.gone(OLD.id); RETURN NEW; END",
    "can't be read": "BEGIN SELECT FROM WHERE; END",
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET.keys())
def test_a_trigger_that_keeps_masked_values_to_itself_is_fine(body: str) -> None:
    act = triggered(body)
    assert audited(act, kin(triggers=(Trigger("act", "", act.oid),))) == {}


@pytest.mark.parametrize("body", LOUD.values(), ids=LOUD.keys())
def test_a_trigger_on_masked_rows_that_may_tell_them_is_amber(body: str) -> None:
    act = triggered(body)
    found = audited(act, kin(triggers=(Trigger("act", "", act.oid),)))
    assert found["trigger public.vip.act"].severity is Severity.AMBER


@pytest.mark.parametrize("body", LOUD.values(), ids=LOUD.keys())
def test_where_nothing_is_masked_a_trigger_has_its_sessions_rights(body: str) -> None:
    act = triggered(body)
    assert audited(act, table("plain", "id", "ssn", triggers=(Trigger("act", "", act.oid),))) == {}


def test_a_definers_trigger_may_read_what_is_masked_from_any_table() -> None:
    act = triggered("BEGIN NEW.id := (SELECT max(ssn) FROM public.customers); RETURN NEW; END", is_definer=True)
    found = audited(act, table("plain", "id", triggers=(Trigger("act", "", act.oid),)))
    assert found["trigger public.plain.act"].severity is Severity.AMBER


def test_a_trigger_that_no_masked_session_can_fire_is_fine() -> None:
    act = triggered(LOUD["raises"])
    there = inventory(act, kin(triggers=(Trigger("act", "", act.oid),)))
    rights = {"app": replace(there.rights["app"], relations={})}
    assert found_in(replace(there, rights=rights)) == {}


def test_postgresqls_own_trigger_functions_tell_only_what_they_are_told_to_copy() -> None:
    def of(*columns: str) -> Trigger:
        return Trigger("fill", f"… EXECUTE FUNCTION tsvector_update_trigger({', '.join(columns)})", 3752)

    assert audited(kin(triggers=(of("'id'", "'name'"),))) == {}
    assert audited(kin(triggers=(of("'id'", "'ssn'"),))).keys() == {"trigger public.vip.fill"}


@pytest.mark.parametrize(("name", "is_loud"), [("moddatetime", False), ("triggered_change_notification", True)])
def test_trigger_functions_of_extensions_are_known_or_loud(name: str, is_loud: bool) -> None:
    act = function(f"{name}()", "x", language="c", extension="e", is_trigger=True)
    assert bool(audited(act, kin(triggers=(Trigger("act", "", act.oid),)))) is is_loud


def definers(path: str, body: str = "BEGIN INSERT INTO outbox VALUES (NEW.id); RETURN NEW; END") -> Function:
    return triggered(body, is_definer=True, settings=(f"search_path={path}",))


@pytest.mark.parametrize(("path", "is_loud"), [("public", True), ("public, pg_temp", False)])
def test_a_definers_trigger_is_loud_if_a_temporary_table_may_stand_for_what_it_writes(path: str, is_loud: bool) -> None:
    act = definers(path)
    objects = act, table("outbox", "id"), table("plain", "id", triggers=(Trigger("act", "", act.oid),))
    assert audited(*objects).keys() & {"trigger public.plain.act"} == (
        {"trigger public.plain.act"} if is_loud else set()
    )
    event = inventory(*objects[:2], surroundings=Surroundings(event_triggers={"watch": act.oid}))
    assert ("event-trigger watch" in found_in(event)) is is_loud


def test_a_definers_trigger_is_as_loud_as_what_its_writing_sets_off() -> None:
    act, told = definers("public, pg_temp"), triggered(LOUD["raises"])
    outbox = table("outbox", "id", triggers=(Trigger("told", "", told.oid),))
    found = audited(act, told, outbox, table("plain", "id", triggers=(Trigger("act", "", act.oid),)))
    assert "trigger public.plain.act" in found


def test_a_definers_trigger_answers_for_what_views_call() -> None:
    body = "BEGIN NEW.name := (SELECT v.id FROM public.seen v); RETURN NEW; END"
    spy = function("spy()", "BEGIN EXECUTE 'SELECT 1'; END", language="plpgsql")
    act, seen = definers("public, pg_temp", body), view("seen", "SELECT public.spy() AS id FROM public.countries", "id")
    objects = act, seen, table("plain", "id", "name", triggers=(Trigger("act", "", act.oid),))
    assert "trigger public.plain.act" not in audited(*objects, function("spy()", "SELECT 'x'", settings=PATH))
    assert "trigger public.plain.act" in audited(*objects, spy)


PATH = ("search_path=pg_catalog, pg_temp",)
COMPUTED = {
    "check": {"facts": (("check", "CHECK (public.odd(ssn))"),)},
    "check of the row": {"facts": (("check", "CHECK (public.odd(vip.*))"),)},
    "index": {"facts": (("index", "CREATE INDEX i ON public.vip USING btree (public.odd(ssn))"),)},
    "index's condition": {"facts": (("index", "CREATE INDEX i ON public.vip (id) WHERE public.odd(ssn)"),)},
    "trigger's condition": {
        "triggers": (
            Trigger(
                "t", "CREATE TRIGGER t BEFORE UPDATE ON public.vip WHEN (public.odd(new.ssn)) EXECUTE FUNCTION x.y()", 1
            ),
        )
    },
    "what can't be read": {"facts": (("check", "CHECK public.odd(ssn"),)},
}


@pytest.mark.parametrize("where", COMPUTED.values(), ids=COMPUTED.keys())
def test_functions_that_are_given_masked_values_when_rows_are_written_must_be_proven(where: dict[str, object]) -> None:
    loud = function("odd(text)", LOUD["raises"], language="plpgsql")
    found = audited(loud, kin(**where))
    assert any(name.startswith("trigger public.vip.") and each.withheld for name, each in found.items())


def test_functions_that_are_given_other_values_need_not_be_proven() -> None:
    odd = function("odd(text)", LOUD["raises"], language="plpgsql")
    assert audited(odd, kin(facts=(("check", "CHECK (public.odd(email) AND length(ssn) > 0)"),))).keys() != set()
    assert audited(odd, kin(facts=(("check", "CHECK (public.odd(id) AND length(id) > 0)"),))) == {}


def test_columns_that_copy_masked_ones_are_amber() -> None:
    number = next(each.number for each in CUSTOMERS.columns if each.name == "ssn")
    orders = table("orders", "id", "of", references=(("of", CUSTOMERS.oid, number),))
    fill = "CREATE TRIGGER f BEFORE INSERT ON public.vip FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger({})"
    words = kin(triggers=(Trigger("f", fill.format("'id', 'pg_catalog.simple', 'ssn'"), 3752),))
    assert audited(orders).keys() == {"copy public.orders.of"}
    assert audited(replace(orders, references=(("of", CUSTOMERS.oid, 1),))) == {}
    assert audited(words).keys() == {"copy public.vip.id", "trigger public.vip.f"}


def test_what_the_catalog_keeps_of_an_added_column_is_amber() -> None:
    vip = kin()
    columns = (*vip.columns[:2], replace(vip.columns[2], has_first_value=True))
    assert audited(replace(vip, columns=columns)).keys() == {"first-value public.vip.ssn"}


def test_tables_that_will_be_publics_are_amber() -> None:
    around = Surroundings(public_tables=frozenset({"owner"}))
    assert audited(surroundings=around).keys() == {"default-privileges-tables owner"}


def test_an_event_trigger_with_its_owners_rights_is_amber() -> None:
    act = function("act()", "BEGIN RAISE NOTICE 'x'; END", language="plpgsql", is_definer=True, grantees=frozenset())
    there = inventory(act, surroundings=Surroundings(event_triggers={"watch": act.oid}))
    assert "event-trigger watch" in found_in(there)
    functions = {act.oid: replace(act, is_definer=False)}
    assert "event-trigger watch" not in found_in(replace(there, functions=functions))


# The catalog ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "name"),
    [
        (("check", "CHECK ((ssn ~~ '519%'::text))"), "check public.vip"),
        (("check", "CHECK ((id > 17))"), ""),
        (("check", "CHECK ((ssn IS NOT NULL))"), ""),
        (("check", "CHECK ((length(ssn) > 0))"), ""),
        (("index", "CREATE INDEX i ON public.vip USING btree (id) WHERE (ssn = 'x'::text)"), "index public.vip"),
        (("index", "CREATE INDEX i ON public.vip USING btree (ssn) WHERE (id = 'x'::text)"), "index public.vip"),
        (("index", "CREATE INDEX i ON public.vip USING btree (lower(ssn))"), ""),
        (("partition key", "LIST (ssn)"), "partition-key public.vip"),
        (("partition key", "RANGE (id, lower(ssn))"), "partition-key public.vip"),
        (("partition key", "RANGE (id)"), ""),
        (("partition bound", "FOR VALUES IN ('519-45-6781')"), ""),
    ],
)
def test_values_that_everybody_reads_in_the_catalog_are_amber(fact: tuple[str, str], name: str) -> None:
    found = audited(kin(facts=(fact,)))
    assert found.keys() == ({name} if name else set())
    assert all(each.severity is Severity.AMBER and fact[1] in each.sentence for each in found.values())


@pytest.mark.parametrize(
    ("default", "is_told"),
    [("'unknown'::text", True), ("''::text", False), ("now()", False), ("'17'::text", True), ("", False)],
)
def test_a_default_that_is_a_constant_is_amber(default: str, is_told: bool) -> None:
    vip = kin()
    columns = (*vip.columns[:2], replace(vip.columns[2], default=default))
    assert audited(replace(vip, columns=columns)).keys() == ({"default public.vip.ssn"} if is_told else set())


def test_the_labels_of_an_enum_are_amber() -> None:
    vip = kin()
    columns = (*vip.columns[:2], replace(vip.columns[2], base_oid=99999))
    found = audited(replace(vip, columns=columns), surroundings=Surroundings(enums=frozenset({99999})))
    assert found.keys() == {"enum public.vip.ssn"}


def test_extended_statistics_of_masked_columns_are_amber() -> None:
    def of(*numbers: int) -> dict[str, Finding]:
        statistic = Statistic("public.s", CUSTOMERS.oid, frozenset(numbers))
        return audited(surroundings=Surroundings(statistics=(statistic,)))

    assert of(1, 4).keys() == {"statistics public.s"}
    assert of(1, 2) == {}


# The database --------------------------------------------------------------------------------------------------------

OPEN = {"public": Schema("owner", frozenset({PUBLIC}), frozenset({PUBLIC}))}


def test_rights_of_everybody_to_make_things_are_amber() -> None:
    assert audited(schemas=OPEN)["schema-create public"].severity is Severity.AMBER
    assert audited(public=frozenset({"CREATE", "CONNECT"})).keys() == {"database-create shop"}


@pytest.mark.parametrize(
    ("around", "name"),
    [
        (Surroundings(languages=frozenset({"plperlu"})), "language plperlu"),
        (Surroundings(file_readers=frozenset({"pg_read_file(text)"})), "file-reader pg_read_file(text)"),
        (Surroundings(value_readers=frozenset({"pg_statistic"})), "value-reader pg_statistic"),
        (Surroundings(spoiled_roles=frozenset({"hp_0123456789ab"})), "mask-role hp_0123456789ab"),
    ],
)
def test_what_no_grant_holds_back_is_red(around: Surroundings, name: str) -> None:
    found = audited(surroundings=around, loopback_trust=False)[name]
    assert found.severity is Severity.RED
    assert not found.withheld


def test_a_role_of_ours_owns_nothing_of_others() -> None:
    assert "mask-role hp_0123456789ab" in audited(table("x", "id", owner="hp_0123456789ab"))


@pytest.mark.parametrize(("trust", "name"), [(True, "loopback-trust"), (None, "loopback-unknown"), (False, "")])
def test_trust_at_home_matters_only_to_who_can_call_from_there(trust: bool | None, name: str) -> None:
    around = Surroundings(languages=frozenset({"plperlu"}))
    found = {each for each in audited(surroundings=around, loopback_trust=trust) if each.startswith("loopback")}
    assert found == ({name} if name else set())
    assert audited(loopback_trust=trust) == {}
    reached = audited(foreign_servers=frozenset({"again"}), schemas=OPEN, loopback_trust=trust)
    assert (name in reached) is bool(name)


def test_foreign_servers_that_everybody_may_use_are_amber() -> None:
    assert audited(foreign_servers=frozenset({"again"}))["foreign-server again"].severity is Severity.AMBER


def test_large_objects_are_not_masked() -> None:
    assert audited(surroundings=Surroundings(public_large_objects=2)).keys() == {"large-objects PUBLIC"}
    on = Surroundings(ignores_large_object_rights=True)
    assert audited(surroundings=on).keys() == {"large-objects lo_compat_privileges"}


def test_a_superuser_as_account_bounds_nothing() -> None:
    there = inventory()
    roles = {**there.roles, "app": replace(there.roles["app"], is_superuser=True)}
    assert found_in(replace(there, roles=roles)).keys() == {"account-superuser app"}


def test_the_functions_of_one_extension_are_one_finding() -> None:
    functions = [function(f"dblink{n}(text)", "x", language="c", extension="dblink") for n in range(3)]
    found = audited(*functions)
    assert found.keys() == {"extension dblink"}
    assert found["extension dblink"].withheld


def test_what_closes_the_database_comes_first() -> None:
    found = findings(
        inventory(
            function("f()", "SELECT ssn FROM public.customers", is_definer=True),
            schemas=OPEN,
            surroundings=Surroundings(languages=frozenset({"plperlu"})),
        ),
        SETS,
    )
    assert [(each.severity, each.withheld) for each in found] == [
        (Severity.RED, False),
        (Severity.RED, True),
        (Severity.AMBER, False),
    ]
