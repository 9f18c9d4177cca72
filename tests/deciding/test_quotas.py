"""Access for so many rows or bytes: psycopg, psql and ssh at a real gateway are shown those, and not one more."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import psycopg
import pytest

from hoopproxy.control.client import ControlClient

from .conftest import Town

SPENT = "The rows that your access was for have all been shown; ask for it again."
SERIES = "SELECT g FROM generate_series(1, 1000) g"


class Access:
    """Of ivo, for so much."""

    def __init__(self, town: Town, target: str = "plain", **most: int) -> None:
        self._town = town
        self.request_id = town.access(target, **most)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self._town.way_in("ivo"), autocommit=True)

    def shown(self) -> tuple[int, int]:
        """The rows and bytes that the journal knows of, when nobody is in any more."""
        self._town.wait_until_alone("Ivo")
        return self.known()

    def known(self) -> tuple[int, int]:
        """Those of now."""
        request = self._town.said("lena", "show", id=self.request_id)["request"]
        return request["rows"], request["bytes"]

    def close(self) -> None:
        self._town.said("lena", "revoke", id=self.request_id, reason="The test is over.")


@pytest.fixture
def for_ten_rows(town: Town) -> Iterator[Access]:
    with closing(Access(town, rows_max=10)) as access:
        yield access


def rows(connection: psycopg.Connection, text: str, **how: bool) -> int:
    """How many there are."""
    return len(connection.execute(text.encode(), **how).fetchall())


def read_until_the_end(connection: psycopg.Connection, read: Callable[[psycopg.Connection], Iterator[object]]) -> int:
    """How much is shown until the quota ends it."""
    shown: list[object] = []
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match=SPENT):
        shown.extend(counted(shown, read(connection)))
    return len(shown)


def counted(shown: list[object], items: Iterator[object]) -> Iterator[object]:
    """Puts each into `shown` as it comes, and gives none."""
    for each in items:
        shown.append(each)
    yield from ()


def streamed(connection: psycopg.Connection) -> Iterator[object]:
    with connection.cursor() as cursor:
        yield from cursor.stream(SERIES)


def in_binary(connection: psycopg.Connection) -> Iterator[object]:
    with connection.cursor(binary=True) as cursor:
        yield from cursor.stream(SERIES)


def copied(connection: psycopg.Connection) -> Iterator[object]:
    with connection.cursor().copy(f"COPY ({SERIES}) TO STDOUT".encode()) as copy:
        yield from copy


def copied_in_binary(connection: psycopg.Connection) -> Iterator[object]:
    with connection.cursor().copy(f"COPY ({SERIES}) TO STDOUT (FORMAT binary)".encode()) as copy:
        yield from copy.rows()


def fetched(connection: psycopg.Connection) -> Iterator[object]:
    """By a cursor of the server's, four at a time."""
    with connection.transaction(), connection.cursor("c") as cursor:
        cursor.execute(SERIES)
        cursor.itersize = 4
        yield from cursor


@pytest.mark.parametrize("read", [streamed, in_binary, copied, copied_in_binary])
def test_a_result_ends_with_an_error_when_the_rows_run_out_and_the_session_stays(
    for_ten_rows: Access, read: Callable[[psycopg.Connection], Iterator[object]]
) -> None:
    with for_ten_rows.connect() as connection:
        assert read_until_the_end(connection, read) == 10
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=SPENT):
            connection.execute("SELECT 1")
        connection.execute("BEGIN")
        connection.execute("ROLLBACK")
    assert for_ten_rows.shown()[0] == 10
    with pytest.raises(
        psycopg.OperationalError, match="The rows or bytes that your access was for have all been shown"
    ):
        for_ten_rows.connect()


def test_a_cursor_of_the_servers_shows_no_more_and_its_transaction_fails(for_ten_rows: Access) -> None:
    with for_ten_rows.connect() as connection:
        assert read_until_the_end(connection, fetched) == 8  # two more came, with the error: psycopg keeps back both
        connection.execute("ROLLBACK")
    assert for_ten_rows.shown()[0] == 10


def test_many_small_results_add_up(for_ten_rows: Access) -> None:
    with for_ten_rows.connect() as connection:
        assert [connection.execute("SELECT 1").fetchone() for _ in range(10)] == [(1,)] * 10
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=SPENT):
            connection.execute("SELECT 1")


