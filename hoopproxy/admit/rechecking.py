"""Live sessions are judged again: each in its time, `limits.recheck_s` apart, and all at once when something changed.

Spread over time, a few side by side, and for each authenticator on their own, so that one directory that hangs makes
only its own people wait. Knows no socket and no clock of its own; what is judged is `hoopproxy.admit.review`'s.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from hoopproxy.admit.admission import Admission
from hoopproxy.admit.leases import Lease
from hoopproxy.admit.review import Protects, Review
from hoopproxy.asking import a, at_once
from hoopproxy.errors import Cause, Revoked, SessionError
from hoopproxy.interfaces import INoticesChanges
from hoopproxy.rooms import IScheduler, ISignal

TICK_S = 0.25
"""How often authenticators are asked whether something has changed: it acts well within a second."""

LOOK_S = 1.0
"""How often all sessions are looked over for those that are due, where nothing has changed."""

AT_ONCE_MAX = 8
"""Checks side by side, of one authenticator's people: as many as its role has threads (`hands.THREADS_MAX`)."""

SPREAD = 0.1
"""Each session's time is up to so much shorter, each by another bit: those that came together drift apart."""

UNCHECKED = (
    "Your session has ended because the gateway could not check for {:g} s whether you may go on; connect again in a "
    "moment, or tell the operator of the gateway."
)
LATE = "Your session has ended because your right to it has expired; connect again."


@dataclass(slots=True)
class Counts:
    """What came of checks: sessions that were judged, that ended by it, and of which it could not be told."""

    checked: int = 0
    ended: int = 0
    unchecked: int = 0


@dataclass(slots=True)
class _Job:
    """A session that is to be judged, behind it those that come through it, and what came of it."""

    family: tuple[Lease, ...]
    done: ISignal
    counts: Counts = field(default_factory=Counts)


@dataclass(slots=True)
class _Lane:
    """What one authenticator's people wait in; `awake` is set as long as there are any. All are due who were last
    looked at before `changed_s`."""

    awake: ISignal
    jobs: deque[_Job] = field(default_factory=deque)
    changed_s: float = float("-inf")


