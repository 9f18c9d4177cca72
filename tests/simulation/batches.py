"""Seeds in batches, a file of tests for each, so that workers share them."""

import pytest

from hoopproxy.testing.simulation.run import Story, simulate

SEEDS, BATCH = 50, 10


def batches(first: int) -> pytest.MarkDecorator:
    """Fifty seeds, ten to a test."""
    return pytest.mark.parametrize(
        "seeds", [range(at, at + BATCH) for at in range(first, first + SEEDS, BATCH)], ids=str
    )


def play(seeds: range) -> list[Story]:
    """@raise Found: with the seed, and how to replay it."""
    return [simulate(seed) for seed in seeds]
