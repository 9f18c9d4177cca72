"""The recorder: what is kept, when it is durable, and that nothing goes on unrecorded."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyClass, verifyObject

from hoopproxy.addons.encrypted_recorder import ALL_ROWS, EncryptedRecorder, Recording, Settings
from hoopproxy.disk.calls import Disk
from hoopproxy.disk.keys import make_keys, read_private
from hoopproxy.disk.recordings import RecordingFile
from hoopproxy.errors import EvidenceUnavailable, LimitReached
from hoopproxy.events import (
    Action,
    Asked,
    Closed,
    Columns,
    Completed,
    Copied,
    Faulted,
    Field,
    Format,
    Parameter,
    Rejected,
    Rows,
    Shape,
    Statement,
    Streamed,
    Terminal,
    Transferred,
)
from hoopproxy.evidence.entries import Chunk
from hoopproxy.evidence.recording import SealedChunk, chunks, read
from hoopproxy.interfaces import IAddonFactory, IRecorder, IRecording
from hoopproxy.model import Manifest, Passage, Side, Tally
from hoopproxy.scheduler import TwistedScheduler

from .conftest import Threads, at_once, done, later, now, passage_of

QUERY = Statement(1, Action.QUERY, "SELECT * FROM c WHERE card = 'wxyz-4111'", "SELECT * FROM c WHERE card = $1")
SHAPE = Shape((Field("id", "public.c.id", 7, 1, 23, -1, Format.TEXT),))
TALLY = Tally(statements=1, rows=1)


@pytest.fixture(scope="module")
def key_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    make_keys(directory)
    return directory


class Rig:
    """A recorder over a clock and a directory."""

    def __init__(self, directory: Path, keys: Path, clock: Clock, scheduler: TwistedScheduler) -> None:
        self.directory, self.keys, self.clock, self.scheduler = directory, keys, clock, scheduler
        self.noted: list[Chunk] = []

    def recorder(self, in_thread: Any = at_once, disk: Disk | None = None, **changes: Any) -> EncryptedRecorder:
        public = {"zone_key": self.keys / "zone.pub", "sealed_key": self.keys / "sealed.pub"}
        settings = Settings.model_validate({"directory": self.directory, **public, **changes})
        setting: Any = SimpleNamespace(gateway="gw-1", zone="EU", scheduler=self.scheduler)
        built = EncryptedRecorder.build("recorder", settings, setting)
        recorder = EncryptedRecorder(
            "recorder",
            settings,
            built._readers,
            "gw-1",
            "EU",
            self.scheduler,
            in_thread,
            lambda *ids: RecordingFile(*ids, disk=disk),
        )
        recorder.chunk_noted = self._note
        return recorder

    async def _note(self, chunk: Chunk) -> int:
        self.noted.append(chunk)
        return len(self.noted)

    def path(self, session: str = "s1", connection: str = "c1") -> Path:
        return self.directory / session / f"{connection}.hprec"

    def lines(self, *, both: bool = True) -> list[dict[str, Any]]:
        private = [read_private(self.keys / f"{name}.key") for name in ("zone", "sealed")[: 1 + both]]
        with self.path().open("rb") as file:
            return list(read(file, *private))

    def stored(self) -> list[SealedChunk]:
        with self.path().open("rb") as file:
            return [part for part in chunks(file) if isinstance(part, SealedChunk)]


@pytest.fixture
def rig(tmp_path: Path, key_directory: Path, clock: Clock, scheduler: TwistedScheduler) -> Rig:
    return Rig(tmp_path / "recordings", key_directory, clock, scheduler)


def opened(recorder: EncryptedRecorder, passage: Passage) -> Recording:
    recording = now(recorder.open(passage))
    assert isinstance(recording, Recording)
    return recording


def test_it_is_what_the_interfaces_say(rig: Rig, passage: Passage) -> None:
    recorder = rig.recorder()
    assert verifyObject(IAddonFactory, EncryptedRecorder)
    assert verifyObject(IRecorder, recorder)
    assert verifyClass(IRecording, Recording)
    assert verifyObject(IRecording, opened(recorder, passage))


def test_a_whole_recording_reads_back_masked_for_one_key_and_whole_for_both(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(), passage)
    bound = Statement(2, Action.EXECUTE, "SELECT $1", "SELECT $1", (Parameter(b"wxyz-4111", Format.TEXT),))
    null = Statement(3, Action.EXECUTE, "SELECT $1", "SELECT $1", (Parameter(None, Format.BINARY),))
    raw = b"D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x011"
    recording.record(1.5, [Asked(QUERY)], b"")
    now(recording.settle())
    recording.record(2, [Columns(1, SHAPE), Rows(1, raw, 1), Rows(1, b"", 41), Completed(1, "SELECT 42", 42)], b"shown")
    recording.record(3, [Asked(bound), Faulted(2, "22P02", "invalid"), Asked(null)], b" more")
    recording.record(4, [Rejected(QUERY, "Not that."), Copied(1, Side.CLIENT, 9)], b"")
    manifest = now(recording.close(TALLY, "client left"))

    lines = rig.lines()
    told = [line for line in lines if line["event"] != "shown"]
    assert [line["event"] for line in told] == [
        *("opened", "asked", "columns", "rows", "rows", "completed"),
        *("asked", "faulted", "asked", "rejected", "copied", "closed"),
    ]
    assert told[0]["subject"] == "ada@corp.example"
    assert told[0]["client"] == "198.51.100.9:40000"
    assert told[1]["text"] == QUERY.text
    assert told[1]["at_ms"] == 1500
    assert told[2]["columns"] == [{"name": "id", "path": "public.c.id", "type_oid": 23, "format": "text"}]
    assert (b64decode(told[3]["raw"]), told[4]["raw"], told[4]["row_count"]) == (raw, "", 41)
    assert [b64decode(one["value"]) for one in told[6]["parameters"]] == [b"wxyz-4111"]
    assert told[8]["parameters"] == [{"value": None, "format": "binary"}]
    assert told[-1]["reason"] == "client left"
    assert told[-1]["tally"]["rows"] == 1
    shown = [line for line in lines if line["event"] == "shown"]
    assert (shown[-1]["bytes"], shown[-1]["sha256"]) == (10, hashlib.sha256(b"shown more").hexdigest())

    reviewed = rig.lines(both=False)
    assert not [line for line in reviewed if ("text" in line and line["event"] != "faulted") or "parameters" in line]
    assert "wxyz" not in str(reviewed)

    data = rig.path().read_bytes()
    assert b"wxyz-4111" not in data and b"ada@corp" not in data
    last = rig.stored()[-1]
    assert last.final
    assert manifest == Manifest("s1/c1.hprec", last.number, last.sha256, len(data))


def test_a_statement_with_a_credential_keeps_its_outline_alone_in_both_halves(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(), passage)
    text = "ALTER ROLE ada PASSWORD 'hunter2'"
    secret = Statement(1, Action.QUERY, text, "ALTER ROLE ada PASSWORD $1", (Parameter(b"hunter2", Format.TEXT),), True)
    recording.record(1, [Asked(secret), Faulted(1, "42601", "syntax error at or near 'hunter2'")], b"")
    recording.record(2, [Rejected(secret, "'hunter2' is not allowed")], b"")
    recording.record(3, [Faulted(2, "42601", "of another statement")], b"")
    now(recording.close(TALLY, "client left"))
    assert "hunter2" not in str(rig.lines())
    assert rig.lines()[1]["outline"] == "ALTER ROLE ada PASSWORD $1"
    assert "of another statement" in str(rig.lines())


def test_texts_that_are_no_utf_8_are_kept_escaped(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(), passage)
    recording.record(1, [Asked(Statement(1, Action.QUERY, "SELECT '\udcff'", "SELECT $1"))], b"")
    now(recording.close(TALLY, "client left"))
    assert rig.lines()[1]["text"] == "SELECT '\\udcff'"


def test_files_are_for_their_owner_alone_and_never_overwritten(rig: Rig, passage: Passage) -> None:
    opened(rig.recorder(), passage)
    before = rig.path().read_bytes()
    assert rig.path().stat().st_mode & 0o777 == 0o600
    assert rig.path().parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(EvidenceUnavailable) as why:
        now(rig.recorder().open(passage))
    assert "never overwritten" in why.value.detail
    assert rig.path().read_bytes() == before


@pytest.mark.parametrize("name", ["../s1", "a/b", "", ".hidden", "x" * 65])
def test_an_id_can_not_climb_out_of_the_directory(rig: Rig, passage: Passage, name: str) -> None:
    with pytest.raises(EvidenceUnavailable):
        now(rig.recorder().open(passage_of(passage.permit, session_id=name)))


def test_the_header_is_durable_and_in_the_log_before_anything_is_recorded(rig: Rig, passage: Passage) -> None:
    syncs: list[str] = []

    class Disk_(Disk):
        def sync(self, fd: int) -> None:
            syncs.append("sync")
            super().sync(fd)

    opened(rig.recorder(disk=Disk_()), passage)
    assert syncs == ["sync"]
    assert rig.noted == [Chunk("s1", "c1", 0, rig.stored()[0].sha256)]


def test_a_log_that_does_not_take_the_header_means_no_recording(rig: Rig, passage: Passage) -> None:
    async def refuses(chunk: Chunk) -> int:
        raise EvidenceUnavailable("Full.")

    recorder = rig.recorder()
    recorder.chunk_noted = refuses
    with pytest.raises(EvidenceUnavailable, match="Full"):
        now(recorder.open(passage))


def test_all_who_wait_for_a_busy_disk_share_the_next_chunk(rig: Rig, passage: Passage) -> None:
    threads = Threads()
    opening = later(rig.recorder(threads).open(passage))
    threads.run()
    recording = done(opening)
    waiting = []
    for number in range(5):
        recording.record(number, [Completed(number, "SELECT 1", 1)], b"")
        waiting.append(later(recording.settle()).addCallback(lambda _: "durable"))
    assert len(threads.jobs) == 1
    threads.run()
    assert [one.called for one in waiting] == [True, False, False, False, False]
    threads.run()
    assert [done(one) for one in waiting] == ["durable"] * 5
    assert [part.number for part in rig.stored()] == [0, 1, 2]


def test_settling_what_is_durable_already_touches_no_disk(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(), passage)
    recording.record(1, [Asked(QUERY)], b"")
    now(recording.settle())
    now(recording.settle())
    assert len(rig.stored()) == 2


def test_bounded_means_durable_within_flush_ms_max(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(flush_ms_max=50), passage)
    recording.record(1, [Asked(QUERY)], b"")
    rig.clock.advance(0.049)
    assert len(rig.stored()) == 1
    rig.clock.advance(0.002)
    assert len(rig.stored()) == 2
    assert rig.lines()[-1]["sentence"].endswith("it is proved up to chunk 1.")
    recording.record(2, [], b"shown only")
    rig.clock.advance(0.051)
    assert len(rig.stored()) == 3


def test_strict_waits_for_nobody_but_settle(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(durability="strict"), passage)
    assert recording.strict
    recording.record(1, [Asked(QUERY)], b"")
    assert not rig.clock.getDelayedCalls()
    now(recording.settle())
    assert len(rig.stored()) == 2


def test_credit_falls_by_what_is_recorded_or_shown_and_comes_back_when_durable(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(unflushed_bytes_max=10_000, durability="strict"), passage)
    now(recording.settle())
    assert recording.record(1, [], b"x" * 4000) == 6000
    assert recording.record(1, [], b"x" * 4000) == 2000
    assert recording.record(1, [Rows(1, b"x" * 3000, 1)], b"x" * 3000) <= -2000
    now(recording.settle())
    assert recording.record(1, [], b"") == 10_000


@pytest.mark.parametrize(("record", "wanted"), [("statements", 0), ("rows", 7), ("full", ALL_ROWS)])
def test_the_mode_says_how_many_rows_it_wants_and_stands_in_the_header(
    rig: Rig, passage: Passage, record: str, wanted: int
) -> None:
    recording = opened(rig.recorder(record=record, rows_max=7), passage)
    assert recording.rows_max == wanted
    shown = {"statements": "statements", "rows": "rows(7, 1048576 bytes)", "full": "full"}[record]
    assert f'"record":"{shown}"'.encode() in rig.path().read_bytes()
    assert b'"durability":"bounded(50 ms, 1048576 bytes)"' in rig.path().read_bytes()


RUN = Statement(3, Action.RUN, "exec cat card-4111", "exec cat")


def test_what_runs_is_told_in_its_halves(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(), passage)
    recording.record(1, [Asked(RUN), Terminal(3, 80, 24, "xterm")], b"")
    recording.record(
        2, [Streamed(3, "stdin", b"typed"), Streamed(3, "stdout", b"out"), Streamed(3, "stderr", b"")], b""
    )
    moved = Transferred(3, "rename", "/a-4111", "/b-4111", 5, "ab", "no", "create")
    recording.record(3, [moved, Completed(3, "exit 1", 0)], b"")
    recording.record(3, [Streamed(3, "stdout", b" last"), Closed(3)], b"")
    now(recording.close(TALLY, "client left"))

    whole = [line for line in rig.lines() if line.get("statement") == 3]
    masked = [line for line in rig.lines(both=False) if line.get("statement") == 3]
    assert [line["event"] for line in whole] == [
        *("asked", "terminal", "streamed", "streamed", "transferred", "completed", "streamed"),
        *("stream-ended", "stream-ended", "stream-ended"),
    ]
    assert whole[1] | {"columns": 80, "rows": 24, "term": "xterm"} == whole[1]
    assert [b64decode(line["raw"]) for line in whole[2:4]] == [b"typed", b"out"]
    assert whole[4] | {"path": "/a-4111", "new_path": "/b-4111"} == whole[4]
    assert (
        masked[4] | {"operation": "rename", "bytes": 5, "sha256": "ab", "outcome": "no", "detail": "create"}
        == masked[4]
    )
    assert [(line["stream"], line["bytes"], line["dropped"]) for line in whole[7:]] == [
        *(("stdin", 5, 0), ("stdout", 8, 0), ("stderr", 0, 0)),
    ]
    assert whole[7]["sha256"] == hashlib.sha256(b"typed").hexdigest()
    assert whole[8]["sha256"] == hashlib.sha256(b"out last").hexdigest()
    told = repr(masked)
    for secret in ("4111", hashlib.sha256(b"typed").hexdigest(), b64encode(b"typed").decode()):
        assert secret in repr(whole)
        assert secret not in told


@pytest.mark.parametrize(
    ("record", "of_terminal", "of_command"), [("statements", 0, 0), ("rows", 30, 10), ("full", 30, 30)]
)
def test_what_is_not_kept_of_streams_is_counted_and_hashed(
    rig: Rig, passage: Passage, record: str, of_terminal: int, of_command: int
) -> None:
    recording = opened(rig.recorder(record=record, stream_bytes_max=10), passage)
    recording.record(1, [Terminal(1, 80, 24, "xterm")], b"")
    for piece in (b"0123456", b"789abcd", b"efghijklmnopqrst"):
        for number in (1, 2):
            recording.record(2, [Streamed(number, stream, piece) for stream in ("stdin", "stdout", "stderr")], b"")
    recording.record(3, [Completed(1, "exit 0", 0), Closed(1)], b"")
    now(recording.close(TALLY, "client left"))

    lines = rig.lines()
    ends = [line for line in lines if line["event"] == "stream-ended"]
    digest = hashlib.sha256(b"0123456789abcdefghijklmnopqrst").hexdigest()
    for number, kept in ((1, of_terminal), (2, of_command)):
        for stream in ("stdin", "stdout", "stderr"):
            mine = [line for line in lines if (line.get("statement"), line.get("stream")) == (number, stream)]
            whole = b"".join(b64decode(line["raw"]) for line in mine if line["event"] == "streamed")
            assert whole == b"0123456789abcdefghijklmnopqrst"[:kept]
            (end,) = [line for line in mine if line["event"] == "stream-ended"]
            assert (end["bytes"], end["dropped"], end["sha256"]) == (30, 30 - kept, digest)
    assert [end["statement"] for end in ends] == [1, 1, 1, 2, 2, 2]
    assert lines[-1]["event"] == "closed"


def test_keystrokes_share_a_chunk_when_durability_is_bounded(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(), passage)
    now(recording.settle())
    before = len(rig.stored())
    for number in range(100):
        assert recording.record(number, [Streamed(1, "stdin", b"x"), Streamed(1, "stdout", b"x")], b"x") > 0
    assert len(rig.stored()) == before
    rig.clock.advance(0.05)
    assert len(rig.stored()) == before + 1


def test_a_full_quota_ends_the_session_and_what_was_shown_is_all_there(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(recording_bytes_max=65536), passage)
    kept = 0
    with pytest.raises(LimitReached, match="its recording is full") as why:  # noqa: PT012 # until it ends
        for number in range(100):
            recording.record(number, [Rows(1, b"x" * 3000, 1)], b"")
            kept += 1
    assert why.value.limit == "addon.recorder.recording_bytes_max"
    now(recording.close(TALLY, why.value.code))
    assert sum(line["event"] == "rows" for line in rig.lines()) == kept > 10
    assert rig.path().stat().st_size < 70_000


class FullDisk(Disk):
    """Takes so many writes; of the next one it takes half."""

    def __init__(self, writes: int) -> None:
        self.writes = writes

    def write(self, fd: int, data: bytes, offset: int) -> None:
        self.writes -= 1
        if self.writes < 0:
            super().write(fd, data[: len(data) // 2], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data, offset)


def test_a_full_disk_ends_the_session_and_leaves_nothing_half_written(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(disk=FullDisk(2)), passage)
    recording.record(1, [Asked(QUERY)], b"")
    now(recording.settle())
    size = rig.path().stat().st_size
    recording.record(2, [Completed(1, "SELECT 1", 1)], b"")
    for work in (recording.settle(), recording.settle(), recording.close(TALLY, "x")):
        with pytest.raises(EvidenceUnavailable) as why:
            now(work)
        assert "No space left" in why.value.detail
    with pytest.raises(EvidenceUnavailable):
        recording.record(3, [], b"")
    assert rig.path().stat().st_size == size
    assert rig.lines()[-1]["event"] == "cut"


def test_a_disk_that_is_full_from_the_start_opens_no_session_and_leaves_no_file(rig: Rig, passage: Passage) -> None:
    with pytest.raises(EvidenceUnavailable):
        now(rig.recorder(disk=FullDisk(0)).open(passage))
    assert not rig.path().exists()


def test_a_log_that_fails_later_ends_the_session(rig: Rig, passage: Passage) -> None:
    recorder = rig.recorder()
    recording = opened(recorder, passage)

    async def refuses(chunk: Chunk) -> int:
        raise EvidenceUnavailable("Full.")

    recorder.chunk_noted = refuses
    recording.record(1, [Asked(QUERY)], b"")
    with pytest.raises(EvidenceUnavailable, match="Full"):
        now(recording.settle())
    with pytest.raises(EvidenceUnavailable, match="Full"):
        recording.record(2, [], b"")


def test_chunks_of_one_second_share_an_entry_of_the_log(rig: Rig, passage: Passage) -> None:
    recording = opened(rig.recorder(durability="strict"), passage)
    for number in range(5):
        recording.record(1, [Completed(number, "SELECT 1", 1)], b"")
        now(recording.settle())
    assert [chunk.number for chunk in rig.noted] == [0, 1]
    rig.clock.advance(1.1)
    assert [chunk.number for chunk in rig.noted] == [0, 1, 5]
    digests = {part.number: part.sha256 for part in rig.stored()}
    assert all(chunk.sha256 == digests[chunk.number] for chunk in rig.noted)
    now(recording.close(TALLY, "client left"))
    rig.clock.advance(2)
    assert not rig.clock.getDelayedCalls()
    assert len(rig.noted) == 3


def test_who_gives_up_while_the_disk_writes_spoils_nothing(rig: Rig, passage: Passage) -> None:
    threads = Threads()
    opening = later(rig.recorder(threads).open(passage))
    threads.run()
    recording = done(opening)
    recording.record(1, [Asked(QUERY)], b"")
    impatient = later(recording.settle())
    impatient.addErrback(lambda _: None)
    impatient.cancel()
    threads.run()
    closing = later(recording.close(TALLY, "client left"))
    threads.run()
    assert done(closing).chunks == 2
    assert [line["event"] for line in rig.lines() if line["event"] != "shown"] == ["opened", "asked", "closed"]


def test_a_close_waits_for_the_chunk_that_is_being_written(rig: Rig, passage: Passage) -> None:
    threads = Threads()
    opening = later(rig.recorder(threads).open(passage))
    threads.run()
    recording = done(opening)
    recording.record(1, [Asked(QUERY)], b"")
    settling, closing = later(recording.settle()), later(recording.close(TALLY, "client left"))
    assert len(threads.jobs) == 1
    threads.run_all()
    done(settling.addCallback(lambda _: True))
    assert done(closing).chunks == 2


def test_many_recordings_take_turns_at_the_threads(rig: Rig, passage: Passage) -> None:
    threads = Threads()
    recorder = rig.recorder(threads)
    opening: list[Deferred[Any]] = [
        later(recorder.open(passage_of(passage.permit, "s1", f"c{number}"))) for number in range(300)
    ]
    assert len(threads.jobs) == 8
    threads.run_all()
    recordings = [done(one) for one in opening]
    assert len({id(recording) for recording in recordings}) == 300
    for recording in recordings:
        recording._file.close()


@pytest.mark.parametrize("keys", [{"record": "nothing"}, {"rows": 1}, {"flush_ms_max": 0}])
def test_settings_that_make_no_sense_are_refused(rig: Rig, keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(keys))):
        rig.recorder(**keys)


def test_a_missing_key_file_stops_the_start(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rig.recorder(zone_key=tmp_path / "none.pub")


GATEWAY = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from hoopproxy.addons.encrypted_recorder import EncryptedRecorder, Settings
from hoopproxy.events import Action, Asked, Statement
from hoopproxy.scheduler import TwistedScheduler
sys.path.insert(0, sys.argv[3])
from evidence.conftest import passage_of, permit, arrival, identity

directory, keys = Path(sys.argv[1]), Path(sys.argv[2])
settings = Settings(directory=directory, zone_key=keys / "zone.pub", sealed_key=keys / "sealed.pub")
setting = SimpleNamespace(gateway="gw", zone="EU", scheduler=TwistedScheduler(reactor))
recorder = EncryptedRecorder.build("recorder", settings, setting)

async def serve():
    an_arrival = arrival.__wrapped__()
    a_permit = permit.__wrapped__(an_arrival, identity.__wrapped__())
    recording = await recorder.open(passage_of(a_permit))
    for number in range(1, 1 << 30):
        recording.record(number, [Asked(Statement(number, Action.QUERY, f"SELECT {number}", "SELECT $1"))], b"")
        await recording.settle()
        os.write(1, b"%d\\n" % number)

def failed(why):
    why.printTraceback()
    os._exit(3)

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(serve()).addErrback(failed))
reactor.run()
"""


def test_kill_9_leaves_a_provable_prefix_with_everything_that_was_let_through(rig: Rig) -> None:
    command = [sys.executable, "-c", GATEWAY, str(rig.directory), str(rig.keys), str(Path(__file__).parents[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        for _ in range(40):
            last = int(gateway.stdout.readline())
        os.kill(gateway.pid, signal.SIGKILL)
        last = max([last, *map(int, gateway.stdout.read().splitlines())])
    lines = rig.lines()
    texts = [line["text"] for line in lines if line["event"] == "asked"]
    assert texts[:last] == [f"SELECT {number}" for number in range(1, last + 1)]
    assert lines[-1]["event"] == "cut"
