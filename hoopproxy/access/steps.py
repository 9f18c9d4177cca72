"""What can happen to an access request, or to an account, each as a frozen value: its whole history is made of these.

Knows neither which step may follow which nor where they are kept.
"""

from dataclasses import dataclass
from typing import ClassVar

from hoopproxy.access.terms import Terms


@dataclass(frozen=True, slots=True)
class Approver:
    """Somebody who votes, as policy sees him now. `person` covers all accounts of a human being (`access.people`)."""

    person: str
    roles: frozenset[str]
    client_zones: frozenset[str]


@dataclass(frozen=True, slots=True)
class Requested:
    """Somebody asks. Nobody who has not approved it by `pending_until_s` can."""

    kind: ClassVar[str] = "requested"
    terms: Terms
    pending_until_s: float


@dataclass(frozen=True, slots=True)
class BrokenGlass:
    """Somebody takes what he would have to ask for; it holds from now until `not_after_s` and has to be reviewed."""

    kind: ClassVar[str] = "broken-glass"
    terms: Terms
    not_after_s: float
    review_until_s: float


@dataclass(frozen=True, slots=True)
class Edited:
    """Other terms: whoever voted for the old ones has not voted."""

    kind: ClassVar[str] = "edited"
    terms: Terms


@dataclass(frozen=True, slots=True)
class Voted:
    """One person's one vote, for exactly the terms of that digest. `signature` is "" where none was asked for."""

    kind: ClassVar[str] = "voted"
    approver: Approver
    is_for: bool
    terms_sha256: str
    note: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Approved:
    """Enough people were for it. The end does not move any more, whenever it is used."""

    kind: ClassVar[str] = "approved"
    not_before_s: float
    not_after_s: float


@dataclass(frozen=True, slots=True)
class Denied:
    """Somebody with a veto was against it."""

    kind: ClassVar[str] = "denied"


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Who asked for it does not want it any more, and nobody had approved it."""

    kind: ClassVar[str] = "withdrawn"


@dataclass(frozen=True, slots=True)
class Lapsed:
    """Nobody decided in time."""

    kind: ClassVar[str] = "lapsed"


@dataclass(frozen=True, slots=True)
class Used:
    """A session comes in by it."""

    kind: ClassVar[str] = "used"
    session_id: str


@dataclass(frozen=True, slots=True)
class Suspended:
    """It does not hold for the time being: a zone or the log can't be vouched for. Its clock goes on."""

    kind: ClassVar[str] = "suspended"
    why: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """What had suspended it is mended."""

    kind: ClassVar[str] = "resumed"


@dataclass(frozen=True, slots=True)
class Revoked:
    """Somebody who may takes it away."""

    kind: ClassVar[str] = "revoked"
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Who has it needs it no more."""

    kind: ClassVar[str] = "given-up"


@dataclass(frozen=True, slots=True)
class Expired:
    """Its time is over."""

    kind: ClassVar[str] = "expired"


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Somebody else looked at what was done behind broken glass."""

    kind: ClassVar[str] = "reviewed"
    by: str
    is_violation: bool
    note: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What sessions by it have been shown since the last of these: rows, and bytes on their way to the client."""

    kind: ClassVar[str] = "spent"
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Disabled:
    """Somebody's account does not count any more, whatever its identity provider says."""

    kind: ClassVar[str] = "disabled"
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Enabled:
    """It does again."""

    kind: ClassVar[str] = "enabled"
    by: str


@dataclass(frozen=True, slots=True)
class Appointed:
    """An account may do what administrators may."""

    kind: ClassVar[str] = "appointed"
    by: str


@dataclass(frozen=True, slots=True)
class Dismissed:
    """It may not any more."""

    kind: ClassVar[str] = "dismissed"
    by: str


type Step = (
    Requested
    | BrokenGlass
    | Edited
    | Voted
    | Approved
    | Denied
    | Withdrawn
    | Lapsed
    | Used
    | Suspended
    | Resumed
    | Revoked
    | GivenUp
    | Expired
    | Reviewed
    | Spent
)
"""Of a request."""


@dataclass(frozen=True, slots=True)
class LetIn:
    """The operator vouches for somebody whose identity provider can't, with these groups and until then."""

    kind: ClassVar[str] = "let-in"
    by: str
    why: str
    groups: frozenset[str]
    until_s: float


type AccountStep = Disabled | Enabled | Appointed | Dismissed | LetIn
"""Of an account."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of one history: `number` counts it from 0, and no two entries share key and number.

    `key` is a request's id, or `ACCOUNT` and an issuer and a subject. `gateway` names where it was taken.
    """

    key: str
    number: int
    at_s: float
    step: Step | AccountStep
    gateway: str = ""


ACCOUNT = "account "
"""What keys of accounts begin with; ids of requests hold no space."""


def account_key(issuer: str, subject: str) -> str:
    """The key of an account's history."""
    return f"{ACCOUNT}{issuer} {subject}"


def account_of(key: str) -> tuple[str, str]:
    """The issuer and the subject in the key of an account. (No issuer's name holds a space.)"""
    issuer, _, subject = key.removeprefix(ACCOUNT).partition(" ")
    return issuer, subject


def actor_of(entry: Entry) -> tuple[str, str] | None:
    """The person who took a step, as an issuer and a subject; None: time, a session or an operator did."""
    match entry.step:
        case Requested(terms) | BrokenGlass(terms) | Edited(terms):
            person = terms.requester
        case Voted(approver):
            person = approver.person
        case Revoked(by) | Reviewed(by) | Disabled(by) | Enabled(by) | Appointed(by) | Dismissed(by) | LetIn(by):
            person = by
        case _:
            return None
    issuer, space, subject = person.partition(" ")
    return (issuer, subject) if space else None
