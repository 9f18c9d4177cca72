"""Messages that nobody can hold: rows and Binds go by in pieces, masked and judged as short ones are."""

import hashlib
import struct
from collections import deque
from dataclasses import replace
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.errors import LimitReached, ProtocolViolation
from hoopproxy.events import (
    Action,
    Asked,
    Constant,
    Format,
    Keep,
    KeepEnds,
    Null,
    Omitted,
    Operation,
    Parameter,
    Plan,
    Rejected,
    Rows,
    Shape,
)
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.kernel import Cutter
from hoopproxy.wire.postgres import pieces, requests
from hoopproxy.wire.postgres.framing import MESSAGE_BYTES_MAX, message, string
from hoopproxy.wire.postgres.messages import command_complete, data_row, ready_for_query, row_description
from hoopproxy.wire.postgres.pieces import LongRow
from hoopproxy.wire.postgres.requests import SYNC, query

from .fake_postgres import MASKED, TABLES, FakePostgres
from .rig import Rig, cuts, machine

CUSTOMERS = row_description(TABLES["customers"])
SELECTED, IDLE, FAILED = command_complete("SELECT 1"), ready_for_query(b"I"), ready_for_query(b"E")
TINY = Limits(row_bytes_max=200, statement_bytes_max=1024)
LONG = b"x" * 5000


def held_bytes(rig: Rig) -> int:
    """What lies in the machine's two inboxes."""
    return len(rig.wire._client._intake._splitter.buffer) + len(rig.wire._server._inbox.buffer)


def first_column(shape: Shape) -> Plan:
    return Plan(shape, (Constant(MASKED), Keep()))


def parse(name: str, text: str) -> bytes:
    return requests.Parse(name, text.encode()).encode()


# Rows ---------------------------------------------------------------------------------------------------------------

cells = st.lists(st.one_of(st.none(), st.binary(max_size=60), st.just(LONG)), min_size=1, max_size=6)
operations = st.sampled_from([Keep(), Keep(), Null(), Constant(b"****"), Constant(b""), KeepEnds(0, 4)])


@settings(deadline=None)
@given(cells, st.lists(operations, min_size=6, max_size=6), st.lists(st.integers(1, 900), min_size=1, max_size=5))
def test_a_row_in_pieces_is_the_row_that_the_kernel_cuts(
    row: list[bytes | None], each: list[Operation], sizes: list[int]
) -> None:
    plan, whole = each[: len(row)], data_row(row)
    expected = Cutter(plan, 1 << 20).cut(bytearray(whole), 0)
    long, buffer, shown = LongRow(len(whole), plan, 1 << 20), bytearray(), b""
    for piece in cuts(whole, cycle(sizes)):
        assert not long.is_over
        buffer += piece
        shown += long.feed(buffer)
    assert long.is_over and shown == expected.output and long.cells_masked == expected.cells_masked


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_a_long_row_is_masked_counted_and_not_held(size: int) -> None:
    rig = Rig(wire=machine(limits=TINY), plan=first_column)
    rig.client(query("select customers"))
    rig.from_server(CUSTOMERS)
    amid = set[bool]()
    for piece in cuts(data_row([b"canary", LONG]), cycle([size])):
        step = rig.wire.feed(Side.SERVER, piece)
        rig._perform(step)
        amid.add(step.is_amid)
        assert held_bytes(rig) <= 200 + size
    rig.from_server(data_row([b"canary", b"short"]) + SELECTED + IDLE)
    assert rig.shown == CUSTOMERS + data_row([MASKED, LONG]) + data_row([MASKED, b"short"]) + SELECTED + IDLE
    assert [record for record in rig.records if isinstance(record, Rows)] == [
        Rows(1, b"", 1, 1),
        Rows(1, data_row([MASKED, b"short"]), 1, 1),
    ]
    assert (True in amid) == (size < 5000)


@pytest.mark.parametrize("size", [1, 64, 1 << 20])
def test_a_masked_value_behind_a_long_one_ends_the_session_and_shows_nothing(size: int) -> None:
    rig = Rig(wire=machine(limits=TINY))
    rig.client(query("select customers"))
    sent = list(cuts(CUSTOMERS + data_row([LONG, b"canary"]), cycle([size])))
    with pytest.raises(LimitReached, match="masked value behind its long ones") as caught:
        deque(map(rig.from_server, sent), maxlen=0)
    assert caught.value.limit == "limits.row_bytes_max"
    assert rig.shown in (CUSTOMERS, b"") and held_bytes(rig) <= 200 + len(CUSTOMERS) + 6000


