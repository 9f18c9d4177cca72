"""Carries bytes between two logged-in connections through one machine, and performs what the machine's steps want.

The core is synchronous (`IWire.feed`); only asks, durability and room to write are awaited. Knows no protocol, no
socket and no addon by name.
"""

from dataclasses import dataclass

from hoopproxy.errors import LimitReached, Revoked
from hoopproxy.events import Action, Asked, Rejected, Step
from hoopproxy.interfaces import IConnection, IScheduler, ISignal, IWire
from hoopproxy.model import Side
from hoopproxy.relay.counting import Counting
from hoopproxy.relay.judges import Case, Judges
from hoopproxy.relay.tape import Tape
from hoopproxy.relay.turns import Turns
from hoopproxy.settings import Limits


@dataclass(slots=True)
class Relay:
    """One connection's traffic. `run` returns why it ended when one end left in peace.

    `is_amid` tells whether the client has seen only a part of a message: then nothing of ours may follow it.
    """

    client: IConnection
    server: IConnection
    wire: IWire
    judges: Judges
    case: Case
    tape: Tape
    counting: Counting
    limits: Limits
    scheduler: IScheduler
    is_amid: bool = False

    async def run(self, ended: ISignal) -> str:
        """Carry until one side leaves, the right behind the session ends, or something is wrong.

        @raise SessionError: Revoked, LimitReached, ProtocolViolation, AddonFailure, EvidenceUnavailable.
        """
        traffic = _Traffic(self)
        reason: str = await self.scheduler.first(
            traffic.carry(Side.CLIENT), traffic.carry(Side.SERVER), traffic.watch(ended)
        )
        return reason


class _Traffic:
    """What changes while a relay runs: who may be read, whose turn it is to write, when something last moved."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._near = {Side.CLIENT: relay.client, Side.SERVER: relay.server}
        self._turns = {side: Turns(relay.scheduler) for side in Side}
        self._paused: frozenset[Side] = frozenset()
        self._over = False
        self._changed = relay.scheduler.signal()
        self._moved_s = relay.scheduler.monotonic_s()

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
        """Read, feed, perform, and answer asks."""
        wire, judges, case = self._relay.wire, self._relay.judges, self._relay.case
        while not self._over:
            while side in self._paused:
                await self._changed.wait()
            data = await self._near[side].read()
            self._moved_s = self._relay.scheduler.monotonic_s()
            step = wire.feed(side, data)
            await self._perform(step)
            while step.ask is not None and not self._over:
                step = wire.resume(side, await judges.answer(step.ask, case))
                await self._perform(step)
            if step.ended or not data:
                break
        return f"{side.value} left"

    async def _perform(self, step: Step) -> None:
        """Record, make durable what must be, then write; in the order in which the machine made the steps."""
        relay = self._relay
        turns = [(side, data, self._turns[side].take()) for side, data in _outputs(step)]
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
                if self._over:
                    return
                if side is Side.CLIENT:
                    relay.is_amid = step.is_amid
                await self._near[side].write(data)

    async def watch(self, ended: ISignal) -> str:
        """Ends the session from outside: revoked, expired or idle for too long."""
        relay = self._relay
        expiry_s = relay.scheduler.monotonic_s() + relay.case.passage.permit.not_after_s - relay.scheduler.now_s()
        while True:
            now_s = relay.scheduler.monotonic_s()
            idle_left_s = self._moved_s + relay.limits.idle_s_max - now_s
            if now_s >= expiry_s:
                raise Revoked("Your session has ended because its grant or your sign-in expired; connect again.")
            if idle_left_s <= 0:
                raise LimitReached(
                    f"Your session was idle for {relay.limits.idle_s_max:g} s and was closed; connect again.",
                    limit="limits.idle_s_max",
                )
            try:
                raise await relay.scheduler.within(min(idle_left_s, expiry_s - now_s), ended.wait())
            except TimeoutError:
                continue


def _outputs(step: Step) -> tuple[tuple[Side, bytes], ...]:
    both = ((Side.SERVER, step.to_server), (Side.CLIENT, step.to_client))
    return tuple((side, data) for side, data in both if data)


def _must_be_durable(step: Step) -> bool:
    """Decisions and what a target is asked to do are durable before their effect, in every mode.

    Not so PREPARE, which reads and writes nothing: its text is recorded with what follows it, and once more, durably,
    when it is executed.
    """
    return any(
        isinstance(record, Rejected) or (isinstance(record, Asked) and record.statement.action is not Action.PREPARE)
        for record in step.records
    )
