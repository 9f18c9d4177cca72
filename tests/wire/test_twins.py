"""Where the target keeps masks itself: the client sees the tables as they are, its own text, and never a real value."""

import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.errors import MaskBroken
from hoopproxy.events import (
    Action,
    Columns,
    Edit,
    Faulted,
    Field,
    Format,
    Forward,
    Parameter,
    Rejected,
    Shape,
    Statement,
)
from hoopproxy.masks import Catalog, Origin, Shadow, Shadowed
from hoopproxy.model import Side
from hoopproxy.wire.postgres import messages, requests
from hoopproxy.wire.postgres.framing import message
from hoopproxy.wire.postgres.messages import command_complete, data_row, error_response, ready_for_query
from hoopproxy.wire.postgres.positions import written
from hoopproxy.wire.postgres.requests import FLUSH, SYNC, Named, query

from .fake_postgres import column
from .rig import Rig, machine

TABLE, TWIN, OTHER = 16401, 26401, 16500
SCHEMA = "hp_3f9ac01b77de_1"
SHADOW = Shadow(
    mask_set="hp_3f9ac01b77de",
    path=("public",),
    bearers={"customers": frozenset({"public"})},
    calls={},
    relations={("public", "customers"): Shadowed(SCHEMA, "customers")},
    functions={("app", "label"): ("hp_3f9ac01b77de_2", "label")},
    withheld={},
    origins={TWIN: Origin(TABLE, {1: 1, 2: 4})},
    tripwire={TABLE: frozenset({4})},
)
CATALOG = Catalog({}, {}, frozenset(), frozenset(), SHADOW)
PARSED, BOUND, IDLE = message(b"1"), message(b"2"), ready_for_query(b"I")
ROW = data_row([b"1", b"x"])
ALL = command_complete("SELECT 1")


def rig(*, content: bool = False, edits: tuple[Edit, ...] = ()) -> Rig:
    """`edits` are made to every statement that is sent."""

    def forward(statement: Statement) -> Forward:
        if statement.action is Action.EXECUTE:
            return Forward(statement.text)
        return Forward(edited(statement.text, edits), edits)

    protected = ("public.customers.card", *("*" if content else ()))
    return Rig(wire=machine(protected=protected, catalog=CATALOG), forward=forward)


def edited(text: str, edits: Sequence[Edit]) -> str:
    for edit in reversed(edits):
        text = text[: edit.at] + edit.put + text[edit.at + edit.removed :]
    return text


def description(*origins: tuple[int, int]) -> bytes:
    return messages.row_description([column(f"c{at}", *origin) for at, origin in enumerate(origins)])


def test_what_others_notify_loses_its_payload_as_they_may_see_what_is_masked_here() -> None:
    session = rig()
    session.from_server(message(b"A", b"\0\0\0\7news\0canary\0"))
    assert bytes(session.shown) == message(b"A", b"\0\0\0\7news\0\0")


# Origins --------------------------------------------------------------------------------------------------------------


def test_columns_of_a_twin_come_from_the_table() -> None:
    session = rig()
    session.client(query("select"))
    session.from_server(description((TWIN, 1), (TWIN, 2), (OTHER, 7), (0, 0)) + ALL + IDLE)
    assert bytes(session.shown) == description((TABLE, 1), (TABLE, 4), (OTHER, 7), (0, 0)) + ALL + IDLE
    (shape,) = [each.shape for each in session.records if isinstance(each, Columns)]
    assert [each.table_oid for each in shape.fields] == [TABLE, TABLE, OTHER, 0]


def test_a_column_that_the_table_does_not_have_comes_from_nowhere() -> None:
    session = rig()
    session.client(query("select"))
    session.from_server(description((TWIN, 3)))
    assert bytes(session.shown) == description((0, 0))


