"""Lets through what can be masked on the wire, and refuses the rest: `wire` mode (docs/masking.md).

Changes no statement. Knows no policy: which columns are protected is the catalog's word. A session without protected
columns passes whole.
"""

from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.errors import Refused
from hoopproxy.events import Statement
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, IEnforcement, ISetting
from hoopproxy.masking.names import Names
from hoopproxy.masking.statements import Allowed, Denied, Rules, judge
from hoopproxy.masking.syntax import fold
from hoopproxy.masks import Catalog
from hoopproxy.model import Passage

SHORT_CHARACTERS_MAX = 4096
"""An application's own statements are shorter, and come again: they are remembered. Longer texts are judged each time,
in a thread, as reading one may take longer than other sessions should wait."""


class Settings(BaseModel):
    """The keys of an [addon.NAME] table with `use = "wire-enforcement"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    safe_functions: frozenset[str] = Field(
        default=frozenset(), description="Functions outside pg_catalog, without schema, that read no protected column."
    )
    statement_bytes_max: int = Field(
        default=262144, ge=1024, le=1048576, description="Longer statements are refused in sessions with masks."
    )


@provider(IAddonFactory)
@implementer(IEnforcement)
class WireEnforcement:
    """The statement rules of `wire` mode."""

    summary = "Refuses statements whose results can't be masked by origin."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "WireEnforcement":
        """Make it."""
        return cls(name, settings)

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._rules = Rules(
            frozenset(fold(function) for function in settings.safe_functions),
            settings.statement_bytes_max,
        )
        self._names = lru_cache(maxsize=256)(lambda known: Names.of(known.catalog))
        self._remembered = lru_cache(maxsize=4096)(self._judge)

    async def rewrite(self, passage: Passage, statement: Statement, catalog: Catalog) -> str:
        """The text as it is. @raise Refused: its result can't be masked."""
        if not catalog.protected:
            return statement.text
        known = _Known(catalog)
        if len(statement.text) <= SHORT_CHARACTERS_MAX:
            verdict = self._remembered(statement.text, known)
        else:
            verdict = await in_thread("statements", self._judge, statement.text, known)
        if isinstance(verdict, Denied):
            raise Refused(verdict.sentence, reason="statement", detail=verdict.detail)
        return statement.text

    def _judge(self, text: str, known: "_Known") -> Allowed | Denied:
        return judge(text, self._names(known), self._rules)


class _Known:
    """A catalog as a key: the same snapshot is equal to itself alone. It lives as long as a memory of it."""

    __slots__ = ("catalog",)

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.catalog is self.catalog

    def __hash__(self) -> int:
        return id(self.catalog)
