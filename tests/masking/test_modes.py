"""What the finer masks make of cells on the wire. That servers do the same: tests/shadows/test_expressions.py."""

import json
import re
from struct import pack
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.events import Call, Constant, Field, Format, Null, Shape
from hoopproxy.masking import documents, plans
from hoopproxy.masks import (
    NO_CATALOG,
    Generalise,
    JsonPaths,
    KeyedHash,
    Mask,
    Nullify,
    Partial,
    PerCell,
    Redact,
    Token,
    Truncate,
)

TOKEN = Token(b"k" * 32)
DATE, TIMESTAMP, TIMESTAMPTZ, TEXT, NUMERIC, FLOAT4, FLOAT8 = 1082, 1114, 1184, 25, 1700, 700, 701
INT2, INT4, INT8, JSON, JSONB = 21, 23, 20, 114, 3802

EVERY = (
    *(Redact(), Nullify(), Partial(), KeyedHash(b"k"), Truncate("year"), Generalise(10), TOKEN, JsonPaths(("$.a",))),
    PerCell(bytes.upper, "mine"),
)


def masked(mask: Mask, oid: int, cell: bytes, format: Format = Format.TEXT, modifier: int = -1) -> bytes | None:
    """What becomes of one cell."""
    match plans.operation(Field("f", "", 0, 0, oid, modifier, format), "policy", mask):
        case Call(function, _):
            return function(cell)
        case Constant(value):
            return value
        case Null():
            return None
        case other:
            raise AssertionError(other)


def text(mask: Mask, oid: int, cell: str) -> str | None:
    made = masked(mask, oid, cell.encode())
    return None if made is None else made.decode()


def test_every_mask_is_one_that_a_masker_may_answer() -> None:
    assert {type(mask) for mask in EVERY} == set(get_args(Mask.__value__))
    for mask in EVERY:
        shape = Shape((Field("f", "", 0, 0, TEXT, -1, Format.TEXT),))
        assert plans.compile(shape, [("mine", {0: mask})], NO_CATALOG, frozenset()).masks


# Truncate ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oid", "unit", "cell", "made"),
    [
        (DATE, "year", "2024-03-05", "2024-01-01"),
        (DATE, "month", "2024-03-05", "2024-03-01"),
        (DATE, "month", "0044-03-15 BC", "0044-03-01 BC"),
        (DATE, "year", "12024-12-31", "12024-01-01"),
        (DATE, "year", "infinity", "infinity"),
        (DATE, "month", "-infinity", "-infinity"),
        (DATE, "year", "4714-11-24 BC", "1900-01-01"),
        (DATE, "year", "5874897-12-31", "1900-01-01"),
        (TIMESTAMP, "month", "2024-03-05 10:11:12.5", "2024-03-01 00:00:00"),
        (TIMESTAMP, "year", "0001-12-31 23:59:59 BC", "0001-01-01 00:00:00 BC"),
        # By UTC: in the session's own zone it is still, or already, another year.
        (TIMESTAMPTZ, "year", "2024-01-01 00:30:00+01", "2023-01-01 00:00:00+00"),
        (TIMESTAMPTZ, "month", "2023-12-31 23:30:00-05:30", "2024-01-01 00:00:00+00"),
        (TIMESTAMPTZ, "year", "0001-01-01 00:00:00+00:53:28", "0001-01-01 00:00:00+00 BC"),
        (TIMESTAMPTZ, "year", "infinity", "infinity"),
        (1083, "year", "10:11:12", "00:00:00"),
        (TEXT, "year", "2024-03-05", "***"),
    ],
)
def test_a_time_is_cut_down_to_its_beginning(oid: int, unit: str, cell: str, made: str) -> None:
    assert text(Truncate(unit), oid, cell) == made


@pytest.mark.parametrize(
    ("oid", "cell"),
    [
        (DATE, "03/05/2024"),
        (DATE, "03-05-2024"),
        (DATE, "05.03.2024"),
        (TIMESTAMP, "Tue Mar 05 10:11:12 2024"),
        (TIMESTAMP, "03/05/2024 10:11:12"),
        (TIMESTAMPTZ, "05.03.2024 10:11:12 CET"),
        (TIMESTAMPTZ, "2024-03-05 10:11:12 CET"),
        (TIMESTAMPTZ, "2024-03-05 10:11:12"),
        (TIMESTAMP, "2024-03-05 10:11:12+01"),
        (DATE, "2024-03-05 10:11:12"),
        (DATE, "anything"),
    ],
)
def test_a_form_of_another_datestyle_is_redacted(oid: int, cell: str) -> None:
    assert text(Truncate("year"), oid, cell) in ("1900-01-01", "1900-01-01 00:00:00", "1900-01-01 00:00:00+00")