@pytest.mark.parametrize("named", Named)
def test_descriptions_of_statements_and_portals_name_the_table_too(named: Named) -> None:
    session = rig()
    session.client(requests.Parse("", b"select").encode() + requests.Bind("", "").encode())
    session.client(requests.describe(named, "") + requests.execute("") + SYNC)
    parameters = message(b"t", b"\0\0") if named is Named.STATEMENT else b""
    session.from_server(PARSED + BOUND + parameters + description((TWIN, 1), (TWIN, 2)) + ROW + ALL + IDLE)
    assert bytes(session.shown).endswith(description((TABLE, 1), (TABLE, 4)) + ROW + ALL + IDLE)


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
fields = st.builds(
    Field, names, st.just(""), st.sampled_from([0, OTHER, TWIN]), st.integers(1, 3), st.just(25), st.just(-1),
    st.sampled_from(Format),
)  # fmt: skip


@given(st.lists(fields, max_size=6), st.integers(1, 50))
def test_only_the_origins_change_however_the_bytes_are_cut(columns: list[Field], size: int) -> None:
    session, said = rig(), messages.row_description(columns) + ALL + IDLE
    session.client(query("select"))
    for at in range(0, len(said), size):
        session.from_server(said[at : at + size])
    origins = {(TWIN, 1): (TABLE, 1), (TWIN, 2): (TABLE, 4), (TWIN, 3): (0, 0)}
    expected = []
    for each in columns:
        table_oid, number = origins.get((each.table_oid, each.column_number), (each.table_oid, each.column_number))
        expected.append(replace(each, table_oid=table_oid, column_number=number))
    assert bytes(session.shown) == messages.row_description(expected) + ALL + IDLE
    assert len(session.shown) == len(said)


def test_nothing_is_asked_and_nothing_added_where_the_target_masks() -> None:
    session, batch = rig(), requests.Parse("", b"select").encode() + requests.Bind("", "").encode()
    session.client(batch + requests.execute("") + SYNC)
    assert bytes(session.sent) == batch + requests.execute("") + SYNC
    assert all(isinstance(each, Statement) for each in session.asks)


def test_masks_by_content_are_still_made_here() -> None:
    session = rig(content=True)
    session.client(query("select"))
    session.from_server(description((TWIN, 1), (TWIN, 2)))
    (shape,) = [each for each in session.asks if isinstance(each, Shape)]
    assert [(each.table_oid, each.column_number) for each in shape.fields] == [(TABLE, 1), (TABLE, 4)]


# The tripwire ---------------------------------------------------------------------------------------------------------


def test_a_protected_column_itself_ends_the_session_before_a_row() -> None:
    session = rig()
    session.client(query("select"))
    with pytest.raises(MaskBroken) as broken:
        session.from_server(description((TABLE, 1), (TABLE, 4)) + ROW)
    assert bytes(session.shown) == b"" and not any(isinstance(each, Columns) for each in session.records)
    assert str(TABLE) in broken.value.detail and "column 4" in broken.value.detail
    assert str(TABLE) not in broken.value.sentence


def test_unprotected_columns_of_the_table_pass() -> None:
    session = rig()
    session.client(query("select"))
    session.from_server(description((TABLE, 1)) + ALL + IDLE)
    assert bytes(session.shown) == description((TABLE, 1)) + ALL + IDLE


@pytest.mark.parametrize("named", Named)
def test_a_description_alone_shows_no_value_so_the_server_may_still_refuse(named: Named) -> None:
    """Rights are looked at when a statement runs, not when it is described."""
    session = rig()
    session.client(requests.Parse("", b"select").encode() + requests.Bind("", "").encode())
    session.client(requests.describe(named, "") + requests.execute("") + SYNC)
    parameters = message(b"t", b"\0\0") if named is Named.STATEMENT else b""
    refused = messages.error("permission denied for table customers")
    session.from_server(PARSED + BOUND + parameters + description((TABLE, 4)) + refused + IDLE)
    assert bytes(session.shown).endswith(refused + IDLE)


@pytest.mark.parametrize("named", Named)
@pytest.mark.parametrize("end", [data_row([b"4111"]), ALL])
def test_a_described_one_that_runs_ends_the_session(named: Named, end: bytes) -> None:
    session = rig()
    session.client(requests.Parse("", b"select").encode() + requests.Bind("", "").encode())
    session.client(requests.describe(named, "") + requests.execute("") + SYNC)
    parameters = message(b"t", b"\0\0") if named is Named.STATEMENT else b""
    with pytest.raises(MaskBroken):
        session.from_server(PARSED + BOUND + parameters + description((TABLE, 4)) + end)
    assert b"4111" not in session.shown