def sent_ahead(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        for _ in range(4):
            connection.execute("SELECT generate_series(1, 4)")


def test_what_is_sent_ahead_is_not_shown_either(for_ten_rows: Access) -> None:
    with for_ten_rows.connect() as connection:
        with pytest.raises(psycopg.Error, match=SPENT):
            sent_ahead(connection)
    assert for_ten_rows.shown()[0] <= 10


def test_psql_is_told_and_goes_on(for_ten_rows: Access, town: Town) -> None:
    script = f"{SERIES};\n\\echo alive\nSELECT 1;\n"
    ran = subprocess.run(
        ["psql", "-XAtq", town.way_in("ivo")], input=script, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.split() == ["alive"]  # psql shows a result when it is whole
    assert ran.stderr.splitlines() == [f"ERROR:  {SPENT}", f"ERROR:  {SPENT}"]


def test_connections_at_once_share_the_rows(town: Town) -> None:
    with closing(Access(town, rows_max=5000)) as access:
        connections = [access.connect() for _ in range(4)]
        shown = [0] * 4
        ready = threading.Barrier(4)

        def read(index: int) -> None:
            ready.wait(30)
            with suppress(psycopg.errors.ProgramLimitExceeded):
                for _ in connections[index].cursor().stream("SELECT g FROM generate_series(1, 4000) g"):
                    shown[index] += 1

        threads = [threading.Thread(target=read, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for connection in connections:
            connection.close()
        assert sum(shown) == 5000
        assert access.shown()[0] == 5000


def test_when_the_bytes_run_out_the_session_ends_in_words(town: Town) -> None:
    with closing(Access(town, bytes_max=100000)) as access:
        with access.connect() as connection:
            for _ in range(9):
                assert rows(connection, "SELECT repeat('x', 10000)") == 1
            with pytest.raises(
                psycopg.OperationalError, match="the bytes that your access was for have all been shown"
            ):
                connection.execute("SELECT repeat('x', 10000)")
            assert connection.closed
        assert 80000 < access.shown()[1] <= 100000


def test_a_gateway_that_was_killed_knows_what_it_had_shown(town: Town) -> None:
    with closing(Access(town, rows_max=10)) as access:
        with access.connect() as connection:
            assert rows(connection, "SELECT generate_series(1, 4)") == 4
        assert access.shown()[0] == 4
        told = ControlClient(town.control_socket).follow("follow")
        with access.connect() as connection:
            assert rows(connection, "SELECT generate_series(1, 3)") == 3
            assert any(each.get("step") == "spent" for each in told)  # while the session goes on
            assert access.known()[0] == 7
            town.gateway.kill()
        town.start()
        with access.connect() as connection:
            assert read_until_the_end(connection, streamed) == 3


def test_what_was_shown_stands_in_the_history(for_ten_rows: Access, town: Town) -> None:
    with for_ten_rows.connect() as connection:
        connection.execute("SELECT 1")
    assert for_ten_rows.shown()[0] == 1
    history = town.said("lena", "show", id=for_ten_rows.request_id)["history"]
    assert [each["step"] for each in history] == ["requested", "voted", "approved", "used", "spent"]
    assert json.dumps(history).count("gw-fra-1") >= 1


def test_ssh_shows_so_many_bytes_and_ends(town: Town) -> None:
    with closing(Access(town, "shell", bytes_max=200000)) as access:
        way = town.ssh_way("ivo")
        assert way.ssh("printf hello").out == b"hello"
        ran = way.ssh("yes | head -c 5000000")
        assert ran.code == 255 and len(ran.out) < 200000
        assert b"the bytes that your access was for have all been shown" in ran.err
        assert access.shown()[1] <= 200000
        assert way.ssh("printf hello").code == 255 or access.shown()[1] < 200000


def test_http_shows_so_many_bytes_and_ends(town: Town) -> None:
    with closing(Access(town, "shop", bytes_max=3000)) as access:
        way = town.http_way("ivo")
        answers = [way.curl("/customers")]
        while answers[-1].out.startswith(b'{"customers"'):
            answers.append(way.curl("/customers"))
        assert 1 < len(answers) < 20
        # In words where nothing of an answer had gone out; else it is cut.
        assert answers[-1].code != 0 or b"have all been shown; ask for it again." in answers[-1].out
        assert access.shown()[1] <= 3000
