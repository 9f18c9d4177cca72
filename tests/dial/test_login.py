"""Logging in: SCRAM or nothing, the catalog, and the wire after it, on real servers and against hostile ones."""

import socket
import struct
from dataclasses import replace
from typing import Any

import pytest

from hoopproxy.dial.postgres import PostgresDialer
from hoopproxy.dial.tls import Proof, Verification
from hoopproxy.errors import LimitReached, ProtocolViolation, SessionError, UpstreamRefused, UpstreamUnreachable
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.certificates import Authority, Leaf
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.wire.postgres import scram
from hoopproxy.wire.postgres.framing import Splitter
from hoopproxy.wire.postgres.messages import error, read_data_row, read_fields
from hoopproxy.wire.postgres.requests import query
from tests.conftest import Spin

from .conftest import Way
from .rogue import SSL_REQUEST, Rogue, authentication, drain, forwards, message, pools, shaken


async def ask(peer: Any, text: str) -> list[tuple[bytes, bytes]]:
    """All messages of one simple query."""
    await peer.write(query(text))
    return [answer async for answer in answers(peer)]


async def answers(peer: Any) -> Any:
    """Messages up to ReadyForQuery."""
    splitter = Splitter(peer.side)
    while True:
        data = await peer.read()
        assert data, "the server closed the connection"
        splitter.append(data)
        while (received := splitter.next(1 << 20, "test")) is not None:
            yield received.kind, received.body
            if received.kind == b"Z":
                return


async def cells(peer: Any, text: str) -> list[tuple[bytes | None, ...]]:
    return [read_data_row(body) for kind, body in await ask(peer, text) if kind == b"D"]


def test_a_login_ends_with_a_session_that_answers(spin: Spin, ledger: Way, cluster: PostgresCluster) -> None:
    async def visit() -> tuple[Any, Any]:
        async with ledger.session(application_name="psql", datestyle="German") as peer:
            return peer.greeting.parameters, await cells(peer, WHO)

    parameters, rows = spin(visit())
    assert rows == [(b"reader", b"psql", b"t")]
    assert parameters["server_version"].startswith(str(cluster.version))
    assert parameters["application_name"] == "psql"
    assert parameters["DateStyle"].startswith("German")


WHO = """
SELECT current_user, current_setting('application_name'), ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()
"""


