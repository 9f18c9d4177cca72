"""How leaves lie in a segment of the log: frames of one write each, then zeros.

Pure: bytes in, frames out. Knows neither what leaves say nor where segments are kept. A frame is one write that was
synced as a whole before the next began, so a torn one can only be the last thing that was written.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAGIC = b"\xf7hl1"
"""Begins a frame. 0xF7 occurs in no UTF-8 text (RFC 3629 §1), so no leaf can look like one."""

_HEADER = struct.Struct(">4sIQ32s")
HEADER_BYTES = _HEADER.size


class FramesBroken(Exception):
    """Something that is no frame stands before one: it was changed after it was written. `offset` is where."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"byte {offset} begins no frame, and frames follow")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Frame:
    """The leaves of one write, from byte `start` to before `end`; `first` is the index of the first leaf."""

    start: int
    end: int
    first: int
    leaves: tuple[bytes, ...]


def framed(first: int, leaves: Sequence[bytes]) -> bytes:
    """A frame: magic, length of the body, index of its first leaf, SHA-256 over these and the body; then one leaf a
    line. Leaves are JSON, which has no raw line end."""
    body = b"".join(leaf + b"\n" for leaf in leaves)
    return _HEADER.pack(MAGIC, len(body), first, _digest(len(body), first, body)) + body


def frames(data: bytes) -> Iterator[Frame]:
    """The frames at the start of `data`, up to the first byte that begins none. @raise FramesBroken."""
    offset = 0
    while (frame := _frame_at(data, offset)) is not None:
        yield frame
        offset = frame.end
    found = offset
    while (found := data.find(MAGIC, found + 1)) != -1:
        if _frame_at(data, found) is not None:
            raise FramesBroken(offset)


def residue(data: bytes, end: int) -> int:
    """How many bytes behind `end` were written at all: 0 when only zeros follow."""
    return len(data[end:].rstrip(b"\0"))


def _frame_at(data: bytes, offset: int) -> Frame | None:
    if len(data) - offset < HEADER_BYTES:
        return None
    magic, length, first, digest = _HEADER.unpack_from(data, offset)
    start, end = offset + HEADER_BYTES, offset + HEADER_BYTES + length
    if magic != MAGIC or end > len(data):
        return None
    body = data[start:end]
    if digest != _digest(length, first, body) or not body.endswith(b"\n"):
        return None
    return Frame(offset, end, first, tuple(body[:-1].split(b"\n")))


def _digest(length: int, first: int, body: bytes) -> bytes:
    return hashlib.sha256(MAGIC + length.to_bytes(4) + first.to_bytes(8) + body).digest()
