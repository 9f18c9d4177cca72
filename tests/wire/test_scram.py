"""SCRAM from the client's side: the RFC's own example, and servers that don't keep to it."""

import base64
import hashlib
import hmac
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hoopproxy.errors import UpstreamRefused
from hoopproxy.proofs import Secret
from hoopproxy.wire.postgres import scram
from hoopproxy.wire.postgres.scram import ITERATIONS_MAX, PLAIN, PLUS, Scram, end_point

NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = NONCE + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CHALLENGE = f"r={SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()
PROOF_OF_THE_SERVER = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def plain(password: str = "pencil") -> Scram:
    return Scram(Secret(password), NONCE, PLAIN)


def rfc() -> Scram:
    """RFC 7677 §3 names the user; PostgreSQL's clients name nobody, because the startup message did."""
    exchange = plain()
    exchange._bare = f"n=user,r={NONCE}"
    return exchange


def test_the_exchange_of_rfc_7677() -> None:
    exchange = rfc()
    assert exchange.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert exchange.reply(CHALLENGE) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    exchange.check(PROOF_OF_THE_SERVER)


OUTCOMES = {
    "nothing": b"",
    "no proof": b"v=",
    "another proof": b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    "a part of it": PROOF_OF_THE_SERVER[:-1],
    "more behind it": PROOF_OF_THE_SERVER + b",x=y",
    "a zero byte behind it": PROOF_OF_THE_SERVER + b"\0",
    "the client's own proof": b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "an error": b"e=other-error",
    "no text": b"\xff" * 40,
}


@pytest.mark.parametrize("kind", OUTCOMES)
def test_a_server_that_does_not_prove_itself_is_refused(kind: str) -> None:
    exchange = rfc()
    exchange.reply(CHALLENGE)
    with pytest.raises(UpstreamRefused) as why:
        exchange.check(OUTCOMES[kind])
    assert "could not prove" in why.value.detail


@pytest.mark.parametrize("outcome", [b"v=", b"v=" + base64.b64encode(bytes(32)), PROOF_OF_THE_SERVER])
def test_a_proof_without_a_challenge_proves_nothing(outcome: bytes) -> None:
    exchange = plain()
    with pytest.raises(UpstreamRefused):
        exchange.check(outcome)


SALT = b"s=W22ZaJ0SNY7soEsUEjb6gQ=="
OURS = b"r=" + NONCE.encode()
CHALLENGES = {
    "nothing": (b"", "malformed"),
    "no text": (b"\xff\xfe", "no ASCII"),
    "an error": (b"e=unknown-user", "malformed"),
    "another order": (OURS + b"x,i=4096," + SALT, "malformed"),
    "no salt": (OURS + b"x,i=4096", "malformed"),
    "an extension in front": (b"m=x," + OURS + b"x," + SALT + b",i=4096", "malformed"),
    "an extension behind": (OURS + b"x," + SALT + b",i=4096,x=y", "malformed"),
    "twice the nonce": (OURS + b"x," + OURS + b"y," + SALT + b",i=4096", "malformed"),
    "a nonce with a space": (OURS + b" x," + SALT + b",i=4096", "malformed"),
    "a nonce with a control character": (OURS + b"\n," + SALT + b",i=4096", "malformed"),
    "an empty salt": (OURS + b"x,s=,i=4096", "0 bytes"),
    "half a salt": (OURS + b"x,s=abc,i=4096", "no base64"),
    "a salt that is none": (OURS + b"x,s=ab-_,i=4096", "no base64"),
    "a long salt": (OURS + b"x,s=" + base64.b64encode(bytes(1025)) + b",i=4096", "1025 bytes"),
    "another nonce": (b"r=fyko+d2lbbFgONRv9qkxdawL," + SALT + b",i=4096", "continue"),
    "our nonce alone": (OURS + b"," + SALT + b",i=4096", "continue"),
    "our nonce behind": (b"r=x" + NONCE.encode() + b"," + SALT + b",i=4096", "continue"),
    "iterations 0": (OURS + b"x," + SALT + b",i=0", "malformed"),
    "iterations 1": (OURS + b"x," + SALT + b",i=1", "asks for 1 "),
    "iterations 4095": (OURS + b"x," + SALT + b",i=4095", "4095"),
    "iterations over the limit": (OURS + b"x," + SALT + f",i={ITERATIONS_MAX + 1}".encode(), "asks for"),
    "a billion iterations": (OURS + b"x," + SALT + b",i=1000000000", "malformed"),
    "iterations behind zeros": (OURS + b"x," + SALT + b",i=000004096999999", "malformed"),
    "iterations below zero": (OURS + b"x," + SALT + b",i=-4096", "malformed"),
    "iterations with an underscore": (OURS + b"x," + SALT + b",i=4_096", "malformed"),
    "no iterations": (OURS + b"x," + SALT + b",i=", "malformed"),
}


