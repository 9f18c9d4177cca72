"""Lets through what can be masked on the wire, and refuses the rest: `wire` mode (docs/masking.md).

For gateways none of whose targets keeps masks itself. Changes no statement.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, IEnforcement, IRewriting, ISetting
from hoopproxy.masking.judging import Judging
from hoopproxy.masking.statements import Rules
from hoopproxy.masking.syntax import fold
from hoopproxy.masks import Catalog, Entrance
from hoopproxy.model import Passage
from hoopproxy.rooms import IDesk


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
    end_session: Any = None
    note: Any = None

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "WireEnforcement":
        """Make it. @raise ValueError: a target keeps masks itself, which this can't have it do."""
        if kept := sorted(target.name for target in setting.targets.values() if target.masks):
            raise ValueError(
                f'the target {kept[0]} has a provisioner of masks; wanted is use = "server-enforcement", or '
                'enforcement = "wire" in its [target.masks]'
            )
        return cls(name, settings)

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        safe = frozenset(fold(function) for function in settings.safe_functions)
        self._judging = Judging(Rules(safe, settings.statement_bytes_max), partial(in_thread, "statements"))

    async def enter(self, passage: Passage, role: str, desk: Callable[[], Awaitable[IDesk]]) -> Entrance | None:
        """As the account."""
        return None

    def begin(self, passage: Passage, catalog: Catalog) -> IRewriting:
        """What judges one connection's statements."""
        return self._judging.begin(catalog)
