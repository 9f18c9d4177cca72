"""Whole gateways under seeds 100 to 149."""

from .batches import batches, play


@batches(100)
def test_nothing_is_wrong(seeds: range) -> None:
    assert sum(story.connections for story in play(seeds)) > len(seeds)
