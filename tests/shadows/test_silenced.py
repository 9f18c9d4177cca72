"""What a trigger that may tell keeps masked sessions from doing: what sets it off, there and from afar, and no more."""

import pytest

from hoopproxy.masking.shadows.inventory import Relation, Trigger
from hoopproxy.masking.shadows.protection import protected
from hoopproxy.masking.shadows.triggers import silenced

from .small_inventory import CUSTOMERS, SETS, closed, function, inventory, table

ALL = frozenset({"INSERT", "UPDATE", "DELETE"})
TELL = function("tell()", "BEGIN RAISE NOTICE '%', OLD; RETURN NEW; END", language="plpgsql", is_trigger=True)


def on(name: str, events: str, condition: str = "") -> tuple[Trigger, ...]:
    definition = f"CREATE TRIGGER tell BEFORE {events} ON public.{name} FOR EACH ROW {condition}EXECUTE FUNCTION tell()"
    return (Trigger("tell", definition, TELL.oid),)


def found(*relations: Relation, accepted: frozenset[str] = frozenset()) -> dict[str, frozenset[str]]:
    there = inventory(TELL, *relations)
    columns, _ = protected(there, SETS[0].masks)
    by_oid = silenced(there, closed(there), columns, accepted)
    return {there.relations[oid].name: verbs for oid, verbs in by_oid.items()}


def kin(name: str, events: str, **more: object) -> Relation:
    return table(name, "id", "ssn", parents=(CUSTOMERS.oid,), triggers=on(name, events), **more)


@pytest.mark.parametrize(
    ("events", "verbs"),
    [
        ("DELETE", {"DELETE"}),
        ("UPDATE OF id", {"UPDATE"}),
        ("INSERT OR DELETE", {"INSERT", "DELETE"}),
        ("TRUNCATE", ALL),  # nobody is let do that; what is not known is all
    ],
)
def test_a_trigger_keeps_from_what_sets_it_off(events: str, verbs: set[str]) -> None:
    assert found(kin("vip", events))["vip"] >= verbs
    assert found(kin("vip", events), accepted=frozenset({"trigger public.vip.tell"})) == {}


def test_rows_may_be_moved_to_a_partition_by_an_update_of_its_table() -> None:
    assert found(kin("vip", "INSERT"))["customers"] == {"INSERT", "UPDATE"}
    assert found(kin("vip", "UPDATE"))["customers"] == {"UPDATE"}


def test_changes_cascade_along_foreign_keys_as_their_actions_say() -> None:
    shops = table("shops", "id")
    towns = table("towns", "id")
    gone = kin("gone", "DELETE", cascades=((shops.oid, "DELETE", "DELETE"),))
    alone = kin("alone", "UPDATE", cascades=((towns.oid, "DELETE", "UPDATE"),))
    assert found(gone, shops)["shops"] == {"DELETE"}
    assert found(alone, towns)["towns"] == {"DELETE"}
    assert "shops" not in found(kin("none", "DELETE", references=(("id", shops.oid, 1),)), shops)
