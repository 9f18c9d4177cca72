"""A fuzzer's bytes read as decisions, front to back: any bytes make some session, and near bytes make a near one.

Knows no protocol. What atheris' FuzzedDataProvider does, in plain Python, so that pytest can play a seed.
"""

import struct
from collections.abc import Callable, Sequence

EDGES = (0, 1, 3, 4, 5, 7, 8, 64, 255, 256, 511, 512, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 5, 2**32 - 1)
"""Lengths at which parsers err."""


class Choices:
    """Decisions out of `data`; when it is used up, each is the first there is."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """How many bytes are still undecided."""
        return len(self._data) - self._at

    def byte(self) -> int:
        """0 to 255."""
        if not self.left:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def below(self, count: int) -> int:
        """0 to `count` - 1, of at most 256."""
        return self.byte() % count

    def pick[T](self, options: Sequence[T]) -> T:
        """One of them."""
        return options[self.below(len(options))]

    def call[T](self, *options: Callable[["Choices"], T]) -> T:
        """What one of these makes of the choices that follow."""
        return self.pick(options)(self)

    def some(self, count_max: int) -> bytes:
        """Up to so many bytes as they are."""
        count = min(self.below(count_max + 1), self.left)
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self) -> int:
        """Unsigned, 32 bits: at an edge, or any."""
        if self.byte() & 1:
            return self.pick(EDGES)
        return int(struct.unpack("!I", self.some(4).ljust(4, b"\0"))[0])

    def cuts(self, data: bytes) -> list[bytes]:
        """`data` in pieces of a size of their own, not too many; whole when that is 0."""
        size = max(self.byte() or len(data), len(data) // 100, 1)
        return [data[at : at + size] for at in range(0, len(data), size)]


def damaged(choices: Choices, data: bytes) -> bytes:
    """`data` with one byte changed, dropped or put in, or without its end."""
    spoiled, at = bytearray(data), choices.byte() % (len(data) or 1)
    match choices.below(4):
        case 0 if data:
            spoiled[at] ^= choices.byte() or 1
        case 1:
            del spoiled[at : at + 1]
        case 2:
            spoiled.insert(at, choices.byte())
        case _:
            del spoiled[at:]
    return bytes(spoiled)
