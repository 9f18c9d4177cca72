"""Which bytes of running commands a recording keeps, and what it tells of those that it doesn't.

Pure. Every byte of every stream is counted and hashed, kept or not; knows neither lines nor files.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

ALL_BYTES = 2**63 - 1
"""More than any stream has."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How many bytes are kept of each stream: of a command that has a terminal, and of any other."""

    terminal_bytes_max: int = ALL_BYTES
    stream_bytes_max: int = ALL_BYTES


@dataclass(frozen=True, slots=True)
class Sum:
    """All of one stream: how many bytes went by, how many of them were not kept, and the SHA-256 of all, in hex."""

    statement_number: int
    stream: str
    bytes_count: int
    dropped: int
    sha256: str


@dataclass(slots=True)
class _Running:
    bytes_count: int = 0
    kept: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class Streams:
    """The streams of the statements that run, as many as channels are open."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._running: dict[tuple[int, str], _Running] = {}
        self._terminals: set[int] = set()

    def has_terminal(self, statement_number: int) -> None:
        """What this statement shows is what a person sees."""
        self._terminals.add(statement_number)

    def passed(self, statement_number: int, stream: str, data: bytes) -> bytes:
        """These bytes went by; those of them that are to be kept."""
        running = self._running.setdefault((statement_number, stream), _Running())
        running.bytes_count += len(data)
        running.digest.update(data)
        is_shown = statement_number in self._terminals
        most = self._keeping.terminal_bytes_max if is_shown else self._keeping.stream_bytes_max
        kept = data[: max(0, most - running.kept)]
        running.kept += len(kept)
        return kept

    def closed(self, statement_number: int) -> tuple[Sum, ...]:
        """Nothing more comes of the statement: the sums of its streams, in the order in which they began."""
        self._terminals.discard(statement_number)
        return tuple(self._sum(key) for key in tuple(self._running) if key[0] == statement_number)

    def end(self) -> tuple[Sum, ...]:
        """The recording ends: the sums of all that is not closed."""
        return tuple(self._sum(key) for key in tuple(self._running))

    def _sum(self, key: tuple[int, str]) -> Sum:
        running = self._running.pop(key)
        return Sum(*key, running.bytes_count, running.bytes_count - running.kept, running.digest.hexdigest())
