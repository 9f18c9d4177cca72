"""What a client's login makes of what it is sent, in memory: methods, proofs, names and limits."""

import hashlib
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from twisted.conch.ssh.common import MP
from twisted.conch.ssh.keys import Key

from hoopproxy.errors import LimitReached, ProtocolViolation
from hoopproxy.listen.ssh_login import INSTRUCTION, PROMPT, REQUESTS_MAX, TOKEN_BYTES_MAX, Login
from hoopproxy.listen.ssh_proof import has_signed, sound_key
from hoopproxy.proofs import HeldKey
from hoopproxy.settings import Limits
from hoopproxy.ssh.exchange import ClientExchange, ServerExchange
from hoopproxy.testing.ssh_keys import new_key
from hoopproxy.wire.ssh import userauth
from hoopproxy.wire.ssh.messages import string

USER = b"reader+box"
HOST_KEY = Key.fromString(new_key().private)


class Visit:
    """A client that has keys and asks for what it is told to. `heard` are the answers."""

    def __init__(self, **limits: Any) -> None:
        self.server = ServerExchange({b"ssh-ed25519": HOST_KEY})
        self.login = Login(self.server, Limits(**limits))
        self.server.login = self.login.take
        self.heard: list[bytes] = []
        self.client = ClientExchange(lambda _: True, self.heard.append)
        self.server.begin()
        self.client.begin()
        self.carry()
        self.client.request_login()
        self.carry()
        assert self.heard.pop() == b"\x06"

    def carry(self) -> None:
        while self.server.outbox or self.client.outbox:
            for speaker, hearer in ((self.server, self.client), (self.client, self.server)):
                hearer.append(b"".join(speaker.outbox))
                speaker.outbox.clear()
                while not hearer.is_halted and hearer.take():
                    pass

    def ask(self, payload: bytes) -> list[bytes]:
        """The answers to a payload."""
        self.heard.clear()
        self.client.say(payload)
        self.carry()
        return list(self.heard)

    def signed(self, key: Key, algorithm: bytes, **changes: Any) -> bytes:
        request = userauth.key_request(USER, algorithm, changes.get("blob", key.blob()))
        over = string(changes.get("session_id", self.client.sessionID)) + request
        return request + string(key.sign(over, changes.get("signature_type", algorithm)))


@pytest.fixture
def visit() -> Visit:
    return Visit()


REFUSED = userauth.failure(b"publickey", b"keyboard-interactive", b"password")


def test_none_is_told_the_methods(visit: Visit) -> None:
    assert visit.ask(userauth.request(USER, b"none")) == [REFUSED]
    assert visit.login.attempt is None


@pytest.mark.parametrize("method", [b"hostbased", b"gssapi-with-mic", b"", b"none\0", b"x" * 10_000])
def test_so_is_who_asks_for_another(visit: Visit, method: bytes) -> None:
    assert visit.ask(userauth.request(USER, method)) == [REFUSED]


@pytest.mark.parametrize(
    ("user", "account", "target"),
    [
        (b"box", "", "box"),
        (b"reader+box", "reader", "box"),
        (b"a+b+box", "a+b", "box"),
        ("käthe+box".encode(), "käthe", "box"),
        (b"+box", "", "box"),
    ],
)
def test_the_user_name_says_where_to(visit: Visit, user: bytes, account: str, target: str) -> None:
    assert visit.ask(userauth.password_request(user, b"token")) == []
    attempt = visit.login.attempt
    assert attempt is not None
    assert (attempt.account, attempt.target_name, attempt.database) == (account, target, "")
    assert (attempt.secret.reveal(), attempt.key, attempt.parent) == ("token", None, None)


@pytest.mark.parametrize("user", [b"", b"reader+", b"x" * 256, b"\xff", b"a\0b", b"a\nb", "a\u202eb".encode()])
def test_a_user_name_that_says_nothing_is_refused_with_a_sentence(visit: Visit, user: bytes) -> None:
    banner, refusal = visit.ask(userauth.password_request(user, b"token"))
    assert banner[0] == userauth.BANNER and b"connect as TARGET@gateway" in banner
    assert refusal == REFUSED and visit.login.attempt is None


