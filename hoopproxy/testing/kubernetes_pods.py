"""What runs in the pods of a small Kubernetes API server: processes of this machine, over a WebSocket's channels.

Knows no object and no HTTP but the upgrade.
"""

import asyncio
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import generate_accept_token

from hoopproxy.model import Side
from hoopproxy.testing.http_serving import Exchange, Line
from hoopproxy.wire.http import pod_channels as channels
from hoopproxy.wire.http.websocket import Close, End, Ping, Whole

MESSAGE_BYTES_MAX = 1 << 20
READ_BYTES = 32_768
SIZE_S_MAX = 1.0
"""How long a terminal waits for its first size."""


class Socket:
    """A WebSocket with a client of an API server."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._end = End(Side.CLIENT, MESSAGE_BYTES_MAX)
        self._early = line.early

    @classmethod
    async def accept(cls, exchange: Exchange, protocol: str) -> "Socket":
        """Answer 101."""
        key = exchange.arrived.get("sec-websocket-key") or ""
        line = await exchange.upgrade(
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-accept", generate_accept_token(key.encode()).decode()),
            ("sec-websocket-protocol", protocol),
        )
        return cls(line)

    async def messages(self, hears: Callable[[bytes], None]) -> None:
        """Give each message to `hears` until the client leaves."""
        data, self._early = self._early, b""
        while data or (data := await self._line.reader.read(READ_BYTES)):
            for said in self._end.hears(data):
                match said:
                    case Whole(message):
                        hears(message)
                    case Ping(payload, is_pong=False):
                        self._write(self._end.says(Ping(payload, is_pong=True)))
                    case Close():
                        self._write(self._end.says(said))
                        return
            data = b""

    async def say(self, channel: int, data: bytes) -> None:
        """One message."""
        self._write(self._end.says(Whole(bytes((channel,)) + data)))
        await self._line.writer.drain()

    def close(self) -> None:
        """The last word."""
        self._write(self._end.says(Close(CloseReason.NORMAL_CLOSURE)))

    def _write(self, data: bytes) -> None:
        if data:
            self._line.writer.write(data)


def chosen(exchange: Exchange, versions: Sequence[str]) -> str:
    """The first of our protocols that the client offers; "" for none, or for no WebSocket."""
    if (exchange.arrived.get("upgrade") or "").lower() != "websocket":
        return ""
    offered = {each.strip() for each in (exchange.arrived.get("sec-websocket-protocol") or "").split(",")}
    return next((each for each in versions if each in offered), "")


class PodProcess:
    """One command in a pod: it runs until it ends or its client leaves. `protocol` is what the client speaks."""

    def __init__(self, socket: Socket, protocol: str, environment: Mapping[str, str] | None) -> None:
        self._socket, self._protocol, self._environment = socket, protocol, environment
        self._stdin = asyncio.Queue[bytes]()
        self._size = asyncio.Queue[tuple[int, int]]()

    async def run(self, command: Sequence[str], *, tty: bool) -> None:
        """The client hears how it ended."""
        listening = asyncio.create_task(self._socket.messages(self._hear))
        try:
            status = await (self._in_terminal if tty else self._with_pipes)(command, listening)
        except OSError as why:
            message = f"error executing command in container: {why.strerror}"
            status = {"metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500}
        if not listening.done():
            await self._socket.say(channels.ERROR, orjson.dumps(status))
            self._socket.close()
            await listening

    def _hear(self, message: bytes) -> None:
        match message[0], message[1:]:
            case channels.STDIN, data if data:
                self._stdin.put_nowait(data)
            case channels.RESIZE, data:
                size = orjson.loads(data)
                self._size.put_nowait((size["Height"], size["Width"]))
            case channels.CLOSE, _ if self._protocol == channels.V5:
                self._stdin.put_nowait(b"")

    async def _with_pipes(self, command: Sequence[str], listening: "asyncio.Task[None]") -> object:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment, start_new_session=True
        )
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        stdin = process.stdin

        async def types() -> None:
            with suppress(OSError):
                while data := await self._stdin.get():
                    stdin.write(data)
                    await stdin.drain()
                stdin.close()

        outputs = ((channels.STDOUT, process.stdout), (channels.STDERR, process.stderr))
        return await self._alive(process, outputs, listening, types())

    async def _in_terminal(self, command: Sequence[str], listening: "asyncio.Task[None]") -> object:
        master, slave = os.openpty()
        with os.fdopen(master, "r+b", 0) as terminal:
            try:
                with suppress(TimeoutError):
                    _resize(master, await asyncio.wait_for(self._size.get(), SIZE_S_MAX))
                process = await asyncio.create_subprocess_exec(
                    # A container begins with no signal ignored, however we were started.
                    *("setsid", "--ctty", "env", "--default-signal=INT,QUIT"),
                    *command,
                    stdin=slave,
                    stdout=slave,
                    stderr=slave,
                    env=self._environment,
                )
            finally:
                os.close(slave)
            reader = asyncio.StreamReader()
            ear, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(master), "rb", 0)
            )

            async def types() -> None:
                while data := await self._stdin.get():
                    terminal.write(data)

            async def resizes() -> None:
                while True:
                    _resize(master, await self._size.get())

            try:
                return await self._alive(process, ((channels.STDOUT, reader),), listening, types(), resizes())
            finally:
                ear.close()

    async def _alive(
        self,
        process: asyncio.subprocess.Process,
        outputs: Sequence[tuple[int, asyncio.StreamReader]],
        listening: "asyncio.Task[None]",
        *works: Coroutine[Any, Any, None],
    ) -> object:
        """Until it ends or its client is gone. How it ended, as a status."""
        showing = [asyncio.create_task(self._shows(channel, reader)) for channel, reader in outputs]
        working = [asyncio.create_task(work) for work in works]
        ending = asyncio.create_task(_ended(process, showing))
        try:
            await asyncio.wait((ending, listening), return_when=asyncio.FIRST_COMPLETED)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGHUP)
                process.kill()
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            code = await ending
        if code == 0:
            return {"metadata": {}, "status": "Success"}
        return {
            "metadata": {},
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "message": f"command terminated with exit code {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }

    async def _shows(self, channel: int, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):  # a terminal whose last process is gone ends with EIO
            while data := await reader.read(READ_BYTES):
                await self._socket.say(channel, data)


async def _ended(process: asyncio.subprocess.Process, showing: "Sequence[asyncio.Task[None]]") -> int:
    code = await process.wait()
    await asyncio.wait(showing)
    return code if code >= 0 else 128 - code


def _resize(terminal: int, size: tuple[int, int]) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
