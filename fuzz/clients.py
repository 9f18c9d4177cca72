"""What a client may send after login: what drivers send, what they might, and what none does.

Knows `tests.wire.fake_postgres`, whose statements these are, and no machine.
"""

import struct
from collections.abc import Sequence

from fuzz.choices import Choices, damaged
from hoopproxy.events import Format, Parameter
from hoopproxy.wire.postgres import requests
from hoopproxy.wire.postgres.framing import message, string
from hoopproxy.wire.postgres.requests import FLUSH, SYNC, TERMINATE, Named

TEXTS = (
    "select customers",
    "select products",
    "select payments",
    "select t",
    "execute t",
    "switch",
    "switch payments",
    "insert",
    "insert forbidden",
    "insert unrunnable",
    "insert rewritten",
    "begin",
    "commit",
    "rollback",
    "fail",
    "mistyped",
    "copy out",
    "copy in",
    "note",
    "discard all",
    "deallocate all",
    "deallocate a",
    "note \udcff",
    "",
)
STATEMENTS = ("", "a", "b", "c", "d", "n\udcffe")
PORTALS = ("", "p", "q", "r", "s")
LENGTHS = (0, 100, 480, 500, 505, 600, 2500, 5000)
"""Around the limits of `fuzz.stage`."""
FORMATS: tuple[tuple[Format, ...], ...] = (
    (),
    (Format.TEXT,),
    (Format.BINARY,),
    (Format.TEXT, Format.BINARY),
    (Format.BINARY,) * 3,
)
KINDS = b"QPBDECSHdcfFXpRTZ1\0"


def says(choices: Choices) -> bytes:
    """One thing that a client says: a message, a driver's usual few, or noise."""
    return choices.call(
        _query, _parse, _bind, _execute, _describe, _close, _sync, _sync, _driver, _driver, _driver, _copies, _rare
    )


def _query(choices: Choices) -> bytes:
    texts = [choices.pick(TEXTS) for _ in range(1 + choices.below(3))]
    return requests.query(";".join(texts))


def _parse(choices: Choices) -> bytes:
    types = choices.below(4)
    tail = struct.pack(f"!H{types}I", types, *[25] * types)
    return _prepare(choices.pick(STATEMENTS), choices.pick(TEXTS), tail)


def _prepare(name: str, text: str, tail: bytes = b"\0\0") -> bytes:
    return requests.Parse(name, text.encode("utf-8", "surrogateescape"), tail).encode()


def _bind(choices: Choices) -> bytes:
    return _bound(choices, (None, b"", b"1", b"value" * 9))


def _long_bind(choices: Choices) -> bytes:
    said = _bound(choices, (None, b"1", b"v" * choices.pick(LENGTHS), b"v" * choices.pick(LENGTHS)))
    return said[:5] + damaged(choices, said[5:]) if choices.byte() & 7 == 7 else said


def _bound(choices: Choices, values: Sequence[bytes | None]) -> bytes:
    parameters = [Parameter(choices.pick(values), choices.pick(tuple(Format))) for _ in range(choices.below(4))]
    formats = choices.pick(FORMATS)
    return requests.Bind(choices.pick(PORTALS), choices.pick(STATEMENTS), tuple(parameters), formats).encode()


def _execute(choices: Choices) -> bytes:
    return requests.execute(choices.pick(PORTALS), choices.pick((0, 0, 1, 2, -1)))


def _describe(choices: Choices) -> bytes:
    return requests.describe(*_named(choices))


def _close(choices: Choices) -> bytes:
    return requests.close(*_named(choices))


def _named(choices: Choices) -> tuple[Named, str]:
    if choices.byte() & 1:
        return Named.STATEMENT, choices.pick(STATEMENTS)
    return Named.PORTAL, choices.pick(PORTALS)


def _sync(choices: Choices) -> bytes:
    return choices.pick((SYNC, SYNC, FLUSH))


def _driver(choices: Choices) -> bytes:
    """asyncpg and pgjdbc execute what they have not described now; psycopg describes each portal."""
    name, ways = choices.pick(STATEMENTS), choices.byte()
    said = _prepare(name, choices.pick(TEXTS)) if ways & 1 else b""
    said += requests.describe(Named.STATEMENT, name) + SYNC if ways & 2 else b""
    said += requests.Bind("", name, (), choices.pick(FORMATS)).encode()
    said += requests.describe(Named.PORTAL, "") if ways & 4 else b""
    said += requests.execute("", ways >> 6)
    said += requests.execute("") if ways & 8 else b""
    return said + (FLUSH if ways & 16 else SYNC)


def _copies(choices: Choices) -> bytes:
    """A COPY in one go, simple or extended; its data may not end, or end in an error."""
    if choices.byte() & 1:
        said = requests.query("copy in")
    else:
        said = requests.Parse("", b"copy in").encode() + requests.Bind("", "").encode() + requests.execute("") + SYNC
    for _ in range(choices.below(4)):
        said += message(b"d", choices.pick((b"1\tone\n", b"bad\n", b"", b"x" * 700)))
    return said + choices.pick((message(b"c"), message(b"c") + SYNC, message(b"f", string("no")), b""))


def _rare(choices: Choices) -> bytes:
    return choices.call(
        _any_message, _any_message, _lying, _spoiled, _noise, _call, _long, _long, _long_bind, _long_bind, _leave
    )


def _any_message(choices: Choices) -> bytes:
    return message(bytes([choices.pick(KINDS)]), choices.some(40))


def _lying(choices: Choices) -> bytes:
    """A message whose length is another than it says."""
    return bytes([choices.pick(KINDS)]) + struct.pack("!I", choices.number()) + choices.some(40)


def _spoiled(choices: Choices) -> bytes:
    said = choices.call(_query, _parse, _bind, _execute, _describe, _close)
    return damaged(choices, said)


def _noise(choices: Choices) -> bytes:
    return choices.some(255)


def _call(choices: Choices) -> bytes:
    return message(b"F", choices.some(12))


def _long(choices: Choices) -> bytes:
    text = choices.pick(TEXTS) + " " * choices.pick(LENGTHS)
    return requests.query(text) if choices.byte() & 1 else _prepare(choices.pick(STATEMENTS), text)


def _leave(choices: Choices) -> bytes:
    return choices.pick((SYNC, TERMINATE))
