"""The evidence sink on a local disk: all leaves that wait go into one write and one sync (group commit).

Knows neither entries nor people; `hoopproxy.disk.segments` knows the files.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from twisted.internet.defer import Deferred
from zope.interface import implementer, provider

from hoopproxy.disk.segments import SENTENCE, Outcome, Segments
from hoopproxy.errors import EvidenceUnavailable
from hoopproxy.evidence.chain import ChainBroken
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, IEvidenceSink, ISetting

WRITE_BYTES_MAX = 1 << 21
"""Leaves in one write: twice what a ledger gives at once. The smallest segment holds two such writes."""


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "log-file"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: Path
    """Made with the rights 0700 at the first start; one gateway alone may use it."""
    segment_bytes: int = Field(1 << 24, ge=2 * WRITE_BYTES_MAX, le=1 << 30)
    """One file of the log. This much is reserved twice: for the current one and for the next."""
    reserve_bytes: int = Field(1 << 20, ge=65536)
    """What only denials and ends may use when the disk is full: a thousand of them for each 500 KiB."""
    queue_max: int = Field(10_000, ge=1)
    """Groups of leaves that may wait for the disk."""

    @model_validator(mode="after")
    def _reserve_fits(self) -> Self:
        if self.reserve_bytes > self.segment_bytes // 2:
            raise ValueError("reserve_bytes must not be more than half of segment_bytes")
        return self


class _Group:
    """Leaves of one `append`, and whoever waits for them."""

    def __init__(self, leaves: Sequence[bytes], withdraw: Callable[["_Group"], None]) -> None:
        self.leaves = tuple(leaves)
        self.size = sum(map(len, self.leaves)) + len(self.leaves)
        self.done: Deferred[int] = Deferred(lambda _: withdraw(self))

    def answer(self, outcome: Outcome) -> None:
        if self.done.called:
            return  # its caller was cancelled while the disk was busy
        if isinstance(outcome, int):
            self.done.callback(outcome)
        else:
            self.done.errback(outcome)


@provider(IAddonFactory)
@implementer(IEvidenceSink)
class LogFile:
    """The log in `directory`. Building it reads and verifies; the first `append` takes the directory over."""

    summary = "Keeps the evidence log in preallocated files of one directory, synced in groups."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "LogFile":
        """Make it. @raise ChainBroken: what is there was changed; the sentence names file and entry."""
        segments = Segments(settings.directory, settings.segment_bytes, settings.reserve_bytes)
        return cls(name, segments, settings.queue_max)

    def __init__(
        self,
        name: str,
        segments: Segments,
        queue_max: int,
        in_thread: Callable[..., Awaitable[Any]] = in_thread,
    ) -> None:
        self.name = name
        self._segments = segments
        self._queue_max = queue_max
        self._in_thread = partial(in_thread, "evidence")
        self._queue: deque[_Group] = deque()
        self._is_writing = False

    @property
    def size(self) -> int:
        return self._segments.head.size

    @property
    def last(self) -> bytes:
        """The last leaf, b"" when there is none: what the next one is chained to."""
        return self._segments.last

    async def append(self, leaves: Sequence[bytes]) -> int:
        if len(self._queue) >= self._queue_max:
            raise EvidenceUnavailable(SENTENCE, detail=f"{self.name}: queue_max ({self._queue_max}) groups wait")
        group = _Group(leaves, self._withdraw)
        if group.size > WRITE_BYTES_MAX:
            raise EvidenceUnavailable(
                SENTENCE, detail=f"{self.name}: {group.size} bytes of leaves at once are too many"
            )
        self._queue.append(group)
        if not self._is_writing:
            self._is_writing = True
            # On its own: a caller that gives up must not take the others' write along.
            Deferred.fromCoroutine(self._write_all())
        return await group.done

    def close(self) -> None:
        """Let go of the directory; whatever was acknowledged is durable already."""
        self._segments.close()

    def _withdraw(self, group: _Group) -> None:
        if group in self._queue:
            self._queue.remove(group)

    async def _write_all(self) -> None:
        try:
            while self._queue:
                groups = self._take()
                outcomes: list[Outcome] = [EvidenceUnavailable(SENTENCE, detail=f"{self.name}: failed")] * len(groups)
                try:
                    outcomes = await self._in_thread(self._commit, [group.leaves for group in groups])
                finally:
                    for group, outcome in zip(groups, outcomes, strict=True):
                        group.answer(outcome)
                if self._segments.wants_spare:
                    await self._in_thread(self._segments.reserve)  # ahead of need, while nobody waits
        finally:
            self._is_writing = False

    def _take(self) -> list[_Group]:
        groups = [self._queue.popleft()]
        size = groups[0].size
        while self._queue and size + self._queue[0].size <= WRITE_BYTES_MAX:
            groups.append(self._queue.popleft())
            size += groups[-1].size
        return groups

    def _commit(self, leaves: Sequence[Sequence[bytes]]) -> list[Outcome]:
        try:
            if not self._segments.is_open:
                self._segments.open()
        except EvidenceUnavailable as why:
            return [why] * len(leaves)
        except ChainBroken as why:
            return [EvidenceUnavailable(SENTENCE, detail=str(why))] * len(leaves)
        return self._segments.commit(leaves)
