"""What is remembered of statements that come again: for texts how long, and for which snapshot of a catalog.

Knows neither statements nor catalogs.
"""

SHORT_CHARACTERS_MAX = 4096
"""An application's own statements are shorter, and come again: they are remembered. Longer ones are read each time, in
a thread, as that may take longer than other sessions should wait."""


class Itself[Value]:
    """A value as a key: it is equal to itself alone, and lives as long as a memory of it."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)
