"""Nobody stays in a house when its test is over."""

from collections.abc import Iterator

import pytest

from .ssh_scene import cut_off


@pytest.fixture(autouse=True)
def everybody_leaves() -> Iterator[None]:
    yield
    cut_off()
