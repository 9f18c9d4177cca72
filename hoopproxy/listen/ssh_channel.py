"""What an SSH client forwards (`ssh -L`): each of its channels to another target is a client connection of its own.

The gateway ends these channels itself, and `adopt` has them served like any other connection, with their own verdict,
lease and recording. What windows and messages mean is `wire.ssh.stream`'s; knows no transport.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

from twisted.internet.defer import Deferred
from zope.interface import implementer

from hoopproxy.errors import (
    BrokenOff,
    LimitReached,
    Refused,
    Revoked,
    SessionError,
    UpstreamRefused,
    UpstreamUnreachable,
)
from hoopproxy.model import Arrival, Credentials, Passage, Permit, Side
from hoopproxy.proofs import Secret
from hoopproxy.rooms import IFrontend, IPeer, IScheduler, ISignal
from hoopproxy.settings import Limits
from hoopproxy.wire.ssh.channels import OWN_NUMBERS_FROM
from hoopproxy.wire.ssh.messages import PROHIBITED, RESOURCE_SHORTAGE, misplaced
from hoopproxy.wire.ssh.packets import framed
from hoopproxy.wire.ssh.stream import CONNECT_FAILED, Opening, Stream, addressee

WINDOW_BYTES_MIN, WINDOW_BYTES_MAX = 131_072, 2_097_152
"""Of one channel; OpenSSH's own is the largest."""

HELD_BYTES_MAX = 16_777_216
"""What all channels of a client may hold together, before new ones get no more than the smallest window."""

UNTAKEN_MAX = 1024
"""Answers that may wait for a client to take them."""

_PLACE = re.compile(r"\[?[A-Za-z0-9._:-]{1,253}\]?:[0-9]{1,5}")
"""What may go into a log: all that a host or the name of a target may be (RFC 1123 §2.1)."""

type Send = Callable[[bytes], Awaitable[None]]
"""Gives the client framed payloads; returns when there is room for more. Never raises."""


