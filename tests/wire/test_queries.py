"""Scripts of a session, written as what each end says: what is asked about, what is shown, what is recorded."""

from dataclasses import replace

import pytest

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import (
    Action,
    Asked,
    Columns,
    Completed,
    Copied,
    Faulted,
    Format,
    Forward,
    Keep,
    Parameter,
    Plan,
    Rejected,
    Rows,
    Shape,
    Statement,
)
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres import messages, requests
from hoopproxy.wire.postgres.framing import message
from hoopproxy.wire.postgres.messages import command_complete, data_row, error, ready_for_query, row_description
from hoopproxy.wire.postgres.requests import FLUSH, SYNC, TERMINATE, Named, query

from .fake_postgres import CARD, MASKED, TABLES
from .rig import Rig, machine, masks, merged

CUSTOMERS = row_description(TABLES["customers"])
MASKED_ROWS = [data_row([b"open-1-%d" % row, MASKED]) for row in range(3)]
PRODUCTS = row_description(TABLES["products"])
OPEN_ROWS = [data_row([b"open-1-%d" % row, b"open-2-%d" % row]) for row in range(3)]
SELECTED = command_complete("SELECT 3")
IDLE, IN_BLOCK, FAILED = (ready_for_query(status) for status in (b"I", b"T", b"E"))
PARSED, BOUND, CLOSED = message(b"1"), message(b"2"), message(b"3")
NO = "The security team refuses this statement; ask them."


def parse(name: str, text: str) -> bytes:
    return requests.Parse(name, text.encode()).encode()


def bind(portal: str = "", statement: str = "", *parameters: Parameter) -> bytes:
    return requests.Bind(portal, statement, parameters).encode()


def run(statement: str, text: str = "") -> bytes:
    """What asyncpg and pgjdbc send: no Describe."""
    return (parse(statement, text) if text else b"") + bind("", statement) + requests.execute("") + SYNC


def refuses(*texts: str, on: str = "") -> Rig:
    return Rig(refuse=lambda action, text: NO if text in texts and action in (on or action) else "")


def joined(*parts: bytes | list[bytes]) -> bytes:
    return b"".join(b"".join(part) if isinstance(part, list) else part for part in parts)


# Simple queries -----------------------------------------------------------------------------------------------------


def test_a_simple_query_is_asked_about_masked_and_recorded() -> None:
    rig = Rig()
    assert rig.talk(query("select customers")) == joined(CUSTOMERS, MASKED_ROWS, SELECTED, IDLE)
    statement = Statement(1, Action.QUERY, "select customers", "select customers")
    shape = Shape((TABLES["customers"][0], replace(TABLES["customers"][1], path=CARD)))
    assert rig.asks == [statement, shape]
    assert rig.records == [
        Asked(statement),
        Columns(1, shape),
        Rows(1, joined(MASKED_ROWS[:2]), 3, 3),
        Completed(1, "SELECT 3", 3),
    ]


def test_a_shape_is_asked_about_once() -> None:
    rig = Rig()
    for _ in range(3):
        rig.talk(query("select customers"))
    assert sum(isinstance(ask, Shape) for ask in rig.asks) == 1


def test_several_statements_in_one_text_are_several_results_of_one_statement() -> None:
    rig = Rig()
    shown = rig.talk(query("select customers;insert;select products"))
    assert shown == joined(
        CUSTOMERS, MASKED_ROWS, SELECTED, command_complete("INSERT 0 1"), PRODUCTS, OPEN_ROWS, SELECTED, IDLE
    )
    assert [type(record) for record in rig.records if not isinstance(record, Columns | Rows)] == [Asked] + [
        Completed
    ] * 3
    assert {record.statement_number for record in rig.records if isinstance(record, Rows | Completed)} == {1}


def test_a_query_without_text_is_answered_as_one() -> None:
    assert Rig().talk(query("")) == message(b"I") + IDLE


