"""SPDY/3.1 frames, read and written, as far as `kubectl port-forward` speaks them (draft-mbelshe-httpbis-spdy-00 §2).

Both directions of one connection have one header compression each, so that every header block must be read, whatever
its frame is for. Knows streams by their numbers alone, and no Kubernetes.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import NOTHING, Side

CONTROL_BYTES_MAX = 16_384
"""The longest control frame that is taken: what is asked for here fits in a hundred bytes."""

HEADERS_BYTES_MAX = 65_536
"""The most that a header block may be once it is inflated."""

HEADERS_MAX = 64
"""The most headers of one block: few bytes may stand for thousands, and each is looked at."""

HEAD_BYTES = 8
"""Of every frame: version and type or stream (4), flags (1), length (3)."""

STREAM_MAX = (1 << 31) - 1

PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 1, 3, 5
"""Why a stream is reset (§2.6.3)."""


class _Type(IntEnum):
    """Of a control frame (§2.6)."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    PING = 6
    HEADERS = 8


_FIXED = {_Type.SYN_STREAM: 10, _Type.SYN_REPLY: 4, _Type.RST_STREAM: 8, _Type.PING: 4, _Type.HEADERS: 4}
"""The types that are read, and how many bytes stand before their header block, or are all they have. GOAWAY, SETTINGS
and WINDOW_UPDATE are passed over: no stream waits for them. (A sender need not heed windows, and spdystream, which
kubectl is built with, neither grants nor heeds any: whoever waited for one would wait for ever.)"""

_VERSION = 0x8003
_FIN = 1


def _dictionary() -> bytes:
    """What both compressions begin with (§2.6.10.1): words as they stand in a header block, and a text."""
    names = (
        "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age "
        "allow authorization cache-control connection content-base content-encoding content-language content-length "
        "content-location content-md5 content-range content-type date etag expect expires from host if-match "
        "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
        "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
        "user-agent vary via warning www-authenticate method get status"
    )
    words = *names.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"
    text = (
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
        "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
        "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
        "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
    )
    return b"".join(len(word).to_bytes(4) + word.encode() for word in words) + text.encode()


DICTIONARY = _dictionary()


