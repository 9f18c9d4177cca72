"""The statement rules of `wire` mode for whole sessions: each statement judged once, and remembered where it is short.

Changes no statement. Knows no policy: which columns are protected is the catalog's word. A session without protected
columns passes whole.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache

from zope.interface import implementer

from hoopproxy.errors import Refused
from hoopproxy.events import Forward, Statement
from hoopproxy.interfaces import IRewriting
from hoopproxy.masking.memory import SHORT_CHARACTERS_MAX, Itself
from hoopproxy.masking.names import Names
from hoopproxy.masking.statements import Allowed, Denied, Rules, judge
from hoopproxy.masks import Catalog

type Elsewhere = Callable[..., Awaitable[Allowed | Denied]]
"""Calls a function with its arguments where it holds up nobody."""


class Judging:
    """Judges the statements of all sessions by the same rules."""

    def __init__(self, rules: Rules, elsewhere: Elsewhere) -> None:
        self._rules, self._elsewhere = rules, elsewhere
        self._names = lru_cache(maxsize=256)(lambda known: Names.of(known.value))
        self._remembered = lru_cache(maxsize=4096)(self._judge)

    def begin(self, catalog: Catalog) -> "Judged":
        """What judges one connection's statements."""
        return Judged(self, Itself(catalog))

    async def verdict(self, text: str, known: Itself[Catalog]) -> Allowed | Denied:
        """Whether a statement may be sent."""
        if len(text) <= SHORT_CHARACTERS_MAX:
            return self._remembered(text, known)
        return await self._elsewhere(self._judge, text, known)

    def _judge(self, text: str, known: Itself[Catalog]) -> Allowed | Denied:
        return judge(text, self._names(known), self._rules)


@implementer(IRewriting)
class Judged:
    """The statements of one connection."""

    def __init__(self, judging: Judging, known: Itself[Catalog]) -> None:
        self._judging, self._known = judging, known

    async def rewrite(self, statement: Statement) -> Forward:
        """The text as it is. @raise Refused: its result can't be masked."""
        if self._known.value.protected:
            verdict = await self._judging.verdict(statement.text, self._known)
            if isinstance(verdict, Denied):
                raise Refused(verdict.sentence, reason="statement", detail=verdict.detail)
        return Forward(statement.text)

    def ran(self, statement: Statement) -> None:
        """Nothing follows from it: each statement is judged by itself."""

    def end(self) -> None:
        """Nothing is kept."""