class TestTokens:
    @pytest.mark.parametrize("token", [b"", b"\xff\xfe", b"x" * (TOKEN_BYTES_MAX + 1)])
    def test_that_are_none_are_refused(self, visit: Visit, token: bytes) -> None:
        assert visit.ask(userauth.password_request(USER, token))[-1] == REFUSED
        assert visit.login.attempt is None

    def test_are_not_changed_here(self, visit: Visit) -> None:
        change = b"\1" + string(b"old") + string(b"new")
        assert visit.ask(userauth.request(USER, b"password", change))[-1] == REFUSED

    def test_may_be_asked_for(self, visit: Visit) -> None:
        (asked,) = visit.ask(userauth.interactive_request(USER))
        assert asked == userauth.question(INSTRUCTION, PROMPT)
        assert userauth.questions(asked) == [False]
        assert visit.ask(userauth.answers(b"token")) == []
        assert visit.login.attempt is not None and visit.login.attempt.secret.reveal() == "token"

    @pytest.mark.parametrize("given", [(), (b"",), (b"a", b"b")])
    def test_that_are_not_given_are_refused(self, visit: Visit, given: tuple[bytes, ...]) -> None:
        visit.ask(userauth.interactive_request(USER))
        assert visit.ask(userauth.answers(*given))[-1] == REFUSED

    def test_that_nobody_asked_for_end_it(self, visit: Visit) -> None:
        with pytest.raises(ProtocolViolation, match="nobody asked for"):
            visit.ask(userauth.answers(b"token"))

    def test_belong_to_the_last_question(self, visit: Visit) -> None:
        """A new request gives up what went before, and the state of another user."""
        visit.ask(userauth.interactive_request(b"somebody+box"))
        visit.ask(userauth.request(USER, b"none"))
        with pytest.raises(ProtocolViolation, match="nobody asked for"):
            visit.ask(userauth.answers(b"token"))

    def test_are_taken_for_who_was_asked(self, visit: Visit) -> None:
        visit.ask(userauth.interactive_request(b"somebody+box"))
        visit.ask(userauth.interactive_request(USER))
        visit.ask(userauth.answers(b"token"))
        assert visit.login.attempt is not None and visit.login.attempt.account == "reader"


KINDS = [
    ("ed25519", b"ssh-ed25519"),
    ("ecdsa", b"ecdsa-sha2-nistp256"),
    ("rsa", b"rsa-sha2-512"),
    ("rsa", b"rsa-sha2-256"),
]


@pytest.fixture(scope="module")
def keys() -> dict[str, Key]:
    return {kind: Key.fromString(new_key(kind).private) for kind in ("ed25519", "ecdsa", "rsa")}


class TestKeys:
    @pytest.mark.parametrize(("kind", "algorithm"), KINDS)
    def test_are_fine_until_they_are_proved(
        self, visit: Visit, keys: dict[str, Key], kind: str, algorithm: bytes
    ) -> None:
        blob = keys[kind].blob()
        offer = userauth.request(USER, b"publickey", b"\0" + string(algorithm) + string(blob))
        assert visit.ask(offer) == [userauth.key_is_fine(algorithm, blob)]
        assert visit.login.attempt is None
        assert visit.ask(visit.signed(keys[kind], algorithm)) == []
        assert visit.login.attempt is not None
        assert visit.login.attempt.key == HeldKey("ssh", blob) and visit.login.attempt.secret.reveal() == ""

    def test_are_not_proved_by_sha_1(self, visit: Visit, keys: dict[str, Key]) -> None:
        assert visit.ask(visit.signed(keys["rsa"], b"ssh-rsa")) == [REFUSED]
        old = visit.signed(keys["rsa"], b"rsa-sha2-256", signature_type=b"ssh-rsa")
        assert visit.ask(old) == [REFUSED] and visit.login.attempt is None

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_are_not_proved_by_another_key(self, visit: Visit, keys: dict[str, Key], kind: str) -> None:
        other = Key.fromString(new_key(kind).private)
        algorithm = b"rsa-sha2-512" if kind == "rsa" else other.sshType()
        assert visit.ask(visit.signed(other, algorithm, blob=keys[kind].blob())) == [REFUSED]

    def test_are_not_proved_by_a_signature_of_another_session(self, visit: Visit, keys: dict[str, Key]) -> None:
        assert visit.ask(visit.signed(keys["ed25519"], b"ssh-ed25519", session_id=bytes(32))) == [REFUSED]

    def test_are_not_proved_for_another_user(self, visit: Visit, keys: dict[str, Key]) -> None:
        signed = visit.signed(keys["ed25519"], b"ssh-ed25519")
        assert visit.ask(signed.replace(USER, b"root" + USER[4:])) == [REFUSED]

    @pytest.mark.parametrize("cut", [1, 20, 60, 83])
    def test_are_not_proved_by_half_a_signature(self, visit: Visit, keys: dict[str, Key], cut: int) -> None:
        blob, key = keys["ed25519"].blob(), keys["ed25519"]
        request = userauth.key_request(USER, b"ssh-ed25519", blob)
        signature = key.sign(string(visit.client.sessionID or b"") + request)
        assert visit.ask(request + string(signature[:-cut])) == [REFUSED]

    def test_must_be_strong(self, visit: Visit) -> None:
        weak = Key(rsa.generate_private_key(65537, 1024))
        assert visit.ask(visit.signed(weak, b"rsa-sha2-512")) == [REFUSED]

    @pytest.mark.parametrize(
        "blob",
        [
            b"",
            string(b"ssh-ed25519"),
            string(b"ssh-ed25519") + string(b"x" * 31),
            string(b"ssh-ed25519") + string(b"x" * 32) + b"more",
            string(b"ssh-dss") + 4 * string(b"\1"),
            string(b"ssh-ed25519-cert-v01@openssh.com") + bytes(100),
            string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\4" + bytes(64)),
            string(b"ecdsa-sha2-nistp256") + string(b"nistp384") + string(b"\4" + bytes(64)),
            string(b"ssh-rsa") + string(b"\1") + string(b""),
        ],
    )
    def test_that_are_none_are_refused_and_do_not_count(self, blob: bytes) -> None:
        visit = Visit(login_attempts_max=1)
        kind = blob[4 : 4 + int.from_bytes(blob[:4])] or b"ssh-ed25519"
        algorithm = b"rsa-sha2-512" if kind == b"ssh-rsa" else kind
        for _ in range(3):
            assert visit.ask(userauth.request(USER, b"publickey", b"\0" + string(algorithm) + string(blob))) == [
                REFUSED
            ]

    def test_are_not_asked_about_without_end(self, visit: Visit, keys: dict[str, Key]) -> None:
        offer = userauth.request(USER, b"publickey", b"\0" + string(b"ssh-ed25519") + string(keys["ed25519"].blob()))
        for _ in range(REQUESTS_MAX):
            visit.ask(offer)
        with pytest.raises(LimitReached, match="without end"):
            visit.ask(offer)


