"""What may stand behind `mask`, and what is said of what may not."""

import pytest

from hoopproxy.masks import ColumnMask, Generalise, JsonPaths, Token, Truncate

from .conftest import Copy

KEY = "secrets/email-hash.key"
PATH = 'wanted is a path such as "$.medical.diagnosis" or "$.cards[*].number", without "..", as a column\'s document'


def write(copy: Copy, mask: str) -> None:
    copy.change("policy.toml", 'mask = "nullify"', f"mask = {mask}")


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ('{truncate = "year"}', Truncate("year")),
        ('{truncate = "month"}', Truncate("month")),
        ("{generalise = {step = 1000}}", Generalise(1000)),
        (f'{{token = {{key_file = "{KEY}"}}}}', Token(bytes(range(32)))),
        ('{json = {show = ["$.vip"]}}', JsonPaths(("$.vip",))),
        (
            '{json = {hide = ["$.phone", "$.medical.diagnosis"]}}',
            JsonPaths(("$.phone", "$.medical.diagnosis"), is_hidden=True),
        ),
    ],
)
def test_a_mask_becomes_a_value(copy: Copy, text: str, mask: ColumnMask) -> None:
    write(copy, text)
    assert copy.load().policy.masks[2].mask == mask


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{truncate = "day"}', 'mask[2].mask.truncate is "day"; wanted is "year" or "month".'),
        ("{generalise = {step = 1}}", "mask[2].mask.generalise.step is 1; wanted is a whole number from 2 to "),
        ("{generalise = {}}", "mask[2].mask.generalise.step is missing; wanted is a whole number from 2 to "),
        ('{token = {key_file = "nowhere.key"}}', "mask[2].mask.token.key_file is "),
        ('{json = {show = ["$..iban"]}}', f'mask[2].mask.json.show[0] is "$..iban"; {PATH}'),
        ('{json = {hide = ["$.a", "b"]}}', f'mask[2].mask.json.hide[1] is "b"; {PATH}'),
        (
            "{json = {show = []}}",
            "mask[2].mask.json: wanted is exactly one of show, the paths that alone are shown, and",
        ),
        ('{json = {show = ["$.a"], hide = ["$.b"]}}', "mask[2].mask.json: wanted is exactly one of show,"),
        (
            '{json = {shown = ["$.a"]}}',
            "mask[2].mask.json.shown is not a setting; did you mean mask[2].mask.json.show?",
        ),
        ('{document = {show = ["$.a"]}}', "mask[2].mask.document is not a setting; there are generalise, hash, json,"),
        ('{truncate = "year", generalise = {step = 2}}', 'mask[2].mask: wanted is "redact", "nullify",'),
    ],
)
def test_a_mistake_is_said_with_its_place(copy: Copy, text: str, sentence: str) -> None:
    write(copy, text)
    (problem,) = copy.problems()
    assert problem.startswith(f"policy.toml: {sentence}"), problem


def test_paths_within_a_field_are_fields_themselves(copy: Copy) -> None:
    copy.change("policy.toml", "mask = { partial = { last = 4 } }", 'mask = {json = {show = ["$.a"]}}')
    (problem,) = copy.problems()
    assert "json belongs to column, which holds documents; a field is a place in one." in problem
