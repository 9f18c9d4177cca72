"""A TCP server that sends, takes or echoes as many bytes as it is asked to: what stands behind a gateway under load.

A process of its own (`python -m hoopproxy.testing.raw_target`), a thread for each connection. Knows no gateway.
"""

import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from typing import Self

from hoopproxy.testing.process import environment

BLOCK = bytes(range(256)) * 4096
"""1 MiB: what is sent is this, over and over."""


def blocks(bytes_count: int) -> Iterator[bytes]:
    """So many bytes as the server sends them, in pieces."""
    for start in range(0, bytes_count, len(BLOCK)):
        yield BLOCK[: bytes_count - start]


def crc32_of(bytes_count: int) -> int:
    """The CRC-32 of so many bytes as the server sends them."""
    crc32 = 0
    for block in blocks(bytes_count):
        crc32 = zlib.crc32(block, crc32)
    return crc32


class RawTarget:
    """A running one on a free port of 127.0.0.1; a context manager. It ends with this object or this process.

    A connection begins with one line: `down N` sends N bytes and ends; `up` takes bytes until its client sends no more,
    then answers `COUNT CRC32` and a line end; `take N` takes N bytes and answers likewise; `echo` sends back what it is
    sent; `hush` takes nothing and says nothing.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hoopproxy.testing.raw_target"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=environment(),
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it. Safe to call twice."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _serve(client: socket.socket) -> None:
    with client, client.makefile("rb") as file, suppress(OSError):
        match file.readline().split():
            case [b"down", count]:
                for block in blocks(int(count)):
                    client.sendall(block)
            case [b"up"]:
                client.sendall(_taken(file, sys.maxsize))
            case [b"take", count]:
                client.sendall(_taken(file, int(count)))
            case [b"echo"]:
                while data := file.read1(1 << 18):
                    client.sendall(data)
            case [b"hush"]:
                threading.Event().wait()


def _taken(file: BufferedReader, bytes_count: int) -> bytes:
    """What is to be said of so many bytes, or of as many as come."""
    count = crc32 = 0
    while data := file.read1(min(1 << 18, bytes_count - count)):
        count, crc32 = count + len(data), zlib.crc32(data, crc32)
    return b"%d %d\n" % (count, crc32)


def main() -> None:
    """Say where it listens, then serve until stdin ends."""
    with socket.create_server((RawTarget.host, 0), backlog=1024) as server:
        print(server.getsockname()[1], flush=True)  # noqa: T201 - to whoever started it

        def accept() -> None:
            while True:
                client, _ = server.accept()
                threading.Thread(target=_serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
