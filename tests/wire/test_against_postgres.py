"""Random pipelines against a real PostgreSQL, straight and through the machine: as many answers, of the same kinds, and
after each batch the transaction status that the server itself has.

Where the gateway refuses, rewrites or cuts off, the straight way gets what comes to the same: a text that can't be
parsed, the rewritten one, one that fails after as many rows. `PIPELINES` plays more of them, from `PIPELINE_SEED` on.
"""

import os
import select
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pytest
from psycopg.conninfo import conninfo_to_dict

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Action, Edit, Forward, Keep, Plan, Reject, Reply, Shape, Statement, Step
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.testing.bare_client import fields, startup
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.wire.postgres import requests
from hoopproxy.wire.postgres.framing import Splitter, message, string
from hoopproxy.wire.postgres.machine import PostgresWire
from hoopproxy.wire.postgres.requests import FLUSH, SYNC, Named
from hoopproxy.wire.postgres.startup import cancel_request

from .rig import machine
from .test_twins import CATALOG, SCHEMA

PIPELINES = int(os.environ.get("PIPELINES", "80"))
FIRST_SEED = int(os.environ.get("PIPELINE_SEED", "0"))
ANSWER_S_MAX = 20.0
"""Nothing that is asked here takes long: what has not come by then got lost."""

SAMPLE = f"""
CREATE TABLE people(id int PRIMARY KEY, card text);
INSERT INTO people SELECT g, 'canary ' || g FROM generate_series(1, 3) g;
CREATE TABLE kept(id int CHECK (id < 100));
CREATE SCHEMA {SCHEMA};
CREATE VIEW {SCHEMA}.people AS SELECT id, '****'::text AS card FROM people
"""
REFUSED, REWRITTEN, BOUNDED = "SELECT forbidden()", "people", "SELECT g FROM generate_series(1, 5) g"
ROWS_MAX = 2
STRAIGHT = {REFUSED: "refused by hoopproxy", BOUNDED: "SELECT 1 / (3 - g) FROM generate_series(1, 5) g"}
ALIKE = {"42501": "42601", "54000": "22012", "26000": "25P02", "34000": "25P02"}
"""SQLSTATEs of the gateway, and of what stands for it straight. It can't tell first that a transaction has failed."""

SELECTS = ("SELECT id, card FROM people ORDER BY id", "SELECT generate_series(1, 4)", "SELECT", "FETCH 2 FROM c")
ACTS = (
    *("BEGIN", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "INSERT INTO kept VALUES (1)"),
    *("INSERT INTO kept VALUES (100)", "SELECT 1 / 0", "SELEC 1", "DO $$BEGIN RAISE WARNING 'wait'; END$$"),
    *("DECLARE c CURSOR FOR SELECT id FROM people", "SET work_mem = '1MB'", "DEALLOCATE ALL", "", REFUSED, REFUSED),
    *("COPY people TO STDOUT", "COPY (SELECT id FROM people) TO STDOUT", "PREPARE s AS SELECT 2", "EXECUTE s"),
)
TEXTS = (*SELECTS * 2, *ACTS, BOUNDED, BOUNDED)
NAMES, PORTALS = ("", "", "a", "b"), ("", "", "p")
OVER = "SELECT 'over'"

type Saying = Callable[[Random], bytes]


def parse(random: Random) -> bytes:
    return requests.Parse(random.choice(NAMES), random.choice(TEXTS).encode()).encode()


def bind(random: Random) -> bytes:
    return requests.Bind(random.choice(PORTALS), random.choice(NAMES)).encode()


def execute(random: Random) -> bytes:
    return requests.execute(random.choice(PORTALS), random.choice((0, 0, 1, 2)))


def named(random: Random) -> bytes:
    say = random.choice((requests.describe, requests.close))
    if random.random() < 0.5:
        return say(Named.PORTAL, random.choice(PORTALS))
    return say(Named.STATEMENT, random.choice(NAMES))


def end(random: Random) -> bytes:
    return random.choice((SYNC, SYNC, FLUSH))


def query(random: Random) -> bytes:
    """Of several statements, those behind a result that is cut off may have run: it stands alone."""
    texts = random.choices(TEXTS, k=random.choice((1, 1, 2, 3)))
    said = requests.query(texts[0] if BOUNDED in texts else ";".join(texts))
    # One that the gateway answers by itself leaves what has no name; the server would forget it.
    forgotten = requests.close(Named.STATEMENT, "") + requests.close(Named.PORTAL, "") + SYNC
    return said + (forgotten if REFUSED in texts else b"")


