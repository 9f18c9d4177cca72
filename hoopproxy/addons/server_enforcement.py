"""Has targets keep the masks of columns themselves: `server` mode (docs/masking.md), and `wire` mode for the others.

Thin: who may enter as which login role is a keeper's business, one for each database; what becomes of statements is the
rewriter's. Knows no SQL.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.failure import Failure
from zope.interface import implementer, provider

from hoopproxy.access.allowance import Allowance
from hoopproxy.access.binding import Binding
from hoopproxy.access.mask_sets import set_for
from hoopproxy.access.policy import Policy
from hoopproxy.disk.keys import read_random
from hoopproxy.errors import Refused, Revoked
from hoopproxy.events import Edit, Forward, Statement
from hoopproxy.evidence.entries import LookedUp
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, IEnforcement, IRewriting, ISetting
from hoopproxy.masking.judging import Judging
from hoopproxy.masking.memory import SHORT_CHARACTERS_MAX
from hoopproxy.masking.shadows import lookups
from hoopproxy.masking.shadows.connections import LONG_CHARACTERS_MAX, Rewritings
from hoopproxy.masking.shadows.keeper import Around, Keeper, Keeping
from hoopproxy.masking.shadows.logins import KEY_BYTES_MIN, Logins
from hoopproxy.masking.shadows.lookups import Call
from hoopproxy.masking.shadows.standing import judged
from hoopproxy.masking.statements import Rules
from hoopproxy.masking.syntax import fold
from hoopproxy.masks import Catalog, Entrance, MaskSet
from hoopproxy.model import Endpoint, Passage, Permit
from hoopproxy.rooms import IDesk, IScheduler

type _Place = tuple[str, Endpoint, str]
"""A target, its address, a database."""


class LookupRule(Binding):
    """One [[addon.NAME.lookup]] table: who may look for rows by the value of a column that they don't see."""

    column: str = Field(pattern=r"^[^.]+\.[^.]+\.[^.]+$", description="`schema.table.column`.")
    roles: frozenset[str] = Field(min_length=1, description="Who may.")
    client_zones: frozenset[str] = Field(min_length=1, description="From where.")
    per_minute: int = Field(default=10, ge=1, le=10_000, description="How often one person may, in any minute.")

    def allows(self, permit: Permit, column: str) -> bool:
        """Whether it lets this session look that column up."""
        return self.column == column and bool(self.client_zones & permit.client_zones) and self.binds(permit)


