"""Which target the host of a request means: TARGET.DOMAIN names it, and the gateway's own names stand for one.

Knows no request and no target: whether there is such a one is the router's business.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address

from hoopproxy.errors import ProtocolViolation
from hoopproxy.settings import ListenerSettings

_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::([0-9]{1,5}))?")
"""RFC 3986 §3.2, without its user part, percent signs and empty ports; in lower case."""

_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Place:
    """What an authority says: a host in lower case, an IPv6 address without brackets; a port, 0 for none."""

    host: str
    port: int

    @classmethod
    def of(cls, authority: str) -> "Place":
        """@raise ProtocolViolation: it is none."""
        found = _AUTHORITY.fullmatch(authority.lower())
        if found is None or int(found[3] or 0) > _PORT_MAX:
            raise ProtocolViolation(
                "client",
                "What your client asks for is no host; check its URL.",
                detail=f"the authority is {authority[:300]!r}",
            )
        return cls((found[1] or found[2]).removesuffix("."), int(found[3] or 0))

    def at(self, port: int) -> str:
        """As a target's place is written, `HOST:PORT`, with that port where it names none."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port or port}"


class Hosts:
    """The hosts by which one listener's targets are reached. `names` are those of its certificate."""

    def __init__(self, settings: ListenerSettings, names: Collection[str]) -> None:
        self._domain, self._target = settings.domain.lower(), settings.target
        self._own = frozenset(name for name in (self._domain, "localhost", *names) if name)

    def target(self, host: str) -> str:
        """The name of the target that a client wants by calling this host; of a foreign host the host itself."""
        if self.is_within(host):
            return host.removesuffix(f".{self._domain}")
        return self._target if self._target and self.is_own(host) else host

    def is_within(self, host: str) -> bool:
        """Whether it names a target."""
        return bool(self._domain) and host.endswith(f".{self._domain}")

    def is_own(self, host: str) -> bool:
        """Whether it is a name of the gateway's, or an address: none but ours brings a client here."""
        return host in self._own or _is_literal(host)

    def certified(self, server_name: str, address: str) -> str:
        """For whom the certificate is that a client of `server_name` ("" for none) at our `address` is shown."""
        known = _AUTHORITY.fullmatch(server_name) and (self.is_within(server_name) or server_name in self._own)
        return server_name if known else (server_name and self._domain) or address


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
