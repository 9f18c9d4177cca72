"""Paths: the one spelling that is judged and sent, the templates that they fit, and outlines without data."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.wire.http.endpoints import Ambiguous, Endpoints, fits, outline, settled

API = Endpoints(("/v1/customers/{id}", "/v1/customers/{id}/cards", "/files/{path*}", "/"))
FREE = Endpoints(())


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/v1/customers/17", "/v1/customers/17"),
        ("/v1/%63ustomers/%7Eada", "/v1/customers/~ada"),
        ("/a%2c%C3%AB", "/a%2C%C3%AB"),
        ("/Zo\xc3\xab", "/Zo%C3%AB"),
        ("/a..b/...", "/a..b/..."),
        ("/", "/"),
        ("*", "*"),
    ],
)
def test_a_path_has_one_spelling(path: str, wanted: str) -> None:
    assert API.settled(path) == FREE.settled(path) == wanted
    assert API.settled(wanted) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin",
        "/v1/%2e%2E/admin",
        "/v1/.%2e",
        "/.",
        "/./x",
        "/v1/..;/admin",
        "/v1/.;x=1/admin",
        "/a%00b",
        "/a%0d%0ab",
        "/a%7Fb",
        "/a\\b",
        "/a%5cb",
        "/a#b",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%2/b",
        "/\xff",
        "v1",
        "",
        "http://elsewhere/",
    ],
)
def test_what_servers_read_in_different_ways_is_refused(path: str) -> None:
    for endpoints in (API, FREE):
        with pytest.raises(Ambiguous, match=r"^The path .*\.$"):
            endpoints.settled(path)


@pytest.mark.parametrize("path", ["//v1", "/v1//customers", "/v1%2fcustomers", "/v1;a=b/x", "/v1%3b", "/%252e", "/%FF"])
def test_what_hides_segments_is_refused_where_paths_are_judged(path: str) -> None:
    assert FREE.settled(path)
    with pytest.raises(Ambiguous):
        API.settled(path)


def test_parameters_pass_where_a_template_has_some() -> None:
    assert Endpoints(("/matrix/{x};v=1",)).of("/matrix/7;v=1")
    assert Endpoints(("/matrix/{x};v=1",)).settled("/matrix/7;v=1")


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/customers/17", "/v1/customers/{id}"),
        ("/v1/customers/a.b%20c", "/v1/customers/{id}"),
        ("/V1/CUSTOMERS/17/", "/v1/customers/{id}"),
        ("/v1/customers/17/cards", "/v1/customers/{id}/cards"),
        ("/v1/customers/17/cards/1", ""),
        ("/v1/customers/", ""),
        ("/v1/customers", ""),
        ("/files", "/files/{path*}"),
        ("/files/", "/files/{path*}"),
        ("/files/a/b/c", "/files/{path*}"),
        ("/filesystem", ""),
        ("/", "/"),
        ("/x", ""),
        ("*", ""),
    ],
)
def test_a_path_fits_the_first_template_in_any_spelling(path: str, endpoint: str) -> None:
    assert API.of(path) == endpoint


def test_an_exact_template_takes_no_other_spelling() -> None:
    exact = fits("/v1/customers/{id}", loosely=False)
    assert exact("/v1/customers/17")
    for path in ("/V1/customers/17", "/v1/customers/17/", "/v1/customers/17/x"):
        assert not exact(path)
    everything = fits("/**", loosely=False)
    assert everything("/") and everything("/a/b/")
    below = fits("/v1/*/x/**", loosely=False)
    assert below("/v1/a/x") and below("/v1/a/x/") and below("/v1/a/x/b/c") and not below("/v1/a/xy")


@given(some.text(some.characters(max_codepoint=255)))
def test_what_is_settled_stays_so_and_is_visible(path: str) -> None:
    try:
        text = settled(path)
    except Ambiguous:
        return
    assert settled(text) == text
    assert text.isascii() and text.isprintable() and " " not in text


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("/v1/customers/17", "full=1", "GET /v1/customers/{id}?full"),
        ("/v1/orders/2024-01-15/items", "to=2&from=1&to=3", "GET /v1/orders/*/items?from&to"),
        ("/users/ada%40example.com", "", "GET /users/*"),
        ("/users/ada@example.com", "", "GET /users/*"),
        ("/x/123e4567-e89b-12d3-a456-426614174000", "", "GET /x/*"),
        ("/x/deadbeef/ORD-12345/AB12", "", "GET /x/*/*/AB12"),
        (f"/x/{'y' * 33}", "4539578763621486=1&=2&a", "GET /x/*?&*&a"),
        ("/api/v2/oauth2/token", "", "GET /api/v2/oauth2/token"),
        ("/", "", "GET /"),
    ],
)
def test_an_outline_has_nothing_that_looks_like_data(path: str, query: str, wanted: str) -> None:
    endpoint = Endpoints(("/v1/customers/{id}",)).of(path)
    assert outline("GET", path, query, endpoint) == wanted
