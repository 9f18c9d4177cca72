"""Which credentials a request's head shows, and which hosts mean which target."""

import base64
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation, Refused
from hoopproxy.listen.http_hosts import Hosts, Place
from hoopproxy.listen.http_login import NOTHING, shown
from hoopproxy.wire.http.messages import Headers

from .http_desk import BARE, DOMAIN


def basic(text: str | bytes) -> str:
    return f"Basic {base64.b64encode(text.encode() if isinstance(text, str) else text).decode()}"


@pytest.mark.parametrize(
    ("value", "account", "token"),
    [
        ("Bearer abc.def-_~+/==", "", "abc.def-_~+/=="),
        ("bearer  abc ", "", "abc"),
        (basic("reader:abc"), "reader", "abc"),
        (basic("token:abc"), "", "abc"),
        (basic(":abc"), "", "abc"),
        (basic("reader:a:b"), "reader", "a:b"),
        (f"BASIC {basic('Jürgen:abc')[6:]}", "Jürgen", "abc"),
    ],
)
def test_a_token_is_shown_as_it_is_or_as_an_account_s_password(value: str, account: str, token: str) -> None:
    found = shown(Headers((("Authorization", value), ("proxy-authorization", "Bearer other"))), "authorization")
    assert (found.account, found.secret.reveal()) == (account, token)


@pytest.mark.parametrize("value", [basic("reader:"), basic(":")])
def test_a_password_that_is_empty_is_none(value: str) -> None:
    """So clients show what their user gave no password to, and are asked for one."""
    assert shown(Headers((("authorization", value),)), "authorization") is NOTHING
    assert shown(Headers(), "authorization") is NOTHING


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "Bearer",
            "Bearer a b",
            "Bearer a,b",
            "Bearer tökén",
            "Bearer abc=d",
            "Digest username=a",
            "Negotiate YII=",
        ),
        *("Basic", "Basic ???", "Basic YTpi YTpi", "Basic YTp", basic("nocolon"), basic(b"\xff:\xfe")),
        *(basic("a\0:b"), basic("a:b\r\nhost: x"), basic("a:\x1b[2J")),
    ],
)
def test_what_is_no_token_is_refused_with_a_sentence_that_does_not_repeat_it(value: str) -> None:
    with pytest.raises(Refused) as caught:
        shown(Headers((("authorization", value),)), "authorization")
    assert caught.value.reason == "credentials"
    for part in (word for word in value.split()[1:] if len(word) > 2):
        assert part not in caught.value.sentence + caught.value.detail


def test_two_credentials_are_one_too_many() -> None:
    with pytest.raises(Refused, match="two credentials"):
        shown(Headers((("authorization", "Bearer a"), ("Authorization", "Bearer a"))), "authorization")


@given(st.text(st.characters(max_codepoint=255)))
def test_whatever_stands_there_is_a_token_or_refused(value: str) -> None:
    try:
        found = shown(Headers((("authorization", value),)), "authorization")
    except Refused:
        return
    assert found is NOTHING or found.secret.reveal().isprintable()


# Hosts ----------------------------------------------------------------------------------------------------------------

HOSTS = Hosts(replace(BARE, target="main"), ("gateway.test",))


@pytest.mark.parametrize(
    ("authority", "target"),
    [
        (f"crm.{DOMAIN}", "crm"),
        (f"CRM.GW.Example.COM:{8443}", "crm"),
        (f"crm.{DOMAIN}.", "crm"),
        (f"a.b.{DOMAIN}", "a.b"),
        (DOMAIN, "main"),
        ("localhost:8443", "main"),
        ("gateway.test", "main"),
        ("127.0.0.1:8443", "main"),
        ("[::1]:8443", "main"),
        ("169.254.169.254", "main"),
        ("crm", "crm"),
        ("evil.example", "evil.example"),
        (f"crm{DOMAIN}", f"crm{DOMAIN}"),
        (f"{DOMAIN}.evil.example", f"{DOMAIN}.evil.example"),
    ],
)
def test_a_host_means_a_target(authority: str, target: str) -> None:
    assert HOSTS.target(Place.of(authority).host) == target


def test_without_a_target_of_its_own_a_gateway_s_names_mean_nothing() -> None:
    hosts = Hosts(BARE, ())
    assert [hosts.target(host) for host in ("localhost", DOMAIN, "127.0.0.1")] == ["localhost", DOMAIN, "127.0.0.1"]
    assert Hosts(replace(BARE, domain=""), ()).target(".example.com") == ".example.com"


@pytest.mark.parametrize(
    "authority",
    [
        *("", ":80", "a b", "a@b", "user:pw@host", "a/b", "a?b", "a#b", "a%2eb", "a:b", "a:", "a:70000", "a:123456"),
        *("[::1", "::1", "[::1%25lo]", "①②⑦.⓪.⓪.①", "bücher.example", "a" * 254, "a\r\nb", "a\0b", "a,b", "[a]"),
    ],
)
def test_what_is_no_host_is_refused(authority: str) -> None:
    with pytest.raises(ProtocolViolation, match="is no host"):
        Place.of(authority)


@given(st.text(string.printable))
def test_an_authority_is_a_place_or_refused(text: str) -> None:
    try:
        place = Place.of(text)
    except ProtocolViolation:
        return
    assert place.host == place.host.lower() and 0 <= place.port <= 65_535


@pytest.mark.parametrize(
    ("server_name", "host"),
    [
        (f"crm.{DOMAIN}", f"crm.{DOMAIN}"),
        (DOMAIN, DOMAIN),
        ("localhost", "localhost"),
        ("", "127.0.0.1"),
        ("evil.example", DOMAIN),
        (f"a b.{DOMAIN}", DOMAIN),
        (f"\\xff.{DOMAIN}", DOMAIN),
    ],
)
def test_a_certificate_is_for_a_host_of_the_gateway_s_whatever_is_asked_for(server_name: str, host: str) -> None:
    assert HOSTS.certified(server_name, "127.0.0.1") == host
