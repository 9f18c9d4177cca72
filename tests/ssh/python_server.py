"""An SSH server of another make (asyncssh), which tells its clients what they signal."""

import asyncio
import threading
from typing import Self

import asyncssh

from hoopproxy.testing.ssh_keys import new_key


class PythonServer:
    """Runs in a thread of its own; a context manager. It knows `user_key`. Whatever it is told to run, it says `ready`
    and then one line for each line, signal, break and resizing, until its input ends; its exit code is their number."""

    def __init__(self) -> None:
        self.host, self.port, self.user = "127.0.0.1", 0, "somebody"
        self.user_key, self.authority, self.host_key = new_key("rsa"), new_key(), new_key("ecdsa")
        self.host_key_fingerprints = (self.host_key.fingerprint,)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        self.port = self._server.get_port()
        return self

    def __exit__(self, *why: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self.host,
            0,
            server_host_keys=[asyncssh.import_private_key(self.host_key.private)],
            authorized_client_keys=asyncssh.import_authorized_keys(self.user_key.public),
            process_factory=_talk,
            line_editor=False,
        )

    async def _close(self) -> None:
        self._server.close()
        await self._server.wait_closed()


async def _talk(process: asyncssh.SSHServerProcess[str]) -> None:
    process.stdout.write("ready\n")
    heard = 0
    while True:
        try:
            line = await process.stdin.readline()
            if not line:
                break
            said = f"line {line.strip()}"
        except asyncssh.SignalReceived as signal:
            said = f"signal {signal.signal}"
        except asyncssh.BreakReceived as pause:
            said = f"break {pause.msec}"
        except asyncssh.TerminalSizeChanged as size:
            said = f"size {size.width}x{size.height}"
        heard += 1
        process.stdout.write(said + "\n")
    process.exit(heard)
