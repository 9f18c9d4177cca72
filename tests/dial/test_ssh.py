"""The way to SSH targets: a real sshd, and hosts that are not what they should be."""

import hashlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from hoopproxy.dial.ssh import SshDialer, SshPeer
from hoopproxy.errors import ProtocolViolation, SessionError, UpstreamRefused, UpstreamUnreachable
from hoopproxy.masks import NO_CATALOG
from hoopproxy.model import Arrival, Endpoint, Grant, Identity, Passage, Permit, Seal, Target, UpstreamTls
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import IDialer, IPeer, IReached
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.ssh.exchange import ServerExchange
from hoopproxy.ssh.packing import Packer
from hoopproxy.testing.ssh_keys import SshKey, new_key
from hoopproxy.testing.sshd import Sshd
from hoopproxy.wire.ssh import messages, userauth
from hoopproxy.wire.ssh.messages import string
from hoopproxy.wire.ssh.packets import Splitter, framed
from hoopproxy.wire.ssh.userauth import Request
from tests.conftest import Spin

from .rogue import Rogue, drain

LOOPBACK = ip_address("127.0.0.1")
HOST_KEY = new_key()
USER = b"operator"
PASSWORD = "correct horse pâté"


class Way:
    """A dialer, and a target for it."""

    def __init__(self, reactor: Any, port: int, *pins: str, **limits: Any) -> None:
        self.dialer = SshDialer(reactor, Limits(**limits), TwistedScheduler(reactor))
        self.target = Target(
            "box", "ssh", "box.example", port, "EU", "DE", None, {}, allow_loopback=True, host_keys=frozenset(pins)
        )

    @property
    def permit(self) -> Permit:
        return Permit(
            session_id="s1",
            arrival=Arrival("c1", "front", "ssh", Endpoint(LOOPBACK, 40000), 0.0),
            identity=Identity("https://id.example", "ada", "Ada", frozenset(), 9e9, "oidc"),
            roles=frozenset(),
            target=self.target,
            account="reader",
            database="",
            parameters={},
            grant=Grant("g", frozenset(), "box", frozenset({"reader"}), "EU", ("EU",), {}, 9e9),
            addresses=(LOOPBACK,),
            client_zones=frozenset(),
            verdicts=(),
            not_after_s=9e9,
            seal=Seal(),
        )

    @asynccontextmanager
    async def session(self, secret: TargetSecret) -> AsyncIterator[SshPeer]:
        """Logged in; afterwards the connection is gone."""
        reached = await self.dialer.reach(self.permit)
        passage = Passage(self.permit, reached.measurements.peer, reached.measurements, (), Seal())
        peer = await self.dialer.login(reached, passage, secret, frozenset())
        try:
            yield peer
        finally:
            peer.close()
            await peer.lost.wait()

    async def log_in(self, secret: TargetSecret) -> None:
        async with self.session(secret):
            pass

    async def reach(self) -> Any:
        reached = await self.dialer.reach(self.permit)
        verifyObject(IReached, reached)
        reached.abort()
        return reached.measurements


def by_password(password: str = PASSWORD) -> TargetSecret:
    return TargetSecret(USER.decode(), Secret(password))


def by_key(key: SshKey, user: str = USER.decode()) -> TargetSecret:
    return TargetSecret(user, Secret(""), private_key=Secret(key.private))


async def executed(peer: SshPeer, command: str) -> bytes:
    """The output of a command."""
    splitter, out = Splitter(peer.side), bytearray()
    sizes = (1 << 21).to_bytes(4) + (32_768).to_bytes(4)
    await peer.write(framed(bytes((90,)) + string(b"session") + (3).to_bytes(4) + sizes))
    while data := await peer.read():
        splitter.append(data)
        for payload in iter(splitter.next, None):
            match payload[0]:
                case messages.CHANNEL_OPEN_CONFIRMATION:
                    theirs = int.from_bytes(payload[5:9])
                    await peer.write(framed(messages.channel_request(theirs, "exec", True, string(command.encode()))))
                case messages.DATA:
                    out += payload[9:]
                    await peer.write(framed(messages.window_adjust(theirs, len(payload) - 9)))
                case messages.CLOSE:
                    return bytes(out)
    raise AssertionError("it left")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("dialled") / "sshd", settings="RekeyLimit 1M") as started:
        yield started


@pytest.fixture
def box(reactor: Any, sshd: Sshd) -> Way:
    return Way(reactor, sshd.port, *sshd.host_key_fingerprints)