def test_a_binary_time_of_another_width_is_an_error_and_never_shown() -> None:
    with pytest.raises(ValueError, match="width"):
        masked(Truncate("year"), DATE, bytes(8), Format.BINARY)


# Generalise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oid", "step", "cell", "made"),
    [
        (INT4, 1000, "-1999", "-1000"),
        (INT4, 1000, "999", "0"),
        (INT8, 7, "9223372036854775807", "9223372036854775807"),
        (INT2, 32768, "32767", "0"),
        (NUMERIC, 1000, "1234.56", "1000.00"),
        (NUMERIC, 1000, "-12.50", "0.00"),
        (NUMERIC, 2, "NaN", "NaN"),
        (NUMERIC, 2, "-Infinity", "NaN"),
        (NUMERIC, 100, "1" * 9000 + ".5", "1" * 8998 + "00.0"),
        (FLOAT8, 1000, "1999.9999999999998", "1000"),
        (FLOAT8, 1000, "-0.5", "0"),
        (FLOAT8, 10, "1.7976931348623157e+308", "NaN"),
        (FLOAT8, 2, "1e+15", "1e+15"),
        (FLOAT8, 1000, "-Infinity", "NaN"),
        (FLOAT4, 1000, "1234567", "1.234e+06"),
        (FLOAT4, 1000, "99999", "99000"),
        (FLOAT4, 2, "3.4028235e+38", "3.4028235e+38"),
        (TEXT, 1000, "1234", "***"),
        (790, 1000, "$1,234.00", "$0.00"),
    ],
)
def test_a_number_is_cut_down_to_a_multiple(oid: int, step: int, cell: str, made: str) -> None:
    assert text(Generalise(step), oid, cell) == made


@pytest.mark.parametrize("cell", ["1e999999999", "-1E400000", "1e-99999"])
def test_a_number_of_json_that_would_take_a_gigabyte_is_none(cell: str) -> None:
    assert text(Generalise(10), NUMERIC, cell) == "NaN"


@pytest.mark.parametrize("cell", [b"", b"\0\1\0\0\0\0\0\0", pack("!HhHH", 2, 0, 0, 0) + b"\0\1"])
def test_a_broken_binary_numeric_is_an_error(cell: bytes) -> None:
    with pytest.raises(ValueError, match="numeric"):
        masked(Generalise(10), NUMERIC, cell, Format.BINARY)
    with pytest.raises(ValueError, match="width"):
        masked(Generalise(10), FLOAT8, cell[:5], Format.BINARY)


# Token ---------------------------------------------------------------------------------------------------------------


def test_digits_become_others_in_their_places() -> None:
    card = text(TOKEN, TEXT, "4111 1111-1111:1111 é")
    assert card is not None and re.fullmatch(r"\d{4} \d{4}-\d{4}:\d{4} é", card)
    assert card != "4111 1111-1111:1111 é"
    assert text(TOKEN, TEXT, "4111111111111111") == re.sub(r"\D", "", card)


@pytest.mark.parametrize("cell", ["", "12345", "ab-1-2", "1" * 37, "１２３４５６７８"])
def test_too_few_or_too_many_digits_are_redacted(cell: str) -> None:
    assert text(TOKEN, TEXT, cell) == "***"


@given(some.integers(-(2**63), 2**63 - 1), some.integers(-(2**31), 2**31 - 1))
def test_an_integer_keeps_its_sign_and_number_of_digits_in_both_formats(wide: int, narrow: int) -> None:
    for oid, value, layout in ((INT8, wide, "!q"), (INT4, narrow, "!i")):
        made = masked(TOKEN, oid, str(value).encode())
        assert made is not None
        assert masked(TOKEN, oid, pack(layout, value), Format.BINARY) == pack(layout, int(made))
        if abs(value) < 100000:
            assert made == b"0"
        else:
            assert (int(made) < 0, len(made)) == (value < 0, len(str(value)))


def test_no_two_integers_have_one_token() -> None:
    tokens = {text(TOKEN, INT4, str(value)) for value in range(2147483148, 2147483648)}
    assert len(tokens) == 500


def test_a_token_of_what_has_no_form_is_a_constant() -> None:
    assert text(TOKEN, INT2, "12345") == "0"
    assert text(TOKEN, NUMERIC, "123456789") == "0"
    assert text(TOKEN, 2950, "9b1f6a52-4c3e-4d7a-8f21-0a6b7c8d9e01") == "00000000-0000-0000-0000-000000000000"
    assert text(TOKEN, 99999, "123456") is None


# JSON ----------------------------------------------------------------------------------------------------------------

