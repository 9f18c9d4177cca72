"""What configuration tells those who listen and dial: limits, and where to listen. Frozen values.

Knows no file: `hoopproxy.config` reads these.
"""

from dataclasses import dataclass
from enum import Enum

from hoopproxy.model import IPAddress


class Plaintext(Enum):
    """Where a listener talks to a client without TLS."""

    NEVER = "never"
    LOOPBACK = "loopback"


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One `[[listen]]` table: where to listen and as whom. `addresses` are literals, IPv4 and IPv6."""

    name: str
    protocol: str
    addresses: tuple[IPAddress, ...]
    port: int
    certificate_file: str
    key_file: str
    plaintext: Plaintext = Plaintext.NEVER


@dataclass(frozen=True, slots=True)
class Limits:
    """Every wait, queue and buffer has one; the comments in conf/hoopproxy.toml tell where each number comes from."""

    handshake_s_max: float = 10.0
    decision_s_max: float = 5.0
    approval_s_max: float = 900.0
    dial_s_max: float = 10.0
    idle_s_max: float = 3600.0
    answer_s_max: float = 0.0
    stalled_s_max: float = 900.0
    session_s_max: float = 43200.0
    drain_s_max: float = 10.0
    blocking_ms_max: float = 100.0
    turn_ms_max: float = 2.0
    chunk_bytes_max: int = 131072
    startup_bytes_max: int = 10240
    statement_bytes_max: int = 16777216
    row_bytes_max: int = 16777216
    pending_statements_max: int = 10000
    prepared_statements_max: int = 10000
    prepared_bytes_max: int = 67108864
    addresses_max: int = 16
    connections_max: int = 5000
    connections_per_address_max: int = 1000
    unauthenticated_max: int = 1000
    unauthenticated_per_address_max: int = 500
    connections_per_identity_max: int = 1000
