"""The clients' side of HTTP connections, over HTTP/1.1 and HTTP/2.

What is a matter of versions ends here: framing, crumbs of cookies, reason phrases. Knows no lane, no guard, no policy.
"""

import re
from collections import Counter, deque
from dataclasses import replace

from h2.errors import ErrorCodes
from mitmproxy.net.http import http1
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http import _events
from mitmproxy.proxy.layers.http._base import HttpEvent

from hoopproxy.settings import Limits
from hoopproxy.wire.http import parsers
from hoopproxy.wire.http.half import SHORT, Half, Lengths, as_response, encoded, lowered, request, unburden
from hoopproxy.wire.http.heads import Unsound
from hoopproxy.wire.http.messages import Answer, Headers, RequestHead, ResponseHead
from hoopproxy.wire.http.parts import Broken, Data, End, FromClient, FromServer, Head, Malformed, Trailers

UNFINISHED_RESETS_MAX = 1000
"""So many more requests than it let be answered may a client take back (CVE-2023-44487)."""

PIPELINED_BYTES_MAX = 1 << 16
"""What may lie here of requests behind one that is not answered yet."""

_REQUEST_LINE = re.compile(rb"[!-~]+ [!-~]+ HTTP/1\.[01]")
_LAST_CHUNK = b"0\r\n\r\n"


