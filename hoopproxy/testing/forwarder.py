"""Lends a client another address of this machine: a TCP forwarder whose far side comes from where one likes.

libpq can't choose its own address, and Linux lets a socket bind any of 127.0.0.0/8: through one of these psql "sits" in
the country that a gateway's map gives to that address. For demonstrations and tests. Knows no protocol.
"""

import socket
import threading
from contextlib import closing
from socketserver import BaseRequestHandler, ThreadingTCPServer

CONNECTIONS_MAX = 64
CHUNK_BYTES = 65536


class Forwarder:
    """Listens on `127.0.0.1:port` (0: any free port) and connects each client to `to`, coming from `source`."""

    def __init__(self, to: tuple[str, int], source: str, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), _Line)
        self._server.to, self._server.source = to, source
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections. Those that are there go on until one of their ends closes."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingTCPServer):
    to: tuple[str, int]
    source: str
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, *where: object) -> None:
        super().__init__(*where)  # type: ignore[arg-type] # passed on as they came
        self.free = threading.BoundedSemaphore(CONNECTIONS_MAX)


class _Line(BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        if not self.server.free.acquire(blocking=False):
            return
        try:
            with closing(socket.create_connection(self.server.to, 10, (self.server.source, 0))) as far:
                far.settimeout(None)
                back = threading.Thread(target=_pump, args=(far, self.request), daemon=True)
                back.start()
                _pump(self.request, far)
                back.join()
        except OSError:
            pass  # the client sees its connection close, as it would without a forwarder
        finally:
            self.server.free.release()


def _pump(source: socket.socket, to: socket.socket) -> None:
    """Until `source` ends; then `to` hears that it did. An end that broke is closed both ways."""
    try:
        while data := source.recv(CHUNK_BYTES):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already
