"""What the sides of all HTTP connections have in common: mitmproxy's layers in, parts out.

Bytes in and parts out, parts in and bytes out, whichever version. Knows no lane, no guard and no policy.
"""

from collections import deque
from typing import Any

from h2.exceptions import ProtocolError
from mitmproxy import http
from mitmproxy.net.http import status_codes
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import _events
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp

from hoopproxy.wire.http import heads
from hoopproxy.wire.http.heads import Unsound
from hoopproxy.wire.http.messages import Headers, RequestHead, ResponseHead
from hoopproxy.wire.http.parsers import UNPROCESSED, Http1Client, Http1Server, Http2Client, Http2Server
from hoopproxy.wire.http.parts import Broken, Data, End, Trailers

SHORT = "it ends before it is as long as it was told to be"

_FRAMING = frozenset((b"connection", b"content-length", b"transfer-encoding"))
_NOT_IN_HTTP2 = frozenset(("connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "host"))


class Half[Layer: Http1Server | Http1Client | Http2Server | Http2Client]:
    """What all four have in common. `parts` are to be taken from the left; `is_over`: this connection carries nothing
    more, and is to be closed behind what is `taken`."""

    def __init__(self, layer: Layer) -> None:
        self.parts: deque[Any] = deque()
        self.is_over = False
        self._layer = layer
        self._out: list[bytes] = []
        self._pieces: list[bytes] = []  # of one body, next to each other
        self._pieces_of = 0
        self._run(events.Start())

    def receive(self, data: bytes) -> None:
        """What came; b"" is the end of stream."""
        if not self.is_over:
            conn = self._layer.conn
            self._run(events.DataReceived(conn, data) if data else events.ConnectionClosed(conn))

    def taken(self) -> bytes:
        """What is to be sent, once."""
        out, self._out = b"".join(self._out), []
        return out

    def _run(self, event: events.Event) -> None:
        try:
            for command in self._layer.handle_event(event):
                if isinstance(command, ReceiveHttp):
                    self._came(command.event)
                elif isinstance(command, commands.SendData):
                    self._out.append(command.data)
                elif isinstance(command, commands.CloseConnection):
                    self.is_over = True
        except (Unsound, ProtocolError) as why:
            self.is_over = True
            self._failed(str(why))
        self._join()

    def _came(self, event: HttpEvent) -> None:
        match event:
            case _events.RequestData() | _events.ResponseData():
                if self._pieces_of != event.stream_id:
                    self._join()
                self._pieces_of = event.stream_id
                self._pieces.append(event.data)
                return
            case _events.RequestHeaders() | _events.ResponseHeaders():
                part = self._began(event)
            case _events.RequestEndOfMessage() | _events.ResponseEndOfMessage():
                part = self._ended(event.stream_id)
            case _events.RequestTrailers():
                part = None  # read and discarded: see `parts.FromClient`
            case _events.ResponseTrailers():
                part = Trailers(event.stream_id, heads.trailers(decoded(event.trailers).fields))
            case _events.RequestProtocolError() | _events.ResponseProtocolError():
                part = Broken(event.stream_id, event.message, event.message == UNPROCESSED)
            case _:
                raise AssertionError(f"mitmproxy has a new event: {event}")
        self._join()
        if part is not None:
            self.parts.append(part)

    def _join(self) -> None:
        if raw := b"".join(self._pieces):
            self.parts.append(Data(self._pieces_of, raw))
        self._pieces.clear()

    def _began(self, event: Any) -> Any:
        raise NotImplementedError

    def _ended(self, stream: int) -> Any:
        return End(stream)

    def _failed(self, why: str) -> None:
        raise NotImplementedError


class Lengths:
    """What is still to come of the bodies whose length was told, by stream (RFC 9113 §8.1.1). h2 looks at lengths where
    there are DATA frames alone; but a head, or trailers, can end a message, too."""

    def __init__(self) -> None:
        self._left: dict[int, int] = {}

    def begins(self, stream: int, headers: Headers) -> None:
        """A message with these fields."""
        if (told := headers.get("content-length")) is not None:
            self._left[stream] = int(told)

    def came(self, stream: int, bytes_count: int) -> None:
        """So much of its body."""
        if stream in self._left:
            self._left[stream] -= bytes_count

    def forget(self, stream: int) -> bool:
        """Nothing more of it. Whether it was as long as it was told to be, or that was not told."""
        return not self._left.pop(stream, 0)


def decoded(headers: http.Headers) -> Headers:
    """mitmproxy's fields as ours."""
    return Headers(tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.fields))


def encoded(headers: Headers) -> http.Headers:
    """Our fields as mitmproxy's."""
    return http.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.fields])


def unburden(message: http.Message) -> None:
    """Leave mitmproxy with the fields that it looks up, some twenty times in each exchange."""
    data = message.data
    data.headers = http.Headers([each for each in data.headers.fields if each[0].lower() in _FRAMING])


def request(request: http.Request, scheme: str, is_bodyless: bool) -> RequestHead:
    """@raise Unsound"""
    data = request.data
    head = RequestHead(
        method=data.method.decode("latin-1"),
        scheme=data.scheme.decode("latin-1") or scheme,
        authority=data.authority.decode("latin-1"),
        target=data.path.decode("latin-1"),
        version=data.http_version.decode("latin-1"),
        headers=decoded(request.headers),
        is_bodyless=is_bodyless,
    )
    head = heads.request(head)  # first: what it says of a field does not quote it
    _validated(request, head.headers)
    return head


def response(response: http.Response, is_bodyless: bool) -> ResponseHead:
    """@raise Unsound"""
    data = response.data
    reason, version = data.reason.decode("latin-1"), data.http_version.decode("latin-1")
    head = heads.response(ResponseHead(data.status_code, reason, version, decoded(response.headers), is_bodyless))
    _validated(response, head.headers)
    return head


def _validated(message: http.Message, headers: Headers) -> None:
    try:
        validate_headers(message)
    except ValueError as why:
        raise Unsound(str(why)) from why
    if (headers.get("transfer-encoding") or "chunked").lower() != "chunked":
        raise Unsound("its transfer coding is another one than chunked")


def as_request(head: RequestHead, version: bytes, headers: Headers) -> http.Request:
    """Our request as mitmproxy's, with these fields."""
    return http.Request(
        host="",
        port=0,
        method=head.method.encode("latin-1"),
        scheme=head.scheme.encode("latin-1"),
        authority=head.authority.encode("latin-1") if version == b"HTTP/2.0" else b"",
        path=head.target.encode("latin-1"),
        http_version=version,
        headers=encoded(headers),
        content=None,
        trailers=None,
        timestamp_start=0.0,
        timestamp_end=None,
    )


def as_response(head: ResponseHead, version: bytes) -> http.Response:
    """Our response as mitmproxy's."""
    reason = head.reason or status_codes.RESPONSES.get(head.status, "")
    return http.Response(version, head.status, reason.encode("latin-1"), encoded(head.headers), None, None, 0.0, None)


def lowered(headers: Headers) -> Headers:
    """As HTTP/2 has them (RFC 9113 §8.2)."""
    fields = ((name.lower(), value) for name, value in headers.fields)
    return Headers(tuple((name, value) for name, value in fields if name not in _NOT_IN_HTTP2))