def test_a_rewritten_statement_goes_up_as_rewritten_and_both_texts_are_recorded() -> None:
    rig = Rig()
    rig._answer = lambda ask: Forward("select products") if isinstance(ask, Statement) else masks(ask)  # type: ignore[method-assign]
    rig.client(query("select customers"))
    assert rig.sent == query("select products")
    assert rig.records == [Asked(Statement(1, Action.QUERY, "select customers", "select customers"), "select products")]


def test_a_statement_with_a_password_is_marked() -> None:
    rig = Rig()
    rig.client(query("alter role jane password 'hunter2'"))
    assert rig.asks == [
        Statement(1, Action.QUERY, "alter role jane password 'hunter2'", "alter role jane password ?", secret=True)
    ]


# Refusals -----------------------------------------------------------------------------------------------------------


def test_a_refused_query_outside_a_transaction_never_reaches_the_server() -> None:
    rig = refuses("insert")
    assert rig.talk(query("insert")) == error(NO) + IDLE
    assert rig.sent == b""
    assert rig.records == [Rejected(Statement(1, Action.QUERY, "insert", ""), NO)]
    assert rig.talk(query("select products")).endswith(SELECTED + IDLE)


def test_a_refused_query_fails_the_transaction_block_that_it_stands_in() -> None:
    rig = refuses("insert")
    rig.talk(query("begin"))
    assert rig.talk(query("insert")) == error(NO) + FAILED
    assert "25P02" in str(rig.talk(query("select products")))
    assert rig.talk(query("insert")) == error(NO) + FAILED
    assert rig.talk(query("rollback")) == command_complete("ROLLBACK") + IDLE
    assert "insert" not in rig.server.executed


def test_a_refused_query_waits_for_the_answers_before_it() -> None:
    rig = refuses("insert")
    rig.client(query("select products"))
    rig.client(query("insert"))
    assert not rig.shown
    rig.client(query("select customers"))
    rig.serve()
    assert rig.shown == joined(
        *(PRODUCTS, OPEN_ROWS, SELECTED, IDLE), *(error(NO), IDLE), *(CUSTOMERS, MASKED_ROWS, SELECTED, IDLE)
    )


def test_a_refused_query_waits_while_only_some_of_the_answers_came() -> None:
    rig = refuses("insert")
    rig.client(query("select products"))
    rig.client(query("select products"))
    first = joined(PRODUCTS, OPEN_ROWS, SELECTED, IDLE)
    rig.serve(len(first))
    rig.client(query("insert"))
    assert rig.shown == first
    rig.serve()
    assert rig.shown == joined(first, first, error(NO), IDLE)


def test_nobody_is_asked_about_what_stands_behind_a_refusal() -> None:
    rig = refuses("insert forbidden")
    rig.client(parse("", "insert forbidden") + parse("", "insert") + bind() + requests.execute("") + SYNC)
    assert len(rig.asks) == 1


def test_what_is_allowed_after_an_error_came_is_not_sent_any_more() -> None:
    wire = machine()
    for text in ("mistyped", "insert"):
        assert wire.feed(Side.CLIENT, parse("", text)).ask is not None
        if text == "mistyped":
            wire.resume(Side.CLIENT, Forward(text))
    wire.feed(Side.SERVER, error("syntax error", "42601"))
    step = wire.resume(Side.CLIENT, Forward("insert"))
    assert step.to_server == b"" and step.records == ()


def test_a_refused_parse_fails_its_batch_as_the_server_would() -> None:
    rig = refuses("insert forbidden")
    batch = parse("", "insert") + bind() + requests.execute("") + parse("", "insert forbidden") + bind() + SYNC
    assert rig.talk(batch) == joined(PARSED, BOUND, command_complete("INSERT 0 1"), error(NO), IDLE)
    assert b"forbidden" not in rig.sent
    assert rig.talk(run("", "select products")) == joined(PARSED, BOUND, OPEN_ROWS, SELECTED, IDLE)


