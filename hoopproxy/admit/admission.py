"""Who, may and where: turns an arrival and its credentials into a Permit, and a measured target into a Passage.

The only package that mints the two tokens. Asks addons; knows no socket, no protocol, no file and no clock of its own.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from math import inf
from typing import Any

from hoopproxy.admit.door import Door
from hoopproxy.admit.leases import Leases
from hoopproxy.admit.places import OutOfZone, Places
from hoopproxy.asking import Asking, Wait, maybe
from hoopproxy.errors import Refused
from hoopproxy.interfaces import IAuthenticator, IGrantSource, IRouter
from hoopproxy.model import (
    Arrival,
    Credentials,
    Grant,
    Identity,
    Measurements,
    Passage,
    Pending,
    Permit,
    Proven,
    Seal,
    Target,
    Verdict,
)
from hoopproxy.rooms import IResolver, IScheduler
from hoopproxy.settings import Limits

_SEAL = Seal()


@dataclass(frozen=True, slots=True)
class Admission:
    """All that decides before a target is reached. `roles_of` is policy's word on groups."""

    authenticators: Sequence[IAuthenticator]
    router: IRouter
    grant_sources: Sequence[IGrantSource]
    places: Places
    resolver: IResolver
    roles_of: Callable[[Identity], frozenset[str]]
    door: Door
    leases: Leases
    limits: Limits
    scheduler: IScheduler
    ask: Asking

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Proven:
        """The verified identity: the first authenticator that knows this kind of credential. @raise Refused.

        What came through a live session is the same person: nobody but this room could have made its permit.
        """
        if credentials.parent is not None:
            return self.leases.proven(credentials.parent)
        at_s = self.scheduler.monotonic_s()
        for authenticator in self.authenticators:
            identity = await self.ask(
                authenticator,
                "identify",
                partial(authenticator.identify, arrival, credentials),
                maybe(Identity),
            )
            if identity is not None:
                return Proven(identity, credentials, authenticator.name, at_s)
        raise Refused(
            "Your credential is of no kind that this gateway accepts; sign in again and use the token that you get.",
            reason="credentials",
            detail=f"no authenticator knows {_shown(arrival, credentials)}",
        )

    async def authorize(
        self,
        session_id: str,
        arrival: Arrival,
        identity: Identity,
        credentials: Credentials,
        inform: Callable[[str], None],
    ) -> Permit:
        """The permit: a grant in force and a static verdict on each of the four places. May wait for a person.

        `session_id` is used unless the connection joins a live session. @raise Refused, OutOfZone.
        """
        roles = self.roles_of(identity)
        target = await self._target(arrival, identity, credentials)
        grants = await self._grants(identity, roles, target, credentials, inform)
        account = credentials.account or next(each for each in target.accounts if each in grants[0].accounts)
        database = _database(target, credentials)
        addresses = await self.resolver.resolve(target.host)
        refusals: list[Verdict] = []
        spent: Refused | None = None
        for grant in grants:
            if account not in grant.accounts:
                continue  # another one than the account that was chosen for whom named none
            try:
                verdicts = await self.places.judge(arrival, target, addresses, grant)
            except OutOfZone as why:
                refusals.extend(why.verdicts)
                continue
            permit = Permit(
                session_id=self.leases.session_id(
                    identity, target.name, account, arrival.client.address, lambda: session_id
                ),
                arrival=arrival,
                identity=identity,
                roles=roles,
                target=target,
                account=account,
                database=database,
                parameters=credentials.parameters,
                grant=grant,
                addresses=addresses,
                client_zones=self.places.client_zones(verdicts),
                verdicts=verdicts,
                not_after_s=min(
                    grant.not_after_s,
                    identity.expires_at_s,
                    self.scheduler.now_s() + self.limits.session_s_max,
                    credentials.parent.not_after_s if credentials.parent else inf,
                ),
                seal=_SEAL,
            )
            try:
                await self.door.enter(permit)
            except Refused as why:
                spent = why
                continue
            return permit
        raise spent or OutOfZone(tuple(refusals))

    async def confirm(self, permit: Permit, measurements: Measurements) -> Passage:
        """The passage: the verdict on the destination holds for what was measured. @raise OutOfZone, Refused."""
        if measurements.peer.address not in permit.addresses:
            raise Refused(
                f"Target '{permit.target.name}' was reached at an address that nobody judged; tell the operator.",
                reason="residency",
                detail=f"peer {measurements.peer} is not among {', '.join(map(str, permit.addresses))}",
            )
        verdict = await self.places.confirm(permit, measurements)
        return Passage(
            permit=permit, peer=measurements.peer, measurements=measurements, verdicts=(verdict,), seal=_SEAL
        )

    async def _target(self, arrival: Arrival, identity: Identity, credentials: Credentials) -> Target:
        name = credentials.target_name
        target = await self.ask(self.router, "route", partial(self.router.route, identity, name), maybe(Target))
        if target is None:
            raise _no_access(credentials, f"no target {name!r}")
        if target.protocol != arrival.protocol:
            raise _no_access(
                credentials, f"target {name!r} speaks {target.protocol}, and its client {arrival.protocol}"
            )
        return target

    async def _grants(
        self,
        identity: Identity,
        roles: frozenset[str],
        target: Target,
        credentials: Credentials,
        inform: Callable[[str], None],
    ) -> list[Grant]:
        asked = {credentials.account} if credentials.account else set(target.accounts)

        def fitting(found: Iterable[Grant]) -> list[Grant]:
            now_s = self.scheduler.now_s()
            return [
                grant
                for grant in found
                if grant.target_name == target.name
                and asked & grant.accounts & target.accounts.keys()
                and grant.not_after_s > now_s
            ]

        found: list[Grant] = []
        waiting: list[IGrantSource] = []
        for source in self.grant_sources:
            call = self._asking(source, identity, roles, target)
            answer = await self.ask(source, "grants", call, grants_or_pending)
            if isinstance(answer, Pending):
                waiting.append(source)
            else:
                found.extend(answer)
        for source in waiting:
            if fitting(found):
                break  # nobody has to wait for more than enough
            wait = Wait("your request", "grant", self.limits.approval_s_max, inform)
            call = self._asking(source, identity, roles, target)
            found.extend(await self.ask.decided(source, "grants", call, grants_or_pending, wait))
        if not (fit := fitting(found)):
            raise _no_access(
                credentials,
                f"no grant in force for roles {sorted(roles)} on {target.name!r} as {credentials.account!r}",
            )
        return fit

    def _asking(
        self, source: IGrantSource, identity: Identity, roles: frozenset[str], target: Target
    ) -> Callable[[], Awaitable[Any]]:
        return lambda: source.grants(identity, roles, target, self.scheduler.now_s())


