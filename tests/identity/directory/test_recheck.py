"""Whoever was let in is looked up again: the groups of now, and nobody who is gone, locked, disabled or expired."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from hoopproxy.addons.ldap_directory import CantTell
from hoopproxy.errors import Refused
from hoopproxy.interfaces import IRechecking, ITakesPasswords

from ..conftest import START_S
from .conftest import Ask
from .slapd import GROUPS, PEOPLE, Slapd

GUID = UUID("00112233-4455-6677-8899-aabbccddeeff")


@pytest.fixture
def gus(slapd: Slapd) -> Iterator[str]:
    """Somebody who is in a group."""
    dn = slapd.add_person("gus", "sesame", objectGUID=GUID.bytes_le)
    group = slapd.add_group("guests", dn)
    yield dn
    slapd.delete(group, dn, dn.replace("uid=gus", "uid=august"))


def test_it_says_what_it_can(ask: Ask) -> None:
    addon = ask().addon
    assert IRechecking.providedBy(addon) and ITakesPasswords.providedBy(addon)


def test_groups_are_those_of_now_and_the_end_stays_the_same(ask: Ask, slapd: Slapd, gus: str) -> None:
    people = ask()
    gus_then = people.person("gus:sesame")
    people.clock.advance(100)
    assert people.recheck(gus_then) == gus_then
    slapd.join(f"cn=guests,{GROUPS}", f"uid=ada,{PEOPLE}")
    slapd.leave(f"cn=guests,{GROUPS}", gus)
    assert people.recheck(gus_then) == replace(gus_then, groups=frozenset())


def test_who_is_gone_is_nobody_even_when_another_takes_the_name(ask: Ask, slapd: Slapd, gus: str) -> None:
    people = ask()
    then = people.person("gus:sesame")
    slapd.delete(gus)
    assert people.recheck(then) is None
    slapd.add_person("gus", "sesame")
    assert people.recheck(then) is None
    assert people.person("gus:sesame").subject != then.subject


def test_who_is_renamed_stays_the_same(ask: Ask, slapd: Slapd, gus: str) -> None:
    people = ask()
    then = people.person("gus:sesame")
    slapd.rename(gus, "august")
    assert people.recheck(then) == then
    assert people.person("august:sesame").subject == then.subject


def test_whom_the_filter_leaves_out_is_nobody(ask: Ask, slapd: Slapd, gus: str) -> None:
    people = ask(filter="(&(uid={name})(!(employeeType=former)))")
    then = people.person("gus:sesame")
    slapd.replace(gus, employeeType=["former"])
    assert people.recheck(then) is None
    assert "NAME:PASSWORD" in people.refusal("gus:sesame").sentence


def test_while_the_directory_is_away_it_can_t_be_told(ask: Ask, slapd: Slapd, gus: str) -> None:
    people = ask()
    then = people.person("gus:sesame")
    slapd.stop()
    try:
        with pytest.raises(CantTell, match="Connection refused"):
            people.recheck(then)
    finally:
        slapd.start()
    assert people.recheck(then) == then


def test_a_windows_user_is_known_by_their_guid(ask: Ask, gus: str) -> None:
    people = ask(subject_attribute="objectGUID")
    then = people.person("gus:sesame")
    assert then.subject == str(GUID) and people.recheck(then) == then
    refused = people.refusal("ada:lovelace")
    assert "can't check" in refused.sentence and "0 values of objectGUID" in refused.detail


FILETIME = 10_000_000
SINCE_1601 = 11_644_473_600


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ({"userAccountControl": 0x202}, "is disabled"),
        ({"userAccountControl": 0x210}, "is locked"),
        ({"userAccountControl": 0x800200}, "has an expired password"),
        ({"accountExpires": int(START_S + SINCE_1601) * FILETIME}, "has expired"),
        ({"accountExpires": FILETIME}, "has expired"),
    ],
    ids=str,
)
def test_an_account_that_may_not_be_used_is_nobody_s(
    ask: Ask, slapd: Slapd, gus: str, said: dict[str, int], trouble: str
) -> None:
    people = ask()
    then = people.person("gus:sesame")
    slapd.replace(gus, **{name: [str(value)] for name, value in said.items()})
    sentence = f"Your account {trouble} in the directory; ask whoever looks after it there."
    with pytest.raises(Refused) as caught:
        people.recheck(then)
    assert caught.value.sentence == sentence
    assert people.refusal("gus:sesame").sentence == sentence
    assert "NAME:PASSWORD" in people.refusal("gus:guess").sentence, "only who has the password is told"


@pytest.mark.parametrize(
    "said",
    [
        {"userAccountControl": 0x200},
        {"userAccountControl": 0x10200, "accountExpires": 0},
        {"accountExpires": 0x7FFFFFFFFFFFFFFF},
        {"accountExpires": int(START_S + 1 + SINCE_1601) * FILETIME},
    ],
    ids=str,
)
def test_an_account_that_may_be_used_is(ask: Ask, slapd: Slapd, gus: str, said: dict[str, int]) -> None:
    slapd.replace(gus, **{name: [str(value)] for name, value in said.items()})
    people = ask()
    assert people.recheck(people.person("gus:sesame")) is not None


def test_an_account_that_the_directory_has_locked_is_nobody_s(ask: Ask, slapd: Slapd, gus: str) -> None:
    people = ask()
    then = people.person("gus:sesame")
    slapd.replace(gus, pwdAccountLockedTime=["000001010000Z"])
    with pytest.raises(Refused, match="is locked"):
        people.recheck(then)
    assert people.refusal("gus:sesame")
    assert "NAME:PASSWORD" in people.refusal("gus:guess").sentence, "only who has the password is told"
