"""How long one relayed connection may stay as it is: idle, unanswered, or with an end that takes nothing.

Knows no protocol and no socket: it is told what moves, and whose move it is.
"""

from math import inf

from hoopproxy.errors import LimitReached
from hoopproxy.model import Side
from hoopproxy.rooms import IScheduler
from hoopproxy.settings import Limits


class Pace:
    """When a connection last moved, and what it waits for.

    `is_idle`: the next move is the client's; else it is the target's, unless something is `asked` (a question to
    addons or people has its own limit).
    """

    def __init__(self, limits: Limits, scheduler: IScheduler) -> None:
        self._limits, self._now_s = limits, scheduler.monotonic_s
        self._moved_s = self._now_s()
        self._writing_since_s: dict[Side, float] = {}
        self._soonest_s = min(limits.idle_s_max, limits.stalled_s_max, limits.answer_s_max or inf)
        self._heading_since_s = inf
        self.is_idle = True
        self.asked = 0

    def moved(self) -> float:
        """Something was read, or answered; when that was, by the scheduler's monotonic clock."""
        self._moved_s = self._now_s()
        return self._moved_s

    def writes(self, side: Side) -> None:
        """Something is written to this side, which may take its time."""
        self._writing_since_s[side] = self._now_s()

    def wrote(self, side: Side) -> None:
        """It took it."""
        del self._writing_since_s[side]
        self.moved()

    def heads(self, is_heading: bool) -> None:
        """Whether the client has begun what must come as a whole."""
        if not is_heading:
            self._heading_since_s = inf
        elif self._heading_since_s == inf:
            self._heading_since_s = self._now_s()

    def head_left_s(self) -> float:
        """Seconds that the client has left for what it has begun, however slowly it comes; infinite for nothing."""
        return self._heading_since_s + self._limits.head_s_max - self._now_s()

    def headed_too_long(self) -> LimitReached:
        """It took longer."""
        return LimitReached(_HEADING.format(f"{self._limits.head_s_max:g} s"), limit="limits.head_s_max")

    def left_s(self) -> float:
        """Seconds until it has to be asked again; whatever begins in the meantime is not over before.

        @raise LimitReached: it has been like this for too long.
        """
        limits = self._limits
        left_s = self._soonest_s
        for side, since_s in self._writing_since_s.items():
            left_s = min(left_s, self._left_s("stalled_s_max", limits.stalled_s_max, since_s, _STALLED[side]))
        if self._writing_since_s or self.asked:
            return left_s
        if self.is_idle:
            return min(left_s, self._left_s("idle_s_max", limits.idle_s_max, self._moved_s, _IDLE))
        if limits.answer_s_max:
            return min(left_s, self._left_s("answer_s_max", limits.answer_s_max, self._moved_s, _UNANSWERED))
        return left_s

    def _left_s(self, key: str, limit_s: float, since_s: float, sentence: str) -> float:
        left_s = since_s + limit_s - self._now_s()
        if left_s <= 0:
            raise LimitReached(sentence.format(f"{limit_s:g} s"), limit=f"limits.{key}")
        return left_s


_IDLE = "Your session was idle for {} and was closed; connect again."
_UNANSWERED = (
    "The target sent nothing for {} though it owes you an answer, and your session was closed; ask for less at once, "
    "or ask the operator of the gateway for more time."
)
_HEADING = "Your client began a request and did not finish its head within {}; connect again, and send it at once."
_STALLED = {
    Side.CLIENT: "Your client took nothing of its answer for {} and was cut off; read faster, or ask for less at once.",
    Side.SERVER: "The target took nothing of what you sent for {}, and your session was closed; try again later.",
}
