"""The corpus in other words: nothing of the old ones is left, and what is new in it gets through no more."""

import json
import secrets
from pathlib import Path

import pytest

from .folder import Corpus
from .generate import OWN, generate
from .playing import LIMITS, MODES, play, proven
from .renaming import NAMES
from .scene import Mode, playing, version_for

# The runner, as it was published, leaves files to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

SHARE = 20
"""Of what is not fresh, every twentieth case is played here; `make corpus CORPUS=generated` plays all."""


def generated(seed: int, folder: Path) -> Corpus:
    folder.mkdir()
    generate(seed, folder)
    return Corpus.read(folder)


@pytest.mark.timeout(600)
def test_what_is_fresh_gets_through_no_more(tmp_path: Path) -> None:
    seed = secrets.randbelow(10**6)
    print(f"make corpus CORPUS=generated SEED={seed}")  # noqa: T201 # pytest shows it when this fails
    whole = generated(seed, tmp_path / "corpus")
    some = {case["id"] for case in (*whole.bypass[::SHARE], *whole.benign[::SHARE])}
    corpus = whole.picked(lambda case: case["id"] in some or case["class"] == "fresh")
    version = version_for(corpus)
    with playing(corpus, Mode.DIRECT, version, tmp_path / "direct", print) as scene:
        proved = proven(corpus, scene)
    assert {case["class"] for case in proved.bypass} >= {"fresh"}
    assert len(proved.bypass) > 0.8 * len(corpus.bypass)
    with playing(proved, Mode.SERVER, version, tmp_path / "server", print) as scene:
        score = play(proved, scene, MODES[:1])
    assert (score.leaks, score.invalid) == ((), ())
    assert set(score.broken) <= LIMITS.keys()


def test_a_seed_says_all_and_no_two_say_the_same(tmp_path: Path) -> None:
    one, same, other = (generated(seed, tmp_path / str(at)) for at, seed in enumerate((1, 1, 2)))
    assert one.bypass == same.bypass
    assert one.schema.read_text() == same.schema.read_text()
    assert one.policy.keys().isdisjoint(other.policy)
    assert one.schema.read_text() != other.schema.read_text()


def test_no_old_secret_and_no_old_name_is_left(tmp_path: Path) -> None:
    corpus = generated(3, tmp_path / "corpus")
    old = json.loads((OWN / "secrets.json").read_text())
    texts = [corpus.schema.read_text(), corpus.reset, json.dumps(corpus.secrets)]
    texts += [text for case in corpus.bypass for text in (*case["sql"], *case["secret_visible_if_leaked"])]
    kept = {value for value in old["text"] if any(value in text for text in texts)}
    assert {value for value in kept if not value[:4].isdigit()} == set()  # one day in thirteen comes out again
    assert "customers" in NAMES and not any("customers" in text.lower() for text in texts)
