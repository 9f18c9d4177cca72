"""Targets that log in honestly and then turn: only that session ends; its client is told why, or at least not lied to.

Each sits between gateway and PostgreSQL with the server's own certificate, and turns at a statement with its name.
"""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from select import select
from threading import Event

import pytest

from hoopproxy.testing.bare_client import BareClient, fields, query
from hoopproxy.testing.certificates import Authority, Leaf
from hoopproxy.testing.postgres import PostgresCluster
from tests.dial.rogue import SSL_REQUEST, Rogue, Script, message, shaken
from tests.people import SECRETS

from .conftest import CUSTOMERS, Stand
from .hostile import let_in, open_another_door

pytestmark = pytest.mark.usefixtures("unharmed")

MASKS = """
[[mask]]
target = "masked"
column = "public.customers.email"
mask = "redact"
"""
STATEMENT = "SELECT id, email FROM customers -- {}"
SECRET = SECRETS[0].encode()
TWO_GB = 2**31 - 1


class Turncoat:
    """What a target does in place of an answer. `table` is the identifier of `customers` there."""

    def __init__(self, connection: socket.socket, table: int) -> None:
        self.connection, self.table = connection, table

    def described(self, columns: int = 2) -> bytes:
        """RowDescription: `id`, and `email` for the rest."""
        described = [self._column(b"id", 1, 23), *[self._column(b"email", 3, 25)] * (columns - 1)]
        return message(b"T", struct.pack("!H", columns) + b"".join(described))

    def _column(self, name: bytes, number: int, kind: int) -> bytes:
        return name + b"\0" + struct.pack("!IhIhih", self.table, number, kind, -1, -1, 0)


def row(*cells: bytes) -> bytes:
    return message(
        b"D", struct.pack("!h", len(cells)) + b"".join(struct.pack("!i", len(cell)) + cell for cell in cells)
    )


FATAL = message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")
DONE = message(b"C", b"SELECT 1\0") + message(b"Z", b"I")
GOOD_ROW = row(b"1", SECRET)

type Says = Callable[[Turncoat], bytes]

