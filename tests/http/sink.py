"""A server that keeps what it was sent."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Sink:
    """A server on a free port of 127.0.0.1 that keeps every byte, and answers each empty line; a context manager.

    It reads requests as carelessly as it can: what could be one is one.
    """

    host = "127.0.0.1"
    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n"

    def __init__(self, answer: bytes = ANSWER) -> None:
        self.received = bytearray()
        self.connection_count = 0
        self._answer = answer
        self._server = socket.create_server((self.host, 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.connection_count += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while data := client.recv(1 << 16):
                self.received += data
                client.sendall(self._answer * data.count(b"\r\n\r\n"))
