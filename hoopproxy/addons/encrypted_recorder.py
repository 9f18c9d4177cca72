"""Recordings on a local disk, sealed to keys that the gateway does not have.

One file for each connection. What was recorded waits in memory until somebody asks that it be durable or the time is
up; then all of it goes into one chunk and one sync. Knows neither the relay nor the log's format.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from zope.interface import implementer, provider

from hoopproxy.disk.keys import read_public
from hoopproxy.disk.recordings import RecordingFile
from hoopproxy.errors import EvidenceUnavailable, LimitReached, SessionError
from hoopproxy.events import Record
from hoopproxy.evidence.entries import Chunk
from hoopproxy.evidence.recording import Header, Readers, Writer
from hoopproxy.evidence.streams import ALL_BYTES, Keeping
from hoopproxy.evidence.transcript import Lines, Transcript, joined
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, IRecorder, IRecording, ISetting
from hoopproxy.model import Manifest, Passage, Tally
from hoopproxy.rooms import IScheduler, ISignal

ALL_ROWS = 2**31 - 1
"""`record = "full"`: more rows than any recording's quota lets through, and a C int to the row kernel."""

NOTED_S = 1.0
"""How long the log may lie behind a recording: chunks of one second share an entry, as each covers all before it."""

WRITERS_MAX = 8
"""Recordings written at the same time: as many as a role of `hoopproxy.hands` has threads."""

SENTENCE = "The gateway can't record this session, so it has ended; try again later or tell the operator."


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "encrypted-recorder"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: Path
    zone_key: Path
    """Public key file. Whoever has its private half reads masked recordings."""
    sealed_key: Path
    """Public key file. With both private halves statements and bind values are readable, too."""
    record: Literal["statements", "rows", "full"] = "rows"
    rows_max: int = Field(1000, ge=0, le=ALL_ROWS)
    """For `record = "rows"`: the rows kept of each result. All rows are counted and all shown bytes hashed, always."""
    stream_bytes_max: int = Field(1 << 20, ge=0)
    """For `record = "rows"`: the bytes kept of each stream of a command without a terminal; what a terminal shows is
    kept whole. All bytes are counted and hashed, always."""
    durability: Literal["strict", "bounded"] = "bounded"
    flush_ms_max: int = Field(50, ge=1, le=60_000)
    unflushed_bytes_max: int = Field(1 << 20, ge=4096)
    """What may have been shown and not be durable; without credit the relay stops reading."""
    recording_bytes_max: int = Field(1 << 30, ge=65536)
    """A connection whose recording reaches this is ended with a sentence; it never goes on unrecorded."""

    @property
    def rows_kept_max(self) -> int:
        """How many rows of a result are kept."""
        return {"statements": 0, "rows": self.rows_max, "full": ALL_ROWS}[self.record]

    @property
    def keeping(self) -> Keeping:
        """How much of commands' streams is kept."""
        return {
            "statements": Keeping(0, 0),
            "rows": Keeping(ALL_BYTES, self.stream_bytes_max),
            "full": Keeping(ALL_BYTES, ALL_BYTES),
        }[self.record]

    @property
    def modes(self) -> tuple[str, str]:
        """Both modes as every header shows them, such as `rows(1000, 1048576 bytes)` and `bounded(50 ms, 1048576
        bytes)`."""
        record = f"rows({self.rows_max}, {self.stream_bytes_max} bytes)" if self.record == "rows" else self.record
        bounds = f"bounded({self.flush_ms_max} ms, {self.unflushed_bytes_max} bytes)"
        return record, bounds if self.durability == "bounded" else self.durability


