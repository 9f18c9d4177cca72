"""What the rooms of the house ask of each other: time, connections, and all that those who speak a protocol bring.

The roles that addons have are in `hoopproxy.interfaces`. Knows values and events only.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from zope.interface import Attribute, Interface

from hoopproxy.events import Reply, Step
from hoopproxy.masks import Catalog
from hoopproxy.model import Arrival, Credentials, IPAddress, Measurements, Passage, Permit, Side, Target
from hoopproxy.proofs import TargetSecret
from hoopproxy.settings import ListenerSettings

# mypy: disable-error-code="empty-body"
# zope.interface bodies are docstrings: there is nothing to return.


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

    def dismiss() -> None:
        """As `close`, when the right behind the session has ended: a client that does not take its last words within
        `limits.goodbye_s_max` is cut off, and a target that is amid its answer much sooner."""

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


class IWithdrawing(Interface):
    """A frontend whose client can take back what it asked, in words of the protocol."""

    withdraw: Any = Attribute(
        "Set by the gateway once it relays: `() -> bool` takes back the statement that waits for a person's decision; "
        "False: none does."
    )


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


type Rows = tuple[tuple[str | None, ...], ...]
"""What a statement answered, each value as a text."""


class IDesk(Interface):
    """A connection of the gateway's own to a target's database: nobody's session. One question at a time."""

    async def ask(text: str) -> tuple[Rows, ...]:
        """Run the statements of `text` in one go: the rows of each, in order.

        `limits.provision_s_max` bounds it. @raise SqlFailed, UpstreamUnreachable, ProtocolViolation
        """

    def close() -> None:
        """Leave; safe to call twice."""


class IProvisioner(Interface):
    """A dialer whose targets can keep masks themselves."""

    async def desk(passage: Passage, secret: TargetSecret) -> IDesk:
        """A new connection to where the passage leads, logged in with `secret`.

        @raise UpstreamUnreachable, UpstreamRefused
        """


class IPeer(IConnection):
    """A target that the gateway is logged in to."""

    greeting: Any = Attribute("What the frontend of the same protocol shows its client (settings, version).")
    catalog: Catalog = Attribute("What is protected in this session: known before, or read at login.")

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

    async def login(
        reached: IReached,
        passage: Passage,
        secret: TargetSecret,
        protected: frozenset[str],
        known: Catalog | None = None,
    ) -> IPeer:
        """Show the secret; unless the catalog is `known`, read it for `protected`.

        @raise UpstreamUnreachable, UpstreamRefused
        """


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