SAYS: dict[str, Says] = {
    "a row of 2 GB": lambda it: it.described() + GOOD_ROW + b"D" + struct.pack("!ih", TWO_GB, 2) + SECRET * 1000,
    "a row of a negative length": lambda it: it.described() + b"D" + struct.pack("!ih", -5, 2) + SECRET,
    "a row of length 3": lambda it: it.described() + b"D" + struct.pack("!i", 3) + SECRET,
    "a row without columns": lambda it: it.described() + message(b"D", b"\0\0") + DONE,
    "a row of three columns": lambda it: it.described() + row(b"1", SECRET, SECRET) + DONE,
    "a row of one column": lambda it: it.described() + row(SECRET) + DONE,
    "a cell longer than its row": lambda it: it.described() + message(b"D", struct.pack("!hi", 2, 999) + SECRET) + DONE,
    "a cell of length -2": lambda it: it.described() + message(b"D", struct.pack("!hi", 2, -2) + SECRET) + DONE,
    "bytes behind the last cell": lambda it: it.described() + message(b"D", GOOD_ROW[5:] + SECRET) + DONE,
    "a cell of 2 GB": lambda it: it.described() + message(b"D", struct.pack("!hi", 2, TWO_GB) + SECRET) + DONE,
    "rows without a description": lambda _: GOOD_ROW * 2 + DONE,
    "a description that ends within": lambda it: message(b"T", it.described()[5:-4]) + GOOD_ROW + DONE,
    "a description of 65535 columns": lambda it: it.described(65535) + GOOD_ROW + DONE,
    "a description within a result": lambda it: it.described() + GOOD_ROW + it.described() + GOOD_ROW + DONE,
    "a description after the end": lambda it: it.described() + GOOD_ROW + DONE + it.described() + GOOD_ROW,
    "rows after the end": lambda it: it.described() + GOOD_ROW + DONE + GOOD_ROW,
    "ready twice": lambda it: it.described() + GOOD_ROW + DONE + message(b"Z", b"I"),
    "an unknown transaction status": lambda it: it.described() + message(b"C", b"SELECT 0\0") + message(b"Z", b"?"),
    "ready without a status": lambda it: it.described() + message(b"C", b"SELECT 0\0") + message(b"Z"),
    "COPY data unasked": lambda _: message(b"d", SECRET) + DONE,
    "COPY data within a result": lambda it: it.described() + message(b"d", SECRET) + DONE,
    "COPY both ways": lambda _: message(b"W", b"\0\0\0") + message(b"d", SECRET),
    "the end of a COPY that never was": lambda _: message(b"c") + DONE,
    "answers to what was never parsed": lambda _: message(b"1") + message(b"2") + message(b"n") + DONE,
    "parameters that nobody asked about": lambda _: message(b"t", struct.pack("!HI", 1, 25)) + DONE,
    "a demand for a password": lambda _: message(b"R", struct.pack("!I", 3)),
    "a second welcome": lambda _: message(b"R", struct.pack("!I", 0)) + message(b"K", bytes(8)) + DONE,
    "a negotiation": lambda _: message(b"v", struct.pack("!II", 3 << 16, 0)) + DONE,
    "the result of a function": lambda _: message(b"V", struct.pack("!i", -1)) + DONE,
    "an error without an end": lambda _: message(b"E", b"SERROR\0Mx") + message(b"Z", b"I"),
    "an empty error": lambda _: message(b"E", b"") + message(b"Z", b"I"),
    "a status without a value": lambda _: message(b"S", b"client_encoding\0") + DONE,
    "an unreadable encoding": lambda _: message(b"S", b"client_encoding\0SJIS\0") + DONE,
    "a tag without an end": lambda it: it.described() + message(b"C", b"SELECT") + message(b"Z", b"I"),
    "a tag of a megabyte": lambda it: it.described() + message(b"C", b"S" * (1 << 20) + b"\0") + message(b"Z", b"I"),
    "a message of an unknown kind": lambda _: message(b"~", SECRET) + DONE,
    "a message of 2 GB": lambda _: b"E" + struct.pack("!i", TWO_GB) + b"SERROR\0",
    "a message of length 0": lambda _: b"C\0\0\0\0" + DONE,
    "FATAL among rows": lambda it: it.described() + GOOD_ROW + FATAL,
    "FATAL within a row": lambda it: it.described() + GOOD_ROW[:20] + FATAL,
    "half a row": lambda it: it.described() + GOOD_ROW[:20],
    "half a header": lambda it: it.described() + GOOD_ROW[:3],
    "nothing, and hangs up": lambda _: b"",
    "FATAL at once": lambda _: FATAL,
    "another protocol": lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    **{f"garbage {seed}": lambda _, seed=seed: Random(seed).randbytes(5000) for seed in range(5)},
    **{
        f"garbage in rows {seed}": lambda it, seed=seed: (
            it.described() + message(b"D", Random(seed).randbytes(900)) + DONE
        )
        for seed in range(5)
    },
}
"""After each of these the target closes."""

CAN_PASS = frozenset(
    {
        "a description within a result",
        "an unreadable encoding",
        "a tag of a megabyte",
        "FATAL among rows",
        "FATAL at once",
        "half a header",
        "nothing, and hangs up",
    }
)
"""What a client sees as it would without a gateway: it harms nobody else, and nothing that is protected is in it."""

FLOODS: dict[str, Says] = {
    "notices": lambda _: message(b"N", b"SNOTICE\0C00000\0M" + b"n" * 1000 + b"\0\0"),
    "settings": lambda _: message(b"S", b"application_name\0" + b"s" * 1000 + b"\0"),
    "notifications": lambda _: message(b"A", bytes(4) + b"channel\0" + b"p" * 1000 + b"\0"),
    "descriptions": lambda it: it.described() + message(b"C", b"SELECT 0\0"),
    "rows": lambda it: it.described() + GOOD_ROW * 1000 + message(b"C", b"SELECT 1000\0"),
    "errors": lambda _: message(b"E", b"SERROR\0C42000\0M" + b"e" * 1000 + b"\0\0"),
    "empty answers": lambda _: message(b"I"),
}
"""Said over and over again, until nobody listens."""


