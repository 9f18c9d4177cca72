"""The file format of recordings: a header, then sealed chunks, each bound to everything before it.

Pure: the keys of a recording are given, bytes come out; a reader takes them apart again and says how far they prove
anything. Knows neither events (`transcript`) nor files. docs/evidence.md draws the bytes.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import IO, Any, Literal

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hoopproxy.evidence.keys import SUITE, KeyUnfit, key_id, unwrapped, wrapped
from hoopproxy.evidence.transcript import Lines

MAGIC = b"hoopproxy recording 1\n"
HEADER_BYTES_MAX = 65_536
CHUNK_BYTES_MAX = 1 << 29
"""More than the largest row (`limits.row_bytes_max`) in base64 and the largest statement together."""

_CHUNK = struct.Struct(">IQBI")  # bytes behind this prefix, number, final, bytes of the sealed half
_DIGEST_BYTES = 32
_TAG_BYTES = 16

type Half = Literal[b"masked", b"sealed"]


class RecordingBroken(Exception):
    """Bytes of a recording were changed. The text is one full sentence that names the chunk."""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in clear at the start: which connection, in which modes, for which keys."""

    session_id: str
    connection_id: str
    gateway: str
    zone: str
    record: str
    durability: str
    started_at_ms: int
    zone_key: str
    sealed_key: str
    masked_wrap: bytes
    sealed_wrap: bytes

    def encoded(self) -> bytes:
        """As it stands in the file, behind the magic: length, canonical JSON."""
        told: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        told |= {"masked_wrap": self.masked_wrap.hex(), "sealed_wrap": self.sealed_wrap.hex(), "suite": SUITE}
        body = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
        return MAGIC + len(body).to_bytes(4) + body


@dataclass(frozen=True, slots=True)
class Readers:
    """The public keys that a recording is made for. Whoever reads its sealed half needs both private ones."""

    zone: X25519PublicKey
    sealed: X25519PublicKey

    def wraps(self, session_id: str, connection_id: str, masked: bytes, sealed: bytes) -> dict[str, Any]:
        """The fields of a header that carry the recording's two keys."""
        inner = wrapped(sealed, self.sealed, _info(b"sealed", session_id, connection_id))
        return {
            "zone_key": key_id(self.zone),
            "sealed_key": key_id(self.sealed),
            "masked_wrap": wrapped(masked, self.zone, _info(b"masked", session_id, connection_id)),
            "sealed_wrap": wrapped(inner, self.zone, _info(b"both", session_id, connection_id)),
        }


class Writer:
    """Seals chunks in order. `masked` and `sealed` are the recording's own 32-byte keys, used for nothing else."""

    def __init__(self, header: Header, masked: bytes, sealed: bytes) -> None:
        self.start = header.encoded()
        self.head = hashlib.sha256(self.start).digest()
        self.number = 0
        self._session_id = header.session_id
        self._masked, self._sealed = AESGCM(masked), AESGCM(sealed)

    def seal(self, lines: Lines, *, final: bool = False) -> bytes:
        """The next chunk's bytes; afterwards `number` and `head` are its own."""
        self.number += 1
        nonce = _nonce(self.number)
        sealed = b""
        if lines.sealed:
            sealed = self._sealed.encrypt(nonce, lines.sealed, self._data(b"sealed", final, b""))
        masked = self._masked.encrypt(nonce, lines.masked, self._data(b"masked", final, sealed))
        body = sealed + masked
        prefix = _CHUNK.pack(len(body) + _DIGEST_BYTES, self.number, final, len(sealed))
        self.head = hashlib.sha256(self.head + prefix + body).digest()
        return prefix + body + self.head

    def _data(self, half: Half, final: bool, other: bytes) -> bytes:
        return _bound(half, self._session_id, self.number, self.head, final, other)


@dataclass(frozen=True, slots=True)
class SealedChunk:
    """One chunk as stored. `number` 0 is the header. `sha256` is over everything up to and with it."""

    number: int
    final: bool
    sha256: str
    previous: bytes
    sealed: bytes
    masked: bytes


@dataclass(frozen=True, slots=True)
class Torn:
    """The bytes end inside a chunk: what a killed gateway leaves. `bytes_count` is how many are of no use."""

    bytes_count: int


def chunks(stream: IO[bytes]) -> Iterator[Header | SealedChunk | Torn]:
    """A recording taken apart without any key: its header, then its chunks, each digest checked.

    @raise RecordingBroken: bytes were changed.
    """
    header, start = _read_header(stream)
    head, number = hashlib.sha256(start).digest(), 0
    yield header
    yield SealedChunk(0, False, head.hex(), b"", b"", b"")
    while prefix := stream.read(_CHUNK.size):
        number += 1
        length = found = sealed_length = final = 0
        if len(prefix) == _CHUNK.size:
            length, found, final, sealed_length = _CHUNK.unpack(prefix)
        if length > CHUNK_BYTES_MAX:
            raise RecordingBroken(f"Chunk {number} is damaged: it claims to be {length} bytes long.")
        rest = stream.read(length)
        if len(prefix) < _CHUNK.size or len(rest) < length:
            yield Torn(len(prefix) + len(rest))
            return
        body, digest = rest[:-_DIGEST_BYTES], rest[-_DIGEST_BYTES:]
        after = hashlib.sha256(head + prefix + body).digest()
        if digest != after or found != number or final not in (0, 1) or sealed_length > len(body) - _TAG_BYTES:
            behind = _zeros_behind(stream)
            if digest != after and behind is not None:
                yield Torn(len(prefix) + len(rest) + behind)  # its length reached the disk, its bytes did not
                return
            raise RecordingBroken(f"Chunk {number} was changed, or is not the one that belongs here.")
        yield SealedChunk(number, bool(final), after.hex(), head, body[:sealed_length], body[sealed_length:])
        if final:
            if stream.read(1):
                raise RecordingBroken(f"Bytes follow chunk {number}, which says that it is the last.")
            return
        head = after


