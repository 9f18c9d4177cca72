"""The way to an SSH target: a judged literal, a pinned host key, then a login with a secret that no user sees.

Between login and end payloads of the connection protocol pass as they are. Knows neither the client nor why this
target.
"""

import base64
import hashlib
import hmac
from ipaddress import ip_address
from typing import Any, cast

from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.dial.reaching import Reached, Reaching, unreachable
from hoopproxy.dial.ssh_certificates import UnfitAuthority, minted
from hoopproxy.dial.ssh_login import Login, Proof, UnfitKey
from hoopproxy.errors import ProtocolViolation, UpstreamRefused, UpstreamUnreachable
from hoopproxy.masks import NO_CATALOG, Catalog
from hoopproxy.model import IPAddress, Passage, Permit, Side, Target
from hoopproxy.proofs import TargetSecret
from hoopproxy.rooms import IDialer, IPeer, IReached, IScheduler, ISignal
from hoopproxy.settings import Limits
from hoopproxy.ssh.exchange import ClientExchange, printable
from hoopproxy.ssh.transport import SshTransport


class Proved(Reached):
    """A target that holds one of its host keys. `source` is the address that we come from, as far as we know it."""

    def __init__(self, connection: Connection, transport: SshTransport, exchange: ClientExchange) -> None:
        super().__init__(connection, hashlib.sha256(exchange.host_key).hexdigest())
        self.transport, self.exchange = transport, exchange
        self.source: IPAddress = ip_address(cast(Any, connection.transport).getHost().host.partition("%")[0])


@implementer(IDialer)
class SshDialer:
    """Dials SSH targets. `limits.dial_s_max` bounds each address with its proof, and the login."""

    def __init__(self, reactor: Any, limits: Limits, scheduler: IScheduler) -> None:
        self._reaching, self._scheduler = Reaching(reactor, limits, scheduler), scheduler

    def unfit(self, target: Target) -> str:
        if target.tls is not None:
            return "tls is of no use here: an SSH target proves itself by its host key."
        if not target.host_keys:
            return "host_keys is missing: an SSH target proves itself by its host key."
        return ""

    async def reach(self, permit: Permit) -> Proved:
        return await self._reaching.first(permit, self._prove)

    async def login(
        self,
        reached: IReached,
        passage: Passage,
        secret: TargetSecret,
        protected: frozenset[str],
        known: Catalog | None = None,
    ) -> "SshPeer":
        assert isinstance(reached, Proved)
        reached.take_over()
        transport, target = reached.transport, passage.permit.target
        try:
            await self._reaching.in_time(target, self._log_in(reached, passage, secret))
        except BaseException:
            transport.abort()
            raise
        return SshPeer(transport)

    async def _prove(self, target: Target, connection: Connection) -> Proved:
        pins = _Pins(target)
        exchange = ClientExchange(pins.accept)
        transport = SshTransport(connection, exchange, self._scheduler)
        try:
            await transport.secure()
        except ProtocolViolation as why:
            raise pins.failure or unreachable(target, f"{connection.peer}: {why.sentence} {why.detail}") from why
        return Proved(connection, transport, exchange)

    async def _log_in(self, reached: Proved, passage: Passage, secret: TargetSecret) -> None:
        exchange, transport = reached.exchange, reached.transport
        whom = f"Target '{passage.permit.target.name}', asked to let the gateway in as '{passage.permit.account}',"
        try:
            proof = self._proof(reached, passage, secret)
        except (UnfitKey, UnfitAuthority) as why:
            raise UpstreamRefused(
                f"The gateway's own key for target '{passage.permit.target.name}' can't be used; "
                "tell the operator of the gateway.",
                detail=str(why),
            ) from why
        login = Login(exchange, whom, secret, proof)
        exchange.login = login.take
        exchange.request_login()
        transport.flush()
        while not login.is_done:
            if not await transport.advance():
                raise login.refused("closed the connection", exchange.farewell or "without a word")

    def _proof(self, reached: Proved, passage: Passage, secret: TargetSecret) -> Proof | None:
        """@raise UnfitKey, UnfitAuthority"""
        if secret.authority_key is not None:
            now_s, session_id = self._scheduler.now_s(), passage.session_id
            made = minted(secret.authority_key, secret.username, reached.source, now_s, session_id)
            return Proof.by_certificate(made.private_key, made.certificate)
        return Proof.by_key(secret.private_key) if secret.private_key is not None else None


@implementer(IPeer)
class SshPeer:
    """A target that the gateway is logged in to."""

    side = Side.SERVER
    greeting = None
    catalog = NO_CATALOG

    def __init__(self, transport: SshTransport) -> None:
        self._transport = transport

    @property
    def lost(self) -> ISignal:
        """Set when the target is gone."""
        return self._transport.lost

    async def read(self) -> bytes:
        return await self._transport.read()

    async def write(self, data: bytes) -> None:
        await self._transport.write(data)

    async def end(self) -> None:
        await self._transport.end()

    async def interrupt(self) -> None:
        """Nothing: what runs in a channel ends with it."""

    def close(self) -> None:
        self._transport.close()

    def dismiss(self) -> None:
        self._transport.dismiss()

    def abort(self) -> None:
        self._transport.abort()


class _Pins:
    """A target's host keys, and what one showed that has none of them."""

    def __init__(self, target: Target) -> None:
        self.failure: UpstreamUnreachable | None = None
        self._target = target

    def accept(self, blob: bytes) -> bool:
        """Whether a key is one of the target's; all of them are compared, whichever it is."""
        shown = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        if sum([hmac.compare_digest(shown, pin) for pin in self._target.host_keys]):
            return True
        kind = printable(blob[4 : 4 + int.from_bytes(blob[:4])])
        self.failure = UpstreamUnreachable(
            f"Target '{self._target.name}' did not prove that it is itself; tell the operator of the gateway.",
            detail=f"its host key is {shown} ({kind}), which is not among its host_keys",
        )
        return False
