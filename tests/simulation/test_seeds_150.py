"""Whole gateways under seeds 150 to 199."""

from .batches import batches, play


@batches(150)
def test_nothing_is_wrong(seeds: range) -> None:
    assert sum(story.connections for story in play(seeds)) > len(seeds)