def read(stream: IO[bytes], zone: X25519PrivateKey, sealed: X25519PrivateKey | None = None) -> Iterator[dict[str, Any]]:
    """The lines of a recording, in order, as far as they are proved; with both keys statements are whole.

    A recording without its final chunk (its gateway was killed) ends with a line `{"event": "cut", "sentence": …}`.

    @raise KeyUnfit: a key is not this recording's.
    @raise RecordingBroken: bytes were changed; everything yielded before is proved.
    """
    parts = chunks(stream)
    header = next(parts)
    assert isinstance(header, Header)
    masked_key, sealed_key = _opened_wraps(header, zone, sealed)
    number, is_whole = 0, False
    for part in parts:
        match part:
            case SealedChunk(number=0):
                continue
            case SealedChunk():
                number, is_whole = part.number, part.final
                yield from _opened(part, header, masked_key, sealed_key)
    if not is_whole:
        yield {
            "event": "cut",
            "sentence": f"The recording ends without its final chunk; it is proved up to chunk {number}.",
        }


def _zeros_behind(stream: IO[bytes]) -> int | None:
    """How many bytes are left when all of them are zero: blocks that a crash left unwritten. None: one is not."""
    count = 0
    while data := stream.read(1 << 20):
        if data.strip(b"\0"):
            return None
        count += len(data)
    return count


def _opened_wraps(
    header: Header, zone: X25519PrivateKey, sealed: X25519PrivateKey | None
) -> tuple[AESGCM, AESGCM | None]:
    ids = header.session_id, header.connection_id
    for key, wanted, name in ((zone, header.zone_key, "zone"), (sealed, header.sealed_key, "sealed")):
        if key is not None and key_id(key.public_key()) != wanted:
            raise KeyUnfit(f"This recording is for the {name} key {wanted}; yours is {key_id(key.public_key())}.")
    masked_key = AESGCM(unwrapped(header.masked_wrap, zone, _info(b"masked", *ids)))
    if sealed is None:
        return masked_key, None
    inner = unwrapped(header.sealed_wrap, zone, _info(b"both", *ids))
    return masked_key, AESGCM(unwrapped(inner, sealed, _info(b"sealed", *ids)))


def _opened(chunk: SealedChunk, header: Header, masked: AESGCM, sealed: AESGCM | None) -> Iterator[dict[str, Any]]:
    def data(half: Half, other: bytes) -> bytes:
        return _bound(half, header.session_id, chunk.number, chunk.previous, chunk.final, other)

    nonce = _nonce(chunk.number)
    try:
        lines = masked.decrypt(nonce, chunk.masked, data(b"masked", chunk.sealed))
        hidden = sealed.decrypt(nonce, chunk.sealed, data(b"sealed", b"")) if sealed and chunk.sealed else b""
    except InvalidTag as why:
        raise RecordingBroken(
            f"Chunk {chunk.number} was not written by the gateway that began this recording."
        ) from why
    whole = {line["seq"]: line for line in map(orjson.loads, hidden.splitlines())}
    for line in map(orjson.loads, lines.splitlines()):
        yield line | whole.get(line["seq"], {})


def _read_header(stream: IO[bytes]) -> tuple[Header, bytes]:
    start = stream.read(len(MAGIC) + 4)
    length = int.from_bytes(start[len(MAGIC) :])
    if not start.startswith(MAGIC) or len(start) < len(MAGIC) + 4 or length > HEADER_BYTES_MAX:
        raise RecordingBroken("The file does not begin like a recording.")
    body = stream.read(length)
    try:
        told = orjson.loads(body)
        told |= {name: bytes.fromhex(told[name]) for name in ("masked_wrap", "sealed_wrap")}
        if told.pop("suite") != SUITE:
            raise RecordingBroken("The recording's header names an encryption that this version does not know.")
        return Header(**told), start + body
    except (ValueError, TypeError, KeyError) as why:
        raise RecordingBroken("The recording's header is damaged.") from why


def _bound(half: Half, session_id: str, number: int, previous: bytes, final: bool, other: bytes) -> bytes:
    """The additional data of one half: nothing of it can be moved, dropped or taken from another recording."""
    name = session_id.encode()
    parts = (half, len(name).to_bytes(2), name, number.to_bytes(8), previous, bytes((final,)))
    return b"".join(parts) + hashlib.sha256(other).digest()


def _nonce(number: int) -> bytes:
    """A counter (NIST SP 800-38D §8.2.1): each key seals one half of one recording, so no nonce comes twice."""
    return number.to_bytes(12)


def _info(purpose: bytes, session_id: str, connection_id: str) -> bytes:
    return b"\0".join((b"hoopproxy/recording/1", purpose, session_id.encode(), connection_id.encode()))
