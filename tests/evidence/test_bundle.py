"""Bundles: an honest one verifies without a gateway, and of a changed one the first bad item is named."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from hoopproxy.addons.encrypted_recorder import EncryptedRecorder, Settings
from hoopproxy.addons.log_file import LogFile
from hoopproxy.asking import Asking
from hoopproxy.disk.bundles import export, verify
from hoopproxy.disk.keys import make_keys
from hoopproxy.disk.segments import Segments, segment_paths
from hoopproxy.errors import Refused
from hoopproxy.events import Completed
from hoopproxy.evidence import bundle, chain
from hoopproxy.evidence.chain import ChainBroken, Head
from hoopproxy.evidence.entries import Confirmed, Denied, Ended, Permitted, encoded
from hoopproxy.evidence.ledger import Ledger
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.model import Tally
from hoopproxy.scheduler import TwistedScheduler

from . import conftest
from .conftest import at_once, now, passage_of


class Evidence:
    """What a gateway left: c1 and c2 ended, c3's gateway was killed, one was denied."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log, self.recordings = directory / "log", directory / "recordings"
        clock = conftest.Clock()
        scheduler = TwistedScheduler(clock)
        make_keys(directory)
        sink = LogFile("log", Segments(self.log, 65536, 4096), 100, at_once)
        ledger = Ledger(sink, Pseudonyms(b"k" * 32), scheduler, "gw-1", Asking(scheduler, 5))
        settings = Settings(
            directory=self.recordings, zone_key=directory / "zone.pub", sealed_key=directory / "sealed.pub"
        )
        setting: Any = SimpleNamespace(gateway="gw-1", zone="EU", scheduler=scheduler)
        readers = EncryptedRecorder.build("recorder", settings, setting)._readers
        recorder = EncryptedRecorder("recorder", settings, readers, "gw-1", "EU", scheduler, at_once)
        recorder.chunk_noted = ledger.note
        arrival = conftest.arrival.__wrapped__()  # type: ignore[attr-defined] # pytest keeps a fixture's function there
        identity = conftest.identity.__wrapped__()  # type: ignore[attr-defined] # the same
        permit = conftest.permit.__wrapped__(arrival, identity)  # type: ignore[attr-defined] # the same
        now(ledger.note(Denied.of("s0", arrival, None, "x", Refused("No.", reason="grant"))))
        for connection in ("c1", "c2", "c3"):
            passage = passage_of(permit, "s1", connection)
            now(ledger.note(Permitted.of(passage.permit)))
            now(ledger.note(Confirmed.of(passage, "parsed, masked")))
            recording = now(recorder.open(passage))
            for number in range(3):
                recording.record(number, [Completed(number, "SELECT 1", 1)], b"shown")
                now(recording.settle())
                clock.advance(1.5)
            if connection != "c3":
                manifest = now(recording.close(Tally(), "client left"))
                now(ledger.note(Ended.of(passage, Tally(), manifest, "client left")))
            else:
                recording._file.close()
        self.head = ledger.head
        sink.close()

    def exported(self, name: str = "bundle.zip") -> Path:
        path = self.directory / name
        export(self.log, self.recordings, path)
        return path


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="module")
def honest(pristine: Evidence) -> dict[str, bytes]:
    """The items of an honest bundle."""
    with zipfile.ZipFile(pristine.exported()) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(items: dict[str, bytes]) -> BytesIO:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in items.items():
            archive.writestr(name, data)
    return file


def leaves(items: dict[str, bytes]) -> list[bytes]:
    return items["log.jsonl"].splitlines()


def with_log(items: dict[str, bytes], changed: list[bytes]) -> dict[str, bytes]:
    return items | {"log.jsonl": b"".join(leaf + b"\n" for leaf in changed)}


