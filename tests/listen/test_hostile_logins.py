"""Strangers at the SSH front door who know how a login works: proofs for something else, and work for nothing."""

import struct
from typing import Any

import pytest
from twisted.conch.ssh.keys import Key

from hoopproxy.errors import LimitReached, ProtocolViolation
from hoopproxy.listen.ssh_login import REQUESTS_MAX
from hoopproxy.listen.ssh_proof import KEY_BYTES_MAX, sound_key
from hoopproxy.proofs import HeldKey
from hoopproxy.testing.ssh_keys import new_key
from hoopproxy.wire.ssh import userauth
from hoopproxy.wire.ssh.messages import string

from .test_ssh_login import REFUSED, USER, Visit

KEY = Key.fromString(new_key().private)
BLOB = KEY.blob()
ED25519 = b"ssh-ed25519"
OFFER = userauth.request(USER, b"publickey", b"\0" + string(ED25519) + string(BLOB))


@pytest.fixture
def visit() -> Visit:
    return Visit()


def signed_as(visit: Visit, said: bytes, proved: bytes) -> bytes:
    """`said`, with a signature over `proved`."""
    return said + string(KEY.sign(string(visit.client.sessionID or b"") + proved))


class TestProofs:
    @pytest.mark.parametrize(
        "other",
        [
            b"\x32" + string(USER) + string(b"ssh-userauth") + string(b"publickey"),
            b"\x32" + string(USER) + string(b"ssh-connection") + string(b"hostbased"),
            b"\x32" + string(b"root+box") + string(b"ssh-connection") + string(b"publickey"),
            b"\x33" + string(USER) + string(b"ssh-connection") + string(b"publickey"),
            b"\x32" + string(USER + b"\0\0\0\x0e") + string(b"ssh-connection") + string(b"publickey"),
        ],
        ids=["service", "method", "user", "message", "lengths"],
    )
    def test_of_something_else_are_none(self, visit: Visit, other: bytes) -> None:
        tail = b"\1" + string(ED25519) + string(BLOB)
        request = userauth.key_request(USER, ED25519, BLOB)
        assert visit.ask(signed_as(visit, request, other + tail)) == [REFUSED]
        assert visit.login.attempt is None
        assert visit.ask(signed_as(visit, request, request)) == [] and visit.login.attempt is not None

    def test_of_a_question_are_none(self, visit: Visit) -> None:
        """That a key would be fine is no promise, and what follows it is judged by itself."""
        assert visit.ask(OFFER) == [userauth.key_is_fine(ED25519, BLOB)]
        visit.ask(userauth.password_request(b"somebody+box", b"token"))
        attempt = visit.login.attempt
        assert attempt is not None and (attempt.account, attempt.key) == ("somebody", None)

    def test_are_not_carried_over_to_another_user(self, visit: Visit) -> None:
        request = userauth.key_request(USER, ED25519, BLOB)
        visit.ask(signed_as(visit, request, request))
        assert visit.login.attempt is not None and visit.login.attempt.key == HeldKey("ssh", BLOB)
        visit.login.fail()
        visit.ask(userauth.password_request(b"root+box", b"token"))
        attempt = visit.login.attempt
        assert attempt is not None and (attempt.account, attempt.key) == ("root", None)

    @pytest.mark.parametrize("size", [1, 4, 20, 60])
    def test_with_more_behind_them_are_violations(self, visit: Visit, size: int) -> None:
        request = userauth.key_request(USER, ED25519, BLOB)
        with pytest.raises(ProtocolViolation):
            visit.ask(signed_as(visit, request, request) + bytes(size))

    def test_by_a_certificate_are_none(self, visit: Visit) -> None:
        """Nobody here says whose signature makes a person."""
        kind = b"ssh-ed25519-cert-v01@openssh.com"
        shown = string(kind) + string(b"nonce") + BLOB[15:] + bytes(60)
        for algorithm in (kind, ED25519):
            request = userauth.key_request(USER, algorithm, shown)
            assert visit.ask(signed_as(visit, request, request)) == [REFUSED]
        assert visit.login.attempt is None


class TestWork:
    def test_for_longer_keys_than_there_are_is_not_done(self, visit: Visit) -> None:
        modulus = b"\0" + b"\xff" * (KEY_BYTES_MAX // 2) + b"\x01"
        long = string(b"ssh-rsa") + string(b"\1\0\1") + string(modulus)
        longer = string(b"ssh-rsa") + string(b"\1\0\1") + string(b"\0" + b"\xff" * KEY_BYTES_MAX)
        assert sound_key(b"rsa-sha2-512", long) is not None
        assert sound_key(b"rsa-sha2-512", longer) is None
        offer = userauth.request(USER, b"publickey", b"\0" + string(b"rsa-sha2-512") + string(longer))
        assert visit.ask(offer) == [REFUSED]

    @pytest.mark.parametrize(
        "payload",
        [
            userauth.request(USER, b"none"),
            OFFER,
            userauth.interactive_request(USER),
            userauth.request(USER, b"publickey", b"\0" + string(b"ssh-dss") + string(BLOB)),
        ],
        ids=["none", "questions", "dialogues", "old keys"],
    )
    def test_that_counts_as_no_attempt_has_an_end_as_well(self, visit: Visit, payload: bytes) -> None:
        for _ in range(REQUESTS_MAX):
            assert visit.ask(payload)
        with pytest.raises(LimitReached):
            visit.ask(payload)

    @pytest.mark.parametrize("count", [0, 2, 2**32 - 1])
    def test_for_answers_that_are_not_there_is_not_done(self, visit: Visit, count: int) -> None:
        visit.ask(userauth.interactive_request(USER))
        assert visit.ask(b"\x3d" + struct.pack("!I", count) + string(b"token"))[-1] == REFUSED
        assert visit.login.attempt is None


@pytest.mark.parametrize(
    "payload", [userauth.password_request(USER, b"token"), b"\x34", b"\x50" + string(b"x") + b"\0"]
)
def test_a_login_that_is_halted_lets_nothing_of_it_through(visit: Visit, payload: bytes) -> None:
    """While somebody decides, nothing else is taken; and a no is a no for what came behind it, too."""
    visit.ask(userauth.password_request(USER, b"first"))
    visit.client.say(payload)
    visit.carry()
    assert visit.login.attempt is not None and visit.login.attempt.secret.reveal() == "first"
    assert not visit.server.payloads and not visit.server.is_open


def test_only_the_gateway_says_that_somebody_is_in(visit: Visit) -> None:
    for number in (51, 52, 53, 60):
        other: Any = Visit()
        with pytest.raises(ProtocolViolation):
            other.ask(bytes((number,)) + bytes(20))
        assert not other.server.is_open
