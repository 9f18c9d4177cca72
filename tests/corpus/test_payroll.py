"""A corpus of another making: other names, other masks, a search path of the database's own, shorter files."""

from pathlib import Path

import pytest

from .folder import Corpus
from .playing import MODES, play
from .scene import Mode, playing, version_for

PAYROLL = Path(__file__).parent / "payroll"

SHARE = 3
"""Of the cases every third is played here; `make corpus CORPUS=tests/corpus/payroll` plays all, in all modes."""

# The runner, as it was published, leaves files to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.mark.timeout(600)
def test_what_nobody_made_the_rules_with_holds_as_well(tmp_path: Path) -> None:
    corpus, said = Corpus.read(PAYROLL), list[str]()
    with playing(corpus, Mode.SERVER, version_for(corpus), tmp_path, said.append) as scene:
        scores = []
        for turn, mode in enumerate(MODES):
            first = SHARE * turn
            share = {
                case["id"] for cases in (corpus.bypass, corpus.benign) for case in cases[first :: SHARE * len(MODES)]
            }
            scores.append(play(corpus.picked(lambda case, share=share: case["id"] in share), scene, (mode,)))
    assert [each for score in scores for each in (*score.leaks, *score.invalid, *score.broken)] == []
    assert sum(len(score.over_denied) for score in scores) <= sum(len(score.cases) for score in scores) / 6
    assert "private.keys.secret: no mask is called 'tokenize'; redacted" in said
