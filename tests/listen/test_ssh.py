"""OpenSSH, asyncssh and paramiko at the SSH front door. Behind it stands a responder that answers by hand."""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncssh
import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)
from zope.interface.verify import verifyObject

from hoopproxy.errors import (
    ConfigError,
    LimitReached,
    ProtocolViolation,
    Refused,
    Revoked,
    SessionError,
    UpstreamRefused,
)
from hoopproxy.hands import in_thread
from hoopproxy.listen.server import Server
from hoopproxy.listen.ssh import SshFrontend, SshListener
from hoopproxy.listen.ssh_login import INSTRUCTION, PROMPT
from hoopproxy.model import Credentials
from hoopproxy.proofs import HeldKey
from hoopproxy.rooms import IFrontend, IListener
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, ListenerSettings
from hoopproxy.testing.ssh_keys import new_key
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.messages import Reader, string
from hoopproxy.wire.ssh.packets import Splitter, framed
from tests.conftest import Spin

WINDOW = 1 << 21
SENTENCE = "You may not go there; ask your data steward."


# What stands behind the door ----------------------------------------------------------------------------------------


async def responds(frontend: IFrontend, *, until_data: bool = False) -> None:
    """Lets everybody in, and answers until they leave: `exec` prints its command, `cat` what it is sent."""
    await frontend.welcome(SimpleNamespace(permit=SimpleNamespace(session_id="s1")), None)  # type: ignore[arg-type] # it looks no further
    splitter, theirs = Splitter(frontend.side), dict[int, int]()
    while data := await frontend.read():
        splitter.append(data)
        for payload in iter(splitter.next, None):
            if until_data and payload[0] == messages.DATA:
                return
            for answer in answers(payload, theirs):
                await frontend.write(framed(answer))


def answers(payload: bytes, theirs: dict[int, int]) -> list[bytes]:
    """What a server says to a payload. Its own channel numbers are the client's and 100."""
    reader = Reader(SshFrontend.side, payload, 0, len(payload))
    if payload[0] == messages.GLOBAL_REQUEST:
        reader.string()
        return [messages.request_failure()] if reader.flag() else []
    if payload[0] == messages.CHANNEL_OPEN:
        reader.string()
        number = reader.uint32()
        theirs[number + 100] = number
        sizes = WINDOW.to_bytes(4) + (32_768).to_bytes(4)
        return [bytes((91,)) + number.to_bytes(4) + (number + 100).to_bytes(4) + sizes]
    number = theirs.get(mine := reader.uint32())
    if number is None:
        return []  # it was closed, which the client did not know when it sent this
    match payload[0]:
        case messages.CHANNEL_REQUEST:
            kind, wants_reply = reader.string(), reader.flag()
            done = [bytes((99,)) + number.to_bytes(4)] if wants_reply else []
            if kind != b"exec":
                return done
            command = reader.string()
            if command == b"cat":
                return done
            del theirs[mine]
            return [*done, messages.output(number, 0, command + b"\n"), *ends(number)]
        case messages.DATA:
            data = reader.string()
            return [messages.window_adjust(number, len(data)), messages.output(number, 0, data)]
        case messages.EOF:
            del theirs[mine]
            return ends(number)
    return []


def ends(number: int) -> list[bytes]:
    status = messages.channel_request(number, "exit-status", False, (7).to_bytes(4))
    return [status, messages.end_of_file(number), messages.close(number)]


