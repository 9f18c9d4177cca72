"""A client's first packet: whatever the bytes and however they are cut, a value or one clear sentence."""

import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.errors import LimitReached, ProtocolViolation, Refused, SessionError
from hoopproxy.model import Credentials
from hoopproxy.wire.postgres.startup import (
    PASSED_ON,
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    SSL_REQUEST,
    CancelRequest,
    DirectTls,
    First,
    GssRequest,
    SslRequest,
    Startup,
    cancel_request,
    credentials,
    is_readable,
    read_first,
)

BYTES_MAX = 10_240
GSS_REQUEST = struct.pack("!iI", 8, 80877104)


def packet(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!iI", 8 + len(body), code) + body


def startup(parameters: Mapping[str, str], version: int = PROTOCOL_3_0) -> bytes:
    return paired(*parameters.items(), version=version)


def paired(*pairs: tuple[str, str], version: int = PROTOCOL_3_0) -> bytes:
    """A startup packet in which a name may stand more than once."""
    return packet(version, b"".join(f"{name}\0{value}\0".encode() for name, value in pairs) + b"\0")


def read(data: bytes) -> tuple[First, int] | None:
    return read_first(data, BYTES_MAX)


def read_startup(data: bytes) -> Startup:
    found = read(data)
    assert found is not None and isinstance(found[0], Startup)
    return found[0]


def wanted(**parameters: str) -> Credentials:
    """What a client with these parameters wants."""
    whole = {"user": "reader", "database": "ledger"} | parameters
    return credentials(read_startup(startup(whole)))


ADA = startup({"user": "ada", "database": "ledger/books", "application_name": "psql"})
WHOLE: dict[str, tuple[bytes, First]] = {
    "ssl": (SSL_REQUEST, SslRequest()),
    "gss": (GSS_REQUEST, GssRequest()),
    "cancel 3.0": (cancel_request(7, b"key4"), CancelRequest(7, b"key4")),
    "cancel 3.2": (cancel_request(2**32 - 1, b"k" * 256), CancelRequest(2**32 - 1, b"k" * 256)),
    "startup": (
        ADA,
        Startup(PROTOCOL_3_0, {"user": "ada", "database": "ledger/books", "application_name": "psql"}, ()),
    ),
    "nobody": (startup({}), Startup(PROTOCOL_3_0, {}, ())),
}


# Bytes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WHOLE)
def test_a_packet_is_read_once_it_is_whole_and_tells_its_length(kind: str) -> None:
    data, value = WHOLE[kind]
    for end in range(len(data)):
        assert read(data[:end]) is None
    assert read(data) == (value, len(data))
    assert read(data + b"behind it") == (value, len(data))


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_whatever_arrives_is_a_packet_or_a_sentence_however_it_is_cut(body: bytes, front: bytes) -> None:
    """The first cut that decides, decides as all the bytes at once do."""
    for data in (front + body, packet(PROTOCOL_3_0, body), packet(80877102, body), packet(80877103, body)):
        decisions = [decision for end in range(len(data) + 1) if (decision := decided(data[:end])) is not None]
        assert len(set(map(repr, decisions))) <= 1


def decided(data: bytes) -> object:
    try:
        return read(data)
    except (ProtocolViolation, LimitReached) as why:
        return why.sentence


@pytest.mark.parametrize("length", [0, 1, 4, 7, -1, -(2**31)])
def test_a_length_that_no_packet_has_is_a_violation(length: int) -> None:
    with pytest.raises(ProtocolViolation, match="impossible length"):
        read(struct.pack("!iI", length, PROTOCOL_3_0))


@pytest.mark.parametrize("length", [BYTES_MAX + 1, 2**30, 2**31 - 1])
def test_a_packet_over_the_limit_is_refused_by_its_length_alone(length: int) -> None:
    with pytest.raises(LimitReached, match=f"{length} bytes") as why:
        read(struct.pack("!iI", length, PROTOCOL_3_0))
    assert why.value.limit == "limits.startup_bytes_max"


def test_a_packet_as_long_as_the_limit_passes() -> None:
    name = "application_name"
    room = BYTES_MAX - len(startup({name: ""}))
    assert read_startup(startup({name: "x" * room})).parameters == {name: "x" * room}


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "protocol 1.0": packet(1 << 16),
    "protocol 2.0": packet(2 << 16, bytes(288)),
    "protocol 4.0": packet(4 << 16, b"\0"),
    "no protocol": packet(0, b"\0"),
    "unknown request": packet(80877105),
    "ssl with a body": packet(80877103, b"\0"),
    "gss with a body": packet(80877104, b"\0\0\0\0"),
    "cancel without a key": packet(80877102, bytes(4)),
    "cancel with a short key": packet(80877102, bytes(7)),
    "cancel with a long key": packet(80877102, bytes(4 + 257)),
    "no terminator": packet(PROTOCOL_3_0, b"user\0ada\0"),
    "no body": packet(PROTOCOL_3_0),
    "a name without a value": packet(PROTOCOL_3_0, b"user\0"),
    "more behind the end": packet(PROTOCOL_3_0, b"user\0ada\0\0more\0"),
    "a user that is not UTF-8": packet(PROTOCOL_3_0, b"user\0\xff\0\0"),
    "a name that is not UTF-8": packet(PROTOCOL_3_0, b"\xc3\0x\0\0"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_first_packet_ends_with_a_sentence_for_the_client(kind: str) -> None:
    with pytest.raises(SessionError) as why:
        read(GARBAGE[kind])
    assert isinstance(why.value, ProtocolViolation | LimitReached)
    assert "client" in why.value.sentence and why.value.sentence.endswith(".")


def test_another_protocol_version_is_named() -> None:
    with pytest.raises(ProtocolViolation, match=r"protocol 2\.0, and the gateway speaks 3\.0 to 3\.2"):
        read(packet(2 << 16))


def test_a_tls_handshake_is_known_by_its_first_byte() -> None:
    assert read(b"\x16") == read(b"\x16\x03\x01\x02\x00\x01") == (DirectTls(), 0)


# Negotiation --------------------------------------------------------------------------------------------------------


GREASE = "_pq_.test_protocol_negotiation"
"""What libpq 19 asks for, with version 3.9999, to find out who does not negotiate."""

NEGOTIATED: list[tuple[int, tuple[str, ...], int | None]] = [
    (0, (), None),
    (1, (), None),
    (2, (), None),
    (3, (), 2),
    (9999, (), 2),
    (0, ("_pq_.x",), 0),
    (1, ("_pq_.x",), 1),
    (2, ("_pq_.x", "_pq_.y"), 2),
    (2, ("_pq_.x", "_pq_.x"), 2),
    (9999, (GREASE,), 2),
]
"""The minor version and options that a client asks for, and the minor version that PostgreSQL 18 answers, if it does
(tests/live/test_protocol.py asks it)."""


@pytest.mark.parametrize(("minor", "names", "newest"), NEGOTIATED)
def test_what_we_do_not_speak_is_negotiated_away(minor: int, names: tuple[str, ...], newest: int | None) -> None:
    pairs = [("user", "ada"), *((name, "1") for name in names)]
    asked = read_startup(paired(*pairs, version=PROTOCOL_3_0 + minor))
    assert asked.parameters == {"user": "ada"}
    if newest is None:
        assert asked.negotiation == b""
    else:
        listed = b"".join(name.encode() + b"\0" for name in names)
        body = struct.pack("!HHI", 3, newest, len(names)) + listed
        assert asked.negotiation == b"v" + struct.pack("!i", 4 + len(body)) + body


@pytest.mark.parametrize(("minor", "key_bytes"), [(0, 4), (1, 4), (2, 32), (3, 32), (9999, 32)])
def test_the_cancel_key_is_as_long_as_the_version_has_room_for(minor: int, key_bytes: int) -> None:
    assert read_startup(startup({"user": "ada"}, PROTOCOL_3_0 + minor)).key_bytes == key_bytes
    assert PROTOCOL_3_2 == PROTOCOL_3_0 + 2


# What is wanted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "target", "database"),
    [
        ("t", "t", ""),
        ("t/db", "t", "db"),
        ("t/", "t", ""),
        ("t/a/b", "t", "a/b"),
        ("", "reader", ""),
        ("/db", "", "db"),
    ],
)
def test_the_database_names_a_target_and_perhaps_one_of_its_databases(given: str, target: str, database: str) -> None:
    found = wanted(database=given)
    assert (found.target_name, found.database, found.account) == (target, database, "reader")


def test_a_missing_database_is_the_users_name_as_in_postgresql() -> None:
    assert credentials(read_startup(startup({"user": "ada"}))).target_name == "ada"


@pytest.mark.parametrize(
    ("user", "given", "account", "target", "database"),
    [
        ("reader+t", "db", "reader", "t", "db"),
        ("reader+t", "", "reader", "t", ""),
        ("reader+t", "reader+t", "reader", "t", ""),
        ("reader+t", "t", "reader", "t", "t"),
        ("reader+t", "t/db", "reader", "t", "t/db"),
        ("reader+t", "reader", "reader", "t", "reader"),
        ("a+b+t", "db", "a+b", "t", "db"),
        ("reader+", "db", "reader", "", "db"),
        ("reader+t/db", "x", "reader", "t/db", "x"),
    ],
)
def test_a_user_may_name_the_target_and_leave_the_database_to_tools(
    user: str, given: str, account: str, target: str, database: str
) -> None:
    found = wanted(user=user, database=given)
    assert (found.account, found.target_name, found.database) == (account, target, database)


@pytest.mark.parametrize("parameters", [{}, {"user": ""}, {"database": "ledger"}, {"user": "+ledger"}])
def test_a_client_without_a_user_is_told(parameters: dict[str, str]) -> None:
    with pytest.raises(Refused, match="names no user"):
        credentials(read_startup(startup(parameters)))


@pytest.mark.parametrize("name", sorted(PASSED_ON - {"client_encoding", "standard_conforming_strings"}))
def test_a_setting_of_the_session_alone_passes(name: str) -> None:
    assert wanted(**{name.title(): "1"}).parameters == {name: "1"}


def test_the_documentation_lists_them() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "postgres.md").read_text()
    (listed,) = re.findall(r"in `options`:\n`([^`]+)`", page)
    assert {name.lower() for name in listed.split()} == PASSED_ON


