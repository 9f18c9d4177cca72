"""A simulated disk under the real files of log and recordings: slow, full, broken, and photographed mid-write.

The files are real ones in a scratch directory; what a power cut would leave of them is known at every moment, since a
write counts as durable only once it was synced. Threads are simulated, too: their work takes simulated time, and goes
on when nobody waits any more. Knows frames of the log, and of recordings only their length.
"""

import errno
import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from hoopproxy.disk.calls import Disk
from hoopproxy.disk.recordings import SUFFIX
from hoopproxy.evidence.framing import FramesBroken, frames
from hoopproxy.testing.simulation.network import Network
from hoopproxy.testing.simulation.weather import Weather

SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class _Write:
    offset: int
    before: bytes
    size_before: int
    data: bytes


@dataclass(slots=True)
class _File:
    """`unsynced` are the writes of which a power cut leaves anything from nothing to all."""

    name: str
    unsynced: list[_Write] = field(default_factory=list)


class SimulatedDisk(Disk):
    """`leaves` are the log's durable entries. `durable` maps a recording to how many of its bytes are, `durable_since`
    to when they became so: moments, each with a number of bytes."""

    def __init__(self, directory: Path, network: Network, weather: Weather) -> None:
        self.directory = directory
        self.leaves: list[bytes] = []
        self.durable: dict[str, int] = {}
        self.durable_since: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        self.has_failed = False
        """Whether any write was refused so far."""
        self.written: Callable[[int], None] = lambda count: None
        """Called after each write and before its sync, with how many there were."""
        self._count = 0
        self._network, self._weather = network, weather
        self._files: dict[int, _File] = {}
        self._start_s = network.clock.seconds()

    # The four calls -------------------------------------------------------------------------------------------------

    def allocate(self, fd: int, size: int) -> None:
        self._fail_if("full", errno.ENOSPC, 1.0)
        os.ftruncate(fd, size)  # sparse: a scratch directory needs no blocks

    def write(self, fd: int, data: bytes, offset: int) -> None:
        file, size = self._file(fd), os.fstat(fd).st_size
        grows = offset + len(data) > size
        done = len(data)
        try:
            if grows:
                self._fail_if("full", errno.ENOSPC, 1.0)
            self._fail_if("broken", errno.EIO, 0.2)
        except OSError:
            done = self._weather.dice.randint(0, len(data))
            raise
        finally:
            before = b"" if offset >= size else os.pread(fd, done, offset)
            file.unsynced.append(_Write(offset, before, size, data[:done]))
            super().write(fd, data[:done], offset)
            self._network.trace.note("disk", f"{file.name.rpartition('.')[2]} write {done} of {len(data)}")
            self._count += 1
            self.written(self._count)

    def sync(self, fd: int) -> None:
        file = self._file(fd)
        self._fail_if("broken", errno.EIO, 0.2)
        written, file.unsynced = file.unsynced, []
        if file.name.endswith(SUFFIX):
            self.durable[file.name] = os.fstat(fd).st_size
            self.durable_since[file.name].append((self._network.clock.seconds(), self.durable[file.name]))
            return
        for each in written:
            try:
                for frame in frames(os.pread(fd, len(each.data), each.offset)):
                    self.leaves.extend(frame.leaves)
            except FramesBroken:
                raise AssertionError("a write to the log is one frame, or zeros") from None

    def rename(self, old: Path, new: Path) -> None:
        self._fail_if("broken", errno.EIO, 0.2)
        super().rename(old, new)

    # Threads --------------------------------------------------------------------------------------------------------

    async def in_thread(self, role: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `hoopproxy.hands.in_thread` promises, in simulated time."""
        done: Deferred[Any] = Deferred(lambda _: None)

        def work() -> None:
            try:
                outcome = function(*arguments)
            except Exception:  # noqa: BLE001 # as a thread's pool hands it to whoever waits
                outcome = Failure()  # type: ignore[no-untyped-call] # Twisted's is not annotated
            self._network.clock.callLater(self._latency_s(), answer, outcome)

        def answer(outcome: Any) -> None:
            if not done.called:
                done.callback(outcome)

        self._network.clock.callLater(self._latency_s(), work)
        return await done

    # The power cut --------------------------------------------------------------------------------------------------

    def photograph(self, destination: Path) -> None:
        """A copy of the directory as a power cut in this moment might leave it."""
        shutil.copytree(self.directory, destination)
        where = {os.stat(path).st_ino: path for path in self.directory.rglob("*") if path.is_file()}
        for inode, file in self._files.items():
            if file.unsynced and inode in where:
                copy = destination / where[inode].relative_to(self.directory)
                with copy.open("r+b") as image:
                    _tear(image.fileno(), file.unsynced, self._weather.dice)

    # Inside ---------------------------------------------------------------------------------------------------------

    def _file(self, fd: int) -> _File:
        status = os.fstat(fd)
        known = self._files.get(status.st_ino)
        if known is None or status.st_size == 0:  # a new file may have an old one's number
            path = Path(os.readlink(f"/proc/self/fd/{fd}"))
            known = self._files[status.st_ino] = _File("/".join(path.parts[-2:]))
        return known

    def _fail_if(self, kind: str, number: int, probability: float) -> None:
        if self._is(kind) and self._weather.strikes(probability):
            self.has_failed = True
            self._network.trace.note("disk", errno.errorcode[number])
            raise OSError(number, os.strerror(number))

    def _is(self, kind: str) -> bool:
        trouble, since_s = self._weather.disk, self._network.clock.seconds() - self._start_s
        return trouble is not None and trouble.kind == kind and trouble.from_s <= since_s < trouble.until_s

    def _latency_s(self) -> float:
        dice = self._weather.dice
        if self._is("slow"):
            self.has_failed = True
            return dice.choice((0.01, 0.5, 3.0))
        return dice.choice((0.0, dice.random() * 0.002, dice.random() * 0.01))


def _tear(fd: int, writes: list[_Write], dice: Random) -> None:
    """Take the writes back, then let of each survive what might have reached the platter."""
    for write in reversed(writes):
        os.pwrite(fd, write.before, write.offset)
        if write.offset + len(write.data) > write.size_before:
            os.ftruncate(fd, write.size_before)
    for write in writes:
        kept, grows = dice.randint(0, len(write.data)), write.offset + len(write.data) > write.size_before
        match dice.choice(("nothing", "all", "front", "length" if grows else "sectors")):
            case "nothing":
                return  # nor anything after it
            case "all":
                os.pwrite(fd, write.data, write.offset)
            case "front":
                os.pwrite(fd, write.data[:kept], write.offset)
                return
            case "length":  # the file's size got there, and not all of what is in it
                os.pwrite(fd, write.data[:kept].ljust(len(write.data), b"\0"), write.offset)
                return
            case "sectors":  # of blocks that were reserved before, any may have been written first
                for at in range(0, len(write.data), SECTOR_BYTES):
                    if dice.random() < 0.5:
                        os.pwrite(fd, write.data[at : at + SECTOR_BYTES], write.offset + at)
                return
