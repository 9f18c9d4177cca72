"""Harness: an auditor's bundle from somebody whom nobody has to trust, and the files that evidence lies in."""

import zipfile
from io import BytesIO

import orjson

from fuzz.choices import Choices, damaged
from hoopproxy.evidence import bundle, chain
from hoopproxy.evidence.chain import Head
from hoopproxy.evidence.framing import FramesBroken, framed, frames, residue
from hoopproxy.evidence.recording import Header, RecordingBroken, Writer, chunks
from hoopproxy.evidence.transcript import Lines

NAME = "s1/c1.hprec"
KINDS = ("permitted", "denied", "ended", "chunk", "gateway-started", "x", "")
VALUES: tuple[object, ...] = (
    0,
    -1,
    2**63,
    "c1",
    "s1",
    "../x",
    "ü",
    None,
    True,
    [],
    {},
    {"chunks": 1, "head_sha256": "0" * 64},
    1.5,
)
FIELDS = ("session_id", "connection_id", "number", "sha256", "recording", "reason", "at_ms", "gateway")


def _recording() -> bytes:
    header = Header("s1", "c1", "gw-1", "EU", "rows(1000)", "strict", 1, "z", "s", b"w" * 60, b"w" * 90)
    writer = Writer(header, b"m" * 32, b"s" * 32)
    parts = [writer.seal(Lines(b"{}\n", b"{}\n")), writer.seal(Lines(b"{}\n", b""), final=True)]
    return writer.start + b"".join(parts)


RECORDING = _recording()


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    leaves = _leaves(choices)
    recording = _spoiled(choices, RECORDING)
    _frames(_spoiled(choices, framed(0, leaves)))
    _chunks(recording)
    head = (None, chain.EMPTY, Head(choices.byte(), "0" * 64))[choices.below(3)]
    report = bundle.verify(BytesIO(_spoiled(choices, _zip(choices, leaves, recording))), head)
    assert len(report.problems) <= bundle.PROBLEMS_MAX
    assert report.is_sound == (not report.problems)
    assert report.is_sound <= (recording == RECORDING or not report.recordings)
    assert report.permitted + report.denied + report.ended <= report.head.size <= len(leaves)


def _leaves(choices: Choices) -> list[bytes]:
    """A log whose entries say anything; its chain holds, unless it is broken by choice."""
    leaves, head = list[bytes](), chain.EMPTY
    for _ in range(choices.below(6)):
        entry: dict[str, object] = {name: choices.pick(VALUES) for name in FIELDS[: choices.below(9)]}
        entry |= {"index": head.size, "prev": head.sha256, "kind": choices.pick(KINDS)}
        leaf = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) if _sayable(entry) else b"{}"
        if choices.byte() & 15 == 15:
            leaf = damaged(choices, leaf)
        else:
            head = Head(head.size + 1, chain.extend(bytes.fromhex(head.sha256), leaf).hex())
        leaves.append(leaf.replace(b"\n", b""))
    return leaves


def _sayable(entry: dict[str, object]) -> bool:
    return all(not isinstance(value, int) or -(2**63) <= value < 2**64 for value in entry.values())


def _zip(choices: Choices, leaves: list[bytes], recording: bytes) -> bytes:
    file = BytesIO()
    manifest = {"version": 1, "size": len(leaves), "sha256": "0" * 64, "recordings": choices.pick(([NAME], None, 7))}
    with zipfile.ZipFile(file, "w", choices.pick((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        archive.writestr(_item(bundle.LOG), b"".join(leaf + b"\n" for leaf in leaves))
        archive.writestr(_item(bundle.MANIFEST), _spoiled(choices, orjson.dumps(manifest)))
        archive.writestr(_item(bundle.RECORDINGS + choices.pick((NAME, NAME, "s1/c2.hprec", "/", "../x"))), recording)
        if choices.byte() & 15 == 15:
            archive.writestr(_item(choices.some(20).decode("latin-1") or "x"), choices.some(20))
    return file.getvalue()


def _item(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name)


def _spoiled(choices: Choices, data: bytes) -> bytes:
    """Damaged in one of its first 65536 bytes, or whole."""
    if choices.byte() & 7 != 7 or not data:
        return data
    at = (choices.byte() << 8 | choices.byte()) % len(data)
    return data[:at] + damaged(choices, data[at : at + 1]) + data[at + 1 :]


def _frames(data: bytes) -> None:
    try:
        end = max((frame.end for frame in frames(data)), default=0)
    except FramesBroken as why:
        end = why.offset
    assert residue(data, end) <= len(data)


def _chunks(data: bytes) -> None:
    try:
        parts = list(chunks(BytesIO(data)))
    except RecordingBroken:
        return
    assert len(parts) <= 4