def test_where_nothing_is_protected_any_row_goes_by_in_pieces() -> None:
    rig = Rig(wire=machine(protected=(), limits=TINY))
    row = data_row([b"1", LONG])
    assert rig.talk(query("select customers"))[:20] == CUSTOMERS[:20]
    rig.client(query("select customers"))
    rig._waiting.clear()
    shown = len(rig.shown)
    for piece in cuts(CUSTOMERS + row + SELECTED + IDLE, cycle([97])):
        rig.from_server(piece)
        assert held_bytes(rig) < 300
    assert rig.shown[shown:] == CUSTOMERS + row + SELECTED + IDLE


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(message(b"D", b"\0\3" + data_row([b"1", LONG])[7:]), id="another count of columns"),
        pytest.param(message(b"D", b"\0\2\0\0\0\1a" + struct.pack("!i", 6000) + LONG), id="a cell beyond the row"),
        pytest.param(message(b"D", data_row([b"1", LONG])[5:] + b"more"), id="more than its cells"),
        pytest.param(message(b"D", b"\0\2" + struct.pack("!i", -2) + LONG), id="a length of minus two"),
        pytest.param(message(b"D", b"\0\2\0\0\0\1a" + struct.pack("!i", -2) + LONG), id="minus two behind"),
    ],
)
def test_a_long_row_that_is_not_what_it_says_ends_the_session(row: bytes) -> None:
    rig = Rig(wire=machine(limits=TINY), plan=first_column)
    rig.client(query("select customers"))
    with pytest.raises(ProtocolViolation):
        rig.from_server(CUSTOMERS + row)


def test_no_message_is_longer_than_postgresql_can_make_one() -> None:
    for kind in (b"Q", b"P", b"B", b"d", b"F", b"E"):
        for length in (MESSAGE_BYTES_MAX + 1, 2**31 - 1, 3, 0, -1, -(2**31)):
            with pytest.raises(ProtocolViolation, match="impossible length"):
                machine().feed(Side.CLIENT, kind + struct.pack("!i", length))
    rig = Rig()
    rig.client(query("select customers"))
    with pytest.raises(ProtocolViolation, match="impossible length"):
        rig.from_server(b"D" + struct.pack("!i", 2**31 - 1))


@pytest.mark.parametrize("kind", list(b"CDEHSXcf"))
def test_messages_without_data_are_short(kind: int) -> None:
    with pytest.raises(ProtocolViolation, match="impossible length"):
        machine().feed(Side.CLIENT, bytes([kind]) + struct.pack("!i", 10_001))


# Binds --------------------------------------------------------------------------------------------------------------


def bind(*values: bytes | None, portal: str = "", statement: str = "") -> bytes:
    parameters = tuple(Parameter(each, Format.TEXT) for each in values)
    return requests.Bind(portal, statement, parameters, (Format.BINARY,)).encode()


@pytest.mark.parametrize("size", [1, 13, 1000, 1 << 30])
def test_a_long_bind_goes_by_in_pieces_and_its_long_values_are_known_by_hash(size: int) -> None:
    rig = Rig(wire=machine(limits=TINY))
    huge = b"y" * (pieces.VALUE_KEPT_BYTES_MAX + 1)
    said = parse("", "insert") + bind(b"1", None, huge, b"", LONG) + requests.execute("") + SYNC
    for piece in cuts(said, cycle([size])):
        rig.client(piece)
        # What is looked through before it goes by: the head of a Bind.
        assert held_bytes(rig) <= pieces.BIND_HEAD_BYTES_MAX + 1
    rig.serve()
    assert said.startswith(parse("", "insert")) and rig.sent.count(bind(b"1", None, huge, b"", LONG)) == 1
    asked = [record.statement for record in rig.records if isinstance(record, Asked)]
    assert asked[-1].action is Action.EXECUTE
    omitted = Omitted(len(huge), hashlib.sha256(huge).hexdigest())
    assert [each.value for each in asked[-1].parameters] == [b"1", None, omitted, b"", LONG]
    assert rig.server.executed == ["insert"] and rig.shown.endswith(IDLE)