# Places in the text ---------------------------------------------------------------------------------------------------

TEXT = "select ñame from customers, customers c where x"
EDITS = tuple(Edit(at, 0, f"{SCHEMA}.") for at in (TEXT.index("customers"), TEXT.index("customers c")))


def failed(position: int, letter: str = "P") -> bytes:
    return error_response({"S": "ERROR", "V": "ERROR", "C": "42703", "M": "no", letter: str(position)})


def at(text: str, what: str) -> int:
    return text.index(what) + 1


@pytest.mark.parametrize("what", ["ñame", "customers,", "c where", "x"])
def test_an_error_points_at_the_clients_own_text(what: str) -> None:
    session = rig(edits=EDITS)
    session.client(query(TEXT))
    session.from_server(failed(at(edited(TEXT, EDITS), what)) + IDLE)
    assert bytes(session.shown) == failed(at(TEXT, what)) + IDLE


def test_it_points_at_the_name_where_the_server_means_what_was_put_in() -> None:
    session = rig(edits=EDITS)
    session.client(query(TEXT))
    session.from_server(failed(at(edited(TEXT, EDITS), SCHEMA) + 3) + IDLE)
    assert bytes(session.shown) == failed(at(TEXT, "customers")) + IDLE


def test_places_in_internal_queries_stay() -> None:
    session = rig(edits=EDITS)
    session.client(query(TEXT))
    session.from_server(failed(200, "p") + IDLE)
    assert bytes(session.shown) == failed(200, "p") + IDLE


@pytest.mark.parametrize("answered", [0, 1, 2, 3])
def test_each_step_of_a_prepared_statement_points_at_its_text(answered: int) -> None:
    session = rig(edits=EDITS)
    session.client(requests.Parse("a", TEXT.encode()).encode() + requests.Bind("", "a").encode())
    session.client(requests.describe(Named.PORTAL, "") + requests.execute("") + SYNC)
    answers = b"".join((PARSED, BOUND, message(b"n"))[:answered])
    session.from_server(answers + failed(at(edited(TEXT, EDITS), "x")))
    assert bytes(session.shown).endswith(failed(at(TEXT, "x")))


def test_notices_point_at_the_clients_own_text() -> None:
    session = rig(edits=EDITS)
    session.client(query(TEXT))
    said = {"S": "WARNING", "V": "WARNING", "C": "01000", "M": "hm"}
    session.from_server(messages.notice_response(said | {"P": str(at(edited(TEXT, EDITS), "x"))}))
    assert bytes(session.shown) == messages.notice_response(said | {"P": str(at(TEXT, "x"))})


@pytest.mark.parametrize("position", ["", "-1", "1e9", "9" * 5000, "٣"])
def test_what_is_no_position_is_left_alone(position: str) -> None:
    session = rig(edits=EDITS)
    session.client(query(TEXT))
    strange = error_response({"S": "ERROR", "V": "ERROR", "C": "42703", "M": "no", "P": position})
    session.from_server(strange + IDLE)
    assert bytes(session.shown) == strange + IDLE


@st.composite
def edits_of(draw: st.DrawFn) -> tuple[str, tuple[Edit, ...]]:
    """A text without capitals, and edits that put in capitals alone."""
    text, made, at = draw(st.text("abcñ ", max_size=30)), [], 0
    while at < len(text) and draw(st.booleans()):
        at += draw(st.integers(0, len(text) - at))
        removed = draw(st.integers(0, len(text) - at))
        made.append(Edit(at, removed, draw(st.text("AB", max_size=5))))
        at += removed + 1
    return text, tuple(made)


