"""What heads of messages must look like before anybody believes them: readable in one way only, by whoever reads on.

Stricter than the RFCs, which let recipients repair what others then read differently: so requests are
smuggled. Knows no parser.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from hoopproxy.wire.http.messages import Headers, RequestHead, ResponseHead


class Unsound(ValueError):
    """A message that is refused; the text tells the operator why."""


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Z]+")
"""Methods are compared as they are written (RFC 9110 §9.1), but many servers, and mitmproxy, take `get` for `GET`."""

_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*")
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~%!$&'()*+,;=-]{1,255})(?::[0-9]{1,5})?")

_UNWANTED_BEHIND = frozenset(
    "transfer-encoding content-length content-encoding content-type content-range host trailer connection keep-alive "
    "upgrade te set-cookie location alt-svc authorization".split()
)
"""What a trailer may not say (RFC 9110 §6.5.1), or says to nobody's good."""


def request(head: RequestHead) -> RequestHead:
    """The same, with the one `Host` (or none) taken out as its authority. @raise Unsound"""
    _fields(head.headers)
    if not _METHOD.fullmatch(head.method):
        raise Unsound("the method is no token in capitals")
    if head.method == "CONNECT":
        if head.target or not _AUTHORITY.fullmatch(head.authority):
            raise Unsound("CONNECT names no host and port")
    elif not _TARGET.fullmatch(head.target) and (head.method, head.target) != ("OPTIONS", "*"):
        raise Unsound("the request target is no path of visible ASCII characters")
    if head.scheme not in ("", "http", "https"):
        raise Unsound("the scheme is neither http nor https")
    return _addressed(head)


def _addressed(head: RequestHead) -> RequestHead:
    hosts = tuple(head.headers.all("host"))
    if len(hosts) > 1:
        raise Unsound("there are several Host fields")
    if not hosts and not head.authority and head.version == "HTTP/1.1":
        raise Unsound("there is no Host field")
    authority = head.authority or "".join(hosts)
    if (hosts or authority) and not _AUTHORITY.fullmatch(authority):
        raise Unsound("Host or :authority is no host and port")
    if any(host.lower() != authority.lower() for host in hosts):
        raise Unsound("the Host field says another thing than the request target")
    return replace(head, authority=authority, headers=head.headers.without("host")) if hosts else head


def response(head: ResponseHead) -> ResponseHead:
    """The same. @raise Unsound"""
    _fields(head.headers)
    if not (head.status == 101 or 200 <= head.status <= 999):
        raise Unsound(f"there is no status {head.status}")
    return head


def trailers(fields: Iterable[tuple[str, str]]) -> Headers:
    """Those that may be believed. @raise Unsound"""
    headers = Headers(tuple(fields))
    _fields(headers)
    return headers.where(lambda name, _: name not in _UNWANTED_BEHIND)


def _fields(headers: Headers) -> None:
    for name, value in headers.fields:
        if not _TOKEN.fullmatch(name):
            raise Unsound("a field's name is no token")
        if not _VALUE.fullmatch(value):
            raise Unsound("a field's value has control characters, or goes on in the next line")