class Between:
    """Passes on what gateway and server say, until the statement comes that names what to do instead."""

    def __init__(self, port: int, leaf: Leaf) -> None:
        self.port, self.table = port, 0
        self.gone = Event()
        """A flood has ended because the gateway hung up."""
        self.script: Script = shaken(leaf, self._passes_on)

    def _passes_on(self, connection: socket.socket) -> None:
        context = _believing()
        with socket.create_connection(("127.0.0.1", self.port)) as plain:
            plain.sendall(SSL_REQUEST)
            assert plain.recv(1) == b"S"
            with context.wrap_socket(plain.dup()) as server:
                while True:
                    for ready in select([connection, server], [], [])[0]:
                        if not (data := ready.recv(65536)):
                            return
                        _, marked, name = data.rstrip(b"\0").partition(b"-- ")
                        if ready is connection and marked:
                            self._turn(connection, name.decode())
                            return
                        (server if ready is connection else connection).sendall(data)

    def _turn(self, connection: socket.socket, name: str) -> None:
        it = Turncoat(connection, self.table)
        if name in SAYS:
            connection.sendall(SAYS[name](it))
        elif name in FLOODS:
            wave = FLOODS[name](it) * 10
            with suppress(OSError):
                while True:
                    connection.sendall(wave)
            self.gone.set()
        else:  # never answers
            with suppress(OSError):
                while connection.recv(65536):
                    pass
            self.gone.set()


def _believing() -> "ssl.SSLContext":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture(scope="module")
def leaf(authority: Authority) -> Leaf:
    return authority.issue("turncoat", dns=("localhost",), ips=("127.0.0.1",))


@pytest.fixture(scope="module")
def cluster(leaf: Leaf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    certificate = leaf.certificate_file, leaf.key_file
    with PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def between(cluster: PostgresCluster, leaf: Leaf) -> Iterator[tuple[Between, Rogue]]:
    """Has the server's certificate and key: not even a channel binding shows it."""
    made = Between(cluster.port, leaf)
    with Rogue(made.script) as rogue:
        yield made, rogue


@pytest.fixture(scope="module")
def stand(
    cluster: PostgresCluster,
    between: tuple[Between, Rogue],
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stand]:
    """`bare` and `masked` turn; `plain` is honest. Who floods never leaves by itself: `drain_s_max` ends that."""
    made, rogue = between
    databases = dict.fromkeys(("plain", "bare", "masked"), CUSTOMERS)
    directory, limits = tmp_path_factory.mktemp("stand"), "drain_s_max = 1\n"
    with Stand(directory, cluster, authority, databases, masks=MASKS, limits=limits) as running:
        ((made.table,),) = cluster.execute("SELECT 'customers'::regclass::oid::int", database="masked") or [(0,)]
        targets = running.config.with_name("targets.toml")
        head, honest, *turning = targets.read_text().split("[[target]]")
        mine = [text.replace(f"port = {cluster.port}", f"port = {rogue.port}") for text in turning]
        assert mine != turning
        targets.write_text("[[target]]".join([head, honest, *mine]))
        open_another_door(running)
        yield running


def ended_with(answer: bytes) -> list[dict[str, str]]:
    """The FATAL errors in an answer."""
    return [fields(b"SFATAL\0" + part) for part in answer.split(b"SFATAL\0")[1:]]


@pytest.mark.parametrize("target", ["bare", "masked"])
@pytest.mark.parametrize("kind", SAYS)
def test_what_no_server_says_ends_that_session_alone(stand: Stand, target: str, kind: str) -> None:
    with let_in(stand, target) as client:
        client.send(query(STATEMENT.format(kind)))
        answer = client.rest()
        if target == "masked":
            assert SECRET not in answer
        if kind not in CAN_PASS:
            told = ended_with(answer)
            assert len(told) <= 1
            assert told or "row" in kind or "cell" in kind, answer[-300:]


@pytest.mark.parametrize("target", ["bare", "masked"])
@pytest.mark.parametrize("kind", FLOODS)
def test_floods_are_held_back_and_end_with_their_client(
    stand: Stand, between: tuple[Between, Rogue], other: BareClient, target: str, kind: str
) -> None:
    made, _ = between
    made.gone.clear()
    with let_in(stand, target) as client:
        client.send(query(STATEMENT.format(kind)))
        for _ in range(4):
            assert client.socket.recv(4096)
            assert other.ask("SELECT 1").tags == ["SELECT 1"]
        client.reset()
        assert made.gone.wait(30), "the target was not hung up on"


@pytest.mark.parametrize("target", ["bare", "masked"])
def test_a_target_that_never_answers_is_left_with_its_client(
    stand: Stand, between: tuple[Between, Rogue], other: BareClient, target: str
) -> None:
    made, _ = between
    made.gone.clear()
    with let_in(stand, target) as client:
        client.send(query(STATEMENT.format("silence")))
        for _ in range(20):
            assert other.ask("SELECT 1").tags == ["SELECT 1"]
        client.reset()  # one that only stops sending would be waiting for its answer
        assert made.gone.wait(30), "the target was not hung up on"
