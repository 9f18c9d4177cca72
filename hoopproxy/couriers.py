"""Tells webhooks of steps on requests: a courier for each follows the journal and tells one step after the other.

At least once, in the journal's order, and by one gateway of several at a time. Whatever a webhook answers besides yes
or no is nothing to us. Knows neither what is told (`access.delivery`) nor where the place in the journal is kept.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from hoopproxy.access.delivery import delivery_id, headers, pause_s, then, told
from hoopproxy.access.office import Office
from hoopproxy.control.server import Command
from hoopproxy.errors import SessionError
from hoopproxy.evidence.decisions import Untold
from hoopproxy.hands import http
from hoopproxy.rooms import IScheduler, ISignal
from hoopproxy.settings import WebhookSettings
from hoopproxy.store.cursors import Cursors, Due

POLL_S = 1.0
"""How often the journal is looked at; what this gateway does itself is told at once."""

ANSWER_BYTES_MAX = 65536

HOLD_S = 5.0
"""For how long beyond an exchange a courier has its webhook to itself: more than clocks of gateways are apart, and how
long another waits when it dies."""

RANDOM = secrets.SystemRandom()


@dataclass
class Courier:
    """Tells one webhook. Begun by `run`; `nudge` has it look at once."""

    settings: WebhookSettings
    office: Office
    cursors: Cursors
    note: Callable[[Untold], Awaitable[Any]]
    scheduler: IScheduler
    tell: Callable[..., None]
    is_over: bool = False
    _behind: int = 0
    _is_away: bool = False
    _nudged: ISignal | None = None

    def nudge(self) -> None:
        """There may be something to tell."""
        if self._nudged is not None:
            self._nudged.set(True)

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            self._nudged = self.scheduler.signal()
            try:
                while await self._told_one():
                    pass
                self._is_away = False
            except SessionError as why:  # the store or the log is away: nothing is lost, and all waits
                if not self._is_away:
                    self.tell("webhook-waits", webhook=self.settings.name, sentence=why.sentence, detail=why.detail)
                self._is_away = True
            await self.scheduler.first(self._nudged.wait(), self.scheduler.sleep(POLL_S))

    async def _told_one(self) -> bool:
        """Tell what is next, if anything is. @raise StoreUnavailable, EvidenceUnavailable"""
        settings = self.settings
        hold_ms = round((settings.timeout_s + HOLD_S) * 1000)
        due = await self.cursors.next(
            settings.name, settings.events, self.office.gateway, self._now_ms(), hold_ms, self._behind
        )
        if isinstance(due, int):
            self._behind = due
            return False
        problem = await self._problem(due)
        tries = due.cursor.tries + 1
        if not problem:
            await self.cursors.move(due, position=due.position, tries=0, next_at_ms=0, told_at_ms=self._now_ms())
        elif tries < settings.tries_max:
            next_at_ms = self._now_ms() + round(pause_s(tries, RANDOM.random()) * 1000)
            self._say("webhook-failed", due, problem)
            await self.cursors.move(due, tries=tries, next_at_ms=next_at_ms, error=problem)
        else:
            self._say("webhook-given-up", due, problem)
            await self.note(Untold(settings.name, due.entry.key, due.entry.number, tries))
            given_up = due.cursor.given_up + 1
            await self.cursors.move(due, position=due.position, tries=0, next_at_ms=0, given_up=given_up, error=problem)
        return True

    async def _problem(self, due: Due) -> str:
        """Tell it; why that failed, "" when it did not. @raise StoreUnavailable"""
        settings, entry = self.settings, due.entry
        request = then(await self.office.history(entry.key), entry.number)
        body = told(entry, request, self.office.link(request))
        signed = headers(settings.secret, delivery_id(entry), self.scheduler.now_s(), body)
        try:
            answer = await http(
                "POST",
                settings.url,
                headers=signed,
                body=body,
                timeout_s=settings.timeout_s,
                bytes_max=ANSWER_BYTES_MAX,
                ca_file=settings.ca_file,
            )
        except Exception as why:  # no connection, no trust, no HTTP, no time
            if self.is_over:
                raise
            return f"{type(why).__name__}: {_words(why)}"
        return "" if 200 <= answer.status < 300 else f"it answered with status {answer.status}"

    def _say(self, event: str, due: Due, problem: str) -> None:
        tries = due.cursor.tries + 1
        self.tell(event, webhook=self.settings.name, delivery=delivery_id(due.entry), tries=tries, detail=problem)

    def _now_ms(self) -> int:
        return round(self.scheduler.now_s() * 1000)


class Couriers(Service):
    """All of them; they begin with `begin`, when the store is open, and end with the service."""

    def __init__(
        self,
        webhooks: Sequence[WebhookSettings],
        office: Office,
        cursors: Cursors,
        note: Callable[[Untold], Awaitable[Any]],
        scheduler: IScheduler,
        tell: Callable[..., None],
    ) -> None:
        self._webhooks, self._cursors, self._tell = webhooks, cursors, tell
        self._couriers = [Courier(each, office, cursors, note, scheduler, tell) for each in webhooks]
        self._works: list[Deferred[None]] = []

    def by_name(self) -> Mapping[str, Command]:
        """Each command of the operator's under the name by which it is asked for."""
        return {"webhooks": self.listed}

    async def begin(self) -> None:
        """Whoever is new is told of what comes from now on. @raise StoreUnavailable"""
        if self._webhooks:
            await self._cursors.begin(each.name for each in self._webhooks)
        for courier in self._couriers:
            self._works.append(Deferred.fromCoroutine(courier.run()).addErrback(self._failed, courier))

    def nudge(self) -> None:
        """Something was kept in the journal."""
        for courier in self._couriers:
            courier.nudge()

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        for courier in self._couriers:
            courier.is_over = True
        for work in self._works:
            work.cancel()

    async def listed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """How far each was told."""
        found = await self._cursors.all({each.name: each.events for each in self._webhooks})
        return {
            "webhooks": [
                {
                    "name": cursor.name,
                    "position": cursor.position,
                    "waiting": waiting,
                    "tries": cursor.tries,
                    "next_at_s": cursor.next_at_ms / 1000,
                    "told_at_s": cursor.told_at_ms / 1000,
                    "given_up": cursor.given_up,
                    "error": cursor.error,
                    "gateway": cursor.holder,
                }
                for cursor, waiting in found
            ]
        }

    def _failed(self, failure: Failure, courier: Courier) -> None:
        """A bug; sessions and decisions don't need webhooks, so the gateway goes on without this one, loudly."""
        if not courier.is_over and not isinstance(failure.value, CancelledError):
            self._tell("webhook-crashed", webhook=courier.settings.name, exc_info=failure.value)


def _words(why: Exception) -> str:
    """What went wrong, of an exception that may wrap others' (Twisted's `ResponseNeverReceived`)."""
    reasons = getattr(why, "reasons", None)
    return "; ".join(str(each.value) for each in reasons) if reasons else str(why)
