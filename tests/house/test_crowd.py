"""Places: how many may be here, from where, as whom, and that each is given back on every way out."""

from ipaddress import ip_address
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from hoopproxy.admit.crowd import Crowd
from hoopproxy.errors import LimitReached
from hoopproxy.model import Arrival, Credentials, Grant, Identity, Pending
from hoopproxy.settings import Limits
from hoopproxy.testing.healthy import GrantsAll, KnowsEverybody
from hoopproxy.testing.house import House, Visit, message, query

from .conftest import end_all

LEAVE = message(b"X", b"")


def identity(subject: str = "ada", issuer: str = "https://id.example") -> Identity:
    return Identity(issuer, subject, "", frozenset(), 0.0, "oidc")


# Places --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "taken", "free"),
    [
        ("connections_max", "192.0.2.9", None),
        ("connections_per_address_max", "192.0.2.1", "192.0.2.9"),
        ("unauthenticated_max", "192.0.2.9", None),
        ("unauthenticated_per_address_max", "192.0.2.1", "192.0.2.9"),
    ],
)
def test_a_limit_is_named_once_its_places_are_taken(limit: str, taken: str, free: str | None) -> None:
    crowd = Crowd(Limits(**{limit: 2}))  # type: ignore[arg-type] # a name of a limit
    for connection_id in ("a", "b"):
        assert crowd.limit_for(ip_address("192.0.2.1")) == ""
        crowd.enter(connection_id, ip_address("192.0.2.1"))
    assert crowd.limit_for(ip_address(taken)) == f"limits.{limit}"
    if free is not None:
        assert crowd.limit_for(ip_address(free)) == ""
    crowd.leave("a")
    assert crowd.limit_for(ip_address(taken)) == ""


@pytest.mark.parametrize("limit", ["connections_per_address_max", "unauthenticated_per_address_max"])
def test_an_ipv6_address_stands_for_its_64_and_an_ipv4_address_for_itself(limit: str) -> None:
    crowd = Crowd(Limits(**{limit: 1}))  # type: ignore[arg-type] # a name of a limit
    crowd.enter("a", ip_address("2001:db8:0:2::1"))
    crowd.enter("b", ip_address("192.0.2.1"))
    for address in ("2001:db8:0:2:ffff::2", "192.0.2.1"):
        assert crowd.limit_for(ip_address(address)) == f"limits.{limit}"
    for address in ("2001:db8:0:3::1", "192.0.2.2"):
        assert crowd.limit_for(ip_address(address)) == ""


@pytest.mark.parametrize("limit", ["unauthenticated_max", "unauthenticated_per_address_max"])
def test_who_is_signed_in_is_no_stranger_and_never_becomes_one_again(limit: str) -> None:
    crowd, here = Crowd(Limits(**{limit: 1})), ip_address("192.0.2.1")  # type: ignore[arg-type] # a name of a limit
    crowd.enter("a", here)
    assert crowd.limit_for(here)
    with crowd.signed_in("a", identity()):
        assert crowd.limit_for(here) == ""
    assert crowd.limit_for(here) == "" and len(crowd) == 1
    crowd.leave("a")
    assert len(crowd) == 0


def test_an_identity_is_issuer_and_subject() -> None:
    crowd = Crowd(Limits(connections_per_identity_max=1))
    with crowd.signed_in("a", identity("ada")):
        for other in (identity("bob"), identity("ada", "https://other.example")):
            with crowd.signed_in("b", other):
                pass
        with pytest.raises(LimitReached) as refused, crowd.signed_in("c", identity("ada")):
            pass
    assert refused.value.limit == "limits.connections_per_identity_max"
    assert refused.value.sentence == (
        "You have 1 of 1 connections open through this gateway; close one and connect again."
    )
    with crowd.signed_in("d", identity("ada")):
        pass