class TestSecurityKeys:
    """FIDO tokens: OpenSSH's PROTOCOL.u2f."""

    APPLICATION = b"ssh:"

    @pytest.fixture(params=["ed25519", "ecdsa"])
    def token(self, request: pytest.FixtureRequest) -> tuple[bytes, bytes, Callable[[bytes], bytes]]:
        """Its algorithm, its blob, and how it signs."""
        if request.param == "ed25519":
            edwards = ed25519.Ed25519PrivateKey.generate()
            algorithm = b"sk-ssh-ed25519@openssh.com"
            point = string(edwards.public_key().public_bytes_raw())
            return algorithm, string(algorithm) + point + string(self.APPLICATION), edwards.sign
        curved = ec.generate_private_key(ec.SECP256R1())
        algorithm = b"sk-ecdsa-sha2-nistp256@openssh.com"
        ordinary = Key(curved.public_key()).blob()
        point = ordinary[len(string(b"ecdsa-sha2-nistp256")) :]

        def sign(data: bytes) -> bytes:
            r, s = decode_dss_signature(curved.sign(data, ec.ECDSA(SHA256())))
            return MP(r) + MP(s)

        return algorithm, string(algorithm) + point + string(self.APPLICATION), sign

    def signature(self, token: tuple[bytes, bytes, Callable[[bytes], bytes]], over: bytes, flags: int) -> bytes:
        algorithm, _, sign = token
        rest = struct.pack("!BI", flags, 7)
        signed = sign(hashlib.sha256(self.APPLICATION).digest() + rest + hashlib.sha256(over).digest())
        return string(algorithm) + string(signed) + rest

    def test_prove_their_owner_who_touched_them(
        self, visit: Visit, token: tuple[bytes, bytes, Callable[[bytes], bytes]]
    ) -> None:
        algorithm, blob, _ = token
        request = userauth.key_request(USER, algorithm, blob)
        over = string(visit.client.sessionID or b"") + request
        assert visit.ask(request + string(self.signature(token, over, flags=0))) == [REFUSED]
        assert visit.ask(request + string(self.signature(token, over, flags=1))) == []
        assert visit.login.attempt is not None and visit.login.attempt.key == HeldKey("ssh", blob)

    def test_sign_no_less(self, token: tuple[bytes, bytes, Callable[[bytes], bytes]]) -> None:
        algorithm, blob, sign = token
        key = sound_key(algorithm, blob)
        assert key is not None
        plain = string(algorithm) + string(sign(b"message"))
        assert not has_signed(key, algorithm, plain, b"message")
        whole = self.signature(token, b"message", 1)
        assert has_signed(key, algorithm, whole, b"message")
        for wrong in (whole[:-1], whole + b"\0", whole[:-5] + b"\5" + whole[-4:]):
            assert not has_signed(key, algorithm, wrong, b"message")