@pytest.fixture
def mechanisms(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Those that were used."""
    used: list[str] = []
    first = scram.Scram.first

    def spy(self: scram.Scram) -> bytes:
        used.append(self.mechanism)
        return first(self)

    monkeypatch.setattr(scram.Scram, "first", spy)
    return used


def test_the_channel_is_bound_to_the_certificate(
    spin: Spin, ledger: Way, mechanisms: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server checks it: with the hash of another certificate it refuses."""
    from hoopproxy.dial import postgres

    spin(ledger.log_in())
    assert mechanisms == ["SCRAM-SHA-256-PLUS"]
    monkeypatch.setattr(postgres, "_end_point", lambda _: b"\0" * 32)
    with pytest.raises(UpstreamRefused):
        spin(ledger.log_in())


def test_a_wrong_password_is_refused_with_the_servers_word(spin: Spin, ledger: Way) -> None:
    with pytest.raises(UpstreamRefused) as caught:
        spin(ledger.log_in(password="wrong"))
    assert "28P01" in caught.value.detail and "wrong" not in caught.value.sentence


def test_a_missing_database_or_setting_is_told(spin: Spin, ledger: Way) -> None:
    with pytest.raises(UpstreamRefused, match="22023"):
        spin(ledger.log_in(timezone="Nowhere/Land"))


@pytest.mark.parametrize("account", ["trusting", "hashing", "telling"])
def test_a_server_that_does_not_ask_for_scram_is_refused(spin: Spin, ledger: Way, account: str) -> None:
    with pytest.raises(UpstreamRefused) as caught:
        spin(ledger.log_in(account=account))
    assert "scram-sha-256" in caught.value.detail


def test_behind_something_that_ends_tls_the_login_goes_without_binding(
    spin: Spin, way: Way, leaf: Leaf, without_tls: PostgresCluster, mechanisms: list[str]
) -> None:
    with Rogue(forwards(without_tls.port, leaf, in_tls=False)) as balancer:
        greeting, _ = spin(way.to(balancer.port).log_in())
    assert greeting.parameters["server_encoding"] == "UTF8"
    assert mechanisms == ["SCRAM-SHA-256"]


def test_an_offer_of_binding_that_was_cut_out_on_the_way_is_noticed(
    spin: Spin, way: Way, leaf: Leaf, cluster: PostgresCluster
) -> None:
    """By the server: we tell it that we could have bound the channel (RFC 5802 §6)."""
    stripping = forwards(cluster.port, leaf, in_tls=True, strikes=b"SCRAM-SHA-256-PLUS\0")
    with Rogue(stripping) as between, pytest.raises(UpstreamRefused, match="channel binding"):
        spin(way.to(between.port).log_in())


# Versions of the protocol --------------------------------------------------------------------------------------------


def test_each_server_is_spoken_to_in_the_newest_version_that_it_knows(
    spin: Spin, ledger: Way, cluster: PostgresCluster
) -> None:
    async def key() -> bytes:
        async with ledger.session() as peer:
            return peer._done.key

    assert len(spin(key())) == (32 if cluster.version >= 18 else 4)


TOO_NEW = {"a sentence": error("unsupported version", "08P01", "FATAL"), "nothing": b""}


@pytest.mark.parametrize("last_words", TOO_NEW.values(), ids=TOO_NEW)
def test_a_pooler_that_does_not_negotiate_is_asked_again_for_3_0(
    spin: Spin, way: Way, leaf: Leaf, without_tls: PostgresCluster, last_words: bytes
) -> None:
    async def visit() -> Any:
        async with way.to(pooler.port).session() as peer:
            return await cells(peer, "SELECT current_user")

    with Rogue(pools(without_tls.port, leaf, last_words)) as pooler:
        assert spin(visit()) == [(b"reader",)]
        assert pooler.connections == 2


def test_a_server_that_refuses_3_0_too_is_not_asked_for_ever(spin: Spin, way: Way, leaf: Leaf) -> None:
    with Rogue(shaken(leaf, sends(TOO_NEW["a sentence"]))) as rogue:
        with pytest.raises(UpstreamRefused, match="unsupported version"):
            spin(way.to(rogue.port).log_in())
        assert rogue.connections == 2


def test_it_is_asked_again_only_if_it_holds_the_same_key(
    spin: Spin, way: Way, leaf: Leaf, authority: Authority
) -> None:
    """The verdict is about the server that was measured."""
    heard: list[bytes] = []
    other = authority.issue("db-2", dns=("db.example",), ips=("127.0.0.1",))
    scripts = iter([shaken(leaf, sends(TOO_NEW["a sentence"])), shaken(other, lambda c: heard.append(c.recv(65536)))])
    with Rogue(lambda connection: next(scripts)(connection)) as rogue:
        with pytest.raises(UpstreamUnreachable) as caught:
            spin(way.to(rogue.port).log_in())
    assert "another private key" in caught.value.detail and heard in ([], [b""])


# The catalog --------------------------------------------------------------------------------------------------------


def test_the_catalog_is_read_for_what_is_protected(spin: Spin, ledger: Way, cluster: PostgresCluster) -> None:
    odd = "Odd schema.it's.cärd"

    _, catalog = spin(ledger.log_in("*", "public.customers.card", "public.people.card", odd))
    protected = {relation.name: dict(relation.columns) for relation in catalog.protected.values()}
    assert protected == {
        "customers": {3: "public.customers.card"},
        "people": {2: "public.people.card"},
        "people_one": {2: "public.people.card"},
        "people_two": {1: "public.people.card"},
        "it's": {1: odd},
    }
    assert {relation.name for relation in catalog.tainted.values()} == {"names", "names_of_names", "cards"}
    assert catalog.functions == {"peek"}
    oids = dict(cluster.execute("SELECT relname, oid::int FROM pg_class", database="books") or [])
    assert {oid for oid, relation in catalog.protected.items() if relation.name == "customers"} == {oids["customers"]}
    assert {oids["customers"], oids["plain_view"], oids["pg_class"], oids["cards"]} <= catalog.known


def test_nothing_is_read_where_nothing_is_protected_by_origin(spin: Spin, ledger: Way) -> None:
    _, catalog = spin(ledger.log_in("*"))
    assert catalog.known == frozenset()


@pytest.mark.parametrize("path", ["public.customers.cart", "public.gone.card", "elsewhere.customers.card"])
def test_a_rule_that_protects_nothing_ends_the_session_and_is_named(spin: Spin, ledger: Way, path: str) -> None:
    with pytest.raises(UpstreamRefused, match=path):
        spin(ledger.log_in("public.customers.card", path))


def test_reading_the_catalog_leaves_the_session_as_it_was(spin: Spin, ledger: Way) -> None:
    async def visit() -> Any:
        async with ledger.session("public.customers.card", search_path="somewhere") as peer:
            return await ask(peer, "SHOW search_path")

    received = spin(visit())
    assert read_data_row(dict(received)[b"D"]) == (b"somewhere",)
    assert dict(received)[b"Z"] == b"I"


# Cancelling ---------------------------------------------------------------------------------------------------------

SLEEP = "DO $$BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(600); END$$"


async def falls_asleep(peer: Any) -> Any:
    """Runs SLEEP up to the point where the server sleeps."""
    await peer.write(query(SLEEP))
    received = answers(peer)
    kind, body = await anext(received)
    assert kind == b"N" and read_fields(body)["M"] == "asleep"
    return received


def test_an_interrupt_stops_its_own_statement_and_no_other(spin: Spin, ledger: Way) -> None:
    async def visit() -> tuple[Any, Any]:
        async with ledger.session() as one, ledger.session() as other:
            asleep = await falls_asleep(one)
            await other.interrupt()
            still_there = await cells(other, "SELECT 1")
            await one.interrupt()
            return still_there, [read_fields(body)["C"] async for kind, body in asleep if kind == b"E"]

    assert spin(visit()) == ([(b"1",)], ["57014"])


def test_an_interrupt_never_raises(spin: Spin, ledger: Way, way: Way) -> None:
    async def visit() -> None:
        async with ledger.session() as peer:
            peer._target = way.with_tls("other.example").target
            await peer.interrupt()

    spin(visit())


def test_an_interrupt_is_told_only_to_the_holder_of_the_same_key(
    spin: Spin, ledger: Way, leaf: Leaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else with a good certificate for the name may have taken the address meanwhile."""
    from hoopproxy import connection as connections
    from hoopproxy.dial import reaching

    sent: list[bytes] = []

    async def spied(*arguments: Any) -> Any:
        connection = await connections.connect(*arguments)
        send = connection.send

        def heard(data: bytes) -> None:
            sent.append(data)
            send(data)

        monkeypatch.setattr(connection, "send", heard)
        return connection

    async def another_key(*given: Any) -> Proof:
        return replace(await shake(*given), spki_sha256="00" * 32)

    async def visit() -> None:
        async with ledger.session() as peer:
            with monkeypatch.context() as patched:
                patched.setattr(reaching, "connect", spied)
                patched.setattr(Verification, "shake", another_key)
                await peer.interrupt()

    shake = Verification.shake
    spin(visit())
    assert sent == [SSL_REQUEST]


# Hostile servers ----------------------------------------------------------------------------------------------------

OFFER = authentication(10, b"SCRAM-SHA-256\0\0")


def sends(*parts: bytes) -> Any:
    """Reads the startup message and sends these; reads a client's message between two of them."""

    def script(connection: Any) -> None:
        for part in parts:
            connection.recv(65536)
            connection.sendall(part)
        drain(connection)

    return script


HOSTILE = {
    "garbage": [b"\xff" * 64],
    "text": [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "a message of 1 GiB": [b"R" + struct.pack("!i", 1 << 30)],
    "a negative length": [b"R" + struct.pack("!i", -5)],
    "in at once": [authentication(0) + message(b"Z", b"I")],
    "ready at once": [message(b"Z", b"I")],
    "settings at once": [message(b"S", b"a\0b\0")],
    "cleartext": [authentication(3)],
    "md5": [authentication(5, b"salt")],
    "gss": [authentication(7)],
    "no mechanism": [authentication(10, b"\0")],
    "an unknown mechanism": [authentication(10, b"OAUTHBEARER\0\0")],
    "no terminator": [authentication(10, b"SCRAM-SHA-256")],
    "final before challenge": [authentication(12, b"v=AAAA")],
    "proof without challenge": [OFFER, authentication(12, b"v=")],
    "in without proof": [OFFER, authentication(0)],
    "a foreign nonce": [OFFER, authentication(11, b"r=foreign,s=c2FsdA==,i=4096")],
    "few iterations": [OFFER, authentication(11, b"r=x,s=c2FsdA==,i=1")],
    "notices without end": [message(b"N", b"SNOTICE\0\0") * 5000],
    "copy": [message(b"W", b"\0\0\0")],
}


@pytest.mark.parametrize("parts", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_server_ends_the_login_and_sees_no_password(
    spin: Spin, way: Way, leaf: Leaf, parts: list[bytes]
) -> None:
    with Rogue(shaken(leaf, sends(*parts))) as rogue, pytest.raises(SessionError) as caught:
        spin(way.to(rogue.port).log_in())
    assert isinstance(caught.value, UpstreamRefused | ProtocolViolation | LimitReached)


def leaves(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.shutdown(socket.SHUT_RDWR)


def test_a_server_that_closes_during_the_login_is_told_apart(spin: Spin, way: Way, leaf: Leaf) -> None:
    with Rogue(shaken(leaf, leaves)) as rogue:
        with pytest.raises(UpstreamRefused) as caught:
            spin(way.to(rogue.port).log_in())
    assert "end of stream" in caught.value.detail


def test_a_server_that_never_finishes_the_login_is_given_up(spin: Spin, way: Way, leaf: Leaf, reactor: Any) -> None:
    hasty = PostgresDialer(reactor, Limits(dial_s_max=0.2), TwistedScheduler(reactor))
    with Rogue(shaken(leaf, drain)) as rogue, pytest.raises(UpstreamUnreachable, match="'ledger'"):
        spin(replace(way, dialer=hasty).to(rogue.port).log_in())
