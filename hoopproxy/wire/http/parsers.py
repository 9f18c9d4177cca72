"""mitmproxy's layers for HTTP/1.1 and HTTP/2, and the h11 and h2 below them, where they are lenient or boundless: made
strict and bounded.

Pinned to one version; tests hold on to all that is relied on here. Knows only bytes and mitmproxy's own events:
`halves` makes parts of them.
"""

import re
from collections.abc import Callable
from typing import Any, cast

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, StreamEnded, StreamReset
from h2.exceptions import FrameTooLargeError
from h2.settings import SettingCodes
from h11._events import EndOfMessage
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hpack import Encoder
from hpack.table import HeaderTable
from mitmproxy import http
from mitmproxy.connection import Client
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import _http1, _http2
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, ResponseProtocolError
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection, SendH2Data

from hoopproxy.wire.http import heads
from hoopproxy.wire.http.heads import Unsound
from hoopproxy.wire.http.messages import Headers

STREAM_WINDOW_BYTES = 1 << 18
CONNECTION_WINDOW_BYTES = 1 << 22
"""What a peer may send on one stream, and on one connection, beyond what was taken: so much may lie here at most."""

FRAME_BYTES_MAX = 1 << 14
"""RFC 9113's least. With the 64 CONTINUATION frames that h2 takes, a head occupies 1 MiB before it is looked at."""

UNPROCESSED = "the target says that it has not looked at this request"

_SETTINGS = frozenset(SettingCodes)
"""The others are to be ignored (RFC 9113 §6.5.2), and h2 remembers them."""

_UNSOUND_LINE = re.compile(rb"^[ \t]|[^\t\x20-\x7e\x80-\xff]")
_CHUNK_HEAD = re.compile(rb"[0-9A-Fa-f]{1,16}(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")  # h11 forgives spaces
_QUOTED = re.compile(r"\{?\bb(['\"]).*", re.DOTALL)
"""Where h2 and mitmproxy quote a field, which may be a credential."""

_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9]{2}[ \r]")

# mitmproxy checks the types of all fields of each message at run time, for the sake of scripts that people write
# against it: a third of a request's time. Ours are checked by mypy.
http.MessageData.__post_init__ = lambda self: None  # type: ignore[method-assign]


class _Settings:
    """What mitmproxy's layers read of its options."""

    validate_inbound_headers = True
    normalize_outbound_headers = False
    proxy_debug = False
    http2_ping_keepalive = 0


def _context() -> Context:
    client = Client(peername=("", 0), sockname=("", 0), timestamp_start=0.0)
    return Context(client, cast(Options, _Settings()))


# HTTP/1.1 -------------------------------------------------------------------------------------------------------------


class Lines(ReceiveBuffer):
    """h11's buffer, with CRLF at the end of each line and nowhere else, and of no more bytes than a head may have."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__()
        self._bytes_max = bytes_max
        self.first_line = b""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        before, is_empty = len(self), self._data.startswith(b"\r\n")
        lines = super().maybe_extract_lines()
        taken = before - len(self)
        if (before if lines is None else taken) > self._bytes_max:
            raise Unsound(f"its head is longer than {self._bytes_max} bytes")
        if lines is not None and not is_empty:
            if taken != sum(len(line) + 2 for line in lines) + 2:
                raise Unsound("a line ends in a bare LF")
            if any(map(_UNSOUND_LINE.search, lines)):
                raise Unsound("a line has control characters, or goes on in the next")
            self.first_line = bytes(lines[0])
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        line = super().maybe_extract_next_line()
        if line is None and len(self) > self._bytes_max:
            raise Unsound(f"the head of a chunk is longer than {self._bytes_max} bytes")
        if line is not None and not _CHUNK_HEAD.fullmatch(line):
            raise Unsound("the head of a chunk is not what RFC 9112 §7.1 wants")
        return line

    def skip_empty_lines(self) -> None:
        """Those before a request, as RFC 9112 §2.2 would have it."""
        while self._data.startswith(b"\r\n"):
            del self._data[:2]

    def skip_interim(self) -> None:
        """All whole heads of interim responses but 101, none of which is passed on."""
        while _INTERIM.match(self._data) and self.maybe_extract_lines():
            pass


class _Chunks(ChunkedReader):
    """h11's reader of chunks, which keeps the trailers that mitmproxy can't do with."""

    def __init__(self) -> None:
        super().__init__()
        self.trailers = Headers()

    def __call__(self, buf: ReceiveBuffer) -> Any:
        event = super().__call__(buf)
        if isinstance(event, EndOfMessage) and event.headers:
            pairs = ((bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in event.headers)
            self.trailers = heads.trailers(pairs)
            return EndOfMessage()
        return event


class Http1Server(_http1.Http1Server):
    """For a client's side."""

    buf: Lines

    def __init__(self, head_bytes_max: int) -> None:
        super().__init__(_context())
        self.buf = Lines(head_bytes_max)

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        self.buf.skip_empty_lines()
        for command in super().read_headers(event):
            if isinstance(command, commands.SendData):  # an error page, which would name mitmproxy
                raise Unsound("its head can't be parsed")
            yield command

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        if type(self.body_reader) is ChunkedReader:
            self.body_reader = _Chunks()
        yield from super().read_body(event)


