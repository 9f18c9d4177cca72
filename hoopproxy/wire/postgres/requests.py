"""What a PostgreSQL client sends after login, message by message (documentation chapter "Message Formats").

Knows no order of messages and no state.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from hoopproxy.events import Field, Format, Omitted, Parameter
from hoopproxy.model import Side
from hoopproxy.wire.postgres.framing import FORMATS, Reader, message, string, value


def query(text: str) -> bytes:
    """A simple query."""
    return message(b"Q", string(text))


def raw_query(text: bytes) -> bytes:
    """A simple query in whatever encoding the server reads."""
    return message(b"Q", text + b"\0")


TERMINATE = message(b"X")
SYNC = message(b"S")
FLUSH = message(b"H")


class Named(Enum):
    """What Describe and Close speak of; the values are their letters on the wire."""

    STATEMENT = b"S"
    PORTAL = b"P"


@dataclass(frozen=True, slots=True)
class Parse:
    """Prepare `text` under `name` ("" is the unnamed statement). `tail` are the parameter types, as sent.

    `raw_text` is what the server would read; it need not be UTF-8.
    """

    name: str
    raw_text: bytes
    tail: bytes = b"\0\0"

    @classmethod
    def read(cls, body: bytes) -> "Parse":
        """From a message's body. @raise ProtocolViolation."""
        reader = Reader(Side.CLIENT, body)
        name, raw_text, tail = reader.string(), reader.raw_string(), reader.rest()
        types = Reader(Side.CLIENT, tail)
        types.take(4 * types.count())
        types.end()
        return cls(name, raw_text, tail)

    def encode(self) -> bytes:
        """As on the wire."""
        return message(b"P", string(self.name) + self.raw_text + b"\0" + self.tail)


@dataclass(frozen=True, slots=True)
class BindHead:
    """A Bind up to its first value: format codes as sent (none, one for all, or one for each), and how many values."""

    portal: str
    statement: str
    formats: tuple[Format, ...]
    count: int

    @classmethod
    def read(cls, reader: Reader) -> "BindHead":
        """From the front of a message's body. @raise ProtocolViolation."""
        portal, statement = reader.string(), reader.string()
        formats = tuple(reader.format() for _ in range(reader.count()))
        count = reader.count()
        if len(formats) not in (0, 1, count):
            raise reader.broken("more or fewer format codes than values")
        return cls(portal, statement, formats, count)

    def parameters(self, values: Sequence[bytes | Omitted | None]) -> tuple[Parameter, ...]:
        """The values, each with its format."""
        each = self.formats
        if len(each) != self.count:
            each = (each[:1] or (Format.TEXT,)) * self.count
        return tuple(Parameter(value, format) for value, format in zip(values, each, strict=True))


@dataclass(frozen=True, slots=True)
class Bind:
    """Make a portal of a statement. `result_formats` as sent: none (all text), one for all, or one for each column."""

    portal: str
    statement: str
    parameters: tuple[Parameter, ...] = ()
    result_formats: tuple[Format, ...] = ()

    @classmethod
    def read(cls, body: bytes) -> "Bind":
        """From a message's body. @raise ProtocolViolation."""
        reader = Reader(Side.CLIENT, body)
        head = BindHead.read(reader)
        values = [reader.value() for _ in range(head.count)]
        result_formats = tuple(reader.format() for _ in range(reader.count()))
        reader.end()
        return cls(head.portal, head.statement, head.parameters(values), result_formats)

    def encode(self) -> bytes:
        """As on the wire, with a format code for each parameter."""
        formats = _codes(tuple(parameter.format for parameter in self.parameters))
        values = b"".join(value(_held(parameter)) for parameter in self.parameters)
        count = struct.pack("!H", len(self.parameters))
        return message(
            b"B",
            string(self.portal) + string(self.statement) + formats + count + values + _codes(self.result_formats),
        )

    def applied_to(self, fields: tuple[Field, ...]) -> tuple[Field, ...]:
        """The columns of a described statement, in the formats that this Bind asks for."""
        each = self.result_formats
        if len(each) != len(fields):
            each = (each[:1] or (Format.TEXT,)) * len(fields)
        if all(column.format is format for column, format in zip(fields, each, strict=True)):
            return fields
        return tuple(replace(column, format=format) for column, format in zip(fields, each, strict=True))


def _held(parameter: Parameter) -> bytes | None:
    if isinstance(parameter.value, Omitted):
        raise AssertionError("a value that went by in pieces is not there any more")
    return parameter.value


def _codes(formats: tuple[Format, ...]) -> bytes:
    return struct.pack(f"!H{len(formats)}h", len(formats), *map(FORMATS.index, formats))


def read_named(body: bytes) -> tuple[Named, str]:
    """Of a Describe or Close: what kind of thing, and its name. @raise ProtocolViolation."""
    reader = Reader(Side.CLIENT, body)
    letter, name = reader.take(1), reader.string()
    reader.end()
    if letter not in (b"S", b"P"):
        raise reader.broken("neither S nor P for what it names")
    return Named(letter), name


def describe(named: Named, name: str) -> bytes:
    """A Describe."""
    return message(b"D", named.value + string(name))


def close(named: Named, name: str) -> bytes:
    """A Close."""
    return message(b"C", named.value + string(name))


def execute(portal: str, rows_max: int = 0) -> bytes:
    """An Execute; `rows_max` 0 means all rows."""
    return message(b"E", string(portal) + struct.pack("!i", rows_max))


def read_execute(body: bytes) -> str:
    """The portal's name. @raise ProtocolViolation."""
    reader = Reader(Side.CLIENT, body)
    portal = reader.string()
    reader.numbers("i")
    reader.end()
    return portal