def test_nothing_is_kept_of_who_left() -> None:
    crowd = Crowd(Limits())
    for number in range(100):
        crowd.enter(str(number), ip_address("2001:db8::") + (number << 64))
        with crowd.signed_in(str(number), identity(str(number))):
            crowd.leave(str(number))
    kept = (crowd._connections_of, crowd._here._from, crowd._here._origins, crowd._strangers._from)
    assert not any(kept) and not crowd._strangers._origins


# One person's connections, through the whole house --------------------------------------------------------------------


def full() -> tuple[House, Visit]:
    """A house in which each may have one connection, and somebody who has it."""
    house = House().with_limits(connections_per_identity_max=1)
    return house, house.connect()


def test_one_more_is_refused_with_a_sentence_and_evidence_before_anything_is_reached() -> None:
    house, first = full()
    second = house.connect(client="198.51.100.77")
    (why,) = second.frontend.refusals
    assert second.over and isinstance(why, LimitReached)
    assert why.limit == "limits.connections_per_identity_max" and why.sentence.startswith(
        "You have 1 of 1 connections open"
    )
    assert len(house.dialer.permits) == 1 and not first.over
    assert b'"limit-reached"' in house.addons.evidence.leaves[-1]  # type: ignore[attr-defined] # a log in memory


def _leaves(house: House, visit: Visit) -> None:
    visit.frontend.give(LEAVE)


def _hangs_up(house: House, visit: Visit) -> None:
    visit.frontend.give(b"")


def _says_nonsense(house: House, visit: Visit) -> None:
    visit.frontend.give(b"\xff\0\0\0\4")


def _is_ended(house: House, visit: Visit) -> None:
    end_all(house.leases)


def _loses_its_target(house: House, visit: Visit) -> None:
    house.dialer.peers[-1].give(b"")


def _is_idle(house: House, visit: Visit) -> None:
    house.clock.advance(house.limits.idle_s_max + 1)


def _is_cut_off(house: House, visit: Visit) -> None:
    visit.done.cancel()


@pytest.mark.parametrize(
    "how", [_leaves, _hangs_up, _says_nonsense, _is_ended, _loses_its_target, _is_idle, _is_cut_off]
)
def test_its_place_is_free_again_however_a_session_ends(how: Any) -> None:
    house, first = full()
    assert house.connect().frontend.refusals
    how(house, first)
    assert first.over
    assert house.connect().frontend.welcomed


def test_its_place_is_free_again_however_it_failed_to_begin() -> None:
    house = House().with_limits(connections_per_identity_max=1)
    house.connect(target="nowhere")
    reach, login = house.dialer.reach, house.dialer.login

    async def fails(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    for name in ("reach", "login"):
        setattr(house.dialer, name, fails)
        assert house.connect().failure.type is ZeroDivisionError
        house.dialer.reach, house.dialer.login = reach, login  # type: ignore[method-assign] # as it was
    assert house.connect().frontend.welcomed


def test_who_waits_for_an_approval_has_a_place_already() -> None:
    class Asks(GrantsAll):
        async def grants(self, *arguments: Any) -> tuple[Grant, ...] | Pending:
            return Pending("Ask for access.", 1e12)

    house = House()
    house.addons.grants = [Asks()]
    house = House(house.addons).with_limits(connections_per_identity_max=1)
    waiting = house.connect()
    assert not waiting.over and house.connect().frontend.refusals
    house.advance(waiting, house.limits.approval_s_max + 2)
    assert waiting.over and not house.connect().over


def test_a_stranger_is_one_until_the_token_was_verified() -> None:
    gate: Deferred[None] = Deferred()

    class Slow(KnowsEverybody):
        async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
            await gate
            return await super().identify(arrival, credentials)

    house = House()
    house.addons.authenticators = [Slow()]
    house = House(house.addons)
    crowd = house.gateway.crowd
    crowd.enter("c0", ip_address("198.51.100.9"))
    visit = house.connect(query("SELECT 1"))
    assert len(crowd._strangers) == 1 and not visit.frontend.welcomed
    gate.callback(None)
    assert visit.frontend.welcomed and len(crowd._strangers) == 0 and len(crowd) == 1
