"""What an SFTP client waits for: its requests without an answer, and the files that they are about.

Knows which kinds of answer fit, not how a packet looks.
"""

from dataclasses import dataclass

from hoopproxy.wire.ssh.in_order import InOrder
from hoopproxy.wire.ssh.sftp_packets import Type


@dataclass(slots=True)
class Opened:
    """One handle. `under_way` are its reads and writes without an answer, `outcome` how it was closed."""

    path: str
    flags: int
    is_directory: bool
    reads: InOrder
    writes: InOrder
    read_bytes: int = 0
    written_bytes: int = 0
    under_way: int = 0
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """A request whose answer nobody records."""

    answers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Change:
    """A request that is recorded with its outcome."""

    operation: str
    path: str
    new_path: str = ""
    bytes_count: int = 0
    detail: str = ""
    answers: frozenset[int] = frozenset((Type.STATUS,))


@dataclass(frozen=True, slots=True)
class Open:
    """An OPEN or OPENDIR."""

    path: str
    flags: int
    is_directory: bool
    answers: frozenset[int] = frozenset((Type.STATUS, Type.HANDLE))


@dataclass(frozen=True, slots=True)
class Read:
    """A READ."""

    opened: Opened
    offset: int
    length: int
    answers: frozenset[int] = frozenset((Type.STATUS, Type.DATA))


@dataclass(frozen=True, slots=True)
class Write:
    """A WRITE, whose bytes are already hashed."""

    opened: Opened
    length: int
    answers: frozenset[int] = frozenset((Type.STATUS,))


@dataclass(frozen=True, slots=True)
class Close:
    """A CLOSE of any handle."""

    opened: Opened
    answers: frozenset[int] = frozenset((Type.STATUS,))


type Request = Quiet | Change | Open | Read | Write | Close

TOLD_NAME = frozenset((Type.STATUS, Type.NAME))
TOLD_ATTRS = frozenset((Type.STATUS, Type.ATTRS))
TOLD_ANYTHING = frozenset((Type.STATUS, Type.NAME, Type.ATTRS, Type.EXTENDED_REPLY))
