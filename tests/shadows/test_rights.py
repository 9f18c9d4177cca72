"""What a mask set leaves of an account's rights: nothing by which somebody could learn what is masked."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.masking.shadows.inventory import Inventory, Relation, Rights
from hoopproxy.masking.shadows.protection import protected
from hoopproxy.masking.shadows.rights import KEPT, Allowance
from hoopproxy.masks import ColumnMask, KeyedHash, Nullify, Redact
from tests.shadows import small_inventory
from tests.shadows.small_inventory import table

NAMES = ("id", "name", "email", "ssn")
EVERY = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"})
ALL = Rights(frozenset(NAMES), frozenset(NAMES), frozenset(NAMES), EVERY)
SSN: dict[str, ColumnMask] = {"public.customers.ssn": Redact()}


def inventory(*relations: Relation) -> Inventory:
    """These and no others."""
    return replace(small_inventory.inventory(), relations={each.oid: each for each in relations})


def left(relations: list[Relation], masks: dict[str, ColumnMask], rights: Rights = ALL, of: int = 0) -> Rights:
    made = inventory(*relations)
    return Allowance(made, protected(made, masks)[0]).of(relations[of], rights)


def test_unprotected_columns_alone_are_read_and_changed() -> None:
    allowed = left([table("customers", *NAMES)], SSN)
    assert allowed.select == allowed.update == {"id", "name", "email"}
    assert allowed.insert == {"id", "name", "email"}
    assert allowed.whole == {"DELETE"}


def test_who_may_change_rows_writes_no_protected_value_as_a_failed_upsert_shows_the_one_that_was_there() -> None:
    only = replace(ALL, update=frozenset(), whole=EVERY - {"UPDATE"})
    assert left([table("customers", *NAMES)], SSN, only).insert == set(NAMES)
    assert "ssn" not in left([table("customers", *NAMES)], SSN, replace(only, update=frozenset({"id"}))).insert


def test_nobody_writes_where_the_order_of_an_index_would_tell_what_comes_before_and_after() -> None:
    only = replace(ALL, update=frozenset(), whole=EVERY - {"UPDATE"})
    covering = replace(table("customers", *NAMES), indexes=(frozenset({"ssn", "id"}),))
    alone = replace(table("customers", *NAMES), indexes=(frozenset({"ssn"}), frozenset({"id", "name"})))
    assert "ssn" not in left([covering], SSN, only).insert
    assert "ssn" in left([alone], SSN, only).insert


def test_a_table_without_masks_keeps_all_but_what_tells_of_others() -> None:
    assert left([table("countries", *NAMES), table("customers", *NAMES)], SSN).whole == KEPT


def test_nobody_writes_where_an_index_would_tell_that_the_value_is_there() -> None:
    unique = replace(
        table("customers", *NAMES), unique_columns=frozenset({"ssn", "name"}), compared=(frozenset({"ssn", "name"}),)
    )
    allowed = left([unique], SSN)
    assert allowed.insert == {"id", "name", "email"}
    assert allowed.update == {"id", "email"}


def test_an_index_of_a_partition_counts_for_the_whole_family() -> None:
    parent = replace(table("customers", *NAMES), kind="p")
    child = replace(table("customers_1", *NAMES), parents=(parent.oid,), unique_columns=frozenset({"ssn"}))
    assert "ssn" not in left([parent, child], SSN).insert
    assert left([parent, child], SSN, of=1).select == {"id", "name", "email"}


def test_a_foreign_key_does_not_tell_which_values_are_there() -> None:
    customers = table("customers", *NAMES)
    orders = replace(table("orders", *NAMES), references=(("name", customers.oid, 4),))
    allowed = left([orders, customers], SSN)
    assert allowed.insert == allowed.update == {"id", "email", "ssn"}
    assert allowed.select == set(NAMES)


def test_what_a_key_makes_of_ones_own_value_is_not_to_be_had() -> None:
    assert "ssn" not in left([table("customers", *NAMES)], {"public.customers.ssn": KeyedHash(b"k" * 32)}).insert


ONLY_INSERTS = replace(ALL, update=frozenset(), whole=EVERY - {"UPDATE"})


def generated(name: str, *numbers: int, **more: object) -> Relation:
    """Customers, whose column of that name is computed from those with these numbers."""
    customers = table("customers", *NAMES, **more)
    made = {name: {"is_generated": True, "generated_from": frozenset(numbers)}}
    return replace(customers, columns=tuple(replace(each, **made.get(each.name, {})) for each in customers.columns))  # type: ignore[arg-type] # fields of a Column by name


def test_nobody_writes_what_a_unique_column_is_computed_from() -> None:
    unique = {"unique_columns": frozenset({"email"}), "compared": (frozenset({"email"}),)}
    assert left([generated("email", 4, **unique)], SSN, ONLY_INSERTS).insert == {"id", "name"}
    allowed = left([generated("email", 2, 4, **unique)], SSN)
    assert allowed.insert == allowed.update == {"id"}


def test_nobody_writes_what_a_foreign_key_is_computed_from() -> None:
    customers = table("customers", *NAMES)
    orders = replace(generated("email", 2), name="orders", references=(("email", customers.oid, 4),))
    allowed = left([orders, customers], SSN)
    assert allowed.insert == allowed.update == {"id", "ssn"}


def test_nobody_writes_what_a_unique_index_makes_one_value_of_with_a_masked_column() -> None:
    names = frozenset({"id", "name", "ssn"})
    unique = replace(
        table("customers", *NAMES), unique_columns=names, compared=(names,), mixed=(frozenset({"name", "ssn"}),)
    )
    assert left([unique], SSN, ONLY_INSERTS).insert == {"id", "email"}


@pytest.mark.parametrize(
    ("default", "is_left"),
    [
        ("", True),
        ("'none'::text", True),
        ("(gen_random_uuid())::text", True),
        ("CURRENT_TIMESTAMP", True),
        ("current_setting('my.guess'::text)", False),
        ("app.guess()", False),
        ("(random())::text", False),
        ("what nobody reads", False),
    ],
)
def test_a_default_in_which_a_session_has_a_hand_is_as_good_as_a_value_of_its_own(default: str, is_left: bool) -> None:
    plain = table("customers", *NAMES)
    columns = (*plain.columns[:3], replace(plain.columns[3], default=default))
    unique = replace(plain, columns=columns, unique_columns=frozenset({"ssn"}))
    assert left([unique], SSN).insert == ({"id", "name", "email"} if is_left else frozenset())
    assert left([replace(plain, columns=columns)], SSN).insert == {"id", "name", "email"}


def test_generated_columns_hide_what_they_are_made_from() -> None:
    customers = table("customers", *NAMES)
    upper = replace(customers.columns[1], is_generated=True, generated_from=frozenset({4}))
    customers = replace(customers, columns=(customers.columns[0], upper, *customers.columns[2:]))
    made = inventory(customers)
    found, missing = protected(made, {"public.customers.ssn": Nullify()})
    assert found == {customers.oid: {4: Nullify(), 2: Nullify()}}
    assert protected(made, SSN)[0] == {customers.oid: {4: Redact(), 2: Redact()}}
    assert missing == frozenset()


def test_children_and_parents_hide_columns_of_the_same_name() -> None:
    top, middle, low = table("people", "id", "ssn"), table("customers", *NAMES), table("vips", "ssn", "rank")
    middle = replace(middle, parents=(top.oid,))
    low = replace(low, parents=(middle.oid,))
    other = replace(table("staff", "ssn"), parents=(top.oid,))
    found, _ = protected(inventory(top, middle, low, other), SSN)
    assert {oid: set(numbers) for oid, numbers in found.items()} == {top.oid: {2}, middle.oid: {4}, low.oid: {1}}


def test_a_rule_of_its_own_counts_more_than_the_parents() -> None:
    parent = table("customers", *NAMES)
    child = replace(table("vips", *NAMES), parents=(parent.oid,))
    found, _ = protected(inventory(parent, child), {**SSN, "public.vips.ssn": Nullify()})
    assert (found[parent.oid][4], found[child.oid][4]) == (Redact(), Nullify())


def test_names_with_dots_are_found_in_each_reading() -> None:
    odd = replace(table("x", "c.d"), schema="a", name="b")
    other = replace(table("x", "d"), schema="a", name="b.c")
    found, missing = protected(inventory(odd, other), {"a.b.c.d": Redact(), "a.b.gone": Redact()})
    assert set(found) == {odd.oid, other.oid}
    assert missing == {"a.b.gone"}


type Names = frozenset[str]

privileges = st.frozensets(st.sampled_from(sorted(EVERY)))
columns = st.frozensets(st.sampled_from(NAMES))


@given(privileges, columns, columns, columns, columns)
def test_nobody_gets_more_than_the_account(
    whole: Names, select: Names, insert: Names, update: Names, hidden: Names
) -> None:
    every = frozenset(NAMES)
    rights = Rights(
        select=every if "SELECT" in whole else select,
        insert=every if "INSERT" in whole else insert,
        update=every if "UPDATE" in whole else update,
        whole=whole,
    )
    allowed = left([table("customers", *NAMES)], {f"public.customers.{name}": Redact() for name in hidden}, rights)
    assert allowed.select == rights.select - hidden
    assert allowed.update == rights.update - hidden
    assert allowed.insert <= rights.insert
    assert allowed.whole <= rights.whole & KEPT
    assert not (hidden and allowed.whole & {"SELECT", "UPDATE"})


def test_an_inventory_is_found_by_name() -> None:
    made: Inventory = inventory(table("customers", *NAMES))
    assert made.relation("public", "customers") is not None
    assert made.relation("public", "nobody") is None
