"""Those who connect for others: a listener's balancers, of whom each must say for whom, before anything else.

What a header looks like is `wire.proxy_header`'s. Knows no protocol behind it, and counts nobody.
"""

from hoopproxy.connection import Connection
from hoopproxy.errors import LimitReached, ProtocolViolation
from hoopproxy.model import Endpoint, IPAddress
from hoopproxy.rooms import IScheduler
from hoopproxy.settings import IPNetwork, Limits
from hoopproxy.wire.proxy_header import read_header


class Balancers:
    """The addresses from which a PROXY header is believed, and demanded."""

    def __init__(self, networks: tuple[IPNetwork, ...], limits: Limits, scheduler: IScheduler) -> None:
        self._networks, self._limits, self._scheduler = networks, limits, scheduler

    def __contains__(self, address: IPAddress) -> bool:
        return any(address in network for network in self._networks)

    async def client(self, connection: Connection) -> Endpoint | None:
        """For whom a balancer has made this connection. What came behind its header is still to be read.

        None: for nobody. It only wanted to see whether somebody listens, and went again: before its header, or behind
        one that says LOCAL. A balancer that goes on behind LOCAL speaks for itself, from its own address.
        `limits.handshake_s_max` bounds it all.

        @raise ProtocolViolation, LimitReached: it does not say.
        """
        limit_s = self._limits.handshake_s_max
        try:
            found: Endpoint | None = await self._scheduler.within(limit_s, _named(connection))
        except TimeoutError as why:
            raise LimitReached(
                f"A balancer's connection was ended because no PROXY header came within {limit_s:g} s.",
                limit="limits.handshake_s_max",
            ) from why
        return found


async def _named(connection: Connection) -> Endpoint | None:
    data = b""
    while (found := read_header(data)) is None:
        more = await connection.read()
        if not more and data:
            raise ProtocolViolation("client", "A balancer's connection ended within its PROXY header.")
        if not more:
            return None
        data += more
    header, length = found
    connection.unread(data[length:])
    if header.client is not None:
        return header.client
    first = await connection.read()
    connection.unread(first)
    return connection.peer if first else None
