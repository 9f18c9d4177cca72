"""Whole gateways under seeds 0 to 49."""

from .batches import batches, play


@batches(0)
def test_nothing_is_wrong(seeds: range) -> None:
    assert sum(story.connections for story in play(seeds)) > len(seeds)