def test_a_refused_execute_stands_in_the_place_of_its_rows() -> None:
    rig = refuses("select products", on="execute")
    assert rig.talk(run("a", "select products")) == joined(PARSED, BOUND, error(NO), IDLE)
    assert rig.server.executed == []
    assert [type(record) for record in rig.records] == [Asked, Rejected]


def test_the_answers_before_a_refusal_come_without_a_sync() -> None:
    rig = refuses("insert")
    assert rig.talk(parse("a", "select products") + parse("b", "insert")) == PARSED + error(NO)
    assert rig.talk(bind("", "a") + requests.execute("")) == b""
    assert rig.talk(SYNC) == IDLE
    assert rig.server.executed == []


def test_nobody_is_asked_about_what_the_server_would_skip() -> None:
    rig = Rig()
    rig.talk(parse("", "mistyped"))
    asks = len(rig.asks)
    assert rig.talk(bind() + requests.execute("") + query("insert")) == b""
    assert len(rig.asks) == asks
    assert rig.talk(SYNC) == IDLE


def test_a_function_call_is_refused() -> None:
    rig = Rig()
    shown = rig.talk(message(b"F", b"\0\0\0\1\0\0\0\0\0\0"))
    assert b"C42501" in shown and shown.endswith(IDLE) and rig.sent == b""
    assert [type(record) for record in rig.records] == [Rejected]


def test_a_text_that_guards_could_not_read_is_refused_where_something_is_protected() -> None:
    rig = Rig()
    shown = rig.talk(message(b"Q", b"select '\xe9'\0"))
    assert b"not valid UTF-8" in shown and rig.sent == b""
    unguarded, latin1 = machine(protected=()), message(b"Q", b"select '\xe9'\0")
    ask = unguarded.feed(Side.CLIENT, latin1).ask
    assert isinstance(ask, Statement) and ask.text == "select 'é'"
    assert unguarded.resume(Side.CLIENT, Forward(ask.text)).to_server == latin1


# Extended queries ---------------------------------------------------------------------------------------------------


def test_each_execute_is_cut_by_its_own_statement_and_never_by_the_last_description() -> None:
    rig = Rig()
    for name, text in (("a", "select customers"), ("b", "select products")):
        described = rig.talk(parse(name, text) + requests.describe(Named.STATEMENT, name) + SYNC)
        assert described == joined(PARSED, message(b"t", b"\0\0"), CUSTOMERS if name == "a" else PRODUCTS, IDLE)
    assert rig.talk(run("a")) == joined(BOUND, MASKED_ROWS, SELECTED, IDLE)
    assert rig.talk(run("b")) == joined(BOUND, OPEN_ROWS, SELECTED, IDLE)
    both = bind("p", "a") + bind("q", "b") + requests.execute("q") + requests.execute("p") + SYNC
    assert rig.talk(both) == joined(BOUND, BOUND, OPEN_ROWS, SELECTED, MASKED_ROWS, SELECTED, IDLE)


def test_a_statement_planned_anew_over_another_table_is_masked_by_that_one() -> None:
    """A new search path re-plans prepared statements; only names and types of columns are checked, not their origin."""
    rig = Rig()
    rig.talk(parse("a", "select t") + requests.describe(Named.STATEMENT, "a") + SYNC)
    assert rig.talk(run("a")) == joined(BOUND, OPEN_ROWS, SELECTED, IDLE)
    rig.talk(query("switch"))
    assert rig.talk(run("a")) == joined(BOUND, MASKED_ROWS, SELECTED, IDLE)


def test_a_describe_right_before_execute_serves_for_both() -> None:
    rig = Rig()
    batch = bind("", "a") + requests.describe(Named.PORTAL, "") + requests.execute("") + SYNC
    shown = rig.talk(parse("a", "select customers") + batch)
    assert shown == joined(PARSED, BOUND, CUSTOMERS, MASKED_ROWS, SELECTED, IDLE)
    assert rig.sent == parse("a", "select customers") + batch


