"""Somebody whom the gateway tells things: an HTTP(S) server that keeps what it is told and answers as scripted."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

HEARD_S_MAX = 30.0


@dataclass(frozen=True)
class Told:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def data(self) -> dict[str, Any]:
        """What it says of the request for access."""
        return dict(json.loads(self.body)["data"])

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    def is_signed(self, secret: bytes) -> bool:
        """As https://www.standardwebhooks.com has a receiver check it."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        wanted = "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(wanted, self.headers["webhook-signature"])


class Receiver:
    """`script` are the next answers: a status, "hang" for none at all; then 204, or `usual`."""

    def __init__(self, certificate: tuple[str, str] | None = None) -> None:
        self.script: deque[int | str] = deque()
        self.usual, self.words = 204, b""
        self.told: list[Told] = []
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def heard(self, request_id: str, *steps: str) -> list[Told]:
        """All that was told of a request, as soon as the last is of the last of these steps."""

        def of_it() -> list[Told]:
            return [each for each in self.told if each.data["request"] == request_id]

        def is_whole() -> bool:
            return steps[-1] in [each.data["step"] for each in of_it()]

        with self._news:
            assert self._news.wait_for(is_whole, HEARD_S_MAX), [each.type for each in of_it()]
            return of_it()

    def heard_so_often(self, count: int) -> list[Told]:
        """All that it was told, as soon as it is so many."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.told) >= count, HEARD_S_MAX), self.told
            return list(self.told)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer, words = receiver.script.popleft() if receiver.script else receiver.usual, receiver.words
                told = Told(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                with receiver._news:
                    receiver.told.append(told)
                    receiver._news.notify_all()
                if answer == "hang":
                    receiver._closing.wait(HEARD_S_MAX)
                    return
                self.send_response(int(answer))
                if answer == 307:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(words)))
                self.end_headers()
                self.wfile.write(words)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
