"""What a client asks over HTTP, and what that means where the target is a cluster: frozen values. Knows no machine."""

from dataclasses import dataclass, field

type HeaderFields = tuple[tuple[str, str], ...]
"""Names and values in their order, a name as often as it was sent; values as ISO 8859-1, which loses nothing."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request as its client made it, without what proves who it is (RFC 9110).

    `path` begins with "/", or is `*`, in the one spelling that the target is sent (RFC 3986 §6.2.2); `query` is what
    follows the "?", "" without one.
    `endpoint` is the first of the target's path templates (`/v1/customers/{id}`) that the path fits, "" for none.
    `version` is `HTTP/1.1` or `HTTP/2.0`.
    """

    method: str
    authority: str
    path: str
    query: str
    version: str
    endpoint: str = ""
    headers: HeaderFields = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class KubernetesRequest:
    """What an HTTP request means to a Kubernetes API server, in the words of its own authorization.

    `verb` is get, list, watch, create, update, patch, delete, deletecollection, proxy or, for a path that is no
    resource, the HTTP method in lower case; then `resource` is "" and the path stands in the HttpRequest. `subresource`
    is `exec`, `log`, `status`, …; `namespace` is "" for what has none, and `name` where none is named.
    """

    verb: str
    group: str
    version: str
    resource: str
    subresource: str
    namespace: str
    name: str