def test_a_portal_that_was_suspended_keeps_its_plan() -> None:
    rig = Rig()
    rig.talk(query("begin"))
    shown = rig.talk(parse("", "select customers") + bind("p") + requests.execute("p", 2) + FLUSH)
    assert shown == joined(PARSED, BOUND, MASKED_ROWS[:2], message(b"s"))
    rig.talk(query("switch"))
    assert rig.talk(requests.execute("p", 2) + SYNC) == joined(MASKED_ROWS[2:], SELECTED, IN_BLOCK)
    assert [record.row_count for record in rig.records if isinstance(record, Rows)] == [2, 1]


def test_a_portal_described_before_something_else_ran_is_described_anew() -> None:
    """A portal over SQL's EXECUTE answers by what the statement's name means when it runs."""
    rig = Rig()
    rig.talk(query("begin"))
    shown = rig.talk(
        parse("e", "execute t")
        + parse("s", "switch")
        + bind("p", "e")
        + requests.describe(Named.PORTAL, "p")
        + bind("", "s")
        + requests.execute("")
        + FLUSH
    )
    assert shown == joined(PARSED, PARSED, BOUND, PRODUCTS, BOUND, command_complete("SWITCH"))
    assert rig.talk(requests.execute("p") + SYNC) == joined(MASKED_ROWS, SELECTED, IN_BLOCK)


def test_a_query_between_a_description_and_its_execute_is_enough_to_describe_anew() -> None:
    rig = Rig()
    rig.talk(query("begin"), parse("e", "execute t") + bind("p", "e") + requests.describe(Named.PORTAL, "p") + FLUSH)
    assert rig.talk(query("switch") + requests.execute("p") + SYNC) == joined(
        command_complete("SWITCH"), IN_BLOCK, MASKED_ROWS, SELECTED, IN_BLOCK
    )


def test_a_portal_that_began_keeps_its_plan_whatever_its_description_says_later() -> None:
    rig = Rig()
    rig.talk(query("begin;switch") + parse("e", "execute t") + parse("s", "switch"))
    rig.talk(bind("p", "e") + requests.execute("p", 1) + bind("", "s") + requests.execute("") + SYNC)
    shown = rig.talk(requests.describe(Named.PORTAL, "p") + requests.execute("p") + SYNC)
    assert shown == joined(PRODUCTS, MASKED_ROWS[1:], SELECTED, IN_BLOCK)


def test_a_close_that_the_server_skipped_closed_nothing() -> None:
    rig = Rig()
    rig.talk(parse("a", "insert") + SYNC)
    close = requests.close(Named.STATEMENT, "a")
    shown = rig.talk(parse("", "mistyped") + close + SYNC + run("a"))
    assert shown[:1] == b"E" and shown.endswith(joined(IDLE, BOUND, command_complete("INSERT 0 1"), IDLE))
    assert rig.talk(close + run("a")) == joined(CLOSED, error('prepared statement "a" does not exist', "26000"), IDLE)


def test_binary_formats_reach_the_plan() -> None:
    rig = Rig()
    portal = requests.Bind("", "", (), (Format.TEXT, Format.BINARY)).encode()
    rig.talk(parse("", "select customers") + portal + requests.execute("") + SYNC)
    shape = rig.asks[-1]
    assert isinstance(shape, Shape)
    assert [field.format for field in shape.fields] == [Format.TEXT, Format.BINARY]


def test_parameters_are_asked_about_with_the_execute() -> None:
    rig = Rig()
    parameters = (Parameter(b"7", Format.TEXT), Parameter(None, Format.BINARY))
    rig.talk(parse("a", "insert") + bind("", "a", *parameters) + requests.execute("") + SYNC)
    assert rig.asks == [
        Statement(1, Action.PREPARE, "insert"),
        Statement(2, Action.EXECUTE, "insert", parameters=parameters),
    ]
    assert rig.records[-1] == Completed(2, "INSERT 0 1", 0)


