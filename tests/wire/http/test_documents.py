"""JSON documents as clients see them: masked where they must be, byte for byte elsewhere, or not at all."""

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.masks import Generalise, JsonPaths, KeyedHash, Nullify, Partial, PerCell, Token, Truncate
from hoopproxy.settings import Limits
from hoopproxy.wire.http import json_columns
from hoopproxy.wire.http.messages import Answer

from .plainly import CUSTOMER, MASKED_PAN, PAN, Scene, Withheld, cards, cuts, regulated, rule

TEXT = b"""{ "id" : 17, "name": "Zo\\u00eb", "balance":1.50E+3, "vip":true,
  "cards": [ {"number": "4539578763621486", "cvv": 123}, {"number": null, "cvv": 7} ],
  "odd name": {"\\u0061": "x"}, "none": [], "big": 9007199254740993000000000001 }
"""


def test_what_no_rule_names_stays_byte_for_byte() -> None:
    assert Scene(rule("$.elsewhere")).masked([TEXT]) == TEXT


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("$.cards[*].number", b'"4539578763621486"', b'"***"'),
        ("$..number", b'"4539578763621486"', b'"***"'),
        ("$.cards[*].cvv", b"123}, {", b"0}, {"),
        ("$.id", b"17", b"0"),
        ("$.vip", b"true", b"false"),
        ("$.balance", b"1.50E+3", b"0"),
        ('$["odd name"].a', b'"x"', b'"***"'),
        ('$["odd name"]', b'"x"', b'"***"'),
        ("$.*.a", b'"x"', b'"***"'),
        ("$.big", b"9007199254740993000000000001", b"0"),
        ("$.name", b'"Zo\\u00eb"', b'"***"'),
    ],
)
def test_a_rule_masks_the_value_at_its_path_and_nothing_else(path: str, before: bytes, after: bytes) -> None:
    wanted = TEXT.replace(before, after)
    if path == "$.cards[*].cvv":
        wanted = wanted.replace(b'"cvv": 7', b'"cvv": 0')
    assert Scene(rule(path)).masked([TEXT]) == wanted


def test_a_rule_for_an_object_masks_all_that_lies_in_it() -> None:
    shown = json.loads(Scene(rule("$.cards")).masked([TEXT]))
    assert shown["cards"] == [{"number": "***", "cvv": 0}, {"number": None, "cvv": 0}]


@pytest.mark.parametrize(
    ("mask", "before", "after"),
    [
        (Nullify(), '"abc"', "null"),
        (Nullify(), "1", "null"),
        (Partial(1, 2), '"J\\u00fcrgen \\"Q\\""', '"J*******Q\\""'),
        (Partial(1, 2), "123456", "0"),
        (Partial(1, 2), "true", "false"),
        (KeyedHash(b"k" * 32), '"abc"', None),
        (KeyedHash(b"k" * 32), "12", "null"),
        (Generalise(1000), "-1234.50", "-1000.00"),
        (Generalise(1000), "1e5", "100000"),
        (Generalise(1000), "1e999999999", "0"),
        (Generalise(1000), '"1234"', '"***"'),
        (Generalise(1000), "true", "false"),
        (Truncate("year"), '"2024-03-05"', '"***"'),
        (Token(b"k" * 32), '"12-345"', '"***"'),
        (Token(b"k" * 32), "123456", "0"),
        (JsonPaths(("$.a",)), '"{}"', '"***"'),
        (PerCell(lambda cell: cell + b'"\n\\', "mine"), '"a"', '"a\\"\\n\\\\"'),
        (PerCell(lambda cell: b"\xff", "mine"), '"a"', '"\ufffd"'),
        (PerCell(lambda cell: None, "mine"), '"a"', "null"),
        (PerCell(lambda cell: cell * 2, "mine"), "12", "1212"),
        (PerCell(lambda cell: b"t", "mine"), "false", "true"),
        (PerCell(lambda cell: b"anything", "mine"), "true", "false"),
        (PerCell(lambda cell: cell, "mine"), '"\\u0041"', '"\\u0041"'),
    ],
)
def test_each_mask_gives_a_value_that_clients_can_read(mask: Any, before: str, after: str | None) -> None:
    shown = Scene(rule("$.x", mask=mask)).masked([f'{{"x":{before}}}'.encode()]).decode()
    if after is None:
        assert len(json.loads(shown)["x"]) == 64
    else:
        assert shown == f'{{"x":{after}}}'


