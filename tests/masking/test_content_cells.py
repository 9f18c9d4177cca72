"""What becomes of cells: every type, in text and in binary, keeps a value that its clients can read."""

import json
from datetime import date
from ipaddress import ip_address
from struct import pack
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.events import Format
from hoopproxy.masking.content.cells import Treatment
from hoopproxy.masking.content.detector import Detector
from hoopproxy.masking.content.entities import ENTITIES, USUAL
from hoopproxy.masking.content.marks import Style
from hoopproxy.masking.content.readings import ELEMENTS, READABLE, elements, reading
from hoopproxy.masking.types import BPCHAR, BYTEA, INT4, INT8, JSON, NAME, NUMERIC, TEXT, UUID, VARCHAR, XML, Kind

CARD, MAIL, SSN = b"4539578763621486", b"ada@example.org", b"536-90-4399"
JSONB, FLOAT8, DATE, INET = 3802, 701, 1082, 869
CITEXT = 16500  # an extension's type
DETECTOR = Detector([ENTITIES[name] for name in (*USUAL, "date-of-birth", "ip-address")])


def cells(oid: int, style: Style = Style.REDACT, *, binary: bool = False, modifier: int = -1, name: bytes = b"") -> Any:
    styles = dict.fromkeys((*USUAL, "date-of-birth", "ip-address"), style)
    kind = Kind(oid, modifier, Format.BINARY if binary else Format.TEXT)
    return Treatment(DETECTOR, styles, DETECTOR.named(name)).cells(kind)


@pytest.mark.parametrize("oid", [TEXT, VARCHAR, NAME, XML])
@pytest.mark.parametrize("binary", [False, True])
def test_texts_get_labels_where_these_are_no_longer(oid: int, binary: bool) -> None:
    masked = cells(oid, binary=binary)
    assert masked(b"pay " + CARD + b" or a@b.de, SSN " + SSN) == b"pay [card] or ******, SSN [us-ssn]"
    assert masked(b"nothing 12345678") == b"nothing 12345678"
    assert masked("Zoë ë@ë.de, ".encode()) == "Zoë ******, ".encode()


def test_char_n_keeps_its_width() -> None:
    assert cells(BPCHAR, modifier=24)(MAIL + b"     ") == b"***@*******.***     "
    assert cells(BPCHAR, Style.WHOLE, modifier=24)(MAIL + b"     ") == b"***".ljust(20)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (b"card " + CARD, b"card ************1486"),
        (b"4539 5787 6362 1486", b"**** **** **** 1486"),
        (b"mail " + MAIL, b"mail a**@example.org"),
        ("ëve@example.org".encode(), b"***@example.org"),
        (b"ssn " + SSN, b"ssn ***-**-4399"),
        (b"DE89 3704 0044 0532 0130 00", b"DE** **** **** **** **30 00"),
        (b"+49 30 901820", b"+** ** ****20"),
        (b"AKIAIOSFODNN7EXAMPLE", b"********************"),
    ],
)
def test_partial_masks_keep_the_form(was: bytes, now: bytes) -> None:
    assert cells(TEXT, Style.PARTIAL)(was) == now


def test_whole_masks_leave_nothing_of_the_value() -> None:
    assert cells(TEXT, Style.WHOLE)(b"pay " + CARD) == b"***"
    assert cells(JSON, Style.WHOLE)(b'{"a": "%b"}' % MAIL) == b'"***"'
    assert cells(JSONB, Style.WHOLE, binary=True)(b'\x01{"a": "%b"}' % MAIL) == b'\x01"***"'
    assert cells(CITEXT, Style.WHOLE)(MAIL) is None
    assert cells(TEXT, Style.WHOLE)(b"pay") == b"pay"


