"""Which channels hold an unfinished line, and for how long they may.

Knows no clock: it tells how long a pause is, and counts what else came meanwhile. A stream has paused, too, when so
much of others went past it: a prompt does not wait for the end of a transfer beside it. A server that may not send has
not paused.
"""

from collections.abc import Callable

from hoopproxy.wire.lines import HOLD_S, TERMINAL_HOLD_S
from hoopproxy.wire.ssh.channels import Channel

PASSED_OVER_MAX = 64
"""Packets of output: an SSH server with several streams under way sends of each in turn."""


class Holding:
    """Channels that hold something, and when their output was last touched."""

    def __init__(self) -> None:
        self._touched: dict[Channel, int] = {}
        self._packets = 0

    def touched(self, channel: Channel) -> None:
        """A packet of output came."""
        self._packets += 1
        if channel.output.held_bytes:
            self._touched[channel] = self._packets
        else:
            self._touched.pop(channel, None)

    def passed_over(self) -> list[Channel]:
        """Those that were passed over too often; they are held no longer."""
        return self._taken(lambda packets: self._packets - packets >= PASSED_OVER_MAX)

    def paused(self) -> list[Channel]:
        """All whose server paused; they are held no longer."""
        return self._taken(lambda _: True)

    @property
    def hold_s(self) -> float:
        """How long nothing may come until what is held is to be shown; 0: nothing is held."""
        return min((_hold_s(channel) for channel in self._touched if channel.output.held_bytes), default=0.0)

    def _taken(self, is_over: Callable[[int], bool]) -> list[Channel]:
        taken = [each for each, packets in self._touched.items() if is_over(packets) and not _is_blocked(each)]
        for channel in taken:
            del self._touched[channel]
        return taken


def _is_blocked(channel: Channel) -> bool:
    return channel.output.held_bytes > 0 and not channel.output.granted


def _hold_s(channel: Channel) -> float:
    return TERMINAL_HOLD_S if channel.terminal and not _is_blocked(channel) else HOLD_S