class Rechecks:
    """Judges all live sessions of a gateway, for as long as `run` does. `tell` writes to the operator's log."""

    def __init__(self, admission: Admission, protects: Protects, tell: Callable[..., None]) -> None:
        self._admission, self._protects, self._tell = admission, protects, tell
        self._leases, self._limits = admission.leases, admission.limits
        self._scheduler: IScheduler = admission.scheduler
        self._lanes = {each.name: _Lane(self._scheduler.signal()) for each in admission.authenticators}
        self._noticing = tuple(each for each in admission.authenticators if INoticesChanges.providedBy(each))
        self._waiting: dict[str, _Job] = {}

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        works = (self._work(lane) for lane in self._lanes.values() for _ in range(AT_ONCE_MAX))
        await self._scheduler.first(self._look(), *works)

    async def recheck_all(self, because: str, authenticator: str = "") -> Counts:
        """Judge everybody again, or all whom one authenticator let in. Those who may not stay have ended on return.

        `because` is for the operator's log. Whoever is on the way in while this is said is judged once more inside.
        """
        counts = Counts()
        names = {authenticator} if authenticator else self._lanes.keys()
        for name in names:
            self._lanes[name].changed_s = self._scheduler.monotonic_s()
        asked = [lease for lease in self._leases.live() if names & _proven_by((lease,))]
        jobs = [self._wait_for(family) for family in self._families(asked)]
        for job in jobs:
            await job.done.wait()
            for each in ("checked", "ended", "unchecked"):
                setattr(counts, each, getattr(counts, each) + getattr(job.counts, each))
        self._tell("rechecked", because=because, checked=counts.checked, ended=counts.ended, unchecked=counts.unchecked)
        return counts

    # Who is due -------------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        seen_s = self._scheduler.monotonic_s()
        while True:
            await self._scheduler.sleep(TICK_S)
            try:
                if self._notice() or self._scheduler.monotonic_s() - seen_s >= LOOK_S:
                    seen_s = self._scheduler.monotonic_s()
                    self._look_over()
            except Exception as why:  # noqa: BLE001 # a mistake here must not keep everybody from being judged
                self._tell("recheck-failed", detail=f"{type(why).__name__}: {why}")

    def _notice(self) -> bool:
        """Ask who can tell without waiting. What can't be told now is seen when it is checked."""
        noticed = False
        for each in self._noticing:
            try:
                has_changed = at_once(each, "has_changed", each.has_changed, a(bool))
            except SessionError:
                continue
            if has_changed:
                noticed = True
                self._lanes[each.name].changed_s = self._scheduler.monotonic_s()
        return noticed

    def _look_over(self) -> None:
        """End what is overdue, and have judged what is due: few of many, so all others cost next to nothing."""
        now_s, at_s = self._scheduler.now_s(), self._scheduler.monotonic_s()
        overdue_s = at_s - self._limits.unchecked_s_max
        perhaps_s = max(
            at_s - self._limits.recheck_s * (1 - SPREAD), *(lane.changed_s for lane in self._lanes.values())
        )
        due: list[Lease] = []
        for lease in self._leases.live():
            if lease.not_after_s <= now_s:
                self._leases.end(lease.session_id, Revoked(LATE, cause=Cause.EXPIRED))
            elif lease.checked_s <= overdue_s:
                sentence = UNCHECKED.format(self._limits.unchecked_s_max)
                self._leases.end(lease.session_id, Revoked(sentence, cause=Cause.UNCHECKED))
            elif lease.looked_s <= perhaps_s and self._is_due(lease, at_s):
                due.append(lease)
        for family in self._families(due):
            self._wait_for(family)

    def _is_due(self, lease: Lease, at_s: float) -> bool:
        period_s = self._limits.recheck_s * (1 - SPREAD * crc32(lease.session_id.encode()) / (1 << 32))
        changed_s = (self._lanes[name].changed_s for name in _proven_by((lease,)))
        return lease.looked_s <= max(at_s - period_s, *changed_s)

    def _families(self, members: Sequence[Lease]) -> list[tuple[Lease, ...]]:
        """Those who came in by themselves, for these or those through whom they came; behind each, all through it."""
        if not members:
            return []
        live = {lease.session_id: lease for lease in self._leases.live()}
        children: dict[str, list[Lease]] = {}
        for lease in live.values():
            for parent in lease.parents:
                children.setdefault(parent, []).append(lease)
        roots: dict[str, Lease] = {}
        line = list(members)
        for lease in line:  # it grows
            above = [live[parent] for parent in lease.parents if parent in live]
            line += (each for each in above if each not in line)
            if not above:
                roots[lease.session_id] = lease
        return [_descent(root, children) for root in roots.values()]

    def _wait_for(self, family: tuple[Lease, ...]) -> _Job:
        root = family[0].session_id
        job = self._waiting.get(root)
        if job is None:
            job = self._waiting[root] = _Job(family, self._scheduler.signal())
            lane = self._lanes[min(_proven_by(family[:1]))]
            lane.jobs.append(job)
            lane.awake.set()
        return job

    # Judging ----------------------------------------------------------------------------------------------------------

    async def _work(self, lane: _Lane) -> None:
        while True:
            await lane.awake.wait()
            await self._scheduler.sleep(0)  # others have their turn
            if not lane.jobs:
                continue
            job = lane.jobs.popleft()
            if not lane.jobs:
                lane.awake = self._scheduler.signal()
            del self._waiting[job.family[0].session_id]
            try:
                await self._judge(job)
            finally:
                job.done.set()

    async def _judge(self, job: _Job) -> None:
        """All of a family. Who comes through a session that ends goes with it, and first: for the same reason."""
        review = Review(self._admission, self._protects)
        ended: dict[str, Revoked] = {}
        for lease in job.family:
            why = next((ended[parent] for parent in lease.parents if parent in ended), None)
            if why is None and self._leases.holds(lease):
                why = await self._judged(review, lease, job.counts)
            if why is not None:
                ended[lease.session_id] = why
        for session_id, why in reversed(ended.items()):
            job.counts.ended += self._leases.end(session_id, why)

    async def _judged(self, review: Review, lease: Lease, counts: Counts) -> Revoked | None:
        """Why a session may not go on. None: it may, or it can't be told."""
        at_s, seen = self._scheduler.monotonic_s(), set(lease.held)
        lease.looked_s = at_s
        try:
            not_after_s = await review.session(lease)
        except self._scheduler.cancelled:
            raise
        except Revoked as why:
            counts.checked += 1
            return why
        except Exception as why:  # noqa: BLE001 # whatever it is, it is no yes: the time that is left goes on
            sentence, detail = getattr(why, "sentence", type(why).__name__), getattr(why, "detail", str(why))
            self._tell("not-rechecked", session=lease.session_id, sentence=sentence, detail=detail)
            counts.unchecked += 1
            return None
        counts.checked += 1
        lease.checked_s = at_s
        lease.not_after_s = min(lease.not_after_s, not_after_s)
        unseen = (held.proven.at_s for name, held in lease.held.items() if name not in seen)
        lease.looked_s = min((at_s, *unseen))
        return None


def _descent(root: Lease, children: Mapping[str, Sequence[Lease]]) -> tuple[Lease, ...]:
    """A session, and behind it those that came through it, and through those."""
    found = {root.session_id: root}
    line = [root]
    for lease in line:  # it grows
        more = [child for child in children.get(lease.session_id, ()) if child.session_id not in found]
        found |= {child.session_id: child for child in more}
        line += more
    return tuple(line)


def _proven_by(family: tuple[Lease, ...]) -> set[str]:
    """The authenticators that know these people."""
    return {held.proven.authenticator for lease in family for held in lease.held.values()}
