"""A small HTTP service: customers with their cards, a login, streams, a WebSocket, files, and what proxies get wrong.

It stands behind a gateway in tests and demonstrations. Knows no gateway.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable
from functools import cache
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import brotli
import orjson
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from hoopproxy.testing.http_serving import READ_BYTES, Exchange, HttpServer

CUSTOMERS = (
    {"id": 1, "name": "Ada Lovelace", "email": "ada@example.com", "card": "4539578763621486", "balance": 10.5},
    {"id": 2, "name": "Bob Gray", "email": "bob@example.com", "card": "5500005555555559", "balance": 0},
    {"id": 3, "name": "Chloé d'Arc", "email": None, "card": None, "balance": -3},
)
CARD, MASKED = "4539578763621486", "************1486"
"""The first customer's, and what `mask-pan` leaves of it."""

USER, PASSWORD, SESSION = "ada", "correct horse", "s-0123456789"
"""Who may log in to the small application, and the cookie that says so."""

BLOCK = bytes(range(256)) * 1024
"""256 KiB: what is sent is this, over and over."""

_JSON = (("Content-Type", "application/json"),)


def digest_of(bytes_count: int) -> str:
    """The SHA-256 of so many bytes as `/bytes/N` sends them, in hex."""
    found = hashlib.sha256()
    for start in range(0, bytes_count, len(BLOCK)):
        found.update(BLOCK[: bytes_count - start])
    return found.hexdigest()


class CustomerService(HttpServer):
    """A running service, on a free port of 127.0.0.1 unless one is given; a context manager.

    With a `token`, requests without `Authorization: Bearer TOKEN` get a 401; "" lets everybody in. In TLS with a
    `certificate`, its file and its key's; over HTTP/2 if `alpn` says so.

    `/customers`, `/customers/N`, `/customers.gz`, `/customers.br` and `/customers.chunked` are JSON, and so is
    `/bomb.gz`, which is long when it is unpacked; `/say?type=&body=` says it; `/events` are server-sent; `/bytes/N` are
    so many (with ranges), `/endless` never ends; `/upload` tells the SHA-256 of what it got, `/echo` what arrived;
    `/status/N`, `/redirect?to=`, `/cookie?set=`, `/alt-svc` and `/trailers` are what they say; `/socket` is a WebSocket
    that echoes; `/` is an application with a login, in a browser.
    """

    def __init__(
        self,
        certificate: tuple[Path, Path] | None = None,
        alpn: tuple[str, ...] = ("h2", "http/1.1"),
        *,
        token: str = "",
        port: int = 0,
    ) -> None:
        super().__init__(self.answer, certificate, alpn, port)
        self._token = token

    async def answer(self, exchange: Exchange) -> None:
        """One request."""
        arrived = exchange.arrived
        if self._token and arrived.get("authorization") != f"Bearer {self._token}":
            await respond(exchange, 401, "Who are you?\n", ("WWW-Authenticate", "Bearer"))
            return
        _, first, *rest = [*arrived.path.split("/"), ""]
        query = dict(parse_qsl(urlsplit(arrived.target).query, encoding="latin-1"))
        match first:
            case "" | "login" | "app":
                await _application(exchange)
            case "customers" | "customers.gz" | "customers.br" | "customers.chunked":
                await _customers(exchange, rest[0])
            case "bomb.gz":
                await respond(exchange, 200, _bomb(), *_JSON, ("Content-Encoding", "gzip"))
            case "say":
                await respond(exchange, 200, query["body"].encode("latin-1"), ("Content-Type", query["type"]))
            case "events":
                await _events(exchange, int(query.get("count", "5")))
            case "bytes":
                await _bytes(exchange, int(rest[0]))
            case "endless":
                await exchange.begin(200, ("Content-Type", "application/octet-stream"))
                while True:
                    await exchange.send(BLOCK)
            case "upload":
                await _upload(exchange)
            case "echo":
                await json(exchange, {"method": arrived.method, "target": arrived.target, "fields": arrived.fields})
            case "status":
                await respond(exchange, int(rest[0]), f"This is {rest[0]}.\n", ("X-Kind", "error"))
            case "redirect":
                # curl 7.88, answered amid its upload, ends it with less than it has announced: h2 hangs up on that.
                while await exchange.read():
                    pass
                await respond(exchange, int(query.get("status", "302")), "Elsewhere.\n", ("Location", query["to"]))
            case "cookie":
                await respond(exchange, 200, "Have one.\n", ("Set-Cookie", query["set"]))
            case "alt-svc":
                await respond(exchange, 200, "Over there.\n", ("Alt-Svc", 'h3="elsewhere.example:443"; ma=86400'))
            case "trailers":
                await exchange.begin(200, ("Content-Type", "text/plain"), ("Trailer", "X-Digest"))
                await exchange.send(b"body\n")
                await exchange.end(("X-Digest", hashlib.sha256(b"body\n").hexdigest()))
            case "socket":
                await _socket(exchange)
            case _:
                await respond(exchange, 404, "Nothing here.\n")