def test_names_that_are_not_in_the_book_do_not_exist() -> None:
    rig = Rig()
    assert rig.talk(bind("", "nope") + SYNC) == error('prepared statement "nope" does not exist', "26000") + IDLE
    assert rig.talk(requests.execute("nope") + SYNC) == error('portal "nope" does not exist', "34000") + IDLE
    assert [type(record) for record in rig.records] == [Faulted, Faulted]


def test_an_unknown_portal_of_the_server_cannot_be_run() -> None:
    """SQL's DECLARE makes portals too: the server would run it, but nobody could be asked about it."""
    rig = Rig()
    rig.server._portals["cursor"] = type("P", (), {"text": "insert", "formats": (), "rows": None, "tag": ""})()
    assert b"34000" in rig.talk(requests.execute("cursor") + SYNC)
    assert rig.server.executed == []


def test_a_name_used_before_its_parse_is_known_to_have_failed_ends_the_session() -> None:
    rig = Rig()
    rig.talk(parse("a", "select customers") + SYNC)
    with pytest.raises(ProtocolViolation, match="before the target had confirmed it"):
        rig.talk(parse("a", "insert") + SYNC + bind("", "a") + requests.execute("") + SYNC)
    assert b"canary" not in rig.shown


def test_portals_end_with_their_transaction_and_statements_with_discard_all() -> None:
    rig = Rig()
    rig.talk(parse("a", "insert") + bind("p", "a") + SYNC)
    assert b"34000" in rig.talk(requests.execute("p") + SYNC)
    rig.client(query("insert"))
    rig.from_server(command_complete("DISCARD ALL") + IDLE)
    rig._waiting.clear()
    assert b"26000" in rig.talk(bind("", "a") + SYNC)


def test_limits_are_said_and_leave_the_session_open() -> None:
    rig = Rig(wire=machine(limits=Limits(prepared_statements_max=2)))
    assert rig.talk(parse("a", "insert") + parse("b", "insert") + SYNC) == PARSED + PARSED + IDLE
    assert b"prepared_statements_max" in rig.talk(parse("c", "insert") + SYNC)
    assert rig.talk(requests.close(Named.STATEMENT, "a") + SYNC, parse("c", "insert") + SYNC) == joined(
        CLOSED, IDLE, PARSED, IDLE
    )


def test_portals_of_ended_transactions_do_not_count() -> None:
    rig = Rig(wire=machine(limits=Limits(prepared_statements_max=2)))
    rig.talk(parse("", "insert") + SYNC)
    for portal in "pqrst":
        assert rig.talk(bind(portal) + SYNC) == BOUND + IDLE
    assert b"prepared_statements_max" in rig.talk(bind("p") + bind("q") + bind("r") + SYNC)


def test_the_client_pauses_while_too_much_is_unanswered() -> None:
    rig = Rig(wire=machine(limits=Limits(pending_statements_max=3)))
    rig.client(parse("a", "insert") + parse("b", "insert"))
    assert rig.pause == frozenset()
    rig.client(parse("c", "insert"))
    assert rig.pause == {Side.CLIENT} and rig.sent.endswith(FLUSH)
    rig.serve()
    assert rig.pause == frozenset() and rig.shown == PARSED * 3


# Refused results ----------------------------------------------------------------------------------------------------


def tainted(shape: Shape) -> Plan:
    return Plan(
        shape, tuple(Keep() for _ in shape.fields), "This view can't be masked." if shape.fields[1].path else ""
    )


def test_a_result_that_can_not_be_masked_is_an_error_in_its_place() -> None:
    rig = Rig(plan=tainted)
    assert rig.talk(query("select customers;select products")) == error("This view can't be masked.") + IDLE
    assert rig.talk(run("", "select customers")) == joined(PARSED, BOUND, error("This view can't be masked."), IDLE)
    described = bind() + requests.describe(Named.PORTAL, "") + requests.execute("") + SYNC
    assert rig.talk(parse("", "select customers") + described) == joined(
        PARSED, BOUND, CUSTOMERS, error("This view can't be masked."), IDLE
    )
    assert rig.talk(query("select products")) == joined(PRODUCTS, OPEN_ROWS, SELECTED, IDLE)
    assert [record.text for record in rig.records if isinstance(record, Faulted)] == ["This view can't be masked."] * 3
    assert b"canary" not in rig.shown


