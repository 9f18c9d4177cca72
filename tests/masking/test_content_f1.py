"""How well entities are found in a text made from a seed, with hard negatives: what masks by content are worth at best.

`pytest -rP` shows the figures.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest

from hoopproxy.masking.content.checks import card
from hoopproxy.masking.content.detector import Detector, detector_of
from hoopproxy.masking.content.entities import ENTITIES, USUAL

from .labelled import Line, digits, lines

SEED = 20260101
FEW = ("email", "card", "iban", "us-ssn", "phone", "jwt", "aws-access-key")


@dataclass
class Score:
    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def f1(self) -> float:
        return 2 * self.right / (2 * self.right + self.wrong + self.missed)

    def count(self, found: set[tuple[int, int]], wanted: set[tuple[int, int]]) -> None:
        self.right += len(found & wanted)
        self.wrong += len(found - wanted)
        self.missed += len(wanted - found)


def spans(detector: Detector, line: Line) -> Iterator[tuple[int, int, str]]:
    return ((each.start, each.end, each.entity.name) for each in detector.find(line.text))


def test_the_few_that_everybody_wants_are_told_apart() -> None:
    detector = Detector([ENTITIES[name] for name in FEW])
    scores = {name: Score() for name in FEW}
    for line in lines(SEED, FEW, 1050):
        found = set(spans(detector, line))
        for name, score in scores.items():
            score.count(
                {each[:2] for each in found if each[2] == name}, {line.label[:2]} if line.label[2] == name else set()
            )
    sys.stdout.write(f"F1: { {name: round(score.f1, 4) for name, score in scores.items()} }\n")
    assert min(score.f1 for score in scores.values()) >= 0.98


@pytest.mark.parametrize("name", ENTITIES)
def test_each_entity_is_found_among_what_is_none(name: str) -> None:
    detector, score = detector_of((ENTITIES[name],)), Score()
    for line in lines(SEED, (name,), 30):
        score.count({each[:2] for each in spans(detector, line)}, {line.label[:2]})
    sys.stdout.write(f"F1 of {name}: {score.f1:.4f}\n")
    assert score.f1 >= 0.98


@pytest.mark.parametrize("names", [USUAL, tuple(ENTITIES)], ids=["usual", "all"])
def test_all_together_mask_what_they_should(names: tuple[str, ...]) -> None:
    """Numbers that several countries could have given out may get another's name; they are masked all the same."""
    detector, score = Detector([ENTITIES[name] for name in names]), Score()
    for line in lines(SEED, names, 3 * len(names)):
        score.count({each[:2] for each in spans(detector, line)}, {line.label[:2]})
    sys.stdout.write(
        f"F1 of {len(names)}: {score.f1:.4f}, {score.wrong} wrong and {score.missed} missed of {score.right}\n"
    )
    assert score.f1 >= 0.98


def test_of_random_numbers_of_sixteen_digits_one_in_forty_is_a_card() -> None:
    random = Random(SEED)
    share = sum(card(digits(random, 16)) for _ in range(10_000)) / 10_000
    sys.stdout.write(f"{share:.2%} of random numbers of 16 digits pass as cards\n")
    assert share < 0.03
