"""The shape of every table of hoopproxy.toml and targets.toml: its keys, their types, ranges and defaults.

Says what is well-formed on its own; whether names lead anywhere is `hoopproxy.config.references`' question, whether
files exist is `hoopproxy.config.load`'s. An addon's own keys are its class's business.
"""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator

from hoopproxy.config.sentences import Form
from hoopproxy.model import IPAddress
from hoopproxy.residency.addresses import parse_host
from hoopproxy.residency.countries import COUNTRIES
from hoopproxy.settings import IPNetwork, Limits, Plaintext

DEFAULT = Limits()


class Table(BaseModel):
    """A table whose keys are known: any other key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# Texts that have a form ---------------------------------------------------------------------------------------------


def text(form: str, pattern: str) -> AfterValidator:
    """Wants a text that fits `pattern` as a whole; `form` says so in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(text)
        return text

    return AfterValidator(Form(form, check))


def _address(text: Any) -> IPAddress:
    address = ipaddress.ip_address(str(text))
    if not isinstance(text, str) or getattr(address, "scope_id", None):
        raise ValueError(text)
    return address


def _network(text: Any) -> IPNetwork:
    if not isinstance(text, str):
        raise ValueError(text)
    return ipaddress.ip_network(text)


def _host(text: str) -> str:
    return str(parse_host(text))


def _country(text: str) -> str:
    if text not in COUNTRIES:
        raise ValueError(text)
    return text


type Name = Annotated[
    str,
    text(
        "a name of 1 to 63 letters, digits, '.', '_' and '-' that starts with a letter or digit",
        "[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
    ),
]
type Text = Annotated[str, text("a text of 1 to 255 characters", r"[^\x00-\x1f\x7f]{1,255}")]
type Country = Annotated[str, AfterValidator(Form('an ISO 3166-1 alpha-2 code such as "DE" or "GB"', _country))]
type Address = Annotated[
    IPAddress, PlainValidator(Form('an IPv4 or IPv6 address such as "127.0.0.1" or "::1"', _address))
]
type Host = Annotated[str, AfterValidator(Form("a DNS name or an IP address", _host))]
type Pin = Annotated[
    str, text('"sha256:" and the 64 hex digits of a key\'s SubjectPublicKeyInfo digest', "sha256:[0-9a-f]{64}")
]
type HostKey = Annotated[
    str, text('"SHA256:" and 43 characters, as ssh-keygen -l prints it of a host\'s key', "SHA256:[A-Za-z0-9+/]{43}")
]
type Variable = Annotated[
    str, text('the name of an environment variable such as "LANG" or "LC_*"', r"[A-Za-z_][A-Za-z0-9_]{0,62}\*?")
]
type Credential = Annotated[
    str,
    text(
        'the name of a credential, or "" for an account to which nothing is shown', "([A-Za-z0-9][A-Za-z0-9._-]{0,62})?"
    ),
]
type Network = Annotated[IPNetwork, PlainValidator(Form('a network such as "10.0.0.0/24" or "fd00::/64"', _network))]


# hoopproxy.toml -----------------------------------------------------------------------------------------------------


class GatewayTable(Table):
    """`[gateway]`."""

    name: Name
    zone: Text
    country: Country
    state_dir: Path
    control_socket: Path | None = None
    pseudonym_key: Path
    zones: Path | None = None
    targets: Path = Path("targets.toml")
    policy: Path = Path("policy.toml")


class StorageTable(Table):
    """`[storage]`."""

    country: Country


