"""The frozen values that a session is made of: who arrives, who they are, where they may go, and the two tokens.

Knows no protocol, no addon and no clock. Times are POSIX seconds in UTC (`_at_s`) unless the name ends `_s_max`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

from hoopproxy.proofs import HeldKey, Secret
from hoopproxy.targets import USUAL_HTTP, HttpTarget, KubernetesTarget, PodTarget, TargetMasks

type IPAddress = IPv4Address | IPv6Address

NOTHING: Mapping[str, str] = MappingProxyType({})


class Side(Enum):
    """The two ends of a session, as seen from the gateway."""

    CLIENT = "client"
    SERVER = "server"

    # A key of the relay's tables, 26 times for each query; an enum's own hash runs in the interpreter.
    __hash__ = object.__hash__

    @property
    def other(self) -> "Side":
        """The end opposite."""
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A literal address and a port: what a socket is connected to, never a name."""

    address: IPAddress
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A connection before anything it says is believed.

    `client` is who is at the other end: the peer of the socket, or whom a listed balancer named. `parent` is the
    session that it came through ("" for a connection of its own): a channel that an SSH client forwards, say.
    """

    connection_id: str
    listener: str
    protocol: str
    client: Endpoint
    at_s: float
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client said in its handshake: whom it claims to be and where it wants to go.

    `account` is the target account asked for, `database` the part behind `target/`; both may be "" (the target's
    default). `parameters` are the protocol's session settings, already cut down to what the gateway passes on.

    Who it is follows from `secret` (a token; empty for none), or `key`, or from where it comes alone. `parent` is set
    for what came through a live session: the permit of that session says who it is.
    """

    target_name: str
    account: str
    database: str
    secret: Secret
    parameters: Mapping[str, str] = NOTHING
    key: HeldKey | None = None
    parent: "Permit | None" = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified person or service. (`issuer`, `subject`) is the stable key; `name` is for people's eyes."""

    issuer: str
    subject: str
    name: str
    groups: frozenset[str]
    expires_at_s: float
    method: str


@dataclass(frozen=True, slots=True)
class Proven:
    """Who somebody is and by what. The authenticator of that name said so, and is asked again while they are here.

    What came through a live session was proven by whoever opened that one. `at_s` (monotonic) is when it was known.
    """

    identity: Identity
    credentials: Credentials
    authenticator: str
    at_s: float


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How a target proves itself. `server_name` is the configured identity, never the literal or a client's word.

    `ca_file` None with `pins` set trusts the pinned keys alone. A pin is `sha256:` and the hex digest of the key's DER
    SubjectPublicKeyInfo (RFC 7469 §2.4).
    """

    server_name: str
    ca_file: str | None
    pins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint in one zone, as its data steward declared it.

    `accounts` maps account name to credential name, "" for an account to which nothing is shown; the first is the
    default. The target proves itself by `tls`, or by one of `host_keys` (SSH: each `SHA256:` and the unpadded Base64 of
    the key's digest, as `ssh-keygen -l` prints it), or by nothing, where its dialer allows that. `environment` are the
    names of variables, `*` for any rest, that an SSH client may set there. `http` matters where HTTP is spoken,
    `kubernetes` where the target is a cluster, `pod` where it is a port within one. With `masks` the target keeps the
    masks of columns itself; without, results are masked on their way.
    """

    name: str
    protocol: str
    host: str
    port: int
    zone: str
    country: str
    tls: UpstreamTls | None
    accounts: Mapping[str, str]
    databases: tuple[str, ...] = ()
    allow_loopback: bool = False
    classes: frozenset[str] = frozenset()
    host_keys: frozenset[str] = frozenset()
    environment: tuple[str, ...] = ()
    http: HttpTarget = USUAL_HTTP
    kubernetes: KubernetesTarget | None = None
    pod: PodTarget | None = None
    masks: TargetMasks | None = None


class Assurance(IntEnum):
    """How well a place is known; evidence of a higher class outweighs any number of lower ones."""

    NONE = 0
    DECLARED = 1
    CORROBORATED = 2
    ATTESTED = 3
    MEASURED = 4


@dataclass(frozen=True, slots=True)
class Grant:
    """A right in force: these roles reach these accounts of a target until `not_after_s`.

    `zone` is where destination, gateway and recording storage must lie; the client must lie in one of `client_zones`.
    `assurance_min` says how well each place must be known; a place that it does not name must be DECLARED. `reveals`
    are the columns (`schema.table.column`) that are shown unmasked as long as it lasts. `actions` are what may be done,
    in the words of `hoopproxy.access.actions`; empty: whatever the account may. `rows_max` and `bytes_max` are what may
    still be shown, by all sessions together, when one comes in by it; None: no end to it.
    """

    grant_id: str
    roles: frozenset[str]
    target_name: str
    accounts: frozenset[str]
    zone: str
    client_zones: tuple[str, ...]
    assurance_min: Mapping["SubjectKind", Assurance]
    not_after_s: float
    reveals: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    rows_max: int | None = None
    bytes_max: int | None = None