# Frames ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Syn:
    """SYN_STREAM: its sender opens `stream`. Names of headers are in lower case. `is_last`: it sends nothing on it."""

    stream: int
    headers: Mapping[str, str]
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    """SYN_REPLY: the other end takes part in `stream`."""

    stream: int
    headers: Mapping[str, str] = NOTHING
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """RST_STREAM: nothing more of `stream`, either way."""

    stream: int
    status: int = CANCEL


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of what `stream` carries: of one frame, as much as came at once. `is_last`: the end of the direction."""

    stream: int
    data: bytes = field(repr=False)
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Ping:
    """PING: is to be given back, if the other end has asked: a client's numbers are odd, a server's even."""

    number: int


type SpdyFrame = Syn | SynReply | Reset | Data | Ping


# Reading --------------------------------------------------------------------------------------------------------------


class SpdyReader:
    """Frames out of what `side` sends, however it is cut. Holds no more than one control frame."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._buffer = bytearray()
        self._inflater = zlib.decompressobj(zdict=DICTIONARY)
        self._stream = self._left = 0  # of a data frame that is amid
        self._is_last = False

    def append(self, data: bytes) -> None:
        """More bytes."""
        self._buffer += data

    def next(self) -> SpdyFrame | None:
        """The next frame that matters, or piece of one; None: more is needed. @raise ProtocolViolation."""
        while True:
            if self._left:
                return self._piece() if self._buffer else None
            if len(self._buffer) < HEAD_BYTES:
                return None
            word, flags, length = int.from_bytes(self._buffer[:4]), self._buffer[4], int.from_bytes(self._buffer[5:8])
            if not word >> 31:
                del self._buffer[:HEAD_BYTES]
                if not word:
                    raise self._broken("data on no stream")
                self._stream, self._left, self._is_last = word, length, bool(flags & _FIN)
                if not length and self._is_last:
                    return Data(word, b"", is_last=True)
                continue
            if word >> 16 != _VERSION or length > CONTROL_BYTES_MAX:
                raise self._broken(f"a control frame of version {word >> 16 & 0x7FFF} with {length} bytes")
            if len(self._buffer) < HEAD_BYTES + length:
                return None
            payload = bytes(self._buffer[HEAD_BYTES : HEAD_BYTES + length])
            del self._buffer[: HEAD_BYTES + length]
            if (frame := self._control(word & 0xFFFF, payload, is_last=bool(flags & _FIN))) is not None:
                return frame

    def _piece(self) -> Data:
        data = bytes(memoryview(self._buffer)[: self._left])
        del self._buffer[: len(data)]
        self._left -= len(data)
        return Data(self._stream, data, is_last=self._is_last and not self._left)

    def _control(self, kind: int, payload: bytes, *, is_last: bool) -> SpdyFrame | None:
        """None: it is one that is passed over."""
        if kind not in _Type:
            return None
        if len(payload) < _FIXED[_Type(kind)]:
            raise self._broken(f"a control frame of type {kind} with {len(payload)} bytes")
        stream = int.from_bytes(payload[:4]) & STREAM_MAX
        match kind:
            case _Type.SYN_STREAM:
                return Syn(stream, self._headers(payload[10:]), is_last)
            case _Type.SYN_REPLY:
                return SynReply(stream, self._headers(payload[4:]), is_last)
            case _Type.RST_STREAM:
                return Reset(stream, int.from_bytes(payload[4:8]))
            case _Type.PING:
                return Ping(int.from_bytes(payload[:4]))
            case _:
                self._headers(payload[4:])
                return Data(stream, b"", is_last=True) if is_last else None

    def _headers(self, block: bytes) -> dict[str, str]:
        """Pairs behind their number, each text behind its length (§2.6.10)."""
        try:
            plain = self._inflater.decompress(block, HEADERS_BYTES_MAX)
        except zlib.error as why:
            raise self._broken(f"headers that can't be inflated: {why}") from why
        if self._inflater.unconsumed_tail or self._inflater.eof:
            raise self._broken("headers that inflate without end, or no further")
        texts, headers = _Texts(plain), dict[str, str]()
        if (count := texts.number()) > HEADERS_MAX:
            raise self._broken(f"{count} headers at once")
        for _ in range(count):
            name, value = texts.text(), texts.text()
            if texts.is_short or name in headers:
                raise self._broken("headers that end early, or one that stands twice")
            headers[name] = value
        if not texts.is_over:
            raise self._broken("headers that end late")
        return headers

    def _broken(self, what: str) -> ProtocolViolation:
        who = "Your client" if self._side is Side.CLIENT else "The cluster"
        return ProtocolViolation(
            self._side.value, f"{who} broke the protocol of port-forwarding (SPDY/3.1).", detail=f"SPDY: {what}"
        )


class _Texts:
    """Numbers and texts from front to back; past the end they are 0 and empty, and it `is_short`."""

    def __init__(self, plain: bytes) -> None:
        self._plain, self._at = plain, 0

    @property
    def is_short(self) -> bool:
        """More was asked for than there was."""
        return self._at > len(self._plain)

    @property
    def is_over(self) -> bool:
        """All of it was read, and no more."""
        return self._at == len(self._plain)

    def number(self) -> int:
        """Four bytes."""
        return int.from_bytes(self._next(4))

    def text(self) -> str:
        """A number, and as many bytes."""
        return self._next(self.number()).decode("latin-1")

    def _next(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        return b"" if self.is_short else self._plain[start : self._at]


# Writing --------------------------------------------------------------------------------------------------------------


class SpdyWriter:
    """Frames of one end, in their order."""

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(zdict=DICTIONARY)

    def bytes_of(self, frame: SpdyFrame) -> bytes:
        """As it is sent."""
        match frame:
            case Syn(stream, headers, is_last):
                return _control(_Type.SYN_STREAM, struct.pack("!IIH", stream, 0, 0) + self._block(headers), is_last)
            case SynReply(stream, headers, is_last):
                return _control(_Type.SYN_REPLY, stream.to_bytes(4) + self._block(headers), is_last)
            case Reset(stream, status):
                return _control(_Type.RST_STREAM, struct.pack("!II", stream, status))
            case Ping(number):
                return _control(_Type.PING, number.to_bytes(4))
            case Data(stream, data, is_last):
                return struct.pack("!II", stream, is_last << 24 | len(data)) + data

    def _block(self, headers: Mapping[str, str]) -> bytes:
        texts = [text.encode("latin-1") for pair in headers.items() for text in pair]
        plain = len(headers).to_bytes(4) + b"".join(len(text).to_bytes(4) + text for text in texts)
        return self._deflater.compress(plain) + self._deflater.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, payload: bytes, is_last: bool = False) -> bytes:
    return struct.pack("!HHI", _VERSION, kind, is_last << 24 | len(payload)) + payload
