"""What configuration tells those who listen and dial: limits, and where to listen. Frozen values.

Knows no file: `hoopproxy.config` reads these.
"""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from hoopproxy.model import IPAddress

type IPNetwork = IPv4Network | IPv6Network


class Plaintext(Enum):
    """Where a listener talks to a client without TLS."""

    NEVER = "never"
    LOOPBACK = "loopback"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One `[[listen]]` table: where to listen and as whom. `addresses` are literals, IPv4 and IPv6.

    `balancers` may, and must, say in a PROXY header for whom they connect. What else is set is the protocol's business,
    and a protocol that can't do with it says so when it is built: the gateway's `certificate_file` and `key_file` for
    TLS and its `host_key_files` for SSH, the `client_ca_file` that clients' certificates come from, and whether they
    may show something else instead, and for clients that can't name them the `target` and `account` that they reach.
    For HTTP, `domain` is what follows a target's name in the hosts by which it is reached (`crm.gw.example.com`), and
    the authority files are the certificate, encrypted key and passphrase of the gateway's own CA, whose certificates
    clients of the forward proxy are shown.
    """

    name: str
    protocol: str
    addresses: tuple[IPAddress, ...]
    port: int
    certificate_file: str = ""
    key_file: str = ""
    plaintext: Plaintext = Plaintext.NEVER
    balancers: tuple[IPNetwork, ...] = ()
    client_ca_file: str = ""
    is_client_certificate_optional: bool = False
    host_key_files: tuple[str, ...] = ()
    target: str = ""
    account: str = ""
    domain: str = ""
    authority_file: str = ""
    authority_key_file: str = ""
    authority_passphrase_file: str = ""


@dataclass(frozen=True, slots=True)
class PortalSettings:
    """The `[portal]` table: where it listens, and under which `url` people know it (`https://HOST[:PORT]`).

    A connection lives for `connection_s_max`; a sign-in in a browser may take `sign_in_s_max`. The two per minute are
    of one address. `link_key_file` has the key of links to requests, None for one that only this gateway has.
    """

    addresses: tuple[IPAddress, ...]
    port: int
    certificate_file: str
    key_file: str
    url: str
    body_bytes_max: int = 262144
    connection_s_max: float = 60.0
    connections_max: int = 500
    connections_per_address_max: int = 50
    requests_per_minute: int = 120
    sign_ins_per_minute: int = 10
    sign_in_s_max: float = 600.0
    link_key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """One `[[webhook]]` table: who is told of which kinds of steps on requests, signed with `secret`.

    An exchange may take `timeout_s`; after `tries_max` of them in vain a step is given up. `ca_file` None: whom this
    machine trusts.
    """

    name: str
    url: str
    secret: bytes = field(repr=False)
    events: frozenset[str]
    ca_file: str | None
    tries_max: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where requests and grants are kept: in the PostgreSQL whose URL stands in `url_file`, or in the SQLite `path`.

    `lease_s_max` is for how long live sessions may go on when it can't be reached.
    """

    url_file: Path | None
    path: Path
    lease_s_max: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Every wait, queue and buffer has one; the comments in conf/hoopproxy.toml tell where each number comes from."""

    handshake_s_max: float = 10.0
    login_s_max: float = 120.0
    login_attempts_max: int = 6
    head_s_max: float = 10.0
    decision_s_max: float = 5.0
    approval_s_max: float = 900.0
    dial_s_max: float = 10.0
    provision_s_max: float = 60.0
    idle_s_max: float = 3600.0
    answer_s_max: float = 0.0
    stalled_s_max: float = 900.0
    session_s_max: float = 43200.0
    recheck_s: float = 60.0
    unchecked_s_max: float = 300.0
    goodbye_s_max: float = 2.0
    drain_s_max: float = 10.0
    blocking_ms_max: float = 100.0
    turn_ms_max: float = 2.0
    chunk_bytes_max: int = 262144
    startup_bytes_max: int = 10240
    statement_bytes_max: int = 16777216
    row_bytes_max: int = 16777216
    pending_statements_max: int = 10000
    prepared_statements_max: int = 10000
    prepared_bytes_max: int = 67108864
    channels_max: int = 256
    head_bytes_max: int = 65536
    document_bytes_max: int = 16777216
    message_bytes_max: int = 16777216
    lanes_max: int = 16
    addresses_max: int = 16
    connections_max: int = 5000
    connections_per_address_max: int = 1000
    unauthenticated_max: int = 1000
    unauthenticated_per_address_max: int = 500
    connections_per_identity_max: int = 1000