class Http1Client(_http1.Http1Client):
    """For a target's side."""

    buf: Lines

    def __init__(self, head_bytes_max: int) -> None:
        super().__init__(_context())
        self.buf = Lines(head_bytes_max)

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        if self.request is not None:
            self.buf.skip_interim()
        yield from super().read_headers(event)

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        if type(self.body_reader) is ChunkedReader:
            self.body_reader = _Chunks()
        yield from super().read_body(event)

    @property
    def trailers(self) -> Headers:
        """Those of the response that ended."""
        return self.body_reader.trailers if isinstance(self.body_reader, _Chunks) else Headers()


# HTTP/2 ---------------------------------------------------------------------------------------------------------------


class _Compression(Encoder):
    """hpack's, with a table that stays as small as it begins, whatever the peer allows: all of it is searched for each
    field. Of changes that were not told yet, the least and the last are (RFC 7541 §4.2)."""

    @property
    def header_table_size(self) -> int:
        return int(self.header_table.maxsize)

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        self.header_table.maxsize = min(value, HeaderTable.DEFAULT_SIZE)
        if self.header_table.resized:
            changes = [*self.table_size_changes, self.header_table.maxsize]
            self.table_size_changes = [min(changes), changes[-1]][-len(changes) :]


class Flow(BufferedH2Connection):
    """mitmproxy's connection, with windows that are opened by what was taken and by nothing else.

    mitmproxy's own are of 2 GiB, and opened by what was received. Nor does a GOAWAY of a peer that only wants no more
    streams (RFC 9113 §6.8) end the ones that are open; and what is too long, or means nothing, is not kept.
    """

    def __init__(self, is_client: bool, head_bytes_max: int, config: Any) -> None:
        super().__init__(config)
        self.local_settings.initial_window_size = STREAM_WINDOW_BYTES
        self.local_settings.max_frame_size = self.max_inbound_frame_size = FRAME_BYTES_MAX
        if is_client:
            self.local_settings.enable_push = 0
        self.local_settings.acknowledge()
        self.decoder.max_header_list_size = head_bytes_max
        self.encoder = _Compression()

    def receive_data(self, data: bytes) -> list[Event]:
        events: list[Event] = super().receive_data(data)
        begun = self.incoming_buffer._data  # h2 looks at a frame's length when it has all of it: up to 16 MiB
        if len(begun) > 2 and int.from_bytes(begun[:3]) > self.max_inbound_frame_size:
            raise FrameTooLargeError("a frame is longer than it may be")
        return events

    def _receive_settings_frame(self, frame: Any) -> tuple[list[Any], list[Event]]:
        frame.settings = {code: value for code, value in frame.settings.items() if code in _SETTINGS}
        return super()._receive_settings_frame(frame)

    def initiate_connection(self) -> None:
        H2Connection.initiate_connection(self)
        self.increment_flow_control_window(CONNECTION_WINDOW_BYTES - self.inbound_flow_control_window)

    def acknowledge_received_data(self, acknowledged_size: int, stream_id: int) -> None:
        """Not yet."""

    def took(self, bytes_count: int, stream_id: int) -> None:
        """So much of what came was taken, or was padding."""
        super().acknowledge_received_data(bytes_count, stream_id)

    def local_flow_control_window(self, stream_id: int) -> int:
        # A peer may shrink a window below 0, and would be sent data[:-n] then.
        return max(0, super().local_flow_control_window(stream_id))

    def send_data(  # type: ignore[override] # as mitmproxy's own
        self, stream_id: int, data: bytes, end_stream: bool = False, pad_length: None = None
    ) -> None:
        # Pieces that wait are joined: a thousand of one byte each would occupy a hundred times that.
        waiting = self.stream_buffers.get(stream_id)
        if waiting and len(waiting[-1].data) + len(data) <= self.max_outbound_frame_size:
            waiting[-1] = SendH2Data(waiting[-1].data + data, end_stream)
        else:
            super().send_data(stream_id, data, end_stream, pad_length)

    def buffered(self, stream_id: int) -> int:
        """Bytes that wait for that stream's window, or the connection's."""
        waiting = self.stream_buffers.get(stream_id)
        return sum(len(each.data) for each in waiting) if waiting else 0

    @property
    def is_amid_head(self) -> bool:
        """Whether a header block has begun and not ended (RFC 9113 §4.3), or not even the preface."""
        buffer = self.incoming_buffer
        begun = buffer._data  # h2 has no word for it
        return bool(buffer._headers_buffer or buffer._preamble_len or (len(begun) > 3 and begun[3] in (1, 9)))

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[Event]]:
        if frame.error_code != ErrorCodes.NO_ERROR:
            return super()._receive_goaway_frame(frame)
        event = ConnectionTerminated()
        event.error_code, event.last_stream_id = ErrorCodes.NO_ERROR, frame.last_stream_id
        return [], [event]


