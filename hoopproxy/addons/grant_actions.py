"""Holds sessions to what their grant lets them do: the `actions` of the grant that they came in by.

Sees what is asked for and not what comes of it: a function that exists already may do anything. Knows no policy: which
grant it is stands in the passage.
"""

from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.access.actions import WORDS, fitting, said, tells
from hoopproxy.events import SQL, Action, Statement
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, ISetting, IStatementGuard
from hoopproxy.masking.actions import actions
from hoopproxy.masking.deeds import MISREAD, UNREADABLE, Deeds, deeds
from hoopproxy.masking.memory import SHORT_CHARACTERS_MAX
from hoopproxy.masking.syntax import Unreadable
from hoopproxy.model import Allow, Answer, Passage, Refuse

REMEMBERED = 256
"""Short statements of which is remembered what they do."""

SENTENCE = (
    "Your access to {target} does not cover {what}; it covers {covered}. Ask the owner of the data for a wider grant."
)

_UNTOLD = "Your access to {target} is limited to some actions, and the gateway can't tell what this would do."

_LONG = "A statement of more than {bytes_max} bytes can't be held against your grant for {target}: send it in parts."

_SUBRESOURCES = WORDS["kubernetes"].keys() & {"exec", "attach", "portforward", "proxy"}
"""Over WebSocket these are a mere `get` to a cluster, and much more than that to whoever grants it."""


class Settings(BaseModel):
    """The keys of an [addon.NAME] table with `use = "grant-actions"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    statement_bytes_max: int = Field(
        default=262144, ge=1024, le=1048576, description="Longer statements are refused under a grant with actions."
    )


@provider(IAddonFactory)
@implementer(IStatementGuard)
class GrantActions:
    """What a grant does not let a session do does not leave."""

    summary = "Refuses what the actions of a session's grant do not cover."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "GrantActions":
        """Make it."""
        return cls(name, settings.statement_bytes_max)

    def __init__(self, name: str, statement_bytes_max: int) -> None:
        self.name = name
        self._bytes_max = statement_bytes_max
        self._remembered = lru_cache(REMEMBERED)(deeds)

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        """Refuse what is not among the actions of the session's grant; a grant without any allows all."""
        allowed, target = passage.permit.grant.actions, passage.permit.target
        if not allowed:
            return Allow()
        if not tells(target.protocol):
            return Refuse(_UNTOLD.format(target=target.name))
        if statement.action in SQL:
            if len(statement.text.encode("utf-8", "replace")) > self._bytes_max:
                return Refuse(_LONG.format(target=target.name, bytes_max=self._bytes_max))
            try:
                done = await self._deeds(statement.text)
            except Unreadable:
                return Refuse(UNREADABLE.format(target=target.name))
            if any(each.misreads for each in done):
                return Refuse(MISREAD.format(target=target.name))
            wanted = actions(done)
        else:
            wanted = _wanted(statement)
        if missing := wanted - allowed:
            what, covered = (_said(target.protocol, each) for each in (missing, fitting(target.protocol, allowed)))
            return Refuse(SENTENCE.format(target=target.name, what=what, covered=covered))
        return Allow()

    async def _deeds(self, text: str) -> tuple[Deeds, ...]:
        if len(text) <= SHORT_CHARACTERS_MAX:
            return self._remembered(text)
        return await in_thread("statements", deeds, text)


def _said(protocol: str, actions: frozenset[str]) -> str:
    words = [said(protocol, action) for action in sorted(actions)]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]])) or "nothing"


def _wanted(statement: Statement) -> frozenset[str]:
    """What is asked for in a protocol that says so itself."""
    if statement.kubernetes is not None:
        asked = statement.kubernetes
        return frozenset({asked.subresource if asked.subresource in _SUBRESOURCES else asked.verb})
    if statement.http is not None:
        method = statement.http.method
        return frozenset({"GET" if method == "HEAD" else method})  # which tells of the same
    word, _, rest = statement.text.partition(" ")
    match statement.action, word:
        case Action.OPEN, "session":
            return frozenset()  # what is to run in it is asked for next
        case Action.OPEN, _:
            return frozenset({"forward"})
        case Action.RUN, "subsystem":
            return frozenset({rest if rest == "sftp" else word})
        case Action.RUN, _:
            return frozenset({word})
        case _:
            return frozenset()  # a terminal's size, a signal: about what runs already