def _database(target: Target, credentials: Credentials) -> str:
    database = credentials.database or (target.databases[0] if target.databases else "")
    if target.databases and database not in target.databases:
        raise _no_access(credentials, f"target {target.name!r} has no database {database!r} in targets.toml")
    return database


def _shown(arrival: Arrival, credentials: Credentials) -> str:
    """By what a client might have been known, for whoever looks for it in a list."""
    key = credentials.key
    return f"the {key.kind} key with SHA-256 {sha256(key.data).hexdigest()}" if key else f"{arrival.client.address}"


def _no_access(credentials: Credentials, detail: str) -> Refused:
    """One sentence for unknown and forbidden alike: a difference would tell which targets exist."""
    place = f"{credentials.target_name}/{credentials.database}" if credentials.database else credentials.target_name
    account = f" as account '{credentials.account}'" if credentials.account else ""
    return Refused(
        f"You have no access to target '{place}'{account}, or there is no such target; check the names, or ask for "
        f"access: hoopproxy access request {credentials.target_name} --for 1h --reason TEXT.",
        reason="grant",
        detail=detail,
    )


def grants_or_pending(answer: Any) -> tuple[Grant, ...] | Pending:
    """Wants what a grant source may answer."""
    if isinstance(answer, Pending):
        return answer
    if isinstance(answer, tuple) and all(isinstance(item, Grant) for item in answer):
        return answer
    raise TypeError(f"it answered {type(answer).__name__}, wanted is a tuple of Grant, or Pending")