def transaction(random: Random) -> bytes:
    return requests.query(random.choice(("BEGIN", "COMMIT", "ROLLBACK")))


def whole(random: Random) -> bytes:
    """A statement as drivers send it, prepared anew or (as one in a batch of several) without a Sync behind it."""
    bound = requests.Parse("", random.choice(TEXTS).encode()).encode() + requests.Bind("", "").encode()
    described = requests.describe(Named.PORTAL, "") if random.random() < 0.5 else b""
    return bound + described + requests.execute("") + random.choice((SYNC, SYNC, b""))


def copy(random: Random) -> bytes:
    """Data for a COPY that may be refused, or fail before it begins or in the middle."""
    data = b"".join(message(b"d", random.choice((b"1\n", b"bad\n"))) for _ in range(random.randint(0, 2)))
    over = random.choice((message(b"c"), message(b"c"), message(b"f", string("no"))))
    text = random.choice(("COPY kept FROM STDIN", "COPY kept FROM STDIN", "COPY nothing FROM STDIN"))
    if random.random() < 0.5:
        return SYNC + requests.query(text) + data + over
    begun = requests.Parse("", text.encode()).encode() + requests.Bind("", "").encode() + requests.execute("")
    return SYNC + begun + random.choice((SYNC, b"")) + data + over + SYNC


SAYINGS: tuple[Saying, ...] = (parse, bind, execute, named, end, end, query, query, transaction, whole, whole, copy)


