"""The frontend without a socket: however the bytes are cut, what it answers, and its words for each refusal."""

import struct
from collections.abc import Coroutine
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.errors import (
    AddonFailure,
    EvidenceUnavailable,
    LimitReached,
    ProtocolViolation,
    Refused,
    Revoked,
    SessionError,
    UpstreamRefused,
    UpstreamUnreachable,
)
from hoopproxy.listen.cancels import CancelKey, Cancels
from hoopproxy.listen.postgres import PostgresFrontend
from hoopproxy.model import Arrival, Endpoint
from hoopproxy.settings import Limits, ListenerSettings, Plaintext
from hoopproxy.wire.postgres.messages import read_fields
from tests.dial.rogue import authentication, message

from .conftest import Peer


def startup(version: int = 3 << 16, **parameters: str) -> bytes:
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack("!iI", len(body) + 8, version) + body


PASSWORD = message(b"p", b"token\0")


class Tape:
    """A connection that was read and whose answers are kept."""

    def __init__(self, *sends: bytes) -> None:
        self.peer = Endpoint(ip_address("127.0.0.1"), 40000)
        self.sends = list(sends)
        self.sent = b""

    async def read(self) -> bytes:
        return self.sends.pop(0) if self.sends else b""

    def unread(self, data: bytes) -> None:
        if data:
            self.sends.insert(0, data)

    def send(self, data: bytes) -> None:
        self.sent += data

    async def write(self, data: bytes) -> None:
        self.sent += data

    async def start_tls(self, options: Any, buffered: bytes = b"") -> None:
        raise ProtocolViolation("client", "There is no TLS on a tape.")

    def close(self) -> None: ...

    def abort(self) -> None: ...


def frontend(tape: Tape, client: str = "127.0.0.1", cancels: Cancels | None = None) -> PostgresFrontend:
    arrival = Arrival("c1", "front", "postgres", Endpoint(ip_address(client), 40000), 0.0)
    settings = ListenerSettings("front", "postgres", (), 5432, "", "", Plaintext.LOOPBACK)
    made: Any = PostgresFrontend
    return made(tape, arrival, settings, Limits(), None, cancels or Cancels())  # type: ignore[no-any-return] # a tape