def test_an_honest_bundle_is_sound_and_says_what_it_does_not_prove(pristine: Evidence) -> None:
    report = verify(pristine.exported("sound.zip"), pristine.head)
    assert report.is_sound, report.problems
    assert report.head == pristine.head
    assert (report.permitted, report.denied, report.ended) == (3, 1, 2)
    assert (report.recordings, report.unfinished) == (3, 1)
    assert [note.partition(" (")[0] for note in report.notes] == ["Recording s1/c3.hprec ends without its final chunk"]
    assert verify(pristine.directory / "sound.zip").notes[0].startswith("No head from outside was given")


def test_a_head_from_earlier_is_a_head_too(pristine: Evidence, honest: dict[str, bytes]) -> None:
    head = chain.EMPTY
    for leaf in leaves(honest):
        assert bundle.verify(zipped(honest), head).is_sound
        head = chain.after(head, leaf)


def test_an_export_is_new_for_its_owner_alone_and_the_same_each_time(pristine: Evidence) -> None:
    first, second = pristine.exported("one.zip"), pristine.exported("two.zip")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        pristine.exported("one.zip")


def test_an_export_without_recordings_says_so(pristine: Evidence, tmp_path: Path) -> None:
    assert export(pristine.log, None, tmp_path / "b.zip") == pristine.head
    report = verify(tmp_path / "b.zip", pristine.head)
    assert report.is_sound
    assert "exported without recordings" in report.notes[0]