@dataclass
class Desk:
    """What came in; `judge` says who may try again, and `then` is done with those that it lets pass."""

    judge: Callable[[Credentials], Exception | None]
    then: Callable[[IFrontend], Awaitable[None]]
    scheduler: TwistedScheduler
    port: int = 0
    directory: Path = Path()
    frontends: list[SshFrontend] = field(default_factory=list)
    attempts: list[Credentials] = field(default_factory=list)
    failures: list[SessionError] = field(default_factory=list)

    async def failure(self) -> SessionError:
        """Why somebody failed whose client may have left before we noticed."""
        while not self.failures:
            await self.scheduler.sleep(0)
        (why,) = self.failures
        return why

    async def serve(self, frontend: IFrontend) -> None:
        assert isinstance(frontend, SshFrontend) and verifyObject(IFrontend, frontend)
        self.frontends.append(frontend)
        try:
            await self.serve_one(frontend)
        except SessionError as why:
            self.failures.append(why)
            frontend.refuse("s1", why)
        finally:
            frontend.close()

    async def serve_one(self, frontend: IFrontend) -> None:
        while True:
            credentials = await frontend.credentials()
            assert credentials is not None
            self.attempts.append(credentials)
            why = self.judge(credentials)
            if why is None:
                break
            if not frontend.again(why):
                raise why
        await self.then(frontend)

    @property
    def tokens(self) -> list[str]:
        return [attempt.secret.reveal() for attempt in self.attempts]

    async def ssh(self, *arguments: str, tokens: str = "good", stdin: bytes = b"") -> "Said":
        """OpenSSH's client. Each line of `tokens` answers one question."""
        counter, ask = self.directory / "asked", self.directory / "ask"
        (self.directory / "tokens").write_text(tokens + "\n")
        counter.write_text("")
        ask.write_text(
            f'#!/bin/sh\necho "$1" >> {counter}\nsed -n "$(wc -l < {counter})p" {self.directory / "tokens"}\n'
        )
        ask.chmod(0o700)
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "IdentityFile": "none",
        }
        flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        command = ["ssh", "-F", "none", "-p", str(self.port), *arguments[:-2], *flags, *arguments[-2:]]
        environment = os.environ | {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
        environment.pop("SSH_AUTH_SOCK", None)
        run = subprocess.run
        done = await in_thread(
            "client", lambda: run(command, input=stdin, capture_output=True, timeout=25, env=environment, check=False)
        )
        return Said(done.returncode, done.stdout, done.stderr.decode())

    async def asyncssh(self, work: Callable[[asyncssh.SSHClientConnection], Awaitable[Any]], **how: Any) -> Any:
        """What `work` does with asyncssh's client."""
        how = {"username": "box", "known_hosts": None, "client_keys": [], "agent_path": None, "config": []} | how

        async def worked() -> Any:
            async with asyncssh.connect("127.0.0.1", self.port, **how) as connection:
                return await work(connection)

        return await in_thread("client", lambda: asyncio.run(worked()))

    async def paramiko(self, work: Callable[[paramiko.Transport], Any]) -> Any:
        """What `work` does with paramiko's client, whose login is its business."""

        def worked() -> Any:
            transport = paramiko.Transport(("127.0.0.1", self.port))
            try:
                transport.start_client(timeout=20)
                return work(transport)
            finally:
                transport.close()

        return await in_thread("client", worked)


@dataclass(frozen=True)
class Said:
    code: int
    out: bytes
    err: str


def everybody(_: Credentials) -> None:
    return None


def who_is_good(credentials: Credentials) -> Exception | None:
    if credentials.secret.reveal() == "good":
        return None
    return Refused("Your token has expired; sign in again.", reason="credentials")


type Opens = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def desk(reactor: Any, tmp_path: Path) -> Opens:
    """`async with desk(judge, then) as it`: a listener that runs."""

    @asynccontextmanager
    async def opened(
        judge: Callable[[Credentials], Exception | None] = everybody,
        then: Callable[[IFrontend], Awaitable[None]] = responds,
        kinds: tuple[str, ...] = ("ed25519", "ecdsa", "rsa"),
        **limits: Any,
    ) -> AsyncIterator[Desk]:
        files = tuple(str(new_key(kind).write(tmp_path / f"host_{kind}")) for kind in kinds)
        bounds, scheduler = Limits(**{"drain_s_max": 0.5} | limits), TwistedScheduler(reactor)
        listener = SshListener(settings(*files), bounds, scheduler)
        assert verifyObject(IListener, listener)
        made = Desk(judge, then, scheduler, directory=tmp_path)
        server = Server(reactor, listener, bounds, scheduler, made.serve)
        server.privilegedStartService()
        made.port = server.endpoints[0].port
        try:
            yield made
        finally:
            await server.stopService()

    return opened


def settings(*files: str) -> ListenerSettings:
    return ListenerSettings("front", "ssh", (ip_address("127.0.0.1"),), 0, host_key_files=files)


# Logins -------------------------------------------------------------------------------------------------------------


async def run_echo(connection: asyncssh.SSHClientConnection) -> Any:
    done = await connection.run("hello")
    return done.exit_status, done.stdout


class TestOpenSsh:
    @pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
    def test_logs_in_with_a_token(self, spin: Spin, desk: Opens, method: str) -> None:
        async def scenario() -> None:
            async with desk(who_is_good) as it:
                said = await it.ssh("-o", f"PreferredAuthentications={method}", "reader+box@127.0.0.1", "hello")
                assert (said.code, said.out) == (7, b"hello\n")
                (attempt,) = it.attempts
                assert (attempt.target_name, attempt.account, attempt.key) == ("box", "reader", None)

        spin(scenario())

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_logs_in_with_a_key(self, spin: Spin, desk: Opens, kind: str) -> None:
        async def scenario() -> None:
            key = new_key(kind)
            async with desk() as it:
                file = key.write(it.directory / "user")
                said = await it.ssh("-o", "PasswordAuthentication=no", "-i", str(file), "box@127.0.0.1", "hello")
                assert (said.code, said.out) == (7, b"hello\n")
                assert [attempt.key for attempt in it.attempts] == [HeldKey("ssh", key.blob)]

        spin(scenario())

    def test_tries_one_key_after_the_other(self, spin: Spin, desk: Opens) -> None:
        async def scenario() -> None:
            keys = [new_key() for _ in range(3)]
            no = Refused(SENTENCE, reason="credentials")

            def judge(credentials: Credentials) -> Exception | None:
                return None if credentials.key == HeldKey("ssh", keys[2].blob) else no

            async with desk(judge) as it:
                shown: list[str] = []
                for number, key in enumerate(keys):
                    shown += ["-i", str(key.write(it.directory / f"user{number}"))]
                said = await it.ssh(*shown, "box@127.0.0.1", "hello")
                assert (said.code, len(it.attempts)) == (7, 3)
                assert SENTENCE not in said.err  # nobody asked for one about each key

        spin(scenario())

    def test_asks_again_after_a_token_that_was_refused(self, spin: Spin, desk: Opens) -> None:
        async def scenario() -> None:
            async with desk(who_is_good) as it:
                said = await it.ssh("box@127.0.0.1", "hello", tokens="bad\ngood")
                assert (said.code, it.tokens) == (7, ["bad", "good"])
                assert "Your token has expired; sign in again." in said.err
                assert "This gateway asks for the token that you get at sign-in." in said.err

        spin(scenario())

    def test_is_told_after_the_last_attempt(self, spin: Spin, desk: Opens) -> None:
        async def scenario() -> None:
            async with desk(who_is_good, login_attempts_max=2) as it:
                said = await it.ssh("box@127.0.0.1", "hello", tokens="bad\nworse\ngood")
                assert (said.code, it.tokens) == (255, ["bad", "worse"])
                assert said.err.count("Your token has expired; sign in again.") >= 2
                assert "Session s1: name it" in said.err

        spin(scenario())

    def test_shows_why_the_login_did_not_lead_to_the_target(self, spin: Spin, desk: Opens) -> None:
        async def then(frontend: IFrontend) -> None:
            frontend.inform("Your steward is being asked; please wait.")
            raise UpstreamRefused(SENTENCE)

        async def scenario() -> None:
            async with desk(then=then) as it:
                said = await it.ssh("box@127.0.0.1", "hello")
                assert said.code == 255
                assert "Your steward is being asked; please wait.\n" in said.err.replace("\r", "")
                assert SENTENCE in said.err and "(Session s1: name it when you ask" in said.err
                assert "Received disconnect" in said.err

        spin(scenario())

    def test_shows_why_a_session_ended(self, spin: Spin, desk: Opens) -> None:
        async def then(frontend: IFrontend) -> None:
            await responds(frontend, until_data=True)
            frontend.inform("not shown", framed(messages.output(0, 1, b"Look out.\r\n")))
            ping = bytes((messages.GLOBAL_REQUEST,)) + string(b"keepalive@openssh.com") + b"\1"
            await frontend.write(framed(ping))
            while bytes((messages.REQUEST_FAILURE,)) not in await frontend.read():
                pass
            raise Revoked("An operator has ended your session.")

        async def scenario() -> None:
            async with desk(then=then) as it:
                said = await it.ssh("box@127.0.0.1", "cat", stdin=b"x")
                assert said.code == 255
                assert "Look out." in said.err and "An operator has ended your session." in said.err

        spin(scenario())

    def test_renews_keys_all_the_time(self, spin: Spin, desk: Opens) -> None:
        async def scenario() -> None:
            data = os.urandom(1 << 20) * 12
            async with desk() as it:
                said = await it.ssh("-o", "RekeyLimit=1M", "box@127.0.0.1", "cat", stdin=data)
                assert said.code == 7 and said.out == data
                assert it.frontends[0]._exchange.exchange_count > 5

        spin(scenario())

    @pytest.mark.parametrize(
        "cipher", ["aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
    )
    @pytest.mark.parametrize(
        "mac", ["hmac-sha2-256", "hmac-sha2-512", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"]
    )
    def test_understands_each_cipher(self, spin: Spin, desk: Opens, cipher: str, mac: str) -> None:
        async def scenario() -> None:
            async with desk(kinds=("ed25519",)) as it:
                said = await it.ssh("-c", cipher, "-m", mac, "box@127.0.0.1", "cat", stdin=b"x" * 100_000)
                assert (said.code, said.out) == (7, b"x" * 100_000)

        spin(scenario())

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_trusts_each_kind_of_host_key(self, spin: Spin, desk: Opens, kind: str) -> None:
        async def scenario() -> None:
            async with desk(kinds=(kind,)) as it:
                assert (await it.ssh("box@127.0.0.1", "hello")).code == 7

        spin(scenario())

    @pytest.mark.parametrize(
        "old",
        [
            "KexAlgorithms=diffie-hellman-group14-sha1",
            "Ciphers=aes128-cbc",
            "MACs=hmac-sha1",
            "HostKeyAlgorithms=ssh-rsa",
        ],
    )
    def test_with_old_algorithms_is_refused(self, spin: Spin, desk: Opens, old: str) -> None:
        async def scenario() -> None:
            async with desk() as it:
                said = await it.ssh("-o", old, "box@127.0.0.1", "hello")
                assert said.code == 255 and "no matching" in said.err
                why = await it.failure()
                assert why.sentence.endswith("; update it.")

        spin(scenario())

    def test_is_strict(self, spin: Spin, desk: Opens) -> None:
        async def scenario() -> None:
            async with desk() as it:
                said = await it.ssh("-vv", "box@127.0.0.1", "hello")
                (frontend,) = it.frontends
                assert said.code == 7
                # It is since 9.6, and where a distribution saw to it.
                assert frontend._exchange.is_strict is ("kex-strict-c-v00@openssh.com" in said.err)

        spin(scenario())


class Asked(asyncssh.SSHClient):
    """Answers what it is asked."""

    def kbdint_auth_requested(self) -> str:
        return ""

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> Any:
        assert (instructions, prompts) == (INSTRUCTION, [(PROMPT, False)])
        return ["good"]


class TestAsyncssh:
    def test_logs_in_with_a_token(self, spin: Spin, desk: Opens) -> None:
        async def scenario() -> None:
            async with desk(who_is_good) as it:
                how = {"username": "reader+box", "password": "good"}
                assert await it.asyncssh(run_echo, **how) == (7, "hello\n")
                asked = {"client_factory": Asked, "preferred_auth": "keyboard-interactive", "username": "box"}
                assert await it.asyncssh(run_echo, **asked) == (7, "hello\n")
                assert it.frontends[0]._exchange.is_strict

        spin(scenario())

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_logs_in_with_a_key(self, spin: Spin, desk: Opens, kind: str) -> None:
        async def scenario() -> None:
            key = new_key(kind)
            async with desk() as it:
                how = {"client_keys": [asyncssh.import_private_key(key.private)]}
                assert await it.asyncssh(run_echo, **how) == (7, "hello\n")
                assert it.attempts[-1].key == HeldKey("ssh", key.blob)

        spin(scenario())

    @pytest.mark.parametrize("kex", ["mlkem768x25519-sha256", "curve25519-sha256", "ecdh-sha2-nistp521"])
    def test_agrees_on_keys_by_each_exchange(self, spin: Spin, desk: Opens, kex: str) -> None:
        if kex.encode() not in asyncssh.kex.get_kex_algs():
            kex = "ecdh-sha2-nistp384"

        async def scenario() -> None:
            async with desk() as it:
                assert await it.asyncssh(run_echo, password="good", kex_algs=[kex]) == (7, "hello\n")
                assert it.frontends[0]._exchange.kexAlg == kex.encode()

        spin(scenario())

    def test_renews_keys_all_the_time(self, spin: Spin, desk: Opens) -> None:
        async def work(connection: asyncssh.SSHClientConnection) -> Any:
            return (await connection.run("cat", input=b"y" * 3_000_000, encoding=None)).stdout

        async def scenario() -> None:
            async with desk() as it:
                assert await it.asyncssh(work, password="good", rekey_bytes=200_000) == b"y" * 3_000_000
                assert it.frontends[0]._exchange.exchange_count > 5

        spin(scenario())

    def test_is_told_why(self, spin: Spin, desk: Opens) -> None:
        async def then(frontend: IFrontend) -> None:
            raise UpstreamRefused(SENTENCE)

        async def scenario() -> None:
            async with desk(then=then) as it:
                with pytest.raises(asyncssh.DisconnectError, match=SENTENCE):
                    await it.asyncssh(run_echo, password="good")

        spin(scenario())


class TestParamiko:
    def test_logs_in_with_a_token(self, spin: Spin, desk: Opens) -> None:
        def work(transport: paramiko.Transport) -> Any:
            transport.auth_password("reader+box", "good")
            channel = transport.open_session(timeout=10)
            channel.exec_command("hello")
            return channel.recv(100), channel.recv_exit_status()

        async def scenario() -> None:
            async with desk(who_is_good) as it:
                assert await it.paramiko(work) == (b"hello\n", 7)
                assert it.frontends[0]._exchange.is_strict

        spin(scenario())

    @pytest.mark.parametrize(
        ("kind", "load"),
        [
            ("ed25519", paramiko.Ed25519Key),
            ("ecdsa", paramiko.ECDSAKey),
            ("rsa", paramiko.RSAKey),
        ],
    )
    def test_logs_in_with_a_key(self, spin: Spin, desk: Opens, kind: str, load: Any) -> None:
        key = new_key(kind)

        async def scenario() -> None:
            async with desk() as it:
                file = key.write(it.directory / "user")

                def work(transport: paramiko.Transport) -> Any:
                    transport.auth_publickey("box", load.from_private_key_file(str(file)))
                    return transport.is_authenticated()

                assert await it.paramiko(work)
                assert it.attempts[-1].key == HeldKey("ssh", key.blob)

        spin(scenario())

    def test_is_told_which_methods_there_are(self, spin: Spin, desk: Opens) -> None:
        def work(transport: paramiko.Transport) -> Any:
            with pytest.raises(paramiko.BadAuthenticationType) as caught:
                transport.auth_none("box")
            return caught.value.allowed_types

        async def scenario() -> None:
            async with desk() as it:
                assert await it.paramiko(work) == ["publickey", "keyboard-interactive", "password"]

        spin(scenario())

    def test_renews_keys_when_it_likes(self, spin: Spin, desk: Opens) -> None:
        def work(transport: paramiko.Transport) -> Any:
            transport.auth_password("box", "good")
            channel = transport.open_session(timeout=10)
            channel.exec_command("cat")
            came = 0
            for wanted in (50_000, 100_000, 150_000):
                transport.renegotiate_keys()
                channel.sendall(b"z" * 50_000)
                while came < wanted:
                    came += len(channel.recv(50_000))
            return came

        async def scenario() -> None:
            async with desk() as it:
                assert await it.paramiko(work) == 150_000
                assert it.frontends[0]._exchange.exchange_count == 4

        spin(scenario())


# Whoever is no decent client -----------------------------------------------------------------------------------------


def talk(port: int, *said: bytes) -> bytes:
    """Say that, and hear until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        for each in said:
            client.sendall(each)
        heard = b""
        with suppress(ConnectionResetError):
            while data := client.recv(65_536):
                heard += data
        return heard


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(300), b"SSH-1.5-old\r\n", os.urandom(100_000) + b"\n"]
)
def test_who_speaks_something_else_is_told_so(spin: Spin, desk: Opens, said: bytes) -> None:
    async def scenario() -> None:
        async with desk() as it:
            heard = await in_thread("client", talk, it.port, said)
            assert heard.startswith(b"SSH-2.0-OpenSSH_like_hoopproxy\r\n") and b"speaks no SSH of version 2" in heard
            assert [type(why) for why in it.failures] == [ProtocolViolation]

    spin(scenario())


def test_garbage_behind_a_version_is_told_so(spin: Spin, desk: Opens) -> None:
    async def scenario() -> None:
        async with desk() as it:
            heard = await in_thread("client", talk, it.port, b"SSH-2.0-x\r\n" + b"\xff" * 5000)
            assert b"sent a packet that can't be read" in heard

    spin(scenario())


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-", b"SSH-2.0-x\r\n"])
def test_who_agrees_on_no_keys_is_not_waited_for(spin: Spin, desk: Opens, said: bytes) -> None:
    async def scenario() -> None:
        async with desk(handshake_s_max=0.2) as it:
            heard = await in_thread("client", talk, it.port, said)
            assert b"did not agree on keys within 0.2 s; connect again." in heard
            (why,) = it.failures
            assert isinstance(why, LimitReached) and why.limit == "limits.handshake_s_max"

    spin(scenario())


def test_who_leaves_before_its_login_is_over_erred(spin: Spin, desk: Opens) -> None:
    async def scenario() -> None:
        async with desk() as it:
            await it.paramiko(lambda transport: None)
            assert "before its login was over" in (await it.failure()).sentence

    spin(scenario())


# Host keys ----------------------------------------------------------------------------------------------------------


def built(*files: Path) -> SshListener:
    return SshListener(settings(*map(str, files)), Limits(), None)  # type: ignore[arg-type] # no client comes


def problem(*files: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        built(*files)
    (one,) = caught.value.problems
    assert one.startswith("listen.front.host_keys") and one.endswith(".") and "wanted is" in one
    return one


def test_keys_of_other_protocols_stop_the_start(tmp_path: Path) -> None:
    key = str(new_key().write(tmp_path / "key"))
    odd = replace(settings(key), target="box", certificate_file="tls.pem", client_ca_file="ca.pem")
    with pytest.raises(ConfigError, match=r"(?s)certificate is set.*client_ca is set.*target is set"):
        SshListener(odd, Limits(), None)  # type: ignore[arg-type] # no client comes


class TestHostKeys:
    def test_may_be_in_either_format(self, tmp_path: Path) -> None:
        key = load_ssh_private_key(new_key("ecdsa").private.encode(), None)
        for number, kind in enumerate((PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL, PrivateFormat.OpenSSH)):
            file = tmp_path / str(number)
            file.write_bytes(key.private_bytes(Encoding.PEM, kind, NoEncryption()))
            assert [*built(file)._host_keys] == [b"ecdsa-sha2-nistp256"]

    def test_are_of_several_kinds(self, tmp_path: Path) -> None:
        files = [new_key(kind).write(tmp_path / kind) for kind in ("rsa", "ed25519", "ecdsa")]
        assert [*built(*files)._host_keys] == [b"ssh-rsa", b"ssh-ed25519", b"ecdsa-sha2-nistp256"]

    def test_are_needed(self) -> None:
        assert "is missing" in problem()

    @pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", b"\xff" * 1000])
    def test_that_are_none_stop_the_start(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "key"
        file.write_bytes(content)
        assert f"{file} can't be used" in problem(file)

    def test_that_are_not_there_stop_the_start(self, tmp_path: Path) -> None:
        assert "No such file" in problem(tmp_path / "gone")

    @pytest.mark.parametrize("kind", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8])
    def test_with_a_passphrase_stop_the_start(self, tmp_path: Path, kind: PrivateFormat) -> None:
        key = load_ssh_private_key(new_key().private.encode(), None)
        file = tmp_path / "key"
        file.write_bytes(key.private_bytes(Encoding.PEM, kind, BestAvailableEncryption(b"secret")))
        assert "without a passphrase" in problem(file)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: rsa.generate_private_key(65537, 1024),
            lambda: dsa.generate_private_key(1024),
            lambda: ec.generate_private_key(ec.SECP256K1()),
        ],
    )
    def test_of_weak_or_odd_kinds_stop_the_start(self, tmp_path: Path, make: Callable[[], Any]) -> None:
        file = tmp_path / "key"
        file.write_bytes(make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        assert "another kind" in problem(file)

    def test_are_one_of_each_kind(self, tmp_path: Path) -> None:
        assert "second ssh-ed25519 key" in problem(*(new_key().write(tmp_path / name) for name in "ab"))