class Children:
    """The forwarded channels of one SSH client. `permit` is that of the session that they come through."""

    def __init__(
        self,
        send: Send,
        arrival: Arrival,
        permit: Permit,
        adopt: Callable[[IFrontend], None],
        limits: Limits,
        scheduler: IScheduler,
    ) -> None:
        self._send, self._arrival, self._adopt = send, arrival, adopt
        self.permit, self.are_gone = permit, False
        self._limits, self._scheduler = limits, scheduler
        self._channels: dict[int, ChannelFrontend] = {}
        self._next_number = OWN_NUMBERS_FROM
        self._untaken = 0

    def open(self, payload: bytes) -> None:
        """The client wants a `direct-tcpip` channel, and no guard has refused it. @raise ProtocolViolation."""
        opening = Opening.read(payload)
        stream, self._next_number = Stream(opening, self._next_number, self._window()), self._next_number + 1
        if len(self._channels) >= self._limits.channels_max:
            sentence = (
                f"You forward {len(self._channels)} channels at once, and more are not allowed "
                "(limits.channels_max); close one and try again."
            )
            self.say(stream.decline(RESOURCE_SHORTAGE, sentence))
            return
        arrival = replace(
            self._arrival,
            connection_id=secrets.token_hex(8),
            protocol="tcp",
            at_s=self._scheduler.now_s(),
            parent=self.permit.session_id,
        )
        channel = self._channels[stream.number] = ChannelFrontend(
            arrival, opening, stream, self, self._limits.chunk_bytes_max
        )
        self._adopt(channel)

    def take(self, payload: bytes) -> bool:
        """Whether what the client sent was for one of these channels, and was dealt with. @raise ProtocolViolation."""
        number = addressee(payload)
        if number < OWN_NUMBERS_FROM:
            return False
        if number not in self._channels:
            raise misplaced(Side.CLIENT, payload[0], "its channel is not open")
        self._channels[number].take(payload)
        if self._untaken > UNTAKEN_MAX:
            raise misplaced(Side.CLIENT, payload[0], "it asks without end and takes no answer")
        return True

    def close(self) -> None:
        """The client is gone, or to go: so are its channels."""
        self.are_gone = True
        for channel in tuple(self._channels.values()):
            channel.leave()
        self._channels.clear()

    # What its channels call -------------------------------------------------------------------------------------------

    async def send(self, payload: bytes) -> None:
        """Returns when there is room for more."""
        if payload and not self.are_gone:
            await self._send(framed(payload))

    def say(self, payload: bytes) -> None:
        """Without waiting for room."""
        self._untaken += 1
        Deferred.fromCoroutine(self.send(payload)).addCallback(self._taken)

    def _taken(self, _: None) -> None:
        self._untaken -= 1

    def forget(self, stream: Stream) -> None:
        """Its number stands for nothing any more, if both sides took their leave."""
        if stream.is_over:
            self._channels.pop(stream.number, None)

    def signal(self) -> ISignal:
        """A new one."""
        return self._scheduler.signal()

    def _window(self) -> int:
        """A quarter of what is left, so that few channels are fast and many can't fill the memory."""
        left = HELD_BYTES_MAX - sum(channel.window for channel in self._channels.values())
        return min(max(left // 4, WINDOW_BYTES_MIN), WINDOW_BYTES_MAX)


@implementer(IFrontend)
class ChannelFrontend:
    """One forwarded channel as a client connection; its target is what the client called `HOST PORT`."""

    side = Side.CLIENT
    handshake_limit = "handshake_s_max"

    def __init__(
        self, arrival: Arrival, opening: Opening, stream: Stream, siblings: Children, chunk_bytes_max: int
    ) -> None:
        self.arrival = arrival
        self.lost = siblings.signal()
        self._opening, self._stream, self._siblings = opening, stream, siblings
        self._chunk_bytes_max = chunk_bytes_max
        self._unread = bytearray()
        self._changed = siblings.signal()

    @property
    def window(self) -> int:
        """The most that it holds, bytes."""
        return self._stream.window

    async def credentials(self) -> Credentials | None:
        place = self._opening.place
        if not _PLACE.fullmatch(place):
            raise Refused("What your client forwards to is no host; name a target or its host.", reason="target")
        return Credentials(place, account="", database="", secret=Secret(""), parent=self._siblings.permit)

    def again(self, why: Exception) -> bool:
        return False

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        if self._siblings.are_gone:
            raise Revoked("The session that this channel belongs to has ended.")
        await self._siblings.send(self._stream.confirm())

    def inform(self, sentence: str, words: bytes = b"") -> None:
        """Nothing: what comes out of such a channel is the target's alone."""

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        if isinstance(why, SessionError) and not self._stream.is_confirmed:
            reason = next((reason for kind, reason in _REASONS if isinstance(why, kind)), PROHIBITED)
            self._siblings.say(self._stream.decline(reason, f"{why.sentence} (session {session_id})"))

    async def read(self) -> bytes:
        while not self._unread and self._stream.speaks:
            await self._changed.wait()
        if not self._unread and self._stream.is_broken:
            raise BrokenOff("The client closed its channel amid what it sent.")
        data = bytes(self._unread[: self._chunk_bytes_max])
        del self._unread[: len(data)]
        await self._siblings.send(self._stream.took(len(data)))
        return data

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and self._stream.hears:
            if room := self._stream.may_send:
                await self._siblings.send(self._stream.data(bytes(rest[:room])))
                rest = rest[room:]
            else:
                await self._changed.wait()

    async def end(self) -> None:
        await self._siblings.send(self._stream.end())

    def close(self) -> None:
        self._siblings.say(self._stream.close())
        self._siblings.forget(self._stream)
        self._part()

    def dismiss(self) -> None:
        self.close()

    def abort(self) -> None:
        self.close()

    # What the client does ---------------------------------------------------------------------------------------------

    def take(self, payload: bytes) -> None:
        """It sent this on the channel. @raise ProtocolViolation."""
        data, answer = self._stream.take(payload)
        self._unread += data
        if self._stream.has_left:  # what it sent before still goes on
            self._siblings.forget(self._stream)
            self.lost.set()
        self._wake()
        self._siblings.say(answer)

    def leave(self) -> None:
        """It went without a farewell, and with all its channels."""
        self._stream.leave()
        self._part()

    def _part(self) -> None:
        self._unread.clear()
        self.lost.set()
        self._wake()

    def _wake(self) -> None:
        """Something may be read now, or written, or never will."""
        self._changed, changed = self._siblings.signal(), self._changed
        changed.set()


_REASONS: tuple[tuple[type[SessionError], int], ...] = (
    (UpstreamUnreachable, CONNECT_FAILED),
    (UpstreamRefused, CONNECT_FAILED),
    (LimitReached, RESOURCE_SHORTAGE),
)
"""Of a channel that does not open, by what went wrong; everything else is a prohibition."""