class Backend:
    """A connection to the server, logged in."""

    def __init__(self, cluster: PostgresCluster) -> None:
        found = conninfo_to_dict(cluster.admin_dsn)
        self._at = f"{found['host']}/.s.PGSQL.{found['port']}"
        self.socket = self._connected()
        self.socket.sendall(startup({"user": "postgres", "database": "postgres", "client_min_messages": "error"}))
        for kind, body in Answers(self).until(b"Z"):
            if kind == b"K":
                self.key = struct.unpack("!i", body[:4])[0], body[4:]

    def _connected(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(ANSWER_S_MAX)
        made.connect(self._at)
        return made

    def interrupt(self) -> None:
        """Returns once the server has sent its signal."""
        with self._connected() as other:
            other.sendall(cancel_request(*self.key))
            assert other.recv(1) == b""

    def has_more(self) -> bool:
        """Whether an answer is there, or comes in a moment."""
        return bool(select.select([self.socket], [], [], 0.001)[0])


class Answers:
    """What a client reads."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._inbox = backend, Splitter(Side.SERVER)

    def until(self, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Messages up to the first of that kind."""
        while True:
            while (got := self._inbox.next(1 << 20, "")) is not None:
                yield got.kind, got.body
                if got.kind == last:
                    return
            self._inbox.append(self._backend.socket.recv(65536))


class Client:
    """Somebody behind the machine, which asks us."""

    def __init__(self, backend: Backend, wire: PostgresWire, random: Random) -> None:
        self._backend, self._wire, self._random = backend, wire, random
        self._paused = self._owes = False
        self._unread = b""
        self.shown = b""

    def send(self, data: bytes) -> None:
        self._unread += data
        self._go_on()

    def hear(self) -> None:
        """Something of what the server has said."""
        self._take(
            Side.SERVER, self._wire.feed(Side.SERVER, self._backend.socket.recv(self._random.choice((7, 65536))))
        )
        self._go_on()

    def _go_on(self) -> None:
        while not self._paused and (self._owes or self._unread):
            if self._owes:
                self._owes = False
                self._take(Side.CLIENT, self._wire.resume(Side.CLIENT, None))
            else:
                data, self._unread = self._unread, b""
                self._take(Side.CLIENT, self._wire.feed(Side.CLIENT, data))

    def _take(self, side: Side, step: Step) -> None:
        while True:
            self.shown += step.to_client
            self._paused = Side.CLIENT in step.pause
            if step.to_server:
                self._backend.socket.sendall(step.to_server)
            if step.interrupts:
                self._backend.interrupt()
            if step.ask is None:
                self._owes |= step.more
                return
            step = self._wire.resume(side, _answer(step.ask))


def _answer(ask: Statement | Shape) -> Reply:
    if isinstance(ask, Shape):
        return Plan(ask, tuple(Keep() for _ in ask.fields))
    if REFUSED in ask.text:
        return Reject("The security team refuses this statement; ask them.")
    rows_max = ROWS_MAX if ask.text == BOUNDED else 0
    if ask.action is Action.EXECUTE:
        return Forward(ask.text, (), rows_max)
    edits = [Edit(at, 0, f"{SCHEMA}.") for at in _places(ask.text)]
    return Forward(_straight(ask.text, {}), tuple(edits), rows_max)


def _places(text: str) -> Iterator[int]:
    at = text.find(REWRITTEN)
    while at >= 0:
        yield at
        at = text.find(REWRITTEN, at + 1)


def _straight(text: str, instead: dict[str, str]) -> str:
    """What the server gets without a gateway."""
    refused = next((put for given, put in instead.items() if given in text), None)
    return refused or text.replace(REWRITTEN, f"{SCHEMA}.{REWRITTEN}")


def straight(said: bytes) -> bytes:
    """The messages of a client, with the texts that come to the same."""
    inbox, out = Splitter(Side.CLIENT), b""
    inbox.append(said)
    while (got := inbox.next(1 << 20, "")) is not None:
        if got.kind == b"Q":
            out += requests.query(_straight(got.body[:-1].decode(), STRAIGHT))
        elif got.kind == b"P":
            made = requests.Parse.read(got.body)
            out += requests.Parse(made.name, _straight(made.raw_text.decode(), STRAIGHT).encode()).encode()
        else:
            out += got.raw
    return out


def heard(kind: bytes, body: bytes) -> tuple[str, str] | None:
    """What of an answer has to be alike."""
    match kind:
        case b"N" | b"S" | b"A":
            return None
        case b"E":
            state = fields(body)["C"]
            return "E", ALIKE.get(state, state)
        case b"Z" | b"C":
            return kind.decode(), body.decode()
    return kind.decode(), ""


def compared(shown: bytes) -> list[tuple[str, str]]:
    inbox, found = Splitter(Side.SERVER), []
    inbox.append(shown)
    while (got := inbox.next(1 << 20, "")) is not None:
        found.append(heard(got.kind, got.body))
    return [each for each in found if each is not None]


def is_over(shown: bytes) -> bool:
    """The last question was answered."""
    return b"over\0" in shown[-40:] or (b"SELECT 1\0Z" in shown[-40:] and b"over" in shown[-60:])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    with PostgresCluster(tmp_path_factory.mktemp("pipelines")) as cluster:
        cluster.execute(SAMPLE)
        yield cluster


def script(random: Random, protected: tuple[str, ...]) -> list[bytes]:
    said = [random.choice(SAYINGS)(random) for _ in range(random.randint(1, 12))]
    if protected:  # there COPY is refused once it has begun, which the server never hears of
        said = [each for each in said if b"TO STDOUT" not in each]
    return [*said, message(b"f", string("over")) + SYNC + requests.query("ROLLBACK"), requests.query(OVER)]


def outcome(cluster: PostgresCluster, seed: int, protected: tuple[str, ...]) -> str:
    """How it went, "" for the whole way. @raise AssertionError, TimeoutError: an answer is another one, or got lost."""
    random = Random(seed)
    turns = script(random, protected)
    wanted, direct = b"", Backend(cluster)
    with direct.socket:
        direct.socket.sendall(straight(b"".join(turns)))
        while not is_over(wanted):
            wanted += direct.socket.recv(65536)
    backend = Backend(cluster)
    limits = Limits(pending_statements_max=random.choice((2, 100)))
    client = Client(backend, machine(protected=protected, catalog=CATALOG, limits=limits), random)
    with backend.socket:
        try:
            for turn in turns:
                size = random.choice((11, 100_000))
                for at in range(0, len(turn), size):
                    client.send(turn[at : at + size])
                while random.random() < 0.8 and backend.has_more():
                    client.hear()
            while not is_over(client.shown):
                client.hear()
        except ProtocolViolation as why:
            if "before the target had confirmed it" not in why.sentence:
                raise
            return "used a name too early"
    assert b"canary" not in client.shown
    assert compared(client.shown) == compared(wanted)
    return ""


@pytest.mark.parametrize("protected", [pytest.param((), id="columns"), pytest.param(("*",), id="columns and contents")])
def test_no_answer_gets_lost_and_none_comes_twice(cluster: PostgresCluster, protected: tuple[str, ...]) -> None:
    ends = Counter[str]()
    for seed in range(FIRST_SEED, FIRST_SEED + PIPELINES):
        try:
            ends[outcome(cluster, seed, protected)] += 1
        except Exception as why:
            why.add_note(f"PIPELINE_SEED={seed}: {script(Random(seed), protected)}")
            raise
    assert ends[""] > 0.6 * ends.total(), ends