def test_after_a_refused_result_the_client_is_taken_to_skip_until_sync() -> None:
    rig = Rig(plan=tainted)
    shown = rig.talk(parse("", "select customers") + bind() + requests.execute("") + FLUSH)
    assert shown == joined(PARSED, BOUND, error("This view can't be masked."))
    assert rig.talk(parse("", "insert") + bind() + requests.execute("") + FLUSH) == b""
    assert rig.talk(SYNC) == IDLE
    assert "insert" not in rig.server.executed


def test_data_that_a_refused_query_would_copy_in_are_not_waited_for() -> None:
    rig = Rig(plan=tainted)
    assert rig.talk(query("select customers;copy in")) == error("This view can't be masked.") + IDLE
    batch = parse("a", "select customers") + parse("b", "copy in") + bind("p", "a") + bind("q", "b")
    shown = rig.talk(batch + requests.execute("p") + requests.execute("q") + SYNC)
    assert shown == joined(PARSED, PARSED, BOUND, BOUND, error("This view can't be masked."), IDLE)


# COPY ---------------------------------------------------------------------------------------------------------------

COPY_IN = message(b"G", b"\0\0\1\0\0")


def data(text: bytes) -> bytes:
    return message(b"d", text)


def test_copy_in_by_a_simple_query() -> None:
    rig = Rig()
    assert rig.talk(query("copy in")) == COPY_IN
    assert rig.talk(data(b"1\n") + data(b"2\n") + message(b"c")) == command_complete("COPY 1") + IDLE
    assert rig.records[-2:] == [Copied(1, Side.CLIENT, 4), Completed(1, "COPY 1", 0)]
    assert rig.talk(query("copy in;insert")) == COPY_IN
    assert rig.talk(message(b"c")) == joined(command_complete("COPY 1"), command_complete("INSERT 0 1"), IDLE)


def test_copy_in_by_an_extended_query_whose_sync_the_server_ignores() -> None:
    rig = Rig()
    assert rig.talk(run("", "copy in")) == joined(PARSED, BOUND, COPY_IN)
    assert rig.talk(data(b"1\n") + message(b"c") + SYNC) == command_complete("COPY 1") + IDLE
    assert rig.talk(run("", "select customers")) == joined(PARSED, BOUND, MASKED_ROWS, SELECTED, IDLE)


def test_a_sync_among_copy_data_is_ignored_as_the_server_ignores_it() -> None:
    rig = Rig()
    rig.talk(run("", "copy in"))
    assert (
        rig.talk(data(b"1\n") + SYNC + FLUSH + data(b"2\n") + message(b"c") + SYNC) == command_complete("COPY 1") + IDLE
    )
    assert rig.talk(run("", "select customers")) == joined(PARSED, BOUND, MASKED_ROWS, SELECTED, IDLE)


def test_copy_in_whose_data_came_before_they_were_wanted() -> None:
    rig = Rig()
    batch = parse("", "copy in") + bind() + requests.execute("") + data(b"1\n") + message(b"c") + SYNC
    assert rig.talk(batch + query("select customers")) == joined(
        *(PARSED, BOUND, COPY_IN, command_complete("COPY 1"), IDLE), *(CUSTOMERS, MASKED_ROWS, SELECTED, IDLE)
    )


@pytest.mark.parametrize("end", [message(b"c"), message(b"f", b"changed my mind\0")])
def test_copy_in_that_fails(end: bytes) -> None:
    rig = Rig()
    bad = b"bad" if end[:1] == b"c" else b"good"
    rig.talk(query("copy in"))
    shown = rig.talk(data(bad) + end)
    assert shown[:1] == b"E" and shown.endswith(IDLE)
    rig.talk(run("", "copy in"))
    shown = rig.talk(data(bad) + end + SYNC)
    assert shown[:1] == b"E" and shown.endswith(IDLE)
    assert rig.talk(run("", "select customers")) == joined(PARSED, BOUND, MASKED_ROWS, SELECTED, IDLE)


