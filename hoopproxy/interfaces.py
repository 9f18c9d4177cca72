"""All that an addon is asked, and all that it may answer.

Rules for addons:

- Decisions may wait, data may not: an `async def` may take up to `limits.decision_s_max` and may await only what
  `hoopproxy.hands` gives; plain functions return at once.
- Arguments are frozen; answer with a new value.
- `errors.Refused` says no with a sentence for the client. Any other exception, a timeout or an answer of another type
  is an `AddonFailure` and ends the session: nothing goes through because something broke.
- Names carry their unit last: `_s`, `_bytes`, `_max`. `at_s` is POSIX time in UTC.

Knows values and events only; everything else imports it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from zope.interface import Attribute, Interface

from hoopproxy.events import Forward, Record, Shape, Statement
from hoopproxy.masks import Catalog, Entrance, Mask
from hoopproxy.model import (
    Answer,
    Arrival,
    Credentials,
    Finding,
    Grant,
    Identity,
    Manifest,
    Passage,
    Pending,
    Permit,
    Place,
    Tally,
    Target,
)
from hoopproxy.proofs import ServiceToken, TargetSecret
from hoopproxy.rooms import IDesk, IScheduler

# mypy: disable-error-code="empty-body"
# zope.interface bodies are docstrings: there is nothing to return.


class IAddon(Interface):
    """What every addon has."""

    name: str = Attribute("Unique: the key of its table in hoopproxy.toml and its name in evidence.")


class IAddonFactory(Interface):
    """What an entry point in the group `hoopproxy.addons` provides; a class that declares it with `@provider`."""

    summary: str = Attribute("One line for `hoopproxy check`.")
    settings: type = Attribute("A frozen pydantic model: the keys of `[addon.NAME]`, their types and defaults.")

    def build(name: str, settings: Any, setting: "ISetting") -> Any:
        """Make the addon. Called once, before anything listens; may read files, may not open sockets.

        @raise Exception: the gateway does not start; the message names this addon and holds the exception's text.
        """


class ISetting(Interface):
    """What an addon may know of the gateway that it is built into."""

    gateway: str = Attribute("The gateway's name.")
    zone: str = Attribute("The zone that the gateway stands in.")
    state_dir: str = Attribute("Where this gateway keeps its state; an addon keeps to `state_dir/NAME` and below.")
    policy: Any = Attribute(
        "Answers as a `hoopproxy.access.policy.Policy` does. There may be another tomorrow: keep nothing of it."
    )
    targets: Mapping[str, Target] = Attribute("The targets of targets.toml by name.")
    scheduler: IScheduler = Attribute("The clock.")


# The roles ----------------------------------------------------------------------------------------------------------


class IAuthenticator(IAddon):
    """Who is this?"""

    async def identify(arrival: Arrival, credentials: Credentials) -> Identity | None:
        """The verified identity, or None: not my kind, ask the next.

        @raise Refused: my kind and wrong; nobody else is asked. The sentence never tells which check failed in a way
            that helps to forge.
        """


class IRechecking(Interface):
    """An authenticator that can look again at whom it has let in."""

    async def recheck(identity: Identity, credentials: Credentials) -> Identity | None:
        """Who that is now, with the groups of now; None: nobody any more. Asked of its own identities alone, every
        `limits.recheck_s` of a live session.

        @raise Refused: as None, with a sentence. @raise Exception: it can't be told at the moment; the session ends
            when that lasts for `limits.unchecked_s_max`.
        """


class INoticesChanges(Interface):
    """An authenticator that can tell without waiting that somebody may have lost something."""

    def has_changed() -> bool:
        """Whether that is so since this was last asked, which is several times a second: all live sessions of its
        people are judged again then, at once."""


class IBrowserSignIn(Interface):
    """An authenticator whose people prove who they are in a browser; the portal carries what it says."""

    def begin(state: str) -> str:
        """The URL that the browser is sent to. What comes back names `state`, 1 to 80 URL-safe characters."""

    async def finish(form: Mapping[str, str]) -> Identity:
        """Who that is, by the form that the browser brought back. @raise Refused"""


class ITakesPasswords(Interface):
    """An authenticator that knows people by the secret `NAME:PASSWORD`: who types both at the portal is taken to it."""


class INamesProvider(Interface):
    """An authenticator whose people get their tokens themselves, from an OpenID Connect provider."""

    provider: Mapping[str, Any] = Attribute(
        "What `hoopproxy login` needs to ask for one: issuer, client_id, scope, resource, audience, shows."
    )


class ITokenShelf(Interface):
    """Where service tokens are kept, without the tokens."""

    def has_changed() -> bool:
        """Whether others than were last seen may be there now; returns at once."""

    async def find(token_id: str) -> ServiceToken | None:
        """The one of that id; None for none. @raise OSError, ConfigError: there is no telling."""

    async def all() -> tuple[ServiceToken, ...]:
        """All, in the order in which they were added. @raise OSError, ConfigError"""

    async def add(token: ServiceToken) -> None:
        """Durable when it returns. @raise Refused: there are too many. @raise OSError, ConfigError"""

    async def revoke(token_id: str, at_s: float) -> None:
        """Durable when it returns. @raise OSError, ConfigError"""

    async def used(token_id: str, at_s: float) -> None:
        """Remember when, to the hour; whether that succeeds matters to nobody."""


class IIssuesTokens(Interface):
    """An authenticator that makes tokens for services. What is made, kept and revoked is in the log before it is."""

    def make(
        subject: str, groups: frozenset[str], lifetime_s: float, made_by: str, note: str
    ) -> tuple[str, ServiceToken]:
        """A new token, and what is to be kept of it: it counts once that is. @raise Refused: not so, or not so long."""

    async def keep(token: ServiceToken) -> None:
        """From now on who shows it is let in. @raise Refused, OSError"""

    async def tokens() -> tuple[ServiceToken, ...]:
        """All of them, the newest first."""

    async def revoke(token_id: str) -> None:
        """From now on who shows it is refused. @raise OSError"""


class IIssuesCertificates(Interface):
    """An authenticator with an authority of its own, whose certificates are clients'."""

    async def issue(request: bytes, san: str, groups: tuple[str, ...], lifetime_s: float) -> Any:
        """A certificate (cryptography's) for the key of a signing request (PEM), and for whom `san` names.

        Nobody has it before it is in the log. @raise Refused: not for that key, name or time.
        """


