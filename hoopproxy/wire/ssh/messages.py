"""The messages of the connection protocol (RFC 4254), read from front to back and written.

Knows no order of messages and no state.
"""

import re
import struct

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side

GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION, CHANNEL_OPEN_FAILURE = 90, 91, 92
WINDOW_ADJUST, DATA, EXTENDED_DATA, EOF, CLOSE = 93, 94, 95, 96, 97
CHANNEL_REQUEST, CHANNEL_SUCCESS, CHANNEL_FAILURE = 98, 99, 100

PROHIBITED, RESOURCE_SHORTAGE = 1, 4
"""Why a channel is not opened (RFC 4254 §5.1)."""

STDERR = 1
"""The one kind of extended data there is (RFC 4254 §5.2)."""

UINT32_MAX = 0xFFFFFFFF

_NAME = re.compile(rb"[!-~]{1,64}")


class Reader:
    """Reads the payload at `start`..`end` of `data`, behind its message number; whatever it does not hold raises
    ProtocolViolation."""

    def __init__(self, side: Side, data: bytes, start: int, end: int) -> None:
        self.side, self._data, self._start, self._at, self._end = side, data, start, start + 1, end

    @property
    def kind(self) -> int:
        """The message number."""
        return self._data[self._start]

    @property
    def payload(self) -> bytes:
        """All of it."""
        return self._data[self._start : self._end]

    def uint32(self) -> int:
        """A number."""
        return int.from_bytes(self.take(4))

    def flag(self) -> bool:
        """A boolean; whatever is not 0 is true (RFC 4251 §5)."""
        return self.take(1) != b"\0"

    def string(self) -> bytes:
        """A string of any bytes."""
        return self.take(self.uint32())

    def name(self) -> str:
        """The name of a kind of channel or request: at most 64 visible characters of ASCII (RFC 4251 §6)."""
        raw = self.string()
        if not _NAME.fullmatch(raw):
            raise self.broken("a name that is none")
        return raw.decode("ascii")

    def take(self, count: int) -> bytes:
        """So many bytes."""
        at, self._at = self._at, self._at + count
        if self._at > self._end:
            raise self.broken("fewer bytes than it announces")
        return self._data[at : self._at]

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != self._end:
            raise self.broken("more bytes than it announces")

    def broken(self, what: str) -> ProtocolViolation:
        """The error to raise."""
        return ProtocolViolation(
            self.side.value, f"A packet of the {self.side.value} is malformed: it holds {what}.", detail=f"{self.kind}"
        )


def misplaced(side: Side, kind: int, why: str) -> ProtocolViolation:
    """What that side sent does not belong here."""
    sentence = f"The {side.value} sent an SSH packet that does not belong here; it was not passed on."
    return ProtocolViolation(side.value, sentence, detail=f"message {kind}: {why}")


def string(raw: bytes) -> bytes:
    """A string as on the wire."""
    return len(raw).to_bytes(4) + raw


def _numbers(kind: int, *numbers: int) -> bytes:
    return struct.pack(f"!B{len(numbers)}I", kind, *numbers)


def request_failure() -> bytes:
    """The answer to a global request that is refused."""
    return bytes((REQUEST_FAILURE,))


def open_failure(recipient: int, reason: int, sentence: str) -> bytes:
    """The answer to a CHANNEL_OPEN that is refused."""
    return _numbers(CHANNEL_OPEN_FAILURE, recipient, reason) + string(sentence.encode()) + string(b"en")


def open_session(sender: int, window: int, packet_max: int) -> bytes:
    """A session channel is wanted."""
    return bytes((CHANNEL_OPEN,)) + string(b"session") + struct.pack("!3I", sender, window, packet_max)


def window_adjust(recipient: int, count: int) -> bytes:
    """The recipient may send so many bytes more."""
    return _numbers(WINDOW_ADJUST, recipient, count)


def output(recipient: int, code: int, data: bytes | memoryview) -> bytes:
    """Bytes of standard output (`code` 0) or of standard error."""
    if code:
        return _numbers(EXTENDED_DATA, recipient, code, len(data)) + data
    return _numbers(DATA, recipient, len(data)) + data


def end_of_file(recipient: int) -> bytes:
    """No more data."""
    return _numbers(EOF, recipient)


def close(recipient: int) -> bytes:
    """No more of anything."""
    return _numbers(CLOSE, recipient)


def channel_success(recipient: int) -> bytes:
    """The answer to a channel request that is granted."""
    return _numbers(CHANNEL_SUCCESS, recipient)


def channel_failure(recipient: int) -> bytes:
    """The answer to a channel request that is refused."""
    return _numbers(CHANNEL_FAILURE, recipient)


def exit_status(recipient: int, status: int) -> bytes:
    """What ran in the channel has ended."""
    return channel_request(recipient, "exit-status", False, status.to_bytes(4))


def channel_request(recipient: int, name: str, wants_reply: bool, rest: bytes) -> bytes:
    """A request; `rest` is what its kind adds."""
    return _numbers(CHANNEL_REQUEST, recipient) + string(name.encode()) + bytes((wants_reply,)) + rest