@given(edits_of())
def test_what_was_kept_is_found_again(case: tuple[str, tuple[Edit, ...]]) -> None:
    text, edits = case
    sent = edited(text, edits)
    places = [written(position, edits) for position in range(1, len(sent) + 2)]
    assert places == sorted(places) and places[-1] == len(text) + 1
    for character, place in zip(sent, places, strict=False):
        assert character in "AB" or text[place - 1] == character


# Names in messages ----------------------------------------------------------------------------------------------------


def test_generated_schemas_give_way_in_messages_and_nowhere_else() -> None:
    session = rig()
    session.client(query("select"))
    said = {
        "S": "ERROR",
        "V": "ERROR",
        "C": "42P01",
        "M": f'relation "{SCHEMA}.customers" does not exist, x{SCHEMA}.y, {SCHEMA}1.y, {SCHEMA}',
        "D": f"Key (note)=({SCHEMA}.customers) already exists.",
        "W": "SQL function hp_3f9ac01b77de_2.label(integer)",
        "s": SCHEMA,
        "t": "customers",
    }
    session.from_server(error_response(said) + IDLE)
    message_ = f'relation "public.customers" does not exist, x{SCHEMA}.y, {SCHEMA}1.y, {SCHEMA}'
    seen = said | {"M": message_, "W": "SQL function app.label(integer)", "s": "public"}
    assert bytes(session.shown) == error_response(seen) + IDLE
    assert session.records[-1] == Faulted(1, "42P01", message_)


def test_rows_are_not_looked_at() -> None:
    session, row = rig(), data_row([f"{SCHEMA}.customers".encode()])
    session.client(query("select"))
    session.from_server(description((TWIN, 1)) + row)
    assert bytes(session.shown).endswith(row)


def test_a_message_without_anything_to_change_stays_to_the_byte() -> None:
    session = rig()
    session.client(query("select"))
    odd = message(b"E", b"SERROR\0VERROR\0C42601\0Mno\0Mtwice\xff\0\0")
    session.from_server(odd + message(b"N", b"SX\0VX\0C1\0Mhm\0Mhm\0\0"))
    assert bytes(session.shown) == odd + message(b"N", b"SX\0VX\0C1\0Mhm\0Mhm\0\0")


# Texts that are not UTF-8 ---------------------------------------------------------------------------------------------

LATIN = "select 'é' from customers"


@pytest.mark.parametrize("extended", [False, True])
def test_a_text_in_another_encoding_is_rewritten_to_the_byte(extended: bool) -> None:
    session = rig(edits=(Edit(LATIN.index("customers"), 0, "hp."),))
    raw = LATIN.encode("latin-1")
    session.client(
        requests.Parse("", raw, struct.pack("!HI", 1, 25)).encode() if extended else message(b"Q", raw + b"\0")
    )
    sent = raw.replace(b"customers", b"hp.customers")
    parse = requests.Parse("", sent, struct.pack("!HI", 1, 25)).encode()
    assert bytes(session.sent) == (parse if extended else message(b"Q", sent + b"\0"))


def test_a_name_that_the_encoding_does_not_have_is_not_put_in() -> None:
    session = rig(edits=(Edit(0, 0, "ł"),))
    shown = session.talk(message(b"Q", LATIN.encode("latin-1") + b"\0"))
    assert b"22021" in shown and shown.endswith(IDLE) and not session.sent
    assert isinstance(session.records[-1], Rejected)


def test_masks_by_content_still_refuse_what_cannot_be_read() -> None:
    shown = rig(content=True).talk(message(b"Q", LATIN.encode("latin-1") + b"\0"))
    assert b"not valid UTF-8" in shown


def test_values_of_any_bytes_pass() -> None:
    session = rig()
    bind = requests.Bind("", "", (Parameter(b"\xff\xfe", Format.BINARY),)).encode()
    session.client(requests.Parse("", b"select $1").encode() + bind + FLUSH)
    assert bytes(session.sent).endswith(bind + FLUSH)


def test_a_function_call_is_refused() -> None:
    assert b"C42501" in rig().talk(message(b"F", b"\0\0\0\1\0\0\0\0\0\0"))


def test_the_other_direction_is_left_alone() -> None:
    assert rig().wire.feed(Side.CLIENT, SYNC).to_server == SYNC
