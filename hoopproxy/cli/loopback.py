"""Waits on this machine for the browser that comes back from a sign-in (RFC 8252 §7.3). Knows not from where."""

import hmac
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import Thread
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click

from hoopproxy.cli.answers import Negative, printable

WAIT_S_MAX = 300.0
"""For a person at a browser."""

type Take = Callable[[Mapping[str, str]], str]
"""What the browser brought, to the name of who has signed in. @raise Negative"""

_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}


class Loopback(TCPServer):
    """A port of this machine's own, until one browser has come back with the right `state`."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.port: int = self.server_address[1]
        self.state = ""
        self.take: Take = lambda _: ""
        self.name = ""
        self.failure: Negative | None = None

    @property
    def redirect_uri(self) -> str:
        """Where the browser is to come back to."""
        return f"http://127.0.0.1:{self.port}/"

    def wait(self, state: str, take: Take) -> str:
        """What `take` answers to the query that the browser brings.

        @raise Negative: what `take` raises, or nobody came.
        """
        self.state, self.take = state, take
        until_s = monotonic() + WAIT_S_MAX
        while not self.name and self.failure is None:
            self.timeout = until_s - monotonic()
            if self.timeout <= 0:
                raise Negative("Nobody came back from the browser in time; begin again.")
            self.handle_request()
        if self.failure is not None:
            raise self.failure
        return self.name

    def handle_error(self, *_: Any) -> None:
        """Whoever came has left again."""


class _Visit(BaseHTTPRequestHandler):
    """One request."""

    timeout = 5.0
    server: Loopback

    def do_GET(self) -> None:
        url, loopback = urlsplit(self.path), self.server
        try:
            brought = dict(parse_qsl(url.query, max_num_fields=20))
        except ValueError:
            brought = {}
        # Any page in the browser may try this port: only who knows the state is listened to, by this very name.
        is_it = url.path == "/" and hmac.compare_digest(brought.get("state", "").encode(), loopback.state.encode())
        if not is_it or self.headers.get("Host") != f"127.0.0.1:{loopback.port}":
            self._say(404, "There is nothing here.")
            return
        try:
            if "error" in brought:
                raise Negative(printable(brought.get("error_description") or brought["error"])[:500])
            loopback.name = loopback.take(brought)
        except Negative as why:
            loopback.failure = why
            self._say(403, f"You are not signed in. {why.message}")
        except click.ClickException as why:
            loopback.failure = Negative(why.message)
            self._say(403, f"You are not signed in. {why.message}")
        else:
            self._say(200, "You are signed in. Close this window and go back to your terminal.")

    def _say(self, status: int, sentence: str) -> None:
        page = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>hoopproxy</title><h1>{escape(sentence)}</h1>'
        )
        self.send_response_only(status)
        for name, value in {**_HEADERS, "Content-Length": str(len(page.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: Any) -> None:
        """A code stands in what would be logged."""


@contextmanager
def loopback() -> Iterator[Loopback]:
    """A port, while it is needed. @raise Negative"""
    try:
        server = Loopback()
    except OSError as why:
        raise Negative(f"No port of 127.0.0.1 can be listened on: {why.strerror}.") from why
    with server:
        yield server


def show(url: str, *, is_opened: bool) -> None:
    """Send the person there."""
    click.echo(f"Sign in with your browser here:\n\n  {printable(url)}\n", err=True)
    if is_opened:  # in a thread, since some browsers end when they are closed
        Thread(target=webbrowser.open, args=(url,), daemon=True).start()
