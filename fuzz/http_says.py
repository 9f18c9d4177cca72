"""What clients and targets say over HTTP, made of choices: mostly as it should be, and often enough not.

Knows how messages look on the wire, in both versions, and nothing of what becomes of them.
"""

from collections.abc import Sequence

from hpack import Encoder

from fuzz.choices import Choices, damaged

TOKEN, SECRET, CANARY = "canary-token", "canary-secret", "canary-value"
"""What proves who the client is, what the gateway shows the target, and what is masked."""

FORBIDDEN = "/forbidden"
"""Whatever is below it is refused."""

HOST = "crm.gw.example.com"


def fields_of(text: str) -> list[tuple[str, str]]:
    """`name: value | …`"""
    return [(name, value) for name, _, value in (each.partition(": ") for each in text.split(" | "))]


METHODS = (*"GET GET POST HEAD PUT DELETE OPTIONS PATCH TRACE CONNECT get head".split(), "A B", "")
TARGETS = (
    *"/ /v1/customers/17 /v1/customers/17 /v1/customers/17.json /plain?a=b /events /lines /text".split(),
    *f"{FORBIDDEN}/x /v1/../forbidden /%66orbidden/x //forbidden /a%2Fb http://{HOST}/v1/customers/17".split(),
    *("*", "/\\forbidden", "/ /forbidden", "/a;b", "/%", "", "http://other.example/", "/v1/customers/%ff"),
)
HEADERS: Sequence[tuple[str, str]] = (
    *fields_of("accept: */* | cookie: a=b | cookie: c=d | te: trailers"),
    *(("x-long", "x" * 900), ("x_odd", "1")),
    *fields_of("connection: close | connection: keep-alive, x-odd | connection: content-length | expect: 100-continue"),
    *fields_of(
        f"upgrade: websocket | connection: upgrade | proxy-authorization: {TOKEN} | authorization: Bearer other"
    ),
    *fields_of("content-length: 3 | content-length: 0 | transfer-encoding: chunked | host: other.example"),
    *fields_of('x-http-method-override: DELETE | accept-encoding: gzip | if-match: W/"x" | range: bytes=0-1'),
    *(
        ("content-type", "application/json-patch+json"),
        ("x-odd", "a\r\nhost: b"),
        ("x\0", "y"),
        ("", "z"),
        ("x-api-key", "1"),
    ),
)
SMUGGLED = f"GET {FORBIDDEN}/smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
BODIES = (b"", b"abc", b"0\r\n\r\n", SMUGGLED, b"x" * 700, b"\0" * 20)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

JSON = f'{{"id":17,"pan":"{CANARY}","cards":[{{"pan":"{CANARY}"}},{{"pan":null}}],"name":"Ada"}}'.encode()
ANSWERS: Sequence[tuple[str, bytes]] = (
    ("application/json", JSON),
    ("application/json", b'{"pan":"%b"' % CANARY.encode()),
    ("application/json", b'{"a":{"pan":"%b"},"a":1}' % CANARY.encode()),
    ("application/x-ndjson", JSON + b"\n" + JSON),
    ("text/event-stream", b"id: 1\ndata: " + JSON + b"\n\ndata: " + JSON + b"\r\r"),
    ("text/plain", CANARY.encode()),
    ("", CANARY.encode()),
    ("application/json; charset=utf-16", JSON.decode().encode("utf-16")),
    ("application/grpc", CANARY.encode()),
)
"""What a target has at a masked place. None of it shows the canary."""


UPGRADED = b"HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
JSON_MESSAGE = b'{"pan":"%b"}' % CANARY.encode()


# HTTP/1.1 -------------------------------------------------------------------------------------------------------------


def request(choices: Choices) -> bytes:
    """One of HTTP/1.1, whole."""
    ways = choices.byte()
    method, target = choices.pick(METHODS), choices.pick(TARGETS)
    fields = [] if ways & 3 == 3 else [("Host", HOST)]
    fields += [] if ways & 12 == 12 else [("Authorization", f"Bearer {TOKEN}")]
    fields += [choices.pick(HEADERS) for _ in range(choices.pick((0, 0, 0, 1, 2, 3)))]
    body = choices.pick(BODIES)
    if ways & 16:
        fields.append(("Content-Length", str(len(body))))
    elif ways & 32:
        fields.append(("Transfer-Encoding", "chunked"))
        body = chunked(choices, body)
    version = choices.pick(("HTTP/1.1",) * 6 + ("HTTP/1.0", "HTTP/2.0"))
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in fields)]
    raw = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body if ways & 48 else b"")
    return damaged(choices, raw) if choices.byte() & 15 == 15 else raw


def chunked(choices: Choices, body: bytes) -> bytes:
    """In chunks, with what may stand between."""
    size, between = 1 + choices.below(250), choices.pick((b"", b"", b";a=b", b" ", b";" + b"x" * 300))
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    end = choices.pick(
        (b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nx-trailer: 1\r\n\r\n", b"0\r\ncontent-length: 3\r\n\r\n", b"0\n\n", b"")
    )
    return b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), between, chunk) for chunk in chunks) + end


