"""Reaching a target: who proves that it is itself is reached, and nobody else hears anything but a request for TLS."""

import ssl
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from hoopproxy.dial.postgres import PostgresDialer
from hoopproxy.errors import UpstreamUnreachable
from hoopproxy.model import Endpoint
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.certificates import Authority, Leaf
from hoopproxy.testing.postgres import PostgresCluster
from tests.conftest import Spin

from .conftest import LOOPBACK, Way
from .rogue import Rogue, drain, message, says, shaken


async def measured(way: Way) -> Any:
    """What a handshake shows; the connection is given up."""
    reached = await way.dialer.reach(way.permit())
    reached.abort()
    return reached.measurements


def refusal(spin: Spin, way: Way) -> UpstreamUnreachable:
    """Why it was not reached."""
    with pytest.raises(UpstreamUnreachable, match="'ledger'") as caught:
        spin(measured(way))
    return caught.value


def test_a_target_with_the_right_name_is_reached_and_measured(
    spin: Spin, ledger: Way, cluster: PostgresCluster, leaf: Leaf
) -> None:
    found = spin(measured(ledger))
    assert found.peer == Endpoint(LOOPBACK, cluster.port)
    assert f"sha256:{found.spki_sha256}" == leaf.spki_pin
    assert found.tcp_rtt_us is None or 0 < found.tcp_rtt_us < 1_000_000


def test_an_address_in_the_certificate_proves_an_address_in_the_configuration(spin: Spin, ledger: Way) -> None:
    assert spin(measured(ledger.with_tls("127.0.0.1")))


@pytest.mark.parametrize("name", ["other.example", "127.0.0.2", "sub.db.example", "example"])
def test_a_certificate_for_another_name_is_refused(spin: Spin, ledger: Way, name: str) -> None:
    assert refusal(spin, ledger.with_tls(name)).detail == (
        f"its certificate is for 'db.example', '127.0.0.1', wanted is {name!r}"
    )


def test_a_common_name_proves_nothing(spin: Spin, way: Way, authority: Authority) -> None:
    with Rogue(shaken(authority.issue("db.example"), drain)) as rogue:
        assert "is for no name" in refusal(spin, way.to(rogue.port)).detail


def test_an_unknown_authority_is_refused(spin: Spin, ledger: Way, tmp_path: Any) -> None:
    stranger = Authority(tmp_path, "stranger")
    why = refusal(spin, ledger.with_tls(ca_file=str(stranger.ca_file)))
    assert "signed by nobody among the authorities" in why.detail


def test_the_system_does_not_know_our_authority(spin: Spin, ledger: Way) -> None:
    refusal(spin, ledger.with_tls(ca_file=None))


def test_an_expired_certificate_is_refused(spin: Spin, way: Way, authority: Authority) -> None:
    with Rogue(shaken(authority.issue("late", dns=("db.example",), expired=True), drain)) as rogue:
        assert "expired" in refusal(spin, way.to(rogue.port)).detail


def test_a_missing_authority_file_is_refused(spin: Spin, ledger: Way) -> None:
    assert "gone.pem" in refusal(spin, ledger.with_tls(ca_file="gone.pem")).detail


def test_a_pinned_key_is_enough_without_an_authority(spin: Spin, ledger: Way, leaf: Leaf) -> None:
    assert spin(measured(ledger.with_tls("whatever.example", ca_file=None, pins=frozenset({leaf.spki_pin}))))


def test_one_of_several_pins_is_enough(spin: Spin, ledger: Way, leaf: Leaf) -> None:
    assert spin(measured(ledger.with_tls(ca_file=None, pins=frozenset({"sha256:" + "0" * 64, leaf.spki_pin}))))


@pytest.mark.parametrize("with_authority", [True, False])
def test_another_key_than_the_pinned_one_is_refused(spin: Spin, ledger: Way, leaf: Leaf, with_authority: bool) -> None:
    ca_file = ledger.target.tls.ca_file if with_authority else None
    why = refusal(spin, ledger.with_tls(ca_file=ca_file, pins=frozenset({"sha256:" + "0" * 64})))
    assert leaf.spki_pin in why.detail


def test_a_pin_does_not_replace_the_name_where_an_authority_is_named(spin: Spin, ledger: Way, leaf: Leaf) -> None:
    refusal(spin, ledger.with_tls("other.example", pins=frozenset({leaf.spki_pin})))


