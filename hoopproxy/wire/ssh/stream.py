"""A channel that the gateway itself ends, such as one that a client forwards: windows, ends and farewell (RFC 4254 §5).

A machine without I/O for one `direct-tcpip` channel. Knows not where its bytes go, and nothing of other channels.
"""

import struct
from dataclasses import dataclass

from hoopproxy.model import Side
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.messages import Reader, misplaced

CONNECT_FAILED = 2
"""Why a channel does not open, beside those in `messages` (RFC 4254 §5.1)."""

PACKET_BYTES_MAX = 32_768
"""The most data that one message carries, in either direction: what every implementation takes (RFC 4253 §6.1)."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A client's wish for a `direct-tcpip` channel (RFC 4254 §7.2): its number for it, how much it takes, and whither.

    Where the client says that it comes from is its own word, and nobody's business.
    """

    number: int
    window: int
    packet_bytes_max: int
    host: str
    port: int

    @property
    def place(self) -> str:
        """`HOST:PORT`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def read(cls, payload: bytes) -> "Opening":
        """@raise ProtocolViolation: it is none."""
        reader = _reader(payload)
        if reader.kind != messages.CHANNEL_OPEN or reader.name() != "direct-tcpip":
            raise reader.broken("another wish")
        number, window, packet_bytes_max = reader.uint32(), reader.uint32(), reader.uint32()
        host, port = reader.string(), reader.uint32()
        reader.string()
        reader.uint32()
        reader.end()
        if not packet_bytes_max:
            raise reader.broken("a channel that can carry nothing")
        return cls(number, window, packet_bytes_max, host.decode("ascii", "backslashreplace"), port)


class Stream:
    """One channel, `number` on our side, with at most `window` bytes that the client has sent and nobody took.

    What methods answer are payloads for the client, b"" where there is nothing to say. `has_left` means that the client
    took its leave; `is_broken`, that it did so without an end to what it sent: whoever takes that for the whole is
    mistaken.
    """

    def __init__(self, opening: Opening, number: int, window: int) -> None:
        self.number, self.window = number, window
        self.is_confirmed = self.has_left = self.is_broken = False
        self._theirs, self._packet_bytes_max = opening.number, min(opening.packet_bytes_max, PACKET_BYTES_MAX)
        self._may_send, self._may_come, self._taken = opening.window, window, 0
        self._has_ended = self._is_ended = self._is_closed = False

    @property
    def speaks(self) -> bool:
        """Whether the client may have more to say, and we listen."""
        return not (self._has_ended or self.has_left or self._is_closed)

    @property
    def hears(self) -> bool:
        """Whether the client listens, and we may have more to say."""
        return not (self._is_ended or self.has_left or self._is_closed)

    @property
    def may_send(self) -> int:
        """At most so many bytes may `data` have now."""
        return min(self._may_send, self._packet_bytes_max) if self.hears else 0

    @property
    def is_over(self) -> bool:
        """Both sides took their leave, or it never opened: its number stands for nothing any more."""
        return self._is_closed and (self.has_left or not self.is_confirmed)

    # What the gateway says --------------------------------------------------------------------------------------------

    def confirm(self) -> bytes:
        """It is open."""
        self.is_confirmed = True
        numbers = self._theirs, self.number, self.window, PACKET_BYTES_MAX
        return struct.pack("!BIIII", messages.CHANNEL_OPEN_CONFIRMATION, *numbers)

    def decline(self, reason: int, sentence: str) -> bytes:
        """It does not open."""
        self._is_closed = True
        return messages.open_failure(self._theirs, reason, sentence)

    def data(self, data: bytes) -> bytes:
        """1 to `may_send` bytes."""
        assert 0 < len(data) <= self.may_send
        self._may_send -= len(data)
        return messages.output(self._theirs, 0, data)

    def took(self, count: int) -> bytes:
        """So many of the client's bytes went on: room for more, told once it is worth a message."""
        self._taken += count
        if not self.speaks or self._taken < self.window // 2:
            return b""
        count, self._taken = self._taken, 0
        self._may_come += count
        return messages.window_adjust(self._theirs, count)

    def end(self) -> bytes:
        """We send no more."""
        if not (self.is_confirmed and self.hears):
            return b""
        self._is_ended = True
        return messages.end_of_file(self._theirs)

    def close(self) -> bytes:
        """We send no more, and hear no more either."""
        if self._is_closed:
            return b""
        self._is_closed = True
        return messages.close(self._theirs) if self.is_confirmed else b""

    def leave(self) -> None:
        """The client is gone without a farewell."""
        self.has_left = self.is_broken = True

    # What the client says ---------------------------------------------------------------------------------------------

    def take(self, payload: bytes) -> tuple[bytes, bytes]:
        """One message on this channel: the data in it, and what is to be answered. @raise ProtocolViolation."""
        reader, data, answer = _reader(payload), b"", b""
        if not self.is_confirmed or self.has_left:
            raise misplaced(Side.CLIENT, reader.kind, "its channel is not open")
        reader.uint32()
        match reader.kind:
            case messages.DATA:
                data = self._received(reader)
            case messages.WINDOW_ADJUST:
                self._may_send += reader.uint32()
                if self._may_send > messages.UINT32_MAX:
                    raise reader.broken("more room than a channel can have")
            case messages.EOF:
                self._has_ended = True
            case messages.CLOSE:
                self.has_left, self.is_broken = True, not self._has_ended
            case messages.CHANNEL_REQUEST:  # nothing can be asked of such a channel
                reader.name()
                if reader.flag() and not self._is_closed:
                    answer = messages.channel_failure(self._theirs)
                return data, answer
            case kind:
                raise misplaced(Side.CLIENT, kind, "its channel is one that is forwarded")
        reader.end()
        return data, answer

    def _received(self, reader: Reader) -> bytes:
        data = reader.string()
        self._may_come -= len(data)
        if self._has_ended or self._may_come < 0 or len(data) > PACKET_BYTES_MAX:
            raise reader.broken("data for which there is no room")
        return b"" if self._is_closed else data


def addressee(payload: bytes) -> int:
    """On which of the hearer's channels a message is, by its number there; -1: on none (RFC 4254 §5).

    @raise ProtocolViolation: it ends before its number.
    """
    reader = _reader(payload)
    is_on_one = messages.CHANNEL_OPEN_CONFIRMATION <= reader.kind <= messages.CHANNEL_FAILURE
    return reader.uint32() if is_on_one else -1


def _reader(payload: bytes) -> Reader:
    return Reader(Side.CLIENT, payload, 0, len(payload))