PERSON = """{"vip": true, "phone": "+49", "medical": {"diagnosis": ["x"], "ward": 3.50},
             "cards": [{"number": 4111, "brand": "visa"}, 7, null]}"""


@pytest.mark.parametrize(
    ("mask", "made"),
    [
        (JsonPaths(("$.vip",)), '{"vip": true}'),
        (JsonPaths(("$.medical.ward", "$.vip")), '{"vip": true, "medical": {"ward": 3.50}}'),
        (JsonPaths(("$.cards[*].brand",)), '{"cards": [{"brand": "visa"}, 0, null]}'),
        (JsonPaths(("$.*.ward",)), '{"vip": false, "cards": [], "phone": "***", "medical": {"ward": 3.50}}'),
        (JsonPaths(("$.nothing",)), "{}"),
        (JsonPaths(("$",)), None),
        (
            JsonPaths(("$.phone", "$.medical.diagnosis", "$.cards[*].number"), is_hidden=True),
            '{"vip": true, "cards": [{"brand": "visa", "number": 0}, 7, null], "phone": "***",'
            ' "medical": {"ward": 3.50, "diagnosis": []}}',
        ),
        (JsonPaths(("$.nothing",), is_hidden=True), None),
        (JsonPaths(("$",), is_hidden=True), "{}"),
    ],
)
@pytest.mark.parametrize("oid", [JSON, JSONB])
def test_places_of_a_document_are_shown_or_hidden(mask: JsonPaths, made: str | None, oid: int) -> None:
    shown = text(mask, oid, PERSON)
    if made is None:
        assert shown is not None and json.loads(shown) == json.loads(PERSON)
    else:
        assert shown == made


@pytest.mark.parametrize(
    "cell",
    [
        b'{"vip": "\xff"}',
        b'{"vip": 1, "a": "\\u0000"}',
        b'{"vip": "\\ud800"}',
        b'{"vip": NaN}',
        b'{"vip": 1e400000}',
        b'{"vip": 1} x',
        b"",
        b'{"vip":' * 100000 + b"1" + b"}" * 100000,
    ],
)
def test_what_can_be_read_in_two_ways_or_not_at_all_is_redacted_whole(cell: bytes) -> None:
    assert masked(JsonPaths(("$.vip",)), JSON, cell) == b'"***"'


@pytest.mark.parametrize("cell", [b'\2{"vip": 1}', b'{"vip": 1}', b'\1{"vip": "\xff"}', b"\1", b""])
def test_a_binary_document_of_another_version_or_none_is_redacted_whole(cell: bytes) -> None:
    assert masked(JsonPaths(("$.vip",)), JSONB, cell, Format.BINARY) == b'\1"***"'


def test_of_members_with_one_name_the_last_is_the_only_one() -> None:
    assert text(JsonPaths(("$.vip",)), JSON, '{"vip": 1, "vip": 2}') == '{"vip": 2}'


trees: some.SearchStrategy[Any] = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.sampled_from("abc"), inner, max_size=3),
)
routes = some.lists(some.sampled_from((".a", ".b", "[*]", '["c"]')), max_size=3).map(lambda steps: "$" + "".join(steps))


def _at(value: Any, below: documents.Branch) -> Any:
    """A plain reading of what a list shows: each value with its way, those that are whole."""
    if below.is_whole:
        yield value
    elif isinstance(value, dict):
        for name, member in sorted(value.items()):
            way = below.members.get(name, below.others)
            if way is not None:
                yield from _at(member, way)
    elif isinstance(value, list) and below.others is not None:
        for each in value:
            yield from _at(each, below.others)


@given(trees, some.lists(routes, min_size=1, max_size=3))
def test_what_is_listed_is_shown_as_it_was_and_what_is_hidden_is_gone(tree: Any, paths: list[str]) -> None:
    below = documents.branch(tuple(paths))
    cell = json.dumps(tree)
    shown = json.loads(text(JsonPaths(tuple(paths)), JSON, cell) or "")
    assert list(_at(shown, below)) == list(_at(tree, below))
    hidden = json.loads(text(JsonPaths(tuple(paths), is_hidden=True), JSON, cell) or "")
    assert all(value in ("***", 0, False, None, {}, []) for value in _at(hidden, below))
    assert len(list(_at(hidden, below))) == len(list(_at(tree, below)))


@pytest.mark.parametrize("path", ["$..a", "$.a..b", "a", "$.a[0]", "$."])
def test_a_path_without_end_is_none(path: str) -> None:
    with pytest.raises(ValueError, match=re.escape(path)):
        documents.branch((path,))


def test_json_masks_mean_nothing_to_other_types() -> None:
    assert text(JsonPaths(("$.a",)), TEXT, '{"a": 1}') == "***"
