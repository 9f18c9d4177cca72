"""The ports of a stand-in API server's pods, for `kubectl port-forward`: each leads to a port of this machine.

In both dialects that API servers speak. For tests and demonstrations: it asks nobody whether they may.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from hoopproxy.model import Side
from hoopproxy.requests import KubernetesRequest
from hoopproxy.settings import Limits
from hoopproxy.testing.http_serving import READ_BYTES, Exchange, Line
from hoopproxy.wire.http.lanes import Frame, Kind
from hoopproxy.wire.http.messages import Headers, RequestHead
from hoopproxy.wire.http.port_forward import CHANNELS, TUNNEL, PortForward, begin, unfit
from hoopproxy.wire.http.reading import Relayed
from hoopproxy.wire.http.statuses import failure

FRAMES_MAX = 16
"""That may wait for a port to take them."""


class Ports:
    """Answers requests for `portforward`. `ports` has the port of 127.0.0.1 for each pod's port that is listened on,
    `dialects` are what it speaks (a cluster before 1.31 knows no tunnel), `asked` are pods and wishes so far."""

    def __init__(self, ports: Mapping[tuple[str, int], int], dialects: tuple[str, ...] = (TUNNEL, CHANNELS)) -> None:
        self.ports, self.dialects = dict(ports), dialects
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, exchange: Exchange, asked: KubernetesRequest) -> None:
        """One port-forward, until its client leaves."""
        request = self._request(exchange)
        self.asked.append((asked.name, exchange.arrived.get("sec-websocket-protocol") or ""))
        if not any(pod == asked.name for pod, _ in self.ports):
            return await _refuse(exchange, 404, f'pods "{asked.name}" not found')
        if sentence := unfit(request):
            return await _refuse(exchange, 400, sentence)
        answer, forward = begin(1, request, asked.name, Limits())
        line = await exchange.upgrade(*answer.headers.fields)
        await _Forwarding(line, forward, self.ports).run()

    def _request(self, exchange: Exchange) -> RequestHead:
        """As it would be if the client wanted no other dialect than this server speaks."""
        arrived = exchange.arrived
        headers = Headers(arrived.fields)
        offered = [each.strip() for value in headers.all("sec-websocket-protocol") for each in value.split(",")]
        headers = headers.instead(
            "sec-websocket-protocol", ", ".join(each for each in offered if each in self.dialects)
        )
        return RequestHead(arrived.method, "https", "", arrived.target, arrived.version, headers, is_bodyless=True)


async def _refuse(exchange: Exchange, code: int, message: str) -> None:
    body = failure(code, message)
    await exchange.begin(code, ("content-type", "application/json"), ("content-length", str(len(body))))
    await exchange.send(body)
    await exchange.end()


class _Forwarding:
    """One client's, with a task for each lane; a lane whose port takes nothing stops the client."""

    def __init__(self, line: Line, forward: PortForward, ports: Mapping[tuple[str, int], int]) -> None:
        self._line, self._forward, self._ports = line, forward, ports
        self._lanes: dict[int, asyncio.Queue[Frame]] = {}
        self._is_over = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            self._tasks: list[asyncio.Task[None]] = []
            await self._become(self._forward.begin())
            data = self._line.early or await self._line.reader.read(READ_BYTES)
            while data and not self._is_over:
                await self._become(self._forward.feed(Side.CLIENT, data))
                data = await self._line.reader.read(READ_BYTES)
            for task in self._tasks:
                task.cancel()

    async def _become(self, relayed: Relayed) -> None:
        for frame in relayed.frames:
            if frame.kind is Kind.OPEN:
                self._lanes[frame.lane] = asyncio.Queue(FRAMES_MAX)
                self._tasks.append(self._group.create_task(self._lane(frame.lane, frame.payload.decode())))
            elif queue := self._lanes.get(frame.lane):
                await queue.put(frame)
        self._is_over |= relayed.ended
        if relayed.to_client:
            self._line.writer.write(relayed.to_client)
            await self._line.writer.drain()
        if relayed.ended:
            self._line.writer.close()

    async def _lane(self, lane: int, place: str) -> None:
        pod, _, port = place.rpartition(":")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._ports.get((pod, int(port)), 0))
        except OSError:
            said = f"error forwarding port {port} to pod {pod}: connection refused"
            return await self._become(self._forward.take(Frame(Kind.REFUSED, lane, said.encode())))
        forth = asyncio.create_task(self._forth(self._lanes[lane], writer))
        try:
            await self._back(lane, reader)  # when a pod has said its all, nobody waits for what else it may be told
        finally:
            queue = self._lanes.pop(lane)
            while not queue.empty():
                queue.get_nowait()  # whoever waits for room waits no longer
            forth.cancel()
            writer.transport.abort()
            await asyncio.wait((forth,))
        await self._become(self._forward.take(Frame(Kind.CLOSED, lane)))

    async def _forth(self, queue: "asyncio.Queue[Frame]", writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while (frame := await queue.get()).kind is Kind.DATA:
                writer.write(frame.payload)
                await writer.drain()
            if frame.kind is Kind.ENDED:
                writer.write_eof()
                await queue.get()
            writer.transport.abort()

    async def _back(self, lane: int, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                await self._become(self._forward.take(Frame(Kind.DATA, lane, data)))
            await self._become(self._forward.take(Frame(Kind.ENDED, lane)))
