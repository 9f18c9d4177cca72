"""What an operator may say of a directory, and what is a mistake; what entries say that no directory should."""

from pathlib import Path
from typing import Any

import pytest

from hoopproxy.addons.ldap_entry import Entry, Unfit, common_name, is_below, subject_of, trouble_of
from hoopproxy.addons.ldap_settings import Settings
from hoopproxy.config.sentences import checked
from hoopproxy.errors import ConfigError
from hoopproxy.testing.certificates import Authority

from .slapd import PEOPLE, private_file

GOOD: dict[str, Any] = {
    "servers": ["ldaps://ldap.example.com"],
    "ca_file": "ca.pem",
    "account": "cn=gw,dc=example,dc=com",
    "password_file": "ldap.password",
    "base": PEOPLE,
}


def read(**settings: Any) -> Settings:
    return checked(Settings, GOOD | settings, "hoopproxy.toml", ("addon", "people"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ldaps://ldap.example.com", "ldaps://ldap.example.com:636"),
        ("ldap://ldap.example.com", "ldap://ldap.example.com:389"),
        ("ldap://10.0.0.1:1389/", "ldap://10.0.0.1:1389"),
        ("ldaps://[fd00::1]", "ldaps://[fd00::1]:636"),
    ],
)
def test_a_server_is_an_address(text: str, place: str) -> None:
    assert [str(each) for each in read(servers=[text]).servers] == [place]


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("servers", [], "servers"),
        *(
            ("servers", [text], "wanted is a server such as")
            for text in (
                "ldap.example.com",
                "ldapi:///run/slapd",
                "https://ldap.example.com",
                "ldaps://",
                "ldaps://h:0",
                "ldaps://h:x",
                "ldaps://u:p@h",
                "ldaps://h/dc=com",
                "ldaps://h?x",
            )
        ),
        *((key, "people", "wanted is a distinguished name") for key in ("base", "account", "group_base")),
        *((key, "", "wanted is a distinguished name") for key in ("base", "account", "group_base")),
        *(
            ("filter", text, "wanted is a filter (RFC 4515) with {name}")
            for text in ("", "uid={name}", "(uid=ada)", "(uid={name}", "(&(uid={name})", "((uid={name}))x")
        ),
        *(
            ("group_filter", text, "wanted is a filter (RFC 4515) with {dn}")
            for text in ("member={dn}", "(member={name})", "(member={dn}))")
        ),
        ("subject_attribute", "entry uuid", "subject_attribute"),
        ("groups_attribute", "memberOf)(x=*", "groups_attribute"),
        ("group_names", "sn", "group_names"),
        ("nested_depth_max", 33, "nested_depth_max"),
        ("failures_max", 0, "failures_max"),
        ("timeout_s_max", 0, "timeout_s_max"),
        ("timeout_s_max", 31, "timeout_s_max"),
    ],
    ids=str,
)
def test_a_mistake_is_named(key: str, value: Any, wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**{key: value})
    assert f"addon.people.{key}" in str(caught.value) and wanted in str(caught.value)


# Entries --------------------------------------------------------------------------------------------------------------


def entry(**attributes: list[bytes]) -> Entry:
    return Entry("uid=x", {name.lower(): values for name, values in attributes.items()})


def test_what_a_directory_holds_back_is_missed() -> None:
    with pytest.raises(Unfit, match="more values of memberOf than"):
        Entry("uid=x", {"memberof": [], "memberof;range=0-1499": [b"cn=g"]}).texts("memberOf")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"entryUUID": []},
        {"entryUUID": [b"a", b"b"]},
        {"entryUUID": [b""]},
        {"entryUUID": [b"\xff"]},
        {"entryUUID": [b"a\n"]},
        {"entryUUID": [b"a" * 256]},
    ],
    ids=range(7),
)
def test_a_subject_is_one_printable_text(said: dict[str, list[bytes]]) -> None:
    with pytest.raises(Unfit):
        subject_of(entry(**said), "entryUUID")


def test_a_guid_has_sixteen_bytes() -> None:
    with pytest.raises(Unfit, match="no GUID"):
        subject_of(entry(objectGUID=[b"short"]), "objectGUID")


def test_a_name_for_people_s_eyes_is_short_and_printable() -> None:
    assert entry(cn=[b"\x1b[2JAda \n"]).shown("CN") == "[2JAda"
    assert len(entry(cn=[b"a" * 1000]).shown("cn")) == 100
    assert entry().shown("cn") == ""


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ({"msDS-User-Account-Control-Computed": [b"16"]}, "is locked"),
        (
            {"msDS-User-Account-Control-Computed": [b"8388608"], "userAccountControl": [b"512"]},
            "has an expired password",
        ),
        ({"nsAccountLock": [b"TRUE"]}, "is disabled"),
        ({"nsAccountLock": [b"false"]}, ""),
        ({"userAccountControl": [b"-2147483136"]}, ""),
    ],
    ids=str,
)
def test_other_directories_say_it_in_their_way(said: dict[str, list[bytes]], trouble: str) -> None:
    assert trouble_of(entry(**said), 0) == trouble


def test_what_is_no_number_is_no_account_in_order() -> None:
    with pytest.raises(Unfit, match="no number"):
        trouble_of(entry(userAccountControl=[b"x"]), 0)


@pytest.mark.parametrize(
    ("dn", "name"),
    [
        ("cn=a,dc=x", "a"),
        ("CN=A B,DC=x", "A B"),
        ("cn=a\\,b\\5c,dc=x", "a,b\\"),
        ("cn=\\C3\\A4,dc=x", "ä"),
        ("cn=a=b,dc=x", "a=b"),
        ("cn=\\ a\\ ,dc=x", " a "),
        ("ou=a,dc=x", None),
        ("cn=a+sn=b,dc=x", None),
    ],
)
def test_a_common_name_is_the_first_of_a_name(dn: str, name: str | None) -> None:
    assert common_name(dn) == name


@pytest.mark.parametrize(
    ("dn", "base", "is_it"),
    [
        ("cn=a,ou=groups,dc=x", "ou=groups,dc=x", True),
        ("CN=A,OU=Groups,DC=X", "ou=groups, dc=x", True),
        ("cn=a=b,ou=groups,dc=x", "ou=groups,dc=x", True),
        ("cn=a,ou=groups+cn=b,dc=x", "cn=b,dc=x", False),
        ("cn=a,cn=b,ou=groups,dc=x", "ou=groups,dc=x", True),
        ("ou=groups,dc=x", "ou=groups,dc=x", False),
        ("cn=a,ou=mygroups,dc=x", "ou=groups,dc=x", False),
        ("cn=a\\,ou=groups,dc=x", "ou=groups,dc=x", False),
        ("cn=a,ou=groups,dc=x,dc=y", "ou=groups,dc=x", False),
    ],
)
def test_an_entry_lies_below_another_by_its_parts(dn: str, base: str, is_it: bool) -> None:
    assert is_below(dn, base) is is_it


@pytest.mark.parametrize("dn", ["", "x", "=", "cn=,dc=x"])
def test_what_is_no_name_is_not_taken_for_one(dn: str) -> None:
    with pytest.raises(Unfit):
        is_below(dn, "dc=x")


def test_a_password_file_that_is_empty_stops_the_start(authority: Authority, tmp_path: Path, ask: Any) -> None:
    with pytest.raises(Exception, match="holds no password"):
        ask(password_file=str(private_file(tmp_path / "empty", "\n")))
