"""Clients that are none: smuggled bytes, impossible lengths, garbage and other protocols, in each state.

That connection ends, told why where it can be told; the gateway serves the next one as if nothing had been.
"""

import random
import ssl
import struct
from collections.abc import Iterator

import pytest

from hoopproxy.testing.bare_client import PROTOCOL_3_0, SSL_REQUEST, message, query, startup
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import ACCOUNT

from .conftest import CUSTOMERS, MASKS, Stand
from .hostile import (
    STATES,
    answer_to,
    at_password,
    fresh,
    in_tls,
    let_in,
    open_another_door,
    refusal,
    say,
    trusting,
)

pytestmark = pytest.mark.usefixtures("unharmed")

GSS_REQUEST = struct.pack("!ii", 8, 80877104)
GOOD = startup({"user": ACCOUNT, "database": "plain"})
TWO_GB = 2**31 - 1


@pytest.fixture(scope="module")
def stand(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """With a second listener, `open`, that takes clients without TLS."""
    leaf = authority.issue("hostile", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=certificate) as cluster:
        databases = {"plain": CUSTOMERS, "ledger": CUSTOMERS}
        with Stand(tmp_path_factory.mktemp("stand"), cluster, authority, databases, masks=MASKS) as running:
            open_another_door(running)
            yield running


SMUGGLED = {
    "a query behind SSLRequest": SSL_REQUEST + query("SELECT 1"),
    "a startup behind SSLRequest": SSL_REQUEST + GOOD,
    "one byte behind SSLRequest": SSL_REQUEST + b"\x16",
    "a query behind GSSENCRequest": GSS_REQUEST + query("SELECT 1"),
    "SSLRequest behind GSSENCRequest": GSS_REQUEST + SSL_REQUEST,
    "twice SSLRequest": SSL_REQUEST * 2,
}


@pytest.mark.parametrize("listener", ["open", "front"])
@pytest.mark.parametrize("kind", SMUGGLED)
def test_bytes_behind_a_request_for_encryption_are_refused(stand: Stand, listener: str, kind: str) -> None:
    told = refusal(answer_to(fresh(stand, listener), SMUGGLED[kind]))
    assert told["C"] == "08P01"
    assert "behind its request" in told["M"]


def test_what_arrives_in_the_clear_between_request_and_handshake_is_not_read_as_protected(stand: Stand) -> None:
    client = fresh(stand)
    client.send(SSL_REQUEST)
    assert client.socket.recv(1) == b"S"
    assert b"R\0\0\0\x08" not in answer_to(client, GOOD + query("SELECT 1"))


def test_a_startup_in_the_clear_is_asked_for_no_password_where_tls_is_demanded(stand: Stand) -> None:
    for data in (GOOD, GOOD + SSL_REQUEST, GOOD + message(b"p", stand.tokens["ada"].encode() + b"\0")):
        answer = answer_to(fresh(stand, "front"), data)
        assert answer[:1] == b"E"
        assert "TLS" in refusal(answer)["M"]


def test_encryption_is_asked_for_once(stand: Stand) -> None:
    for data in (SSL_REQUEST, GSS_REQUEST):
        assert "twice" in refusal(answer_to(in_tls(stand), data))["M"]
    client = fresh(stand)
    client.send(GSS_REQUEST)
    assert client.socket.recv(1) == b"N"
    assert "twice" in refusal(answer_to(client, GSS_REQUEST))["M"]


def test_tls_inside_tls_is_refused(stand: Stand) -> None:
    outgoing = ssl.MemoryBIO()
    inner = trusting(stand).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        inner.do_handshake()
    hello = outgoing.read()
    assert "TLS inside TLS" in refusal(answer_to(in_tls(stand), hello))["M"]
    refusal(answer_to(at_password(stand, in_tls(stand)), hello))
    refusal(answer_to(let_in(stand), hello))


OTHERS = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
    "smtp": b"EHLO localhost\r\n",
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "tls 1.0 record of a megabyte": b"\x16\x03\x01\xff\xff" + bytes(1 << 20),
}


@pytest.mark.parametrize("listener", ["open", "front"])
@pytest.mark.parametrize("kind", OTHERS)
def test_greetings_of_other_protocols_end_the_connection(stand: Stand, listener: str, kind: str) -> None:
    answer = answer_to(fresh(stand, listener), OTHERS[kind])
    if not kind.startswith("tls"):
        assert "PostgreSQL" in refusal(answer)["M"] or "first packet" in refusal(answer)["M"]


LENGTHS = (TWO_GB, 1 << 30, -1, -(2**31), 0, 1, 2, 3)


