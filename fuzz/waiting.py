"""What may happen to what an honest server has to say and that has not arrived yet, whatever its protocol."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Served:
    """So many of its messages arrive, in one go; `count` 0: all that wait."""

    count: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """It forgets its next message. (Of SSH's, a channel that it was to open it refuses, and not without a word.)"""


@dataclass(frozen=True, slots=True)
class Doubled:
    """It says its next message twice."""