class Settings(BaseModel):
    """The keys of an [addon.NAME] table with `use = "server-enforcement"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    login_key: Path = Field(description="A file of random bytes, from which login roles get names and passwords.")
    idle_s_max: float = Field(
        default=604800, ge=3600, le=31536000, description="How long a login role stays that nobody uses."
    )
    watch_s: float = Field(default=5, ge=0.1, le=300, description="How often the catalog of a database is looked at.")
    safe_functions: frozenset[str] = Field(
        default=frozenset(), description='Functions outside pg_catalog that read no protected column ("wire" targets).'
    )
    statement_bytes_max: int = Field(
        default=262144, ge=1024, le=1048576, description='Longer statements are refused ("wire" targets with masks).'
    )
    lookup: tuple[LookupRule, ...] = Field(default=(), description="Who may look which columns up.")


@provider(IAddonFactory)
@implementer(IEnforcement)
class ServerEnforcement:
    """Login roles that can't read what is protected, and statements that ask for its twins instead."""

    summary = "Has PostgreSQL keep the masks itself, by login roles without the right to read what is protected."
    settings = Settings
    end_session: Any = None
    note: Any = None

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "ServerEnforcement":
        """Make it. @raise OSError, ValueError: the key is no key; a look-up names what is not there."""
        for rule in settings.lookup:
            rule.check(setting.targets)
        return cls(name, settings, read_random(settings.login_key, KEY_BYTES_MIN), setting.policy, setting.scheduler)

    def __init__(self, name: str, settings: Settings, key: bytes, policy: Policy, scheduler: IScheduler) -> None:
        self.name = name
        self._key, self._policy, self._scheduler = key, policy, scheduler
        safe = frozenset(fold(function) for function in settings.safe_functions)
        self._rewritings = Rewritings(partial(in_thread, "statements"))
        self._judging = Judging(Rules(safe, settings.statement_bytes_max), partial(in_thread, "statements"))
        self._around = Around(
            keeping=Keeping(settings.watch_s, settings.idle_s_max),
            scheduler=scheduler,
            lock=DeferredLock,
            elsewhere=partial(in_thread, "masks"),
            judge=judged,
            end_session=lambda session_id, sentence: bool(self.end_session(session_id, sentence)),
        )
        self._rules, self._allowance = settings.lookup, Allowance()
        self._keepers: dict[_Place, Keeper] = {}
        self._log = structlog.get_logger()

    async def enter(self, passage: Passage, role: str, desk: Callable[[], Awaitable[IDesk]]) -> Entrance | None:
        """As a login role where the target keeps masks and this session has some. @raise Refused"""
        mask_set = self._mask_set(passage.permit, role)
        if mask_set is None:
            return None
        return await self._keeper(passage).enter(passage.permit.identity, mask_set, desk)

    def begin(self, passage: Passage, catalog: Catalog) -> IRewriting:
        """What judges one connection's statements."""
        if catalog.shadow is None:
            return self._judging.begin(catalog)
        keeper = self._keepers.get(_place(passage))
        if keeper is None:
            raise Revoked("The login took too long; connect again.")
        keeper.began(passage, catalog)
        inner = self._rewritings.begin(catalog.shadow, passage.permit.parameters.get("search_path"))
        return MaskedConnection(inner, partial(self._answered, passage, keeper), partial(keeper.ended, passage))

    async def _answered(self, passage: Passage, keeper: Keeper, text: str) -> str:
        """The text with its look-ups answered, each in the log before. @raise Refused: not this, not now, or not so."""
        if len(text) <= SHORT_CHARACTERS_MAX:
            calls = lookups.calls(text)
        elif len(text) <= LONG_CHARACTERS_MAX:
            calls = await in_thread("statements", lookups.calls, text)
        else:
            return text  # as the rewriter leaves it, too
        arrays = []
        for call in calls:
            self._take(passage.permit, call)
            await self.note(LookedUp.of(passage, call.column))
            arrays.append(await keeper.look_up(call))
        return lookups.answered(text, calls, arrays)

    def _take(self, permit: Permit, call: Call) -> None:
        rule = next((rule for rule in self._rules if rule.allows(permit, call.column)), None)
        if rule is None:
            raise Refused(f"You may not look up {call.column}; ask the owner of the policy.", reason="statement")
        who = permit.identity.issuer, permit.identity.subject, rule.column
        if not self._allowance.take(who, rule.per_minute, self._scheduler.monotonic_s()):
            raise Refused(
                f"You may look up {call.column} {rule.per_minute} times a minute, and have done so; try again later.",
                reason="statement",
            )

    def _mask_set(self, permit: Permit, role: str) -> MaskSet | None:
        name = permit.target.name
        if permit.target.masks is None or not any(rule.target == name for rule in self._policy.masks):
            return None
        if not permit.database:
            raise Refused(
                f"Masks of '{name}' are kept for each of its databases; connect to {name}/DATABASE.", reason="masks"
            )
        rules = self._policy.masks_for(name, permit.database, permit.roles, permit.client_zones, permit.grant.reveals)
        return set_for(rules, permit.database, role)

    def _keeper(self, passage: Passage) -> Keeper:
        place = _place(passage)
        keeper = self._keepers.get(place)
        if keeper is None:
            target = passage.permit.target
            made = Logins(self._key, target.name, secrets.token_bytes)
            keeper = self._keepers[place] = Keeper(target, passage.permit.database, made, self._around)
            watching = Deferred.fromCoroutine(keeper.watch())
            watching.addErrback(self._failed, target.name)
            watching.addBoth(lambda _: self._keepers.pop(place))
        return keeper

    def _failed(self, failure: Failure, target: str) -> None:
        self._log.error("mask-watch-failed", addon=self.name, target=target, exc_info=failure.value)


@implementer(IRewriting)
class MaskedConnection:
    """The statements of one connection to a database that keeps masks: look-ups first, then the names of twins."""

    def __init__(self, inner: IRewriting, answered: Callable[[str], Awaitable[str]], ended: Callable[[], None]) -> None:
        self._inner, self._answered, self._ended = inner, answered, ended

    async def rewrite(self, statement: Statement) -> Forward:
        """What the login role may ask. @raise Refused"""
        text = await self._answered(statement.text)
        if text == statement.text:
            return await self._inner.rewrite(statement)
        forward = await self._inner.rewrite(replace(statement, text=text))
        # A place in what was spliced in is none in the client's own text.
        return replace(forward, edits=(Edit(0, len(statement.text), forward.text),))

    def ran(self, statement: Statement) -> None:
        """What was prepared is about to run."""
        self._inner.ran(statement)

    def end(self) -> None:
        """The connection has ended."""
        self._inner.end()
        self._ended()


def _place(passage: Passage) -> _Place:
    return passage.permit.target.name, passage.peer, passage.permit.database
