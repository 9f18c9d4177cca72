"""Content codings undone as they come (RFC 9110 §8.4.1), with a limit on what they may grow to.

Nothing is coded again: what was masked goes on as it is. Knows no body and no header field.
"""

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard

from hoopproxy.wire.http.unreadable import Unreadable

ZSTD_WINDOW_BYTES_MAX = 8 << 20
"""RFC 9659 §3: no sender may use a larger one."""

_ZSTD_SLICE_BYTES = 256
"""Its library can't stop amid its output, and four bytes may give 128 KiB (RFC 8878 §3.1.1.2)."""


class _Inflating(Protocol):
    """One coding, undone."""

    @property
    def is_whole(self) -> bool:
        """Whether it ended where it may end."""

    def inflate(self, data: bytes, bytes_max: int) -> bytes:
        """What comes of these bytes, or more than `bytes_max` of it. @raise zlib.error and its like."""


class _Plain:
    is_whole = True

    def inflate(self, data: bytes, bytes_max: int) -> bytes:
        return data


class _Zlib:
    """gzip (RFC 1952), of several members; and deflate, with the zlib header that it should have or without one."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._member = None if window_bits == _DEFLATE else zlib.decompressobj(window_bits)

    @property
    def is_whole(self) -> bool:
        return self._member is not None and self._member.eof

    def inflate(self, data: bytes, bytes_max: int) -> bytes:
        if self._member is None:
            # RFC 1950 §2.2: the low half of the first byte is 8; in a raw block it is not, but for odd encoders' sake
            self._window_bits = zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS
            self._member = zlib.decompressobj(self._window_bits)
        given = bytearray()
        while data and len(given) <= bytes_max:
            if self._member.eof:
                if self._window_bits != _GZIP:
                    raise zlib.error("bytes behind the end")
                self._member = zlib.decompressobj(_GZIP)
            given += self._member.decompress(data, bytes_max + 1 - len(given))
            data = self._member.unconsumed_tail or self._member.unused_data
        return bytes(given)


_GZIP, _DEFLATE = zlib.MAX_WBITS | 16, 0


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def is_whole(self) -> bool:
        return bool(self._stream.is_finished())

    def inflate(self, data: bytes, bytes_max: int) -> bytes:
        given = bytes(self._stream.process(data, output_buffer_limit=bytes_max + 1))
        while len(given) <= bytes_max and not self._stream.can_accept_more_data():
            given += self._stream.process(b"", output_buffer_limit=bytes_max + 1 - len(given))
        return given


class _Zstandard:
    def __init__(self) -> None:
        self._stream = self._frame()

    @property
    def is_whole(self) -> bool:
        return bool(self._stream.eof)

    def inflate(self, data: bytes, bytes_max: int) -> bytes:
        given = bytearray()
        for at in range(0, len(data), _ZSTD_SLICE_BYTES):
            rest = data[at : at + _ZSTD_SLICE_BYTES]
            while rest and len(given) <= bytes_max:
                if self._stream.eof:
                    self._stream = self._frame()
                given += self._stream.decompress(rest)
                rest = self._stream.unused_data
        return bytes(given)

    @staticmethod
    def _frame() -> "zstandard.ZstdDecompressionObj":  # its C half has no such name
        return zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX).decompressobj()


_CODINGS: dict[str, Callable[[], _Inflating]] = {
    "identity": _Plain,
    "gzip": lambda: _Zlib(_GZIP),
    "x-gzip": lambda: _Zlib(_GZIP),
    "deflate": lambda: _Zlib(_DEFLATE),
    "br": _Brotli,
    "zstd": _Zstandard,
}


def is_known(codings: tuple[str, ...]) -> bool:
    """Whether a body with these codings, as `content-encoding` lists them, can be read: nobody needs two."""
    return len(codings) < 2 and set(codings) <= _CODINGS.keys()


class Decoder:
    """One body's coding, undone. `bytes_max` bounds what one step may give, so that no few bytes fill the memory."""

    def __init__(self, codings: tuple[str, ...], bytes_max: int) -> None:
        self._name = codings[0] if codings else "identity"
        self._inflating, self._bytes_max = _CODINGS[self._name](), bytes_max
        self._has_begun = False

    def feed(self, data: bytes) -> bytes:
        """What comes of these bytes. @raise Unreadable: they are no such coding, or grow beyond the limit."""
        self._has_begun = True
        try:
            given = self._inflating.inflate(data, self._bytes_max)
        except (zlib.error, brotli.error, zstandard.ZstdError) as why:
            raise Unreadable(f"it is no {self._name}, as which it was announced") from why
        if len(given) > self._bytes_max:
            raise Unreadable(f"it grows to more than {self._bytes_max} bytes at once")
        return given

    def end(self) -> None:
        """That was all. @raise Unreadable: it was not."""
        if self._has_begun and not self._inflating.is_whole:
            raise Unreadable(f"it breaks off within its {self._name}")
