"""The log's files: preallocated segments that are only ever written at their end.

Blocking; one caller at a time. Knows the framing and the chain, and of entries only which kinds let nothing in.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from hoopproxy.disk.calls import Disk
from hoopproxy.errors import EvidenceUnavailable
from hoopproxy.evidence import chain
from hoopproxy.evidence.chain import ChainBroken, Head
from hoopproxy.evidence.entries import CLOSING
from hoopproxy.evidence.framing import HEADER_BYTES, FramesBroken, framed, frames, residue

SUFFIX = ".hplog"
SPARE = "spare.tmp"
SENTENCE = "The gateway can't write its log, so nothing may pass now; try again later or tell the operator."

type Outcome = int | EvidenceUnavailable
"""What became of one group of leaves: the index of its first, or why none of it was kept."""


class Segments:
    """One log's directory. Making it reads and verifies what is there and changes nothing; `open` takes it over.

    `head` and `last` tell where the log ends. `torn_bytes` is what a crash left of a write that nobody was told of.
    """

    def __init__(self, directory: Path, segment_bytes: int, reserve_bytes: int, disk: Disk | None = None) -> None:
        """@raise ChainBroken: the log was changed; one sentence names file and entry."""
        self.directory, self._segment_bytes, self._reserve_bytes = directory, segment_bytes, reserve_bytes
        self._disk = disk or Disk()
        self.head, self.last, self.torn_bytes = chain.EMPTY, b"", 0
        self._path: Path | None = None
        self._fd = self._lock = -1
        self._end = self._capacity = 0
        self._has_spare = False
        self._dead = ""
        self._read_on()

    @property
    def is_open(self) -> bool:
        """Whether this gateway holds the log."""
        return self._lock != -1

    @property
    def wants_spare(self) -> bool:
        """Whether the next segment has still to be reserved."""
        return not self._has_spare

    def open(self) -> None:
        """Take the log over: lock it, drop a torn tail, reserve room. @raise EvidenceUnavailable, ChainBroken."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise _unavailable(f"{self.directory} is in use by another gateway; each needs its own") from None
            self._lock = lock
            self._read_on()
            (self.directory / SPARE).unlink(missing_ok=True)
            self._has_spare = False
            if self._path is None:
                self.reserve()
                self._turn()
            else:
                self._fd = os.open(self._path, os.O_RDWR)
                self._wipe(self._capacity - self._end if self.torn_bytes else 0)
            self.reserve()
        except OSError as why:
            self.close()
            raise _unavailable(f"{self.directory}: {why}") from why
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the log up."""
        for fd in (self._fd, self._lock):
            if fd != -1:
                os.close(fd)
        self._fd = self._lock = -1

    def reserve(self) -> None:
        """Reserve the next segment if it is not yet. A full disk is no error here: it shows in what `commit` takes."""
        if self._has_spare:
            return
        path = self.directory / SPARE
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            return
        try:
            self._disk.allocate(fd, self._segment_bytes)
            os.fsync(fd)
            self._has_spare = True
        except OSError:
            path.unlink()
        finally:
            os.close(fd)

    def commit(self, groups: Sequence[Sequence[bytes]]) -> list[Outcome]:
        """Keep these groups of leaves, each whole or not at all; one write and one sync for all that are taken."""
        if self._dead:
            return [_unavailable(self._dead)] * len(groups)
        try:
            outcomes, taken, head = self._judge(groups)
            if taken:
                self._write(framed(self.head.size, taken))
                self.head, self.last = head, taken[-1]
        except OSError as why:
            return [_unavailable(f"{self._path or self.directory}: {why}")] * len(groups)
        return outcomes

    def _judge(self, groups: Sequence[Sequence[bytes]]) -> tuple[list[Outcome], list[bytes], Head]:
        """Which groups continue the chain and fit; decided before the first byte is written."""
        if HEADER_BYTES + sum(map(_size, groups)) > self._capacity - self._end and self._has_spare:
            self._turn()
        outcomes: list[Outcome] = []
        taken: list[bytes] = []
        head, room = self.head, self._capacity - self._end - HEADER_BYTES
        for group in groups:
            try:
                end = head
                for leaf in group:
                    end = chain.after(end, leaf)
            except ChainBroken as why:
                outcomes.append(_unavailable(f"a leaf was refused: {why}"))
                continue
            is_closing = all(chain.parsed(leaf, None)["kind"] in CLOSING for leaf in group)
            kept_free = 0 if is_closing or self._has_spare else self._reserve_bytes
            if _size(group) > room - kept_free:
                outcomes.append(_unavailable(f"no room is left in {self.directory}: the disk is full"))
                continue
            outcomes.append(head.size)
            taken.extend(group)
            head, room = end, room - _size(group)
        return outcomes, taken, head

    def _write(self, frame: bytes) -> None:
        try:
            self._disk.write(self._fd, frame, self._end)
        except OSError:
            self._wipe(len(frame))  # nothing half-written stays
            raise
        try:
            self._disk.sync(self._fd)
        except OSError as why:
            # After a failed sync nobody knows what the disk holds; only reading it afresh tells.
            self._dead = f"{self._path} could not be synced ({why}); restart the gateway once the disk is well"
            raise
        self._end += len(frame)

    def _wipe(self, size: int) -> None:
        """Zero what was never acknowledged. If even that fails, this log takes nothing until the next start."""
        try:
            for offset in range(self._end, self._end + size, 1 << 20):
                self._disk.write(self._fd, bytes(min(1 << 20, self._end + size - offset)), offset)
            if size:
                self._disk.sync(self._fd)
        except OSError as why:
            self._dead = f"{self._path} holds a torn tail that can't be wiped ({why}); restart the gateway"
            raise

    def _turn(self) -> None:
        """The spare becomes the current segment. @raise OSError."""
        if not self._has_spare:
            raise OSError(f"no segment of {self._segment_bytes} bytes can be reserved")
        path = self.directory / f"{self.head.size:020d}{SUFFIX}"
        self._disk.rename(self.directory / SPARE, path)
        self._has_spare = False
        fd = os.open(path, os.O_RDWR)
        if self._fd != -1:
            os.close(self._fd)
        self._path, self._fd, self._end, self._capacity = path, fd, 0, os.fstat(fd).st_size

    def _read_on(self) -> None:
        """Read and verify from where the last reading ended; `head`, `last` and `_end` tell how far it went."""
        paths = [path for path in segment_paths(self.directory) if self._path is None or path >= self._path]
        for path in paths:
            if self.torn_bytes and path != self._path:
                raise ChainBroken(
                    f"{self._path}: Entry {self.head.size} is damaged, and entries follow in {path.name}."
                )
            start = self._end if path == self._path else 0
            data = path.read_bytes()
            if not start and path.name != f"{self.head.size:020d}{SUFFIX}":
                raise ChainBroken(
                    f"{path}: It should begin with entry {self.head.size}; a segment is missing or renamed."
                )
            self._path, self._end, self._capacity = path, start, len(data)
            self._follow(path, data[start:], start)
            self.torn_bytes = residue(data, self._end)

    def _follow(self, path: Path, data: bytes, start: int) -> None:
        try:
            for frame in frames(data):
                for leaf in frame.leaves:
                    self.head, self.last = chain.after(self.head, leaf), leaf
                self._end = start + frame.end
        except FramesBroken as why:
            raise ChainBroken(f"{path}: Entry {self.head.size} is damaged, and entries follow it.") from why
        except ChainBroken as why:
            raise ChainBroken(f"{path}: {why}") from why


def segment_paths(directory: Path) -> list[Path]:
    """The segments of a log, in order; none when there is no log yet."""
    return sorted(directory.glob(f"{'[0-9]' * 20}{SUFFIX}"))


def _size(group: Sequence[bytes]) -> int:
    return sum(len(leaf) + 1 for leaf in group)


def _unavailable(detail: str) -> EvidenceUnavailable:
    return EvidenceUnavailable(SENTENCE, detail=detail)
