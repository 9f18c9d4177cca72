"""The log's files under a healthy disk, a full one and a failing one, and after every kind of end."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hoopproxy.disk.calls import Disk
from hoopproxy.disk.segments import SPARE, Outcome, Segments, segment_paths
from hoopproxy.errors import EvidenceUnavailable
from hoopproxy.evidence.chain import ChainBroken

from .conftest import written

SEGMENT, RESERVE = 8192, 2048


class FailingDisk(Disk):
    """Counts calls; fails those named, as `{"write": 3}`: from the third on. `short` writes that many bytes first."""

    def __init__(self, short: int = 0, **failing: int) -> None:
        self.calls: dict[str, int] = {}
        self.failing, self.short = failing, short

    def _count(self, name: str) -> bool:
        self.calls[name] = self.calls.get(name, 0) + 1
        return self.calls[name] >= self.failing.get(name, 1 << 30)

    def allocate(self, fd: int, size: int) -> None:
        if self._count("allocate"):
            raise OSError(errno.ENOSPC, "No space left on device")
        super().allocate(fd, size)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        if self._count("write"):
            super().write(fd, data[: self.short], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data, offset)

    def sync(self, fd: int) -> None:
        if self._count("sync"):
            raise OSError(errno.EIO, "Input/output error")
        super().sync(fd)


def opened(directory: Path, disk: Disk | None = None, segment_bytes: int = SEGMENT) -> Segments:
    segments = Segments(directory, segment_bytes, RESERVE, disk)
    segments.open()
    return segments


def fill(segments: Segments, kind: str = "permitted", text: str = "x" * 300) -> int:
    """One at a time until the log refuses; how many were kept."""
    kept = 0
    while isinstance(segments.commit([written(segments, 1, kind, text)])[0], int):
        kept += 1
    return kept


def refused(outcomes: list[Outcome]) -> str:
    assert len(outcomes) == 1 and isinstance(outcomes[0], EvidenceUnavailable)
    return outcomes[0].detail


def test_a_log_goes_on_after_a_restart_over_several_segments(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    for start in range(0, 120, 40):
        segments = opened(directory)
        assert segments.head.size == start
        for index in range(start, start + 40):
            assert segments.commit([written(segments, 1, text="x" * 300)]) == [index]
            segments.reserve()
        segments.close()
    read = Segments(directory, SEGMENT, RESERVE)
    assert read.head == segments.head
    assert len(segment_paths(directory)) > 4


def test_files_are_for_their_owner_alone_and_preallocated(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    segments = opened(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    for path in (segment_paths(directory)[0], directory / SPARE):
        assert path.stat().st_size == SEGMENT
        assert path.stat().st_blocks * 512 >= SEGMENT
    segments.close()


def test_looking_at_a_log_changes_nothing(tmp_path: Path) -> None:
    assert Segments(tmp_path / "none", SEGMENT, RESERVE).head.size == 0
    assert not (tmp_path / "none").exists()


def test_two_gateways_can_not_share_a_log(tmp_path: Path) -> None:
    segments = opened(tmp_path)
    with pytest.raises(EvidenceUnavailable) as why:
        opened(tmp_path)
    assert "in use by another gateway" in why.value.detail
    segments.close()
    opened(tmp_path).close()


def test_what_another_gateway_wrote_meanwhile_is_found_when_the_log_is_taken_over(tmp_path: Path) -> None:
    early = Segments(tmp_path, SEGMENT, RESERVE)
    other = opened(tmp_path)
    for _ in range(60):
        other.commit([written(other, 1, text="x" * 300)])
        other.reserve()
    other.close()
    early.open()
    assert early.head == other.head
    assert early.commit([written(early, 1)]) == [60]
    early.close()


def test_groups_share_one_write_and_one_sync(tmp_path: Path) -> None:
    disk = FailingDisk()
    segments = opened(tmp_path, disk)
    before = dict(disk.calls)
    leaves = written(segments, 9)
    assert segments.commit([leaves[:2], leaves[2:3], leaves[3:]]) == [0, 2, 3]
    assert (disk.calls["write"] - before.get("write", 0), disk.calls["sync"] - before.get("sync", 0)) == (1, 1)
    segments.close()


def test_a_leaf_that_does_not_continue_the_log_is_refused_alone(tmp_path: Path) -> None:
    segments = opened(tmp_path)
    first = written(segments, 1)
    stale = written(segments, 1, text="stale")
    outcomes = segments.commit([first, stale, [b"no leaf"]])
    assert outcomes[0] == 0
    assert [type(outcome) for outcome in outcomes[1:]] == [EvidenceUnavailable] * 2
    segments.close()
    assert Segments(tmp_path, SEGMENT, RESERVE).head.size == 1


def test_a_full_disk_refuses_what_lets_in_and_the_reserve_keeps_what_ends(tmp_path: Path) -> None:
    """The spare can't be reserved: nobody gets in, everybody's end is still written, and nothing is half-written."""
    segments = opened(tmp_path, FailingDisk(allocate=2))
    let_in = fill(segments)
    assert 0 < let_in < SEGMENT // 300
    assert "disk is full" in refused(segments.commit([written(segments, 1, "permitted", "x" * 300)]))
    ends = fill(segments, "denied")
    assert ends * 450 > RESERVE - 450
    segments.close()
    again = Segments(tmp_path, SEGMENT, RESERVE)
    assert again.head.size == let_in + ends
    assert again.torn_bytes == 0


def test_room_that_comes_back_is_used(tmp_path: Path) -> None:
    disk = FailingDisk(allocate=2)
    segments = opened(tmp_path, disk)
    kept = fill(segments)
    disk.failing = {}
    segments.reserve()
    assert segments.commit([written(segments, 1, "permitted", "x" * 300)]) == [kept]
    segments.close()


@pytest.mark.parametrize("short", [0, 1, 47, 60, 100])
def test_a_write_that_fails_leaves_nothing_half_written(tmp_path: Path, short: int) -> None:
    disk = FailingDisk()
    segments = opened(tmp_path, disk)
    segments.commit([written(segments, 1)])
    disk.failing, disk.short = {"write": disk.calls["write"] + 1}, short
    assert "No space left" in refused(segments.commit([written(segments, 3)]))
    # Wiping failed as well, so this log takes nothing until somebody reads it afresh.
    disk.failing = {}
    assert "restart the gateway" in refused(segments.commit([written(segments, 1)]))
    segments.close()
    again = opened(tmp_path)
    assert again.commit([written(again, 1)]) == [1]
    again.close()
    assert Segments(tmp_path, SEGMENT, RESERVE).torn_bytes == 0


def test_a_write_that_fails_once_is_wiped_and_the_log_goes_on(tmp_path: Path) -> None:
    class Once(Disk):
        left = 1

        def write(self, fd: int, data: bytes, offset: int) -> None:
            if data.strip(b"\0") and self.left:
                self.left -= 1
                super().write(fd, data[:70], offset)
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write(fd, data, offset)

    segments = opened(tmp_path, Once())
    assert "No space left" in refused(segments.commit([written(segments, 3)]))
    assert Segments(tmp_path, SEGMENT, RESERVE).torn_bytes == 0
    assert segments.commit([written(segments, 1)]) == [0]
    segments.close()


def test_after_a_failed_sync_nothing_is_believed_until_the_next_start(tmp_path: Path) -> None:
    disk = FailingDisk()
    segments = opened(tmp_path, disk)
    disk.failing = {"sync": disk.calls.get("sync", 0) + 1}
    assert "Input/output error" in refused(segments.commit([written(segments, 1)]))
    disk.failing = {}
    assert "restart" in refused(segments.commit([written(segments, 1)]))
    segments.close()


def test_a_first_start_on_a_full_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceUnavailable) as why:
        opened(tmp_path, FailingDisk(allocate=1))
    assert "no segment" in why.value.detail


# The children import as little as they can: they are started many times.
PRELUDE = """
import os, resource, sys
from pathlib import Path
from hoopproxy.disk.segments import Segments
from hoopproxy.evidence import chain
from hoopproxy.evidence.entries import encoded

