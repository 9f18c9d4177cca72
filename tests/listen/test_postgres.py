"""The front door with real clients: psql 15 or later, libpq 18 inside psycopg, and sockets that misbehave."""

import shutil
import signal
import socket
import ssl
import struct
import subprocess
from typing import Any

import pytest

from hoopproxy.errors import LimitReached, ProtocolViolation, Refused
from hoopproxy.hands import in_thread
from hoopproxy.rooms import IFrontend, IScheduler, ISignal
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Plaintext
from hoopproxy.wire.postgres.messages import error, ready_for_query
from hoopproxy.wire.postgres.startup import cancel_request
from tests.conftest import Spin
from tests.dial.rogue import SSL_REQUEST, message

from .conftest import TERMINATE, Desk, Opens, Peer, welcomes

GSSENC_REQUEST = struct.pack("!ii", 8, 80877104)
STARTUP = b"user\0reader\0database\0ledger\0\0"
STARTUP = struct.pack("!iI", len(STARTUP) + 8, 3 << 16) + STARTUP


PSQL = [shutil.which("psql") or "these tests want psql: install postgresql-client", "-X"]


def psql(desk: Desk, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PSQL, desk.dsn(**changes), "-c", ""], capture_output=True, text=True, timeout=30)


async def turns_away(frontend: IFrontend) -> None:
    raise Refused("You have no access to target 'ledger'; ask for a grant.", reason="grant")


def test_psql_says_who_it_is_and_reads_why_it_is_turned_away(spin: Spin, desk: Opens) -> None:
    async def visit() -> tuple[Desk, Any]:
        async with desk(turns_away) as it:
            return it, await in_thread("client", psql, it)

    it, ended = spin(visit())
    (credentials,) = it.credentials
    assert (credentials.target_name, credentials.account, credentials.database) == ("ledger", "reader", "books")
    assert credentials.secret.reveal() == "token"
    assert credentials.parameters["application_name"] == "psql"
    assert "FATAL:  You have no access to target 'ledger'; ask for a grant." in ended.stderr
    assert "HINT:  Session s1:" in ended.stderr


def test_a_notice_is_shown_while_the_client_still_waits_to_be_let_in(spin: Spin, desk: Opens) -> None:
    async def asks_somebody(frontend: IFrontend) -> None:
        frontend.inform("Waiting for an approval: https://gateway.example/r/1")
        frontend.inform("Still waiting.")
        await turns_away(frontend)

    async def visit() -> Any:
        async with desk(asks_somebody) as it:
            return await in_thread("client", psql, it)

    told = spin(visit()).stderr
    assert told.index("Waiting for an approval") < told.index("Still waiting.") < told.index("You have no access")


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"sslnegotiation": "direct"},
        {"max_protocol_version": "latest"},
        {"hostaddr": "::1"},
        {"application_name": "a b'c", "options": "-c statement_timeout=5s --search-path=a\\ b"},
    ],
    ids=str,
)
def test_clients_are_let_in(spin: Spin, desk: Opens, how: dict[str, str]) -> None:
    async def asks_first(frontend: IFrontend) -> None:
        frontend.inform("One moment.")
        await welcomes(frontend)

    async def visit() -> Desk:
        async with desk(asks_first) as it:
            client = await it.connect(**how)
            assert client.info.parameter_status("server_version") == "17.0"
            assert client.pgconn.ssl_in_use
            client.close()
            return it

    it = spin(visit())
    assert not it.failures and it.credentials[0].secret.reveal() == "token"
    assert str(it.arrivals[0].client.address) == how.get("hostaddr", "127.0.0.1")
    if "options" in how:
        given = {"application_name": "a b'c", "statement_timeout": "5s", "search_path": "a b"}
        assert given.items() <= dict(it.credentials[0].parameters).items()


@pytest.mark.parametrize(
    ("how", "version", "key_bytes"),
    [
        ({}, 30000, 4),
        ({"max_protocol_version": "3.0"}, 30000, 4),
        ({"min_protocol_version": "3.2", "max_protocol_version": "3.2"}, 30002, 32),
        ({"max_protocol_version": "latest"}, 30002, 32),
    ],
    ids=str,
)
def test_libpq_speaks_the_version_that_it_wants_and_cancels_in_it(
    spin: Spin, desk: Opens, sessions: "Sessions", how: dict[str, str], version: int, key_bytes: int
) -> None:
    async def visit() -> tuple[int, bytes, list[int]]:
        async with desk(sessions.serve) as it:
            client = await it.connect(**how)
            spoken = client.pgconn.full_protocol_version
            await in_thread("client", client.cancel_safe)
            ((key, _),) = it.cancels._live.values()
            client.close()
            return spoken, key, sessions.interrupts

    spoken, key, interrupts = spin(visit())
    assert (spoken, len(key), interrupts) == (version, key_bytes, [1])


def test_without_tls_nobody_is_let_in(spin: Spin, desk: Opens) -> None:
    async def visit() -> tuple[str, Desk]:
        async with desk() as it:
            return await it.refusal(sslmode="disable"), it

    told, it = spin(visit())
    assert "TLS only" in told and "sslmode=require" in told
    assert not it.credentials


