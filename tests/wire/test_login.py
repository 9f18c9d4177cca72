"""The gateway's own login, against servers that are honest, wrong, hostile or gone, however their bytes are cut."""

import base64
import hashlib
import hmac
import struct
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.errors import LimitReached, ProtocolViolation, SessionError, UpstreamRefused
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.wire.postgres.framing import message
from hoopproxy.wire.postgres.login import Login, VersionRefused
from hoopproxy.wire.postgres.messages import (
    backend_key_data,
    command_complete,
    error,
    negotiate_protocol_version,
    notice,
    parameter_status,
    ready_for_query,
)
from hoopproxy.wire.postgres.startup import PROTOCOL_3_0, PROTOCOL_3_2

PASSWORD, NONCE = "correct horse", "ourNonce"
SALT, ITERATIONS = b"salt", 4096
SALTED = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), SALT, ITERATIONS)


def authentication(code: int, body: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!I", code) + body)


def challenge(nonce: str = NONCE + "theirs", iterations: str = str(ITERATIONS)) -> bytes:
    return authentication(11, f"r={nonce},s={base64.b64encode(SALT).decode()},i={iterations}".encode())


def proof() -> bytes:
    """What a server sends that knows the password (RFC 5802 §3)."""
    challenged = challenge()[9:].decode()
    signed = f"n=,r={NONCE},{challenged},c=biws,r={NONCE}theirs".encode()
    key = hmac.digest(SALTED, b"Server Key", "sha256")
    return authentication(12, b"v=" + base64.b64encode(hmac.digest(key, signed, "sha256")))


OFFER = authentication(10, b"SCRAM-SHA-256\0\0")
OFFER_BOTH = authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
OK = authentication(0)
STATUS = parameter_status("standard_conforming_strings", "on") + parameter_status("client_encoding", "UTF8")
KEY = backend_key_data(4242, b"key4")
READY = ready_for_query(b"I")
DOWN = negotiate_protocol_version(3 << 16, ())
HONEST = (OFFER, challenge(), proof(), OK, STATUS, KEY, READY)
"""What an honest server sends, one entry a state."""


def login(parameters: Mapping[str, str] | None = None, end_point: bytes = b"", version: int = PROTOCOL_3_2) -> Login:
    return Login(TargetSecret("reader", Secret(PASSWORD)), "books", parameters or {}, NONCE, end_point, version)


def feed(pieces: Iterable[bytes], made: Callable[[], Login] = login) -> tuple[Login, bytes]:
    """The machine after these pieces, and all that it sent."""
    machine = made()
    sent = machine.start() + b"".join([machine.feed(piece) for piece in pieces if piece])
    return machine, sent


def refusal(*pieces: bytes) -> SessionError:
    with pytest.raises(SessionError) as why:
        feed(pieces)
    assert isinstance(why.value, UpstreamRefused | ProtocolViolation | LimitReached)
    assert PASSWORD not in why.value.sentence + why.value.detail
    assert why.value.sentence.encode() and why.value.detail.encode() is not None
    return why.value


# Honest -------------------------------------------------------------------------------------------------------------


def test_an_honest_server_lets_us_in() -> None:
    machine, sent = feed(HONEST)
    assert machine.done is not None
    assert (machine.done.process_id, machine.done.key) == (4242, b"key4")
    assert machine.done.parameters == {"standard_conforming_strings": "on", "client_encoding": "UTF8"}
    assert machine.rest == b""
    assert PASSWORD.encode() not in sent
    assert b"key4" not in repr(machine.done).encode()


@given(st.lists(st.integers(0, sum(map(len, HONEST))), max_size=12))
def test_any_cut_gives_the_same_session_and_the_same_bytes(cuts: list[int]) -> None:
    whole = b"".join(HONEST)
    edges = [0, *sorted(cuts), len(whole)]
    machine, sent = feed(whole[start:end] for start, end in pairwise(edges))
    expected, expected_sent = feed([whole])
    assert (machine.done, sent) == (expected.done, expected_sent)


def test_the_startup_message_names_the_account_and_what_the_client_chose() -> None:
    sent = login({"application_name": "psql", "standard_conforming_strings": "true"}).start()
    length, version = struct.unpack_from("!iI", sent)
    assert (length, version) == (len(sent), 3 << 16 | 2)
    texts = sent[8:-2].split(b"\0")
    assert dict(zip(texts[::2], texts[1::2], strict=True)) == {
        b"user": b"reader",
        b"database": b"books",
        b"application_name": b"psql",
        b"standard_conforming_strings": b"on",
    }


def test_an_older_server_is_spoken_to_in_3_0() -> None:
    machine, sent = feed([DOWN, *HONEST])
    assert machine.done is not None and machine.done.key == b"key4"
    assert sent == feed(HONEST)[1]


@pytest.mark.parametrize(
    ("newest", "options"),
    [
        (3 << 16 | 1, ()),
        (3 << 16 | 2, ()),
        (3 << 16 | 3, ()),
        (2 << 16, ()),
        (4 << 16, ()),
        (0, ()),
        (2**32 - 1, ()),
        (3 << 16, ("_pq_.x",)),
        (3 << 16 | 2, ("_pq_.x",)),
    ],
)
def test_a_server_that_negotiates_what_nobody_asked_for_is_refused(newest: int, options: tuple[str, ...]) -> None:
    why = refusal(negotiate_protocol_version(newest, options))
    assert isinstance(why, ProtocolViolation) and "another protocol" in why.sentence
    assert f"{newest >> 16}.{newest & 0xFFFF}" in why.detail and all(name in why.detail for name in options)


@pytest.mark.parametrize(
    "body", [b"", b"\0\3\0\0", struct.pack("!II", 3 << 16, 1), struct.pack("!II", 3 << 16, 2**32 - 1) + b"a\0", DOWN]
)
def test_a_malformed_negotiation_is_refused(body: bytes) -> None:
    assert isinstance(refusal(message(b"v", body)), ProtocolViolation)


def test_a_server_negotiates_once_and_before_all_else() -> None:
    refusal(DOWN, DOWN)
    refusal(notice("Welcome."), DOWN)


@pytest.mark.parametrize("code", ["08P01", "0A000"])
def test_a_server_that_knows_no_other_version_than_3_0_can_be_asked_again(code: str) -> None:
    """Older poolers."""
    refused = error("unsupported frontend protocol", code, "FATAL")
    assert isinstance(refusal(refused), VersionRefused)
    assert not isinstance(refusal(OFFER, refused), VersionRefused)
    machine, sent = feed(HONEST, lambda: login(version=PROTOCOL_3_0))
    assert machine.done is not None and sent[4:8] == struct.pack("!I", 3 << 16)


def test_so_can_one_that_just_leaves() -> None:
    machine = login()
    machine.start()
    with pytest.raises(VersionRefused, match="closed the connection"):
        machine.feed(b"")
    assert not isinstance(refusal(error("no such database", "3D000", "FATAL")), VersionRefused)


def test_nobodys_settings_change_whose_session_it_is() -> None:
    sent = login({"user": "postgres", "database": "postgres", "standard_conforming_strings": "off"}).start()
    assert b"postgres" not in sent and b"off" not in sent


def test_notices_before_the_session_are_for_nobody() -> None:
    machine, _ = feed(part for each in HONEST for part in (notice("Welcome."), each))
    assert machine.done is not None


@pytest.mark.parametrize("key", [b"key4", b"k" * 32, b"k" * 256])
def test_the_key_has_any_length_that_a_server_gives(key: bytes) -> None:
    machine, _ = feed([*HONEST[:5], backend_key_data(1, key), READY])
    assert machine.done is not None and machine.done.key == key


@pytest.mark.parametrize(("key", "is_one"), [(b"key4", True), (b"k" * 5, False), (b"k" * 32, False)])
def test_in_3_0_it_has_four_bytes(key: bytes, is_one: bool) -> None:
    pieces = [DOWN, *HONEST[:5], backend_key_data(1, key), READY]
    if is_one:
        assert feed(pieces)[0].done is not None
    else:
        assert "cancel key" in refusal(*pieces).sentence


def test_a_server_may_give_no_key() -> None:
    machine, _ = feed([*HONEST[:5], READY])
    assert machine.done is not None and machine.done.key == b""


@given(st.integers(1, 40))
def test_what_comes_behind_the_end_is_kept_and_not_read(cut: int) -> None:
    behind = notice("The server is going down.")
    whole = b"".join(HONEST)
    machine, _ = feed([whole + behind])
    assert machine.done is not None and machine.rest == behind
    machine, _ = feed([whole[:-cut], whole[-cut:] + behind])
    assert machine.rest == behind


# Mechanisms ---------------------------------------------------------------------------------------------------------


def chosen(offer: bytes, end_point: bytes) -> bytes:
    """The mechanism and the front of the message that it was chosen with."""
    machine = login(end_point=end_point)
    machine.start()
    answer = machine.feed(offer)
    assert answer[:1] == b"p"
    return answer[5:].split(b"r=")[0].replace(b"n=,", b"")


def test_the_channel_is_bound_where_the_server_can() -> None:
    assert chosen(OFFER_BOTH, b"hash").startswith(b"SCRAM-SHA-256-PLUS\0")
    assert chosen(OFFER_BOTH, b"hash").endswith(b"p=tls-server-end-point,,")


@pytest.mark.parametrize(("offer", "end_point", "flag"), [(OFFER, b"hash", b"y,,"), (OFFER_BOTH, b"", b"n,,")])
def test_the_channel_is_not_bound_where_one_side_cannot(offer: bytes, end_point: bytes, flag: bytes) -> None:
    assert chosen(offer, end_point).startswith(b"SCRAM-SHA-256\0")
    assert chosen(offer, end_point).endswith(flag)


OFFERS = {
    "none": b"\0",
    "another": b"OAUTHBEARER\0\0",
    "plus alone": b"SCRAM-SHA-256-PLUS\0\0",
    "another case": b"scram-sha-256\0\0",
    "sha-1": b"SCRAM-SHA-1\0\0",
}


@pytest.mark.parametrize("kind", OFFERS)
def test_a_server_without_our_mechanism_is_refused_and_the_operator_told(kind: str) -> None:
    assert "wanted is SCRAM-SHA-256" in refusal(authentication(10, OFFERS[kind])).detail


@pytest.mark.parametrize("code", [2, 3, 5, 6, 7, 8, 9, 13, 2**32 - 1])
def test_a_server_that_wants_anything_but_scram_gets_nothing(code: int) -> None:
    assert "scram-sha-256" in refusal(authentication(code, b"salt")).detail


# Hostile ------------------------------------------------------------------------------------------------------------

OUT_OF_PLACE = {
    "ok": OK,
    "cleartext": authentication(3),
    "md5": authentication(5, b"salt"),
    "gss": authentication(7),
    "sspi": authentication(9),
    "settings": STATUS,
    "a key": KEY,
    "ready": READY,
    "a proof": proof(),
    "a challenge": challenge(),
    "an offer": OFFER,
    "negotiation": DOWN,
    "a copy": message(b"W", b"\0\0\0"),
    "a row": message(b"D", b"\0\0"),
    "a command's end": command_complete("SELECT 1"),
    "ready in a transaction": ready_for_query(b"T"),
    "ready in no state": ready_for_query(b""),
    "2 GB": b"R" + struct.pack("!i", 2**31 - 1),
    "a negative length": b"R" + struct.pack("!i", -1),
    "no length": b"R" + struct.pack("!i", 3),
    "an empty request": message(b"R"),
    "half a setting": message(b"S", b"name\0"),
    "a long setting": message(b"S", b"name\0value\0more"),
    "a short key": message(b"K", b"\0\0"),
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "tls": b"\x15\x03\x03\0\2\2\x28",
    "zeros": bytes(64),
}
IN_PLACE = {
    (0, "an offer"),
    (0, "negotiation"),
    (1, "a challenge"),
    (2, "a proof"),
    (3, "ok"),
    *((state, kind) for state in (4, 5, 6) for kind in ("settings", "a key")),
    (5, "ready"),
    (6, "ready"),
    (4, "ready"),
}
"""By the number of honest entries before it."""


@pytest.mark.parametrize("state", range(len(HONEST)))
@pytest.mark.parametrize("kind", OUT_OF_PLACE)
def test_what_is_out_of_place_ends_the_login_in_every_state(state: int, kind: str) -> None:
    if (state, kind) not in IN_PLACE:
        refusal(*HONEST[:state], OUT_OF_PLACE[kind])
        refusal(b"".join(HONEST[:state]) + OUT_OF_PLACE[kind])


@pytest.mark.parametrize("left_out", [0, 1, 2, 3])
def test_no_step_of_the_proof_can_be_left_out(left_out: int) -> None:
    refusal(*HONEST[:left_out], *HONEST[left_out + 1 :])


@pytest.mark.parametrize(
    "pieces",
    [
        (OFFER, challenge("foreign")),
        (OFFER, challenge(iterations="1")),
        (OFFER, challenge(iterations="1000000000")),
        (OFFER, challenge(), authentication(12, b"v=")),
        (OFFER, challenge(), authentication(12, b"v=" + base64.b64encode(bytes(32)))),
        (OFFER, challenge(), authentication(12, b"e=invalid-proof")),
        (OFFER, challenge(), challenge()),
        (OFFER, challenge(), proof(), proof()),
        (OFFER, challenge(), proof(), authentication(0, b"more")),
        (authentication(10, b"SCRAM-SHA-256"),),
        (authentication(10, b"SCRAM-SHA-256\0\0more"),),
    ],
)
def test_a_server_that_does_not_keep_to_scram_is_refused(pieces: tuple[bytes, ...]) -> None:
    refusal(*pieces)


@pytest.mark.parametrize("state", range(len(HONEST)))
def test_a_server_that_leaves_is_told_apart(state: int) -> None:
    machine, _ = feed(HONEST[:state])
    with pytest.raises(UpstreamRefused, match="closed the connection"):
        machine.feed(b"")


@pytest.mark.parametrize("state", range(len(HONEST)))
def test_a_servers_refusal_is_repeated_in_every_state(state: int) -> None:
    why = refusal(*HONEST[:state], error("too many clients already", "53300", "FATAL"))
    assert "too many clients already (SQLSTATE 53300)" in why.sentence
    assert why.detail == "SQLSTATE 53300: too many clients already"


def test_a_refusal_in_another_encoding_or_without_words_can_be_kept() -> None:
    latin = message(b"E", b"SFATAL\0C28P01\0M" + "Passwort ungültig".encode("latin-1") + b"\0\0")
    assert "Passwort ung\ufffdltig" in refusal(latin).sentence
    assert "no reason given" in refusal(message(b"E", b"\0")).sentence
    assert len(refusal(error("x" * 60_000)).sentence) < 700
    assert "malformed" in refusal(message(b"E", b"Mno end")).sentence


@pytest.mark.parametrize("key", [b"", b"k", b"k" * 3, b"k" * 257, b"k" * 300])
def test_a_key_that_no_server_gives_ends_the_login(key: bytes) -> None:
    assert "cancel key" in refusal(*HONEST[:5], backend_key_data(1, key)).sentence


@pytest.mark.parametrize("state", range(len(HONEST)))
@pytest.mark.parametrize("endless", [notice("Wait."), parameter_status("name", "value"), b"\0" * 8])
def test_a_server_that_sends_without_end_is_left(state: int, endless: bytes) -> None:
    refusal(*HONEST[:state], *repeat(endless, 10_000))


@pytest.mark.parametrize("length", [65_536, 2**30, 2**31 - 1])
def test_a_long_message_is_refused_by_its_length_alone(length: int) -> None:
    with pytest.raises((LimitReached, ProtocolViolation)):
        feed([b"N" + struct.pack("!i", length)])


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (parameter_status("client_encoding", "UTF8"), "standard_conforming_strings"),
        (STATUS + parameter_status("standard_conforming_strings", "off"), "standard_conforming_strings"),
        (STATUS + parameter_status("client_encoding", "SJIS"), "SJIS"),
        (parameter_status("standard_conforming_strings", "on"), "unknown encoding"),
    ],
)
def test_a_session_whose_statements_would_read_differently_is_not_begun(status: bytes, sentence: str) -> None:
    assert sentence in refusal(*HONEST[:4], status, KEY, READY).sentence


@given(st.integers(0, len(HONEST) - 1), st.binary(min_size=1, max_size=60), st.integers(0, 60))
def test_bytes_of_any_kind_and_cut_end_in_a_sentence_or_wait_for_more(state: int, data: bytes, cut: int) -> None:
    outcomes = set[str]()
    for pieces in ([data], [data[:cut], data[cut:]]):
        try:
            machine, sent = feed([*HONEST[:state], *pieces])
            outcomes.add(repr((machine.done, sent)))
        except (UpstreamRefused, ProtocolViolation, LimitReached) as why:
            outcomes.add(why.sentence)
    assert len(outcomes) == 1