def written(segments, count, kind="ended", text=""):
    leaves, head = [], segments.head
    for _ in range(count):
        leaves.append(encoded({"index": head.size, "kind": kind, "prev": head.sha256, "text": text}))
        head = chain.after(head, leaves[-1])
    return leaves
"""

FULL = """
segments = Segments(Path(sys.argv[1]), 8192, 2048)
segments.open()
segments.commit([written(segments, 1)])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for kind in ("permitted", "denied"):
    for _ in range(50):
        segments.commit([written(segments, 1, kind, "x" * 300)])
        segments.reserve()
print(segments.head.size)
"""


def test_a_real_limit_of_the_kernel_leaves_a_log_that_verifies(tmp_path: Path) -> None:
    """RLIMIT_FSIZE below the segment's size: writes beyond it and every new segment fail with EFBIG."""
    command = [sys.executable, "-c", PRELUDE + FULL, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    again = Segments(tmp_path, SEGMENT, RESERVE)
    assert again.head.size == int(told.stdout) > 5
    again.open()
    assert again.commit([written(again, 1)]) == [again.head.size - 1]
    again.close()


WRITER = """
segments = Segments(Path(sys.argv[1]), 65536, 2048)
segments.open()
while True:
    leaves = written(segments, 7, text="x" * (segments.head.size % 600))
    first = segments.commit([leaves])[0]
    os.write(1, b"%d\\n" % (first + 6))
    segments.reserve()
"""


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Killed at another point each time; the log goes on from run to run and verifies from its first entry."""
    command, size = [sys.executable, "-c", PRELUDE + WRITER, str(tmp_path)], 0
    for acknowledgements in (1, 2, 7, 23, 60, 111):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(acknowledgements):
                last = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            last = max([last, *map(int, writer.stdout.read().splitlines())])
        log = Segments(tmp_path, 65536, RESERVE)
        assert log.head.size > last >= size
        size = log.head.size


@pytest.mark.parametrize("cut", [1, 20, 50, 90, 200])
def test_a_torn_tail_is_dropped_and_wiped_before_the_log_goes_on(tmp_path: Path, cut: int) -> None:
    segments = opened(tmp_path)
    segments.commit([written(segments, 2)])
    end = segments._end
    segments.commit([written(segments, 5)])
    segments.close()
    path = segment_paths(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[end + cut : end + cut + 30] = bytes(30)
    path.write_bytes(data)
    again = Segments(tmp_path, SEGMENT, RESERVE)
    assert again.head.size == 2
    assert again.torn_bytes > 0
    again.open()
    assert again.commit([written(again, 1)]) == [2]
    again.close()
    assert Segments(tmp_path, SEGMENT, RESERVE).torn_bytes == 0


def tampered(tmp_path: Path, count: int = 60) -> list[Path]:
    segments = opened(tmp_path)
    for _ in range(count):
        segments.commit([written(segments, 1, text="x" * 300)])
        segments.reserve()
    segments.close()
    return segment_paths(tmp_path)


def test_a_change_in_the_middle_refuses_the_start_naming_file_and_entry(tmp_path: Path) -> None:
    paths = tampered(tmp_path)
    data = paths[0].read_bytes()
    at = data.index(b'"index":3,')
    paths[0].write_bytes(data[:at] + data[at:].replace(b"xxx", b"xyx", 1))
    with pytest.raises(ChainBroken, match=rf"^{paths[0]}: Entry 3 is damaged, and entries follow it\.$"):
        Segments(tmp_path, SEGMENT, RESERVE)


def test_a_damaged_end_of_a_segment_with_others_behind_it_is_no_torn_tail(tmp_path: Path) -> None:
    paths = tampered(tmp_path)
    last = int(paths[1].name[:20]) - 1
    data = paths[0].read_bytes()
    at = data.index(b'"index":%d,' % last)
    paths[0].write_bytes(data[:at] + bytes(20) + data[at + 20 :])
    with pytest.raises(ChainBroken, match=f"Entry {last} is damaged"):
        Segments(tmp_path, SEGMENT, RESERVE)


def test_a_missing_segment_refuses_the_start(tmp_path: Path) -> None:
    paths = tampered(tmp_path)
    paths[1].unlink()
    with pytest.raises(ChainBroken, match="missing or renamed"):
        Segments(tmp_path, SEGMENT, RESERVE)


def test_a_forged_frame_refuses_the_start(tmp_path: Path) -> None:
    from hoopproxy.evidence.framing import framed

    segments = opened(tmp_path)
    segments.commit([written(segments, 2)])
    end = segments._end
    segments.close()
    path = segment_paths(tmp_path)[0]
    data = path.read_bytes()
    path.write_bytes(data[:end] + framed(2, [b'{"index":2,"kind":"denied","prev":"' + b"0" * 64 + b'"}']))
    with pytest.raises(ChainBroken, match=r"Entry 2 does not continue what is before it"):
        Segments(tmp_path, SEGMENT, RESERVE)
