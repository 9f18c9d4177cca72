"""A package index: pypiserver, in TLS, with one small package. Its server is Python's own, which speaks HTTP/1.0."""

import ssl
import threading
import zipfile
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pypiserver

METADATA = "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
MODULE = "ANSWER = 42\n"


class IndexServer:
    """A running one, on a free port of 127.0.0.1; a context manager. It serves `acme` out of `directory`."""

    host = "127.0.0.1"

    def __init__(self, directory: Path, certificate: tuple[Path, Path]) -> None:
        with zipfile.ZipFile(directory / "acme-1.0-py3-none-any.whl", "w") as wheel:
            for name, text in {"METADATA": METADATA, "WHEEL": WHEEL, "RECORD": ""}.items():
                wheel.writestr(f"acme-1.0.dist-info/{name}", text)
            wheel.writestr("acme.py", MODULE)
        application: Any = pypiserver.app(roots=[directory], disable_fallback=True)
        self._server = make_server(self.host, 0, application, _Server, _Quiet)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who leaves early is nobody's trouble."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *words: object) -> None:
        """Nobody reads it."""