async def respond(exchange: Exchange, status: int, text: str | bytes, *fields: tuple[str, str]) -> None:
    """A whole response: text unless `fields` say otherwise."""
    body = text.encode() if isinstance(text, str) else text
    if not any(name.lower() == "content-type" for name, _ in fields):
        fields = (("Content-Type", "text/plain; charset=utf-8"), *fields)
    has_none = status in (204, 304)
    await exchange.begin(status, *fields, *([] if has_none else [("Content-Length", str(len(body)))]))
    if body and not has_none and exchange.arrived.method != "HEAD":
        await exchange.send(body)
    await exchange.end()


async def json(exchange: Exchange, document: object, *fields: tuple[str, str]) -> None:
    """A whole response in JSON."""
    await respond(exchange, 200, orjson.dumps(document), *_JSON, *fields)


async def _customers(exchange: Exchange, number: str) -> None:
    plain = orjson.dumps({"customers": CUSTOMERS, "note": f"Ada's card is {CARD}."})
    match exchange.arrived.path:
        case "/customers.gz":
            packed = gzip.compress(plain, mtime=0)
            await respond(exchange, 200, packed, *_JSON, ("Content-Encoding", "gzip"), ("ETag", '"g"'))
        case "/customers.br":
            await respond(exchange, 200, brotli.compress(plain), *_JSON, ("Content-Encoding", "br"))
        case "/customers.chunked":
            await exchange.begin(200, *_JSON)
            for start in range(0, len(plain), 7):
                await exchange.send(plain[start : start + 7])
            await exchange.end()
        case "/customers":
            await json(exchange, orjson.Fragment(plain))
        case _ if found := [each for each in CUSTOMERS if str(each["id"]) == number]:
            await json(exchange, found[0])
        case _:
            await respond(exchange, 404, b'{"error":"no such customer"}', *_JSON)


@cache
def _bomb() -> bytes:
    """64 KiB that are 64 MiB of JSON."""
    return gzip.compress(b'{"zeros":"' + b"0" * (1 << 26) + b'"}', mtime=0)


async def _events(exchange: Exchange, count: int) -> None:
    """Each in two pieces, cut within a card number."""
    await exchange.begin(200, ("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"))
    for number in range(count):
        event = f'id: {number}\nevent: payment\ndata: {{"number":{number},"card":"{CARD}"}}\n\n'.encode()
        middle = event.index(b'"card"') + 14
        await exchange.send(event[:middle])
        await exchange.send(event[middle:])
    await exchange.end()