def test_masks_hold_at_their_endpoint_in_each_spelling_of_it_and_at_no_other() -> None:
    scene = Scene(rule("$.name", CUSTOMER))
    for target in ("/v1/customers/17", "/V1/Customers/17/", "/v1/%63ustomers/17?x=1", "/v1/customers/%37"):
        assert scene.masked([b'{"name":"Ada"}'], target=target) == b'{"name":"***"}'
    assert scene.body(("Content-Type", "application/json"), target="/v1/orders/17") is None


@pytest.mark.parametrize("size", range(1, 40))
def test_a_card_number_is_masked_however_it_is_cut(size: int) -> None:
    text = json.dumps({"note": f"card {PAN} of Zoë", "n": [1, {"pan": PAN}], "id": "Zo\u00eb"}).encode()
    scene = Scene(maskers=[cards()])
    wanted = text.replace(PAN.encode(), MASKED_PAN.encode()).replace(b"Zo\\u00eb", "Zoë".encode(), 1)
    assert scene.masked(cuts(text, size)) == wanted
    assert (scene.values, scene.changed) == (4, 2)


def test_what_is_known_is_not_asked_again() -> None:
    scene = Scene(maskers=[cards()])
    for number in range(3):
        scene.masked([b'{"a":"%d","b":[1,"x"]}' % number])
    assert len(scene.asked) == 1
    scene.masked([b'{"a":true,"c":1}'])
    assert {(each.path, each.type_oid) for each in scene.asked[1].fields} == {
        (f"{CUSTOMER} $.a", 16),
        (f"{CUSTOMER} $.c", 1700),
    }


def test_fields_say_where_they_stand() -> None:
    scene = Scene(maskers=[cards()])
    scene.masked([b'{"cards":[{"number":"1"}],"odd name":{"x-y":2},"q\\"":[[true]]}'])
    assert [(each.name, each.path, each.type_oid) for each in scene.asked[0].fields] == [
        ("key", "", 25),
        ("number", f"{CUSTOMER} $.cards[*].number", 25),
        ("x-y", f'{CUSTOMER} $["odd name"]["x-y"]', 1700),
        ('q"', f'{CUSTOMER} $["q\\""][*][*]', 16),
    ]
    elsewhere = Scene(maskers=[cards()])
    elsewhere.masked([b'{"a":1}'], target="/other")
    assert elsewhere.asked[0].fields[1].path == "* $.a"


# Names that are data --------------------------------------------------------------------------------------------------


def test_names_of_members_are_judged_by_what_they_look_like() -> None:
    scene = Scene(maskers=[cards()])
    text = f'{{"{PAN}":1,"by":{{"{PAN}":"x"}},"{PAN}0":2}}'.encode()
    assert scene.masked([text]) == text.replace(f'"{PAN}"'.encode(), f'"{MASKED_PAN}"'.encode())
    assert scene.masked([text]) == text.replace(f'"{PAN}"'.encode(), f'"{MASKED_PAN}"'.encode())


def test_names_that_become_equal_stay_apart() -> None:
    shown = Scene(maskers=[cards()]).masked([b'{"4539578763621486":1,"4539-5787-6362-1486":2,"x":3}'])
    assert shown == b'{"************1486":1,"****-****-****-1486":2,"x":3}'
    scene = Scene(rule("$.x"), regulated("$.a"))
    assert scene.masked([b'{"***":1,"b":2,"c":3,"a":4}']) == b'{"***":0,"***~1":0,"***~2":0,"a":4}'


# Regulated endpoints --------------------------------------------------------------------------------------------------


def test_only_what_is_listed_is_shown() -> None:
    scene = Scene(regulated("$.id", "$.cards[*].brand", "$.address"), rule("$.id"))
    text = b'{"id":17,"cards":[{"brand":"v","number":"4"}],"address":{"city":"x"},"ada@example.com":{"a":[true,null]}}'
    assert scene.masked([text]) == (
        b'{"id":0,"cards":[{"brand":"v","***":"***"}],"address":{"***":"***"},"***":{"***":[false,null]}}'
    )


def test_names_that_no_list_holds_are_told_apart_by_their_place() -> None:
    scene = Scene(regulated("$.id"))
    assert scene.masked([b'{"a":1,"id":7,"b":2,"c":{"d":"x"}}']) == b'{"***":0,"id":7,"***~1":0,"***~2":{"***":"***"}}'


def test_a_list_goes_before_a_masker_that_knows_only_looks() -> None:
    scene = Scene(regulated("$.note"), maskers=[cards()])
    assert scene.masked([f'{{"note":"{PAN}","x":"{PAN}"}}'.encode()]) == (
        f'{{"note":"{MASKED_PAN}","***":"***"}}'.encode()
    )


