"""Serves an application over HTTP/1.1 and HTTP/2 on 127.0.0.1, by h11 and h2, in a thread of its own.

For tests and demonstrations: it trusts its clients. Knows no application and no gateway.
"""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h11

type Fields = tuple[tuple[str, str], ...]

READ_BYTES = 1 << 18
HEAD_BYTES_MAX = 1 << 20
STREAMS_MAX = 1000
WINDOW_BYTES = 65_535
"""Of a stream, as h2 has it (RFC 9113 §6.9.2): more can't be on its way of a client that has not seen an answer."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """The head of a request as it arrived; names of `fields` are in lower case, `:authority` is among them as host."""

    method: str
    target: str
    version: str
    fields: Fields

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]

    def get(self, name: str) -> str | None:
        """The first value of the field."""
        return next((value for each, value in self.fields if each == name), None)


class Exchange(Protocol):
    """One request, and the response that an application makes: `begin`, `send` as often as it likes, `end`."""

    arrived: Arrived

    async def read(self) -> bytes:
        """The next bytes of the request's body; b"" at its end. @raise ConnectionError: the client is gone."""

    async def begin(self, status: int, *fields: tuple[str, str]) -> None:
        """The response's head; without a content-length, HTTP/1.1 sends it chunked."""

    async def send(self, data: bytes) -> None:
        """A piece of its body: over HTTP/1.1 one chunk, over HTTP/2 one frame, if it fits."""

    async def end(self, *trailers: tuple[str, str]) -> None:
        """Its end."""

    async def upgrade(self, *fields: tuple[str, str]) -> "Line":
        """Answer 101, and speak another protocol from here on. Only over HTTP/1.1."""


type Application = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Line:
    """Raw bytes both ways; `early` came behind the request."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    early: bytes


class HttpServer:
    """A running one, on a free port unless one is given; a context manager.

    With a `certificate` (its file and its key's) it speaks TLS and what of `alpn` its client wants, else HTTP/1.1.
    `connection_count` and `arrived` tell what came.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        application: Application,
        certificate: tuple[Path, Path] | None = None,
        alpn: tuple[str, ...] = ("h2", "http/1.1"),
        port: int = 0,
    ) -> None:
        self.connection_count = 0
        self.arrived: list[Arrived] = []
        self.snis: list[str | None] = []
        self.port = port
        self._application = application
        self._tls = _tls(certificate, alpn, self.snis) if certificate else None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *why: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._visited, self.host, self.port, ssl=self._tls, limit=READ_BYTES, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        # Besides visits there may be handshakes, which asyncio has tasks of its own for.
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection_count += 1
        visit = asyncio.current_task()
        assert visit is not None
        tls = writer.get_extra_info("ssl_object")
        is_h2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        visitor = _Http2(reader, writer, self._noted) if is_h2 else _Http1(reader, writer, self._noted)
        try:
            with suppress(OSError, EOFError, h11.RemoteProtocolError, h2.exceptions.ProtocolError):
                await visitor.serve()
        except asyncio.CancelledError:
            pass  # the server closes
        finally:
            writer.transport.abort() if visit.cancelling() else writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _noted(self, exchange: Exchange) -> None:
        self.arrived.append(exchange.arrived)
        await self._application(exchange)


def _tls(certificate: tuple[Path, Path], alpn: tuple[str, ...], snis: list[str | None]) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    tls.set_alpn_protocols(list(alpn))
    tls.sni_callback = lambda _object, name, _context: snis.append(name)
    return tls


# HTTP/1.1 -------------------------------------------------------------------------------------------------------------


