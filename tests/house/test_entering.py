"""While a database takes its time over letting somebody in: what ends sessions from outside does not wait for it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from hoopproxy.masks import NO_CATALOG, Entrance
from hoopproxy.model import Passage
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IDesk
from hoopproxy.testing.healthy import MemoryLog, RewritesNothing
from hoopproxy.testing.house import House, Visit, message, query

from .conftest import end_all
from .test_session import kinds


class Hangs(RewritesNothing):
    """A database that never answers, and what it leaves behind when nobody waits for it any more."""

    waiting = 0

    async def enter(self, passage: Passage, role: str, desk: Callable[[], Awaitable[IDesk]]) -> Entrance | None:
        self.waiting += 1
        try:
            return await Deferred()
        finally:
            self.waiting -= 1


class Keeps(RewritesNothing):
    """Lets everybody in as a login role of their own."""

    async def enter(self, passage: Passage, role: str, desk: Callable[[], Awaitable[IDesk]]) -> Entrance | None:
        assert role == "reader"
        secret = TargetSecret("hp_3f9ac01b77de_0123456789abcdef", Secret("s" * 64), is_random=True)
        return Entrance(secret, NO_CATALOG, "hp_3f9ac01b77de", ("partition-bound public.payments",))


def test_who_enters_where_masks_are_kept_is_in_the_log_before_with_what_was_accepted() -> None:
    house = House()
    house.addons.enforcement = Keeps()
    house = House(house.addons)
    seen: list[list[str]] = []
    login = house.dialer.login

    async def logging_in(*arguments: Any) -> Any:
        seen.append(kinds(house))
        return await login(*arguments)

    house.dialer.login = logging_in  # type: ignore[method-assign] # a spy
    house.connect(query("SELECT 1"), message(b"X", b""))
    assert seen == [["permitted", "confirmed", "masks-kept"]]
    ((_, secret),) = house.dialer.logins
    assert secret.username == "hp_3f9ac01b77de_0123456789abcdef"
    log = house.addons.evidence
    assert isinstance(log, MemoryLog)
    kept = json.loads(log.leaves[2])
    assert (kept["mask_set"], kept["accepted"]) == ("hp_3f9ac01b77de", ["partition-bound public.payments"])


def entering() -> tuple[House, Hangs, Visit]:
    house = House()
    house.addons.enforcement = hangs = Hangs()
    house = house.with_limits(provision_s_max=1e6)
    visit = house.connect(query("SELECT 1"))
    assert hangs.waiting == 1 and len(house.leases.live()) == 1
    return house, hangs, visit


def killed(house: House) -> None:
    end_all(house.leases)


def stopped(house: House) -> None:
    house.leases.stop()


def expired(house: House) -> None:
    (lease,) = house.leases.live()
    (held,) = lease.held.values()
    house.clock.advance(held.passage.permit.not_after_s - house.clock.seconds())


@pytest.mark.parametrize(
    ("end", "words"),
    [(killed, "An operator ended"), (stopped, "The gateway is stopping"), (expired, "your sign-in expired")],
)
def test_it_ends_at_once_and_leaves_nothing_behind(end: Callable[[House], None], words: str) -> None:
    house, hangs, visit = entering()
    end(house)
    assert visit.over and visit.failure is None
    assert [words in why.sentence for why in visit.frontend.refusals] == [True] and visit.frontend.closed
    assert hangs.waiting == 0 and not house.leases.live() and house.clock.getDelayedCalls() == []
    assert house.dialer.peers == [] and kinds(house) == ["permitted", "confirmed", "ended"]
    log = house.addons.evidence
    assert isinstance(log, MemoryLog) and b'"revoked"' in log.leaves[-1]
