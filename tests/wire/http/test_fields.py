"""Header fields on both ways: what crosses, what does not, and whose names it bears."""

import pytest

from hoopproxy.targets import HttpTarget
from hoopproxy.wire.http import fields
from hoopproxy.wire.http.messages import Headers
from hoopproxy.wire.http.names import Elsewhere, Names, settled_authority

from .plainly import passage

TARGET = HttpTarget(redirects=frozenset({"login.example.com"}))
NAMES = Names.of(passage(TARGET).permit)
CLUSTER = Names.of(passage(TARGET, prefix="/clusters/prod").permit)
CLEAR = Names.of(passage(TARGET, scheme="http", authority="crm.internal:8080", form="absolute").permit)


def out(*pairs: tuple[str, str], names: Names = NAMES, upgrades: bool = False) -> dict[str, str]:
    return dict(fields.outgoing(Headers(pairs), names, upgrades=upgrades).fields)


def back(*pairs: tuple[str, str], names: Names = NAMES, upgraded: bool = False) -> dict[str, str]:
    return dict(fields.incoming(Headers(pairs), names, upgraded=upgraded).fields)


# Requests -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Proxy-Authorization", "Proxy-Connection", "Keep-Alive", "Connection", "Upgrade", "TE"),
        *("HTTP2-Settings", "Forwarded", "X-Forwarded-For", "X-Forwarded-Whatever", "X-Real-IP", "Via"),
        *("x_forwarded_for", "X_Real-IP", "Sec-WebSocket-Extensions", "True-Client-IP"),
    ],
)
def test_what_is_for_the_gateway_alone_does_not_reach_the_target(name: str) -> None:
    assert out((name, "x"), ("Accept", "*/*")) == {"Accept": "*/*"}


def test_neither_does_what_connection_names() -> None:
    assert out(("Connection", "close, X-Trace"), ("x-trace", "1"), ("X_Trace", "2"), ("Cookie", "a=b")) == {
        "Cookie": "a=b"
    }


def test_trailers_and_websockets_are_still_asked_for() -> None:
    assert out(("TE", "gzip, trailers"), ("Connection", "TE")) == {"te": "trailers"}
    asked = (("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket, h2c"), ("Sec-WebSocket-Key", "k"))
    wanted = {"connection": "Upgrade", "upgrade": "websocket", "Sec-WebSocket-Key": "k"}
    assert out(*asked, upgrades=True) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("https://crm.gw.example.com", "https://crm.internal:8443"),
        ("https://crm.gw.example.com/a?b", "https://crm.internal:8443/a?b"),
        ("https://crm.gw.example.com.evil/a", "https://crm.gw.example.com.evil/a"),
        ("https://evil/https://crm.gw.example.com/", "https://evil/https://crm.gw.example.com/"),
        ("null", "null"),
    ],
)
def test_the_target_is_called_by_its_own_name(value: str, wanted: str) -> None:
    assert out(("Origin", value), ("Referer", value)) == {"Origin": wanted, "Referer": wanted}
    inside = out(("Referer", "https://crm.gw.example.com/clusters/prod/api"), names=CLUSTER)
    assert inside == {"Referer": "https://crm.internal:8443/api"}


@pytest.mark.parametrize(
    "pair",
    [
        ("Connection", "close, Content-Length"),
        ("Connection", "Host"),
        ("Connection", "transfer_encoding"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("x_http_method_override", "DELETE"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-Url", "/admin"),
    ],
)
def test_fields_that_would_change_what_is_asked_are_refused(pair: tuple[str, str]) -> None:
    assert fields.misused(Headers((pair,))).endswith(".")
    assert fields.misused(Headers((("Connection", "keep-alive"), ("X-Requested-With", "x")))) == ""


# Responses ------------------------------------------------------------------------------------------------------------

GW = "https://crm.gw.example.com"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("/login?next=/a", "/login?next=/a"),
        ("next", "next"),
        ("?page=2", "?page=2"),
        ("", ""),
        ("https://crm.internal:8443/x", f"{GW}/x"),
        ("http://crm.internal/x?u=https://evil/", f"{GW}/x?u=https://evil/"),
        ("HTTPS://CRM.internal", f"{GW}/"),
        ("//crm.internal/x", f"{GW}/x"),
        ("\\\\crm.internal\\x", f"{GW}/x"),
        ("https://crm.internal?x", f"{GW}/?x"),
        (f"{GW}/x", f"{GW}/x"),
        (f"{GW}:443/x", f"{GW}:443/x"),
        ("https://login.example.com/sso#f", "https://login.example.com/sso#f"),
        ("/a\\b?c\\d", "/a/b?c\\d"),
    ],
)
def test_locations_lead_through_the_gateway(url: str, wanted: str) -> None:
    assert back(("Location", url)) == {"Location": wanted}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "//evil.example/x",
        "/\\evil.example/x",
        "/\t/evil.example/x",
        " //evil.example/",
        "\\\\evil.example",
        "https:\\\\evil.example",
        "https:/evil.example",
        "https:evil.example",
        "https://crm.internal@evil.example/",
        "https://crm.internal:8443@evil.example/",
        "https://crm.internal.evil.example/",
        "https://crm.internal:9000/",
        "https://crm.internal%2eevil/",
        "https://evil.example\\.crm.internal/",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://crm.internal/",
        "https://",
        "https:///evil.example",
        "https://[::1]/",
        "https://crm.internal:8443:1/",
    ],
)
def test_none_leads_elsewhere(url: str) -> None:
    with pytest.raises(Elsewhere):
        back(("Location", url))
    assert back(("Content-Location", url)) == {}
    assert back(("Refresh", f"5; url={url}")) == {}
    assert back(("Link", f"<{url}>; rel=preload"))["Link"] == f"<{url}>; rel=preload"