@pytest.mark.parametrize("kind", CHALLENGES)
def test_a_challenge_that_no_honest_server_sends_gets_no_answer(kind: str) -> None:
    challenge, detail = CHALLENGES[kind]
    with pytest.raises(UpstreamRefused) as why:
        plain().reply(challenge)
    assert detail in why.value.detail
    assert why.value.sentence == "The gateway could not log in to the target; tell the operator of the gateway."


@given(st.binary(max_size=80))
@example(OURS + b"x,s=\0,i=4096")
def test_any_other_challenge_is_refused_and_nothing_else(challenge: bytes) -> None:
    with pytest.raises(UpstreamRefused):
        plain().reply(challenge)


def test_a_second_challenge_is_refused_because_each_costs_computing() -> None:
    exchange = plain()
    exchange.reply(CHALLENGE)
    with pytest.raises(UpstreamRefused, match=re.escape("tell the operator")) as why:
        exchange.reply(CHALLENGE)
    assert "second" in why.value.detail


# Binding ------------------------------------------------------------------------------------------------------------


def header_and_binding(exchange: Scram) -> tuple[bytes, bytes]:
    final = exchange.reply(CHALLENGE)
    return exchange.first().split(b"n=")[0], base64.b64decode(final.split(b",")[0].removeprefix(b"c="))


def test_a_channel_is_bound_to_the_hash_of_the_certificate() -> None:
    header = b"p=tls-server-end-point,,"
    assert header_and_binding(Scram(Secret("x"), NONCE, PLUS, b"hash")) == (header, header + b"hash")


def test_a_server_that_offers_no_binding_is_told_that_we_could_have_bound() -> None:
    assert header_and_binding(Scram(Secret("x"), NONCE, PLAIN, b"hash")) == (b"y,,", b"y,,")
    assert header_and_binding(Scram(Secret("x"), NONCE, PLAIN)) == (b"n,,", b"n,,")


@pytest.mark.parametrize(
    ("signed_with", "hashed_with"),
    [("md5", "sha256"), ("sha1", "sha256"), ("sha256", "sha256"), ("sha384", "sha384"), ("sha512", "sha512")],
)
def test_the_end_point_is_hashed_as_rfc_5929_says(signed_with: str, hashed_with: str) -> None:
    assert end_point(b"der", signed_with) == hashlib.new(hashed_with, b"der").digest()


@pytest.mark.parametrize("signed_with", [None, "ed25519", "no such hash"])
def test_a_signature_without_a_known_hash_binds_nothing(signed_with: str | None) -> None:
    assert end_point(b"der", signed_with) == b""


# Passwords ----------------------------------------------------------------------------------------------------------


def prepares(password: str) -> bytes:
    """What is hashed, told by the proof."""
    exchange = plain(password)
    exchange.reply(CHALLENGE)
    return exchange._server_signature


def signature(password: bytes) -> bytes:
    """What a server that was given these bytes would sign with, computed afresh."""
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    key = hmac.digest(salted, b"Server Key", "sha256")
    message = f"n=,r={NONCE},{CHALLENGE.decode()},c=biws,r={SERVER_NONCE}"
    return hmac.digest(key, message.encode(), "sha256")


@pytest.mark.parametrize(
    ("given", "hashed"),
    [
        ("pencil", b"pencil"),
        ("a\tb", b"a\tb"),  # ASCII is taken as it is, control characters and all
        ("pâté", "pâté".encode()),
        ("pa\u0302te\u0301", "pâté".encode()),  # composed
        ("I\u00adX", b"IX"),  # the examples of RFC 4013 §3
        ("\u00aa", b"a"),
        ("\u2168", b"IX"),
        ("a\u00a0b", b"a b"),
        ("\u00ad", "\u00ad".encode()),  # nothing is left: as it is
        ("é\u0007", "é\u0007".encode()),  # prohibited: as it is
        ("\u2168\ue000", "\u2168\ue000".encode()),
        ("\u2168\U000e0041", "\u2168\U000e0041".encode()),
        ("\ufe8d1", "\ufe8d1".encode()),  # right to left at one end alone: as it is
        ("1\ufe8d", "1\ufe8d".encode()),
        ("\ufe8d\u2168", "\ufe8d\u2168".encode()),
        ("\ufe8d1\ufe8d", "\u06271\u0627".encode()),  # right to left at both ends: normal
        ("密码", "密码".encode()),
    ],
)
def test_a_password_is_prepared_as_postgresql_prepares_it(given: str, hashed: bytes) -> None:
    assert prepares(given) == signature(hashed)


def test_the_keys_of_a_secret_are_computed_once() -> None:
    scram._keys.cache_clear()
    for _ in range(3):
        plain().reply(CHALLENGE)
    assert scram._keys.cache_info().misses == 1


def test_nothing_shows_the_password() -> None:
    exchange = plain("s3cret")
    assert b"s3cret" not in exchange.first() + exchange.reply(CHALLENGE)
    assert "s3cret" not in repr(vars(exchange))
