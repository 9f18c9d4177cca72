"""A server that does what no honest one does: each connection runs a script in a thread of its own."""

import socket
import ssl
import struct
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from select import select
from typing import Self

from hoopproxy.testing.certificates import Leaf

type Script = Callable[[socket.socket], None]

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def authentication(code: int, rest: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!I", code) + rest)


def drain(connection: socket.socket) -> None:
    """Until the other side ends."""
    with suppress(OSError):
        while connection.recv(65536):
            pass


def says(answer: bytes) -> Script:
    """Answers an SSLRequest, and does nothing more."""

    def script(connection: socket.socket) -> None:
        assert connection.recv(8) == SSL_REQUEST
        connection.sendall(answer)
        drain(connection)

    return script


def shaken(leaf: Leaf, then: Script, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Script:
    """Speaks TLS as an honest server does, with the certificate of `leaf`, and then follows `then`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate_file, leaf.key_file)
    if maximum < ssl.TLSVersion.TLSv1_2:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # that it is, is the point
            context.minimum_version = context.maximum_version = maximum
        context.set_ciphers("ALL:@SECLEVEL=0")

    def script(connection: socket.socket) -> None:
        assert connection.recv(8) == SSL_REQUEST
        connection.sendall(b"S")
        with suppress(ssl.SSLError, OSError):
            with context.wrap_socket(connection.dup(), server_side=True) as protected:
                then(protected)

    return script


def forwards(port: int, leaf: Leaf, *, in_tls: bool, strikes: bytes = b"") -> Script:
    """Ends the client's TLS with its own certificate and passes what it holds on to a server, `strikes` cut out of what
    that answers first: a balancer, or somebody who sits in one's place."""

    def passes_on(connection: socket.socket) -> None:
        _pass_on(connection, connection.recv(65536), port, in_tls, strikes)

    return shaken(leaf, passes_on)


def pools(port: int, leaf: Leaf, last_words: bytes) -> Script:
    """An older pooler before a server without TLS: sends whoever asks for another version than 3.0 away."""

    def passes_on(connection: socket.socket) -> None:
        startup = connection.recv(65536)
        if startup[4:8] == struct.pack("!I", 3 << 16):
            _pass_on(connection, startup, port, False, b"")
        elif last_words:
            connection.sendall(last_words)

    return shaken(leaf, passes_on)


def _pass_on(connection: socket.socket, startup: bytes, port: int, in_tls: bool, strikes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as plain:
        server = plain
        if in_tls:
            plain.sendall(SSL_REQUEST)
            assert plain.recv(1) == b"S"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            server = context.wrap_socket(plain.dup())
        with server:
            server.sendall(startup)
            connection.sendall(_without(strikes, server.recv(65536)))
            while True:
                for ready in select([connection, server], [], [])[0]:
                    if not (data := ready.recv(65536)):
                        return
                    (server if ready is connection else connection).sendall(data)


def _without(strikes: bytes, whole: bytes) -> bytes:
    """The same messages, `strikes` cut out of each."""
    kept = b""
    while whole:
        end = 1 + int.from_bytes(whole[1:5])
        kept, whole = kept + message(whole[:1], whole[5:end].replace(strikes, b"")), whole[end:]
    return kept


class Rogue:
    """Listens on a free port of 127.0.0.1; `heard` is what arrived on connections whose script records it."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                self._open.append(connection)
                thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _run(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self._script(connection)
            connection.shutdown(socket.SHUT_WR)
            drain(connection)
