"""Reaching a target: one judged address after the other, each within its time, until one proves that it is the target.

What a proof is, each protocol says. Knows no protocol and shows nobody a secret.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from zope.interface import implementer

from hoopproxy.connection import Connection, connect
from hoopproxy.errors import UpstreamUnreachable
from hoopproxy.hands import Overloaded
from hoopproxy.model import Endpoint, Measurements, Permit, Target
from hoopproxy.rooms import IReached, IScheduler
from hoopproxy.settings import Limits


@implementer(IReached)
class Reached:
    """A target that proved itself and knows nothing of us yet. `spki_sha256` is "" where it has no key to prove."""

    def __init__(self, connection: Connection, spki_sha256: str = "") -> None:
        self.measurements = Measurements(connection.peer, spki_sha256, connection.tcp_rtt_us)
        self._connection: Connection | None = connection

    def take_over(self) -> Connection:
        """The connection, which `abort` leaves alone from now on."""
        connection, self._connection = self._connection, None
        assert connection is not None, "a reached target is logged in to once"
        return connection

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()


type Prove[R: Reached] = Callable[[Target, Connection], Awaitable[R]]
"""A protocol's handshake with a target up to its proof. @raise SessionError: it gave none; the connection is aborted by
whoever asked."""


class Reaching:
    """The part of a dialer that all have in common. `limits.dial_s_max` bounds each address with its proof."""

    def __init__(self, reactor: Any, limits: Limits, scheduler: IScheduler) -> None:
        self._reactor, self._limits, self._scheduler = reactor, limits, scheduler

    async def first[R: Reached](self, permit: Permit, prove: Prove[R]) -> R:
        """The first of the judged addresses that answers and proves itself. @raise UpstreamUnreachable: none does."""
        target, failures = permit.target, list[UpstreamUnreachable]()
        for address in permit.addresses:
            try:
                return await self.at(target, Endpoint(address, target.port), prove)
            except UpstreamUnreachable as why:
                failures.append(why)
        if len(failures) == 1:
            raise failures[0]
        raise unreachable(target, "; ".join(failure.detail for failure in failures) or "it has no address")

    async def at[R: Reached](self, target: Target, endpoint: Endpoint, prove: Prove[R]) -> R:
        """The target at this address. @raise UpstreamUnreachable: nobody is there, or nobody who proves it."""
        return await self.in_time(target, self._proved(target, endpoint, prove))

    async def in_time[T](self, target: Target, work: Awaitable[T]) -> T:
        """The result of what is done with a target. @raise UpstreamUnreachable: it took longer than it may."""
        limit_s = self._limits.dial_s_max
        try:
            done: T = await self._scheduler.within(limit_s, work)
        except TimeoutError as why:
            raise unreachable(target, f"no answer within {limit_s:g} s (limits.dial_s_max)") from why
        except Overloaded as why:
            raise unreachable(target, str(why)) from why
        return done

    async def _proved[R: Reached](self, target: Target, endpoint: Endpoint, prove: Prove[R]) -> R:
        try:
            connection = await connect(self._reactor, endpoint, self._limits, self._scheduler)
        except UpstreamUnreachable as why:
            raise unreachable(target, why.detail) from why
        try:
            if connection.peer != endpoint:
                raise unreachable(target, f"dialled {endpoint}, but the peer is {connection.peer}")
            return await prove(target, connection)
        except BaseException:
            connection.abort()
            raise


def unreachable(target: Target, detail: str) -> UpstreamUnreachable:
    """Why the target can't be talked to, `detail` for the operator alone."""
    return UpstreamUnreachable(
        f"Target '{target.name}' could not be reached; try again later or tell the operator of the gateway.",
        detail=detail,
    )
