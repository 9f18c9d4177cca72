"""First come, first served, for coroutines: keeps the bytes of two loops in the order in which a machine made them.

Knows nothing of what is done in a turn.
"""

from hoopproxy.rooms import IScheduler, ISignal


class Turns:
    """A queue for one doorway. `take` is called at once, in order; the turn itself may come later."""

    def __init__(self, scheduler: IScheduler) -> None:
        self._scheduler = scheduler
        self._last: ISignal | None = None

    def take(self) -> "Turn":
        """A place in the queue."""
        before, mine = self._last, self._scheduler.signal()
        self._last = mine
        return Turn(self, before, mine)

    def left(self, mine: ISignal) -> None:
        """A turn is over; an empty queue costs the next one nothing."""
        mine.set()
        if self._last is mine:
            self._last = None


class Turn:
    """One place in the queue: `async with` waits for it and hands on to the next, whatever happens inside."""

    def __init__(self, turns: Turns, before: ISignal | None, mine: ISignal) -> None:
        self._turns, self._before, self._mine = turns, before, mine

    async def __aenter__(self) -> None:
        if self._before is not None:
            try:
                await self._before.wait()
            except BaseException:
                self._turns.left(self._mine)
                raise

    async def __aexit__(self, *_: object) -> None:
        self._turns.left(self._mine)
