"""All that an addon, a protocol or a hand is asked, and all that it may answer.

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

from hoopproxy.events import Record, Reply, Shape, Statement, Step
from hoopproxy.masks import Catalog, Mask
from hoopproxy.model import (
    Answer,
    Arrival,
    Credentials,
    Finding,
    Grant,
    Identity,
    IPAddress,
    Manifest,
    Measurements,
    Passage,
    Pending,
    Permit,
    Place,
    Side,
    Tally,
    Target,
)
from hoopproxy.proofs import TargetSecret
from hoopproxy.settings import ListenerSettings

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
    policy: Any = Attribute("`hoopproxy.access.policy.Policy`: roles, grants and masks of policy.toml.")
    targets: Mapping[str, Target] = Attribute("The targets of targets.toml by name.")
    scheduler: "IScheduler" = Attribute("The clock.")


# The roles ----------------------------------------------------------------------------------------------------------


class IAuthenticator(IAddon):
    """Who is this?"""

    async def identify(arrival: Arrival, credentials: Credentials) -> Identity | None:
        """The verified identity, or None: not my kind, ask the next.

        @raise Refused: my kind and wrong; nobody else is asked. The sentence never tells which check failed in a way
            that helps to forge.
        """


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


class IResidencyCheck(IAddon):
    """Where is this place, by one method?"""

    async def examine(place: Place) -> Finding:
        """One finding. Never a decision: the verdict is made from all findings by `hoopproxy.residency.verdict`."""


class ICredentialSource(IAddon):
    """What does the gateway show the target?"""

    async def secret(passage: Passage, credential: str) -> TargetSecret | None:
        """The secret of that name, never cached by the caller; None: not held here, ask the next."""


class IStatementGuard(IAddon):
    """May this statement leave?"""

    async def examine(passage: Passage, statement: Statement) -> Answer:
        """Allow, Refuse (the session stays open) or Pending (a person decides)."""


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
    """The one place that may change a statement, asked after all guards said yes."""

    async def rewrite(passage: Passage, statement: Statement, catalog: Catalog) -> str:
        """The text that goes to the target.

        @raise Refused: this statement can't be masked; the sentence says what to write instead.
        """


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


# The rooms' own -----------------------------------------------------------------------------------------------------


class IScheduler(Interface):
    """Time and concurrency, given to the code that decides so that it needs no reactor."""

    cancelled: type[Exception] = Attribute("What is raised inside work that is cancelled.")

    def now_s() -> float:
        """POSIX time, UTC."""

    def monotonic_s() -> float:
        """Never goes back; for limits."""

    async def within(limit_s: float, work: Awaitable[Any]) -> Any:
        """The result of `work`; when it takes longer it is cancelled. @raise TimeoutError."""

    async def sleep(duration_s: float) -> None:
        """Let that much time pass."""

    async def first(*works: Awaitable[Any]) -> Any:
        """Run all side by side until the first ends or raises; the others are cancelled and awaited. Its result."""

    def signal() -> "ISignal":
        """A new signal, not set."""


class ISignal(Interface):
    """Something to wait for."""

    def set(value: Any = None) -> None:
        """Wake all who wait, now and later. The first value stays; setting it again does nothing."""

    async def wait() -> Any:
        """The value; returns at once when set."""


class IConnection(Interface):
    """A byte stream to one peer."""

    side: Side = Attribute("Whom it talks to.")
    lost: "ISignal" = Attribute("Set when the connection is gone; a peer that only stopped sending still hears.")

    async def read() -> bytes:
        """1..`chunk_bytes_max` bytes, or b"" at the peer's end of stream. Reading resumes the peer, one at a time."""

    async def write(data: bytes) -> None:
        """Returns when there is room for more: a slow reader stops the fast sender."""

    async def end() -> None:
        """Half-close: nothing more will be written, and the peer hears an end of stream; what it sends is still read.
        Returns when the peer's side has taken all that was written."""

    def close() -> None:
        """Flush, then close; safe to call twice."""

    def abort() -> None:
        """Close now, without a flush; safe to call twice."""


