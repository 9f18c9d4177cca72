"""An auditor's bundle: one zip with the log and the recordings, written and verified without a gateway.

Pure over open files. Reads no key: what recordings say stays sealed, only that they are whole is proved. Knows no
directory; `hoopproxy.disk.bundles` opens the files.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import IO, Any

import orjson

from hoopproxy.evidence import chain
from hoopproxy.evidence.chain import ChainBroken, Head
from hoopproxy.evidence.entries import KINDS, cleaned
from hoopproxy.evidence.readme import README as TEXT
from hoopproxy.evidence.recording import Header, RecordingBroken, SealedChunk, Torn, chunks

MANIFEST, LOG, README, RECORDINGS = "manifest.json", "log.jsonl", "README.txt", "recordings/"
VERSION = 1
MANIFEST_BYTES_MAX = 1 << 24
ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, OverflowError, RuntimeError, ValueError, struct.error)
"""All that `zipfile` raises for a file that was damaged anywhere (NotImplementedError is a RuntimeError)."""
PROBLEMS_MAX = 100
"""A bundle that is wrong from end to end is named a hundred times, not a million."""


@dataclass(frozen=True, slots=True)
class Report:
    """What verifying found. `problems` are full sentences, the first bad item first; `notes` say what was not proved.

    Counts are of what was verified: entries, connections that were permitted, denied and ended, recordings, and how
    many of these end before their final chunk.
    """

    head: Head
    permitted: int
    denied: int
    ended: int
    recordings: int
    unfinished: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong with what is there."""
        return not self.problems


