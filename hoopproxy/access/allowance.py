"""How often somebody may do something: so many times in any span of time, counted for each of many.

Knows neither who they are nor what they do; time is given.
"""

from collections import deque
from collections.abc import Hashable

MINUTE_S = 60.0

KNOWN_MAX = 10_000
"""Of how many the last span is kept: more than any gateway serves at once."""


class Allowance:
    """Counts within `span_s`. `now_s` never goes back."""

    def __init__(self, span_s: float = MINUTE_S) -> None:
        self._span_s = span_s
        self._taken: dict[Hashable, deque[float]] = {}

    def take(self, who: Hashable, times_max: int, now_s: float) -> bool:
        """Whether it is allowed once more; then it counts."""
        if len(self._taken) >= KNOWN_MAX and who not in self._taken:
            self._taken = {each: taken for each, taken in self._taken.items() if taken[-1] > now_s - self._span_s}
            if len(self._taken) >= KNOWN_MAX:
                return False
        taken = self._taken.setdefault(who, deque())
        while taken and taken[0] <= now_s - self._span_s:
            taken.popleft()
        if len(taken) >= times_max:
            return False
        taken.append(now_s)
        return True

    def give_back(self, who: Hashable) -> None:
        """What was taken last does not count, after all."""
        if taken := self._taken.get(who):
            taken.pop()
            if not taken:
                del self._taken[who]
