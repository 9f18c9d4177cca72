"""The way to an HTTP target: a judged literal and verified TLS, for as many connections as a session has lanes.

Nothing is sent here: what is shown to the target goes with each request. Knows neither the client nor what is asked.
"""

from functools import partial
from typing import Any

from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.dial.http_lanes import HttpPeer
from hoopproxy.dial.reaching import Reached, Reaching, unreachable
from hoopproxy.dial.tls import Verification
from hoopproxy.errors import UpstreamRefused, UpstreamUnreachable
from hoopproxy.masks import Catalog
from hoopproxy.model import Passage, Permit, Target
from hoopproxy.proofs import TargetSecret
from hoopproxy.rooms import IDialer, IReached, IScheduler
from hoopproxy.settings import Limits
from hoopproxy.wire.http.messages import VERSION, HttpGreeting

BOTH, OLD = ("h2", "http/1.1"), ("http/1.1",)
"""What ALPN offers to a target (RFC 9113 §3.1, RFC 7301 §6)."""


@implementer(IDialer)
class HttpDialer:
    """Dials HTTP targets. `limits.dial_s_max` bounds each address, and each lane, with its proof."""

    def __init__(self, reactor: Any, limits: Limits, scheduler: IScheduler) -> None:
        self._reaching, self._limits, self._scheduler = Reaching(reactor, limits, scheduler), limits, scheduler

    def unfit(self, target: Target) -> str:
        return _misplaced(target) or (
            'kubernetes is set, and this target is no cluster; wanted is protocol = "kubernetes", or no such table.'
            if target.kubernetes
            else ""
        )

    async def reach(self, permit: Permit) -> Reached:
        # A client that speaks HTTP/1.1 has one request at a time, for which HTTP/2 has no use.
        offers = OLD if permit.parameters.get(VERSION) == "http/1.1" else BOTH
        return await self._reaching.first(permit, partial(_prove, permit, offers))

    async def login(
        self,
        reached: IReached,
        passage: Passage,
        secret: TargetSecret,
        protected: frozenset[str],
        known: Catalog | None = None,
    ) -> HttpPeer:
        assert isinstance(reached, Reached)
        shown = _shown(passage.permit, secret)
        connection = reached.take_over()
        greeting = HttpGreeting((connection.alpn or b"").decode("ascii"), shown)
        return HttpPeer(connection, greeting, passage, self._redial, self._limits, self._scheduler)

    async def _redial(self, passage: Passage, offers: tuple[str, ...]) -> Connection:
        """One more connection to where the passage leads, and to nobody else who may be there by now."""
        permit, target = passage.permit, passage.permit.target
        reached = await self._reaching.at(target, passage.peer, partial(_prove, permit, offers))
        was, key = passage.measurements.spki_sha256, reached.measurements.spki_sha256
        if key != was:
            reached.abort()
            raise UpstreamUnreachable(
                f"Target '{target.name}' has another key than when your session began; connect again.",
                detail=f"the key at {passage.peer} was sha256:{was}, and is sha256:{key}",
            )
        return reached.take_over()


class KubernetesDialer(HttpDialer):
    """Dials the API servers of Kubernetes clusters."""

    def unfit(self, target: Target) -> str:
        return _misplaced(target) or (
            ""
            if target.kubernetes
            else "kubernetes is missing; wanted is a table that names whom people come as there."
        )


def _misplaced(target: Target) -> str:
    """What is said of it that means nothing in HTTP, or lacks."""
    if target.host_keys:
        return "host_keys is set, and an HTTP target has none; it proves itself by tls."
    if target.databases:
        return "databases is set, and HTTP can't name one; take it out."
    if target.pod:
        return 'pod is set, and this is no port of a pod; wanted is protocol = "pod", or no such table.'
    shown = [account for account, credential in target.accounts.items() if credential]
    if target.tls is None and shown and not target.allow_loopback:
        return (
            f"tls is missing, and accounts.{shown[0]} names a credential, which everybody on the way could read; "
            'wanted is tls, or "" for a credential, or allow_loopback for a target on this machine.'
        )
    return ""


async def _prove(permit: Permit, offers: tuple[str, ...], target: Target, connection: Connection) -> Reached:
    if target.tls is None:
        if target.accounts[permit.account] and not connection.peer.address.is_loopback:
            raise unreachable(target, f"its credential would go to {connection.peer} in the clear; give the target tls")
        return Reached(connection)
    proof = await Verification(target, offers).shake(connection, by_halves=True)
    return Reached(connection, proof.spki_sha256)


def _shown(permit: Permit, secret: TargetSecret) -> TargetSecret | None:
    """What goes with each request, if anything does. @raise UpstreamRefused: it can't."""
    if not permit.target.accounts[permit.account]:
        return None
    if secret.private_key or secret.authority_key:
        problem = "it is a key; wanted is a password, which may be a token"
    elif not (f"{secret.username}{secret.password.reveal()}".isprintable()):
        problem = "it has characters that no header field may have (RFC 9110 §5.5)"
    else:
        return secret
    raise UpstreamRefused(
        f"The gateway's own credential for target '{permit.target.name}' can't be used; "
        "tell the operator of the gateway.",
        detail=f"credential {permit.target.accounts[permit.account]!r}: {problem}",
    )
