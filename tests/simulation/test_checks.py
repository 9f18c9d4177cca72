"""The house is broken on purpose, a part at a time: within a few seeds the simulation finds it, and says what it is."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from hoopproxy import session
from hoopproxy.addons.encrypted_recorder import EncryptedRecorder, Recording
from hoopproxy.admit.leases import Leases
from hoopproxy.connection import Connection
from hoopproxy.disk.segments import Segments
from hoopproxy.events import Shape, Statement
from hoopproxy.interfaces import IEvidenceSink, IMasker, IStatementGuard
from hoopproxy.listen.cancels import Cancels
from hoopproxy.listen.postgres import PostgresFrontend
from hoopproxy.masks import Mask, Redact
from hoopproxy.model import Allow, Answer, Passage, Permit
from hoopproxy.relay import relay
from hoopproxy.rooms import ISignal
from hoopproxy.testing.healthy import RewritesNothing, SaysGermany
from hoopproxy.testing.simulation.disk import SimulatedDisk
from hoopproxy.testing.simulation.run import COMMAND, Found, simulate
from hoopproxy.testing.simulation.world import Furnish

SEEDS = range(1000, 1015)


def found(furnish: Furnish = lambda addons, _: addons) -> Iterator[Found]:
    """The findings of the first seeds."""
    for seed in SEEDS:
        try:
            simulate(seed, furnish)
        except Found as why:
            yield why


def says(findings: Iterator[Found], pattern: str) -> bool:
    """Whether one of them objects so; one fault may show itself in several ways. Each text tells how to replay it."""
    for why in findings:
        command = COMMAND.format(seed=why.seed)
        assert command in str(why) and why.last
        if any(re.search(pattern, objection) for objection in why.objections):
            return True
    return False


# Addons -------------------------------------------------------------------------------------------------------------


def test_an_enforcement_that_forwards_all() -> None:
    why = found(lambda addons, _: replace(addons, enforcement=RewritesNothing()))
    assert says(why, r"it was shown b'(?i:canary)'")


@implementer(IMasker)
class Forgets:
    """Protects one column less than it should, or gives one of them another mask."""

    name = "masks"

    def __init__(self, whole: IMasker, *, protects: str = "", masks: str = "") -> None:
        self._whole, self._protects, self._masks = whole, protects, masks

    async def protects(self, permit: Permit) -> frozenset[str]:
        paths: frozenset[str] = await self._whole.protects(permit)
        return paths - {self._protects}

    async def plan(self, passage: Passage, shape: Shape) -> Mapping[int, Mask]:
        plan = dict(await self._whole.plan(passage, shape))
        return {at: Redact() if shape.fields[at].path == self._masks else mask for at, mask in plan.items()}


def test_a_masker_that_forgets_a_column() -> None:
    why = found(
        lambda addons, _: replace(addons, maskers=[Forgets(addons.maskers[0], protects="public.customers.email")])
    )
    assert says(why, r"it was shown b'(?i:canary)'")


def test_a_masker_that_masks_otherwise_than_the_policy_says() -> None:
    why = found(lambda addons, _: replace(addons, maskers=[Forgets(addons.maskers[0], masks="public.customers.card")]))
    assert says(why, r"wanted is")


def test_a_residency_check_that_says_yes_to_all() -> None:
    why = found(lambda addons, _: replace(addons, residency=[SaysGermany()]))
    assert says(why, r"target 'moved' was dialled for|was dialled for uma|uma got in")


@implementer(IStatementGuard)
class LeavesWork:
    """Starts something with each statement that nobody ever ends."""

    name = "kinds"

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        self.waits_for: Deferred[None] = Deferred()
        Deferred.fromCoroutine(self._work(self.waits_for))
        return Allow()

    async def _work(self, done: Deferred[None]) -> None:
        await done


def test_a_guard_that_leaves_a_coroutine_behind() -> None:
    guard = LeavesWork()
    assert says(
        found(lambda addons, _: replace(addons, guards=[*addons.guards, guard])), r"coroutine is left: LeavesWork"
    )


@implementer(IEvidenceSink)
class Hasty:
    """Answers before its leaves are durable."""

    name = "log"

    def __init__(self, whole: IEvidenceSink) -> None:
        self._whole = whole
        self.size, self.last = whole.size, whole.last
        self.close = whole.close  # type: ignore[attr-defined] # a log file's own

    async def append(self, leaves: Sequence[bytes]) -> int:
        Deferred.fromCoroutine(self._whole.append(leaves)).addErrback(lambda _: None)
        first, self.size, self.last = self.size, self.size + len(leaves), leaves[-1]
        return first


def test_a_log_that_answers_before_it_is_durable() -> None:
    def hasty(addons: Any, _: Any) -> Any:
        return replace(addons, evidence=Hasty(addons.evidence))

    assert says(found(hasty), r"was dialled for c\d+ without a durable 'permitted' entry")
    assert says(found(hasty), r"was called durable before it was")


# The recorder -------------------------------------------------------------------------------------------------------


async def at_once(*_: Any) -> None:
    """Durable, it says."""


def test_a_recording_that_is_not_durable_when_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recording, "settle", at_once)
    assert says(found(), r"reached the target before its record was durable|bytes were shown when \d+ were durable")


def test_a_recording_that_is_never_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recording, "_flush_soon", at_once)
    assert says(found(), r"not durable within \d+ ms")


def test_no_recording_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = EncryptedRecorder.open

    async def lost(self: EncryptedRecorder, passage: Passage) -> Any:
        recording = await opened(self, passage)
        (self._settings.directory / passage.session_id / f"{passage.permit.arrival.connection_id}.hprec").unlink()
        return recording

    monkeypatch.setattr(EncryptedRecorder, "open", lost)
    assert says(found(), r"there is no recording")


# The house itself ---------------------------------------------------------------------------------------------------


def test_a_relay_that_forgets_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(relay.Relay):
        async def run(self, ended: ISignal, stopping: ISignal) -> str:
            return await super().run(self.scheduler.signal(), self.scheduler.signal())

    monkeypatch.setattr(session, "Relay", Deaf)
    assert says(found(), r"after its right had ended|after the session's right had ended")


def test_a_relay_that_does_not_wait_for_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_must_be_durable", lambda step: False)
    assert says(found(), r"reached the target before its record was durable")


def test_a_relay_that_does_not_wait_for_slow_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def write(self: Connection, data: bytes) -> None:
        self.send(data)

    monkeypatch.setattr(Connection, "write", write)
    assert says(found(), r"bytes waited for a slow reader")


def test_a_connection_that_reads_on_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "_pause", lambda self: None)
    assert says(found(), r"bytes were held")


def test_a_session_without_its_last_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_last_note", at_once)
    assert says(found(), r"the log has 0 ends of it")


def test_a_refusal_that_nobody_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostgresFrontend, "refuse", lambda self, session_id, why, words=b"": None)
    assert says(found(), r"and told \[\]")


def test_a_cancel_key_that_outlives_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cancels, "take_back", lambda self, key: None)
    assert says(found(), r"its cancel key still had an effect")


def test_a_lease_that_is_never_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Leases.hold

    @contextmanager
    def hold(self: Leases, *arguments: Any) -> Any:
        with held(self, *arguments) as lease:
            lease.held["somebody"] = None  # type: ignore[assignment] # whoever it is
            yield lease

    monkeypatch.setattr(Leases, "hold", hold)
    assert says(found(), r"A session is left in the leases")


def test_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def welcome(self: PostgresFrontend, *_: Any) -> AbstractContextManager[None]:
        raise ZeroDivisionError

    monkeypatch.setattr(PostgresFrontend, "welcome", welcome)
    assert says(found(), r"it crashed with ZeroDivisionError")


# The disk -----------------------------------------------------------------------------------------------------------


def test_a_log_that_is_not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each photograph is then of a log that lacks what was called durable."""
    synced = SimulatedDisk.sync

    def forgets(self: SimulatedDisk, fd: int) -> None:
        file = self._file(fd)
        written = [*file.unsynced]
        synced(self, fd)
        file.unsynced = written

    monkeypatch.setattr(SimulatedDisk, "sync", forgets)
    assert says(found(), r"After a power cut")


def test_a_log_that_writes_over_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Segments._write

    def write(self: Segments, frame: bytes) -> None:
        end = self._end
        written(self, frame)
        self._end = end if self.head.size == 5 else self._end

    monkeypatch.setattr(Segments, "_write", write)
    assert says(found(), r"The log (has|is)|The bundle")