SPELLINGS = ("-c {0}={1}", "-c{0}={1}", "--{0}={1}", "  -c   {0}={1}\t")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_options_pass_in_every_spelling(spelling: str) -> None:
    found = wanted(options=spelling.format("statement_timeout", "5s"))
    assert found.parameters == {"statement_timeout": "5s"}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_dash_in_an_options_name_is_an_underscore(spelling: str) -> None:
    assert wanted(options=spelling.format("Search-Path", "a-b")).parameters == {"search_path": "a-b"}


def test_a_backslash_keeps_the_character_behind_it() -> None:
    found = wanted(options=r"-c search_path=a,\ b\\c -c application_name='it''s' --DateStyle=ISO,\ DMY")
    assert found.parameters == {"search_path": r"a, b\c", "application_name": "'it''s'", "datestyle": "ISO, DMY"}


def test_a_parameter_of_its_own_comes_after_the_options_as_in_postgresql() -> None:
    assert wanted(options="-c jit=on", jit="off").parameters == {"jit": "off"}
    assert wanted(options="-c jit=on -c jit=off").parameters == {"jit": "off"}


NAMES_OFF = """role ROLE session_authorization Session-Authorization row_security local_preload_libraries
    session_replication_role log_statement backslash_quote ledger.tenant""".split()


