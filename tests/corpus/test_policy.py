"""What a corpus calls masks, in the words of policy.toml."""

import tomllib

from .policy import masks


def test_each_word_becomes_a_mask() -> None:
    said: list[str] = []
    policy = {"a.t": {"x": "last4", "y": "year", "z": {"json_paths": ["phone", "a.b"]}}, "b.u": {"v": "hash"}}
    made = tomllib.loads(masks(policy, "target", "/key", said.append))["mask"]
    assert [(each["column"], each["mask"]) for each in made] == [
        ("a.t.x", {"partial": {"first": 0, "last": 4}}),
        ("a.t.y", {"truncate": "year"}),
        ("a.t.z", {"json": {"hide": ["$.phone", "$.a.b"]}}),
        ("b.u.v", {"hash": {"key_file": "/key"}}),
    ]
    assert said == []


def test_a_word_that_nobody_knows_redacts_and_is_said() -> None:
    said: list[str] = []
    made = tomllib.loads(masks({"a.t": {"x": "blur", "y": {"blur": 3}}}, "target", "/key", said.append))["mask"]
    assert [each["mask"] for each in made] == ["redact", "redact"]
    assert len(said) == 2


def test_what_is_no_path_redacts_and_a_table_without_a_schema_is_public() -> None:
    said: list[str] = []
    made = tomllib.loads(masks({"t": {"x": {"json_paths": ["a..b["]}}}, "target", "/key", said.append))["mask"]
    assert [(each["column"], each["mask"]) for each in made] == [("public.t.x", "redact")]
    assert len(said) == 1


def test_names_may_be_quoted_and_columns_named_in_full() -> None:
    policy = {'"My Shop"."T ""1"""': {'"X.y"': "redact", "z": "year"}, "a.t.c": "last4", 'a."B"': {"c": "month"}}
    made = tomllib.loads(masks(policy, "target", "/key", lambda text: None))["mask"]
    assert [each["column"] for each in made] == ['My Shop.T "1".X.y', 'My Shop.T "1".z', "a.t.c", "a.B.c"]
