"""Which header fields cross the gateway, and as what (RFC 9110, RFC 6265).

Framing (`content-length`, `transfer-encoding`, `host`) is the machine's business. Knows neither bodies nor guards.
"""

import re

from hoopproxy.wire.http.messages import Headers
from hoopproxy.wire.http.names import Elsewhere, Names

IDENTIFYING = frozenset(("authorization", "proxy-authorization", "cookie"))
"""What proves who a client is; nobody records it, and the first two are the gateway's alone."""

_FRAMING = frozenset(("content-length", "transfer-encoding", "host"))
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings")
) | frozenset(("proxy-authenticate", "proxy-authorization", "proxy-authentication-info", "proxy-status"))
"""RFC 9110 §7.6.1 and §11.7; what of `te`, `connection` and `upgrade` a message needs is put back."""

_ON_WHOSE_BEHALF = frozenset(("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip"))
_OVERRIDING = re.compile(r"x-http-method(-override)?|x-method-override|x-original-(url|method|uri)|x-rewrite-url")

_PATCH = "application/json-patch+json"

_URL_OF_OURS = frozenset(("origin", "referer", "destination"))
"""Where the client names the target in a URL, and the target compares that with its own name."""

_REFRESH = re.compile(r"(\s*[0-9.]*\s*[;,]?\s*(?:url\s*=\s*)?)(.*)", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r"<([^<>]*+)>")


def folded(name: str) -> str:
    """A name as servers compare it: in lower case, and to many (CGI, WSGI) "_" is "-"."""
    return name.lower().replace("_", "-")


def named_by_connection(headers: Headers) -> frozenset[str]:
    """The fields that are for the next hop alone, because `Connection` says so."""
    return frozenset(folded(token) for token in headers.tokens("connection"))


def misused(headers: Headers) -> str:
    """Why a request with these fields is answered with 400, in a full sentence; "" for no reason."""
    if named := named_by_connection(headers) & _FRAMING:
        return f"The Connection field of this request names {min(named)}, which is no matter of one connection."
    for name, _ in headers.fields:
        if _OVERRIDING.fullmatch(folded(name)):
            return f"The field {name} would have the target do another thing than was asked: ask for that itself."
    return ""


def has_patch(headers: Headers) -> bool:
    """Whether what follows is a JSON Patch (RFC 6902), which can copy any value to any place."""
    return any(value.partition(";")[0].strip().lower() == _PATCH for value in headers.all("content-type"))


def outgoing(headers: Headers, names: Names, *, upgrades: bool) -> Headers:
    """A request's fields for the target: without the client's credentials and what is for the gateway alone."""
    unwanted = _HOP_BY_HOP | named_by_connection(headers) - _FRAMING | _ON_WHOSE_BEHALF | {"authorization"}

    def keeps(name: str, value: str) -> bool:
        name = folded(name)
        # WebSocket's extensions would hide what messages say, and blow them up; without an offer there are none.
        return name not in unwanted and not name.startswith(("x-forwarded-", "sec-websocket-extensions"))

    kept = headers.where(keeps)
    kept = Headers(
        tuple((name, names.inward(value) if name.lower() in _URL_OF_OURS else value) for name, value in kept.fields)
    )
    if "trailers" in headers.tokens("te"):
        kept = kept.plus("te", "trailers")
    return _upgrading(kept) if upgrades else kept


def incoming(headers: Headers, names: Names, *, upgraded: bool) -> Headers:
    """A response's fields for the client, leading nowhere but to the target. @raise Elsewhere: `Location` does."""
    unwanted = _HOP_BY_HOP | named_by_connection(headers) - _FRAMING | {"alt-svc", "sec-websocket-extensions"}
    # The credentials that the target might ask for are the gateway's; the user is never to be asked for any.
    unwanted |= {"www-authenticate"}
    if names.scheme != "https":
        unwanted |= {"strict-transport-security"}
    kept = tuple(
        (name, shown)
        for name, value in headers.fields
        if folded(name) not in unwanted and (shown := _shown(name.lower(), value, names)) is not None
    )
    return _upgrading(Headers(kept)) if upgraded else Headers(kept)


def _upgrading(headers: Headers) -> Headers:
    return headers.instead("connection", "Upgrade").instead("upgrade", "websocket")


def _shown(name: str, value: str, names: Names) -> str | None:
    """A field's value for the client; None: it gets none. @raise Elsewhere."""
    match name:
        case "location":
            return names.outward(value)
        case "content-location":
            return _outward(value, names)
        case "refresh":
            return _refresh(value, names)
        case "link":
            return _LINK.sub(lambda found: f"<{_outward(found[1], names) or found[1]}>", value)
        case "set-cookie":
            return _cookie(value, names.prefix)
        case _:
            return value


def _outward(url: str, names: Names) -> str | None:
    try:
        return names.outward(url)
    except Elsewhere:
        return None


def _refresh(value: str, names: Names) -> str | None:
    """`5; url=…`, as browsers read it (HTML, "shared declarative refresh steps")."""
    found = _REFRESH.fullmatch(value)
    assert found is not None  # each of its parts may be empty
    url = found[2]
    if url[:1] in ("'", '"'):
        url = url[1:].partition(url[0])[0]
    shown = _outward(url, names)
    return None if shown is None else f"{found[1]}{shown}"


def _cookie(value: str, prefix: str) -> str:
    """For the one host that the client asked, and below the prefix: no other target is sent it (RFC 6265 §5.3)."""
    pair, *attributes = map(str.strip, value.split(";"))
    kept = [each for each in attributes if _attribute(each) not in ("domain", "path")]
    paths = [each.partition("=")[2].strip() for each in attributes if _attribute(each) == "path"]
    path = paths[-1] if paths and paths[-1].startswith("/") else ""
    if prefix:
        path = f"{prefix}{path or '/'}"
    return "; ".join([pair, *kept, *([f"Path={path}"] if path else [])])


def _attribute(text: str) -> str:
    return text.partition("=")[0].strip().lower()