class Http2Server(_http2.Http2Server):
    """For a client's side. `fault` says what was wrong when it closed the connection over it; `unread` are the streams
    that were answered before they were whole, and how many bytes came on them since."""

    h2_conn: Flow
    fault = ""

    def __init__(self, head_bytes_max: int) -> None:
        super().__init__(_context())
        self.unread: dict[int, int] = {}
        self.h2_conn = Flow(False, head_bytes_max, self.h2_conf)

    def handle_h2_event(self, event: Event) -> CommandGenerator[bool]:
        if isinstance(event, DataReceived) and event.stream_id in self.unread:
            self.unread[event.stream_id] += event.flow_controlled_length
        elif isinstance(event, StreamEnded | StreamReset):
            self.unread.pop(event.stream_id, None)
        if isinstance(event, ConnectionTerminated) and event.error_code == ErrorCodes.NO_ERROR:
            return False  # it will ask for nothing new, and waits for what it asked for
        return (yield from _received(self, super().handle_h2_event, event))

    def protocol_error(self, message: str, error_code: int = ErrorCodes.PROTOCOL_ERROR) -> CommandGenerator[None]:
        self.fault = _QUOTED.sub("…", message)
        yield from super().protocol_error(self.fault, error_code)


class Http2Client(_http2.Http2Client):
    """For a target's side. `is_leaving`: it takes no more requests."""

    h2_conn: Flow
    is_leaving = False

    def __init__(self, head_bytes_max: int) -> None:
        super().__init__(_context())
        self.h2_conn = Flow(True, head_bytes_max, self.h2_conf)

    @property
    def has_room(self) -> bool:
        """Whether the target takes one more request now; mitmproxy would queue it without bound."""
        at_once_max = self.provisional_max_concurrency or self.h2_conn.remote_settings.max_concurrent_streams
        return not self.is_leaving and self.h2_conn.open_outbound_streams < at_once_max

    def handle_h2_event(self, event: Event) -> CommandGenerator[bool]:
        if isinstance(event, ConnectionTerminated) and event.error_code == ErrorCodes.NO_ERROR:
            self.is_leaving = True
            unprocessed = [each for each in self.streams if each > (event.last_stream_id or 0)]
        elif isinstance(event, StreamReset) and event.error_code == ErrorCodes.REFUSED_STREAM:
            unprocessed = [each for each in self.streams if each == event.stream_id]
        else:
            return (yield from _received(self, super().handle_h2_event, event))
        for stream in unprocessed:
            del self.streams[stream]
            yield ReceiveHttp(ResponseProtocolError(stream, UNPROCESSED, ErrorCode.CANCEL))
        return False


def _received(
    layer: Http2Server | Http2Client, handle: Callable[[Event], CommandGenerator[bool]], event: Event
) -> CommandGenerator[bool]:
    """What nobody is shown is nobody's to take: padding, and the body of a request that was answered before its end."""
    if isinstance(event, DataReceived):
        shown = len(event.data) if event.stream_id in layer.streams else 0
        if unseen := event.flow_controlled_length - shown:
            layer.h2_conn.took(unseen, event.stream_id)
    return (yield from handle(event))
