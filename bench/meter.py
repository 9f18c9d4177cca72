"""How the CPU time of a process grew while something ran. Knows nothing of what the process does."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from hoopproxy.testing.vitals import Vitals

SAMPLE_S = 0.005


class Sample(NamedTuple):
    """At a moment (seconds since 1970, as other programs tell it), the CPU time spent so far; seconds."""

    at_s: float
    cpu_s: float


@dataclass(slots=True)
class Course:
    """Samples, the oldest first, so that the beginning of a run can be told from the rest."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def cpu_s(self) -> float:
        """Of all of it."""
        return self.samples[-1].cpu_s - self.samples[0].cpu_s

    @property
    def wall_s(self) -> float:
        """Of all of it."""
        return self.samples[-1].at_s - self.samples[0].at_s

    def cpu_s_until(self, at_s: float) -> float:
        """CPU time from the beginning to a moment, interpolated between two samples."""
        index = bisect_left(self.samples, at_s, key=lambda sample: sample.at_s)
        if index in (0, len(self.samples)):
            return 0.0 if not index else self.cpu_s
        before, after = self.samples[index - 1], self.samples[index]
        share = (at_s - before.at_s) / (after.at_s - before.at_s)
        return before.cpu_s + share * (after.cpu_s - before.cpu_s) - self.samples[0].cpu_s


@contextmanager
def watched(pid: int | None) -> Iterator[Course]:
    """The course of the block inside, complete when it is left. Without a process only time passes."""
    course, over = Course(), threading.Event()
    vitals = None if pid is None else Vitals(pid)

    def look() -> None:
        course.samples.append(Sample(time.time_ns() / 1e9, vitals.cpu_s if vitals else 0.0))

    def keep_looking() -> None:
        while not over.wait(SAMPLE_S):
            look()

    look()
    watcher = threading.Thread(target=keep_looking, daemon=True)
    watcher.start()
    try:
        yield course
    finally:
        over.set()
        watcher.join()
        look()
