"""Nobody stays in a house when its test is over."""

from collections.abc import Iterator

import pytest

from hoopproxy.admit.leases import Leases
from hoopproxy.errors import Revoked

from .ssh_scene import cut_off


def end_all(leases: Leases) -> None:
    """As an operator does, one session after the other."""
    for lease in leases.live():
        leases.end(lease.session_id, Revoked("An operator ended your session."))


@pytest.fixture(autouse=True)
def everybody_leaves() -> Iterator[None]:
    yield
    cut_off()