class IMintsTokens(Interface):
    """An authenticator that knows tokens of the gateway's own."""

    async def mint(identity: Identity, authenticator: str) -> str:
        """A token that says who that is, for no longer than it is known, and by which authenticator. @raise Refused"""

    def proven_by(credentials: Credentials) -> str:
        """The authenticator who said so at first, by a token that was verified: it is the one who can look again."""


class IRouter(IAddon):
    """Which endpoint does a target's name mean?"""

    async def route(identity: Identity, target_name: str) -> Target | None:
        """One endpoint in one zone; None when unknown. Unknown and forbidden look alike to the client."""


class IGrantSource(IAddon):
    """May they, now?"""

    async def grants(
        identity: Identity, roles: frozenset[str], target: Target, at_s: float
    ) -> tuple[Grant, ...] | Pending:
        """All grants in force at `at_s` for these roles and this target, the most preferred first; () for none.

        Pending: a person is being asked; the gateway asks again until `until_s` or `limits.approval_s_max`.
        """


class IAsksOffice(Interface):
    """An addon that goes by what people have asked for and decided."""

    office: Any = Attribute("Set by the gateway before it asks: a `hoopproxy.access.office.Office`.")


class IResidencyCheck(IAddon):
    """Where is this place, by one method?"""

    async def examine(place: Place) -> Finding:
        """One finding. Never a decision: the verdict is made from all findings by `hoopproxy.residency.verdict`."""


class ICredentialSource(IAddon):
    """What does the gateway show the target?"""

    async def secret(passage: Passage | None, credential: str) -> TargetSecret | None:
        """The secret of that name, never cached by the caller; None: not held here, ask the next.

        Without a passage an operator asks, who makes or audits what masks need in a target.
        """


class IStatementGuard(IAddon):
    """May this statement leave?"""

    async def examine(passage: Passage, statement: Statement) -> Answer:
        """Allow, Refuse (the session stays open) or Pending (a person decides)."""