def test_a_statement_in_the_middle_of_copy_data_ends_the_session() -> None:
    rig = Rig()
    rig.talk(query("copy in"))
    with pytest.raises(ProtocolViolation, match="in the middle of COPY data"):
        rig.client(query("insert"))


def test_a_statement_sent_before_copy_data_were_wanted_ends_the_session() -> None:
    wire = machine()
    for text in ("copy in", "insert"):
        wire.feed(Side.CLIENT, query(text))
        wire.resume(Side.CLIENT, Forward(text))
    with pytest.raises(ProtocolViolation, match="in the middle of COPY data"):
        wire.feed(Side.SERVER, COPY_IN)


def test_copy_out_passes_where_origins_are_judged() -> None:
    rig = Rig()
    copied = joined(message(b"H", b"\0\0\0"), data(b"copied-1\n"), data(b"copied-2\n"), message(b"c"))
    assert rig.talk(query("copy out")) == copied + command_complete("COPY 2") + IDLE
    assert rig.records[-2:] == [Copied(1, Side.SERVER, 18), Completed(1, "COPY 2", 0)]


def test_copy_out_is_refused_where_content_is_judged() -> None:
    rig = Rig(wire=machine(protected=["*"]))
    shown = rig.talk(query("copy out"))
    assert b"C42501" in shown and b"copied" not in shown and shown.endswith(IDLE)
    shown = rig.talk(run("", "copy out"))
    assert b"C42501" in shown and b"copied" not in shown and shown.endswith(IDLE)
    assert not any(isinstance(record, Copied | Completed) for record in rig.records)
    assert rig.talk(query("insert")) == command_complete("INSERT 0 1") + IDLE


def test_copy_data_go_by_in_pieces_however_large() -> None:
    rig = Rig(wire=machine(limits=Limits(statement_bytes_max=1000)))
    rig.talk(query("copy in"))
    sent = len(rig.sent)
    rig.client(b"d" + (1 << 20).to_bytes(4, "big"))
    for _ in range(4):
        rig.client(b"x" * 1000)
    assert len(rig.sent) == sent + 5 + 4000


# What comes unasked -------------------------------------------------------------------------------------------------

QUOTING = {"S": "ERROR", "V": "ERROR", "C": "23505", "M": "duplicate key", "D": "Key (card)=(canary)", "W": "canary",
           "q": "select canary", "H": "try again"}  # fmt: skip


def test_errors_and_notices_lose_what_may_quote_values() -> None:
    rig = Rig()
    rig.client(query("insert"))
    rig.from_server(messages.notice_response(QUOTING) + messages.error_response(QUOTING) + IDLE)
    kept = {letter: QUOTING[letter] for letter in "SVCMH"}
    assert rig.shown == messages.notice_response(kept) + messages.error_response(kept) + IDLE
    assert rig.records[-1] == Faulted(1, "23505", "duplicate key")


def test_notifications_lose_their_payload() -> None:
    told = message(b"A", b"\0\0\0\7news\0canary\0")
    rig, unguarded = Rig(), Rig(wire=machine(protected=()))
    rig.from_server(told)
    unguarded.from_server(told)
    assert rig.shown == message(b"A", b"\0\0\0\7news\0\0") and unguarded.shown == told


def test_where_nothing_is_protected_they_stay_as_they_are() -> None:
    rig = Rig(wire=machine(protected=()))
    rig.client(query("insert"))
    said = messages.notice_response(QUOTING) + messages.error_response(QUOTING) + IDLE
    rig.from_server(said)
    assert rig.shown == said


