"""What may be taken out once, and in time: bounded, with the oldest going first.

Time is given; knows nothing of what it keeps.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Kept[T]:
    what: T
    until_s: float


class Once[T]:
    """Keeps up to `size_max` things for `s_max` seconds each, by names that nobody guesses."""

    def __init__(self, size_max: int, s_max: float) -> None:
        self._size_max, self._s_max = size_max, s_max
        self._kept: dict[str, _Kept[T]] = {}

    def put(self, name: str, what: T, now_s: float) -> None:
        """Keep it; where there is no room for it, the oldest goes."""
        if len(self._kept) >= self._size_max:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = _Kept(what, now_s + self._s_max)

    def look(self, name: str, now_s: float) -> T | None:
        """What is kept under that name, and stays."""
        kept = self._kept.get(name)
        return kept.what if kept and kept.until_s > now_s else None

    def take(self, name: str, now_s: float) -> T | None:
        """The same, and it is gone, whether it was in time or not."""
        found = self.look(name, now_s)
        self._kept.pop(name, None)
        return found
