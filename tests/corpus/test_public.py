"""The public attacks on a real PostgreSQL that keeps its masks itself: none gets through, and everyday work goes on."""

from pathlib import Path

import pytest

from .folder import Corpus
from .playing import LIMITS, MODES, play
from .scene import Mode, playing, version_for

PUBLIC = Path(__file__).parent / "public"

# The runner, as it was published, leaves files to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.read(PUBLIC)


@pytest.mark.timeout(600)
def test_no_attack_gets_through_and_work_goes_on(corpus: Corpus, tmp_path: Path) -> None:
    """The cases take turns at the five modes; `make corpus` plays each in all of them."""
    with playing(corpus, Mode.SERVER, version_for(corpus), tmp_path, print) as scene:
        scores = []
        for turn, mode in enumerate(MODES):
            share = {case["id"] for cases in (corpus.bypass, corpus.benign) for case in cases[turn :: len(MODES)]}
            scores.append(play(corpus.picked(lambda case, share=share: case["id"] in share), scene, (mode,)))
    assert {each for score in scores for each in score.leaks} == set()
    assert [each for score in scores for each in score.invalid] == []
    assert {each for score in scores for each in score.broken} <= LIMITS.keys()
    assert len({each for score in scores for each in score.over_denied}) <= len(corpus.bypass) / 6


@pytest.mark.timeout(600)
def test_unmasked_every_attack_succeeds(corpus: Corpus, tmp_path: Path) -> None:
    """The measure above can fail."""
    with playing(corpus, Mode.DIRECT, version_for(corpus), tmp_path, print) as scene:
        score = play(corpus, scene, MODES[:1])
    assert set(score.cases) - {*score.leaks} == set()
    assert score.broken == ()