def test_what_is_kept_of_a_long_bind_is_bounded() -> None:
    rig = Rig(wire=machine(limits=TINY))
    value = b"z" * pieces.VALUE_KEPT_BYTES_MAX
    rig.talk(parse("", "insert") + bind(*[value] * 20) + requests.execute("") + SYNC)
    values = [each.value for each in rig.asks[-1].parameters]  # type: ignore[union-attr]
    assert values.count(value) == pieces.VALUES_KEPT_BYTES_MAX // len(value) == 16
    assert sum(isinstance(each, Omitted) for each in values) == 4


def test_a_long_bind_of_nothing_is_answered_as_a_short_one_and_dropped() -> None:
    rig = Rig(wire=machine(limits=TINY))
    assert b'"nowhere" does not exist' in rig.talk(bind(LONG, statement="nowhere") + requests.execute("") + SYNC)
    assert LONG not in rig.sent and rig.shown.endswith(IDLE)


def test_a_long_bind_that_would_be_skipped_is_dropped() -> None:
    rig = Rig(wire=machine(limits=TINY), refuse=lambda action, text: "No." if text == "insert" else "")
    rig.talk(parse("", "insert") + bind(LONG) + requests.execute("") + SYNC)
    assert LONG not in rig.sent and rig.shown.endswith(IDLE) and rig.shown.count(b"E") >= 1


def _bind(values: bytes, count: int, tail: bytes = b"\0\0") -> bytes:
    return message(b"B", string("") + string("") + b"\0\0" + struct.pack("!H", count) + values + tail)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(_bind(struct.pack("!i", 90_000) + LONG, 1), id="a value beyond the message"),
        pytest.param(_bind(struct.pack("!i", -2) + LONG, 1), id="a length of minus two"),
        pytest.param(_bind(struct.pack("!i", 5000) + LONG, 2), id="a value too few"),
        pytest.param(_bind(struct.pack("!i", 5000) + LONG, 1, b""), id="no count of formats"),
        pytest.param(_bind(struct.pack("!i", 5000) + LONG, 1, b"\0"), id="half a count of formats"),
        pytest.param(_bind(struct.pack("!i", 5000) + LONG, 1, b"\0\0more"), id="more than it announces"),
        pytest.param(_bind(struct.pack("!i", 0), 1, b"\0" * 200_000), id="a tail that no Bind has"),
        pytest.param(message(b"B", b"a" * 200_000), id="a name without end"),
    ],
)
@pytest.mark.parametrize("size", [997, 1 << 30])
def test_a_malformed_long_bind_ends_the_session(broken: bytes, size: int) -> None:
    rig = Rig(wire=machine(limits=TINY))
    rig.talk(parse("", "insert") + SYNC)
    with pytest.raises(ProtocolViolation):
        deque(map(rig.client, cuts(broken, cycle([size]))), maxlen=0)
    assert held_bytes(rig) <= pieces.BIND_HEAD_BYTES_MAX + max(1000, len(broken) if size > len(broken) else 0)


# Statements ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [11, 1 << 30])
def test_a_statement_too_long_to_be_judged_is_refused_and_the_session_goes_on(size: int) -> None:
    rig = Rig(wire=machine(limits=TINY))
    long = "select " + "1," * 5000 + "1"
    for piece in cuts(query(long), cycle([size])):
        rig.client(piece)
        assert held_bytes(rig) <= size + 1024
    rig.serve()
    assert b"53400" in rig.shown and b"limits.statement_bytes_max" in rig.shown and rig.shown.endswith(IDLE)
    assert b"1,1,1," not in rig.sent
    assert [type(record) for record in rig.records] == [Rejected]
    assert rig.talk(query("insert")).endswith(command_complete("INSERT 0 1") + IDLE)


def test_a_statement_too_long_to_be_prepared_is_refused_until_sync() -> None:
    rig = Rig(wire=machine(limits=TINY))
    said = rig.talk(parse("a", "select " + "1," * 5000 + "1") + bind(b"1", statement="a") + SYNC)
    assert said.count(b"53400") == 1 and said.endswith(IDLE)
    assert b"26000" in rig.talk(bind(b"1", statement="a") + SYNC)