def test_lists_may_name_members_of_any_name_and_depth() -> None:
    scene = Scene(regulated("$.by.*.name", "$..id"))
    text = b'{"by":{"x@y":{"name":"N","age":3,"id":1}},"other":{"id":2}}'
    assert scene.masked([text]) == b'{"by":{"x@y":{"name":"N","age":0,"id":1}},"other":{"id":2}}'


# What can't be read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":NaN}',
        b"[Infinity]",
        b'["\\ud800"]',
        b'["\\udc00\\ud800"]',
        b'["\xff"]',
        b'["\xed\xa0\x80"]',
        b"\xef\xbb\xbf{}",
        b"[1] ]",
        b"{} {}",
        b"[1,]",
        b"[01]",
        b"[1.]",
        b"[+1]",
        b"{'a':1}",
        b'{"a":1,}',
        b'["\n"]',
        b'["\\x41"]',
        b"// no\n{}",
        b'{"a":1',
        b'"a',
        b"",
        b" ",
        b"\xff\xfe[\x00]\x00",
        b"[" * 201 + b"]" * 201,
        b"nul",
        b"truex",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_two_readers_could_read_as_two_documents_is_withheld(text: bytes, size: int) -> None:
    with pytest.raises(Withheld, match=r"withholds this, because (it|something|one)") as withheld:
        Scene(rule("$.a")).masked(cuts(text, size))
    assert withheld.value.args[1] == b""


@pytest.mark.parametrize("text", [b"7", b' "x" ', b"null", b"[]", b"{}", b"[" * 200 + b"]" * 200, b'{"":{"":1}}'])
def test_whatever_is_json_passes(text: bytes) -> None:
    assert Scene(rule("$.elsewhere")).masked(cuts(text, 1)) == text


def test_a_document_is_bounded() -> None:
    limits = Limits(document_bytes_max=1024)
    assert Scene(rule("$.a"), limits=limits).masked([b'["%s"]' % (b"x" * 1020)])
    with pytest.raises(Withheld, match="1024 bytes"):
        Scene(rule("$.a"), limits=limits).masked([b'["%s"]' % (b"x" * 1021)])
    bomb = gzip.compress(b'["%s"]' % (b"x" * 100_000))
    with pytest.raises(Withheld, match="1024 bytes"):
        Scene(rule("$.a"), limits=limits).masked([bomb], fields=[("Content-Encoding", "gzip")])


def test_so_are_its_different_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_columns, "PATHS_CHARACTERS_MAX", 100_000)
    scene = Scene(rule("$.a"))
    with pytest.raises(Withheld, match="too many different members"):
        scene.masked([json.dumps({f"member-{number}": 1 for number in range(1500)}).encode()])
    for batch in range(5):  # what earlier documents had does not count
        few = json.dumps({f"{batch}-{number}": 1 for number in range(500)}).encode()
        assert scene.masked([few]) == few


def test_a_document_may_be_compressed() -> None:
    scene = Scene(rule("$.a"))
    for coding, data in (("gzip", gzip.compress(b'{"a":"x"}')), ("deflate", zlib.compress(b'{"a":"x"}'))):
        assert scene.masked(cuts(data, 3), fields=[("Content-Encoding", coding)]) == b'{"a":"***"}'
    answer = scene.response(("Content-Type", "application/json"), ("Content-Encoding", "compress"))
    assert isinstance(answer, Answer) and answer.status == 502 and b"compress" in answer.body


# Any document, any cutting --------------------------------------------------------------------------------------------

documents = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=5), inner, max_size=4),
    max_leaves=25,
)


@given(documents, some.booleans(), some.sampled_from([None, 2]), some.data())
def test_unmasked_documents_are_the_same_bytes_however_cut(
    document: Any, ascii_only: bool, indent: int | None, data: some.DataObject
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    size = data.draw(some.integers(1, len(text)))
    assert Scene(rule("$.never.there")).masked(cuts(text, size)) == text


@given(documents, some.data())
def test_everything_masked_has_the_same_form_and_none_of_its_texts(document: Any, data: some.DataObject) -> None:
    text = json.dumps(document).encode()
    size = data.draw(some.integers(1, len(text)))
    shown = Scene(rule("$")).masked(cuts(text, size))

    def form(value: Any) -> Any:
        match value:
            case dict():
                return {name: form(inner) for name, inner in value.items()}
            case list():
                return [form(inner) for inner in value]
            case None | bool():
                return None if value is None else False
            case str():
                return "***"
        return 0

    assert json.loads(shown) == form(document)
