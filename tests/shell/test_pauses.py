"""What counts as a pause of a target: silence on its socket, and no stall of our own."""

import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hoopproxy.masks import NO_CATALOG
from hoopproxy.model import Side
from hoopproxy.relay.judges import Case
from hoopproxy.relay.relay import _Traffic
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.healthy import Unchanged
from tests.conftest import Spin

from .test_connection import LIMITS, Peers

HOLD_S = 0.02
PASSAGE: Any = None


class Stalling:
    """A reader of another connection that keeps the loop to itself, while the target goes on."""

    def __init__(self, ready: socket.socket, goes_on: Any) -> None:
        self._ready, self._goes_on = ready, goes_on

    def fileno(self) -> int:
        return self._ready.fileno()

    def doRead(self) -> None:
        self._ready.recv(1)
        self._goes_on()
        until_s = time.monotonic() + 4 * HOLD_S
        while time.monotonic() < until_s:
            pass

    def logPrefix(self) -> str:
        return "stalling"

    def connectionLost(self, why: object) -> None: ...


@pytest.fixture
def peers(reactor: Any, spin: Spin) -> Iterator[Peers]:
    made = Peers(reactor, LIMITS)
    yield made
    spin(made.end())


@pytest.mark.parametrize("goes_on", [True, False], ids=["the-target-went-on", "the-target-paused"])
def test_a_loop_that_was_held_up_takes_for_no_pause_what_came_meanwhile(
    reactor: Any, spin: Spin, peers: Peers, goes_on: bool
) -> None:
    async def scene() -> bytes | None:
        near, target = await peers.to_socket()
        relay: Any = SimpleNamespace(
            case=Case(PASSAGE, NO_CATALOG, frozenset(), print, Unchanged()),
            client=near,
            server=near,
            scheduler=TwistedScheduler(reactor),
            limits=Limits(),
        )
        ours, theirs = socket.socketpair()
        with target, ours, theirs:
            stalling = Stalling(ours, lambda: target.send(b"11111111\n") if goes_on else None)
            reactor.addReader(stalling)
            theirs.send(b"x")
            try:
                return await _Traffic(relay)._read(Side.SERVER, HOLD_S)
            finally:
                reactor.removeReader(stalling)

    assert spin(scene()) == (b"11111111\n" if goes_on else None)
