"""The evidence sink: one sync for all who wait, and an answer for each of them alone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyClass, verifyObject

from hoopproxy.addons.log_file import LogFile, Settings
from hoopproxy.disk.calls import Disk
from hoopproxy.disk.segments import Segments, segment_paths
from hoopproxy.errors import EvidenceUnavailable
from hoopproxy.evidence import chain
from hoopproxy.evidence.chain import ChainBroken
from hoopproxy.evidence.entries import Chunk
from hoopproxy.interfaces import IAddonFactory, IEvidenceSink

from .conftest import Threads, at_once, done, later, now, written


class CountingDisk(Disk):
    def __init__(self) -> None:
        self.writes = self.syncs = 0

    def write(self, fd: int, data: bytes, offset: int) -> None:
        self.writes += 1
        super().write(fd, data, offset)

    def sync(self, fd: int) -> None:
        self.syncs += 1
        super().sync(fd)


@pytest.fixture
def disk() -> CountingDisk:
    return CountingDisk()


@pytest.fixture
def segments(tmp_path: Path, disk: CountingDisk) -> Any:
    segments = Segments(tmp_path / "log", 16384, 4096, disk)
    yield segments
    segments.close()


def test_it_is_what_the_interfaces_say(segments: Segments) -> None:
    assert verifyClass(IEvidenceSink, LogFile)
    assert verifyObject(IEvidenceSink, LogFile("log", segments, 10))
    assert verifyObject(IAddonFactory, LogFile)


def test_building_and_looking_at_it_opens_nothing(tmp_path: Path) -> None:
    setting: Any = SimpleNamespace()
    log = LogFile.build("log", Settings(directory=tmp_path / "log"), setting)
    assert (log.size, log.last) == (0, b"")
    assert not (tmp_path / "log").exists()


def test_all_who_wait_while_the_disk_is_busy_share_one_write_and_one_sync(
    segments: Segments, disk: CountingDisk
) -> None:
    threads = Threads()
    log = LogFile("log", segments, 100, threads)
    leaves = written(segments, 30)
    waiting = [later(log.append([leaf])) for leaf in leaves]
    assert len(threads.jobs) == 1, "one thread at a time"
    threads.run()
    syncs, writes = disk.syncs, disk.writes
    assert done(waiting[0]) == 0
    assert not waiting[1].called
    threads.run()
    assert [done(one) for one in waiting[1:]] == list(range(1, 30))
    assert (disk.syncs - syncs, disk.writes - writes) == (1, 1)
    threads.run_all()
    assert segments.head.size == 30


def test_the_next_segment_is_reserved_while_nobody_waits(segments: Segments) -> None:
    threads = Threads()
    log = LogFile("log", segments, 100, threads)
    for index in range(60):
        waiting = later(log.append(written(segments, 1, text="x" * 400)))
        threads.run()
        assert done(waiting) == index, "answered before the next segment is reserved"
        threads.run_all()
        assert not segments.wants_spare
    assert len(segment_paths(segments.directory)) > 1


def test_a_caller_who_gives_up_before_the_disk_began_leaves_no_trace(segments: Segments) -> None:
    threads = Threads()
    log = LogFile("log", segments, 100, threads)
    leaves = written(segments, 2)
    first, second = later(log.append(leaves[:1])), later(log.append(leaves[1:]))
    second.cancel()
    threads.run_all()
    assert done(first) == 0
    with pytest.raises(CancelledError):
        done(second)
    assert log.size == 1


def test_a_caller_who_gives_up_too_late_is_logged_all_the_same(segments: Segments) -> None:
    threads = Threads()
    log = LogFile("log", segments, 100, threads)
    leaves = written(segments, 3)
    first, second, third = (later(log.append([leaf])) for leaf in leaves)
    threads.run()
    turn = threads.jobs.pop(0)
    second.cancel()
    turn.callback(None)
    assert (done(first), done(third)) == (0, 2)
    with pytest.raises(CancelledError):
        done(second)
    assert chain.head_after(log.last).size == log.size == 3


def test_a_queue_that_is_full_and_leaves_that_are_too_many_are_refused(segments: Segments) -> None:
    threads = Threads()
    log = LogFile("log", segments, 2, threads)
    leaves = written(segments, 4)
    waiting = [later(log.append([leaf])) for leaf in leaves[:3]]
    for too_many in (leaves[3:], [b"x" * (3 << 20)]):
        with pytest.raises(EvidenceUnavailable):
            now(log.append(too_many))
    threads.run_all()
    assert [done(one) for one in waiting] == [0, 1, 2]
    with pytest.raises(EvidenceUnavailable):
        now(log.append([b"x" * (3 << 20)]))


def test_a_bug_answers_everybody_and_is_told(segments: Segments, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(groups: Any) -> Any:
        raise RuntimeError("a bug")

    log = LogFile("log", segments, 100, at_once)
    monkeypatch.setattr(segments, "commit", broken)
    with pytest.raises(EvidenceUnavailable):
        now(log.append(written(segments, 1)))
    monkeypatch.undo()
    assert now(log.append(written(segments, 1))) == 0, "it goes on"


def test_a_log_in_use_and_a_log_that_was_changed_are_refused(segments: Segments) -> None:
    log = LogFile("log", segments, 100, at_once)
    now(log.append(written(segments, 1)))
    now(log.append(written(segments, 1)))
    second = Segments(segments.directory, 16384, 4096)
    with pytest.raises(EvidenceUnavailable) as why:
        now(LogFile("log", second, 100, at_once).append(written(second, 1)))
    assert "in use by another gateway" in why.value.detail
    log.close()
    path = segment_paths(segments.directory)[0]
    path.write_bytes(path.read_bytes().replace(b'"kind":"ended"', b'"kind":"endet"', 1))
    setting: Any = SimpleNamespace()
    with pytest.raises(ChainBroken, match=r"Entry 0 is damaged"):
        LogFile.build("log", Settings(directory=segments.directory), setting)


def test_with_a_ledger_it_goes_on_after_a_restart(segments: Segments, make_ledger: Any) -> None:
    for start in (0, 3):
        log = LogFile("log", Segments(segments.directory, 16384, 4096), 100, at_once)
        ledger = make_ledger(log)
        assert ledger.head.size == start
        assert [now(ledger.note(Chunk("s", "c", n, "0" * 64))) for n in range(3)] == list(range(start, start + 3))
        log.close()


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"segment_bytes": 1}, "segment_bytes"),
        ({"reserve_bytes": 1 << 24}, "reserve_bytes must not be more than half"),
        ({"queue": 1}, "queue"),
    ],
)
def test_settings_that_make_no_sense_are_refused(keys: dict[str, int], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings.model_validate({"directory": "log", **keys})
