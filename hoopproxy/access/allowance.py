"""How often somebody may do something: so many times in any minute, counted for each of many.

Knows neither who they are nor what they do; time is given.
"""

from collections import deque
from collections.abc import Hashable

MINUTE_S = 60.0

KNOWN_MAX = 10_000
"""Whose last minute is kept: more than any gateway serves at once."""


class Allowance:
    """Counts. `now_s` never goes back."""

    def __init__(self) -> None:
        self._taken: dict[Hashable, deque[float]] = {}

    def take(self, who: Hashable, per_minute: int, now_s: float) -> bool:
        """Whether it is allowed once more; then it counts."""
        if len(self._taken) >= KNOWN_MAX and who not in self._taken:
            self._taken = {each: taken for each, taken in self._taken.items() if taken[-1] > now_s - MINUTE_S}
            if len(self._taken) >= KNOWN_MAX:
                return False
        taken = self._taken.setdefault(who, deque())
        while taken and taken[0] <= now_s - MINUTE_S:
            taken.popleft()
        if len(taken) >= per_minute:
            return False
        taken.append(now_s)
        return True