class TestSshd:
    def test_that_shows_its_pinned_key_is_reached_and_measured(self, spin: Spin, box: Way, sshd: Sshd) -> None:
        found = spin(box.reach())
        assert found.peer == Endpoint(LOOPBACK, sshd.port)
        assert bytes.fromhex(found.spki_sha256) == _digest(sshd.host_keys["ed25519"])
        assert found.tcp_rtt_us is None or 0 < found.tcp_rtt_us < 1_000_000

    def test_that_shows_another_key_is_not(self, spin: Spin, reactor: Any, sshd: Sshd) -> None:
        way = Way(reactor, sshd.port, new_key().fingerprint, sshd.host_keys["rsa"].fingerprint)
        with pytest.raises(UpstreamUnreachable, match="'box' did not prove that it is itself") as caught:
            spin(way.reach())
        assert caught.value.detail == (
            f"its host key is {sshd.host_key_fingerprint} (ssh-ed25519), which is not among its host_keys"
        )

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_lets_a_key_in(self, spin: Spin, box: Way, sshd: Sshd, kind: str) -> None:
        key = new_key(kind)
        sshd.authorize(key)

        async def scenario() -> None:
            async with box.session(by_key(key, sshd.user)) as peer:
                verifyObject(IPeer, peer)
                assert (peer.greeting, peer.catalog) == (None, NO_CATALOG)
                assert await executed(peer, "echo hello") == b"hello\n"
                await peer.interrupt()

        spin(scenario())

    @pytest.mark.parametrize("kind", ["ed25519", "rsa"])
    def test_lets_a_minted_certificate_in(self, spin: Spin, box: Way, sshd: Sshd, kind: str) -> None:
        authority = new_key(kind)
        sshd.trust(authority)

        async def scenario() -> None:
            secret = TargetSecret(sshd.user, Secret(""), authority_key=Secret(authority.private))
            async with box.session(secret) as peer:
                assert await executed(peer, "echo hello") == b"hello\n"

        spin(scenario())
        assert "ID s1 (serial" in sshd.log()

    def test_refuses_a_certificate_of_another_authority(self, spin: Spin, box: Way, sshd: Sshd) -> None:
        secret = TargetSecret(sshd.user, Secret(""), authority_key=Secret(new_key().private))
        assert "did not accept the gateway's proof" in refusal(spin, box, secret).sentence

    def test_refuses_a_key_that_it_does_not_know(self, spin: Spin, box: Way, sshd: Sshd) -> None:
        why = refusal(spin, box, by_key(new_key(), sshd.user))
        assert why.sentence == (
            "Target 'box', asked to let the gateway in as 'reader', did not accept the gateway's proof; "
            "tell the operator of the gateway."
        )
        assert why.detail == "shown: publickey"

    def test_that_takes_no_passwords_is_shown_none(self, spin: Spin, box: Way) -> None:
        why = refusal(spin, box, by_password())
        assert "takes no proof of the kind that the gateway holds" in why.sentence
        assert why.detail == "it takes publickey"

    def test_renews_keys_under_load_both_ways(self, spin: Spin, box: Way, sshd: Sshd) -> None:
        """`RekeyLimit 1M` there; our own limit is a gigabyte."""

        async def scenario() -> None:
            async with box.session(by_key(sshd.user_key, sshd.user)) as peer:
                data = await executed(peer, "head -c 20000000 /dev/zero")
                assert data == bytes(20_000_000)
                assert peer._transport.exchange.exchange_count > 10

        spin(scenario())

    def test_is_strict_with_us(self, spin: Spin, box: Way, sshd: Sshd) -> None:
        async def scenario() -> bool:
            async with box.session(by_key(sshd.user_key, sshd.user)) as peer:
                return peer._transport.exchange.is_strict

        knows = b"kex-strict-s-v00@openssh.com" in Path("/usr/sbin/sshd").read_bytes()
        assert spin(scenario()) is knows


def _digest(key: SshKey) -> bytes:
    return hashlib.sha256(key.blob).digest()


def refusal(spin: Spin, way: Way, secret: TargetSecret) -> SessionError:
    with pytest.raises(SessionError) as caught:
        spin(way.log_in(secret))
    assert caught.value.sentence.endswith(".")
    return caught.value


# Hosts of our own ---------------------------------------------------------------------------------------------------


def host_exchange() -> ServerExchange:
    return ServerExchange({b"ssh-ed25519": Key.fromString(HOST_KEY.private)})


