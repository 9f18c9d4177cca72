"""A step in the making: what one `feed` or `resume` collects before it is handed out.

Knows no protocol.
"""

import sys

from hoopproxy.events import Ask, Record, Step
from hoopproxy.model import Side


class Draft:
    """Collects bytes for both ends, and records, in order; of `messages_max` messages at most. `is_full`: of all."""

    def __init__(self, messages_max: int = sys.maxsize) -> None:
        self.to_client: list[bytes] = []
        self.to_server: list[bytes] = []
        self.records: list[Record] = []
        self.is_full = False
        self._messages_left = messages_max

    def takes_one(self) -> bool:
        """Whether another message fits in; to be asked before each."""
        self.is_full = not self._messages_left
        self._messages_left -= 1
        return not self.is_full

    def step(
        self,
        ask: Ask | None,
        pause: frozenset[Side],
        ended: bool,
        is_amid: bool,
        is_idle: bool,
        is_at_rest: bool,
        interrupts: bool,
    ) -> Step:
        """The finished step."""
        return Step(
            to_client=b"".join(self.to_client),
            to_server=b"".join(self.to_server),
            records=tuple(self.records),
            ask=ask,
            more=self.is_full,
            pause=pause,
            ended=ended,
            is_amid=is_amid,
            is_idle=is_idle,
            is_at_rest=is_at_rest,
            interrupts=interrupts,
        )