def test_a_log_that_is_broken_is_not_exported(pristine: Evidence, tmp_path: Path) -> None:
    shutil.copytree(pristine.log, tmp_path / "log")
    path = segment_paths(tmp_path / "log")[0]
    path.write_bytes(path.read_bytes().replace(b'"denied"', b'"demied"', 1))
    with pytest.raises(ChainBroken):
        export(tmp_path / "log", None, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


type Change = Callable[[list[bytes]], list[bytes]]


def rechained(found: list[bytes]) -> list[bytes]:
    """What an operator with the log's files can do: make a chain that is right in itself."""
    made, head = [], chain.EMPTY
    for leaf in found:
        made.append(encoded(orjson.loads(leaf) | {"index": head.size, "prev": head.sha256}))
        head = chain.after(head, made[-1])
    return made


CHANGES: dict[str, tuple[Change, str]] = {
    "edit": (lambda log: [log[0], log[1].replace(b'"reader"', b'"writer"'), *log[2:]], "Entry 2 does not continue"),
    "exchange": (lambda log: [log[0], log[2], log[1], *log[3:]], "Entry 1 is missing or out of place"),
    "drop": (lambda log: [log[0], *log[2:]], "Entry 1 is missing or out of place"),
    "drop the first": (lambda log: log[1:], "Entry 0 is missing or out of place"),
    "insert": (lambda log: [log[0], log[0], *log[1:]], "Entry 1 is missing or out of place"),
    "blank line": (lambda log: [log[0], b"", *log[1:]], "Entry 1 is no JSON"),
    "spaces": (lambda log: [log[0].replace(b",", b", ", 1), *log[1:]], "Entry 0 is not written canonically"),
    "truncate": (lambda log: log[:-2], "is cut off"),
    "truncate and regrow": (lambda log: rechained([*log[:-2], log[0], log[0]]), "is another log"),
    "edit and re-chain": (
        lambda log: rechained([log[0].replace(b'"grant"', b'"other"'), *log[1:]]),
        "is another log",
    ),
    "drop and re-chain": (lambda log: rechained([log[0], *log[2:]]), "is cut off"),
    "empty": (lambda log: [], "is cut off"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_log_is_found_and_the_first_bad_entry_named(
    pristine: Evidence, honest: dict[str, bytes], name: str
) -> None:
    change, told = CHANGES[name]
    report = bundle.verify(zipped(with_log(honest, change(leaves(honest)))), pristine.head)
    assert report.problems[0].startswith("log.jsonl")
    assert told in report.problems[0]


def changed_recording(honest: dict[str, bytes], at: int, connection: str = "c1") -> dict[str, bytes]:
    name = f"recordings/s1/{connection}.hprec"
    data = honest[name]
    return honest | {name: data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]}


@pytest.mark.parametrize("connection", ["c1", "c3"])
def test_any_changed_byte_of_a_recording_is_found(
    pristine: Evidence, honest: dict[str, bytes], connection: str
) -> None:
    size = len(honest[f"recordings/s1/{connection}.hprec"])
    for at in [*range(0, size, 61), size - 1]:
        report = bundle.verify(zipped(changed_recording(honest, at, connection)), pristine.head)
        assert [one for one in report.problems if f"s1/{connection}.hprec" in one], at


RECORDING_CHANGES: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "missing": (
        lambda items: {name: data for name, data in items.items() if "c2" not in name},
        "Recording s1/c2.hprec is missing",
    ),
    "cut off": (
        lambda items: items | {"recordings/s1/c1.hprec": items["recordings/s1/c1.hprec"][:-40]},
        "Recording s1/c1.hprec ends with chunk 3, and the log says that it ends otherwise",
    ),
    "killed one cut off": (
        lambda items: items | {"recordings/s1/c3.hprec": items["recordings/s1/c3.hprec"][:-40]},
        "Recording s1/c3.hprec is cut off: it ends with chunk 2, and the log has chunk 3",
    ),
    "empty": (lambda items: items | {"recordings/s1/c1.hprec": b""}, "does not begin like a recording"),
    "exchanged": (
        lambda items: items | {"recordings/s1/c1.hprec": items["recordings/s1/c2.hprec"]},
        "Recording s1/c1.hprec is that of another connection",
    ),
    "longer": (
        lambda items: items | {"recordings/s1/c1.hprec": items["recordings/s1/c1.hprec"] + b"x"},
        "Bytes follow chunk",
    ),
    "copied": (
        lambda items: items | {"recordings/s9/c9.hprec": items["recordings/s1/c1.hprec"]},
        "Recording s9/c9.hprec is that of another connection",
    ),
    "not in the log": (
        lambda items: with_log(items, leaves(items)[:4]),
        "Recording s1/c3.hprec is not named by the log",
    ),
}


@pytest.mark.parametrize("name", RECORDING_CHANGES)
def test_a_changed_set_of_recordings_is_found(pristine: Evidence, honest: dict[str, bytes], name: str) -> None:
    change, told = RECORDING_CHANGES[name]
    report = bundle.verify(zipped(change(honest)), pristine.head)
    assert [one for one in report.problems if told in one], report.problems


def test_a_recording_that_was_made_and_never_used_is_no_problem(pristine: Evidence, honest: dict[str, bytes]) -> None:
    """Its gateway was killed before the log had its header: nothing was recorded, because nothing was shown."""
    data = honest["recordings/s1/c1.hprec"]
    header = data[: data.index(b'"zone_key"') + 46]
    assert header.endswith(b'"}')
    items = honest | {"recordings/s1/c1.hprec": data, "recordings/s7/c1.hprec": header.replace(b'"s1"', b'"s7"')}
    report = bundle.verify(zipped(items), pristine.head)
    assert report.is_sound, report.problems
    assert "Recording s7/c1.hprec is not named by the log and holds nothing but its header." in report.notes


@pytest.mark.parametrize("kept", [0, 5, 40, 200])
def test_a_recording_whose_making_a_power_cut_stopped_is_no_problem(
    pristine: Evidence, honest: dict[str, bytes], kept: int
) -> None:
    torn = honest["recordings/s1/c1.hprec"][:kept].ljust(300, b"\0")
    report = bundle.verify(zipped(honest | {"recordings/s7/c1.hprec": torn}), pristine.head)
    assert report.is_sound, report.problems
    assert [note for note in report.notes if "s7/c1.hprec is not named by the log and its header is not whole" in note]


def test_a_manifest_that_lies_and_items_that_do_not_belong_are_found(
    pristine: Evidence, honest: dict[str, bytes]
) -> None:
    cut = with_log(honest, leaves(honest)[:-1])
    assert "manifest.json says that the log ends with" in bundle.verify(zipped(cut), None).problems[0]
    for changed, told in (
        (honest | {"extra.txt": b""}, "extra.txt does not belong"),
        (honest | {"manifest.json": b"[]"}, "manifest.json is of another version"),
        (honest | {"manifest.json": b"{"}, "manifest.json is no JSON"),
        ({name: data for name, data in honest.items() if name != "log.jsonl"}, "log.jsonl is missing"),
    ):
        report = bundle.verify(zipped(changed), pristine.head)
        assert [one for one in report.problems if told in one], report.problems


def test_any_damage_to_the_file_is_a_problem_and_never_a_crash(pristine: Evidence) -> None:
    data = pristine.exported("damaged.zip").read_bytes()
    assert bundle.verify(BytesIO(b"no zip"), None).problems == ("The bundle is damaged: File is not a zip file.",)
    assert bundle.verify(BytesIO(data[: len(data) // 2]), None).problems
    behind_the_items = data.rindex(b"PK\x01\x02", 0, data.index(b"PK\x01\x02") + 4)
    for at in (*range(0, behind_the_items, 97), *range(behind_the_items, len(data))):
        report = bundle.verify(BytesIO(data[:at] + bytes((data[at] ^ 0x55,)) + data[at + 1 :]), pristine.head)
        assert report.problems or report.head == pristine.head, at


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"number": None}, "Entry 0 (chunk) has a value of another type"),
        ({"sha256": []}, "Entry 0 (chunk) has a value of another type"),
        ({"kind": "ended"}, "Entry 0 (ended) lacks cause, reason, recording, tally"),
        (
            {"kind": "ended", "reason": "", "cause": "", "tally": {}, "recording": "x"},
            "Entry 0 (ended) has a value of another type",
        ),
        ({"kind": "new\n"}, "Entry 0 is of the kind 'new\ufffd', which this version does not know"),
    ],
)
def test_entries_that_no_gateway_writes_are_named(honest: dict[str, bytes], change: dict[str, Any], told: str) -> None:
    leaf: dict[str, Any] = {"index": 0, "kind": "chunk", "prev": chain.EMPTY.sha256, "connection_id": "c", "number": 1}
    leaf |= {"session_id": "s", "sha256": "0", **change}
    report = bundle.verify(zipped(with_log(honest, [encoded(leaf)])), None)
    assert [one for one in (*report.problems, *report.notes) if told in one], report


def test_a_bundle_that_is_wrong_from_end_to_end_is_named_a_hundred_times(
    pristine: Evidence, honest: dict[str, bytes]
) -> None:
    many = honest | {f"x{number}": b"" for number in range(300)}
    assert len(bundle.verify(zipped(many), pristine.head).problems) == 100


def test_the_readme_s_own_verifier_needs_nothing_but_python(
    pristine: Evidence, honest: dict[str, bytes], tmp_path: Path
) -> None:
    readme = honest["README.txt"].decode()
    script = "\n".join(line[2:] for line in readme.split("or later:\n\n")[1].split("\n\nIt prints")[0].splitlines())
    (tmp_path / "log.jsonl").write_bytes(honest["log.jsonl"])
    command = [sys.executable, "-I", "-c", script]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == [str(pristine.head.size), pristine.head.sha256]
    (tmp_path / "log.jsonl").write_bytes(honest["log.jsonl"].replace(b"reader", b"writer", 1))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60).returncode == 1


def test_a_live_log_can_be_exported(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "log", 65536, 4096)
    segments.open()
    segments.commit([conftest.written(segments, 3)])
    assert export(tmp_path / "log", None, tmp_path / "b.zip") == segments.head == Head(3, segments.head.sha256)
    segments.close()
