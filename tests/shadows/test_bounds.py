"""What sessions may have at most, and what PUBLIC must therefore not have."""

from dataclasses import replace

import pytest

from hoopproxy.masking.shadows.bounds import Bounds
from hoopproxy.masking.shadows.inventory import PUBLIC, Function, Relation, Trigger
from hoopproxy.masking.shadows.protection import protected
from tests.shadows.small_inventory import CUSTOMERS, SETS, closed, function, inventory, table, view

TRIGGER = "CREATE TRIGGER loud BEFORE INSERT ON public.{} FOR EACH ROW EXECUTE FUNCTION public.tell()"
TELLS = function(
    "tell()", "BEGIN RAISE NOTICE '%', NEW; RETURN NEW; END", language="plpgsql", is_trigger=True, is_definer=True
)


def bounds(*objects: Relation | Function) -> Bounds:
    found = inventory(*objects)
    columns, _ = protected(found, SETS[0].masks)
    everything = found.rights["app"]
    whole = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"})
    rights = {oid: replace(each, whole=whole) for oid, each in everything.relations.items()}
    return Bounds(found, replace(everything, relations=rights), closed(found), columns, frozenset())


def publics(*privileges: str, **more: object) -> Relation:
    return table("open", "id", "name", grants={PUBLIC: frozenset(privileges)}, **more)


@pytest.mark.parametrize(
    ("relation", "is_taken"),
    [
        (publics("SELECT"), False),
        (publics("SELECT", "INSERT", "UPDATE", "DELETE"), False),
        (publics("TRIGGER"), True),  # others would run it
        (publics("TRUNCATE"), True),
        (publics("REFERENCES"), True),
        (publics("INSERT", references=(("name", CUSTOMERS.oid, 4),)), True),
        (publics("SELECT", references=(("name", CUSTOMERS.oid, 4),)), False),
        (publics("INSERT", triggers=(Trigger("loud", TRIGGER.format("open"), TELLS.oid),)), True),
        (publics("DELETE", triggers=(Trigger("loud", TRIGGER.format("open"), TELLS.oid),)), False),
        (table("open", "id", "name", column_grants={PUBLIC: {1: frozenset({"INSERT"})}}), False),
        (
            table(
                "open",
                "id",
                "name",
                column_grants={PUBLIC: {2: frozenset({"INSERT"})}},
                references=(("name", CUSTOMERS.oid, 4),),
            ),
            True,
        ),
    ],
)
def test_what_public_has_beyond_is_taken_and_told(relation: Relation, is_taken: bool) -> None:
    found = bounds(relation, TELLS)
    assert (("TABLE", relation.oid) in found.taken) is is_taken
    assert {each.name for each in found.findings()} == ({"public-grant public.open"} if is_taken else set())


def test_nothing_is_written_through_a_view_of_a_view_of_what_is_not_to_be_changed_at_will() -> None:
    below = view("below", "SELECT customers.id, customers.name FROM public.customers", "id", "name")
    above = view("above", "SELECT below.id, below.name FROM public.below", "id", "name")
    refers = table("refers", "id", "email", references=(("email", CUSTOMERS.oid, 4),))
    through = view("through", "SELECT refers.id, refers.email FROM public.refers", "id", "email")
    free = view("free", "SELECT countries.code FROM public.countries", "code")
    most = bounds(below, above, refers, through, free).most
    for each in (below, above, through):
        assert not (most[each.oid].insert or most[each.oid].update or most[each.oid].whole - {"SELECT"})
        assert most[each.oid].select
    assert most[free.oid].insert == most[free.oid].update == {"code"}
