"""Rules name places in documents, and lists what may be seen of them."""

import pytest

from hoopproxy.masking.fields import covers, lists, steps


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("$", ()),
        ("$.a.b_2", ((False, ".a"), (False, ".b_2"))),
        ("$.a[*].*", ((False, ".a"), (False, None), (False, None))),
        ('$["a b"]["x\\"]"]', ((False, ".a b"), (False, '.x"]'))),
        ("$..a", ((True, ".a"),)),
        ("$..[*]", ((True, None),)),
        ('$..["*"]', ((True, ".*"),)),
    ],
)
def test_a_path_is_its_steps(path: str, wanted: object) -> None:
    assert steps(path) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "$a",
        "$.",
        "$..",
        "$.a-b",
        "$.a.",
        "$[0]",
        "$['a']",
        '$["a"',
        '$["a\\q"]',
        "$.a b",
        "$.a~",
        "$...a",
        "$[*",
    ],
)
def test_anything_else_is_none(path: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        steps(path)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("/x $.a", "/x $.a"),
        ("* $.a", "/x $.a"),
        ("* $.a", "* $.a"),
        ("/x $.a", "/x $.a.b[*].c"),
        ("/x $", "/x $.a"),
        ("/x $.*.c", "/x $[*].c"),
        ("/x $[*].c", "/x $.b.c"),
        ("/x $..c", "/x $.a[*].b.c.d"),
        ("/x $.a..c", "/x $.a.c"),
        ('/x $["odd name"]', '/x $["odd name"][*]'),
        ('/x $["a"]', "/x $.a"),
        ('/x $["\\u0061"]', "/x $.a"),
        ("/x *", "/x $.a"),
        ("/x *", "/x $.a~"),
        ("apps/deployments $.spec", "apps/deployments $.spec.x"),
    ],
)
def test_a_rule_covers_a_place_and_all_within(rule: str, field: str) -> None:
    assert covers(rule, field)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("/x $.a", "/y $.a"),
        ("/x $.a", "* $.a"),
        ("/x $.a", "/x $.ab"),
        ("/x $.a.b", "/x $.a"),
        ("/x $.a", "/x $.b.a"),
        ("/x $.a..c", "/x $.c"),
        ('/x $["*"]', "/x $.a"),
        ("/x $.a", "/x $.a~"),
        ("secrets", "secrets $.data"),
        ("public.a b.c", "/x $.a"),
    ],
)
def test_and_nothing_else(rule: str, field: str) -> None:
    assert not covers(rule, field)


def test_a_list_shows_what_it_names_and_the_names_on_the_way() -> None:
    rule = "/x $.cards[*].number"
    assert lists(rule, "/x $.cards[*].number")
    for shown in ("$.cards~", "$.cards[*].number~"):
        assert lists(rule, f"/x {shown}")
    for hidden in (
        "$.cards",
        "$.cards[*]",
        "$.cards[*].number.x",
        "$.cards[*].number.x~",
        "$.number~",
        "$.cards[*].x~",
    ):
        assert not lists(rule, f"/x {hidden}")
    assert not lists(rule, "/y $.cards[*].number")


def test_a_list_with_names_at_any_depth_shows_the_names_above_them() -> None:
    rule = "/x $.a..id"
    assert lists(rule, "/x $.a.b.id") and lists(rule, "/x $.a.b~") and lists(rule, "/x $.a~")
    assert not lists(rule, "/x $.b~") and not lists(rule, "/x $.a.b")
