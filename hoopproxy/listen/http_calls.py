"""What a client's first request asks of the gateway: which target, in which form, under which names.

Knows no credentials and no bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hoopproxy.errors import ProtocolViolation, Refused
from hoopproxy.listen.http_hosts import Hosts, Place
from hoopproxy.listen.http_statuses import Misdirected
from hoopproxy.wire.http.messages import AUTHORITY, FORM, PREFIX, SCHEME, VERSION, RequestHead
from hoopproxy.wire.http.names import PORTS, settled_authority

HTTP_2 = "HTTP/2.0"


@dataclass(frozen=True, slots=True)
class Call:
    """`host` is the one that the request names, in lower case. `parameters` are those of `wire.http.messages`."""

    target_name: str
    host: str
    parameters: Mapping[str, str]

    @property
    def is_forward(self) -> bool:
        """Whether the gateway is a proxy to the client: it is shown a proxy's credentials."""
        return self.parameters[FORM] != "origin"

    @property
    def is_tunnel(self) -> bool:
        """Whether the request was a CONNECT: what matters comes behind it."""
        return self.parameters[FORM] == "tunnel"


def tunnel(head: RequestHead) -> Call:
    """A CONNECT (RFC 9110 §9.3.6); there is none over HTTP/2 here. @raise ProtocolViolation: it is malformed."""
    place = Place.of(head.authority)
    if not place.port or head.headers.get("content-length") or head.headers.get("transfer-encoding"):
        raise ProtocolViolation("client", "Your client's CONNECT is malformed: it needs a port, and no body.")
    # Nobody can tell yet; but what is at port 80 is called by http: or ws: alone.
    scheme = "http" if place.port == int(PORTS["http"]) else "https"
    return Call(place.at(0), place.host, _parameters(head.authority, scheme, "tunnel"))


def is_absolute(head: RequestHead, hosts: Hosts) -> bool:
    """Whether it is for a proxy (RFC 9112 §3.2.2), as a client's own request may have that form, too."""
    in_absolute_form = bool(head.scheme) and head.version != HTTP_2
    return in_absolute_form and not hosts.is_within(Place.of(head.authority).host)


def absolute(head: RequestHead) -> Call:
    """A request to a proxy. @raise ProtocolViolation"""
    place = Place.of(head.authority)
    name = place.at(int(PORTS[head.scheme]))
    return Call(name, place.host, _parameters(head.authority, head.scheme, "absolute", version="http/1.1"))


def origin(
    head: RequestHead, hosts: Hosts, *, is_tls: bool, server_name: str, prefix: str = "", name: str = ""
) -> Call:
    """A request to the gateway as if it were the target. `name` is the target's, where a `prefix` of its path says it.

    @raise ProtocolViolation: it names no host. @raise Misdirected: its TLS was for another target than it is.
    """
    if not head.authority:
        raise ProtocolViolation("client", "Your client does not say which host it wants; let it send a Host field.")
    host = Place.of(head.authority).host
    if server_name and hosts.target(server_name) != hosts.target(host):
        raise Misdirected(
            "Your client asks for another host than it began TLS with; let it use one connection for each.",
            reason="target",
            detail=f"SNI is {server_name[:300]!r}, the request's host {host!r}",
        )
    scheme = "https" if is_tls else "http"
    version = "h2" if head.version == HTTP_2 else "http/1.1"
    return Call(name or hosts.target(host), host, _parameters(head.authority, scheme, "origin", prefix, version))


def _parameters(authority: str, scheme: str, form: str, prefix: str = "", version: str = "") -> Mapping[str, str]:
    return {
        AUTHORITY: settled_authority(authority, scheme),
        SCHEME: scheme,
        FORM: form,
        PREFIX: prefix,
        VERSION: version,
    }


def no_proxy() -> Refused:
    """For a CONNECT where there is no authority to end its TLS with."""
    return Refused(
        "This gateway is no proxy for TLS: reach its targets by their hosts in its own domain.", reason="target"
    )
