"""Keeps one database's masks while people are in it: who may enter, as which login role, and whether they still hold.

Knows no connection and no clock of its own. What it last read counts for `watch_s`; then it asks whether the catalog
has changed, and if so reads and judges all of it again. What it can't read does not hold.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hoopproxy.errors import Refused, Revoked, SessionError, SqlFailed
from hoopproxy.masking.shadows import answers, fingerprint, inquiries
from hoopproxy.masking.shadows.inventory import Inventory
from hoopproxy.masking.shadows.locks import LOCK_PAUSE_S, unhurried
from hoopproxy.masking.shadows.login_roles import LoginRoles
from hoopproxy.masking.shadows.logins import Logins
from hoopproxy.masking.shadows.lookups import Call, Lookup
from hoopproxy.masking.shadows.shared_desk import Lock, OpenDesk, SharedDesk, sense_wanted
from hoopproxy.masking.shadows.standing import Standing
from hoopproxy.masks import Catalog, Entrance, MaskSet
from hoopproxy.model import Identity, Passage, Target
from hoopproxy.rooms import IScheduler

LINGER_S = 300.0
"""How long a database is kept in mind after its last session: no login takes longer (`limits.dial_s_max`)."""

LOOKUP_S_MAX = 3.0
"""Of one look-up, with the wait for those of others: a statement waits for it (`limits.decision_s_max`)."""

BLIND_LOOKS_MAX = 12
"""So many intervals may pass without a look at the catalog; then nobody knows whether masks still hold."""

REASONS_MAX = 5

_UNDEFINED_OBJECT = "42704"

GONE = (
    "The masks of this database were taken away while you were connected, so the session has ended; connect again, or "
    "ask the owner of the target."
)
ANEW = "The masks of this database were made anew while you were connected; connect again."
BLIND = (
    "The gateway could not make sure that the masks of this database still hold, so the session has ended; try again "
    "later or tell the operator of the gateway."
)
SPOILED = "The login role of this session was given other rights, so the session has ended; connect again."


@dataclass(frozen=True, slots=True)
class Keeping:
    """How often a catalog is looked at, and how long a login role stays that nobody uses."""

    watch_s: float
    idle_s_max: float


@dataclass(frozen=True, slots=True)
class Around:
    """What a keeper is given. `lock` makes locks; `elsewhere` calls a function where it holds up nobody; `judge` says
    how a mask set stands in a database, under the findings that are accepted. `end_session` is the gateway's."""

    keeping: Keeping
    scheduler: IScheduler
    lock: Callable[[], Lock]
    elsewhere: Callable[..., Awaitable[Any]]
    judge: Callable[[Inventory, MaskSet, frozenset[str]], Standing]
    end_session: Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class _Live:
    session_id: str
    mask_set: str
    digest: str
    login: str


