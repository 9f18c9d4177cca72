"""What a path means to an API server: a table of examples, and what is refused because it could mean two things."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.requests import KubernetesRequest
from hoopproxy.wire.http.resources import Unreadable, first_values, outline, parameters, read, resource_name


def meaning(method: str, target: str) -> tuple[str, ...]:
    path, _, query = target.partition("?")
    found = read(method, path, query)
    return (found.verb, found.group, found.resource, found.subresource, found.namespace, found.name)


@pytest.mark.parametrize(
    ("method", "target", "wanted"),
    [
        ("GET", "/", ("get", "", "", "", "", "")),
        ("GET", "/version", ("get", "", "", "", "", "")),
        ("GET", "/api", ("get", "", "", "", "", "")),
        ("GET", "/api/v1", ("get", "", "", "", "", "")),
        ("GET", "/apis/apps/v1", ("get", "", "", "", "", "")),
        ("POST", "/anything", ("post", "", "", "", "", "")),
        ("OPTIONS", "/openapi/v3", ("options", "", "", "", "", "")),
        ("GET", "/api/v1/namespaces", ("list", "", "namespaces", "", "", "")),
        ("GET", "/api/v1/namespaces/a", ("get", "", "namespaces", "", "a", "a")),
        ("PUT", "/api/v1/namespaces/a/finalize", ("update", "", "namespaces", "finalize", "a", "a")),
        ("GET", "/api/v1/namespaces/a/status", ("get", "", "namespaces", "status", "a", "a")),
        ("GET", "/api/v1/pods", ("list", "", "pods", "", "", "")),
        ("HEAD", "/api/v1/namespaces/a/pods/p", ("get", "", "pods", "", "a", "p")),
        ("GET", "/api/v1/namespaces/a/pods", ("list", "", "pods", "", "a", "")),
        ("GET", "/api/v1/namespaces/a/pods/", ("list", "", "pods", "", "a", "")),
        ("GET", "/api/v1/namespaces/a/pods?watch=true", ("watch", "", "pods", "", "a", "")),
        ("GET", "/api/v1/namespaces/a/pods?watch", ("watch", "", "pods", "", "a", "")),
        ("GET", "/api/v1/namespaces/a/pods?watch=1", ("watch", "", "pods", "", "a", "")),
        ("GET", "/api/v1/namespaces/a/pods?watch=False", ("list", "", "pods", "", "a", "")),
        ("GET", "/api/v1/namespaces/a/pods?watch=0&watch=1", ("list", "", "pods", "", "a", "")),
        ("GET", "/api/v1/namespaces/a/pods?w%61tch=1", ("watch", "", "pods", "", "a", "")),
        ("GET", "/api/v1/watch/pods", ("watch", "", "pods", "", "", "")),
        ("GET", "/api/v1/watch/namespaces/a/pods/p", ("watch", "", "pods", "", "a", "p")),
        ("GET", "/api/v1/proxy/namespaces/a/pods/p/x/y", ("proxy", "", "pods", "", "a", "p")),
        ("GET", "/api/v1/namespaces/a/pods/p/proxy/x", ("get", "", "pods", "proxy", "a", "p")),
        ("POST", "/api/v1/namespaces/a/pods/p/proxy/x", ("create", "", "pods", "proxy", "a", "p")),
        ("GET", "/api/v1/nodes/n/proxy/exec/x", ("get", "", "nodes", "proxy", "", "n")),
        ("POST", "/apis/apps/v1/namespaces/a/deployments", ("create", "apps", "deployments", "", "a", "")),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            ("patch", "apps", "deployments", "scale", "a", "d"),
        ),
        ("DELETE", "/apis/apps/v1/namespaces/a/deployments", ("deletecollection", "apps", "deployments", "", "a", "")),
        ("DELETE", "/apis/apps/v1/namespaces/a/deployments/d", ("delete", "apps", "deployments", "", "a", "d")),
        ("GET", "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dp", ("list", "", "pods", "", "a", "p")),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name==p,status.phase=Up", ("list", "", "pods", "", "", "p")),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name!=p", ("list", "", "pods", "", "", "")),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name=p,metadata.name=q", ("list", "", "pods", "", "", "")),
        ("GET", "/api/v1/nodes/a%3Ab", ("get", "", "nodes", "", "", "a:b")),
    ],
)
def test_it_is_read_as_an_api_server_reads_it(method: str, target: str, wanted: tuple[str, ...]) -> None:
    assert meaning(method, target) == wanted


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
def test_to_enter_a_pod_is_a_create_whichever_method_asks(method: str, subresource: str) -> None:
    wanted = ("create", "", "pods", subresource, "a", "p")
    assert meaning(method, f"/api/v1/namespaces/a/pods/p/{subresource}?command=ls") == wanted


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1//pods",
        "//api/v1/pods",
        "/api/v1/namespaces/a/../b/pods",
        "/api/v1/namespaces/%2e%2e/pods",
        "/api/v1/namespaces/a%2Fpods",
        "/api/v1/namespaces/a%2fsecrets/x",
        "/api/v1/namespaces/a\\b",
        "/api/v1/secrets%00",
        "/api/v1/secrets%",
        "/api/v1/secrets%zz",
        "/api/v1/%ff",
        "/api/v1/watch",
        "/api/v1/watch/",
        "/api/v1/pods?watch=1;x",
        "/api/v1/pods?a b",
        "/api/v1/pods?a=%f",
        "/api/v1/pods?a=%ff",
    ],
)
def test_what_could_mean_two_things_is_refused(target: str) -> None:
    with pytest.raises(Unreadable, match=r"^[A-Z].*\.$"):
        meaning("GET", target)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "get", "FROB", "G\x1b"])
def test_a_resource_is_asked_for_with_known_methods_alone(method: str) -> None:
    with pytest.raises(Unreadable) as why:
        meaning(method, "/api/v1/pods")
    assert str(why.value).isprintable()


@given(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]), st.text("/apis.v1%2Fnamewtch:~\\\x00é", max_size=40))
def test_any_path_is_read_or_refused(method: str, rest: str) -> None:
    try:
        found = read(method, f"/{rest}", "")
    except Unreadable:
        return
    assert all("/" not in part for part in (found.resource, found.subresource, found.namespace, found.name))


@given(st.text(max_size=40))
def test_any_query_is_read_or_refused(query: str) -> None:
    try:
        assert set(first_values(query)) == {name for name, _ in parameters(query)}
    except Unreadable:
        pass


def test_a_resource_is_called_by_group_and_name() -> None:
    assert resource_name(KubernetesRequest("get", "apps", "v1", "deployments", "", "a", "d")) == "apps/deployments"
    assert resource_name(KubernetesRequest("get", "", "v1", "secrets", "", "a", "d")) == "secrets"


def test_an_outline_names_nobody() -> None:
    assert outline(read("GET", "/api/v1/namespaces/a/pods/p/log", ""), "") == "get pods/log in a"
    assert outline(read("DELETE", "/apis/apps/v1/deployments", ""), "") == "deletecollection apps/deployments"
    assert outline(read("GET", "/version", ""), "/version") == "get /version"
