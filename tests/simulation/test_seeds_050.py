"""Whole gateways under seeds 50 to 99."""

from .batches import batches, play


@batches(50)
def test_nothing_is_wrong(seeds: range) -> None:
    assert sum(story.connections for story in play(seeds)) > len(seeds)