class LimitsTable(Table):
    """`[limits]`: the fields of `hoopproxy.settings.Limits`, each with the range in which it makes sense."""

    handshake_s_max: float = Field(DEFAULT.handshake_s_max, ge=0.1, le=300)
    login_s_max: float = Field(DEFAULT.login_s_max, ge=1, le=3600)
    login_attempts_max: int = Field(DEFAULT.login_attempts_max, ge=1, le=100)
    head_s_max: float = Field(DEFAULT.head_s_max, ge=0.1, le=300)
    decision_s_max: float = Field(DEFAULT.decision_s_max, ge=0.1, le=60)
    approval_s_max: float = Field(DEFAULT.approval_s_max, ge=1, le=86400)
    dial_s_max: float = Field(DEFAULT.dial_s_max, ge=0.1, le=300)
    provision_s_max: float = Field(DEFAULT.provision_s_max, ge=1, le=3600)
    idle_s_max: float = Field(DEFAULT.idle_s_max, ge=1, le=604800)
    answer_s_max: float = Field(DEFAULT.answer_s_max, ge=0, le=604800)
    stalled_s_max: float = Field(DEFAULT.stalled_s_max, ge=1, le=604800)
    session_s_max: float = Field(DEFAULT.session_s_max, ge=1, le=604800)
    recheck_s: float = Field(DEFAULT.recheck_s, ge=5, le=3600)
    unchecked_s_max: float = Field(DEFAULT.unchecked_s_max, ge=10, le=86400)
    goodbye_s_max: float = Field(DEFAULT.goodbye_s_max, ge=0.5, le=60)
    drain_s_max: float = Field(DEFAULT.drain_s_max, ge=0, le=3600)
    blocking_ms_max: float = Field(DEFAULT.blocking_ms_max, ge=1, le=10000)
    turn_ms_max: float = Field(DEFAULT.turn_ms_max, ge=0.1, le=100)
    chunk_bytes_max: int = Field(DEFAULT.chunk_bytes_max, ge=1024, le=1048576)
    startup_bytes_max: int = Field(DEFAULT.startup_bytes_max, ge=1024, le=1048576)
    statement_bytes_max: int = Field(DEFAULT.statement_bytes_max, ge=1024, le=1073741823)
    row_bytes_max: int = Field(DEFAULT.row_bytes_max, ge=1024, le=1073741823)
    pending_statements_max: int = Field(DEFAULT.pending_statements_max, ge=1, le=1000000)
    prepared_statements_max: int = Field(DEFAULT.prepared_statements_max, ge=1, le=1000000)
    prepared_bytes_max: int = Field(DEFAULT.prepared_bytes_max, ge=65536, le=1 << 40)
    channels_max: int = Field(DEFAULT.channels_max, ge=1, le=65536)
    head_bytes_max: int = Field(DEFAULT.head_bytes_max, ge=4096, le=1048576)
    document_bytes_max: int = Field(DEFAULT.document_bytes_max, ge=1024, le=1073741823)
    message_bytes_max: int = Field(DEFAULT.message_bytes_max, ge=1024, le=1073741823)
    lanes_max: int = Field(DEFAULT.lanes_max, ge=1, le=1000)
    addresses_max: int = Field(DEFAULT.addresses_max, ge=1, le=256)
    connections_max: int = Field(DEFAULT.connections_max, ge=1, le=1000000)
    connections_per_address_max: int = Field(DEFAULT.connections_per_address_max, ge=1, le=1000000)
    unauthenticated_max: int = Field(DEFAULT.unauthenticated_max, ge=1, le=1000000)
    unauthenticated_per_address_max: int = Field(DEFAULT.unauthenticated_per_address_max, ge=1, le=1000000)
    connections_per_identity_max: int = Field(DEFAULT.connections_per_identity_max, ge=1, le=1000000)

    @model_validator(mode="after")
    def _can_be_checked_in_time(self) -> "LimitsTable":
        if self.unchecked_s_max < 2 * self.recheck_s:
            raise ValueError(
                f"unchecked_s_max is {self.unchecked_s_max:g} and recheck_s {self.recheck_s:g}; wanted is an "
                "unchecked_s_max of at least twice as much, so that a session may miss a check"
            )
        return self


class ListenTable(Table):
    """`[[listen]]`. Port 0 takes any free port: for tests and demonstrations. What else a protocol needs, it says."""

    name: Name
    protocol: Name
    addresses: tuple[Address, ...] = Field(min_length=1)
    port: int = Field(ge=0, le=65535)
    certificate: Path | None = None
    key: Path | None = None
    plaintext: Plaintext = Plaintext.NEVER
    balancers: tuple[Network, ...] = ()
    client_ca: Path | None = None
    client_certificate: Literal["required", "optional"] = "required"
    host_keys: tuple[Path, ...] = ()
    target: Name | None = None
    account: Text | None = None
    domain: Host | None = None
    authority: Path | None = None
    authority_key: Path | None = None
    authority_passphrase_file: Path | None = None


class RolesTable(Table):
    """`[roles]`: the keys of `[addon.NAME]` tables, in the order in which they are asked."""

    authenticators: tuple[Name, ...] = Field(min_length=1)
    router: Name
    grants: tuple[Name, ...] = Field(min_length=1)
    residency: tuple[Name, ...] = Field(min_length=1)
    credentials: tuple[Name, ...] = Field(min_length=1)
    guards: tuple[Name, ...] = ()
    maskers: tuple[Name, ...] = ()
    enforcement: Name
    recorder: Name
    evidence: Name


class SignerTable(Table):
    """One item of `signers`."""

    name: Name
    key: Path


class PolicyTable(Table):
    """`[policy]`. Without it policy.toml counts as it is."""

    signers: tuple[SignerTable, ...] = Field(min_length=1, max_length=16)
    signatures_min: int = Field(1, ge=1, le=16)
    bundle: Path = Path("policy.bundle")


