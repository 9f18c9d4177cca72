"""The rewriter for connections: each keeps its own places, and all that see one shadow share what was once read.

Knows no database and no policy: the shadow is the catalog's.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from zope.interface import implementer

from hoopproxy.events import Action, Forward, Statement
from hoopproxy.interfaces import IRewriting
from hoopproxy.masking.memory import SHORT_CHARACTERS_MAX, Itself
from hoopproxy.masking.shadows.moves import Move
from hoopproxy.masking.shadows.places import Places, Sight
from hoopproxy.masking.shadows.rewriting import Rewritten, rewritten, single
from hoopproxy.masking.shadows.spelling import listed
from hoopproxy.masks import Shadow

LONG_CHARACTERS_MAX = 262_144
"""Longer texts are sent as they are, and so are those with too large a tree (`rewriting.TREE_BYTES_MAX`): a tree takes
a hundred times the memory of its text. They are loads of rows into tables, and whatever else they read is up to the
server."""

REMEMBERED_MAX = 2048
"""Texts of one shadow, 20 MiB at most."""

SHADOWS_MAX = 64
"""Mask sets times databases whose texts are remembered."""

PREPARED_MAX = 256
"""Prepared statements of one connection that change where names lead, such as SET, BEGIN and COMMIT: of more the oldest
are forgotten, and change nothing for us."""

type Found = tuple[Forward, tuple[Move, ...]]
"""One statement as it is sent, and what it does to where names lead."""

type Elsewhere = Callable[..., Awaitable[Any]]
"""Calls a function with its arguments where it holds up nobody."""


class Rewritings:
    """Rewrites the statements of all connections."""

    def __init__(self, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere
        self._memories = lru_cache(maxsize=SHADOWS_MAX)(lambda same: Memory(same.value, elsewhere))

    def begin(self, shadow: Shadow, search_path: str | None = None) -> "ShadowRewriting":
        """What rewrites one connection's statements. `search_path` is what its client chose at the start, if it did."""
        path = shadow.path if search_path is None else listed(search_path)
        return ShadowRewriting(self._memories(Itself(shadow)), Places.along(path))


class Memory:
    """What was read for one shadow."""

    def __init__(self, shadow: Shadow, elsewhere: Elsewhere) -> None:
        self.shadow, self.elsewhere = shadow, elsewhere
        self.single = lru_cache(maxsize=REMEMBERED_MAX)(self.read)

    def read(self, text: str, sight: Sight) -> Found | None:
        """A text of one statement; None: it has several. @raise Refused"""
        found = single(text, self.shadow, sight)
        return (Forward(found.text, found.edits), found.moves) if found else None


@implementer(IRewriting)
class ShadowRewriting:
    """The statements of one connection. One that is prepared moves its places when it runs."""

    def __init__(self, memory: Memory, places: Places) -> None:
        self._memory, self.places = memory, places
        self._prepared: dict[int, tuple[Move, ...]] = {}

    async def rewrite(self, statement: Statement) -> Forward:
        """The text with twins in it. @raise Refused: it needs what has no twin."""
        text = statement.text
        if len(text) > LONG_CHARACTERS_MAX:
            return Forward(text)
        if statement.action is Action.PREPARE:
            return await self._prepare(text)
        if len(text) > SHORT_CHARACTERS_MAX:
            return self._moved(await self._memory.elsewhere(rewritten, text, self._memory.shadow, self.places))
        if (found := self._memory.single(text, self.places.sight)) is None:
            return self._moved(rewritten(text, self._memory.shadow, self.places))
        forward, moves = found
        self._move(moves)
        return forward

    def ran(self, statement: Statement) -> None:
        """What was prepared has its effect on places now."""
        self._move(self._prepared.get(hash(statement.text), ()))

    def end(self) -> None:
        """Nothing is kept."""

    async def _prepare(self, text: str) -> Forward:
        if len(text) > SHORT_CHARACTERS_MAX:
            found: Found | None = await self._memory.elsewhere(self._memory.read, text, self.places.sight)
        else:
            found = self._memory.single(text, self.places.sight)
        if found is None:
            return Forward(text)  # several at once can't be prepared, and the server says so
        forward, moves = found
        if moves:
            self._keep(text, moves)
        return forward

    def _moved(self, found: Rewritten) -> Forward:
        self.places = found.places
        return Forward(found.text, found.edits)

    def _move(self, moves: tuple[Move, ...]) -> None:
        for move in moves:
            self.places = move(self.places)

    def _keep(self, text: str, moves: tuple[Move, ...]) -> None:
        """Under a digest alone: a text is long, and of two with one digest the server has the last word."""
        key = hash(text)
        self._prepared.pop(key, None)
        self._prepared[key] = moves
        if len(self._prepared) > PREPARED_MAX:
            del self._prepared[next(iter(self._prepared))]
