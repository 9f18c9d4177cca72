"""How much work one call may be: counted in what it does, as nothing here has a clock.

A unit is about a microsecond of a slow core; the prices are what was measured, rounded up. Knows neither texts nor what
is done where a budget ends.
"""

WORK_MAX = 80_000
"""For one cell or line: about a tenth of a second, in which nobody else's session moves."""

SEARCH = 4
"""One short search and what it finds, a check, or a mark in its place."""

LOOKUP = 25
"""A check by python-stdnum."""

WORD = 2
"""One word that may tell of something near it."""

ELEMENT = 3
"""One token of JSON, or element of an array."""


class TooDear(Exception):
    """The work would be more than the budget: what the value holds is not known."""


class Budget:
    """What is left for one call."""

    __slots__ = ("_left",)

    def __init__(self, work: int = WORK_MAX) -> None:
        self._left = work

    def spend(self, work: int) -> None:
        """@raise TooDear: from now on, too."""
        self._left -= work
        if self._left < 0:
            raise TooDear

    def walk(self, size: int) -> None:
        """One automaton's way over `size` bytes that may hold something. @raise TooDear"""
        self._left -= 1 + (size >> 8)
        if self._left < 0:
            raise TooDear

    def glance(self, size: int) -> None:
        """Its way over what holds nothing. @raise TooDear"""
        self._left -= 1 + (size >> 10)
        if self._left < 0:
            raise TooDear
