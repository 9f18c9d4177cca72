"""The targets' side of HTTP connections, over HTTP/1.1 and HTTP/2.

What is a matter of versions ends here: framing, `Host`, interim responses. Knows no lane, no guard and no policy.
"""

import re
from collections import Counter, deque

from h2.errors import ErrorCodes
from mitmproxy.proxy.layers.http import _events
from mitmproxy.proxy.layers.http._base import HttpEvent

from hoopproxy.settings import Limits
from hoopproxy.wire.http import parsers
from hoopproxy.wire.http.half import SHORT, Half, Lengths, as_request, lowered, response, unburden
from hoopproxy.wire.http.heads import Unsound
from hoopproxy.wire.http.messages import Headers, RequestHead, ResponseHead
from hoopproxy.wire.http.parts import Broken, Data, End, FromServer, Head, Trailers

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?")
_WITH_CONTENT = frozenset(("POST", "PUT", "PATCH"))


class Http1ServerHalf(Half[parsers.Http1Client]):
    """A target over HTTP/1.1: one exchange at a time."""

    parts: deque[FromServer]

    def __init__(self, limits: Limits) -> None:
        self._stream = 0
        self._closes = False
        super().__init__(parsers.Http1Client(limits.head_bytes_max))

    @property
    def has_room(self) -> bool:
        """Whether it takes a request now."""
        return not self._stream and not self.is_over

    @property
    def is_leaving(self) -> bool:
        """Whether it takes no more requests when those that it has are done."""
        return self.is_over

    def receive(self, data: bytes) -> None:
        super().receive(data)
        self.is_over = self.is_over or not data

    def send(self, part: Head[RequestHead] | Data | End | Broken) -> None:
        """A part of a request."""
        match part:
            case Head(stream, head):
                self._stream = stream
                request = as_request(head, b"HTTP/1.1", _framed(head))
                self._run(_events.RequestHeaders(stream, request, head.is_bodyless))
                unburden(request)
            case Data(stream, raw):
                self._run(_events.RequestData(stream, raw))
            case End(stream):
                self._run(_events.RequestEndOfMessage(stream))
            case Broken():
                self.is_over = True

    def buffered(self, stream: int) -> int:
        """Bytes that wait until the target takes more: there are no windows, and what was sent is sent."""
        return 0

    def all_taken_but(self, stream: int, bytes_count: int) -> None:
        """What it sent is taken by not reading on: see `lanes.Kind.PAUSE`."""

    def forget(self, stream: int) -> None:
        """Its exchange is over. Unless both halves of it were whole, so is the connection."""
        if self._layer.stream_id is not None or self._closes:
            self.is_over = True
        self._stream = 0

    def _began(self, event: _events.ResponseHeaders) -> Head[ResponseHead]:
        if not _STATUS_LINE.fullmatch(self._layer.buf.first_line):
            raise Unsound("its first line is no status line of HTTP/1.1")
        head = response(event.response, event.end_stream)
        unburden(event.response)
        self._closes = "close" in head.headers.tokens("connection")
        return Head(event.stream_id, head)

    def _came(self, event: HttpEvent) -> None:
        if isinstance(event, _events.ResponseEndOfMessage) and (trailers := self._layer.trailers).fields:
            super()._join()
            self.parts.append(Trailers(event.stream_id, trailers))
        super()._came(event)

    def _ended(self, stream: int) -> End | None:
        response = self._layer.response
        is_upgrading = response is not None and response.status_code == 101
        return None if is_upgrading and self._layer.state != self._layer.passthrough else End(stream)

    def _failed(self, why: str) -> None:
        self.parts.append(Broken(self._stream, why))


