"""A full disk under the real log: no session starts, nothing is half-written, and what ends something still fits."""

import errno
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hoopproxy.addons.log_file import LogFile
from hoopproxy.disk.calls import Disk
from hoopproxy.disk.segments import Segments
from hoopproxy.testing.house import House, message, query

SEGMENT_BYTES, RESERVE_BYTES = 1 << 19, 1 << 16


class FullDisk(Disk):
    """A disk that has room until told otherwise."""

    is_full = False

    def allocate(self, fd: int, size: int) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().allocate(fd, size)


async def at_once(role: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Instead of a thread."""
    return function(*arguments)


def house_on(directory: Path, disk: Disk) -> House:
    house = House()
    thread: Callable[..., Awaitable[Any]] = at_once
    house.addons.evidence = LogFile("log", Segments(directory, SEGMENT_BYTES, RESERVE_BYTES, disk), 100, thread)
    return House(house.addons)


def test_no_session_starts_and_nothing_is_half_written(tmp_path: Path) -> None:
    disk = FullDisk()
    house = house_on(tmp_path / "log", disk)
    let_in = 0
    disk.is_full = False
    first = house.connect(query("SELECT 1"), message(b"X", b""))
    assert first.over and first.frontend.welcomed
    disk.is_full = True
    while let_in < 10_000:
        visit = house.connect(message(b"X", b""))
        assert visit.over
        if not visit.frontend.welcomed:
            break
        let_in += 1
    dialled = len(house.dialer.permits)
    (why,) = visit.frontend.refusals
    assert why.code == "evidence-unavailable"
    assert why.sentence.endswith(".")
    for _ in range(3):
        refused = house.connect(query("SELECT 1"))
        assert refused.over and refused.frontend.refusals and not refused.frontend.welcomed
    assert len(house.dialer.permits) == dialled, "something was reached that the log does not know of"
    log = house.addons.evidence
    assert isinstance(log, LogFile)
    size = log.size
    log.close()
    again = Segments(tmp_path / "log", SEGMENT_BYTES, RESERVE_BYTES)  # reads and verifies all of it
    assert again.head.size == size
    assert again.torn_bytes == 0
