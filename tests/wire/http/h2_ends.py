"""An HTTP/2 client and an HTTP/2 target around a rig, spoken by h2 itself."""

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from hoopproxy.wire.http.halves import SERVER_PREFACE
from hoopproxy.wire.http.lanes import Kind

from .rig import Rig

GET = [(":method", "GET"), (":scheme", "https"), (":authority", "x.test"), (":path", "/a")]
POST = [(":method", "POST"), (":scheme", "https"), (":authority", "x.test"), (":path", "/a")]


class H2Client:
    """It takes what it is sent, unless it is `stalled`. Its frontend has sent the preface already."""

    def __init__(self, rig: Rig, stalled: bool = False) -> None:
        self.rig, self._stalled = rig, stalled
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self.h2.config.validate_outbound_headers = self.h2.config.normalize_outbound_headers = False
        self.h2.initiate_connection()
        self.events: list[Any] = []
        self._seen = 0
        self._hear(SERVER_PREFACE)
        self.flush()

    def flush(self) -> None:
        """Send what there is, and hear the answer."""
        while data := self.h2.data_to_send():
            self.rig.client(data)
            self.hear()

    def hear(self) -> None:
        """What the machine sent since."""
        said = bytes(self.rig.to_client[self._seen :])
        self._seen = len(self.rig.to_client)
        self._hear(said)

    def _hear(self, said: bytes) -> None:
        for event in self.h2.receive_data(said):
            self.events.append(event)
            if isinstance(event, DataReceived) and not self._stalled:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def ask(self, headers: list[tuple[str, str]] = GET, body: bytes | None = None, ends: bool = True) -> int:
        """One request; its stream."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=body is None and ends)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=ends)
        self.flush()
        return stream

    def body(self, stream: int) -> bytes:
        return b"".join(e.data for e in self.events if isinstance(e, DataReceived) and e.stream_id == stream)

    def head(self, stream: int) -> dict[str, str]:
        found = [e for e in self.events if isinstance(e, ResponseReceived) and e.stream_id == stream]
        assert len(found) == 1, self.events
        return dict(found[0].headers)

    def trailers(self, stream: int) -> dict[str, str]:
        found = [e for e in self.events if isinstance(e, TrailersReceived) and e.stream_id == stream]
        return dict(found[0].headers) if found else {}

    def ended(self, stream: int) -> bool:
        return any(isinstance(e, StreamEnded) and e.stream_id == stream for e in self.events)

    def reset(self, stream: int) -> int | None:
        return next((e.error_code for e in self.events if isinstance(e, StreamReset) and e.stream_id == stream), None)

    def goaway(self) -> int | None:
        return next((e.error_code for e in self.events if isinstance(e, ConnectionTerminated)), None)


class H2Target:
    """On one lane. Unless `stalled`, it takes what it is sent."""

    def __init__(self, rig: Rig, lane: int = 0, stalled: bool = False) -> None:
        self.rig, self.lane, self._stalled = rig, lane, stalled
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self.h2.initiate_connection()
        self.events: list[Any] = []
        self._seen = 0
        self.flush()

    def hear(self) -> None:
        said = bytes(self.rig.lanes[self.lane][self._seen :])
        self._seen += len(said)
        for event in self.h2.receive_data(said):
            self.events.append(event)
            if isinstance(event, DataReceived) and not self._stalled:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def flush(self) -> None:
        self.hear()
        while data := self.h2.data_to_send():
            self.rig.target(data, self.lane)
            self.hear()

    def requests(self) -> list[tuple[int, dict[str, str]]]:
        self.flush()
        return [(e.stream_id, dict(e.headers)) for e in self.events if isinstance(e, RequestReceived)]

    def body(self, stream: int) -> bytes:
        return b"".join(e.data for e in self.events if isinstance(e, DataReceived) and e.stream_id == stream)

    def ended(self, stream: int) -> bool:
        return any(isinstance(e, StreamEnded) and e.stream_id == stream for e in self.events)

    def reset(self, stream: int) -> int | None:
        self.flush()
        return next((e.error_code for e in self.events if isinstance(e, StreamReset) and e.stream_id == stream), None)

    def answer(self, stream: int, body: bytes = b"hi", status: str = "200", ends: bool = True) -> None:
        self.h2.send_headers(stream, [(":status", status)], end_stream=ends and not body)
        for start in range(0, len(body), 16384):
            self.h2.send_data(stream, body[start : start + 16384], end_stream=ends and start + 16384 >= len(body))
            self.flush()
        self.flush()

    def gone(self, why: bytes = b"") -> None:
        self.rig.says(Kind.CLOSED, self.lane, why)
