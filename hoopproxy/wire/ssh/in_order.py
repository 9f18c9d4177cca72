"""SHA-256 of a file's bytes by their place in the file, whatever order a few of them come in.

Knows no protocol: somebody says which bytes lie where.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

PIECE_BYTES = 128
"""What a piece that waits costs besides its bytes."""


@dataclass(slots=True)
class Room:
    """Bytes that may wait for those before them, in all files that share this."""

    left: int


class InOrder:
    """The digest of one file's bytes, beginning wherever the first of them lies."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._digest: Any = hashlib.sha256()
        self._next: int | None = None
        self._early: dict[int, bytes] = {}
        self._is_broken = False

    def begin(self, offset: int) -> None:
        """The first byte that is asked for lies at `offset`; what is said later is the same file's rest."""
        if self._next is None:
            self._next = offset

    def add(self, offset: int, data: memoryview) -> None:
        """These bytes lie at `offset`. Gaps are waited for as long as there is room; a repetition ends the digest."""
        self.begin(offset)
        if self._is_broken or not data:
            return
        if offset == self._next:
            self._digest.update(data)
            self._next = offset + len(data)
            while (piece := self._early.pop(self._next, None)) is not None:
                self._room.left += PIECE_BYTES + len(piece)
                self._digest.update(piece)
                self._next += len(piece)
        elif offset > (self._next or 0) and offset not in self._early and PIECE_BYTES + len(data) <= self._room.left:
            self._room.left -= PIECE_BYTES + len(data)
            self._early[offset] = bytes(data)
        else:
            self.spoil()

    def spoil(self) -> None:
        """Not all that was added is in the file: there is no digest any more."""
        self._is_broken = True
        self._room.left += sum(PIECE_BYTES + len(piece) for piece in self._early.values())
        self._early.clear()

    def result(self) -> str:
        """The digest in hex; "" where the bytes were not one after the other. Nothing is added after this."""
        if self._early:
            self.spoil()
        return "" if self._is_broken else self._digest.hexdigest()