def response(choices: Choices, is_head: bool) -> bytes:
    """An answer of HTTP/1.1, whole unless it is damaged."""
    if choices.byte() & 7 == 7:
        return UPGRADED + choices.pick((b"", b"\x81\x05hello", b"\x88\0", b"\x81\x16" + JSON_MESSAGE, b"\xff" * 9))
    status = choices.pick((200, 200, 200, 201, 404, 500, 204, 304, 206, 302, 101, 100, 999, 0))
    media_type, body = choices.pick(ANSWERS)
    fields = [choices.pick(_RESPONSE_FIELDS) for _ in range(choices.below(3))]
    fields += [("Content-Type", media_type)] if media_type else []
    ways = choices.byte() & 3
    if ways == 0:
        fields.append(("Transfer-Encoding", "chunked"))
        body = chunked(choices, body)
    elif ways != 1:
        fields.append(("Content-Length", str(len(body))))
    head = "".join(
        (f"HTTP/1.1 {status} Fine\r\n", *(f"{name}: {value}\r\n" for name, value in fields), "\r\n")
    ).encode()
    interim = choices.pick((b"",) * 5 + (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n",))
    raw = interim + head + (b"" if is_head or status in (204, 304) else body)
    return damaged(choices, raw) if choices.byte() & 15 == 15 else raw


_RESPONSE_FIELDS: Sequence[tuple[str, str]] = (
    *fields_of("Connection: close | Location: /next | Location: https://evil.example/ | Set-Cookie: a=b; Domain=x"),
    *fields_of('Content-Encoding: gzip | Content-Encoding: br | ETag: "x" | Content-Range: bytes 0-1/9'),
    *fields_of("WWW-Authenticate: Basic | Upgrade: websocket | Trailer: x | Content-Length: 5"),
    *fields_of("Refresh: 0;url=//evil.example | Link: <<< | Alt-Svc: h2=:1"),
)


# HTTP/2 ---------------------------------------------------------------------------------------------------------------


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


class Frames:
    """Those of one end of a connection, whose header compression goes on from block to block."""

    def __init__(self, first_stream: int) -> None:
        self._encoder = Encoder()
        self.stream = first_stream
        self.opened: list[int] = []

    def request(self, choices: Choices) -> bytes:
        """A request on a stream of its own."""
        ways, body = choices.byte(), choices.pick(BODIES)
        authority = choices.pick((HOST,) * 9 + ("", "other.example", "a b"))
        pseudo = [(":method", choices.pick(METHODS)), (":scheme", "https"), (":authority", authority)]
        pseudo.append((":path", choices.pick(TARGETS)))
        fields = [] if ways & 19 == 19 else [("authorization", f"Bearer {TOKEN}")]
        fields += [choices.pick(HEADERS) for _ in range(choices.pick((0, 0, 0, 1, 2, 3)))]
        if ways & 4:
            fields.append(("content-length", str(len(body))))
        if ways & 224 == 224:
            pseudo.append(choices.pick((pseudo[0], (":proto", "x"), pseudo[3])))
        stream, self.stream = self.stream, self.stream + 2
        self.opened.append(stream)
        said = self._headers(choices, stream, [*pseudo, *fields], ends=not ways & 8)
        if ways & 8:
            said += frame(0, 0 if ways & 16 else 1, stream, body)
            if ways & 16:
                said += self._headers(choices, stream, [choices.pick(HEADERS)], ends=bool(ways & 32))
        return said

    def asked(self, fields: list[tuple[str, str]]) -> bytes:
        """A request without a body, as it should be."""
        stream, self.stream = self.stream, self.stream + 2
        return frame(1, 5, stream, self._encoder.encode(fields))

    def response(self, choices: Choices, stream: int) -> bytes:
        """An answer on that stream."""
        ways, (media_type, body) = choices.byte(), choices.pick(ANSWERS)
        status = choices.pick(("200", "200", "200", "404", "204", "304", "100", "101", "abc", "302"))
        fields = [(":status", status), ("content-type", media_type or "text/plain")]
        fields += [(name.lower(), value) for name, value in [choices.pick(_RESPONSE_FIELDS)] if ways & 1]
        if ways & 2:
            fields.append(("content-length", str(len(body))))
        if not ways & 12:
            return self._headers(choices, stream, fields, ends=True)
        said = self._headers(choices, stream, fields, ends=False) + frame(0, 0 if ways & 4 else 1, stream, body)
        return said + self._headers(choices, stream, [("x-trailer", "1")], ends=True) if ways & 4 else said

    def _headers(self, choices: Choices, stream: int, fields: list[tuple[str, str]], *, ends: bool) -> bytes:
        block = self._encoder.encode([(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields])
        cut = choices.pick((0, 0, 0, 1, 7))
        if not cut:
            return frame(1, 4 | ends, stream, block)
        return frame(1, int(ends), stream, block[:cut]) + frame(9, 4, stream, block[cut:])

    def other(self, choices: Choices) -> bytes:
        """Any frame but those of a message."""
        stream = choices.pick((*self.opened[-3:], 0, 0, self.stream, 2))
        return choices.pick(_OTHERS)(choices, stream)


_OTHERS = (
    lambda choices, stream: frame(3, 0, stream, choices.pick((0, 5, 7, 8, 99)).to_bytes(4)),
    lambda choices, stream: frame(8, 0, stream, choices.number().to_bytes(4)),
    lambda choices, stream: frame(4, choices.below(2), 0, choices.some(12)),
    lambda choices, stream: frame(4, 0, 0, b"\0\4" + choices.pick((0, 1, 9, 70_000, 2**31 - 1, 2**31)).to_bytes(4)),
    lambda choices, stream: frame(6, choices.below(2), choices.pick((0, 0, stream)), choices.some(8).ljust(8)),
    lambda choices, stream: frame(2, 0, stream, choices.some(5).ljust(5, b"\0")),
    lambda choices, stream: frame(7, 0, 0, bytes(4) + choices.pick((0, 2)).to_bytes(4)),
    lambda choices, stream: frame(0, choices.pick((0, 1, 8, 9)), stream, choices.some(40)),
    lambda choices, stream: frame(choices.byte(), choices.byte(), stream, choices.some(30)),
    lambda choices, stream: frame(9, 4, stream, choices.some(9)),
    lambda choices, stream: frame(5, 4, stream, choices.some(9)),
)
