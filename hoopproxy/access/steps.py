"""What can happen to an access request, each as a frozen value: the whole of its history, and all that is stored of it.

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
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of one request: `number` counts a request's from 0, and no two entries share both."""

    request_id: str
    number: int
    at_s: float
    step: Step