def write(output: IO[bytes], leaves: Iterable[bytes], recordings: Iterable[tuple[str, IO[bytes]]] | None) -> Head:
    """Write a bundle; the head of its log. `recordings` are (`session/connection.hprec`, its open file); None: the
    bundle has none and says so. @raise ChainBroken: the log itself is broken; nothing was proved by exporting it."""
    head, names = chain.EMPTY, []
    with zipfile.ZipFile(output, "w") as archive:
        with archive.open(_item(LOG, zipfile.ZIP_DEFLATED), "w", force_zip64=True) as file:
            for leaf in leaves:
                head = chain.after(head, leaf)
                file.write(leaf + b"\n")
        for name, source in recordings or ():
            names.append(name)
            with archive.open(_item(RECORDINGS + name), "w", force_zip64=True) as file:
                while data := source.read(1 << 20):
                    file.write(data)
        manifest = {
            "version": VERSION,
            "size": head.size,
            "sha256": head.sha256,
            "recordings": None if recordings is None else sorted(names),
        }
        archive.writestr(_item(MANIFEST), orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
        archive.writestr(_item(README), TEXT)
    return head


def verify(bundle: IO[bytes], head: tuple[int, str] | None) -> Report:
    """Everything that can be proved of a bundle. `head` is one that was kept outside, at any time since the log began;
    without it nobody can tell whether the log was cut off at its end, and the report says so."""
    findings = _Findings()
    try:
        with zipfile.ZipFile(bundle) as archive:
            _verify(archive, None if head is None else Head(*head), findings)
    except ZIP_FAULTS as why:
        findings.problem(f"The bundle is damaged: {why}.")
    return findings.report()


@dataclass(slots=True)
class _Recorded:
    """What the log says of one connection's recording: the digest at some chunks, and at the last one if it ended."""

    chunks: dict[int, str] = field(default_factory=dict)
    end: tuple[int, str] | None = None


@dataclass(slots=True)
class _Findings:
    head: Head = chain.EMPTY
    counts: dict[str, int] = field(default_factory=dict)
    recordings: int = 0
    unfinished: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recorded: dict[str, _Recorded] = field(default_factory=dict)
    is_log_broken: bool = False

    def problem(self, sentence: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(sentence)

    def report(self) -> Report:
        permitted, denied, ended = (self.counts.get(kind, 0) for kind in ("permitted", "denied", "ended"))
        return Report(
            self.head,
            permitted,
            denied,
            ended,
            self.recordings,
            self.unfinished,
            tuple(self.problems),
            tuple(self.notes),
        )


def _verify(archive: zipfile.ZipFile, wanted: Head | None, findings: _Findings) -> None:
    names = [item.filename for item in archive.infolist()]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        findings.problem(f"{name} is in the bundle twice.")
    for name in (MANIFEST, LOG):
        if name not in names:
            findings.problem(f"{name} is missing from the bundle.")
    if findings.problems:
        return
    _verify_log(archive, wanted, findings)
    manifest = _manifest(archive, findings)
    if manifest is None:
        return
    if (manifest.get("size"), manifest.get("sha256")) != findings.head and not findings.problems:
        findings.problem(
            f"{MANIFEST} says that the log ends with {manifest.get('size')} entries and the digest "
            f"{manifest.get('sha256')}; it ends with {findings.head.size} and {findings.head.sha256}."
        )
    stored = {name.removeprefix(RECORDINGS) for name in names if name.startswith(RECORDINGS)}
    for name in sorted(set(names) - {MANIFEST, LOG, README} - {RECORDINGS + name for name in stored}):
        findings.problem(f"{name} does not belong into a bundle.")
    if manifest.get("recordings") is None:
        findings.notes.append("The bundle was exported without recordings; nothing is proved of them.")
    else:
        for name in sorted(set(findings.recorded) - stored):
            findings.problem(f"Recording {name} is missing: the log names it.")
    for name in sorted(stored):
        _verify_recording(archive, name, findings)


def _manifest(archive: zipfile.ZipFile, findings: _Findings) -> dict[str, Any] | None:
    try:
        with archive.open(MANIFEST) as file:
            manifest = orjson.loads(file.read(MANIFEST_BYTES_MAX))
        if isinstance(manifest, dict) and manifest.get("version") == VERSION:
            return manifest
        findings.problem(f"{MANIFEST} is of another version; wanted is {VERSION}.")
    except orjson.JSONDecodeError as why:
        findings.problem(f"{MANIFEST} is no JSON ({why}).")
    return None


def _verify_log(archive: zipfile.ZipFile, wanted: Head | None, findings: _Findings) -> None:
    reached = None if wanted is None or wanted.size else chain.EMPTY
    try:
        for leaf in _lines(archive):
            findings.head = chain.after(findings.head, leaf)
            if wanted is not None and findings.head.size == wanted.size:
                reached = findings.head
            _account(chain.parsed(leaf, None), findings)
    except ChainBroken as why:
        findings.problem(f"{LOG}: {why}")
        findings.notes.append("Recordings were held against themselves alone, since what the log says of them is lost.")
        findings.is_log_broken = True
        return
    if wanted is None:
        findings.notes.append(
            f"No head from outside was given: nothing shows whether entries after number {findings.head.size - 1} "
            "were cut off."
        )
    elif reached is None:
        findings.problem(
            f"{LOG} is cut off: it has {findings.head.size} entries, and the head that was kept outside stands for "
            f"{wanted.size}."
        )
    elif reached != wanted:
        findings.problem(
            f"{LOG} is another log than the one whose head was kept outside: after {wanted.size} entries its digest "
            f"is {reached.sha256}, wanted is {wanted.sha256}."
        )


def _lines(archive: zipfile.ZipFile) -> Iterator[bytes]:
    with archive.open(LOG) as file:
        while line := file.readline(chain.LEAF_BYTES_MAX + 2):
            yield line.removesuffix(b"\n")


def _account(entry: dict[str, Any], findings: _Findings) -> None:
    kind, index = entry["kind"], entry["index"]
    findings.counts[kind] = findings.counts.get(kind, 0) + 1
    if kind not in KINDS:
        findings.notes.append(f"Entry {index} is of the kind {cleaned(kind)!r}, which this version does not know.")
        return
    if missing := {one.name for one in fields(KINDS[kind])} - entry.keys():
        findings.problem(f"{LOG}: Entry {index} ({kind}) lacks {', '.join(sorted(missing))}.")
        return
    name = f"{entry.get('session_id')}/{entry.get('connection_id')}.hprec"
    match entry:
        case {"kind": "chunk", "number": int(number), "sha256": str(digest)}:
            findings.recorded.setdefault(name, _Recorded()).chunks[number] = digest
        case {"kind": "ended", "recording": {"chunks": int(number), "head_sha256": str(digest)}}:
            findings.recorded.setdefault(name, _Recorded()).end = (number, digest)
        case {"kind": "ended", "recording": None}:
            pass
        case {"kind": "ended" | "chunk"}:
            findings.problem(f"{LOG}: Entry {index} ({kind}) has a value of another type than it must have.")


def _verify_recording(archive: zipfile.ZipFile, name: str, findings: _Findings) -> None:
    findings.recordings += 1
    recorded = findings.recorded.get(name, _Recorded())
    last, torn, digest, final, is_begun = 0, 0, "", False, False
    try:
        with archive.open(RECORDINGS + name) as file:
            for part in chunks(file):
                match part:
                    case Header(session_id=session_id, connection_id=connection_id):
                        is_begun = True
                        if f"{session_id}/{connection_id}.hprec" != name:
                            findings.problem(f"Recording {name} is that of another connection.")
                            return
                    case SealedChunk():
                        last, digest, final = part.number, part.sha256, part.final
                        if recorded.chunks.get(last, digest) != digest:
                            findings.problem(
                                f"Recording {name} was changed at or before chunk {last}: the log has another digest."
                            )
                            return
                    case Torn(bytes_count):
                        torn = bytes_count
    except RecordingBroken as why:
        if is_begun or name in findings.recorded or findings.is_log_broken:
            findings.problem(f"Recording {name} was changed: {why}")
        else:  # the log names a recording once its header is durable, and nothing is shown before
            findings.notes.append(
                f"Recording {name} is not named by the log and its header is not whole: its gateway stopped while it "
                "made the file, before anything was shown."
            )
        return
    _verify_end(name, recorded, last, digest, final, torn, findings)


def _verify_end(
    name: str, recorded: _Recorded, last: int, digest: str, final: bool, torn: int, findings: _Findings
) -> None:
    """What the log says of the recording's end against where it does end."""
    if findings.is_log_broken:
        return
    if name not in findings.recorded:
        if last:
            findings.problem(f"Recording {name} is not named by the log.")
        else:  # made, and then the gateway stopped or its log was full: nothing was shown yet
            findings.notes.append(f"Recording {name} is not named by the log and holds nothing but its header.")
        return
    if recorded.end is not None:
        if recorded.end != (last, digest) or not final:
            findings.problem(
                f"Recording {name} ends with chunk {last}, and the log says that it ends otherwise, with chunk "
                f"{recorded.end[0]}: it was cut off or changed."
            )
        return
    noted = max(recorded.chunks, default=0)
    if last < noted:
        findings.problem(f"Recording {name} is cut off: it ends with chunk {last}, and the log has chunk {noted}.")
        return
    if final:
        findings.notes.append(f"Recording {name} is whole, but the log has no end of its connection.")
        return
    findings.unfinished += 1
    ending = f", then {torn} bytes of a chunk that was never finished" if torn else ""
    findings.notes.append(
        f"Recording {name} ends without its final chunk (its gateway stopped, or its connection goes on): it has "
        f"{last} chunks{ending}, and the log proves it up to chunk {noted}."
    )


def _item(name: str, compression: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    """A zip entry without a date of its own: the same evidence makes the same bytes."""
    item = zipfile.ZipInfo(name)
    item.compress_type = compression
    item.external_attr = 0o600 << 16
    return item
