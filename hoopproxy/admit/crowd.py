"""Everybody who is connected to this gateway, on whichever listener: how many in all, from one place, of one person.

Until their credentials were verified they are strangers, who have limits of their own. Knows no socket and no clock.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_network

from hoopproxy.errors import LimitReached
from hoopproxy.model import Identity, IPAddress
from hoopproxy.settings import Limits

IPV6_PREFIX_BITS = 64
"""One host owns all addresses of a /64 (RFC 4291 §2.5.4, RFC 8981), so it counts as one."""


class Crowd:
    """Counts connections, by connection id, against `limits`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._here, self._strangers = _Group(), _Group()
        self._connections_of: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._here)

    def limit_for(self, address: IPAddress | None) -> str:
        """The key of the limit that one more connection from there would pass; "" when it may come in.

        None: from a balancer, which may connect for all the world, and has not said yet for whom.
        """
        limits, origin = self._limits, origin_of(address)
        if len(self._here) >= limits.connections_max:
            return "limits.connections_max"
        if origin and self._here.of(origin) >= limits.connections_per_address_max:
            return "limits.connections_per_address_max"
        if len(self._strangers) >= limits.unauthenticated_max:
            return "limits.unauthenticated_max"
        if origin and self._strangers.of(origin) >= limits.unauthenticated_per_address_max:
            return "limits.unauthenticated_per_address_max"
        return ""

    def enter(self, connection_id: str, address: IPAddress | None) -> None:
        """A stranger comes in, from there or from a balancer."""
        origin = origin_of(address)
        self._here.add(connection_id, origin)
        self._strangers.add(connection_id, origin)

    def is_stranger(self, connection_id: str) -> bool:
        """Whether its credentials are still to be verified."""
        return connection_id in self._strangers

    def leave(self, connection_id: str) -> None:
        """The connection is gone, whoever it was."""
        self._here.remove(connection_id)
        self._strangers.remove(connection_id)

    @contextmanager
    def signed_in(self, connection_id: str, identity: Identity) -> Iterator[None]:
        """No stranger any more, and inside of this one of that person's connections. @raise LimitReached."""
        self._strangers.remove(connection_id)
        person = identity.issuer, identity.subject
        count, count_max = self._connections_of[person], self._limits.connections_per_identity_max
        if count >= count_max:
            raise LimitReached(
                f"You have {count} of {count_max} connections open through this gateway; close one and connect again.",
                limit="limits.connections_per_identity_max",
            )
        self._connections_of[person] += 1
        try:
            yield
        finally:
            _less(self._connections_of, person)


class _Group:
    """Connections, each from somewhere."""

    def __init__(self) -> None:
        self._origins: dict[str, str] = {}
        self._from: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._origins)

    def __contains__(self, connection_id: str) -> bool:
        return connection_id in self._origins

    def of(self, origin: str) -> int:
        """How many come from there."""
        return self._from[origin]

    def add(self, connection_id: str, origin: str) -> None:
        """One more."""
        self._origins[connection_id] = origin
        self._from[origin] += 1

    def remove(self, connection_id: str) -> None:
        """One less, if it was here."""
        origin = self._origins.pop(connection_id, None)
        if origin is not None:
            _less(self._from, origin)


def _less[Key](counter: Counter[Key], key: Key) -> None:
    """One less; what is none is forgotten."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def origin_of(address: IPAddress | None) -> str:
    """What counts as one place: an IPv4 address, or the /64 that an IPv6 address lies in; "" for none."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX_BITS), strict=False))
    return "" if address is None else str(address)