@pytest.mark.parametrize(
    "answer",
    [
        b"N",
        b"E",
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"S" + b"\x16\x03\x03",
        b"S" + message(b"R", b"\0\0\0\0"),
        message(b"E", b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"),
    ],
)
def test_whoever_answers_otherwise_than_with_tls_is_refused(spin: Spin, way: Way, answer: bytes) -> None:
    def script(connection: Any) -> None:
        says_it = says(answer)
        if answer:
            says_it(connection)
        else:
            connection.recv(8)
            connection.close()

    with Rogue(script) as rogue:
        refusal(spin, way.to(rogue.port))


def test_a_server_without_tls_is_refused(spin: Spin, way: Way, without_tls: PostgresCluster) -> None:
    assert "b'N'" in refusal(spin, way.to(without_tls.port)).detail


def test_a_server_that_is_down_is_refused(spin: Spin, way: Way) -> None:
    with Rogue(drain) as rogue:
        port = rogue.port
    assert f"127.0.0.1:{port}" in refusal(spin, way.to(port)).detail


def test_tls_below_1_2_is_refused(spin: Spin, way: Way, leaf: Leaf) -> None:
    with Rogue(shaken(leaf, drain, ssl.TLSVersion.TLSv1_1)) as rogue:
        refusal(spin, way.to(rogue.port))


def test_a_silent_server_is_given_up_after_the_limit(spin: Spin, way: Way, reactor: Any) -> None:
    hasty = PostgresDialer(reactor, Limits(dial_s_max=0.1), TwistedScheduler(reactor))
    with Rogue(drain) as rogue:
        why = refusal(spin, replace(way, dialer=hasty).to(rogue.port))
    assert "limits.dial_s_max" in why.detail


def test_the_next_judged_address_is_tried_when_one_does_not_answer(
    spin: Spin, ledger: Way, cluster: PostgresCluster
) -> None:
    async def through_two() -> Any:
        nobody = ip_address("127.0.0.9")
        reached = await ledger.dialer.reach(replace(ledger.permit(), addresses=(nobody, LOOPBACK)))
        reached.abort()
        return reached.measurements.peer

    assert spin(through_two()) == Endpoint(LOOPBACK, cluster.port)


def test_ipv6_is_dialled_like_ipv4(spin: Spin, ledger: Way) -> None:
    async def over_six() -> Any:
        reached = await ledger.dialer.reach(replace(ledger.permit(), addresses=(ip_address("::1"),)))
        reached.abort()
        return reached.measurements.peer.address

    assert spin(over_six()) == ip_address("::1")


def test_all_that_went_wrong_is_told_when_no_address_answers(spin: Spin, way: Way) -> None:
    async def to_nobody() -> None:
        await way.to(1).dialer.reach(replace(way.to(1).permit(), addresses=(LOOPBACK, ip_address("127.0.0.9"))))

    with pytest.raises(UpstreamUnreachable) as caught:
        spin(to_nobody())
    assert "127.0.0.1:1" in caught.value.detail and "127.0.0.9:1" in caught.value.detail


def test_a_permit_without_an_address_reaches_nobody(spin: Spin, ledger: Way) -> None:
    async def nowhere() -> None:
        await ledger.dialer.reach(replace(ledger.permit(), addresses=()))

    with pytest.raises(UpstreamUnreachable):
        spin(nowhere())


def test_a_peer_at_another_address_than_the_dialled_one_is_refused(
    spin: Spin, ledger: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a redirecting network stack would look like: `getpeername()` says another address."""
    from hoopproxy import connection as connections
    from hoopproxy.dial import reaching

    async def elsewhere(*arguments: Any) -> Any:
        connection = await connections.connect(*arguments)
        connection.peer = Endpoint(ip_address("127.0.0.7"), connection.peer.port)
        return connection

    monkeypatch.setattr(reaching, "connect", elsewhere)
    assert "127.0.0.7" in refusal(spin, ledger).detail


def test_reaching_sends_nothing_but_the_request_for_tls_and_its_handshake(spin: Spin, way: Way, leaf: Leaf) -> None:
    heard: list[bytes] = []

    def listens(connection: Any) -> None:
        heard.append(connection.recv(65536))

    async def reach_and_give_up() -> None:
        reached = await way.to(rogue.port).dialer.reach(way.to(rogue.port).permit())
        reached.abort()

    with Rogue(shaken(leaf, listens)) as rogue:
        spin(reach_and_give_up())
    assert heard in ([], [b""])