def test_on_loopback_a_listener_may_allow_it(spin: Spin, desk: Opens) -> None:
    async def visit() -> Any:
        async with desk(plaintext=Plaintext.LOOPBACK) as it:
            (await it.connect(sslmode="disable")).close()
            (await it.connect(sslmode="require")).close()
            return it.credentials

    assert len(spin(visit())) == 2


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"options": "-c role=postgres"}, "'role'"),
        ({"options": "-c session_authorization=postgres"}, "'session_authorization'"),
        ({"client_encoding": "SJIS"}, "'SJIS'"),
        ({"replication": "database"}, "Replication"),
    ],
    ids=str,
)
def test_what_is_not_passed_on_is_refused_before_a_password_is_asked_for(
    spin: Spin, desk: Opens, how: dict[str, str], sentence: str
) -> None:
    async def visit() -> str:
        async with desk() as it:
            return await it.refusal(**how, password="")

    assert sentence in spin(visit())


# Cancelling ---------------------------------------------------------------------------------------------------------


class Sleeper(Peer):
    """A target whose statement runs until it is interrupted."""

    def __init__(self, interrupted: ISignal) -> None:
        super().__init__()
        self.interrupted = interrupted

    async def interrupt(self) -> None:
        await super().interrupt()
        self.interrupted.set()


class Sessions:
    """Each client's query sleeps until somebody cancels it."""

    def __init__(self, scheduler: IScheduler) -> None:
        self._scheduler = scheduler
        self.asleep = scheduler.signal()
        self.peers: list[Sleeper] = []

    async def serve(self, frontend: IFrontend) -> None:
        peer = Sleeper(self._scheduler.signal())
        self.peers.append(peer)
        await frontend.welcome(None, peer)  # type: ignore[arg-type] # it does not look at the passage
        while data := await frontend.read():
            if data[:1] == b"Q":
                self.asleep.set()
                await peer.interrupted.wait()
                await frontend.write(error("canceled by request", "57014") + ready_for_query(b"I"))

    @property
    def interrupts(self) -> list[int]:
        return [peer.interrupts for peer in self.peers]


@pytest.fixture
def sessions(reactor: Any) -> Sessions:
    return Sessions(TwistedScheduler(reactor))


def test_ctrl_c_in_psql_interrupts_its_own_session_alone(spin: Spin, desk: Opens, sessions: Sessions) -> None:
    """psql 15 and 16 ask for it in the clear."""

    async def visit() -> tuple[list[int], str]:
        async with desk(sessions.serve) as it:
            other = await it.connect()
            with subprocess.Popen([*PSQL, it.dsn(), "-c", "sleep"], stderr=subprocess.PIPE, text=True) as running:
                await sessions.asleep.wait()
                running.send_signal(signal.SIGINT)
                _, said = await in_thread("client", running.communicate)
            other.close()
            return sessions.interrupts, said

    interrupts, said = spin(visit())
    assert interrupts == [0, 1] and "canceled by request" in said


def test_a_cancel_in_tls_interrupts_its_own_session_alone(spin: Spin, desk: Opens, sessions: Sessions) -> None:
    async def visit() -> list[int]:
        async with desk(sessions.serve) as it:
            one, other = await it.connect(), await it.connect(sslnegotiation="direct")
            for client in (one, other):
                await in_thread("client", client.cancel_safe)
            one.close()
            other.close()
            return sessions.interrupts

    assert spin(visit()) == [1, 1]


def test_a_wrong_key_and_the_key_of_a_session_that_is_over_interrupt_nobody(
    spin: Spin, desk: Opens, sessions: Sessions
) -> None:
    async def visit() -> tuple[list[int], list[bytes]]:
        async with desk(sessions.serve) as it:
            client, over = await it.connect(), await it.connect()
            answers = [await talk(it, cancel_request(client.info.backend_pid, key)) for key in (bytes(4), b"\1" * 4)]
            cancel = over.pgconn.cancel_conn()
            over.close()
            await in_thread("client", cancel.start)
            await in_thread("client", cancel.poll)
            client.close()
            return sessions.interrupts, answers

    assert spin(visit()) == ([0, 0], [b"", b""])


# Whoever does not speak the protocol --------------------------------------------------------------------------------


