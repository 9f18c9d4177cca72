"""Masked cells against real servers: what they become is read back, in text and in binary, as the same bytes."""

from collections.abc import Iterator
from uuid import RFC_4122, UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.events import Format
from hoopproxy.masking import types
from hoopproxy.masking.hashing import hashing
from hoopproxy.masking.types import Kind

KEY = b"k" * 32
MODIFIED = [
    "numeric(10,2)",
    "numeric(5,0)",
    "numeric(3,-2)",
    "varchar(2)",
    "varchar(40)",
    "char(1)",
    "char(8)",
    "bit(9)",
]
FORMATS = (Format.TEXT, Format.BINARY)


def _named(connection: psycopg.Connection) -> Iterator[str]:
    oids = {*types._FIXED, *types._RANGES, *types._MULTIRANGES, *types._ARRAYS, *types.TEXTS, types.NUMERIC, types.BIT}
    for oid in sorted(oids):
        if oid != types.BIT:  # `bit` alone means bit(1)
            (name,) = connection.execute("SELECT format_type(%s, NULL)", (oid,)).fetchone() or ("",)
            yield name
    yield from (*MODIFIED, "bit(1)")


def _kind(connection: psycopg.Connection, name: str, format: Format) -> Kind:
    result = connection.pgconn.exec_(f"SELECT NULL::{name}".encode())
    return Kind(result.ftype(0), result.fmod(0), format)


def _read_back(connection: psycopg.Connection, name: str, cell: bytes, kind: Kind) -> bytes | None:
    """What the server makes of a cell when it comes as a parameter, in the cell's own format."""
    result = connection.pgconn.exec_params(
        f"SELECT $1::{name}".encode(), [cell], [kind.oid], [int(kind.binary)], int(kind.binary)
    )
    assert not result.error_message, f"{name} {kind}: {result.error_message!r}"
    return result.get_value(0, 0)


def test_every_constant_is_what_the_server_itself_would_send(connection: psycopg.Connection) -> None:
    for name in _named(connection):
        for format in FORMATS:
            kind = _kind(connection, name, format)
            constant = kind.constant()
            assert constant is not None, name
            assert _read_back(connection, name, constant, kind) == constant, f"{name} {format}"


@pytest.mark.parametrize("definition", ["ENUM ('a')", "(a int)"])
def test_a_type_of_the_databases_own_has_no_constant(connection: psycopg.Connection, definition: str) -> None:
    connection.execute(f"CREATE TYPE mine AS {definition}")  # type: ignore[arg-type] # no user's text in it
    assert _kind(connection, "mine", Format.TEXT).constant() is None


def test_a_domain_is_masked_as_its_base_type(connection: psycopg.Connection) -> None:
    connection.execute("CREATE DOMAIN short AS varchar(3)")
    assert _kind(connection, "short", Format.TEXT) == Kind(types.VARCHAR, 7, Format.TEXT)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("text", ["", "Ada", "Zoë"]),
        ("varchar(12)", ["Ada"]),
        ("char(12)", ["Ada"]),
        ("name", ["Ada"]),
        ("bytea", ["", "\\x00ff5c27", "abc"]),
        ("uuid", ["9b1f6a52-4c3e-4d7a-8f21-0a6b7c8d9e01"]),
        ("int2", ["-32768", "0", "7"]),
        ("int4", ["-2147483648", "748213"]),
        ("int8", ["9223372036854775807", "-1"]),
    ],
)
def test_a_hash_is_valid_and_the_same_in_both_formats(
    connection: psycopg.Connection, name: str, values: list[str]
) -> None:
    seen = set()
    for value in values:
        read = []
        for format in FORMATS:
            kind = _kind(connection, name, format)
            cell = connection.pgconn.exec_params(
                f"SELECT $1::{name}".encode(), [value.encode()], None, None, int(kind.binary)
            ).get_value(0, 0)
            assert cell is not None
            hashed = hashing(KEY, kind)
            assert hashed is not None
            masked = hashed(cell)
            assert masked != cell
            assert _read_back(connection, name, masked, kind) == masked
            read.append(
                connection.pgconn.exec_params(
                    f"SELECT $1::{name}".encode(), [masked], [kind.oid], [int(kind.binary)], 0
                )
            )
        assert read[0].get_value(0, 0) == read[1].get_value(0, 0)
        seen.add(read[0].get_value(0, 0))
    assert len(seen) == len(values)


def test_a_bytea_hashes_alike_in_both_text_forms(connection: psycopg.Connection) -> None:
    hashed = hashing(KEY, Kind(types.BYTEA, -1, Format.TEXT))
    assert hashed is not None
    made = set()
    for form in ("hex", "escape"):
        connection.execute(f"SET bytea_output = {form}")  # type: ignore[arg-type] # no user's text in it
        made.add(hashed(connection.pgconn.exec_(rb"SELECT '\x005c27ff41'::bytea").get_value(0, 0) or b""))
    assert len(made) == 1


@given(some.binary(max_size=24), some.sampled_from([types.UUID, *types.INTEGERS]), some.sampled_from(FORMATS))
def test_a_hash_of_a_broken_cell_is_an_error_and_never_the_cell(cell: bytes, oid: int, format: Format) -> None:
    hashed = hashing(KEY, Kind(oid, -1, format))
    assert hashed is not None
    try:
        assert hashed(cell) != cell or len(cell) <= 2  # two bytes may hash to themselves
    except ValueError:
        pass


def test_a_hashed_uuid_says_that_it_is_made_by_rule_of_ones_own() -> None:
    hashed = hashing(KEY, Kind(types.UUID, -1, Format.TEXT))
    assert hashed is not None
    made = UUID(hashed(b"9B1F6A52-4C3E-4D7A-8F21-0A6B7C8D9E01").decode())
    assert (made.version, made.variant) == (8, RFC_4122)
    assert hashed(b"9b1f6a52-4c3e-4d7a-8f21-0a6b7c8d9e01") == str(made).encode()


def test_another_key_gives_another_hash() -> None:
    kind = Kind(types.TEXT, -1, Format.TEXT)
    one, other = hashing(b"1" * 32, kind), hashing(b"2" * 32, kind)
    assert one is not None
    assert other is not None
    assert one(b"Ada") != other(b"Ada")