class StoreTable(Table):
    """`[store]`: where requests and grants are kept. Without it, in a file below state_dir."""

    url_file: Path | None = None
    lease_s_max: float = Field(30.0, ge=1, le=30)


type PortalUrl = Annotated[
    str,
    text(
        'an address such as "https://gw.example.com" or "https://gw.example.com:8444", without a path',
        r"https://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?",
    ),
]


class PortalTable(Table):
    """`[portal]`: where people sign in, by a browser or a command. Without it there is none."""

    addresses: tuple[Address, ...] = Field(min_length=1)
    port: int = Field(ge=0, le=65535)
    certificate: Path
    key: Path
    url: PortalUrl
    body_bytes_max: int = Field(262144, ge=1024, le=16777216)
    connection_s_max: float = Field(60.0, ge=1, le=3600)
    connections_max: int = Field(500, ge=1, le=100000)
    connections_per_address_max: int = Field(50, ge=1, le=100000)
    requests_per_minute: int = Field(120, ge=1, le=100000)
    sign_ins_per_minute: int = Field(10, ge=1, le=10000)
    sign_in_s_max: float = Field(600.0, ge=10, le=3600)
    link_key: Path | None = None


class AddonTable(BaseModel):
    """`[addon.NAME]`: all other keys belong to the addon that `use` names."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: Name


# targets.toml -------------------------------------------------------------------------------------------------------


class TlsTable(Table):
    """`[target.tls]`. Without `server_name` the target must prove that it is `host`."""

    server_name: Host | None = None
    ca: Path | None = None
    pins: frozenset[Pin] = frozenset()

    @model_validator(mode="after")
    def _trusts_somebody(self) -> "TlsTable":
        if self.ca is None and not self.pins:
            raise ValueError(
                "there is neither ca nor pins; wanted is at least one, so that the target can prove itself"
            )
        return self


type Login = Annotated[
    str, text('"bearer", "basic" or "header NAME"', "bearer|basic|header [A-Za-z0-9][A-Za-z0-9-]{0,62}")
]
type Endpoint = Annotated[
    str,
    text(
        'a path template such as "/v1/customers/{id}" or "/files/{path*}"',
        r"(/([A-Za-z0-9._~!$&'()+,;=:@%-]+|\{[a-z_]+\}))*/?(\{[a-z_]+\*\})?",
    ),
]
type Unprivileged = Annotated[
    str, text('a name or pattern that does not begin with "system:"', r"(?!system:)[^\x00-\x1f\x7f]{1,255}")
]


class HttpTable(Table):
    """`[target.http]`."""

    login: Login = "bearer"
    endpoints: tuple[Endpoint, ...] = ()
    redirects: frozenset[Host] = frozenset()


class KubernetesTable(Table):
    """`[target.kubernetes]`."""

    user: Literal["subject", "name"] = "subject"
    users: tuple[Unprivileged, ...] = Field(min_length=1)
    groups: frozenset[Unprivileged] = frozenset()


class PodTable(Table):
    """`[target.pod]`."""

    cluster: Name
    namespace: Name
    pod: Text
    port: int = Field(ge=1, le=65535)


class AcceptTable(Table):
    """One item of `accept`: a finding of the audit, by its name, and why it may be."""

    finding: Text
    reason: Text


class MasksTable(Table):
    """`[target.masks]`."""

    enforcement: Literal["server", "wire"] = "server"
    provisioner: Name | None = None
    accept: tuple[AcceptTable, ...] = ()

    @model_validator(mode="after")
    def _can_be_kept(self) -> "MasksTable":
        if (self.enforcement == "server") != (self.provisioner is not None):
            raise ValueError(
                "provisioner and enforcement don't fit; wanted is provisioner, the credential with which masks are "
                'made in the database, or enforcement = "wire", which needs none and is weaker'
            )
        return self


class TargetTable(Table):
    """`[[target]]`. Where it is, only a pod leaves to its cluster."""

    name: Name
    protocol: Name
    host: Host | None = None
    port: int | None = Field(None, ge=1, le=65535)
    zone: Text
    country: Country
    databases: tuple[Text, ...] = ()
    allow_loopback: bool = False
    classes: frozenset[Name] = frozenset()
    tls: TlsTable | None = None
    host_keys: frozenset[HostKey] = frozenset()
    environment: tuple[Variable, ...] = ("LANG", "LC_*", "TZ", "COLORTERM", "GIT_PROTOCOL")
    http: HttpTable = HttpTable()
    kubernetes: KubernetesTable | None = None
    pod: PodTable | None = None
    masks: MasksTable | None = None
    accounts: Mapping[Text, Credential] = Field(min_length=1)
