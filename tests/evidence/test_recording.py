"""The file format of recordings: who may read what, and what any change of it does."""

import hashlib
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.disk.keys import make_keys, read_private, read_public
from hoopproxy.evidence import keys
from hoopproxy.evidence.keys import KeyUnfit
from hoopproxy.evidence.recording import Header, Readers, RecordingBroken, SealedChunk, Torn, Writer, chunks, read
from hoopproxy.evidence.transcript import Lines

ZONE, SEALED = (keys.private_key(keys.new_pair()[0], name) for name in ("zone", "sealed"))
READERS = Readers(ZONE.public_key(), SEALED.public_key())
PARTS = [
    Lines(b'{"seq":1,"event":"opened"}\n', b""),
    Lines(b'{"seq":2,"event":"asked","outline":"SELECT $1"}\n', b'{"seq":2,"text":"SELECT 4111"}\n'),
    Lines(b'{"seq":3,"event":"closed"}\n', b""),
]


def header(session_id: str = "s1") -> Header:
    wraps = READERS.wraps(session_id, "c1", b"m" * 32, b"s" * 32)
    return Header(session_id, "c1", "gw-1", "EU", "rows(1000)", "strict", 1, **wraps)


def recording(parts: list[Lines] = PARTS, *, final: bool = True, session_id: str = "s1") -> list[bytes]:
    """The header and the chunks, apart."""
    writer = Writer(header(session_id), b"m" * 32, b"s" * 32)
    return [writer.start] + [writer.seal(part, final=final and part is parts[-1]) for part in parts]


WHOLE = recording()


def events(data: bytes, *private: Any) -> list[str]:
    return [line["event"] for line in read(BytesIO(data), *(private or (ZONE,)))]


def test_the_zone_key_reads_outlines_and_both_keys_read_statements() -> None:
    data = b"".join(WHOLE)
    masked = list(read(BytesIO(data), ZONE))
    assert [line["event"] for line in masked] == ["opened", "asked", "closed"]
    assert "text" not in masked[1]
    assert list(read(BytesIO(data), ZONE, SEALED))[1]["text"] == "SELECT 4111"
    assert b"SELECT" not in data


def test_neither_the_sealed_key_alone_nor_another_key_opens_anything() -> None:
    other = keys.private_key(keys.new_pair()[0], "other")
    for private in ((other,), (SEALED,), (ZONE, other), (ZONE, ZONE)):
        with pytest.raises(KeyUnfit, match=r"This recording is for the \w+ key"):
            events(b"".join(WHOLE), *private)


def test_the_statement_key_is_wrapped_for_both_holders_together() -> None:
    start = header()
    for private in (ZONE, SEALED):
        for purpose in (b"sealed", b"masked"):
            info = b"\0".join((b"hoopproxy/recording/1", purpose, b"s1", b"c1"))
            with pytest.raises(KeyUnfit):
                keys.unwrapped(start.sealed_wrap, private, info)


def test_a_header_that_is_put_before_other_chunks_opens_nothing() -> None:
    theirs = recording(session_id="s2")
    with pytest.raises(RecordingBroken, match="Chunk 1"):
        events(theirs[0] + b"".join(WHOLE[1:]))


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_without_its_final_chunk_it_proves_a_prefix_and_says_so(cut: int) -> None:
    lines = list(read(BytesIO(b"".join(WHOLE[:cut])), ZONE))
    assert len(lines) == cut
    assert lines[-1]["event"] == "cut"
    assert lines[-1]["sentence"].endswith(f"it is proved up to chunk {cut - 1}.")


@given(st.data())
@settings(max_examples=60)
def test_cut_anywhere_it_proves_whole_chunks_and_never_more(data: st.DataObject) -> None:
    whole = b"".join(WHOLE)
    at = data.draw(st.integers(len(WHOLE[0]), len(whole) - 1))
    complete = sum(at >= len(b"".join(WHOLE[:n])) for n in range(2, 5))
    assert events(whole[:at]) == [*["opened", "asked", "closed"][:complete], "cut"]
    kinds = [type(part) for part in chunks(BytesIO(whole[:at]))]
    assert kinds[0] is Header and kinds[1 : 2 + complete] == [SealedChunk] * (1 + complete)
    assert kinds[2 + complete :] in ([], [Torn])


@given(st.data())
@settings(max_examples=120)
def test_no_changed_byte_is_ever_believed(data: st.DataObject) -> None:
    whole = b"".join(WHOLE)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    found: list[dict[str, Any]] = []
    try:
        found.extend(read(BytesIO(whole[:at] + bytes((byte,)) + whole[at + 1 :]), ZONE, SEALED))
    except (RecordingBroken, KeyUnfit):
        return
    # What is left: a chunk whose length grew is taken for one that was torn. It is a true beginning that says that it
    # was cut; the log has the digest of what is missing.
    *events, last = [line["event"] for line in found]
    assert last == "cut"
    assert events == ["opened", "asked"][: len(events)]


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: [parts[0], parts[2], parts[1], parts[3]],
        lambda parts: [parts[0], parts[2], parts[3]],
        lambda parts: [parts[0], parts[1], parts[1], parts[2], parts[3]],
        lambda parts: [*parts, parts[3]],
        lambda parts: [*parts, b"x"],
        lambda parts: [b"", *parts[1:]],
        lambda parts: [parts[0][:30], *parts[1:]],
    ],
)
def test_exchanged_dropped_repeated_and_added_chunks_show(change: Callable[[list[bytes]], list[bytes]]) -> None:
    with pytest.raises(RecordingBroken):
        list(chunks(BytesIO(b"".join(change(WHOLE)))))


