"""The log as the house writes it: entries in, one exact order out, durable when `note` returns.

Whoever comes first writes for all who wait (group commit without a task of its own). Pure but for awaiting the sink:
knows neither disk nor clock; `addons/log_file.py` keeps the leaves.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hoopproxy.asking import Asking, a
from hoopproxy.errors import AddonFailure, EvidenceUnavailable, SessionError
from hoopproxy.evidence import chain
from hoopproxy.evidence.chain import ChainBroken, Head
from hoopproxy.evidence.entries import CLOSING, Entry, encoded, leaf
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.interfaces import IEvidenceSink
from hoopproxy.rooms import IScheduler, ISignal

WAITING_MAX = 10_000
"""Entries that may wait for the sink; more than two for each of `limits.connections_max`' default of 5,000 never do."""

BATCH_MAX = 64
"""Leaves given to the sink at once: at most 1 MiB, and enough that a sync is shared by all who wait."""

SENTENCE = "The gateway can't write its log, so nothing may pass now; try again later or tell the operator."


@dataclass(slots=True, eq=False)
class _Wish:
    """An entry on its way. It is over once `index` or `failure` is set."""

    entry: Entry
    woken: ISignal
    index: int | None = None
    failure: SessionError | None = None

    @property
    def is_over(self) -> bool:
        return self.index is not None or self.failure is not None

    @property
    def kept(self) -> int:
        if self.failure is not None:
            raise self.failure
        assert self.index is not None
        return self.index


class Ledger:
    """One log. `gateway` names its writer in each leaf.

    `follow`, when set, is called with each leaf as a dictionary once it is durable; it must not raise.
    """

    def __init__(
        self,
        sink: IEvidenceSink,
        pseudonyms: Pseudonyms,
        scheduler: IScheduler,
        gateway: str,
        ask: Asking,
        follow: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._sink, self._pseudonyms, self._scheduler = sink, pseudonyms, scheduler
        self._gateway, self._ask = gateway, ask
        self.follow = follow
        self._head = chain.EMPTY
        self._wishes: deque[_Wish] = deque()
        self._leader: _Wish | None = None

    @property
    def head(self) -> Head:
        """The size and digest of the log as far as it is durable. @raise EvidenceUnavailable."""
        if self._leader is None:
            self._find_head()
        return self._head

    async def note(self, entry: Entry) -> int:
        """Keep an entry; its index. Durable when this returns, in the order in which it was called.

        @raise EvidenceUnavailable, AddonFailure: it was not kept, or nobody knows.
        """
        if len(self._wishes) >= WAITING_MAX:
            raise EvidenceUnavailable(SENTENCE, detail=f"{WAITING_MAX} entries wait for the evidence sink")
        wish = _Wish(entry, self._scheduler.signal())
        self._wishes.append(wish)
        if self._leader is None:
            self._leader = wish
        else:
            try:
                await wish.woken.wait()
            except BaseException:  # cancelled: nobody waits for this entry any more
                self._withdraw(wish)
                raise
        if self._leader is wish:
            await self._lead()
        return wish.kept

    async def _lead(self) -> None:
        """Write what waits, then let the next in line write what came meanwhile: nobody serves the others for long."""
        batch = self._take()
        try:
            await self._keep(batch)
        except SessionError as why:
            _fail(batch, why)
        except BaseException as why:  # cancelled while the sink was writing, or a mistake of ours
            _fail(batch, EvidenceUnavailable(SENTENCE, detail=f"the writing entry was interrupted: {why!r}"))
            raise
        finally:
            following = self._leader = self._wishes[0] if self._wishes else None
            for wish in batch:
                wish.woken.set()
            if following is not None:
                following.woken.set()

    def _withdraw(self, wish: _Wish) -> None:
        if wish in self._wishes:
            self._wishes.remove(wish)
        if self._leader is wish:
            self._leader = self._wishes[0] if self._wishes else None
            if self._leader is not None:
                self._leader.woken.set()

    def _take(self) -> list[_Wish]:
        return [self._wishes.popleft() for _ in range(min(BATCH_MAX, len(self._wishes)))]

    async def _keep(self, wishes: Sequence[_Wish]) -> None:
        self._find_head()
        head, fit, written, leaves = self._head, [], [], []
        for wish in wishes:
            envelope = {
                "at_ms": int(self._scheduler.now_s() * 1000),
                "gateway": self._gateway,
                "index": head.size,
                "prev": head.sha256,
            }
            try:
                entry = leaf(wish.entry, envelope, self._pseudonyms)
            except (TypeError, ValueError) as why:  # one entry that can't be written must not take others along
                wish.failure = EvidenceUnavailable(SENTENCE, detail=f"{wish.entry.kind}: {why}")
                continue
            fit.append(wish)
            written.append(entry)
            leaves.append(encoded(entry))
            head = chain.after(head, leaves[-1])
        if not leaves:
            return
        try:
            first = await self._ask(self._sink, "append", partial(self._sink.append, leaves), a(int))
        except EvidenceUnavailable as why:
            ends = [wish for wish in fit if wish.entry.kind in CLOSING]
            if not ends or len(ends) == len(fit):
                raise
            _fail([wish for wish in fit if wish not in ends], why)
            await self._keep(ends)  # what only ends something may still fit into the sink's reserve
            return
        if first != self._head.size:
            name = str(getattr(self._sink, "name", "evidence"))
            raise AddonFailure(name, "append", f"it kept entry {self._head.size} as number {first}")
        for number, wish in enumerate(fit, first):
            wish.index = number
        self._head = head
        if self.follow is not None:
            for entry in written:
                self.follow(entry)

    def _find_head(self) -> None:
        """Where the sink's log ends: it may hold leaves of an earlier run, or one whose answer never came."""
        size = self._sink.size
        if size == self._head.size:
            return
        try:
            head = chain.head_after(self._sink.last)
        except ChainBroken as why:
            raise EvidenceUnavailable(SENTENCE, detail=f"the last of the sink's {size} leaves: {why}") from why
        if head.size != size:
            raise EvidenceUnavailable(SENTENCE, detail=f"the sink has {size} leaves, its last is number {head.size}")
        self._head = head


def _fail(wishes: Sequence[_Wish], why: SessionError) -> None:
    for wish in wishes:
        if not wish.is_over:
            wish.failure = why
