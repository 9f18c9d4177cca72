"""A folder as people write one: odd files are taken, others end in one sentence."""

import json
from pathlib import Path

import pytest

from . import run_corpus as runner
from .folder import Corpus, NoCorpus

# The runner, as it was published, leaves files to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

CASE = {"id": "a-1", "class": "a", "sql": ["SELECT 1"], "secret_visible_if_leaked": ["s3cret"], "expect": "masked"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "schema.sql").write_text('CREATE EXTENSION "uuid-ossp";')
    (tmp_path / "reset.sql").write_text("")
    (tmp_path / "secrets.json").write_text(json.dumps({"text": ["s3cret"], "policy": {"t": {"x": "redact"}}}))
    (tmp_path / "my_bypass_1.jsonl").write_text(json.dumps(CASE) + "\n\n")
    return tmp_path


def test_several_files_of_a_kind_none_of_another_and_short_cases_are_taken(folder: Path) -> None:
    short = {"id": 7, "sql": "SELECT 2", "tags": ["more"]}
    (folder / "bypass_2.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(short).encode() + b"\r\n")
    corpus = Corpus.read(folder)
    assert [case["id"] for case in corpus.bypass] == ["7", "a-1"]
    assert corpus.bypass[0]["sql"] == ["SELECT 2"] and corpus.bypass[0]["expect"] == "masked"
    assert corpus.benign == [] and corpus.extensions == {"uuid-ossp"}


def test_a_corpus_without_numbers_finds_none(folder: Path) -> None:
    (folder / "read.json").write_text(json.dumps(Corpus.read(folder).secrets))
    scanner = runner.Scanner(str(folder / "read.json"))
    assert scanner.scan(b"1234 and 0", [], CASE) == []
    assert scanner.scan(b"a s3cret", [], CASE)


@pytest.mark.parametrize("line", ["{", '{"id": 1}', "[]", '{"id": 1, "sql": [], "secret_visible_if_leaked": ["re:("]}'])
def test_a_case_that_is_none_is_named_by_its_line(folder: Path, line: str) -> None:
    (folder / "bypass.jsonl").write_text(f"{json.dumps(CASE)}\n{line}\n")
    with pytest.raises(NoCorpus, match=r"bypass.jsonl, line 2: "):
        Corpus.read(folder)


@pytest.mark.parametrize("name", ["schema.sql", "reset.sql", "secrets.json", "my_bypass_1.jsonl"])
def test_what_is_missing_is_said(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(NoCorpus, match="is no corpus"):
        Corpus.read(folder)