def test_in_a_transaction_it_fails_as_any_error_does() -> None:
    rig = Rig(wire=machine(limits=TINY))
    rig.talk(query("begin"))
    assert rig.talk(query("select " + "1," * 5000)).endswith(FAILED)
    assert b"25P02" in rig.talk(query("insert"))


def test_a_long_function_call_is_refused_as_a_short_one() -> None:
    rig = Rig(wire=machine(limits=TINY))
    assert b"FunctionCall" in rig.talk(message(b"F", LONG))
    assert LONG not in rig.sent and rig.shown.endswith(IDLE)


# What a connection holds --------------------------------------------------------------------------------------------


def test_statements_and_portals_may_hold_so_much_and_no_more() -> None:
    rig = Rig(wire=machine(limits=Limits(prepared_bytes_max=20_000)))
    text = "select products" + " " * 9000
    assert b"53400" not in rig.talk(parse("a", text) + parse("b", text) + SYNC)
    assert b"limits.prepared_bytes_max" in rig.talk(parse("c", text) + SYNC)
    assert b"53400" not in rig.talk(parse("d", "insert") + SYNC), "short ones are bounded by their number"
    assert b"limits.prepared_bytes_max" in rig.talk(
        b"".join(bind(b"v" * 9000, portal=portal, statement="d") for portal in "pqr") + SYNC
    )


def test_a_client_that_sends_ahead_more_than_that_is_not_read_until_it_is_answered() -> None:
    rig = Rig(wire=machine(limits=Limits(prepared_bytes_max=20_000)))
    rig.talk(parse("", "insert") + SYNC)
    for _ in range(2):
        rig.client(bind(b"v" * 9000))
        assert rig.pause == frozenset()
    rig.client(bind(b"v" * 9000))
    assert rig.pause == frozenset((Side.CLIENT,))
    rig.serve()
    assert rig.pause == frozenset()


# Those who stop in the middle --------------------------------------------------------------------------------------


def test_a_client_that_stops_inside_a_message_that_goes_by_ends_at_once() -> None:
    """A goodbye would be read as a part of the message."""
    rig = Rig(wire=machine(limits=TINY))
    rig.client(parse("", "insert") + bind(LONG * 40)[:-10])
    step = rig.wire.feed(Side.CLIENT, b"")
    assert step.ended and step.to_server == b""


def test_a_client_that_stops_after_a_message_hears_its_answer() -> None:
    rig = Rig(wire=machine(limits=TINY))
    rig.client(parse("", "insert") + bind(LONG) + requests.execute("") + SYNC)
    step = rig.wire.feed(Side.CLIENT, b"")
    assert not step.ended and step.to_server == requests.TERMINATE
    rig.serve()
    assert rig.ended and rig.shown.endswith(IDLE)


def test_nothing_of_ours_gets_into_a_message_that_goes_by() -> None:
    """The server would take as many bytes of the client's for messages, and nobody has judged those."""
    rig = Rig(wire=machine(limits=replace(TINY, pending_statements_max=2)))
    rig.talk(parse("", "insert") + SYNC)
    long = bind(LONG * 40)
    rig.client(parse("b", "insert") + long[:-10])
    assert rig.pause == frozenset(), "or its end would never come"
    rig.client(long[-10:])
    assert rig.sent.endswith(parse("b", "insert") + long + requests.FLUSH) and rig.pause == frozenset((Side.CLIENT,))


def test_a_copy_that_is_refused_behind_a_message_that_goes_by_is_ended_after_it() -> None:
    rig = Rig(wire=machine(limits=TINY))
    rig.plan = lambda shape: Plan(shape, (Keep(), Keep()), refusal="No.")
    rig.server = FakePostgres(strict=False)
    rig.talk(parse("a", "insert") + SYNC)
    long = bind(LONG * 40, statement="a")
    rig.client(query("select customers;copy in") + long[:-10])
    sent = len(rig.sent)
    rig.serve()
    assert rig.sent[sent:] == b"", "inside the Bind"
    rig.client(long[-10:])
    assert rig.sent[sent:].startswith(long[-10:] + b"f")
