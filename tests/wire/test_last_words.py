"""Where the gateway may have a last word: only between messages, or a client would read it as data."""

import pytest

from hoopproxy.events import Step
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres.framing import message
from hoopproxy.wire.postgres.requests import query

from .rig import Rig, machine

COPY_OUT = message(b"H", b"\0\0\0")


def copying(limits: Limits | None = None) -> Rig:
    """A session of which the target has just begun to copy out."""
    rig = Rig(machine(protected=(), limits=limits))
    rig.client(query("select something"))
    rig.from_server(COPY_OUT)
    return rig


def test_a_short_piece_of_a_copy_is_shown_once_it_is_whole() -> None:
    rig = copying()
    data = message(b"d", b"x" * 1000)
    before = len(rig.shown)
    step: Step = rig.wire.feed(Side.SERVER, data[:700])
    assert (step.to_client, step.is_amid) == (b"", False)
    step = rig.wire.feed(Side.SERVER, data[700:])
    assert (step.to_client, step.is_amid) == (data, False)
    assert len(rig.shown) == before


@pytest.mark.parametrize("piece_bytes", [1, 1000, 70_000])
def test_a_long_piece_passes_as_it_comes_and_says_so(piece_bytes: int) -> None:
    rig = copying()
    data = message(b"d", b"x" * 300_000)  # more than `chunk_bytes_max`
    seen = b""
    while len(seen) < len(data):
        arrived = data[len(seen) :][: max(5, piece_bytes)]
        step = rig.wire.feed(Side.SERVER, arrived)
        seen += step.to_client
        assert step.is_amid == (len(seen) < len(data))
    assert seen == data
