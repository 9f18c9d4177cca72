"""What a grant still lets be shown, counted over all connections that came in by it, and kept in the journal.

Rows are taken where results are cut, bytes where they are written, from one count: so no two connections are shown the
same remainder. Knows no protocol and no store.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hoopproxy.access.office import Changed, Office
from hoopproxy.access.request import AccessRequest, NotPossible
from hoopproxy.access.request_rule import request_id
from hoopproxy.errors import LimitReached, SessionError
from hoopproxy.events import Ration
from hoopproxy.model import Grant
from hoopproxy.rooms import IScheduler

SPEND_S = 3.0
"""How often the journal is told what was shown: for so long another gateway does not know of it."""

TELL_S_MAX = 10.0
"""How long the journal may take for that."""

_ROWS = "The rows that your access was for have all been shown; ask for it again."
_BYTES = "Your session has ended because the bytes that your access was for have all been shown; ask for it again."


@dataclass(slots=True, eq=False)
class Quota:
    """What is left of one grant. `rows_max` and `bytes_max` of None: no end to them.

    `rows` and `bytes` were shown on this gateway and are not in the journal yet; what is in it is taken off the maxima.
    """

    rows_max: int | None
    bytes_max: int | None
    rows: int = 0
    bytes: int = 0
    connections: int = 0
    is_telling: bool = False

    @property
    def ration(self) -> Ration | None:
        """What cuts results; None where there is no end to rows."""
        return None if self.rows_max is None else self

    @property
    def rows_left(self) -> int:
        """How many may still be shown. (For a `ration`.)"""
        return max(0, (self.rows_max or 0) - self.rows)

    @property
    def sentence(self) -> str:
        """What somebody is told who may not be shown any more rows, "" as long as they may."""
        return _ROWS if self.rows_max is not None and not self.rows_left else ""

    def take(self, rows: int) -> None:
        """So many rows are shown."""
        self.rows += rows

    def show(self, count: int) -> None:
        """So many bytes are about to be. @raise LimitReached: they may not be."""
        if self.bytes_max is not None and count and self.bytes + count > self.bytes_max:
            raise LimitReached(_BYTES, limit="bytes_max")
        self.bytes += count

    def took_from(self, rows: int, count: int) -> None:
        """So much is in the journal."""
        self.rows, self.bytes = self.rows - rows, self.bytes - count
        self.rows_max = None if self.rows_max is None else self.rows_max - rows
        self.bytes_max = None if self.bytes_max is None else self.bytes_max - count


@dataclass(eq=False)
class Quotas:
    """Those of all grants with a maximum by which somebody is in. `tell` writes to the operator's log."""

    office: Office
    scheduler: IScheduler
    tell: Callable[..., None]
    _quotas: dict[str, Quota] = field(default_factory=dict)

    def enter(self, grant: Grant) -> Quota | None:
        """One connection comes in; None: nothing of it is counted. Who enters leaves."""
        if grant.rows_max is None and grant.bytes_max is None:
            return None
        quota = self._quotas.get(grant.grant_id)
        if quota is None:
            quota = self._quotas[grant.grant_id] = Quota(grant.rows_max, grant.bytes_max)
            self._hold_against_the_journal(grant.grant_id, quota)
        quota.connections += 1
        return quota

    async def leave(self, grant: Grant) -> None:
        """It is over, and in the journal, if that can be reached; else `run` tries again."""
        quota = self._quotas[grant.grant_id]
        quota.connections -= 1
        await self._spend(grant.grant_id, quota)

    def changed(self, what: Changed) -> None:
        """The journal says something new of a request: perhaps another gateway has shown something."""
        if isinstance(what, AccessRequest):
            for name, quota in self._quotas.items():
                if request_id(name) == what.request_id:
                    self._hold_against(what, quota)

    async def run(self) -> None:
        """Tell the journal again and again, until this is cancelled."""
        while True:
            await self.scheduler.sleep(SPEND_S)
            for name, quota in tuple(self._quotas.items()):
                await self._spend(name, quota)

    async def _spend(self, name: str, quota: Quota) -> None:
        if quota.is_telling:
            return  # whoever does comes by again
        quota.is_telling = True
        try:
            while quota.rows or quota.bytes:
                await self._told(name, quota, quota.rows, quota.bytes)
                if quota.connections:
                    break  # who is in goes on showing
        except (SessionError, TimeoutError) as why:  # if it is kept all the same, it counts twice: never too little
            self.tell("unspent", grant=name, sentence=str(why), detail=getattr(why, "detail", ""))
        finally:
            quota.is_telling = False
            self._hold_against_the_journal(name, quota)
            if not (quota.connections or quota.rows or quota.bytes):
                self._quotas.pop(name, None)

    async def _told(self, name: str, quota: Quota, rows: int, count: int) -> None:
        asked = request_id(name)
        if asked is not None:
            with suppress(NotPossible):  # no journal knows it: nobody wants to be told
                await self.scheduler.within(TELL_S_MAX, self.office.spend(asked, rows, count))
        quota.took_from(rows, count)

    def _hold_against_the_journal(self, name: str, quota: Quota) -> None:
        request = self.office.register.requests.get(request_id(name) or "")
        if request is not None:
            self._hold_against(request, quota)

    def _hold_against(self, request: AccessRequest, quota: Quota) -> None:
        """Until it is known that the journal has what it was told, it can't be said what of it is others'."""
        if quota.is_telling:
            return
        quota.rows_max, quota.bytes_max = request.left
