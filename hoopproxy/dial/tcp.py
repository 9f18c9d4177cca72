"""The way to a raw TCP target: a judged literal, and verified TLS where the target has any to prove itself by.

Shows nobody a secret: there is no place for one. Knows neither the client nor what is said.
"""

from typing import Any

from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.dial.reaching import Reached, Reaching
from hoopproxy.dial.tls import Verification
from hoopproxy.errors import BrokenOff
from hoopproxy.masks import NO_CATALOG, Catalog
from hoopproxy.model import Passage, Permit, Side, Target
from hoopproxy.proofs import TargetSecret
from hoopproxy.rooms import IDialer, IPeer, IReached, IScheduler, ISignal
from hoopproxy.settings import Limits


@implementer(IDialer)
class TcpDialer:
    """Dials raw TCP targets. `limits.dial_s_max` bounds each address."""

    def __init__(self, reactor: Any, limits: Limits, scheduler: IScheduler) -> None:
        self._reaching = Reaching(reactor, limits, scheduler)

    def unfit(self, target: Target) -> str:
        if target.host_keys:
            return "host_keys is set, and a raw TCP target has none; it may prove itself by tls."
        if target.databases:
            return "databases is set, and raw TCP can't name one; take it out."
        if shown := [account for account, credential in target.accounts.items() if credential]:
            return f'accounts.{shown[0]} names a credential, and raw TCP has no place for one; wanted is "".'
        return ""

    async def reach(self, permit: Permit) -> Reached:
        return await self._reaching.first(permit, _prove)

    async def login(
        self,
        reached: IReached,
        passage: Passage,
        secret: TargetSecret,
        protected: frozenset[str],
        known: Catalog | None = None,
    ) -> "TcpPeer":
        assert isinstance(reached, Reached)
        return TcpPeer(reached.take_over())


@implementer(IPeer)
class TcpPeer:
    """A target that was reached. It is never known whether it runs something, so there is nothing to stop."""

    side = Side.SERVER
    greeting = None
    catalog = NO_CATALOG

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def lost(self) -> ISignal:
        """Set when the target is gone, not only done with sending."""
        return self._connection.lost

    async def read(self) -> bytes:
        data = await self._connection.read()
        if not data and self._connection.is_broken:
            raise BrokenOff("The target's connection broke off; what it sent may not be whole.")
        return data

    async def write(self, data: bytes) -> None:
        await self._connection.write(data)

    async def end(self) -> None:
        await self._connection.end()

    async def interrupt(self) -> None:
        """Nothing."""

    def close(self) -> None:
        self._connection.cut()

    def dismiss(self) -> None:
        self.close()
        self._connection.dismiss()

    def abort(self) -> None:
        self._connection.abort()


async def _prove(target: Target, connection: Connection) -> Reached:
    if target.tls is None:
        return Reached(connection)
    proof = await Verification(target).shake(connection, by_halves=True)
    return Reached(connection, proof.spki_sha256)
