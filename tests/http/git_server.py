"""git over HTTP: `git http-backend`, run as the CGI program that it is (RFC 3875), behind Python's server for tests."""

import asyncio
import os
from email.parser import BytesParser
from pathlib import Path

from hoopproxy.testing.http_serving import Exchange
from hoopproxy.testing.http_target import respond


class GitServer:
    """An application that serves the repositories in `root` to all who come with the `token`; they may push, too."""

    def __init__(self, root: Path, token: str) -> None:
        self._root = root
        self._token = token

    async def answer(self, exchange: Exchange) -> None:
        """One request."""
        arrived = exchange.arrived
        if arrived.get("authorization") != f"Bearer {self._token}":
            await respond(exchange, 401, "Who are you?\n", ("WWW-Authenticate", "Bearer"))
            return
        path, _, query = arrived.target.partition("?")
        variables = {
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(self._root),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": arrived.method,
            "REMOTE_USER": "somebody",
            "CONTENT_TYPE": arrived.get("content-type") or "",
            "CONTENT_LENGTH": arrived.get("content-length") or "",
            "HTTP_CONTENT_ENCODING": arrived.get("content-encoding") or "",
            "GIT_PROTOCOL": arrived.get("git-protocol") or "",
            "PATH": os.environ.get("PATH", os.defpath),
        }
        program = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: value for name, value in variables.items() if value},
        )
        assert program.stdin is not None and program.stdout is not None
        while data := await exchange.read():
            program.stdin.write(data)
            await program.stdin.drain()
        program.stdin.close()
        head = BytesParser().parsebytes(await program.stdout.readuntil(b"\r\n\r\n"))
        status = int(head.get("Status", "200").split()[0])
        await exchange.begin(status, *((name, value) for name, value in head.items() if name != "Status"))
        while data := await program.stdout.read(1 << 16):
            await exchange.send(data)
        await exchange.end()
        await program.wait()
