"""Content codings, undone in whatever pieces they come, and bombs, which are not."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.wire.http.codings import Decoder, is_known
from hoopproxy.wire.http.unreadable import Unreadable

from .plainly import cuts


def raw_deflate(data: bytes) -> bytes:
    squeezing = zlib.compressobj(wbits=-15)
    return squeezing.compress(data) + squeezing.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "plain": ("identity", bytes),
    "gzip": ("gzip", gzip.compress),
    "two members": ("x-gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
    "zlib": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
    "two frames": ("zstd", lambda data: zstandard.compress(data[:5]) + zstandard.compress(data[5:])),
}
each = pytest.mark.parametrize("name", CODINGS)


def decoded(coding: str, pieces: list[bytes], bytes_max: int = 1 << 20) -> bytes:
    decoder = Decoder((coding,), bytes_max)
    data = b"".join(map(decoder.feed, pieces))
    decoder.end()
    return data


@each
@given(some.binary(max_size=300), some.integers(1, 50))
def test_any_cutting_gives_the_same_bytes(name: str, data: bytes, size: int) -> None:
    coding, encode = CODINGS[name]
    assert decoded(coding, cuts(encode(data), size)) == data


@each
def test_what_grows_too_much_at_once_is_refused(name: str) -> None:
    coding, encode = CODINGS[name]
    data = bytes(1 << 22)
    with pytest.raises(Unreadable, match="grows to more than 1000000 bytes"):
        decoded(coding, [encode(data)], 1_000_000)
    assert decoded(coding, cuts(encode(data), 1 << 20), 1 << 23) == data


@each
@pytest.mark.parametrize("length", [1, 20])
def test_what_breaks_off_is_refused(name: str, length: int) -> None:
    coding, encode = CODINGS[name]
    data = encode(bytes(range(256)))
    if coding != "identity":
        with pytest.raises(Unreadable, match=f"it breaks off within its {coding}"):
            decoded(coding, cuts(data[:-length], 7))


@each
def test_so_is_what_is_no_such_coding_and_what_follows_it(name: str) -> None:
    coding, encode = CODINGS[name]
    if coding != "identity":
        for data in (b"\x00\x01 no such thing", encode(b"x") + b"\x00\x01 tail"):
            with pytest.raises(Unreadable):
                decoded(coding, [data])


def test_nothing_is_a_body_in_any_coding() -> None:
    for coding, _ in CODINGS.values():
        Decoder((coding,), 10).end()
    assert Decoder((), 10).feed(b"x") == b"x"


def test_known_codings_are_single_ones() -> None:
    assert is_known(()) and is_known(("br",)) and is_known(("identity",))
    assert not is_known(("gzip", "br")) and not is_known(("compress",)) and not is_known(("aws-chunked",))