def speak(exchange: ServerExchange, connection: socket.socket) -> None:
    """Until the other end has left, or errs."""
    while exchange.farewell is None:
        connection.sendall(b"".join(exchange.outbox))
        exchange.outbox.clear()
        data = connection.recv(65_536)
        if not data:
            return
        exchange.append(data)
        with suppress(ProtocolViolation):
            while exchange.take():
                pass


type Answers = Callable[[ServerExchange, Request | bytes], None]


class Host:
    """A script for `Rogue`: speaks SSH with HOST_KEY, and answers what comes for a login as `answers` does."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.requests: list[Request | bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        exchange = host_exchange()
        exchange.login = lambda payload: self.answer(exchange, payload)
        exchange.begin()
        speak(exchange, connection)

    def answer(self, exchange: ServerExchange, payload: bytes) -> None:
        asked = Request.read(payload) if payload[0] == userauth.REQUEST else payload
        self.requests.append(asked)
        self.answers(exchange, asked)

    @property
    def methods(self) -> list[bytes]:
        return [asked.method for asked in self.requests if isinstance(asked, Request)]


def takes(*methods: bytes, then: Callable[[ServerExchange, Request | bytes], None]) -> Answers:
    """Names its methods, and then does as `then` does."""

    def answers(exchange: ServerExchange, asked: Request | bytes) -> None:
        if isinstance(asked, Request) and asked.method == b"none":
            exchange.say(userauth.failure(*methods))
        else:
            then(exchange, asked)

    return answers


def lets_in(exchange: ServerExchange, asked: Request | bytes) -> None:
    exchange.say(bytes((userauth.SUCCESS,)))


def says(*payloads: bytes) -> Callable[[ServerExchange, Request | bytes], None]:
    def answers(exchange: ServerExchange, asked: Request | bytes) -> None:
        for payload in payloads:
            exchange.say(payload)

    return answers


FAILURE = userauth.failure(b"password")
PARTIAL = userauth.failure(b"keyboard-interactive", b"password")[:-1] + b"\1"


@pytest.fixture
def at(reactor: Any) -> Callable[..., Way]:
    """The way to a rogue's port."""
    return lambda rogue, **limits: Way(reactor, rogue.port, HOST_KEY.fingerprint, **limits)


type At = Callable[..., Way]


class TestPasswords:
    def test_are_shown_by_password(self, spin: Spin, at: At) -> None:
        host = Host(takes(b"password", b"keyboard-interactive", then=lets_in))
        with Rogue(host) as rogue:
            spin(at(rogue).log_in(by_password()))
        assert host.methods == [b"none", b"password"]
        shown = host.requests[-1]
        assert isinstance(shown, Request) and shown.user == USER
        assert (shown.rest.flag(), shown.rest.string().decode()) == (False, PASSWORD)

    def test_are_the_answer_where_one_is_asked_for(self, spin: Spin, at: At) -> None:
        def then(exchange: ServerExchange, asked: Request | bytes) -> None:
            if isinstance(asked, Request):
                exchange.say(userauth.question("", "Password: "))
            elif userauth.one_answer(asked) == PASSWORD.encode():
                exchange.say(bytes((userauth.METHOD,)) + 3 * string(b"") + bytes(4))  # PAM asks once more: nothing
            else:
                lets_in(exchange, asked)

        host = Host(takes(b"keyboard-interactive", then=then))
        with Rogue(host) as rogue:
            spin(at(rogue).log_in(by_password()))
        assert host.methods == [b"none", b"keyboard-interactive"]
        assert host.requests[-1] == userauth.answers()

    @pytest.mark.parametrize(
        "asked",
        [
            bytes((60,)) + 3 * string(b"") + (2).to_bytes(4) + 2 * (string(b"Password: ") + b"\0"),
            bytes((60,)) + 3 * string(b"") + (1).to_bytes(4) + string(b"Your mother's name: ") + b"\1",
        ],
    )
    def test_are_no_answer_to_other_questions(self, spin: Spin, at: At, asked: bytes) -> None:
        host = Host(takes(b"keyboard-interactive", then=says(asked)))
        with Rogue(host) as rogue:
            why = refusal(spin, at(rogue), by_password())
        assert isinstance(why, UpstreamRefused) and "asks for more than a password" in why.sentence
        assert len(host.requests) == 2

    def test_are_shown_once(self, spin: Spin, at: At) -> None:
        asked = userauth.question("", "Password: ")
        for host in (
            Host(takes(b"password", b"keyboard-interactive", then=says(userauth.failure(b"keyboard-interactive")))),
            Host(takes(b"keyboard-interactive", then=says(asked))),
        ):
            with Rogue(host) as rogue:
                assert isinstance(refusal(spin, at(rogue), by_password()), UpstreamRefused)
            shown = [each for each in host.requests if isinstance(each, bytes) or each.method == b"password"]
            assert len(shown) == 1

    def test_that_are_to_be_changed_are_the_operators_matter(self, spin: Spin, at: At) -> None:
        change = bytes((60,)) + string(b"Your password has expired.") + string(b"")
        with Rogue(Host(takes(b"password", then=says(change)))) as rogue:
            assert "to be changed first" in refusal(spin, at(rogue), by_password()).sentence

    def test_that_are_not_enough_are_not_enough(self, spin: Spin, at: At) -> None:
        with Rogue(Host(takes(b"password", then=says(PARTIAL)))) as rogue:
            why = refusal(spin, at(rogue), by_password())
        assert "wants more than one proof" in why.sentence
        assert why.detail == "it goes on with keyboard-interactive, password"

    def test_are_not_shown_to_whoever_lets_us_in_anyway(self, spin: Spin, at: At) -> None:
        host = Host(lets_in)
        with Rogue(host) as rogue:
            spin(at(rogue).log_in(by_password()))
        assert host.methods == [b"none"]