class Http2ServerHalf(Half[parsers.Http2Client]):
    """A target over HTTP/2."""

    parts: deque[FromServer]

    def __init__(self, limits: Limits) -> None:
        self._untaken: Counter[int] = Counter()
        self._lengths = Lengths()
        self._heads: set[int] = set()  # that were asked for alone
        super().__init__(parsers.Http2Client(limits.head_bytes_max))

    @property
    def has_room(self) -> bool:
        """Whether it takes one more request now."""
        return not self.is_over and self._layer.has_room

    @property
    def is_leaving(self) -> bool:
        """Whether it takes no more requests when those that it has are done."""
        return self.is_over or self._layer.is_leaving

    def send(self, part: Head[RequestHead] | Data | End | Broken) -> None:
        """A part of a request."""
        stream = part.stream
        match part:
            case Head(_, head):
                self._heads |= {stream} if head.method == "HEAD" else set()
                request = as_request(head, b"HTTP/2.0", lowered(head.headers))
                self._run(_events.RequestHeaders(stream, request, head.is_bodyless))
            case Data(_, raw):
                self._run(_events.RequestData(stream, raw))
            case End():
                self._run(_events.RequestEndOfMessage(stream))
            case Broken():
                self._reset(stream)

    def buffered(self, stream: int) -> int:
        """Bytes that wait until the target takes more."""
        ours = self._layer.our_stream_id.get(stream)
        return 0 if ours is None else self._layer.h2_conn.buffered(ours)

    def all_taken_but(self, stream: int, bytes_count: int) -> None:
        """Of what it sent on that stream, all but so many bytes found somebody who takes them."""
        taken = self._untaken[stream] - bytes_count
        if taken > 0 and not self.is_over:
            self._untaken[stream] -= taken
            self._layer.h2_conn.took(taken, self._layer.our_stream_id[stream])
            self._flush()

    def forget(self, stream: int) -> None:
        """Its exchange is over; what is left of it is taken back."""
        self.all_taken_but(stream, 0)
        self._reset(stream)
        self._untaken.pop(stream, None)
        self._lengths.forget(stream)
        self._heads.discard(stream)
        if (ours := self._layer.our_stream_id.pop(stream, None)) is not None:
            self._layer.their_stream_id.pop(ours, None)
            self._layer.streams.pop(ours, None)

    def _reset(self, stream: int) -> None:
        ours = self._layer.our_stream_id.get(stream)
        if ours is not None and not self.is_over and not self._layer.is_closed(ours):
            self._layer.h2_conn.reset_stream(ours, ErrorCodes.CANCEL)
            self._flush()

    def _flush(self) -> None:
        self._out.append(self._layer.h2_conn.data_to_send())

    def _came(self, event: HttpEvent) -> None:
        if isinstance(event, _events.ResponseData):
            self._untaken[event.stream_id] += len(event.data)
            self._lengths.came(event.stream_id, len(event.data))
        super()._came(event)

    def _began(self, event: _events.ResponseHeaders) -> Head[ResponseHead] | Broken:
        try:
            head = response(event.response, event.end_stream)
        except Unsound as why:
            return Broken(event.stream_id, str(why))
        if event.stream_id not in self._heads and head.status not in (204, 304):
            self._lengths.begins(event.stream_id, head.headers)
        if event.end_stream and not self._lengths.forget(event.stream_id):
            return Broken(event.stream_id, SHORT)
        return Head(event.stream_id, head)

    def _ended(self, stream: int) -> End | Broken:
        return End(stream) if self._lengths.forget(stream) else Broken(stream, SHORT)

    def _failed(self, why: str) -> None:
        self.parts.extend(Broken(stream, why) for stream in self._layer.our_stream_id)


type ServerHalf = Http1ServerHalf | Http2ServerHalf


def _framed(head: RequestHead) -> Headers:
    """A request's fields in HTTP/1.1: whose host, and how long its body is."""
    headers = head.headers.without("transfer-encoding")
    if headers.get("content-length") is None:
        if not head.is_bodyless:
            headers = headers.plus("Transfer-Encoding", "chunked")
        elif head.method in _WITH_CONTENT:
            headers = headers.plus("Content-Length", "0")
    return Headers((("Host", head.authority), *headers.fields))