class _Http1:
    """One connection: one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, application: Application) -> None:
        self.reader, self.writer = reader, writer
        self._application = application
        self.machine = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)

    async def serve(self) -> None:
        while isinstance(event := await self.event(), h11.Request):
            exchange = _Exchange1(self, event)
            await self._application(exchange)
            if self.machine.our_state is h11.SWITCHED_PROTOCOL:
                return
            while await exchange.read():
                pass
            if self.machine.our_state is not h11.DONE or self.machine.their_state is not h11.DONE:
                return
            self.machine.start_next_cycle()

    async def event(self) -> Any:
        while (event := self.machine.next_event()) is h11.NEED_DATA:
            if self.machine.they_are_waiting_for_100_continue:
                await self.say(h11.InformationalResponse(status_code=100, headers=[]))
            self.machine.receive_data(await self.reader.read(READ_BYTES))
        return event

    async def say(self, event: h11.Event) -> None:
        if data := self.machine.send(event):
            self.writer.write(data)
            await self.writer.drain()


class _Exchange1(Exchange):
    def __init__(self, connection: _Http1, request: h11.Request) -> None:
        self._connection = connection
        fields = tuple((name.decode(), value.decode("latin-1")) for name, value in request.headers)
        version = f"HTTP/{request.http_version.decode()}"
        self.arrived = Arrived(request.method.decode(), request.target.decode(), version, fields)
        self._is_read = False

    async def read(self) -> bytes:
        if self._is_read:
            return b""
        event = await self._connection.event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise ConnectionError("The client is gone.")
        self._is_read = True
        return b""

    async def begin(self, status: int, *fields: tuple[str, str]) -> None:
        await self._connection.say(h11.Response(status_code=status, headers=list(fields)))

    async def send(self, data: bytes) -> None:
        await self._connection.say(h11.Data(data=data))

    async def end(self, *trailers: tuple[str, str]) -> None:
        await self._connection.say(h11.EndOfMessage(headers=list(trailers)))

    async def upgrade(self, *fields: tuple[str, str]) -> Line:
        while await self.read():
            pass
        await self._connection.say(h11.InformationalResponse(status_code=101, headers=list(fields)))
        return Line(self._connection.reader, self._connection.writer, self._connection.machine.trailing_data[0])


# HTTP/2 ---------------------------------------------------------------------------------------------------------------


class _Http2:
    """One connection: a task for each stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, application: Application) -> None:
        self._reader, self._writer = reader, writer
        self._application = application
        settings = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        self.machine = h2.connection.H2Connection(settings)
        self._streams: dict[int, tuple[_Exchange2, asyncio.Task[None]]] = {}
        self.window = asyncio.Condition()

    async def serve(self) -> None:
        self.machine.local_settings.max_concurrent_streams = STREAMS_MAX
        self.machine.initiate_connection()
        await self.flush()
        try:
            while data := await self._reader.read(READ_BYTES):
                for event in self.machine.receive_data(data):
                    self._hear(event)
                async with self.window:
                    self.window.notify_all()
                await self.flush()
        finally:
            tasks = [task for _, task in self._streams.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def flush(self) -> None:
        if data := self.machine.data_to_send():
            self._writer.write(data)
            await self._writer.drain()

    def _hear(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(number), headers=headers):
                exchange = _Exchange2(self, number, [(str(name), str(value)) for name, value in headers or ()])
                task = asyncio.get_running_loop().create_task(self._answer(exchange))
                self._streams[number] = exchange, task
                task.add_done_callback(lambda _: self._streams.pop(number, None))
            case h2.events.DataReceived(stream_id=int(number), data=data, flow_controlled_length=length):
                if number in self._streams:
                    self._streams[number][0].came.put_nowait((bytes(data or b""), length or 0))
                else:
                    self.machine.acknowledge_received_data(length or 0, number)
            case h2.events.StreamEnded(stream_id=int(number)) if number in self._streams:
                self._streams[number][0].came.put_nowait(None)
            case h2.events.StreamReset(stream_id=int(number)) if number in self._streams:
                self._streams[number][1].cancel()

    async def _answer(self, exchange: "_Exchange2") -> None:
        with suppress(OSError, h2.exceptions.ProtocolError):
            try:
                await self._application(exchange)
            except BaseException:
                await exchange.leave(h2.errors.ErrorCodes.INTERNAL_ERROR)
                raise
            await exchange.leave()


class _Exchange2(Exchange):
    def __init__(self, connection: _Http2, number: int, headers: list[tuple[str, str]]) -> None:
        self._connection, self._number = connection, number
        pseudo = dict(each for each in headers if each[0].startswith(":"))
        host = [("host", pseudo[":authority"])] if ":authority" in pseudo else []
        fields = (*host, *(each for each in headers if not each[0].startswith(":")))
        self.arrived = Arrived(pseudo[":method"], pseudo.get(":path", ""), "HTTP/2", fields)
        self.came = asyncio.Queue[tuple[bytes, int] | None]()
        self._is_read = False

    async def read(self) -> bytes:
        while not self._is_read:
            piece = await self.came.get()
            if piece is None:
                self._is_read = True
                break
            data, length = piece
            if length:
                self._connection.machine.acknowledge_received_data(length, self._number)
                await self._connection.flush()
            if data:
                return data
        return b""

    async def begin(self, status: int, *fields: tuple[str, str]) -> None:
        headers = [(":status", str(status)), *((name.lower(), value) for name, value in fields)]
        self._connection.machine.send_headers(self._number, headers)
        await self._connection.flush()

    async def send(self, data: bytes) -> None:
        machine = self._connection.machine
        while data:
            async with self._connection.window:
                await self._connection.window.wait_for(partial(self._has_room, machine))
            room = min(machine.local_flow_control_window(self._number), machine.max_outbound_frame_size)
            machine.send_data(self._number, data[:room])
            data = data[room:]
            await self._connection.flush()

    def _has_room(self, machine: h2.connection.H2Connection) -> bool:
        return machine.local_flow_control_window(self._number) > 0

    async def end(self, *trailers: tuple[str, str]) -> None:
        if trailers:
            self._connection.machine.send_headers(self._number, trailers, end_stream=True)
        else:
            self._connection.machine.end_stream(self._number)
        await self._connection.flush()

    async def upgrade(self, *fields: tuple[str, str]) -> Line:
        raise NotImplementedError("HTTP/2 has no upgrade (RFC 9113 §8.6).")

    async def leave(self, why: h2.errors.ErrorCodes = h2.errors.ErrorCodes.NO_ERROR) -> None:
        """What of its body nobody has read is not wanted. Who goes on sending is reset (RFC 9113 §8.1), and no sooner
        than it can have had its answer: where a reset comes along with that, curl 7.88 loses both."""
        unread = 0
        while not (why or self._is_read) and unread <= WINDOW_BYTES:
            unread += len(await self.read())
        if why or not self._is_read:
            self._connection.machine.reset_stream(self._number, why)
            await self._connection.flush()
