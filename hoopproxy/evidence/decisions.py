"""What the log says of decisions, beside sessions: of operators, on policies, on requests for access, on statements.

Like all entries these are values; how they are written down, and which others there are, is in `entries`.
"""

from dataclasses import dataclass, field
from typing import ClassVar

# Fields that the log shows as keyed pseudonyms, "" when they are empty.
ACTOR, CLIENT, TARGET, STATEMENT = ({"pseudonym": kind} for kind in ("actor", "client", "target", "statement"))


@dataclass(frozen=True, slots=True)
class AdminAction:
    """Somebody used the control socket or the console: `kill`, say. Where it is about no session, it is about `about`,
    the id of a token or the serial number of a certificate, and about whom that names."""

    kind: ClassVar[str] = "admin-action"
    action: str
    actor: str = field(repr=False, metadata=ACTOR)
    session_id: str
    about: str = ""
    subject: tuple[str, ...] = field(default=(), repr=False, metadata=ACTOR)


@dataclass(frozen=True, slots=True)
class PolicyApplied:
    """A signed policy is about to be in force. `signers` are the SHA-256 of the keys that have signed it, in hex."""

    kind: ClassVar[str] = "policy-applied"
    revision: int
    sha256: str
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccessStep:
    """A step on a request for access, or on an account (`step`: see `hoopproxy.access.steps`), durable in the journal.

    `entry_sha256` binds the journal's entry, in which the reason and the votes stand. For an account `request_id` is
    "" and `account` set. `actor` is who took it, "" for time, a session and the operator.
    """

    kind: ClassVar[str] = "access-step"
    request_id: str
    account: tuple[str, ...] = field(repr=False, metadata=ACTOR)
    number: int
    step: str
    actor: tuple[str, ...] = field(repr=False, metadata=ACTOR)
    taken_at_ms: int
    target: str
    terms_sha256: str
    not_after_ms: int
    entry_sha256: str


@dataclass(frozen=True, slots=True)
class Untold:
    """A webhook was not told of step `number` of a request, after so many tries, and won't be."""

    kind: ClassVar[str] = "untold"
    webhook: str
    request_id: str
    number: int
    tries: int


@dataclass(frozen=True, slots=True)
class StatementVote:
    """Somebody votes on a statement that waits; durable before the vote counts. `outcome` is what that decides:
    `approved`, `denied`, or "" for nothing yet.

    `statement` stands for all that was voted on, to the letter: the text, its parameters, what was set before it, and
    which statement of which connection it is.
    """

    kind: ClassVar[str] = "statement-vote"
    approval_id: str
    session_id: str
    connection_id: str
    target: str
    statement: tuple[str, ...] = field(repr=False, metadata=STATEMENT)
    actor: tuple[str, ...] = field(repr=False, metadata=ACTOR)
    vote: str
    outcome: str
    votes_for: int
    votes_min: int
