"""Clients of a gateway that are amid something, each of its own kind, and what they notice of their session's end.

Each is one coroutine in one loop; its clock stands at its own socket.
"""

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from hoopproxy.sockets import unconfirmed_bytes

from .mixed import MixedStand

REASON = "lunch"
"""Why they are all ended."""

TCP_REPAIR = 19
"""linux/tcp.h: a socket in repair leaves without a word (CAP_NET_ADMIN)."""

HEARD_BYTES_MAX = 1 << 16
LOOK_S = 0.01


class Guest:
    """A client at `source`, an address of this machine's of its own. `heard` is the last that it was told.

    `enter` returns once it is amid what it does; then `stay` returns at the session's end, at `ended_s`.
    """

    kind = ""
    target = ""
    hears = ""
    """What it must have heard; "" where nothing can be said."""

    def __init__(self, stand: MixedStand, source: str) -> None:
        self.stand, self.source = stand, source
        self.heard = bytearray()
        self.ended_s = 0.0
        self.session = source, self.target
        self._chores = list[asyncio.Task[None]]()

    def socket(self, listener: str, *, receive_bytes: int = 0) -> socket.socket:
        """A new one, connected."""
        made = socket.socket()
        if receive_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        made.bind((self.source, 0))
        made.connect(self.stand.endpoint(listener))
        return made

    async def enter(self) -> None:
        """Come in, and begin."""
        raise NotImplementedError

    async def stay(self) -> None:
        """Until the end."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Afterwards."""
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)

    def notes(self, data: bytes) -> None:
        """Something was said."""
        self.heard += data
        del self.heard[:-HEARD_BYTES_MAX]

    def ends(self) -> None:
        """Now."""
        self.ended_s = self.ended_s or perf_counter()


class StreamGuest(Guest):
    """One that has a byte stream."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def connect(self, listener: str, host: str = "", alpn: str = "", receive_bytes: int = 0) -> None:
        """Over TLS if there is a `host`."""
        self.raw = self.socket(listener, receive_bytes=receive_bytes)
        context = None
        if host:
            context = ssl.create_default_context(cafile=self.stand.ca_file)
            context.set_alpn_protocols([alpn])
        options = {"ssl": context, "server_hostname": host} if context else {}
        self.reader, self.writer = await asyncio.open_connection(sock=self.raw, **options)  # type: ignore[arg-type] # as said

    async def stay(self) -> None:
        with suppress(OSError):
            while data := await self.reader.read(1 << 16):
                self.notes(data)
        self.ends()

    async def leave(self) -> None:
        await super().leave()
        self.writer.transport.abort()

    def repeats(self, say: Callable[[], bytes], pause_s: float) -> None:
        """Sends that from time to time, until it can't."""

        async def on_and_on() -> None:
            with suppress(OSError):
                while not self.writer.is_closing():
                    self.writer.write(say())
                    await self.writer.drain()
                    await asyncio.sleep(pause_s)

        self._chores.append(asyncio.create_task(on_and_on()))


class Deaf(Guest):
    """One that takes nothing any more: it hears of no end but a reset, which no buffer delays."""

    raw: socket.socket

    async def stay(self) -> None:
        poll = select.poll()
        poll.register(self.raw.fileno(), 0)
        while not poll.poll(0):
            await asyncio.sleep(LOOK_S)
        self.ends()


class Gone(Guest):
    """One whose machine lost its power: no FIN, no RST, and nobody who would notice an end."""

    writer: asyncio.StreamWriter
    raw: socket.socket

    async def stay(self) -> None:
        """It is not there."""

    async def vanish(self) -> None:
        """Once all that was said is confirmed on both sides: else its kernel would answer by a RST."""
        while unconfirmed_bytes(self.raw):
            await asyncio.sleep(LOOK_S)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        with suppress(PermissionError):  # who may not do that stays, and takes nothing
            self.raw.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            self.writer.transport.abort()