def now[T](work: Coroutine[Any, Any, T]) -> T:
    """The result of what waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({place % len(data) for place in at} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


@given(st.lists(st.integers(0, 1000), max_size=12))
def test_the_handshake_is_the_same_however_it_is_cut(at: list[int]) -> None:
    behind = b"Q\0\0\0\x05\0"
    tape = Tape(*cut(startup(user="reader", database="ledger", TimeZone="UTC") + PASSWORD + behind, at))
    found = now(frontend(tape).credentials())
    assert found is not None
    assert (found.target_name, found.account, found.database) == ("ledger", "reader", "")
    assert (found.secret.reveal(), dict(found.parameters)) == ("token", {"timezone": "UTC"})
    assert tape.sent == authentication(3)
    assert b"".join(tape.sends) == behind


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_garbage_ends_with_a_sentence(pieces: list[bytes]) -> None:
    with pytest.raises(SessionError):
        now(frontend(Tape(*(piece for piece in pieces if piece))).credentials())


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_startup_packet_with_garbage_inside_ends_with_a_sentence_or_credentials(noise: bytes, at: int) -> None:
    whole = bytearray(startup(user="reader", database="ledger"))
    whole[8 + at : 8 + at + len(noise)] = noise
    whole[:4] = struct.pack("!i", len(whole))
    try:
        assert now(frontend(Tape(bytes(whole), PASSWORD)).credentials()) is not None
    except SessionError:
        pass


NEGOTIATED = message(b"v", struct.pack("!II", (3 << 16) + 2, 1) + b"_pq_.colour\0")


def test_a_newer_protocol_is_negotiated_down_and_unknown_options_are_named() -> None:
    tape = Tape(startup((3 << 16) + 9999, user="reader", **{"_pq_.colour": "red"}), PASSWORD)
    now(frontend(tape).credentials())
    assert tape.sent == NEGOTIATED + authentication(3)


def test_whoever_is_refused_has_negotiated_before_as_in_postgresql() -> None:
    tape = Tape(startup((3 << 16) + 2, database="ledger", **{"_pq_.colour": "red"}))
    with pytest.raises(Refused, match="no user"):
        now(frontend(tape).credentials())
    assert tape.sent == NEGOTIATED


@pytest.mark.parametrize("client", ["198.51.100.9", "2001:db8::1", "0.0.0.0"])
def test_plaintext_is_for_loopback_alone(client: str) -> None:
    tape = Tape(startup(user="reader"), PASSWORD)
    with pytest.raises(Refused, match="TLS only"):
        now(frontend(tape, client).credentials())
    assert tape.sent == b""


def test_a_balancer_s_word_for_loopback_is_not_enough() -> None:
    """Between it and us the token would cross a network."""
    tape = Tape(startup(user="reader"), PASSWORD)
    tape.peer = Endpoint(ip_address("198.51.100.1"), 40000)
    with pytest.raises(Refused, match="TLS only"):
        now(frontend(tape, "127.0.0.1").credentials())


@pytest.mark.parametrize("client", ["127.0.0.1", "127.9.9.9", "::1"])
def test_all_of_loopback_is_loopback(client: str) -> None:
    assert now(frontend(Tape(startup(user="reader"), PASSWORD), client).credentials()) is not None


CODES = [
    (Refused("No.", reason="credentials"), "28P01"),
    (Refused("No.", reason="target"), "28000"),
    (Refused("No.", reason="grant"), "28000"),
    (Refused("No.", reason="residency"), "28000"),
    (Refused("No.", reason="statement"), "42501"),
    (AddonFailure("oidc", "identify", "it broke"), "XX000"),
    (ProtocolViolation("client", "No."), "08P01"),
    (UpstreamUnreachable("No."), "08001"),
    (UpstreamRefused("No."), "08004"),
    (LimitReached("No.", limit="limits.idle_s_max"), "53400"),
    (EvidenceUnavailable("No."), "58030"),
    (Revoked("No."), "57P01"),
]


@pytest.mark.parametrize(("why", "code"), CODES, ids=lambda value: value if isinstance(value, str) else "")
def test_each_refusal_has_its_sqlstate_and_names_the_session(why: SessionError, code: str) -> None:
    tape = Tape()
    frontend(tape).refuse("s-77", why)
    fields = read_fields(tape.sent[5:])
    assert (tape.sent[:1], fields["S"], fields["V"], fields["C"]) == (b"E", "FATAL", "FATAL", code)
    assert fields["M"] == why.sentence and "Session s-77" in fields["H"]
    assert not why.detail or why.detail.encode() not in tape.sent


def test_a_client_is_refused_once_and_hears_nothing_of_a_bug() -> None:
    tape = Tape()
    made = frontend(tape)
    made.refuse("s1", ValueError("a secret"))
    assert tape.sent == b""
    made.refuse("s1", Revoked("Killed."))
    once = tape.sent
    made.refuse("s1", Revoked("Killed again."))
    assert tape.sent == once


def welcomed(version: int, cancels: Cancels, peer: Peer) -> tuple[PostgresFrontend, bytes, CancelKey]:
    """A client that is in, what it was told, and the key that it got."""
    tape = Tape(startup(version, user="reader"), PASSWORD)
    made = frontend(tape, cancels=cancels)
    now(made.credentials())
    tape.sent = b""
    now(made.welcome(None, peer))  # type: ignore[arg-type] # it does not look at the passage
    at = tape.sent.rindex(b"K\0\0")
    length = int.from_bytes(tape.sent[at + 1 : at + 5])
    return made, tape.sent, CancelKey(int.from_bytes(tape.sent[at + 5 : at + 9]), tape.sent[at + 9 : at + 1 + length])


@pytest.mark.parametrize(("minor", "key_bytes"), [(0, 4), (1, 4), (2, 32), (9999, 32)])
def test_the_welcome_is_said_in_order_with_a_key_of_our_own(minor: int, key_bytes: int) -> None:
    cancels, peer = Cancels(), Peer()
    made, told, key = welcomed((3 << 16) + minor, cancels, peer)
    assert told.startswith(authentication(0) + b"S") and b"server_version\x0017.0\0" in told
    assert told.endswith(message(b"K", struct.pack("!I", key.process_id) + key.key) + message(b"Z", b"I"))
    assert len(key.key) == key_bytes and 0 < key.process_id < 2**31
    now(cancels.use(key))
    assert peer.interrupts == 1
    made.close()
    now(cancels.use(key))
    assert peer.interrupts == 1


@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
def test_a_key_that_nobody_has_interrupts_nobody(key: bytes, process_id: int) -> None:
    cancels, peer = Cancels(), Peer()
    _, _, right = welcomed(3 << 16, cancels, peer)
    wrong = [
        CancelKey(process_id, key),
        CancelKey(right.process_id, key),
        CancelKey(process_id, right.key),
        CancelKey(right.process_id, right.key + key[:1]),
        CancelKey(right.process_id, right.key[:-1]),
    ]
    for shown in wrong:
        if shown != right:
            now(cancels.use(shown))
    assert peer.interrupts == 0


def test_each_key_is_one_connections_and_one_listeners() -> None:
    cancels, elsewhere = Cancels(), Cancels()
    ada, bob, cyd = Peer(), Peer(), Peer()
    _, _, adas = welcomed((3 << 16) + 2, cancels, ada)
    _, _, bobs = welcomed((3 << 16) + 2, cancels, bob)
    _, _, cyds = welcomed((3 << 16) + 2, elsewhere, cyd)
    now(cancels.use(CancelKey(adas.process_id, bobs.key)))
    now(elsewhere.use(adas))
    now(cancels.use(cyds))
    assert (ada.interrupts, bob.interrupts, cyd.interrupts) == (0, 0, 0)
    now(cancels.use(adas))
    assert (ada.interrupts, bob.interrupts, cyd.interrupts) == (1, 0, 0)


def test_a_notice_before_the_welcome_follows_authentication_ok_which_is_said_once() -> None:
    tape = Tape()
    made = frontend(tape)
    made.inform("One moment.")
    now(made.welcome(None, Peer()))  # type: ignore[arg-type] # it does not look at the passage
    assert tape.sent.startswith(authentication(0) + b"N")
    assert tape.sent.count(authentication(0)) == 1