class SubjectKind(Enum):
    """The four places that must lie in a zone before the first byte goes upstream."""

    DESTINATION = "destination"
    CLIENT = "client"
    GATEWAY = "gateway"
    STORAGE = "storage"


@dataclass(frozen=True, slots=True)
class Measurements:
    """What a handshake with the target showed.

    `spki_sha256` is the hex SHA-256 of its public key: the SubjectPublicKeyInfo in TLS, the key blob in SSH; "" when it
    proved none. `tcp_rtt_us` is the kernel's sample of the SYN, None if unusable.
    """

    peer: Endpoint
    spki_sha256: str
    tcp_rtt_us: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What residency checks look at: one of the four places, at one address (None: the place has none).

    A target with three addresses is three places. `measured` is None before the target was reached.
    """

    kind: SubjectKind
    name: str
    address: IPAddress | None
    declared_country: str | None
    measured: Measurements | None = None


class Support(Enum):
    """What one method says of one place."""

    COUNTRY = "country"
    INCONCLUSIVE = "inconclusive"
    STALE = "stale"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One method's answer about one place: the country that it names, or why it names none.

    `country` is ISO 3166-1 alpha-2 and set only with `Support.COUNTRY`. `source` tells which data said so (file and
    digest, or configuration); `age_s` is that data's age, None where age means nothing.
    """

    method: str
    support: Support
    country: str | None
    assurance: Assurance
    source: str
    age_s: float | None = None
    note: str = ""


class Decision(Enum):
    """A verdict's last word."""

    PERMIT = "permit"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one place lies in one zone, with everything that led there.

    `zone` is the zone wanted, or for a client the first granted zone that holds it. `code` is one of OK, REFUTED,
    CONFLICT, INSUFFICIENT, STALE, UNRESOLVED, MIXED_ADDRESSES, FORBIDDEN_ADDRESS. `country` is what the supporting
    findings agree on.
    """

    subject: SubjectKind
    name: str
    zone: str
    zone_revision: str
    decision: Decision
    code: str
    required: Assurance
    achieved: Assurance
    country: str | None
    findings: tuple[Finding, ...]
    sentence: str


# The two tokens -----------------------------------------------------------------------------------------------------


class Seal:
    """What only `hoopproxy.admit` holds. `tests/test_architecture.py` proves over the tree that nobody else mints."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Permit:
    """The first token: who, may and where (as far as it can be told from outside) were answered with yes.

    Lets a dialer *reach* the target: connect to one of `addresses`, handshake, prove. No secret, no user byte.
    """

    session_id: str
    arrival: Arrival
    identity: Identity
    roles: frozenset[str]
    target: Target
    account: str
    database: str
    parameters: Mapping[str, str]
    grant: Grant
    addresses: tuple[IPAddress, ...]
    client_zones: frozenset[str]
    verdicts: tuple[Verdict, ...]
    not_after_s: float
    seal: Seal = field(repr=False)

    def __post_init__(self) -> None:
        _require_seal(self.seal)
        if any(verdict.decision is not Decision.PERMIT for verdict in self.verdicts):
            raise AssertionError("a Permit holds no verdict that denies")


@dataclass(frozen=True, slots=True)
class Passage:
    """The second token: the target was reached, proved itself, and the verdict holds for what was measured.

    Lets a dialer *log in* and the relay pass bytes.
    """

    permit: Permit
    peer: Endpoint
    measurements: Measurements
    verdicts: tuple[Verdict, ...]
    seal: Seal = field(repr=False)

    def __post_init__(self) -> None:
        _require_seal(self.seal)
        if any(verdict.decision is not Decision.PERMIT for verdict in self.verdicts):
            raise AssertionError("a Passage holds no verdict that denies")

    @property
    def session_id(self) -> str:
        """The session that this connection belongs to."""
        return self.permit.session_id


def _require_seal(seal: Seal) -> None:
    # Not a defence against hostile Python (addons are trusted code) but against a forgetful colleague.
    if not isinstance(seal, Seal):
        raise AssertionError("only hoopproxy.admit mints a Permit or a Passage")


# What addons answer -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allow:
    """Go on. `warning` is one full sentence that the client is told; after `rows_max` rows (0: no limit) of a result
    the statement is ended with an error."""

    warning: str = ""
    rows_max: int = 0


@dataclass(frozen=True, slots=True)
class Refuse:
    """No, with one full sentence for the client."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Pending:
    """A person has to decide: `request` is what the client is told (a URL or a command), `until_s` the last moment."""

    request: str
    until_s: float


type Answer = Allow | Refuse | Pending


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one connection: never values. `rows` and `cells_masked` count what the client was shown."""

    statements: int = 0
    refused: int = 0
    rows: int = 0
    cells_masked: int = 0
    bytes_to_client: int = 0
    bytes_to_server: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where a recording lies and what binds it to the log: the digest of its last chunk and how many there are."""

    location: str
    chunks: int
    head_sha256: str
    bytes_stored: int