class IApprovals(Interface):
    """What people decide about single statements."""

    def answer(passage: Passage, statement: Statement, why: str, rule: Any = None) -> Answer:
        """What was decided about this statement of this connection: Pending while nobody has. `why` is for those who
        decide: people by `rule`, a `hoopproxy.access.request.ApprovalRule`, and without one the operator. To be asked
        again as long as the statement waits; Allow is said once."""


class IAsksPeople(Interface):
    """An addon that leaves decisions to people."""

    approvals: Any = Attribute("Set by the gateway before it asks: an `IApprovals`.")


class IMasker(IAddon):
    """Which cells does the client not see?"""

    async def protects(permit: Permit) -> frozenset[str]:
        """Paths `schema.table.column` that are masked by origin in this session; `"*"` among them: values are judged
        by content, whatever their origin. Empty: nothing is masked by this addon in this session.

        Over HTTP, `ENDPOINT $.path` in the words of `hoopproxy.masking.fields`, and `ENDPOINT *` for all but a list.
        """

    async def plan(passage: Passage, shape: Shape) -> Mapping[int, Mask]:
        """Once per shape: index of a field to its mask. `{}`: not my fields. Of documents, a shape is what is new.

        The first masker to name a field wins; but on a field that is protected by origin a `PerCell` comes after the
        masks that know the column.
        """


class IEnforcement(IAddon):
    """What makes masks hold against statements: the one place that may change them, asked after all guards said yes."""

    end_session: Any = Attribute("Set by the gateway: `(session_id, sentence) -> bool` ends a live session.")
    note: Any = Attribute("Set by the gateway: `async (Entry) -> int`; returns when the log has it for good.")

    async def enter(passage: Passage, role: str, desk: Callable[[], Awaitable[IDesk]]) -> Entrance | None:
        """Where the target keeps this session's masks itself: as whom the gateway logs in. None: as `role`, whom the
        passage's account stands for.

        `desk` opens a connection with the rights of the target's provisioner. @raise Refused: masks would not hold.
        """

    def begin(passage: Passage, catalog: Catalog) -> "IRewriting":
        """What judges the statements of one connection, which was just logged in."""


class IRewriting(Interface):
    """The statements of one connection, in their order."""

    async def rewrite(statement: Statement) -> Forward:
        """What goes to the target in place of a statement; its `rows_max` is not looked at. Not asked for EXECUTE.

        @raise Refused: this statement can't be masked; the sentence says what to write instead.
        """

    def ran(statement: Statement) -> None:
        """What was prepared as `text` is about to run (EXECUTE): all guards allow it."""

    def end() -> None:
        """The connection has ended."""


class IRecorder(IAddon):
    """What was asked and shown, kept in the zone."""

    chunk_noted: Any = Attribute(
        "Set by the gateway before the first `open`: `async (Chunk) -> int`. A recorder awaits it with "
        "the digest of what it stored, so that the log binds a recording whose gateway was killed."
    )

    async def open(passage: Passage) -> "IRecording":
        """A recording of one connection, its header durable. @raise EvidenceUnavailable: no session."""


class IRecording(Interface):
    """One connection's recording."""

    rows_max: int = Attribute("How many rows of each result it wants to see.")
    strict: bool = Attribute("True: answers, too, wait until their record is durable.")

    def record(at_s: float, events: Sequence[Record], shown: bytes) -> int:
        """Take events and the bytes about to be shown to the client (hashed, not kept).

        Answers the credit left, in bytes: at 0 or below the relay stops reading until `settle` returns.
        @raise EvidenceUnavailable: the session ends.
        """

    async def settle() -> None:
        """Returns when all that was recorded so far survives a power cut. @raise EvidenceUnavailable."""

    async def close(tally: Tally, reason: str) -> Manifest:
        """Write the end, make it durable, answer where it lies."""


class IEvidenceSink(IAddon):
    """Where the log's leaves are kept."""

    size: int = Attribute("How many leaves it holds.")
    last: bytes = Attribute('The last leaf, b"" when there is none: the log goes on behind it after a restart.')

    async def append(leaves: Sequence[bytes]) -> int:
        """Keep these leaves (≤ 16 KiB each, in order); answers the index of the first.

        Returns only when they survive a power cut. @raise EvidenceUnavailable: none of them was kept.
        """
