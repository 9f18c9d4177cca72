"""What a connection has said before that may change what its next statement means: settings, roles, the search path.

Whoever approves a statement is shown this, and approves it with this. Knows no server: it may have failed there.
"""

from collections.abc import Mapping
from functools import lru_cache

from hoopproxy.events import SQL, Action, Statement
from hoopproxy.masking.deeds import deeds
from hoopproxy.masking.memory import SHORT_CHARACTERS_MAX
from hoopproxy.masking.syntax import Unreadable

SAID_MAX = 20
"""More than people read; a connection that has said more can't have anything approved."""

_WORDS = ("search_path", "set_config", "role", "authorization", "reset", "discard", "pg_settings", "u&")
"""Without one of these nothing moves; an identifier in escapes (`U&"\\0073…"`) may be any."""

_SILENT = frozenset({"application_name", "client_min_messages"})
"""What a client may choose at its start without a change to what its statements mean."""


class Footing:
    """Of one connection. `parameters` is what its client chose at the start."""

    def __init__(self, parameters: Mapping[str, str] | None = None) -> None:
        chosen = sorted((parameters or {}).items())
        self.said = tuple(f"at the start: {name} = {value}" for name, value in chosen if name not in _SILENT)

    def went(self, statement: Statement) -> None:
        """A statement is on its way to the target."""
        if len(self.said) <= SAID_MAX and _moves(statement):
            self.said = (*(each for each in self.said if each != statement.text), statement.text)


def _moves(statement: Statement) -> bool:
    text = statement.text
    if statement.action is Action.REQUEST:
        return text.startswith("env ")
    if statement.action not in SQL or statement.action is Action.PREPARE:
        return False
    folded = text.lower()
    return any(word in folded for word in _WORDS) and (len(text) > SHORT_CHARACTERS_MAX or _sets(text))


@lru_cache(1024)
def _sets(text: str) -> bool:
    try:
        done = deeds(text)
    except Unreadable:
        return True
    return any(
        each.kinds & {"SET", "DISCARD"}
        or "set-role" in each.words
        or "set_config" in {name for _, name in each.functions}
        for each in done
    )
