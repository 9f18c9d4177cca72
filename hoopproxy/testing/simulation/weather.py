"""What goes wrong in one simulation, and how often: all of it thrown with one pair of dice, so that a seed replays.

A good part of all seeds has fair weather, in others only a few things fail, so that each is also seen alone. Knows
nothing of what it happens to.
"""

import struct
from dataclasses import dataclass
from enum import Enum
from random import Random

ALL_DAY_S = 36000.0
"""A grant that no simulation outlasts."""


class Fate(Enum):
    """How one end of a connection ends before its time."""

    NONE = "none"
    RESET = "reset"
    LEAVES = "leaves"
    FATAL = "fatal"
    GARBAGE = "garbage"
    MUTE = "mute"


class Trouble(Enum):
    """How one call of an addon goes wrong. AFTER: it did its work, and then failed to say so."""

    RAISES = "raises"
    RAISES_AFTER = "raises after"
    HANGS = "hangs"
    HANGS_AFTER = "hangs after"
    WRONG_TYPE = "wrong type"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class DiskTrouble:
    """From `from_s` to `until_s` of the simulation: `full`, `broken` (EIO on what comes by chance) or `slow`."""

    kind: str
    from_s: float
    until_s: float


class Cause(Enum):
    """Where what goes wrong comes from."""

    TARGETS = "targets"
    CLIENTS = "clients"
    ADDONS = "addons"
    RIGHTS = "rights"
    DISK = "disk"


class Weather:
    """One seed's. Without a cause it is fair: nothing fails; there are still cuts, slow readers and odd clients."""

    def __init__(self, dice: Random, length_s: float) -> None:
        self.dice = dice
        every = tuple(Cause)
        self.causes = frozenset(dice.choice(((), (), dice.choices(every), dice.choices(every), every, every, every)))
        self.p_target = self._some(Cause.TARGETS, 0.3)
        self.p_unreachable = self._some(Cause.TARGETS, 0.15)
        self.p_refused_login = self._some(Cause.TARGETS, 0.1)
        self.p_client = self._some(Cause.CLIENTS, 0.3)
        self.p_addon = {role: self._some(Cause.ADDONS, 0.1, chance=0.2) for role in ROLES}
        self.p_slow_addon = self._some(Cause.ADDONS, 0.2)
        self.kills = self._times(length_s) if self._is(Cause.RIGHTS, 0.5) else []
        self.stops_at_s = dice.uniform(0, length_s) if self._is(Cause.RIGHTS, 0.3) else None
        self.grant_s = dice.uniform(1, length_s) if self._is(Cause.RIGHTS, 0.3) else ALL_DAY_S
        self.disk = self._disk(length_s) if self._is(Cause.DISK, 0.6) else None
        self.haste_s = dice.choice((0.0001, 0.002, 0.02))

    def strikes(self, probability: float) -> bool:
        """Whether something of this probability happens now. Certainties cost no throw."""
        return probability > 0 and self.dice.random() < probability

    def fate(self, probability: float) -> tuple[Fate, int]:
        """How one end of a connection fares, and after how many bytes of its own."""
        if not self.strikes(probability):
            return Fate.NONE, 0
        bytes_count = self.dice.choice((self.dice.randint(0, 300), self.dice.randint(0, 5000)))
        return self.dice.choice([fate for fate in Fate if fate is not Fate.NONE]), bytes_count

    def trouble(self, role: str) -> Trouble | None:
        """How this call of an addon of that role goes wrong, if it does."""
        return self.dice.choice(list(Trouble)) if self.strikes(self.p_addon[role]) else None

    def pause_s(self) -> float:
        """How long an honest peer takes to answer."""
        return self.dice.choice((0.0, 0.0, self.dice.random() * 0.01, self.dice.random() * 0.3))

    def garbage(self) -> bytes:
        """What no peer should send: noise, impossible lengths, messages that nobody knows."""
        noise = self.dice.randbytes(self.dice.randint(1, 200))
        front = self.dice.choice(
            (
                b"",
                b"D" + struct.pack("!i", self.dice.choice((-1, 3, 0x7FFFFFFF))),
                b"D" + struct.pack("!iH", len(noise) + 6, 65535),
                b"T" + struct.pack("!iH", len(noise) + 6, 9),
                b"~" + struct.pack("!i", len(noise) + 4),
            )
        )
        return front + noise

    def _is(self, cause: Cause, chance: float) -> bool:
        return cause in self.causes and self.dice.random() < chance

    def _some(self, cause: Cause, most: float, *, chance: float = 0.4) -> float:
        """A probability: mostly none."""
        return self.dice.random() * most if self._is(cause, chance) else 0.0

    def _times(self, length_s: float) -> list[float]:
        return sorted(self.dice.uniform(0, length_s) for _ in range(self.dice.randint(1, 6)))

    def _disk(self, length_s: float) -> DiskTrouble:
        start_s = self.dice.uniform(0, length_s)
        is_mended = self.dice.random() < 0.6
        return DiskTrouble(
            self.dice.choice(("full", "broken", "slow")),
            start_s,
            start_s + self.dice.uniform(1, length_s) if is_mended else float("inf"),
        )


ROLES = (
    "authenticators",
    "router",
    "grants",
    "residency",
    "credentials",
    "guards",
    "maskers",
    "enforcement",
    "recorder",
    "evidence",
)
