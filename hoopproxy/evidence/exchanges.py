"""How an HTTP request and its response are written down: what reviewers read, what is sealed, and what nobody keeps.

Pure. Who asked for what is for reviewers; what stood in the address and the header fields may name a person, and is
sealed. A value that proves who somebody is opens doors to whoever reads it, so its length is all that is kept of it: a
digest would let a guessed or stolen one be recognized, and nothing is proved by it. Knows neither lines nor files.
"""

from collections.abc import Iterable
from typing import Any

from hoopproxy.events import Statement
from hoopproxy.model import Side
from hoopproxy.requests import HeaderFields, HttpRequest, KubernetesRequest

MESSAGES = {side: f"{side.value} messages" for side in Side}
"""What the streams are called in which a side's WebSocket messages are counted and hashed."""

CREDENTIALS = frozenset(
    (
        *("authorization", "proxy-authorization", "authentication-info", "proxy-authentication-info"),  # RFC 9110 §11
        *("cookie", "cookie2", "set-cookie", "set-cookie2"),  # RFC 6265, RFC 2965
        *("api-key", "apikey", "x-api-key", "x-access-token", "x-auth-token", "x-csrf-token", "x-xsrf-token"),
        *("private-token", "x-vault-token", "x-goog-api-key", "x-amz-security-token", "x-forwarded-access-token"),
    )
)
"""Header fields of which no value is kept: in lower case and, as many servers read them, with "-" for "_"."""

BEARER_PROTOCOL = "base64url.bearer.authorization."
"""How a browser shows a Kubernetes API server its token: among a WebSocket's subprotocols."""


def request_told(statement: Statement) -> dict[str, Any]:
    """What reviewers see of the request that a statement is: no path, no query, no name, no header field."""
    told: dict[str, Any] = {}
    if (http := statement.http) is not None:
        told["http"] = _http_told(http)
    if (kubernetes := statement.kubernetes) is not None:
        told["kubernetes"] = _kubernetes_told(kubernetes)
    return told


def request_sealed(statement: Statement) -> dict[str, Any]:
    """The same, whole but for credentials: with both keys it stands in the place of what reviewers see."""
    sealed: dict[str, Any] = {}
    if (http := statement.http) is not None:
        sealed["http"] = _http_told(http) | {
            "path": http.path,
            "query": http.query,
            "headers": fields_told(http.headers),
        }
    if (kubernetes := statement.kubernetes) is not None:
        sealed["kubernetes"] = _kubernetes_told(kubernetes) | {"name": kubernetes.name}
    return sealed


def fields_told(headers: HeaderFields) -> list[dict[str, Any]]:
    """Header fields in their order; of a credential's value its length in bytes."""
    return [
        {"name": name, "bytes": len(value)}
        if _proves(name.lower().replace("_", "-"), value)
        else {"name": name, "value": value}
        for name, value in headers
    ]


def http_parameters(parameters: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What a permit's parameters say of an HTTP client's connection: `scheme`, `authority`, …"""
    return {name.removeprefix("http."): value for name, value in parameters if name.startswith("http.")}


def _http_told(http: HttpRequest) -> dict[str, Any]:
    return {
        "method": http.method,
        "authority": http.authority,
        "endpoint": http.endpoint,
        "version": http.version,
    }


def _kubernetes_told(kubernetes: KubernetesRequest) -> dict[str, Any]:
    return {
        "verb": kubernetes.verb,
        "group": kubernetes.group,
        "version": kubernetes.version,
        "resource": kubernetes.resource,
        "subresource": kubernetes.subresource,
        "namespace": kubernetes.namespace,
    }


def _proves(name: str, value: str) -> bool:
    return name in CREDENTIALS or (name == "sec-websocket-protocol" and BEARER_PROTOCOL in value.lower())