@provider(IAddonFactory)
@implementer(IRecorder)
class EncryptedRecorder:
    """Recordings in `directory/SESSION/CONNECTION.hprec`."""

    summary = "Keeps recordings in encrypted files that the gateway itself can't read."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "EncryptedRecorder":
        """Make it. @raise OSError, KeyUnfit: a key file is missing or holds no X25519 public key."""
        readers = Readers(read_public(settings.zone_key), read_public(settings.sealed_key))
        return cls(name, settings, readers, setting.gateway, setting.zone, setting.scheduler)

    def __init__(
        self,
        name: str,
        settings: Settings,
        readers: Readers,
        gateway: str,
        zone: str,
        scheduler: IScheduler,
        in_thread: Callable[..., Awaitable[Any]] = in_thread,
        create: Callable[[Path, str, str, bytes], RecordingFile] = RecordingFile,
    ) -> None:
        self.name = name
        self.chunk_noted: Callable[[Chunk], Awaitable[object]] | None = None
        """Set by the service: awaited with each chunk that the log shall hold. The header is noted before any byte
        is shown, later chunks at most once a `NOTED_S`."""
        self._settings, self._readers, self._gateway, self._zone = settings, readers, gateway, zone
        self._scheduler = scheduler
        self._in_thread, self._create = in_thread, create
        self._writers = DeferredSemaphore(WRITERS_MAX)

    async def open(self, passage: Passage) -> IRecording:
        at_s = self._scheduler.now_s()
        ids = passage.session_id, passage.permit.arrival.connection_id
        masked, sealed = secrets.token_bytes(32), secrets.token_bytes(32)
        record, durability = self._settings.modes
        header = Header(
            *ids,
            gateway=self._gateway,
            zone=self._zone,
            record=record,
            durability=durability,
            started_at_ms=int(at_s * 1000),
            **self._readers.wraps(*ids, masked, sealed),
        )
        writer = Writer(header, masked, sealed)
        try:
            file = await self.in_turn(self._create, self._settings.directory, *ids, writer.start)
        except FileExistsError as why:
            raise EvidenceUnavailable(SENTENCE, detail=f"{self.name}: a recording is never overwritten: {why}") from why
        except (OSError, ValueError) as why:
            raise EvidenceUnavailable(SENTENCE, detail=f"{self.name}: {why}") from why
        recording = Recording(self, self._settings, self._scheduler, ids, writer, file)
        if self.chunk_noted is not None:
            try:
                await self.chunk_noted(Chunk(*ids, 0, writer.head.hex()))
            except BaseException:
                file.close()
                raise
        recording.begin(at_s, passage)
        return recording

    async def in_turn(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of a function in a thread, `WRITERS_MAX` of them at a time. Each recording asks once at a time,
        so no more wait than there are connections."""
        await self._writers.acquire()
        try:
            return await self._in_thread("recordings", function, *arguments)
        finally:
            self._writers.release()


@implementer(IRecording)
class Recording:
    """A connection's recording while it runs."""

    def __init__(
        self,
        recorder: EncryptedRecorder,
        settings: Settings,
        scheduler: IScheduler,
        ids: tuple[str, str],
        writer: Writer,
        file: RecordingFile,
    ) -> None:
        self.rows_max = settings.rows_kept_max
        self.strict = settings.durability == "strict"
        self._recorder, self._settings, self._scheduler = recorder, settings, scheduler
        self._ids, self._writer, self._file = ids, writer, file
        self._transcript = Transcript(settings.keeping)
        self._waiting: list[Lines] = []
        self._waiting_bytes = 0
        # Both count the same thing: bytes recorded or shown, whichever are more; the first until now, the second
        # up to what is durable.
        self._recorded = self._durable = 0
        self._flushing: ISignal | None = None
        self._failure: SessionError | None = None
        self._soon: Deferred[None] | None = None
        self._is_noting = False
        self._unnoted: Chunk | None = None
        self._closed = scheduler.signal()

    def begin(self, at_s: float, passage: Passage) -> None:
        """Record who it is."""
        self._keep(self._transcript.opened(at_s, passage), 0)

    def record(self, at_s: float, events: Sequence[Record], shown: bytes) -> int:
        if self._failure is not None:
            raise self._failure
        lines = self._transcript.recorded(at_s, tuple(events))
        if self._file.size + self._waiting_bytes + len(lines) > self._settings.recording_bytes_max:
            raise LimitReached(
                "Your session was ended because its recording is full; connect again to go on.",
                limit=f"addon.{self._recorder.name}.recording_bytes_max",
            )
        self._transcript.show(shown)
        self._keep(lines, len(shown))
        return self._settings.unflushed_bytes_max - (self._recorded - self._durable)

    async def settle(self) -> None:
        await self._settled(self._recorded)
        if self._failure is not None:
            raise self._failure

    async def close(self, tally: Tally, reason: str) -> Manifest:
        self._closed.set()
        self._unnoted = None
        if self._soon is not None:
            self._soon.cancel()
        while self._flushing is not None:
            await self._flushing.wait()
        if self._failure is None:
            await self._flush(self._transcript.closed(self._scheduler.now_s(), tally, reason)).wait()
        self._file.close()
        if self._failure is not None:
            raise self._failure
        return Manifest(self._file.location, self._writer.number, self._writer.head.hex(), self._file.size)

    def _keep(self, lines: Lines, shown_bytes: int) -> None:
        self._waiting.append(lines)
        self._waiting_bytes += len(lines)
        self._recorded += max(len(lines), shown_bytes)
        if self._soon is None and not self.strict:
            self._soon = Deferred.fromCoroutine(self._flush_soon())

    async def _flush_soon(self) -> None:
        try:
            await self._scheduler.sleep(self._settings.flush_ms_max / 1000)
        except CancelledError:
            return  # the recording closes, and so writes the rest itself
        finally:
            self._soon = None
        await self._settled(self._recorded)

    async def _settled(self, mark: int) -> None:
        """Returns when `mark` is durable, or never will be. All who wait while one chunk is written share the next."""
        while self._durable < mark and self._failure is None:
            await (self._flushing or self._flush()).wait()

    def _flush(self, closing: Lines | None = None) -> ISignal:
        done = self._flushing = self._scheduler.signal()
        # On its own: a caller that gives up must not take the others' chunk along.
        Deferred.fromCoroutine(self._write(done, closing))
        return done

    async def _write(self, done: ISignal, closing: Lines | None) -> None:
        taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
        mark = self._recorded
        taken.append(self._transcript.shown(self._scheduler.now_s()))
        if closing is not None:
            taken.append(closing)
        lines = joined(taken)
        try:
            await self._recorder.in_turn(self._store, lines, closing is not None)
        except BaseException as why:
            self._failure = EvidenceUnavailable(SENTENCE, detail=f"{self._recorder.name}: {self._file.location}: {why}")
            if not isinstance(why, OSError):
                raise
        else:
            self._durable = mark
            if closing is None:
                self._offer(Chunk(*self._ids, self._writer.number, self._writer.head.hex()))
        finally:
            self._flushing = None
            done.set()

    def _store(self, lines: Lines, final: bool) -> None:
        self._file.append(self._writer.seal(lines, final=final))

    def _offer(self, chunk: Chunk) -> None:
        """Have the log hold the newest chunk. The last one is not offered: the connection's own end names it."""
        self._unnoted = chunk
        if not self._is_noting and self._recorder.chunk_noted is not None:
            self._is_noting = True
            Deferred.fromCoroutine(self._note(self._recorder.chunk_noted))

    async def _note(self, chunk_noted: Callable[[Chunk], Awaitable[object]]) -> None:
        try:
            while (chunk := self._unnoted) is not None and self._failure is None:
                self._unnoted = None
                await chunk_noted(chunk)
                await self._scheduler.first(self._scheduler.sleep(NOTED_S), self._closed.wait())
        except SessionError as why:
            self._failure = why
        finally:
            self._is_noting = False
