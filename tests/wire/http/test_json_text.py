"""The reader of JSON: where values stand, and objects that look alike, which are read in one go."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.wire.http import json_grammar, json_runs
from hoopproxy.wire.http.json_columns import Columns
from hoopproxy.wire.http.json_text import Portion, Reader, quoted, unquoted
from hoopproxy.wire.http.protection import Protection
from hoopproxy.wire.http.unreadable import Unreadable

from .plainly import Scene, Withheld, cuts, rule

PROTECTION = Protection("*", by_content=False, by_path=True, is_listed=False)
EVERYTHING = range(10_000)


def read(text: str, columns: Columns | None = None) -> tuple[Columns, Portion]:
    columns = columns or Columns(PROTECTION)
    return columns, Reader(columns).feed(text, is_last=True)


def seen(columns: Columns, portion: Portion) -> list[str]:
    return [portion.text[start:end] for _, start, end in sorted(portion.cells(EVERYTHING), key=lambda cell: cell[1])]


def test_it_tells_where_values_stand_and_how_they_are_spelled() -> None:
    columns, portion = read(' {"a" : -1.50e+3 ,"b":["\\u0041",true , null],"c":{"d":"x"}} ')
    assert seen(columns, portion) == ["-1.50e+3", '"\\u0041"', "true", '"x"']
    assert portion.size == 5
    assert columns.unplanned is not None
    assert [each.path for each in columns.unplanned.fields] == ["* $.a", "* $.b[*]", "* $.b[*]", "* $.c.d"]


@given(some.text(some.characters(exclude_categories=["Cs"])))
def test_strings_are_quoted_and_unquoted(text: str) -> None:
    assert unquoted(quoted(text)) == unquoted(json.dumps(text)) == text
    assert re.fullmatch(json_grammar.STRING, quoted(text)) and re.fullmatch(json_grammar.STRING, json.dumps(text))


@given(some.integers() | some.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_what_json_calls_so(number: float) -> None:
    assert re.fullmatch(json_grammar.NUMBER, json.dumps(number))


@given(some.text('{}[],:" \\truefalsn0123456789.eE+-udD8cC\n', max_size=12))
def test_it_reads_no_text_that_the_standard_library_does_not(text: str) -> None:
    try:
        read(text)
    except Unreadable:
        return
    json.loads(text, parse_constant=lambda constant: pytest.fail(constant))


# Objects that look alike ----------------------------------------------------------------------------------------------

values = some.none() | some.booleans() | some.integers(-99, 99) | some.sampled_from(["", "x", 'Zo\u00eb "q"'])
members = some.dictionaries(some.sampled_from(["a", "b", "c", "d e", "f"]), values, max_size=5)
alike = some.builds(lambda one, times: [one] * times, members, some.integers(1, 30))
lists = some.lists(alike, max_size=5).map(lambda groups: [each for group in groups for each in group])


@given(lists, some.sampled_from([None, 1]), some.data())
def test_they_are_read_as_each_by_itself(objects: list[Any], indent: int | None, data: some.DataObject) -> None:
    text = json.dumps(objects, indent=indent)
    columns = Columns(PROTECTION)
    reader, cells, count = Reader(columns), list[str](), 0
    for piece in [*cuts(text.encode(), data.draw(some.integers(1, 500))), b""]:
        portion = reader.feed(piece.decode(), is_last=not piece)
        cells += seen(columns, portion)
        count += portion.size
    flat = [value for each in objects for value in each.values()]
    assert cells == [json.dumps(value) for value in flat if value is not None]
    assert count == len(flat)


@given(lists)
def test_and_masked_so(objects: list[Any]) -> None:
    scene = Scene(rule("$[*].b"), rule('$[*]["d e"]'))
    shown = json.loads(scene.masked([json.dumps(objects).encode()]))
    kinds: dict[type, Any] = {str: "***", int: 0, bool: False, type(None): None}
    wanted = [
        {name: kinds[type(value)] if name in ("b", "d e") else value for name, value in each.items()}
        for each in objects
    ]
    assert shown == wanted


ONE = '{"id":1,"name":"x","n":null,"tags":["t"],"more":true,"last":2}'


def text_of(*more: str, times: int = 40) -> str:
    return f"[{','.join([*[ONE] * times, *more])}]"


def test_they_cost_one_match_each() -> None:
    columns = Columns(PROTECTION)
    _, portion = read(text_of(), columns)
    assert len(portion.runs) > 50
    assert len(seen(columns, portion)) == 40 * 5


@pytest.mark.parametrize(
    "odd",
    [
        ONE.replace("1", "01"),
        ONE.replace('"x"', '"\\ud800"'),
        ONE.replace('"x"', '"x'),
        ONE.replace("null", "nul"),
        ONE.replace('"last"', '"name"'),
        ONE.replace('"more"', '"id"'),
        ONE.replace('"n"', '"more"'),
        ONE.replace('"last"', '"\\u006eame"'),
        ONE.replace("2}", "2,}"),
        ONE.replace("2}", "2]"),
    ],
)
def test_one_among_them_that_is_wrong_is_still_found(odd: str) -> None:
    with pytest.raises(Unreadable):
        read(text_of(odd))
    with pytest.raises(Withheld):
        Scene(rule("$..name")).masked([text_of(odd).encode()])


@pytest.mark.parametrize(
    "odd",
    [
        ONE.replace("1", '"one"'),
        ONE.replace("null", '"here"'),
        ONE.replace('"x"', "null"),
        ONE.replace('"name"', '"na\\u006de"'),
        ONE.replace('"x"', '{"deep":"x"}'),
        "{}",
        '{"last":1,"id":2}',
    ],
)
def test_one_that_looks_different_is_read_by_itself(odd: str) -> None:
    columns, portion = read(text_of(odd, ONE))
    wanted = [value for each in json.loads(f"[{odd}]") for value in _scalars(each) if value is not None]
    assert len(seen(columns, portion)) == 41 * 5 + len(wanted)


def _scalars(value: Any) -> list[Any]:
    match value:
        case dict():
            return [each for inner in value.values() for each in _scalars(inner)]
        case list():
            return [each for inner in value for each in _scalars(inner)]
    return [value]


def test_a_run_that_never_comes_again_is_given_up() -> None:
    columns = Columns(PROTECTION)
    read(f"[{','.join([ONE] * 10)}]", columns)
    run = columns.root.elements.runs[0] if columns.root.elements else None
    assert run is not None and run.names == {"id", "name", "n"}
    other = '{"id":1,"other":2}'
    for _ in range(json_runs.MISSES_MAX + 1):
        assert run.match(other, 1) is None
    assert run.match(ONE, 1) is None


@pytest.mark.parametrize(("value", "masked"), [("true", "false"), ("5", "0"), ("null", "null"), ('"y"', '"***"')])
def test_a_value_of_another_kind_is_masked_as_what_it_is(value: str, masked: str) -> None:
    shown = Scene(rule("$[*].name")).masked([text_of(ONE.replace('"x"', value)).encode()]).decode()
    assert shown == text_of(ONE.replace('"x"', masked)).replace('"x"', '"***"')