async def talk(desk: Desk, *sends: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Send these pieces, one after each answer; all that was answered."""

    def work() -> bytes:
        with socket.create_connection(("127.0.0.1", desk.ports["127.0.0.1"]), 10) as plain:
            return _speak(tls.wrap_socket(plain.dup(), server_hostname="localhost") if tls else plain, sends)

    return await in_thread("client", work)


def _speak(client: socket.socket, sends: tuple[bytes, ...]) -> bytes:
    answers = b""
    with client:
        for data in sends:
            client.sendall(data)
            answers += (last := client.recv(65536))
        while last:
            answers += (last := client.recv(65536))
    return answers


def trusting(desk: Desk, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=desk.ca_file)
    context.set_alpn_protocols(list(alpn))
    return context


def test_gssapi_encryption_is_declined_and_tls_taken_after_it(spin: Spin, desk: Opens) -> None:
    async def visit() -> bytes:
        async with desk() as it:
            return await talk(it, GSSENC_REQUEST, SSL_REQUEST, bytes(16))

    assert spin(visit())[:2] == b"NS"


def test_direct_tls_wants_the_protocols_name(spin: Spin, desk: Opens) -> None:
    async def visit() -> tuple[bytes, Desk]:
        async with desk() as it:
            await talk(it, STARTUP, message(b"p", b"token\0"), TERMINATE, tls=trusting(it, "postgresql"))
            return await talk(it, STARTUP, tls=trusting(it, "http/1.1")), it

    told, it = spin(visit())
    assert b"ALPN" in told and len(it.credentials) == 1


HOSTILE = {
    "bytes behind an SSLRequest": [SSL_REQUEST + STARTUP],
    "bytes behind a GSSENCRequest": [GSSENC_REQUEST + STARTUP],
    "GSSENCRequest twice": [GSSENC_REQUEST, GSSENC_REQUEST],
    "a length of 1 GiB": [struct.pack("!iI", 1 << 30, 3 << 16)],
    "a negative length": [struct.pack("!iI", -1, 3 << 16)],
    "another protocol": [b"GET / HTTP/1.1\r\n\r\n"],
    "version 2": [struct.pack("!iI", 8, 2 << 16)],
    "no end of the settings": [struct.pack("!iI", 13, 3 << 16) + b"user\0"],
    "a query for a password": [STARTUP, message(b"Q", b"SELECT 1\0")],
    "a password without an end": [STARTUP, message(b"p", b"token")],
    "a password that is not UTF-8": [STARTUP, message(b"p", b"\xff\0")],
    "a password of 1 GiB": [STARTUP, b"p" + struct.pack("!i", 1 << 30)],
}


@pytest.mark.parametrize("sends", HOSTILE.values(), ids=HOSTILE)
def test_whoever_breaks_the_protocol_is_told_and_sent_away(spin: Spin, desk: Opens, sends: list[bytes]) -> None:
    async def visit() -> tuple[bytes, Desk]:
        async with desk(plaintext=Plaintext.LOOPBACK) as it:
            told = await talk(it, *sends)
            (await it.connect()).close()  # nobody else minds
            return told, it

    told, it = spin(visit())
    assert b"FATAL" in told and b"Session s1" in told
    assert len(it.failures) == 1 and isinstance(it.failures[0], ProtocolViolation | LimitReached | Refused)
    assert len(it.credentials) == 1


def test_tls_inside_tls_is_refused(spin: Spin, desk: Opens) -> None:
    async def visit() -> list[bytes]:
        async with desk() as it:
            tls = trusting(it, "postgresql")
            return [await talk(it, hello, tls=tls) for hello in (b"\x16\x03\x01\0\x05", SSL_REQUEST, GSSENC_REQUEST)]

    assert all(b"FATAL" in told for told in spin(visit()))


def test_a_tls_handshake_that_fails_ends_its_own_connection(spin: Spin, desk: Opens) -> None:
    async def visit() -> Desk:
        async with desk() as it:
            await talk(it, SSL_REQUEST, b"\x16\x03\x01\0\x05hello")
            (await it.connect()).close()
            return it

    it = spin(visit())
    assert isinstance(it.failures[0], ProtocolViolation) and len(it.credentials) == 1


def test_last_words_arrive_while_the_client_is_still_sending(spin: Spin, desk: Opens) -> None:
    """20 MB that nobody reads any more must not reset the connection under them."""

    def sends(it: Desk) -> bytes:
        with socket.create_connection(("127.0.0.1", it.ports["127.0.0.1"]), 10) as plain:
            with trusting(it, "postgresql").wrap_socket(plain.dup(), server_hostname="localhost") as client:
                client.sendall(STARTUP)
                client.recv(65536)
                client.sendall(message(b"p", b"token\0") + bytes(20 << 20))
                return client.recv(65536)

    async def visit() -> bytes:
        async with desk(turns_away) as it:
            return await in_thread("client", sends, it)

    assert b"You have no access" in spin(visit())


def test_tls_below_1_2_is_refused(spin: Spin, desk: Opens) -> None:
    async def visit() -> str:
        async with desk() as it:
            return await it.refusal(ssl_min_protocol_version="TLSv1", ssl_max_protocol_version="TLSv1.1")

    assert "SSL" in spin(visit())


def test_somebody_silent_delays_nobody(spin: Spin, desk: Opens) -> None:
    async def visit() -> Desk:
        async with desk() as it:
            silent = [socket.create_connection(("127.0.0.1", it.ports["127.0.0.1"])) for _ in range(3)]
            silent[1].sendall(SSL_REQUEST)
            silent[2].sendall(STARTUP[:-1])
            (await it.connect()).close()
            for each in silent:
                each.close()
            return it

    it = spin(visit())
    assert len(it.credentials) == 1
