"""What may be said of a statement to people who may not see data: its text without literals and comments, and whether
it carries a credential.

Knows neither who asks nor what is allowed. The parser is PostgreSQL's own (libpg_query, by way of postgast).
"""

from dataclasses import dataclass
from functools import lru_cache

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # it ships no types
from postgast import pg_query_pb2

_CACHED = 4096
"""Texts remembered: applications send few distinct ones, and a miss costs a tenth of a millisecond."""

_CHARACTERS_MAX = 16384
"""Longer texts are generated and nobody reviews them: no outline, no memory, no time."""

_COMMENTS = frozenset((pg_query_pb2.SQL_COMMENT, pg_query_pb2.C_COMMENT))
_LITERALS = frozenset(
    getattr(pg_query_pb2, kind) for kind in ("SCONST", "USCONST", "BCONST", "XCONST", "ICONST", "FCONST")
)

_CREDENTIAL_STATEMENTS = frozenset(
    (
        "create_role_stmt",
        "alter_role_stmt",
        "create_user_mapping_stmt",
        "alter_user_mapping_stmt",
        "create_subscription_stmt",
        "alter_subscription_stmt",
        # Their bodies are texts of their own, which nothing here parses.
        "do_stmt",
        "create_function_stmt",
    )
)
"""Statements that set a password where they say "password" at all. In all others it is a word like any other."""


@dataclass(frozen=True, slots=True)
class Outline:
    """`text` without its literals, "" when it could not be made. `secret`: the original carries a credential."""

    text: str
    secret: bool


def outline(text: str) -> Outline:
    """The outline of a statement, or of several in one text. Never raises."""
    return _outline(text) if len(text) <= _CHARACTERS_MAX else Outline("", "password" in text.lower())


@lru_cache(_CACHED)
def _outline(text: str) -> Outline:
    mentions = "password" in text.lower()
    try:
        postgast.normalize(text)  # the cheapest way to learn whether it parses
        return Outline(_without_literals(text), mentions and _sets_a_password(text))
    except (postgast.PgQueryError, DecodeError, UnicodeError):
        return Outline("", mentions)


def _sets_a_password(text: str) -> bool:
    return any(parsed.stmt.WhichOneof("node") in _CREDENTIAL_STATEMENTS for parsed in postgast.parse(text).stmts)


def _without_literals(text: str) -> str:
    """libpg_query's own normal form keeps comments and the literals of utility statements. Locations are in bytes."""
    raw, kept, at = text.encode(), bytearray(), 0
    for token in postgast.scan(text).tokens:
        if token.token in _COMMENTS or token.token in _LITERALS:
            kept += raw[at : token.start] + (b"?" if token.token in _LITERALS else b" ")
            at = token.end
    return (kept + raw[at:]).decode().strip()
