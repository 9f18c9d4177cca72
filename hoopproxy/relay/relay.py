"""Carries bytes between two logged-in connections through one machine, and performs what the machine's steps want.

The core is synchronous (`IWire.feed`); only asks, durability and room to write are awaited. Knows no protocol, no
socket and no addon by name.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf

from hoopproxy.errors import Cause, Revoked
from hoopproxy.events import Action, Ask, Asked, Rejected, Reply, Step
from hoopproxy.model import Side
from hoopproxy.relay.counting import Counting
from hoopproxy.relay.judges import Case, Judges
from hoopproxy.relay.pace import Pace
from hoopproxy.relay.quota import Quota
from hoopproxy.relay.share import Share
from hoopproxy.relay.tape import Tape
from hoopproxy.relay.turns import Turns
from hoopproxy.rooms import IConnection, IPeer, IScheduler, ISignal, IWire
from hoopproxy.settings import Limits

PIECE_BYTES_MAX = 1 << 20
"""The most that is written at once: what a slow end has to take within `limits.stalled_s_max`."""

LOOK_S = 1.0
"""How often a session that is to end looks whether those that come through it have."""

EXPIRED = "Your session has ended because its grant or your sign-in expired; connect again."


@dataclass(slots=True)
class Relay:
    """One connection's traffic. `run` returns why it ended when one end left in peace.

    `until_s`, by the scheduler's monotonic clock, is when the right behind it ends. `quota` is what its grant still
    lets be shown, None for no end to it. `is_led_through` is asked whether other sessions live that come through this
    one: then it is not idle. `is_amid` tells whether the client has seen only a part of a message: then nothing of ours
    may follow it. `is_at_rest`: nothing has to be stopped at the target.
    """

    client: IConnection
    server: IPeer
    wire: IWire
    judges: Judges
    case: Case
    tape: Tape
    counting: Counting
    limits: Limits
    scheduler: IScheduler
    until_s: float
    quota: Quota | None = None
    is_led_through: Callable[[], bool] = lambda: False
    is_amid: bool = False
    is_at_rest: bool = True

    async def run(self, ended: ISignal, stopping: ISignal) -> str:
        """Carry until one side leaves, the right behind the session ends, or something is wrong.

        `ended` brings the reason and ends the session now; `stopping` brings a sentence, and ends it as soon as nobody
        waits for an answer, and after `limits.drain_s_max` in any case.

        @raise SessionError: Revoked, LimitReached, ProtocolViolation, AddonFailure, EvidenceUnavailable.
        """
        traffic = _Traffic(self)
        reason: str = await self.scheduler.first(
            traffic.carry(Side.CLIENT), traffic.carry(Side.SERVER), traffic.watch(ended), traffic.leave(stopping)
        )
        return reason


class _Traffic:
    """What changes while a relay runs: who may be read, whose turn it is to write, how long nothing has moved."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._case = replace(relay.case, inform=self._inform)
        self._near = {Side.CLIENT: relay.client, Side.SERVER: relay.server}
        self._turns = {side: Turns(relay.scheduler) for side in Side}
        self._pace = Pace(relay.limits, relay.scheduler)
        self._paused: frozenset[Side] = frozenset()
        self._over = False
        self._busy = 0
        self._rests: ISignal | None = None
        self._changed = relay.scheduler.signal()
        self._untold = ""

    async def carry(self, side: Side) -> str:
        """One direction, until that side or the machine ends it.

        When one direction fails, the other may be what called it (a signal that it set, say), and only be cancelled at
        its next wait. Until then `_over` keeps it from passing another byte.
        """
        try:
            return await self._carry(side)
        finally:
            self._over = True

    async def _carry(self, side: Side) -> str:
        """Read, feed, perform; answer asks and go on, in portions that leave others their turn."""
        wire, near = self._relay.wire, self._near[side]
        share = Share(self._relay.limits, self._relay.scheduler)
        hold_s = 0.0
        while not self._over:
            await self._unpaused(side)
            data = await self._read(side, hold_s)
            self._busy += 1
            share.begin(self._relay.scheduler.monotonic_s() if data is None else self._pace.moved())
            step = wire.release(side) if data is None else wire.feed(side, data)
            await self._perform(step)
            while (step.ask is not None or step.more) and not self._over:
                await share.go_on()
                await self._unpaused(side)
                step = wire.resume(side, None if step.ask is None else await self._answer(step.ask))
                await self._perform(step)
            hold_s = step.hold_s
            self._busy -= 1
            self._may_rest()
            if step.ended:
                break
            if data == b"":  # it stopped sending, and hears the rest unless it is gone
                await near.lost.wait()
                break
        return f"{side.value} left"

    async def _read(self, side: Side, hold_s: float) -> bytes | None:
        """What that side sends next; None: it has paused for so long, and the machine holds something back."""
        head_s = self._pace.head_left_s() if side is Side.CLIENT else inf
        left_s = min(hold_s or inf, head_s)
        if left_s == inf:
            return await self._near[side].read()
        # A loop that was held up looks at its clock before it looks at its sockets: what came meanwhile is no pause.
        for wait_s in (left_s, 0.0):
            with suppress(TimeoutError):
                data: bytes = await self._relay.scheduler.within(wait_s, self._near[side].read())
                return data
        if left_s == head_s:
            raise self._pace.headed_too_long()
        return None

    async def _unpaused(self, side: Side) -> None:
        while side in self._paused:
            await self._changed.wait()

    async def _answer(self, ask: Ask) -> Reply:
        self._pace.asked += 1
        try:
            return await self._relay.judges.answer(ask, self._case)
        finally:
            self._pace.asked -= 1
            self._pace.moved()

    async def _perform(self, step: Step) -> None:
        """Record, make durable what must be, then write; in the order in which the machine made the steps."""
        relay = self._relay
        if relay.quota is not None:
            relay.quota.show(len(step.to_client))
        turns = [(side, data, self._turns[side].take()) for side, data in _outputs(step)]
        self._pace.is_idle = step.is_idle
        relay.is_at_rest = step.is_at_rest
        self._pace.heads(step.is_heading)
        relay.counting.saw(step.records, len(step.to_client), len(step.to_server))
        if step.pause != self._paused:
            self._paused = step.pause
            self._changed, changed = relay.scheduler.signal(), self._changed
            changed.set()
        credit = 1
        if step.records or step.to_client:
            credit = relay.tape.record(relay.scheduler.now_s(), step.records, step.to_client)
        if credit <= 0 or _must_be_durable(step) or (relay.tape.strict and step.to_client):
            await relay.tape.settle()
        for side, data, turn in turns:
            async with turn:
                await self._write(side, data, step.is_amid)
                if side in step.half_closes:
                    await self._end(side)
        if step.interrupts and not self._over:
            await relay.server.interrupt()

    async def _write(self, side: Side, data: bytes, is_amid: bool) -> None:
        """Piece by piece, so that a side that takes anything at all is known to."""
        for start in range(0, len(data), PIECE_BYTES_MAX):
            if self._over:
                return
            end = start + PIECE_BYTES_MAX
            if side is Side.CLIENT:
                self._relay.is_amid = is_amid or end < len(data)
            self._pace.writes(side)
            await self._near[side].write(data[start:end])
            self._pace.wrote(side)
        if self._untold and not self._relay.is_amid:
            untold, self._untold = self._untold, ""
            self._inform(untold)

    async def _end(self, side: Side) -> None:
        """Returns when it took all that was written before, for which it has as long as for any piece."""
        if not self._over:
            self._pace.writes(side)
            await self._near[side].end()
            self._pace.wrote(side)

    def _inform(self, sentence: str) -> None:
        """Tell the client something; not inside a message, and then only the last."""
        if self._relay.is_amid:
            self._untold = sentence
        else:
            self._relay.case.inform(sentence, self._relay.wire.words(sentence))

    async def leave(self, stopping: ISignal) -> str:
        """Ends the session when the gateway stops: with the next answer, or after the time that there is for it."""
        relay = self._relay
        sentence = await stopping.wait()
        self._rests = relay.scheduler.signal()
        left_s = relay.limits.drain_s_max
        while left_s > 0:
            self._may_rest()
            with suppress(TimeoutError):
                await relay.scheduler.within(min(left_s, LOOK_S), self._rests.wait())
                break
            left_s -= LOOK_S
        raise Revoked(sentence, cause=Cause.STOPPING)

    def _may_rest(self) -> None:
        """Is this a moment at which nobody loses anything?"""
        if self._rests and self._pace.is_idle and not self._busy and not self._relay.is_led_through():
            self._rests.set()

    async def watch(self, ended: ISignal) -> str:
        """Ends the session from outside: revoked, expired, or too long without a move."""
        relay = self._relay
        while True:
            left_s = relay.until_s - relay.scheduler.monotonic_s()
            if left_s <= 0:
                raise Revoked(EXPIRED, cause=Cause.EXPIRED)
            if relay.is_led_through():
                self._pace.moved()
            try:
                raise await relay.scheduler.within(min(left_s, self._pace.left_s()), ended.wait())
            except TimeoutError:
                continue


def _outputs(step: Step) -> tuple[tuple[Side, bytes], ...]:
    """What takes its turn: an end, too, since what earlier steps have to say may still wait to be recorded."""
    both = ((Side.SERVER, step.to_server), (Side.CLIENT, step.to_client))
    return tuple((side, data) for side, data in both if data or step.ended or side in step.half_closes)


def _must_be_durable(step: Step) -> bool:
    """Decisions and what a target is asked to do are durable before their effect, in every mode.

    Not so PREPARE, which reads and writes nothing: its text is recorded with what follows it, and once more, durably,
    when it is executed.
    """
    return any(
        isinstance(record, Rejected) or (isinstance(record, Asked) and record.statement.action is not Action.PREPARE)
        for record in step.records
    )