class Keeper:
    """One database of one target, at one address.

    `enter`, then `began` when the login succeeded, then `ended`. Somebody must run `watch` from the first `enter` on;
    it returns when nobody has used the keeper for `LINGER_S`.
    """

    def __init__(self, target: Target, database: str, made: Logins, around: Around) -> None:
        assert target.masks is not None, "kept are targets that keep masks themselves"
        self._name, self._database, self._logins, self._around = target.name, database, made, around
        self._accepted = frozenset(target.masks.accepted)
        self._scheduler, self._keeping = around.scheduler, around.keeping
        self._desk, self._lookups, self._looking = SharedDesk(around.lock()), SharedDesk(around.lock()), around.lock()
        self._login_roles = LoginRoles(made, self._desk, around.scheduler, around.keeping.idle_s_max)
        self._roles: set[str] = set()
        self._fingerprint = ""
        self._inventory: Inventory | None = None
        self._standings: dict[str, Standing] = {}
        self._looked_s = float("-inf")
        self._used_s = self._scheduler.monotonic_s()
        self._entering = 0
        self._live: dict[str, _Live] = {}

    # Sessions ---------------------------------------------------------------------------------------------------------

    async def enter(self, identity: Identity, mask_set: MaskSet, open_desk: OpenDesk) -> Entrance:
        """As whom somebody logs in who sees what the mask set leaves. @raise Refused, SessionError"""
        self._desk.reach(open_desk)
        self._lookups.reach(open_desk)
        self._entering += 1
        try:
            standing = await self._standing(mask_set)
            secret = self._logins.secret(mask_set.name, identity)
            try:
                await self._login_roles.provide(secret, standing.kind)
            except SqlFailed as why:
                if why.sqlstate == _UNDEFINED_OBJECT:  # the group is gone since the last look
                    self._looked_s = float("-inf")
                    await self._standing(mask_set)
                raise
        finally:
            self._entering -= 1
            self._used_s = self._scheduler.monotonic_s()
        return Entrance(secret, standing.catalog, mask_set.name, standing.accepted)

    def began(self, passage: Passage, catalog: Catalog) -> None:
        """A login succeeded. @raise Revoked: what it was let in for stands no more."""
        assert catalog.shadow is not None, "nobody begins here who did not enter here"
        permit, name = passage.permit, catalog.shadow.mask_set
        login = self._logins.secret(name, permit.identity).username
        self._login_roles.proved(login)
        standing = self._standings.get(name)
        if standing is None or standing.catalog is not catalog:
            raise Revoked(ANEW)
        self._live[permit.arrival.connection_id] = _Live(permit.session_id, name, standing.digest, login)

    def ended(self, passage: Passage) -> None:
        """The connection has ended."""
        self._live.pop(passage.permit.arrival.connection_id, None)
        self._used_s = self._scheduler.monotonic_s()

    async def look_up(self, call: Call) -> str:
        """What a call means here, as SQL. @raise Refused: the database can't say it, or not in time."""
        if self._inventory is None:
            raise Refused("The database is being read anew; send the statement again.", reason="statement")
        wanted = Lookup.of(call, self._inventory)
        try:
            return wanted.array(await self._scheduler.within(LOOKUP_S_MAX, self._lookups.ask(wanted.query())))
        except (SessionError, TimeoutError) as why:
            if isinstance(why, Refused):
                raise
            said = why.message if isinstance(why, SqlFailed) else "there was no answer in time"
            raise Refused(f"{call.column} can't be looked up: {said}.", reason="statement", detail=str(why)) from why

    # The watch --------------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look again and again, as long as there is somebody to look for."""
        failures = 0
        try:
            while self._is_used():
                await self._scheduler.sleep(min(self._keeping.watch_s * 2**failures, LINGER_S))
                if not self._live:
                    continue
                try:
                    async with self._looking:
                        await self._look()
                    if self._inventory is not None:
                        await self._login_roles.reap(frozenset(self._inventory.installed))
                    failures = 0
                except SessionError:
                    failures = min(failures + 1, 3)
                    if self._age_s() > BLIND_LOOKS_MAX * self._keeping.watch_s:
                        self._end_all(BLIND)
        finally:
            self._end_all(BLIND)  # nobody, unless something broke
            self._desk.close()
            self._lookups.close()

    def _is_used(self) -> bool:
        now_s = self._scheduler.monotonic_s()
        return bool(self._live or self._entering or now_s - self._used_s < LINGER_S)

    def _age_s(self) -> float:
        return self._scheduler.monotonic_s() - self._looked_s

    async def _look(self) -> None:
        """Read what has changed since the last look, and end the sessions for which it does not hold any more."""
        begun_s = self._scheduler.monotonic_s()
        mark, spoiled = await self._desk.asked(fingerprint.QUESTION, fingerprint.read)
        if mark != self._fingerprint or self._inventory is None:
            await self._read()
            self._fingerprint = mark
        self._looked_s = begun_s
        for live in list(self._live.values()):
            if live.login in spoiled:
                self._around.end_session(live.session_id, SPOILED)

    async def _read(self) -> None:
        """Read and judge anew. Until that is done nobody enters on what was read before."""
        self._inventory, self._fingerprint = None, ""
        pause = partial(self._scheduler.sleep, LOCK_PAUSE_S)
        answer = await unhurried(self._desk.ask, inquiries.inquiry(sorted(self._roles)), pause)
        with sense_wanted():
            inventory: Inventory = await self._around.elsewhere(answers.read, answer)
        standings: dict[str, Standing] = {}
        for name, old in self._standings.items():
            new = await self._judged(inventory, old.mask_set)
            standings[name] = old if old == new else new  # the same object serves on, and what is remembered of it
        self._inventory, self._standings = inventory, standings
        for live in list(self._live.values()):
            standing = standings[live.mask_set]
            if standing.reasons or standing.digest != live.digest:
                self._around.end_session(live.session_id, _why_over(standing))

    async def _standing(self, mask_set: MaskSet) -> Standing:
        """How it stands. @raise Refused: it is not installed, or would not hold."""
        async with self._looking:
            if mask_set.role not in self._roles:
                self._roles.add(mask_set.role)
                self._inventory = None
            if self._inventory is None or self._age_s() >= self._keeping.watch_s:
                await self._look()
            standing = self._standings.get(mask_set.name)
            if standing is None:
                assert self._inventory is not None, "it was just read"
                standing = self._standings[mask_set.name] = await self._judged(self._inventory, mask_set)
        if not standing.is_installed:
            raise Refused(
                f"The masks for this database are not installed, so nothing of it can be shown; ask the owner of the "
                f"target to run `hoopproxy masks install --target {self._name}`.",
                reason="masks",
                detail=f"{self._name}/{self._database} has no mask set {mask_set.name}",
            )
        if standing.reasons:
            raise Refused(
                f"Masks would not hold in this database, so nothing of it can be shown; ask the owner of the target to "
                f"mend what follows. {_listed(standing.reasons)}",
                reason="masks",
                detail=f"{self._name}/{self._database}: {len(standing.reasons)} findings",
            )
        return standing

    async def _judged(self, inventory: Inventory, mask_set: MaskSet) -> Standing:
        judged: Standing = await self._around.elsewhere(self._around.judge, inventory, mask_set, self._accepted)
        return judged

    # Inside -----------------------------------------------------------------------------------------------------------

    def _end_all(self, sentence: str) -> None:
        for live in list(self._live.values()):
            self._around.end_session(live.session_id, sentence)


def _why_over(standing: Standing) -> str:
    if not standing.is_installed:
        return GONE
    if standing.reasons:
        return f"This session has ended, because masks would not hold any more: {_listed(standing.reasons)}"
    return ANEW


def _listed(reasons: tuple[str, ...]) -> str:
    shown = " ".join(reasons[:REASONS_MAX])
    return shown if len(reasons) <= REASONS_MAX else f"{shown} And {len(reasons) - REASONS_MAX} more."
