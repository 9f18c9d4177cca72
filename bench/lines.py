"""Who is compared: each line of the tables is one way from a client to the database. Knows no process.

Frozen values; `stage.py` makes doors of them.
"""

from dataclasses import dataclass, replace
from enum import Enum

PLAIN, MASKED = "plain", "masked"
"""The two databases, which hold the same. In the second two of eight columns are masked for everybody."""


class Leg(Enum):
    """What is spoken between two ends."""

    TLS = "TLS"
    PLAINTEXT = "plaintext"
    SAME = "the client's own TLS, passed on"
    NONE = "-"


class Family(Enum):
    """The processes that are started; one may serve several lines."""

    DIRECT = "direct"
    PGBOUNCER = "pgbouncer"
    PGBOUNCER_64K = "pgbouncer, pkt_buf 64k"
    HAPROXY = "haproxy"
    HOOPPROXY = "hoopproxy"
    HOOPPROXY_FULL = "hoopproxy, full and strict"


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
FULL = Mode("full", "strict", 'record = "full"\ndurability = "strict"\n')


@dataclass(frozen=True, slots=True)
class Line:
    """One way to the database. Lines are compared within one `client_leg`."""

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

    @property
    def is_pgbouncer(self) -> bool:
        """Whether this is what others are held against."""
        return self.family is Family.PGBOUNCER

    @property
    def is_direct(self) -> bool:
        """Whether there is no proxy."""
        return self.family is Family.DIRECT


def lines(postgres_version: int) -> tuple[Line, ...]:
    """All of them. haproxy can add TLS only towards a server that takes it without being asked: PostgreSQL 17."""
    adding = Leg.TLS if postgres_version >= 17 else Leg.PLAINTEXT
    made: list[Line] = []
    for leg in (Leg.TLS, Leg.PLAINTEXT):
        masked = Line("hoopproxy, 2 of 8 masked", Family.HOOPPROXY, leg, Leg.TLS, ROWS, MASKED)
        made += [
            Line("direct", Family.DIRECT, leg, Leg.NONE),
            Line("pgbouncer", Family.PGBOUNCER, leg, Leg.TLS),
            Line("pgbouncer, pkt_buf 64k", Family.PGBOUNCER_64K, leg, Leg.TLS),
            Line("haproxy", Family.HAPROXY, leg, Leg.SAME if leg is Leg.TLS else adding),
            masked,
            replace(masked, contender="hoopproxy, none masked", database=PLAIN),
        ]
        if leg is Leg.TLS:
            made.append(replace(masked, family=Family.HOOPPROXY_FULL, mode=FULL))
    return tuple(made)
