"""Names the addon that keeps the loop from turning: while one of them computes, nobody's session moves.

A thread looks whether the loop's heartbeat is late and then at what the loop's thread is doing. It can't stop an addon;
it can tell the operator which one, and where in its code. Knows no role and no session.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog
from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from hoopproxy.settings import Limits

log = structlog.get_logger()

LOOKS = 4
"""Heartbeats, and looks at them, per `limits.blocking_ms_max`: what lasts longer than 1.5 times that is always seen."""


class Frame(NamedTuple):
    """One call on a stack: the module's name, its file and the line."""

    module: str
    file: str
    line: int


def stack_of(thread_id: int) -> tuple[Frame, ...]:
    """What a thread is doing right now, innermost call first; () when it is gone."""
    frames, frame = [], sys._current_frames().get(thread_id)
    while frame is not None:
        frames.append(Frame(frame.f_globals.get("__name__", ""), frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(frames)


class Watchdog(Service):
    """`modules` maps a module's name to the addon that lives in it (`registry.Addons.modules`).

    Each time the loop stands still for longer than `limits.blocking_ms_max` there is one warning, `loop-blocked`, while
    it still does, and one line, `loop-turns-again`, with the whole time, after. `addon` is None when the innermost code
    is the gateway's own.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        limits: Limits,
        modules: Mapping[str, str],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        stack: Callable[[int], Sequence[Frame]] = stack_of,
    ) -> None:
        self._modules = modules
        self._monotonic_s, self._stack = monotonic_s, stack
        self._interval_s = limits.blocking_ms_max / 1000 / LOOKS
        self._age_s_max = (
            limits.blocking_ms_max / 1000 + self._interval_s
        )  # the last beat was before the blocking began
        self._beating = LoopingCall(self.beat)
        self._beating.clock = reactor
        self._stopping = threading.Event()
        self._beaten_s, self._loop_thread = 0.0, 0
        self._is_blocked = False

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        self._loop_thread = threading.get_ident()
        self._beating.start(self._interval_s)
        self._stopping.clear()
        threading.Thread(target=self._watch, name="hoopproxy-watchdog", daemon=True).start()

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        self._stopping.set()
        self._beating.stop()

    def beat(self) -> None:
        """The loop turns. Called in its thread."""
        now_s = self._monotonic_s()
        if self._is_blocked:
            log.info("loop-turns-again", blocked_ms=round((now_s - self._beaten_s) * 1000))
        self._beaten_s, self._is_blocked = now_s, False

    def look(self) -> None:
        """Whether it does. Called in the watching thread."""
        age_s = self._monotonic_s() - self._beaten_s
        if self._is_blocked or age_s <= self._age_s_max:
            return
        stack = self._stack(self._loop_thread)
        if not stack or stack[0].module.startswith("twisted.internet."):
            return  # it waits for work: the machine, not the code, was late
        self._is_blocked = True
        culprit, addon = next(
            ((frame, addon) for frame in stack if (addon := self._addon(frame.module))), (stack[0], None)
        )
        log.warning("loop-blocked", addon=addon, where=f"{culprit.file}:{culprit.line}", blocked_ms=round(age_s * 1000))

    def _watch(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self.look()

    def _addon(self, module: str) -> str | None:
        """The addon that a module, or a package around it, belongs to."""
        while module:
            if addon := self._modules.get(module):
                return addon
            module = module.rpartition(".")[0]
        return None