def test_settings_and_a_fatal_error_may_come_at_any_time() -> None:
    rig = Rig()
    said = messages.parameter_status("TimeZone", "UTC") + error("the server is going down", "57P01", "FATAL")
    rig.from_server(said)
    assert rig.shown == said and rig.records == [Faulted(0, "57P01", "the server is going down")]
    assert rig.wire.feed(Side.SERVER, b"").ended


# Ends ---------------------------------------------------------------------------------------------------------------


def test_terminate_goes_up_and_ends() -> None:
    rig = Rig()
    rig.talk(query("insert"), TERMINATE)
    assert rig.ended and rig.sent.endswith(TERMINATE)
    assert rig.wire.feed(Side.SERVER, b"late").ended


def test_terminate_waits_for_the_answers_before_it() -> None:
    rig = Rig()
    rig.client(query("select customers") + TERMINATE + query("insert"))
    assert not rig.ended and rig.pause == {Side.CLIENT}
    rig.serve()
    assert rig.ended and rig.shown == joined(CUSTOMERS, MASKED_ROWS, SELECTED, IDLE)
    assert rig.server.executed == ["select customers"]


def test_a_client_that_just_leaves_is_taken_to_have_said_so() -> None:
    step = machine().feed(Side.CLIENT, b"")
    assert step.ended and step.to_server == TERMINATE


def test_a_server_that_leaves_ends_the_session_and_what_it_cut_off_is_not_shown() -> None:
    rig = Rig()
    rig.client(query("select customers"))
    rig.from_server(CUSTOMERS + MASKED_ROWS[0][:-1])
    step = rig.wire.feed(Side.SERVER, b"")
    assert step.ended and step.to_client == b"" and rig.shown == CUSTOMERS


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"p\0\0\0\5x", id="a kind that has no place here"),
        pytest.param(b"Q\0\0\0\3", id="a length that is none"),
        pytest.param(message(b"Q", b"select"), id="a text without an end"),
        pytest.param(message(b"Q", b"select\0 more\0"), id="two texts"),
        pytest.param(message(b"B", b"\0\0\0\1\0\7\0\0\0\0"), id="a format that is none"),
        pytest.param(message(b"B", b"\0\0\0\2\0\0\0\0\0\1\0\0\0\1x\0\0"), id="more formats than values"),
        pytest.param(message(b"B", b"\0\0\0\0\0\1\0\0\0\7x\0\0"), id="a value longer than the message"),
        pytest.param(message(b"D", b"Xname\0"), id="a thing that can't be described"),
        pytest.param(message(b"E", b"portal\0"), id="an execute without its row count"),
        pytest.param(message(b"P", b"\0select\0\0\2\0\0\0\0"), id="fewer parameter types than announced"),
    ],
)
def test_a_client_that_says_what_it_may_not_ends_the_session(said: bytes) -> None:
    wire = machine()
    with pytest.raises(ProtocolViolation) as caught:
        wire.feed(Side.CLIENT, said)
    assert caught.value.side == "client"
    with pytest.raises(ProtocolViolation, match="broken off"):
        wire.feed(Side.SERVER, IDLE)


# Cuts ---------------------------------------------------------------------------------------------------------------


def test_the_pieces_in_which_bytes_come_change_nothing() -> None:
    script = joined(
        query("select customers;select products"),
        run("a", "select customers"),
        query("begin") + run("", "fail") + query("rollback"),
        query("copy in") + data(b"x" * 50) + message(b"c"),
        run("a"),
        query("copy out"),
        TERMINATE,
    )
    whole = Rig()
    whole.client(script)
    whole.serve()
    for client_size, server_size in ((1, 1), (3, 7), (50, 2), (1, 1000)):
        rig = Rig()
        for at in range(0, len(script), client_size):
            rig.client(script[at : at + client_size])
        while rig._waiting:
            rig.serve(server_size)
        assert rig.shown == whole.shown and rig.sent == whole.sent and rig.asks == whole.asks
        assert merged(rig.records) == merged(whole.records)
