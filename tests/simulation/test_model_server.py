"""The model server against a real one: the same scripts, and message by message the same answers."""

import re
import socket
import struct
from collections.abc import Iterator
from random import Random

import psycopg
import pytest

from hoopproxy.model import Side
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.simulation import database, scripts
from hoopproxy.testing.simulation.client import startup
from hoopproxy.testing.simulation.scripts import SLEEP, CopyIn, Move, Send, script
from hoopproxy.testing.simulation.server import Server
from hoopproxy.wire.postgres.framing import Message, Reader, Splitter, message
from hoopproxy.wire.postgres.messages import read_fields, read_row_description


@pytest.fixture(scope="module", params=sorted(installed()), ids=lambda version: f"pg{version}")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    with PostgresCluster(tmp_path_factory.mktemp("model"), version=request.param) as running:
        running.execute(database.SCHEMA)
        yield running


class Real:
    """A connection to a real server, without a driver's ideas of what to say."""

    def __init__(self, cluster: PostgresCluster) -> None:
        found = psycopg.conninfo.conninfo_to_dict(cluster.admin_dsn)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(f"{found['host']}/.s.PGSQL.{found['port']}")
        self._splitter = Splitter(Side.SERVER)
        self._socket.sendall(startup("postgres", "postgres"))
        self.until(1)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def until(self, readies: int, *, or_copy: bool = False) -> list[Message]:
        """What comes up to so many ReadyForQuery; a CopyInResponse or an error may end it, too."""
        found: list[Message] = []
        while readies > 0:
            received = self._splitter.next(1 << 30, "")
            if received is None:
                data = self._socket.recv(65536)
                assert data, "the server has hung up"
                self._splitter.append(data)
                continue
            found.append(received)
            readies -= received.kind == b"Z"
            if or_copy and received.kind in (b"G", b"E"):
                break
        return found

    def close(self) -> None:
        self._socket.sendall(message(b"X"))
        self._socket.close()


def played(moves: list[Move], real: Real) -> tuple[bytes, list[Message]]:
    """All that was said, and all that was answered."""
    said, answered, owed = b"", list[Message](), 0
    for at, move in enumerate(moves):
        match move:
            case Send(data, readies):
                said += data
                real.send(data)
                owed += readies
                if at + 1 < len(moves) and isinstance(moves[at + 1], CopyIn):
                    answered += real.until(owed, or_copy=True)
                    owed -= sum(each.kind == b"Z" for each in answered[-1:])
            case CopyIn(data, otherwise):
                data = data if answered[-1].kind == b"G" else otherwise
                said += data
                real.send(data)
            case _:
                answered += real.until(owed)
                owed = 0
    return said, [*answered, *real.until(owed)]


def told(received: Message, relations: dict[int, str]) -> object:
    """What matters of a message: neither OIDs nor places in a source file."""
    match received.kind:
        case b"E":
            fields = read_fields(received.body)
            return "E", fields["S"], fields["C"], "canary" in fields.get("D", "")
        case b"N":
            fields = read_fields(received.body)
            return "N", fields["C"], fields["M"], fields.get("D")
        case b"A":
            reader = Reader(Side.SERVER, received.body)
            return "A", reader.take(4) and reader.rest()
        case b"T":
            return "T", [
                (each.name, relations.get(each.table_oid, ""), each.column_number, each.type_oid, each.format)
                for each in read_row_description(received.body, lambda *_: "")
            ]
        case b"H" | b"G":
            return received.kind, struct.unpack_from("!bH", received.body)
    return received.raw


def messages(data: bytes) -> list[Message]:
    splitter, found = Splitter(Side.SERVER), list[Message]()
    splitter.append(data)
    while (received := splitter.next(1 << 30, "")) is not None:
        found.append(received)
    return found


def test_the_model_answers_like_a_real_server(cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "OTHERS", tuple(text for text in scripts.OTHERS if not text.startswith("DROP ")))
    rows = cluster.execute("SELECT oid::int, relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    real_names = dict(rows or ())
    model_names = {table.oid: name for name, table in database.TABLES.items()}
    kinds: set[bytes] = set()
    for seed in range(150):
        moves = script(Random(seed))
        if any(isinstance(move, Send) and re.search(re.escape(SLEEP).encode(), move.data) for move in moves):
            continue
        real = Real(cluster)
        said, answered = played(moves, real)
        real.close()
        wanted = [told(each, real_names) for each in answered]
        assert [told(each, model_names) for each in messages(Server().feed(said))] == wanted, seed
        kinds |= {each.kind for each in answered}
    assert kinds >= {*map(bytes, zip(b"12CDEGHIANSTZcdnst3"))}