def rechained(start: bytes, found: list[bytes], *, keep_sealed: bool = True, final: bool = False) -> bytes:
    """What anybody with the file can do: mend all digests. `final` marks the last chunk as such."""
    data, head = start, hashlib.sha256(start).digest()
    for number, chunk in enumerate(found, 1):
        _, _, was_final, sealed = struct.unpack_from(">IQBI", chunk)
        body = chunk[17 if keep_sealed else 17 + sealed : -32]
        is_final = was_final or (final and number == len(found))
        prefix = struct.pack(">IQBI", len(body) + 32, number, is_final, sealed if keep_sealed else 0)
        head = hashlib.sha256(head + prefix + body).digest()
        data += prefix + body + head
    return data


FORGERIES = {
    "nothing": (rechained(WHOLE[0], WHOLE[1:]), None),
    "sealed half dropped": (rechained(WHOLE[0], WHOLE[1:], keep_sealed=False), 2),
    "cut off and called whole": (rechained(WHOLE[0], WHOLE[1:3], final=True), 2),
    "chunk dropped": (rechained(WHOLE[0], [WHOLE[1], WHOLE[3]]), 2),
    "another zone in the header": (rechained(WHOLE[0].replace(b'"EU"', b'"US"'), WHOLE[1:]), 1),
    "another session's chunk": (rechained(WHOLE[0], [WHOLE[1], recording(session_id="s2")[2], WHOLE[3]]), 2),
}


def test_bytes_behind_the_last_chunk_are_noticed_by_whoever_reads() -> None:
    with pytest.raises(RecordingBroken, match="Bytes follow chunk 3"):
        list(read(BytesIO(b"".join(WHOLE) + b"x"), ZONE))


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forger_who_mends_the_digests_fails_at_the_keys(name: str) -> None:
    data, chunk = FORGERIES[name]
    list(chunks(BytesIO(data)))  # without keys it looks whole
    if chunk is None:
        assert data == b"".join(WHOLE)
        return
    with pytest.raises(RecordingBroken, match=f"Chunk {chunk} was not written by the gateway"):
        events(data)


def test_a_length_without_end_is_refused() -> None:
    with pytest.raises(RecordingBroken, match="claims to be"):
        list(chunks(BytesIO(WHOLE[0] + b"\xff" * 40)))


def test_the_key_wrap_is_rfc_9180() -> None:
    """Opened by the steps of RFC 9180 §4.1, §5.1 and §5.2 written out, with nothing of HPKE from a library."""
    import hmac

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"

    def extract(identity: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.new(salt or bytes(32), b"HPKE-v1" + identity + label + ikm, hashlib.sha256).digest()

    def expand(identity: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
        message = length.to_bytes(2) + b"HPKE-v1" + identity + label + info + b"\x01"
        return hmac.new(key, message, hashlib.sha256).digest()[:length]

    wrap = keys.wrapped(b"k" * 32, ZONE.public_key(), b"info")
    shared = ZONE.exchange(X25519PublicKey.from_public_bytes(wrap[:32]))
    context = wrap[:32] + ZONE.public_key().public_bytes_raw()
    secret = expand(kem, extract(kem, b"", b"eae_prk", shared), b"shared_secret", context, 32)
    hashes = extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", b"info")
    schedule = extract(suite, secret, b"secret", b"")
    key = expand(suite, schedule, b"key", b"\0" + hashes, 32)
    nonce = expand(suite, schedule, b"base_nonce", b"\0" + hashes, 12)
    assert AESGCM(key).decrypt(nonce, wrap[32:], b"") == b"k" * 32


def test_key_files_are_for_their_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    made = make_keys(tmp_path / "keys")
    assert [path.name for path in made] == ["zone.key", "zone.pub", "sealed.key", "sealed.pub"]
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}
    assert keys.key_id(read_private(made[0]).public_key()) == keys.key_id(read_public(made[1]))
    with pytest.raises(FileExistsError):
        make_keys(tmp_path / "keys")
    with pytest.raises(KeyUnfit, match=r"zone\.key holds no public key"):
        read_public(made[0])
    with pytest.raises(KeyUnfit, match=r"zone\.pub holds no private key"):
        read_private(made[1])


@given(st.data())
@settings(max_examples=120)
def test_what_a_power_cut_left_unwritten_is_torn_and_not_changed(data: st.DataObject) -> None:
    """The file's length got there, and of its last blocks only a beginning; the rest reads as zeros."""
    whole = b"".join(WHOLE)
    at = data.draw(st.integers(len(WHOLE[0]), len(whole) - 1))
    torn = whole[:at].rstrip(b"\0")
    complete = sum(at >= len(b"".join(WHOLE[:n])) for n in range(2, 5))
    left = torn + bytes(data.draw(st.integers(len(whole) - len(torn), len(whole))))
    assert events(left) == [*["opened", "asked", "closed"][:complete], "cut"]
