"""Names to addresses, once per session: all of them, so that all can be judged before one is dialled.

Knows no zone and connects to nothing.
"""

import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from hoopproxy.errors import UpstreamUnreachable
from hoopproxy.hands import Overloaded, in_thread
from hoopproxy.model import IPAddress
from hoopproxy.residency.addresses import canonical, parse_host
from hoopproxy.rooms import IResolver
from hoopproxy.settings import Limits

type LookUp = Callable[[str], Awaitable[Iterable[str]]]


async def look_up(name: str) -> Iterable[str]:
    """All A and AAAA of a name as this machine's resolver knows them. @raise OSError, Overloaded."""
    answers = await in_thread("resolver", socket.getaddrinfo, name, None, 0, socket.SOCK_STREAM)
    return [str(where[0]) for *_, where in answers]


@implementer(IResolver)
class Resolver:
    """Asks the system. `limits.dial_s_max` bounds the answer's time, `limits.addresses_max` its length."""

    def __init__(self, reactor: IReactorTime, limits: Limits, look_up: LookUp = look_up) -> None:
        self._reactor, self._limits, self._look_up = reactor, limits, look_up

    async def resolve(self, host: str) -> tuple[IPAddress, ...]:
        """In the order of family and number, so that equal answers look equal in evidence."""
        try:
            name = parse_host(host)
        except ValueError as why:
            raise _unreachable(host, "it is not a plain IP address or host name", str(why)) from why
        if not isinstance(name, str):
            return (name,)
        found = {canonical(ip_address(text.partition("%")[0])) for text in await self._answers(name)}
        if not found:
            raise _unreachable(host, "its name has no address", "the resolver answered without an A or AAAA record")
        if len(found) > self._limits.addresses_max:
            raise _unreachable(
                host,
                "its name has too many addresses",
                f"{len(found)} addresses, of which limits.addresses_max allows {self._limits.addresses_max}",
            )
        return tuple(sorted(found, key=lambda address: (address.version, int(address))))

    async def _answers(self, name: str) -> Iterable[str]:
        limit_s = self._limits.dial_s_max

        async def asking() -> Iterable[str]:
            return await self._look_up(name)

        def late(*_: object) -> Iterable[str]:
            raise TimeoutError(f"no answer within {limit_s:g} s (limits.dial_s_max)")

        try:
            return await Deferred.fromCoroutine(asking()).addTimeout(limit_s, self._reactor, onTimeoutCancel=late)
        except (OSError, Overloaded, UnicodeError) as why:  # TimeoutError is an OSError
            raise _unreachable(name, "its name can't be resolved now", f"{type(why).__name__}: {why}") from why


def _unreachable(host: str, reason: str, detail: str) -> UpstreamUnreachable:
    return UpstreamUnreachable(
        f"The target's host {host!r} can't be reached: {reason}; tell the operator of the gateway.",
        detail=f"resolving {host!r}: {detail}",
    )
