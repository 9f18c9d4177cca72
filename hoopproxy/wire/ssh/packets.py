"""How packets of the connection protocol cross the house: each as its length and its payload, one behind the other.

The two transports take them out of their encryption and put them back; between them this is a byte stream like any
other, however it is cut. A payload is what RFC 4253 §6 calls one: its first byte is the message number.
"""

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side

LENGTH_BYTES = 4

PAYLOAD_BYTES_MAX = 262_144
"""OpenSSH takes packets of up to 256 KiB (PACKET_MAX_SIZE of its packet.h), and all others smaller ones."""


def framed(payload: bytes) -> bytes:
    """One payload as it crosses."""
    return len(payload).to_bytes(LENGTH_BYTES) + payload


class Splitter:
    """Payloads out of what one side gives."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._buffer = bytearray()

    def append(self, data: bytes) -> None:
        """More bytes."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole payload, 1 to `PAYLOAD_BYTES_MAX` bytes; None: more is needed. @raise ProtocolViolation."""
        if len(self._buffer) < LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[:LENGTH_BYTES])
        if not 0 < length <= PAYLOAD_BYTES_MAX:
            raise ProtocolViolation(self._side.value, "A packet is longer than any SSH packet may be.")
        end = LENGTH_BYTES + length
        if len(self._buffer) < end:
            return None
        payload = bytes(memoryview(self._buffer)[LENGTH_BYTES:end])
        del self._buffer[:end]
        return payload

    @property
    def is_amid(self) -> bool:
        """Whether a part of a payload lies there."""
        return bool(self._buffer)
