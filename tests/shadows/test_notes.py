"""What is believed of what install noted, from rights as a catalog tells them."""

import orjson
import pytest

from hoopproxy.masking.shadows.inventory import PUBLIC, Function, Moved, Relation
from hoopproxy.masking.shadows.notes import DEFAULT, Notes
from tests.shadows.small_inventory import function, table

ROLES = {"owner", "ann", "bob"}
WHAT = 'ROUTINE "public".f()'


def notes(*moved: Moved) -> Notes:
    return Notes(orjson.dumps(moved).decode(), ROLES)


def made(*grantees: str) -> Function:
    return function("f()", "SELECT 1", grantees=frozenset(grantees))


@pytest.mark.parametrize(
    ("is_same", "held", "before"),
    [
        pytest.param(True, ("owner", "ann", "bob"), ("owner", PUBLIC), id="as install left it"),
        pytest.param(True, ("owner", "ann"), ("owner", PUBLIC), id="one lost its right"),
        pytest.param(True, ("owner", "ann", "bob", PUBLIC), ("owner", PUBLIC), id="granted to everybody again"),
        pytest.param(False, ("owner", "ann", "bob"), ("owner", PUBLIC), id="restored from a dump"),
        pytest.param(False, ("owner", PUBLIC), ("owner", PUBLIC), id="made again"),
        pytest.param(False, ("owner", "ann", PUBLIC), ("owner", "ann", PUBLIC), id="made again, with a grant"),
        pytest.param(False, ("owner",), ("owner",), id="made again for nobody"),
        pytest.param(False, ("owner", "bob"), ("owner", "bob"), id="made again for one"),
    ],
)
def test_rights_are_turned_round_as_far_as_they_are_those_of_install(
    is_same: bool, held: tuple[str, ...], before: tuple[str, ...]
) -> None:
    found = made(*held)
    note = Moved("EXECUTE", WHAT, ("ann", "bob", "gone"), oid=found.oid if is_same else 1)
    said = notes(note)
    assert said.function(found).grantees == frozenset(before)
    assert said.undone == ({note} if is_same and PUBLIC in held else set())
    is_whole = {"ann", "bob"} <= {*held} and PUBLIC not in held
    assert said.lost == (set() if is_same or is_whole else {note})


def test_rights_under_moved_defaults_are_nobodys_own_once_everybody_has_them() -> None:
    said = notes(Moved("EXECUTE", DEFAULT, ("ann", "bob"), of="owner"))
    assert said.function(made("owner", "ann", "bob", PUBLIC)).grantees == {"owner", PUBLIC}
    for grantees in (("owner", "ann", "bob"), ("owner", "ann", PUBLIC)):
        assert said.function(made(*grantees)).grantees == frozenset(grantees)


def test_columns_are_turned_round_by_themselves() -> None:
    found: Relation = table("t", "a", "b", column_grants={"ann": {1: frozenset({"SELECT"})}, "bob": {}})
    what = 'TABLE "public"."t"'
    moved = Moved('SELECT ("a")', what, ("bob",), oid=found.oid)
    gone = Moved('SELECT ("renamed")', what, ("bob",), oid=found.oid)
    said = notes(moved, gone)
    before = said.relation(found)
    assert before.grants == {}
    assert before.column_grants == {"ann": {1: frozenset({"SELECT"})}, PUBLIC: {1: frozenset({"SELECT"})}}
    assert (said.undone, said.lost) == (set(), {gone})