@pytest.mark.parametrize("length", [*LENGTHS, 4, 7, 10241])
@pytest.mark.parametrize("state", ["before anything", "in TLS"])
def test_impossible_lengths_of_a_first_packet(stand: Stand, state: str, length: int) -> None:
    for code in (PROTOCOL_3_0, 80877102, 80877103):
        told = refusal(answer_to(STATES[state](stand), struct.pack("!ii", length, code) + b"user\0"))
        assert told["C"] in ("08P01", "53400")
        assert "first packet" in told["M"]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("state", ["at the password", "at the password in TLS"])
def test_impossible_lengths_of_a_password(stand: Stand, state: str, length: int) -> None:
    for kind in b"pQX\0":
        told = refusal(answer_to(STATES[state](stand), struct.pack("!Bi", kind, length) + b"secret\0"))
        assert told["C"] in ("08P01", "53400", "28P01")


@pytest.mark.parametrize("length", LENGTHS)
def test_impossible_lengths_of_each_message_of_a_session(stand: Stand, length: int) -> None:
    for kind in b"QPBDECSHcdfFXp\0\xff":
        refusal(answer_to(let_in(stand), struct.pack("!Bi", kind, length) + b"x\0"))
    refusal(answer_to(let_in(stand, "ledger"), b"B" + struct.pack("!i", length) + b"x\0"))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("state", STATES)
def test_garbage(stand: Stand, state: str, seed: int) -> None:
    chance = random.Random(f"{state} {seed}")
    for _ in range(5):
        data = chance.randbytes(chance.choice((1, 5, 9, 100, 5000)))
        if chance.random() < 0.5:  # with a header that is believed
            kind = (
                b"" if "password" not in state and "let in" not in state else chance.choice(b"QPBDECSHcdfFp").to_bytes()
            )
            data = kind + struct.pack("!i", len(data) + 4) + data
        with STATES[state](stand) as client:
            say(client, data)
            client.half_close()
            client.rest()


def test_a_stream_cut_at_any_byte_ends_without_a_trace(stand: Stand) -> None:
    extended = message(b"P", b"\0SELECT 1\0\0\0") + message(b"B", bytes(8)) + message(b"E", bytes(5)) + message(b"S")
    for cut in range(1, len(GOOD)):
        assert "closed the connection" in refusal(answer_to(fresh(stand), GOOD[:cut]))["M"]
    password = message(b"p", b"short\0")
    for cut in range(1, len(password)):
        assert "closed the connection" in refusal(answer_to(at_password(stand), password[:cut]))["M"]
    for cut in range(1, len(extended)):
        answer_to(let_in(stand), extended[:cut])
    for state in STATES.values():  # and without waiting for an answer
        for data in (GOOD[:9], password[:4], extended[:30]):
            client = state(stand)
            client.send(data)
            client.reset()


def padded(size: int) -> bytes:
    packet = startup({"user": ACCOUNT, "database": "plain", "application_name": ""})
    return startup({"user": ACCOUNT, "database": "plain", "application_name": "a" * (size - len(packet))})


def test_a_startup_of_ten_kilobytes_is_taken_and_one_byte_more_is_not(stand: Stand) -> None:
    for size in (10239, 10240):
        with fresh(stand) as client:
            client.send(padded(size))
            assert client.socket.recv(9) == message(b"R", b"\0\0\0\3")
    told = refusal(answer_to(fresh(stand), padded(10241)))
    assert told["C"] == "53400"
    assert "10241 bytes" in told["M"]


def test_hundreds_of_protocol_options_are_named_and_declined(stand: Stand) -> None:
    options = {f"_pq_.option{at}": "on" for at in range(400)}
    with fresh(stand) as client:
        client.log_in(ACCOUNT, "plain", stand.tokens["ada"], **options)
        assert client.ask("SELECT 1").tags == ["SELECT 1"]
    with fresh(stand) as client:
        client.send(startup({"user": ACCOUNT, "database": "plain"} | options))
        kind, length = struct.unpack("!ci", client.socket.recv(5))
        assert kind == b"v"
        negotiation = client.socket.recv(length - 4)
        assert negotiation.count(b"_pq_.option") == 400


def test_a_session_that_speaks_before_it_is_let_in_is_served_in_order(stand: Stand) -> None:
    client = at_password(stand)
    answer = answer_to(
        client, message(b"p", stand.tokens["ada"].encode() + b"\0") + query("SELECT 'early'") + message(b"X")
    )
    assert answer.index(b"K\0\0\0") < answer.index(b"early")