class IFrontend(IConnection):
    """A client connection with its handshake still to do."""

    arrival: Arrival = Attribute("Known before anything is believed.")
    handshake_limit: str = Attribute("The key in `limits` that bounds all waits for credentials together.")

    async def credentials() -> Credentials | None:
        """Do the protocol's handshake up to the point where the client waits for our word.

        None: this connection carries no session (a cancel request, say); it was dealt with and is only to be closed.
        Asked once more after `again` has said yes. The caller bounds this by the limit that `handshake_limit` names.

        @raise ProtocolViolation, LimitReached, Refused
        """

    def again(why: Exception) -> bool:
        """The credentials were refused: whether the client may show others. If so, it was told, and `credentials` waits
        for them."""

    async def welcome(passage: Passage, peer: "IPeer") -> None:
        """Tell the client that it is in. Once, after the target answered."""

    def inform(sentence: str, words: bytes = b"") -> None:
        """A notice that does not end anything (waiting for an approval, say). `words` as for `refuse`."""

    def refuse(session_id: str, why: Exception, words: bytes = b"") -> None:
        """Tell the client, in its protocol, that it is over. Instead of, or after, `welcome`. Does not close.

        `words` are what the machine of a live session has the client shown first: see `IWire.words`.
        """


class IListener(Interface):
    """Client connections of one protocol; an entry point in `hoopproxy.listeners` is a class of these, built with
    `(settings: ListenerSettings, limits: Limits, scheduler: IScheduler)`. Building reads the certificate and key."""

    settings: ListenerSettings = Attribute("Where it listens.")

    def frontend(connection: Any, arrival: Arrival, adopt: Callable[[IFrontend], None]) -> IFrontend:
        """The frontend of one accepted connection, a `hoopproxy.connection.Connection`.

        `adopt` serves another frontend like a connection of its own: for what comes through this one and leads to
        another target, such as a channel that an SSH client forwards.
        """


class IReached(Interface):
    """A target that was connected to and proved itself; nothing was said yet."""

    measurements: Measurements = Attribute("What the handshake showed.")

    def abort() -> None:
        """Give it up. Nothing happens once a login took it over."""


class IPeer(IConnection):
    """A target that the gateway is logged in to."""

    greeting: Any = Attribute("What the frontend of the same protocol shows its client (settings, version).")
    catalog: Catalog = Attribute("Read at login, for what is protected in this session.")

    async def interrupt() -> None:
        """Ask the target to stop the running statement, at the same verified address. Never raises."""


class IDialer(Interface):
    """The way to the targets of one protocol; an entry point in `hoopproxy.dialers` is a class of these, built with
    `(reactor, limits: Limits, scheduler: IScheduler)`."""

    def unfit(target: Target) -> str:
        """Why targets.toml says too little of this target, or too much, for it to be dialled: a full sentence that
        names the key; "" when it is fit. Asked at the start."""

    async def reach(permit: Permit) -> IReached:
        """Connect to a judged literal, compare the peer's address, do the handshake, check pins and names.

        No secret, no user byte. @raise UpstreamUnreachable.
        """

    async def login(reached: IReached, passage: Passage, secret: TargetSecret, protected: frozenset[str]) -> IPeer:
        """Show the secret, read the catalog for `protected`. @raise UpstreamUnreachable, UpstreamRefused."""


class IResolver(Interface):
    """Names to addresses."""

    async def resolve(host: str) -> tuple[IPAddress, ...]:
        """All A and AAAA of a strict IP literal or LDH name, canonical. @raise UpstreamUnreachable."""


class IWire(Interface):
    """One connection of one protocol after login, as a machine without I/O."""

    def feed(side: Side, data: bytes) -> Step:
        """However `data` was cut; b"" is end of stream. @raise ProtocolViolation: the machine is dead."""

    def resume(side: Side, reply: Reply | None) -> Step:
        """The answer to the ask that `side`'s last step ended with, and what that side had sent behind it.

        None: there was no ask, only more of what that side had sent than one step takes.
        """

    def release(side: Side) -> Step:
        """That side has paused for the `hold_s` of its last step: what was held back of it, as it is."""

    def words(sentence: str) -> bytes:
        """What shows the client a sentence of the gateway's amid the session, for the frontend's `inform` and `refuse`;
        b"" where the frontend needs no more than the sentence."""


class IWireFactory(Interface):
    """Makes machines of one protocol; an entry point in `hoopproxy.wires` is a class of these, built with
    `(limits: Limits)`."""

    treatment: str = Attribute("What becomes of the bytes, as the log says it: `parsed, masked`, say.")

    def wire(passage: Passage, peer: IPeer, protected: frozenset[str], rows_recorded_max: int) -> IWire:
        """A machine in the state right after `welcome`."""
