"""The journal in memory: for tests whose gateways share a process.

`tests/store` holds it against the real ones.
"""

from collections.abc import Sequence

from zope.interface import implementer

from hoopproxy.access.journal import IJournal, News, Overtaken, Row, StoreUnavailable
from hoopproxy.access.steps import Entry


@implementer(IJournal)
class MemoryJournal:
    """Entries in their order. While `is_away`, nobody can reach it."""

    def __init__(self) -> None:
        self.is_away = False
        self._entries: list[Entry] = []
        self._rows: dict[str, Row] = {}
        self._unnoted: dict[tuple[str, int], Entry] = {}

    async def append(self, entries: Sequence[Entry], rows: Sequence[Row]) -> None:
        self._reach()
        taken = {(each.key, each.number) for each in self._entries}
        if any((each.key, each.number) in taken for each in entries):
            raise Overtaken
        self._entries += entries
        self._unnoted |= {(each.key, each.number): each for each in entries}
        for row in rows:
            self._rows.pop(row.key, None)
            self._rows[row.key] = row

    async def opening(self) -> News:
        self._reach()
        is_open = {row.key for row in self._rows.values() if row.is_open}
        return News(len(self._entries), tuple(each for each in self._entries if each.key in is_open))

    async def since(self, position: int) -> News:
        self._reach()
        return News(len(self._entries), tuple(self._entries[position:]))

    async def history(self, key: str) -> tuple[Entry, ...]:
        self._reach()
        return tuple(each for each in self._entries if each.key == key)

    async def rows(self, only_open: bool, most: int) -> tuple[Row, ...]:
        self._reach()
        newest = reversed(self._rows.values())
        return tuple(row for row in newest if row.is_open or not only_open)[:most]

    async def unnoted(self, gateway: str) -> tuple[Entry, ...]:
        self._reach()
        return tuple(each for each in self._unnoted.values() if each.gateway == gateway)

    async def noted(self, entries: Sequence[Entry]) -> None:
        self._reach()
        for each in entries:
            self._unnoted.pop((each.key, each.number), None)

    def _reach(self) -> None:
        if self.is_away:
            raise StoreUnavailable("it is away")
