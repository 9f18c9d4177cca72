"""Who is compared: each line of the tables is one way from a client to a server. Knows no process.

Frozen values; `stage.py` makes doors of them.
"""

from dataclasses import dataclass, replace
from enum import Enum

PLAIN, MASKED, KEPT = "plain", "masked", "kept"
"""The databases, which hold the same. In the second two of eight columns are masked for everybody, by the gateway; in
the third the same two, by the database itself."""


class Leg(Enum):
    """What is spoken between two ends."""

    TLS = "TLS"
    PLAINTEXT = "plaintext"
    SAME = "the client's own TLS, passed on"
    SSH = "SSH"
    SSH_GCM = "SSH, AES-GCM"
    HTTPS = "HTTPS"
    HTTP = "HTTP"
    NONE = "-"


class Family(Enum):
    """The processes that are started; one may serve several lines."""

    DIRECT = "direct"
    TWISTED = "Twisted relay"
    PGBOUNCER = "pgbouncer"
    PGBOUNCER_64K = "pgbouncer, pkt_buf 64k"
    HAPROXY = "haproxy"
    HOOPPROXY = "hoopproxy"
    HOOPPROXY_FULL = "hoopproxy, full and strict"
    ASYNCSSH = "asyncssh"
    HAPROXY_TCP = "haproxy, TCP"
    HOOPPROXY_WIRES = "hoopproxy, SSH and TCP"
    NGINX = "nginx"
    MITMDUMP = "mitmdump"
    HOOPPROXY_WEB = "hoopproxy, HTTP"


BASES = (Family.PGBOUNCER, Family.TWISTED, Family.ASYNCSSH, Family.HAPROXY_TCP, Family.MITMDUMP)
"""What others are held against: whichever of them a workload knows."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How a gateway records (docs/evidence.md); `settings` is TOML for its recorder."""

    record: str
    durability: str
    settings: str = ""

    def __str__(self) -> str:
        return f"{self.record}, {self.durability}" if self.durability else self.record


NO_RECORD = Mode("-", "")
ROWS = Mode("rows(1000)", "bounded")
COUNTS = Mode("bytes counted", "bounded")
STREAMS = Mode("rows(1 MiB each)", "bounded")
EXCHANGES = Mode("heads, 1 MiB of each body", "bounded")
FULL = Mode("full", "strict", 'record = "full"\ndurability = "strict"\n')


@dataclass(frozen=True, slots=True)
class Line:
    """One way to a server. Lines are compared within one `client_leg`."""

    contender: str
    family: Family
    client_leg: Leg
    server_leg: Leg
    mode: Mode = NO_RECORD
    database: str = PLAIN

    @property
    def legs(self) -> str:
        """Both, for people."""
        if self.server_leg in (Leg.NONE, Leg.SAME):
            return f"{self.client_leg.value}, end to end"
        return f"{self.client_leg.value} + {self.server_leg.value}"

    def __str__(self) -> str:
        mode = f", record {self.mode}" if self.mode.durability else ""
        return f"{self.contender}, {self.legs}{mode}"


def lines(postgres_version: int) -> tuple[Line, ...]:
    """All of them. haproxy can add TLS only towards a server that takes it without being asked: PostgreSQL 17."""
    adding = Leg.TLS if postgres_version >= 17 else Leg.PLAINTEXT
    made: list[Line] = []
    for leg in (Leg.TLS, Leg.PLAINTEXT):
        masked = Line("hoopproxy, 2 of 8 masked", Family.HOOPPROXY, leg, Leg.TLS, ROWS, MASKED)
        made += [
            Line("direct", Family.DIRECT, leg, Leg.NONE),
            Line("Twisted relay", Family.TWISTED, leg, Leg.TLS),
            Line("pgbouncer", Family.PGBOUNCER, leg, Leg.TLS),
            Line("pgbouncer, pkt_buf 64k", Family.PGBOUNCER_64K, leg, Leg.TLS),
            Line("haproxy", Family.HAPROXY, leg, Leg.SAME if leg is Leg.TLS else adding),
            masked,
            replace(masked, contender="hoopproxy, 2 of 8 masked by the database", database=KEPT),
            replace(masked, contender="hoopproxy, none masked", database=PLAIN),
        ]
        if leg is Leg.TLS:
            made.append(replace(masked, family=Family.HOOPPROXY_FULL, mode=FULL))
    return tuple(made)


def ssh_lines() -> tuple[Line, ...]:
    """Those to an sshd, each with the cipher that its ends agree on by themselves, and all with the same."""
    made: list[Line] = []
    for leg in (Leg.SSH, Leg.SSH_GCM):
        made += [
            Line("direct", Family.DIRECT, leg, Leg.NONE),
            Line("asyncssh", Family.ASYNCSSH, leg, leg),
            Line("hoopproxy", Family.HOOPPROXY_WIRES, leg, leg, STREAMS),
        ]
    return tuple(made)


def tcp_lines() -> tuple[Line, ...]:
    """Those to a server that speaks nothing in particular. Who the client is follows from its certificate, where there
    is TLS, and from its address, where there is none."""
    made: list[Line] = []
    for leg in (Leg.TLS, Leg.PLAINTEXT):
        made += [
            Line("direct", Family.DIRECT, Leg.PLAINTEXT, Leg.NONE),
            Line("haproxy", Family.HAPROXY_TCP, leg, Leg.PLAINTEXT),
            Line("hoopproxy", Family.HOOPPROXY_WIRES, leg, Leg.PLAINTEXT, COUNTS),
        ]
    return tuple(dict.fromkeys(made))


def web_lines() -> tuple[Line, ...]:
    """Those to a site of static files, over TLS on both legs and over none."""
    made: list[Line] = []
    for leg in (Leg.HTTPS, Leg.HTTP):
        made += [
            Line("direct", Family.DIRECT, leg, Leg.NONE),
            Line("nginx", Family.NGINX, leg, leg),
            Line("mitmdump", Family.MITMDUMP, leg, leg),
            Line("hoopproxy", Family.HOOPPROXY_WEB, leg, leg, EXCHANGES),
        ]
    return tuple(made)
