"""Names to addresses: plain hosts only, all addresses, in a fixed order, in time."""

from collections.abc import Awaitable, Iterable
from dataclasses import replace
from ipaddress import ip_address
from socket import gaierror
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from hoopproxy.dial.resolver import Resolver
from hoopproxy.errors import UpstreamUnreachable
from hoopproxy.hands import Overloaded
from hoopproxy.rooms import IResolver
from hoopproxy.settings import Limits
from tests.conftest import Spin

LIMITS = Limits(addresses_max=4, dial_s_max=5.0)


class Names:
    """A resolver over names that a test makes up."""

    def __init__(self, **limits: Any) -> None:
        self.clock, self.asked = Clock(), list[str]()
        self.answer: Awaitable[Iterable[str]] | Iterable[str] | Exception = ()
        self.resolver = Resolver(self.clock, replace(LIMITS, **limits), self.look_up)

    async def look_up(self, name: str) -> Iterable[str]:
        self.asked.append(name)
        if isinstance(self.answer, Exception):
            raise self.answer
        return await self.answer if isinstance(self.answer, Awaitable) else self.answer

    def resolve(self, host: str) -> Any:
        found: list[Any] = []
        Deferred.fromCoroutine(self.resolver.resolve(host)).addCallbacks(
            found.append, lambda no: found.append(no.value)
        )
        return found[0] if found else ...

    def refusal(self, host: str) -> UpstreamUnreachable:
        why = self.resolve(host)
        assert isinstance(why, UpstreamUnreachable)
        return why


def test_it_is_what_the_interface_says() -> None:
    assert verifyObject(IResolver, Names().resolver)


@pytest.mark.parametrize(("host", "literal"), [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1")])
def test_a_literal_is_its_own_answer_and_asks_nobody(host: str, literal: str) -> None:
    names = Names()
    assert names.resolve(host) == (ip_address(literal),) and names.asked == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "①②⑦.⓪.⓪.①", "a b", "", "fe80::1%eth0", "db_1"])
def test_a_host_that_is_not_plain_is_never_asked_for(host: str) -> None:
    names = Names()
    assert repr(host) in names.refusal(host).sentence and names.asked == []


def test_all_addresses_come_canonical_once_and_in_a_fixed_order() -> None:
    names = Names()
    names.answer = ("2001:db8::2", "192.0.2.9", "::ffff:192.0.2.9", "192.0.2.10", "2001:db8::2")
    first = names.resolve("db.example")
    names.answer = tuple(reversed(names.answer))
    wanted = tuple(map(ip_address, ("192.0.2.9", "192.0.2.10", "2001:db8::2")))
    assert first == names.resolve("db.example") == wanted


def test_no_address_and_too_many_are_refused() -> None:
    names = Names()
    assert "no address" in names.refusal("db.example").sentence
    names.answer = tuple(f"192.0.2.{number}" for number in range(5))
    why = names.refusal("db.example")
    assert "too many" in why.sentence and "limits.addresses_max allows 4" in why.detail


@pytest.mark.parametrize("error", [gaierror(-2, "Name or service not known"), Overloaded("busy"), UnicodeError("idna")])
def test_a_resolver_that_fails_is_told_to_the_operator_and_the_host_to_the_user(error: Exception) -> None:
    names = Names()
    names.answer = error
    why = names.refusal("db.example")
    assert "'db.example'" in why.sentence and str(error) in why.detail and str(error) not in why.sentence


def test_a_resolver_that_hangs_is_given_up() -> None:
    names = Names()
    names.answer = Deferred()
    found: list[Any] = []
    Deferred.fromCoroutine(names.resolver.resolve("db.example")).addErrback(lambda no: found.append(no.value))
    names.clock.advance(LIMITS.dial_s_max)
    assert isinstance(found[0], UpstreamUnreachable) and "limits.dial_s_max" in found[0].detail


def test_the_system_s_own_resolver_knows_this_machine(reactor: Any, spin: Spin) -> None:
    found = spin(Resolver(reactor, LIMITS).resolve("localhost"))
    assert set(found) & {ip_address("127.0.0.1"), ip_address("::1")}
