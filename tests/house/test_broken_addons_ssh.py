"""The same over SSH: an addon that breaks ends the session in which it broke, and of parent and child only the child.

A parent runs a command and forwards a channel; each call of each role fails once, whichever of the two it is for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from hoopproxy.errors import SessionError
from hoopproxy.events import Shape
from hoopproxy.masks import Mask
from hoopproxy.model import Passage, Permit
from hoopproxy.settings import Limits
from hoopproxy.testing.healthy import RedactsOne
from hoopproxy.testing.simulation.trouble import CALLS, PLAIN
from hoopproxy.testing.ssh_speaker import execute, open_forward, open_session
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.channels import OWN_NUMBERS_FROM as FIRST

from .ssh_scene import Scene, Talk, cut_off, furnished
from .test_broken_addons import Broken, _furnish


class LooksAtAll(RedactsOne):
    """Masks by content, and finds nothing."""

    async def protects(self, permit: Permit) -> frozenset[str]:
        return frozenset({"*"})

    async def plan(self, passage: Passage, shape: Shape) -> Mapping[int, Mask]:
        return {}


class Watch:
    """Counts the calls; `broke` is whose it was that failed, and `passed` what had passed by then."""

    def __init__(self) -> None:
        self.calls = 0
        self.talk: Talk | None = None
        self.broke = ""
        self.passed: tuple[int, ...] = ()

    def is_due(self, nth: int) -> bool:
        self.calls += 1
        if self.calls == nth:
            self.broke = "child" if self.talk is not None and self.talk.client.has_forwarded else "parent"
            self.passed = self.passing()
        return self.calls == nth

    def passing(self) -> tuple[int, ...]:
        """Bytes of data that reached the shell, the cache, and the client from either."""
        if self.talk is None:
            return (0, 0, 0)
        scene, client = self.talk.scene, self.talk.client
        shown = sum(len(each) for each in client.heard_of(messages.DATA))
        return *(sum(len(peer.sent) for peer in each.peers) for each in (scene.sshds, scene.caches)), shown


def play(role: str, call: str, nth: int, how: str) -> tuple[Talk, Watch]:
    """The script up to the call that broke, and time for a gateway that waits for an answer."""
    addons, watch = furnished(), Watch()
    addons.maskers = [LooksAtAll("")]
    _furnish(addons, role, lambda addon: Broken(addon, call, nth, how, watch))  # type: ignore[arg-type] # it counts
    scene = Scene(addons, Limits(provision_s_max=5.0))
    talk = watch.talk = scene.connect()
    steps = (
        lambda: talk.runs("uptime"),
        lambda: talk.client.says(open_forward(7, "cache.example", 6379)),
        lambda: talk.client.says(messages.output(FIRST, 0, b"PING")),
        lambda: talk.cache.give(b"PONG"),
        lambda: talk.client.says(messages.end_of_file(FIRST)),
        lambda: talk.cache.give(b""),
    )
    for step in steps:
        if watch.broke:
            break
        step()
    scene.clock.pump([1.0] * 10)
    return talk, watch


def cases() -> Iterator[Any]:
    for role, calls in CALLS.items():
        for call in calls:
            calls_made = play(role, call, 0, "raise")[1].calls
            cut_off()
            for nth in range(1, calls_made + 1):
                for how in ("raise", "hang", "wrong type"):
                    if not (call in PLAIN and how == "hang"):
                        yield pytest.param(role, call, nth, how, id=f"{role}.{call}-{nth}-{how}".replace(" ", "-"))


def test_with_healthy_addons_the_script_passes() -> None:
    talk, watch = play("router", "route", 0, "raise")
    assert watch.calls == 2 and not talk.visit.over
    (child,) = talk.client.adopted
    assert child.over and child.failure is None
    assert talk.cache.sent == b"PING"
    assert b"".join(each[9:] for each in talk.client.heard_of(messages.DATA)) == b"hello\nPONG"


@pytest.mark.parametrize(("role", "call", "nth", "how"), list(cases()))
def test_no_byte_passes_a_broken_addon_and_only_its_session_ends(role: str, call: str, nth: int, how: str) -> None:
    talk, watch = play(role, call, nth, how)
    assert watch.broke, "the broken call was never made"
    assert all(visit.failure is None for visit in (talk.visit, *talk.client.adopted))
    if watch.broke == "child":
        (child,) = talk.client.adopted
        assert child.over, "the session hangs with its addon"
        assert all(peer.closed for peer in talk.scene.caches.peers)
        assert watch.passing() == watch.passed
        assert not talk.visit.over
        talk.client.says(open_session(1), execute(1, "uptime"))
        assert len(talk.client.heard_of(messages.DATA)) > 1 or role == "evidence"
    else:
        assert talk.visit.over and all(child.over for child in talk.client.adopted)
        assert watch.passing() == watch.passed
        assert talk.client.closed and all(peer.closed for peer in talk.scene.sshds.peers)
        (why,) = talk.client.refusals
        assert isinstance(why, SessionError) and why.code in ("addon-failure", "evidence-unavailable")