class Http1ClientHalf(Half[parsers.Http1Server]):
    """An HTTP/1.1 client. `scheme` is that of requests which name none."""

    version = "HTTP/1.1"
    parts: deque[FromClient]

    def __init__(self, limits: Limits, scheme: str = "") -> None:
        self._scheme = scheme
        self._is_half_closed = self._is_cut = False
        self._trailers = Headers()
        super().__init__(parsers.Http1Server(limits.head_bytes_max))

    @property
    def is_heading(self) -> bool:
        """Whether a request's head has begun and not ended."""
        return not self.is_over and self._layer.state == self._layer.read_headers and bool(self._layer.buf)

    @property
    def is_full(self) -> bool:
        """Whether it sent more requests ahead than are kept."""
        return self._layer.state == self._layer.wait and len(self._layer.buf) > PIPELINED_BYTES_MAX

    def receive(self, data: bytes) -> None:
        self._is_cut = not data
        if not data and self._layer.state == self._layer.wait:
            self._is_half_closed = True  # it asks for no more, and waits for the answer
        else:
            super().receive(data)

    def go_ahead(self, stream: int) -> None:
        """The body may come (RFC 9110 §10.1.1)."""
        self._out.append(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send(self, part: FromServer) -> None:
        """A part of the response to the request that came last; its head as from `framed`."""
        stream = self._layer.stream_id
        match part:
            case Head(_, head):
                response = as_response(head, b"HTTP/1.1")
                self._run(_events.ResponseHeaders(stream, response))
                unburden(response)
            case Data(_, raw):
                self._run(_events.ResponseData(stream, raw))
            case Trailers(_, trailers):
                self._trailers = trailers
            case End():
                self._end(stream)
            case Broken():
                self.is_over = True  # without a last chunk, or short of its length: everybody sees that it is cut

    def framed(self, stream: int, head: ResponseHead) -> ResponseHead:
        """As its client sees it: to be sent like this."""
        request = self._request
        if head.status == 101:
            return replace(head, version=self.version)
        headers = head.headers.without("transfer-encoding")
        is_current = request.version == "HTTP/1.1"
        closes = not (is_current and self._layer.request_done) or "close" in request.headers.tokens("connection")
        if head.status == 204:
            headers = headers.without("content-length")
        elif headers.get("content-length") is None:
            if head.is_bodyless:
                if request.method != "HEAD" and head.status != 304:
                    headers = headers.plus("content-length", "0")
            elif is_current:
                headers = headers.plus("transfer-encoding", "chunked")
            else:
                closes = True
        if closes:
            headers = headers.instead("connection", "close")
        return ResponseHead(head.status, head.reason, "HTTP/1.1", headers, head.is_bodyless)

    def _end(self, stream: int) -> None:
        place, trailers, self._trailers = len(self._out), self._trailers, Headers()
        was_read = self._layer.request_done
        self._run(_events.ResponseEndOfMessage(stream))
        if trailers.fields and self._out[place : place + 1] == [_LAST_CHUNK]:
            self._out[place] = b"0\r\n%s\r\n" % bytes(encoded(trailers))
        self.is_over = self.is_over or not was_read
        if self._is_half_closed and self._layer.state != self._layer.wait:
            super().receive(b"")

    def refuse(self, stream: int, answer: Answer) -> None:
        """A whole response, whatever was read of the request, and the end of the connection."""
        headers = answer.headers.instead("connection", "close")
        head: bytes = http1.assemble_response_head(  # type: ignore[no-untyped-call] # mitmproxy's has no types
            as_response(ResponseHead(answer.status, "", "", headers), b"HTTP/1.1")
        )
        self._out.append(head + answer.body)
        self.is_over = True

    def leave(self) -> None:
        """The end of the connection."""
        self.is_over = True

    def buffered(self, stream: int) -> int:
        """Bytes that wait until the client takes more: there are no windows, and what was sent is sent."""
        return 0

    @property
    def buffered_bytes(self) -> int:
        """The same of all streams."""
        return 0

    def all_taken_but(self, stream: int, bytes_count: int) -> None:
        """What it sent is taken by not reading on."""

    def forget(self, stream: int) -> None:
        """Its exchange is over, both ways."""

    def _began(self, event: _events.RequestHeaders) -> Head[RequestHead]:
        if not _REQUEST_LINE.fullmatch(self._layer.buf.first_line):
            raise Unsound("its first line is no request line of HTTP/1.1")
        self._request = request(event.request, self._scheme, event.end_stream)
        unburden(event.request)
        return Head(event.stream_id, self._request)

    def _came(self, event: HttpEvent) -> None:
        if isinstance(event, _events.RequestProtocolError) and not self._is_cut:
            raise Unsound(event.message)
        super()._came(event)

    def _failed(self, why: str) -> None:
        self.parts.append(Malformed(self._layer.stream_id, why))


class Http2ClientHalf(Half[parsers.Http2Server]):
    """An HTTP/2 client. With `is_greeted` the preface was sent already."""

    version = "HTTP/2.0"
    is_full = False
    parts: deque[FromClient]

    def __init__(self, limits: Limits, is_greeted: bool = False) -> None:
        self._untaken: Counter[int] = Counter()
        self._lengths = Lengths()
        self._unfinished_resets = 0
        super().__init__(parsers.Http2Server(limits.head_bytes_max))
        if is_greeted:
            self.taken()

    @property
    def is_heading(self) -> bool:
        """Whether a request's head has begun and not ended."""
        return not self.is_over and self._layer.h2_conn.is_amid_head

    def taken(self) -> bytes:
        self._let_go()
        return super().taken()

    def go_ahead(self, stream: int) -> None:
        """The body may come (RFC 9110 §10.1.1)."""
        if self._layer.is_open_for_us(stream):
            self._layer.h2_conn.send_headers(stream, [(b":status", b"100")])
            self._flush()

    def send(self, part: FromServer) -> None:
        """A part of the response on its stream, its head as from `framed`; nothing happens when that was given up."""
        stream = part.stream
        match part:
            case Head(_, head):
                response = as_response(head, b"HTTP/2.0")
                self._run(_events.ResponseHeaders(stream, response, head.is_bodyless))
            case Data(_, raw):
                self._run(_events.ResponseData(stream, raw))
            case Trailers(_, headers):
                self._run(_events.ResponseTrailers(stream, encoded(lowered(headers))))
            case End():
                self._unfinished_resets = max(0, self._unfinished_resets - 1)
                self._run(_events.ResponseEndOfMessage(stream))
                if not self._layer.is_closed(stream):
                    self._layer.unread[stream] = 0
            case Broken():
                self._reset(stream, ErrorCodes.INTERNAL_ERROR)

    def framed(self, stream: int, head: ResponseHead) -> ResponseHead:
        """As its client sees it: to be sent like this."""
        return ResponseHead(head.status, "", "HTTP/2.0", lowered(head.headers), head.is_bodyless)

    def refuse(self, stream: int, answer: Answer) -> None:
        """A whole response, whatever was read of the request."""
        if stream:
            head = ResponseHead(answer.status, "", "", answer.headers, not answer.body)
            self.send(Head(stream, self.framed(stream, head)))
            if answer.body:
                self.send(Data(stream, answer.body))
            self.send(End(stream))

    def leave(self, error: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """The end of the connection (RFC 9113 §6.8)."""
        if not self.is_over:
            self._layer.h2_conn.close_connection(error)
            self._flush()
            self.is_over = True

    def buffered(self, stream: int) -> int:
        """Bytes that wait until the client takes more."""
        return self._layer.h2_conn.buffered(stream)

    @property
    def buffered_bytes(self) -> int:
        """The same of all streams."""
        return sum(map(self.buffered, self._layer.h2_conn.stream_buffers))

    def all_taken_but(self, stream: int, bytes_count: int) -> None:
        """Of what it sent on that stream, all but so many bytes found somebody who takes them."""
        taken = self._untaken[stream] - bytes_count
        if taken > 0 and not self.is_over:
            self._untaken[stream] -= taken
            self._layer.h2_conn.took(taken, stream)
            self._flush()

    def forget(self, stream: int) -> None:
        """Its exchange is over, both ways."""
        self.all_taken_but(stream, 0)
        self._untaken.pop(stream, None)
        self._lengths.forget(stream)
        self._layer.streams.pop(stream, None)

    def _let_go(self) -> None:
        """Reset what was answered before it was whole, if its client goes on all the same (RFC 9113 §8.1).

        More than a window can't be on its way: that client could have read its answer. Where a reset comes along with
        the answer, some lose both (curl 7.88).
        """
        unread = self._layer.unread
        for stream in [each for each, count in unread.items() if count > parsers.STREAM_WINDOW_BYTES]:
            if not self.buffered(stream):
                del unread[stream]
                self._reset(stream, ErrorCodes.NO_ERROR)

    def _reset(self, stream: int, error: ErrorCodes) -> None:
        if not self._layer.is_closed(stream):
            self._layer.h2_conn.reset_stream(stream, error)
            self._flush()

    def _flush(self) -> None:
        self._out.append(self._layer.h2_conn.data_to_send())

    def _run(self, event: events.Event) -> None:
        super()._run(event)
        if self._layer.fault:
            self._failed(self._layer.fault)
            self._layer.fault = ""
        elif self._unfinished_resets > UNFINISHED_RESETS_MAX and not self.is_over:
            self.leave(ErrorCodes.ENHANCE_YOUR_CALM)
            self._failed("it took back more requests than it let be answered")

    def _came(self, event: HttpEvent) -> None:
        if isinstance(event, _events.RequestData):
            self._untaken[event.stream_id] += len(event.data)
            self._lengths.came(event.stream_id, len(event.data))
        elif isinstance(event, _events.RequestProtocolError):
            self._unfinished_resets += 1
        super()._came(event)

    def _began(self, event: _events.RequestHeaders) -> Head[RequestHead] | Malformed:
        try:
            head = request(event.request, "", event.end_stream)
        except Unsound as why:
            self._layer.streams.pop(event.stream_id, None)
            return Malformed(event.stream_id, str(why))
        self._lengths.begins(event.stream_id, head.headers)
        if event.end_stream and not self._lengths.forget(event.stream_id):
            return Malformed(event.stream_id, SHORT)
        return Head(event.stream_id, replace(head, headers=_with_one_cookie(head.headers)))

    def _ended(self, stream: int) -> End | Malformed:
        return End(stream) if self._lengths.forget(stream) else Malformed(stream, SHORT)

    def _failed(self, why: str) -> None:
        self.parts.append(Malformed(0, why))


type ClientHalf = Http1ClientHalf | Http2ClientHalf


def _with_one_cookie(headers: Headers) -> Headers:
    """RFC 9113 §8.2.3."""
    crumbs = tuple(headers.all("cookie"))
    return headers.instead("cookie", "; ".join(crumbs)) if len(crumbs) > 1 else headers