async def _bytes(exchange: Exchange, count: int) -> None:
    """One range at most (RFC 9110 §14)."""
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", exchange.arrived.get("range") or "")
    start, end = _range(asked[1], asked[2], count) if asked else (0, count)
    if start >= end > 0:
        await respond(exchange, 416, "", ("Content-Range", f"bytes */{count}"))
        return
    fields = [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes")]
    fields.append(("Content-Length", str(end - start)))
    if asked:
        fields.append(("Content-Range", f"bytes {start}-{end - 1}/{count}"))
    await exchange.begin(206 if asked else 200, *fields)
    while start < end and exchange.arrived.method != "HEAD":
        offset = start % len(BLOCK)
        piece = BLOCK[offset : offset + end - start]
        await exchange.send(piece)
        start += len(piece)
    await exchange.end()


def _range(first: str, last: str, count: int) -> tuple[int, int]:
    if not first:
        return max(0, count - int(last or 0)), count
    return int(first), min(count, int(last) + 1) if last else count


async def _upload(exchange: Exchange) -> None:
    found, count = hashlib.sha256(), 0
    while data := await exchange.read():
        found.update(data)
        count += len(data)
    await json(exchange, {"method": exchange.arrived.method, "bytes": count, "sha256": found.hexdigest()})


# WebSocket ------------------------------------------------------------------------------------------------------------


async def _socket(exchange: Exchange) -> None:
    """Echoes messages; `close CODE REASON` closes, `cards` sends one. Masks and limits nothing."""
    key = exchange.arrived.get("sec-websocket-key")
    if key is None:
        await respond(exchange, 426, "This is a WebSocket.\n", ("Upgrade", "websocket"))
        return
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
    fields.append(("Sec-WebSocket-Accept", generate_accept_token(key.encode()).decode()))
    extensions: list[Extension] = []
    if "permessage-deflate" in (offer := exchange.arrived.get("sec-websocket-extensions") or ""):
        deflate = PerMessageDeflate()
        agreed = deflate.accept(offer.split(",")[0])
        extensions.append(deflate)
        fields.append(("Sec-WebSocket-Extensions", f"permessage-deflate; {agreed}" if agreed else "permessage-deflate"))
    if "echo" in (exchange.arrived.get("sec-websocket-protocol") or "").replace(" ", "").split(","):
        fields.append(("Sec-WebSocket-Protocol", "echo"))
    line = await exchange.upgrade(*fields)
    machine = Connection(ConnectionType.SERVER, extensions, line.early)
    data: bytes | None = b""
    while data is not None:
        try:
            answers = b"".join(_socket_answers(machine))
        except (RemoteProtocolError, LocalProtocolError, zlib.error):
            return
        line.writer.write(answers)
        await line.writer.drain()
        if machine.state is ConnectionState.CLOSED:
            return
        data = await line.reader.read(READ_BYTES) or None
        machine.receive_data(data)


def _socket_answers(machine: Connection) -> Iterable[bytes]:
    for event in machine.events():
        match event:
            case TextMessage(data=str(text), message_finished=True) if text.startswith("close "):
                _, code, *reason = text.split(" ", 2)
                yield machine.send(CloseConnection(int(code), "".join(reason)))
            case TextMessage(data="cards"):
                yield machine.send(TextMessage(f'{{"card":"{CARD}"}}'))
            case TextMessage() | BytesMessage():
                yield machine.send(event)
            case Ping():
                yield machine.send(event.response())
            case CloseConnection() if machine.state is ConnectionState.REMOTE_CLOSING:
                yield machine.send(event.response())


# An application in a browser ------------------------------------------------------------------------------------------

LOGIN_PAGE = """<!doctype html><title>login</title>
<form method="post" action="/login"><input name="user"><input name="password" type="password"><button>Go</button></form>
"""
PAGE = """<!doctype html><title>working</title><h1>Customers</h1><ul id="list"></ul>
<p id="socket"></p><p id="events"></p>
<script>
const said = (id, text) => { document.getElementById(id).textContent += text };
const listed = fetch("/customers").then(answer => answer.json()).then(found => {
  for (const each of found.customers) said("list", `${each.id} ${each.name} ${each.card}; `);
});
const spoken = new Promise((resolve, reject) => {
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/socket");
  socket.onopen = () => socket.send("cards");
  socket.onmessage = message => { said("socket", message.data); socket.close(1000) };
  socket.onclose = resolve;
  socket.onerror = reject;
});
const streamed = new Promise((resolve, reject) => {
  const events = new EventSource("/events?count=3");
  events.addEventListener("payment", event => {
    said("events", event.data);
    if (event.lastEventId === "2") { events.close(); resolve() }
  });
  events.onerror = reject;
});
Promise.all([listed, spoken, streamed]).then(() => { document.title = "done" }, why => { document.title = `${why}` });
</script>
"""


async def _application(exchange: Exchange) -> None:
    arrived = exchange.arrived
    html = ("Content-Type", "text/html; charset=utf-8")
    is_known = SimpleCookie(arrived.get("cookie") or "").get("session")
    match arrived.method, arrived.path:
        case "POST", "/login":
            form = parse_qs((await _body(exchange)).decode())
            if (form.get("user"), form.get("password")) != ([USER], [PASSWORD]):
                await respond(exchange, 403, LOGIN_PAGE, html)
                return
            cookie = f"session={SESSION}; Path=/; HttpOnly; SameSite=Lax"
            await respond(exchange, 303, "", ("Location", "/app"), ("Set-Cookie", cookie))
        case _, "/app" if is_known and is_known.value == SESSION:
            await respond(exchange, 200, PAGE, html)
        case _, "/app":
            await respond(exchange, 302, "", ("Location", "/"))
        case _:
            await respond(exchange, 200, LOGIN_PAGE, html)


async def _body(exchange: Exchange) -> bytes:
    pieces = []
    while data := await exchange.read():
        pieces.append(data)
    return b"".join(pieces)
