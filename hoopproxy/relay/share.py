"""A fair share of the loop: whoever has much to do does it in portions, between which all others have their turn.

Knows nothing of what is done.
"""

from hoopproxy.rooms import IScheduler
from hoopproxy.settings import Limits


class Share:
    """What one direction of one connection may compute in a turn of the loop: `limits.turn_ms_max`."""

    def __init__(self, limits: Limits, scheduler: IScheduler) -> None:
        self._scheduler, self._turn_s = scheduler, limits.turn_ms_max / 1000
        self._until_s = 0.0

    def begin(self, now_s: float) -> None:
        """Its turn begins, by the scheduler's monotonic clock."""
        self._until_s = now_s + self._turn_s

    async def go_on(self) -> None:
        """Returns at once while the turn lasts, and then in the next one."""
        if self._scheduler.monotonic_s() >= self._until_s:
            await self._scheduler.sleep(0)
            self.begin(self._scheduler.monotonic_s())
