"""The cancel keys that a listener gave its clients, and whom each of them may interrupt.

The keys are ours and random: a target's own key never leaves the gateway. Each is one connection's, so one session's
and one person's. It is worth nothing on another listener, or once that connection is over. Knows no socket.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import NamedTuple


class CancelKey(NamedTuple):
    """What a client shows on a connection of its own to have its statement stopped."""

    process_id: int
    key: bytes


class Cancels:
    """The live keys of one listener."""

    def __init__(self) -> None:
        self._live: dict[int, tuple[bytes, Callable[[], Awaitable[None]]]] = {}

    def give(self, interrupt: Callable[[], Awaitable[None]], key_bytes: int) -> CancelKey:
        """A new key for one connection: `interrupt` stops its statement. Its process id is random, too: 31 bits more to
        guess."""
        process_id = secrets.randbelow(2**31 - 1) + 1
        while process_id in self._live:
            process_id = secrets.randbelow(2**31 - 1) + 1
        key = CancelKey(process_id, secrets.token_bytes(key_bytes))
        self._live[process_id] = key.key, interrupt
        return key

    def take_back(self, key: CancelKey) -> None:
        """The connection is over; its key is worth nothing any more."""
        self._live.pop(key.process_id, None)

    async def use(self, shown: CancelKey) -> None:
        """Interrupt whom the key belongs to. A wrong key does nothing, and says nothing."""
        key, interrupt = self._live.get(shown.process_id, (bytes(len(shown.key)), None))
        is_the_same = hmac.compare_digest(key, shown.key)
        if is_the_same and interrupt is not None:
            await interrupt()