# JSON ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('{"a": "ada@example.org",  "b": [4539578763621486, 1.50]}', '{"a": "[email]",  "b": [0, 1.50]}'),
        ('"ada\\u0040example.org \\"x\\""', '"[email] \\"x\\""'),
        ('{"ada@example.org": 1}', '{"[email]": 1}'),
        ('{"ssn": 536904399, "n": 536904399}', '{"ssn": 0, "n": 536904399}'),
        (
            '{"customerSsn": {"value": ["536904399"]}, "n": "536904399"}',
            '{"customerSsn": {"value": ["[us-ssn]"]}, "n": "536904399"}',
        ),
        ('{"ssn": null, "a": {"b": "536904399"}}', '{"ssn": null, "a": {"b": "536904399"}}'),
        (
            '"postgres:\\/\\/app:hunter2@db\\/x"',
            '"postgres://[url-credentials]/x"'.replace("[url-credentials]", "*" * 14),
        ),
        ('"a \\" b"', '"a \\" b"'),
    ],
)
@pytest.mark.parametrize("oid", [JSON, JSONB])
@pytest.mark.parametrize("binary", [False, True])
def test_json_is_masked_within(was: str, now: str, oid: int, binary: bool) -> None:
    head = b"\x01" if oid == JSONB and binary else b""
    assert cells(oid, binary=binary)(head + was.encode()) == head + now.encode()


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    | st.sampled_from([CARD.decode(), MAIL.decode(), f'"{MAIL.decode()}\\', int(CARD), "ssn 536-90-4399"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text() | st.sampled_from(["ssn", "a"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60)
@given(JSONS, st.booleans(), st.sampled_from(Style))
def test_json_stays_json_and_holds_nothing_that_was_found(document: Any, is_ascii: bool, style: Style) -> None:
    was = json.dumps(document, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    now = cells(JSON, style)(was)
    shown = json.loads(now)
    assert MAIL not in now and CARD not in now
    if now == was:
        assert shown == json.loads(was)


@given(st.binary(max_size=200), st.booleans())
def test_what_is_no_json_is_shown_to_nobody(junk: bytes, binary: bool) -> None:
    assert MAIL not in (cells(JSONB, binary=binary)(b"\x01" + junk + b" " + MAIL) or b"")


# Other types ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oid", "binary", "name", "was", "now"),
    [
        (INT8, False, b"", CARD, b"0"),
        (INT8, True, b"", pack("!q", int(CARD)), bytes(8)),
        (INT8, True, b"", pack("!q", 4539578763621487), pack("!q", 4539578763621487)),
        (NUMERIC, False, b"", CARD + b".00", b"0"),
        (NUMERIC, True, b"", pack("!HhHH4H", 4, 3, 0, 0, 4539, 5787, 6362, 1486), pack("!hhHh", 0, 0, 0, 0)),
        (FLOAT8, False, b"", b"4.539578763621486e+15", b"0"),
        (FLOAT8, True, b"", pack("!d", 4539578763621486.0), bytes(8)),
        (INT4, False, b"ssn", b"536904399", b"0"),
        (INT4, True, b"ssn", pack("!i", 536904399), bytes(4)),
        (DATE, False, b"birth_date", b"1985-07-30", b"1900-01-01"),
        (DATE, True, b"birth_date", pack("!i", -5268), bytes.fromhex("ffff7154")),
        (DATE, False, b"due", b"1985-07-30", b"1985-07-30"),
        (INET, False, b"", b"203.0.113.77", b"0.0.0.0"),
        (INET, True, b"", b"\x02\x20\x00\x04\xcb\x00\x71\x4d", bytes.fromhex("0220000400000000")),
        (1016, False, b"", b"{1," + CARD + b"}", b"{}"),
        (1009, False, b"", b'{%b,"x %b"}' % (MAIL, CARD), b'{***@*******.***,"x ****************"}'),
        (CITEXT, False, b"", MAIL, b"***@*******.***"),
        (CITEXT, True, b"", "ë@ex.de".encode(), b"**@**.**"),
        (2249, True, b"", b"\x00\x01" + MAIL + b"\xff", b"\x00\x01***@*******.***\xff"),
        (3614, False, b"", b"'ada@example.org':1", b"'***@*******.***':1"),
    ],
)
def test_values_of_other_types_stay_valid(oid: int, binary: bool, name: bytes, was: bytes, now: bytes) -> None:
    assert cells(oid, binary=binary, name=name)(was) == now


@pytest.mark.parametrize("oid", [16, BYTEA, UUID, INT4, 1186, 1560, 3904])
def test_in_other_types_nothing_is_looked_for(oid: int) -> None:
    assert cells(oid) is None and cells(oid, binary=True) is None


def an_array(element: int, *values: bytes | None) -> bytes:
    parts = [pack("!i", -1) if each is None else pack("!i", len(each)) + each for each in values]
    return pack("!iiIii", 1, None in values, element, len(values), 1) + b"".join(parts)


def test_arrays_in_binary_are_masked_by_element() -> None:
    assert cells(1009, binary=True)(an_array(25, MAIL, None, b"x")) == an_array(25, b"[email]", None, b"x")
    assert cells(3807, binary=True)(an_array(3802, b'\x01"%b"' % MAIL)) == an_array(3802, b'\x01"[email]"')
    assert cells(1016, binary=True)(an_array(20, pack("!q", int(CARD)))) == pack("!iiI", 0, 0, 20)
    same = an_array(20, pack("!q", 1), None)
    assert cells(1016, binary=True)(same) == same
    assert cells(1009, binary=True)(pack("!iiI", 0, 0, 25)) == pack("!iiI", 0, 0, 25)


@given(
    st.binary(max_size=80),
    st.booleans(),
    st.sampled_from(Style),
    st.sampled_from(sorted({*READABLE, *ELEMENTS, TEXT, BPCHAR, JSON, JSONB, XML, CITEXT})),
)
def test_any_bytes_have_an_answer(cell: bytes, binary: bool, style: Style, oid: int) -> None:
    masked = cells(oid, style, binary=binary, name=b"ssn birth date")
    answer = masked(cell)
    assert answer is None or isinstance(answer, bytes)
    assert masked(cell) == answer


TEXTS = st.lists(
    st.sampled_from(
        [CARD, MAIL, SSN, b"4539 5787 6362 1486", b"ssn ", b" ", b",", b"'", b'"', "ë".encode(), b"12", b"\\"]
    ),
    max_size=9,
).map(b"".join)


@settings(max_examples=60)
@given(TEXTS, st.sampled_from([Style.REDACT, Style.PARTIAL]), st.sampled_from([TEXT, BPCHAR, 1009, CITEXT]))
def test_no_mask_is_longer_than_what_it_masks_and_none_breaks_what_is_around(
    cell: bytes, style: Style, oid: int
) -> None:
    masked = cells(oid, style)(cell)
    assert len(masked) == len(cell) if oid == CITEXT else len(masked.decode()) <= len(cell.decode())
    for each in (b'"', b"\\", b","):  # an apostrophe may be part of an address (RFC 5322, atext)
        assert masked.count(each) == cell.count(each)
    if style is Style.REDACT:
        assert cells(oid, style)(masked) == masked


# Against a real server -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "4539578763621486::int8", "-17::int8", "-17::int4", "3::int2", "4539578763621486::numeric", "0::numeric",
        "4539578763621486.00::numeric(20,2)", "20000::float4", "-10000000000000000::numeric",
        "4539578763621486::float8",
        "date '1985-07-30'", "date '0044-03-15'", "timestamp '1985-07-30 23:59:59.999'", "inet '203.0.113.77'",
        "inet '2001:db8::1/64'", "cidr '10.0.0.0/8'", "macaddr '08:00:2b:01:02:03'",
    ],
)  # fmt: skip
def test_both_forms_are_read_alike(connection: psycopg.Connection, value: str) -> None:
    forms = {}
    for binary in (False, True):
        result = connection.execute(f"SELECT {value}", binary=binary).pgresult
        assert result is not None
        cell = result.get_value(0, 0)
        assert cell is not None
        forms[binary] = reading(result.ftype(0), binary=binary)(cell)
    assert forms[True] == forms[False].partition(b".00")[0]


@pytest.mark.parametrize(
    ("value", "cast"),
    [
        (MAIL, "varchar(15)"), (MAIL, "char(20)"), (MAIL, "text"), (CARD, "name"), (b"<a>%b</a>" % MAIL, "xml"),
        (b'{"a": "%b", "n": 4539578763621486}' % MAIL, "jsonb"), (b'["%b\\n"]' % MAIL, "json"),
        (CARD, "int8"), (CARD, "numeric(20,2)"), (CARD, "float8"), (b"{%b,NULL}" % CARD, "int8[]"),
        (b'{%b,"a \\" b"}' % MAIL, "text[]"), (b"{%b}" % MAIL, "varchar(15)[]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("binary", [False, True])
def test_a_server_takes_masked_values_back(
    connection: psycopg.Connection, value: bytes, cast: str, style: Style, binary: bool
) -> None:
    result = connection.execute(f"SELECT %s::{cast}", [value.decode()], binary=binary).pgresult
    assert result is not None
    oid, modifier, cell = result.ftype(0), result.fmod(0), result.get_value(0, 0)
    assert cell is not None
    masked = cells(oid, style, binary=binary, modifier=modifier)(cell)
    assert masked != cell and masked is not None
    back = connection.pgconn.exec_params(
        f"SELECT $1::{cast}".encode(), [masked], param_types=[oid], param_formats=[int(binary)], result_format=0
    )
    assert back.error_message == b"", back.error_message
    shown = back.get_value(0, 0)
    assert shown is not None and MAIL not in shown and CARD not in shown


def test_days_and_arrays_that_no_client_could_read() -> None:
    assert reading(DATE, binary=True)(pack("!i", 0x7FFFFFFF)) == b""
    assert reading(DATE, binary=True)(pack("!i", 0)) == str(date(2000, 1, 1)).encode()
    assert reading(INET, binary=True)(b"\x03\x80\x00\x10" + ip_address("2001:db8::1").packed) == b"2001:db8::1"
    for broken in (
        b"",
        bytes(12)[:11],
        pack("!iiI", 7, 0, 25),
        pack("!iiI", 1, 0, 25),
        pack("!iiIiii", 1, 0, 25, 1, 1, 9),
    ):
        with pytest.raises(ValueError, match="array"):
            list(elements(broken)[1])
