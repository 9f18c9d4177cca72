"""Sees to it that login roles are there when they are wanted, and gone when nobody wants them any more.

Knows neither masks nor who may enter. Several gateways may do the same at once: what one of them finds done is done.
"""

from hoopproxy.errors import Refused, SqlFailed
from hoopproxy.masking.shadows import logins
from hoopproxy.masking.shadows.logins import Kind, Logins
from hoopproxy.masking.shadows.shared_desk import SharedDesk
from hoopproxy.proofs import TargetSecret
from hoopproxy.rooms import IScheduler

REAP_S = 600.0
"""Between two looks for login roles that nobody uses any more."""

PROVING_S = 2.0
"""A login that has not succeeded by then has failed: its role is written anew for the next one."""

FORGET_S = 300.0
"""After so long no login is on its way any more (`limits.dial_s_max` is no longer)."""

WRITES_MAX = 2
"""One more than is needed, for the case that another gateway was at it in the same moment."""

_AT_ONCE = ("42710", "23505", "XX000")
"""How a server says that another was first: duplicate_object, unique_violation, and an internal error, "tuple
concurrently updated" (appendix "PostgreSQL Error Codes")."""


class LoginRoles:
    """Those of one database, made over a desk. A role stays `idle_s_max` after its last use, half of that at least."""

    def __init__(self, made: Logins, desk: SharedDesk, scheduler: IScheduler, idle_s_max: float) -> None:
        self._logins, self._desk, self._scheduler, self._idle_s_max = made, desk, scheduler, idle_s_max
        self._reaped_s = float("-inf")
        self._proving: dict[str, float] = {}

    async def provide(self, secret: TargetSecret, kind: Kind) -> None:
        """Have the role as it should be. @raise Refused: it can't be had so; SessionError"""
        name, now_s = secret.username, self._scheduler.monotonic_s()
        until_s = self._scheduler.now_s() + self._idle_s_max
        is_doubtful = now_s - self._proving.get(name, now_s) > PROVING_S
        self._proving = {each: at_s for each, at_s in self._proving.items() if now_s - at_s < FORGET_S}
        for _ in range(WRITES_MAX + 1):
            found = await self._desk.asked(logins.inquiry(name), logins.found)
            if found is not None and found.serves(kind.group, until_s - self._idle_s_max / 2) and not is_doubtful:
                self._proving.setdefault(name, now_s)
                return
            try:
                await self._desk.ask(self._logins.writing(secret, kind, until_s, found))
                is_doubtful = False
                self._proving.pop(name, None)
            except SqlFailed as why:
                if why.sqlstate not in _AT_ONCE:
                    raise
        raise Refused(
            "Your login role in the database is not as the gateway wants it; tell the owner of the target.",
            reason="masks",
            detail=f"{name} has what the provisioner can't take away, or somebody changes it all the time: {found}",
        )

    def proved(self, name: str) -> None:
        """Somebody logged in as that role."""
        self._proving.pop(name, None)

    async def reap(self, groups: frozenset[str]) -> None:
        """Drop roles of these groups whose time is over and that nobody uses; not at every call. @raise SessionError"""
        now_s = self._scheduler.monotonic_s()
        if not groups or now_s - self._reaped_s < REAP_S:
            return
        self._reaped_s = now_s
        for name in await self._desk.asked(logins.idle(groups, self._scheduler.now_s()), logins.names):
            try:
                await self._desk.ask(logins.reaping(name))
            except SqlFailed:  # somebody uses it after all, or another gateway was first
                continue