class TestKeys:
    def test_are_shown_once(self, spin: Spin, at: At) -> None:
        host = Host(takes(b"publickey", then=says(userauth.failure(b"publickey"))))
        with Rogue(host) as rogue:
            assert isinstance(refusal(spin, at(rogue), by_key(new_key())), UpstreamRefused)
        assert host.methods == [b"none", b"publickey"]

    @pytest.mark.parametrize("secret", ["", "no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
    def test_of_ours_that_are_none_are_the_operators_matter(self, spin: Spin, at: At, secret: str) -> None:
        for how in ({"private_key": Secret(secret)}, {"authority_key": Secret(secret)}):
            host = Host(lets_in)
            with Rogue(host) as rogue:
                why = refusal(spin, at(rogue), TargetSecret("operator", Secret(""), **how))
            assert why.sentence == (
                "The gateway's own key for target 'box' can't be used; tell the operator of the gateway."
            )
            assert host.requests == [] and "AAAA" not in why.detail

    @pytest.mark.parametrize(
        ("told", "used"),
        [
            (b"ssh-ed25519,rsa-sha2-256", b"rsa-sha2-256"),
            (b"rsa-sha2-256,rsa-sha2-512", b"rsa-sha2-512"),
            (b"ssh-rsa", b"rsa-sha2-256"),
        ],
    )
    def test_of_rsa_sign_as_the_target_likes(
        self, spin: Spin, at: At, monkeypatch: pytest.MonkeyPatch, told: bytes, used: bytes
    ) -> None:
        monkeypatch.setattr("hoopproxy.ssh.exchange.USER_SIGNATURES", told.split(b","))
        host = Host(takes(b"publickey", then=lets_in))
        with Rogue(host) as rogue:
            spin(at(rogue).log_in(by_key(new_key("rsa"))))
        shown = host.requests[-1]
        assert isinstance(shown, Request)
        assert (shown.rest.flag(), shown.rest.string()) == (True, used)


class TestRogues:
    def test_without_the_key_that_they_show_are_not_believed(self, spin: Spin, reactor: Any) -> None:
        """They know the fingerprint, as everybody may."""
        pinned = new_key()

        def script(connection: socket.socket) -> None:
            exchange = host_exchange()
            shown, own = Key.fromString(pinned.private).public(), Key.fromString(HOST_KEY.private)
            exchange._getHostKeys = lambda name: (shown, own)  # type: ignore[method-assign] # to lie
            exchange.begin()
            speak(exchange, connection)

        with Rogue(script) as rogue, pytest.raises(UpstreamUnreachable) as caught:
            spin(Way(reactor, rogue.port, pinned.fingerprint).reach())
        assert "could not agree with this gateway on keys" in caught.value.detail

    @pytest.mark.parametrize(
        "said",
        [
            b"",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"Go away.\r\n" * 2000,
            b"SSH-1.5-old\r\n",
            b"SSH-2.0-x\r\n" + b"\xff" * 1000,
            b"SSH-2.0-x\r\n" + b"".join(Packer().pack(b"\x02" + string(b"x"))) * 3,
            hashlib.shake_256(b"noise").digest(20_000) + b"\n",
        ],
        ids=range(7),  # padding is new each time, and those who run side by side must agree on names
    )
    def test_that_say_something_else_are_not_reached(self, spin: Spin, at: At, said: bytes) -> None:
        def script(connection: socket.socket) -> None:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            drain(connection)

        with Rogue(script) as rogue, pytest.raises(UpstreamUnreachable, match="'box' could not be reached"):
            spin(at(rogue).reach())

    @pytest.mark.parametrize("said", [b"", b"SSH-2.0-x", b"SSH-2.0-x\r\n"])
    def test_that_hang_are_not_waited_for(self, spin: Spin, at: At, said: bytes) -> None:
        def script(connection: socket.socket) -> None:
            connection.sendall(said)
            drain(connection)

        with Rogue(script) as rogue, pytest.raises(UpstreamUnreachable) as caught:
            spin(at(rogue, dial_s_max=0.2).reach())
        assert "limits.dial_s_max" in caught.value.detail

    @pytest.mark.parametrize("then", [lambda *_: None, lambda exchange, _: flood(exchange)])
    def test_that_hang_amid_a_login_are_not_waited_for(self, spin: Spin, at: At, then: Answers) -> None:
        with Rogue(Host(then)) as rogue:
            why = refusal(spin, at(rogue, dial_s_max=0.3), by_password())
        assert isinstance(why, UpstreamUnreachable) and "limits.dial_s_max" in why.detail

    def test_that_leave_amid_a_login_say_why(self, spin: Spin, at: At) -> None:
        with Rogue(Host(lambda exchange, _: exchange.disconnect(2, "Too many\x1b[31m logins."))) as rogue:
            why = refusal(spin, at(rogue), by_password())
        assert isinstance(why, UpstreamRefused) and "closed the connection" in why.sentence
        assert why.detail == "Too many [31m logins."

    @pytest.mark.parametrize(
        "payload",
        [
            b"\x5a" + string(b"session") + bytes(12),
            userauth.key_is_fine(b"ssh-ed25519", b"x"),
            bytes((50,)) + string(b"x"),
            bytes((51,)),
            bytes((61,)),
            bytes((79,)),
        ],
    )
    def test_that_are_out_of_turn_are_left(self, spin: Spin, at: At, payload: bytes) -> None:
        with Rogue(Host(says(payload))) as rogue:
            assert isinstance(refusal(spin, at(rogue), by_password()), ProtocolViolation)

    def test_that_let_us_in_unasked_are_left(self, spin: Spin, at: At) -> None:
        """Before a login was asked for, their word is none."""

        def script(connection: socket.socket) -> None:
            exchange = host_exchange()
            exchange.begin()
            exchange.say(bytes((userauth.SUCCESS,)))  # it goes out as soon as there are keys
            speak(exchange, connection)

        with Rogue(script) as rogue, pytest.raises(ProtocolViolation):
            spin(at(rogue).log_in(by_password()))


def flood(exchange: ServerExchange) -> None:
    """Banners without a word of sense."""
    for _ in range(1000):
        exchange.say(userauth.banner("Buy now!" * 100))


def test_one_address_after_the_other_is_tried(spin: Spin, box: Way, sshd: Sshd) -> None:
    other = ip_address("127.0.0.2")  # nobody listens there

    async def scenario() -> Any:
        permit = replace(box.permit, addresses=(other, LOOPBACK))
        reached = await box.dialer.reach(permit)
        reached.abort()
        return reached.measurements.peer

    assert spin(scenario()) == Endpoint(LOOPBACK, sshd.port)


def test_giving_up_a_login_leaves_no_connection(spin: Spin, at: At) -> None:
    heard = threading.Event()

    async def scenario(way: Way) -> None:
        logging_in = Deferred.fromCoroutine(way.log_in(by_password()))
        while not heard.is_set():
            await TwistedScheduler(way.dialer._reaching._reactor).sleep(0)
        logging_in.cancel()
        with pytest.raises(CancelledError):
            await logging_in

    with Rogue(Host(lambda *_: heard.set())) as rogue:
        spin(scenario(at(rogue)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"host_keys": frozenset()}, "host_keys is missing"),
        ({"tls": UpstreamTls("box", None)}, "tls is of no use"),
    ],
)
def test_targets_prove_themselves_by_host_keys(reactor: Any, changes: dict[str, Any], told: str) -> None:
    way = Way(reactor, 22, HOST_KEY.fingerprint)
    assert verifyObject(IDialer, way.dialer)
    said = way.dialer.unfit(replace(way.target, **changes))
    assert said.startswith(told) and bool(said) is bool(told)
