"""One live session judged again: who, may and where, as they are now, and what it has lost by that.

What was lost ends a session; what was gained comes with the next one. Knows neither when that is done nor what becomes
of it.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any

from hoopproxy.access.changes import is_fewer
from hoopproxy.admit.admission import Admission, grants_or_pending
from hoopproxy.admit.leases import Held, Lease
from hoopproxy.admit.places import OutOfZone
from hoopproxy.asking import maybe
from hoopproxy.errors import AddonFailure, Cause, Refused, Revoked
from hoopproxy.interfaces import IMintsTokens, IRechecking
from hoopproxy.model import Grant, Identity, Pending, Permit, Proven

type Protects = Callable[[Permit], Awaitable[frozenset[str]]]
"""What all maskers together protect in a session with that permit."""


class Review:
    """One look at a session and at those that come through it: who that is, is asked once."""

    def __init__(self, admission: Admission, protects: Protects) -> None:
        self._admission, self._protects = admission, protects
        self._authenticators = {each.name: each for each in admission.authenticators}
        self._known: list[tuple[Proven, Identity]] = []

    async def session(self, lease: Lease) -> float:
        """Until when it may go on, by what holds now.

        @raise Revoked: it may not. @raise Exception: it can't be told at the moment.
        """
        not_after_s = inf
        for held in _distinct(lease.held.values()):
            not_after_s = min(not_after_s, await self._connection(held))
        return not_after_s

    async def _connection(self, held: Held) -> float:
        permit = held.passage.permit
        identity = await self._identity(held.proven)
        self._check_roles(permit, identity)
        grant = await self._grant(permit, identity)
        now = await self._placed(held, replace(permit, identity=identity, grant=grant))
        if held.protected is not None and not await self._protects(now) <= held.protected:
            raise _changed("more is hidden from you than when it began")
        return min(identity.expires_at_s, grant.not_after_s)

    async def _identity(self, proven: Proven) -> Identity:
        """Who that is now: the same person, with the groups of now."""
        authenticator, credentials = self._authenticators[proven.authenticator], proven.credentials
        if IMintsTokens.providedBy(authenticator):
            first = IMintsTokens(authenticator).proven_by(credentials)
            authenticator = self._authenticators.get(first, authenticator)
        if not IRechecking.providedBy(authenticator):
            return proven.identity
        for other, known in self._known:
            if _is_same(proven, other):
                return known
        recheck = partial(IRechecking(authenticator).recheck, proven.identity, credentials)
        try:
            identity: Identity | None = await self._admission.ask(authenticator, "recheck", recheck, maybe(Identity))
        except Refused as why:
            raise Revoked(why.sentence, cause=Cause.IDENTITY_GONE, detail=why.detail) from why
        before = proven.identity
        if identity is None or (identity.issuer, identity.subject) != (before.issuer, before.subject):
            raise Revoked(
                "Your session has ended because this gateway does not know you any more; sign in again, or ask the "
                "operator of the gateway.",
                cause=Cause.IDENTITY_GONE,
                detail=f"{proven.authenticator} knows {before.subject!r} no more",
            )
        self._known.append((proven, identity))
        return identity

    def _check_roles(self, permit: Permit, identity: Identity) -> None:
        """Masks and rules may follow from any role, so none may be missing. @raise Revoked"""
        lost = sorted(permit.roles - self._admission.roles_of(identity))
        if not lost:
            return
        if permit.identity.groups <= identity.groups:
            raise _changed("your groups give you other roles now", f"roles lost: {', '.join(lost)}")
        raise Revoked(
            "Your session has ended because you are no longer in a group that it needs; connect again with the rights "
            "that you have left, or ask whoever looks after your groups.",
            cause=Cause.GROUP_LOST,
            detail=f"roles lost: {', '.join(lost)}",
        )

    async def _grant(self, permit: Permit, identity: Identity) -> Grant:
        """The session's own grant, as it is now. A source that fails matters only as long as no other one has it."""
        admission, now_s = self._admission, self._admission.scheduler.now_s()
        failure: AddonFailure | None = None
        for source in admission.grant_sources:
            grants = partial(source.grants, identity, permit.roles, permit.target, now_s)
            try:
                found: Any = await admission.ask(source, "grants", grants, grants_or_pending)
            except Refused:
                continue
            except AddonFailure as why:
                failure = why
                continue
            fitting = () if isinstance(found, Pending) else (each for each in found if _is_that(each, permit, now_s))
            grant: Grant | None = next(iter(fitting), None)
            if grant is not None:
                if not permit.grant.reveals <= grant.reveals:
                    raise _changed("its grant shows less than when it began")
                if is_fewer(grant.actions, permit.grant.actions):
                    raise _changed("its grant lets you do less than when it began")
                return grant
        if failure is not None:
            raise failure
        raise Revoked(
            "Your session has ended because the grant that it came in by is no longer in force; connect again, or ask "
            "the owner of the data for another.",
            cause=Cause.GRANT_GONE,
            detail=f"no source has {permit.grant.grant_id!r} for {permit.account!r} on {permit.target.name!r}",
        )

    async def _placed(self, held: Held, permit: Permit) -> Permit:
        """The permit with the verdicts of now, on what was measured, too."""
        places = self._admission.places
        try:
            verdicts = await places.judge(permit.arrival, permit.target, permit.addresses, permit.grant)
            await places.confirm(permit, held.passage.measurements)
        except OutOfZone as why:
            raise Revoked(f"Your session has ended: {why.sentence}", cause=Cause.ZONE_LOST, detail=why.detail) from why
        zones = places.client_zones(verdicts)
        if lost := permit.client_zones - zones:
            raise Revoked(
                "Your session has ended because your client's place lies in other zones now; connect again.",
                cause=Cause.ZONE_LOST,
                detail=f"the client's zones lost: {', '.join(sorted(lost))}",
            )
        return replace(permit, verdicts=verdicts)


def _is_that(grant: Grant, permit: Permit, now_s: float) -> bool:
    return (
        grant.grant_id == permit.grant.grant_id
        and grant.target_name == permit.target.name
        and permit.account in grant.accounts
        and grant.not_after_s > now_s
    )


def _changed(what: str, detail: str = "") -> Revoked:
    return Revoked(
        f"Your session has ended because the gateway's rules have changed: {what}; connect again.",
        cause=Cause.POLICY_CHANGED,
        detail=detail or what,
    )


def _distinct(held: Iterable[Held]) -> list[Held]:
    """One connection of each kind: those of a pool differ in nothing that could be judged otherwise."""
    found: list[Held] = []
    for each in held:
        if not any(_facts(each) == _facts(other) and _is_same(each.proven, other.proven) for other in found):
            found.append(each)
    return found


def _facts(held: Held) -> object:
    permit = held.passage.permit
    was = permit.identity.groups, permit.roles, permit.client_zones, permit.grant.grant_id, permit.grant.reveals
    return was, permit.database, permit.addresses, held.passage.measurements.peer, held.protected


def _is_same(one: Proven, other: Proven) -> bool:
    """Whether both were proven by the same authenticator, from the same thing."""
    shown, shown_too = one.credentials, other.credentials
    return one.authenticator == other.authenticator and (
        shown is shown_too or (shown.key == shown_too.key and shown.secret.is_same(shown_too.secret))
    )
