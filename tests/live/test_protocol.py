"""Protocol 3 spoken by hand, and by psql and libpq 18: direct and through the gateway, message for message."""

import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hoopproxy.model import Side
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.wire.postgres.framing import Message, Splitter, message, string
from hoopproxy.wire.postgres.messages import read_data_row, read_fields
from hoopproxy.wire.postgres.requests import FLUSH, SYNC, TERMINATE, Bind, Named, Parse, describe, execute, query
from hoopproxy.wire.postgres.startup import PROTOCOL_3_0, PROTOCOL_3_2, cancel_request
from tests.wire.test_startup import NEGOTIATED

from .conftest import CUSTOMERS, Stand

GIVE_UP_S = 30.0
ACCOUNT = "reader"

SLEEP = "DO $$BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(600); END$$"
"""Says when it is too late to be cancelled before it began."""


# Two ways in ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Front:
    """A cluster, and a gateway with two listeners before it that speaks to this machine in the clear, too. Target
    `plain` has the databases `plain` and `other`; `hidden` is there, and no target's."""

    cluster: PostgresCluster
    stand: Stand

    def direct(self, version: int = PROTOCOL_3_0, *pairs: tuple[str, str], user: str = ACCOUNT) -> "Client":
        """Past the gateway, over the server's Unix socket, which trusts everybody."""
        words = conninfo_to_dict(self.cluster.admin_dsn)
        line = socket.socket(socket.AF_UNIX)
        line.connect(f"{words['host']}/.s.PGSQL.{words['port']}")
        return Client(line, startup(version, ("user", user), ("database", "plain"), *pairs))

    def through(self, version: int = PROTOCOL_3_0, *pairs: tuple[str, str], person: str = "ada") -> "Client":
        """Through the gateway."""
        line = socket.create_connection((self.stand.host, self.stand.port))
        first = startup(version, ("user", ACCOUNT), ("database", "plain"), *pairs)
        return Client(line, first, self.stand.tokens[person])

    def listener(self, name: str) -> tuple[str, int]:
        """Where it listens."""
        host, _, port = self.stand.gateway.endpoints[name][0].rpartition(":")
        return host, int(port)

    def psql(self, dsn: str, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["psql", "-X", "-At", dsn],
            input=script,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": os.environ["PATH"]},
        )

    def is_asleep(self) -> bool:
        """Whether SLEEP runs."""
        rows = self.cluster.execute(
            "SELECT state FROM pg_stat_activity WHERE query = %s AND state = 'active'", parameters=(SLEEP,)
        )
        return rows == [("active",)]