@pytest.mark.parametrize("name", [*NAMES_OFF, "", "search_path\v"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_option_off_the_list_is_refused_in_every_spelling(spelling: str, name: str) -> None:
    with pytest.raises(Refused) as why:
        wanted(options=spelling.format(name, "x"))
    assert why.value.sentence.endswith(".")


@pytest.mark.parametrize("name", NAMES_OFF)
def test_a_parameter_off_the_list_is_refused_by_name(name: str) -> None:
    with pytest.raises(Refused, match="can't be chosen"):
        wanted(**{name: "x"})


@pytest.mark.parametrize(
    "options",
    [
        "-c role=postgres",
        "-crole=postgres",
        "--role=postgres",
        r"-c r\ole=postgres",
        r"-c search_path=x -c\ role=postgres",
        "-c search_path=x\v-c role=postgres",
        "-c search_path=x\f-crole=postgres",
        "-c\vrole=postgres",
        "-c search_path=x\n-c\nrole=postgres",
        "-ec role=postgres",
        "-W 0 -c role=postgres",
        "-c search_path=x -- -c role=postgres",
        "-- role=postgres",
        "-c search_path=a\\",
        "-c replication=1",
        "--replication=database",
        "- c jit=on",
        "-S 5000",
        "-e",
        "-f s",
        "-W",
        "role=postgres",
        "-c",
        "-c jit",
        "--jit",
        "--",
        "'-c' jit=on",
    ],
)
def test_options_that_do_anything_else_are_refused(options: str) -> None:
    with pytest.raises(Refused):
        wanted(options=options)


@given(st.text(alphabet="-cS \\'\"=\t\vrole_jit#\0"[:-1], max_size=30))
def test_options_are_settings_of_the_list_or_refused(options: str) -> None:
    with suppress(Refused):
        assert wanted(options=options).parameters.keys() <= PASSED_ON


@pytest.mark.parametrize(
    "value", ["true", "on", "1", "yes", "database", "DATABASE", "t", "tr", "x", "o", "", " 0", "00"]
)
def test_replication_is_refused(value: str) -> None:
    with pytest.raises(Refused, match="Replication"):
        wanted(replication=value)
    with pytest.raises(Refused, match="Replication"):
        credentials(read_startup(paired(("user", "ada"), ("replication", "off"), ("replication", value))))


@pytest.mark.parametrize("value", ["false", "off", "of", "0", "no", "FALSE", "f", "fa", "n"])
def test_replication_switched_off_is_nothing(value: str) -> None:
    assert wanted(replication=value).parameters == {}


@pytest.mark.parametrize("name", ["User", "DATABASE", "Replication", "Options", "replication "])
def test_a_name_in_another_case_is_the_name_of_a_setting_that_there_is_not(name: str) -> None:
    """As in PostgreSQL, which then looks for a setting; what stands there counts for nothing else."""
    with pytest.raises(Refused, match="can't be chosen"):
        wanted(**{name: "-c role=postgres"})


def test_of_a_parameter_that_is_given_twice_the_last_counts_as_in_postgresql() -> None:
    found = credentials(
        read_startup(
            paired(
                ("user", "postgres"),
                ("user", "reader"),
                ("database", "elsewhere"),
                ("database", "ledger"),
                ("jit", "a"),
                ("JIT", "b"),
                ("jit", "c"),
                ("options", "-c role=postgres"),
                ("options", "-c geqo=off -c GEQO=on"),
            )
        )
    )
    assert (found.account, found.target_name, found.parameters) == ("reader", "ledger", {"jit": "c", "geqo": "on"})


@pytest.mark.parametrize("encoding", ["UTF8", "utf-8", "'utf-8'", "UNICODE", "SQL_ASCII", "LATIN1", "WIN1252"])
def test_encodings_in_which_ascii_is_ascii_pass(encoding: str) -> None:
    assert is_readable(encoding)
    assert wanted(client_encoding=encoding).parameters == {"client_encoding": encoding}


@pytest.mark.parametrize(
    "encoding", ["SJIS", "Shift_JIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB", "", "WIN932", "win125x"]
)
@pytest.mark.parametrize("name", ["client_encoding", "options"])
def test_encodings_in_which_a_backslash_may_be_half_a_character_are_refused(name: str, encoding: str) -> None:
    assert not is_readable(encoding)
    with pytest.raises(Refused, match="UTF8"):
        wanted(**{name: encoding if name == "client_encoding" else f"-c client_encoding={encoding}"})


@pytest.mark.parametrize("value", ["off", "OFF", "false", "0", "no", "of", "", "o-n"])
@pytest.mark.parametrize("name", ["standard_conforming_strings", "options"])
def test_standard_conforming_strings_stay_on(name: str, value: str) -> None:
    with pytest.raises(Refused, match="must stay on"):
        wanted(**{name: value if name != "options" else f"-c standard_conforming_strings={value}"})
    assert wanted(standard_conforming_strings="ON").parameters == {"standard_conforming_strings": "ON"}
