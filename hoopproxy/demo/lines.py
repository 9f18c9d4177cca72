"""A service of plain text lines over TCP, and its client: `python -m hoopproxy.demo.lines PORT LINE…`.

It stands for whatever no gateway can read. Knows no gateway.
"""

import socket
import sys
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Self

STOCK = {"bolts": 4120, "nuts": 87}

LINES_MAX, LINE_BYTES_MAX = 100, 1000

ANSWER_S_MAX = 30.0


class LineServer:
    """Answers each line with what is in stock, and when its client has sent all, with their number. A context manager;
    it listens on any free port of 127.0.0.1."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._server = _Server((self.host, 0), _Client)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class _Client(StreamRequestHandler):
    timeout = ANSWER_S_MAX

    def handle(self) -> None:
        count = 0
        try:
            while count < LINES_MAX and (line := self.rfile.readline(LINE_BYTES_MAX)):
                count += 1
                thing = line.decode(errors="replace").strip()
                self.wfile.write(f"{thing}: {STOCK.get(thing, 'never heard of')}\n".encode())
            self.wfile.write(f"You asked {count} times.\n".encode())
        except OSError:
            pass  # the client left


def main(port: int, lines: list[str]) -> int:
    """Say all lines, then that there are no more, and print what is answered. Exit code 2: nothing is."""
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_S_MAX) as server:
            server.sendall("".join(f"{line}\n" for line in lines).encode())
            server.shutdown(socket.SHUT_WR)
            answered = b"".join(iter(lambda: server.recv(65536), b""))
    except OSError as why:
        answered, ending = b"", why.strerror or str(why)
    else:
        ending = "the connection was closed"
    sys.stdout.write(answered.decode(errors="replace") or f"No answer: {ending}.\n")
    return 0 if answered else 2


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