def test_an_rsa_key_signs_with_no_more_than_it_says() -> None:
    """A signature under one name that is made as another's."""
    private = rsa.generate_private_key(65537, 2048)
    key = Key(private.public_key())
    sha1 = private.sign(b"message", padding.PKCS1v15(), SHA1())
    for name in (b"rsa-sha2-256", b"ssh-rsa"):
        assert not has_signed(key, b"rsa-sha2-256", string(name) + string(sha1), b"message")
    sound = private.sign(b"message", padding.PKCS1v15(), SHA256())
    assert has_signed(key, b"rsa-sha2-256", string(b"rsa-sha2-256") + string(sound), b"message")
    for name in (b"rsa-sha2-512", b"ssh-rsa", b""):
        assert not has_signed(key, b"rsa-sha2-256", string(name) + string(sound), b"message")


class TestAttempts:
    def test_that_failed_may_be_followed_by_others(self, visit: Visit) -> None:
        visit.ask(userauth.password_request(USER, b"bad"))
        assert visit.login.fail("Your token has expired.")
        visit.carry()
        assert visit.heard == [userauth.banner("Your token has expired."), REFUSED]
        visit.ask(userauth.password_request(USER, b"good"))
        assert visit.login.attempt is not None and visit.login.attempt.secret.reveal() == "good"

    def test_are_counted(self) -> None:
        visit = Visit(login_attempts_max=3)
        for left in (True, True, False):
            visit.ask(userauth.password_request(USER, b"bad"))
            assert visit.login.fail() is left

    def test_are_counted_also_when_nobody_has_to_be_asked(self) -> None:
        visit = Visit(login_attempts_max=3)
        visit.ask(userauth.password_request(USER, b""))
        visit.ask(userauth.password_request(b"", b"token"))
        with pytest.raises(LimitReached, match="last attempt") as caught:
            visit.ask(userauth.password_request(USER, b""))
        assert caught.value.limit == "limits.login_attempts_max"

    def test_go_one_at_a_time(self, visit: Visit) -> None:
        """What is sent behind one waits for our word about it."""
        for token in (b"one", b"two"):
            visit.client.say(userauth.password_request(USER, token))
        visit.carry()
        assert visit.login.attempt is not None and visit.login.attempt.secret.reveal() == "one"
        visit.login.fail()
        visit.server.append(b"")
        while not visit.server.is_halted and visit.server.take():
            pass
        assert visit.login.attempt.secret.reveal() == "two"

    def test_are_over_when_one_succeeded(self, visit: Visit) -> None:
        visit.ask(userauth.password_request(USER, b"token"))
        visit.login.succeed()
        visit.carry()
        assert visit.heard == [bytes((userauth.SUCCESS,))]
        assert visit.ask(userauth.password_request(USER, b"token")) == []
        assert visit.ask(userauth.answers(b"token")) == [] and visit.login.attempt is None
        visit.ask(b"\x5a")
        assert visit.server.payloads == [b"\0\0\0\1\x5a"]

    def test_tell_nobody_of_channels_before_that(self, visit: Visit) -> None:
        with pytest.raises(ProtocolViolation, match="ahead of its login"):
            visit.ask(b"\x5a")


@pytest.mark.parametrize("service", [b"ssh-userauth", b"", b"ssh-connection\0", b"x"])
def test_there_is_one_service_to_log_in_for(visit: Visit, service: bytes) -> None:
    request = bytes((userauth.REQUEST,)) + string(USER) + string(service) + string(b"none")
    with pytest.raises(ProtocolViolation, match="service"):
        visit.ask(request)


def halves(payload: bytes) -> Iterator[bytes]:
    return (payload[:end] for end in range(1, len(payload), 3))


def test_requests_that_end_too_early_are_violations() -> None:
    for whole in (userauth.password_request(USER, b"token"), userauth.key_request(USER, b"ssh-ed25519", b"x")):
        for half in halves(whole):
            with pytest.raises(ProtocolViolation):
                Visit().ask(half)


def test_a_login_is_asked_for_first() -> None:
    visit = Visit()
    visit.server.is_logging_in = False
    with pytest.raises(ProtocolViolation, match="ahead of its login"):
        visit.ask(userauth.password_request(USER, b"token"))