def test_prefixes_come_back() -> None:
    assert back(("Location", "/api/v1?watch=1"), names=CLUSTER) == {"Location": "/clusters/prod/api/v1?watch=1"}
    assert back(("Location", "https://crm.internal/api"), names=CLUSTER) == {"Location": f"{GW}/clusters/prod/api"}
    assert back(("Link", '</a>; rel="next", <https://crm.internal/b>; rel="prev"'), names=CLUSTER) == {
        "Link": f'</clusters/prod/a>; rel="next", <{GW}/clusters/prod/b>; rel="prev"'
    }


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("5", "5"),
        ("5; url=/x", "5; url=/x"),
        ("0;URL='https://crm.internal/x'", f"0;URL={GW}/x"),
        ("0 https://login.example.com/", "0 https://login.example.com/"),
    ],
)
def test_a_refresh_is_a_location(value: str, wanted: str) -> None:
    assert back(("Refresh", value)) == {"Refresh": wanted}


@pytest.mark.parametrize(
    "value", ["0;url='https://evil/", '0;url="//evil"', "0 //evil/", "0,https://evil", "url=//evil"]
)
def test_and_leads_nowhere_else(value: str) -> None:
    assert back(("Refresh", value)) == {}


@pytest.mark.parametrize(
    ("value", "wanted", "below"),
    [
        ("s=1", "s=1", "s=1; Path=/clusters/prod/"),
        ("s=1; Domain=example.com; Path=/; HttpOnly", "s=1; HttpOnly; Path=/", "s=1; HttpOnly; Path=/clusters/prod/"),
        ("s=1;domain = .example.com;PATH=/app", "s=1; Path=/app", "s=1; Path=/clusters/prod/app"),
        ("s=1; Path=/a; Path=b; Secure", "s=1; Secure", "s=1; Secure; Path=/clusters/prod/"),
        ("s=a=b; Expires=Wed, 21 Oct 2030 07:28:00 GMT", "s=a=b; Expires=Wed, 21 Oct 2030 07:28:00 GMT", None),
        ("__Host-s=1; Secure; Path=/", "__Host-s=1; Secure; Path=/", None),
    ],
)
def test_cookies_stay_with_the_target(value: str, wanted: str, below: str | None) -> None:
    assert back(("Set-Cookie", value)) == {"Set-Cookie": wanted}
    if below:
        assert back(("Set-Cookie", value), names=CLUSTER) == {"Set-Cookie": below}


@pytest.mark.parametrize(
    "name",
    [
        "Alt-Svc",
        "Keep-Alive",
        "Proxy-Authenticate",
        "WWW-Authenticate",
        "Upgrade",
        "Sec-WebSocket-Extensions",
        "Connection",
    ],
)
def test_what_would_lead_past_the_gateway_is_taken_out(name: str) -> None:
    assert back((name, "x"), ("Server", "crm")) == {"Server": "crm"}


def test_strict_transport_is_said_over_https_alone() -> None:
    said = ("Strict-Transport-Security", "max-age=1")
    assert back(said) == dict([said])
    assert back(said, names=CLEAR) == {}


def test_an_upgrade_is_told() -> None:
    told = (("Connection", "upgrade"), ("Upgrade", "WebSocket"), ("Sec-WebSocket-Accept", "a"))
    wanted = {"connection": "Upgrade", "upgrade": "websocket", "Sec-WebSocket-Accept": "a"}
    assert back(*told, upgraded=True) == wanted


@pytest.mark.parametrize(
    ("authority", "scheme", "wanted"),
    [
        ("CRM.gw.example.com:443", "https", "crm.gw.example.com"),
        ("crm:80", "https", "crm:80"),
        ("crm:80", "http", "crm"),
        ("crm:", "http", "crm"),
        ("[::1]:443", "https", "[::1]"),
        ("[::1]", "https", "[::1]"),
        ("crm", "https", "crm"),
        ("", "https", ""),
    ],
)
def test_an_authority_has_one_spelling(authority: str, scheme: str, wanted: str) -> None:
    assert settled_authority(authority, scheme) == wanted
