"""A result that shows no more than it may: what the client, the server and the recording get of its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.events import Copied, Faulted, Forward, Rows, Statement
from hoopproxy.model import Side
from hoopproxy.relay.quota import Quota
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres import requests
from hoopproxy.wire.postgres.framing import message
from hoopproxy.wire.postgres.messages import command_complete, data_row, error, ready_for_query, row_description
from hoopproxy.wire.postgres.requests import FLUSH, SYNC, query

from .fake_postgres import TABLES, TOO_MANY
from .rig import Rig, machine, merged

PRODUCTS = row_description(TABLES["products"])
ROWS = [data_row([b"open-1-%d" % row, b"open-2-%d" % row]) for row in range(3)]
PARSED, BOUND, COPIED_OUT = message(b"1"), message(b"2"), message(b"c")
IDLE, IN_BLOCK, FAILED = (ready_for_query(status) for status in (b"I", b"T", b"E"))


def cut_off(rows_max: int) -> bytes:
    return error(TOO_MANY.format(rows_max), "54000")


def bounded(rows_max: int, protected: tuple[str, ...] = ()) -> Rig:
    def forward(statement: Statement) -> Forward:
        return Forward(statement.text, (), rows_max if "insert" not in statement.text else 0)

    return Rig(wire=machine(protected=protected), forward=forward)


def parse(text: str) -> bytes:
    return requests.Parse("", text.encode()).encode()


def prepared(text: str, rows_max: int = 0) -> bytes:
    return parse(text) + requests.Bind("", "").encode() + requests.execute("", rows_max)


def test_the_rest_of_a_result_is_an_error_and_the_session_goes_on() -> None:
    rig = bounded(2)
    shown = rig.talk(query("select products"))
    assert shown == PRODUCTS + ROWS[0] + ROWS[1] + cut_off(2) + IDLE
    rows, fault = merged(rig.records)[-2:]
    assert isinstance(rows, Rows) and (rows.row_count, rows.raw) == (2, ROWS[0] + ROWS[1])
    assert fault == Faulted(1, "54000", TOO_MANY.format(2))
    assert rig.talk(query("insert")) == command_complete("INSERT 0 1") + IDLE


@pytest.mark.parametrize("rows_max", [3, 4])
def test_a_result_that_is_short_enough_passes_whole(rows_max: int) -> None:
    rig = bounded(rows_max)
    assert rig.talk(query("select products")) == PRODUCTS + b"".join(ROWS) + command_complete("SELECT 3") + IDLE
    assert rig.interrupts == 0


def test_each_result_of_a_text_is_bounded_for_itself() -> None:
    whole = PRODUCTS + b"".join(ROWS) + command_complete("SELECT 3")
    assert bounded(3).talk(query("select products;select products")) == whole + whole + IDLE


def test_a_transaction_has_failed_though_the_server_was_done_before_anybody_could_stop_it() -> None:
    rig = bounded(1)
    rig.talk(query("begin"))
    assert rig.talk(query("select products")).endswith(cut_off(1) + FAILED)
    assert b"25P02" in rig.talk(query("insert"))
    assert rig.talk(query("rollback")).endswith(IDLE)


@pytest.mark.parametrize("behind", [b"", prepared("insert")])
def test_nothing_runs_behind_a_cut_off_result_until_sync(behind: bytes) -> None:
    rig = bounded(1)
    batch = prepared("insert") + prepared("select products") + behind + SYNC
    assert rig.talk(batch) == joined(
        PARSED, BOUND, command_complete("INSERT 0 1"), PARSED, BOUND, ROWS[0], cut_off(1), IDLE
    )
    assert rig.server.executed == ["insert", "select products"]
    kinds = [seen.kind for seen in rig.server.seen]
    # The server failed before the Sync, so that the first insert, too, is undone.
    assert kinds == [b"P", b"B", b"E", b"P", b"B", b"E", b"H", b"P", b"S"]


def test_a_batch_of_one_statement_waits_for_nothing() -> None:
    rig = bounded(1)
    rig.client(prepared("select products") + SYNC + prepared("insert") + SYNC)
    assert [seen.kind for seen in rig.server.seen] == [b"P", b"B", b"E", b"S", b"H"]
    rig.serve()
    assert rig.server.executed == ["select products", "insert"]
    assert bytes(rig.shown) == joined(
        PARSED, BOUND, ROWS[0], cut_off(1), IDLE, PARSED, BOUND, command_complete("INSERT 0 1"), IDLE
    )


def test_what_a_portal_shows_in_portions_counts_together() -> None:
    rig = bounded(2)
    rig.talk(query("begin"), parse("select products") + requests.Bind("p", "").encode() + SYNC)
    for row in ROWS[:2]:
        assert rig.talk(requests.execute("p", 1) + SYNC) == row + message(b"s") + IN_BLOCK
    assert rig.talk(requests.execute("p", 1) + SYNC) == cut_off(2) + FAILED


def test_masked_rows_are_bounded_too() -> None:
    rig = bounded(2, protected=("public.customers.card",))
    shown = rig.talk(query("select customers"))
    assert shown.endswith(cut_off(2) + IDLE) and shown.count(b"****") == 2 and b"canary" not in shown


def test_rows_of_copy_are_counted() -> None:
    rig = bounded(1)
    copied = message(b"d", b"copied-1\n")
    assert rig.talk(query("copy out")) == message(b"H", b"\0\0\0") + copied + cut_off(1) + IDLE
    assert Copied(1, Side.SERVER, len(b"copied-1\n")) in rig.records
    assert bounded(2).talk(query("copy out")).endswith(COPIED_OUT + command_complete("COPY 2") + IDLE)


def test_binary_copy_has_a_trailer_that_is_no_row() -> None:
    rig = bounded(1)
    rig.client(query("insert").replace(b"insert", b"select"))
    rows = [message(b"d", b"PGCOPY-row"), message(b"d", b"\xff\xff")]
    rig.from_server(message(b"H", b"\1\0\1\0\1") + b"".join(rows) + COPIED_OUT + command_complete("COPY 1") + IDLE)
    assert b"54000" not in rig.shown and rig.shown.endswith(IDLE)


@pytest.mark.parametrize("text", ["select products", "copy out"])
@given(size=st.integers(1, 60), rows_max=st.integers(1, 4))
def test_cuts_of_the_stream_change_nothing(text: str, size: int, rows_max: int) -> None:
    rig, whole = bounded(rows_max), bounded(rows_max)
    rig.client(query(text))
    while not rig.shown.endswith(IDLE):
        rig.serve(size)
    assert bytes(rig.shown) == whole.talk(query(text))
    assert merged(rig.records)[-1] == merged(whole.records)[-1]


def running(rig: Rig) -> None:
    """A result that the server goes on with."""
    rig.client(query("select"))
    rig.from_server(PRODUCTS + ROWS[0] + ROWS[1])


def test_a_server_that_goes_on_is_interrupted_once_and_not_while_it_may_be_done() -> None:
    rig = bounded(1)
    running(rig)
    assert rig.interrupts == 1 and rig.pause == {Side.CLIENT}
    rig.from_server(ROWS[2] * 50)
    assert rig.interrupts == 1
    rig.from_server(error("canceling statement due to user request", "57014") + FAILED)
    assert bytes(rig.shown) == PRODUCTS + ROWS[0] + cut_off(1) + FAILED
    assert rig.pause == frozenset() and rig.sent == query("select") + FLUSH


def test_a_row_that_goes_by_in_pieces_counts() -> None:
    rig = Rig(wire=machine(protected=(), limits=Limits(row_bytes_max=64)), forward=lambda ask: Forward(ask.text, (), 1))
    rig.client(query("select"))
    long = data_row([b"x" * 100, b"y"])
    rig.from_server(PRODUCTS + long)
    assert bytes(rig.shown) == PRODUCTS + long
    rig.from_server(long[:20])
    rig.from_server(long[20:] + command_complete("SELECT 2") + IDLE)
    assert bytes(rig.shown) == PRODUCTS + long + cut_off(1) + IDLE


def test_a_copy_from_the_client_is_not_held_up() -> None:
    rig = bounded(1)
    rig.talk(query("copy in"))
    assert rig.pause == frozenset()
    assert rig.talk(message(b"d", b"1\n") + message(b"c")) == command_complete("COPY 1") + IDLE


def test_an_error_of_the_server_lets_the_client_go_on() -> None:
    rig = bounded(1)
    rig.talk(prepared("insert") + prepared("fail"))
    assert rig.talk(SYNC) == IDLE
    assert rig.talk(prepared("fail") + SYNC).endswith(IDLE)
    assert rig.talk(query("insert")) == command_complete("INSERT 0 1") + IDLE


def joined(*parts: bytes) -> bytes:
    return b"".join(parts)


# A ration, which several connections share ----------------------------------------------------------------------------


def rationed(quota: Quota) -> Rig:
    def forward(statement: Statement) -> Forward:
        return Forward(statement.text, ration=quota.ration)

    return Rig(wire=machine(), forward=forward)


def test_connections_share_a_ration_and_its_sentence_ends_the_result_that_finds_it_used_up() -> None:
    quota = Quota(rows_max=4, bytes_max=None)
    one, other = rationed(quota), rationed(quota)
    assert one.talk(query("select products")).endswith(ROWS[2] + command_complete("SELECT 3") + IDLE)
    shown = other.talk(query("select products"))
    assert shown == PRODUCTS + ROWS[0] + error(quota.sentence, "54000") + IDLE
    assert (quota.rows, quota.rows_left) == (4, 0)


def test_a_ration_ends_portions_and_copies() -> None:
    quota = Quota(rows_max=2, bytes_max=None)
    rig = rationed(quota)
    rig.talk(query("begin"), parse("select products") + requests.Bind("p", "").encode() + SYNC)
    for row in ROWS[:2]:
        assert rig.talk(requests.execute("p", 1) + SYNC) == row + message(b"s") + IN_BLOCK
    assert rig.talk(requests.execute("p", 1) + SYNC) == error(quota.sentence, "54000") + FAILED
    assert rig.talk(query("rollback")).endswith(IDLE)
    assert rationed(Quota(rows_max=0, bytes_max=None)).talk(query("copy out")).count(b"54000") == 1


def test_what_follows_a_rationed_result_waits_for_its_end() -> None:
    rig = rationed(Quota(rows_max=1, bytes_max=None))
    rig.talk(prepared("insert") + prepared("select products") + prepared("insert") + SYNC)
    assert rig.server.executed == ["insert", "select products"]
