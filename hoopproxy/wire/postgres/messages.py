"""What a PostgreSQL server sends, message by message, as bytes and as values (chapter "Message Formats").

Knows no order of messages and no state: what may follow what is the business of `machine`, `login` and `startup`.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence

from hoopproxy.events import Field
from hoopproxy.model import Side
from hoopproxy.wire.postgres.framing import FORMATS, Reader, message, string, value

INSUFFICIENT_PRIVILEGE = "42501"
"""The SQLSTATE of a refusal (appendix "PostgreSQL Error Codes")."""

COLUMNS_MAX = 1664
"""What a result may have (PostgreSQL's MaxTupleAttributeNumber)."""

QUERY_CANCELED = "57014"
PROGRAM_LIMIT_EXCEEDED = "54000"

# Errors and notices -------------------------------------------------------------------------------------------------


def read_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse by their letter (S, V, C, M, D, H, …)."""
    reader, fields = Reader(Side.SERVER, body), {}
    while (letter := reader.take(1)) != b"\0":
        fields[letter.decode("latin-1")] = reader.string()
    reader.end()
    return fields


def _fields(fields: Mapping[str, str]) -> bytes:
    return b"".join(letter.encode("latin-1") + string(text) for letter, text in fields.items()) + b"\0"


def error_response(fields: Mapping[str, str]) -> bytes:
    """An ErrorResponse of these fields, in this order."""
    return message(b"E", _fields(fields))


def notice_response(fields: Mapping[str, str]) -> bytes:
    """A NoticeResponse of these fields, in this order."""
    return message(b"N", _fields(fields))


def error(sentence: str, code: str = INSUFFICIENT_PRIVILEGE, severity: str = "ERROR", hint: str = "") -> bytes:
    """An ErrorResponse of ours: a full sentence under a SQLSTATE. FATAL means that the connection ends."""
    fields = {"S": severity, "V": severity, "C": code, "M": sentence}
    return error_response(fields | {"H": hint} if hint else fields)


def notice(sentence: str, code: str = "00000") -> bytes:
    """A NoticeResponse of ours."""
    return notice_response({"S": "NOTICE", "V": "NOTICE", "C": code, "M": sentence})


# From the server ----------------------------------------------------------------------------------------------------


def parameter_status(name: str, setting: str) -> bytes:
    """A setting that the server reports."""
    return message(b"S", string(name) + string(setting))


def read_parameter_status(body: bytes) -> tuple[str, str]:
    """Name and value."""
    reader = Reader(Side.SERVER, body)
    setting = reader.string(), reader.string()
    reader.end()
    return setting


def negotiate_protocol_version(newest: int, options: Sequence[str]) -> bytes:
    """The newest version (major << 16 | minor) that a server speaks with this client, and which protocol options
    (`_pq_.…`) it doesn't know."""
    return message(b"v", struct.pack("!II", newest, len(options)) + b"".join(map(string, options)))


def read_negotiate_protocol_version(body: bytes) -> tuple[int, tuple[str, ...]]:
    """Version and options."""
    reader = Reader(Side.SERVER, body)
    newest, count = reader.numbers("II")
    options = tuple(reader.string() for _ in range(count))
    reader.end()
    return newest, options


def backend_key_data(process_id: int, key: bytes) -> bytes:
    """What a client shows to cancel. The key has 4 bytes in protocol 3.0 and up to 256 from 3.2 on."""
    return message(b"K", struct.pack("!I", process_id) + key)


def read_backend_key_data(body: bytes) -> tuple[int, bytes]:
    """Process id and key."""
    reader = Reader(Side.SERVER, body)
    return reader.numbers("I")[0], reader.rest()


def ready_for_query(status: bytes) -> bytes:
    """`status`: I idle, T in a transaction block, E in a failed one."""
    return message(b"Z", status)


def command_complete(tag: str) -> bytes:
    """A statement ended well."""
    return message(b"C", string(tag))


def read_row_description(body: bytes, path: Callable[[int, int], str]) -> tuple[Field, ...]:
    """The columns of a result. `path(table_oid, column_number)` names a column of a relation, or answers ""."""
    reader, fields = Reader(Side.SERVER, body), []
    count = reader.count()
    if count > COLUMNS_MAX:
        raise reader.broken("more columns than a result may have")
    for _ in range(count):
        name = reader.string()
        table_oid, column_number, type_oid, _size, modifier = reader.numbers("IhIhi")
        column = path(table_oid, column_number)
        fields.append(Field(name, column, table_oid, column_number, type_oid, modifier, reader.format()))
    reader.end()
    return tuple(fields)


def with_origins(body: bytes, origin: Callable[[int, int], tuple[int, int]]) -> bytes:
    """The body of a RowDescription, which was read before, with what `origin` makes of each column's table OID and
    column number; as long as it was."""
    patched, at = bytearray(body), 2
    for _ in range(int.from_bytes(body[:2])):
        at = body.index(b"\0", at) + 1
        struct.pack_into("!Ih", patched, at, *origin(*struct.unpack_from("!Ih", body, at)))
        at += 18
    return bytes(patched)


def row_description(fields: Iterable[Field]) -> bytes:
    """The columns of a result; every type's size is said to vary (−1)."""
    columns = [
        string(column.name)
        + struct.pack("!IhIhi", column.table_oid, column.column_number, column.type_oid, -1, column.type_modifier)
        + struct.pack("!h", FORMATS.index(column.format))
        for column in fields
    ]
    return message(b"T", struct.pack("!H", len(columns)) + b"".join(columns))


def data_row(cells: Sequence[bytes | None]) -> bytes:
    """One row."""
    return message(b"D", struct.pack("!H", len(cells)) + b"".join(map(value, cells)))


def read_data_row(body: bytes) -> tuple[bytes | None, ...]:
    """The cells of one row."""
    reader = Reader(Side.SERVER, body)
    cells = tuple(reader.value() for _ in range(reader.count()))
    reader.end()
    return cells


def without_payload(body: bytes) -> bytes:
    """A NotificationResponse of which only the sender and the channel are left."""
    reader = Reader(Side.SERVER, body)
    sender, channel, _payload = reader.take(4), reader.string(), reader.string()
    reader.end()
    return message(b"A", sender + string(channel) + b"\0")
