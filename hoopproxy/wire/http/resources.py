"""What the path, query and method of a request mean to a Kubernetes API server, as its own authorization reads them.

The rules are those of `RequestInfo` (k8s.io/apiserver/pkg/endpoints/request); what two readers could take for two
things is refused. Knows no rule of ours and no bytes.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, unquote_to_bytes

from hoopproxy.requests import KubernetesRequest
from hoopproxy.wire.http.endpoints import Ambiguous, plain, settled

CONNECTING = frozenset(("exec", "attach", "portforward"))
"""Subresources that open a connection into a pod. Whether GET or POST asks for one, it is a `create`, as Kubernetes'
own authorization has it since 1.35: who may look at pods may not therefore enter them."""

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = frozenset(("status", "finalize"))

_ODD_QUERY = re.compile(r"[;\x00-\x20\x7f-\xff]|%(?![0-9A-Fa-f]{2})")
"""Go drops a parameter with one of these, others keep it."""

_WORD = re.compile(r"[a-zA-Z0-9.-]+")

_EXACT_NAME = re.compile(r"metadata\.name==?([a-z0-9A-Z.:_-]+)")


class Unreadable(ValueError):
    """The request could mean two things, or nothing. The text is a full sentence for the client."""


def read(method: str, path: str, query: str) -> KubernetesRequest:
    """What it means; `path` is what the cluster is to be sent. @raise Unreadable."""
    parts = _segments(path)
    if not parts or parts[0] not in ("api", "apis") or len(parts) < (3 if parts[0] == "api" else 4):
        return KubernetesRequest(method.lower(), "", "", "", "", "", "")
    if method not in _VERBS:
        raise Unreadable(f"No Kubernetes resource is asked for with {_printable(method)}.")
    group = "" if parts[0] == "api" else parts[1]
    version, *rest = parts[1:] if parts[0] == "api" else parts[2:]
    verb = _VERBS[method]
    if rest[0] in ("watch", "proxy"):
        verb, *rest = rest
        if not rest:
            raise Unreadable(f"The path says {verb} and not of what.")
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    resource, name, subresource = (*rest[:3], "", "")[:3]
    if verb == "proxy":
        subresource = ""
    if not all(map(_WORD.fullmatch, filter(None, (group, version, resource, subresource)))):
        raise Unreadable("The path names no resource that a cluster could have.")
    found = KubernetesRequest(verb, group, version, resource, subresource, namespace, name)
    return _settled(found, first_values(query))


def parameters(query: str) -> list[tuple[str, str]]:
    """The parameters of a query in their order, decoded.

    @raise Unreadable: others could read it otherwise.
    """
    if _ODD_QUERY.search(query):
        raise Unreadable("The query holds a character that must be percent-encoded.")
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as why:
        raise Unreadable("The query is not in UTF-8.") from why


def first_values(query: str) -> Mapping[str, str]:
    """Each parameter's first value: the one that Kubernetes takes where it wants one. @raise Unreadable."""
    return dict(reversed(parameters(query)))


def is_true(query: Mapping[str, str], name: str) -> bool:
    """Whether a parameter says yes: to Kubernetes all but these do (k8s.io/apimachinery, runtime/conversion.go)."""
    return name in query and query[name].lower() not in ("false", "0")


def resource_name(request: KubernetesRequest) -> str:
    """`secrets`, `apps/deployments`; "" for what is no resource: what masks and rules call it."""
    return f"{request.group}/{request.resource}" if request.group else request.resource


def outline(request: KubernetesRequest, path: str) -> str:
    """What is done, without whose name it bears: `get pods/log in default`."""
    if not request.resource:
        return f"{request.verb} {path}"
    subresource = f"/{request.subresource}" if request.subresource else ""
    place = f" in {request.namespace}" if request.namespace else ""
    return f"{request.verb} {resource_name(request)}{subresource}{place}"


def _settled(found: KubernetesRequest, query: Mapping[str, str]) -> KubernetesRequest:
    """The verb that the rest of the request makes of it."""
    if found.subresource in CONNECTING and found.verb in ("get", "create"):
        return replace(found, verb="create")
    if found.name:
        return found
    match found.verb:
        case "get":
            verb = "watch" if is_true(query, "watch") else "list"
            return replace(found, verb=verb, name=_selected(query.get("fieldSelector", "")))
        case "delete":
            return replace(found, verb="deletecollection")
    return found


def _selected(selector: str) -> str:
    """The one name that a field selector leaves; "" for none or several."""
    names = {found[1] for term in selector.split(",") if (found := _EXACT_NAME.fullmatch(term))}
    return names.pop() if len(names) == 1 else ""


def _segments(path: str) -> list[str]:
    """@raise Unreadable: two servers could find other segments."""
    try:
        return [unquote_to_bytes(segment).decode() for segment in plain(settled(path)).split("/") if segment]
    except Ambiguous as why:
        raise Unreadable(str(why)) from why


def _printable(text: str) -> str:
    return text if text.isascii() and text.isalpha() and len(text) < 20 else "this method"