@pytest.fixture(scope="module", params=sorted(installed()), ids=lambda version: f"pg{version}")
def front(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    leaf = authority.issue(f"protocol-{request.param}", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with ExitStack() as stack:
        cluster = PostgresCluster(tmp_path_factory.mktemp("pg"), version=request.param, certificate=certificate)
        stack.enter_context(cluster)
        for name in ("other", "hidden"):
            cluster.create_database(name)
        stand = Stand(tmp_path_factory.mktemp("stand"), cluster, authority, {"plain": CUSTOMERS}, masks="")
        stack.enter_context(closing(stand))
        stand.gateway.stop()
        _open_wider(stand.config)
        stand.start()
        yield Front(cluster, stand)


def _open_wider(config: Path) -> None:
    """Plaintext on loopback, a second listener, a second database."""
    text = config.read_text()
    (table,) = re.findall(r"^\[\[listen\]\]\n.*?\n\n", text, re.S | re.M)
    wider = table.rstrip() + '\nplaintext = "loopback"\n\n'
    config.write_text(text.replace(table, wider + table.replace('"front"', '"side"')))
    targets = config.with_name("targets.toml")
    targets.write_text(targets.read_text().replace('["plain"]', '["plain", "other"]'))


def startup(version: int, *pairs: tuple[str, str]) -> bytes:
    body = b"".join(string(name) + string(value) for name, value in pairs) + b"\0"
    return struct.pack("!iI", len(body) + 8, version) + body


@dataclass
class Client:
    """A client that speaks by hand. What it heard is told by kind, and by what must be the same on both ways."""

    line: socket.socket
    first: bytes
    token: str = ""
    greeting: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._splitter = Splitter(Side.SERVER)
        self.line.settimeout(GIVE_UP_S)

    def __enter__(self) -> Self:
        """Logs in."""
        self.line.sendall(self.first)
        while True:
            heard = self._next()
            if heard == Message(b"R", struct.pack("!I", 3)):
                self.send(message(b"p", string(self.token)))
                continue
            if heard is None:
                break
            self.greeting.append(heard)
            if heard.kind in (b"Z", b"E"):
                break
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    @property
    def settings(self) -> dict[bytes, bytes]:
        """What the server reported."""
        pairs = (heard.body.split(b"\0") for heard in self.greeting if heard.kind == b"S")
        return {name: value for name, value, _ in pairs}

    @property
    def key(self) -> tuple[int, bytes]:
        (body,) = (heard.body for heard in self.greeting if heard.kind == b"K")
        return int.from_bytes(body[:4]), body[4:]

    def send(self, *messages: bytes) -> None:
        self.line.sendall(b"".join(messages))

    def hear(self, kind: bytes = b"Z", count: int = 1) -> list[tuple[str, ...]]:
        """All up to the `count`-th message of this kind."""
        told: list[tuple[str, ...]] = []
        while count:
            heard = self._next()
            assert heard is not None, f"the server closed the connection after {told}"
            told.append(_told(heard))
            count -= heard.kind == kind
        return told

    def rest(self) -> list[tuple[str, ...]]:
        """All up to the end of the stream."""
        return [_told(heard) for heard in iter(self._next, None)]

    def leaves(self) -> None:
        """Says no more, and still listens."""
        self.line.shutdown(socket.SHUT_WR)

    def _next(self) -> Message | None:
        while (heard := self._splitter.next(1 << 28, "test")) is None:
            if not (data := self.line.recv(65536)):
                return None
            self._splitter.append(data)
        return heard


def _told(heard: Message) -> tuple[str, ...]:
    match heard.kind:
        case b"E" | b"N":
            fields = read_fields(heard.body)
            return heard.kind.decode(), fields["V"], fields["C"], fields["M"]
        case b"D":
            return "D", *map(str, read_data_row(heard.body))
        case b"A":
            return "A", heard.body[4:].decode()
        case kind:
            return kind.decode(), heard.body.decode("latin-1")


def both(front: Front, speak: Callable[[Client], list[tuple[str, ...]]]) -> dict[str, list[tuple[str, ...]]]:
    """One way after the other, each connected when its turn comes: the gateway waits ten seconds for a login."""
    heard = {}
    for way, connect in (("direct", front.direct), ("through", front.through)):
        with connect() as client:
            heard[way] = speak(client)
    return heard


# Versions ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minor", "names", "newest"), NEGOTIATED)
def test_versions_and_options_are_negotiated_as_postgresql_18_does(
    front: Front, minor: int, names: tuple[str, ...], newest: int | None
) -> None:
    version, pairs = PROTOCOL_3_0 + minor, [(name, "1") for name in names]
    ways = [front.through(version, *pairs)]
    if front.cluster.version >= 18:
        ways.append(front.direct(version, *pairs))
    for way in ways:
        with way as client:
            negotiated = [heard.body for heard in client.greeting if heard.kind == b"v"]
            listed = b"".join(map(string, names))
            expected = [] if newest is None else [struct.pack("!HHI", 3, newest, len(names)) + listed]
            assert negotiated == expected
            assert len(client.key[1]) == (32 if minor >= 2 else 4)
            client.send(query("SELECT 1"))
            assert ("D", "b'1'") in client.hear()


@pytest.mark.parametrize(
    ("versions", "spoken"),
    [
        ({}, 30000),
        ({"max_protocol_version": "3.0"}, 30000),
        ({"min_protocol_version": "3.2", "max_protocol_version": "3.2"}, 30002),
        ({"max_protocol_version": "latest"}, 30002),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["in TLS", "in the clear"])
def test_a_statement_is_cancelled_in_every_version(
    front: Front, versions: dict[str, str], spoken: int, how: str
) -> None:
    """In the clear as libpq before 17 always does, on a listener that wants TLS for all else."""
    _, port = front.listener("side")
    dsn = make_conninfo(front.stand.dsn("ada", "plain"), port=port, **versions)
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.pgconn.full_protocol_version == spoken
        cancels = connection.cancel_safe if how == "in TLS" else connection.cancel
        running: list[threading.Thread] = []

        def asleep(_: object) -> None:
            running.append(threading.Thread(target=cancels))
            running[0].start()

        connection.add_notice_handler(asleep)
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(SLEEP)
        running[0].join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


# Cancelling ----------------------------------------------------------------------------------------------------------


def cancels(front: Front, process_id: int, key: bytes, listener: str = "front", *, in_tls: bool = False) -> bytes:
    """All that is said to somebody who shows this key."""
    with socket.create_connection(front.listener(listener), GIVE_UP_S) as line:
        if in_tls:
            line.sendall(struct.pack("!ii", 8, 80877103))
            assert line.recv(1) == b"S"
            context = ssl.create_default_context(cafile=front.stand.ca_file)
            line = context.wrap_socket(line.dup(), server_hostname="localhost")
        with line:
            line.sendall(cancel_request(process_id, key))
            return line.recv(1)


@pytest.mark.parametrize("in_tls", [False, True])
@pytest.mark.parametrize("version", [PROTOCOL_3_0, PROTOCOL_3_2])
def test_no_key_but_its_own_stops_a_statement(front: Front, version: int, in_tls: bool) -> None:
    with front.through(version) as ada, front.through(version, person="franz") as franz:
        with front.through(version) as over:
            gone = over.key
            over.send(TERMINATE)
            over.rest()
        process_id, key = ada.key
        ada.send(query(SLEEP))
        ada.hear(b"N")
        wrong = [
            (process_id, franz.key[1]),
            (franz.key[0], key),
            franz.key,
            gone,
            (process_id, gone[1]),
            (process_id, bytes(len(key))),
            (process_id, key[:-1] + bytes([key[-1] ^ 1])),
            (process_id, key + key),
            (process_id ^ 1, key),
            (0, key),
        ]
        assert {cancels(front, *shown, in_tls=in_tls) for shown in wrong} == {b""}
        assert cancels(front, process_id, key, "side", in_tls=in_tls) == b""
        assert front.is_asleep()
        assert cancels(front, process_id, key, in_tls=in_tls) == b""
        assert [told[:3] for told in ada.hear() if told[0] == "E"] == [("E", "ERROR", "57014")]
        franz.send(query("SELECT 1"))
        assert ("D", "b'1'") in franz.hear()


def test_a_hundred_cancels_stop_what_runs_and_leave_the_session_usable(front: Front) -> None:
    with front.through() as client:
        client.send(query(SLEEP))
        client.hear(b"N")
        many = [threading.Thread(target=cancels, args=(front, *client.key)) for _ in range(100)]
        for each in many:
            each.start()
        assert [told[:3] for told in client.hear() if told[0] == "E"] == [("E", "ERROR", "57014")]
        for each in many:
            each.join()
        client.send(query("SELECT 1"))
        assert ("D", "b'1'") in client.hear()


# The startup packet --------------------------------------------------------------------------------------------------

AS_SOMEBODY_ELSE: dict[str, tuple[tuple[str, str], ...]] = {
    "role": (("role", "pg_monitor"),),
    "Role": (("rOLE", "pg_monitor"),),
    "role twice": (("role", "none"), ("role", "pg_monitor")),
    "role by options": (("options", "-c role=pg_monitor"),),
    "glued": (("options", "-crole=pg_monitor"),),
    "long": (("options", "--role=pg_monitor"),),
    "Long": (("options", "--ROLE=pg_monitor"),),
    "escaped": (("options", r"-c r\ole=pg_monitor"),),
    "vertical tab": (("options", "-c\vrole=pg_monitor"),),
    "behind a setting": (("options", "-c search_path=x\v-crole=pg_monitor"),),
    "behind a flag": (("options", "-ec role=pg_monitor"),),
    "behind a wait": (("options", "-W 0 -c role=pg_monitor"),),
    "options twice": (("options", "-c jit=off"), ("options", "-c role=pg_monitor")),
}
"""Each makes a superuser's session another's, in PostgreSQL 15 to 18."""

REFUSED: dict[str, tuple[tuple[str, str], ...]] = {
    "replication": (("replication", "true"),),
    "replication by number": (("replication", "1"),),
    "replication by prefix": (("replication", "tr"),),
    "replication in a database": (("replication", "database"),),
    "replication, last": (("replication", "0"), ("replication", "database")),
    "Replication": (("Replication", "1"),),
    "replication by options": (("options", "-c replication=1"),),
    "replication by long option": (("options", "--replication=database"),),
    "session_authorization": (("session_authorization", "postgres"),),
    "session_authorization by options": (("options", "-c session-authorization=postgres"),),
    "a flag": (("options", "-s"),),
    "a word": (("options", "role=pg_monitor"),),
    "nothing but dashes": (("options", "-- role=pg_monitor"),),
    "no value": (("options", "-c jit"),),
    "User": (("User", "postgres"),),
    "an extension's": (("ledger.tenant", "1"),),
    "row_security": (("row_security", "off"),),
    "session_replication_role": (("session_replication_role", "replica"),),
    "local_preload_libraries": (("local_preload_libraries", "x"),),
    "encoding": (("client_encoding", "SJIS"),),
    "backslashes": (("standard_conforming_strings", "off"),),
}


@pytest.mark.parametrize("kind", AS_SOMEBODY_ELSE)
def test_what_would_make_a_session_another_ones_is_refused_with_a_sentence(front: Front, kind: str) -> None:
    with front.direct(PROTOCOL_3_0, *AS_SOMEBODY_ELSE[kind], user="postgres") as client:
        client.send(query("SHOW role"))
        assert ("D", "b'pg_monitor'") in client.hear()
    assert_refused(front, AS_SOMEBODY_ELSE[kind])


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_unsafe_at_a_start_is_refused_with_a_sentence(front: Front, kind: str) -> None:
    assert_refused(front, REFUSED[kind])


def assert_refused(front: Front, pairs: tuple[tuple[str, str], ...]) -> None:
    with front.through(PROTOCOL_3_0, *pairs) as client:
        (told,) = client.greeting  # before a password is asked for
        _, severity, code, sentence = _told(told)
        assert (severity, code) == ("FATAL", "28000") and sentence.endswith((".", "UTF8."))
        assert client.rest() == []


HARMLESS: dict[str, tuple[tuple[str, str], ...]] = {
    "as parameters": (("search_path", "a, b"), ("TimeZone", "Asia/Tokyo"), ("DateStyle", "German")),
    "as options": (
        ("options", r"-c search_path=a,\ b --timezone=Asia/Tokyo -cDateStyle=German --extra-float-digits=0"),
    ),
    "both": (("search_path", "parameter"), ("options", "-c search_path=options")),
    "twice": (("search_path", "one"), ("SEARCH_PATH", "two"), ("search_path", "three")),
    "twice by options": (("options", "-c search_path=one --Search-Path=two"),),
    "no replication": (("replication", "1"), ("replication", "of")),
    "names": (("application_name", "a 'b' \\c"),),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_a_session_may_choose_is_what_it_gets(front: Front, kind: str) -> None:
    seen = []
    for way in (front.direct(PROTOCOL_3_0, *HARMLESS[kind]), front.through(PROTOCOL_3_0, *HARMLESS[kind])):
        with way as client:
            settings = client.settings
            client.send(query("SHOW search_path"))
            seen.append((settings, client.hear()))
    assert seen[0] == seen[1]


# Names of targets and databases --------------------------------------------------------------------------------------


def refused(told: str, place: str) -> bool:
    return f"FATAL:  You have no access to target '{place}' as account 'reader', or there is no such target;" in told


WHERE = "SELECT current_database();\n"


def test_account_plus_target_leaves_databases_to_psql(front: Front) -> None:
    dsn = front.stand.dsn("ada", "plain", "reader+plain")
    ran = front.psql(dsn, WHERE + r"\c other" "\n" + WHERE + r"\c hidden" "\n" + WHERE)
    assert ran.stdout.splitlines() == [
        "plain",
        'You are now connected to database "other" as user "reader+plain".',
        "other",
    ]
    assert refused(ran.stderr, "plain/hidden")


def test_psql_lists_the_databases(front: Front) -> None:
    """Or tells, as psql 15 does of a later server, that a column is gone."""
    listed = front.psql(front.stand.dsn("ada", "plain", "reader+plain"), r"\l")
    direct = front.psql(front.stand.direct("plain").dsn, r"\l")
    assert (listed.stdout, listed.stderr) == (direct.stdout, direct.stderr)
    assert "hidden|" in listed.stdout or "does not exist" in listed.stderr


def test_without_a_database_it_is_the_targets_default(front: Front) -> None:
    """psql then asks for a database of the user's name."""
    assert front.psql(front.stand.dsn("ada", "", "reader+plain"), WHERE).stdout == "plain\n"


def test_target_and_database_go_together_in_the_other_form(front: Front) -> None:
    ran = front.psql(front.stand.dsn("ada", "plain"), r"\c plain/other" "\n" + WHERE + r"\c plain/hidden" "\n")
    assert ran.stdout.splitlines() == ['You are now connected to database "plain/other" as user "reader".', "other"]
    assert refused(ran.stderr, "plain/hidden")


@pytest.mark.parametrize(
    ("database", "account", "place"),
    [
        ("plain", "reader+elsewhere", "elsewhere/plain"),
        ("plain/other", "reader+plain", "plain/plain/other"),
        ("plain/hidden", "reader", "plain/hidden"),
        ("hidden", "reader+plain", "plain/hidden"),
        ("reader", "reader+plain", "plain/reader"),
        ("hidden", "reader", "hidden"),
    ],
)
def test_unknown_and_forbidden_ones_sound_alike(front: Front, database: str, account: str, place: str) -> None:
    assert refused(front.psql(front.stand.dsn("ada", database, account), "").stderr, place)


def test_tools_that_list_databases_and_go_to_each_of_them_find_those_that_are_open(front: Front) -> None:
    with psycopg.connect(front.stand.dsn("ada", "plain", "reader+plain")) as connection:
        names = [
            name for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1")
        ]
    open_to_it = [name for name in names if front.psql(front.stand.dsn("ada", name, "reader+plain"), WHERE).stdout]
    assert open_to_it == ["other", "plain"]


# Leaving -------------------------------------------------------------------------------------------------------------

MANY_ROWS = query("SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g")

FAREWELLS = {
    "nothing": (),
    "a query": (query("SELECT 1"),),
    "queries": (query("SELECT 1"), query("SELECT 1/0"), query("SELECT 2; SELECT 3")),
    "many rows": (MANY_ROWS, query("SELECT 'last'")),
    "a pipeline": (Parse("", b"SELECT 1").encode(), Bind("", "").encode(), execute(""), SYNC),
    "a pipeline without its end": (Parse("", b"SELECT 1").encode(), Bind("", "").encode(), execute("")),
    "a pipeline that was flushed": (Parse("", b"SELECT 1").encode(), Bind("", "").encode(), execute(""), FLUSH),
}
HALF = (query("SELECT 1"), query("SELECT 2")[:-3])


@pytest.mark.parametrize("requests", [*FAREWELLS.values(), HALF], ids=[*FAREWELLS, "half a message"])
def test_a_client_that_just_stops_sending_hears_all_answers(front: Front, requests: tuple[bytes, ...]) -> None:
    def speak(client: Client) -> list[tuple[str, ...]]:
        client.send(*requests)
        client.leaves()
        return client.rest()

    heard = both(front, speak)
    assert heard["through"] == heard["direct"]


@pytest.mark.parametrize("requests", FAREWELLS.values(), ids=FAREWELLS)
@pytest.mark.parametrize("leaves", [False, True])
def test_terminate_ends_the_connection_after_all_answers(
    front: Front, requests: tuple[bytes, ...], leaves: bool
) -> None:
    def speak(client: Client) -> list[tuple[str, ...]]:
        client.send(*requests, TERMINATE)
        if leaves:
            client.leaves()
        return client.rest()

    heard = both(front, speak)
    assert heard["through"] == heard["direct"]


# The server leaves ---------------------------------------------------------------------------------------------------

AMID = "SELECT g, repeat('x', 9000), CASE WHEN g > 100 THEN pg_sleep(600) END FROM generate_series(1, 1000) g"
"""Stops in the middle of a result, most of whose rows were sent by then."""


def is_asleep(front: Front, pid: int) -> None:
    """Wait until the server has sent what it can of `AMID`. One that is ended while it sends ends without a word
    (`ProcessClientWriteInterrupt`), so what a client hears would be a matter of moments, too."""
    asleep = f"SELECT count(*)::int FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'"
    give_up = time.monotonic() + GIVE_UP_S
    while front.cluster.execute(asleep) != [(1,)]:
        assert time.monotonic() < give_up


def without_rows(told: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """How many come before the end is a matter of moments."""
    return [each for each in told if each[0] != "D"]


def test_a_session_that_is_terminated_amid_a_result_reads_the_servers_own_word(front: Front) -> None:
    def speak(client: Client) -> list[tuple[str, ...]]:
        client.send(query("SELECT pg_backend_pid()"))
        ((_, pid),) = [told for told in client.hear() if told[0] == "D"]
        client.send(query(AMID))
        seen = client.hear(b"D", 90)
        is_asleep(front, int(pid[2:-1]))
        front.cluster.execute(f"SELECT pg_terminate_backend({int(pid[2:-1])})")
        return without_rows(seen + client.rest())

    heard = both(front, speak)
    assert heard["through"] == heard["direct"]
    assert heard["through"][-1][:3] == ("E", "FATAL", "57P01")


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
@pytest.mark.parametrize("state", ["idle", "amid"])
def test_a_restart_of_the_server_is_told_in_its_own_words_and_the_next_connection_works(
    front: Front, way: signal.Signals, state: str
) -> None:
    with front.direct() as direct, front.through() as through:
        if state == "amid":
            for client in (direct, through):
                client.send(query("SELECT pg_backend_pid()"))
                ((_, pid),) = [told for told in client.hear() if told[0] == "D"]
                client.send(query(AMID))
                client.hear(b"D", 90)
                is_asleep(front, int(pid[2:-1]))
        rows = front.cluster.execute("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int")
        assert rows is not None
        os.kill(rows[0][0], way)
        heard = [without_rows(client.rest()) for client in (direct, through)]
        front.cluster.stop()
        front.cluster.start()
    assert heard[1] == heard[0]
    assert heard[1][-1][1] in ("FATAL", "WARNING")
    with front.through() as client:
        client.send(query("SELECT 'on again'"))
        assert ("D", "b'on again'") in client.hear()


# While nothing is asked ----------------------------------------------------------------------------------------------


def test_notifications_reach_an_idle_session(front: Front) -> None:
    def speak(client: Client) -> list[tuple[str, ...]]:
        client.send(query("LISTEN news"))
        client.hear()
        front.cluster.execute("NOTIFY news, 'first'", database="plain")
        heard = client.hear(b"A")
        front.cluster.execute("NOTIFY news, 'second'", database="plain")
        heard += client.hear(b"A")
        client.send(query("UNLISTEN news"))
        return heard + client.hear()

    heard = both(front, speak)
    assert heard["through"] == heard["direct"]
    assert heard["through"][:2] == [("A", "news\0first\0"), ("A", "news\0second\0")]


def test_changed_settings_are_reported(front: Front) -> None:
    def speak(client: Client) -> list[tuple[str, ...]]:
        client.send(query("SET TimeZone = 'Asia/Tokyo'; SET client_encoding = 'LATIN1'; SET application_name = 'a'"))
        heard = client.hear()
        client.send(query("BEGIN; SET LOCAL DateStyle = 'German'; COMMIT"))
        heard += client.hear()
        client.send(query("SELECT E'\\u00e4'; RESET ALL"))
        return heard + client.hear()

    heard = both(front, speak)
    assert heard["through"] == heard["direct"]
    assert ("S", "TimeZone\0Asia/Tokyo\0") in heard["through"]


# Messages ------------------------------------------------------------------------------------------------------------


def extended(text: str, rows_max: int = 0, name: str = "") -> bytes:
    prepared = Parse(name, text.encode()).encode() + Bind(name, name).encode()
    return prepared + describe(Named.PORTAL, name) + execute(name, rows_max)


SCRIPTS: dict[str, tuple[bytes, int]] = {
    "nothing": (query(""), 1),
    "an error in the middle": (query("SELECT 1; SELECT 1/0; SELECT 2") + query("SELECT 3"), 2),
    "an error in a transaction": (
        b"".join(map(query, ("BEGIN; SELECT 1", "SELEC", "SELECT 2", "ROLLBACK", "SELECT 3"))),
        5,
    ),
    "an implicit transaction": (
        query("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); SELECT 1/0") + query("SELECT count(*) FROM t"),
        2,
    ),
    "a portal in parts": (
        extended("SELECT * FROM generate_series(1, 5)", 2) + execute("", 2) + execute("", 0) + execute("", 1) + SYNC,
        1,
    ),
    "a portal as long as its limit": (extended("SELECT * FROM generate_series(1, 2)", 2) + execute("", 2) + SYNC, 1),
    "portals side by side": (
        query("BEGIN")
        + extended("SELECT 'a' || g FROM generate_series(1, 3) g", 1, "a")
        + extended("SELECT 'b' || g FROM generate_series(1, 3) g", 1, "b")
        + execute("a", 1)
        + execute("b", 5)
        + SYNC
        + execute("a", 1)
        + SYNC
        + query("COMMIT")
        + execute("a", 1)
        + SYNC,
        5,
    ),
    "an error until Sync": (
        extended("SELECT 1") + extended("SELECT 1/0") + extended("SELECT 2") + SYNC + extended("SELECT 3") + SYNC,
        2,
    ),
    "an error in Parse until Sync": (
        Parse("p", b"SELEC").encode() + query("SELECT 'skipped'") + extended("SELECT 2") + SYNC + query("SELECT 3"),
        2,
    ),
    "unknown names": (
        Bind("", "gone").encode() + SYNC + execute("gone") + SYNC + describe(Named.STATEMENT, "gone") + SYNC,
        3,
    ),
    "a transaction in a pipeline": (
        extended("BEGIN") + extended("SELECT 1/0") + SYNC + extended("SELECT 2") + SYNC + extended("ROLLBACK") + SYNC,
        3,
    ),
    "Syncs": (SYNC * 5, 5),
    "large objects": (
        b"".join(
            map(
                query,
                (
                    "BEGIN; SELECT lo_from_bytea(424242, '\\x00ff0a')",
                    "SELECT lo_put(424242, 3, '\\x0102')",
                    "SELECT lo_get(424242), lo_get(424242, 1, 2)",
                    "SELECT lo_open(424242, x'60000'::int)",
                    "SELECT loread(0, 3), lo_tell(0), lo_lseek(0, 1, 0), lowrite(0, '\\xaaaa'), lo_truncate(0, 4)",
                    "SELECT lo_close(0); SELECT lo_get(424242); SELECT lo_unlink(424242); SELECT lo_get(424242)",
                    "ROLLBACK",
                ),
            )
        ),
        7,
    ),
    "COPY out": (query("COPY (SELECT g FROM generate_series(1, 5) g) TO STDOUT"), 1),
    "COPY in": (
        query("CREATE TEMP TABLE c (a int); COPY c FROM STDIN")
        + message(b"d", b"1\n2\n")
        + message(b"c")
        + query("SELECT count(*), sum(a) FROM c"),
        2,
    ),
    "COPY that fails": (
        query("CREATE TEMP TABLE c (a int); COPY c FROM STDIN") + message(b"f", b"enough\0") + query("SELECT 1"),
        2,
    ),
    "notices": (query("DO $$BEGIN RAISE NOTICE 'a'; RAISE WARNING 'b'; END$$"), 1),
}
"""Requests, and the number of ReadyForQuery messages that answer them."""


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "byte by byte"])
def test_the_answers_are_the_same_message_for_message(front: Front, name: str, at_once: bool) -> None:
    requests, count = SCRIPTS[name]

    def speak(client: Client) -> list[tuple[str, ...]]:
        if at_once:
            client.send(requests)
        else:
            client.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) if client.token else None
            for byte in requests:
                client.send(bytes([byte]))
        return client.hear(count=count)

    heard = both(front, speak)
    assert heard["through"] == heard["direct"]


FUNCTION_CALL = message(b"F", struct.pack("!IHHiH", 1598, 0, 0, 0, 0)[:10] + struct.pack("!H", 0))
"""random()"""


@pytest.mark.parametrize("begin", [(), (query("BEGIN"),)], ids=["alone", "in a transaction"])
def test_function_calls_are_refused_and_the_session_goes_on(front: Front, begin: tuple[bytes, ...]) -> None:
    with front.through() as client:
        for each in begin:
            client.send(each)
            client.hear()
        client.send(FUNCTION_CALL)
        error, ready = client.hear()
        assert error[:3] == ("E", "ERROR", "42501") and "SELECT" in error[3]
        assert ready == ("Z", "E" if begin else "I")
        client.send(query("ROLLBACK"), query("SELECT 1"))
        assert ("D", "b'1'") in client.hear(count=2)


def test_psql_tells_why_it_cannot_import_a_large_object(front: Front, tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"\0\xff")
    ran = front.psql(front.stand.dsn("ada", "plain"), rf"\lo_import {tmp_path}/object" "\n" + WHERE)
    assert "FunctionCall" in ran.stderr and "SELECT" in ran.stderr
    assert ran.stdout == "plain\n"
