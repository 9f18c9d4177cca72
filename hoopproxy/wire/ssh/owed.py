"""The answers that one side waits for, in order: some the other side gives, some the gateway gives in its place.

RFC 4254 numbers no request: answers are told apart by their order alone, within each channel and among global requests.
Knows no message.
"""

from collections import deque
from collections.abc import Callable

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.wire.ssh.draft import Draft

GLOBAL = -1
"""Stands for the connection where a channel's number stands else."""

type Answer = Callable[[Draft], None]
"""Gives an answer of the gateway's own when it is due."""


class Owed:
    """What `side` waits for, by channel (by the client's number, on both sides). `count`: how much of it in all."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._queues: dict[int, deque[int | Answer]] = {}
        self.count = 0

    def expect(self, channel: int, number: int = 0) -> None:
        """The other side will answer. `number` is that of the statement, 0 for none."""
        self._queues.setdefault(channel, deque()).append(number)
        self.count += 1

    def owe(self, channel: int, answer: Answer, draft: Draft) -> None:
        """Answer in the other side's place, at once if nothing is owed before."""
        queue = self._queues.get(channel)
        if queue is None:
            answer(draft)
        else:
            queue.append(answer)
            self.count += 1

    def answered(self, channel: int) -> int:
        """The other side answers: the statement's number. `go_on` is to be called next. @raise ProtocolViolation."""
        queue = self._queues.get(channel)
        if queue is None:
            raise ProtocolViolation(self._side.other.value, "An SSH packet answers what nobody asked.")
        number = queue.popleft()
        assert isinstance(number, int)  # the gateway's own do not wait for anything at the head
        self.count -= 1
        return number

    def go_on(self, channel: int, draft: Draft) -> None:
        """Give the gateway's own answers that come next."""
        queue = self._queues[channel]
        while queue and not isinstance(answer := queue[0], int):
            queue.popleft()
            self.count -= 1
            answer(draft)
        if not queue:
            del self._queues[channel]

    def forget(self, channel: int) -> None:
        """That channel is closed: nothing of it is answered any more."""
        self.count -= len(self._queues.pop(channel, ()))
