"""Groups: those that somebody is in now, directly and through others, and no others' of the same name."""

from collections.abc import Callable
from typing import Any

import pytest

from hoopproxy.addons.ldap_entry import escaped

from .conftest import Ask
from .slapd import GROUPS, PEOPLE, SUFFIX, Slapd

FILTER = "(&(objectClass=groupOfNames)(member={dn}))"

type Groups = Callable[..., frozenset[str]]


@pytest.fixture
def groups(ask: Ask) -> Groups:
    """Somebody's groups, which are found both ways; their password is "sesame"."""

    def of(name: str, **settings: Any) -> frozenset[str]:
        named = ask(**settings).person(f"{name}:sesame").groups
        assert named == ask(group_filter=FILTER, **settings).person(f"{name}:sesame").groups
        return named

    return of


def untold(ask: Ask, name: str, **settings: Any) -> list[str]:
    """Why somebody's groups can't be told, found both ways."""
    return [ask(**settings, **way).refusal(f"{name}:sesame").detail for way in ({}, {"group_filter": FILTER})]


@pytest.fixture(scope="module")
def nested(slapd: Slapd) -> str:
    """Bea is in `team`, that in `unit`, that in `house`, and that in `team` again."""
    bea = slapd.add_person("bea", "sesame")
    team = slapd.add_group("team", bea)
    unit = slapd.add_group("unit", team)
    house = slapd.add_group("house", unit, slapd.add_group("empty"))
    slapd.join(team, house)
    slapd.add_group("others", slapd.add_person("cal", "sesame"))
    return bea


@pytest.mark.usefixtures("nested")
def test_groups_within_groups_count_and_a_circle_ends(groups: Groups) -> None:
    assert groups("bea") == {"team", "unit", "house"}
    assert groups("bea", nested_depth_max=2) == {"team", "unit", "house"}


@pytest.mark.usefixtures("nested")
def test_without_nesting_only_direct_groups_count(groups: Groups) -> None:
    assert groups("bea", nested_depth_max=0) == {"team"}


@pytest.mark.usefixtures("nested")
def test_groups_that_lie_too_deep_are_not_left_out_silently(ask: Ask) -> None:
    assert all("nested deeper than nested_depth_max" in why for why in untold(ask, "bea", nested_depth_max=1))


@pytest.mark.usefixtures("nested")
def test_too_many_groups_are_not_left_out_silently(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoopproxy.addons.ldap_directory.GROUPS_MAX", 2)
    assert all("more than 2 groups" in why for why in untold(ask, "bea"))


def test_who_is_in_no_group_has_none(groups: Groups, slapd: Slapd) -> None:
    slapd.add_person("dan", "sesame")
    assert groups("dan") == frozenset()


def test_groups_elsewhere_do_not_count_whatever_they_are_called(groups: Groups, slapd: Slapd) -> None:
    eve = slapd.add_person("eve", "sesame")
    slapd.add_group("analysts", eve, ou=PEOPLE)
    slapd.add_group("guests", eve)
    assert groups("eve") == {"guests"}
    assert groups("eve", group_base=SUFFIX) == {"guests", "analysts"}


def test_groups_may_be_known_by_their_distinguished_names(groups: Groups, slapd: Slapd) -> None:
    slapd.add_group("named", slapd.add_person("fay", "sesame"))
    assert groups("fay", group_names="dn") == {f"cn=named,{GROUPS}"}


def test_a_group_is_called_what_its_entry_says(groups: Groups, slapd: Slapd) -> None:
    names = {"a,b", "a\\b", 'q"uote', "a+b=c", "*)(cn=*", "x  y", "ünïcödé", "#1"}
    hal = slapd.add_person("hal", "sesame")
    for name in names:
        slapd.add_group(name, hal)
    assert groups("hal") == names


def test_a_person_with_an_odd_name_is_a_member_like_others(groups: Groups, slapd: Slapd) -> None:
    name = "*)(member=*"
    slapd.add_group("odd", slapd.add_person(name, "sesame"))
    assert groups(name) == {"odd"}


def test_active_directory_is_asked_once_for_all_groups(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """slapd knows no such rule and finds nobody by it; what counts is what it is asked."""
    people = ask(group_filter="(member:1.2.840.113556.1.4.1941:={dn})")
    asked: list[str] = []
    directory: Any = people.addon._directory
    search = directory._search

    def heard(connection: Any, base: str, text: str, *rest: Any, **more: Any) -> Any:
        asked.append(text)
        return search(connection, base, text.replace(":1.2.840.113556.1.4.1941:", ""), *rest, **more)

    monkeypatch.setattr(directory, "_search", heard)
    assert people.person().groups == {"analysts"}
    assert [text for text in asked if "member" in text] == [
        f"(|(member:1.2.840.113556.1.4.1941:={escaped(f'uid=ada,{PEOPLE}')}))"
    ]
