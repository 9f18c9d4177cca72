"""The channels of one connection, each known by two numbers: the one that its client chose and the server's.

Knows what a channel's state is, and no message that changes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Closed
from hoopproxy.model import Side
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.draft import Draft
from hoopproxy.wire.ssh.messages import UINT32_MAX, misplaced
from hoopproxy.wire.ssh.output import Output
from hoopproxy.wire.ssh.owed import Owed
from hoopproxy.wire.ssh.requests import Tty
from hoopproxy.wire.ssh.sftp import Sftp

OWN_NUMBERS_FROM = 1 << 31
"""The numbers of channels that the gateway itself ends, such as forwarded ones: no server's number is as high."""

FAILED = 1
"""The exit status of what the gateway did not let run, or ended."""

UNTOLD_MAX = 8
"""Sentences that wait for a channel to be shown in."""


@dataclass(slots=True, eq=False)
class Opening:
    """A session channel that the server was asked for."""

    number: int
    statement: int
    window: int
    packet_max: int


@dataclass(slots=True)
class End:
    """What one end of a channel has said for the last time."""

    number: int
    has_ended: bool = False
    has_closed: bool = False


@dataclass(slots=True)
class Run:
    """What runs in a channel; the records of its `sftp` take the place of the bytes themselves."""

    statement: int
    sftp: Sftp | None = None


@dataclass(slots=True, eq=False)
class Channel:
    """An open session channel. The client may send `room` bytes more, at most `packet_max` at once.

    `opened` is the statement that asked for it, `terminal` what statement `terminal_from` gave it. `is_refused`: what
    it was to run was refused, and the gateway will close it. `is_cut`: it did, towards both ends, and takes no notice
    of what they go on to say in it.
    """

    client: End
    server: End
    output: Output
    room: int
    packet_max: int
    opened: int
    run: Run | None = None
    terminal: Tty | None = None
    terminal_from: int = 0
    is_refused: bool = False
    is_cut: bool = False

    @property
    def number(self) -> int:
        """By which the gateway knows it."""
        return self.client.number

    @property
    def statement(self) -> int:
        """Whose the output is: what runs, or else what opened the channel."""
        return self.run.statement if self.run else self.opened

    def widen(self, count: int) -> None:
        """The server grants so much. @raise ProtocolViolation."""
        self.room += count
        if self.room > UINT32_MAX:
            raise ProtocolViolation(Side.SERVER.value, "A window was opened wider than SSH allows.")

    def end(self, side: Side) -> End:
        """Its end at that side."""
        return self.client if side is Side.CLIENT else self.server

    @property
    def is_closing(self) -> bool:
        """Whether either end, or the gateway, closed it."""
        return self.is_cut or self.client.has_closed or self.server.has_closed

    def cut(self, sentence: str, draft: Draft) -> None:
        """End it in the place of the target: what it ran failed with a sentence."""
        if not self.is_closing:
            self.is_cut, self.output.lines = True, {}
            self.output.say(words(sentence), draft)
            self.output.end(messages.exit_status(self.client.number, FAILED), draft)
            self.output.end(messages.close(self.client.number), draft)
            draft.server.say(messages.close(self.server.number))


def words(sentence: str) -> bytes:
    """A sentence as it stands out on a terminal, wherever the cursor is."""
    return f"\r\nhoopproxy: {sentence}\r\n".encode()


@dataclass(slots=True)
class Channels:
    """All of them. `owed` holds what each side waits for."""

    opening: dict[int, Opening] = field(default_factory=dict)
    by_client: dict[int, Channel] = field(default_factory=dict)
    by_server: dict[int, Channel] = field(default_factory=dict)
    owed: dict[Side, Owed] = field(default_factory=lambda: {side: Owed(side) for side in Side})
    _untold: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.opening) + len(self.by_client)

    def __iter__(self) -> Iterator[Channel]:
        return iter(self.by_client.values())

    def find(self, sender: Side, number: int, kind: int) -> Channel:
        """The channel that `sender` means by the number of its other end. @raise ProtocolViolation: it means none."""
        channel = (self.by_server if sender is Side.CLIENT else self.by_client).get(number)
        if channel is None:
            raise misplaced(sender, kind, f"channel {number} is not open")
        if channel.end(sender).has_closed:
            raise misplaced(sender, kind, f"channel {number} was closed by the same side")
        return channel

    def opened(self, channel: Channel, draft: Draft) -> None:
        """The server confirmed it."""
        self.by_client[channel.client.number] = self.by_server[channel.server.number] = channel
        for sentence in self._untold:
            channel.output.say(words(sentence), draft)
        self._untold.clear()

    def closed(self, side: Side, channel: Channel, draft: Draft) -> None:
        """That side closed it, and will say no more in it; when both have, its numbers are free again."""
        channel.end(side).has_closed = True
        if not (channel.client.has_closed and channel.server.has_closed):
            return
        self.over(channel, draft)
        del self.by_client[channel.client.number], self.by_server[channel.server.number]
        for owed in self.owed.values():
            owed.forget(channel.number)

    def over(self, channel: Channel, draft: Draft) -> None:
        """Nothing runs in it any more."""
        if channel.run is None:
            return
        if channel.run.sftp is not None:
            for record in channel.run.sftp.end():
                draft.note(record)
        draft.note(Closed(channel.run.statement))
        channel.run = None

    def tell(self, sentence: str, draft: Draft) -> None:
        """Show a sentence that belongs to no channel: in one that is open, or in the next one."""
        for channel in self:
            if channel.output.takes(words(sentence)):
                channel.output.say(words(sentence), draft)
                return
        if len(self._untold) < UNTOLD_MAX and sentence not in self._untold:
            self._untold.append(sentence)
