"""As much of curl as the demonstration needs, for machines without it: `python -m hoopproxy.demo.fetch OPTIONS URL`.

Takes the same words, prints the response's body, and knows nothing of the gateway.
"""

import io
import socket
import ssl
import sys
from argparse import ArgumentParser, Namespace
from base64 import b64encode
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

ANSWER_S_MAX = 30.0
RECEIVE_BYTES = 65536
NOT_REACHED = 7
"""curl's exit code for a connection that does not come about; it has others for what went wrong later."""


class Stream(Protocol):
    """Bytes both ways."""

    def recv(self, count: int, /) -> bytes:
        """The next ones, at most `count`; b"" at the end."""

    def sendall(self, data: bytes, /) -> None:
        """All of them."""


class TlsWithin:
    """TLS within a stream that may be TLS itself, as in a proxy's tunnel. @raise OSError: it is somebody else."""

    def __init__(self, carrier: Stream, tls: ssl.SSLContext, name: str) -> None:
        self._carrier = carrier
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._arrived, self._leaving, server_hostname=name)
        self._done(self._tls.do_handshake)

    def recv(self, count: int, /) -> bytes:
        """See `Stream`."""
        try:
            data: bytes = self._done(self._tls.read, count)
        except ssl.SSLZeroReturnError:
            return b""
        return data

    def sendall(self, data: bytes, /) -> None:
        """See `Stream`."""
        self._done(self._tls.write, data)

    def _done(self, work: Callable[..., Any], *arguments: Any) -> Any:
        while True:
            try:
                result = work(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._carrier.recv(RECEIVE_BYTES):
                    self._arrived.write(data)
                else:
                    self._arrived.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if data := self._leaving.read():
            self._carrier.sendall(data)


class _Reader(io.RawIOBase):
    """A stream as `HTTPResponse` reads it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._stream.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What `HTTPResponse` asks a socket for."""
        return io.BufferedReader(self)


def main(words: list[str]) -> int:
    """Ask once, and print what `--write-out` says of it, as curl does."""
    options = _parser().parse_args(words)
    code, status = 0, "000"
    try:
        response = _asked(options, urlsplit(options.url))
        sys.stdout.write(response.read().decode(errors="replace"))
        status = str(response.status)
    except (OSError, HTTPException) as why:
        sys.stderr.write(f"fetch: {why}\n")
        code = NOT_REACHED
    sys.stdout.write(options.write_out.replace("%{http_code}", status).replace("\\n", "\n"))
    return code


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fetch", add_help=False)
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--show-error", action="store_true")
    parser.add_argument("--request", default="GET")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--write-out", default="")
    parser.add_argument("--cacert")
    parser.add_argument("--noproxy")
    parser.add_argument("--proxy")
    parser.add_argument("--proxy-user", default="")
    parser.add_argument("--proxy-cacert")
    parser.add_argument("url")
    return parser


def _asked(options: Namespace, url: SplitResult) -> HTTPResponse:
    if options.proxy:
        proxy = urlsplit(options.proxy)
        stream = _reached(proxy, options.proxy_cacert)
        stream = _through(stream, url, options.proxy_user, options.cacert)
    else:
        stream = _reached(url, options.cacert)
    target = f"{url.path or '/'}?{url.query}".removesuffix("?")
    return _answer(stream, options.request, target, {"Host": url.netloc}, options.header)


def _reached(url: SplitResult, ca_file: str | None) -> Stream:
    host = url.hostname or ""
    address = "127.0.0.1" if host.endswith(".localhost") else host  # RFC 6761 §6.3
    stream: Stream = socket.create_connection(
        (address, url.port or (443 if url.scheme == "https" else 80)), ANSWER_S_MAX
    )
    return TlsWithin(stream, ssl.create_default_context(cafile=ca_file), host) if url.scheme == "https" else stream


def _through(stream: Stream, url: SplitResult, user: str, ca_file: str | None) -> Stream:
    """A tunnel by CONNECT (RFC 9110 §9.3.6), and TLS in it. @raise OSError: the proxy says no."""
    target = f"{url.hostname}:{url.port or 443}"
    shown = [f"Proxy-Authorization: Basic {b64encode(user.encode()).decode()}"] if user else []
    answer = _answer(stream, "CONNECT", target, {"Host": target}, shown)
    if answer.status != 200:
        raise OSError(f"the proxy answered {answer.status}: {answer.read().decode(errors='replace').strip()}")
    return TlsWithin(stream, ssl.create_default_context(cafile=ca_file), url.hostname or "")


def _answer(stream: Stream, method: str, target: str, headers: dict[str, str], more: list[str]) -> HTTPResponse:
    for line in more:
        name, _, value = line.partition(":")
        headers = {each: kept for each, kept in headers.items() if each.lower() != name.lower()} | {name: value.strip()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    stream.sendall("\r\n".join(lines).encode("latin-1"))
    response = HTTPResponse(_Reader(stream), method=method)  # type: ignore[arg-type] # as much of a socket as it asks for
    response.begin()
    return response


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
