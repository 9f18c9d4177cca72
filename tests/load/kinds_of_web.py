"""The kinds of clients that HTTP and Kubernetes have, each amid something."""

from contextlib import suppress
from typing import Any

import h2.config
import h2.connection
import h2.events
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request

from hoopproxy.testing.http_stand import LISTENER as WEB
from hoopproxy.testing.http_stand import host_of
from hoopproxy.testing.kubernetes_stand import LISTENER as CLUSTERS

from .guests import REASON, Deaf, Gone, StreamGuest
from .kinds import LITTLE_BYTES
from .mixed import PIECE_S

STREAMED = b"HTTP/1.1 200"
ERROR_CHANNEL = 3


class Http(StreamGuest):
    """One that fetches what never ends, over HTTP/1.1."""

    kind, target = "http/1.1 download", "web"
    path, first = "/drip", "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
    listener, host, more = WEB, host_of("web"), ""
    receive_bytes = 0

    async def enter(self) -> None:
        await self.connect(self.listener, self.host, "http/1.1", self.receive_bytes)
        token = self.stand.tokens["ada"]
        head = self.first.format(path=self.path, host=self.host, token=token, more=self.more)
        self.writer.write(head.encode())
        await self.begin()

    async def begin(self) -> None:
        """Amid what?"""
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(STREAMED), head


class HttpIdle(Http):
    """One that was answered, and may ask more."""

    kind, path = "http/1.1 idle", "/customers/1"

    async def begin(self) -> None:
        await super().begin()
        await self.reader.readuntil(b"}")


class HttpUpload(Http):
    """One that sends a body without end."""

    kind, path, hears = "http/1.1 upload", "/upload", "HTTP/1.1 503"
    first = Http.first.replace("GET", "POST")
    more = "Transfer-Encoding: chunked\r\n"

    async def begin(self) -> None:
        self.repeats(lambda: b"2000\r\n" + bytes(0x2000) + b"\r\n", PIECE_S)


class ServerSentEvents(Http):
    """One that hears events."""

    kind, path = "server-sent events", "/events"


class HttpDeaf(Deaf, Http):
    """One that takes no more of an answer."""

    kind, path, receive_bytes = "http/1.1 stopped reading", "/endless", LITTLE_BYTES


class HttpGone(Gone, HttpIdle):
    """One whose machine lost its power when it had been answered."""

    kind = "http/1.1 gone without FIN"

    async def begin(self) -> None:
        await super().begin()
        await self.vanish()


class Http2(StreamGuest):
    """One that fetches what never ends, over HTTP/2."""

    kind, target, hears = "http/2 download", "web", "GOAWAY"
    method = "GET"

    async def enter(self) -> None:
        await self.connect(WEB, host_of("web"), "h2")
        self.machine = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.machine.initiate_connection()
        fields = {":method": self.method, ":path": "/drip", ":scheme": "https", ":authority": host_of("web")}
        fields |= {"authorization": f"Bearer {self.stand.tokens['ada']}"}
        self.machine.send_headers(1, list(fields.items()), end_stream=True)
        self.writer.write(self.machine.data_to_send())
        while not any(isinstance(each, h2.events.DataReceived) for each in self.hear(await self.reader.read(1 << 16))):
            pass

    async def stay(self) -> None:
        with suppress(OSError):
            while data := await self.reader.read(1 << 16):
                self.hear(data)
        self.ends()

    def hear(self, data: bytes) -> list[h2.events.Event]:
        """What it means."""
        events = self.machine.receive_data(data)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self.machine.acknowledge_received_data(event.flow_controlled_length or 0, 1)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.notes(b"GOAWAY")
        self.writer.write(self.machine.data_to_send())
        return events


class WebSocket(StreamGuest):
    """One that speaks through a WebSocket."""

    kind, target, hears = "websocket", "web", REASON
    listener, host, path, protocols = WEB, host_of("web"), "/socket", tuple[str, ...]()

    async def enter(self) -> None:
        await self.connect(self.listener, self.host, "http/1.1")
        self.socket_ = WSConnection(ConnectionType.CLIENT)
        headers = [(b"authorization", f"Bearer {self.stand.tokens['ada']}".encode())]
        asked = Request(self.host, self.path, extra_headers=headers, subprotocols=list(self.protocols))
        self.writer.write(self.socket_.send(asked))
        while not any(isinstance(each, AcceptConnection) for each in self.hear(await self.reader.read(1 << 16))):
            pass

    async def stay(self) -> None:
        with suppress(OSError):
            while data := await self.reader.read(1 << 16):
                self.hear(data)
        self.ends()

    def hear(self, data: bytes) -> list[Any]:
        """What it means."""
        assert data
        self.socket_.receive_data(data)
        events = list(self.socket_.events())
        for event in events:
            if isinstance(event, CloseConnection):
                self.notes(f"{event.code}: {event.reason}".encode())
            elif isinstance(event, BytesMessage):
                self.notes(bytes(event.data))
        return events


class PodExec(WebSocket):
    """One that runs a command in a pod."""

    kind, target = "kubectl exec", "prod"
    listener, host = CLUSTERS, "localhost"
    path = "/clusters/prod/api/v1/namespaces/default/pods/web/exec?command=sleep&command=600&stdout=true"
    protocols = ("v5.channel.k8s.io",)


class PodLog(Http):
    """One that follows a pod's log."""

    kind, target = "kubectl logs -f", "prod"
    listener, host = CLUSTERS, "localhost"
    path = "/clusters/prod/api/v1/namespaces/default/pods/web/log?follow=true"


class Watch(PodLog):
    """One that watches objects."""

    kind = "kubectl get --watch"
    path = "/clusters/prod/api/v1/namespaces/default/pods?watch=true"
