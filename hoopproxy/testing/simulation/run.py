"""Runs one seed, and says what was wrong with it: the one function that tests, `make simulate` and plugin authors call.

Knows where scratch files may lie; nothing of what happens on them.
"""

import gc
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from hoopproxy.testing.simulation import checks
from hoopproxy.testing.simulation.weather import Cause
from hoopproxy.testing.simulation.world import Furnish, World

MEMORY_DISK = Path("/dev/shm")
"""Where Linux keeps files in memory: durability is simulated, so nothing is lost but waiting."""

COMMAND = "make simulate SEED={seed}"


@dataclass(frozen=True, slots=True)
class Story:
    """A simulation in which nothing was wrong. Equal seeds give equal digests."""

    seed: int
    digest: str
    events: int
    connections: int
    causes: frozenset[Cause]


class Found(AssertionError):
    """Something was wrong. The text has the seed, how to replay it, the objections, and the last events."""

    def __init__(self, seed: int, objections: tuple[str, ...], last: tuple[str, ...]) -> None:
        told = "\n".join((f"seed {seed}; replay it: {COMMAND.format(seed=seed)}", *objections, "", *last))
        super().__init__(told)
        self.seed, self.objections, self.last = seed, objections, last


def simulate(
    seed: int,
    furnish: Furnish = lambda addons, setting: addons,
    everything: Callable[[str], object] | None = None,
    *,
    changes_answers: bool = False,
) -> Story:
    """Play one seed to its end and judge it. `furnish` may put addons of one's own among the first-party ones.

    `changes_answers`: clients notice these addons, so what they are shown in fair weather is not compared with what
    the model server alone would answer. `everything` is called with each line of the trace.

    @raise Found: something that must never happen did.
    """
    gc.freeze()  # what is there already is not looked through for what a simulation leaves behind
    try:
        with _heard() as heard, capture_logs() as logged:
            story, objections, last = _played(seed, furnish, everything, changes_answers)
            gc.collect()
        objections += checks.coroutines()
    finally:
        gc.unfreeze()
    objections += [f"Nobody handled a failure: {line}" for line in heard]
    objections += [f"The operator's log holds what nobody may see: {line}" for line in _leaking([*logged, *heard])]
    if objections:
        raise Found(seed, tuple(dict.fromkeys(objections)), last)
    return story


def _played(
    seed: int,
    furnish: Furnish,
    everything: Callable[[str], object] | None,
    changes_answers: bool,
) -> tuple[Story, list[str], tuple[str, ...]]:
    """The story, what is wrong with it, and its last events; nothing else is left of it."""
    with _scratch() as directory:
        world = World(seed, directory, furnish, everything)
        objections: list[str] = []
        world.play(lambda: objections.extend(checks.photograph(world)))
        world.show_all_keys()
        world.close()
        objections += checks.all_of(world, changes_answers=changes_answers)
    story = Story(seed, world.trace.digest, world.trace.count, len(world.clients), world.weather.causes)
    return story, objections, world.trace.last


@contextmanager
def _scratch() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="simulation-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Failures that nobody handled: Twisted logs them when they are forgotten."""
    heard: list[str] = []

    @implementer(ILogObserver)
    def hear(event: LogEvent) -> None:
        if event.get("log_failure") is not None or event.get("isError"):
            heard.append(f"{formatEvent(event)} {event.get('log_failure', '')}")

    globalLogPublisher.addObserver(hear)
    try:
        yield heard
    finally:
        globalLogPublisher.removeObserver(hear)


def _leaking(lines: list[Any]) -> list[str]:
    return [str(line) for line in lines if checks.leaked(repr(line).encode())]
