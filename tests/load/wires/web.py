"""HTTP under load: a service behind the gateway, and clients of HTTP/1.1 and HTTP/2 that read and send as they like."""

import asyncio
import http.client
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from select import select
from typing import Any, Self

import h2.config
import h2.connection
import h2.events

from hoopproxy.testing.http_serving import Exchange
from hoopproxy.testing.http_stand import CLEAR, LISTENER, HttpTarget, host_of
from hoopproxy.testing.http_target import BLOCK, CustomerService
from hoopproxy.testing.stand import Stand

TARGETS = ("web", "old", "clear")
"""In HTTP/2, in HTTP/1.1 over TLS, and in HTTP/1.1 in the clear."""

TOKEN = "t0p-secret"
S_MAX = 120
PIECE_BYTES = 1 << 16
MUCH_CREDIT = (1 << 31) - 1 - (1 << 16)

RULES = """
[addon.requests]
use = "request-rules"

[[addon.requests.rule]]
targets = ["web", "old", "clear"]
deny = ["PUT /vault"]
sentence = "Nobody may {method} {path}."
"""


class Behind(CustomerService):
    """The small service, of which `/hush` takes nothing and says nothing."""

    _never = asyncio.Event()

    async def answer(self, exchange: Exchange) -> None:
        if exchange.arrived.path == "/hush":
            await self._never.wait()
        await super().answer(exchange)


@contextmanager
def services(certificate: tuple[Any, Any]) -> Iterator[dict[str, Behind]]:
    """One for each of `TARGETS`."""
    with ExitStack() as stack:
        yield {
            "web": stack.enter_context(Behind(certificate, token=TOKEN)),
            "old": stack.enter_context(Behind(certificate, ("http/1.1",), token=TOKEN)),
            "clear": stack.enter_context(Behind(token=TOKEN)),
        }


def targets(services: dict[str, Behind], ca_file: Any) -> list[HttpTarget]:
    """The services as a gateway's targets."""
    return [HttpTarget(name, each.port, TOKEN, None if name == "clear" else ca_file) for name, each in services.items()]


def connected(
    stand: Stand, target: str, *alpn: str, listener: str = LISTENER, source: str = "127.0.0.1", receive_bytes: int = 0
) -> tuple[socket.socket, str]:
    """A connection to the gateway's listener, in TLS where it is, and the target's authority there."""
    bare = socket.socket()
    bare.settimeout(S_MAX)
    if receive_bytes:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    bare.bind((source, 0))
    address = stand.endpoint(listener)
    bare.connect(address)
    authority = f"{host_of(target)}:{address[1]}"
    if listener == CLEAR:
        return bare, authority
    context = ssl.create_default_context(cafile=stand.ca_file)
    context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(bare, server_hostname=host_of(target)), authority


class Http1:
    """A connection that speaks HTTP/1.1; a context manager."""

    def __init__(self, stand: Stand, target: str = "web", person: str = "ada", **where: Any) -> None:
        self.socket, self._authority = connected(stand, target, "http/1.1", **where)
        self._token = stand.tokens[person]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self.socket.close()

    def head(self, line: str, *fields: str) -> bytes:
        lines = f"{line} HTTP/1.1", f"Host: {self._authority}", f"Authorization: Bearer {self._token}", *fields, "", ""
        return "\r\n".join(lines).encode("latin-1")

    def ask(self, line: str) -> bytes:
        """A request without a body, and the body of its answer."""
        self.socket.sendall(self.head(line))
        status, body = self.answer()
        assert status == 200, body
        return body

    def answer(self) -> tuple[int, bytes]:
        with http.client.HTTPResponse(self.socket) as response:
            response.begin()
            return response.status, response.read()

    def pieces(self) -> Iterator[bytes]:
        """The body of the next answer, as it comes."""
        with http.client.HTTPResponse(self.socket) as response:
            response.begin()
            assert response.status == 200
            while data := response.read1(PIECE_BYTES):
                yield data

    def send_while_welcome(self, pieces: Iterable[bytes]) -> int:
        """Send until something is said; how much was sent."""
        sent = 0
        for piece in pieces:
            if select([self.socket], [], [], 0)[0]:
                break
            self.socket.sendall(piece)
            sent += len(piece)
        return sent


class Http2:
    """A connection that speaks HTTP/2; a context manager. It gives back credit for what it has read, unless it is told
    not to; `closed` are the streams that were answered, with status and the count of bytes."""

    def __init__(self, stand: Stand, target: str = "web", person: str = "ada", credit: int = 0, **where: Any) -> None:
        self.socket, self._authority = connected(stand, target, "h2", **where)
        self._token = stand.tokens[person]
        self.machine = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="latin-1"))
        self.machine.initiate_connection()
        if credit:
            self.machine.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: credit})
            self.machine.increment_flow_control_window(credit)
        self.status: dict[int, str] = {}
        self.count: dict[int, int] = {}
        self.done: set[int] = set()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        with suppress(ConnectionError):
            self.socket.sendall(self.machine.data_to_send())

    def begin(self, method: str, path: str, *, has_body: bool = False) -> int:
        """A request; its stream."""
        stream = self.machine.get_next_available_stream_id()
        pseudo = {":method": method, ":scheme": "https", ":authority": self._authority, ":path": path}
        headers = [*pseudo.items(), ("authorization", f"Bearer {self._token}")]
        self.machine.send_headers(stream, headers, end_stream=not has_body)
        self.count[stream] = 0
        self.flush()
        return stream

    def room(self, stream: int) -> int:
        """How much may be sent."""
        return min(self.machine.local_flow_control_window(stream), self.machine.max_outbound_frame_size)

    def send(self, stream: int, data: bytes) -> None:
        self.machine.send_data(stream, data)
        self.flush()

    def upload(self, stream: int, pieces: Iterable[bytes], patience_s: float = S_MAX) -> int:
        """Send as long as there is credit, waiting that long for it, or until an answer is there; how much was sent."""
        sent = 0
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                while select([self.socket], [], [], 0)[0] or getattr(self.socket, "pending", lambda: 0)():
                    self.hear()
                if stream in self.status:
                    return sent
                if not (room := self.room(stream)):
                    if not select([self.socket], [], [], patience_s)[0]:
                        return sent
                    continue
                self.send(stream, bytes(rest[:room]))
                sent, rest = sent + min(room, len(rest)), rest[room:]
        self.machine.end_stream(stream)
        self.flush()
        return sent

    def hear(self) -> None:
        """Whatever comes next. @raise ConnectionError: nothing does."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError
        for event in self.machine.receive_data(data):
            match event:
                case h2.events.ResponseReceived(stream_id=int(stream), headers=headers):
                    self.status[stream] = str(dict(headers or ())[":status"])
                case h2.events.DataReceived(stream_id=int(stream), flow_controlled_length=length, data=raw):
                    self.count[stream] += len(raw or b"")
                    if length:
                        with suppress(h2.exceptions.StreamClosedError):
                            self.machine.acknowledge_received_data(length, stream)
                case h2.events.StreamEnded(stream_id=int(stream)):
                    self.done.add(stream)
        self.flush()

    def finish(self, *streams: int) -> None:
        """Until all of them have their answers."""
        while not self.done.issuperset(streams):
            self.hear()


def blocks(bytes_count: int) -> Iterator[bytes]:
    """What `/bytes/N` sends, piece by piece."""
    for start in range(0, bytes_count, len(BLOCK)):
        yield BLOCK[: bytes_count - start]
